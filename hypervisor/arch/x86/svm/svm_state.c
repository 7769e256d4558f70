/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/svm/svm_priv.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/mm/gpamap.h"
#include "lib/errno.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define PAT_RESET      0x0007040600070406ULL
#define CR0_RESET      0x60000010ULL
#define DR6_RESET      0xffff0ff0ULL
#define DR7_RESET      0x400ULL
#define ATTR_CODE16    0x09b
#define ATTR_DATA16    0x093
#define ATTR_LDT       0x082
#define ATTR_TSS16     0x083
#define ATTR_TSS64     0x08b
#define ATTR_CODE64    0xa9b
#define ATTR_DATA32    0xc93
#define ATTR_CODE_LONG 0x200 /* L bit */

#define LOADER_CODE 0x10 /* __BOOT_CS and __BOOT_DS of the Linux boot protocol */
#define LOADER_DATA 0x18

static const struct vmcb_segment data16 = {0, ATTR_DATA16, 0xffff, 0};
static const struct vmcb_segment table16 = {0, 0, 0xffff, 0};

static void set_intercepts(const struct vp *vp, struct vmcb *c)
{
    c->intercept[3] = INTERCEPT3_INTR | INTERCEPT3_NMI | INTERCEPT3_CPUID | INTERCEPT3_INVD |
                      INTERCEPT3_HLT | INTERCEPT3_INVLPGA | INTERCEPT3_IOIO | INTERCEPT3_MSR |
                      INTERCEPT3_SHUTDOWN;
    c->intercept[4] = INTERCEPT4_VMRUN | INTERCEPT4_VMMCALL | INTERCEPT4_VMLOAD |
                      INTERCEPT4_VMSAVE | INTERCEPT4_STGI | INTERCEPT4_CLGI | INTERCEPT4_SKINIT |
                      INTERCEPT4_MONITOR | INTERCEPT4_MWAIT;
    if (vp->partition->is_root)
        return;
    /* What stalls everybody, and counters that count everybody. */
    c->intercept[3] |= INTERCEPT3_RDPMC;
    c->intercept[4] |= INTERCEPT4_WBINVD;
}

/* The map is one for all children that have an intercept of any MSR: with it every MSR exits. */
void vendor_vp_update_intercepts(struct vp *vp)
{
    const struct partition_intercepts *i = &vp->partition->intercepts;
    bool msrs = __atomic_load_n(&i->any_msr, __ATOMIC_RELAXED);

    vp->arch->vmcb->intercept[2] = __atomic_load_n(&i->exceptions, __ATOMIC_RELAXED);
    vp->arch->vmcb->msrpm_base = vp->partition->is_root ? svm_parent_msrpm.v
                                 : msrs                 ? svm_closed_msrpm.v
                                                        : svm_child_msrpm.v;
}

/* RDX after INIT: family, model and stepping. */
static uint32_t processor_signature(void)
{
    uint32_t r[4];

    cpu_cpuid(1, 0, r);
    return r[0];
}

void vendor_vp_reset(struct vp *vp)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;
    uint64_t tsc_offset = c->tsc_offset;

    memset(c, 0, sizeof(*c));
    set_intercepts(vp, c);
    c->iopm_base = vp->partition->is_root ? svm_parent_iopm.v : svm_child_iopm.v;
    vendor_vp_update_intercepts(vp);
    c->tsc_offset = tsc_offset;
    c->np_enable = NESTED_PAGING;
    c->nested_cr3 = gpa_map_root(vp->partition->map).v;
    c->int_ctl = VINT_INTR_MASKING;

    c->es = c->ss = c->ds = c->fs = c->gs = data16;
    c->cs = (struct vmcb_segment){0xf000, ATTR_CODE16, 0xffff, 0xffff0000};
    c->ldtr = (struct vmcb_segment){0, ATTR_LDT, 0xffff, 0};
    c->tr = (struct vmcb_segment){0, ATTR_TSS16, 0xffff, 0};
    c->gdtr = c->idtr = table16;
    c->efer = EFER_SVME; /* VMRUN demands it; the guest sees it clear */
    c->cr0 = CR0_RESET;
    c->dr6 = DR6_RESET;
    c->dr7 = DR7_RESET;
    c->g_pat = PAT_RESET;

    memset(&vp->regs, 0, sizeof(vp->regs));
    vp->regs.rip = 0xfff0;
    vp->regs.rflags = RFLAGS_FIXED;
    vp->regs.gpr[RDX] = processor_signature();

    a->asid_lp = NULL;
    a->flush_tlb = true;
    a->virq_vector = -1;
    atomic_store_explicit(&a->extint_vector, -1, memory_order_relaxed);
    a->nmi_pending = a->nmi_masked = a->iret_pending = a->changed = false;
    a->good_cr0 = c->cr0;
    a->good_cr3 = c->cr3;
    a->good_cr4 = c->cr4;
}

