/* SPDX-License-Identifier: MIT */
#ifndef VP_HANDOFF_H
#define VP_HANDOFF_H

#include "abi/tlfs/management.h"
#include "hypervisor/vp/vp.h"

/*
 * HvCallDispatchVp: a VP of the parent gives its processor to a child's VP and waits until that
 * has an intercept, halts, or an interrupt arrives for the waiting one. The child's VP is scheduled
 * and accounted as always, and goes on when the wait is over; the call only saves the parent the
 * message, its interrupt and the way back to the thread that waits for it.
 */

/**
 * Begin to wait; on the LP that runs `caller`, in its hypercall. `child` is held by the caller. The
 * result is written to `out` of the caller's memory when the wait ends, before it executes again.
 */
void handoff_begin(struct vp *caller, struct vp *child, uint32_t flags, gpa_t out);

/** Is the wait over? Then it ends: result written, the VP runs. On the LP that runs `caller`. */
bool handoff_over(struct vp *caller);

/** Something else needs the caller: its wait ends, unless it has ended. */
void handoff_cancel(struct vp *caller);

/** The child's VP has an intercept: true if somebody waits for it here and has been told. */
bool handoff_intercept(struct vp *child);

/** The child's VP has nothing to do, or goes away: whoever waits for it goes on. */
void handoff_release(struct vp *child);

#endif
