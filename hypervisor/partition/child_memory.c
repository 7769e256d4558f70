/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/mm/pageinfo.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/child_priv.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"

/*
 * Pages on their way between the parent and its children. The order is what keeps them apart:
 * whoever loses a page is unmapped first; then every VP flushes and every LP passes a barrier;
 * only then the page gets its new owner. Both take as long for one page as for many, so the
 * functions work in batches.
 */

#define BATCH        64U
#define LARGE_PAGES  512U
#define LARGE_SIZE   (LARGE_PAGES * PAGE_SIZE)
#define ALL_ACCESS   ((unsigned)ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)
#define SHARE_ACCESS ((unsigned)ACCESS_READ | ACCESS_WRITE)

/* After a change of translations: nobody uses the old ones, and unused tables are free again. */
static void settle(struct partition *p)
{
    static const uint64_t everyone[PARTITION_MAX_VPS / 64] = {UINT64_MAX};
    uint64_t generation = gpa_map_generation(p->map);

    vp_flush_tlb_sync(p, everyone);
    lp_barrier();
    gpa_map_reclaim(p->map, generation);
}

/* Take one page of the parent's RAM away from it; not settled yet. */
static int take_page(struct partition *from, uint64_t pfn)
{
    hpa_t page = hpa(pfn << PAGE_SHIFT), there;
    int rc;

    if (pfn >= BIT64(52 - PAGE_SHIFT) ||
        gpa_map_lookup(from->map, gpa(page.v), ALL_ACCESS, &there) || there.v != page.v)
        return -EINVAL; /* not its own, or one that shows an overlay now */
    rc = pageinfo_take(page);
    if (rc)
        return rc;
    rc = gpa_map_clear(from->map, gpa(page.v), PAGE_SIZE);
    if (rc)
        pageinfo_give_back(page);
    return rc;
}

int child_deposit(struct partition *p, struct partition *from, const uint64_t *pfns, uint32_t count,
                  uint32_t *done)
{
    uint32_t n = 0;
    int rc = 0;

    while (n < count && n < BATCH && !rc) {
        rc = take_page(from, pfns[n]);
        if (!rc)
            n++;
    }
    if (n)
        settle(from);
    for (uint32_t i = 0; i < n; i++)
        pool_deposit(&p->pool, hpa(pfns[i] << PAGE_SHIFT));
    *done = n;
    return rc;
}

/* A page that nobody in the hypervisor refers to any more becomes the parent's again; -ENOMEM. */
static int return_page(struct partition *to, hpa_t page)
{
    int rc = gpa_map_set(to->map, gpa(page.v), page, PAGE_SIZE, ALL_ACCESS);

    if (!rc)
        pageinfo_give_back(page);
    return rc;
}

int child_withdraw(struct partition *p, struct partition *to, uint64_t *pfns, uint32_t count,
                   uint32_t *done)
{
    hpa_t page;

    *done = 0;
    while (*done < count) {
        if (!pool_withdraw(&p->pool, &page))
            return -ENODATA;
        if (return_page(to, page)) {
            pool_deposit(&p->pool, page);
            return -EAGAIN; /* no room for the parent's tables: it can try again */
        }
        pfns[(*done)++] = page.v >> PAGE_SHIFT;
    }
    return 0;
}

int child_share_page(struct partition *p, hpa_t *out)
{
    hpa_t page;
    int rc = pool_alloc(&p->pool, 1, &page);

    if (rc)
        return rc;
    rc = gpa_map_set(p->parent->map, gpa(page.v), page, PAGE_SIZE, SHARE_ACCESS);
    if (rc) {
        pool_free(&p->pool, page, 1);
        return rc;
    }
    *out = page;
    return 0;
}

void child_unshare_page(struct partition *p, hpa_t page)
{
    if (gpa_map_clear(p->parent->map, gpa(page.v), PAGE_SIZE))
        panic("page %lx cannot be hidden from the parent", page.v);
    settle(p->parent);
    pool_free(&p->pool, page, 1);
}

/* The pages below `count` small leaves from `at` on are lent once less; they are settled. */
static void lent_back(struct partition *p, const hpa_t *pages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (pages[i].v)
            pageinfo_return(pages[i]);
}

/* What is mapped at a page, 0 for nothing: under an overlay the guest's own page counts. */
static hpa_t mapped_page(struct partition *p, gpa_t at)
{
    const struct overlay *o = overlay_in(p, at, PAGE_SIZE);
    hpa_t page;

    if (o)
        return o->below.to;
    return gpa_map_lookup(p->map, at, ACCESS_READ, &page) ? hpa(0) : page;
}

/* The backing of what lies `offset` further on. No memory: 0, where nobody's RAM is. */
static struct gpa_backing further(struct gpa_backing b, uint64_t offset)
{
    if (b.access)
        b.to.v += offset;
    return b;
}