void vendor_vp_start_sipi(struct vp *vp, uint8_t vector)
{
    struct vmcb *c = vp->arch->vmcb;

    c->cs.selector = (uint16_t)(vector << 8);
    c->cs.base = (uint64_t)vector << 12;
    vp->regs.rip = 0;
}

void vendor_vp_start_long(struct vp *vp, uint64_t rip, uint64_t cr3, gpa_t gdt, uint16_t gdt_limit)
{
    struct vmcb *c = vp->arch->vmcb;
    const struct vmcb_segment data = {LOADER_DATA, ATTR_DATA32, 0xffffffff, 0};

    c->cs = (struct vmcb_segment){LOADER_CODE, ATTR_CODE64, 0xffffffff, 0};
    c->ds = c->es = c->ss = c->fs = c->gs = data;
    c->tr.attributes = ATTR_TSS64;
    c->gdtr = (struct vmcb_segment){0, 0, gdt_limit, gdt.v};
    c->cr0 = CR0_PG | CR0_NE | CR0_ET | CR0_MP | CR0_PE;
    c->cr3 = cr3;
    c->cr4 = CR4_PAE;
    c->efer = EFER_SVME | EFER_LME | EFER_LMA;
    vp->regs.rip = rip;
}

uint64_t vendor_vp_get(const struct vp *vp, enum vreg r)
{
    const struct vmcb *c = vp->arch->vmcb;

    switch (r) {
    case VREG_CR0:
        return c->cr0;
    case VREG_CR2:
        return c->cr2;
    case VREG_CR3:
        return c->cr3;
    case VREG_CR4:
        return c->cr4;
    case VREG_EFER:
        return c->efer & ~EFER_SVME;
    case VREG_PAT:
        return c->g_pat;
    case VREG_GDTR:
        return c->gdtr.base;
    case VREG_IDTR:
        return c->idtr.base;
    case VREG_GDTR_LIMIT:
        return c->gdtr.limit;
    case VREG_IDTR_LIMIT:
        return c->idtr.limit;
    case VREG_DR6:
        return c->dr6;
    case VREG_DR7:
        return c->dr7;
    case VREG_STAR:
        return c->star;
    case VREG_LSTAR:
        return c->lstar;
    case VREG_CSTAR:
        return c->cstar;
    case VREG_SFMASK:
        return c->sfmask;
    case VREG_KERNEL_GS_BASE:
        return c->kernel_gs_base;
    case VREG_SYSENTER_CS:
        return c->sysenter_cs;
    case VREG_SYSENTER_EIP:
        return c->sysenter_eip;
    case VREG_SYSENTER_ESP:
        return c->sysenter_esp;
    case VREG_RFLAGS:
        return vp->regs.rflags;
    }
    return 0;
}

void vendor_vp_get_segment(const struct vp *vp, enum seg s, struct segment *out)
{
    const struct vmcb *c = vp->arch->vmcb;
    const struct vmcb_segment *const from[SEG_COUNT] = {
        [SEG_ES] = &c->es, [SEG_CS] = &c->cs, [SEG_SS] = &c->ss,     [SEG_DS] = &c->ds,
        [SEG_FS] = &c->fs, [SEG_GS] = &c->gs, [SEG_LDTR] = &c->ldtr, [SEG_TR] = &c->tr,
    };
    uint16_t attr = from[s]->attributes;

    out->base = from[s]->base;
    out->limit = from[s]->limit;
    out->selector = from[s]->selector;
    out->attributes = (uint16_t)((attr & 0xff) | (attr & 0xf00) << 4);
}

