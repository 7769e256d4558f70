/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "abi/tlfs/msr.h"
#include "abi/tlfs/vp.h"
#include "hypervisor/partition/synthetic_msr.h"
#include "shim_tlfs.h"

#define PAGE_GPA 0x5000U
#define HOLE_GPA (SHIM_PAGE_HOLE * PAGE_SIZE)
#define RO_GPA   (SHIM_PAGE_RO * PAGE_SIZE)
#define FAR_GPA  0xFFFFFFFFFF000ULL

static struct vp *caller(void)
{
    return &shim.vps[1];
}

static uint64_t read_ok(uint32_t msr)
{
    uint64_t val = 0xDEAD;

    assert_int_equal(synthetic_msr_read(caller(), msr, &val), 0);
    return val;
}

static void read_faults(uint32_t msr)
{
    uint64_t val = 0xDEAD;

    assert_int_equal(synthetic_msr_read(caller(), msr, &val), -EPERM);
    assert_int_equal(val, 0xDEAD);
}

static void write_ok(uint32_t msr, uint64_t val)
{
    assert_int_equal(synthetic_msr_write(caller(), msr, val), 0);
}

static void write_faults(uint32_t msr, uint64_t val)
{
    assert_int_equal(synthetic_msr_write(caller(), msr, val), -EPERM);
}

static void start(void **state)
{
    shim_start(PRIVILEGES_STOCK_ROOT, true);
}

/* Every register that is offered, and what it takes. */
static const struct {
    uint32_t msr;
    uint64_t privilege;
    bool read, write;
} offered[] = {
    {HV_X64_MSR_GUEST_OS_ID, HV_MSR_HYPERCALL_AVAILABLE, true, true},
    {HV_X64_MSR_HYPERCALL, HV_MSR_HYPERCALL_AVAILABLE, true, true},
    {HV_X64_MSR_VP_INDEX, HV_MSR_VP_INDEX_AVAILABLE, true, false},
    {HV_X64_MSR_RESET, HV_MSR_RESET_AVAILABLE, true, true},
    {HV_X64_MSR_VP_RUNTIME, HV_MSR_VP_RUNTIME_AVAILABLE, true, false},
    {HV_X64_MSR_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT_AVAILABLE, true, false},
    {HV_X64_MSR_REFERENCE_TSC, HV_MSR_REFERENCE_TSC_AVAILABLE, true, true},
    {HV_X64_MSR_TSC_FREQUENCY, HV_ACCESS_FREQUENCY_MSRS, true, false},
    {HV_X64_MSR_APIC_FREQUENCY, HV_ACCESS_FREQUENCY_MSRS, true, false},
    {HV_X64_MSR_EOI, HV_MSR_APIC_ACCESS_AVAILABLE, false, true},
    {HV_X64_MSR_ICR, HV_MSR_APIC_ACCESS_AVAILABLE, true, true},
    {HV_X64_MSR_TPR, HV_MSR_APIC_ACCESS_AVAILABLE, true, true},
    {HV_X64_MSR_VP_ASSIST_PAGE, HV_MSR_APIC_ACCESS_AVAILABLE, true, true},
    {HV_X64_MSR_SCONTROL, HV_MSR_SYNIC_AVAILABLE, true, true},
    {HV_X64_MSR_SVERSION, HV_MSR_SYNIC_AVAILABLE, true, true}, /* the SynIC refuses the write */
    {HV_X64_MSR_SIEFP, HV_MSR_SYNIC_AVAILABLE, true, true},
    {HV_X64_MSR_SIMP, HV_MSR_SYNIC_AVAILABLE, true, true},
    {HV_X64_MSR_EOM, HV_MSR_SYNIC_AVAILABLE, true, true},
    {HV_X64_MSR_SIRBP, HV_CREATE_PORT, true, true},
    {HV_X64_MSR_GUEST_IDLE, HV_MSR_GUEST_IDLE_AVAILABLE, true, false},
    {HV_X64_MSR_CRASH_P0, 0, true, true},
    {HV_X64_MSR_CRASH_P1, 0, true, true},
    {HV_X64_MSR_CRASH_P2, 0, true, true},
    {HV_X64_MSR_CRASH_P3, 0, true, true},
    {HV_X64_MSR_CRASH_P4, 0, true, true},
    {HV_X64_MSR_CRASH_CTL, 0, true, true},
    {HV_X64_MSR_TSC_INVARIANT_CONTROL, HV_ACCESS_TSC_INVARIANT, true, true},
};

