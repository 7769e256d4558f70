/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/partition/synthetic_msr.h"
#include "hypervisor/sched/clock.h"
#include "lib/errno.h"

#define VM_CR_LOCKED_OFF 0x18ULL /* SVM disabled and locked, APM volume 2 section 15.30.1 */

static uint64_t guest_tsc(const struct vp *vp)
{
    return clock_tsc() + vendor_vp_tsc_offset(vp);
}

static int tsc_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    *v = guest_tsc(vp);
    return 0;
}

/* A write of either register moves the other by the same amount, SDM volume 3 section 18.17.3. */
static int tsc_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    uint64_t delta = v - guest_tsc(vp);

    vp->tsc_adjust += delta;
    vendor_vp_shift_tsc(vp, delta);
    return 0;
}

static bool has_tsc_adjust(void)
{
    uint32_t r[4];

    cpu_cpuid(7, 0, r);
    return r[1] & BIT(1);
}

static int tsc_adjust_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    *v = vp->tsc_adjust;
    return has_tsc_adjust() ? 0 : -EPERM;
}

static int tsc_adjust_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    if (!has_tsc_adjust())
        return -EPERM;
    vendor_vp_shift_tsc(vp, v - vp->tsc_adjust);
    vp->tsc_adjust = v;
    return 0;
}

static int apic_base_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    return vapic_base_read(vp, v);
}

static int apic_base_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    return vapic_base_write(vp, v);
}

static int native_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    return cpu_rdmsr_safe(msr, v);
}

/* The MTRRs describe the machine's memory, which the hypervisor shares: they stay as they are. */
static int mtrr_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    log_once(LOG_INFO, "the parent's write of MTRR %x is ignored", msr);
    return 0;
}

static int pat_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    *v = vendor_vp_get(vp, VREG_PAT);
    return 0;
}

static int pat_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    return vendor_vp_set_pat(vp, v);
}

static int efer_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    *v = vendor_vp_get(vp, VREG_EFER);
    return 0;
}

static int efer_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    return vendor_vp_set_efer(vp, v);
}

static int vm_cr_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    *v = VM_CR_LOCKED_OFF;
    return 0;
}

static int ignore_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    return 0;
}

/* MSRs that exit and have a meaning; all others raise #GP. NULL raises it too. */
static const struct {
    uint32_t first, last;
    int (*read)(struct vp *vp, uint32_t msr, uint64_t *v);
    int (*write)(struct vp *vp, uint32_t msr, uint64_t v);
} msrs[] = {
    {MSR_HV_FIRST, MSR_HV_LAST, synthetic_msr_read, synthetic_msr_write},
    {MSR_X2APIC_FIRST, MSR_X2APIC_LAST, vapic_msr_read, vapic_msr_write},
    {MSR_TSC, MSR_TSC, tsc_read, tsc_write},
    {MSR_APIC_BASE, MSR_APIC_BASE, apic_base_read, apic_base_write},
    {MSR_TSC_ADJUST, MSR_TSC_ADJUST, tsc_adjust_read, tsc_adjust_write},
    {MSR_MTRR_FIRST, MSR_MTRR_FIX4K + 7, native_read, mtrr_write},
    {MSR_PAT, MSR_PAT, pat_read, pat_write},
    {MSR_MTRR_DEFTYPE, MSR_MTRR_DEFTYPE, native_read, mtrr_write},
    {MSR_EFER, MSR_EFER, efer_read, efer_write},
    {MSR_VM_CR, MSR_VM_CR, vm_cr_read, ignore_write},
};

static int access(struct vp *vp, uint32_t msr, bool write, uint64_t *v)
{
    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
        if (msr < msrs[i].first || msr > msrs[i].last)
            continue;
        if (write)
            return msrs[i].write ? msrs[i].write(vp, msr, *v) : -EPERM;
        return msrs[i].read ? msrs[i].read(vp, msr, v) : -EPERM;
    }
    return -EPERM;
}

void intercept_msr(struct vp *vp, const struct exit *exit)
{
    uint32_t msr = (uint32_t)vp->regs.gpr[RCX];
    uint64_t v = (vp->regs.gpr[RDX] & 0xffffffff) << 32 | (vp->regs.gpr[RAX] & 0xffffffff);

    if (access(vp, msr, exit->msr.write, &v)) {
        vp_inject_exception(vp, VECTOR_GP, 0);
        return;
    }
    trace(TRACE_MSR, msr | (uint64_t)exit->msr.write << 63, v);
    if (!exit->msr.write) {
        vp->regs.gpr[RAX] = v & 0xffffffff;
        vp->regs.gpr[RDX] = v >> 32;
    }
    vendor_vp_skip(vp, exit->insn_len);
}
