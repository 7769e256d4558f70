/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_TABLE_H
#define HYPERCALL_TABLE_H

#include <stdint.h>

struct hypercall;

/** How a call may be made, and by whom. */
enum hypercall_form {
    HC_REP = 1 << 0,  /* takes a repetition count, else it must be 0 */
    HC_FAST = 1 << 1, /* input of at most 16 bytes may be in registers */
    HC_VAR = 1 << 2,  /* a variable header may follow the fixed one */
    HC_ROOT = 1 << 3, /* only for the root partition */
};

/** Carries out a call whose form, caller and buffers are checked; returns HV_STATUS_*. */
typedef uint16_t hypercall_fn(struct hypercall *h);

/**
 * One hypercall. Sizes are in bytes; a list of repetitions follows the fixed (and
 * variable) header in memory, and the output list follows the fixed output.
 */
struct hypercall_entry {
    uint16_t code;
    uint16_t form;
    uint16_t in_size;
    uint16_t in_rep;
    uint16_t out_size;
    uint16_t out_rep;
    uint16_t refusal;    /* status while `handler` is NULL */
    uint64_t privileges; /* the caller has one of these; 0: everybody */
    const char *name;    /* published name without HVCALL_ */
    hypercall_fn *handler;
};

/** All known hypercalls in ascending order of their codes. */
extern const struct hypercall_entry hypercall_table[];
extern const uint32_t hypercall_table_len;

/** The row of a call code, or NULL. */
const struct hypercall_entry *hypercall_find(uint16_t code);

#endif
