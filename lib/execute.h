/* SPDX-License-Identifier: MIT */
#ifndef LIB_EXECUTE_H
#define LIB_EXECUTE_H

#include <stdint.h>
#include "lib/decode.h"

/** A page of device registers. `size` is 1, 2, 4 or 8; values are right aligned. 0 or -errno. */
struct mmio_ops {
    int (*read)(void *ctx, uint64_t offset, unsigned size, uint64_t *val);
    int (*write)(void *ctx, uint64_t offset, unsigned size, uint64_t val);
};

/**
 * Execute a decoded instruction whose memory operand is at `offset` of a device page. Updates
 * the 16 general registers (in encoding order) and RFLAGS; RIP is left to the caller
 * (insn->length). A read-modify-write is not atomic against other VPs; devices lock themselves.
 * Returns 0, -EINVAL if the operand leaves the page, or what the device returned; on errors
 * registers are untouched.
 */
int insn_execute(uint64_t *gpr, uint64_t *rflags, const struct insn *insn,
                 const struct mmio_ops *ops, void *ctx, uint64_t offset);

#endif
