// SPDX-License-Identifier: GPL-2.0-only
#include <linux/hmm.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include "demand_priv.h"
#include "hvcall.h"
#include "pool.h"
#include "trace.h"
#include "vid.h"

/* How long one fault may lose against changes of the owner's memory; then the guest runs again. */
#define RETRY_TIMEOUT (HZ / 2)

#define ALREADY_THERE 1

struct fault {
    struct vid_demand *demand;
    u64 page; /* of the region */
    bool write;
    struct vid_step step;
    unsigned long *pfns; /* of the step's pages, as HMM tells them */
    u16 status;          /* of the last call */
};

static u64 frame_of(unsigned long pfn)
{
    return pfn & ~HMM_PFN_FLAGS;
}

static bool is_writable(const struct fault *fault, unsigned long pfn)
{
    return (pfn & HMM_PFN_WRITE) && (fault->demand->memory.map_flags & HV_MAP_GPA_WRITABLE);
}

/*
 * A page that the guest may write is dirty from here on: what the guest does to it no entry of a
 * page table of this kernel will show. Without a reference, for the notifier has not been called.
 */
static void set_dirty(unsigned long pfn)
{
    struct folio *folio = page_folio(pfn_to_page(frame_of(pfn)));

    if (!folio_test_reserved(folio))
        folio_set_dirty(folio);
}

/* Maps COUNT pages from AT on (of the step), which are neighbours of equal rights. */
static int map_run(struct fault *fault, u32 at, u32 count, bool large)
{
    struct vid_demand *demand = fault->demand;
    bool writable = is_writable(fault, fault->pfns[at]);
    struct hv_input_map_gpa_pages *in = demand->in;
    u64 first = fault->step.first + at, *frames = (u64 *)(in + 1);
    struct vid_list_call call = {.code = HVCALL_MAP_GPA_PAGES, .reps = large ? 1 : count, .in = in};
    u32 done;
    int error;

    *in = (struct hv_input_map_gpa_pages){
        .target_partition_id = demand->partition->id,
        .target_gpa_base = demand->memory.first_frame + first,
        .map_flags = (demand->memory.map_flags & ~(writable ? 0 : HV_MAP_GPA_WRITABLE)) |
                     (large ? HV_MAP_GPA_LARGE_PAGE : 0),
    };
    for (u32 i = 0; i < call.reps; i++)
        frames[i] = frame_of(fault->pfns[at + i]);
    error = vid_call_list(&call);
    fault->status = call.status;
    done = large ? call.done * VID_LARGE_PAGES : call.done;
    for (u32 i = 0; i < done; i++) {
        if (!test_and_set_bit(first + i, demand->present))
            vid_demand_count(demand, 1, false);
        /* A page that was written before it went: its new entry says dirty from the start. */
        assign_bit(first + i, demand->written, writable);
        if (writable && (!large || i == 0))
            set_dirty(fault->pfns[at + i]);
    }
    return error;
}

/* Whether a page is there to be mapped and not mapped so already. */
static bool is_wanted(const struct fault *fault, u32 at)
{
    const struct vid_demand *demand = fault->demand;
    unsigned long pfn = fault->pfns[at];
    u64 page = fault->step.first + at;

    if (!(pfn & HMM_PFN_VALID))
        return false;
    return !test_bit(page, demand->present) ||
           (is_writable(fault, pfn) && !test_bit(page, demand->written));
}

static bool is_large(const struct fault *fault)
{
    u64 first = frame_of(fault->pfns[0]);

    if (fault->step.pages != VID_LARGE_PAGES || first % VID_LARGE_PAGES)
        return false;
    for (u32 i = 0; i < VID_LARGE_PAGES; i++)
        if (!(fault->pfns[i] & HMM_PFN_VALID) || frame_of(fault->pfns[i]) != first + i ||
            is_writable(fault, fault->pfns[i]) != is_writable(fault, fault->pfns[0]))
            return false;
    return true;
}

static int map_large(struct fault *fault)
{
    struct vid_demand *demand = fault->demand;
    int error = map_run(fault, 0, VID_LARGE_PAGES, true);

    if (!error && !test_and_set_bit(fault->step.index, demand->large))
        atomic64_add(VID_LARGE_PAGES, &demand->partition->counters.large);
    return error;
}

/* The end of the run of wanted pages with equal rights that begins at AT. */
static u32 run_end(const struct fault *fault, u32 at)
{
    bool writable = is_writable(fault, fault->pfns[at]);
    u32 end = at + 1;

    while (end < fault->step.pages && end - at < VID_MAP_MAX && is_wanted(fault, end) &&
           is_writable(fault, fault->pfns[end]) == writable)
        end++;
    return end;
}

/*
 * The page that the guest waits for, then its neighbours that the owner has in memory anyway. They
 * cost nothing but their entries, and are not what the guest waits for: errors are theirs alone.
 */