static int change_piece(struct partition *p, struct gpa_backing b, gpa_t at, uint64_t from,
                        uint64_t to)
{
    return from == to ? 0 : gpa_map_put(p->map, gpa(at.v + from), further(b, from), to - from);
}

/*
 * Under the lock. Overlays stay where they are, whatever happens to the pages below them. A range
 * with some is a large unit, or just that page.
 */
static int change_map(struct partition *p, struct gpa_backing b, gpa_t at, uint64_t len)
{
    struct overlay *o = overlay_in(p, at, len);
    uint64_t from = 0;

    if (!o)
        return change_piece(p, b, at, 0, len);
    for (; o; o = overlay_in(p, gpa(at.v + from), len - from)) {
        uint64_t to = o->at.v - at.v;

        /* These cannot fail: an overlay is a small page, so the unit has its table. */
        if (change_piece(p, b, at, from, to))
            panic("before the overlay at %lx of partition %lu", o->at.v, p->id);
        o->below = further(b, to);
        from = to + PAGE_SIZE;
    }
    if (change_piece(p, b, at, from, len))
        panic("behind overlays at %lx of partition %lu", at.v + from, p->id);
    return 0;
}

/* Small pages that can be changed together: an overlay goes alone. Under the lock. */
static uint32_t up_to_overlay(struct partition *p, gpa_t at, uint32_t pages)
{
    const struct overlay *o = overlay_in(p, at, pages * PAGE_SIZE);

    if (!o)
        return pages;
    return o->at.v == at.v ? 1 : (uint32_t)((o->at.v - at.v) >> PAGE_SHIFT);
}

static unsigned access_of(uint32_t flags)
{
    unsigned access = 0;

    access |= flags & HV_MAP_GPA_READABLE ? (unsigned)ACCESS_READ : 0;
    access |= flags & HV_MAP_GPA_WRITABLE ? (unsigned)ACCESS_WRITE : 0;
    access |= flags & (HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE)
                  ? (unsigned)ACCESS_EXEC
                  : 0;
    return access;
}

/* Is this the parent's RAM, which it may lend? */
static int lend_range(struct partition *from, hpa_t first, uint64_t len)
{
    uint64_t at = first.v;
    hpa_t there;
    int rc = 0;

    for (; at < first.v + len && !rc; at += PAGE_SIZE) {
        rc = pageinfo_lend(hpa(at));
        if (rc)
            break;
        /* After lending: from now on it cannot be deposited. Shared pages are mapped, not lent. */
        if (gpa_map_lookup(from->map, gpa(at), ACCESS_READ, &there) || there.v != at) {
            pageinfo_return(hpa(at));
            rc = -EINVAL;
            break;
        }
    }
    if (rc)
        while (at > first.v)
            pageinfo_return(hpa(at -= PAGE_SIZE));
    return rc;
}

/* One unit of `len` bytes. The pages that were mapped before go to `old` until they are settled. */
static int map_unit(struct partition *p, struct partition *from, gpa_t at, hpa_t to, uint64_t len,
                    unsigned access, hpa_t *old)
{
    const struct gpa_backing b = {to, access, false};
    int rc = lend_range(from, to, len);

    if (rc)
        return rc;
    spin_lock(&p->lock);
    for (uint64_t i = 0; i < len / PAGE_SIZE; i++)
        old[i] = mapped_page(p, gpa(at.v + i * PAGE_SIZE));
    rc = change_map(p, b, at, len);
    spin_unlock(&p->lock);
    if (rc) {
        settle(p); /* tables that it made and does not need go back to the pool */
        for (uint64_t i = 0; i < len / PAGE_SIZE; i++)
            pageinfo_return(hpa(to.v + i * PAGE_SIZE));
    }
    return rc;
}

/* May a processor still know what was there: one of these pages, or a table that fell out of use?
 */
static bool in_use(struct partition *p, const hpa_t *pages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (pages[i].v)
            return true;
    return gpa_map_retired(p->map);
}

static bool unit_valid(gpa_t at, uint64_t unit, uint32_t count)
{
    return !(at.v & (unit - 1)) && at.v < BIT64(48) && count <= (BIT64(48) - at.v) / unit;
}

int child_map(struct partition *p, struct partition *from, gpa_t at, const uint64_t *pfns,
              uint32_t count, uint32_t flags, uint32_t *done)
{
    uint64_t unit = flags & HV_MAP_GPA_LARGE_PAGE ? LARGE_SIZE : PAGE_SIZE;
    unsigned access = access_of(flags);
    uint32_t batch = unit == PAGE_SIZE ? BATCH : 1, n = 0;
    hpa_t old[LARGE_PAGES];
    int rc = 0;

    *done = 0;
    if (!unit_valid(at, unit, count) || !(access & ACCESS_READ))
        return -EINVAL;
    while (n < count && n < batch && !rc) {
        hpa_t to = hpa(pfns[n] << PAGE_SHIFT);

        rc = -EINVAL;
        if (pfns[n] < BIT64(52 - PAGE_SHIFT) && !(to.v & (unit - 1)))
            rc = map_unit(p, from, gpa(at.v + n * unit), to, unit, access,
                          unit == PAGE_SIZE ? &old[n] : old);
        if (!rc)
            n++;
    }
    if (n && in_use(p, old, (uint32_t)(n * (unit / PAGE_SIZE)))) {
        settle(p);
        lent_back(p, old, (uint32_t)(n * (unit / PAGE_SIZE)));
    }
    *done = n;
    return rc;
}

