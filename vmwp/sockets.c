/* SPDX-License-Identifier: MIT */
#include "vmwp/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include "vmwp/broker.h"
#include "vsp/socket/socket.h"

#define TIMEOUT_MS 5000U

struct sockets {
    const struct config_socket *config;
    int listener;
    struct broker *broker; /* NULL: the guest reaches nothing */
    struct vmbus_server *server;
    struct relay *relay; /* NULL: no guest is there */
};

int sockets_open(struct sockets **out, const struct config *config, int listener,
                 struct problem *why)
{
    struct sockets *s;
    int err = 0;

    if (listener < 0 && config->socket.services == 0) {
        *out = NULL;
        return 0;
    }
    s = calloc(1, sizeof(*s));
    if (!s)
        return problem_set(why, -ENOMEM, "out of memory");
    s->config = &config->socket;
    s->listener = listener;
    if (s->config->services > 0)
        err = broker_start(&s->broker, s->config, why);
    if (err)
        sockets_close(s);
    else
        *out = s;
    return err;
}

void sockets_close(struct sockets *s)
{
    if (!s)
        return;
    broker_stop(s->broker);
    free(s);
}

static int host_offer(void *ctx, const struct vmbus_offer *offer,
                      const struct vmbus_device_ops *ops, void *device, void **handle)
{
    struct sockets *s = ctx;
    struct vmbus_device *d;
    int err = vmbus_server_add(s->server, offer, ops, device, &d);

    if (!err)
        *handle = d;
    return err;
}

static void host_withdraw(void *ctx, void *handle)
{
    struct sockets *s = ctx;

    vmbus_server_remove(s->server, handle);
}

static void host_refuse(void *ctx, const struct vmbus_guid *endpoint,
                        const struct vmbus_guid *service)
{
    struct sockets *s = ctx;

    vmbus_server_refuse(s->server, endpoint, service);
}

static int host_dial(void *ctx, unsigned service)
{
    struct sockets *s = ctx;

    return broker_dial(s->broker, service);
}

int sockets_start(struct sockets *s, struct vmbus_server *server)
{
    struct relay_config c = {.timeout_ms = TIMEOUT_MS};
    int err;

    if (!s)
        return 0;
    c.host = (struct relay_host){s, host_offer, host_withdraw, host_refuse, host_dial};
    c.listener = s->listener;
    c.service_count = s->config->services;
    for (unsigned i = 0; i < c.service_count; i++)
        c.service[i] = s->config->service[i].name;
    s->server = server;
    err = relay_start(&s->relay, &c);
    if (!err)
        vmbus_server_listen(server, relay_connect, s->relay);
    return err;
}

void sockets_stop(struct sockets *s)
{
    if (!s || !s->relay)
        return;
    vmbus_server_listen(s->server, NULL, NULL);
    relay_stop(s->relay);
    s->relay = NULL;
}

void sockets_pause(struct sockets *s, bool pause)
{
    if (s)
        relay_pause(s->relay, pause);
}

json_t *sockets_counters(struct sockets *s)
{
    struct relay_info i;

    if (!s || !s->relay)
        return json_null();
    relay_info(s->relay, &i);
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "connections", (int)i.connections,
                     "from_guest", (json_int_t)i.from_guest, "from_host", (json_int_t)i.from_host,
                     "refused", (json_int_t)i.refused, "bytes_from_guest",
                     (json_int_t)i.bytes_from_guest, "bytes_from_host",
                     (json_int_t)i.bytes_from_host);
}
