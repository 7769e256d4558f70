/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/svm/svm_priv.h"

#include "abi/tlfs/register.h"
#include "hypervisor/arch/x86/cpu.h"
#include "lib/errno.h"

/*
 * Registers that somebody else than the guest sets. Each value is checked alone when it is set,
 * and all of them together before the next entry, because a VMM sets them in an order of its own.
 */

#define CR0_VALID                                                                                  \
    (CR0_PE | CR0_MP | BIT64(2) | BIT64(3) | CR0_ET | CR0_NE | CR0_WP | BIT64(18) | CR0_NW |       \
     CR0_CD | CR0_PG)
#define DR6_FIXED    0xffff0ff0ULL
#define DR6_VALID    0xffffefffULL
#define DR7_FIXED    0x00000400ULL
#define DR7_VALID    0xffff2fffULL
#define RFLAGS_VALID 0x003f7fd7ULL
#define RFLAGS_ZERO  0x00008028ULL /* read as zero, whatever is written */
#define ATTR_VMCB(a) ((uint16_t)(((a)&0xff) | ((a) >> 4 & 0xf00)))
#define ATTR_CS_L    0x200
#define ATTR_CS_D    0x400
#define VECTOR_OF    4

static bool canonical(uint64_t v)
{
    /* A fifth level of page tables is hidden from every partition. */
    return (uint64_t)((int64_t)(v << 16) >> 16) == v;
}

/* Bits of CR4 and EFER that a feature brings along; `reg` indexes the CPUID result. */
struct feature_bit {
    uint64_t bit;
    uint32_t leaf;
    uint8_t reg, at;
};

static const struct feature_bit cr4_features[] = {
    {BIT64(11), 7, 2, 2},    /* UMIP */
    {BIT64(16), 7, 1, 0},    /* FSGSBASE */
    {BIT64(17), 1, 2, 17},   /* PCIDE */
    {CR4_OSXSAVE, 1, 2, 26}, /* XSAVE */
    {CR4_SMEP, 7, 1, 7},     /* SMEP */
    {CR4_SMAP, 7, 1, 20},    /* SMAP */
    {BIT64(22), 7, 2, 3},    /* PKE */
};

static const struct feature_bit efer_features[] = {
    {EFER_SCE, 0x80000001, 3, 11},                                 /* SYSCALL */
    {EFER_LME, 0x80000001, 3, 29},                                 /* long mode */
    {EFER_LMA, 0x80000001, 3, 29},  {EFER_NXE, 0x80000001, 3, 20}, /* NX */
    {BIT64(14), 0x80000001, 3, 25},                                /* FFXSR */
    {BIT64(15), 0x80000001, 2, 17},                                /* TCE */
};

static uint64_t features(const struct feature_bit *f, size_t count)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t r[4];

        cpu_cpuid(f[i].leaf, 0, r);
        if (r[f[i].reg] & BIT(f[i].at))
            bits |= f[i].bit;
    }
    return bits;
}

static uint64_t cr3_valid(void)
{
    uint32_t r[4];
    unsigned width;

    cpu_cpuid(0x80000008, 0, r);
    width = r[0] & 0xff;
    return width >= 52 ? BIT64(52) - 1 : BIT64(width) - 1;
}

/* LMA is what the processor makes of LME and PG. */
static void settle_lma(struct vmcb *c)
{
    bool lma = (c->efer & EFER_LME) && (c->cr0 & CR0_PG);

    c->efer = lma ? c->efer | EFER_LMA : c->efer & ~EFER_LMA;
}

static int set_cr0(struct vmcb *c, uint64_t v)
{
    if (v & ~CR0_VALID || ((v & CR0_NW) && !(v & CR0_CD)) || ((v & CR0_PG) && !(v & CR0_PE)))
        return -EINVAL;
    c->cr0 = v | CR0_ET;
    settle_lma(c);
    return 0;
}

static int set_cr4(struct vmcb *c, uint64_t v)
{
    if (v & ~(0x7ffULL | features(cr4_features, ARRAY_SIZE(cr4_features))))
        return -EINVAL;
    c->cr4 = v;
    return 0;
}

static int set_efer(struct vmcb *c, uint64_t v)
{
    if (v & ~features(efer_features, ARRAY_SIZE(efer_features)))
        return -EINVAL;
    if ((v & EFER_LMA) && !(v & EFER_LME))
        return -EINVAL;
    c->efer = v | EFER_SVME;
    settle_lma(c);
    return 0;
}

