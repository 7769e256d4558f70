/* SPDX-License-Identifier: MIT */
/* The virtual local APIC: registers in both modes, modes, interrupt acceptance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include "hypervisor/vp/vapic_priv.h"
#include "tests/unit/shim_apic.h"

#define X2(reg) X2APIC_MSR(reg)

static struct vp *vp; /* VP 0 */

static int setup_x2apic(void **state)
{
    shim_init(2, true);
    vp = shim_vp(0);
    assert_int_equal(vapic_msr_write(vp, X2(APIC_SVR), 0x1FF), 0);
    shim.lint_calls = 0;
    return 0;
}

static int setup_xapic(void **state)
{
    shim_init(2, false);
    vp = shim_vp(0);
    vapic_mmio_write(vp, APIC_SVR, 0x1FF);
    shim.lint_calls = 0;
    return 0;
}

static uint64_t rd(uint32_t reg)
{
    uint64_t v = 0xDEAD;

    assert_int_equal(vapic_msr_read(vp, X2(reg), &v), 0);
    return v;
}

static void wr(uint32_t reg, uint64_t v)
{
    assert_int_equal(vapic_msr_write(vp, X2(reg), v), 0);
}

/* As the run loop does: take the highest that the processor priority lets through, or -1. */
static int take(void)
{
    int v = vapic_highest(vp);

    if (v >= 0) {
        vapic_request(vp, (uint8_t)v);
        vapic_accept(vp, (uint8_t)v);
    }
    return v;
}

static void test_power_up(void **state)
{
    uint64_t base;

    shim_init(2, true);
    vp = shim_vp(1);
    assert_int_equal(vapic_base_read(vp, &base), 0);
    assert_int_equal(base, 0xFEE00C00);
    vapic_base_read(shim_vp(0), &base);
    assert_int_equal(base, 0xFEE00D00);
    assert_int_equal(rd(APIC_ID), 1);
    assert_int_equal(rd(APIC_VERSION), 0x50014);
    assert_int_equal(rd(APIC_SVR), 0xFF);
    assert_int_equal(rd(APIC_TPR), 0);
    for (uint32_t r = APIC_LVT_TIMER; r <= APIC_LVT_ERROR; r += 0x10)
        assert_int_equal(rd(r), APIC_LVT_MASKED);
    for (uint32_t r = APIC_ISR0; r < APIC_ESR; r += 0x10)
        assert_int_equal(rd(r), 0);
    assert_int_equal(shim.lint_calls, 0);

    shim_init(2, false);
    vp = shim_vp(1);
    assert_int_equal(vapic_mmio_read(vp, APIC_ID), 1 << 24);
    assert_int_equal(vapic_mmio_read(vp, APIC_DFR), 0xFFFFFFFF);
    assert_int_equal(vapic_mmio_read(vp, APIC_LDR), 0);
}

static void test_bios_state(void **state)
{
    vapic_bios_state(vp);
    assert_int_equal(rd(APIC_SVR), 0x1FF);
    assert_int_equal(rd(APIC_LVT_LINT0), 0x700);
    assert_int_equal(rd(APIC_LVT_LINT1), 0x400);
    assert_int_equal(shim.lint_calls, 1);
    assert_int_equal(shim.lvt0, 0x700);
    assert_int_equal(shim.lvt1, 0x400);
    assert_true(shim.lint_enabled);

    vapic_set_irr(vp, 0x40, true);
    take();
    vapic_set_irr(vp, 0x50, false);
    vapic_reset(vp);
    assert_int_equal(vapic_highest(vp), -1);
    assert_int_equal(rd(APIC_SVR), 0xFF);
    assert_int_equal(rd(APIC_ISR0 + 0x20) | rd(APIC_TMR0 + 0x20) | rd(APIC_IRR0 + 0x20), 0);
    assert_int_equal(shim.lvt0, APIC_LVT_MASKED);
    assert_false(shim.lint_enabled);
    assert_int_equal(rd(APIC_ID), 0); /* still in x2APIC mode */
}

