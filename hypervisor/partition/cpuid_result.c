/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/cpuid_result.h"

#include "abi/tlfs/partition.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

#define PAGES_MAX 32U

struct result {
    uint32_t vp_index; /* or HV_ANY_VP */
    uint32_t leaf, subleaf;
    bool subleaf_specific;
    uint32_t value[4], mask[4]; /* EAX, EBX, ECX, EDX */
};

#define RESULTS_PER_PAGE                                                                           \
    ((PAGE_SIZE - sizeof(struct cpuid_result *) - sizeof(uint32_t)) / sizeof(struct result))

/** A page of results in the order of registration; the partition's lock protects all. */
struct cpuid_result {
    struct cpuid_result *next;
    uint32_t count;
    struct result entry[RESULTS_PER_PAGE];
};
_Static_assert(sizeof(struct cpuid_result) <= PAGE_SIZE, "one page");

static bool same_key(const struct result *a, const struct result *b)
{
    return a->vp_index == b->vp_index && a->leaf == b->leaf &&
           a->subleaf_specific == b->subleaf_specific &&
           (!a->subleaf_specific || a->subleaf == b->subleaf);
}

/* The place of the result with this key; or a free one, with a new page if need be. */
static int find_place(struct partition *p, const struct result *key, struct result **out)
{
    struct cpuid_result **link = &p->cpuid_results, *page;
    unsigned pages = 0;
    hpa_t at;
    int rc;

    for (; (page = *link); link = &page->next, pages++) {
        for (uint32_t i = 0; i < page->count; i++)
            if (same_key(&page->entry[i], key)) {
                *out = &page->entry[i];
                return 0;
            }
        if (!page->next && page->count < RESULTS_PER_PAGE) {
            *out = &page->entry[page->count++];
            return 0;
        }
    }
    if (pages == PAGES_MAX)
        return -ENOSPC;
    rc = partition_alloc(p, 1, &at);
    if (rc)
        return rc;
    page = hpa_to_virt(at);
    page->next = NULL;
    page->count = 1;
    *out = &page->entry[0];
    /* Whether there are any is looked at without the lock. */
    __atomic_store_n(link, page, __ATOMIC_RELEASE);
    return 0;
}

int cpuid_result_register(struct partition *p, const struct hv_input_register_intercept_result *in)
{
    struct result r = {
        .vp_index = in->vp_index,
        .leaf = in->eax,
        .subleaf = in->ecx,
        .subleaf_specific = in->subleaf_specific,
    };
    struct result *place;
    int rc;

    for (unsigned i = 0; i < 4; i++) {
        r.value[i] = in->result[2 * i];
        r.mask[i] = in->result[2 * i + 1];
    }
    spin_lock(&p->lock);
    rc = find_place(p, &r, &place);
    if (!rc)
        *place = r;
    spin_unlock(&p->lock);
    return rc;
}

void cpuid_results_destroy(struct partition *p)
{
    struct cpuid_result *page = p->cpuid_results;

    p->cpuid_results = NULL;
    while (page) {
        struct cpuid_result *next = page->next;

        partition_free(p, virt_to_hpa(page), 1);
        page = next;
    }
}

/* How closely a result fits; 0: not at all. */
static unsigned fits(const struct result *r, const struct vp *vp, uint32_t leaf, uint32_t subleaf)
{
    if (r->leaf != leaf || (r->subleaf_specific && r->subleaf != subleaf) ||
        (r->vp_index != HV_ANY_VP && r->vp_index != vp->index.v))
        return 0;
    return 1U + r->subleaf_specific + 2U * (r->vp_index != HV_ANY_VP);
}

void cpuid_results_apply(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    struct partition *p = vp->partition;
    const struct result *by_rank[5] = {NULL};

    spin_lock(&p->lock);
    for (const struct cpuid_result *page = p->cpuid_results; page; page = page->next)
        for (uint32_t i = 0; i < page->count; i++)
            by_rank[fits(&page->entry[i], vp, leaf, subleaf)] = &page->entry[i];
    for (unsigned rank = 1; rank < 5; rank++)
        for (unsigned i = 0; by_rank[rank] && i < 4; i++)
            regs[i] = (regs[i] & ~by_rank[rank]->mask[i]) |
                      (by_rank[rank]->value[i] & by_rank[rank]->mask[i]);
    spin_unlock(&p->lock);
}
