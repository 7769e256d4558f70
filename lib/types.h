/* SPDX-License-Identifier: MIT */
#ifndef LIB_TYPES_H
#define LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Addresses and ids are one-member structs: the compiler refuses a guest
 * address where a host address is wanted.
 */

/** Guest physical address, bytes. */
typedef struct {
    uint64_t v;
} gpa_t;

/** Host (system) physical address, bytes. */
typedef struct {
    uint64_t v;
} hpa_t;

/** Guest linear (virtual) address, bytes. */
typedef struct {
    uint64_t v;
} gva_t;

/** Virtual processor index inside its partition (TLFS: VP index). */
typedef struct {
    uint32_t v;
} vp_index_t;

/** Local APIC id, 32 bits as in x2APIC mode. */
typedef struct {
    uint32_t v;
} apic_id_t;

static inline gpa_t gpa(uint64_t v)
{
    return (gpa_t){v};
}

static inline hpa_t hpa(uint64_t v)
{
    return (hpa_t){v};
}

static inline gva_t gva(uint64_t v)
{
    return (gva_t){v};
}

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ULL
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#endif
