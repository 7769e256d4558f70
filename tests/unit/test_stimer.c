/* SPDX-License-Identifier: MIT */
/* Synthetic timers, on a clock that the test moves. Times are in 100 ns units unless said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "abi/tlfs/msr.h"
#include "tests/unit/shim_apic.h"

#define CONFIG HV_X64_MSR_STIMER0_CONFIG
#define COUNT  HV_X64_MSR_STIMER0_COUNT
#define MS     10000U

#define DIRECT_VECTOR 0xEDU
#define DIRECT        (HV_STIMER_DIRECT_MODE | (uint64_t)DIRECT_VECTOR << HV_STIMER_VECTOR_SHIFT)
#define SINT          4U
#define SINT_VECTOR   0x45U
#define MESSAGE       ((uint64_t)SINT << HV_STIMER_SINT_SHIFT)
#define SIM_PAGE      0x1000U

static struct vp *vp;

static int setup(void **state)
{
    shim_init(1, true);
    vp = shim_vp(0);
    assert_int_equal(vapic_msr_write(vp, X2APIC_MSR(APIC_SVR), 0x1FF), 0);
    assert_int_equal(synic_msr_write(vp, HV_X64_MSR_SIMP, SIM_PAGE | 1), 0);
    assert_int_equal(synic_msr_write(vp, HV_X64_MSR_SINT0 + SINT, SINT_VECTOR), 0);
    assert_int_equal(synic_msr_write(vp, HV_X64_MSR_SCONTROL, 1), 0);
    return 0;
}

static void wr(uint32_t msr, uint64_t v)
{
    assert_int_equal(stimer_msr_write(vp, msr, v), 0);
}

static uint64_t rd(uint32_t msr)
{
    uint64_t v = 0xDEAD;

    assert_int_equal(stimer_msr_read(vp, msr, &v), 0);
    return v;
}

static uint64_t now(void)
{
    return partition_ref_time(&shim.partition);
}

/* Let reference time reach `ref`, not a tick more than that takes. */
static void run_until(uint64_t ref)
{
    while (now() < ref)
        shim_run_until(shim.tsc + ((ref - now()) * shim.tsc_hz / 10000000 ?: 1));
}

static int taken(void)
{
    int v = vapic_highest(vp);

    if (v >= 0) {
        vapic_request(vp, (uint8_t)v);
        vapic_accept(vp, (uint8_t)v);
        vapic_eoi(vp);
    }
    return v;
}

static struct hv_message *slot(void)
{
    return &((struct hv_message_page *)(void *)&shim.ram[SIM_PAGE])->sint_message[SINT];
}

static void slot_release(void)
{
    slot()->header.message_type = 0;
    if (slot()->header.message_flags & HV_MESSAGE_FLAG_PENDING)
        assert_int_equal(synic_msr_write(vp, HV_X64_MSR_EOM, 0), 0);
}

static struct hv_timer_message_payload payload(void)
{
    struct hv_timer_message_payload p;

    assert_int_equal(slot()->header.message_type, HVMSG_TIMER_EXPIRED);
    assert_int_equal(slot()->header.payload_size, 24);
    memcpy(&p, slot()->payload, sizeof(p));
    return p;
}

static void test_registers(void **state)
{
    uint64_t v;

    for (uint32_t msr = 0x400000A8; msr < 0x400000C0; msr++) {
        bool ok = msr >= 0x400000B0 && msr <= 0x400000B7;

        assert_int_equal(stimer_msr_read(vp, msr, &v), ok ? 0 : -EPERM);
        assert_int_equal(stimer_msr_write(vp, msr, 0), ok ? 0 : -EPERM);
    }
    wr(CONFIG, ~0ULL & ~HV_STIMER_ENABLE);
    assert_int_equal(rd(CONFIG), 0xF1FFE);
    wr(CONFIG, 0);
    wr(COUNT + 6, 0x123456789ABCDEFULL);
    assert_int_equal(rd(COUNT + 6), 0x123456789ABCDEFULL);
    assert_int_equal(rd(COUNT), 0);
    for (uint64_t vector = 0; vector < 256; vector++) {
        uint64_t c = HV_STIMER_DIRECT_MODE | vector << HV_STIMER_VECTOR_SHIFT;

        assert_int_equal(stimer_msr_write(vp, CONFIG, c), vector < 16 ? -EPERM : 0);
    }
    assert_int_equal(rd(CONFIG), 0x1FF0);
}

