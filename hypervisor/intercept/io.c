/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/intercept/pic.h"
#include "lib/bits.h"

/*
 * Every port of a child is its parent's to answer. Of the parent's own, only the 8259s' exit, and
 * ports that the hypervisor keeps for itself: they look like an empty bus. INS and OUTS on them
 * have no honest use.
 */
void intercept_io(struct vp *vp, const struct exit *exit)
{
    uint64_t *rax = &vp->regs.gpr[RAX];
    bool pic = pic_has(exit->io.port);

    if (vp->partition->is_child) {
        child_io(vp, exit);
        return;
    }
    if (exit->io.string) {
        log_once(LOG_WARN, "string I/O on the hypervisor's port %x refused", exit->io.port);
        vp_inject_exception(vp, VECTOR_GP, 0);
        return;
    }
    if (exit->io.in) {
        uint64_t ones = BIT64(8 * exit->io.size) - 1;
        uint64_t value = pic ? pic_in(exit->io.port, exit->io.size) : ones;

        /* A 32-bit result clears the upper half, narrower ones keep the rest. */
        *rax = exit->io.size == 4 ? value : (*rax & ~ones) | value;
    } else if (pic) {
        pic_out(vp, exit->io.port, exit->io.size, *rax);
    }
    vendor_vp_skip(vp, exit->insn_len);
}
