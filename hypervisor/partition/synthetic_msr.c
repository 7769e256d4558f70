/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/synthetic_msr.h"
#include "abi/tlfs/msr.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/vp.h"
#include "hypervisor/arch/x86/reset.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/partition/crash.h"
#include "hypervisor/partition/partition.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/errno.h"

/*
 * TLFS "Reference TSC Page": 0 means "do not use", so a valid page has another number; it changes
 * with every change of the time.
 */
#define REFERENCE_TSC_SEQUENCE(steps) ((uint32_t)(steps) % UINT32_MAX + 1)

#define PAGE_REGISTER_ENABLE 1ULL

/* A partition's register is written under its lock; readers on hot paths take none. */
static uint64_t msr_load(const uint64_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static void msr_store(uint64_t *field, uint64_t val)
{
    __atomic_store_n(field, val, __ATOMIC_RELAXED);
}

static int guest_os_id_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = msr_load(&vp->partition->guest_os_id);
    return 0;
}

/* TLFS "Guest OS Identity MSR": without an identity there is no hypercall interface. */
static int guest_os_id_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    struct partition *p = vp->partition;

    spin_lock(&p->lock);
    msr_store(&p->guest_os_id, val);
    if (val == 0) {
        overlay_hide(p, &p->hypercall_page);
        msr_store(&p->hypercall_msr, p->hypercall_msr & ~HV_X64_MSR_HYPERCALL_ENABLE);
    }
    spin_unlock(&p->lock);
    return 0;
}

static int hypercall_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = msr_load(&vp->partition->hypercall_msr);
    return 0;
}

static int hypercall_set_locked(struct partition *p, uint64_t val)
{
    gpa_t page = gpa(val & HV_X64_MSR_HYPERCALL_PAGE_ADDRESS_MASK);

    if (p->hypercall_msr & HV_X64_MSR_HYPERCALL_LOCKED)
        return -EPERM;
    if (p->guest_os_id == 0)
        val &= ~HV_X64_MSR_HYPERCALL_ENABLE;
    if (val & HV_X64_MSR_HYPERCALL_ENABLE) {
        size_t len;
        const uint8_t *code = hypercall_page_code(&len);

        if (overlay_show(p, &p->hypercall_page, page, code, len, ACCESS_READ | ACCESS_EXEC))
            return -EPERM;
    } else {
        overlay_hide(p, &p->hypercall_page);
    }
    msr_store(&p->hypercall_msr, val); /* bits 11..2 are preserved, not interpreted */
    return 0;
}

/* TLFS "Establishing the Hypercall Interface". */
static int hypercall_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    struct partition *p = vp->partition;
    int err;

    spin_lock(&p->lock);
    err = hypercall_set_locked(p, val);
    spin_unlock(&p->lock);
    return err;
}

static int vp_index_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = vp->index.v;
    return 0;
}

static int reset_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = 0;
    return 0;
}

/* A child is reset by its worker, so it is not given the privilege. */
static int reset_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    if (!vp->partition->is_root)
        return -EPERM;
    if (val & HV_X64_MSR_RESET_RESET)
        machine_reset();
    return 0;
}

static int vp_runtime_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = vp_run_time(vp);
    return 0;
}

static int time_ref_count_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = partition_ref_time(vp->partition);
    return 0;
}

static int reference_tsc_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = msr_load(&vp->partition->reference_tsc_msr);
    return 0;
}

/*
 * Registers that name a page: its address is where it lies in the register, bit 0 says whether it
 * counts. If it cannot be shown there, nothing changes.
 */
static int page_register_set(struct partition *p, struct overlay *o, uint64_t *reg, uint64_t val)
{
    if (!(val & PAGE_REGISTER_ENABLE)) {
        overlay_hide(p, o);
    } else if (overlay_show(p, o, gpa(val & PAGE_MASK), NULL, 0, ACCESS_READ | ACCESS_WRITE)) {
        return -EPERM;
    }
    msr_store(reg, val);
    return 0;
}

/*
 * The page must agree with the counter MSR to the tick: the offset is what is
 * missing at one moment, computed from the guest's TSC by the guest's formula.
 */
