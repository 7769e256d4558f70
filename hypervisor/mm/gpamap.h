/* SPDX-License-Identifier: MIT */
#ifndef MM_GPAMAP_H
#define MM_GPAMAP_H

#include <stdatomic.h>
#include "hypervisor/mm/guest.h"
#include "hypervisor/mm/pagetable.h"
#include "lib/spinlock.h"
#include "lib/types.h"

/**
 * What a partition's guest physical addresses mean: nested page tables with a
 * lock. The lock has the rank "gpa map"; no function here calls back while it
 * is held, except to allocate frames.
 *
 * Changing a translation takes three steps, the middle one the caller's:
 *
 *     gpa_map_set(), gpa_map_close() or gpa_map_clear()
 *     gen = gpa_map_generation(map); flush every LP that runs the partition
 *     gpa_map_reclaim(map, gen)
 *
 * A page that was unmapped must not be given another owner before the flush.
 */
struct gpa_map {
    struct spinlock lock;
    struct pagetable pt;         /* lock */
    enum page_size max_leaf;     /* init only */
    _Atomic uint64_t generation; /* written under the lock: counts changes */
};

/** Create an empty map. `source` as in pagetable_init(). Returns 0 or -ENOMEM. */
int gpa_map_init(struct gpa_map *map, enum page_size max_leaf,
                 const struct pagetable_alloc *source);

/** Free the tables; no LP may use them any more. */
void gpa_map_destroy(struct gpa_map *map);

/**
 * Map [at, at + len) to [to, to + len) with `access`, a set of enum access bits that
 * includes ACCESS_READ (nested paging cannot express less), replacing what was there.
 * All are multiples of 4 KiB. Returns 0, -EINVAL or -ENOMEM; on an error nothing changed.
 */
int gpa_map_set(struct gpa_map *map, gpa_t at, hpa_t to, uint64_t len, unsigned access);

/**
 * Make [at, at + len) known but not accessible in any way, whatever was there; entries are as
 * large as those of gpa_map_set(). Returns 0, -EINVAL or -ENOMEM; on an error nothing changed.
 */
int gpa_map_close(struct gpa_map *map, gpa_t at, uint64_t len);

/** Forget [at, at + len); holes are fine. Returns 0, -EINVAL or -ENOMEM; then nothing changed. */
int gpa_map_clear(struct gpa_map *map, gpa_t at, uint64_t len);

/** What stands behind guest addresses: memory from `to` on, a closed page, or nothing. */
struct gpa_backing {
    hpa_t to;
    unsigned access; /* enum access bits; 0: no memory */
    bool closed;     /* then */
};

/** What stands behind the page of `at`. 0, or -EFAULT if nothing does. `map` is locked. */
int gpa_map_get(struct gpa_map *map, gpa_t at, struct gpa_backing *out);

/** Put [at, at + len) on `backing`: one of the three above, with its errors. */
int gpa_map_put(struct gpa_map *map, gpa_t at, struct gpa_backing backing, uint64_t len);

/**
 * Host address of the byte at `at`, if the partition has all of `access` (enum access bits)
 * there. Returns 0; -EACCES if it has less there, perhaps nothing, but the address is known; or
 * -EFAULT. On errors *out is untouched. `map` is not const: it is locked.
 */
int gpa_map_lookup(struct gpa_map *map, gpa_t at, unsigned access, hpa_t *out);

/** The root table: nCR3 of the VPs. Constant between init and destroy. */
hpa_t gpa_map_root(const struct gpa_map *map);

/** Number of changes so far. Read it after a change and before the flush. */
uint64_t gpa_map_generation(const struct gpa_map *map);

/**
 * Free tables that fell out of use, if the map has not changed since `flushed`, the generation
 * that every LP has flushed. If it has, whoever changed it will reclaim these tables too.
 */
void gpa_map_reclaim(struct gpa_map *map, uint64_t flushed);

/** Do tables wait for gpa_map_reclaim()? */
bool gpa_map_retired(struct gpa_map *map);

/** Is this page mapped or closed together with others, as one large entry? */
bool gpa_map_is_large(struct gpa_map *map, gpa_t at);

/** What has happened to a page: bits of gpa_map_track(). */
enum gpa_state { GPA_ACCESSED = 1, GPA_DIRTY = 2 };

/**
 * Which of the two have happened to the page since they were cleared, in *state; then clear some
 * and set some. A large entry has them in common. A closed page begins with both, as nobody looks
 * what happened to it before. 0 or -EFAULT. After clearing, every LP that runs
 * the partition must flush. They are set from the start, until somebody clears them.
 */
int gpa_map_track(struct gpa_map *map, gpa_t at, unsigned clear, unsigned set, unsigned *state);

/** Calls `fn` for each leaf, in ascending order, with the lock held. */
void gpa_map_for_each(struct gpa_map *map,
                      void (*fn)(void *ctx, uint64_t at, hpa_t to, uint64_t len), void *ctx);

/** Bytes mapped now. */
uint64_t gpa_map_bytes(struct gpa_map *map);

#endif
