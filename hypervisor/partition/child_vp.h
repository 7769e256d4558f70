/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CHILD_VP_H
#define PARTITION_CHILD_VP_H

#include "hypervisor/partition/partition.h"
#include "hypervisor/vp/vp.h"

/** Create a VP of an active child and give it a home; it is suspended. Errors of vp_create(). */
int child_vp_create(struct partition *p, uint32_t index);

/**
 * Show the parent a state page (HV_VP_STATE_PAGE_*) of a VP; *out is its address. It exists from
 * then until it is unmapped or the partition is finalized. -EINVAL: no such page; as
 * partition_alloc().
 */
int child_vp_map_page(struct vp *vp, unsigned type, hpa_t *out);

/** 0, or -ENOENT if it was not mapped. */
int child_vp_unmap_page(struct vp *vp, unsigned type);

/** Weight, reserve and cap of the partition have changed: -ERANGE if an LP cannot reserve so much.
 */
int child_vp_set_params(struct vp *vp);

#endif
