/* SPDX-License-Identifier: MIT */
#include "hypervisor/mm/pool.h"

#include "hypervisor/mm/direct.h"
#include "lib/errno.h"
#include "lib/string.h"

/* How far the list is searched for contiguous pages. */
#define SEARCH_MAX 4096U

/* A free page holds the address of the next one in its first bytes. */
static hpa_t *next_of(hpa_t page)
{
    return hpa_to_virt(page);
}

void pool_init(struct pool *p)
{
    *p = (struct pool){0};
}

static void push(struct pool *p, hpa_t page)
{
    *next_of(page) = p->head;
    p->head = page;
    p->available++;
}

void pool_deposit(struct pool *p, hpa_t page)
{
    spin_lock(&p->lock);
    push(p, page);
    spin_unlock(&p->lock);
}

bool pool_withdraw(struct pool *p, hpa_t *page)
{
    bool found;

    spin_lock(&p->lock);
    found = p->available > p->reserve;
    if (found) {
        *page = p->head;
        p->head = *next_of(*page);
        p->available--;
    }
    spin_unlock(&p->lock);
    if (found)
        memset(hpa_to_virt(*page), 0, PAGE_SIZE);
    return found;
}

/*
 * `pages` neighbours on the list that are neighbours in memory as well, in one direction. Returns
 * the link that leads to the first of them, or NULL; *low is the lowest of them.
 */
static hpa_t *find_run(struct pool *p, unsigned pages, hpa_t *low)
{
    hpa_t *link = &p->head;

    for (unsigned n = 0; n < SEARCH_MAX && link->v; n++) {
        hpa_t last = *link;
        uint64_t step = next_of(last)->v - last.v;
        unsigned run = 1;

        while (run < pages && (step == PAGE_SIZE || step == -PAGE_SIZE) && next_of(last)->v &&
               next_of(last)->v - last.v == step) {
            last = *next_of(last);
            run++;
        }
        if (run == pages) {
            *low = last.v < link->v ? last : *link;
            return link;
        }
        link = next_of(*link);
    }
    return NULL;
}

int pool_alloc(struct pool *p, unsigned pages, hpa_t *out)
{
    hpa_t *link, low, last;
    int rc = -ENOMEM;

    spin_lock(&p->lock);
    if (pages && p->available >= pages + p->reserve) {
        link = find_run(p, pages, &low);
        rc = link ? 0 : -ENOSPC;
    }
    if (!rc) {
        last = *link;
        for (unsigned i = 1; i < pages; i++)
            last = *next_of(last);
        *link = *next_of(last);
        p->available -= pages;
        p->in_use += pages;
    }
    spin_unlock(&p->lock);
    if (rc)
        return rc;
    memset(hpa_to_virt(low), 0, (size_t)pages << PAGE_SHIFT);
    *out = low;
    return 0;
}

void pool_free(struct pool *p, hpa_t page, unsigned pages)
{
    memset(hpa_to_virt(page), 0, (size_t)pages << PAGE_SHIFT);
    spin_lock(&p->lock);
    for (unsigned i = pages; i-- > 0;)
        push(p, hpa(page.v + i * PAGE_SIZE));
    p->in_use -= pages;
    spin_unlock(&p->lock);
}

int64_t pool_reserve(struct pool *p, uint64_t pages)
{
    int64_t was = -ENOMEM;

    spin_lock(&p->lock);
    if (p->available >= pages) {
        was = (int64_t)p->reserve;
        p->reserve = pages;
    }
    spin_unlock(&p->lock);
    return was;
}

static int table_alloc(void *ctx, hpa_t *out)
{
    return pool_alloc(ctx, 1, out) ? -ENOMEM : 0;
}

static void table_free(void *ctx, hpa_t page)
{
    pool_free(ctx, page, 1);
}

struct pagetable_alloc pool_pagetables(struct pool *p)
{
    return (struct pagetable_alloc){table_alloc, table_free, p};
}

void pool_balance(struct pool *p, uint64_t *available, uint64_t *in_use)
{
    spin_lock(&p->lock);
    *available = p->available;
    *in_use = p->in_use;
    spin_unlock(&p->lock);
}
