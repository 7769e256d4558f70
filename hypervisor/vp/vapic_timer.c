/* SPDX-License-Identifier: MIT */
#include "hypervisor/debug/log.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vapic_priv.h"

/*
 * The LVT timer, one-shot and periodic (SDM volume 3 "APIC Timer"). It is not
 * counted down: its state is the TSC of the next expiry, with 32 bits of
 * fraction so that a periodic timer does not drift. A masked timer counts
 * without occupying the physical one.
 */

typedef unsigned __int128 tsc_fp; /* TSC ticks with 32 bits of fraction */

#define NO_INTERRUPT 0U

/* num / den with 32 bits of fraction, by long division: there is no 128-bit divide here. */
static uint64_t ratio_fp(uint64_t num, uint64_t den)
{
    uint64_t quotient = num / den, rest = num % den;

    for (int i = 0; i < 32; i++) {
        rest <<= 1;
        quotient <<= 1;
        if (rest >= den) {
            rest -= den;
            quotient |= 1;
        }
    }
    return quotient;
}

/* Divide configuration: bits 3, 1, 0 are n, the divisor is 2 << n, and 1 for n = 7. */
static unsigned divide_shift(uint32_t divide)
{
    uint32_t n = (divide & 3) | (divide & 8) >> 1;

    return (n + 1) & 7;
}

static tsc_fp ticks_to_tsc(const struct vapic *a, uint32_t ticks)
{
    return ((tsc_fp)ticks << divide_shift(a->state.timer_divide)) * a->tsc_per_tick;
}

static tsc_fp period_get(const struct vapic *a)
{
    tsc_fp period = ticks_to_tsc(a, a->state.timer_initial), min = (tsc_fp)a->min_period << 32;

    return period < min ? min : period;
}

static void deadline_set(struct vapic *a, uint64_t tsc, uint32_t frac, tsc_fp delta)
{
    tsc_fp deadline = ((tsc_fp)tsc << 32 | frac) + delta;

    a->state.timer_tsc = (uint64_t)(deadline >> 32);
    a->state.timer_frac = (uint32_t)deadline;
}

/*
 * Move a periodic deadline beyond `now` by whole periods. Each round divides by the next
 * integer above the period, so it cannot overshoot and leaves less than one round's number
 * of periods: with periods of thousands of ticks few rounds are needed, 64 at the very most.
 */
static void periodic_advance(struct vapic *a, uint64_t now)
{
    tsc_fp period = period_get(a);

    while (a->state.timer_tsc <= now) {
        uint64_t late = now - a->state.timer_tsc;
        uint64_t steps = late / ((uint64_t)(period >> 32) + 1) + 1;

        deadline_set(a, a->state.timer_tsc, a->state.timer_frac, period * steps);
    }
}

/*
 * Bring the state up to `now`. Returns the LVT entry if it expired and that must be
 * delivered, else NO_INTERRUPT. The caller holds the lock and delivers after dropping it.
 */
static uint32_t timer_advance(struct vapic *a, uint64_t now)
{
    uint32_t lvt = atomic_load_explicit(&a->state.lvt[VAPIC_LVT_TIMER], memory_order_relaxed);

    if (!a->state.timer_running || now < a->state.timer_tsc)
        return NO_INTERRUPT;
    if (lvt & APIC_LVT_TIMER_PERIODIC)
        periodic_advance(a, now);
    else
        a->state.timer_running = 0;
    /* A nonzero value stands for vector 0 too: it has to become an ESR bit. */
    return lvt & APIC_LVT_MASKED ? NO_INTERRUPT : lvt | APIC_LVT_STATUS;
}

static void timer_rearm(struct vapic *a)
{
    uint32_t lvt = atomic_load_explicit(&a->state.lvt[VAPIC_LVT_TIMER], memory_order_relaxed);

    if (a->state.timer_running && !(lvt & APIC_LVT_MASKED))
        timer_arm(&a->timer, a->state.timer_tsc);
    else
        timer_cancel(&a->timer);
}

static void timer_deliver(struct vp *vp, uint32_t lvt)
{
    if (lvt != NO_INTERRUPT)
        vapic_set_irr(vp, (uint8_t)(lvt & APIC_LVT_VECTOR_MASK), false);
}