static void test_base_transitions(void **state)
{
    enum { OFF = 0, X2_ONLY = 0x400, XAPIC = 0x800, X2APIC = 0xC00 };
    static const struct {
        uint32_t from, to;
        bool legal;
    } t[] = {
        {OFF, OFF, true},         {OFF, X2_ONLY, false},  {OFF, XAPIC, true},
        {OFF, X2APIC, false},     {XAPIC, OFF, true},     {XAPIC, X2_ONLY, false},
        {XAPIC, XAPIC, true},     {XAPIC, X2APIC, true},  {X2APIC, OFF, true},
        {X2APIC, X2_ONLY, false}, {X2APIC, XAPIC, false}, {X2APIC, X2APIC, true},
    };
    uint64_t base;

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        shim_init(1, t[i].from == X2APIC);
        if (t[i].from == OFF)
            assert_int_equal(vapic_base_write(vp, 0xFEE00100), 0);
        assert_int_equal(vapic_base_write(vp, 0xFEE00000 | t[i].to), t[i].legal ? 0 : -EPERM);
        vapic_base_read(vp, &base);
        /* The BSP flag cannot be cleared. */
        assert_int_equal(base, 0xFEE00100 | (t[i].legal ? t[i].to : t[i].from));
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = bit < 8 || bit == 9 || bit >= 52;

        shim_init(1, true);
        if (reserved)
            assert_int_equal(vapic_base_write(vp, 0xFEE00C00 ^ BIT64(bit)), -EPERM);
    }
}

static void test_base_disable_resets(void **state)
{
    vapic_set_irr(vp, 0x40, false);
    vapic_icr_write(vp, 0x500000000ULL);
    assert_int_equal(vapic_base_write(vp, 0xFEE00000), 0);
    assert_false(shim.lint_enabled);
    vapic_set_irr(vp, 0x41, false);
    assert_int_equal(vapic_highest(vp), -1);
    assert_false(vapic_wakes(vp));
    assert_false(vapic_mmio_at(vp, gpa(APIC_DEFAULT_BASE)));
    assert_int_equal(vapic_base_write(vp, 0xC0000800), 0);
    assert_int_equal(vapic_mmio_read(vp, APIC_SVR), 0xFF);
    assert_int_equal(vapic_highest(vp), -1);
    assert_true(vapic_mmio_at(vp, gpa(0xC0000FF0)));
    assert_false(vapic_mmio_at(vp, gpa(0xC0001000)));
    assert_int_equal(vapic_base_write(vp, 0xC0000C00), 0);
    assert_false(vapic_mmio_at(vp, gpa(0xC0000000)));
}

static void test_base_modes_keep_registers(void **state)
{
    vapic_mmio_write(vp, APIC_ICR_HIGH, 0x05000000);
    vapic_mmio_write(vp, APIC_LVT_PERF, 0x12345);
    vapic_set_irr(vp, 0x99, false);
    assert_int_equal(vapic_base_write(vp, 0xFEE00C00), 0);
    assert_int_equal(rd(APIC_SVR), 0x1FF);
    assert_int_equal(rd(APIC_LVT_PERF), 0x10345);
    assert_int_equal(vapic_highest(vp), 0x99);
    assert_int_equal(rd(APIC_ICR), 0);
    assert_int_equal(vapic_mmio_read(vp, APIC_SVR), 0); /* no longer there */
    vapic_mmio_write(vp, APIC_SVR, 0);
    assert_int_equal(rd(APIC_SVR), 0x1FF);
}

/* What each x2APIC register allows (SDM "x2APIC Register Address Space"). */
static void test_x2apic_map(void **state)
{
    uint64_t v;

    for (uint32_t msr = 0x7F0; msr < 0x910; msr++) {
        uint32_t r = (msr - 0x800) * 0x10;
        bool in_range = msr >= 0x800 && msr <= 0x8FF;
        bool ro = r == APIC_ID || r == APIC_VERSION || r == APIC_PPR || r == APIC_LDR ||
                  (r >= APIC_ISR0 && r < APIC_ESR) || r == APIC_TIMER_CURRENT;
        bool rw = r == APIC_TPR || r == APIC_SVR || r == APIC_ESR || r == APIC_ICR ||
                  (r >= APIC_LVT_TIMER && r <= APIC_TIMER_INITIAL) || r == APIC_TIMER_DIVIDE;
        bool wo = r == APIC_EOI || r == APIC_SELF_IPI;

        assert_int_equal(vapic_msr_read(vp, msr, &v), in_range && (ro || rw) ? 0 : -EPERM);
        assert_int_equal(vapic_msr_write(vp, msr, 0), in_range && (rw || wo) ? 0 : -EPERM);
    }
    assert_int_equal(rd(APIC_ESR), 0); /* none of it is an ESR matter */

    shim_init(1, false);
    assert_int_equal(vapic_msr_read(vp, 0x802, &v), -EPERM);
    assert_int_equal(vapic_msr_write(vp, 0x808, 0), -EPERM);
}