static int map_small(struct fault *fault)
{
    u32 wanted = fault->page - fault->step.first;
    int error = map_run(fault, wanted, 1, false);

    for (u32 at = 0; at < fault->step.pages && !error;) {
        u32 end = is_wanted(fault, at) ? run_end(fault, at) : at + 1;

        if (is_wanted(fault, at) && map_run(fault, at, end - at, false))
            break;
        at = end;
    }
    return error;
}

/* Under the lock, with what HMM has told being true. */
static int map(struct fault *fault)
{
    u32 wanted = fault->page - fault->step.first;
    unsigned long pfn = fault->pfns[wanted];

    if (!(pfn & HMM_PFN_VALID) || (fault->write && !is_writable(fault, pfn)))
        return -EBUSY;
    if (!is_wanted(fault, wanted))
        return ALREADY_THERE;
    if (is_large(fault))
        return map_large(fault);
    /* Splitting a leaf would take memory, which is not to be had here. */
    if (test_bit(fault->step.index, fault->demand->large))
        vid_demand_hide(fault->demand, fault->step.first, fault->step.pages);
    return map_small(fault);
}

/* One page, faulted in. HMM would fault in all of a hole in which one page is asked for. */
static int fault_in(const struct fault *fault, struct hmm_range *range, u64 address)
{
    memset(fault->pfns, 0, fault->step.pages * sizeof(*fault->pfns));
    range->start = address;
    range->end = address + PAGE_SIZE;
    range->hmm_pfns = fault->pfns + (fault->page - fault->step.first);
    range->default_flags = HMM_PFN_REQ_FAULT | (fault->write ? HMM_PFN_REQ_WRITE : 0);
    return hmm_range_fault(range);
}

/* Then what there is of the step, as it is. */
static int look_around(const struct fault *fault, struct hmm_range *range)
{
    range->start = fault->demand->memory.user_address + (fault->step.first << PAGE_SHIFT);
    range->end = range->start + ((u64)fault->step.pages << PAGE_SHIFT);
    range->hmm_pfns = fault->pfns;
    range->default_flags = 0;
    return hmm_range_fault(range);
}

/*
 * -EBUSY: the owner's memory has changed meanwhile, somewhere in the region. ALONE: just the page,
 * which leaves less time for that.
 */
static int serve_once(struct fault *fault, bool alone)
{
    struct vid_demand *demand = fault->demand;
    struct hmm_range range = {.notifier = &demand->notifier};
    struct mm_struct *mm = demand->notifier.mm;
    int error;

    range.notifier_seq = mmu_interval_read_begin(&demand->notifier);
    mmap_read_lock(mm);
    error = fault_in(fault, &range, demand->memory.user_address + (fault->page << PAGE_SHIFT));
    if (!error && !alone)
        error = look_around(fault, &range);
    mmap_read_unlock(mm);
    if (error)
        return error;
    mutex_lock(&demand->lock);
    error = mmu_interval_read_retry(&demand->notifier, range.notifier_seq) ? -EBUSY : map(fault);
    mutex_unlock(&demand->lock);
    return error;
}

/*
 * Until it is served, or is not to be. A page of which the hypervisor cannot lend more, as it can
 * be with the page of zeros, is read from a copy of the guest's own.
 */
static int serve(struct fault *fault)
{
    unsigned long end = jiffies + RETRY_TIMEOUT;
    int error = 0;

    for (;;) {
        fault->status = HV_STATUS_SUCCESS;
        error = serve_once(fault, error == -EBUSY);
        if (fatal_signal_pending(current))
            return -EINTR;
        if (error < 0 && vid_status_needs_memory(fault->status)) {
            error = vid_pool_deposit_for(&fault->demand->partition->pool, fault->status);
            if (error)
                return error;
        } else if (error < 0 && fault->status != HV_STATUS_SUCCESS && !fault->write &&
                   (fault->demand->memory.map_flags & HV_MAP_GPA_WRITABLE)) {
            fault->write = true;
        } else if (error != -EBUSY) {
            return error;
        }
        if (time_after(jiffies, end))
            return 0;
        cond_resched();
    }
}

int vid_demand_fault(struct vid_demand *demand, u64 frame, bool write, unsigned long *pfns)
{
    struct vid_partition *partition = demand->partition;
    struct fault fault = {
        .demand = demand, .page = frame - demand->memory.first_frame, .write = write, .pfns = pfns};
    int error = -EFAULT;

    fault.step = vid_step_of(demand, fault.page);
    /* Its owner may have ended, and another process may run the guest. */
    if (mmget_not_zero(demand->notifier.mm)) {
        error = serve(&fault);
        mmput(demand->notifier.mm);
    }
    if (error >= 0)
        atomic64_inc(&partition->counters.faults);
    trace_vid_fault(partition->id, frame, write, error);
    return error;
}
