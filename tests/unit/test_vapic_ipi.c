/* SPDX-License-Identifier: MIT */
/* The virtual local APIC: who receives interrupt messages, and what they do there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/shim_apic.h"

#define VPS         5U
#define ALL         0x1FU
#define VECTOR      0x77U
#define ICR_MODE(m) ((uint64_t)(m) << APIC_ICR_MODE_SHIFT)
#define ICR_TO(s)   ((uint64_t)(s) << APIC_ICR_SHORTHAND_SHIFT)

static int setup_x2apic(void **state)
{
    shim_init(VPS, true);
    for (unsigned i = 0; i < VPS; i++)
        vapic_msr_write(shim_vp(i), X2APIC_MSR(APIC_SVR), 0x1FF);
    return 0;
}

static int setup_xapic(void **state)
{
    shim_init(VPS, false);
    for (unsigned i = 0; i < VPS; i++)
        vapic_mmio_write(shim_vp(i), APIC_SVR, 0x1FF);
    return 0;
}

/* The VPs that have this request bit, as a mask; forgets everything that is pending. */
static uint32_t requested(uint32_t bit)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < VPS; i++) {
        struct vp *vp = shim_vp(i);
        int v;

        if (shim_requests(vp) & bit)
            mask |= BIT(i);
        while ((v = vapic_highest(vp)) >= 0) {
            vapic_request(vp, (uint8_t)v);
            vapic_accept(vp, (uint8_t)v);
            vapic_eoi(vp);
        }
        shim_requests(vp);
    }
    return mask;
}

/* Send from a VP in x2APIC form and say who got the request. */
static uint32_t send(unsigned from, uint64_t icr, uint32_t bit)
{
    assert_int_equal(vapic_msr_write(shim_vp(from), X2APIC_MSR(APIC_ICR), icr), 0);
    assert_int_equal(vapic_icr_read(shim_vp(from)), icr);
    return requested(bit);
}

static uint32_t send_xapic(unsigned from, uint8_t dest, uint32_t low, uint32_t bit)
{
    vapic_mmio_write(shim_vp(from), APIC_ICR_HIGH, (uint32_t)dest << 24);
    vapic_mmio_write(shim_vp(from), APIC_ICR, low);
    return requested(bit);
}

static void test_physical(void **state)
{
    for (unsigned i = 0; i < VPS; i++)
        assert_int_equal(send(2, VECTOR | (uint64_t)i << 32, VP_REQ_EVENT), BIT(i));
    assert_int_equal(send(2, VECTOR | 5ULL << 32, VP_REQ_EVENT), 0);
    assert_int_equal(send(2, VECTOR | 0xFFULL << 32, VP_REQ_EVENT), 0);
    assert_int_equal(send(2, VECTOR | 0xFFFFFFFFULL << 32, VP_REQ_EVENT), ALL);
    vapic_ipi_fixed(shim_vp(3), VECTOR);
    assert_int_equal(vapic_highest(shim_vp(3)), VECTOR);
}

static void test_logical_x2apic(void **state)
{
    uint64_t icr = VECTOR | APIC_ICR_LOGICAL;

    shim_vp(4)->apic_id.v = 0x21; /* cluster 2, bit 1 */
    assert_int_equal(send(0, icr | 0x0000000FULL << 32, VP_REQ_EVENT), 0xF);
    assert_int_equal(send(0, icr | 0x00000005ULL << 32, VP_REQ_EVENT), 0x5);
    assert_int_equal(send(0, icr | 0x00020002ULL << 32, VP_REQ_EVENT), 0x10);
    assert_int_equal(send(0, icr | 0x00020001ULL << 32, VP_REQ_EVENT), 0);
    assert_int_equal(send(0, icr | 0x00010002ULL << 32, VP_REQ_EVENT), 0);
    assert_int_equal(send(0, icr | 0xFFFFFFFFULL << 32, VP_REQ_EVENT), ALL);
    assert_int_equal(send(0, icr | 0ULL << 32, VP_REQ_EVENT), 0);
}

