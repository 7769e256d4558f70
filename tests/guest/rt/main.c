/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"
#include "tests/guest/rt/rt_priv.h"

#define ACPI_PM1A_CNT 0x604  /* of q35 and of the worker's machine */
#define ACPI_S5       0x2000 /* SLP_EN with SLP_TYP 0 is S5 on q35 */
#define ACPI_S5_VMWP  0x3400 /* and with SLP_TYP 5 in the worker's machine */
#define DEBUG_EXIT    0xf4

static const struct test_group *const groups[] = {
    &group_smoke,  &group_cpuid_msr, &group_hypercall, &group_synic,   &group_stimer,
    &group_smp,    &group_apic,      &group_irq,       &group_hostile, &group_child,
    &group_wishes, &group_spin,      &group_storm,
};

extern uint64_t test_pt[512];

static void *abort_frame[5];
static bool abort_armed;

void rt_main(uint32_t magic, uint64_t info);

volatile uint8_t *mem_map_test(unsigned slot, uint64_t pa, uint64_t flags)
{
    test_pt[slot & 511] = pa | flags;
    return (volatile uint8_t *)(BIT64(39) + (slot & 511) * 4096ULL);
}

void case_abort(const char *why, const struct trap_frame *f)
{
    struct cpu *cpu = this_cpu();

    if (f)
        case_fail("%s: vector %lu error 0x%lx rip 0x%lx cr2 0x%lx on processor %u", why, f->vector,
                  f->error, f->rip, read_cr2(), cpu->index);
    else
        case_fail("%s on processor %u", why, cpu->index);
    if (cpu->index == 0 && abort_armed)
        __builtin_longjmp(abort_frame, 1);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* Put back what a case may have left behind, so that each one starts from the same state. */
static void case_cleanup(void)
{
    irq_disable();
    trap_plain_vectors(false);
    for (unsigned v = 0; v < 256; v++)
        irq_handler_set((uint8_t)v, NULL);
    nmi_handler_set(NULL);
    exception_hook_set(NULL);
    cpus[0].user_rsp = 0;
    write_cr8(0);
    if (hv_present())
        hv_synic_disable();
    /* Finish interrupts that a case did not: one EOI for each vector in service. */
    for (unsigned i = 0; i < 256; i++)
        if (apic_bit(APIC_ISR, (uint8_t)i))
            apic_eoi();
}

/* Restart processors that a case left parked, so that the next one finds them all. */
static void processors_recover(void)
{
    for (uint32_t i = 1; i < cpu_count; i++) {
        struct cpu *cpu = &cpus[i];

        if (atomic_load(&cpu->job_posted) == atomic_load(&cpu->job_done))
            continue;
        if (!smp_start(i))
            note("processor %u is lost", i);
    }
}

static unsigned case_run(const struct test_group *g, const struct test_case *c)
{
    case_begin();
    abort_armed = true;
    if ((c->flags & NEED_HV) && !hv_present())
        case_skip("no hypervisor");
    else if ((c->flags & NEED_SMP2) && cpu_count < 2)
        case_skip("needs 2 processors");
    else if ((c->flags & NEED_SMP4) && cpu_count < 4)
        case_skip("needs 4 processors");
    else if (!__builtin_setjmp(abort_frame))
        c->run();
    abort_armed = false;
    case_cleanup();
    processors_recover();
    return case_end(g->name, c->name);
}

/* Is `name` one of the comma-separated words of `list`? */
static bool list_has(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; *p; p++) {
        if ((p == list || p[-1] == ',') && !strncmp(p, name, n) && (p[n] == ',' || !p[n]))
            return true;
    }
    return false;
}

static void power_off(void)
{
    outw(ACPI_PM1A_CNT, ACPI_S5);
    outw(ACPI_PM1A_CNT, ACPI_S5_VMWP);
    /* The emulator ends a little later; only where that port is something else is this reached. */
    delay_us(1000000);
    outb(DEBUG_EXIT, 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void run_groups(void)
{
    static char wanted[256] = "smoke", only[256];
    bool filtered;
    unsigned tally[3] = {0, 0, 0};

    option_text("test", wanted, sizeof(wanted));
    filtered = option_text("case", only, sizeof(only));
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        const struct test_group *g = groups[i];

        if (strcmp(wanted, "all") && !list_has(wanted, g->name))
            continue;
        for (size_t k = 0; k < g->count; k++) {
            if (!filtered || list_has(only, g->cases[k].name))
                tally[case_run(g, &g->cases[k])]++;
        }
    }
    print("END pass=%u fail=%u skip=%u\n", tally[0], tally[2], tally[1]);
}

void rt_main(uint32_t magic, uint64_t info)
{
    struct cpu *bsp = &cpus[0];
    char port[8] = "3f8";
    bool x2;

    env_read(magic, info);
    option_text("con", port, sizeof(port));
    console_init(port);
    trap_init(bsp);
    x2 = rdmsr(MSR_APIC_BASE) & APIC_BASE_EXTD;
    bsp->x2apic = x2;
    apic_init(x2);
    bsp->apic_id = x2 ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
    /* The PIC is masked: only cases that want its interrupts open it. */
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    clock_init();
    smp_init();
    note("guest tests: %s, %u processors, %s, TSC %lu kHz, cmdline \"%s\"",
         hv_present() ? "hypervisor present" : "bare", cpu_count, x2 ? "x2APIC" : "xAPIC",
         tsc_hz / 1000, env.cmdline);
    run_groups();
    power_off();
}
