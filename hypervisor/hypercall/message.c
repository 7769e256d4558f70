/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/status.h"
#include "abi/tlfs/synic.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "lib/bits.h"
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
