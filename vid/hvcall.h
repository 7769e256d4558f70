/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_HVCALL_H
#define VID_HVCALL_H

/*
 * Hypercalls (TLFS "Hypercall Interface"). The hypervisor accepts the instruction at any address
 * at CPL 0, so the module does without the kernel's hypercall page and without its buffers.
 */

#include <linux/types.h>
#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/status.h"

struct vid_pool;

/** Buffers for all processors; -ENOMEM. vid_calls_exit() also undoes half an initialization. */
int vid_calls_init(void);
void vid_calls_exit(void);

static inline u16 vid_status(u64 result)
{
    return result & HV_HYPERCALL_RESULT_MASK;
}

/** -errno of a status, 0 for success: the only place where the one becomes the other. */
int vid_status_errno(u16 status);

/** Whether the call succeeds once memory has been deposited. */
bool vid_status_needs_memory(u16 status);

/** One call with buffers given by address: NULL, or 8-aligned in one page of the direct map. */
u64 vid_call_raw(u64 control, const void *in, void *out);

/** One call with its input in registers. */
u64 vid_call_fast8(u16 code, u64 input);
u64 vid_call_fast16(u16 code, u64 first, u64 second);

/**
 * One call with input and output copied through the processor's own buffers, at most a page each.
 * For any context but NMIs. Returns the result value; OUT is written on success only.
 */
u64 vid_call(u64 control, const void *in, size_t in_size, void *out, size_t out_size);

/**
 * The same, depositing into POOL (or the parent's own) as often as the hypervisor asks for it,
 * with a bound. Returns 0 or -errno. May sleep.
 */
int vid_call_memory(u64 control, const void *in, size_t in_size, void *out, size_t out_size,
                    struct vid_pool *pool);
int vid_call_memory_fast8(u16 code, u64 input, struct vid_pool *pool);

/** A call with a list, whose buffers are pages of the caller. */
struct vid_list_call {
    u16 code;
    u16 reps;              /* elements of the list, 1 to 4095 */
    const void *in;        /* header and list, in one page */
    void *out;             /* NULL or a page */
    struct vid_pool *pool; /* where to deposit; NULL: memory is not given */
    u16 done;              /* out: elements done, also after a failure */
    u16 status;            /* out: the last one */
};

/** Runs a call with a list to its end or to a failure; deposits as vid_call_memory() does. */
int vid_call_list(struct vid_list_call *call);

#endif
