/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/partition.h"

#include "hypervisor/mm/frame.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vp.h"

struct vp *partition_vp(struct partition *p, uint32_t vp_index)
{
    if (vp_index >= atomic_load_explicit(&p->vp_count, memory_order_acquire))
        return NULL;
    return p->vps[vp_index];
}

struct vp *partition_vp_by_apic_id(struct partition *p, uint32_t apic_id)
{
    uint32_t count = atomic_load_explicit(&p->vp_count, memory_order_acquire);

    for (uint32_t i = 0; i < count; i++) {
        struct vp *vp = p->vps[i];

        if (vp && vp->apic_id.v == apic_id)
            return vp;
    }
    return NULL;
}

int partition_alloc(struct partition *p, unsigned pages, hpa_t *out)
{
    return p->is_root ? frame_alloc(pages, 1, out) : pool_alloc(&p->pool, pages, out);
}

void partition_free(struct partition *p, hpa_t page, unsigned pages)
{
    if (p->is_root)
        frame_free(page, pages);
    else
        pool_free(&p->pool, page, pages);
}

uint64_t partition_tsc(const struct partition *p)
{
    const struct partition_properties *at = &p->properties;

    if (__atomic_load_n(&at->time_frozen, __ATOMIC_ACQUIRE))
        return __atomic_load_n(&at->frozen_tsc, __ATOMIC_RELAXED);
    return clock_tsc();
}

uint64_t partition_ref_time(const struct partition *p)
{
    const struct partition_properties *at = &p->properties;

    /* Acquire pairs with the release in properties.c: the time that stands still is known. */
    if (__atomic_load_n(&at->time_frozen, __ATOMIC_ACQUIRE))
        return __atomic_load_n(&at->frozen_at, __ATOMIC_RELAXED);
    return clock_ref_from_tsc(clock_tsc()) - p->ref_base;
}
