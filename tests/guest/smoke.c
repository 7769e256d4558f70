/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/* The runtime itself, and what every other case leans on. */

static void boot_environment(void)
{
    bool ram = false;

    for (unsigned i = 0; i < env.e820_count; i++) {
        note("e820 %016lx +%012lx type %u", env.e820[i].addr, env.e820[i].size, env.e820[i].type);
        ram = ram || (env.e820[i].type == 1 && env.e820[i].addr <= 0x1000000 &&
                      env.e820[i].addr + env.e820[i].size > 0x1000000);
    }
    EXPECT(ram, "the memory map does not show RAM where the image is");
    EXPECT(cpu_count == option_number("cpus", cpu_count), "only %u processors", cpu_count);
}

static void exceptions(void)
{
    uint8_t byte;
    uint64_t v;
    uint32_t vec;

    SAFE_ASM("ud2", vec, : [vec_] "=r"(vec) : : "r11");
    EXPECT(trapped_vector(vec) == UD, "ud2 raised %d", trapped_vector(vec));
    EXPECT(safe_read8(BIT64(40), &byte) == PF, "an unmapped address can be read");
    EXPECT(read_cr2() == BIT64(40), "CR2 is 0x%lx", read_cr2());
    EXPECT(safe_read8(BIT64(62), &byte) == GP, "a non-canonical address can be read");
    EXPECT(safe_rdmsr(MSR_EFER, &v) == 0 && (v & EFER_LMA), "EFER is 0x%lx", v);
}

static void user_nothing(void)
{
    __asm__ volatile("int $0x80");
}

static void user_cli(void)
{
    __asm__ volatile("cli; int $0x80");
}

static void user_mode(void)
{
    EXPECT(user_run(user_nothing) == 0x80, "user mode does not come back");
    EXPECT(user_run(user_cli) == GP, "CLI at CPL 3 does not fault");
}

static void self_interrupt(void)
{
    uint32_t before = this_cpu()->irq_count[0x40];

    irq_enable();
    apic_icr(this_cpu()->apic_id, ICR_FIXED | ICR_ASSERT | 0x40);
    EXPECT(WAIT_FOR(this_cpu()->irq_count[0x40] == before + 1, 100000), "no self interrupt");
    irq_disable();
}

static void tsc_runs(void)
{
    uint64_t a = rdtsc();

    delay_us(1000);
    EXPECT(rdtsc() > a, "the TSC stands still");
}

static void mark(void *arg)
{
    atomic_fetch_or((_Atomic uint32_t *)arg, BIT(this_cpu()->index));
}

static void all_processors(void)
{
    _Atomic uint32_t seen = 0;

    REQUIRE(smp_run_all(mark, &seen, 1000000), "a processor is stuck");
    EXPECT(seen == BIT(cpu_count) - 1, "processors 0x%x answered of %u", seen, cpu_count);
}

static const struct test_case cases[] = {
    {"boot_environment", boot_environment, 0},
    {"exceptions", exceptions, 0},
    {"user_mode", user_mode, 0},
    {"self_interrupt", self_interrupt, 0},
    {"tsc_runs", tsc_runs, 0},
    {"all_processors", all_processors, NEED_SMP2},
};

TEST_GROUP(smoke, cases);