/* One batch, of small pages or one large one; *done of `count` units. */
static int take_back(struct partition *p, gpa_t at, uint32_t count, bool large, bool closed,
                     uint32_t *done)
{
    const struct gpa_backing b = {hpa(0), 0, closed};
    uint32_t pages = large ? LARGE_PAGES : (uint32_t)min_u64(count, LARGE_PAGES);
    hpa_t old[LARGE_PAGES];
    int rc;

    *done = 0;
    if (!unit_valid(at, large ? LARGE_SIZE : PAGE_SIZE, count))
        return -EINVAL;
    spin_lock(&p->lock);
    if (!large)
        pages = up_to_overlay(p, at, pages);
    for (uint32_t i = 0; i < pages; i++)
        old[i] = mapped_page(p, gpa(at.v + i * PAGE_SIZE));
    rc = change_map(p, b, at, pages * PAGE_SIZE);
    spin_unlock(&p->lock);
    if (rc || in_use(p, old, pages))
        settle(p);
    if (rc)
        return rc;
    lent_back(p, old, pages);
    *done = large ? 1 : pages;
    return 0;
}

int child_unmap(struct partition *p, gpa_t at, uint32_t count, bool large, uint32_t *done)
{
    return take_back(p, at, count, large, false, done);
}

int child_close(struct partition *p, gpa_t at, uint32_t count, bool large, uint32_t *done)
{
    return take_back(p, at, count, large, true, done);
}

static void track_leaf(void *ctx, uint64_t at, hpa_t to, uint64_t len)
{
    struct pagetable *pt = ctx;
    uint64_t was;

    pagetable_mark(pt, at, PTE_A | PTE_D, 0, &was);
}

void child_track(struct partition *p, bool on)
{
    __atomic_store_n(&p->properties.page_access_tracking, on, __ATOMIC_SEQ_CST);
    if (!on)
        return;
    gpa_map_for_each(p->map, track_leaf, &p->map->pt);
    settle(p);
}

int child_access_states(struct partition *p, gpa_t at, uint32_t count, uint64_t flags,
                        uint8_t *states, uint32_t *done)
{
    unsigned clear = (flags & HV_GPA_ACCESS_CLEAR_ACCESSED ? (unsigned)GPA_ACCESSED : 0) |
                     (flags & HV_GPA_ACCESS_CLEAR_DIRTY ? (unsigned)GPA_DIRTY : 0);
    unsigned set = (flags & HV_GPA_ACCESS_SET_ACCESSED ? (unsigned)GPA_ACCESSED : 0) |
                   (flags & HV_GPA_ACCESS_SET_DIRTY ? (unsigned)GPA_DIRTY : 0);
    uint32_t n = (uint32_t)min_u64(count, LARGE_PAGES);

    *done = 0;
    if (!p->properties.page_access_tracking)
        return -EBADF;
    if (!unit_valid(at, PAGE_SIZE, count))
        return -EINVAL;
    for (uint32_t i = 0; i < n; i++) {
        gpa_t page = gpa(at.v + i * PAGE_SIZE);
        unsigned state = 0;

        /* The bits of a large leaf are cleared with its last page that is asked for. */
        bool last = i == n - 1 || !((page.v + PAGE_SIZE) & (LARGE_SIZE - 1)) ||
                    !gpa_map_is_large(p->map, page);

        gpa_map_track(p->map, page, last ? clear : 0, set, &state);
        states[i] = (uint8_t)state;
    }
    if (clear)
        settle(p);
    *done = n;
    return 0;
}

/* Every page of the map, whatever its size, is lent once. */
static void lent_leaf(void *ctx, uint64_t at, hpa_t to, uint64_t len)
{
    for (uint64_t i = 0; i < len; i += PAGE_SIZE)
        pageinfo_return(hpa(to.v + i));
}

void child_memory_destroy(struct partition *p)
{
    overlay_hide(p, &p->hypercall_page);
    overlay_free(p, &p->hypercall_page);
    overlay_hide(p, &p->reference_tsc_page);
    overlay_free(p, &p->reference_tsc_page);
    gpa_map_for_each(p->map, lent_leaf, NULL);
    gpa_map_destroy(p->map);
}
