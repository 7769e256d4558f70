/* SPDX-License-Identifier: MIT */
#ifndef MM_DIRECT_H
#define MM_DIRECT_H

#include "lib/types.h"

/** All of physical memory is mapped from here on, in the hypervisor's own page tables. */
#define DIRECT_MAP_BASE 0xffff800000000000ULL

#if __STDC_HOSTED__
/** Host tests put their "physical memory" anywhere. */
extern uintptr_t direct_map_base;
#else
#define direct_map_base ((uintptr_t)DIRECT_MAP_BASE)
#endif

/** Where the hypervisor sees a physical address. */
static inline void *hpa_to_virt(hpa_t pa)
{
    return (void *)(direct_map_base + pa.v);
}

/** The inverse, for pointers into the direct map only (not for the image or stacks in it). */
static inline hpa_t virt_to_hpa(const void *va)
{
    return hpa((uintptr_t)va - direct_map_base);
}

#endif