static void test_one_shot_direct(void **state)
{
    uint64_t at = now() + 5 * MS;

    /* As Linux does: configured once with auto-enable, then only counts. */
    wr(CONFIG, DIRECT | HV_STIMER_AUTO_ENABLE);
    assert_int_equal(shim_armed_count(), 0);
    wr(COUNT, at);
    assert_int_equal(rd(CONFIG) & HV_STIMER_ENABLE, 1);
    assert_int_equal(shim_armed_count(), 1);
    run_until(at - 1);
    assert_int_equal(taken(), -1);
    run_until(at);
    shim_run_until(shim.tsc + shim.tsc_hz / 10000000 + 1);
    assert_int_equal(taken(), DIRECT_VECTOR);
    assert_int_equal(rd(CONFIG) & HV_STIMER_ENABLE, 0);
    assert_int_equal(rd(COUNT), at);
    run_until(at + 50 * MS);
    assert_int_equal(taken(), -1);
    /* In the past: at once. */
    wr(COUNT, at);
    assert_int_equal(taken(), DIRECT_VECTOR);
    assert_int_equal(rd(CONFIG) & HV_STIMER_ENABLE, 0);
    assert_int_equal(shim_armed_count(), 0);
    /* Count 0 stops. */
    wr(COUNT, now() + 5 * MS);
    wr(COUNT, 0);
    assert_int_equal(rd(CONFIG) & HV_STIMER_ENABLE, 0);
    assert_int_equal(shim_armed_count(), 0);
    /* Rewriting replaces. */
    wr(COUNT, now() + 5 * MS);
    wr(COUNT, now() + 9 * MS);
    run_until(now() + 6 * MS);
    assert_int_equal(taken(), -1);
    run_until(now() + 4 * MS);
    assert_int_equal(taken(), DIRECT_VECTOR);
}

static void test_enable_bit(void **state)
{
    /* Without auto-enable a count alone does nothing; enable without count waits for one. */
    wr(CONFIG, DIRECT);
    wr(COUNT, now() + MS);
    assert_int_equal(shim_armed_count(), 0);
    wr(CONFIG, DIRECT | HV_STIMER_ENABLE);
    assert_int_equal(shim_armed_count(), 1);
    wr(CONFIG, DIRECT);
    assert_int_equal(shim_armed_count(), 0);
    wr(COUNT, 0);
    wr(CONFIG, DIRECT | HV_STIMER_ENABLE);
    assert_int_equal(rd(CONFIG) & HV_STIMER_ENABLE, 1);
    assert_int_equal(shim_armed_count(), 0);
    wr(COUNT, now() + MS);
    assert_int_equal(shim_armed_count(), 1);
    run_until(now() + 2 * MS);
    assert_int_equal(taken(), DIRECT_VECTOR);
    /* Message mode to SINT 0 cannot be enabled. */
    wr(CONFIG, HV_STIMER_ENABLE | HV_STIMER_AUTO_ENABLE);
    assert_int_equal(rd(CONFIG), HV_STIMER_AUTO_ENABLE);
    wr(COUNT, now() + MS);
    assert_int_equal(rd(CONFIG), HV_STIMER_AUTO_ENABLE);
    assert_int_equal(shim_armed_count(), 0);
}

static void test_message(void **state)
{
    uint64_t at = now() + 5 * MS;

    wr(CONFIG + 4, MESSAGE | HV_STIMER_AUTO_ENABLE);
    wr(COUNT + 4, at);
    shim_run_until(shim.tsc + shim.tsc_hz / 100); /* 10 ms */
    assert_int_equal(taken(), SINT_VECTOR);
    assert_int_equal(payload().timer_index, 2);
    assert_int_equal(payload().expiration_time, at);
    assert_in_range(payload().delivery_time, at, at + 2);
    assert_int_equal(slot()->header.message_flags, 0);
    assert_int_equal(rd(CONFIG + 4) & HV_STIMER_ENABLE, 0);

    /* Slot still busy: waits for EOM, keeps its time of expiry. */
    at = now() + 5 * MS;
    wr(COUNT + 4, at);
    shim_run_until(shim.tsc + shim.tsc_hz / 100);
    assert_int_equal(taken(), -1);
    assert_int_equal(slot()->header.message_flags, HV_MESSAGE_FLAG_PENDING);
    slot_release();
    assert_int_equal(taken(), SINT_VECTOR);
    assert_int_equal(payload().expiration_time, at);
    assert_int_equal(payload().delivery_time, now());
    slot_release();
    assert_int_equal(slot()->header.message_type, 0);
}

