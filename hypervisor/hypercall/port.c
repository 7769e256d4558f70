/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/port.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

/* TLFS "Inter-Partition Communication": what the parent does with ports and connections. */

/* Ids of both have 24 bits. */
#define ID_MASK HV_CONNECTION_ID_MASK

#define DISCONNECT_DOORBELL BIT(0)

static uint16_t memory_status(int rc, uint16_t other)
{
    switch (rc) {
    case 0:
        return HV_STATUS_SUCCESS;
    case -ENOMEM:
        return HV_STATUS_INSUFFICIENT_MEMORY;
    case -ENOSPC:
        return HV_STATUS_NO_RESOURCES;
    case -EPERM:
        return HV_STATUS_ACCESS_DENIED;
    case -EINVAL:
        return HV_STATUS_INVALID_PARAMETER;
    default:
        return other;
    }
}

/*
 * The caller itself or a child of it, held. Only an active one: what a child has is taken from it
 * when it is finalized, after the last holder has let go.
 */
static uint16_t active(struct hypercall *h, uint64_t id, struct partition **out)
{
    struct partition *p = partition_get(h->vp->partition, id);

    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    if (atomic_load_explicit(&p->state, memory_order_acquire) != PARTITION_ACTIVE) {
        partition_put(p);
        return HV_STATUS_INVALID_PARTITION_STATE;
    }
    *out = p;
    return HV_STATUS_SUCCESS;
}

/* Two of them, as above. */
static uint16_t both_active(struct hypercall *h, uint64_t id_a, uint64_t id_b, struct partition **a,
                            struct partition **b)
{
    uint16_t status = active(h, id_a, a);

    if (status != HV_STATUS_SUCCESS)
        return status;
    status = active(h, id_b, b);
    if (status != HV_STATUS_SUCCESS)
        partition_put(*a);
    return status;
}

uint16_t hypercall_create_port(struct hypercall *h)
{
    struct partition *owner, *connector;
    struct hv_input_create_port in;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    if (in.port_vtl || in.min_connection_vtl || in.padding)
        return HV_STATUS_INVALID_PARAMETER;
    if (in.port_id & ~ID_MASK || !in.port_id)
        return HV_STATUS_INVALID_PORT_ID; /* 0 would be no entry of an event ring */
    /* The VP may come later, so only its number is judged. */
    if (in.port_info.port_type != HV_PORT_TYPE_MONITOR &&
        in.port_info.u.event.target_vp != HV_ANY_VP &&
        in.port_info.u.event.target_vp >= PARTITION_MAX_VPS)
        return HV_STATUS_INVALID_VP_INDEX;
    status = both_active(h, in.port_partition_id, in.connection_partition_id, &owner, &connector);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = memory_status(port_create(owner, in.port_id, connector->id, &in.port_info),
                           HV_STATUS_INVALID_PORT_ID);
    partition_put(connector);
    partition_put(owner);
    return status;
}

uint16_t hypercall_delete_port(struct hypercall *h)
{
    struct hv_input_delete_port in;
    struct partition *owner;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    if (in.reserved)
        return HV_STATUS_INVALID_PARAMETER;
    status = active(h, in.port_partition_id, &owner);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = memory_status(port_delete(owner, in.port_id), HV_STATUS_INVALID_PORT_ID);
    partition_put(owner);
    return status;
}

static uint16_t connect_status(int rc)
{
    return memory_status(rc, rc == -ENOENT ? HV_STATUS_INVALID_PORT_ID
                                           : HV_STATUS_INVALID_CONNECTION_ID);
}

uint16_t hypercall_connect_port(struct hypercall *h)
{
    struct partition *owner, *port_owner;
    struct hv_input_connect_port in;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    if (in.connection_vtl || in.reserved0 || in.reserved1 || in.reserved2)
        return HV_STATUS_INVALID_PARAMETER;
    if (in.connection_id & ~ID_MASK)
        return HV_STATUS_INVALID_CONNECTION_ID;
    status = both_active(h, in.connection_partition_id, in.port_partition_id, &owner, &port_owner);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = connect_status(
        connection_create(owner, in.connection_id, port_owner, in.port_id, &in.connection_info));
    partition_put(port_owner);
    partition_put(owner);
    return status;
}

uint16_t hypercall_disconnect_port(struct hypercall *h)
{
    struct hv_input_disconnect_port in;
    struct partition *owner;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    if (in.flags & ~DISCONNECT_DOORBELL)
        return HV_STATUS_INVALID_PARAMETER;
    status = active(h, in.connection_partition_id, &owner);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status =
        memory_status(connection_delete(owner, in.connection_id, in.flags & DISCONNECT_DOORBELL),
                      HV_STATUS_INVALID_CONNECTION_ID);
    partition_put(owner);
    return status;
}

uint16_t hypercall_notify_port_ring_empty(struct hypercall *h)
{
    struct hv_input_notify_port_ring_empty in;

    memcpy(&in, h->in, sizeof(in));
    if (in.sint_index >= HV_SYNIC_SINT_COUNT || in.reserved)
        return HV_STATUS_INVALID_PARAMETER;
    port_ring_empty(h->vp, in.sint_index);
    return HV_STATUS_SUCCESS;
}
