/* SPDX-License-Identifier: MIT */
#ifndef VMWP_HYPERCALL_H
#define VMWP_HYPERCALL_H

#include <stddef.h>
#include <stdint.h>
#include "vmwp/hv.h"

struct memory;

/*
 * The two hypercalls by which a guest reaches VMBus, when the connection that it names leads to
 * nobody but this worker (TLFS "Inter-Partition Communication").
 */

/** Who serves the connections; each returns an HV_STATUS. */
struct hypercall_ops {
    /** `payload` is a copy. */
    uint16_t (*post)(void *ctx, uint32_t connection, const void *payload, size_t size);
    uint16_t (*signal)(void *ctx, uint32_t connection);
    void *ctx;
};

/** Carry out the call; its result is for hv_vp_finish_call(). The input lies in `memory`. */
uint64_t hypercall_handle(const struct hv_exit_call *call, const struct memory *memory,
                          const struct hypercall_ops *ops);

#endif
