/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/svm/svm_priv.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/lazyeoi.h"

/*
 * Interrupts are handed to the processor as a virtual interrupt request
 * (V_IRQ), not by EVENTINJ: it takes them itself as soon as IF, the shadow and
 * CR8 allow, with no exit to open a window. After the next exit a cleared V_IRQ
 * says that it happened, and only then the vector is in service. In between it
 * is in neither IRR nor ISR: see vapic_request().
 */

#define RETRY_US     20
#define SHADOW_TRIES 16

#define VECTOR_DF 8

/* Contributory exceptions for the double fault rule, APM volume 2 section 8.2.9. */
static bool contributory(uint8_t vector)
{
    return vector == 0 || (vector >= 10 && vector <= 14);
}

bool svm_event_has_error_code(uint8_t vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* VMRUN refuses the others, APM volume 2 section 15.20. */
bool svm_event_exception(uint8_t vector)
{
    return vector <= 1 || (vector >= 3 && vector <= 8) || (vector >= 10 && vector <= 14) ||
           (vector >= 16 && vector <= 19);
}

static uint64_t exception_event(uint8_t vector, uint32_t error_code)
{
    uint64_t event = vector | EVENT_EXCEPTION | EVENT_VALID;

    if (svm_event_has_error_code(vector))
        event |= EVENT_ERROR_VALID | (uint64_t)error_code << 32;
    return event;
}

void svm_event_describe(const struct vmcb *c, uint8_t vector, uint32_t error_code, struct exit *e)
{
    /* In real mode there are none. */
    bool with_code = (c->cr0 & CR0_PE) && svm_event_has_error_code(vector);

    e->reason = EXIT_EXCEPTION;
    e->exception.vector = vector;
    e->exception.has_error_code = with_code;
    e->exception.error_code = with_code ? error_code : 0;
    e->exception.address = 0;
}

/* One that the hypervisor raises: the processor would deliver it without asking anybody. */
static bool intercepted(struct vp *vp, uint8_t vector, uint32_t error_code)
{
    const struct vmcb *c = vp->arch->vmcb;
    struct exit e = {0};

    if (!(c->intercept[2] & BIT(vector)))
        return false;
    svm_event_describe(c, vector, error_code, &e);
    child_exception(vp, &e);
    return true;
}

void vp_inject_exception(struct vp *vp, uint8_t vector, uint32_t error_code)
{
    struct vmcb *c = vp->arch->vmcb;
    uint64_t queued = c->event_inj;

    if (intercepted(vp, vector, error_code))
        return;
    /* A fault while a contributory exception was being delivered is a double fault. */
    if ((queued & EVENT_VALID) && (queued & EVENT_TYPE_MASK) == EVENT_EXCEPTION &&
        contributory(EVENT_VECTOR(queued)) && contributory(vector)) {
        vector = VECTOR_DF;
        error_code = 0;
    }
    c->event_inj = exception_event(vector, error_code);
    trace(TRACE_INJECT, vector, vp->regs.rip);
}

static void retry_soon(struct vp_arch *a)
{
    timer_arm(&a->retry, clock_tsc() + clock_tsc_hz() / 1000000 * RETRY_US);
}

/* The IRET that was seen ends the mask when it has been executed. */
static void nmi_unmask(struct vp *vp)
{
    struct vp_arch *a = vp->arch;

    if (a->iret_pending && vp->regs.rip != a->iret_rip) {
        a->iret_pending = false;
        a->nmi_masked = false;
    }
}

bool vendor_vp_nmi_deliverable(struct vp *vp)
{
    const struct vmcb *c = vp->arch->vmcb;

    nmi_unmask(vp);
    return !vp->arch->nmi_masked && !(c->event_inj & EVENT_VALID) && !(c->int_shadow & INT_SHADOW);
}

static void prepare_nmi(struct vp *vp)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;
    bool deliverable = vendor_vp_nmi_deliverable(vp);

    if (!a->nmi_pending && !(vp->deliverability & HV_DELIVERABILITY_NMI))
        return;
    if (a->nmi_pending && deliverable) {
        c->event_inj = 2 | EVENT_NMI | EVENT_VALID;
        c->intercept[3] |= INTERCEPT3_IRET;
        a->nmi_pending = false;
        a->nmi_masked = true;
        vp_count(vp, VPC_NMI);
    } else if (a->iret_pending || !a->nmi_masked) {
        retry_soon(a);
    }
}

