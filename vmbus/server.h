/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_SERVER_H
#define VMBUS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/save.h"
#include "vmbus/channel.h"
#include "vmbus/recorder.h"

/*
 * The VMBus of a VM, as the worker sees it: devices are added to it, messages of the guest are
 * handed to it, and it calls the hypervisor through the table below.
 *
 * Any thread may call. The server has a thread of its own, which alone calls into the VSPs; see
 * docs/vmbus.md for threads and locks.
 */

struct vmbus_server;
struct vmbus_device;

/** What the server wants of the machine. None of these calls back into the server. */
struct vmbus_host {
    void *ctx;
    /* Put a message of type 1 into a slot of the guest. 0; -EAGAIN: it is not free, and
     * vmbus_server_retry() will be called when it is; another -errno: the message is lost. */
    int (*post_message)(void *ctx, uint32_t vp, uint8_t sint, const void *message, size_t len);
    /* Set an event flag and interrupt the VP. Called by the threads of VSPs. */
    int (*signal_event)(void *ctx, uint32_t vp, uint8_t sint, uint16_t flag);
    /* Guest's signals of a connection write to an eventfd. 0 or -errno: the channel does not open.
     */
    int (*connect_event)(void *ctx, uint32_t connection_id, int fd);
    void (*disconnect_event)(void *ctx, uint32_t connection_id, int fd);
    /* The host's address of `length` bytes of RAM at `gpa`; NULL: not all of it is RAM. Addresses
     * stay valid as long as the server. Called by any thread. */
    void *(*memory_host)(void *ctx, uint64_t gpa, uint64_t length);
};

struct vmbus_server_config {
    uint32_t version_max; /* VMBUS_VERSION_* of abi/vmbus; 0: the newest (tests of old ones) */
    uint32_t vp_count;
    struct vmbus_host host;
};

struct vmbus_server_stats {
    uint32_t version; /* that the guest uses; 0: it is not connected */
    uint32_t features;
    uint32_t channels;
    uint32_t open;
    uint32_t gpadls;
    uint32_t gpadl_pages;
    uint64_t messages;
    uint64_t refused;
    uint64_t malformed;
    uint64_t illegal;
    uint64_t posted;
    uint64_t post_lost;
    uint64_t contacts;
};

#define VMBUS_SERVER_CHANNEL_MAX 2047U

struct vmbus_server_channel {
    struct vmbus_guid type;
    struct vmbus_guid instance;
    unsigned sub; /* 0: the first of its device */
    bool open;
    bool revoked;
    uint32_t vp;       /* that is interrupted */
    uint64_t received; /* packets, since it was first opened */
    uint64_t sent;
    uint64_t signals; /* interrupts of the guest */
};

/** 0 or -errno. Signals of the process stay with other threads. */
int vmbus_server_create(struct vmbus_server **out, const struct vmbus_server_config *config);
/** All devices have been removed. NULL is allowed. */
void vmbus_server_destroy(struct vmbus_server *server);

/** Offer a device. `ops` and `ctx` stay until it is removed. 0, -EEXIST, -ENOSPC, -ENOMEM. */
int vmbus_server_add(struct vmbus_server *server, const struct vmbus_offer *offer,
                     const struct vmbus_device_ops *ops, void *ctx, struct vmbus_device **out);
/** Withdraw it: when this returns its channels are closed, and `ops` is not called any more. Not
 * from the ops, and not while paused. */
void vmbus_server_remove(struct vmbus_server *server, struct vmbus_device *device);

/** A message that the guest has posted to a connection (VMBUS_CONNECTION_MESSAGES and _4 of
 * abi/vmbus). 0; -EAGAIN: let it try again (HV_STATUS_INSUFFICIENT_BUFFERS). */
int vmbus_server_message(struct vmbus_server *server, uint32_t connection_id, const void *payload,
                         size_t len);

/** A message slot of the guest may have become free. After -EAGAIN of post_message() nothing else
 * tries the message again but a new message, or the guest's next one. */
void vmbus_server_retry(struct vmbus_server *server);

/** A socket of the guest connects to a service of the host. True: it is taken; it gets a device of
 * the service's type with the endpoint as instance, or vmbus_server_refuse(), both later and from
 * another thread: this is called by a VP's, under the server's lock. */
typedef bool vmbus_server_connect(void *ctx, const struct vmbus_guid *endpoint,
                                  const struct vmbus_guid *service);
/** Who hears of that; nobody at first, and then all are refused. NULL: nobody any more. */
void vmbus_server_listen(struct vmbus_server *server, vmbus_server_connect *connect, void *ctx);
void vmbus_server_refuse(struct vmbus_server *server, const struct vmbus_guid *endpoint,
                         const struct vmbus_guid *service);

/** The VM is reset: all channels are closed when this returns, and the guest is not connected. */
void vmbus_server_reset(struct vmbus_server *server);

/** Let no message in or out and open or close nothing until vmbus_server_resume(). What has begun
 * is finished when this returns. VSPs go on serving their rings: they are stopped by other means.
 */
void vmbus_server_pause(struct vmbus_server *server);
void vmbus_server_resume(struct vmbus_server *server);

/** While paused, with no VSP at work. 0, -ENOSPC. */
int vmbus_server_save(struct vmbus_server *server, struct save_writer *w);
/**
 * While paused; the devices have been added and the guest's memory is there. Channels that were
 * open are opened again: the VSPs find vmbus_channel_restored() true. Channels whose device is
 * missing are withdrawn from the guest. 0; -errno: the guest is not connected, as after a reset.
 */
int vmbus_server_load(struct vmbus_server *server, struct save_reader *r);

void vmbus_server_stats(struct vmbus_server *server, struct vmbus_server_stats *out);

/** Of the channel with this id, 1 to VMBUS_SERVER_CHANNEL_MAX. -ENOENT: there is none. */
int vmbus_server_channel(struct vmbus_server *server, uint32_t relid,
                         struct vmbus_server_channel *out);

/** Lives as long as the server. */
struct vmbus_recorder *vmbus_server_recorder(struct vmbus_server *server);

#endif
