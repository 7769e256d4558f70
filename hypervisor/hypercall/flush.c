/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/vpset.h"
#include "hypervisor/vp/vp.h"
#include "lib/string.h"

/*
 * A flush of any address range is a flush of all linear mappings of the VPs: that
 * is always allowed (TLFS "HvCallFlushVirtualAddressList"), and a whole list costs
 * one round of interrupts. So the address space and the list are not looked at.
 */

#define FLUSH_FLAGS                                                                                \
    (HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES |                               \
     HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY)

static uint16_t flush_mask(struct hypercall *h, const struct vp_mask *mask)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < VP_MASK_WORDS; i++)
        any |= mask->words[i];
    if (any)
        vp_flush_tlb_sync(h->vp->partition, mask->words);
    h->rep = h->rep_count;
    return HV_STATUS_SUCCESS;
}

uint16_t hypercall_flush(struct hypercall *h)
{
    const struct partition *p = h->vp->partition;
    struct hv_tlb_flush in;
    struct vp_mask mask;

    memcpy(&in, h->in, sizeof(in));
    if (in.flags & ~FLUSH_FLAGS)
        return HV_STATUS_INVALID_PARAMETER;
    if (in.flags & HV_FLUSH_ALL_PROCESSORS)
        vp_mask_all(p, &mask);
    else
        vp_mask_word(p, in.processor_mask, &mask);
    return flush_mask(h, &mask);
}

uint16_t hypercall_flush_ex(struct hypercall *h)
{
    const struct partition *p = h->vp->partition;
    struct hv_tlb_flush_ex in;
    struct vp_mask mask;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    if (in.flags & ~FLUSH_FLAGS)
        return HV_STATUS_INVALID_PARAMETER;
    status = vp_mask_from_set(h, &in.hv_vp_set, &mask);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (in.flags & HV_FLUSH_ALL_PROCESSORS)
        vp_mask_all(p, &mask);
    return flush_mask(h, &mask);
}
