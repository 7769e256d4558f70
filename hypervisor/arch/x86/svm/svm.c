/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/svm/svm_priv.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/intercept/decode.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "hypervisor/mm/gpamap.h"
#include "lib/errno.h"
#include "lib/string.h"

#define CPUID_SVM_FEATURES 0x8000000aU
#define SVM_NESTED_PAGING  BIT(0)
#define VM_CR_SVMDIS       BIT64(4)

bool svm_is_tcg;

static inline void clgi(void)
{
    __asm__ volatile("clgi" : : : "memory");
}

static inline void stgi(void)
{
    __asm__ volatile("stgi" : : : "memory");
}

int vendor_probe(const char **why)
{
    uint32_t r[4];
    uint64_t vm_cr;

    cpu_cpuid(0x80000001, 0, r);
    if (!(r[2] & BIT(2))) {
        *why = "the processor has no AMD-V (SVM); start the virtual host with -cpu max, or use a "
               "machine that has it";
        return -ENODEV;
    }
    if (!cpu_rdmsr_safe(MSR_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS)) {
        *why = "AMD-V (SVM) is switched off in the firmware; enable it in the firmware's setup";
        return -ENODEV;
    }
    cpu_cpuid(CPUID_SVM_FEATURES, 0, r);
    if (!(r[3] & SVM_NESTED_PAGING)) {
        *why = "the processor's AMD-V (SVM) has no nested paging";
        return -ENODEV;
    }
    cpu_cpuid(0x40000000, 0, r);
    svm_length_init(r[3]);
    svm_is_tcg = !memcmp(&r[1], "TCGTCGTCGTCG", 12);
    return svm_maps_init();
}

bool vendor_is_tcg(void)
{
    return svm_is_tcg;
}

int vendor_lp_enable(struct lp *lp)
{
    struct vendor_lp *v;
    uint32_t r[4];
    hpa_t page;
    int rc = frame_alloc(3, 1, &page);

    if (rc)
        return rc;
    v = hpa_to_virt(page);
    v->host_save = hpa(page.v + PAGE_SIZE);
    v->host_vmcb = hpa(page.v + 2 * PAGE_SIZE);
    cpu_cpuid(CPUID_SVM_FEATURES, 0, r);
    v->asid_limit = r[1];
    v->asid_next = v->asid_limit; /* the first VP starts a generation */
    lp->vendor = v;

    cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_SVME);
    cpu_wrmsr(MSR_VM_HSAVE_PA, v->host_save.v);
    __asm__ volatile("vmsave %0" : : "a"(v->host_vmcb.v) : "memory");
    return 0;
}

static void retry_fired(struct timer *t)
{
    struct vp_arch *a = container_of(t, struct vp_arch, retry);

    (void)a; /* the exit that brought us here was the purpose */
}

int vendor_vp_create(struct vp *vp)
{
    struct vp_arch *a;
    hpa_t page;
    hpa_t vmcb;
    int rc = partition_alloc(vp->partition, 1, &page);

    if (rc)
        return rc;
    rc = partition_alloc(vp->partition, 1, &vmcb);
    if (rc) {
        partition_free(vp->partition, page, 1);
        return rc;
    }
    a = hpa_to_virt(page);
    a->vmcb_pa = vmcb;
    a->vmcb = hpa_to_virt(a->vmcb_pa);
    timer_init(&a->retry, retry_fired);
    vp->arch = a;
    vendor_vp_reset(vp);
    return 0;
}

void vendor_vp_destroy(struct vp *vp)
{
    if (!vp->arch)
        return;
    timer_cancel(&vp->arch->retry);
    partition_free(vp->partition, vp->arch->vmcb_pa, 1);
    partition_free(vp->partition, virt_to_hpa(vp->arch), 1);
    vp->arch = NULL;
}

/* A VP has an ASID for as long as it stays on an LP whose ASIDs are not used up. */
static void asid_prepare(struct vp_arch *a, struct lp *lp)
{
    struct vendor_lp *v = lp->vendor;

    a->vmcb->tlb_control = 0;
    if (a->asid_lp != lp || a->generation != v->generation) {
        if (v->asid_next >= v->asid_limit) {
            v->asid_next = 1;
            v->generation++;
            a->flush_tlb = true;
        }
        a->vmcb->asid = v->asid_next++;
        a->asid_lp = lp;
        a->generation = v->generation;
    }
    if (a->flush_tlb)
        a->vmcb->tlb_control = TLB_FLUSH_ALL;
    a->flush_tlb = false;
}

