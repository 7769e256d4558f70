/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/vapic_priv.h"
#include "lib/errno.h"
#include "lib/string.h"

/*
 * The APIC's state as a parent reads and replaces it (TLFS "HvCallGetVpState"): register by
 * register in xAPIC form. Unlike the guest's own accesses, setting one does nothing but that: no
 * IPI leaves, no EOI is told, no error is recorded. The VP does not run meanwhile.
 */

typedef struct hv_local_interrupt_controller_state lapic_t;

/* Registers in the order of the structure; `count` consecutive ones. */
static const struct {
    uint16_t reg, at;
    uint8_t count;
} fields[] = {
    {APIC_ID, offsetof(lapic_t, apic_id), 1},
    {APIC_VERSION, offsetof(lapic_t, apic_version), 1},
    {APIC_LDR, offsetof(lapic_t, apic_ldr), 1},
    {APIC_DFR, offsetof(lapic_t, apic_dfr), 1},
    /* SVR before the LVT: software-disabled, all entries are masked. */
    {APIC_SVR, offsetof(lapic_t, apic_spurious), 1},
    {APIC_ISR0, offsetof(lapic_t, apic_isr), VAPIC_VECTOR_WORDS},
    {APIC_TMR0, offsetof(lapic_t, apic_tmr), VAPIC_VECTOR_WORDS},
    {APIC_IRR0, offsetof(lapic_t, apic_irr), VAPIC_VECTOR_WORDS},
    {APIC_ESR, offsetof(lapic_t, apic_esr), 1},
    {APIC_ICR_HIGH, offsetof(lapic_t, apic_icr_high), 1},
    {APIC_ICR, offsetof(lapic_t, apic_icr_low), 1},
    {APIC_LVT_TIMER, offsetof(lapic_t, apic_lvt_timer), VAPIC_LVT_COUNT},
    {APIC_LVT_CMCI, offsetof(lapic_t, apic_lvt_cmci), 1},
    {APIC_TIMER_DIVIDE, offsetof(lapic_t, apic_divide_configuration), 1},
    {APIC_TIMER_INITIAL, offsetof(lapic_t, apic_initial_count), 1},
    {APIC_TIMER_CURRENT, offsetof(lapic_t, apic_counter_value), 1},
};

_Static_assert(offsetof(lapic_t, apic_lvt_error) - offsetof(lapic_t, apic_lvt_timer) ==
                   (VAPIC_LVT_COUNT - 1) * sizeof(uint32_t),
               "LVT entries in register order");

static uint32_t load(const _Atomic uint32_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static void store(_Atomic uint32_t *p, uint32_t v)
{
    atomic_store_explicit(p, v, memory_order_relaxed);
}

/* The 256-bit register that `reg` is a word of, or NULL. */
static _Atomic uint32_t *vector_word(struct vapic_state *s, uint32_t reg)
{
    unsigned n = (reg - APIC_ISR0) / APIC_REG_STRIDE;

    if (reg < APIC_ISR0 || reg >= APIC_ISR0 + 3 * VAPIC_VECTOR_WORDS * APIC_REG_STRIDE)
        return NULL;
    if (n < VAPIC_VECTOR_WORDS)
        return &s->isr[n];
    n -= VAPIC_VECTOR_WORDS;
    return n < VAPIC_VECTOR_WORDS ? &s->tmr[n] : &s->irr[n - VAPIC_VECTOR_WORDS];
}

int vapic_state_read(struct vp *vp, uint32_t reg, uint32_t *val)
{
    struct vapic_state *s = &vp->apic.state;

    switch (reg) {
    case APIC_DFR:
        *val = load(&s->dfr);
        return 0;
    case APIC_ICR:
        *val = (uint32_t)s->icr;
        return 0;
    case APIC_ICR_HIGH:
        *val = (uint32_t)(s->icr >> 32);
        return 0;
    case APIC_LVT_CMCI:
        *val = APIC_LVT_MASKED; /* there is none */
        return 0;
    case APIC_EOI:
        return -ENOENT;
    default:
        return vapic_reg_read(vp, reg, val) ? -ENOENT : 0;
    }
}

static void icr_set(struct vapic_state *s, unsigned shift, uint32_t val)
{
    s->icr = (s->icr & ~(0xFFFFFFFFULL << shift)) | (uint64_t)val << shift;
}

int vapic_state_write(struct vp *vp, uint32_t reg, uint32_t val)
{
    struct vapic_state *s = &vp->apic.state;
    _Atomic uint32_t *word = vector_word(s, reg);

    if (word) {
        bool first = reg == APIC_ISR0 || reg == APIC_TMR0 || reg == APIC_IRR0;

        store(word, first ? val & ~(BIT(APIC_FIRST_VECTOR) - 1) : val);
        return 0;
    }
    switch (reg) {
    case APIC_ID: /* these follow from what the VP is */
    case APIC_VERSION:
    case APIC_LVT_CMCI:
        return 0;
    case APIC_TPR:
        vapic_tpr_set(vp, (uint8_t)val);
        return 0;
    case APIC_LDR:
        store(&s->ldr, val & APIC_LDR_MASK);
        return 0;
    case APIC_DFR:
        store(&s->dfr, (val & APIC_DFR_MASK) | APIC_DFR_ONES);
        return 0;
    case APIC_SVR:
        vapic_svr_set(vp, val & (APIC_SVR_VECTOR_MASK | APIC_SVR_ENABLE | APIC_SVR_FOCUS));
        return 0;
    case APIC_ESR:
        s->esr = val & 0xFF;
        return 0;
    case APIC_ICR:
        icr_set(s, 0, val & APIC_ICR_VALID_MASK);
        return 0;
    case APIC_ICR_HIGH:
        icr_set(s, 32, vapic_is_x2apic(vp) ? val : val & APIC_LDR_MASK);
        return 0;
    case APIC_LVT_TIMER ... APIC_LVT_ERROR:
    case APIC_TIMER_DIVIDE:
    case APIC_TIMER_INITIAL:
        return reg % APIC_REG_STRIDE || vapic_reg_write(vp, reg, val) ? -ENOENT : 0;
    case APIC_TIMER_CURRENT:
        vapic_timer_set_current(vp, val);
        return 0;
    default:
        return -ENOENT;
    }
}

void vapic_state_get(struct vp *vp, struct hv_local_interrupt_controller_state *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        for (unsigned n = 0; n < fields[i].count; n++) {
            uint32_t val = 0;

            vapic_state_read(vp, fields[i].reg + n * APIC_REG_STRIDE, &val);
            memcpy((uint8_t *)out + fields[i].at + n * sizeof(val), &val, sizeof(val));
        }
    out->apic_error_status = load(&vp->apic.state.esr_pending);
}

void vapic_state_set(struct vp *vp, const struct hv_local_interrupt_controller_state *in)
{
    vapic_timer_stop(vp); /* or what it owes of the old state would come into the new one */
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        for (unsigned n = 0; n < fields[i].count; n++) {
            uint32_t val;

            memcpy(&val, (const uint8_t *)in + fields[i].at + n * sizeof(val), sizeof(val));
            vapic_state_write(vp, fields[i].reg + n * APIC_REG_STRIDE, val);
        }
    store(&vp->apic.state.esr_pending, in->apic_error_status & 0xFF);
    vp_request(vp, VP_REQ_EVENT);
}
