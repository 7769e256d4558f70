/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_SERVER_PRIV_H
#define VMBUS_SERVER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include "lib/list.h"
#include "vmbus/core/core.h"
#include "vmbus/ring/ring.h"
#include "vmbus/server.h"

/*
 * Who may touch what: "lock" is vmbus_server.lock; "server" is the server's thread, or the caller
 * of load while that is paused; "VSP" is the one thread that serves the channel while it is open.
 */

struct vmbus_channel {
    struct vmbus_server *server; /* constant */
    struct vmbus_device *device; /* lock; NULL: removed */
    uint32_t relid;              /* constant */
    unsigned sub;                /* constant: 0 for the first */
    int fd;                      /* constant */
    bool pipe;                   /* constant */
    bool open;                   /* lock: the VSP has it */
    bool restored;               /* server, before it is open */
    uint8_t sint;                /* server, before it is open */
    uint16_t event_flag;         /* server, before it is open */
    uint32_t connection_id;      /* server, before it is open */
    uint8_t open_data[120];      /* server, before it is open */
    pthread_mutex_t target;      /* around an interrupt, and a change of vp */
    _Atomic uint32_t vp;         /* server writes, under target */
    uint8_t **pages;             /* server, before it is open: of both rings */
    bool broken;                 /* VSP while open */
    bool signal;                 /* VSP while open: the guest must hear, and has not yet */
    _Atomic uint64_t received;   /* VSP writes */
    _Atomic uint64_t sent;
    _Atomic uint64_t signals;
    struct vmbus_ring_in in;   /* VSP while open */
    struct vmbus_ring_out out; /* VSP while open */
};

struct vmbus_device {
    struct list node; /* lock */
    const struct vmbus_device_ops *ops;
    void *ctx;
    struct vmbus_offer offer;
    uint32_t relid; /* lock: of its first channel */
};

struct vmbus_server {
    struct vmbus_server_config config; /* constant */
    struct vmbus_recorder *recorder;   /* constant; of any thread */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;     /* the thread may have something to do */
    pthread_cond_t progress; /* it has done something */
    struct vmbus_core *core; /* lock, and what follows */
    struct list devices;
    vmbus_server_connect *connect; /* NULL: no service listens */
    void *connect_ctx;
    struct vmbus_channel *channels[VMBUS_CHANNELS_MAX + 1]; /* by id */
    bool stop;
    bool pausing; /* no new messages */
    bool paused;  /* nothing at all */
    bool stuck;   /* a message did not find a slot */
    uint64_t post_lost;
};

/* server.c: all under the lock. */
void server_posts(struct vmbus_server *server);
void server_wake(struct vmbus_server *server);
void server_reset(struct vmbus_server *server);
struct vmbus_channel *server_channel_new(struct vmbus_server *server, uint32_t relid);
/* The device whose first channel this is. */
struct vmbus_device *server_device(struct vmbus_server *server, uint32_t relid);
void server_offer(const struct vmbus_offer *offer, struct vmbus_core_offer *out);
void server_channel_free(struct vmbus_server *server, struct vmbus_channel *channel);

/* What was saved of a channel that was open. */
struct channel_resume {
    uint32_t read;
    uint32_t write;
    bool broken;
};

/* server_open.c: under the lock, which is given away while the VSP works. */
/* 0, or -errno: the channel stays closed. `resume` is NULL for a channel that the guest opens. */
int server_channel_open(struct vmbus_channel *channel, const struct channel_resume *resume);
void server_channel_close(struct vmbus_channel *channel);

#endif