void svm_events_iret(struct vp *vp)
{
    struct vp_arch *a = vp->arch;

    a->vmcb->intercept[3] &= ~INTERCEPT3_IRET;
    a->iret_pending = true;
    a->iret_rip = vp->regs.rip;
}

static uint64_t virq_request(uint8_t vector, bool ignore_tpr)
{
    uint64_t prio = vector >> 4;

    /* The architecture wants priority > TPR; TCG takes equal ones too, so it is asked one lower. */
    if (svm_is_tcg && prio)
        prio--;
    return VINT_IRQ | prio << VINT_PRIO_SHIFT | (ignore_tpr ? VINT_IGN_TPR : 0) |
           (uint64_t)vector << VINT_VECTOR_SHIFT;
}

/*
 * The parent waits for the moment when an interrupt could be taken: a request that exits instead of
 * being delivered. One that is to be delivered goes first; its parent hears a little later.
 */
static void prepare_window(struct vp *vp)
{
    struct vmcb *c = vp->arch->vmcb;
    uint64_t priority =
        (vp->deliverability & HV_DELIVERABILITY_PRIO_MASK) >> HV_DELIVERABILITY_PRIO_SHIFT;

    c->intercept[3] &= ~INTERCEPT3_VINTR;
    if (!(vp->deliverability & HV_DELIVERABILITY_INTERRUPT) || vp->arch->virq_vector >= 0)
        return;
    if ((c->int_shadow & INT_SHADOW) && svm_is_tcg) {
        retry_soon(vp->arch); /* the shadow would be lost */
        return;
    }
    c->intercept[3] |= INTERCEPT3_VINTR;
    c->int_ctl |= virq_request((uint8_t)(priority << 4), !priority);
    if (svm_is_tcg)
        c->intercept[0] |= INTERCEPT0_CR8_WRITE;
}

/* Unless the 8259 has sent another one, which then had a higher priority. */
static void extint_put_back(struct vp_arch *a, int vector)
{
    int none = -1;

    atomic_compare_exchange_strong_explicit(&a->extint_vector, &none, vector, memory_order_relaxed,
                                            memory_order_relaxed);
}

void svm_events_prepare(struct vp *vp)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;
    int vector = vapic_highest(vp);

    prepare_nmi(vp);
    c->int_ctl = VINT_INTR_MASKING | vapic_tpr_get(vp) >> 4;
    c->intercept[0] &= ~INTERCEPT0_CR8_WRITE;
    a->virq_vector = -1;
    a->virq_extint = false;
    if (vendor_vp_extint_pending(vp)) {
        a->virq_extint = true;
        vector = atomic_load_explicit(&a->extint_vector, memory_order_relaxed);
    }
    if (vector >= 0 && (c->int_shadow & INT_SHADOW) && svm_is_tcg) {
        /* The shadow would be lost at VMRUN and the interrupt taken too early. */
        retry_soon(a);
        vector = -1;
    }
    if (vector >= 0) {
        /* Either way it is in neither place while requested: the next one may arrive. */
        if (a->virq_extint)
            vector = atomic_exchange_explicit(&a->extint_vector, -1, memory_order_relaxed);
        else
            vapic_request(vp, (uint8_t)vector);
        c->int_ctl |= virq_request((uint8_t)vector, a->virq_extint);
        a->virq_vector = vector;
        /* TCG aborts if a write of CR8 finds a request that it makes deliverable. */
        if (svm_is_tcg)
            c->intercept[0] |= INTERCEPT0_CR8_WRITE;
    }
    prepare_window(vp);
    lazyeoi_enter(vp, a->virq_extint ? -1 : a->virq_vector);
}

