/* SPDX-License-Identifier: MIT */
#ifndef LIB_BITS_H
#define LIB_BITS_H

#include <stddef.h>
#include <stdint.h>

/** Bit n of a 32-bit and of a 64-bit word. */
#define BIT(n)   (1U << (n))
#define BIT64(n) (1ULL << (n))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** The structure of type `type` whose member `member` is at `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/** Round up or down to `align`, a power of two. align_up overflows to 0 near UINT64_MAX. */
static inline uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline uint64_t align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/** Bits hi..lo of v, right aligned. */
static inline uint64_t bits_get(uint64_t v, unsigned hi, unsigned lo)
{
    return (v >> lo) & (~0ULL >> (63 - (hi - lo)));
}

#endif
