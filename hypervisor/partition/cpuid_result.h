/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CPUID_RESULT_H
#define PARTITION_CPUID_RESULT_H

#include "abi/tlfs/management.h"
#include "hypervisor/partition/partition.h"

/*
 * What a parent wants a child's CPUID to say (HvCallRegisterInterceptResult): in each register the
 * bits of a mask are replaced by those of a value. A result for one VP wins over one for all, one
 * for a subleaf over one for the whole leaf.
 */

/** Register or replace a result. 0, -ENOMEM, -ENOSPC: too many. */
int cpuid_result_register(struct partition *p, const struct hv_input_register_intercept_result *in);

/** Free them; the partition is finalized. */
void cpuid_results_destroy(struct partition *p);

/** Change what VP would see in a leaf to what its parent wants; `regs` is EAX, EBX, ECX, EDX. */
void cpuid_results_apply(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

#endif
