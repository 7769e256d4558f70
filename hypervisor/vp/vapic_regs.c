/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/vapic_priv.h"
#include "lib/errno.h"

/*
 * Register access in both modes. Registers that the modes share are read and
 * written by reg_read() and reg_write(), which answer
 *
 *     -EPERM   no such register in this mode, or reserved bits in x2APIC mode
 *     -EACCES  exists, but not for this direction
 *
 * In x2APIC mode both are #GP (SDM volume 3 "x2APIC Register Address Space"). In
 * xAPIC mode the first is ESR bit 7, the second ignored.
 */

#define VERSION (0x14U | (VAPIC_LVT_COUNT - 1) << APIC_VERSION_MAXLVT_SHIFT)

/* Bits of each LVT entry that can be written, and those that are read-only. */
static const struct {
    uint32_t valid;
    uint32_t read_only;
} lvt_bits[VAPIC_LVT_COUNT] = {
    [VAPIC_LVT_TIMER] = {APIC_LVT_VECTOR_MASK | APIC_LVT_MASKED | APIC_LVT_TIMER_PERIODIC,
                         APIC_LVT_STATUS},
    [VAPIC_LVT_THERMAL] = {APIC_LVT_VECTOR_MASK | APIC_LVT_MODE_MASK | APIC_LVT_MASKED,
                           APIC_LVT_STATUS},
    [VAPIC_LVT_PERF] = {APIC_LVT_VECTOR_MASK | APIC_LVT_MODE_MASK | APIC_LVT_MASKED,
                        APIC_LVT_STATUS},
    [VAPIC_LVT_LINT0] = {APIC_LVT_VECTOR_MASK | APIC_LVT_MODE_MASK | APIC_LVT_POLARITY |
                             APIC_LVT_LEVEL | APIC_LVT_MASKED,
                         APIC_LVT_STATUS | APIC_LVT_REMOTE_IRR},
    [VAPIC_LVT_LINT1] = {APIC_LVT_VECTOR_MASK | APIC_LVT_MODE_MASK | APIC_LVT_POLARITY |
                             APIC_LVT_LEVEL | APIC_LVT_MASKED,
                         APIC_LVT_STATUS | APIC_LVT_REMOTE_IRR},
    [VAPIC_LVT_ERROR] = {APIC_LVT_VECTOR_MASK | APIC_LVT_MASKED, APIC_LVT_STATUS},
};

static uint32_t load(const _Atomic uint32_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

/* SDM "Logical Destination Mode in x2APIC Mode": cluster in the high half, a bit in the low. */
static uint32_t ldr_get(const struct vp *vp)
{
    uint32_t id = vp->apic_id.v;

    if (!vapic_is_x2apic(vp))
        return load(&vp->apic.state.ldr);
    return (id >> 4) << 16 | BIT(id & 15);
}

static int reg_read(struct vp *vp, uint32_t reg, uint32_t *val)
{
    struct vapic_state *s = &vp->apic.state;

    switch (reg) {
    case APIC_ID:
        *val = vapic_is_x2apic(vp) ? vp->apic_id.v : vp->apic_id.v << 24;
        return 0;
    case APIC_VERSION:
        *val = VERSION;
        return 0;
    case APIC_TPR:
        *val = load(&s->tpr);
        return 0;
    case APIC_PPR:
        *val = vapic_ppr(vp);
        return 0;
    case APIC_LDR:
        *val = ldr_get(vp);
        return 0;
    case APIC_SVR:
        *val = load(&s->svr);
        return 0;
    case APIC_ISR0 ... APIC_ISR0 + 0x70:
        *val = load(&s->isr[(reg - APIC_ISR0) / APIC_REG_STRIDE]);
        return 0;
    case APIC_TMR0 ... APIC_TMR0 + 0x70:
        *val = load(&s->tmr[(reg - APIC_TMR0) / APIC_REG_STRIDE]);
        return 0;
    case APIC_IRR0 ... APIC_IRR0 + 0x70:
        *val = load(&s->irr[(reg - APIC_IRR0) / APIC_REG_STRIDE]);
        return 0;
    case APIC_ESR:
        *val = s->esr;
        return 0;
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
        *val = load(&s->lvt[(reg - APIC_LVT_TIMER) / APIC_REG_STRIDE]);
        return 0;
    case APIC_TIMER_INITIAL:
        *val = s->timer_initial;
        return 0;
    case APIC_TIMER_CURRENT:
        *val = vapic_timer_current(vp);
        return 0;
    case APIC_TIMER_DIVIDE:
        *val = s->timer_divide;
        return 0;
    case APIC_EOI:
        return -EACCES;
    default:
        return -EPERM;
    }
}

static int lvt_write(struct vp *vp, enum vapic_lvt n, uint32_t val, bool strict)
{
    if (strict && val & ~(lvt_bits[n].valid | lvt_bits[n].read_only))
        return -EPERM;
    vapic_lvt_set(vp, n, val & lvt_bits[n].valid);
    return 0;
}

/* `strict`: reserved bits are an error, and ESR and EOI take only 0 (x2APIC mode). */
static int reg_write(struct vp *vp, uint32_t reg, uint32_t val, bool strict)
{
    struct vapic_state *s = &vp->apic.state;
    uint32_t svr_valid = APIC_SVR_VECTOR_MASK | APIC_SVR_ENABLE | APIC_SVR_FOCUS;

    switch (reg) {
    case APIC_TPR:
        if (strict && val & ~0xFFU)
            return -EPERM;
        vapic_tpr_set(vp, (uint8_t)val);
        return 0;
    case APIC_EOI:
        if (strict && val)
            return -EPERM;
        vapic_eoi(vp);
        return 0;
    case APIC_SVR:
        if (strict && val & ~svr_valid)
            return -EPERM;
        vapic_svr_set(vp, val & svr_valid);
        return 0;
    case APIC_ESR:
        if (strict && val)
            return -EPERM;
        s->esr = atomic_exchange_explicit(&s->esr_pending, 0, memory_order_relaxed);
        return 0;
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
        return lvt_write(vp, (enum vapic_lvt)((reg - APIC_LVT_TIMER) / APIC_REG_STRIDE), val,
                         strict);
    case APIC_TIMER_INITIAL:
        vapic_timer_set_initial(vp, val);
        return 0;
    case APIC_TIMER_DIVIDE:
        if (strict && val & ~APIC_DIVIDE_MASK)
            return -EPERM;
        vapic_timer_set_divide(vp, val & APIC_DIVIDE_MASK);
        return 0;
    case APIC_ID:
    case APIC_VERSION:
    case APIC_PPR:
    case APIC_LDR:
    case APIC_ISR0 ... APIC_IRR0 + 0x70:
    case APIC_TIMER_CURRENT:
        return -EACCES;
    default:
        return -EPERM;
    }
}

int vapic_reg_read(struct vp *vp, uint32_t reg, uint32_t *val)
{
    return reg % APIC_REG_STRIDE ? -EPERM : reg_read(vp, reg, val);
}

int vapic_reg_write(struct vp *vp, uint32_t reg, uint32_t val)
{
    return reg_write(vp, reg, val, false);
}

int vapic_msr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    uint32_t low;

    if (!vapic_is_x2apic(vp) || msr < X2APIC_MSR_FIRST || msr > X2APIC_MSR_LAST)
        return -EPERM;
    if (msr == X2APIC_MSR(APIC_ICR)) {
        *val = vapic_icr_read(vp);
        return 0;
    }
    if (reg_read(vp, (msr - X2APIC_MSR_FIRST) * APIC_REG_STRIDE, &low))
        return -EPERM;
    *val = low;
    return 0;
}