static void test_x2apic_reserved_bits(void **state)
{
    static const struct {
        uint32_t reg;
        uint64_t writable; /* or ignored because read-only */
    } t[] = {
        {APIC_TPR, 0xFF},
        {APIC_EOI, 0},
        {APIC_SVR, 0x3FF},
        {APIC_ESR, 0},
        {APIC_ICR, 0xFFFFFFFF000CDFFFULL},
        {APIC_LVT_TIMER, 0x310FF},
        {APIC_LVT_THERMAL, 0x117FF},
        {APIC_LVT_PERF, 0x117FF},
        {APIC_LVT_LINT0, 0x1F7FF},
        {APIC_LVT_LINT1, 0x1F7FF},
        {APIC_LVT_ERROR, 0x110FF},
        {APIC_TIMER_INITIAL, 0xFFFFFFFF},
        {APIC_TIMER_DIVIDE, 0xB},
        {APIC_SELF_IPI, 0xFF},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            bool ok = t[i].writable & BIT64(bit);

            assert_int_equal(vapic_msr_write(vp, X2(t[i].reg), BIT64(bit)), ok ? 0 : -EPERM);
        }
    }
    /* Read-only bits do not stick. */
    wr(APIC_SVR, 0x1FF);
    wr(APIC_LVT_LINT0, 0x1F7FF);
    assert_int_equal(rd(APIC_LVT_LINT0), 0x1A7FF);
    wr(APIC_ICR, 0x7000010F3ULL); /* busy never shows */
    assert_int_equal(rd(APIC_ICR), 0x7000000F3ULL);
}

static void test_x2apic_ldr(void **state)
{
    static const uint32_t ids[][2] = {
        {0, 0x00000001}, {1, 0x00000002}, {15, 0x00008000}, {16, 0x00010001}, {0x12345, 0x12340020},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        vp->apic_id.v = ids[i][0];
        assert_int_equal(rd(APIC_LDR), ids[i][1]);
        assert_int_equal(rd(APIC_ID), ids[i][0]);
    }
}

static void test_xapic_registers(void **state)
{
    vapic_mmio_write(vp, APIC_LDR, 0xA5FFFFFF);
    assert_int_equal(vapic_mmio_read(vp, APIC_LDR), 0xA5000000);
    vapic_mmio_write(vp, APIC_DFR, 0x00000000);
    assert_int_equal(vapic_mmio_read(vp, APIC_DFR), 0x0FFFFFFF);
    vapic_mmio_write(vp, APIC_TPR, 0xFFFFFF35);
    assert_int_equal(vapic_mmio_read(vp, APIC_TPR), 0x35);
    vapic_mmio_write(vp, APIC_ICR_HIGH, 0x01FFFFFF);
    assert_int_equal(vapic_mmio_read(vp, APIC_ICR_HIGH), 0x01000000);
    vapic_mmio_write(vp, APIC_ICR, 0xFFF3F020 & ~0x700U);
    assert_int_equal(vapic_mmio_read(vp, APIC_ICR), 0x0000C020);
    assert_int_equal(vapic_icr_read(vp), 0x010000000000C020ULL);
    vapic_mmio_write(vp, APIC_SVR, 0xFFFFFFFF);
    assert_int_equal(vapic_mmio_read(vp, APIC_SVR), 0x3FF);

    /* Read-only registers ignore writes without an error. */
    vapic_mmio_write(vp, APIC_ID, 0x77000000);
    vapic_mmio_write(vp, APIC_VERSION, 0);
    vapic_mmio_write(vp, APIC_IRR0 + 0x20, ~0U);
    vapic_mmio_write(vp, APIC_APR, 1);
    assert_int_equal(vapic_mmio_read(vp, APIC_ID), 0);
    assert_int_equal(vapic_mmio_read(vp, APIC_EOI), 0);
    assert_int_equal(vapic_mmio_read(vp, APIC_RRD), 0);
    assert_int_equal(vapic_mmio_read(vp, APIC_IRR0 + 0x20), 0);
    vapic_mmio_write(vp, APIC_ESR, 0);
    assert_int_equal(vapic_mmio_read(vp, APIC_ESR), 0);
}

