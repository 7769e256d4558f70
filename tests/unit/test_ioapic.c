/* SPDX-License-Identifier: MIT */
/*
 * The IOAPIC shadow between a model of the hardware (IOAPICs, one local APIC, devices that hold
 * their line until they are served) and a model of a parent that behaves as Linux does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/arch/x86/ioapicreg.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/intercept/ioapic.h"
#include "lib/bits.h"
#include "lib/errno.h"

#define PINS 24U

static unsigned log_lines;

void log_print(enum log_level level, const char *fmt, ...)
{
    log_lines++;
}

/* Hardware. */

struct hw_pin {
    uint32_t low, high;
    bool line;
    unsigned sent;
};

struct hw_unit {
    struct hw_pin pin[PINS];
    uint32_t id;
};

static struct hw_unit hw[2];
static bool lapic_irr[256];

static void hw_send(struct hw_pin *p)
{
    uint32_t mode = p->low & RTE_DELIVERY;

    assert_true(mode == RTE_FIXED || mode == RTE_LOWEST || mode == RTE_NMI || mode == RTE_EXTINT);
    p->sent++;
    if (mode == RTE_FIXED || mode == RTE_LOWEST)
        lapic_irr[p->low & RTE_VECTOR] = true;
}

static void hw_evaluate_level(struct hw_pin *p)
{
    if (!p->line || !(p->low & RTE_LEVEL) || p->low & (RTE_MASKED | RTE_REMOTE_IRR))
        return;
    p->low |= RTE_REMOTE_IRR;
    hw_send(p);
}

static void hw_line(struct hw_pin *p, bool on)
{
    bool rise = on && !p->line;

    p->line = on;
    if (rise && !(p->low & (RTE_LEVEL | RTE_MASKED)))
        hw_send(p);
    hw_evaluate_level(p);
}

static void hw_eoi(uint8_t vector)
{
    for (unsigned u = 0; u < ARRAY_SIZE(hw); u++)
        for (unsigned i = 0; i < PINS; i++) {
            struct hw_pin *p = &hw[u].pin[i];
            if (!(p->low & RTE_LEVEL) || (p->low & RTE_VECTOR) != vector)
                continue;
            p->low &= ~RTE_REMOTE_IRR;
            hw_evaluate_level(p);
        }
}

static uint32_t hw_reg_read(void *ctx, uint32_t reg)
{
    struct hw_unit *u = ctx;

    if (reg == IOAPIC_REG_ID)
        return u->id;
    if (reg == IOAPIC_REG_VERSION)
        return (PINS - 1) << 16 | 0x20;
    if (reg < 0x10 || reg >= 0x10 + 2 * PINS)
        return 0;
    return reg & 1 ? u->pin[(reg - 0x10) / 2].high : u->pin[(reg - 0x10) / 2].low;
}

static void hw_reg_write(void *ctx, uint32_t reg, uint32_t val)
{
    struct hw_unit *u = ctx;
    struct hw_pin *p;

    if (reg == IOAPIC_REG_ID)
        u->id = val;
    if (reg < 0x10 || reg >= 0x10 + 2 * PINS)
        return;
    p = &u->pin[(reg - 0x10) / 2];
    if (reg & 1) {
        p->high = val;
        return;
    }
    p->low = (val & ~RTE_READ_ONLY) | (val & RTE_LEVEL ? p->low & RTE_REMOTE_IRR : 0);
    hw_evaluate_level(p);
}

/* The parent's accesses. */

static struct ioapics set;

static void setup(void)
{
    ioapics_init(&set);
    memset(lapic_irr, 0, sizeof(lapic_irr));
    log_lines = 0;
    for (unsigned u = 0; u < ARRAY_SIZE(hw); u++) {
        hw[u] = (struct hw_unit){.id = u << 24};
        for (unsigned i = 0; i < PINS; i++)
            hw[u].pin[i].low = RTE_MASKED;
        struct ioapic_hw access = {hw_reg_read, hw_reg_write, &hw[u]};
        assert_int_equal(ioapic_add(&set, hpa(0xFEC00000 + u * PAGE_SIZE), u * PINS, &access), 0);
    }
}

