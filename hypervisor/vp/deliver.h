/* SPDX-License-Identifier: MIT */
#ifndef VP_DELIVER_H
#define VP_DELIVER_H

#include <stdbool.h>

struct vp;

/*
 * HV_REGISTER_DELIVERABILITY_NOTIFICATIONS: a parent asks to be told once when its child's VP could
 * take an NMI, an interrupt of some priority, or a message in a SINT.
 */

/**
 * Before an entry: tell the parent of one thing that is deliverable now, and forget the wish. True:
 * there was one, and the VP is suspended by its message.
 */
bool deliver_tell(struct vp *vp);

#endif
