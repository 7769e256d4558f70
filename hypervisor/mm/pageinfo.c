/* SPDX-License-Identifier: MIT */
#include "hypervisor/mm/pageinfo.h"

#include <stdatomic.h>
#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "lib/bits.h"
#include "lib/errno.h"

/* An entry is NOT_RAM, DEPOSITED, or the number of times that the page is lent. */
#define NOT_RAM   0xffffU
#define DEPOSITED 0xfffeU
#define LENT_MAX  0xfff0U

/* Init only, except the entries. */
static _Atomic uint16_t *table;
static uint64_t table_pages;

static _Atomic uint16_t *entry(hpa_t page)
{
    uint64_t n = page.v >> PAGE_SHIFT;

    return n < table_pages ? &table[n] : NULL;
}

int pageinfo_init(const struct range_map *ram)
{
    uint64_t end = 0;
    hpa_t at;
    int rc;

    range_map_for_each(r, ram)
    {
        if (r->type == RANGE_RAM)
            end = max_u64(end, r->end);
    }
    table_pages = end >> PAGE_SHIFT;
    rc = frame_alloc((unsigned)(align_up(table_pages * sizeof(*table), PAGE_SIZE) >> PAGE_SHIFT), 1,
                     &at);
    if (rc)
        return rc;
    table = hpa_to_virt(at);
    for (uint64_t i = 0; i < table_pages; i++)
        atomic_store_explicit(&table[i], NOT_RAM, memory_order_relaxed);
    range_map_for_each(r, ram)
    {
        uint64_t first = align_up(r->start, PAGE_SIZE) >> PAGE_SHIFT;

        /* Page 0 stays out: pools use its address as the end of their lists. */
        for (uint64_t i = max_u64(first, 1); r->type == RANGE_RAM && i < r->end >> PAGE_SHIFT; i++)
            atomic_store_explicit(&table[i], 0, memory_order_relaxed);
    }
    return 0;
}

int pageinfo_take(hpa_t page)
{
    _Atomic uint16_t *e = entry(page);
    uint16_t none = 0;

    if (!e)
        return -EINVAL;
    if (atomic_compare_exchange_strong_explicit(e, &none, DEPOSITED, memory_order_acq_rel,
                                                memory_order_relaxed))
        return 0;
    return none >= DEPOSITED ? -EINVAL : -EBUSY;
}

void pageinfo_give_back(hpa_t page)
{
    _Atomic uint16_t *e = entry(page);

    assert_hv(e && atomic_load_explicit(e, memory_order_relaxed) == DEPOSITED);
    atomic_store_explicit(e, 0, memory_order_release);
}

int pageinfo_lend(hpa_t page)
{
    _Atomic uint16_t *e = entry(page);
    uint16_t n;

    if (!e)
        return -EINVAL;
    n = atomic_load_explicit(e, memory_order_relaxed);
    do {
        if (n >= DEPOSITED)
            return -EINVAL;
        if (n >= LENT_MAX)
            return -ENOSPC;
    } while (!atomic_compare_exchange_weak_explicit(e, &n, (uint16_t)(n + 1), memory_order_acq_rel,
                                                    memory_order_relaxed));
    return 0;
}

void pageinfo_return(hpa_t page)
{
    _Atomic uint16_t *e = entry(page);
    uint16_t n = e ? atomic_fetch_sub_explicit(e, 1, memory_order_acq_rel) : 0;

    assert_hv(n && n <= LENT_MAX);
}

bool pageinfo_deposited(hpa_t page)
{
    _Atomic uint16_t *e = entry(page);

    return e && atomic_load_explicit(e, memory_order_acquire) == DEPOSITED;
}
