/* SPDX-License-Identifier: MIT */
#include "hypervisor/intercept/intercept.h"

#include "hypervisor/arch/x86/reset.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/intercepts.h"

void intercept_cpuid(struct vp *vp, const struct exit *exit)
{
    uint32_t leaf = (uint32_t)vp->regs.gpr[RAX], subleaf = (uint32_t)vp->regs.gpr[RCX];
    uint32_t r[4];

    if (intercepts_cpuid(vp->partition, leaf)) {
        child_cpuid(vp, exit);
        return;
    }
    vp_cpuid(vp, leaf, subleaf, true, r);
    vp->regs.gpr[RAX] = r[0];
    vp->regs.gpr[RBX] = r[1];
    vp->regs.gpr[RCX] = r[2];
    vp->regs.gpr[RDX] = r[3];
    vendor_vp_skip(vp, exit->insn_len);
}

static void handle_hypercall(struct vp *vp, const struct exit *exit)
{
    if (hypercall_dispatch(vp) == HYPERCALL_DONE)
        vendor_vp_skip(vp, exit->insn_len);
}

static void handle_hlt(struct vp *vp, const struct exit *exit)
{
    /* The shadow of a preceding STI ends with the HLT: only now may an interrupt come in. */
    vendor_vp_skip(vp, exit->insn_len);
    vp_halt(vp);
}

static void handle_undefined(struct vp *vp, const struct exit *exit)
{
    vp_inject_exception(vp, VECTOR_UD, 0);
}

static void handle_forbidden(struct vp *vp, const struct exit *exit)
{
    vp_inject_exception(vp, VECTOR_GP, 0);
}

/*
 * INVD would throw away what others have written. For the parent, whose devices may bypass the
 * caches, it writes back; a child has no such device.
 */
static void handle_cache(struct vp *vp, const struct exit *exit)
{
    if (vp->partition->is_root)
        __asm__ volatile("wbinvd" : : : "memory");
    vendor_vp_skip(vp, exit->insn_len);
}

static void say_state(const struct vp *vp, const char *what)
{
    char line[200];

    vendor_vp_describe(vp, line, sizeof(line));
    log_error("partition %lu VP %u: %s at rip %lx rsp %lx rflags %lx", vp->partition->id,
              vp->index.v, what, vp->regs.rip, vp->regs.gpr[RSP], vp->regs.rflags);
    log_error("partition %lu VP %u: %s", vp->partition->id, vp->index.v, line);
}

static void handle_shutdown(struct vp *vp, const struct exit *exit)
{
    if (vp->partition->is_child) {
        child_unrecoverable(vp, exit);
        return;
    }
    say_state(vp, "triple fault");
    machine_reset(); /* what the bare machine would do, and what reboot=t asks for */
}

static void handle_invalid(struct vp *vp, const struct exit *exit)
{
    say_state(vp, "the processor refuses the guest state");
    if (vp->partition->is_root)
        panic("the parent partition cannot go on (exit %lx)", exit->code);
    child_unrecoverable(vp, exit);
}

static const struct {
    void (*handle)(struct vp *vp, const struct exit *exit);
    enum vp_counter counter;
} handlers[] = {
    [EXIT_NONE] = {NULL, VPC_OTHER},
    [EXIT_INTR] = {NULL, VPC_INTR},
    [EXIT_NMI] = {NULL, VPC_OTHER},
    [EXIT_CPUID] = {intercept_cpuid, VPC_CPUID},
    [EXIT_MSR] = {intercept_msr, VPC_MSR},
    [EXIT_HYPERCALL] = {handle_hypercall, VPC_HYPERCALL},
    [EXIT_HLT] = {handle_hlt, VPC_HLT},
    [EXIT_IO] = {intercept_io, VPC_IO},
    [EXIT_GPA_FAULT] = {intercept_fault, VPC_GPA_FAULT},
    [EXIT_CR8_WRITE] = {intercept_cr8_write, VPC_OTHER},
    [EXIT_UNDEFINED] = {handle_undefined, VPC_OTHER},
    [EXIT_FORBIDDEN] = {handle_forbidden, VPC_OTHER},
    [EXIT_CACHE] = {handle_cache, VPC_OTHER},
    [EXIT_EXCEPTION] = {child_exception, VPC_OTHER},
    [EXIT_SHUTDOWN] = {handle_shutdown, VPC_OTHER},
    [EXIT_INVALID] = {handle_invalid, VPC_OTHER},
};

void intercept_handle(struct vp *vp, const struct exit *exit)
{
    vp_count(vp, handlers[exit->reason].counter);
    if (handlers[exit->reason].handle)
        handlers[exit->reason].handle(vp, exit);
}