/*
 * Was the requested interrupt delivered? If an exit cut the delivery off, it was
 * not: it is simply requested again. (EVENTINJ would do on hardware, but TCG
 * delivers an injected interrupt twice when another event follows closely.)
 */
static bool virq_taken(const struct vp_arch *a, uint64_t info)
{
    bool cut_off = (info & EVENT_VALID) && (info & EVENT_TYPE_MASK) == EVENT_INTR;

    return a->virq_vector >= 0 && !(a->vmcb->int_ctl & VINT_IRQ) && !cut_off;
}

/* Events that EVENTINJ repeats: INT n is executed again instead, an interrupt requested again. */
static bool event_repeats(uint64_t info)
{
    uint64_t type = info & EVENT_TYPE_MASK;

    return (info & EVENT_VALID) && type != EVENT_SOFT && type != EVENT_INTR;
}

/*
 * TCG drops the interrupt shadow at VMRUN. As long as RIP stands where it was seen,
 * the instruction that it protects is still to come; but a loop onto itself must
 * not keep interrupts out for ever.
 */
static void keep_shadow(struct vp *vp)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;

    if (c->int_shadow & INT_SHADOW) {
        a->shadow_rip = vp->regs.rip;
        a->shadow_tries = SHADOW_TRIES;
    } else if (a->shadow_tries && vp->regs.rip == a->shadow_rip) {
        a->shadow_tries--;
        c->int_shadow |= INT_SHADOW;
    } else {
        a->shadow_tries = 0;
    }
}

/*
 * The event that an exit cut off. TCG calls a virtual interrupt an exception there, with a vector
 * that no exception may have at VMRUN; it leaves the request pending, which tells them apart.
 */
static uint64_t event_cut_off(const struct vp_arch *a)
{
    uint64_t info = a->vmcb->exit_int_info;

    if (svm_is_tcg && (info & EVENT_TYPE_MASK) == EVENT_EXCEPTION &&
        (a->vmcb->int_ctl & VINT_IRQ) && EVENT_VECTOR(info) == a->virq_vector)
        return EVENT_INTR | EVENT_VALID | EVENT_VECTOR(info);
    return info;
}

void svm_events_collect(struct vp *vp)
{
    struct vp_arch *a = vp->arch;
    struct vmcb *c = a->vmcb;
    uint64_t info = event_cut_off(a);
    uint8_t tpr_class = (uint8_t)(c->int_ctl & 0xf);
    bool taken = virq_taken(a, info);

    if (taken) {
        if (!a->virq_extint)
            vapic_accept(vp, (uint8_t)a->virq_vector);
        vp_count(vp, VPC_INJECTED);
        vp->vectors[a->virq_vector]++;
    } else if (a->virq_vector >= 0) {
        if (a->virq_extint)
            extint_put_back(a, a->virq_vector);
        else
            vapic_withdraw(vp, (uint8_t)a->virq_vector);
    }
    a->virq_vector = -1;
    lazyeoi_exit(vp, taken && !a->virq_extint);
    if (svm_is_tcg && c->exit_code != VMEXIT_HLT)
        keep_shadow(vp);
    if (tpr_class != vapic_tpr_get(vp) >> 4)
        vapic_tpr_set(vp, (uint8_t)(tpr_class << 4));

    if (event_repeats(info)) {
        c->event_inj = info;
        if ((info & EVENT_TYPE_MASK) == EVENT_NMI)
            a->nmi_masked = true;
    }
    c->exit_int_info = 0;
}

void vendor_vp_set_extint(struct vp *vp, uint8_t vector)
{
    atomic_store_explicit(&vp->arch->extint_vector, vector, memory_order_relaxed);
}

int vendor_vp_extint(const struct vp *vp)
{
    return atomic_load_explicit(&vp->arch->extint_vector, memory_order_relaxed);
}

void vendor_vp_clear_extint(struct vp *vp)
{
    atomic_store_explicit(&vp->arch->extint_vector, -1, memory_order_relaxed);
}
