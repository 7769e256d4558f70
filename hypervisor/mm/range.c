/* SPDX-License-Identifier: MIT */
#include "hypervisor/mm/range.h"

#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

void range_map_init(struct range_map *map)
{
    map->count = 0;
}

/** The first range that ends after `addr`; map->count if there is none. */
static unsigned first_after(const struct range_map *map, uint64_t addr)
{
    unsigned lo = 0;
    unsigned hi = map->count;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (map->r[mid].end > addr)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/** The end of [start, start + len), cut at the end of physical memory; start if nothing is left. */
static uint64_t range_end(uint64_t start, uint64_t len)
{
    if (start >= RANGE_ADDR_END)
        return start;
    return len > RANGE_ADDR_END - start ? RANGE_ADDR_END : start + len;
}

int range_map_set(struct range_map *map, uint64_t start, uint64_t len, enum range_type type)
{
    uint64_t end = range_end(start, len);
    struct range piece[3]; /* what replaces r[first .. last - 1]: left rest, new, right rest */
    unsigned pieces = 0;

    if ((unsigned)type > RANGE_UNUSABLE)
        return -EINVAL;
    if (start >= end)
        return 0;

    unsigned first = first_after(map, start);
    /* A neighbour of the same type that only touches takes part, to be merged. */
    if (first && map->r[first - 1].end == start && map->r[first - 1].type == type)
        first--;
    unsigned last = first;
    while (last < map->count &&
           (map->r[last].start < end || (map->r[last].start == end && map->r[last].type == type)))
        last++;

    struct range new = {start, end, type};
    struct range right = {0};
    if (first < last) {
        struct range left = {map->r[first].start, start, map->r[first].type};
        right = (struct range){end, map->r[last - 1].end, map->r[last - 1].type};
        if (left.start < left.end && left.type == type)
            new.start = left.start;
        else if (left.start < left.end)
            piece[pieces++] = left;
        if (right.start < right.end && right.type == type)
            new.end = right.end;
    }
    if (type != RANGE_NONE)
        piece[pieces++] = new;
    if (right.start < right.end && right.type != type)
        piece[pieces++] = right;

    unsigned count = map->count - (last - first) + pieces;
    if (count > RANGE_MAX)
        return -ENOSPC;
    memmove(&map->r[first + pieces], &map->r[last], (map->count - last) * sizeof(map->r[0]));
    memcpy(&map->r[first], piece, pieces * sizeof(piece[0]));
    map->count = count;
    return 0;
}

int range_map_add(struct range_map *map, uint64_t start, uint64_t len, enum range_type type)
{
    uint64_t end = range_end(start, len);

    if ((unsigned)type > RANGE_UNUSABLE)
        return -EINVAL;
    /* Ends: each round goes past a range or a gap, of which there are at most RANGE_MAX + 1. */
    for (uint64_t at = start; at < end;) {
        unsigned i = first_after(map, at);
        bool inside = i < map->count && map->r[i].start <= at;
        uint64_t stop = end;

        if (inside)
            stop = min_u64(end, map->r[i].end);
        else if (i < map->count)
            stop = min_u64(end, map->r[i].start);
        if (!inside || type > map->r[i].type) {
            int err = range_map_set(map, at, stop - at, type);
            if (err)
                return err;
        }
        at = stop;
    }
    return 0;
}

enum range_type range_map_type(const struct range_map *map, uint64_t addr)
{
    unsigned i = first_after(map, addr);

    return i < map->count && map->r[i].start <= addr ? map->r[i].type : RANGE_NONE;
}

bool range_map_is_ram(const struct range_map *map, uint64_t start, uint64_t len)
{
    if (!len)
        return true;
    if (start > UINT64_MAX - len)
        return false;
    unsigned i = first_after(map, start);

    /* One range is enough to look at: neighbours of the same type are merged. */
    return i < map->count && map->r[i].type == RANGE_RAM && map->r[i].start <= start &&
           start + len <= map->r[i].end;
}

uint64_t range_map_total(const struct range_map *map, enum range_type type)
{
    uint64_t sum = 0;

    range_map_for_each(it, map) if (it->type == type) sum += it->end - it->start;
    return sum;
}

/** The avoided range that [at, at + size) runs into, or NULL. */
static const struct range *blocker(const struct range_query *q, uint64_t at)
{
    for (unsigned i = 0; i < q->avoid_count; i++)
        if (q->avoid[i].start < q->avoid[i].end && at < q->avoid[i].end &&
            q->avoid[i].start < at + q->size)
            return &q->avoid[i];
    return NULL;
}

/*
 * Search [start, end), which lies in RAM. Each step jumps over an avoided range
 * for good, so there are at most avoid_count + 1 of them.
 */
static bool find_up(const struct range_query *q, uint64_t start, uint64_t end, uint64_t *out)
{
    uint64_t at = align_up(start, q->align ? q->align : 1);

    while (at >= start && at < end && end - at >= q->size) {
        const struct range *b = blocker(q, at);

        if (!b) {
            *out = at;
            return true;
        }
        start = b->end;
        at = align_up(start, q->align ? q->align : 1);
    }
    return false;
}

static bool find_down(const struct range_query *q, uint64_t start, uint64_t end, uint64_t *out)
{
    while (end > start && end - start >= q->size) {
        uint64_t at = align_down(end - q->size, q->align ? q->align : 1);

        if (at < start)
            return false;
        const struct range *b = blocker(q, at);
        if (!b) {
            *out = at;
            return true;
        }
        end = b->start;
    }
    return false;
}

int range_map_find(const struct range_map *map, const struct range_query *query, uint64_t *out)
{
    uint64_t max = query->max ? query->max : RANGE_ADDR_END;

    if (!query->size || (query->align & (query->align - 1)))
        return -EINVAL;
    for (unsigned n = 0; n < map->count; n++) {
        const struct range *r = &map->r[query->top_down ? map->count - 1 - n : n];
        uint64_t start = max_u64(r->start, query->min);
        uint64_t end = min_u64(r->end, max);

        if (r->type != RANGE_RAM || start >= end)
            continue;
        if (query->top_down ? find_down(query, start, end, out) : find_up(query, start, end, out))
            return 0;
    }
    return -ENOENT;
}
