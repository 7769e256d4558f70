/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_SYNTHETIC_MSR_H
#define PARTITION_SYNTHETIC_MSR_H

#include <stdint.h>

struct vp;

/**
 * Guest access to a synthetic MSR, 0x40000000..0x4000FFFF, on the LP that runs the
 * VP. Returns 0, or -EPERM when the access must raise #GP(0): no such register, the
 * partition lacks the privilege, wrong direction, or a value that the register does
 * not take. Nothing has changed then and *val is untouched.
 *
 * A read of HV_X64_MSR_GUEST_IDLE puts the VP to sleep; the caller moves RIP on as
 * after any other read. A write of HV_X64_MSR_RESET by the root does not return.
 */
int synthetic_msr_read(struct vp *vp, uint32_t msr, uint64_t *val);
int synthetic_msr_write(struct vp *vp, uint32_t msr, uint64_t val);

/**
 * The partition's reference time has changed: write its TSC page anew, if it has one. `vp` is one
 * of its VPs and paused; the partition's lock is held.
 */
void reference_tsc_update(struct vp *vp);

#endif
