/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "abi/tlfs/synic.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/port.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Message types with this bit are the hypervisor's own. */
#define MESSAGE_TYPE_HYPERVISOR BIT(31)

#define EVENT_FLAGS_PER_PORT 2048U

static uint16_t synic_status(int rc)
{
    switch (rc) {
    case 0:
        return HV_STATUS_SUCCESS;
    case -ENODEV:
        return HV_STATUS_INVALID_SYNIC_STATE;
    case -EAGAIN:
        return HV_STATUS_INSUFFICIENT_BUFFERS;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}

/* A parent that wants to see what leads nowhere carries it out itself. */
static uint16_t connection_status(struct hypercall *h, int rc)
{
    const struct partition *p = h->vp->partition;
    uint32_t wanted = p->intercepts.unknown_connection | p->intercepts.hypercall;

    if (rc != -ENOENT)
        return synic_status(rc);
    if (p->is_child && (wanted & HV_INTERCEPT_ACCESS_MASK_EXECUTE)) {
        h->intercepted = true;
        child_hypercall(h->vp);
    }
    return HV_STATUS_INVALID_CONNECTION_ID;
}

uint16_t hypercall_post_message(struct hypercall *h)
{
    struct hv_message message = {0};
    struct hv_input_post_message in;

    memcpy(&in, h->in, sizeof(in));
    if (in.reserved || in.payload_size > HV_POST_MESSAGE_MAX_PAYLOAD)
        return HV_STATUS_INVALID_PARAMETER;
    if (in.message_type == 0 || (in.message_type & MESSAGE_TYPE_HYPERVISOR))
        return HV_STATUS_INVALID_PARAMETER;
    if (in.connection_id & ~HV_CONNECTION_ID_MASK)
        return HV_STATUS_INVALID_CONNECTION_ID;
    message.header.message_type = in.message_type;
    message.header.payload_size = (uint8_t)in.payload_size;
    memcpy(message.payload, in.payload, in.payload_size);
    return connection_status(h, connection_post(h->vp->partition, in.connection_id, &message));
}

uint16_t hypercall_signal_event(struct hypercall *h)
{
    struct hv_input_signal_event in;

    memcpy(&in, h->in, sizeof(in));
    if (in.reserved || in.flag_number >= EVENT_FLAGS_PER_PORT)
        return HV_STATUS_INVALID_PARAMETER;
    if (in.connection_id & ~HV_CONNECTION_ID_MASK)
        return HV_STATUS_INVALID_CONNECTION_ID;
    return connection_status(h,
                             connection_signal(h->vp->partition, in.connection_id, in.flag_number));
}

/*
 * The VP that a direct call names, in the caller's own partition or in a child, which is held until
 * partition_put(). Only VTL 0 exists.
 */
static uint16_t direct_target(struct hypercall *h, uint64_t id, uint32_t index, uint8_t vtl,
                              struct partition **out, struct vp **vp)
{
    struct partition *self = h->vp->partition, *p = partition_get(self, id);

    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    *out = p;
    *vp = p == self && index == HV_VP_INDEX_SELF ? h->vp : partition_vp(p, index);
    if (!vtl && *vp)
        return HV_STATUS_SUCCESS;
    partition_put(p);
    return vtl ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_INVALID_VP_INDEX;
}

uint16_t hypercall_post_message_direct(struct hypercall *h)
{
    struct hv_input_post_message_direct in;
    struct hv_message message;
    struct partition *p;
    struct vp *target;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    memcpy(&message, in.message, sizeof(message));
    if (in.reserved[0] || in.reserved[1] || in.reserved[2] || in.reserved2)
        return HV_STATUS_INVALID_PARAMETER;
    status = direct_target(h, in.partition_id, in.vp_index, in.vtl, &p, &target);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = synic_status(synic_post_message(target, in.sint_index, &message));
    partition_put(p);
    return status;
}

uint16_t hypercall_signal_event_direct(struct hypercall *h)
{
    struct hv_output_signal_event_direct out = {0};
    struct hv_input_signal_event_direct in;
    struct partition *p;
    struct vp *target;
    uint16_t status;
    bool newly = false;

    memcpy(&in, h->in, sizeof(in));
    status = direct_target(h, in.target_partition, in.target_vp, in.target_vtl, &p, &target);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = synic_status(synic_signal_event(target, in.target_sint, in.flag_number, &newly));
    partition_put(p);
    out.newly_signaled = newly;
    return status == HV_STATUS_SUCCESS ? hypercall_output(h, 0, &out, sizeof(out)) : status;
}