/* SDM "Logical Destination Mode": flat is a mask, cluster a number and a mask of four. */
static void test_logical_xapic(void **state)
{
    static const struct {
        uint32_t dfr;
        uint8_t ldr, dest;
        bool match;
    } t[] = {
        {0xFFFFFFFF, 0x01, 0x01, true},  {0xFFFFFFFF, 0x01, 0x02, false},
        {0xFFFFFFFF, 0x80, 0xC0, true},  {0xFFFFFFFF, 0x12, 0x10, true},
        {0xFFFFFFFF, 0x00, 0x7F, false}, {0xFFFFFFFF, 0x00, 0xFF, true},
        {0xFFFFFFFF, 0x01, 0x00, false}, {0x0FFFFFFF, 0x11, 0x11, true},
        {0x0FFFFFFF, 0x11, 0x12, false}, {0x0FFFFFFF, 0x12, 0x13, true},
        {0x0FFFFFFF, 0x12, 0x23, false}, {0x0FFFFFFF, 0x18, 0x18, true},
        {0x0FFFFFFF, 0x01, 0x01, true},  {0x0FFFFFFF, 0x21, 0xFF, true},
        {0x0FFFFFFF, 0x21, 0x2F, true},  {0x0FFFFFFF, 0x21, 0x20, false},
        {0x4FFFFFFF, 0x11, 0x11, false}, {0x4FFFFFFF, 0x11, 0xFF, true},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        vapic_mmio_write(shim_vp(1), APIC_DFR, t[i].dfr);
        vapic_mmio_write(shim_vp(1), APIC_LDR, (uint32_t)t[i].ldr << 24);
        assert_int_equal(vapic_match(shim_vp(1), t[i].dest, true, false), t[i].match);
    }
    for (unsigned i = 0; i < VPS; i++)
        vapic_mmio_write(shim_vp(i), APIC_LDR, BIT(i) << 24);
    vapic_mmio_write(shim_vp(1), APIC_DFR, ~0U);
    assert_int_equal(send_xapic(0, 0x0B, VECTOR | APIC_ICR_LOGICAL, VP_REQ_EVENT), 0x0B);
    assert_int_equal(send_xapic(0, 0xFF, VECTOR | APIC_ICR_LOGICAL, VP_REQ_EVENT), ALL);
    assert_int_equal(send_xapic(0, 0x03, VECTOR, VP_REQ_EVENT), 0x08);
    assert_int_equal(send_xapic(0, 0xFF, VECTOR, VP_REQ_EVENT), ALL);
    /* The same through the synthetic ICR, in one write. */
    vapic_icr_write(shim_vp(0), 0x02FFFFFF00000000ULL | VECTOR);
    assert_int_equal(requested(VP_REQ_EVENT), 0x04);
    assert_int_equal(vapic_icr_read(shim_vp(0)), 0x0200000000000000ULL | VECTOR);
}

static void test_shorthands(void **state)
{
    uint64_t nowhere = 0x99ULL << 32; /* the destination does not count */

    assert_int_equal(send(2, nowhere | VECTOR | ICR_TO(APIC_DEST_SELF), VP_REQ_EVENT), 0x04);
    assert_int_equal(send(2, nowhere | VECTOR | ICR_TO(APIC_DEST_ALL), VP_REQ_EVENT), ALL);
    assert_int_equal(send(2, nowhere | VECTOR | ICR_TO(APIC_DEST_OTHERS), VP_REQ_EVENT), 0x1B);
    assert_int_equal(vapic_msr_write(shim_vp(3), X2APIC_MSR(APIC_SELF_IPI), VECTOR), 0);
    assert_int_equal(requested(VP_REQ_EVENT), 0x08);
    /* Globally disabled APICs are not on the bus. */
    vapic_base_write(shim_vp(1), 0xFEE00000);
    assert_int_equal(send(2, VECTOR | ICR_TO(APIC_DEST_ALL), VP_REQ_EVENT), 0x1D);
    assert_int_equal(send(2, VECTOR | 1ULL << 32, VP_REQ_EVENT), 0);
}

static void test_modes(void **state)
{
    const uint64_t others = ICR_TO(APIC_DEST_OTHERS), all = ICR_TO(APIC_DEST_ALL);
    const uint64_t self = ICR_TO(APIC_DEST_SELF), one = 1ULL << 32;

    /* NMI, INIT and SIPI reach software-disabled APICs too. */
    vapic_msr_write(shim_vp(1), X2APIC_MSR(APIC_SVR), 0xFF);
    assert_int_equal(send(0, one | ICR_MODE(APIC_NMI), VP_REQ_NMI), 0x02);
    assert_int_equal(send(0, all | ICR_MODE(APIC_NMI), VP_REQ_NMI), ALL);
    assert_int_equal(send(0, self | ICR_MODE(APIC_NMI), VP_REQ_NMI), 0x01);
    assert_int_equal(send(0, one | ICR_MODE(APIC_INIT) | 0xC000, VP_REQ_INIT), 0x02);
    assert_int_equal(send(0, one | ICR_MODE(APIC_INIT) | 0x4000, VP_REQ_INIT), 0x02);
    assert_int_equal(send(0, one | ICR_MODE(APIC_INIT) | 0x8000, VP_REQ_INIT), 0); /* deassert */
    assert_int_equal(send(0, others | ICR_MODE(APIC_INIT) | 0x8000, VP_REQ_INIT), 0);
    assert_int_equal(send(0, others | ICR_MODE(APIC_INIT) | 0x4000, VP_REQ_INIT), 0x1E);
    assert_int_equal(send(0, all | ICR_MODE(APIC_INIT) | 0x4000, VP_REQ_INIT), 0x1E);
    assert_int_equal(send(0, self | ICR_MODE(APIC_INIT) | 0x4000, VP_REQ_INIT), 0);
    assert_int_equal(send(0, one | ICR_MODE(APIC_SIPI) | 0x9A, VP_REQ_SIPI), 0x02);
    assert_int_equal(atomic_load(&shim_vp(1)->sipi_vector), 0x9A);
    assert_int_equal(send(0, others | ICR_MODE(APIC_SIPI) | 0x08, VP_REQ_SIPI), 0x1E);
    assert_int_equal(atomic_load(&shim_vp(4)->sipi_vector), 0x08);
    assert_int_equal(send(0, self | ICR_MODE(APIC_SIPI) | 0x08, VP_REQ_SIPI), 0);
    /* No meaning here: SMI, ExtINT, reserved. */
    assert_int_equal(send(0, all | ICR_MODE(APIC_SMI) | VECTOR, ~0U), 0);
    assert_int_equal(send(0, all | ICR_MODE(APIC_EXTINT) | VECTOR, ~0U), 0);
    assert_int_equal(send(0, all | ICR_MODE(3) | VECTOR, ~0U), 0);
    /* Fixed to a software-disabled APIC is dropped. */
    assert_int_equal(send(0, one | VECTOR, VP_REQ_EVENT), 0);
    assert_int_equal(send(0, all | VECTOR, VP_REQ_EVENT), 0x1D);
}

