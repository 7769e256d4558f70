/* SPDX-License-Identifier: MIT */
#ifndef SCHED_CLOCK_H
#define SCHED_CLOCK_H

#include <stdint.h>

/*
 * One time base: the TSC, coherent over all LPs, starting near 0 at hypervisor
 * start as far as reference time goes. Reference time counts 100 ns units
 * (TLFS "Partition Reference Counter") and is
 *
 *     ((tsc * scale) >> 64) + offset            (TLFS "Reference TSC Page")
 *
 * so that the counter MSR and the TSC page agree to the tick.
 */

/** Current TSC. */
uint64_t clock_tsc(void);

/** TSC and local APIC timer input frequency in Hz, calibrated at start. */
uint64_t clock_tsc_hz(void);
uint64_t clock_apic_hz(void);

/** A span of TSC ticks in ticks of the APIC timer, rounded down. */
uint64_t clock_apic_from_tsc(uint64_t ticks);

/** The 64.64 factor from TSC ticks to 100 ns units. */
uint64_t clock_ref_scale(void);

/** Hypervisor-wide reference time in 100 ns units since start, at the given TSC and back. */
uint64_t clock_ref_from_tsc(uint64_t tsc);
uint64_t clock_tsc_from_ref(uint64_t ref);

#endif
