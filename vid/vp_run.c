// SPDX-License-Identifier: GPL-2.0-only
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include "abi/tlfs/management.h"
#include "calls.h"
#include "hvcall.h"
#include "irqfd.h"
#include "region.h"
#include "trace.h"
#include "vid.h"

/*
 * A VP runs while its suspend registers are clear. At an intercept the hypervisor sets
 * INTERCEPT_SUSPEND, fills the intercept page, and tells of it once: by the return of
 * HvCallDispatchVp, if the runner is inside that call, else by a message, whose upcall kicks the
 * runner. So an intercept that the call has not reported has exactly one kick, which has come or
 * will come, and a kick belongs to the intercept that is in the page.
 */

/* How long the message of an intercept that has happened may take; beyond it is a fault. */
#define KICK_TIMEOUT (10 * HZ)

#define FOR_USER_SPACE 1

_Static_assert(sizeof(struct hv_message) <= MSHV_RUN_VP_BUF_SZ, "the message fits");

void vid_vp_kick(struct vid_vp *vp)
{
    atomic64_inc(&vp->kicks);
    /* Pairs with take_kick(): the intercept page was written before the message was. */
    smp_store_release(&vp->kicked, true);
    wake_up(&vp->wait);
}

static bool take_kick(struct vid_vp *vp)
{
    if (!smp_load_acquire(&vp->kicked))
        return false;
    WRITE_ONCE(vp->kicked, false);
    vp->due = false;
    return true;
}

/* The order matters: with EXPLICIT_SUSPEND gone the VP runs, and may be at its next intercept
 * before the other register would be cleared. The hypervisor keeps the order. */
static int resume(const struct vid_vp *vp)
{
    static const u32 names[] = {HV_REGISTER_INTERCEPT_SUSPEND, HV_REGISTER_EXPLICIT_SUSPEND};
    static const u64 values[] = {0, 0};

    return vid_set_registers(vp->partition->id, vp->index, names, values, 2);
}

/* Stops the VP. Once it has stopped, no further intercept can come, and *DUE tells of the last. */
static int suspend(struct vid_vp *vp, bool *due)
{
    static const u32 name = HV_REGISTER_EXPLICIT_SUSPEND;
    static const u64 value = HV_VP_SUSPENDED;
    u64 intercepted;
    int error = vid_set_registers(vp->partition->id, vp->index, &name, &value, 1);

    if (!error)
        error = vid_get_register(vp->partition->id, vp->index, HV_REGISTER_INTERCEPT_SUSPEND,
                                 &intercepted);
    if (!error)
        *due = intercepted & HV_VP_SUSPENDED;
    return error;
}

/* Waits for the kick of an intercept that has happened. */
static int wait_due(struct vid_vp *vp)
{
    long left = wait_event_killable_timeout(vp->wait, smp_load_acquire(&vp->kicked), KICK_TIMEOUT);

    if (left > 0) {
        take_kick(vp);
        return 0;
    }
    /* The kick belongs to the next run, which must not resume the VP before it has come. */
    vp->due = true;
    return left ? -EINTR : -EIO;
}

/*
 * Gives this processor to the VP until it has an intercept (0), or until it halts or an interrupt
 * wants the processor back (1): a VP that has run for so long is not about to need us, goes on
 * alone, and kicks. -errno when the hypervisor refuses.
 */
static int dispatch(struct vid_vp *vp, bool resume_it)
{
    struct vid_dispatch *d = vp->dispatch;
    u64 result;

    d->in = (struct hv_input_dispatch_vp){
        .partition_id = vp->partition->id,
        .vp_index = vp->index,
        .flags = resume_it ? HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND : 0};
    d->out = (struct hv_output_dispatch_vp){};
    preempt_disable();
    result = vid_call_raw(HVCALL_DISPATCH_VP, &d->in, &d->out);
    preempt_enable();
    if (vid_status(result) != HV_STATUS_SUCCESS)
        return vid_status_errno(vid_status(result));
    return READ_ONCE(d->out.dispatch_event) != HV_VP_DISPATCH_EVENT_INTERCEPT;
}

static int wait_kick(struct vid_vp *vp)
{
    if (wait_event_interruptible(vp->wait, smp_load_acquire(&vp->kicked)))
        return -EINTR;
    take_kick(vp);
    return 0;
}

/* Runs the VP until an intercept (0) or a signal (-EINTR). */
static int run(struct vid_vp *vp)
{
    bool due, was_stopped = vp->stopped;
    int error;

    if (vp->due)
        return wait_due(vp);
    if (was_stopped) {
        error = resume(vp);
        if (error)
            return error;
        vp->stopped = false;
    }
    error = dispatch(vp, !was_stopped);
    if (error == 1)
        error = wait_kick(vp);
    if (error != -EINTR)
        return error;
    vp->interrupted++;
    vp->stopped = true;
    error = suspend(vp, &due);
    if (error)
        return error;
    return due ? wait_due(vp) : -EINTR;
}

/* An end of interrupt that an irqfd waits for is taken here and is nothing to user space. */
static int take_eoi(struct vid_vp *vp, const struct hv_x64_apic_eoi_message *eoi)
{
    if (!vid_irqfds_acked(vp->partition, READ_ONCE(eoi->interrupt_vector)))
        return FOR_USER_SPACE;
    vp->acked++;
    return 0;
}

/* Memory that is mapped on demand is nothing to it either, unless there is none to be had. */
static int take_memory(struct vid_vp *vp, const struct hv_x64_memory_intercept_message *memory)
{
    int error = vid_memory_fault(vp, READ_ONCE(memory->guest_physical_address),
                                 READ_ONCE(memory->header.intercept_access_type));

    /* The intercept is done with, so a signal that waits can be served: no need to stop the VP. */
    if (!error)
        return signal_pending(current) ? -EINTR : 0;
    return error == -EINTR || error == -ENOMEM ? error : FOR_USER_SPACE;
}

/* What the intercept is: 0: taken, the VP can be run again; FOR_USER_SPACE; -errno: of the run. */
static int take(struct vid_vp *vp)
{
    const struct hv_message *message = vp->intercept_page;

    switch (READ_ONCE(message->header.message_type)) {
    case HVMSG_X64_APIC_EOI:
        return take_eoi(vp, (const void *)message->payload);
    case HVMSG_GPA_INTERCEPT:
    case HVMSG_UNMAPPED_GPA:
        return take_memory(vp, (const void *)message->payload);
    default:
        return FOR_USER_SPACE;
    }
}

long vid_vp_run(struct vid_vp *vp, void __user *argument)
{
    u64 id = vp->partition->id;
    int result;

    trace_vid_run_enter(id, vp->index, vp->due);
    vp->runs++;
    do {
        result = run(vp);
        if (!result) {
            vp->intercepts++;
            result = take(vp);
        }
    } while (!result);
    if (result < 0) {
        trace_vid_run_exit(id, vp->index, result);
        return result;
    }
    trace_vid_run_exit(id, vp->index, READ_ONCE(vp->intercept_page->header.message_type));
    if (copy_to_user(argument, vp->intercept_page, sizeof(struct hv_message)))
        return -EFAULT;
    return 0;
}
