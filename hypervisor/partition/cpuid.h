/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CPUID_H
#define PARTITION_CPUID_H

#include <stdbool.h>
#include <stdint.h>

struct partition;
struct vp;

/** Order of the four words of a CPUID result. */
enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/**
 * Hypervisor leaf 0x40000000..0x400000FF as the partition sees it (TLFS "Feature and
 * Interface Discovery"). Leaves that are not defined are all zero. Depends on the
 * partition's privileges, and a child's synthetic features, only.
 */
void hv_cpuid(const struct partition *p, uint32_t leaf, uint32_t out[4]);

/**
 * Turn what the processor answers for a leaf into what the VP sees: the hypervisor
 * bit and the x2APIC appear, everything that is not virtualised disappears, and
 * bits that mirror processor state follow the VP's. `regs` is EAX, EBX, ECX, EDX.
 */
void cpuid_filter(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

/**
 * All of it: what CPUID says to the VP, with what the parent of a child has registered if
 * `registered`. On the LP that runs the VP, or while it is paused.
 */
void vp_cpuid(const struct vp *vp, uint32_t leaf, uint32_t subleaf, bool registered,
              uint32_t regs[4]);

#endif