static void test_xapic_reserved_registers(void **state)
{
    static const uint32_t bad[] = {0x000, 0x010, 0x040, 0x084, 0x0F1, 0x290,  0x2F0,
                                   0x32C, 0x3A0, 0x3F0, 0x400, 0xFF0, 0x1000, 0xFFFFFFF0};

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(vapic_mmio_read(vp, bad[i]), 0);
        vapic_mmio_write(vp, APIC_ESR, ~0U);
        assert_int_equal(vapic_mmio_read(vp, APIC_ESR), APIC_ESR_ILLEGAL_ADDRESS);
        vapic_mmio_write(vp, bad[i], 0x45);
        vapic_mmio_write(vp, APIC_ESR, 0);
        assert_int_equal(vapic_mmio_read(vp, APIC_ESR), APIC_ESR_ILLEGAL_ADDRESS);
        vapic_mmio_write(vp, APIC_ESR, 0);
        assert_int_equal(vapic_mmio_read(vp, APIC_ESR), 0);
    }
}

static void test_esr(void **state)
{
    /* No interrupt while LVT error is masked; the error shows after a write of ESR. */
    vapic_set_irr(vp, 15, false);
    assert_int_equal(vapic_highest(vp), -1);
    assert_int_equal(rd(APIC_ESR), 0);
    wr(APIC_ESR, 0);
    assert_int_equal(rd(APIC_ESR), APIC_ESR_RECV_ILLEGAL);
    wr(APIC_ESR, 0);
    assert_int_equal(rd(APIC_ESR), 0);

    wr(APIC_LVT_ERROR, 0x66);
    wr(APIC_SELF_IPI, 0x0F);
    assert_int_equal(take(), 0x66);
    vapic_eoi(vp);
    wr(APIC_SELF_IPI, 0x0F); /* the same error again: one interrupt is enough */
    assert_int_equal(take(), -1);
    wr(APIC_ICR, 0x0F | BIT64(32));
    wr(APIC_ESR, 0);
    assert_int_equal(rd(APIC_ESR), APIC_ESR_SEND_ILLEGAL);
    wr(APIC_SELF_IPI, 0x0F); /* after the write it is new */
    assert_int_equal(take(), 0x66);
    vapic_eoi(vp);

    /* An illegal vector in LVT error cannot recurse. */
    wr(APIC_ESR, 0);
    wr(APIC_LVT_ERROR, 0x03);
    wr(APIC_SELF_IPI, 0x0F);
    wr(APIC_ESR, 0);
    assert_int_equal(rd(APIC_ESR), APIC_ESR_SEND_ILLEGAL | APIC_ESR_RECV_ILLEGAL);
    assert_int_equal(take(), -1);
}

static void test_lvt_and_software_disable(void **state)
{
    wr(APIC_LVT_LINT0, 0x700);
    assert_int_equal(shim.lint_calls, 1);
    assert_int_equal(shim.lvt0, 0x700);
    wr(APIC_LVT_LINT0, 0x700); /* no change, no call */
    wr(APIC_LVT_PERF, 0x430);
    assert_int_equal(shim.lint_calls, 1);
    wr(APIC_LVT_LINT1, 0x400);
    assert_int_equal(shim.lint_calls, 2);
    vapic_set_irr(vp, 0x31, false);

    wr(APIC_SVR, 0xFF);
    assert_int_equal(shim.lint_calls, 3);
    assert_false(shim.lint_enabled);
    assert_int_equal(shim.lvt0, 0x10700);
    for (uint32_t r = APIC_LVT_TIMER; r <= APIC_LVT_ERROR; r += 0x10)
        assert_true(rd(r) & APIC_LVT_MASKED);
    wr(APIC_LVT_PERF, 0x430); /* cannot be unmasked now */
    assert_int_equal(rd(APIC_LVT_PERF), 0x10430);

    /* New interrupts are dropped, pending ones stay (SDM "Software Disabled State"). */
    vapic_set_irr(vp, 0x41, false);
    assert_int_equal(vapic_highest(vp), 0x31);
    wr(APIC_SVR, 0x1FF);
    assert_true(shim.lint_enabled);
    assert_int_equal(rd(APIC_LVT_PERF), 0x10430);
}

