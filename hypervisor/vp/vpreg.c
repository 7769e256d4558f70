/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/vpreg.h"

#include "abi/tlfs/msr.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/synthetic_msr.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vpreg_priv.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

#define CR8_MAX 15U

static int general_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vp->regs.gpr[n];
    return 0;
}

static int general_set(struct vp *vp, uint32_t arg, uint32_t n,
                       const union hv_register_value *value)
{
    vp->regs.gpr[n] = value->reg64;
    return 0;
}

static int rip_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vp->regs.rip;
    return 0;
}

void vpreg_rip_set(struct vp *vp, uint64_t rip)
{
    uint64_t state = vendor_vp_interrupt_state(vp);

    /* The instruction in the shadow is done, or will not be executed. */
    if (rip != vp->regs.rip && (state & HV_INTERRUPT_STATE_SHADOW))
        vendor_vp_set_interrupt_state(vp, state & ~HV_INTERRUPT_STATE_SHADOW);
    vp->regs.rip = rip;
}

static int rip_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    vpreg_rip_set(vp, value->reg64);
    return 0;
}

/* `arg` is enum vreg. */
static int vendor_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vendor_vp_get(vp, (enum vreg)arg);
    return 0;
}

static int vendor_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    return vendor_vp_set(vp, (enum vreg)arg, value->reg64);
}

static int cr8_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vapic_tpr_get(vp) >> 4;
    return 0;
}

static int cr8_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    if (value->reg64 > CR8_MAX)
        return -EINVAL;
    vapic_tpr_set(vp, (uint8_t)(value->reg64 << 4));
    return 0;
}

/* Both enumerations count in the same order. */
_Static_assert(SEG_TR == HV_X64_REGISTER_TR - HV_X64_REGISTER_ES, "order of segments");
_Static_assert(R15 == HV_X64_REGISTER_R15 - HV_X64_REGISTER_RAX, "order of registers");

static int segment_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    struct segment s;

    vendor_vp_get_segment(vp, (enum seg)n, &s);
    out->segment = (struct hv_x64_segment_register){s.base, s.limit, s.selector, s.attributes};
    return 0;
}

static int segment_set(struct vp *vp, uint32_t arg, uint32_t n,
                       const union hv_register_value *value)
{
    const struct segment s = {value->segment.base, value->segment.limit, value->segment.selector,
                              value->segment.attributes};

    return vendor_vp_set_segment(vp, (enum seg)n, &s);
}

/* The interrupt table, then the global one. */
static int table_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->table.base = vendor_vp_get(vp, n ? VREG_GDTR : VREG_IDTR);
    out->table.limit = (uint16_t)vendor_vp_get(vp, n ? VREG_GDTR_LIMIT : VREG_IDTR_LIMIT);
    return 0;
}

static int table_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    int rc = vendor_vp_set(vp, n ? VREG_GDTR : VREG_IDTR, value->table.base);

    return rc ? rc : vendor_vp_set(vp, n ? VREG_GDTR_LIMIT : VREG_IDTR_LIMIT, value->table.limit);
}

static int tsc_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = partition_tsc(vp->partition) + vendor_vp_tsc_offset(vp);
    return 0;
}

/*
 * State, and not the guest's own write: TSC and TSC_ADJUST do not move each other. A VMM sets one
 * VP after the other to the same number, or to what it has saved of them one after the other; what
 * differs by less than a second was meant to be equal, as the reference TSC page needs it.
 */
static int tsc_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    struct partition *p = vp->partition;
    uint64_t origin, apart;

    spin_lock(&p->lock);
    vp_tsc_follow(vp);
    origin = value->reg64 - partition_tsc(p) + p->properties.stood_tsc;
    apart = origin - p->tsc_origin;
    if (p->tsc_setter && p->tsc_setter != vp->index.v + 1 &&
        min_u64(apart, 0 - apart) < clock_tsc_hz()) {
        origin = p->tsc_origin;
    } else {
        p->tsc_origin = origin;
        p->tsc_setter = vp->index.v + 1;
    }
    vendor_vp_shift_tsc(vp, origin - p->properties.stood_tsc - vendor_vp_tsc_offset(vp));
    reference_tsc_update(vp);
    spin_unlock(&p->lock);
    return 0;
}

static int tsc_adjust_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vp->tsc_adjust;
    return 0;
}

