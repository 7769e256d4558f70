/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/handoff.h"

#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vpreg.h"
#include "lib/errno.h"

/*
 * `dispatcher` of the child's VP names who waits for it; whoever takes it out of there, by an
 * exchange, says how the wait ends. So it ends once.
 */

static void end(struct vp *caller, uint32_t state, uint32_t event)
{
    caller->handoff.state = state;
    caller->handoff.event = event;
    atomic_store_explicit(&caller->handoff.over, true, memory_order_release);
}

static struct vp *take_dispatcher(struct vp *child)
{
    return atomic_exchange_explicit(&child->dispatcher, NULL, memory_order_acq_rel);
}

/* The child's VP follows the thread that runs it, if it is at rest: its intercept comes home. */
static void bring_here(struct vp *child, struct lp *here)
{
    if (sched_entity_lp(&child->sched) == &here->sched || !here->runs_vps)
        return;
    vp_pause(child);
    sched_unload(&child->sched);
    sched_move(&child->sched, &here->sched, clock_tsc());
    vp_resume(child);
}

void handoff_begin(struct vp *caller, struct vp *child, uint32_t flags, gpa_t out)
{
    struct vp *nobody = NULL;

    caller->handoff.child = child;
    caller->handoff.out = out;
    atomic_store_explicit(&caller->handoff.over, false, memory_order_relaxed);
    vp_wait_handoff(caller);
    if (!atomic_compare_exchange_strong_explicit(&child->dispatcher, &nobody, caller,
                                                 memory_order_acq_rel, memory_order_relaxed)) {
        end(caller, HV_VP_DISPATCH_STATE_BLOCKED, HV_VP_DISPATCH_EVENT_INVALID);
        return;
    }
    if (flags & HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND) {
        bring_here(child, this_lp());
        vpreg_page_take(child);
        vp_suspend_clear(child, VP_SUSPEND_INTERCEPT);
    }
    if (atomic_load_explicit(&child->suspend, memory_order_seq_cst) & VP_SUSPEND_INTERCEPT)
        handoff_intercept(child);
    else if (vp_held(child) || atomic_load_explicit(&child->blocked, memory_order_seq_cst))
        handoff_release(child);
}

/* A note to a VP that may be anywhere: it looks for itself. */
static void wake(struct vp *caller)
{
    vp_request(caller, VP_REQ_EVENT);
}

bool handoff_intercept(struct vp *child)
{
    struct vp *caller = take_dispatcher(child);

    if (!caller)
        return false;
    end(caller, HV_VP_DISPATCH_STATE_READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    wake(caller);
    return true;
}

void handoff_release(struct vp *child)
{
    struct vp *caller = take_dispatcher(child);
    bool suspended = atomic_load_explicit(&child->suspend, memory_order_seq_cst);

    if (!caller)
        return;
    end(caller, HV_VP_DISPATCH_STATE_BLOCKED,
        suspended ? HV_VP_DISPATCH_EVENT_SUSPEND : HV_VP_DISPATCH_EVENT_INVALID);
    wake(caller);
}

/* An interrupt for the caller itself ends the wait, unless the child's VP is just ending it. */
static bool interrupted(struct vp *caller)
{
    struct vp *expected = caller;

    if (!vendor_vp_interruptible(caller) ||
        !(vapic_wakes(caller) || vendor_vp_extint_pending(caller)))
        return false;
    if (!atomic_compare_exchange_strong_explicit(&caller->handoff.child->dispatcher, &expected,
                                                 NULL, memory_order_acq_rel, memory_order_relaxed))
        return false;
    end(caller, HV_VP_DISPATCH_STATE_READY, HV_VP_DISPATCH_EVENT_INVALID);
    return true;
}

void handoff_cancel(struct vp *caller)
{
    /* Until it is over the child's VP exists: who takes it away ends the wait, then passes a
       barrier that waits for this LP. */
    if (!atomic_load_explicit(&caller->handoff.over, memory_order_acquire))
        handoff_release(caller->handoff.child);
}

bool handoff_over(struct vp *caller)
{
    struct hv_output_dispatch_vp out;

    if (!atomic_load_explicit(&caller->handoff.over, memory_order_acquire) && !interrupted(caller))
        return false;
    out.dispatch_state = caller->handoff.state;
    out.dispatch_event = caller->handoff.event;
    caller->handoff.child = NULL;
    /* If the page has gone meanwhile the caller reads what it had put there: 0, an invalid state.
     */
    guest_write(caller->partition, caller->handoff.out, &out, sizeof(out));
    return true;
}
