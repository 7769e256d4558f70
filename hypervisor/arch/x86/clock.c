/* SPDX-License-Identifier: MIT */
#include "hypervisor/sched/clock.h"

#include "hypervisor/arch/x86/calibrate.h"
#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/space.h"
#include "hypervisor/boot/acpi.h"
#include "lib/errno.h"

#define REF_HZ        10000000ULL /* 100 ns units */
#define PM_TIMER_HZ   3579545ULL
#define CALIBRATE_DIV 10 /* of a second: 100 ms */
#define SAMPLES       16
#define SAMPLE_SPINS  100000
#define HPET_CAP      0
#define HPET_CONFIG   2
#define HPET_COUNTER  0x1e /* in 64-bit words: 0xf0 / 8 */
#define HPET_ENABLE   1ULL
#define FEMTO         1000000000000000ULL

static uint64_t tsc_hz, apic_hz, ref_scale;

/* (a * b) / c where the quotient fits 64 bits; no library division of 128 bits is linked. */
static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t lo, hi;

    __asm__("mulq %3\n\tdivq %4" : "=&a"(lo), "=&d"(hi) : "0"(a), "r"(b), "r"(c) : "cc");
    return lo;
}

uint64_t clock_tsc(void)
{
    return cpu_rdtsc();
}

uint64_t clock_tsc_hz(void)
{
    return tsc_hz;
}

uint64_t clock_apic_hz(void)
{
    return apic_hz;
}

uint64_t clock_ref_scale(void)
{
    return ref_scale;
}

uint64_t clock_ref_from_tsc(uint64_t tsc)
{
    return (uint64_t)((unsigned __int128)tsc * ref_scale >> 64);
}

uint64_t clock_tsc_from_ref(uint64_t ref)
{
    const uint64_t last = UINT64_MAX / 64; /* centuries; keeps the quotient in 64 bits */

    /* Two ticks more than exact: the scale is rounded down, and a timer must not be early. */
    return mul_div(ref < last ? ref : last, tsc_hz, REF_HZ) + 2;
}

uint64_t clock_apic_from_tsc(uint64_t ticks)
{
    const uint64_t last = UINT64_MAX / 64;

    return mul_div(ticks < last ? ticks : last, apic_hz, tsc_hz);
}

/** A free-running counter to measure against. */
struct reference {
    uint64_t (*read)(const struct reference *r);
    uint64_t hz;
    uint64_t mask;
    uint16_t port;
    volatile uint64_t *regs;
};

static uint64_t pm_read(const struct reference *r)
{
    return cpu_in32(r->port) & r->mask;
}

static uint64_t hpet_read(const struct reference *r)
{
    return r->regs[HPET_COUNTER] & r->mask;
}

static int find_reference(const struct acpi_info *acpi, struct reference *r)
{
    const struct acpi_reg *pm = &acpi->fadt.pm_timer;

    if (acpi->fadt.present && pm->addr && pm->space == ACPI_SPACE_IO) {
        r->read = pm_read;
        r->hz = PM_TIMER_HZ;
        r->mask = pm->bits == 32 ? 0xffffffff : 0xffffff;
        r->port = (uint16_t)pm->addr;
        return 0;
    }
    if (!acpi->hpet)
        return -ENODEV;
    r->regs = space_map_device(hpa(acpi->hpet), 0x400);
    if (!r->regs)
        return -ENOMEM;
    r->read = hpet_read;
    r->hz = FEMTO / (r->regs[HPET_CAP] >> 32);
    r->mask = 0xffffffff;
    r->regs[HPET_CONFIG] |= HPET_ENABLE;
    return 0;
}

/** One reading of all three clocks at the same moment. */
struct sample {
    uint64_t tsc, ref;
    uint32_t apic;
};

/*
 * Wait for an edge of the reference and read the TSC at once; of several tries
 * keep the one whose reads lay closest together, so that an interruption of
 * the (possibly emulated) processor does not count.
 */
static struct sample take_sample(const struct reference *r)
{
    struct sample best = {0};
    uint64_t best_width = UINT64_MAX;

    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t before, after, start = r->read(r), now = start;

        before = cpu_rdtsc();
        for (unsigned n = 0; n < SAMPLE_SPINS && now == start; n++) {
            before = cpu_rdtsc();
            now = r->read(r);
        }
        after = cpu_rdtsc();
        if (after - before < best_width) {
            best_width = after - before;
            best.tsc = before + (after - before) / 2;
            best.ref = now;
            best.apic = lapic_timer_current();
        }
    }
    return best;
}

int clock_calibrate(const struct acpi_info *acpi)
{
    struct reference r = {0};
    struct sample a, b;
    uint64_t elapsed;
    int rc = find_reference(acpi, &r);

    if (rc)
        return rc;
    lapic_timer_start(UINT32_MAX);
    a = take_sample(&r);
    while (((r.read(&r) - a.ref) & r.mask) < r.hz / CALIBRATE_DIV)
        ;
    b = take_sample(&r);
    lapic_timer_start(0);

    elapsed = (b.ref - a.ref) & r.mask;
    tsc_hz = mul_div(b.tsc - a.tsc, r.hz, elapsed);
    apic_hz = mul_div(a.apic - b.apic, r.hz, elapsed);
    /* Emulators and boards use round APIC clocks; being off by less than 0.1 % is measurement. */
    uint64_t round = (apic_hz + 500000) / 1000000 * 1000000;

    if (apic_hz > round ? apic_hz - round < round / 1000 : round - apic_hz < round / 1000)
        apic_hz = round;
    __asm__("divq %3" : "=a"(ref_scale), "=d"(elapsed) : "a"(0ULL), "r"(tsc_hz), "d"(REF_HZ));
    return 0;
}
