// SPDX-License-Identifier: GPL-2.0-only
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "hvcall.h"
#include "vid.h"

/* A call that is finished later: how long its message may take. */
#define ASYNC_TIMEOUT (60 * HZ)
/* Deposits for one call. */
#define MAX_DEPOSITS 64

/*
 * What user space may call. All of these begin their input with the partition's id, which is
 * replaced here: nobody reaches a partition of which it holds no descriptor.
 */
static const u16 partition_calls[] = {
    HVCALL_GET_PARTITION_PROPERTY,   HVCALL_SET_PARTITION_PROPERTY,
    HVCALL_INSTALL_INTERCEPT,        HVCALL_GET_VP_REGISTERS,
    HVCALL_SET_VP_REGISTERS,         HVCALL_TRANSLATE_VIRTUAL_ADDRESS,
    HVCALL_CLEAR_VIRTUAL_INTERRUPT,  HVCALL_REGISTER_INTERCEPT_RESULT,
    HVCALL_ASSERT_VIRTUAL_INTERRUPT, HVCALL_SIGNAL_EVENT_DIRECT,
    HVCALL_POST_MESSAGE_DIRECT,      HVCALL_GET_GPA_PAGES_ACCESS_STATES,
    HVCALL_GET_VP_CPUID_VALUES,      HVCALL_GET_PARTITION_PROPERTY_EX,
};
static const u16 own_calls[] = {
    HVCALL_GET_PARTITION_PROPERTY,
    HVCALL_GET_PARTITION_PROPERTY_EX,
};

static bool is_listed(u16 code, const u16 *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == code)
            return true;
    return false;
}

/* The one call that the hypervisor may finish later. */
static bool may_finish_later(u16 code)
{
    return code == HVCALL_SET_PARTITION_PROPERTY;
}

static int check(const struct mshv_root_hvcall *args, bool own, bool locked)
{
    if (args->status || !args->in_ptr || args->in_sz < sizeof(u64) || args->in_sz > PAGE_SIZE ||
        args->reps > HV_HYPERCALL_REP_COMP_MASK >> HV_HYPERCALL_REP_COMP_OFFSET ||
        memchr_inv(args->rsvd, 0, sizeof(args->rsvd)))
        return -EINVAL;
    if (args->out_ptr ? !args->out_sz || args->out_sz > PAGE_SIZE : args->out_sz != 0)
        return -EINVAL;
    if (own ? !is_listed(args->code, own_calls, ARRAY_SIZE(own_calls))
            : !is_listed(args->code, partition_calls, ARRAY_SIZE(partition_calls)))
        return -EINVAL;
    return may_finish_later(args->code) && !locked ? -EINVAL : 0;
}

/* Waits for the message that tells a call's outcome; the upcall has put it down. */
static int finish_later(struct vid_partition *partition, u16 *status)
{
    long left = wait_for_completion_killable_timeout(&partition->async_done, ASYNC_TIMEOUT);

    if (left <= 0)
        return left ? -EINTR : -ETIMEDOUT;
    *status = partition->async_status;
    return 0;
}

/* Runs the call to its end; ARGS gets its status and, for a list, the elements done. */
static int run(struct vid_partition *partition, struct mshv_root_hvcall *args, void *in, void *out)
{
    struct vid_pool *pool = partition ? &partition->pool : &vid_host.pool;
    u64 control = args->code | (u64)args->reps << HV_HYPERCALL_REP_COMP_OFFSET;
    u16 status = 0, reps = args->reps, done = 0;
    int error = 0;

    for (int round = 0; !error; round++) {
        u64 result;

        if (may_finish_later(args->code))
            reinit_completion(&partition->async_done);
        result = vid_call_raw(hv_hypercall_set_rep_start(control, done), in, out);
        status = vid_status(result);
        if (hv_hypercall_rep_count(result) > done)
            round = 0;
        done = clamp_t(u32, hv_hypercall_rep_count(result), done, reps);
        if (status == HV_STATUS_CALL_PENDING)
            error = may_finish_later(args->code) ? finish_later(partition, &status) : -EBADFD;
        if (error || (status == HV_STATUS_SUCCESS && done == reps))
            break;
        if (status != HV_STATUS_SUCCESS && !vid_status_needs_memory(status))
            error = vid_status_errno(status);
        else if (round == MAX_DEPOSITS)
            error = status == HV_STATUS_SUCCESS ? -EIO : -ENOMEM;
        else if (status != HV_STATUS_SUCCESS)
            error = vid_pool_deposit_for(pool, status);
    }
    args->status = status;
    args->reps = done;
    return error;
}

long vid_passthru(struct vid_partition *partition, bool locked, void __user *argument)
{
    struct mshv_root_hvcall args;
    void *in, *out = NULL;
    long error;

    if (copy_from_user(&args, argument, sizeof(args)))
        return -EFAULT;
    error = check(&args, !partition, locked);
    if (error)
        return error;
    if (partition)
        atomic64_inc(&partition->counters.passthru);
    in = (void *)get_zeroed_page(GFP_KERNEL);
    if (args.out_ptr)
        out = (void *)get_zeroed_page(GFP_KERNEL);
    if (!in || (args.out_ptr && !out)) {
        error = -ENOMEM;
    } else if (copy_from_user(in, (void __user *)args.in_ptr, args.in_sz)) {
        error = -EFAULT;
    } else {
        *(u64 *)in = partition ? partition->id : HV_PARTITION_ID_SELF;
        error = run(partition, &args, in, out);
        /* The status tells more than the error, and the output may be there in part. */
        if (copy_to_user(argument, &args, sizeof(args)) ||
            (out && copy_to_user((void __user *)args.out_ptr, out, args.out_sz)))
            error = -EFAULT;
    }
    free_page((unsigned long)in);
    free_page((unsigned long)out);
    return error;
}