static void test_message_waits(void **state)
{
    struct hv_message m = {.header = {.message_type = 1}};
    uint64_t at;

    /* Two timers and a posted message on one slot: all arrive, EOM by EOM. */
    assert_int_equal(synic_post_message(vp, SINT, &m), 0);
    wr(CONFIG, MESSAGE | HV_STIMER_AUTO_ENABLE);
    wr(CONFIG + 2, MESSAGE | HV_STIMER_AUTO_ENABLE);
    wr(COUNT, 1);
    wr(COUNT + 2, 2);
    assert_int_equal(synic_post_message(vp, SINT, &m), 0);
    slot_release();
    assert_int_equal(payload().timer_index, 0);
    slot_release();
    assert_int_equal(payload().timer_index, 1);
    slot_release();
    assert_int_equal(slot()->header.message_type, 1);
    slot_release();
    assert_int_equal(slot()->header.message_type, 0);

    /* Reprogramming drops what waits; a periodic one's later expiries join the first. */
    assert_int_equal(synic_post_message(vp, SINT, &m), 0);
    wr(COUNT, 1);
    wr(COUNT, 0);
    wr(CONFIG + 2, MESSAGE | HV_STIMER_PERIODIC | HV_STIMER_AUTO_ENABLE);
    at = now();
    wr(COUNT + 2, MS);
    run_until(now() + 10 * MS);
    slot_release();
    assert_int_equal(payload().timer_index, 1);
    assert_int_equal(payload().expiration_time, at + MS);
    wr(COUNT + 2, 0);
    slot_release();
    assert_int_equal(slot()->header.message_type, 0);

    /* No SynIC, no message. */
    synic_msr_write(vp, HV_X64_MSR_SCONTROL, 0);
    wr(COUNT, 1);
    synic_msr_write(vp, HV_X64_MSR_SCONTROL, 1);
    synic_retry(vp);
    assert_int_equal(slot()->header.message_type, 0);
}

static void test_periodic(void **state)
{
    unsigned seed = 1, n = 0;
    uint64_t start = now(), late;

    /* Ten minutes of 1 ms with late callbacks: on the grid to the end. */
    wr(CONFIG, DIRECT | HV_STIMER_PERIODIC | HV_STIMER_ENABLE);
    wr(COUNT, MS);
    while (n < 600000) {
        shim_run_until(vp->stimers.timer[0].timer.deadline_tsc);
        shim.tsc += (uint64_t)rand_r(&seed) % (shim.tsc_hz / 2000);
        if (taken() == (int)DIRECT_VECTOR)
            n++;
    }
    assert_int_equal(vp->stimers.timer[0].expiry, start + (uint64_t)(n + 1) * MS);
    assert_in_range(now(), start + (uint64_t)n * MS, start + (uint64_t)(n + 1) * MS);
    assert_int_equal(rd(CONFIG) & HV_STIMER_ENABLE, 1);

    /* A long absence is one expiry, then the grid again. */
    shim.tsc += shim.tsc_hz * 3600;
    shim_run_until(shim.tsc);
    assert_int_equal(taken(), DIRECT_VECTOR);
    assert_int_equal((vp->stimers.timer[0].expiry - start) % MS, 0);
    late = now();
    assert_in_range(vp->stimers.timer[0].expiry, late + 1, late + MS);
}

static void test_bounds(void **state)
{
    unsigned before = shim.fires;

    /* Period 1 would be 10 million interrupts a second. */
    wr(CONFIG, DIRECT | HV_STIMER_PERIODIC | HV_STIMER_ENABLE);
    wr(COUNT, 1);
    assert_int_equal(rd(COUNT), 1);
    shim_run_until(shim.tsc + shim.tsc_hz);
    assert_in_range(shim.fires - before, 49000, 110000); /* rounding may take two callbacks each */

    /* The far future neither overflows nor fires; it is approached in steps. */
    wr(COUNT, UINT64_MAX);
    taken();
    wr(CONFIG + 2, DIRECT | HV_STIMER_ENABLE);
    wr(COUNT + 2, UINT64_MAX);
    before = shim.fires;
    shim_run_until(shim.tsc + shim.tsc_hz * 3600 * 24);
    assert_in_range(shim.fires - before, 2 * 23, 2 * 25);
    assert_int_equal(taken(), -1);
    assert_int_equal(shim_armed_count(), 2);
    stimers_reset(vp);
    assert_int_equal(shim_armed_count(), 0);
    assert_int_equal(rd(CONFIG), 0);
    assert_int_equal(rd(COUNT), 0);
}