static void test_illegal_vector(void **state)
{
    uint64_t esr;

    assert_int_equal(send(0, 0x0F | ICR_TO(APIC_DEST_ALL), ~0U), 0);
    assert_int_equal(send(0, 0x0F | ICR_MODE(APIC_LOWEST), ~0U), 0);
    for (unsigned i = 0; i < VPS; i++) {
        vapic_msr_write(shim_vp(i), X2APIC_MSR(APIC_ESR), 0);
        vapic_msr_read(shim_vp(i), X2APIC_MSR(APIC_ESR), &esr);
        assert_int_equal(esr, i == 0 ? APIC_ESR_SEND_ILLEGAL : 0);
    }
}

static void test_lowest_priority(void **state)
{
    uint32_t seen = 0;

    vapic_msr_write(shim_vp(1), X2APIC_MSR(APIC_SVR), 0xFF); /* never chosen */
    for (uint8_t v = 0x20; v < 0x40; v++) {
        unsigned n = vapic_route(&shim.partition, 0x7, true, true, APIC_LOWEST, v, false);
        uint32_t got = requested(VP_REQ_EVENT);

        assert_int_equal(n, 1);
        assert_int_equal(__builtin_popcount(got), 1);
        seen |= got;
    }
    assert_int_equal(seen, 0x5);
    assert_int_equal(vapic_route(&shim.partition, 0x2, true, true, APIC_LOWEST, 0x20, false), 0);
}

static void test_route(void **state)
{
    struct partition *p = &shim.partition;

    /* MSI form: 8-bit destinations, whatever mode the target is in. */
    assert_int_equal(vapic_route(p, 3, false, false, APIC_FIXED, VECTOR, true), 1);
    assert_int_equal(vapic_highest(shim_vp(3)), VECTOR);
    vapic_request(shim_vp(3), VECTOR);
    vapic_accept(shim_vp(3), VECTOR);
    vapic_eoi(shim_vp(3));
    assert_int_equal(shim.eoi_vector, VECTOR);
    assert_int_equal(vapic_route(p, 0xFF, false, false, APIC_FIXED, VECTOR, false), VPS);
    assert_int_equal(requested(VP_REQ_EVENT), ALL);
    assert_int_equal(vapic_route(p, 0x11, true, false, APIC_FIXED, VECTOR, false), 2);
    assert_int_equal(requested(VP_REQ_EVENT), 0x11);
    assert_int_equal(vapic_route(p, 2, false, true, APIC_EXTINT, VECTOR, false), 0);
    assert_int_equal(vapic_route(p, 77, false, true, APIC_FIXED, VECTOR, false), 0);
    /* A vector below 16 is the receiver's error. */
    vapic_route(p, 2, false, true, APIC_FIXED, 3, false);
    assert_int_equal(atomic_load(&shim_vp(2)->apic.state.esr_pending), APIC_ESR_RECV_ILLEGAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_physical, setup_x2apic),
        cmocka_unit_test_setup(test_logical_x2apic, setup_x2apic),
        cmocka_unit_test_setup(test_logical_xapic, setup_xapic),
        cmocka_unit_test_setup(test_shorthands, setup_x2apic),
        cmocka_unit_test_setup(test_modes, setup_x2apic),
        cmocka_unit_test_setup(test_illegal_vector, setup_x2apic),
        cmocka_unit_test_setup(test_lowest_priority, setup_x2apic),
        cmocka_unit_test_setup(test_route, setup_x2apic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
