/* SPDX-License-Identifier: MIT */
#ifndef MM_PAGETABLE_H
#define MM_PAGETABLE_H

#include <stdbool.h>
#include "lib/bits.h"
#include "lib/types.h"

/* Page-table entry bits, AMD64 format (APM vol. 2, 5.3 and 15.25 for nested tables). */
#define PTE_P    BIT64(0)
#define PTE_W    BIT64(1)
#define PTE_U    BIT64(2)
#define PTE_PWT  BIT64(3)
#define PTE_PCD  BIT64(4)
#define PTE_A    BIT64(5)
#define PTE_D    BIT64(6)
#define PTE_PS   BIT64(7) /* leaf of 2 MiB or 1 GiB; set and hidden by pagetable.c */
#define PTE_G    BIT64(8)
#define PTE_NX   BIT64(63)
#define PTE_ADDR 0x000FFFFFFFFFF000ULL

/** A closed page's entry: just this, PTE_A and PTE_D. Not present, so a processor ignores it. */
#define PTE_CLOSED BIT64(9)

/** What a caller may ask for in a leaf, PTE_P implied. Others are -EINVAL. */
#define PTE_LEAF_FLAGS (PTE_P | PTE_W | PTE_U | PTE_PWT | PTE_PCD | PTE_A | PTE_D | PTE_G | PTE_NX)

/** Leaf sizes; the value is the level of the table that holds such a leaf. */
enum page_size { PAGE_SIZE_4K, PAGE_SIZE_2M, PAGE_SIZE_1G, PAGE_SIZES };

/** Bytes of a leaf of that size. */
static inline uint64_t page_size_bytes(enum page_size size)
{
    return PAGE_SIZE << (9U * (unsigned)size);
}

enum pagetable_kind {
    PAGETABLE_NESTED, /* addresses 0 .. 2^48; tables and leaves carry U */
    PAGETABLE_HOST,   /* canonical addresses of the hypervisor; tables do not carry U */
};

/** Where table pages come from: one page each, any content; alloc returns 0 or -ENOMEM. */
struct pagetable_alloc {
    int (*alloc)(void *ctx, hpa_t *out);
    void (*free)(void *ctx, hpa_t page);
    void *ctx;
};

/**
 * A tree of 4-level page tables. A page is mapped, or closed, or neither. A closed one is as
 * inaccessible as one that was never mentioned, but pagetable_query() tells them apart; closed
 * entries are as large as leaves, and counted nowhere. Whatever was there before, they begin as
 * accessed and dirty, and stay so until pagetable_mark(). The caller serialises all calls on one
 * tree; processors may walk it at any time (every entry changes by one atomic store).
 *
 * A table that is no longer part of the tree may still be in the walkers' caches:
 * it waits on a list of retired tables until pagetable_reclaim(), which the caller
 * calls after the TLB shootdown.
 */
struct pagetable {
    hpa_t root;
    enum pagetable_kind kind;
    struct pagetable_alloc source;
    uint64_t leaves[PAGE_SIZES]; /* mapped leaves of each size */
    uint64_t tables;             /* table pages in the tree, the root included */
    uint64_t retired_count;
    hpa_t retired; /* head of the list, or 0 */
};

/** Result of pagetable_query(). */
struct pagetable_leaf {
    hpa_t pa;            /* of the queried address, offset included */
    uint64_t flags;      /* PTE_LEAF_FLAGS bits */
    enum page_size size; /* of the leaf, or of the closed entry: then the rest is not set */
};

/** Create an empty tree. `source` is copied; NULL means frame_alloc(). Returns 0 or -ENOMEM. */
int pagetable_init(struct pagetable *pt, enum pagetable_kind kind,
                   const struct pagetable_alloc *source);

/** Free every table. No processor may use the tree any more. Harmless on an all-zero struct. */
void pagetable_destroy(struct pagetable *pt);

/**
 * Map [va, va + len) to [pa, pa + len) with the largest leaves up to max_leaf that alignment
 * allows, replacing what was mapped there. All are multiples of 4 KiB, len > 0.
 * Nested tables get PTE_U by themselves. Returns 0, -EINVAL for a bad range or flag, or -ENOMEM;
 * on an error every translation is what it was before.
 */
int pagetable_map(struct pagetable *pt, uint64_t va, hpa_t pa, uint64_t len, uint64_t leaf_flags,
                  enum page_size max_leaf);

/**
 * Close [va, va + len) with the largest entries up to max_leaf, replacing what was there. Errors
 * as for pagetable_map().
 */
int pagetable_close(struct pagetable *pt, uint64_t va, uint64_t len, enum page_size max_leaf);

/**
 * Remove what is mapped or closed in [va, va + len); holes are fine. Same errors as
 * pagetable_map(); -ENOMEM only when a large entry must be split at an end of the range.
 */
int pagetable_unmap(struct pagetable *pt, uint64_t va, uint64_t len);

/** Replace the flags of all leaves in [va, va + len); holes stay holes. Errors as for unmap. */
int pagetable_protect(struct pagetable *pt, uint64_t va, uint64_t len, uint64_t leaf_flags);

/** Translate. Returns 0, -EACCES: closed, -ENOENT: not even that, -EINVAL: impossible address. */
int pagetable_query(const struct pagetable *pt, uint64_t va, struct pagetable_leaf *out);

/**
 * Clear and set accessed and dirty bits (PTE_A, PTE_D) of the leaf or closed entry of va, whatever
 * its size; *was are all its bits before. Returns 0, -ENOENT or -EINVAL. Cleared bits are set again
 * by processors only after they have flushed.
 */
int pagetable_mark(struct pagetable *pt, uint64_t va, uint64_t clear, uint64_t set, uint64_t *was);

/** Calls `fn` for each leaf in ascending order of addresses. Nested tables only. */
void pagetable_for_each(const struct pagetable *pt,
                        void (*fn)(void *ctx, uint64_t va, hpa_t pa, uint64_t len), void *ctx);

/** Free retired tables: only after all processors have flushed since the last change. */
void pagetable_reclaim(struct pagetable *pt);

#endif