static uint32_t reg_read(unsigned u, uint32_t reg)
{
    struct ioapic *unit = ioapic_find(&set, gpa(0xFEC00010 + u * PAGE_SIZE));
    uint64_t val;

    assert_non_null(unit);
    assert_int_equal(ioapic_mmio_write(unit, IOAPIC_REGSEL, 4, reg), 0);
    assert_int_equal(ioapic_mmio_read(unit, IOAPIC_REGSEL, 4, &val), 0);
    assert_int_equal(val, reg & 0xFF);
    assert_int_equal(ioapic_mmio_read(unit, IOAPIC_WINDOW, 4, &val), 0);
    return (uint32_t)val;
}

static void reg_write(unsigned u, uint32_t reg, uint32_t val)
{
    struct ioapic *unit = ioapic_find(&set, gpa(0xFEC00000 + u * PAGE_SIZE));

    assert_int_equal(ioapic_mmio_write(unit, IOAPIC_REGSEL, 4, reg), 0);
    assert_int_equal(ioapic_mmio_write(unit, IOAPIC_WINDOW, 4, val), 0);
}

static uint32_t rte(unsigned u, unsigned pin)
{
    return reg_read(u, IOAPIC_REG_RTE(pin));
}

static void rte_set(unsigned u, unsigned pin, uint32_t low)
{
    reg_write(u, IOAPIC_REG_RTE(pin), low);
}

/* Registers. */

static void test_read_back(void **state)
{
    setup();
    for (unsigned n = 0; n < 20000; n++) {
        unsigned u = n & 1, pin = (unsigned)rand() % PINS;
        uint32_t low = (uint32_t)rand() ^ (uint32_t)rand() << 16, high = (uint32_t)rand() << 4;
        uint32_t mode = low & RTE_DELIVERY, vector = low & RTE_VECTOR;
        bool vectored = mode == RTE_FIXED || mode == RTE_LOWEST;
        bool ok =
            vectored ? vector >= 0x10 && vector < 0xF0 : mode == RTE_NMI || mode == RTE_EXTINT;

        reg_write(u, IOAPIC_REG_RTE(pin) + 1, high);
        rte_set(u, pin, low);
        assert_int_equal(rte(u, pin), low & ~RTE_READ_ONLY);
        assert_int_equal(reg_read(u, IOAPIC_REG_RTE(pin) + 1), high);
        assert_int_equal(hw[u].pin[pin].high, high);
        if (!ok) {
            assert_int_equal(hw[u].pin[pin].low, RTE_MASKED);
            continue;
        }
        low &= ~(RTE_LOW_RESERVED | RTE_READ_ONLY | (vectored ? 0 : RTE_LEVEL));
        assert_int_equal(hw[u].pin[pin].low, low);
    }
    assert_int_equal(log_lines, 1);
}

static void test_other_registers(void **state)
{
    struct ioapic *unit;
    uint64_t val = 5;

    setup();
    unit = ioapic_find(&set, gpa(0xFEC00000));
    assert_null(ioapic_find(&set, gpa(0xFEC02000)));
    assert_int_equal(reg_read(1, IOAPIC_REG_ID), 1U << 24);
    reg_write(1, IOAPIC_REG_ID, 7U << 24);
    assert_int_equal(hw[1].id, 7U << 24);
    assert_int_equal(IOAPIC_VERSION_MAX_PIN(reg_read(0, IOAPIC_REG_VERSION)), PINS - 1);
    reg_write(0, IOAPIC_REG_VERSION, ~0U);
    for (uint32_t reg = 3; reg < 0x10; reg++)
        assert_int_equal(reg_read(0, reg), 0);
    for (uint32_t reg = 0x10 + 2 * PINS; reg < 0x200; reg++) { /* the index wraps at 0x100 */
        reg_write(0, reg & 0xFF ? reg : 1, ~0U);
        if (reg < 0x100)
            assert_int_equal(reg_read(0, reg), 0);
        if ((reg & 0xFF) == 0xFF)
            break;
    }
    for (unsigned size = 1; size <= 8; size *= 2)
        for (uint64_t offset = 0; offset < 0x1000; offset++) {
            if ((offset == IOAPIC_REGSEL && size <= 4) || (offset == IOAPIC_WINDOW && size == 4))
                continue;
            assert_int_equal(ioapic_mmio_read(unit, offset, size, &val), 0);
            assert_int_equal(val, 0);
            assert_int_equal(ioapic_mmio_write(unit, offset, size, ~0ULL), 0);
        }
    for (unsigned i = 0; i < PINS; i++)
        assert_int_equal(hw[0].pin[i].low, RTE_MASKED);
}

