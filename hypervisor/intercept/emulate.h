/* SPDX-License-Identifier: MIT */
#ifndef INTERCEPT_EMULATE_H
#define INTERCEPT_EMULATE_H

#include <stdint.h>
#include "hypervisor/intercept/decode.h"

struct vp_regs;

/** A page of device registers. `size` is 1, 2, 4 or 8; values are right aligned. 0 or -errno. */
struct mmio_ops {
    int (*read)(void *ctx, uint64_t offset, unsigned size, uint64_t *val);
    int (*write)(void *ctx, uint64_t offset, unsigned size, uint64_t val);
};

/**
 * Execute a decoded instruction whose memory operand is at `offset` of a device page. Updates
 * general registers and RFLAGS; RIP is left to the caller (insn->length). A read-modify-write
 * is not atomic against other VPs; devices lock themselves. Returns 0, -EINVAL if the operand
 * leaves the page, or what the device returned; on errors registers are untouched.
 */
int emulate_mmio(struct vp_regs *regs, const struct insn *insn, const struct mmio_ops *ops,
                 void *ctx, uint64_t offset);

#endif