static bool is_offered(uint32_t msr)
{
    for (size_t i = 0; i < ARRAY_SIZE(offered); i++)
        if (offered[i].msr == msr)
            return true;
    return (msr >= HV_X64_MSR_SINT0 && msr <= HV_X64_MSR_SINT15) ||
           (msr >= HV_X64_MSR_STIMER0_CONFIG && msr <= HV_X64_MSR_STIMER3_COUNT);
}

static void each_register_needs_its_privilege(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(offered); i++) {
        uint64_t val;
        int want_read = offered[i].read ? 0 : -EPERM;
        int want_write = offered[i].write ? 0 : -EPERM;

        shim_start(offered[i].privilege, true); /* that one alone is enough */
        assert_int_equal(synthetic_msr_read(caller(), offered[i].msr, &val), want_read);
        assert_int_equal(synthetic_msr_write(caller(), offered[i].msr, 0), want_write);
        if (!offered[i].privilege)
            continue;
        shim_start(~offered[i].privilege, true);
        read_faults(offered[i].msr);
        write_faults(offered[i].msr, 0);
    }
}

static void everything_else_faults(void **state)
{
    shim_start(UINT64_MAX, true);
    for (uint32_t msr = HV_X64_MSR_FIRST; msr <= HV_X64_MSR_LAST; msr++) {
        if (is_offered(msr))
            continue;
        read_faults(msr);
        write_faults(msr, 0);
    }
}

static void identity_enables_the_hypercall_page(void **state)
{
    static const uint8_t code[] = {0x0F, 0x01, 0xD9, 0xC3};

    start(state);
    /* Without an identity the rest of the register is kept, the enable bit is not. */
    write_ok(HV_X64_MSR_HYPERCALL, PAGE_GPA | 1);
    assert_int_equal(read_ok(HV_X64_MSR_HYPERCALL), PAGE_GPA);
    assert_int_equal(shim.ram[PAGE_GPA], 0);
    write_ok(HV_X64_MSR_GUEST_OS_ID, 0x8100000000060100);
    assert_int_equal(read_ok(HV_X64_MSR_GUEST_OS_ID), 0x8100000000060100);
    write_ok(HV_X64_MSR_HYPERCALL, PAGE_GPA | 0xFFC | 1);
    assert_int_equal(read_ok(HV_X64_MSR_HYPERCALL), PAGE_GPA | 0xFFC | 1);
    assert_memory_equal(shim.ram + PAGE_GPA, code, sizeof(code));
    write_ok(HV_X64_MSR_GUEST_OS_ID, 0);
    assert_int_equal(read_ok(HV_X64_MSR_HYPERCALL), PAGE_GPA | 0xFFC);
}

static void hypercall_page_must_be_ram(void **state)
{
    start(state);
    write_ok(HV_X64_MSR_GUEST_OS_ID, 1);
    write_faults(HV_X64_MSR_HYPERCALL, HOLE_GPA | 1);
    write_faults(HV_X64_MSR_HYPERCALL, RO_GPA | 1);
    write_faults(HV_X64_MSR_HYPERCALL, FAR_GPA | 1);
    assert_int_equal(read_ok(HV_X64_MSR_HYPERCALL), 0);
    write_ok(HV_X64_MSR_HYPERCALL, FAR_GPA); /* disabled: only a number */
    assert_int_equal(read_ok(HV_X64_MSR_HYPERCALL), FAR_GPA);
}

static void locked_hypercall_page_stays(void **state)
{
    start(state);
    write_ok(HV_X64_MSR_GUEST_OS_ID, 1);
    write_ok(HV_X64_MSR_HYPERCALL, PAGE_GPA | 3);
    write_faults(HV_X64_MSR_HYPERCALL, 0);
    write_faults(HV_X64_MSR_HYPERCALL, PAGE_GPA | 3);
    assert_int_equal(read_ok(HV_X64_MSR_HYPERCALL), PAGE_GPA | 3);
}

