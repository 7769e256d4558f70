/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_device.h"
#include "devices/pit.h"
#include "devices/rtc.h"

#define S  1000000000ULL
#define MS 1000000ULL

static struct pit pit;
static struct rtc rtc;

static int reset(void **state)
{
    shim_reset();
    pit_init(&pit, &shim_irq, &shim_clock);
    /* Thursday, 29 February 2024, 23:59:58 UTC */
    rtc_init(&rtc, 1709251198, &shim_irq, &shim_clock);
    return pit_attach(&pit, &bus) || rtc_attach(&rtc, &bus);
}

static unsigned pit_count(unsigned channel)
{
    outb(0x43, (uint8_t)(channel << 6));
    unsigned low = inb((uint16_t)(0x40 + channel));
    return low | (unsigned)inb((uint16_t)(0x40 + channel)) << 8;
}

/* How Linux measures the TSC: channel 2 in mode 0, 50 ms, until port 0x61 shows its output. */
static void test_pit_calibration(void **state)
{
    outb(0x61, (inb(0x61) & 0xFD) | 0x01);
    outb(0x43, 0xB0);
    outb(0x42, 59659 & 0xFF);
    outb(0x42, 59659 >> 8);
    assert_int_equal(inb(0x61) & 0x20, 0);
    shim_advance(49 * MS);
    assert_int_equal(inb(0x61) & 0x20, 0);
    shim_advance(2 * MS);
    assert_int_equal(inb(0x61) & 0x21, 0x21);
}

static void test_pit_counts_down(void **state)
{
    outb(0x43, 0xB4); /* channel 2, mode 2 */
    outb(0x42, 0xE8);
    outb(0x42, 0x03);
    outb(0x61, 1);
    unsigned before = pit_count(2);
    shim_advance(100000); /* 119 ticks */
    assert_in_range(before - pit_count(2), 118, 120);
    outb(0x61, 0);
    outb(0x43, 0x80); /* latched: does not change any more, and is not latched again */
    unsigned low = inb(0x42);
    shim_advance(MS);
    outb(0x43, 0x80);
    assert_in_range(low | (unsigned)inb(0x42) << 8, 1, 1000);
}

static void test_pit_read_back(void **state)
{
    outb(0x43, 0x34);
    outb(0x43, 0xC2);                  /* count and status of channel 0 */
    assert_int_equal(inb(0x40), 0xF4); /* output high, null count, both bytes, mode 2 */
    outb(0x40, 0x00);
    outb(0x40, 0x00);
    outb(0x43, 0xE2);
    assert_int_equal(inb(0x40) & 0x7F, 0x34);
    assert_int_equal(inb(0x43), 0xFF);
}

static void test_pit_interrupts(void **state)
{
    outb(0x43, 0x34);
    outb(0x40, 0xA9); /* 100 Hz: 11933 */
    assert_true(bus_deadline(&bus) == BUS_NEVER);
    outb(0x40, 0x2E);
    shim_advance(S);
    assert_in_range(line_rises, 98, 101);
    outb(0x43, 0x30); /* mode 0: once */
    outb(0x40, 0x10);
    outb(0x40, 0x00);
    line_rises = 0;
    shim_advance(S);
    assert_int_equal(line_rises, 1);
}

static void test_pit_rate_is_bounded(void **state)
{
    outb(0x43, 0x14); /* low byte only, 1 */
    outb(0x40, 0x01);
    shim_advance(S);
    assert_in_range(line_rises, 4990, 5010);
}

static void test_pit_save(void **state)
{
    struct pit other;

    outb(0x43, 0x34);
    outb(0x40, 0xA9);
    outb(0x40, 0x2E);
    outb(0x43, 0xB0);
    outb(0x42, 0x12);
    outb(0x43, 0xC4);
    pit_init(&other, &shim_irq, &shim_clock);
    CHECK_SAVE(pit, &pit, &other);
}

static uint8_t cmos(uint8_t index)
{
    outb(0x70, index);
    return inb(0x71);
}

static void cmos_set(uint8_t index, uint8_t v)
{
    outb(0x70, index);
    outb(0x71, v);
}

static void expect_time(unsigned century, unsigned year, unsigned month, unsigned day,
                        unsigned hour, unsigned minute, unsigned second)
{
    assert_int_equal(cmos(0x32), century);
    assert_int_equal(cmos(9), year);
    assert_int_equal(cmos(8), month);
    assert_int_equal(cmos(7), day);
    assert_int_equal(cmos(4), hour);
    assert_int_equal(cmos(2), minute);
    assert_int_equal(cmos(0), second);
}

