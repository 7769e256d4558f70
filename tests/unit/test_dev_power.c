/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_device.h"
#include "devices/pciconf.h"
#include "devices/power.h"

static struct power p;
static unsigned offs, resets;

static void off(void *ctx)
{
    offs++;
}

static void reset_machine(void *ctx)
{
    resets++;
}

static const struct power_host host = {off, reset_machine, NULL};

static int reset(void **state)
{
    shim_reset();
    offs = resets = 0;
    power_init(&p, &shim_irq, &host, &shim_clock);
    return power_attach(&p, &bus);
}

static void test_off(void **state)
{
    assert_true(bus_port_read(&bus, 0x604, 2) == 0x0001);
    bus_port_write(&bus, 0x604, 2, 5U << 10);
    assert_int_equal(offs, 0);
    assert_true(bus_port_read(&bus, 0x604, 2) == 0x1401);
    bus_port_write(&bus, 0x604, 2, 1U << 10 | 1U << 13); /* another state is ignored */
    assert_int_equal(offs, 0);
    bus_port_write(&bus, 0x604, 2, 5U << 10 | 1U << 13);
    assert_int_equal(offs, 1);
    outb(0x605, 5 << 2 | 1 << 5); /* by bytes */
    assert_int_equal(offs, 2);
}

static void test_reset(void **state)
{
    struct pciconf c;

    pciconf_init(&c);
    assert_int_equal(pciconf_attach(&c, &bus), 0); /* its ports are around ours */
    bus_port_write(&bus, 0xCF8, 4, 0x80000600);
    assert_int_equal(resets, 0);
    outb(0xCF9, 0x02);
    assert_int_equal(resets, 0);
    assert_int_equal(inb(0xCF9), 0x02);
    outb(0xCF9, 0x06);
    assert_int_equal(resets, 1);
    outb(0xCF9, 0x06); /* only the edge */
    assert_int_equal(resets, 1);
    assert_int_equal(inb(0x64), 0);
    outb(0x64, 0xD1);
    assert_int_equal(resets, 1);
    outb(0x64, 0xFE);
    assert_int_equal(resets, 2);
}

static void test_button(void **state)
{
    power_button(&p);
    assert_false(line_high);
    bus_port_write(&bus, 0x602, 2, 0x0100);
    assert_true(line_high);
    assert_true(bus_port_read(&bus, 0x600, 4) == 0x01000100);
    bus_port_write(&bus, 0x600, 2, 0x0001);
    assert_true(line_high);
    bus_port_write(&bus, 0x600, 2, 0x0100);
    assert_false(line_high);
    assert_true(bus_port_read(&bus, 0x602, 2) == 0x0100);
    outb(0x603, 0);
    assert_true(bus_port_read(&bus, 0x602, 2) == 0);
}

static void test_timer(void **state)
{
    uint64_t before = bus_port_read(&bus, 0x608, 4);

    now_ns += 1000000000;
    assert_in_range(bus_port_read(&bus, 0x608, 4) - before, 3579544, 3579546);
    bus_port_write(&bus, 0x608, 4, 0);
    assert_true(inb(0x609) == (uint8_t)(bus_port_read(&bus, 0x608, 4) >> 8));
}

static void test_save(void **state)
{
    struct power other;

    bus_port_write(&bus, 0x602, 2, 0x0120);
    power_button(&p);
    outb(0xCF9, 0x02);
    bus_port_write(&bus, 0x604, 2, 5U << 10);
    power_init(&other, &shim_irq, &host, &shim_clock);
    CHECK_SAVE(power, &p, &other);
    assert_int_equal(offs + resets, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_off, reset),    cmocka_unit_test_setup(test_reset, reset),
        cmocka_unit_test_setup(test_button, reset), cmocka_unit_test_setup(test_timer, reset),
        cmocka_unit_test_setup(test_save, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
