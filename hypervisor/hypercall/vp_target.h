/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_VP_TARGET_H
#define HYPERCALL_VP_TARGET_H

#include "hypervisor/hypercall/dispatch.h"

/** The VP that a call reads or changes: the caller's own, or one of a child. */
struct vp_target {
    struct vp *vp;
    struct partition *partition; /* held until vp_target_put() */
    bool self;
    bool stopped; /* see vp_target_stop() */
};

/**
 * Find the VP. `self_allowed`: the caller may name itself by HV_PARTITION_ID_SELF or its own id,
 * and its own VP then. HV_STATUS_SUCCESS; INVALID_PARTITION_ID, INVALID_PARTITION_STATE,
 * INVALID_VP_INDEX; INVALID_PARAMETER for a trust level, of which there is one.
 */
uint16_t vp_target_get(const struct hypercall *h, uint64_t partition_id, uint32_t vp_index,
                       uint8_t vtl, bool self_allowed, struct vp_target *t);
void vp_target_put(struct vp_target *t);

/** Make all of its state the caller's: pauses a child's VP until vp_target_put(). Repeatable. */
void vp_target_stop(struct vp_target *t);

#endif
