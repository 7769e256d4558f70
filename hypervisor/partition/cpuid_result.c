/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/cpuid_result.h"

void cpuid_results_destroy(struct partition *p)
{
    p->cpuid_results = NULL;
}

void cpuid_results_apply(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
}