static void reference_tsc_fill(struct vp *vp, struct hv_reference_tsc_page *page)
{
    struct partition *p = vp->partition;
    uint64_t tsc = clock_tsc();
    uint64_t guest_tsc = tsc + vendor_vp_tsc_offset(vp);
    uint64_t scale = clock_ref_scale();
    uint64_t scaled = (uint64_t)(((unsigned __int128)guest_tsc * scale) >> 64);
    uint64_t now = clock_ref_from_tsc(tsc) - p->ref_base;
    /* Until the number is there again a guest that looks finds the page invalid. */
    __atomic_store_n(&page->tsc_sequence, HV_REFERENCE_TSC_SEQUENCE_INVALID, __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->tsc_scale, scale, __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->tsc_offset, (int64_t)(now - scaled), __ATOMIC_SEQ_CST);
    /* While time stands still the guest reads it from the MSR. */
    if (!p->properties.time_frozen)
        __atomic_store_n(&page->tsc_sequence, REFERENCE_TSC_SEQUENCE(p->properties.time_steps),
                         __ATOMIC_SEQ_CST);
}

void reference_tsc_update(struct vp *vp)
{
    struct hv_reference_tsc_page *page = overlay_bytes(&vp->partition->reference_tsc_page);

    if (page)
        reference_tsc_fill(vp, page);
}

static int reference_tsc_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    struct partition *p = vp->partition;
    int err;

    spin_lock(&p->lock);
    err = page_register_set(p, &p->reference_tsc_page, &p->reference_tsc_msr, val);
    reference_tsc_update(vp);
    spin_unlock(&p->lock);
    return err;
}

static int tsc_frequency_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = clock_tsc_hz();
    return 0;
}

static int apic_frequency_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = clock_apic_hz();
    return 0;
}

/* TLFS "Virtual APIC": three registers by MSR in either APIC mode; reserved bits fault. */
static int eoi_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    if (val >> 32)
        return -EPERM;
    vapic_eoi(vp);
    return 0;
}

static int icr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = vapic_icr_read(vp);
    return 0;
}

static int icr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    vapic_icr_write(vp, val);
    return 0;
}

static int tpr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = vapic_tpr_get(vp);
    return 0;
}

static int tpr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    if (val > UINT8_MAX)
        return -EPERM;
    vapic_tpr_set(vp, (uint8_t)val);
    return 0;
}

static int assist_page_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = vp->assist_msr;
    return 0;
}

static int assist_page_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    struct partition *p = vp->partition;
    int err;

    spin_lock(&p->lock);
    err = page_register_set(p, &vp->assist_page, &vp->assist_msr, val);
    spin_unlock(&p->lock);
    return err;
}

static int guest_idle_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    vp_idle(vp);
    *val = 0;
    return 0;
}

static int crash_param_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = msr_load(&vp->partition->crash.param[msr - HV_X64_MSR_CRASH_P0]);
    return 0;
}

static int crash_param_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    msr_store(&vp->partition->crash.param[msr - HV_X64_MSR_CRASH_P0], val);
    return 0;
}

static int crash_ctl_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_NOTIFY_MSG;
    return 0;
}

static int crash_ctl_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    if (val & HV_CRASH_CTL_CRASH_NOTIFY)
        crash_report(vp, val & HV_CRASH_CTL_CRASH_NOTIFY_MSG);
    return 0;
}

static int tsc_invariant_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    *val = msr_load(&vp->partition->tsc_invariant_control);
    return 0;
}

static int tsc_invariant_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    if (val & ~HV_EXPOSE_INVARIANT_TSC)
        return -EPERM;
    msr_store(&vp->partition->tsc_invariant_control, val);
    return 0;
}

/** One row for each register or range; the privilege is one bit, or 0 for everybody. */
struct synthetic_msr {
    uint32_t first;
    uint32_t last;
    uint64_t privilege;
    int (*read)(struct vp *vp, uint32_t msr, uint64_t *val);
    int (*write)(struct vp *vp, uint32_t msr, uint64_t val);
};