static void read_only_registers(void **state)
{
    start(state);
    assert_int_equal(read_ok(HV_X64_MSR_VP_INDEX), 1);
    assert_int_equal(read_ok(HV_X64_MSR_VP_RUNTIME), 4711);
    assert_int_equal(read_ok(HV_X64_MSR_TSC_FREQUENCY), 2000000000);
    assert_int_equal(read_ok(HV_X64_MSR_APIC_FREQUENCY), 1000000000);
    write_faults(HV_X64_MSR_TIME_REF_COUNT, 0);
    shim.tsc_step = 0;
    assert_int_equal(read_ok(HV_X64_MSR_TIME_REF_COUNT), partition_ref_time(&shim.partition));
}

static void reset_of_the_machine(void **state)
{
    start(state);
    assert_int_equal(read_ok(HV_X64_MSR_RESET), 0);
    write_ok(HV_X64_MSR_RESET, 0);
    write_ok(HV_X64_MSR_RESET, 2);
    shim.reset_armed = true;
    if (setjmp(shim.reset) == 0) {
        synthetic_msr_write(caller(), HV_X64_MSR_RESET, 1);
        fail();
    }
    /* A child never resets the machine, whatever it has been given. */
    shim_start(UINT64_MAX, false);
    write_faults(HV_X64_MSR_RESET, 1);
}

/* The page and the counter agree at any time, for a guest whose TSC is shifted too. */
static void reference_tsc_page_agrees_with_the_counter(void **state)
{
    static const uint64_t offsets[] = {0, 5000000, -999999ULL};

    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        struct hv_reference_tsc_page page;

        start(state);
        shim.tsc = 0x123456789AB;
        shim.tsc_offset = offsets[i];
        write_ok(HV_X64_MSR_REFERENCE_TSC, PAGE_GPA | 0xFFE | 1);
        assert_int_equal(read_ok(HV_X64_MSR_REFERENCE_TSC), PAGE_GPA | 0xFFE | 1);
        memcpy(&page, shim.ram + PAGE_GPA, sizeof(page));
        assert_int_equal(page.tsc_sequence, 1);
        assert_int_equal(page.reserved1, 0);
        for (unsigned k = 0; k < 1000; k++) {
            uint64_t guest_tsc, now, scaled;
            int64_t diff;

            shim.tsc_step = 0;
            shim.tsc += 987654321;
            guest_tsc = shim.tsc + offsets[i];
            scaled = (uint64_t)(((unsigned __int128)guest_tsc * page.tsc_scale) >> 64);
            now = scaled + (uint64_t)page.tsc_offset;
            diff = (int64_t)(now - read_ok(HV_X64_MSR_TIME_REF_COUNT));
            /* A shift that is no whole number of units rounds once more. */
            assert_in_range(diff + 1, offsets[i] ? 0 : 1, offsets[i] ? 2 : 1);
        }
    }
}

static void reference_tsc_page_must_be_ram(void **state)
{
    start(state);
    write_faults(HV_X64_MSR_REFERENCE_TSC, HOLE_GPA | 1);
    write_faults(HV_X64_MSR_REFERENCE_TSC, RO_GPA | 1);
    write_faults(HV_X64_MSR_REFERENCE_TSC, FAR_GPA | 1);
    assert_int_equal(read_ok(HV_X64_MSR_REFERENCE_TSC), 0);
    write_ok(HV_X64_MSR_REFERENCE_TSC, HOLE_GPA);
    assert_int_equal(read_ok(HV_X64_MSR_REFERENCE_TSC), HOLE_GPA);
}

static void apic_registers(void **state)
{
    start(state);
    write_ok(HV_X64_MSR_EOI, 0);
    write_ok(HV_X64_MSR_EOI, 0xFFFFFFFF);
    write_faults(HV_X64_MSR_EOI, BIT64(32));
    read_faults(HV_X64_MSR_EOI);
    assert_int_equal(shim.eois, 2);
    write_ok(HV_X64_MSR_ICR, 0x0300000000040041);
    assert_int_equal(read_ok(HV_X64_MSR_ICR), 0x0300000000040041);
    write_ok(HV_X64_MSR_TPR, 0xFF);
    assert_int_equal(read_ok(HV_X64_MSR_TPR), 0xFF);
    write_faults(HV_X64_MSR_TPR, 0x100);
    write_faults(HV_X64_MSR_TPR, BIT64(63));
    assert_int_equal(shim.tpr, 0xFF);
}

