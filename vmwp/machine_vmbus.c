/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "abi/tlfs/status.h"
#include "abi/vmbus/message.h"
#include "lib/bits.h"
#include "vmbus/server.h"
#include "vmwp/hypercall.h"
#include "vmwp/log.h"
#include "vmwp/machine_priv.h"

/* VMBus of a machine and the devices on it: the host behind the server, and the server behind the
 * guest's hypercalls. */

struct machine_vmbus {
    struct machine *machine;
    struct vmbus_server *server;
    struct vmbus_device *controller[CONFIG_CONTROLLERS];
    struct vmbus_device *service[IC_KINDS];
    struct vmbus_device *network[CONFIG_NETWORKS_MAX];
};

static int host_post(void *ctx, uint32_t vp, uint8_t sint, const void *message, size_t size)
{
    struct machine_vmbus *v = ctx;
    int err = hv_message_post(v->machine->hv, vp, sint, VMBUS_MESSAGE_TYPE, message, size);

    if (err != -EAGAIN)
        return err;
    /* If there is room by now the VP says so at once. */
    return hv_message_await(v->machine->hv, vp, sint) ? -EIO : -EAGAIN;
}

/* A guest that does not listen misses it, and nothing else happens. */
static int host_signal(void *ctx, uint32_t vp, uint8_t sint, uint16_t flag)
{
    struct machine_vmbus *v = ctx;

    return hv_event_signal(v->machine->hv, vp, sint, flag);
}

static int host_connect(void *ctx, uint32_t connection, int fd)
{
    struct machine_vmbus *v = ctx;

    return hv_event_connect(v->machine->hv, connection, fd);
}

static void host_disconnect(void *ctx, uint32_t connection, int fd)
{
    struct machine_vmbus *v = ctx;

    (void)hv_event_disconnect(v->machine->hv, connection, fd);
}

static void *host_memory(void *ctx, uint64_t at, uint64_t length)
{
    struct machine_vmbus *v = ctx;

    return memory_span(&v->machine->memory, gpa(at), length);
}

static int controllers_add(struct machine_vmbus *v)
{
    int err = 0;

    for (unsigned i = 0; i < CONFIG_CONTROLLERS && !err; i++) {
        struct storage *s = disks_controller(v->machine->disks, i);
        struct vmbus_offer offer;

        if (!s)
            break;
        storage_offer(s, &offer);
        err = vmbus_server_add(v->server, &offer, &storage_device_ops, s, &v->controller[i]);
    }
    return err;
}

static int services_add(struct machine_vmbus *v)
{
    int err = 0;

    for (unsigned i = 0; i < IC_KINDS && !err; i++) {
        struct ic *ic = services_ic(v->machine->services, i);
        struct vmbus_offer offer;

        if (!ic)
            continue;
        ic_offer(ic, &offer);
        err = vmbus_server_add(v->server, &offer, &ic_device_ops, ic, &v->service[i]);
    }
    return err;
}

int machine_vmbus_network_add(struct machine *m, unsigned place)
{
    struct machine_vmbus *v = m->vmbus;
    struct network *n = networks_adapter(m->networks, place);
    struct vmbus_offer offer;

    network_offer(n, &offer);
    return vmbus_server_add(v->server, &offer, &network_device_ops, n, &v->network[place]);
}

void machine_vmbus_network_remove(struct machine *m, unsigned place)
{
    struct machine_vmbus *v = m->vmbus;

    vmbus_server_remove(v->server, v->network[place]);
    v->network[place] = NULL;
}

static int networks_offer(struct machine_vmbus *v)
{
    int err = 0;

    for (unsigned i = 0; i < CONFIG_NETWORKS_MAX && !err; i++)
        if (networks_adapter(v->machine->networks, i))
            err = machine_vmbus_network_add(v->machine, i);
    return err;
}

int machine_vmbus_build(struct machine *m, struct problem *why)
{
    struct machine_vmbus *v = calloc(1, sizeof(*v));
    const struct vmbus_server_config config = {
        .vp_count = m->config->processors,
        .host = {v, host_post, host_signal, host_connect, host_disconnect, host_memory},
    };
    int err;

    if (!v)
        return problem_set(why, -ENOMEM, "out of memory");
    m->vmbus = v;
    v->machine = m;
    err = hv_connections_take(m->hv, why);
    if (err)
        return err;
    err = vmbus_server_create(&v->server, &config);
    if (!err)
        err = controllers_add(v);
    if (!err)
        err = services_add(v);
    if (!err)
        err = networks_offer(v);
    if (!err)
        err = sockets_start(m->sockets, v->server);
    return err ? problem_set(why, err, "VMBus: %s", strerror(-err)) : 0;
}

/* The guest is gone; what it had open is closed before its disks may be. */
void machine_vmbus_clear(struct machine *m)
{
    struct machine_vmbus *v = m->vmbus;

    if (!v)
        return;
    sockets_stop(m->sockets);
    for (unsigned i = 0; i < CONFIG_CONTROLLERS; i++)
        if (v->controller[i])
            vmbus_server_remove(v->server, v->controller[i]);
    for (unsigned i = 0; i < IC_KINDS; i++)
        if (v->service[i])
            vmbus_server_remove(v->server, v->service[i]);
    for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
        machine_vmbus_network_remove(m, i);
    vmbus_server_destroy(v->server);
    free(v);
    m->vmbus = NULL;
}

static uint16_t post(void *ctx, uint32_t connection, const void *payload, size_t size)
{
    struct machine_vmbus *v = ctx;

    if (connection != VMBUS_CONNECTION_MESSAGES && connection != VMBUS_CONNECTION_MESSAGES_4)
        return HV_STATUS_INVALID_CONNECTION_ID;
    return vmbus_server_message(v->server, connection, payload, size) == -EAGAIN
               ? HV_STATUS_INSUFFICIENT_BUFFERS
               : HV_STATUS_SUCCESS;
}

/* Those of open channels do not come here. */
static uint16_t signal_event(void *ctx, uint32_t connection)
{
    return HV_STATUS_INVALID_CONNECTION_ID;
}

uint64_t machine_vmbus_call(struct machine *m, const struct hv_exit_call *call)
{
    const struct hypercall_ops ops = {post, signal_event, m->vmbus};

    return hypercall_handle(call, &m->memory, &ops);
}

void machine_vmbus_sints(struct machine *m, uint32_t vp, uint16_t sints)
{
    vmbus_server_retry(m->vmbus->server);
}

int machine_vmbus_record(struct machine *m, int fd)
{
    return vmbus_recorder_dump(vmbus_server_recorder(m->vmbus->server), fd);
}
