/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "vsp/storage/limit.h"

#define SECOND 1000000000ULL

static struct limit l;

static void test_none(void **state)
{
    assert_int_equal(limit_set(&l, 0, 0), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(limit_schedule(&l, 5, 1 << 20), 5);
}

static void test_burst(void **state)
{
    uint64_t now = 10 * SECOND;

    assert_int_equal(limit_set(&l, 1000, 0), 0);
    /* 50 ms at 1000 a second: 51 go at once, then one each millisecond. */
    for (unsigned i = 0; i <= 50; i++)
        assert_int_equal(limit_schedule(&l, now, 0), now);
    for (unsigned i = 1; i <= 10; i++)
        assert_int_equal(limit_schedule(&l, now, 0), now + i * 1000000);
    /* A rest gives no more than the burst back. */
    now += 100 * SECOND;
    for (unsigned i = 0; i <= 50; i++)
        assert_int_equal(limit_schedule(&l, now, 0), now);
    assert_int_equal(limit_schedule(&l, now, 0), now + 1000000);
}

/* Over a long time the rate is what was asked for, whatever the sizes. */
static void rate(uint64_t iops, uint64_t bytes_s, uint64_t size, uint64_t wanted)
{
    uint64_t now = SECOND, done = 0;

    assert_int_equal(limit_set(&l, iops, bytes_s), 0);
    while (now < 11 * SECOND) {
        now = limit_schedule(&l, now, size);
        done++;
    }
    assert_in_range(done, wanted * 10 * 99 / 100, wanted * 10 * 102 / 100 + 2);
}

static void test_refund(void **state)
{
    const uint64_t now = 10 * SECOND;

    assert_int_equal(limit_set(&l, 10, 1 << 20), 0);
    limit_refund(&l, 4096); /* of what was never charged */
    for (unsigned i = 0; i < 100; i++)
        (void)limit_schedule(&l, now, 1 << 20);
    for (unsigned i = 0; i < 98; i++)
        limit_refund(&l, 1 << 20);
    assert_int_equal(limit_schedule(&l, now, 0), now + 150000000); /* 2 at 10 a second, the burst */
    assert_int_equal(limit_schedule(&l, now, 1), now + 1950000000);
}

static void test_rates(void **state)
{
    rate(1000, 0, 4096, 1000);
    rate(0, 10 << 20, 1 << 20, 10);
    rate(0, 10 << 20, 4096, 2560);
    rate(1000, 10 << 20, 4096, 1000); /* the stricter one counts */
    rate(1000, 1 << 20, 4096, 256);
    rate(1, 0, 4096, 1);
}

static void test_extremes(void **state)
{
    assert_int_equal(limit_set(&l, 0, LIMIT_BYTES_MIN - 1), -EINVAL);
    assert_int_equal(limit_set(&l, 0, LIMIT_BYTES_MIN), 0);
    (void)limit_schedule(&l, 0, UINT64_MAX);
    assert_true(limit_schedule(&l, 0, 1) < (LIMIT_REQUEST_MAX / LIMIT_BYTES_MIN + 1) * SECOND);
    assert_int_equal(limit_set(&l, UINT64_MAX, UINT64_MAX), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(limit_schedule(&l, 0, 1 << 20), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),     cmocka_unit_test(test_burst),
        cmocka_unit_test(test_refund),   cmocka_unit_test(test_rates),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
