/* SPDX-License-Identifier: MIT */
#ifndef VSP_SOCKET_SOCKET_H
#define VSP_SOCKET_SOCKET_H

#include "vmbus/channel.h"

/*
 * Hyper-V sockets: a relay between sockets of the guest and Unix sockets of the host. The guest
 * reaches the services of a list; the host reaches the guest through one Unix socket, on which a
 * client says "CONNECT 5000" on a line. See docs/socket.md.
 */

#define RELAY_CONNECTIONS_MAX 64U /* that are asked for, offered or open */
#define RELAY_SERVICES_MAX    16U

struct relay;

/** What the relay wants of the worker; from the relay's thread, which holds no lock then. */
struct relay_host {
    void *ctx;
    /* Offer the guest a channel. 0 with *handle, or -errno. */
    int (*offer)(void *ctx, const struct vmbus_offer *offer, const struct vmbus_device_ops *ops,
                 void *device, void **handle);
    /* Take it back: it is closed when this returns. */
    void (*withdraw)(void *ctx, void *handle);
    /* Tell the guest that a connection of its has been refused. */
    void (*refuse)(void *ctx, const struct vmbus_guid *endpoint, const struct vmbus_guid *service);
    /* A socket that is connected to the service of this number, or -errno. */
    int (*dial)(void *ctx, unsigned service);
};

struct relay_config {
    struct relay_host host;
    int listener; /* for clients that want to reach the guest; borrowed; -1: none */
    struct vmbus_guid service[RELAY_SERVICES_MAX]; /* that the guest may reach */
    unsigned service_count;
    unsigned timeout_ms; /* for the guest to open a channel, and a client to say where to */
};

/** Start the relay of a guest that has just been switched on. 0 or -errno. */
int relay_start(struct relay **out, const struct relay_config *config);
/** End all connections, and it. NULL is allowed. */
void relay_stop(struct relay *relay);

/** A socket of the guest connects. True: it is taken, and offered or refused later. Any thread. */
bool relay_connect(void *relay, const struct vmbus_guid *endpoint,
                   const struct vmbus_guid *service);

/** While the guest stands still its time does not run out. */
void relay_pause(struct relay *relay, bool pause);

struct relay_info {
    unsigned connections;                    /* now */
    uint64_t from_guest, from_host, refused; /* connections since it was started */
    uint64_t bytes_from_guest, bytes_from_host;
};
void relay_info(struct relay *relay, struct relay_info *info);

/** "5000" is a port of AF_VSOCK, anything else a GUID as it is usually written. -EINVAL. */
int relay_service_parse(const char *text, struct vmbus_guid *service);

#endif
