/* SPDX-License-Identifier: MIT */
#ifndef UNIT_SHIM_MEMORY_H
#define UNIT_SHIM_MEMORY_H

/*
 * Memory of partitions for tests: pages of an arena, counted, of which at most `shim_pages_left`
 * can be had. Included by one source file of a test.
 */
#include <stdlib.h>
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/pool.h"
#include "hypervisor/partition/partition.h"
#include "lib/errno.h"
#include "lib/string.h"

#define SHIM_MEMORY_PAGES 128U

uintptr_t direct_map_base;
static _Alignas(4096) uint8_t shim_memory[SHIM_MEMORY_PAGES * PAGE_SIZE];
static bool shim_page_used[SHIM_MEMORY_PAGES];
static unsigned shim_pages_left;

static inline void shim_memory_start(unsigned pages)
{
    memset(shim_page_used, 0, sizeof(shim_page_used));
    shim_pages_left = pages;
}

static inline unsigned shim_pages_used(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SHIM_MEMORY_PAGES; i++)
        n += shim_page_used[i];
    return n;
}

int pool_alloc(struct pool *p, unsigned pages, hpa_t *out)
{
    if (pages != 1)
        abort();
    for (unsigned i = 0; i < SHIM_MEMORY_PAGES && shim_pages_left; i++) {
        if (shim_page_used[i])
            continue;
        shim_page_used[i] = true;
        shim_pages_left--;
        memset(shim_memory + i * PAGE_SIZE, 0, PAGE_SIZE);
        *out = virt_to_hpa(shim_memory + i * PAGE_SIZE);
        return 0;
    }
    return -ENOMEM;
}

void pool_free(struct pool *p, hpa_t page, unsigned pages)
{
    size_t i = (size_t)((uint8_t *)hpa_to_virt(page) - shim_memory) / PAGE_SIZE;

    if (pages != 1 || page.v % PAGE_SIZE || i >= SHIM_MEMORY_PAGES || !shim_page_used[i])
        abort();
    shim_page_used[i] = false;
    shim_pages_left++;
    memset(shim_memory + i * PAGE_SIZE, 0xA5, PAGE_SIZE);
}

int partition_alloc(struct partition *p, unsigned pages, hpa_t *out)
{
    return pool_alloc(&p->pool, pages, out);
}

void partition_free(struct partition *p, hpa_t page, unsigned pages)
{
    pool_free(&p->pool, page, pages);
}

#endif
