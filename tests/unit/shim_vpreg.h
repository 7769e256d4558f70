/* SPDX-License-Identifier: MIT */
#ifndef UNIT_SHIM_VPREG_H
#define UNIT_SHIM_VPREG_H

/*
 * On top of shim_apic.h: one VP of a child with a real VMCB, extended state and APIC, never run.
 * The synthetic MSRs are a few words. Included by one source file of a test.
 */

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/svm/svm_priv.h"
#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/synthetic_msr.h"
#include "hypervisor/vp/lazyeoi.h"
#include "hypervisor/vp/vpreg.h"
#include "tests/unit/shim_apic.h"

#define SHIM_MSRS 0x120U /* of the synthetic ones; the others raise #GP */

hpa_t svm_parent_iopm, svm_parent_msrpm, svm_child_iopm, svm_child_msrpm, svm_closed_msrpm;
bool svm_is_tcg;

static struct vp_arch shim_arch;
static _Alignas(4096) struct vmcb shim_vmcb;
static _Alignas(4096) struct hv_vp_register_page shim_page;
static uint64_t shim_msrs[SHIM_MSRS];

hpa_t gpa_map_root(const struct gpa_map *map)
{
    return hpa(0x1000);
}

uint64_t partition_tsc(const struct partition *p)
{
    return p->properties.time_frozen ? p->properties.frozen_tsc : shim.tsc;
}

void vp_tsc_follow(struct vp *vp)
{
}

void reference_tsc_update(struct vp *vp)
{
}

void lazyeoi_enter(struct vp *vp, int vector)
{
}

void lazyeoi_exit(struct vp *vp, bool taken)
{
}

void hv_cpuid(const struct partition *p, uint32_t leaf, uint32_t out[4])
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = leaf + i;
}

int synthetic_msr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    if (msr - MSR_HV_FIRST >= SHIM_MSRS)
        return -EPERM;
    *val = shim_msrs[msr - MSR_HV_FIRST];
    return 0;
}

int synthetic_msr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    if (msr - MSR_HV_FIRST >= SHIM_MSRS)
        return -EPERM;
    shim_msrs[msr - MSR_HV_FIRST] = val;
    return 0;
}

void vp_suspend_set(struct vp *vp, uint32_t reasons)
{
    atomic_fetch_or(&vp->suspend, reasons);
}

void vp_suspend_clear(struct vp *vp, uint32_t reasons)
{
    atomic_fetch_and(&vp->suspend, ~reasons);
}

/** A child's VP 0 in its reset state, with a register page; VP 1 beside it. */
static inline struct vp *shim_vpreg_start(void)
{
    struct vp *vp = shim_vp(0);

    shim_init(2, false);
    shim.partition.is_child = true;
    memset(&shim_arch, 0, sizeof(shim_arch));
    memset(&shim_vmcb, 0, sizeof(shim_vmcb));
    memset(&shim_page, 0, sizeof(shim_page));
    memset(shim_msrs, 0, sizeof(shim_msrs));
    shim_arch.vmcb = &shim_vmcb;
    vp->arch = &shim_arch;
    xstate_init();
    if (xstate_create(&shim.partition, &vp->xstate))
        abort();
    vendor_vp_reset(vp);
    vp->register_page = &shim_page;
    return vp;
}

/** What must hold of the VMCB whatever was set: VMRUN would not fail by it. */
static inline bool shim_vmcb_sound(const struct vmcb *c)
{
    bool lma = c->efer & EFER_LMA;

    return (c->efer & EFER_SVME) && !(c->cr0 >> 32) && !(c->dr6 >> 32) && !(c->dr7 >> 32) &&
           !(!(c->cr0 & CR0_CD) && (c->cr0 & CR0_NW)) &&
           (!(c->cr0 & CR0_PG) || (c->cr0 & CR0_PE)) &&
           lma == ((c->efer & EFER_LME) && (c->cr0 & CR0_PG)) && !(c->cr3 >> 52) &&
           !(c->cr4 & ~0x7fffffULL) && c->gdtr.limit <= UINT16_MAX && c->idtr.limit <= UINT16_MAX;
}

#endif