static void assist_page(void **state)
{
    start(state);
    memset(shim.ram + PAGE_GPA, 0xEE, PAGE_SIZE);
    write_ok(HV_X64_MSR_VP_ASSIST_PAGE, PAGE_GPA); /* off: the page is not touched */
    assert_int_equal(shim.ram[PAGE_GPA], 0xEE);
    write_ok(HV_X64_MSR_VP_ASSIST_PAGE, PAGE_GPA | 1);
    assert_int_equal(read_ok(HV_X64_MSR_VP_ASSIST_PAGE), PAGE_GPA | 1);
    assert_int_equal(shim.ram[PAGE_GPA + 0], 0);
    assert_int_equal(shim.ram[PAGE_GPA + 3], 0);
    assert_int_equal(shim.ram[PAGE_GPA + 4], 0);
    shim.ram[PAGE_GPA + 4] = 0xEE;
    write_ok(HV_X64_MSR_VP_ASSIST_PAGE, PAGE_GPA | 1);
    assert_int_equal(shim.ram[PAGE_GPA + 4], 0xEE); /* it is there already */
    assert_int_equal(shim.vps[0].assist_msr, 0);    /* each VP has its own */
    write_faults(HV_X64_MSR_VP_ASSIST_PAGE, HOLE_GPA | 1);
    write_faults(HV_X64_MSR_VP_ASSIST_PAGE, RO_GPA | 1);
    write_faults(HV_X64_MSR_VP_ASSIST_PAGE, FAR_GPA | 1);
    assert_int_equal(read_ok(HV_X64_MSR_VP_ASSIST_PAGE), PAGE_GPA | 1);
}

static void synic_and_timers_are_forwarded(void **state)
{
    start(state);
    for (uint32_t msr = HV_X64_MSR_SINT0; msr <= HV_X64_MSR_SINT15; msr++) {
        assert_int_equal(read_ok(msr), 0x5151);
        assert_int_equal(shim.forwarded_msr, msr);
        write_ok(msr, msr + 7);
        assert_int_equal(shim.forwarded_val, msr + 7);
    }
    assert_int_equal(shim.synic_ops, 32);
    for (uint32_t msr = HV_X64_MSR_STIMER0_CONFIG; msr <= HV_X64_MSR_STIMER3_COUNT; msr++) {
        assert_int_equal(read_ok(msr), 0x7171);
        assert_int_equal(shim.forwarded_msr, msr);
        write_ok(msr, msr + 9);
        assert_int_equal(shim.forwarded_val, msr + 9);
    }
    assert_int_equal(shim.stimer_ops, 16);
    shim_start(PRIVILEGES_STOCK_ROOT & ~(HV_MSR_SYNIC_AVAILABLE | HV_MSR_SYNTIMER_AVAILABLE), true);
    read_faults(HV_X64_MSR_SINT15);
    write_faults(HV_X64_MSR_STIMER3_COUNT, 0);
    assert_int_equal(shim.synic_ops + shim.stimer_ops, 0);
}

static void guest_idle(void **state)
{
    start(state);
    assert_int_equal(read_ok(HV_X64_MSR_GUEST_IDLE), 0);
    assert_int_equal(shim.idles, 1);
    write_faults(HV_X64_MSR_GUEST_IDLE, 0);
}

static void invariant_tsc_control(void **state)
{
    start(state);
    write_ok(HV_X64_MSR_TSC_INVARIANT_CONTROL, 1);
    assert_int_equal(read_ok(HV_X64_MSR_TSC_INVARIANT_CONTROL), 1);
    write_faults(HV_X64_MSR_TSC_INVARIANT_CONTROL, 2);
    write_faults(HV_X64_MSR_TSC_INVARIANT_CONTROL, BIT64(63) | 1);
    assert_int_equal(read_ok(HV_X64_MSR_TSC_INVARIANT_CONTROL), 1);
    write_ok(HV_X64_MSR_TSC_INVARIANT_CONTROL, 0);
    assert_int_equal(read_ok(HV_X64_MSR_TSC_INVARIANT_CONTROL), 0);
}

