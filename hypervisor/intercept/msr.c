/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/management.h"
#include "abi/tlfs/msr.h"
#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/partition/intercepts.h"
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

static int read_zero(struct vp *vp, uint32_t msr, uint64_t *v)
{
    *v = 0;
    return 0;
}

/* Where a child's MTRR is kept, or NULL. */
static uint64_t *child_mtrr(struct vp *vp, uint32_t msr)
{
    struct vp_mtrrs *m = &vp->mtrrs;

    if (msr >= MSR_MTRR_FIRST && msr <= MSR_MTRR_LAST)
        return (msr & 1 ? m->mask : m->base) + (msr - MSR_MTRR_FIRST) / 2;
    if (msr == MSR_MTRR_FIX64K)
        return &m->fixed[0];
    if (msr == MSR_MTRR_FIX16KA || msr == MSR_MTRR_FIX16KB)
        return &m->fixed[1 + msr - MSR_MTRR_FIX16KA];
    if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
        return &m->fixed[3 + msr - MSR_MTRR_FIX4K];
    return msr == MSR_MTRR_DEFTYPE ? &m->def_type : NULL;
}

static int child_mtrr_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    const uint64_t *at = child_mtrr(vp, msr);

    if (at)
        *v = *at;
    return at ? 0 : -EPERM;
}

static int child_mtrr_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    uint64_t *at = child_mtrr(vp, msr);

    if (!at || (msr == MSR_MTRR_DEFTYPE && (v & ~VP_MTRR_DEFTYPE_VALID)))
        return -EPERM;
    *at = v;
    return 0;
}

static int mtrr_cap_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    *v = VP_MTRR_CAP;
    return 0;
}

/* Which register of the world switch an MSR is. */
static enum vreg switched(uint32_t msr)
{
    static const enum vreg sysenter[] = {VREG_SYSENTER_CS, VREG_SYSENTER_ESP, VREG_SYSENTER_EIP};
    static const enum vreg syscall[] = {VREG_STAR, VREG_LSTAR, VREG_CSTAR, VREG_SFMASK};

    if (msr >= MSR_STAR && msr <= MSR_SFMASK)
        return syscall[msr - MSR_STAR];
    return msr == MSR_KERNEL_GS_BASE ? VREG_KERNEL_GS_BASE : sysenter[msr - MSR_SYSENTER_CS];
}

static int switched_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    *v = vendor_vp_get(vp, switched(msr));
    return 0;
}

static int switched_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    return vendor_vp_set(vp, switched(msr), v);
}

static int base_read(struct vp *vp, uint32_t msr, uint64_t *v)
{
    struct segment s;

    vendor_vp_get_segment(vp, msr == MSR_FS_BASE ? SEG_FS : SEG_GS, &s);
    *v = s.base;
    return 0;
}

static int base_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    enum seg at = msr == MSR_FS_BASE ? SEG_FS : SEG_GS;
    struct segment s;

    vendor_vp_get_segment(vp, at, &s);
    s.base = v;
    return vendor_vp_set_segment(vp, at, &s);
}

/* In the processor while the VP is here. */
static int tsc_aux_write(struct vp *vp, uint32_t msr, uint64_t v)
{
    return v >> 32 ? -EPERM : cpu_wrmsr_safe(msr, v);
}

struct msr_row {
    uint32_t first, last;
    int (*read)(struct vp *vp, uint32_t msr, uint64_t *v);
    int (*write)(struct vp *vp, uint32_t msr, uint64_t v);
};

/* MSRs that exit and mean the same to every partition. NULL raises #GP. */
static const struct msr_row common_msrs[] = {
    {MSR_HV_FIRST, MSR_HV_LAST, synthetic_msr_read, synthetic_msr_write},
    {MSR_X2APIC_FIRST, MSR_X2APIC_LAST, vapic_msr_read, vapic_msr_write},
    {MSR_TSC, MSR_TSC, tsc_read, tsc_write},
    {MSR_APIC_BASE, MSR_APIC_BASE, apic_base_read, apic_base_write},
    {MSR_TSC_ADJUST, MSR_TSC_ADJUST, tsc_adjust_read, tsc_adjust_write},
    {MSR_PAT, MSR_PAT, pat_read, pat_write},
    {MSR_EFER, MSR_EFER, efer_read, efer_write},
    {MSR_VM_CR, MSR_VM_CR, vm_cr_read, ignore_write},
};

