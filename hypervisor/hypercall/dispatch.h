/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_DISPATCH_H
#define HYPERCALL_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include "abi/tlfs/hypercall.h"
#include "hypervisor/hypercall/table.h"
#include "hypervisor/partition/partition.h"
#include "lib/types.h"

/** Longest that a list of repetitions runs before the guest gets a chance to take interrupts. */
#define HYPERCALL_SLICE_PER_SECOND 20000U /* 50 us */

#define HYPERCALL_FAST_SIZE 16U

/** What the exit handler does after a hypercall. */
enum hypercall_action {
    HYPERCALL_DONE, /* result in RAX: move RIP past the instruction */
    /* A fault is queued, the parent has it, or the guest shall execute it again: leave RIP. */
    HYPERCALL_STAY,
};

/** A call in progress, as a handler sees it. */
struct hypercall {
    struct vp *vp;
    const struct hypercall_entry *entry;
    uint64_t control;
    gpa_t in_gpa;
    gpa_t out_gpa;
    bool fast;
    uint32_t var_words; /* variable header, 8-byte words; it starts at entry->in_size */
    uint32_t rep_count; /* 0 for a call without repetitions */
    uint32_t rep;       /* the next one to do; a handler advances it, by one at least */
    uint32_t in_len;    /* valid bytes of `in`: all headers and the whole input list */
    uint32_t out_len;   /* bytes that the output may have */
    bool intercepted;   /* the parent has it, or it is to be executed again: RIP stays */
    _Alignas(8) uint8_t in[HV_HYPERCALL_PAGE_SIZE]; /* copied once from the guest */
};

/**
 * The VP has executed the hypercall instruction: check, carry out, set the result
 * registers (TLFS "Hypercall Interface"). On the LP that runs the VP, no locks held.
 */
enum hypercall_action hypercall_dispatch(struct vp *vp);

/**
 * Write part of the output at an offset that lies within the size of the table row.
 * HV_STATUS_INVALID_ALIGNMENT if the guest's page has gone; a child may execute the call again
 * then, which does no harm to those with output that children may make: they only tell something.
 */
uint16_t hypercall_output(struct hypercall *h, uint32_t offset, const void *data, uint32_t len);

/** Offset of list element `rep` in the input. */
uint32_t hypercall_rep_offset(const struct hypercall *h, uint32_t rep);

#endif