static void describe_io(const struct vmcb *c, struct exit *e)
{
    uint64_t info = c->exit_info1;

    e->reason = EXIT_IO;
    e->insn_len = (uint8_t)(c->exit_info2 - c->rip);
    e->io.port = (uint16_t)(info >> 16);
    e->io.in = info & BIT64(0);
    e->io.string = info & BIT64(2);
    e->io.rep = info & BIT64(3);
    e->io.size = (uint8_t)bits_get(info, 6, 4);
}

static void describe_fault(const struct vmcb *c, struct exit *e)
{
    e->reason = EXIT_GPA_FAULT;
    e->fault.gpa = gpa(c->exit_info2);
    e->fault.write = c->exit_info1 & NPF_WRITE;
    e->fault.exec = c->exit_info1 & NPF_FETCH;
    e->fault.table_walk = c->exit_info1 & NPF_TABLE_WALK;
}

/*
 * VMRUN refused the state, or the guest's own write of a control register: a value
 * that the processor should have faulted. Undo it, #GP; that can fail only once.
 */
static enum exit_reason recover_invalid(struct vp *vp)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;

    if (a->recovering)
        return EXIT_INVALID;
    a->recovering = true;
    c->cr0 = a->good_cr0;
    c->cr3 = a->good_cr3;
    c->cr4 = a->good_cr4;
    vp_inject_exception(vp, VECTOR_GP, 0);
    return EXIT_NONE;
}

static const struct {
    uint16_t code;
    uint8_t reason;
    uint8_t kind, len; /* enum insn_simple and its usual length, where the handler moves RIP on */
} simple_exits[] = {
    {VMEXIT_INTR, EXIT_INTR, 0, 0},         {VMEXIT_NMI, EXIT_NMI, 0, 0},
    {VMEXIT_SMI, EXIT_NONE, 0, 0},          {VMEXIT_INIT, EXIT_NONE, 0, 0},
    {VMEXIT_VINTR, EXIT_NONE, 0, 0},        {VMEXIT_CPUID, EXIT_CPUID, INSN_CPUID, 2},
    {VMEXIT_HLT, EXIT_HLT, INSN_HLT, 1},    {VMEXIT_VMMCALL, EXIT_HYPERCALL, INSN_VMMCALL, 3},
    {VMEXIT_SHUTDOWN, EXIT_SHUTDOWN, 0, 0}, {VMEXIT_CR8_WRITE, EXIT_CR8_WRITE, 0, 0},
    {VMEXIT_INVLPGA, EXIT_UNDEFINED, 0, 0}, {VMEXIT_MONITOR, EXIT_UNDEFINED, 0, 0},
    {VMEXIT_MWAIT, EXIT_UNDEFINED, 0, 0},   {VMEXIT_VMRUN, EXIT_UNDEFINED, 0, 0},
    {VMEXIT_VMLOAD, EXIT_UNDEFINED, 0, 0},  {VMEXIT_VMSAVE, EXIT_UNDEFINED, 0, 0},
    {VMEXIT_STGI, EXIT_UNDEFINED, 0, 0},    {VMEXIT_CLGI, EXIT_UNDEFINED, 0, 0},
    {VMEXIT_SKINIT, EXIT_UNDEFINED, 0, 0},  {VMEXIT_INVD, EXIT_CACHE, INSN_INVD, 2},
    {VMEXIT_RDPMC, EXIT_FORBIDDEN, 0, 0},   {VMEXIT_WBINVD, EXIT_CACHE, INSN_WBINVD, 2},
};

