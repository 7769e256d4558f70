/* SPDX-License-Identifier: MIT */
/* Interrupts: between processors, there and back, and from timers. */
#include "bench/child/child.h"
#include "tests/guest/rt/hv.h"

#define VECTOR_THERE 0x51
#define VECTOR_BACK  0x52
#define VECTOR_TIMER 0x53

#define BOUND_US 200000U
/* So long that arming is over by then, also where an exit is slow. */
#define DELAY_US 1000U
#define REF_US   10U /* units of the reference time */

static volatile uint64_t arrived;
static _Atomic bool spinning, leave;

static void answer(struct trap_frame *f)
{
    apic_eoi();
    apic_icr(cpus[0].apic_id, ICR_FIXED | ICR_ASSERT | VECTOR_BACK);
}

static void arrive(struct trap_frame *f)
{
    arrived = rdtsc();
    apic_eoi();
}

static void spin(void *arg)
{
    atomic_store(&spinning, true);
    while (!atomic_load(&leave))
        ;
    atomic_store(&spinning, false);
}

/* Without PAUSE, at which a hypervisor may take the processor away. */
static bool wait_arrival(void)
{
    uint64_t end = rdtsc() + us_to_tsc(BOUND_US);

    while (!arrived && (int64_t)(end - rdtsc()) > 0)
        ;
    return arrived;
}

static uint64_t ping(void)
{
    uint64_t start;

    irq_handler_set(VECTOR_THERE, answer);
    irq_handler_set(VECTOR_BACK, arrive);
    irq_enable();
    arrived = 0;
    start = rdtsc();
    apic_icr(cpus[1].apic_id, ICR_FIXED | ICR_ASSERT | VECTOR_THERE);
    return wait_arrival() ? arrived - start : 0;
}

uint64_t bench_ipi(void)
{
    uint64_t took = 0;

    if (cpu_count < 2)
        return 0;
    atomic_store(&leave, false);
    smp_post(1, spin, NULL);
    if (WAIT_FOR(atomic_load(&spinning), BOUND_US))
        took = ping();
    atomic_store(&leave, true);
    return smp_wait(1, BOUND_US) ? took : 0;
}

/* The other processor waits in HLT: it has nothing to do since the last job. */
uint64_t bench_ipi_halted(void)
{
    if (cpu_count < 2)
        return 0;
    delay_us(DELAY_US);
    return ping();
}

/* How much later than asked for; at least one tick, because 0 says that nothing came. */
static uint64_t lateness(uint64_t due)
{
    if (!wait_arrival())
        return 0;
    return arrived > due ? arrived - due : 1;
}

uint64_t bench_timer(void)
{
    uint64_t hz, start;

    if (!hv_present() || safe_rdmsr(HV_X64_MSR_APIC_FREQUENCY, &hz) || !hz)
        return 0;
    irq_handler_set(VECTOR_TIMER, arrive);
    irq_enable();
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
    apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
    arrived = 0;
    start = rdtsc();
    apic_write(APIC_TIMER_INITIAL, (uint32_t)(hz / 1000000 * DELAY_US));
    return lateness(start + us_to_tsc(DELAY_US));
}

uint64_t bench_stimer(void)
{
    uint64_t before, due, now;

    if (!hv_present() || !(hv_features_edx() & HV_STIMER_DIRECT_MODE_AVAILABLE))
        return 0;
    irq_handler_set(VECTOR_TIMER, arrive);
    irq_enable();
    arrived = 0;
    before = rdtsc();
    now = hv_ref_time();
    /* The counter was read somewhere in between. */
    due = before + (rdtsc() - before) / 2 + us_to_tsc(DELAY_US);
    hv_stimer_start(0, HV_STIMER_DIRECT_MODE | STIMER_VECTOR(VECTOR_TIMER),
                    now + DELAY_US * REF_US);
    return lateness(due);
}
