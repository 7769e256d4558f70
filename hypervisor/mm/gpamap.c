/* SPDX-License-Identifier: MIT */
#include "hypervisor/mm/gpamap.h"
#include "lib/errno.h"

#define ACCESS_ALL ((unsigned)ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)

/*
 * Leaf bits for a set of access rights. Accessed and dirty are set from the start:
 * nobody reads them here, and walkers need not write them.
 */
static uint64_t access_flags(unsigned access)
{
    return PTE_P | PTE_U | PTE_A | PTE_D | (access & ACCESS_WRITE ? PTE_W : 0) |
           (access & ACCESS_EXEC ? 0 : PTE_NX);
}

static unsigned access_of(uint64_t flags)
{
    unsigned access = ACCESS_READ;

    if (flags & PTE_W)
        access |= ACCESS_WRITE;
    if (!(flags & PTE_NX))
        access |= ACCESS_EXEC;
    return access;
}

/* Under the lock, after a change. Release pairs with the acquire in gpa_map_generation(). */
static void generation_advance(struct gpa_map *map)
{
    uint64_t gen = atomic_load_explicit(&map->generation, memory_order_relaxed);

    atomic_store_explicit(&map->generation, gen + 1, memory_order_release);
}

int gpa_map_init(struct gpa_map *map, enum page_size max_leaf, const struct pagetable_alloc *source)
{
    *map = (struct gpa_map){.max_leaf = max_leaf};
    return pagetable_init(&map->pt, PAGETABLE_NESTED, source);
}

void gpa_map_destroy(struct gpa_map *map)
{
    pagetable_destroy(&map->pt);
}

int gpa_map_set(struct gpa_map *map, gpa_t at, hpa_t to, uint64_t len, unsigned access)
{
    int err;

    if (access & ~ACCESS_ALL || !(access & ACCESS_READ))
        return -EINVAL;
    spin_lock(&map->lock);
    err = pagetable_map(&map->pt, at.v, to, len, access_flags(access), map->max_leaf);
    /* A failed change may have retired tables as well. */
    generation_advance(map);
    spin_unlock(&map->lock);
    return err;
}

int gpa_map_close(struct gpa_map *map, gpa_t at, uint64_t len)
{
    int err;

    spin_lock(&map->lock);
    err = pagetable_close(&map->pt, at.v, len, map->max_leaf);
    generation_advance(map);
    spin_unlock(&map->lock);
    return err;
}

int gpa_map_clear(struct gpa_map *map, gpa_t at, uint64_t len)
{
    int err;

    spin_lock(&map->lock);
    err = pagetable_unmap(&map->pt, at.v, len);
    generation_advance(map);
    spin_unlock(&map->lock);
    return err;
}

int gpa_map_get(struct gpa_map *map, gpa_t at, struct gpa_backing *out)
{
    struct pagetable_leaf leaf;
    int err;

    spin_lock(&map->lock);
    err = pagetable_query(&map->pt, at.v & PAGE_MASK, &leaf);
    spin_unlock(&map->lock);
    if (err && err != -EACCES)
        return -EFAULT;
    *out = err ? (struct gpa_backing){.closed = true}
               : (struct gpa_backing){leaf.pa, access_of(leaf.flags), false};
    return 0;
}

int gpa_map_put(struct gpa_map *map, gpa_t at, struct gpa_backing backing, uint64_t len)
{
    if (backing.access)
        return gpa_map_set(map, at, backing.to, len, backing.access);
    return backing.closed ? gpa_map_close(map, at, len) : gpa_map_clear(map, at, len);
}

int gpa_map_lookup(struct gpa_map *map, gpa_t at, unsigned access, hpa_t *out)
{
    struct pagetable_leaf leaf;
    int err;

    spin_lock(&map->lock);
    err = pagetable_query(&map->pt, at.v, &leaf);
    spin_unlock(&map->lock);
    if (err == -EACCES || (!err && access & ~access_of(leaf.flags)))
        return -EACCES;
    if (err < 0)
        return -EFAULT;
    *out = leaf.pa;
    return 0;
}

hpa_t gpa_map_root(const struct gpa_map *map)
{
    return map->pt.root;
}

uint64_t gpa_map_generation(const struct gpa_map *map)
{
    return atomic_load_explicit(&map->generation, memory_order_acquire);
}

void gpa_map_reclaim(struct gpa_map *map, uint64_t flushed)
{
    spin_lock(&map->lock);
    if (atomic_load_explicit(&map->generation, memory_order_relaxed) == flushed)
        pagetable_reclaim(&map->pt);
    spin_unlock(&map->lock);
}

bool gpa_map_retired(struct gpa_map *map)
{
    bool retired;

    spin_lock(&map->lock);
    retired = map->pt.retired_count;
    spin_unlock(&map->lock);
    return retired;
}

bool gpa_map_is_large(struct gpa_map *map, gpa_t at)
{
    struct pagetable_leaf leaf;
    int err;

    spin_lock(&map->lock);
    err = pagetable_query(&map->pt, at.v, &leaf);
    spin_unlock(&map->lock);
    return (!err || err == -EACCES) && leaf.size != PAGE_SIZE_4K;
}

static uint64_t state_flags(unsigned state)
{
    return (state & GPA_ACCESSED ? PTE_A : 0) | (state & GPA_DIRTY ? PTE_D : 0);
}

int gpa_map_track(struct gpa_map *map, gpa_t at, unsigned clear, unsigned set, unsigned *state)
{
    uint64_t was;
    int err;

    spin_lock(&map->lock);
    err = pagetable_mark(&map->pt, at.v, state_flags(clear), state_flags(set), &was);
    spin_unlock(&map->lock);
    if (err < 0)
        return -EFAULT;
    *state = (was & PTE_A ? (unsigned)GPA_ACCESSED : 0) | (was & PTE_D ? (unsigned)GPA_DIRTY : 0);
    return 0;
}

void gpa_map_for_each(struct gpa_map *map,
                      void (*fn)(void *ctx, uint64_t at, hpa_t to, uint64_t len), void *ctx)
{
    spin_lock(&map->lock);
    pagetable_for_each(&map->pt, fn, ctx);
    spin_unlock(&map->lock);
}

uint64_t gpa_map_bytes(struct gpa_map *map)
{
    uint64_t bytes = 0;

    spin_lock(&map->lock);
    for (unsigned i = 0; i < PAGE_SIZES; i++)
        bytes += map->pt.leaves[i] * page_size_bytes((enum page_size)i);
    spin_unlock(&map->lock);
    return bytes;
}