/* The limit is over all guests and outlives shim_start(): each test lets its window pass. */
static void crash_start(uint64_t second)
{
    shim_start(PRIVILEGES_STOCK_CHILD, false);
    shim.tsc = second * clock_tsc_hz();
}

static void crash_parameters_are_logged(void **state)
{
    crash_start(100);
    assert_int_equal(read_ok(HV_X64_MSR_CRASH_CTL),
                     HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_NOTIFY_MSG);
    for (uint32_t i = 0; i < HV_X64_MSR_CRASH_PARAMS; i++) {
        write_ok(HV_X64_MSR_CRASH_P0 + i, 0xA0 + i);
        assert_int_equal(read_ok(HV_X64_MSR_CRASH_P0 + i), 0xA0 + i);
    }
    write_ok(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY_MSG);
    assert_int_equal(shim.log_lines, 0); /* nothing happens without the notify bit */
    write_ok(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY);
    assert_int_equal(shim.log_lines, 1);
    assert_string_equal(shim.log, "partition 7 vp 1: guest crash, parameters a0 a1 a2 a3 a4");
}

static void crash_message(uint64_t addr, uint64_t size)
{
    write_ok(HV_X64_MSR_CRASH_P3, addr);
    write_ok(HV_X64_MSR_CRASH_P4, size);
    write_ok(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_NOTIFY_MSG);
}

static void crash_text_is_bounded_and_printable(void **state)
{
    crash_start(200);
    memcpy(shim.ram + PAGE_GPA, "one\n\nt\x1b[o\n", 10);
    crash_message(PAGE_GPA, 10);
    assert_int_equal(shim.log_lines, 3);
    assert_string_equal(shim.log, "partition 7 vp 1 crash: t.[o");
    /* 512 characters of 4096: six lines of at most 100. */
    memset(shim.ram + PAGE_GPA, 'x', PAGE_SIZE);
    crash_message(PAGE_GPA, PAGE_SIZE);
    assert_int_equal(shim.log_lines, 3 + 1 + 6);
    memset(shim.ram + PAGE_GPA, '\n', PAGE_SIZE);
    for (unsigned i = 1; i < 512; i += 2)
        shim.ram[PAGE_GPA + i] = 'y';
    crash_message(PAGE_GPA, UINT64_MAX);
    assert_in_range(shim.log_lines, 10 + 1 + 1, 10 + 1 + 16);
}

static void crash_text_may_be_nowhere(void **state)
{
    crash_start(300);
    crash_message(HOLE_GPA, 100);
    crash_message(UINT64_MAX, UINT64_MAX);
    crash_message(PAGE_GPA, 0);
    assert_int_equal(shim.log_lines, 3);
}

static void crash_reports_are_rate_limited(void **state)
{
    crash_start(400);
    for (unsigned i = 0; i < 100; i++)
        write_ok(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY);
    assert_int_equal(shim.log_lines, 4);
    shim.tsc += 11 * clock_tsc_hz();
    write_ok(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY);
    assert_int_equal(shim.log_lines, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_register_needs_its_privilege),
        cmocka_unit_test(everything_else_faults),
        cmocka_unit_test(identity_enables_the_hypercall_page),
        cmocka_unit_test(hypercall_page_must_be_ram),
        cmocka_unit_test(locked_hypercall_page_stays),
        cmocka_unit_test(read_only_registers),
        cmocka_unit_test(reset_of_the_machine),
        cmocka_unit_test(reference_tsc_page_agrees_with_the_counter),
        cmocka_unit_test(reference_tsc_page_must_be_ram),
        cmocka_unit_test(apic_registers),
        cmocka_unit_test(assist_page),
        cmocka_unit_test(synic_and_timers_are_forwarded),
        cmocka_unit_test(guest_idle),
        cmocka_unit_test(invariant_tsc_control),
        cmocka_unit_test(crash_parameters_are_logged),
        cmocka_unit_test(crash_text_is_bounded_and_printable),
        cmocka_unit_test(crash_text_may_be_nowhere),
        cmocka_unit_test(crash_reports_are_rate_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