static void test_priorities(void **state)
{
    shim_requests(vp);
    vapic_set_irr(vp, 0x41, false);
    assert_int_equal(shim_requests(vp), VP_REQ_EVENT);
    vapic_set_irr(vp, 0x41, false); /* coalesced */
    assert_int_equal(shim_requests(vp), 0);
    vapic_set_irr(vp, 0x52, false);
    assert_int_equal(take(), 0x52);
    assert_int_equal(rd(APIC_PPR), 0x50);
    assert_int_equal(vapic_highest(vp), -1); /* 0x41 is lower */
    vapic_set_irr(vp, 0x5F, false);
    assert_int_equal(vapic_highest(vp), -1); /* the same class */
    assert_true(vapic_pending(vp));
    vapic_set_irr(vp, 0x60, false);
    assert_int_equal(take(), 0x60);
    assert_int_equal(rd(APIC_ISR0 + 0x30), 1);
    assert_int_equal(rd(APIC_ISR0 + 0x20), 1 << 18);
    vapic_eoi(vp);
    assert_int_equal(vapic_highest(vp), -1);
    shim_requests(vp);
    wr(APIC_EOI, 0);
    assert_int_equal(shim_requests(vp), VP_REQ_EVENT); /* 0x5F and 0x41 can go now */
    assert_int_equal(take(), 0x5F);
    vapic_eoi(vp);
    assert_int_equal(take(), 0x41);
    vapic_set_irr(vp, 0x41, false); /* again, while in service */
    assert_int_equal(vapic_highest(vp), -1);
    vapic_eoi(vp);
    assert_int_equal(take(), 0x41);
    vapic_eoi(vp);
    shim_requests(vp);
    vapic_eoi(vp); /* of nothing */
    assert_int_equal(take(), -1);
    assert_int_equal(shim_requests(vp), 0);
}

static void test_tpr(void **state)
{
    vapic_tpr_set(vp, 0x41);
    assert_int_equal(rd(APIC_TPR), 0x41);
    assert_int_equal(rd(APIC_PPR), 0x41);
    vapic_set_irr(vp, 0x4F, false);
    assert_int_equal(vapic_highest(vp), 0x4F); /* TPR is the processor's own matter */
    assert_false(vapic_wakes(vp));
    shim_requests(vp);
    vapic_tpr_set(vp, 0x40);
    assert_int_equal(shim_requests(vp), 0);
    vapic_tpr_set(vp, 0x3F);
    assert_int_equal(shim_requests(vp), VP_REQ_EVENT);
    assert_true(vapic_wakes(vp));
    vapic_request(vp, 0x4F);
    vapic_accept(vp, 0x4F);
    assert_int_equal(rd(APIC_PPR), 0x40);
    vapic_tpr_set(vp, 0x45);
    assert_int_equal(rd(APIC_PPR), 0x45);
    vapic_tpr_set(vp, 0xFF);
    vapic_set_irr(vp, 0xFE, false);
    assert_false(vapic_wakes(vp));
    assert_int_equal(vapic_tpr_get(vp), 0xFF);
}

static void test_level_eoi(void **state)
{
    vapic_set_irr(vp, 0x31, true);
    assert_int_equal(rd(APIC_TMR0 + 0x10), 1 << 17);
    vapic_set_irr(vp, 0x31, false); /* a retrigger by IPI does not make it forget */
    assert_int_equal(take(), 0x31);
    vapic_set_irr(vp, 0x62, false);
    assert_int_equal(take(), 0x62);
    vapic_eoi(vp);
    assert_int_equal(shim.eoi_hooks, 0);
    vapic_eoi(vp);
    assert_int_equal(shim.eoi_hooks, 1);
    assert_int_equal(shim.eoi_vector, 0x31);
    vapic_set_irr(vp, 0x31, false);
    take();
    vapic_eoi(vp);
    assert_int_equal(shim.eoi_hooks, 1);
    shim.partition.eoi_hook = NULL;
    vapic_set_irr(vp, 0x31, true);
    take();
    vapic_eoi(vp);
}