static int tsc_adjust_set(struct vp *vp, uint32_t arg, uint32_t n,
                          const union hv_register_value *value)
{
    vp->tsc_adjust = value->reg64;
    return 0;
}

static int apic_base_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    return vapic_base_read(vp, &out->reg64);
}

static int apic_base_set(struct vp *vp, uint32_t arg, uint32_t n,
                         const union hv_register_value *value)
{
    return vapic_base_set(vp, value->reg64);
}

static int apic_id_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vp->apic_id.v;
    return 0;
}

/* Only before the VP runs, and no two with the same. */
static int apic_id_set(struct vp *vp, uint32_t arg, uint32_t n,
                       const union hv_register_value *value)
{
    uint64_t id = value->reg64;
    struct vp *other;

    if (id == vp->apic_id.v)
        return 0;
    if (!vp->partition->is_child || id >= X2APIC_DEST_BROADCAST ||
        atomic_load_explicit(&vp->entries, memory_order_relaxed))
        return -EINVAL;
    other = partition_vp_by_apic_id(vp->partition, (uint32_t)id);
    if (other)
        return -EINVAL;
    __atomic_store_n(&vp->apic_id.v, (uint32_t)id, __ATOMIC_RELAXED);
    return 0;
}

static int apic_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    return vapic_state_read(vp, n * APIC_REG_STRIDE, &out->reg32);
}

static int apic_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    int rc;

    if (value->reg64 > UINT32_MAX)
        return -EINVAL;
    rc = vapic_state_write(vp, n * APIC_REG_STRIDE, value->reg32);
    if (!rc)
        vp_request(vp, VP_REQ_EVENT);
    return rc;
}

/* The 64-bit ICR, without sending anything. */
static int icr_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vapic_icr_read(vp);
    return 0;
}

static int icr_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    int rc = vapic_state_write(vp, APIC_ICR, value->reg32);

    return rc ? rc : vapic_state_write(vp, APIC_ICR_HIGH, (uint32_t)(value->reg64 >> 32));
}

static int mtrr_cap_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = VP_MTRR_CAP;
    return 0;
}

/* `arg` is where the first of the row stands. The parent's are the machine's. */
static uint64_t *mtrr_at(struct vp *vp, uint32_t arg, uint32_t n, uint32_t count)
{
    if (!vp->partition->is_child || n >= count)
        return NULL;
    return (uint64_t *)(void *)((uint8_t *)&vp->mtrrs + arg) + n;
}

static uint32_t mtrr_count(uint32_t arg)
{
    return arg == offsetof(struct vp_mtrrs, def_type) ? 1
           : arg == offsetof(struct vp_mtrrs, fixed)  ? VP_MTRR_FIXED
                                                      : VP_MTRR_RANGES;
}

static int mtrr_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    const uint64_t *at = mtrr_at(vp, arg, n, mtrr_count(arg));

    if (!at)
        return -ENOENT;
    out->reg64 = *at;
    return 0;
}

static int mtrr_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    uint64_t *at = mtrr_at(vp, arg, n, mtrr_count(arg));

    if (!at)
        return -ENOENT;
    if (arg == offsetof(struct vp_mtrrs, def_type) && (value->reg64 & ~VP_MTRR_DEFTYPE_VALID))
        return -EINVAL;
    *at = value->reg64;
    return 0;
}

/* Registers of features that no VP has: zero, and nothing else can be written. */
static int zero_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    return 0;
}

static int zero_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    return value->reg64 ? -EINVAL : 0;
}

/* What the guest's own writes are: ignored. */
static int ignored_set(struct vp *vp, uint32_t arg, uint32_t n,
                       const union hv_register_value *value)
{
    return 0;
}

/* `arg` is the synthetic MSR of the row's first name. */
static int msr_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    return synthetic_msr_read(vp, arg + n, &out->reg64) ? -ENOENT : 0;
}

/* A VMM that puts back what it has read changes nothing, be the register locked or not. */
static int msr_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    uint64_t now;

    if (!synthetic_msr_read(vp, arg + n, &now) && now == value->reg64)
        return 0;
    return synthetic_msr_write(vp, arg + n, value->reg64) ? -EINVAL : 0;
}

/* `arg` is the CPUID leaf of the row's first name: EAX in the lowest bits. */
static int cpuid_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    uint32_t r[4];

    hv_cpuid(vp->partition, arg + n, r);
    memcpy(out, r, sizeof(r));
    return 0;
}

