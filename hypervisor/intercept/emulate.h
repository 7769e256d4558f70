/* SPDX-License-Identifier: MIT */
#ifndef INTERCEPT_EMULATE_H
#define INTERCEPT_EMULATE_H

#include "hypervisor/vp/vp.h"
#include "lib/execute.h"

/** insn_execute() on the registers of a VP. */
static inline int emulate_mmio(struct vp_regs *regs, const struct insn *insn,
                               const struct mmio_ops *ops, void *ctx, uint64_t offset)
{
    return insn_execute(regs->gpr, &regs->rflags, insn, ops, ctx, offset);
}

#endif
