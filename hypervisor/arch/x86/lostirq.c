/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/lostirq.h"

#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/arch/x86/trap.h"
#include "hypervisor/sched/clock.h"

/* Rare enough to cost nothing, often enough that nobody above takes it for a hang. */
#define WATCH_HZ 100

static struct timer watch;

static void wake_others(struct timer *t)
{
    for (uint32_t i = 0; i < lp_count; i++)
        if (lps[i]->runs_vps && !atomic_load_explicit(&lps[i]->idle, memory_order_relaxed))
            lapic_send_fixed(lps[i]->apic_id, VECTOR_HV_KICK);
    timer_arm(t, clock_tsc() + clock_tsc_hz() / WATCH_HZ);
}

void lostirq_watch(void)
{
    timer_init(&watch, wake_others);
    timer_arm(&watch, clock_tsc());
}
