/* SPDX-License-Identifier: MIT */
#ifndef VP_VPREG_H
#define VP_VPREG_H

#include "abi/tlfs/register.h"
#include "hypervisor/vp/vp.h"

/*
 * A VP's registers by their TLFS names, and the register page. The VP is the caller itself, or a
 * child's that is paused.
 */

/** 0 with all 16 bytes of *out set, or -ENOENT: no such register here. */
int vpreg_get(struct vp *vp, uint32_t name, union hv_register_value *out);

/** 0; -ENOENT: no such register, or it cannot be written; -EINVAL: not such a value. */
int vpreg_set(struct vp *vp, uint32_t name, const union hv_register_value *value);

/** Must the VP be paused for it? Not for the two suspend registers, which are atomic bits. */
bool vpreg_needs_pause(uint32_t name);

/** Fill the VP's register page, if its parent has mapped it; at an intercept, where the VP runs. */
void vpreg_page_fill(struct vp *vp);

/** Has the parent marked anything in it? On any LP; the page may still be mapped or unmapped. */
bool vpreg_page_dirty(struct vp *vp);

/**
 * Take over what the parent has marked dirty in the register page, and nothing that a processor
 * would refuse; the page is invalid afterwards. When an intercept's suspension is cleared.
 */
void vpreg_page_take(struct vp *vp);

#endif