/* Runs on the LP that armed it; an expiry that was cancelled meanwhile finds nothing due. */
static void timer_fired(struct timer *t)
{
    struct vapic *a = container_of(t, struct vapic, timer);
    uint32_t lvt;

    spin_lock(&a->timer_lock);
    lvt = timer_advance(a, clock_tsc());
    timer_rearm(a);
    spin_unlock(&a->timer_lock);
    timer_deliver(container_of(a, struct vp, apic), lvt);
}

void vapic_timer_init(struct vp *vp)
{
    struct vapic *a = &vp->apic;

    assert_hv(clock_apic_hz() && clock_tsc_hz());
    a->tsc_per_tick = ratio_fp(clock_tsc_hz(), clock_apic_hz());
    a->tick_per_tsc = ratio_fp(clock_apic_hz(), clock_tsc_hz());
    a->min_period = clock_tsc_hz() / (1000000 / VAPIC_MIN_PERIOD_US) + 1;
    timer_init(&a->timer, timer_fired);
}

void vapic_timer_stop(struct vp *vp)
{
    struct vapic *a = &vp->apic;

    spin_lock(&a->timer_lock);
    a->state.timer_running = 0;
    a->state.timer_initial = 0;
    a->state.timer_divide = 0;
    timer_cancel(&a->timer);
    spin_unlock(&a->timer_lock);
}

void vapic_timer_set_lvt(struct vp *vp, uint32_t lvt)
{
    struct vapic *a = &vp->apic;
    uint32_t due;

    spin_lock(&a->timer_lock);
    due = timer_advance(a, clock_tsc());
    atomic_store_explicit(&a->state.lvt[VAPIC_LVT_TIMER], lvt, memory_order_relaxed);
    timer_rearm(a);
    spin_unlock(&a->timer_lock);
    timer_deliver(vp, due);
}

void vapic_timer_set_initial(struct vp *vp, uint32_t count)
{
    struct vapic *a = &vp->apic;
    uint64_t now = clock_tsc();
    uint32_t due;

    spin_lock(&a->timer_lock);
    due = timer_advance(a, now);
    a->state.timer_initial = count;
    a->state.timer_running = count != 0;
    if (vapic_lvt_get(vp, VAPIC_LVT_TIMER) & APIC_LVT_TIMER_PERIODIC)
        deadline_set(a, now, 0, period_get(a));
    else
        deadline_set(a, now, 0, ticks_to_tsc(a, count));
    timer_rearm(a);
    spin_unlock(&a->timer_lock);
    timer_deliver(vp, due);
}

/* What is left of the count, rounded up: 0 only when it has stopped. */
static uint32_t current_get(const struct vapic *a, uint64_t now)
{
    unsigned shift = 32 + divide_shift(a->state.timer_divide);
    tsc_fp left;

    if (!a->state.timer_running)
        return 0;
    left = (tsc_fp)(a->state.timer_tsc - now) * a->tick_per_tsc;
    left = (left + ((tsc_fp)1 << shift) - 1) >> shift;
    return left > a->state.timer_initial ? a->state.timer_initial : (uint32_t)left;
}

void vapic_timer_set_divide(struct vp *vp, uint32_t divide)
{
    struct vapic *a = &vp->apic;
    uint64_t now = clock_tsc();
    uint32_t due, left;

    spin_lock(&a->timer_lock);
    due = timer_advance(a, now);
    left = current_get(a, now);
    a->state.timer_divide = divide;
    /* What is left counts down at the new rate. */
    if (a->state.timer_running)
        deadline_set(a, now, 0, ticks_to_tsc(a, left));
    timer_rearm(a);
    spin_unlock(&a->timer_lock);
    timer_deliver(vp, due);
}

uint32_t vapic_timer_current(struct vp *vp)
{
    struct vapic *a = &vp->apic;
    uint64_t now = clock_tsc();
    uint32_t due, left;

    spin_lock(&a->timer_lock);
    due = timer_advance(a, now);
    left = current_get(a, now);
    if (due != NO_INTERRUPT)
        timer_rearm(a);
    spin_unlock(&a->timer_lock);
    timer_deliver(vp, due);
    return left;
}

void vapic_timer_set_current(struct vp *vp, uint32_t count)
{
    struct vapic *a = &vp->apic;

    spin_lock(&a->timer_lock);
    a->state.timer_running = count && a->state.timer_initial;
    if (count > a->state.timer_initial)
        count = a->state.timer_initial;
    deadline_set(a, clock_tsc(), 0, ticks_to_tsc(a, count));
    timer_rearm(a);
    spin_unlock(&a->timer_lock);
}
