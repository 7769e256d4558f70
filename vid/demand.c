// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "demand_priv.h"
#include "hvcall.h"
#include "trace.h"
#include "vid.h"

bool vid_demand_possible(void)
{
    return true;
}

void vid_demand_count(struct vid_demand *demand, s64 pages, bool large)
{
    struct vid_counters *counters = &demand->partition->counters;

    atomic64_add(pages, &counters->mapped);
    if (large)
        atomic64_add(pages, &counters->large);
}

static u64 step_count(const struct vid_demand *demand)
{
    return vid_step_of(demand, demand->memory.pages - 1).index + 1;
}

/*
 * The guest must lose these pages before this returns, for they are somebody else's afterwards. If
 * the hypervisor keeps them for it, and it has not ended anyway, it ends here and now.
 */
static void take_away(struct vid_demand *demand, u64 page, u32 pages, bool large)
{
    struct vid_partition *partition = demand->partition;
    u64 frame = demand->memory.first_frame + page;
    u32 units = large ? 1 : pages;
    int error = 0;

    for (u32 at = 0; at < units && !error; at += VID_HIDE_MAX)
        error =
            vid_hide_gpa(partition->id, frame + at, min_t(u32, units - at, VID_HIDE_MAX), large);
    if (!error || READ_ONCE(partition->finalized))
        return;
    error = vid_partition_finalize(partition);
    WARN(error, "bulkhead-vid: partition %llu keeps frame %#llx of others (%d)\n", partition->id,
         frame, error);
}

void vid_demand_hide(struct vid_demand *demand, u64 page, u32 pages)
{
    struct vid_step step = vid_step_of(demand, page);
    bool was_large = test_bit(step.index, demand->large);
    unsigned long at = page;
    s64 gone = 0;

    /* A call of the whole step frees the tables below it, and needs none. */
    take_away(demand, page, pages, pages == VID_LARGE_PAGES);
    for_each_set_bit_from(at, demand->present, page + pages) gone++;
    bitmap_clear(demand->present, page, pages);
    clear_bit(step.index, demand->large);
    vid_demand_count(demand, -gone, was_large);
}

/* Takes the pages from FROM to END away, and what shares a large leaf with one of them. */
static void hide_range(struct vid_demand *demand, u64 from, u64 end)
{
    for (u64 at = from;;) {
        struct vid_step step;
        u64 stop;

        at = find_next_bit(demand->present, end, at);
        if (at >= end)
            return;
        step = vid_step_of(demand, at);
        stop = min(step.first + step.pages, end);
        if (test_bit(step.index, demand->large) ||
            (from <= step.first && stop == step.first + step.pages))
            vid_demand_hide(demand, step.first, step.pages);
        else
            vid_demand_hide(demand, at, stop - at);
        at = stop;
    }
}

/* The owner's memory is about to change. May be called at any time, and must not allocate. */
static bool invalidate(struct mmu_interval_notifier *notifier,
                       const struct mmu_notifier_range *range, unsigned long sequence)
{
    struct vid_demand *demand = container_of(notifier, struct vid_demand, notifier);
    u64 base = demand->memory.user_address, size = demand->memory.pages << PAGE_SHIFT;
    u64 start = max_t(u64, range->start, base), end = min_t(u64, range->end, base + size);

    if (mmu_notifier_range_blockable(range))
        mutex_lock(&demand->lock);
    else if (!mutex_trylock(&demand->lock))
        return false;
    mmu_interval_set_seq(notifier, sequence);
    if (start < end) {
        trace_vid_invalidate(demand->partition->id,
                             demand->memory.first_frame + ((start - base) >> PAGE_SHIFT),
                             (end - start) >> PAGE_SHIFT, range->event);
        atomic64_inc(&demand->partition->counters.invalidations);
        hide_range(demand, (start - base) >> PAGE_SHIFT,
                   (end - base + PAGE_SIZE - 1) >> PAGE_SHIFT);
    }
    mutex_unlock(&demand->lock);
    return true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
    .invalidate = invalidate,
};

