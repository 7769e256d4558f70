/* SPDX-License-Identifier: MIT */
/*
 * A flat kernel that measures what it costs a child to leave its processor. It runs under any
 * hypervisor whose loader speaks the Linux boot protocol, and prints
 *
 *     BENCH START                    at once: the first instructions
 *     RESULT NAME PICOSECONDS COUNT  the median of its samples, and how many operations in all
 *     BENCH END
 *
 * Options: only=NAME,… (without it all), ms=N for each (400), cpus=N.
 */
#include "bench/child/child.h"
#include "tests/guest/rt/hv.h"
#include "tests/guest/rt/rt_priv.h"

#define SAMPLES     16U
#define SAMPLES_MAX 2048U
#define ACPI_PM1A   0x604
#define ACPI_S5     0x2000

static const struct measured table[] = {
    {"hypercall-kvm", bench_hypercall_kvm, NULL},
    {"cpuid", bench_cpuid, NULL},
    {"hypercall", bench_hypercall, NULL},
    {"msr-read", bench_msr_read, NULL},
    {"msr-write", bench_msr_write, NULL},
    {"port-read", bench_port_read, NULL},
    {"port-write", bench_port_write, NULL},
    {"loop", bench_loop, NULL},
    {"ipi", NULL, bench_ipi},
    {"ipi-halted", NULL, bench_ipi_halted},
    {"timer", NULL, bench_timer},
    {"stimer", NULL, bench_stimer},
};

static uint64_t samples[SAMPLES_MAX];

void rt_main(uint32_t magic, uint64_t info);

void case_abort(const char *why, const struct trap_frame *f)
{
    print("BENCH ABORT %s: vector %lu at 0x%lx\n", why, f ? f->vector : 0UL, f ? f->rip : 0UL);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static uint64_t median(unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        for (unsigned k = i; k && samples[k] < samples[k - 1]; k--) {
            uint64_t swap = samples[k];

            samples[k] = samples[k - 1];
            samples[k - 1] = swap;
        }
    }
    return samples[count / 2];
}

/* In picoseconds. */
static uint64_t duration(uint64_t ticks, uint64_t operations)
{
    return ticks * 1000 / operations * 1000000 / (tsc_hz / 1000);
}

/* Rounds of as many operations as take their share of the time. */
static uint64_t measure_rounds(const struct measured *m, uint64_t ticks, uint64_t *operations)
{
    uint64_t count = 1, start, took;

    for (;; count *= 2) {
        start = rdtsc();
        if (!m->run(count))
            return 0;
        took = rdtsc() - start;
        if (took >= ticks / SAMPLES / 2)
            break;
    }
    for (unsigned i = 0; i < SAMPLES; i++) {
        start = rdtsc();
        m->run(count);
        samples[i] = duration(rdtsc() - start, count);
    }
    *operations = (SAMPLES + 2) * count;
    return median(SAMPLES);
}

static uint64_t measure_single(const struct measured *m, uint64_t ticks, uint64_t *operations)
{
    uint64_t start = rdtsc();
    unsigned n = 0;

    while (n < SAMPLES_MAX && (n < SAMPLES || rdtsc() - start < ticks)) {
        uint64_t took = m->once();

        if (!took)
            return 0;
        samples[n++] = duration(took, 1);
    }
    *operations = n;
    return median(n);
}

static bool wanted(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; *p; p++)
        if ((p == list || p[-1] == ',') && !strncmp(p, name, n) && (p[n] == ',' || !p[n]))
            return true;
    return false;
}

static void run(void)
{
    static char only[256];
    bool all = !option_text("only", only, sizeof(only));
    uint64_t ticks = us_to_tsc(option_number("ms", 400) * 1000);

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        const struct measured *m = &table[i];
        uint64_t operations = 0, value;

        if (!all && !wanted(only, m->name))
            continue;
        value =
            m->run ? measure_rounds(m, ticks, &operations) : measure_single(m, ticks, &operations);
        if (operations)
            print("RESULT %s %lu %lu\n", m->name, value, operations);
    }
}

void rt_main(uint32_t magic, uint64_t info)
{
    struct cpu *bsp = &cpus[0];
    char port[8] = "3f8";

    env_read(magic, info);
    console_init(port);
    print("BENCH START\n");
    trap_init(bsp);
    bsp->x2apic = cpu_has_x2apic();
    apic_init(bsp->x2apic);
    bsp->apic_id = bsp->x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    clock_init();
    smp_init();
    note("%s, %u processors, %s, TSC %lu kHz", hv_present() ? "Hyper-V's interface" : "no Hyper-V",
         cpu_count, bsp->x2apic ? "x2APIC" : "xAPIC", tsc_hz / 1000);
    run();
    print("BENCH END\n");
    outw(ACPI_PM1A, ACPI_S5);
    for (;;)
        __asm__ volatile("cli; hlt");
}
