/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/intercept/decode.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/vp/walk.h"

/* MOV to CR8: bits 7:4 of the task priority, APM volume 2 section 15.21.3. */
void intercept_cr8_write(struct vp *vp, const struct exit *exit)
{
    uint8_t bytes[INSN_MAX], reg;
    size_t n = walk_fetch(vp, bytes, sizeof(bytes));
    int length;

    if (!n)
        return; /* the page tables changed under us: execute it again */
    length = decode_mov_to_cr8(bytes, n, vp_long_mode(vp) ? INSN_MODE_64 : INSN_MODE_32, &reg);
    if (length < 0 || vp->regs.gpr[reg] & ~0xfULL) {
        vp_inject_exception(vp, VECTOR_GP, 0);
        return;
    }
    vapic_tpr_set(vp, (uint8_t)(vp->regs.gpr[reg] << 4));
    vendor_vp_skip(vp, (unsigned)length);
}
