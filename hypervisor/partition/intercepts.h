/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_INTERCEPTS_H
#define PARTITION_INTERCEPTS_H

#include "hypervisor/partition/partition.h"

/* Which events of a child its parent wants to hear of (HvCallInstallIntercept). */

/**
 * Report the accesses of `access` (HV_INTERCEPT_ACCESS_MASK_*) and no others from now on; 0 takes
 * the intercept away. Every VP of the partition is paused meanwhile where that matters to it; no
 * lock is held. 0; -EINVAL: no such intercept, access or parameter; -EAGAIN: too many.
 */
int intercepts_install(struct partition *p, uint32_t type, uint32_t access, uint64_t parameter);

/** Let a new VP, which does not run yet, exit where it must. After it is in its partition. */
void intercepts_apply(struct vp *vp);

/** Shall the parent answer this access? On any LP, without the lock. */
bool intercepts_msr(const struct partition *p, uint32_t msr, bool write);
bool intercepts_cpuid(const struct partition *p, uint32_t leaf);

#endif
