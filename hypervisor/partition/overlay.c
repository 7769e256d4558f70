/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/overlay.h"

#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

#define GUEST_ACCESS ((unsigned)ACCESS_READ | ACCESS_WRITE)

/* Of a VP. */
enum { ASSIST, SIM, SIEF, SIR, OF_VP };

static struct overlay *of_vp(struct vp *vp, unsigned n)
{
    switch (n) {
    case ASSIST:
        return &vp->assist_page;
    case SIM:
        return &vp->synic.sim;
    case SIEF:
        return &vp->synic.sief;
    default:
        return &vp->synic.sir;
    }
}

/* The one nearest to `at` of *best and `o`, if it lies in the range. */
static void nearest(struct overlay *o, gpa_t at, uint64_t len, struct overlay **best)
{
    if (o->shown && o->at.v >= at.v && o->at.v - at.v < len && (!*best || o->at.v < (*best)->at.v))
        *best = o;
}

struct overlay *overlay_in(struct partition *p, gpa_t at, uint64_t len)
{
    uint32_t vps = atomic_load_explicit(&p->vp_count, memory_order_acquire);
    struct overlay *found = NULL;

    nearest(&p->hypercall_page, at, len, &found);
    nearest(&p->reference_tsc_page, at, len, &found);
    for (uint32_t i = 0; i < vps; i++) {
        struct vp *vp = atomic_load_explicit(&p->vps[i], memory_order_acquire);

        for (unsigned n = 0; vp && n < OF_VP; n++)
            nearest(of_vp(vp, n), at, len, &found);
    }
    return found;
}

bool overlay_at(struct partition *p, gpa_t at)
{
    return overlay_in(p, gpa(at.v & PAGE_MASK), PAGE_SIZE);
}

static void flush(struct partition *p)
{
    static const uint64_t everyone[PARTITION_MAX_VPS / 64] = {UINT64_MAX};
    uint64_t generation = gpa_map_generation(p->map);

    vp_flush_tlb_sync(p, everyone);
    gpa_map_reclaim(p->map, generation);
}

/* Memory that the guest may write, or that comes when it is used. */
static bool may_cover(struct gpa_backing b)
{
    return b.access ? (b.access & GUEST_ACCESS) == GUEST_ACCESS && memory_is_ram(b.to) : b.closed;
}

static int show(struct partition *p, struct overlay *o, gpa_t at, const void *bytes, size_t len,
                unsigned access)
{
    struct gpa_backing below;
    int rc;

    if (o->shown && o->at.v == at.v)
        return 0;
    if (overlay_at(p, at) || gpa_map_get(p->map, at, &below) || !may_cover(below))
        return -EFAULT;
    rc = o->frame.v ? 0 : partition_alloc(p, 1, &o->frame);
    if (!rc)
        rc = gpa_map_set(p->map, at, o->frame, PAGE_SIZE, access);
    if (rc)
        return rc;
    overlay_hide(p, o); /* at its earlier place */
    flush(p);
    memset(hpa_to_virt(o->frame), 0, PAGE_SIZE);
    if (len)
        memcpy(hpa_to_virt(o->frame), bytes, len);
    o->at = at;
    o->below = below;
    o->shown = true;
    return 0;
}

int overlay_vp_reserve(struct partition *p)
{
    int64_t was;
    int rc = 0;

    if (!p->is_child)
        return 0;
    spin_lock(&p->lock);
    was = pool_reserve(&p->pool, 0);
    if (pool_reserve(&p->pool, (uint64_t)was + OVERLAY_VP_PAGES) < 0) {
        pool_reserve(&p->pool, (uint64_t)was);
        rc = -ENOMEM;
    }
    spin_unlock(&p->lock);
    return rc;
}

/* Some of them may have been used up. */
void overlay_vp_release(struct partition *p)
{
    int64_t kept;

    if (!p->is_child)
        return;
    spin_lock(&p->lock);
    kept = pool_reserve(&p->pool, 0) - OVERLAY_VP_PAGES;
    if (kept > 0)
        pool_reserve(&p->pool, (uint64_t)kept);
    spin_unlock(&p->lock);
}

/* The guest asks for it, whose parent has no part in this: the reserve is there for it. */
int overlay_show(struct partition *p, struct overlay *o, gpa_t at, const void *bytes, size_t len,
                 unsigned access)
{
    uint64_t before, after, used;
    int64_t kept = pool_reserve(&p->pool, 0);
    int rc;

    pool_balance(&p->pool, &before, &used);
    rc = show(p, o, at, bytes, len, access);
    pool_balance(&p->pool, &after, &used);
    /* What was needed is gone; but a guest that moves an overlay about finds something next time.
     */
    kept -= before > after ? (int64_t)(before - after) : 0;
    if (p->is_child && kept < OVERLAY_PAGES)
        kept = OVERLAY_PAGES;
    while (kept > 0 && pool_reserve(&p->pool, (uint64_t)kept) < 0)
        kept--;
    return rc;
}

void *overlay_bytes(const struct overlay *o)
{
    return o->shown ? hpa_to_virt(o->frame) : NULL;
}

void overlay_free(struct partition *p, struct overlay *o)
{
    if (o->frame.v)
        partition_free(p, o->frame, 1);
    o->frame = hpa(0);
}

void overlay_hide(struct partition *p, struct overlay *o)
{
    if (!o->shown)
        return;
    /* The page has a leaf of its own since it was shown: nothing to allocate. */
    if (gpa_map_put(p->map, o->at, o->below, PAGE_SIZE))
        panic("overlay at %lx of partition %lu cannot be taken away", o->at.v, p->id);
    flush(p);
    o->shown = false;
}
