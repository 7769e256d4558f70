// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "calls.h"
#include "hvcall.h"
#include "vid.h"

/* Pages that one call can name behind its header. */
#define STATE_PAGES_MAX ((PAGE_SIZE - sizeof(struct hv_vp_state)) / sizeof(u64))

#define XSAVE_LEGACY_STATES 0x3ULL /* x87 and SSE are always part of it */

/* The head of the call for a kind of state, and the state's size in bytes. */
static int describe(struct vid_vp *vp, u8 type, struct hv_vp_state *head, u32 *size)
{
    u64 value;
    int error;

    *head = (struct hv_vp_state){.partition_id = vp->partition->id, .vp_index = vp->index};
    *size = PAGE_SIZE;
    switch (type) {
    case MSHV_VP_STATE_LAPIC:
        head->type = HV_VP_STATE_LOCAL_INTERRUPT_CONTROLLER | HV_GET_SET_VP_STATE_TYPE_PFN;
        return 0;
    case MSHV_VP_STATE_XSAVE:
        error = vid_get_property(head->partition_id, HV_PARTITION_PROPERTY_XSAVE_STATES,
                                 &head->xsave_states);
        if (!error)
            error = vid_get_property(head->partition_id, HV_PARTITION_PROPERTY_MAX_XSAVE_DATA_SIZE,
                                     &value);
        if (error)
            return error;
        head->xsave_states |= XSAVE_LEGACY_STATES;
        head->type = HV_VP_STATE_XSAVE | HV_GET_SET_VP_STATE_TYPE_PFN;
        *size = (u32)value;
        return 0;
    case MSHV_VP_STATE_SIMP:
        head->type = HV_VP_STATE_SIM_PAGE | HV_GET_SET_VP_STATE_TYPE_PFN;
        return 0;
    case MSHV_VP_STATE_SIEFP:
        head->type = HV_VP_STATE_SIEF_PAGE | HV_GET_SET_VP_STATE_TYPE_PFN;
        return 0;
    case MSHV_VP_STATE_SYNTHETIC_TIMERS:
        head->type = HV_VP_STATE_SYNTHETIC_TIMERS;
        *size = sizeof(struct hv_synthetic_timers_state);
        return 0;
    default:
        return -EINVAL;
    }
}

/* Pins COUNT pages; the hypervisor reads or writes them itself. */
static int pin(u64 address, u32 count, struct page **pages)
{
    u32 got = 0;

    while (got < count) {
        int some = pin_user_pages_fast(address + ((u64)got << PAGE_SHIFT), count - got, FOLL_WRITE,
                                       pages + got);

        if (some <= 0) {
            unpin_user_pages(pages, got);
            return some < 0 ? some : -EFAULT;
        }
        got += some;
    }
    return 0;
}

/* State that is transferred in pages of the user. */
static int by_pages(struct vid_vp *vp, const struct hv_vp_state *head, u64 address, u32 count,
                    bool set)
{
    u16 code = set ? HVCALL_SET_VP_STATE : HVCALL_GET_VP_STATE;
    u64 control = code | (u64)count << HV_HYPERCALL_VARHEAD_OFFSET, *frames;
    struct page **pages = (struct page **)__get_free_page(GFP_KERNEL);
    struct hv_vp_state *in = (struct hv_vp_state *)get_zeroed_page(GFP_KERNEL);
    size_t size = sizeof(*in) + count * sizeof(u64);
    u64 unused;
    int error = pages && in ? pin(address, count, pages) : -ENOMEM;

    if (!error) {
        *in = *head;
        frames = (u64 *)(in + 1);
        for (u32 i = 0; i < count; i++)
            frames[i] = page_to_pfn(pages[i]);
        error = vid_call_memory(control, in, size, &unused, set ? 0 : sizeof(unused),
                                &vp->partition->pool);
        unpin_user_pages_dirty_lock(pages, count, !set);
    }
    free_page((unsigned long)pages);
    free_page((unsigned long)in);
    return error;
}

/* The synthetic timers, which are transferred in the call itself. */
static int by_value(struct vid_vp *vp, const struct hv_vp_state *head, void __user *user, bool set)
{
    struct {
        struct hv_vp_state head;
        struct hv_synthetic_timers_state timers;
    } in = {.head = *head};
    struct hv_synthetic_timers_state out = {};
    u64 control = HVCALL_SET_VP_STATE | (u64)(sizeof(in.timers) / sizeof(u64))
                                            << HV_HYPERCALL_VARHEAD_OFFSET;
    int error;

    if (set) {
        if (copy_from_user(&in.timers, user, sizeof(in.timers)))
            return -EFAULT;
        return vid_call_memory(control, &in, sizeof(in), NULL, 0, &vp->partition->pool);
    }
    error = vid_call_memory(HVCALL_GET_VP_STATE, head, sizeof(*head), &out, sizeof(out),
                            &vp->partition->pool);
    if (!error && copy_to_user(user, &out, sizeof(out)))
        error = -EFAULT;
    return error;
}

long vid_vp_state(struct vid_vp *vp, void __user *argument, bool set)
{
    struct mshv_get_set_vp_state __user *user = argument;
    struct mshv_get_set_vp_state args;
    struct hv_vp_state head;
    u32 size, pages;
    int error;

    if (copy_from_user(&args, user, sizeof(args)))
        return -EFAULT;
    if (args.type >= MSHV_VP_STATE_COUNT || memchr_inv(args.rsvd, 0, sizeof(args.rsvd)) ||
        !args.buf_sz || !PAGE_ALIGNED(args.buf_sz) || !PAGE_ALIGNED(args.buf_ptr))
        return -EINVAL;
    if (!access_ok((void __user *)args.buf_ptr, args.buf_sz))
        return -EFAULT;
    error = describe(vp, args.type, &head, &size);
    if (error)
        return error;
    /* The size that is needed is told in any case. */
    if (put_user(size, &user->buf_sz))
        return -EFAULT;
    if (size > args.buf_sz)
        return -EINVAL;
    if (!(head.type & HV_GET_SET_VP_STATE_TYPE_PFN))
        return by_value(vp, &head, (void __user *)args.buf_ptr, set);
    pages = args.buf_sz >> PAGE_SHIFT;
    if (pages > STATE_PAGES_MAX)
        return -EINVAL;
    return by_pages(vp, &head, args.buf_ptr, pages, set);
}