static void test_add(void **state)
{
    struct ioapic_hw access = {hw_reg_read, hw_reg_write, &hw[0]};

    ioapics_init(&set);
    log_lines = 0;
    hw[0] = (struct hw_unit){.pin = {{.low = RTE_SMI},
                                     {.low = RTE_EXTINT},
                                     {.low = 0x31 | RTE_LEVEL, .high = 5},
                                     {.low = 0xF5},
                                     {.low = RTE_MASKED | RTE_INIT}}};
    assert_int_equal(ioapic_add(&set, hpa(0xFEC00400), 0, &access), -EINVAL);
    assert_int_equal(ioapic_add(&set, hpa(0xFEC00000), 0xFFFFFFF0, &access), 0);
    assert_int_equal(hw[0].pin[0].low, RTE_MASKED);
    assert_int_equal(hw[0].pin[1].low, RTE_EXTINT);
    assert_int_equal(hw[0].pin[2].low, 0x31 | RTE_LEVEL);
    assert_int_equal(hw[0].pin[3].low, RTE_MASKED);
    assert_int_equal(hw[0].pin[4].low, RTE_MASKED);
    assert_int_equal(log_lines, 2 + PINS - 5); /* the others: unmasked vector 0 */
    assert_int_equal(rte(0, 0), RTE_SMI);
    assert_int_equal(ioapic_add(&set, hpa(0xFEC00000), 0, &access), -EEXIST);
    assert_int_equal(ioapic_add(&set, hpa(0xFEC01000), 0xFFFFFFF8, &access), -EEXIST);
    for (unsigned i = 1; i < IOAPIC_MAX; i++)
        assert_int_equal(ioapic_add(&set, hpa(0xFEC00000 + i * PAGE_SIZE), i * PINS, &access), 0);
    assert_int_equal(ioapic_add(&set, hpa(0xFED00000), 0x1000, &access), -ENOSPC);
}

static void test_reserved_pin(void **state)
{
    setup();
    assert_int_equal(ioapic_reserve_pin(&set, PINS + 4, 0xF8, (apic_id_t){3}, true, true), 0);
    assert_int_equal(ioapic_reserve_pin(&set, PINS + 4, 0xF8, (apic_id_t){3}, true, true), -EBUSY);
    assert_int_equal(ioapic_reserve_pin(&set, 2 * PINS, 0xF8, (apic_id_t){3}, true, true), -ENOENT);
    assert_int_equal(ioapic_reserve_pin(&set, 0, 0xF8, (apic_id_t){255}, true, true), -EINVAL);
    assert_int_equal(ioapic_reserve_pin(&set, 0, 15, (apic_id_t){0}, true, true), -EINVAL);
    assert_int_equal(hw[1].pin[4].low, 0xF8 | RTE_LEVEL | RTE_ACTIVE_LOW);
    assert_int_equal(hw[1].pin[4].high, 3U << 24);
    assert_int_equal(rte(1, 4), RTE_MASKED);
    assert_int_equal(reg_read(1, IOAPIC_REG_RTE(4) + 1), 0);
    rte_set(1, 4, 0x44 | RTE_LEVEL);
    reg_write(1, IOAPIC_REG_RTE(4) + 1, 1U << 24);
    assert_int_equal(rte(1, 4), 0x44 | RTE_LEVEL);
    assert_int_equal(reg_read(1, IOAPIC_REG_RTE(4) + 1), 1U << 24);
    assert_int_equal(hw[1].pin[4].low, 0xF8 | RTE_LEVEL | RTE_ACTIVE_LOW);
    assert_int_equal(hw[1].pin[4].high, 3U << 24);
    hw_line(&hw[1].pin[4], true);
    assert_false(ioapic_level_begin(&set, 0xF8));
    assert_false(ioapic_level_begin(&set, 0x44));
    assert_int_equal(log_lines, 0);
}

