/* SPDX-License-Identifier: MIT */
#ifndef BOOT_BOOT_MEM_H
#define BOOT_BOOT_MEM_H

#include <stddef.h>
#include <stdint.h>

/**
 * How the parsers of firmware data reach physical memory. map() returns the
 * bytes pa .. pa + len - 1, readable as long as the parser's caller needs its
 * results and of any alignment, or NULL if they are not all reachable.
 */
struct boot_mem {
    const void *(*map)(void *ctx, uint64_t pa, size_t len);
    void *ctx;
};

#endif
