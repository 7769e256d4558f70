/* SPDX-License-Identifier: MIT */
#ifndef MM_POOL_H
#define MM_POOL_H

#include "hypervisor/mm/pagetable.h"
#include "lib/spinlock.h"
#include "lib/types.h"

/**
 * The memory that a parent has deposited for one partition: single pages on a list that runs
 * through the pages themselves (nobody else can reach them). What a partition needs of the
 * hypervisor comes from here, so that no parent can use up memory that serves others.
 */
struct pool {
    struct spinlock lock; /* rank "frames"; protects what follows */
    hpa_t head;           /* first free page, 0: none */
    uint64_t available;   /* free pages */
    uint64_t in_use;      /* pages that pool_alloc() gave out */
    uint64_t reserve;     /* free pages that nobody gets now: see pool_reserve() */
};

/** An empty pool. */
void pool_init(struct pool *p);

/** Add a page that pageinfo_take() has made the hypervisor's and that nobody maps any more. */
void pool_deposit(struct pool *p, hpa_t page);

/** Take a free page out, zeroed, for its way back to the parent. False when there is none. */
bool pool_withdraw(struct pool *p, hpa_t *page);

/**
 * Take `pages` contiguous pages, zeroed. 0, -ENOMEM if not even that many are free, or -ENOSPC if
 * only scattered ones are: pages that were deposited one after the other are found.
 */
int pool_alloc(struct pool *p, unsigned pages, hpa_t *out);

/** Give pages back that pool_alloc() gave out; they are scrubbed. */
void pool_free(struct pool *p, hpa_t page, unsigned pages);

/**
 * Keep so many free pages back from allocations and withdrawals, or allow all of them (0), for what
 * cannot fail for want of memory: a guest's own actions. Returns how many were kept back. -ENOMEM
 * if so many are not free; nothing has changed then.
 */
int64_t pool_reserve(struct pool *p, uint64_t pages);

/** A source of page tables for pagetable_init(). */
struct pagetable_alloc pool_pagetables(struct pool *p);

/** Numbers of free and of used pages. */
void pool_balance(struct pool *p, uint64_t *available, uint64_t *in_use);

#endif
