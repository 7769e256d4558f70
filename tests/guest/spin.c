/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/rt.h"

/* No test: all processors are busy for ever, for those who measure how much they get. */

static void busy(void *arg)
{
    for (;;)
        pause();
}

static void spin(void)
{
    for (uint32_t i = 1; i < cpu_count; i++)
        smp_post(i, busy, NULL);
    note("spinning");
    busy(NULL);
}

static const struct test_case cases[] = {
    {"spin", spin, 0},
};

TEST_GROUP(spin, cases);
