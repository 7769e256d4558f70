// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "hvcall.h"
#include "region.h"
#include "vid.h"

/* Pages of the guest asked for in one call: a list has less than 4096 elements, and a whole
 * number of bytes of the bitmap comes out. */
#define STEP_PAGES 4088U

/* More than a guest can have. */
#define PAGES_MAX (1ULL << 40)

static int choose_flags(u8 type, u8 op, u64 *flags, u8 *wanted)
{
    bool dirty = type == MSHV_GPAP_ACCESS_TYPE_DIRTY;

    *wanted = dirty ? HV_GPA_ACCESS_STATE_DIRTY : HV_GPA_ACCESS_STATE_ACCESSED;
    switch (op) {
    case MSHV_GPAP_ACCESS_OP_NOOP:
        *flags = 0;
        return 0;
    case MSHV_GPAP_ACCESS_OP_CLEAR:
        /* What was not accessed is not dirty. */
        *flags = HV_GPA_ACCESS_CLEAR_DIRTY | (dirty ? 0 : HV_GPA_ACCESS_CLEAR_ACCESSED);
        return 0;
    case MSHV_GPAP_ACCESS_OP_SET:
        /* What is dirty was accessed. */
        *flags = HV_GPA_ACCESS_SET_ACCESSED | (dirty ? HV_GPA_ACCESS_SET_DIRTY : 0);
        return 0;
    default:
        return -EINVAL;
    }
}

/* One step: the states of PAGES become bits at USER. */
static int step(struct vid_partition *partition, struct hv_input_get_gpa_pages_access_state *in,
                u8 *states, u32 pages, u8 wanted, void __user *user)
{
    struct vid_list_call call = {
        .code = HVCALL_GET_GPA_PAGES_ACCESS_STATES, .reps = pages, .in = in, .out = states};
    DECLARE_BITMAP(bits, STEP_PAGES);
    int error = vid_call_list(&call);

    if (error)
        return error;
    vid_memory_states(partition, in->hv_gpa_page_number, pages, in->flags, states);
    bitmap_zero(bits, STEP_PAGES);
    for (u32 i = 0; i < pages; i++)
        if (states[i] & wanted)
            __set_bit(i, bits);
    return copy_to_user(user, bits, DIV_ROUND_UP(pages, BITS_PER_BYTE)) ? -EFAULT : 0;
}

static int check(const struct mshv_gpap_access_bitmap *args)
{
    if (args->access_type >= MSHV_GPAP_ACCESS_TYPE_COUNT ||
        memchr_inv(args->rsvd, 0, sizeof(args->rsvd)) || !args->page_count || !args->bitmap_ptr)
        return -EINVAL;
    if (args->page_count > PAGES_MAX)
        return -E2BIG;
    return args->gpap_base > PAGES_MAX - args->page_count ? -EINVAL : 0;
}

long vid_access_bitmap(struct vid_partition *partition, void __user *argument)
{
    struct hv_input_get_gpa_pages_access_state *in;
    struct mshv_gpap_access_bitmap args;
    u8 *states, wanted;
    u64 flags;
    int error;

    if (copy_from_user(&args, argument, sizeof(args)))
        return -EFAULT;
    error = check(&args) ?: choose_flags(args.access_type, args.access_op, &flags, &wanted);
    if (error)
        return error;
    in = (void *)get_zeroed_page(GFP_KERNEL);
    states = (u8 *)get_zeroed_page(GFP_KERNEL);
    if (!in || !states)
        error = -ENOMEM;
    for (u64 at = 0; at < args.page_count && !error; at += STEP_PAGES) {
        in->partition_id = partition->id;
        in->flags = flags;
        in->hv_gpa_page_number = args.gpap_base + at;
        error = step(partition, in, states, min_t(u64, args.page_count - at, STEP_PAGES), wanted,
                     (void __user *)(args.bitmap_ptr + at / BITS_PER_BYTE));
        if (!error && fatal_signal_pending(current))
            error = -EINTR;
        cond_resched();
    }
    free_page((unsigned long)in);
    free_page((unsigned long)states);
    return error;
}
