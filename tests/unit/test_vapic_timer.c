/* SPDX-License-Identifier: MIT */
/* The virtual local APIC: its timer, on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/shim_apic.h"

#define VECTOR   0xECU
#define PERIODIC APIC_LVT_TIMER_PERIODIC
#define DIV1     0xBU
#define DIV2     0x0U
#define DIV16    0x3U

static struct vp *vp;

static void rig(uint64_t tsc_hz, uint64_t apic_hz)
{
    shim_init(1, true);
    vp = shim_vp(0);
    shim.tsc_hz = tsc_hz;
    shim.apic_hz = apic_hz;
    vapic_init(vp, true);
    assert_int_equal(vapic_msr_write(vp, X2APIC_MSR(APIC_SVR), 0x1FF), 0);
}

static int setup(void **state)
{
    rig(2000000000, 1000000000); /* two TSC ticks to an APIC tick: exact arithmetic */
    return 0;
}

static void wr(uint32_t reg, uint64_t v)
{
    assert_int_equal(vapic_msr_write(vp, X2APIC_MSR(reg), v), 0);
}

static uint32_t current(void)
{
    uint64_t v = 0;

    assert_int_equal(vapic_msr_read(vp, X2APIC_MSR(APIC_TIMER_CURRENT), &v), 0);
    return (uint32_t)v;
}

/* Interrupts taken; there is at most one at a time. */
static unsigned taken(void)
{
    int v = vapic_highest(vp);

    if (v < 0)
        return 0;
    assert_int_equal(v, VECTOR);
    vapic_request(vp, VECTOR);
    vapic_accept(vp, VECTOR);
    vapic_eoi(vp);
    return 1;
}

static void test_one_shot(void **state)
{
    uint64_t start = shim.tsc;

    wr(APIC_TIMER_DIVIDE, DIV1);
    wr(APIC_LVT_TIMER, VECTOR);
    assert_int_equal(current(), 0);
    wr(APIC_TIMER_INITIAL, 100000);
    assert_int_equal(current(), 100000);
    shim_run_until(start + 2);
    assert_int_equal(current(), 99999);
    shim_run_until(start + 199999);
    assert_int_equal(current(), 1);
    assert_int_equal(taken(), 0);
    shim_run_until(start + 200000);
    assert_int_equal(taken(), 1);
    assert_int_equal(current(), 0);
    assert_int_equal(shim_armed_count(), 0);
    shim_run_until(start + 900000);
    assert_int_equal(taken(), 0);

    /* Rewriting starts over; 0 stops. */
    wr(APIC_TIMER_INITIAL, 100000);
    shim_run_until(shim.tsc + 150000);
    wr(APIC_TIMER_INITIAL, 100000);
    shim_run_until(shim.tsc + 150000);
    assert_int_equal(taken(), 0);
    wr(APIC_TIMER_INITIAL, 0);
    assert_int_equal(current(), 0);
    shim_run_until(shim.tsc + 1000000);
    assert_int_equal(taken(), 0);
}

static void test_divide(void **state)
{
    static const struct {
        uint32_t config;
        unsigned divisor;
    } t[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        uint64_t start = shim.tsc, len = 2ULL * 50000 * t[i].divisor;

        wr(APIC_TIMER_DIVIDE, t[i].config);
        wr(APIC_LVT_TIMER, VECTOR);
        wr(APIC_TIMER_INITIAL, 50000);
        shim_run_until(start + len / 2);
        assert_int_equal(current(), 25000);
        shim_run_until(start + len - 1);
        assert_int_equal(taken(), 0);
        shim_run_until(start + len);
        assert_int_equal(taken(), 1);
    }
    /* A change on the way: the rest counts at the new rate. */
    uint64_t start = shim.tsc;
    wr(APIC_TIMER_DIVIDE, DIV1);
    wr(APIC_TIMER_INITIAL, 100000);
    shim_run_until(start + 100000);
    wr(APIC_TIMER_DIVIDE, DIV16);
    assert_int_equal(current(), 50000);
    shim_run_until(start + 100000 + 1599999);
    assert_int_equal(taken(), 0);
    shim_run_until(start + 100000 + 1600000);
    assert_int_equal(taken(), 1);
}

