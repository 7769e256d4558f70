// SPDX-License-Identifier: GPL-2.0-only
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/alternative.h>
#include <asm/cpufeatures.h>
#include "hvcall.h"
#include "pool.h"
#include "trace.h"
#include "vid.h"

/* Deposits in a row without which a call gets no further; then it fails. */
#define MAX_DEPOSITS_PER_STEP 64

struct call_buffers {
    void *in;
    void *out;
};

/* Of one processor: used with its interrupts off. */
static DEFINE_PER_CPU(struct call_buffers, call_buffers);

int vid_calls_init(void)
{
    int cpu;

    for_each_possible_cpu(cpu)
    {
        struct call_buffers *buffers = per_cpu_ptr(&call_buffers, cpu);

        buffers->in = (void *)get_zeroed_page(GFP_KERNEL);
        buffers->out = (void *)get_zeroed_page(GFP_KERNEL);
        if (!buffers->in || !buffers->out) {
            vid_calls_exit();
            return -ENOMEM;
        }
    }
    return 0;
}

void vid_calls_exit(void)
{
    int cpu;

    for_each_possible_cpu(cpu)
    {
        struct call_buffers *buffers = per_cpu_ptr(&call_buffers, cpu);

        free_page((unsigned long)buffers->in);
        free_page((unsigned long)buffers->out);
        *buffers = (struct call_buffers){};
    }
}

static const struct {
    u16 status;
    int error;
} status_errors[] = {
    {HV_STATUS_SUCCESS, 0},
    {HV_STATUS_INVALID_HYPERCALL_CODE, -EINVAL},
    {HV_STATUS_INVALID_HYPERCALL_INPUT, -EINVAL},
    {HV_STATUS_INVALID_PARAMETER, -EINVAL},
    {HV_STATUS_INSUFFICIENT_MEMORY, -ENOMEM},
    {HV_STATUS_INSUFFICIENT_ROOT_MEMORY, -ENOMEM},
    {HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY, -ENOMEM},
    {HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY, -ENOMEM},
    {HV_STATUS_INVALID_PARTITION_ID, -EINVAL},
    {HV_STATUS_INVALID_VP_INDEX, -EINVAL},
    {HV_STATUS_INVALID_PORT_ID, -EINVAL},
    {HV_STATUS_INVALID_CONNECTION_ID, -EINVAL},
    {HV_STATUS_INVALID_LP_INDEX, -EINVAL},
    {HV_STATUS_INVALID_REGISTER_VALUE, -EINVAL},
};

int vid_status_errno(u16 status)
{
    for (size_t i = 0; i < ARRAY_SIZE(status_errors); i++)
        if (status_errors[i].status == status)
            return status_errors[i].error;
    return -EIO;
}

bool vid_status_needs_memory(u16 status)
{
    return status == HV_STATUS_INSUFFICIENT_MEMORY ||
           status == HV_STATUS_INSUFFICIENT_ROOT_MEMORY ||
           status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY ||
           status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY;
}

/* RCX is the control word, RDX and R8 are the inputs; RAX is the result. */
static u64 execute(u64 control, u64 first, u64 second)
{
    register u64 r8 asm("r8") = second;
    u64 result;

    asm volatile(ALTERNATIVE("vmcall", "vmmcall", X86_FEATURE_VMMCALL)
                 : "=a"(result), "+c"(control), "+d"(first), "+r"(r8)
                 :
                 : "cc", "memory", "r9", "r10", "r11");
    trace_vid_hypercall(control & HV_HYPERCALL_CODE_MASK, vid_status(result),
                        hv_hypercall_rep_count(result));
    return result;
}

u64 vid_call_raw(u64 control, const void *in, void *out)
{
    return execute(control, in ? virt_to_phys((void *)in) : 0, out ? virt_to_phys(out) : 0);
}

u64 vid_call_fast8(u16 code, u64 input)
{
    return execute(code | HV_HYPERCALL_FAST_BIT, input, 0);
}

u64 vid_call_fast16(u16 code, u64 first, u64 second)
{
    return execute(code | HV_HYPERCALL_FAST_BIT, first, second);
}

u64 vid_call(u64 control, const void *in, size_t in_size, void *out, size_t out_size)
{
    struct call_buffers *buffers;
    unsigned long flags;
    u64 result;

    local_irq_save(flags);
    buffers = this_cpu_ptr(&call_buffers);
    if (in_size)
        memcpy(buffers->in, in, in_size);
    /* What the hypervisor does not write must not be what an earlier call left. */
    if (out_size)
        memset(buffers->out, 0, out_size);
    result = vid_call_raw(control, in_size ? buffers->in : NULL, out_size ? buffers->out : NULL);
    if (out_size && vid_status(result) == HV_STATUS_SUCCESS)
        memcpy(out, buffers->out, out_size);
    local_irq_restore(flags);
    return result;
}

/* After a call: 1 if memory was deposited and it wants to be made again, else what it came to. */
static int call_outcome(u16 status, struct vid_pool *pool, int *deposits)
{
    int error;

    if (!vid_status_needs_memory(status) || (*deposits)++ == MAX_DEPOSITS_PER_STEP)
        return vid_status_errno(status);
    error = vid_pool_deposit_for(pool, status);
    return error ? error : 1;
}

int vid_call_memory(u64 control, const void *in, size_t in_size, void *out, size_t out_size,
                    struct vid_pool *pool)
{
    int outcome, deposits = 0;

    do
        outcome = call_outcome(vid_status(vid_call(control, in, in_size, out, out_size)), pool,
                               &deposits);
    while (outcome > 0);
    return outcome;
}

int vid_call_memory_fast8(u16 code, u64 input, struct vid_pool *pool)
{
    int outcome, deposits = 0;

    do
        outcome = call_outcome(vid_status(vid_call_fast8(code, input)), pool, &deposits);
    while (outcome > 0);
    return outcome;
}

int vid_call_list(struct vid_list_call *call)
{
    u64 control = call->code | (u64)call->reps << HV_HYPERCALL_REP_COMP_OFFSET;
    int stalls = 0;

    call->done = 0;
    while (call->done < call->reps) {
        u64 result =
            vid_call_raw(hv_hypercall_set_rep_start(control, call->done), call->in, call->out);
        u16 done = hv_hypercall_rep_count(result), status = vid_status(result);

        call->status = status;
        /* Counted from the list's start, and never beyond its end or backwards. */
        if (done > call->done && done <= call->reps) {
            call->done = done;
            stalls = 0;
        } else if (stalls++ == MAX_DEPOSITS_PER_STEP) {
            return status == HV_STATUS_SUCCESS ? -EIO : vid_status_errno(status);
        }
        if (vid_status_needs_memory(status) && call->pool) {
            int error = vid_pool_deposit_for(call->pool, status);

            if (error)
                return error;
        } else if (status != HV_STATUS_SUCCESS) {
            return vid_status_errno(status);
        }
    }
    return 0;
}