/* Tells the hypervisor that there is memory, but none to reach: units from a frame on. */
static int map_nothing(struct vid_demand *demand, u64 frame, u64 units, bool large)
{
    struct hv_input_map_gpa_pages *in = demand->in;
    int error = 0;

    for (u64 at = 0; at < units && !error;) {
        struct vid_list_call call = {.code = HVCALL_MAP_GPA_PAGES,
                                     .reps = min_t(u64, units - at, VID_MAP_MAX),
                                     .in = in,
                                     .pool = &demand->partition->pool};

        *in = (struct hv_input_map_gpa_pages){
            .target_partition_id = demand->partition->id,
            .target_gpa_base = frame + (large ? at << VID_LARGE_SHIFT : at),
            .map_flags = HV_MAP_GPA_NO_ACCESS | (large ? HV_MAP_GPA_LARGE_PAGE : 0),
        };
        error = vid_call_list(&call);
        at += call.reps;
        cond_resched();
    }
    return error;
}

/* Calls FN for the ragged edges in pages of 4 KiB, and for what is between them in 2 MiB. */
static int for_each_part(struct vid_demand *demand,
                         int (*fn)(struct vid_demand *demand, u64 frame, u64 units, bool large))
{
    u64 first = demand->memory.first_frame, end = first + demand->memory.pages;
    u64 head = min_t(u64, round_up(first, VID_LARGE_PAGES), end);
    u64 tail = max_t(u64, round_down(end, VID_LARGE_PAGES), head);
    int error = fn(demand, first, head - first, false);

    if (!error)
        error = fn(demand, head, (tail - head) >> VID_LARGE_SHIFT, true);
    return error ? error : fn(demand, tail, end - tail, false);
}

static void release(struct vid_demand *demand)
{
    kvfree(demand->present);
    kvfree(demand->written);
    kvfree(demand->large);
    free_page((unsigned long)demand->in);
    kfree(demand);
}

static unsigned long *allocate_bits(u64 bits)
{
    return kvcalloc(BITS_TO_LONGS(bits), sizeof(long), GFP_KERNEL_ACCOUNT);
}

static struct vid_demand *allocate(struct vid_partition *partition,
                                   const struct vid_demand_memory *memory)
{
    struct vid_demand *demand = kzalloc(sizeof(*demand), GFP_KERNEL_ACCOUNT);

    if (!demand)
        return NULL;
    demand->partition = partition;
    demand->memory = *memory;
    mutex_init(&demand->lock);
    demand->present = allocate_bits(memory->pages);
    demand->written = allocate_bits(memory->pages);
    demand->large = allocate_bits(step_count(demand));
    demand->in = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
    if (demand->present && demand->written && demand->large && demand->in)
        return demand;
    release(demand);
    return NULL;
}

int vid_demand_map(struct vid_partition *partition, const struct vid_demand_memory *memory,
                   struct vid_demand **out)
{
    struct vid_demand *demand = allocate(partition, memory);
    int error;

    *out = NULL;
    if (!demand)
        return -ENOMEM;
    error = mmu_interval_notifier_insert(&demand->notifier, current->mm, memory->user_address,
                                         memory->pages << PAGE_SHIFT, &notifier_ops);
    if (error) {
        release(demand);
        return error;
    }
    *out = demand;
    return for_each_part(demand, map_nothing);
}

static int unmap_part(struct vid_demand *demand, u64 frame, u64 units, bool large)
{
    return vid_unmap_gpa(demand->partition->id, frame, units, large);
}

int vid_demand_unmap(struct vid_demand *demand)
{
    int error;

    mutex_lock(&demand->lock);
    hide_range(demand, 0, demand->memory.pages);
    error = for_each_part(demand, unmap_part);
    mutex_unlock(&demand->lock);
    return error;
}

/* Outside of all locks: it waits for a notifier that is running. */
void vid_demand_free(struct vid_demand *demand)
{
    if (!demand)
        return;
    mmu_interval_notifier_remove(&demand->notifier);
    release(demand);
}

void vid_demand_states(struct vid_demand *demand, u64 frame, u32 pages, u64 flags, u8 *states)
{
    const struct vid_demand_memory *m = &demand->memory;
    u64 start = max(frame, m->first_frame), end = min(frame + pages, m->first_frame + m->pages);

    mutex_lock(&demand->lock);
    for (u64 at = start; at < end; at++) {
        u64 page = at - m->first_frame;

        if (test_bit(page, demand->present))
            continue; /* the hypervisor has told */
        if (test_bit(page, demand->written))
            states[at - frame] |= HV_GPA_ACCESS_STATE_ACCESSED | HV_GPA_ACCESS_STATE_DIRTY;
        if (flags & HV_GPA_ACCESS_CLEAR_DIRTY)
            clear_bit(page, demand->written);
        if (flags & HV_GPA_ACCESS_SET_DIRTY)
            set_bit(page, demand->written);
    }
    mutex_unlock(&demand->lock);
}
