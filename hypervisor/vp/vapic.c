/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/vapic_priv.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Priority class of a vector; 0 for "none", which no real vector has. */
static unsigned vector_class(int vector)
{
    return vector < 0 ? 0 : (unsigned)vector & 0xF0;
}

/* Power-up and INIT (SDM volume 3 "Local APIC State After Power-Up or Reset"). */
static void registers_reset(struct vp *vp)
{
    struct vapic_state *s = &vp->apic.state;

    vapic_timer_stop(vp);
    s->icr = 0;
    atomic_store_explicit(&s->svr, 0xFF, memory_order_relaxed);
    atomic_store_explicit(&s->tpr, 0, memory_order_relaxed);
    atomic_store_explicit(&s->ldr, 0, memory_order_relaxed);
    atomic_store_explicit(&s->dfr, ~0U, memory_order_relaxed);
    for (unsigned i = 0; i < VAPIC_LVT_COUNT; i++)
        atomic_store_explicit(&s->lvt[i], APIC_LVT_MASKED, memory_order_relaxed);
    for (unsigned i = 0; i < VAPIC_VECTOR_WORDS; i++) {
        atomic_store_explicit(&s->irr[i], 0, memory_order_relaxed);
        atomic_store_explicit(&s->isr[i], 0, memory_order_relaxed);
        atomic_store_explicit(&s->tmr[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&s->esr_pending, 0, memory_order_relaxed);
    s->esr = 0;
}

void vapic_init(struct vp *vp, bool x2apic)
{
    uint64_t base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE;

    memset(&vp->apic, 0, sizeof(vp->apic));
    if (x2apic)
        base |= APIC_BASE_X2APIC;
    if (vp->index.v == 0)
        base |= APIC_BASE_BSP;
    atomic_store_explicit(&vp->apic.state.base, base, memory_order_relaxed);
    vapic_timer_init(vp);
    registers_reset(vp);
}

bool vapic_accepts(const struct vp *vp)
{
    return vapic_is_enabled(vp) &&
           atomic_load_explicit(&vp->apic.state.svr, memory_order_relaxed) & APIC_SVR_ENABLE;
}

void vapic_lint_mirror(struct vp *vp)
{
    vapic_lint_changed(vp, vapic_lvt_get(vp, VAPIC_LVT_LINT0), vapic_lvt_get(vp, VAPIC_LVT_LINT1),
                       vapic_accepts(vp));
}

void vapic_reset(struct vp *vp)
{
    registers_reset(vp);
    vapic_lint_mirror(vp);
}

void vapic_bios_state(struct vp *vp)
{
    struct vapic_state *s = &vp->apic.state;

    atomic_store_explicit(&s->svr, APIC_SVR_ENABLE | 0xFF, memory_order_relaxed);
    atomic_store_explicit(&s->lvt[VAPIC_LVT_LINT0], APIC_EXTINT << APIC_LVT_MODE_SHIFT,
                          memory_order_relaxed);
    atomic_store_explicit(&s->lvt[VAPIC_LVT_LINT1], APIC_NMI << APIC_LVT_MODE_SHIFT,
                          memory_order_relaxed);
    vapic_lint_mirror(vp);
}

int vapic_base_read(struct vp *vp, uint64_t *val)
{
    *val = vapic_base(vp);
    return 0;
}

/* SDM volume 3 "x2APIC State Transitions": x2APIC is entered from xAPIC, left by disabling. */
static bool base_transition_legal(uint64_t from, uint64_t to)
{
    bool was_enabled = from & APIC_BASE_ENABLE, was_x2apic = from & APIC_BASE_X2APIC;

    if (!(to & APIC_BASE_ENABLE))
        return !(to & APIC_BASE_X2APIC);
    if (to & APIC_BASE_X2APIC)
        return was_enabled;
    return !was_x2apic;
}

/* The BSP flag is nobody's to change. */
static void base_store(struct vp *vp, uint64_t val)
{
    uint64_t old = vapic_base(vp);

    val = (val & ~APIC_BASE_BSP) | (old & APIC_BASE_BSP);
    /* The two modes keep the ICR's destination in different bits. */
    if ((val ^ old) & APIC_BASE_X2APIC)
        vp->apic.state.icr &= 0xFFFFFFFFU;
    atomic_store_explicit(&vp->apic.state.base, val, memory_order_relaxed);
    if ((old & APIC_BASE_ENABLE) && !(val & APIC_BASE_ENABLE))
        vapic_reset(vp);
}

static bool base_has_reserved(uint64_t val)
{
    return val & ~(APIC_BASE_ADDR_MASK | APIC_BASE_BSP | APIC_BASE_X2APIC | APIC_BASE_ENABLE);
}

int vapic_base_write(struct vp *vp, uint64_t val)
{
    if (base_has_reserved(val) || !base_transition_legal(vapic_base(vp), val))
        return -EPERM;
    base_store(vp, val);
    return 0;
}

int vapic_base_set(struct vp *vp, uint64_t val)
{
    if (base_has_reserved(val) || ((val & APIC_BASE_X2APIC) && !(val & APIC_BASE_ENABLE)))
        return -EINVAL;
    base_store(vp, val);
    return 0;
}

bool vapic_mmio_at(struct vp *vp, gpa_t addr)
{
    uint64_t base = vapic_base(vp);

    return (base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE &&
           (base & APIC_BASE_ADDR_MASK) == (addr.v & PAGE_MASK);
}

void vapic_error(struct vp *vp, uint32_t esr_bit)
{
    struct vapic_state *s = &vp->apic.state;
    uint32_t lvt = vapic_lvt_get(vp, VAPIC_LVT_ERROR);

    /* One interrupt for each new bit: an error that repeats tells nothing more. */
    if (atomic_fetch_or_explicit(&s->esr_pending, esr_bit, memory_order_relaxed) & esr_bit)
        return;
    if (lvt & APIC_LVT_MASKED)
        return;
    if ((lvt & APIC_LVT_VECTOR_MASK) < APIC_FIRST_VECTOR)
        atomic_fetch_or_explicit(&s->esr_pending, APIC_ESR_RECV_ILLEGAL, memory_order_relaxed);
    else
        vapic_set_irr(vp, (uint8_t)(lvt & APIC_LVT_VECTOR_MASK), false);
}

void vapic_svr_set(struct vp *vp, uint32_t svr)
{
    struct vapic_state *s = &vp->apic.state;
    uint32_t old = atomic_exchange_explicit(&s->svr, svr, memory_order_relaxed);

    if (!((old ^ svr) & APIC_SVR_ENABLE))
        return;
    /* SDM "Local APIC State After It Has Been Software Disabled": all LVT mask bits are set. */
    if (!(svr & APIC_SVR_ENABLE)) {
        for (unsigned i = VAPIC_LVT_TIMER + 1; i < VAPIC_LVT_COUNT; i++)
            atomic_fetch_or_explicit(&s->lvt[i], APIC_LVT_MASKED, memory_order_relaxed);
        vapic_timer_set_lvt(vp, vapic_lvt_get(vp, VAPIC_LVT_TIMER) | APIC_LVT_MASKED);
    }
    vapic_lint_mirror(vp);
}

void vapic_lvt_set(struct vp *vp, enum vapic_lvt n, uint32_t lvt)
{
    uint32_t old = vapic_lvt_get(vp, n);

    if (!vapic_accepts(vp))
        lvt |= APIC_LVT_MASKED;
    if (n == VAPIC_LVT_TIMER) {
        vapic_timer_set_lvt(vp, lvt);
        return;
    }
    atomic_store_explicit(&vp->apic.state.lvt[n], lvt, memory_order_relaxed);
    if (lvt != old && (n == VAPIC_LVT_LINT0 || n == VAPIC_LVT_LINT1))
        vapic_lint_mirror(vp);
}

void vapic_set_irr(struct vp *vp, uint8_t vector, bool level)
{
    struct vapic_state *s = &vp->apic.state;

    if (!vapic_accepts(vp))
        return;
    if (vector < APIC_FIRST_VECTOR) {
        vapic_error(vp, APIC_ESR_RECV_ILLEGAL);
        return;
    }
    /*
     * TMR before IRR, so that whoever sees the vector pending knows its kind. An edge
     * does not clear TMR: Linux retriggers level vectors by IPI, and the EOI that the
     * IOAPIC waits for must still be told. vapic_eoi() clears it.
     */
    if (level)
        vapic_vec_set(s->tmr, vector);
    /*
     * Whoever makes a vector pending also requests the look at it, so one that finds it
     * pending already may leave that to the other.
     */
    if (!vapic_vec_set(s->irr, vector))
        vp_request(vp, VP_REQ_EVENT);
}

int vapic_highest(struct vp *vp)
{
    int irr = vapic_vec_highest(vp->apic.state.irr);

    if (irr < 0 || !vapic_is_enabled(vp))
        return -1;
    return vector_class(irr) > vector_class(vapic_vec_highest(vp->apic.state.isr)) ? irr : -1;
}

uint8_t vapic_ppr(const struct vp *vp)
{
    uint32_t tpr = atomic_load_explicit(&vp->apic.state.tpr, memory_order_relaxed);
    unsigned isr = vector_class(vapic_vec_highest(vp->apic.state.isr));

    return (uint8_t)((tpr & 0xF0) >= isr ? tpr : isr);
}

bool vapic_wakes(struct vp *vp)
{
    int irr = vapic_vec_highest(vp->apic.state.irr);

    return vapic_is_enabled(vp) && vector_class(irr) > (vapic_ppr(vp) & 0xF0U);
}

bool vapic_pending(struct vp *vp)
{
    return vapic_is_enabled(vp) && vapic_vec_highest(vp->apic.state.irr) >= 0;
}

/* The level interrupt has been served: the IOAPIC, real or not, may send the next one. */
static void level_done(struct vp *vp, uint8_t vector)
{
    if (vapic_vec_clear(vp->apic.state.tmr, vector) && vp->partition->eoi_hook)
        vp->partition->eoi_hook(vp, vector);
}

void vapic_request(struct vp *vp, uint8_t vector)
{
    vapic_vec_clear(vp->apic.state.irr, vector);
}

void vapic_withdraw(struct vp *vp, uint8_t vector)
{
    vapic_vec_set(vp->apic.state.irr, vector);
}

void vapic_accept(struct vp *vp, uint8_t vector)
{
    struct vapic_state *s = &vp->apic.state;

    if (vapic_vec_test(vp->apic.auto_eoi, vector))
        level_done(vp, vector);
    else
        vapic_vec_set(s->isr, vector);
}

void vapic_eoi(struct vp *vp)
{
    struct vapic_state *s = &vp->apic.state;
    int vector = vapic_vec_highest(s->isr);

    if (vector < 0)
        return;
    vapic_vec_clear(s->isr, (unsigned)vector);
    level_done(vp, (uint8_t)vector);
    if (vapic_highest(vp) >= 0)
        vp_request(vp, VP_REQ_EVENT);
}

uint8_t vapic_tpr_get(struct vp *vp)
{
    return (uint8_t)atomic_load_explicit(&vp->apic.state.tpr, memory_order_relaxed);
}

void vapic_tpr_set(struct vp *vp, uint8_t tpr)
{
    uint32_t old = atomic_exchange_explicit(&vp->apic.state.tpr, tpr, memory_order_relaxed);

    if (tpr < old && vapic_wakes(vp))
        vp_request(vp, VP_REQ_EVENT);
}

bool vapic_lazy_eoi_offer(struct vp *vp, uint8_t vector)
{
    struct vapic_state *s = &vp->apic.state;

    if (vapic_vec_test(s->tmr, vector) || vapic_vec_test(vp->apic.auto_eoi, vector))
        return false;
    return vapic_vec_highest(s->isr) < 0 && vapic_vec_highest(s->irr) < 0;
}

bool vapic_eoi_awaited(struct vp *vp)
{
    struct vapic_state *s = &vp->apic.state;

    /* Any pending vector counts: one above the vector in service may hide others below it. */
    return vapic_vec_highest(s->isr) >= 0 && vapic_vec_highest(s->irr) >= 0;
}

void vapic_set_auto_eoi(struct vp *vp, uint8_t vector, bool on)
{
    if (on)
        vapic_vec_set(vp->apic.auto_eoi, vector);
    else
        vapic_vec_clear(vp->apic.auto_eoi, vector);
}

void vapic_dump(const struct vp *vp, uint32_t irr[VAPIC_VECTOR_WORDS],
                uint32_t isr[VAPIC_VECTOR_WORDS])
{
    const struct vapic_state *s = &vp->apic.state;

    for (unsigned i = 0; i < VAPIC_VECTOR_WORDS; i++) {
        if (irr)
            irr[i] = atomic_load_explicit(&s->irr[i], memory_order_relaxed);
        if (isr)
            isr[i] = atomic_load_explicit(&s->isr[i], memory_order_relaxed);
    }
}
