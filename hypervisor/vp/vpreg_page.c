/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/vp/vpreg.h"
#include "hypervisor/vp/vpreg_priv.h"
#include "lib/string.h"

/*
 * The register page. The parent sees and changes it at any time, so what is taken over is read
 * once, word by word, and each value is checked as one of HvCallSetVpRegisters.
 */

#define PAGE_SEGMENTS                                                                              \
    (sizeof(((struct hv_vp_register_page *)0)->segment_registers) /                                \
     sizeof(struct hv_x64_segment_register))

_Static_assert(SEG_GS + 1 == PAGE_SEGMENTS, "ES to GS");
_Static_assert(XSTATE_LIVE_XMM == 6, "as many as the page has");

static uint64_t word(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static uint64_t value_of(struct vp *vp, uint32_t name)
{
    union hv_register_value v = {.reg128 = {0, 0}};

    vpreg_get(vp, name, &v);
    return v.reg64;
}

void vpreg_page_fill(struct vp *vp)
{
    struct hv_vp_register_page *page = vp->register_page;

    if (!page)
        return;
    memcpy(page->gp_registers, vp->regs.gpr, sizeof(page->gp_registers));
    page->rip = vp->regs.rip;
    page->rflags = vp->regs.rflags;
    xstate_live_xmm(page->xmm_registers);
    for (unsigned i = 0; i < PAGE_SEGMENTS; i++) {
        union hv_register_value v;

        vpreg_get(vp, HV_X64_REGISTER_ES + i, &v);
        page->segment_registers[i] = v.segment;
    }
    page->cr0 = value_of(vp, HV_X64_REGISTER_CR0);
    page->cr3 = value_of(vp, HV_X64_REGISTER_CR3);
    page->cr4 = value_of(vp, HV_X64_REGISTER_CR4);
    page->cr8 = value_of(vp, HV_X64_REGISTER_CR8);
    page->efer = value_of(vp, HV_X64_REGISTER_EFER);
    page->dr7 = value_of(vp, HV_X64_REGISTER_DR7);
    page->pending_interruption = value_of(vp, HV_REGISTER_PENDING_INTERRUPTION);
    page->interrupt_state = value_of(vp, HV_REGISTER_INTERRUPT_STATE);
    page->instruction_emulation_hints = 0;
    page->xfem = xstate_live_xcr0(vp->xstate);
    page->interrupt_vectors = 0;
    page->version = HV_VP_REGISTER_PAGE_VERSION_1;
    page->dirty = 0;
    page->isvalid = 1;
}

static void take_general(struct vp *vp, const struct hv_vp_register_page *page)
{
    for (unsigned i = 0; i < GPR_COUNT; i++)
        vp->regs.gpr[i] = word(&page->gp_registers[i]);
}

static void take_xmm(struct vp *vp, const struct hv_vp_register_page *page)
{
    for (unsigned i = 0; i < XSTATE_LIVE_XMM; i++) {
        const union hv_register_value v = {
            .reg128 = {word(&page->xmm_registers[i][0]), word(&page->xmm_registers[i][1])}};

        vpreg_set(vp, HV_X64_REGISTER_XMM0 + i, &v);
    }
}

static void take_segments(struct vp *vp, const struct hv_vp_register_page *page)
{
    for (unsigned i = 0; i < PAGE_SEGMENTS; i++) {
        const uint64_t *at = &page->segment_registers[i].base;
        const union hv_register_value v = {.reg128 = {word(at), word(at + 1)}};

        vpreg_set(vp, HV_X64_REGISTER_ES + i, &v); /* a bad one leaves the register as it is */
    }
}

bool vpreg_page_dirty(struct vp *vp)
{
    const struct hv_vp_register_page *page = __atomic_load_n(&vp->register_page, __ATOMIC_ACQUIRE);

    return page && __atomic_load_n(&page->dirty, __ATOMIC_RELAXED);
}

void vpreg_page_take(struct vp *vp)
{
    struct hv_vp_register_page *page = vp->register_page;
    union hv_register_value flags;
    uint32_t dirty;

    if (!page || !__atomic_load_n(&page->isvalid, __ATOMIC_RELAXED))
        return;
    dirty = __atomic_load_n(&page->dirty, __ATOMIC_ACQUIRE);
    if (dirty & BIT(HV_X64_REGISTER_CLASS_GENERAL))
        take_general(vp, page);
    if (dirty & BIT(HV_X64_REGISTER_CLASS_IP))
        vpreg_rip_set(vp, word(&page->rip));
    if (dirty & BIT(HV_X64_REGISTER_CLASS_XMM))
        take_xmm(vp, page);
    if (dirty & BIT(HV_X64_REGISTER_CLASS_SEGMENT))
        take_segments(vp, page);
    if (dirty & BIT(HV_X64_REGISTER_CLASS_FLAGS)) {
        flags = (union hv_register_value){.reg128 = {word(&page->rflags), 0}};
        vpreg_set(vp, HV_X64_REGISTER_RFLAGS, &flags);
    }
    page->dirty = 0;
    page->isvalid = 0;
}
