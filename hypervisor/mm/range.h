/* SPDX-License-Identifier: MIT */
#ifndef MM_RANGE_H
#define MM_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/** What a physical range is; the values are those of the e820 map (ACPI "Address Range Types"). */
enum range_type {
    RANGE_NONE = 0, /* not in the map: device memory or nothing at all */
    RANGE_RAM = 1,
    RANGE_RESERVED = 2,
    RANGE_ACPI = 3, /* tables; RAM once they have been read */
    RANGE_NVS = 4,
    RANGE_UNUSABLE = 5,
};

/** Physical addresses end here (52 bits, APM 2 "Long-Mode Page Translation"); what is above is cut.
 */
#define RANGE_ADDR_END (1ULL << 52)

#define RANGE_MAX 256

/** Bytes start .. end - 1. */
struct range {
    uint64_t start;
    uint64_t end;
    enum range_type type;
};

/**
 * Ranges r[0 .. count - 1]: sorted, not empty, disjoint, neighbours of one type merged.
 * Read freely; change only through the functions below. No lock: one owner at a time.
 */
struct range_map {
    unsigned count;
    struct range r[RANGE_MAX];
};

/** Make the map empty. */
void range_map_init(struct range_map *map);

/**
 * Give start .. start + len - 1 the type, whatever it was before; RANGE_NONE
 * carves it out. A length past the end of the address space is cut.
 * Returns 0; -EINVAL for a type that does not exist; -ENOSPC if the map would
 * need more than RANGE_MAX ranges, and then it is unchanged.
 */
int range_map_set(struct range_map *map, uint64_t start, uint64_t len, enum range_type type);

/**
 * Like range_map_set(), for maps of firmware that overlap themselves: where two
 * types meet, the higher number wins, so that RAM never hides a reservation.
 * After -ENOSPC some parts of the range may have been added.
 */
int range_map_add(struct range_map *map, uint64_t start, uint64_t len, enum range_type type);

/** The type at one address, RANGE_NONE if the map does not name it. */
enum range_type range_map_type(const struct range_map *map, uint64_t addr);

/** Whether every byte of start .. start + len - 1 is RAM; true for len 0. */
bool range_map_is_ram(const struct range_map *map, uint64_t start, uint64_t len);

/** Sum of the bytes of one type. */
uint64_t range_map_total(const struct range_map *map, enum range_type type);

/** What range_map_find() looks for. */
struct range_query {
    uint64_t size;             /* bytes, not 0 */
    uint64_t align;            /* power of two; 0 is 1 */
    uint64_t min;              /* lowest address of the first byte */
    uint64_t max;              /* end, exclusive; 0 is no limit */
    bool top_down;             /* the highest place rather than the lowest */
    const struct range *avoid; /* ranges to keep clear of, in any order; their type is ignored */
    unsigned avoid_count;
};

/**
 * Find a place in RAM. The map is not changed: claim it with range_map_set().
 * Returns 0 with *out, -ENOENT if there is none, -EINVAL for a bad query.
 */
int range_map_find(const struct range_map *map, const struct range_query *query, uint64_t *out);

/** Whether [a, a + alen) and [b, b + blen) share a byte. Neither may wrap. */
static inline bool range_overlaps(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return alen && blen && a < b + blen && b < a + alen;
}

/** Iterate over all ranges, ascending. */
#define range_map_for_each(it, map)                                                                \
    for (const struct range *it = (map)->r; it != (map)->r + (map)->count; it++)

#endif
