/* SPDX-License-Identifier: MIT */
#ifndef VP_DELIVERABLE_H
#define VP_DELIVERABLE_H

#include <stdbool.h>

struct vp;

/**
 * Could the VP take at its next instruction what its parent waits for in
 * HV_REGISTER_DELIVERABILITY_NOTIFICATIONS? Then the parent is told, the request is over and the VP
 * stands still: true. On the LP that runs the VP, before it enters the guest; the vendor's half
 * sees to it that there is an exit soon after that becomes so.
 */
bool deliverable_notify(struct vp *vp);

#endif
