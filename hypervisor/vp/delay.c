/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/delay.h"

#include "hypervisor/sched/clock.h"

static uint64_t limit_tsc;

void delay_init(uint64_t max_us)
{
    limit_tsc = clock_tsc_hz() / 1000000 * max_us;
}

void delay_random(void)
{
    uint64_t start, wait;

    if (!limit_tsc)
        return;
    start = clock_tsc();
    /* The low bits of the TSC at an exit are as random as this needs; multiply to spread them. */
    wait = (uint64_t)((unsigned __int128)(start * 0x9e3779b97f4a7c15ULL) * limit_tsc >> 64);
    while (clock_tsc() - start < wait)
        __builtin_ia32_pause();
}