int vapic_msr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    if (!vapic_is_x2apic(vp) || msr < X2APIC_MSR_FIRST || msr > X2APIC_MSR_LAST)
        return -EPERM;
    if (msr == X2APIC_MSR(APIC_ICR)) {
        if (val & 0xFFFFFFFFU & ~(uint64_t)(APIC_ICR_VALID_MASK | APIC_ICR_BUSY))
            return -EPERM;
        vapic_icr_write(vp, val);
        return 0;
    }
    if (val >> 32)
        return -EPERM;
    if (msr == X2APIC_MSR(APIC_SELF_IPI)) {
        if (val & ~(uint64_t)APIC_ICR_VECTOR_MASK)
            return -EPERM;
        if (val < APIC_FIRST_VECTOR)
            vapic_error(vp, APIC_ESR_SEND_ILLEGAL);
        else
            vapic_set_irr(vp, (uint8_t)val, false);
        return 0;
    }
    return reg_write(vp, (msr - X2APIC_MSR_FIRST) * APIC_REG_STRIDE, (uint32_t)val, true) ? -EPERM
                                                                                          : 0;
}

static bool in_xapic_mode(const struct vp *vp)
{
    return vapic_is_enabled(vp) && !vapic_is_x2apic(vp);
}

/* Registers are 32 bits on 16-byte boundaries; what lies between them is reserved. */
static bool misaligned(uint32_t offset)
{
    return offset % APIC_REG_STRIDE;
}

uint32_t vapic_mmio_read(struct vp *vp, uint32_t offset)
{
    struct vapic_state *s = &vp->apic.state;
    uint32_t val = 0;

    if (!in_xapic_mode(vp))
        return 0;
    switch (offset) {
    case APIC_APR:
    case APIC_RRD:
        return 0;
    case APIC_DFR:
        return load(&s->dfr);
    case APIC_ICR:
        return (uint32_t)s->icr;
    case APIC_ICR_HIGH:
        return (uint32_t)(s->icr >> 32);
    default:
        if (misaligned(offset) || reg_read(vp, offset, &val) == -EPERM)
            vapic_error(vp, APIC_ESR_ILLEGAL_ADDRESS);
        return val;
    }
}

void vapic_mmio_write(struct vp *vp, uint32_t offset, uint32_t val)
{
    struct vapic_state *s = &vp->apic.state;

    if (!in_xapic_mode(vp))
        return;
    switch (offset) {
    case APIC_APR:
    case APIC_RRD:
        return;
    case APIC_LDR:
        atomic_store_explicit(&s->ldr, val & APIC_LDR_MASK, memory_order_relaxed);
        return;
    case APIC_DFR:
        atomic_store_explicit(&s->dfr, (val & APIC_DFR_MASK) | APIC_DFR_ONES, memory_order_relaxed);
        return;
    case APIC_ICR:
        vapic_icr_write(vp, (s->icr & ~0xFFFFFFFFULL) | val);
        return;
    case APIC_ICR_HIGH:
        s->icr = (s->icr & 0xFFFFFFFFU) | (uint64_t)(val & APIC_LDR_MASK) << 32;
        return;
    default:
        if (misaligned(offset) || reg_write(vp, offset, val, false) == -EPERM)
            vapic_error(vp, APIC_ESR_ILLEGAL_ADDRESS);
    }
}
