/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CPUID_CHILD_H
#define PARTITION_CPUID_CHILD_H

#include <stdint.h>

struct vp;

/**
 * What a child does not see of the processor although its parent does: the machine's topology, what
 * manages power or observes, features that its creator has disabled. Part of cpuid_filter().
 */
void cpuid_filter_child(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

#endif
