/* SPDX-License-Identifier: MIT */
#include "hypervisor/debug/ksyms.h"

#include <stddef.h>

/* Filled in by the second link; sorted by address, relative to the image's start. */
extern const uint32_t ksym_count;
extern const uint32_t ksym_addresses[];
extern const uint32_t ksym_name_offsets[];
extern const char ksym_names[];
extern const uint8_t image_start[], image_text_end[];

const char *ksyms_lookup(uint64_t addr, uint64_t *offset)
{
    uint64_t base = (uint64_t)(uintptr_t)image_start;
    uint32_t lo = 0, hi = ksym_count;

    if (addr < base || addr >= (uint64_t)(uintptr_t)image_text_end || !ksym_count)
        return NULL;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (ksym_addresses[mid] <= addr - base)
            lo = mid;
        else
            hi = mid;
    }
    *offset = addr - base - ksym_addresses[lo];
    return ksym_names + ksym_name_offsets[lo];
}