int vendor_vp_set_efer(struct vp *vp, uint64_t v)
{
    const uint64_t known = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | BIT64(14) | BIT64(15);
    struct vmcb *c = vp->arch->vmcb;

    /* SVME: this partition has no SVM. LMA follows the processor, LME is fixed while paging. */
    if (v & ~known)
        return -EPERM;
    if ((c->cr0 & CR0_PG) && ((v ^ c->efer) & EFER_LME))
        return -EPERM;
    c->efer = (v & ~EFER_LMA) | (c->efer & EFER_LMA) | EFER_SVME;
    vp->arch->flush_tlb = true;
    return 0;
}

int vendor_vp_set_pat(struct vp *vp, uint64_t v)
{
    for (unsigned i = 0; i < 64; i += 8) {
        uint64_t type = v >> i & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return -EPERM;
    }
    vp->arch->vmcb->g_pat = v;
    vp->arch->flush_tlb = true;
    return 0;
}

void vendor_vp_shift_tsc(struct vp *vp, uint64_t delta)
{
    vp->arch->vmcb->tsc_offset += delta;
}

uint64_t vendor_vp_tsc_offset(const struct vp *vp)
{
    return vp->arch->vmcb->tsc_offset;
}

bool vendor_vp_interruptible(const struct vp *vp)
{
    return (vp->regs.rflags & RFLAGS_IF) && !(vp->arch->vmcb->int_shadow & INT_SHADOW);
}

bool vendor_vp_in_shadow(const struct vp *vp)
{
    return vp->arch->vmcb->int_shadow & INT_SHADOW;
}

bool vendor_vp_event_pending(const struct vp *vp)
{
    return vp->arch->vmcb->event_inj & EVENT_VALID;
}

void vendor_vp_skip(struct vp *vp, unsigned len)
{
    struct vmcb *c = vp->arch->vmcb;

    vp->regs.rip += len;
    if (!(c->efer & EFER_LMA) || !(c->cs.attributes & ATTR_CODE_LONG))
        vp->regs.rip &= 0xffffffff;
    c->int_shadow &= ~INT_SHADOW;
}

bool vendor_vp_extint_pending(const struct vp *vp)
{
    return atomic_load_explicit(&vp->arch->extint_vector, memory_order_relaxed) >= 0;
}

void vendor_vp_nmi(struct vp *vp)
{
    vp->arch->nmi_pending = true;
}

void vendor_vp_flush(struct vp *vp)
{
    vp->arch->flush_tlb = true;
}

unsigned vp_cpl(const struct vp *vp)
{
    return vp->arch->vmcb->cpl;
}

bool vp_protected_mode(const struct vp *vp)
{
    return (vp->arch->vmcb->cr0 & CR0_PE) && !(vp->regs.rflags & RFLAGS_VM);
}

bool vp_long_mode(const struct vp *vp)
{
    const struct vmcb *c = vp->arch->vmcb;

    return (c->efer & EFER_LMA) && (c->cs.attributes & ATTR_CODE_LONG);
}

bool vp_cr4_osxsave(const struct vp *vp)
{
    return vp->arch->vmcb->cr4 & CR4_OSXSAVE;
}

const uint8_t *hypercall_page_code(size_t *len)
{
    static const uint8_t code[] = {0x0f, 0x01, 0xd9, 0xc3}; /* VMMCALL; RET */

    *len = sizeof(code);
    return code;
}

void vendor_vp_describe(const struct vp *vp, char *buf, size_t len)
{
    const struct vmcb *c = vp->arch->vmcb;

    fmt_snprintf(buf, len,
                 "exit=%lx info=%lx,%lx int_ctl=%lx shadow=%lx inj=%lx cr0=%lx cr3=%lx cr4=%lx "
                 "efer=%lx cpl=%u nmi=%d%d",
                 c->exit_code, c->exit_info1, c->exit_info2, c->int_ctl, c->int_shadow,
                 c->event_inj, c->cr0, c->cr3, c->cr4, c->efer, c->cpl, vp->arch->nmi_pending,
                 vp->arch->nmi_masked);
}
