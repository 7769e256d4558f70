/* SPDX-License-Identifier: MIT */
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/vp/notify.h"
#include "hypervisor/vp/vp.h"

/* VMMCALL and VMCALL without prefixes. */
#define CALL_LENGTH 3

/* XMM input is not offered to guests, so those registers say nothing. */
void child_hypercall(struct vp *vp)
{
    struct hv_x64_hypercall_intercept_message m = {
        .rax = vp->regs.gpr[RAX],
        .rbx = vp->regs.gpr[RBX],
        .rcx = vp->regs.gpr[RCX],
        .rdx = vp->regs.gpr[RDX],
        .r8 = vp->regs.gpr[R8],
        .rsi = vp->regs.gpr[RSI],
        .rdi = vp->regs.gpr[RDI],
    };

    notify_header(vp, &m.header, CALL_LENGTH, HV_INTERCEPT_ACCESS_EXECUTE);
    notify_intercept(vp, HVMSG_HYPERCALL_INTERCEPT, &m, sizeof(m));
}