static void test_level_cycle(void **state)
{
    struct hw_pin *p;

    setup();
    p = &hw[0].pin[10];
    rte_set(0, 10, 0x51 | RTE_LEVEL);
    rte_set(0, 11, 0x52);
    assert_false(ioapic_level_begin(&set, 0x52));
    hw_line(p, true);
    assert_true(rte(0, 10) & RTE_REMOTE_IRR);
    assert_true(ioapic_level_begin(&set, 0x51));
    hw_eoi(0x51);
    assert_int_equal(p->low, 0x51 | RTE_LEVEL | RTE_MASKED);
    assert_int_equal(rte(0, 10), 0x51 | RTE_LEVEL | RTE_REMOTE_IRR);
    assert_true(ioapic_level_begin(&set, 0x51)); /* again, by a message: still level */
    /* Masked by the parent in between: the EOI does not unmask. */
    rte_set(0, 10, 0x51 | RTE_LEVEL | RTE_MASKED);
    ioapic_eoi(&set, 0x51);
    assert_int_equal(p->sent, 1);
    assert_int_equal(rte(0, 10), 0x51 | RTE_LEVEL | RTE_MASKED);
    rte_set(0, 10, 0x51 | RTE_LEVEL);
    assert_int_equal(p->sent, 2);
    /* A new vector before the EOI of the old one, which still counts. */
    assert_true(ioapic_level_begin(&set, 0x51));
    hw_eoi(0x51);
    rte_set(0, 10, 0x61 | RTE_LEVEL);
    assert_true(p->low & RTE_MASKED);
    assert_true(ioapic_level_begin(&set, 0x51));
    assert_false(ioapic_level_begin(&set, 0x61));
    ioapic_eoi(&set, 0x61);
    assert_true(p->low & RTE_MASKED);
    ioapic_eoi(&set, 0x51);
    assert_int_equal(p->sent, 3);
    /* The directed EOI register does the same; edge and back clears remote IRR. */
    assert_true(ioapic_level_begin(&set, 0x61));
    hw_eoi(0x61);
    ioapic_mmio_write(&set.unit[0], IOAPIC_EOI, 4, 0x61);
    assert_int_equal(p->sent, 4);
    assert_true(ioapic_level_begin(&set, 0x61));
    hw_eoi(0x61);
    rte_set(0, 10, 0x61 | RTE_MASKED);
    rte_set(0, 10, 0x61 | RTE_LEVEL);
    assert_int_equal(p->sent, 5);
    /* Sent, then masked by the parent, then taken: in service until the EOI. */
    rte_set(0, 10, 0x61 | RTE_LEVEL | RTE_MASKED);
    assert_true(ioapic_level_begin(&set, 0x61));
    hw_eoi(0x61);
    assert_true(rte(0, 10) & RTE_REMOTE_IRR);
    ioapic_eoi(&set, 0x61);
    assert_false(rte(0, 10) & RTE_REMOTE_IRR);
    assert_false(ioapic_level_begin(&set, 0x61));
}

/* Random interleaving. */

static struct {
    bool irr[256], isr[256], tmr[256]; /* virtual APIC */
    uint32_t config[2][PINS];          /* what the parent wrote last */
    unsigned raised[2][PINS], served[2][PINS], handled[2][PINS];
} vm;

/* The hypervisor takes the highest pending physical interrupt. */
static bool take_physical(void)
{
    for (unsigned v = 256; v-- > 0;) {
        if (!lapic_irr[v])
            continue;
        lapic_irr[v] = false;
        bool level = ioapic_level_begin(&set, (uint8_t)v);
        hw_eoi((uint8_t)v);
        vm.irr[v] = true;
        vm.tmr[v] = level;
        return true;
    }
    return false;
}

static int highest(const bool *bits)
{
    for (int v = 255; v >= 0; v--)
        if (bits[v])
            return v;
    return -1;
}

/* The parent accepts an interrupt; its handler serves all devices on that vector, or does not. */
static bool parent_accept(bool serve)
{
    int v = highest(vm.irr);
    bool known = false;

    if (v < 0 || highest(vm.isr) >> 4 >= v >> 4)
        return false;
    vm.irr[v] = false;
    vm.isr[v] = true;
    for (unsigned u = 0; u < 2; u++)
        for (unsigned i = 0; i < PINS; i++) {
            if ((vm.config[u][i] & RTE_VECTOR) != (unsigned)v)
                continue;
            known = true;
            vm.handled[u][i]++;
            if (!serve || !hw[u].pin[i].line)
                continue;
            hw_line(&hw[u].pin[i], false);
            vm.served[u][i]++;
        }
    assert_true(known); /* never a vector that no pin has any more */
    return true;
}

