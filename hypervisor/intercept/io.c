/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/intercept/pic.h"

/*
 * Every port of a child is its parent's to answer. Of the parent's own, only the 8259s' exit, and
 * ports that the hypervisor keeps for itself: they look like an empty bus. INS and OUTS on them
 * have no honest use.
 */
void intercept_io(struct vp *vp, const struct exit *exit)
{
    static const uint64_t ones[] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff};

    if (vp->partition->is_child) {
        child_io(vp, exit);
        return;
    }
    if (exit->io.string) {
        log_once(LOG_WARN, "string I/O on the hypervisor's port %x refused", exit->io.port);
        vp_inject_exception(vp, VECTOR_GP, 0);
        return;
    }
    if (pic_has(exit->io.port)) {
        pic_io(vp, exit);
    } else if (exit->io.in) {
        uint64_t *rax = &vp->regs.gpr[RAX];

        /* A 32-bit result clears the upper half, narrower ones keep the rest. */
        *rax = exit->io.size == 4 ? ones[4] : *rax | ones[exit->io.size];
    }
    vendor_vp_skip(vp, exit->insn_len);
}
