/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CPUID_RESULT_H
#define PARTITION_CPUID_RESULT_H

#include "hypervisor/partition/partition.h"

/* What a parent wants a child's CPUID to say (HvCallRegisterInterceptResult). */

/** Free them; the partition is finalized. */
void cpuid_results_destroy(struct partition *p);

/** Change what VP would see in a leaf to what its parent wants; `regs` is EAX, EBX, ECX, EDX. */
void cpuid_results_apply(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

#endif
