/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_DEMAND_PRIV_H
#define VID_DEMAND_PRIV_H

/* Between demand.c and demand_fault.c. */

#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include "calls.h"
#include "demand.h"

/*
 * Pages are counted from the region's first one. A step is what one leaf of 2 MiB of the guest can
 * hold; the first and the last step of a region may be shorter.
 *
 * The lock is taken by the notifier, inside the kernel's reclaim: under it nothing is allocated and
 * no other lock is taken.
 */
struct vid_demand {
    struct mmu_interval_notifier notifier;
    struct vid_partition *partition;
    struct vid_demand_memory memory;

    struct mutex lock;      /* of all that follows */
    unsigned long *present; /* a bit for each page: the guest can reach it */
    unsigned long *written; /* present: the guest may write to it; else: it may have written */
    unsigned long *large;   /* a bit for each step: it is a leaf of 2 MiB */
    void *in;               /* a page: input of calls */
};

struct vid_step {
    u64 first; /* page of the region */
    u32 pages;
    u64 index; /* among the region's steps */
};

static inline struct vid_step vid_step_of(const struct vid_demand *demand, u64 page)
{
    const struct vid_demand_memory *m = &demand->memory;
    u64 frame = m->first_frame + page;
    u64 start = max_t(u64, round_down(frame, VID_LARGE_PAGES), m->first_frame);
    u64 end =
        min_t(u64, round_down(frame, VID_LARGE_PAGES) + VID_LARGE_PAGES, m->first_frame + m->pages);

    return (struct vid_step){start - m->first_frame, end - start,
                             (frame >> VID_LARGE_SHIFT) - (m->first_frame >> VID_LARGE_SHIFT)};
}

/** Counts pages that have come or gone, for debugfs. */
void vid_demand_count(struct vid_demand *demand, s64 pages, bool large);

/** Takes a step away from the guest, or some pages of a step that is no large leaf. Locked. */
void vid_demand_hide(struct vid_demand *demand, u64 page, u32 pages);

#endif
