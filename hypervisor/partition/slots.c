/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/slots.h"

#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

#define SLOTS 63U /* the first place is the page's own */

struct slot_page {
    struct slot_page *next;
    uint64_t used; /* bit n: slot n */
    uint8_t rest[SLOT_SIZE - 16];
    uint8_t slot[SLOTS][SLOT_SIZE];
};
_Static_assert(sizeof(struct slot_page) == PAGE_SIZE, "one page");

static int page_with_room(struct slots *s, struct pool *pool, struct slot_page **out)
{
    struct slot_page *page = s->pages;
    hpa_t at;

    while (page && page->used == BIT64(SLOTS) - 1)
        page = page->next;
    if (!page) {
        if (pool_alloc(pool, 1, &at))
            return -ENOMEM;
        page = hpa_to_virt(at);
        page->next = s->pages;
        s->pages = page;
    }
    *out = page;
    return 0;
}

int slot_alloc(struct slots *s, struct pool *pool, void **out)
{
    struct slot_page *page;
    unsigned n;
    int rc = page_with_room(s, pool, &page);

    if (rc)
        return rc;
    n = (unsigned)__builtin_ctzll(~page->used);
    page->used |= BIT64(n);
    memset(page->slot[n], 0, SLOT_SIZE);
    *out = page->slot[n];
    return 0;
}

void slot_free(struct slots *s, struct pool *pool, void *slot)
{
    struct slot_page *page = (void *)((uintptr_t)slot & PAGE_MASK), **link = &s->pages;
    size_t n = (size_t)((uint8_t *)slot - page->slot[0]) / SLOT_SIZE;

    assert_hv(page->used & BIT64(n));
    page->used &= ~BIT64(n);
    if (page->used)
        return;
    while (*link != page)
        link = &(*link)->next;
    *link = page->next;
    pool_free(pool, virt_to_hpa(page), 1);
}

void slots_destroy(struct slots *s, struct pool *pool)
{
    while (s->pages) {
        struct slot_page *page = s->pages;

        s->pages = page->next;
        pool_free(pool, virt_to_hpa(page), 1);
    }
}
