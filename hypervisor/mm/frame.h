/* SPDX-License-Identifier: MIT */
#ifndef MM_FRAME_H
#define MM_FRAME_H

#include "lib/types.h"

/*
 * Page frames of the hypervisor's own chunk of memory. Frames are zero when
 * they are handed out and are scrubbed when they come back. Any LP may call;
 * lock rank "frames" (lib/spinlock.h).
 */

/** Numbers of 4 KiB frames; total excludes the allocator's own bitmap. */
struct frame_stats {
    uint64_t total;
    uint64_t free;
    uint64_t peak; /* most ever in use at once */
};

/**
 * Take over [base, base + len): page aligned, reachable through hpa_to_virt(),
 * not used by anything else. The first few frames become the bitmap. Once,
 * before other LPs run. Returns 0, -EINVAL if not aligned or too small.
 */
int frame_init(hpa_t base, uint64_t len);

/**
 * Allocate `pages` contiguous frames whose address is a multiple of
 * align_pages * 4 KiB (a power of two; 0 is 1). They are zero and belong to the
 * caller. Returns 0 with *out, -ENOMEM, or -EINVAL for zero pages or a bad alignment.
 */
int frame_alloc(unsigned pages, unsigned align_pages, hpa_t *out);

/**
 * Give frames back; a part of an allocation is allowed. The caller has removed
 * every mapping of them. Panics on frames that are free or were never ours.
 */
void frame_free(hpa_t addr, unsigned pages);

/** Whether the address lies in the chunk, the bitmap included. */
bool frame_owns(hpa_t addr);

/** A consistent snapshot of the counters. */
struct frame_stats frame_stats(void);

#endif
