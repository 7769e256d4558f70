// SPDX-License-Identifier: GPL-2.0-only
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include "hvcall.h"
#include "pool.h"
#include "trace.h"
#include "vid.h"

/* What one withdrawal moves at most: a list in one page. */
#define WITHDRAW_MAX (PAGE_SIZE / sizeof(u64))

/* Given when the hypervisor asks for memory without saying how much. */
#define ASKED_PAGES      16
#define CONTIGUOUS_ORDER 3

/* In page->private of a deposited page, so that only such pages are ever freed by a withdrawal. */
#define PAGE_MARK 0x42684456UL

u32 vid_pool_fail_deposit;
module_param_named(fail_deposit, vid_pool_fail_deposit, uint, 0600);
MODULE_PARM_DESC(fail_deposit, "for tests: this deposit from now on fails; 0: none");

atomic64_t vid_pool_deposited, vid_pool_withdrawn;

void vid_pool_init(struct vid_pool *pool, u64 partition_id)
{
    pool->partition_id = partition_id;
    atomic64_set(&pool->pages, 0);
}

/* Counts down; true when this is the deposit that is to fail. */
static bool must_fail(void)
{
    u32 left = READ_ONCE(vid_pool_fail_deposit), before;

    while (left) {
        before = cmpxchg(&vid_pool_fail_deposit, left, left - 1);
        if (before == left)
            return left == 1;
        left = before;
    }
    return false;
}

/* Fills a list with the frames of COUNT pages, a multiple of the block's; how many there are. */
static u32 allocate(u64 *frames, u32 count, unsigned int order)
{
    u32 got = 0;

    while (got < count) {
        struct page *block = alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_NOWARN, order);

        if (!block)
            break;
        split_page(block, order);
        for (u32 i = 0; i < 1U << order; i++) {
            set_page_private(block + i, PAGE_MARK);
            frames[got++] = page_to_pfn(block + i);
        }
    }
    return got;
}

static void release(u64 frame)
{
    struct page *page = pfn_valid(frame) ? pfn_to_page(frame) : NULL;

    if (!page || page_private(page) != PAGE_MARK) {
        WARN_ONCE(1, "bulkhead-vid: page %#llx was withdrawn, but never deposited\n", frame);
        return;
    }
    set_page_private(page, 0);
    __free_page(page);
}

/* One call's worth. */
static int deposit(struct vid_pool *pool, u32 count, unsigned int order)
{
    struct hv_input_deposit_memory *in = (void *)__get_free_page(GFP_KERNEL);
    struct vid_list_call call = {.code = HVCALL_DEPOSIT_MEMORY, .in = in};
    u64 *frames = (u64 *)(in + 1);
    int error;

    if (!in)
        return -ENOMEM;
    in->partition_id = pool->partition_id;
    call.reps = allocate(frames, count, order);
    error = call.reps ? vid_call_list(&call) : -ENOMEM;
    for (u32 i = call.done; i < call.reps; i++)
        release(frames[i]);
    atomic64_add(call.done, &pool->pages);
    atomic64_add(call.done, &vid_pool_deposited);
    trace_vid_deposit(pool->partition_id, call.done, error);
    free_page((unsigned long)in);
    return error ? error : call.reps == count ? 0 : -ENOMEM;
}

int vid_pool_deposit_for(struct vid_pool *pool, u16 status)
{
    bool own = status == HV_STATUS_INSUFFICIENT_ROOT_MEMORY ||
               status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY;
    bool contiguous = status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY ||
                      status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY;

    if (fatal_signal_pending(current))
        return -EINTR;
    if (own)
        pool = &vid_host.pool;
    if (must_fail())
        return -ENOMEM;
    if (contiguous)
        return deposit(pool, 1U << CONTIGUOUS_ORDER, CONTIGUOUS_ORDER);
    return deposit(pool, ASKED_PAGES, 0);
}

void vid_pool_withdraw(struct vid_pool *pool, u64 count)
{
    struct hv_input_withdraw_memory *in = (void *)__get_free_page(GFP_KERNEL | __GFP_NOFAIL);
    u64 *frames = (u64 *)__get_free_page(GFP_KERNEL | __GFP_NOFAIL), total = 0;

    *in = (struct hv_input_withdraw_memory){.partition_id = pool->partition_id};
    while (total < count) {
        u32 some = min_t(u64, count - total, WITHDRAW_MAX), done;
        u64 control = HVCALL_WITHDRAW_MEMORY | (u64)some << HV_HYPERCALL_REP_COMP_OFFSET;
        u64 result = vid_call_raw(control, in, frames);

        done = min(hv_hypercall_rep_count(result), some);
        for (u32 i = 0; i < done; i++)
            release(frames[i]);
        total += done;
        /* NO_RESOURCES is how the hypervisor says that there is no more. */
        if (!done || vid_status(result) != HV_STATUS_SUCCESS)
            break;
        cond_resched();
    }
    atomic64_sub(total, &pool->pages);
    atomic64_add(total, &vid_pool_withdrawn);
    trace_vid_withdraw(pool->partition_id, total);
    free_page((unsigned long)frames);
    free_page((unsigned long)in);
}