static void test_stale_callback(void **state)
{
    struct timer *t = &vp->stimers.timer[3].timer;

    wr(CONFIG + 6, DIRECT | HV_STIMER_AUTO_ENABLE);
    t->fn(t);
    assert_int_equal(shim_armed_count(), 0);
    wr(COUNT + 6, now() + MS);
    t->fn(t);
    assert_int_equal(taken(), -1);
    assert_int_equal(shim_armed_count(), 1);
}

/* Random register traffic: time goes on, no timer fires while disabled. */
static void test_random(void **state)
{
    unsigned seed = 99;

    for (unsigned n = 0; n < 200000; n++) {
        uint32_t r = (uint32_t)rand_r(&seed), msr = CONFIG + (r & 7);
        uint64_t v = (uint64_t)rand_r(&seed) << (r >> 3 & 31);

        if (r & 0x100)
            v = now() + (v & 0xFFFFF) - 1000;
        stimer_msr_write(vp, msr, v);
        if (r & 0x200)
            slot_release();
        if (r & 0x400)
            synic_msr_write(vp, HV_X64_MSR_SINT0 + (r >> 11 & 15), 0x20 + (r >> 15 & 0x3F));
        shim_run_until(shim.tsc + (r >> 12));
        taken();
        for (unsigned i = 0; i < 4; i++) {
            struct stimer *t = &vp->stimers.timer[i];

            assert_true(!t->expiry || t->config & HV_STIMER_ENABLE);
            assert_true(!t->expiry || t->expiry > now() || t->timer.deadline_tsc > shim.tsc);
        }
    }
}

/* While the partition's time stands still nothing expires, and nothing is armed in vain. */
static void test_frozen_time(void **state)
{
    struct partition_properties *at = &shim.partition.properties;
    uint64_t due = now() + 5000;

    wr(CONFIG, HV_STIMER_ENABLE | HV_STIMER_DIRECT_MODE | 0x55 << HV_STIMER_VECTOR_SHIFT);
    wr(COUNT, due);
    wr(CONFIG, HV_STIMER_ENABLE | HV_STIMER_DIRECT_MODE | 0x55 << HV_STIMER_VECTOR_SHIFT);
    at->frozen_at = due - 3000;
    at->time_frozen = true;
    stimers_time_changed(vp);
    shim_run_until(shim.tsc + shim.tsc_hz);
    assert_int_equal(shim.fires, 0);
    assert_int_equal(taken(), -1);
    shim.partition.ref_base = clock_ref_from_tsc(shim.tsc) - at->frozen_at;
    at->time_frozen = false;
    stimers_time_changed(vp);
    run_until(due - 10);
    assert_int_equal(taken(), -1);
    run_until(due + 1);
    assert_int_equal(taken(), 0x55);
    /* Set beyond the expiry, it is due at once. */
    wr(COUNT, due + 100000);
    wr(CONFIG, HV_STIMER_ENABLE | HV_STIMER_DIRECT_MODE | 0x55 << HV_STIMER_VECTOR_SHIFT);
    shim.partition.ref_base -= 200000;
    stimers_time_changed(vp);
    assert_int_equal(taken(), 0x55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_registers, setup),
        cmocka_unit_test_setup(test_one_shot_direct, setup),
        cmocka_unit_test_setup(test_enable_bit, setup),
        cmocka_unit_test_setup(test_message, setup),
        cmocka_unit_test_setup(test_message_waits, setup),
        cmocka_unit_test_setup(test_periodic, setup),
        cmocka_unit_test_setup(test_bounds, setup),
        cmocka_unit_test_setup(test_stale_callback, setup),
        cmocka_unit_test_setup(test_frozen_time, setup),
        cmocka_unit_test_setup(test_random, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