static void test_mask_and_late_callback(void **state)
{
    uint64_t start = shim.tsc;

    wr(APIC_TIMER_DIVIDE, DIV1);
    /* Masked, it counts without occupying the physical timer; expired, it stays silent. */
    wr(APIC_LVT_TIMER, VECTOR | APIC_LVT_MASKED);
    wr(APIC_TIMER_INITIAL, 100000);
    assert_int_equal(shim_armed_count(), 0);
    shim_run_until(start + 100000);
    assert_int_equal(current(), 50000);
    wr(APIC_LVT_TIMER, VECTOR);
    assert_int_equal(shim_armed_count(), 1);
    shim_run_until(start + 200000);
    assert_int_equal(taken(), 1);
    wr(APIC_LVT_TIMER, VECTOR | APIC_LVT_MASKED);
    wr(APIC_TIMER_INITIAL, 100000);
    shim_run_until(shim.tsc + 300000);
    wr(APIC_LVT_TIMER, VECTOR);
    assert_int_equal(taken(), 0);

    /* A register access sees the expiry before the callback does: still one interrupt. */
    wr(APIC_TIMER_INITIAL, 100000);
    shim.tsc += 250000;
    assert_int_equal(current(), 0);
    assert_int_equal(taken(), 1);
    shim_run_until(shim.tsc);
    assert_int_equal(taken(), 0);
    wr(APIC_TIMER_INITIAL, 100000);
    shim.tsc += 250000;
    wr(APIC_LVT_TIMER, VECTOR | APIC_LVT_MASKED);
    assert_int_equal(taken(), 1);

    /* A callback for an arming that no longer holds does nothing. */
    wr(APIC_LVT_TIMER, VECTOR);
    wr(APIC_TIMER_INITIAL, 100000);
    vp->apic.timer.fn(&vp->apic.timer);
    assert_int_equal(taken(), 0);
    assert_int_equal(shim_armed_count(), 1);
    wr(APIC_TIMER_INITIAL, 0);
    vp->apic.timer.fn(&vp->apic.timer);
    assert_int_equal(taken(), 0);
    assert_int_equal(shim_armed_count(), 0);
}

static void test_illegal_vector(void **state)
{
    wr(APIC_LVT_TIMER, 0);
    wr(APIC_TIMER_INITIAL, 1000);
    shim_run_until(shim.tsc + 100000);
    wr(APIC_ESR, 0);
    assert_int_equal(vp->apic.state.esr, APIC_ESR_RECV_ILLEGAL);
    assert_int_equal(taken(), 0);
}

/* Ten simulated minutes at frequencies that do not divide, callbacks early, late and missed. */
static void test_periodic_drift(void **state)
{
    static const uint64_t hz[][2] = {
        {2399987654, 1000000000}, {3000000007, 24999983}, {1000000000, 1000000000},
        {1193182, 3579545},       {9999999967, 66666667},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
        uint64_t ticks = hz[i][1] / 250 / 2; /* 4 ms with divisor 2 */
        unsigned seed = i, n = 0, expected;
        long double want;
        uint64_t start;

        rig(hz[i][0], hz[i][1]);
        start = shim.tsc;
        wr(APIC_LVT_TIMER, VECTOR | PERIODIC);
        wr(APIC_TIMER_DIVIDE, DIV2);
        wr(APIC_TIMER_INITIAL, ticks);
        while (n < 150000) {
            shim_run_until(vp->apic.timer.deadline_tsc);
            /* Late by up to a tenth of the period. */
            shim.tsc += (uint64_t)rand_r(&seed) % (hz[i][0] / 2500);
            n += taken();
        }
        want = (long double)(ticks * 2) * n * (long double)hz[i][0] / (long double)hz[i][1];
        /* The time of the n-th interrupt, from the next deadline: within a few TSC ticks. */
        want += want / n;
        long double got = (long double)(vp->apic.state.timer_tsc - start);
        assert_true(got - want < want * 1e-8L + 2 && want - got < want * 1e-8L + 2);
        expected = n;
        assert_int_equal(expected, 150000);
    }
}