static bool parent_eoi(void)
{
    int v = highest(vm.isr);

    if (v < 0)
        return false;
    vm.isr[v] = false;
    if (vm.tmr[v])
        ioapic_eoi(&set, (uint8_t)v);
    return true;
}

static void parent_write(unsigned u, unsigned i, uint32_t low)
{
    vm.config[u][i] = low;
    rte_set(u, i, low);
    assert_int_equal(rte(u, i) & ~RTE_READ_ONLY, low);
}

/* As Linux moves an interrupt: mask, and change the vector only if none is under way. */
static void parent_migrate(unsigned u, unsigned i, uint32_t vector)
{
    uint32_t low = vm.config[u][i];

    parent_write(u, i, low | RTE_MASKED);
    if (!(rte(u, i) & RTE_REMOTE_IRR) && (low & RTE_LEVEL))
        low = (low & ~RTE_VECTOR) | vector;
    parent_write(u, i, low | RTE_MASKED);
    parent_write(u, i, low);
}

static void random_step(bool shared)
{
    unsigned u = (unsigned)rand() % 2, i = (unsigned)rand() % PINS;
    uint32_t spare = shared ? 0x30 + (uint32_t)rand() % 8 : 0x80 + u * PINS + i;

    switch (rand() % 8) {
    case 0:
    case 1:
        if (!hw[u].pin[i].line) {
            hw_line(&hw[u].pin[i], true);
            vm.raised[u][i]++;
        }
        break;
    case 2:
        parent_write(u, i, vm.config[u][i] ^ RTE_MASKED);
        break;
    case 3:
        parent_migrate(u, i, rand() % 2 ? spare : 0x30 + u * PINS + i);
        break;
    case 4:
        parent_accept(rand() % 4 != 0);
        break;
    case 5:
        parent_eoi();
        break;
    default:
        take_physical();
    }
}

/* A line that is high although nothing is in service, masked or pending has been forgotten. */
static void drain_and_check(void)
{
    for (unsigned u = 0; u < 2; u++)
        for (unsigned i = 0; i < PINS; i++)
            parent_write(u, i, vm.config[u][i] & ~RTE_MASKED);
    for (unsigned n = 0; take_physical() || parent_accept(true) || parent_eoi(); n++)
        assert_true(n < 3000); /* served lines make no more interrupts: no storm */
    for (unsigned u = 0; u < 2; u++)
        for (unsigned i = 0; i < PINS; i++) {
            if (!(vm.config[u][i] & RTE_LEVEL)) {
                hw_line(&hw[u].pin[i], false);
                continue;
            }
            assert_false(hw[u].pin[i].line);
            assert_int_equal(vm.served[u][i], vm.raised[u][i]);
            assert_int_equal(rte(u, i), vm.config[u][i]);
            assert_int_equal(hw[u].pin[i].low, vm.config[u][i]);
        }
}

static void random_run(bool shared)
{
    setup();
    memset(&vm, 0, sizeof(vm));
    for (unsigned u = 0; u < 2; u++)
        for (unsigned i = 0; i < PINS; i++) {
            uint32_t trigger = i % 4 ? RTE_LEVEL : 0;
            uint32_t vector = shared && trigger ? 0x30 + i % 8 : 0x30 + u * PINS + i;
            parent_write(u, i, vector | trigger);
        }
    for (unsigned n = 0; n < 20000; n++)
        random_step(shared);
    drain_and_check();
}

static void test_random(void **state)
{
    for (unsigned n = 0; n < 20; n++) {
        random_run(false);
        random_run(true);
    }
}

/* While a level interrupt is in service, its device cannot interrupt again. */
static void test_no_storm(void **state)
{
    setup();
    memset(&vm, 0, sizeof(vm));
    parent_write(0, 9, 0x71 | RTE_LEVEL);
    hw_line(&hw[0].pin[9], true);
    for (unsigned n = 1; n <= 100; n++) {
        assert_true(take_physical());
        assert_false(take_physical());
        assert_true(parent_accept(false)); /* a driver that does not serve its device */
        assert_false(take_physical());
        assert_int_equal(hw[0].pin[9].sent, n);
        assert_true(parent_eoi());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_back),   cmocka_unit_test(test_other_registers),
        cmocka_unit_test(test_add),         cmocka_unit_test(test_reserved_pin),
        cmocka_unit_test(test_level_cycle), cmocka_unit_test(test_no_storm),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