static void test_auto_eoi(void **state)
{
    vapic_set_auto_eoi(vp, 0xF3, true);
    vapic_set_irr(vp, 0xF3, false);
    assert_false(vapic_lazy_eoi_offer(vp, 0xF3));
    assert_int_equal(take(), 0xF3);
    assert_int_equal(rd(APIC_ISR0 + 0x70), 0);
    vapic_set_irr(vp, 0xF3, true); /* as a level one its end is at once */
    assert_int_equal(take(), 0xF3);
    assert_int_equal(shim.eoi_hooks, 1);
    vapic_set_auto_eoi(vp, 0xF3, false);
    vapic_set_irr(vp, 0xF3, false);
    assert_int_equal(take(), 0xF3);
    assert_int_equal(rd(APIC_ISR0 + 0x70), 1 << 19);
    vapic_set_auto_eoi(vp, 0x40, true);
    vapic_reset(vp);
    assert_true(vp->apic.auto_eoi[2] == 1);
}

/* A second one of the same vector, sent while the first is on its way, is not lost in it. */
static void test_request_and_withdraw(void **state)
{
    vapic_set_irr(vp, 0x51, false);
    vapic_request(vp, 0x51);
    assert_int_equal(vapic_highest(vp), -1);
    vapic_withdraw(vp, 0x51); /* not delivered: pending again */
    assert_int_equal(vapic_highest(vp), 0x51);
    vapic_request(vp, 0x51);
    vapic_set_irr(vp, 0x51, false);
    assert_false(vapic_lazy_eoi_offer(vp, 0x51)); /* its EOI lets the second one in */
    vapic_accept(vp, 0x51);
    assert_true(vapic_eoi_awaited(vp));
    vapic_eoi(vp);
    assert_int_equal(vapic_highest(vp), 0x51);
}

static void test_lazy_eoi(void **state)
{
    vapic_set_irr(vp, 0x41, false);
    vapic_request(vp, 0x41);
    assert_true(vapic_lazy_eoi_offer(vp, 0x41));
    vapic_set_irr(vp, 0x40, false);
    assert_false(vapic_lazy_eoi_offer(vp, 0x41)); /* 0x40 waits for the EOI */
    vapic_accept(vp, 0x41);
    assert_true(vapic_eoi_awaited(vp));
    vapic_eoi(vp);
    assert_false(vapic_eoi_awaited(vp)); /* deliverable, nothing in service */
    vapic_request(vp, 0x40);
    assert_true(vapic_lazy_eoi_offer(vp, 0x40));
    vapic_accept(vp, 0x40);
    assert_false(vapic_eoi_awaited(vp));
    vapic_set_irr(vp, 0x80, false);
    assert_false(vapic_lazy_eoi_offer(vp, 0x80)); /* nested */
    assert_true(vapic_eoi_awaited(vp));
    vapic_eoi(vp);
    vapic_request(vp, 0x80);
    vapic_accept(vp, 0x80);
    vapic_eoi(vp);
    vapic_set_irr(vp, 0x31, true);
    assert_false(vapic_lazy_eoi_offer(vp, 0x31)); /* level */
}

static void test_dump(void **state)
{
    uint32_t irr[8], isr[8];

    vapic_set_irr(vp, 0x41, false);
    take();
    vapic_set_irr(vp, 0xFF, false);
    vapic_dump(vp, irr, isr);
    assert_int_equal(irr[7], 1U << 31);
    assert_int_equal(isr[2], 2);
    vapic_dump(vp, NULL, NULL);
}

/*
 * Posters on other LPs against the VP's own loop. A poster posts a vector again only after it
 * has been accepted, so every post must be accepted exactly once.
 */
#define POSTERS 3
#define POSTS   20000U
static _Atomic uint32_t accepted[256];
static _Atomic bool failed;