static void test_periodic_missed(void **state)
{
    uint64_t start = shim.tsc;

    wr(APIC_TIMER_DIVIDE, DIV1);
    wr(APIC_LVT_TIMER, VECTOR | PERIODIC);
    wr(APIC_TIMER_INITIAL, 100000); /* 200000 TSC */
    /* Nobody looks for an hour and a bit: one interrupt, then on the old grid. */
    shim.tsc = start + 3600 * 2000000000ULL + 123;
    assert_int_equal(current(), 100000 - 61);
    assert_int_equal(taken(), 1);
    shim_run_until(start + 3600 * 2000000000ULL + 200000);
    assert_int_equal(taken(), 1);
    assert_int_equal(current(), 100000);

    /* To one-shot on the way: it still expires, and stops. */
    wr(APIC_LVT_TIMER, VECTOR);
    shim_run_until(shim.tsc + 200000);
    assert_int_equal(taken(), 1);
    assert_int_equal(current(), 0);
    shim_run_until(shim.tsc + 900000);
    assert_int_equal(taken(), 0);
    /* And back: a stopped one stays so. */
    wr(APIC_LVT_TIMER, VECTOR | PERIODIC);
    shim_run_until(shim.tsc + 900000);
    assert_int_equal(taken(), 0);

    /* Decades of absence end in a few steps. */
    wr(APIC_TIMER_INITIAL, 20000);
    shim.tsc += 1ULL << 60;
    assert_in_range(current(), 1, 20000);
    assert_int_equal(taken(), 1);
}

static void test_min_period(void **state)
{
    unsigned before;

    wr(APIC_TIMER_DIVIDE, DIV1);
    wr(APIC_LVT_TIMER, VECTOR | PERIODIC);
    wr(APIC_TIMER_INITIAL, 1);
    assert_int_equal(current(), 1);
    before = shim.fires;
    shim_run_until(shim.tsc + 2000000000); /* a second */
    assert_in_range(shim.fires - before, 49000, 50000);
    /* A one-shot is as short as asked for: each costs the guest an exit to arm. */
    wr(APIC_LVT_TIMER, VECTOR);
    wr(APIC_TIMER_INITIAL, 0);
    taken();
    wr(APIC_TIMER_INITIAL, 5);
    shim_run_until(shim.tsc + 10);
    assert_int_equal(taken(), 1);
}

static void test_stop(void **state)
{
    wr(APIC_LVT_TIMER, VECTOR | PERIODIC);
    wr(APIC_TIMER_INITIAL, 100000);
    wr(APIC_SVR, 0xFF); /* software-disabled: masked, silent */
    assert_int_equal(shim_armed_count(), 0);
    assert_int_equal(current(), 100000);
    wr(APIC_SVR, 0x1FF);
    wr(APIC_LVT_TIMER, VECTOR | PERIODIC);
    assert_int_equal(shim_armed_count(), 1);
    vapic_reset(vp);
    assert_int_equal(shim_armed_count(), 0);
    assert_int_equal(current(), 0);
    wr(APIC_SVR, 0x1FF);
    wr(APIC_LVT_TIMER, VECTOR);
    wr(APIC_TIMER_INITIAL, 0xFFFFFFFF);
    wr(APIC_TIMER_DIVIDE, 0xA); /* 128: the longest */
    assert_int_equal(current(), 0xFFFFFFFF);
    vapic_base_write(vp, 0xFEE00000);
    assert_int_equal(shim_armed_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_shot, setup),
        cmocka_unit_test_setup(test_divide, setup),
        cmocka_unit_test_setup(test_mask_and_late_callback, setup),
        cmocka_unit_test_setup(test_illegal_vector, setup),
        cmocka_unit_test_setup(test_periodic_drift, setup),
        cmocka_unit_test_setup(test_periodic_missed, setup),
        cmocka_unit_test_setup(test_min_period, setup),
        cmocka_unit_test_setup(test_stop, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
