/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_device.h"
#include "devices/debugport.h"
#include "devices/pciconf.h"
#include "devices/pic.h"

static uint8_t reg[8];
static unsigned accesses;

static uint64_t reg_read(void *dev, uint64_t offset, unsigned size)
{
    accesses++;
    return reg[offset] | 0xFFFFFF00ULL; /* what is beyond the size must be cut */
}

static void reg_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    accesses++;
    assert_true(value <= 0xFF);
    reg[offset] = (uint8_t)value;
}

static const struct bus_ops reg_ops = {reg_read, reg_write};

static int reset(void **state)
{
    shim_reset();
    memset(reg, 0, sizeof(reg));
    accesses = 0;
    return 0;
}

static void test_nobody(void **state)
{
    assert_true(bus_port_read(&bus, 0x80, 1) == 0xFF);
    assert_true(bus_port_read(&bus, 0xFFFF, 4) == 0xFFFFFFFF);
    assert_true(bus_memory_read(&bus, 0xFEC00000, 8) == ~0ULL);
    bus_port_write(&bus, 0xFFFE, 4, 1);
    bus_memory_write(&bus, ~0ULL, 8, 1);
    assert_true(bus_deadline(&bus) == BUS_NEVER);
}

static void test_wide_access_is_split(void **state)
{
    assert_int_equal(bus_add_ports(&bus, 0x100, 4, 1, &reg_ops, NULL), 0);
    bus_port_write(&bus, 0x100, 4, 0x44332211);
    assert_int_equal(accesses, 4);
    assert_true(bus_port_read(&bus, 0x100, 4) == 0x44332211);
    assert_true(bus_port_read(&bus, 0x102, 4) == 0xFFFF4433); /* half of it is nobody's */
}

static void test_ranges(void **state)
{
    assert_int_equal(bus_add_ports(&bus, 0x100, 4, 1, &reg_ops, NULL), 0);
    assert_int_equal(bus_add_ports(&bus, 0x103, 1, 1, &reg_ops, NULL), -EEXIST);
    assert_int_equal(bus_add_ports(&bus, 0x104, 0, 1, &reg_ops, NULL), -EINVAL);
    assert_int_equal(bus_add_ports(&bus, 0xFFFF, 2, 1, &reg_ops, NULL), -EINVAL);
    assert_int_equal(bus_add_memory(&bus, ~0ULL, 2, 1, &reg_ops, NULL), -EINVAL);
    for (unsigned i = 1; i < BUS_RANGES; i++)
        assert_int_equal(bus_add_ports(&bus, (uint16_t)(0x200 + i), 1, 1, &reg_ops, NULL), 0);
    assert_int_equal(bus_add_ports(&bus, 0x300, 1, 1, &reg_ops, NULL), -ENOSPC);
}

static void test_pciconf(void **state)
{
    struct pciconf c, other;

    pciconf_init(&c);
    pciconf_init(&other);
    assert_int_equal(pciconf_attach(&c, &bus), 0);
    bus_port_write(&bus, 0xCF8, 4, 0x80000807);
    assert_true(bus_port_read(&bus, 0xCF8, 4) == 0x80000804);
    assert_true(bus_port_read(&bus, 0xCF8, 1) == 0xFF);
    outb(0xCF8, 0);
    assert_true(bus_port_read(&bus, 0xCF8, 4) == 0x80000804);
    assert_true(bus_port_read(&bus, 0xCFC, 4) == 0xFFFFFFFF);
    assert_true(bus_port_read(&bus, 0xCFE, 2) == 0xFFFF);
    CHECK_SAVE(pciconf, &c, &other);
}

static void test_pic(void **state)
{
    struct pic p, other;

    pic_init(&p);
    pic_init(&other);
    assert_int_equal(pic_attach(&p, &bus), 0);
    outb(0x21, 0xFB); /* Linux: is there one? */
    assert_int_equal(inb(0x21), 0xFB);
    outb(0x20, 0x11);
    outb(0x21, 0x20);
    outb(0x21, 0x04);
    outb(0x21, 0x01);
    assert_int_equal(inb(0x21), 0); /* an initialization clears the mask */
    outb(0x21, 0xFF);
    assert_int_equal(inb(0x21), 0xFF);
    outb(0xA0, 0x12); /* single, no ICW4: one word is all */
    outb(0xA1, 0x28);
    outb(0xA1, 0x5A);
    assert_int_equal(inb(0xA1), 0x5A);
    outb(0x20, 0x0B); /* in service? */
    assert_int_equal(inb(0x20), 0);
    outb(0x20, 0x20);
    outb(0x4D0, 0xFF);
    outb(0x4D1, 0xFF);
    assert_true(bus_port_read(&bus, 0x4D0, 2) == 0xDEF8);
    CHECK_SAVE(pic, &p, &other);
}

static char heard[DEBUGPORT_LINE + 1];

static void hear(void *ctx, const char *text)
{
    strcpy(heard, text);
}

static void test_debugport(void **state)
{
    const struct debugport_host host = {hear, NULL};
    struct debugport d, other;

    debugport_init(&d, &host);
    debugport_init(&other, &host);
    assert_int_equal(debugport_attach(&d, &bus), 0);
    assert_int_equal(inb(0xE9), 0xE9);
    for (const char *s = "hel\x1blo\r\n"; *s; s++)
        outb(0xE9, (uint8_t)*s);
    assert_string_equal(heard, "hello");
    for (unsigned i = 0; i < DEBUGPORT_LINE; i++)
        outb(0xE9, 'x');
    assert_int_equal(strlen(heard), DEBUGPORT_LINE);
    outb(0xE9, 'y');
    CHECK_SAVE(debugport, &d, &other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nobody, reset),
        cmocka_unit_test_setup(test_wide_access_is_split, reset),
        cmocka_unit_test_setup(test_ranges, reset),
        cmocka_unit_test_setup(test_pciconf, reset),
        cmocka_unit_test_setup(test_pic, reset),
        cmocka_unit_test_setup(test_debugport, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
