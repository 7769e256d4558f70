/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/rt_priv.h"

#define STACK_SIZE  16384
#define VECTOR_WAKE 0xF1

struct cpu cpus[MAX_CPUS];
uint32_t cpu_count = 1;

static uint8_t ap_stacks[MAX_CPUS][STACK_SIZE] PAGE_ALIGNED;
static uint32_t trampoline_page;

/* Read by ap_entry64 in start.S; one AP starts at a time. */
uint64_t ap_start_stack, ap_start_cpu;

extern const uint8_t ap_trampoline[], ap_trampoline_end[];

uint32_t smp_trampoline_page(void)
{
    uint32_t page = 0x8F000;

    if (trampoline_page)
        return trampoline_page;
    while (env.e820_count && page > 0x10000 && !mem_is_ram(page, PAGE_BYTES))
        page -= PAGE_BYTES;
    return trampoline_page = page;
}

void smp_trampoline_install(void)
{
    memcpy((void *)(uint64_t)smp_trampoline_page(), ap_trampoline,
           (size_t)(ap_trampoline_end - ap_trampoline));
}

void ap_main(uint64_t index)
{
    struct cpu *cpu = &cpus[index];

    trap_init(cpu);
    apic_init(cpus[0].x2apic);
    irq_enable();
    atomic_fetch_add_explicit(&cpu->starts, 1, memory_order_release);
    for (;;) {
        uint32_t posted = atomic_load_explicit(&cpu->job_posted, memory_order_acquire);

        if (posted != atomic_load_explicit(&cpu->job_done, memory_order_relaxed)) {
            cpu->job(cpu->job_arg);
            irq_enable();
            /* Release pairs with the acquire in smp_wait(): results before the mark. */
            atomic_store_explicit(&cpu->job_done, posted, memory_order_release);
            continue;
        }
        /* Look once more with interrupts off: a wake-up cannot fall in between. */
        irq_disable();
        if (atomic_load_explicit(&cpu->job_posted, memory_order_acquire) == posted)
            sti_hlt();
        irq_enable();
    }
}

bool smp_start(uint32_t index)
{
    struct cpu *cpu = &cpus[index];
    uint32_t starts = atomic_load_explicit(&cpu->starts, memory_order_acquire);
    uint32_t sipi = ICR_SIPI | ICR_ASSERT | smp_trampoline_page() >> 12;

    smp_trampoline_install();
    /* A job that was cut off by the INIT counts as done. */
    atomic_store(&cpu->job_done, atomic_load(&cpu->job_posted));
    ap_start_stack = (uint64_t)(cpu->stack + STACK_SIZE);
    ap_start_cpu = index;
    apic_icr(cpu->apic_id, ICR_INIT | ICR_ASSERT);
    delay_us(1000);
    apic_icr(cpu->apic_id, sipi);
    if (WAIT_FOR(atomic_load_explicit(&cpu->starts, memory_order_acquire) != starts, 20000))
        return true;
    apic_icr(cpu->apic_id, sipi);
    return WAIT_FOR(atomic_load_explicit(&cpu->starts, memory_order_acquire) != starts, 2000000);
}

void smp_init(void)
{
    uint32_t ids[MAX_CPUS];
    uint32_t self = this_cpu()->apic_id;
    unsigned n = acpi_processors(ids, MAX_CPUS);
    unsigned limit = (unsigned)option_number("cpus", n ? n : 1);

    if (!n)
        for (n = 0; n < limit && n < MAX_CPUS; n++)
            ids[n] = n;
    for (unsigned i = 0; i < n && cpu_count < limit; i++) {
        struct cpu *cpu = &cpus[cpu_count];

        if (ids[i] == self)
            continue;
        cpu->index = cpu_count;
        cpu->apic_id = ids[i];
        cpu->stack = ap_stacks[cpu_count];
        if (smp_start(cpu->index))
            cpu_count++;
        else
            note("processor with APIC id %u did not start", ids[i]);
    }
}

void smp_post(uint32_t index, void (*fn)(void *), void *arg)
{
    struct cpu *cpu = &cpus[index];

    cpu->job = fn;
    cpu->job_arg = arg;
    atomic_fetch_add_explicit(&cpu->job_posted, 1, memory_order_release);
    apic_icr(cpu->apic_id, ICR_FIXED | ICR_ASSERT | VECTOR_WAKE);
}

bool smp_wait(uint32_t index, uint64_t timeout_us)
{
    struct cpu *cpu = &cpus[index];
    uint32_t posted = atomic_load_explicit(&cpu->job_posted, memory_order_relaxed);

    return WAIT_FOR(atomic_load_explicit(&cpu->job_done, memory_order_acquire) == posted,
                    timeout_us);
}

bool smp_run_on(uint32_t index, void (*fn)(void *), void *arg, uint64_t timeout_us)
{
    bool done;

    if (index == this_cpu()->index) {
        fn(arg);
        return true;
    }
    smp_post(index, fn, arg);
    done = smp_wait(index, timeout_us);
    EXPECT(done, "processor %u did not finish its job", index);
    return done;
}

bool smp_run_all(void (*fn)(void *), void *arg, uint64_t timeout_us)
{
    bool ok = true;

    for (uint32_t i = 1; i < cpu_count; i++)
        smp_post(i, fn, arg);
    fn(arg);
    for (uint32_t i = 1; i < cpu_count; i++) {
        bool done = smp_wait(i, timeout_us);

        EXPECT(done, "processor %u did not finish its job", i);
        ok = ok && done;
    }
    return ok;
}