struct row {
    uint32_t first, last;
    uint32_t arg;
    vpreg_get_fn *get;
    vpreg_set_fn *set; /* NULL: read-only */
};

#define MTRR(field) offsetof(struct vp_mtrrs, field)

/* clang-format off */
static const struct row rows[] = { /* in ascending order */
    {HV_REGISTER_EXPLICIT_SUSPEND, HV_REGISTER_EXPLICIT_SUSPEND, VP_SUSPEND_EXPLICIT, vpreg_suspend_get, vpreg_suspend_set},
    {HV_REGISTER_INTERCEPT_SUSPEND, HV_REGISTER_INTERCEPT_SUSPEND, VP_SUSPEND_INTERCEPT, vpreg_suspend_get, vpreg_suspend_set},
    {HV_REGISTER_DISPATCH_SUSPEND, HV_REGISTER_DISPATCH_SUSPEND, 0, zero_get, zero_set},
    {HV_REGISTER_INTERNAL_ACTIVITY_STATE, HV_REGISTER_INTERNAL_ACTIVITY_STATE, 0, vpreg_activity_get, vpreg_activity_set},
    {HV_REGISTER_HYPERVISOR_VERSION, HV_REGISTER_HYPERVISOR_VERSION, 0x40000002, cpuid_get, NULL},
    {HV_REGISTER_PRIVILEGES_AND_FEATURES_INFO, HV_REGISTER_HARDWARE_FEATURES_INFO, 0x40000003, cpuid_get, NULL},
    {HV_REGISTER_GUEST_CRASH_P0, HV_REGISTER_GUEST_CRASH_CTL, HV_X64_MSR_CRASH_P0, msr_get, msr_set},
    {HV_REGISTER_PENDING_INTERRUPTION, HV_REGISTER_PENDING_INTERRUPTION, 0, vpreg_interruption_get, vpreg_interruption_set},
    {HV_REGISTER_INTERRUPT_STATE, HV_REGISTER_INTERRUPT_STATE, 0, vpreg_interrupt_state_get, vpreg_interrupt_state_set},
    {HV_REGISTER_PENDING_EVENT0, HV_REGISTER_PENDING_EVENT1, 0, vpreg_pending_event_get, vpreg_pending_event_set},
    {HV_REGISTER_DELIVERABILITY_NOTIFICATIONS, HV_REGISTER_DELIVERABILITY_NOTIFICATIONS, 0, vpreg_deliverability_get, vpreg_deliverability_set},
    {HV_X64_REGISTER_RAX, HV_X64_REGISTER_R15, 0, general_get, general_set},
    {HV_X64_REGISTER_RIP, HV_X64_REGISTER_RIP, 0, rip_get, rip_set},
    {HV_X64_REGISTER_RFLAGS, HV_X64_REGISTER_RFLAGS, VREG_RFLAGS, vendor_get, vendor_set},
    {HV_X64_REGISTER_XMM0, HV_X64_REGISTER_XMM15, 0, vpreg_xmm_get, vpreg_xmm_set},
    {HV_X64_REGISTER_FP_MMX0, HV_X64_REGISTER_FP_MMX7, 0, vpreg_st_get, vpreg_st_set},
    {HV_X64_REGISTER_FP_CONTROL_STATUS, HV_X64_REGISTER_FP_CONTROL_STATUS, 0, vpreg_fp_control_get, vpreg_fp_control_set},
    {HV_X64_REGISTER_XMM_CONTROL_STATUS, HV_X64_REGISTER_XMM_CONTROL_STATUS, 0, vpreg_xmm_control_get, vpreg_xmm_control_set},
    {HV_X64_REGISTER_CR0, HV_X64_REGISTER_CR0, VREG_CR0, vendor_get, vendor_set},
    {HV_X64_REGISTER_CR2, HV_X64_REGISTER_CR2, VREG_CR2, vendor_get, vendor_set},
    {HV_X64_REGISTER_CR3, HV_X64_REGISTER_CR3, VREG_CR3, vendor_get, vendor_set},
    {HV_X64_REGISTER_CR4, HV_X64_REGISTER_CR4, VREG_CR4, vendor_get, vendor_set},
    {HV_X64_REGISTER_CR8, HV_X64_REGISTER_CR8, 0, cr8_get, cr8_set},
    {HV_X64_REGISTER_XFEM, HV_X64_REGISTER_XFEM, 0, vpreg_xfem_get, vpreg_xfem_set},
    {HV_X64_REGISTER_INTERMEDIATE_CR0, HV_X64_REGISTER_INTERMEDIATE_CR0, VREG_CR0, vendor_get, vendor_set},
    {HV_X64_REGISTER_INTERMEDIATE_CR3, HV_X64_REGISTER_INTERMEDIATE_CR3, VREG_CR3, vendor_get, vendor_set},
    {HV_X64_REGISTER_INTERMEDIATE_CR4, HV_X64_REGISTER_INTERMEDIATE_CR4, VREG_CR4, vendor_get, vendor_set},
    {HV_X64_REGISTER_INTERMEDIATE_CR8, HV_X64_REGISTER_INTERMEDIATE_CR8, 0, cr8_get, cr8_set},
    {HV_X64_REGISTER_DR0, HV_X64_REGISTER_DR3, 0, vpreg_dr_get, vpreg_dr_set},
    {HV_X64_REGISTER_DR6, HV_X64_REGISTER_DR6, VREG_DR6, vendor_get, vendor_set},
    {HV_X64_REGISTER_DR7, HV_X64_REGISTER_DR7, VREG_DR7, vendor_get, vendor_set},
    {HV_X64_REGISTER_ES, HV_X64_REGISTER_TR, 0, segment_get, segment_set},
    {HV_X64_REGISTER_IDTR, HV_X64_REGISTER_GDTR, 0, table_get, table_set},
    {HV_X64_REGISTER_TSC, HV_X64_REGISTER_TSC, 0, tsc_get, tsc_set},
    {HV_X64_REGISTER_EFER, HV_X64_REGISTER_EFER, VREG_EFER, vendor_get, vendor_set},
    {HV_X64_REGISTER_KERNEL_GS_BASE, HV_X64_REGISTER_KERNEL_GS_BASE, VREG_KERNEL_GS_BASE, vendor_get, vendor_set},
    {HV_X64_REGISTER_APIC_BASE, HV_X64_REGISTER_APIC_BASE, 0, apic_base_get, apic_base_set},
    {HV_X64_REGISTER_PAT, HV_X64_REGISTER_PAT, VREG_PAT, vendor_get, vendor_set},
    {HV_X64_REGISTER_SYSENTER_CS, HV_X64_REGISTER_SYSENTER_CS, VREG_SYSENTER_CS, vendor_get, vendor_set},
    {HV_X64_REGISTER_SYSENTER_EIP, HV_X64_REGISTER_SYSENTER_EIP, VREG_SYSENTER_EIP, vendor_get, vendor_set},
    {HV_X64_REGISTER_SYSENTER_ESP, HV_X64_REGISTER_SYSENTER_ESP, VREG_SYSENTER_ESP, vendor_get, vendor_set},
    {HV_X64_REGISTER_STAR, HV_X64_REGISTER_STAR, VREG_STAR, vendor_get, vendor_set},
    {HV_X64_REGISTER_LSTAR, HV_X64_REGISTER_LSTAR, VREG_LSTAR, vendor_get, vendor_set},
    {HV_X64_REGISTER_CSTAR, HV_X64_REGISTER_CSTAR, VREG_CSTAR, vendor_get, vendor_set},
    {HV_X64_REGISTER_SFMASK, HV_X64_REGISTER_SFMASK, VREG_SFMASK, vendor_get, vendor_set},
    {HV_X64_REGISTER_INITIAL_APIC_ID, HV_X64_REGISTER_INITIAL_APIC_ID, 0, apic_id_get, apic_id_set},
    {HV_X64_REGISTER_MSR_MTRR_CAP, HV_X64_REGISTER_MSR_MTRR_CAP, 0, mtrr_cap_get, NULL},
    {HV_X64_REGISTER_MSR_MTRR_DEF_TYPE, HV_X64_REGISTER_MSR_MTRR_DEF_TYPE, MTRR(def_type), mtrr_get, mtrr_set},
    {HV_X64_REGISTER_MSR_MTRR_PHYS_BASE0, HV_X64_REGISTER_MSR_MTRR_PHYS_BASE_F, MTRR(base), mtrr_get, mtrr_set},
    {HV_X64_REGISTER_MSR_MTRR_PHYS_MASK0, HV_X64_REGISTER_MSR_MTRR_PHYS_MASK_F, MTRR(mask), mtrr_get, mtrr_set},
    {HV_X64_REGISTER_MSR_MTRR_FIX64K00000, HV_X64_REGISTER_MSR_MTRR_FIX4KF8000, MTRR(fixed), mtrr_get, mtrr_set},
    {HV_X64_REGISTER_TSC_AUX, HV_X64_REGISTER_TSC_AUX, 0, vpreg_tsc_aux_get, vpreg_tsc_aux_set},
    {HV_X64_REGISTER_BNDCFGS, HV_X64_REGISTER_DEBUG_CTL, 0, zero_get, zero_set},
    {HV_X64_REGISTER_SPEC_CTRL, HV_X64_REGISTER_SPEC_CTRL, 0, zero_get, zero_set},
    {HV_X64_REGISTER_XSS, HV_X64_REGISTER_XSS, 0, zero_get, zero_set},
    {HV_X64_REGISTER_TSC_DEADLINE, HV_X64_REGISTER_TSC_DEADLINE, 0, zero_get, zero_set},
    {HV_X64_REGISTER_TSC_ADJUST, HV_X64_REGISTER_TSC_ADJUST, 0, tsc_adjust_get, tsc_adjust_set},
    {HV_X64_REGISTER_MSR_IA32_MISC_ENABLE, HV_X64_REGISTER_MSR_IA32_MISC_ENABLE, 0, zero_get, ignored_set},
    {HV_X64_REGISTER_APIC_FIRST, HV_X64_REGISTER_APIC_LAST, 0, apic_get, apic_set},
    {HV_REGISTER_VP_RUNTIME, HV_REGISTER_VP_RUNTIME, HV_X64_MSR_VP_RUNTIME, msr_get, NULL},
    {HV_X64_REGISTER_HYPERCALL, HV_X64_REGISTER_HYPERCALL, HV_X64_MSR_HYPERCALL, msr_get, msr_set},
    {HV_REGISTER_GUEST_OS_ID, HV_REGISTER_GUEST_OS_ID, HV_X64_MSR_GUEST_OS_ID, msr_get, msr_set},
    {HV_REGISTER_VP_INDEX, HV_REGISTER_VP_INDEX, HV_X64_MSR_VP_INDEX, msr_get, NULL},
    {HV_REGISTER_TIME_REF_COUNT, HV_REGISTER_TIME_REF_COUNT, HV_X64_MSR_TIME_REF_COUNT, msr_get, NULL},
    {HV_X64_REGISTER_ICR, HV_X64_REGISTER_ICR, 0, icr_get, icr_set},
    {HV_X64_REGISTER_TPR, HV_X64_REGISTER_TPR, HV_X64_MSR_TPR, msr_get, msr_set},
    {HV_REGISTER_VP_ASSIST_PAGE, HV_REGISTER_VP_ASSIST_PAGE, HV_X64_MSR_VP_ASSIST_PAGE, msr_get, msr_set},
    {HV_REGISTER_REFERENCE_TSC, HV_REGISTER_REFERENCE_TSC, HV_X64_MSR_REFERENCE_TSC, msr_get, msr_set},
    {HV_REGISTER_SINT0, HV_REGISTER_SINT15, HV_X64_MSR_SINT0, msr_get, msr_set},
    {HV_REGISTER_SCONTROL, HV_REGISTER_SIRBP, HV_X64_MSR_SCONTROL, msr_get, msr_set},
    {HV_REGISTER_STIMER0_CONFIG, HV_REGISTER_STIMER3_COUNT, HV_X64_MSR_STIMER0_CONFIG, msr_get, msr_set},
};
/* clang-format on */

static const struct row *find(uint32_t name)
{
    size_t low = 0, high = ARRAY_SIZE(rows);

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (name > rows[mid].last)
            low = mid + 1;
        else if (name < rows[mid].first)
            high = mid;
        else
            return &rows[mid];
    }
    return NULL;
}

int vpreg_get(struct vp *vp, uint32_t name, union hv_register_value *out)
{
    const struct row *r = find(name);
    union hv_register_value value = {.reg128 = {0, 0}};
    int rc = r ? r->get(vp, r->arg, name - r->first, &value) : -ENOENT;

    if (!rc)
        *out = value;
    return rc;
}

int vpreg_set(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    const struct row *r = find(name);

    return r && r->set ? r->set(vp, r->arg, name - r->first, value) : -ENOENT;
}

bool vpreg_needs_pause(uint32_t name)
{
    return name != HV_REGISTER_EXPLICIT_SUSPEND && name != HV_REGISTER_INTERCEPT_SUSPEND;
}