/* The parent's: all others that exit raise #GP. */
static const struct msr_row parent_msrs[] = {
    {MSR_MTRR_FIRST, MSR_MTRR_FIX4K + 7, native_read, mtrr_write},
    {MSR_MTRR_DEFTYPE, MSR_MTRR_DEFTYPE, native_read, mtrr_write},
};

/* A child's: registers that its kernel finds on every processor, without their effects. */
static const struct msr_row child_msrs[] = {
    {MSR_MICROCODE, MSR_MICROCODE, read_zero, ignore_write},
    {MSR_MTRR_CAP, MSR_MTRR_CAP, mtrr_cap_read, NULL},
    {MSR_MCG_CAP, MSR_MCG_STATUS, read_zero, ignore_write},
    {MSR_MISC_ENABLE, MSR_MISC_ENABLE, read_zero, ignore_write},
    {MSR_MTRR_FIRST, MSR_MTRR_FIX4K + 7, child_mtrr_read, child_mtrr_write},
    {MSR_MTRR_DEFTYPE, MSR_MTRR_DEFTYPE, child_mtrr_read, child_mtrr_write},
    {MSR_SYSCFG, MSR_SYSCFG, read_zero, ignore_write},
    {MSR_HWCR, MSR_HWCR, read_zero, ignore_write},
    {MSR_DE_CFG, MSR_DE_CFG, read_zero, ignore_write},
    /* These exit only if the child's parent intercepts MSRs, be it others. */
    {MSR_SYSENTER_CS, MSR_SYSENTER_EIP, switched_read, switched_write},
    {MSR_STAR, MSR_SFMASK, switched_read, switched_write},
    {MSR_FS_BASE, MSR_GS_BASE, base_read, base_write},
    {MSR_KERNEL_GS_BASE, MSR_KERNEL_GS_BASE, switched_read, switched_write},
    {MSR_TSC_AUX, MSR_TSC_AUX, native_read, tsc_aux_write},
};

static const struct msr_row *find(const struct msr_row *rows, size_t count, uint32_t msr)
{
    for (size_t i = 0; i < count; i++)
        if (msr >= rows[i].first && msr <= rows[i].last)
            return &rows[i];
    return NULL;
}

/* What the partition's parent wants of registers that do not exist. */
static int access_unknown(struct vp *vp, bool write, uint64_t *v)
{
    if (vp->partition->properties.unimplemented_msr_action !=
        HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO)
        return -EPERM;
    if (!write)
        *v = 0;
    return 0;
}

static int access(struct vp *vp, uint32_t msr, bool write, uint64_t *v)
{
    const struct msr_row *row = find(common_msrs, ARRAY_SIZE(common_msrs), msr);

    if (!row && vp->partition->is_root)
        row = find(parent_msrs, ARRAY_SIZE(parent_msrs), msr);
    else if (!row)
        row = find(child_msrs, ARRAY_SIZE(child_msrs), msr);
    if (!row)
        return access_unknown(vp, write, v);
    if (write)
        return row->write ? row->write(vp, msr, *v) : -EPERM;
    return row->read ? row->read(vp, msr, v) : -EPERM;
}

void intercept_msr(struct vp *vp, const struct exit *exit)
{
    uint32_t msr = (uint32_t)vp->regs.gpr[RCX];
    uint64_t v = (vp->regs.gpr[RDX] & 0xffffffff) << 32 | (vp->regs.gpr[RAX] & 0xffffffff);

    if (intercepts_msr(vp->partition, msr, exit->msr.write)) {
        child_msr(vp, exit);
        return;
    }
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
