/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_TRACE_H
#define DEBUG_TRACE_H

#include <stdint.h>

/** What a trace entry records; a and b are explained beside each. */
enum trace_type {
    TRACE_NONE,
    TRACE_EXIT,      /* a = vendor exit code, b = guest RIP */
    TRACE_INJECT,    /* a = vector, b = guest RIP */
    TRACE_IRQ,       /* a = physical vector, b = 0 */
    TRACE_MSR,       /* a = MSR number | write << 63, b = value */
    TRACE_HYPERCALL, /* a = control word, b = result */
    TRACE_WAKE,      /* a = VP index, b = partition id */
    TRACE_SWITCH,    /* a = VP index, b = partition id */
    TRACE_IPI,       /* a = destination, b = vector */
    TRACE_TYPES
};

#define TRACE_ENTRIES 256 /* per LP, a power of two */

struct trace_entry {
    uint64_t tsc;
    uint64_t type;
    uint64_t a;
    uint64_t b;
};

/** Written only by its own LP; read by anyone while dumping, where a torn entry does no harm. */
struct trace_ring {
    uint64_t count;
    struct trace_entry entries[TRACE_ENTRIES];
};

/** Append to the ring of this LP; the oldest entry is overwritten. */
void trace(enum trace_type type, uint64_t a, uint64_t b);

#endif