/* clang-format off */
static const struct synthetic_msr synthetic_msrs[] = {
    {HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_GUEST_OS_ID, HV_MSR_HYPERCALL_AVAILABLE,
     guest_os_id_read, guest_os_id_write},
    {HV_X64_MSR_HYPERCALL, HV_X64_MSR_HYPERCALL, HV_MSR_HYPERCALL_AVAILABLE,
     hypercall_read, hypercall_write},
    {HV_X64_MSR_VP_INDEX, HV_X64_MSR_VP_INDEX, HV_MSR_VP_INDEX_AVAILABLE,
     vp_index_read, NULL},
    {HV_X64_MSR_RESET, HV_X64_MSR_RESET, HV_MSR_RESET_AVAILABLE,
     reset_read, reset_write},
    {HV_X64_MSR_VP_RUNTIME, HV_X64_MSR_VP_RUNTIME, HV_MSR_VP_RUNTIME_AVAILABLE,
     vp_runtime_read, NULL},
    {HV_X64_MSR_TIME_REF_COUNT, HV_X64_MSR_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT_AVAILABLE,
     time_ref_count_read, NULL},
    {HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_REFERENCE_TSC, HV_MSR_REFERENCE_TSC_AVAILABLE,
     reference_tsc_read, reference_tsc_write},
    {HV_X64_MSR_TSC_FREQUENCY, HV_X64_MSR_TSC_FREQUENCY, HV_ACCESS_FREQUENCY_MSRS,
     tsc_frequency_read, NULL},
    {HV_X64_MSR_APIC_FREQUENCY, HV_X64_MSR_APIC_FREQUENCY, HV_ACCESS_FREQUENCY_MSRS,
     apic_frequency_read, NULL},
    {HV_X64_MSR_EOI, HV_X64_MSR_EOI, HV_MSR_APIC_ACCESS_AVAILABLE,
     NULL, eoi_write},
    {HV_X64_MSR_ICR, HV_X64_MSR_ICR, HV_MSR_APIC_ACCESS_AVAILABLE,
     icr_read, icr_write},
    {HV_X64_MSR_TPR, HV_X64_MSR_TPR, HV_MSR_APIC_ACCESS_AVAILABLE,
     tpr_read, tpr_write},
    {HV_X64_MSR_VP_ASSIST_PAGE, HV_X64_MSR_VP_ASSIST_PAGE, HV_MSR_APIC_ACCESS_AVAILABLE,
     assist_page_read, assist_page_write},
    {HV_X64_MSR_SCONTROL, HV_X64_MSR_EOM, HV_MSR_SYNIC_AVAILABLE,
     synic_msr_read, synic_msr_write},
    {HV_X64_MSR_SIRBP, HV_X64_MSR_SIRBP, HV_CREATE_PORT,
     synic_msr_read, synic_msr_write},
    {HV_X64_MSR_SINT0, HV_X64_MSR_SINT15, HV_MSR_SYNIC_AVAILABLE,
     synic_msr_read, synic_msr_write},
    {HV_X64_MSR_STIMER0_CONFIG, HV_X64_MSR_STIMER3_COUNT, HV_MSR_SYNTIMER_AVAILABLE,
     stimer_msr_read, stimer_msr_write},
    {HV_X64_MSR_GUEST_IDLE, HV_X64_MSR_GUEST_IDLE, HV_MSR_GUEST_IDLE_AVAILABLE,
     guest_idle_read, NULL},
    {HV_X64_MSR_CRASH_P0, HV_X64_MSR_CRASH_P4, 0,
     crash_param_read, crash_param_write},
    {HV_X64_MSR_CRASH_CTL, HV_X64_MSR_CRASH_CTL, 0,
     crash_ctl_read, crash_ctl_write},
    {HV_X64_MSR_TSC_INVARIANT_CONTROL, HV_X64_MSR_TSC_INVARIANT_CONTROL, HV_ACCESS_TSC_INVARIANT,
     tsc_invariant_read, tsc_invariant_write},
};
/* clang-format on */

/* The register's row, or NULL if there is none that this partition may touch. */
static const struct synthetic_msr *synthetic_msr_find(const struct vp *vp, uint32_t msr)
{
    uint64_t has = vp->partition->privileges;

    for (size_t i = 0; i < ARRAY_SIZE(synthetic_msrs); i++) {
        const struct synthetic_msr *m = &synthetic_msrs[i];

        if (msr >= m->first && msr <= m->last)
            return (has & m->privilege) == m->privilege ? m : NULL;
    }
    return NULL;
}

int synthetic_msr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    const struct synthetic_msr *m = synthetic_msr_find(vp, msr);

    return m && m->read ? m->read(vp, msr, val) : -EPERM;
}

int synthetic_msr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    const struct synthetic_msr *m = synthetic_msr_find(vp, msr);

    return m && m->write ? m->write(vp, msr, val) : -EPERM;
}
