/* SPDX-License-Identifier: MIT */
#include "vmwp/hypercall.h"

#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/status.h"
#include "vmwp/memory.h"

#define CONTROL_CODE 0xFFFFULL
#define CONTROL_FAST (1ULL << 16)

static uint16_t post(const struct hv_exit_call *call, const struct memory *memory,
                     const struct hypercall_ops *ops)
{
    struct hv_input_post_message in;

    /* The hypervisor has looked at another copy of it: this one is looked at here. */
    if (call->control & CONTROL_FAST)
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    if (memory_read(memory, gpa(call->input), &in, sizeof(in)) < 0)
        return HV_STATUS_INVALID_ALIGNMENT;
    if (in.reserved || in.payload_size > sizeof(in.payload))
        return HV_STATUS_INVALID_PARAMETER;
    return ops->post(ops->ctx, in.connection_id, in.payload, in.payload_size);
}

static uint16_t signal_event(const struct hv_exit_call *call, const struct memory *memory,
                             const struct hypercall_ops *ops)
{
    struct hv_input_signal_event in = {.connection_id = (uint32_t)call->input,
                                       .flag_number = (uint16_t)(call->input >> 32),
                                       .reserved = (uint16_t)(call->input >> 48)};

    if (!(call->control & CONTROL_FAST) &&
        memory_read(memory, gpa(call->input), &in, sizeof(in)) < 0)
        return HV_STATUS_INVALID_ALIGNMENT;
    if (in.reserved || in.flag_number)
        return HV_STATUS_INVALID_PARAMETER;
    return ops->signal(ops->ctx, in.connection_id);
}

uint64_t hypercall_handle(const struct hv_exit_call *call, const struct memory *memory,
                          const struct hypercall_ops *ops)
{
    switch (call->control & CONTROL_CODE) {
    case HVCALL_POST_MESSAGE:
        return post(call, memory, ops);
    case HVCALL_SIGNAL_EVENT:
        return signal_event(call, memory, ops);
    default:
        return HV_STATUS_INVALID_HYPERCALL_CODE;
    }
}
