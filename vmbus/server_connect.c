/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "vmbus/server_priv.h"

/* Sockets of the guest that connect to services of the host. */

static bool connect_take(void *ctx, const uint8_t endpoint[16], const uint8_t service[16])
{
    const struct vmbus_server *server = ctx;
    struct vmbus_guid e, s;

    memcpy(e.bytes, endpoint, sizeof(e.bytes));
    memcpy(s.bytes, service, sizeof(s.bytes));
    return server->connect(server->connect_ctx, &e, &s);
}

void vmbus_server_listen(struct vmbus_server *server, vmbus_server_connect *connect, void *ctx)
{
    (void)pthread_mutex_lock(&server->lock);
    server->connect = connect;
    server->connect_ctx = ctx;
    vmbus_core_listen(server->core, connect ? connect_take : NULL, server);
    (void)pthread_mutex_unlock(&server->lock);
}

void vmbus_server_refuse(struct vmbus_server *server, const struct vmbus_guid *endpoint,
                         const struct vmbus_guid *service)
{
    (void)pthread_mutex_lock(&server->lock);
    vmbus_core_refuse(server->core, endpoint->bytes, service->bytes);
    server_posts(server);
    (void)pthread_mutex_unlock(&server->lock);
}
