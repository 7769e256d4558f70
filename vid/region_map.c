// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "calls.h"
#include "hvcall.h"
#include "region.h"
#include "vid.h"

#define EXTENTS_MAX ((PAGE_SIZE - sizeof(struct vid_extents)) / sizeof(struct vid_extent))

/* What a mapping works with; each is a page. */
struct mapper {
    struct vid_partition *partition;
    struct vid_region *region;
    struct page **pinned; /* of one step */
    struct hv_input_map_gpa_pages *in;
};

/* How many frames are pinned, for debugfs. */
static void count(struct vid_partition *partition, s64 pages, bool large)
{
    atomic64_add(pages, &partition->counters.mapped);
    atomic64_add(pages, &partition->counters.pinned);
    if (large)
        atomic64_add(pages, &partition->counters.large);
}

/* Records pinned frames; -ENOMEM leaves them the caller's. */
static int record(struct vid_region *region, u64 frame, u32 pages, bool large)
{
    struct vid_extents *block = list_empty(&region->extents)
                                    ? NULL
                                    : list_last_entry(&region->extents, struct vid_extents, node);
    struct vid_extent *last = block ? &block->list[block->used - 1] : NULL;

    if (last && last->large == large && last->frame + last->pages == frame &&
        last->pages <= U32_MAX - pages) {
        last->pages += pages;
        return 0;
    }
    if (!block || block->used == EXTENTS_MAX) {
        block = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
        if (!block)
            return -ENOMEM;
        block->used = 0;
        list_add_tail(&block->node, &region->extents);
    }
    block->list[block->used++] = (struct vid_extent){frame, pages, large};
    return 0;
}

/* Whether a step's pages make up one large page of the host. */
static bool is_large(struct page *const *pages, u32 count)
{
    u64 first = page_to_pfn(pages[0]);

    if (count != VID_LARGE_PAGES || first % VID_LARGE_PAGES)
        return false;
    for (u32 i = 1; i < count; i++)
        if (page_to_pfn(pages[i]) != first + i)
            return false;
    return true;
}

static int map_list(struct mapper *mapper, u64 guest_frame, struct page *const *pages, u32 count,
                    bool large)
{
    struct hv_input_map_gpa_pages *in = mapper->in;
    struct vid_list_call call = {.code = HVCALL_MAP_GPA_PAGES,
                                 .reps = large ? 1 : count,
                                 .in = in,
                                 .pool = &mapper->partition->pool};
    u64 *frames = (u64 *)(in + 1);
    int error;

    *in = (struct hv_input_map_gpa_pages){
        .target_partition_id = mapper->partition->id,
        .target_gpa_base = guest_frame,
        .map_flags = mapper->region->map_flags | (large ? HV_MAP_GPA_LARGE_PAGE : 0),
    };
    for (u32 i = 0; i < call.reps; i++)
        frames[i] = page_to_pfn(pages[i]);
    error = vid_call_list(&call);
    mapper->region->mapped += large ? (u64)call.done << VID_LARGE_SHIFT : call.done;
    return error;
}

/* Maps what a step has pinned and recorded. */
static int map_step(struct mapper *mapper, u64 guest_frame, u32 count, bool large)
{
    int error = 0;

    for (u32 at = 0; at < count && !error;) {
        u32 some = large ? count : min_t(u32, count - at, VID_MAP_MAX);

        error = map_list(mapper, guest_frame + at, mapper->pinned + at, some, large);
        at += some;
    }
    return error;
}

/* Pins pages and records them: before they are mapped, so that they are never forgotten. */
static int pin_step(struct mapper *mapper, u64 address, u32 pages, unsigned int flags, bool *large)
{
    struct vid_region *region = mapper->region;
    u32 got = 0, kept = 0;

    while (got < pages) {
        int some = pin_user_pages_fast(address + ((u64)got << PAGE_SHIFT), pages - got, flags,
                                       mapper->pinned + got);

        if (some <= 0) {
            unpin_user_pages(mapper->pinned, got);
            return some < 0 ? some : -EFAULT;
        }
        got += some;
    }
    *large = is_large(mapper->pinned, pages);
    while (kept < pages) {
        u64 frame = page_to_pfn(mapper->pinned[kept]);
        u32 run = 1;

        while (kept + run < pages && page_to_pfn(mapper->pinned[kept + run]) == frame + run)
            run++;
        if (record(region, frame, run, *large)) {
            unpin_user_pages(mapper->pinned + kept, pages - kept);
            return -ENOMEM;
        }
        count(mapper->partition, run, *large);
        kept += run;
    }
    return 0;
}

/* In steps that end where a large page of the guest does. */
static int map_all(struct mapper *mapper, unsigned int pin_flags)
{
    struct vid_region *region = mapper->region;

    for (u64 at = 0; at < region->pages;) {
        u64 guest_frame = region->first_frame + at;
        u32 step = min_t(u64, region->pages - at, VID_LARGE_PAGES - guest_frame % VID_LARGE_PAGES);
        bool large;
        int error;

        if (fatal_signal_pending(current))
            return -EINTR;
        error =
            pin_step(mapper, region->user_address + (at << PAGE_SHIFT), step, pin_flags, &large);
        if (!error)
            error = map_step(mapper, guest_frame, step, large);
        if (error)
            return error;
        at += step;
        cond_resched();
    }
    return 0;
}

int vid_region_map(struct vid_partition *partition, struct vid_region *region,
                   unsigned int pin_flags)
{
    struct mapper mapper = {.partition = partition, .region = region};
    int error = -ENOMEM;

    mapper.pinned = (struct page **)__get_free_page(GFP_KERNEL);
    mapper.in = (struct hv_input_map_gpa_pages *)__get_free_page(GFP_KERNEL);
    if (mapper.pinned && mapper.in)
        error = map_all(&mapper, pin_flags);
    free_page((unsigned long)mapper.pinned);
    free_page((unsigned long)mapper.in);
    return error;
}

int vid_region_unmap(struct vid_partition *partition, struct vid_region *region)
{
    struct vid_extents *block;
    int first_error = 0;
    u64 at = 0;

    list_for_each_entry(block, &region->extents, node)
    {
        for (u32 i = 0; i < block->used && at < region->mapped; i++) {
            const struct vid_extent *extent = &block->list[i];
            u64 pages = min_t(u64, extent->pages, region->mapped - at);
            int error =
                vid_unmap_gpa(partition->id, region->first_frame + at,
                              extent->large ? pages >> VID_LARGE_SHIFT : pages, extent->large);

            first_error = first_error ?: error;
            at += extent->pages;
        }
    }
    if (!first_error)
        region->mapped = 0;
    return first_error;
}

void vid_region_unpin(struct vid_partition *partition, struct vid_region *region)
{
    struct vid_extents *block, *next;

    list_for_each_entry_safe(block, next, &region->extents, node)
    {
        for (u32 i = 0; i < block->used; i++) {
            const struct vid_extent *extent = &block->list[i];

            count(partition, -(s64)extent->pages, extent->large);
            unpin_user_page_range_dirty_lock(pfn_to_page(extent->frame), extent->pages, true);
            cond_resched();
        }
        free_page((unsigned long)block);
    }
    INIT_LIST_HEAD(&region->extents);
}