static void *poster(void *arg)
{
    unsigned first = 0x20 + (unsigned)(uintptr_t)arg; /* vectors of its own in every word */

    for (uint32_t n = 0; n < POSTS; n++) {
        unsigned v = first + POSTERS * (n % 32);
        uint32_t before = atomic_load(&accepted[v]);

        vapic_set_irr(vp, (uint8_t)v, n & 1);
        for (unsigned spin = 0; atomic_load(&accepted[v]) == before && !failed; spin++) {
            if (spin > 10000000)
                failed = true;
            sched_yield();
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[POSTERS];
    uint32_t total = 0;

    memset(accepted, 0, sizeof(accepted));
    for (uintptr_t i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, poster, (void *)i), 0);
    while (total < POSTERS * POSTS && !failed) {
        int v;

        /* Looks only when asked to: a post without its request would hang this. */
        if (!(shim_requests(vp) & VP_REQ_EVENT)) {
            sched_yield();
            continue;
        }
        while ((v = take()) >= 0) {
            vapic_eoi(vp);
            total++;
            atomic_fetch_add(&accepted[v], 1);
        }
    }
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(failed);
    assert_int_equal(total, POSTERS * POSTS);
    assert_int_equal(take(), -1);
    assert_int_equal(shim.eoi_hooks, POSTERS * POSTS / 2);
}

/* Random traffic in both modes against the invariants that no guest may break. */
static void test_random(void **state)
{
    unsigned seed = 4711;

    for (unsigned n = 0; n < 200000; n++) {
        uint32_t r = (uint32_t)rand_r(&seed), reg = (r & 0x3F) << 4, val = (uint32_t)rand_r(&seed);
        uint64_t v;
        int in_service = -1;

        val >>= val & 31;
        if (r & 0x100)
            vapic_msr_write(vp, 0x800 + (reg >> 4), val | (r & 0x200 ? BIT64(32) : 0));
        else
            vapic_msr_read(vp, 0x800 + (reg >> 4), &v);
        vapic_mmio_write(vp, reg, val);
        vapic_mmio_read(vp, reg + (r >> 9 & 3));
        if ((r >> 11 & 0x3F) == 0)
            vapic_base_write(vp, 0xFEE00000 | (r >> 17 & 0xC00));
        vapic_set_irr(vp, (uint8_t)(r >> 20), r & 0x400);
        shim_run_until(shim.tsc + (r & 0xFFFF));
        for (int i = 0; i < VAPIC_VECTOR_WORDS; i++) {
            uint32_t w = vp->apic.state.isr[i];

            if (w)
                in_service = i * 32 + 31 - __builtin_clz(w);
        }
        if (vapic_highest(vp) >= 0) {
            assert_true(vapic_highest(vp) >> 4 > in_service >> 4);
            assert_true(vapic_highest(vp) >= 16);
        }
        assert_true(vapic_ppr(vp) >> 4 >= (in_service < 0 ? 0 : in_service >> 4));
        if (r & 0x800)
            take();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_up),
        cmocka_unit_test_setup(test_bios_state, setup_x2apic),
        cmocka_unit_test_setup(test_base_transitions, setup_x2apic),
        cmocka_unit_test_setup(test_base_disable_resets, setup_x2apic),
        cmocka_unit_test_setup(test_base_modes_keep_registers, setup_xapic),
        cmocka_unit_test_setup(test_x2apic_map, setup_x2apic),
        cmocka_unit_test_setup(test_x2apic_reserved_bits, setup_x2apic),
        cmocka_unit_test_setup(test_x2apic_ldr, setup_x2apic),
        cmocka_unit_test_setup(test_xapic_registers, setup_xapic),
        cmocka_unit_test_setup(test_xapic_reserved_registers, setup_xapic),
        cmocka_unit_test_setup(test_esr, setup_x2apic),
        cmocka_unit_test_setup(test_lvt_and_software_disable, setup_x2apic),
        cmocka_unit_test_setup(test_priorities, setup_x2apic),
        cmocka_unit_test_setup(test_tpr, setup_x2apic),
        cmocka_unit_test_setup(test_level_eoi, setup_x2apic),
        cmocka_unit_test_setup(test_auto_eoi, setup_x2apic),
        cmocka_unit_test_setup(test_request_and_withdraw, setup_x2apic),
        cmocka_unit_test_setup(test_lazy_eoi, setup_x2apic),
        cmocka_unit_test_setup(test_dump, setup_x2apic),
        cmocka_unit_test_setup(test_threads, setup_x2apic),
        cmocka_unit_test_setup(test_random, setup_xapic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
