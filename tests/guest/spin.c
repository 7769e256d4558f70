/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/*
 * No tests: they keep all processors busy for ever, for those who measure what others still get.
 * `spin` takes processor time only; `storm` makes all the exits and interrupts that it can.
 */

#define VECTOR      0x65
#define UNUSED_PORT 0x80
#define IO_APIC     0xFEC00000ULL
#define ALL_FLAGS   3U /* all processors, all address spaces */
#define SINT        2U
#define CONNECTION  1U

static void busy(void *arg)
{
    for (;;)
        pause();
}

static void on_all(void (*fn)(void *), const char *name)
{
    for (uint32_t i = 1; i < cpu_count; i++)
        smp_post(i, fn, NULL);
    note("%s", name);
    fn(NULL);
}

static void spin(void)
{
    on_all(busy, "spinning");
}

/* Writes the instruction that it executes next, over and over. */
static void rewrite_code(uint8_t *code)
{
    for (unsigned n = 0; n < 16; n++) {
        code[n] = 0x90;     /* NOP */
        code[n + 1] = 0xC3; /* RET */
        ((void (*)(void))(uintptr_t)code)();
    }
}

static void attack(void *arg)
{
    static uint8_t code[MAX_CPUS][4096] PAGE_ALIGNED;
    volatile uint8_t *device = mem_map_test(this_cpu()->index, IO_APIC, PTE_P | PTE_UC);
    uint64_t *page = hv_input_page();

    apic_init(this_cpu()->x2apic);
    hv_synic_enable();
    hv_sint_set(SINT, VECTOR);
    irq_enable();
    for (;;) {
        apic_icr(0, ICR_ALL | ICR_FIXED | ICR_ASSERT | VECTOR);
        hv_call(HVCALL_SEND_IPI | HC_FAST, VECTOR, ~0ULL);
        hv_stimer_start(0, HV_STIMER_DIRECT_MODE | STIMER_VECTOR(VECTOR), 1);
        page[0] = 0;
        page[1] = ALL_FLAGS;
        page[2] = ~0ULL;
        hv_call(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, PA(page), 0);
        page[0] = CONNECTION;
        page[1] = 1 | 240ULL << 32; /* message type and size */
        hv_call(HVCALL_POST_MESSAGE, PA(page), 0);
        hv_call(HVCALL_SIGNAL_EVENT | HC_FAST, CONNECTION, 0);
        outb(UNUSED_PORT, 0);
        (void)device[0];
        rewrite_code(code[this_cpu()->index]);
        hv_message_done(SINT);
    }
}

static void storm(void)
{
    if (!hv_hypercall_enable())
        return;
    on_all(attack, "storming");
}

static const struct test_case spin_cases[] = {
    {"spin", spin, 0},
};

static const struct test_case storm_cases[] = {
    {"storm", storm, NEED_HV},
};

TEST_GROUP(spin, spin_cases);
TEST_GROUP(storm, storm_cases);
