/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/intercept/decode.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/vp/notify.h"
#include "hypervisor/vp/walk.h"
#include "lib/string.h"

/*
 * Intercepts that a parent has installed. Nothing is done for the guest: RIP stands at the
 * instruction, and the parent moves it on when it has set the registers.
 */

void child_msr(struct vp *vp, const struct exit *exit)
{
    struct hv_x64_msr_intercept_message m = {
        .msr_number = (uint32_t)vp->regs.gpr[RCX],
        .rdx = vp->regs.gpr[RDX],
        .rax = vp->regs.gpr[RAX],
    };

    notify_header(vp, &m.header, exit->insn_len,
                  exit->msr.write ? HV_INTERCEPT_ACCESS_WRITE : HV_INTERCEPT_ACCESS_READ);
    notify_intercept(vp, HVMSG_X64_MSR_INTERCEPT, &m, sizeof(m));
}

void child_cpuid(struct vp *vp, const struct exit *exit)
{
    struct hv_x64_cpuid_intercept_message m = {
        .rax = vp->regs.gpr[RAX],
        .rcx = vp->regs.gpr[RCX],
        .rdx = vp->regs.gpr[RDX],
        .rbx = vp->regs.gpr[RBX],
    };
    uint32_t r[4];

    vp_cpuid(vp, (uint32_t)m.rax, (uint32_t)m.rcx, true, r);
    m.default_result_rax = r[CPUID_EAX];
    m.default_result_rcx = r[CPUID_ECX];
    m.default_result_rdx = r[CPUID_EDX];
    m.default_result_rbx = r[CPUID_EBX];
    notify_header(vp, &m.header, exit->insn_len, HV_INTERCEPT_ACCESS_EXECUTE);
    notify_intercept(vp, HVMSG_X64_CPUID_INTERCEPT, &m, sizeof(m));
}

/*
 * It came before anything of it was delivered. Was it raised by the delivery of another event, then
 * that one is pending again (HV_EXECUTION_STATE_INTERRUPTION_PENDING), and what follows from both
 * is the parent's to say.
 */
void child_exception(struct vp *vp, const struct exit *exit)
{
    struct hv_x64_exception_intercept_message m = {
        .exception_vector = exit->exception.vector,
        .exception_info = exit->exception.has_error_code ? HV_EXCEPTION_INFO_ERROR_CODE_VALID : 0,
        .error_code = exit->exception.error_code,
        .exception_parameter = exit->exception.address,
    };

    _Static_assert(sizeof(m.gp_registers) == sizeof(vp->regs.gpr), "the same order");
    memcpy(m.gp_registers, vp->regs.gpr, sizeof(m.gp_registers));
    notify_header(vp, &m.header, 0, HV_INTERCEPT_ACCESS_EXECUTE);
    notify_segment(vp, SEG_DS, &m.ds_segment);
    notify_segment(vp, SEG_SS, &m.ss_segment);
    m.instruction_byte_count = (uint8_t)walk_fetch(vp, m.instruction_bytes, INSN_MAX);
    notify_intercept(vp, HVMSG_X64_EXCEPTION_INTERCEPT, &m, sizeof(m));
}
