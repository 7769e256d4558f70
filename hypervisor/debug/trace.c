/* SPDX-License-Identifier: MIT */
#include "hypervisor/debug/trace.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/lp.h"

void trace(enum trace_type type, uint64_t a, uint64_t b)
{
    struct trace_ring *ring = &this_lp()->trace;
    struct trace_entry *e = &ring->entries[ring->count++ % TRACE_ENTRIES];

    e->tsc = cpu_rdtsc();
    e->type = type;
    e->a = a;
    e->b = b;
}
