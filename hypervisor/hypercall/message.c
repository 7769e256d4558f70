/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "abi/tlfs/synic.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Message types with this bit are the hypervisor's own. */
#define MESSAGE_TYPE_HYPERVISOR BIT(31)

#define EVENT_FLAGS_PER_PORT 2048U

/*
 * A connection leads to a port that the parent has created. This build creates no
 * ports, so every connection is unknown once the parameters are right.
 */
static uint16_t connection_use(uint32_t id)
{
    return HV_STATUS_INVALID_CONNECTION_ID;
}

uint16_t hypercall_post_message(struct hypercall *h)
{
    struct hv_input_post_message in;

    memcpy(&in, h->in, sizeof(in));
    if (in.reserved || in.payload_size > HV_POST_MESSAGE_MAX_PAYLOAD)
        return HV_STATUS_INVALID_PARAMETER;
    if (in.message_type == 0 || (in.message_type & MESSAGE_TYPE_HYPERVISOR))
        return HV_STATUS_INVALID_PARAMETER;
    if (in.connection_id & ~HV_CONNECTION_ID_MASK)
        return HV_STATUS_INVALID_CONNECTION_ID;
    return connection_use(in.connection_id);
}

uint16_t hypercall_signal_event(struct hypercall *h)
{
    struct hv_input_signal_event in;

    memcpy(&in, h->in, sizeof(in));
    if (in.reserved || in.flag_number >= EVENT_FLAGS_PER_PORT)
        return HV_STATUS_INVALID_PARAMETER;
    if (in.connection_id & ~HV_CONNECTION_ID_MASK)
        return HV_STATUS_INVALID_CONNECTION_ID;
    return connection_use(in.connection_id);
}

/*
 * The VP that a direct call names, in the caller's own partition: there is no other yet. Only
 * VTL 0 exists.
 */
static uint16_t direct_target(struct hypercall *h, uint64_t partition, uint32_t index, uint8_t vtl,
                              struct vp **vp)
{
    struct partition *self = h->vp->partition;

    if (partition != HV_PARTITION_ID_SELF && partition != self->id)
        return HV_STATUS_INVALID_PARTITION_ID;
    if (vtl)
        return HV_STATUS_INVALID_PARAMETER;
    *vp = index == HV_VP_INDEX_SELF ? h->vp : partition_vp(self, index);
    return *vp ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_VP_INDEX;
}

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

uint16_t hypercall_post_message_direct(struct hypercall *h)
{
    struct hv_input_post_message_direct in;
    struct hv_message message;
    struct vp *target;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    memcpy(&message, in.message, sizeof(message));
    if (in.reserved[0] || in.reserved[1] || in.reserved[2] || in.reserved2)
        return HV_STATUS_INVALID_PARAMETER;
    status = direct_target(h, in.partition_id, in.vp_index, in.vtl, &target);
    if (status != HV_STATUS_SUCCESS)
        return status;
    return synic_status(synic_post_message(target, in.sint_index, &message));
}

uint16_t hypercall_signal_event_direct(struct hypercall *h)
{
    struct hv_output_signal_event_direct out = {0};
    struct hv_input_signal_event_direct in;
    struct vp *target;
    uint16_t status;
    bool newly = false;

    memcpy(&in, h->in, sizeof(in));
    status = direct_target(h, in.target_partition, in.target_vp, in.target_vtl, &target);
    if (status != HV_STATUS_SUCCESS)
        return status;
    status = synic_status(synic_signal_event(target, in.target_sint, in.flag_number, &newly));
    out.newly_signaled = newly;
    if (status == HV_STATUS_SUCCESS && hypercall_output(h, 0, &out, sizeof(out)) != 0)
        return HV_STATUS_INVALID_ALIGNMENT;
    return status;
}