static void test_rtc_time(void **state)
{
    assert_int_equal(cmos(0xA), 0x26);
    assert_int_equal(cmos(0xB), 0x02);
    assert_int_equal(cmos(0xD), 0x80);
    expect_time(0x20, 0x24, 0x02, 0x29, 0x23, 0x59, 0x58);
    assert_int_equal(cmos(6), 5); /* Thursday */
    now_ns += 2 * S;
    expect_time(0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00);
    cmos_set(0xB, 0x06); /* binary */
    expect_time(20, 24, 3, 1, 0, 0, 0);
    cmos_set(0xB, 0x00); /* BCD, 12 hours */
    assert_int_equal(cmos(4), 0x12);
    now_ns += 13 * 3600 * S;
    assert_int_equal(cmos(4), 0x81);
}

static void test_rtc_update_in_progress(void **state)
{
    assert_int_equal(cmos(0xA), 0x26);
    now_ns += S - 100000;
    assert_int_equal(cmos(0xA), 0xA6);
    now_ns += 100000;
    assert_int_equal(cmos(0xA), 0x26);
}

/* As Linux sets it: stop, write, start. */
static void test_rtc_set(void **state)
{
    static const uint8_t values[][2] = {{9, 0x99}, {8, 0x12}, {7, 0x31},   {4, 0x13},
                                        {2, 0x14}, {0, 0x15}, {0x32, 0x19}};

    cmos_set(0xB, 0x82);
    for (unsigned i = 0; i < 7; i++)
        cmos_set(values[i][0], values[i][1]);
    now_ns += 10 * S;
    expect_time(0x19, 0x99, 0x12, 0x31, 0x13, 0x14, 0x15);
    cmos_set(0xB, 0x02);
    now_ns += S;
    expect_time(0x19, 0x99, 0x12, 0x31, 0x13, 0x14, 0x16);
    assert_int_equal(cmos(6), 6); /* it was a Friday */
    cmos_set(0x40, 0x77);
    assert_int_equal(cmos(0x40), 0x77);
}

static void test_rtc_nonsense_is_bounded(void **state)
{
    for (unsigned i = 0; i < 256; i++)
        for (uint8_t reg = 0; reg < 0x33; reg++)
            cmos_set(reg, (uint8_t)(i * 37));
    for (uint8_t reg = 0; reg < 128; reg++)
        (void)cmos(reg);
}

static void test_rtc_events(void **state)
{
    cmos_set(0xB, 0x12); /* update ended */
    shim_advance(S + 1);
    assert_true(line_high);
    assert_int_equal(cmos(0xC), 0xD0); /* interrupt, update, and the periodic flag as well */
    assert_false(line_high);
    cmos_set(5, 0xC0); /* each hour */
    cmos_set(3, 0xFF);
    cmos_set(1, 0x03); /* at second 3 */
    cmos_set(0xB, 0x22);
    shim_advance(3 * S);
    assert_false(line_high);
    shim_advance(2 * S);
    assert_true(line_high);
    assert_int_equal(cmos(0xC) & 0xA0, 0xA0);
}

static void test_rtc_periodic(void **state)
{
    unsigned events = 0;

    cmos_set(0xB, 0x42); /* 1024 Hz */
    for (unsigned i = 0; i < 2000; i++) {
        shim_advance(S / 2000);
        events += line_high;
        (void)cmos(0xC);
    }
    assert_in_range(events, 1000, 1030);
    cmos_set(0xA, 0x23); /* 8192 Hz: bounded */
    assert_true(bus_deadline(&bus) >= now_ns + 200000);
    cmos_set(0xA, 0x20);
    assert_true(bus_deadline(&bus) == BUS_NEVER);
}

static void test_rtc_save(void **state)
{
    struct rtc other;

    cmos_set(0xB, 0x72);
    cmos_set(0x55, 0xAA);
    shim_advance(5 * S);
    rtc_init(&other, 0, &shim_irq, &shim_clock);
    CHECK_SAVE(rtc, &rtc, &other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pit_calibration, reset),
        cmocka_unit_test_setup(test_pit_counts_down, reset),
        cmocka_unit_test_setup(test_pit_read_back, reset),
        cmocka_unit_test_setup(test_pit_interrupts, reset),
        cmocka_unit_test_setup(test_pit_rate_is_bounded, reset),
        cmocka_unit_test_setup(test_pit_save, reset),
        cmocka_unit_test_setup(test_rtc_time, reset),
        cmocka_unit_test_setup(test_rtc_update_in_progress, reset),
        cmocka_unit_test_setup(test_rtc_set, reset),
        cmocka_unit_test_setup(test_rtc_nonsense_is_bounded, reset),
        cmocka_unit_test_setup(test_rtc_events, reset),
        cmocka_unit_test_setup(test_rtc_periodic, reset),
        cmocka_unit_test_setup(test_rtc_save, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