static void describe_exit(struct vp *vp, struct exit *e)
{
    const struct vmcb *c = vp->arch->vmcb;

    e->code = c->exit_code;
    e->insn_len = 0;
    if (c->exit_code >= VMEXIT_EXCEPTION && c->exit_code < VMEXIT_INTR) {
        svm_event_describe(c, (uint8_t)(c->exit_code - VMEXIT_EXCEPTION), (uint32_t)c->exit_info1,
                           e);
        if (e->exception.vector == VECTOR_PF)
            e->exception.address = c->exit_info2; /* CR2 is as it was, APM 15.12.15 */
        return;
    }
    switch (c->exit_code) {
    case VMEXIT_NPF:
        describe_fault(c, e);
        return;
    case VMEXIT_MSR:
        e->reason = EXIT_MSR;
        e->msr.write = c->exit_info1 & 1;
        e->insn_len = svm_insn_length(vp, e->msr.write ? INSN_WRMSR : INSN_RDMSR, 2);
        return;
    case VMEXIT_IOIO:
        describe_io(c, e);
        return;
    case VMEXIT_IRET:
        svm_events_iret(vp);
        e->reason = EXIT_NONE;
        return;
    case VMEXIT_INVALID:
        e->reason = recover_invalid(vp);
        return;
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_SIZE(simple_exits); i++) {
        if (simple_exits[i].code == c->exit_code) {
            e->reason = (enum exit_reason)simple_exits[i].reason;
            if (simple_exits[i].len)
                e->insn_len = svm_insn_length(vp, simple_exits[i].kind, simple_exits[i].len);
            return;
        }
    }
    e->reason = EXIT_INVALID;
}

static void load_registers(struct vp *vp, struct vmcb *c)
{
    c->rax = vp->regs.gpr[RAX];
    c->rsp = vp->regs.gpr[RSP];
    c->rip = vp->regs.rip;
    c->rflags = vp->regs.rflags;
}

static void store_registers(struct vp *vp, const struct vmcb *c)
{
    vp->regs.gpr[RAX] = c->rax;
    vp->regs.gpr[RSP] = c->rsp;
    vp->regs.rip = c->rip;
    vp->regs.rflags = c->rflags;
}

/*
 * The world switch. What the guest took is settled before the window for physical
 * interrupts opens, because their handlers may leave new ones for it.
 */
static void enter_guest(struct vp *vp, struct lp *lp)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;
    uint64_t cr0 = c->cr0, cr3 = c->cr3, cr4 = c->cr4;

    lp_quiet_begin();
    svm_enter(&vp->regs, a->vmcb_pa.v, lp->vendor->host_vmcb.v);
    lp_quiet_end();
    /* Release: a waiter for the flush of this VP sees what the guest wrote before. */
    atomic_fetch_add_explicit(&vp->entries, 1, memory_order_release);
    atomic_store_explicit(&vp->in_guest, false, memory_order_seq_cst);
    if ((uint32_t)c->exit_code == (uint32_t)VMEXIT_INVALID)
        c->exit_code = VMEXIT_INVALID; /* TCG stores 32 bits of it */
    if (c->exit_code != VMEXIT_INVALID) {
        a->good_cr0 = cr0;
        a->good_cr3 = cr3;
        a->good_cr4 = cr4;
    }
    store_registers(vp, c);
    svm_events_collect(vp);
    stgi();
    cpu_interrupt_window();
}

/*
 * GIF is 1 here by all paths. But TCG may lose a change of it (decision 5); STGI costs
 * nothing, and an idle LP must always wake.
 */
void vendor_wait(void)
{
    if (svm_is_tcg)
        lapic_weigh_again(); /* it may have missed the APIC's notice */
    __asm__ volatile("stgi; sti; hlt; cli" : : : "memory");
}

void vendor_vp_run(struct vp *vp, struct exit *exit)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;
    struct lp *lp = this_lp();

    if (a->changed && !svm_set_consistent(vp)) {
        exit->reason = EXIT_INVALID;
        exit->code = VMEXIT_INVALID;
        return;
    }
    svm_events_prepare(vp);
    asid_prepare(a, lp);
    load_registers(vp, c);

    clgi();
    /* Pairs with vp_request(): it sets the request, then looks at in_guest. */
    atomic_store_explicit(&vp->in_guest, true, memory_order_seq_cst);
    if (atomic_load_explicit(&vp->requests, memory_order_seq_cst) ||
        atomic_load_explicit(&lp->need_resched, memory_order_relaxed)) {
        atomic_store_explicit(&vp->in_guest, false, memory_order_seq_cst);
        stgi();
        c->exit_int_info = 0;
        a->flush_tlb |= c->tlb_control != 0;
        svm_events_collect(vp);
        exit->reason = EXIT_NONE;
        exit->code = 0;
        return;
    }
    enter_guest(vp, lp);
    if (c->exit_code != VMEXIT_INVALID)
        a->recovering = false;
    describe_exit(vp, exit);
}