static int set_masked(uint64_t *at, uint64_t v, uint64_t valid, uint64_t fixed)
{
    if (v & ~(valid | fixed))
        return -EINVAL;
    *at = v | fixed;
    return 0;
}

static int set_address(uint64_t *at, uint64_t v)
{
    if (!canonical(v))
        return -EINVAL;
    *at = v;
    return 0;
}

static int set_limit(struct vmcb_segment *at, uint64_t v)
{
    if (v > UINT16_MAX)
        return -EINVAL;
    at->limit = (uint32_t)v;
    return 0;
}

static int set_any(uint64_t *at, uint64_t v)
{
    *at = v;
    return 0;
}

static int set_register(struct vp *vp, enum vreg r, uint64_t v)
{
    struct vmcb *c = vp->arch->vmcb;

    switch (r) {
    case VREG_CR0:
        return set_cr0(c, v);
    case VREG_CR2:
        return set_any(&c->cr2, v);
    case VREG_CR3:
        return set_masked(&c->cr3, v, cr3_valid(), 0);
    case VREG_CR4:
        return set_cr4(c, v);
    case VREG_EFER:
        return set_efer(c, v);
    case VREG_PAT:
        return vendor_vp_set_pat(vp, v) ? -EINVAL : 0;
    case VREG_GDTR:
        return set_address(&c->gdtr.base, v);
    case VREG_IDTR:
        return set_address(&c->idtr.base, v);
    case VREG_GDTR_LIMIT:
        return set_limit(&c->gdtr, v);
    case VREG_IDTR_LIMIT:
        return set_limit(&c->idtr, v);
    case VREG_DR6:
        return set_masked(&c->dr6, v & ~BIT64(12), DR6_VALID, DR6_FIXED);
    case VREG_DR7:
        return set_masked(&c->dr7, v, DR7_VALID, DR7_FIXED);
    case VREG_STAR:
        return set_any(&c->star, v);
    case VREG_LSTAR:
        return set_address(&c->lstar, v);
    case VREG_CSTAR:
        return set_address(&c->cstar, v);
    case VREG_SFMASK:
        return set_any(&c->sfmask, v);
    case VREG_KERNEL_GS_BASE:
        return set_address(&c->kernel_gs_base, v);
    case VREG_SYSENTER_CS:
        return set_any(&c->sysenter_cs, v);
    case VREG_SYSENTER_EIP:
        return set_address(&c->sysenter_eip, v);
    case VREG_SYSENTER_ESP:
        return set_address(&c->sysenter_esp, v);
    case VREG_RFLAGS:
        return set_masked(&vp->regs.rflags, v & ~RFLAGS_ZERO, RFLAGS_VALID, RFLAGS_FIXED);
    }
    return -EINVAL;
}

/* VMRUN takes the CPL as it is told, so it must be what the other registers say. */
static void settle_cpl(struct vp *vp)
{
    struct vmcb *c = vp->arch->vmcb;

    if (!(c->cr0 & CR0_PE))
        c->cpl = 0;
    else if (vp->regs.rflags & RFLAGS_VM)
        c->cpl = 3;
    else
        c->cpl = c->ss.attributes >> 5 & 3;
}

int vendor_vp_set(struct vp *vp, enum vreg r, uint64_t v)
{
    int rc = set_register(vp, r, v);

    if (!rc) {
        settle_cpl(vp);
        vp->arch->changed = true;
        vp->arch->flush_tlb = true; /* for what paging depends on; the others are rare */
    }
    return rc;
}

int vendor_vp_set_segment(struct vp *vp, enum seg s, const struct segment *from)
{
    struct vmcb *c = vp->arch->vmcb;
    struct vmcb_segment *const to[SEG_COUNT] = {
        [SEG_ES] = &c->es, [SEG_CS] = &c->cs, [SEG_SS] = &c->ss,     [SEG_DS] = &c->ds,
        [SEG_FS] = &c->fs, [SEG_GS] = &c->gs, [SEG_LDTR] = &c->ldtr, [SEG_TR] = &c->tr,
    };
    bool narrow = s == SEG_ES || s == SEG_CS || s == SEG_SS || s == SEG_DS;

    if (narrow ? from->base > UINT32_MAX : !canonical(from->base))
        return -EINVAL;
    *to[s] = (struct vmcb_segment){
        .selector = from->selector,
        .attributes = ATTR_VMCB(from->attributes),
        .limit = from->limit,
        .base = from->base,
    };
    settle_cpl(vp);
    vp->arch->changed = true;
    return 0;
}

