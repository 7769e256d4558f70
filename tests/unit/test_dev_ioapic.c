/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_device.h"
#include "devices/ioapic.h"

#define BASE   0xFEC00000ULL
#define MASKED 0x10000U
#define LEVEL  0x8000U
#define IRR    0x4000U

static struct ioapic io;
static struct ioapic_message last;
static unsigned delivered;

static void deliver(void *ctx, const struct ioapic_message *m)
{
    last = *m;
    delivered++;
}

static const struct ioapic_host host = {deliver, NULL};

static int reset(void **state)
{
    shim_reset();
    delivered = 0;
    ioapic_init(&io, 0, &host);
    return ioapic_attach(&io, &bus, BASE);
}

static uint32_t get(uint8_t index)
{
    bus_memory_write(&bus, BASE, 4, index);
    return (uint32_t)bus_memory_read(&bus, BASE + 0x10, 4);
}

static void set(uint8_t index, uint32_t v)
{
    bus_memory_write(&bus, BASE, 4, index);
    bus_memory_write(&bus, BASE + 0x10, 4, v);
}

static void test_registers(void **state)
{
    assert_int_equal(get(1), 0x170020);
    set(1, 0xFFFFFFFF);
    assert_int_equal(get(1), 0x170020);
    set(0, 0xFF000000);
    assert_int_equal(get(0), 0x0F000000);
    assert_int_equal(get(2), 0x0F000000);
    for (uint8_t pin = 0; pin < IOAPIC_PINS; pin++)
        assert_int_equal(get((uint8_t)(0x10 + 2 * pin)), MASKED);
    set(0x10, 0xFFFFFFFF);
    set(0x11, 0xFFFFFFFF);
    assert_true(get(0x10) == (0x1FFFF & ~0x5000U)); /* status and remote IRR are not ours */
    assert_true(get(0x11) == 0xFF000000);
    assert_int_equal(get(0x40), 0);
    set(0x40, 1);
    assert_true(bus_memory_read(&bus, BASE + 0x10, 1) == 0);
    assert_true(bus_memory_read(&bus, BASE + 0x20, 4) == 0);
}

static void test_edge(void **state)
{
    set(0x10 + 2 * 4, MASKED | 0x34);
    ioapic_set(&io, 4, true);  /* lost */
    set(0x10 + 2 * 4, 0x0934); /* lowest priority, logical */
    set(0x11 + 2 * 4, 3U << 24);
    assert_int_equal(delivered, 0);
    ioapic_set(&io, 4, true); /* no edge */
    assert_int_equal(delivered, 0);
    ioapic_set(&io, 4, false);
    ioapic_set(&io, 4, true);
    assert_int_equal(delivered, 1);
    assert_int_equal(last.vector, 0x34);
    assert_int_equal(last.destination, 3);
    assert_int_equal(last.mode, IOAPIC_LOWEST);
    assert_true(last.logical);
    assert_false(last.level);
    ioapic_eoi(&io, 0x34);
    assert_int_equal(delivered, 1);
}

static void test_level(void **state)
{
    set(0x10 + 2 * 9, LEVEL | MASKED | 0x59);
    ioapic_set(&io, 9, true);
    assert_int_equal(delivered, 0);
    set(0x10 + 2 * 9, LEVEL | 0x59);
    assert_int_equal(delivered, 1);
    assert_true(last.level);
    assert_true(get(0x10 + 2 * 9) == (LEVEL | IRR | 0x59));
    ioapic_set(&io, 9, false);
    ioapic_set(&io, 9, true); /* in service */
    assert_int_equal(delivered, 1);
    ioapic_eoi(&io, 0x58);
    assert_int_equal(delivered, 1);
    ioapic_eoi(&io, 0x59); /* still high: again */
    assert_int_equal(delivered, 2);
    ioapic_set(&io, 9, false);
    bus_memory_write(&bus, BASE + 0x40, 4, 0x59);
    assert_int_equal(delivered, 2);
    assert_true(get(0x10 + 2 * 9) == (LEVEL | 0x59));
}

/* Linux ends interrupts of old I/O APICs so. */
static void test_edge_trick_clears_irr(void **state)
{
    set(0x10 + 2 * 9, LEVEL | 0x59);
    ioapic_set(&io, 9, true);
    set(0x10 + 2 * 9, MASKED | 0x59);
    assert_int_equal(get(0x10 + 2 * 9), MASKED | 0x59);
    set(0x10 + 2 * 9, LEVEL | 0x59);
    assert_int_equal(delivered, 2);
}

static void test_hostile(void **state)
{
    ioapic_set(&io, IOAPIC_PINS, true);
    ioapic_set(&io, ~0U, true);
    set(0x10, 0x0330); /* reserved delivery mode */
    ioapic_set(&io, 0, true);
    assert_int_equal(delivered, 0);
}

static void test_save(void **state)
{
    struct ioapic other;

    set(0x10 + 2 * 9, LEVEL | 0x59);
    ioapic_set(&io, 9, true);
    set(0x10 + 2 * 4, 0x34);
    ioapic_init(&other, 0, &host);
    delivered = 0;
    CHECK_SAVE(ioapic, &io, &other);
    assert_int_equal(delivered, 0);
    ioapic_eoi(&other, 0x59);
    assert_int_equal(delivered, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_registers, reset),
        cmocka_unit_test_setup(test_edge, reset),
        cmocka_unit_test_setup(test_level, reset),
        cmocka_unit_test_setup(test_edge_trick_clears_irr, reset),
        cmocka_unit_test_setup(test_hostile, reset),
        cmocka_unit_test_setup(test_save, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
