/* SPDX-License-Identifier: MIT */
#include "hypervisor/hypercall/vpset.h"
#include "abi/tlfs/status.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/string.h"

void vp_mask_all(const struct partition *p, struct vp_mask *mask)
{
    uint32_t count = atomic_load_explicit(&p->vp_count, memory_order_acquire);

    memset(mask, 0, sizeof(*mask));
    for (uint32_t i = 0; i < count && i < PARTITION_MAX_VPS; i++)
        if (p->vps[i])
            mask->words[i / 64] |= BIT64(i % 64);
}

/* Leave out what the partition does not have. */
static void vp_mask_trim(const struct partition *p, struct vp_mask *mask)
{
    struct vp_mask all;

    vp_mask_all(p, &all);
    for (unsigned i = 0; i < VP_MASK_WORDS; i++)
        mask->words[i] &= all.words[i];
}

void vp_mask_word(const struct partition *p, uint64_t word, struct vp_mask *mask)
{
    memset(mask, 0, sizeof(*mask));
    mask->words[0] = word;
    vp_mask_trim(p, mask);
}

/* Bits set, without a library call. */
static uint32_t banks_count(uint64_t v)
{
    uint32_t n = 0;

    for (; v; v &= v - 1)
        n++;
    return n;
}

static uint16_t vp_mask_sparse(const struct hypercall *h, uint64_t banks, struct vp_mask *mask)
{
    uint32_t at = h->entry->in_size;

    if (banks_count(banks) != h->var_words)
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    memset(mask, 0, sizeof(*mask));
    for (unsigned bank = 0; bank < HV_MAX_SPARSE_VCPU_BANKS; bank++) {
        if (!(banks & BIT64(bank)))
            continue;
        if (bank < VP_MASK_WORDS)
            memcpy(&mask->words[bank], h->in + at, sizeof(mask->words[bank]));
        at += (uint32_t)sizeof(mask->words[0]);
    }
    return HV_STATUS_SUCCESS;
}

uint16_t vp_mask_from_set(const struct hypercall *h, const struct hv_vpset *set,
                          struct vp_mask *mask)
{
    const struct partition *p = h->vp->partition;
    uint16_t status;

    switch (set->format) {
    case HV_GENERIC_SET_ALL:
        vp_mask_all(p, mask);
        return HV_STATUS_SUCCESS;
    case HV_GENERIC_SET_SPARSE_4K:
        status = vp_mask_sparse(h, set->valid_bank_mask, mask);
        if (status == HV_STATUS_SUCCESS)
            vp_mask_trim(p, mask);
        return status;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}