static bool event_fits(const struct vmcb *c)
{
    bool long_code = (c->efer & EFER_LMA) && (c->cs.attributes & ATTR_CS_L);
    uint64_t e = c->event_inj;

    /* INTO, where there is none. */
    return !(long_code && (e & EVENT_VALID) && (e & EVENT_TYPE_MASK) == EVENT_EXCEPTION &&
             EVENT_VECTOR(e) == VECTOR_OF);
}

bool svm_set_consistent(struct vp *vp)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;
    uint16_t both = ATTR_CS_L | ATTR_CS_D;

    if (c->efer & EFER_LMA) {
        if (!(c->cr4 & CR4_PAE) || (c->cs.attributes & both) == both ||
            (vp->regs.rflags & RFLAGS_VM))
            return false;
    } else if (c->cr4 & BIT64(17)) {
        return false; /* PCIDE outside of long mode */
    }
    if (!event_fits(c))
        return false;
    /* Should the processor refuse it nevertheless: the guest has done nothing to undo. */
    a->good_cr0 = c->cr0;
    a->good_cr3 = c->cr3;
    a->good_cr4 = c->cr4;
    a->recovering = true;
    a->changed = false;
    return true;
}

void vendor_vp_get_event(const struct vp *vp, struct vp_event *out)
{
    uint64_t e = vp->arch->vmcb->event_inj;

    *out = (struct vp_event){.valid = e & EVENT_VALID};
    if (!out->valid)
        return;
    /* SVM's numbers of the types are the TLFS's. */
    out->type = (uint8_t)((e & EVENT_TYPE_MASK) >> 8);
    out->vector = EVENT_VECTOR(e);
    out->has_error_code = e & EVENT_ERROR_VALID;
    out->error_code = (uint32_t)(e >> 32);
}

static int exception_set(struct vmcb *c, const struct vp_event *e)
{
    if (!svm_event_exception(e->vector))
        return -EINVAL;
    c->event_inj = e->vector | EVENT_EXCEPTION | EVENT_VALID;
    if (e->has_error_code && svm_event_has_error_code(e->vector))
        c->event_inj |= EVENT_ERROR_VALID | (uint64_t)e->error_code << 32;
    return 0;
}

int vendor_vp_set_event(struct vp *vp, const struct vp_event *e)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;
    int rc = 0;

    if (!e->valid) {
        c->event_inj = 0;
        return 0;
    }
    switch (e->type) {
    case HV_INTERRUPTION_EXTERNAL: /* as one of the 8259: EVENTINJ would ignore IF */
        c->event_inj = 0;
        vendor_vp_set_extint(vp, e->vector);
        break;
    case HV_INTERRUPTION_NMI:
        c->event_inj = 2 | EVENT_NMI | EVENT_VALID;
        c->intercept[3] |= INTERCEPT3_IRET;
        a->nmi_masked = true;
        break;
    case HV_INTERRUPTION_EXCEPTION:
        rc = exception_set(c, e);
        break;
    case HV_INTERRUPTION_SOFTWARE_INTERRUPT:
    case HV_INTERRUPTION_PRIVILEGED_SOFTWARE_EXCEPTION:
    case HV_INTERRUPTION_SOFTWARE_EXCEPTION:
        c->event_inj = 0; /* RIP stands at the instruction, which is executed again */
        break;
    default:
        rc = -EINVAL;
    }
    a->changed = true;
    return rc;
}

uint64_t vendor_vp_interrupt_state(const struct vp *vp)
{
    return (vp->arch->vmcb->int_shadow & INT_SHADOW ? HV_INTERRUPT_STATE_SHADOW : 0) |
           (vp->arch->nmi_masked ? HV_INTERRUPT_STATE_NMI_MASKED : 0);
}

void vendor_vp_set_interrupt_state(struct vp *vp, uint64_t state)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;

    c->int_shadow = state & HV_INTERRUPT_STATE_SHADOW ? INT_SHADOW : 0;
    a->shadow_tries = 0;
    a->nmi_masked = state & HV_INTERRUPT_STATE_NMI_MASKED;
    a->iret_pending = false;
    /* The IRET that ends the mask must be seen. */
    if (a->nmi_masked)
        c->intercept[3] |= INTERCEPT3_IRET;
    else
        c->intercept[3] &= ~INTERCEPT3_IRET;
}
