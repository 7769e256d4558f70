/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/overlay.h"

#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

#define GUEST_ACCESS (ACCESS_READ | ACCESS_WRITE)
#define ALL_ACCESS   (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)

static void flush(struct partition *p)
{
    static const uint64_t everyone[PARTITION_MAX_VPS / 64] = {UINT64_MAX};
    uint64_t generation = gpa_map_generation(p->map);

    vp_flush_tlb_sync(p, everyone);
    gpa_map_reclaim(p->map, generation);
}

static int show(struct partition *p, struct overlay *o, gpa_t at, const void *bytes, size_t len)
{
    hpa_t below;
    int rc;

    /* The bytes are the same, and the page below may be away just now. */
    if (o->shown && o->at.v == at.v)
        return 0;
    overlay_hide(p, o);
    if (gpa_map_lookup(p->map, at, GUEST_ACCESS, &below) || !memory_is_ram(below))
        return -EFAULT;
    if (!o->frame.v) {
        rc = partition_alloc(p, 1, &o->frame);
        if (rc)
            return rc;
    }
    memset(hpa_to_virt(o->frame), 0, PAGE_SIZE);
    memcpy(hpa_to_virt(o->frame), bytes, len);
    rc = gpa_map_set(p->map, at, o->frame, PAGE_SIZE, ACCESS_READ | ACCESS_EXEC);
    if (rc)
        return rc;
    flush(p);
    o->at = at;
    o->below = (struct gpa_backing){below, ALL_ACCESS, false};
    o->shown = true;
    return 0;
}

/* The guest asks for it, whose parent has no part in this: the reserve is there for it. */
int overlay_show(struct partition *p, struct overlay *o, gpa_t at, const void *bytes, size_t len)
{
    int64_t kept = pool_reserve(&p->pool, 0);
    int rc = show(p, o, at, bytes, len);

    /* What was needed is gone for good; what is left stays for the next time. */
    while (kept > 0 && pool_reserve(&p->pool, (uint64_t)kept) < 0)
        kept--;
    return rc;
}

bool overlay_at(const struct partition *p, gpa_t at)
{
    const struct overlay *o = &p->hypercall_page;

    return o->shown && o->at.v == (at.v & PAGE_MASK);
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
