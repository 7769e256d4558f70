/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/mm/range.h"
#include "lib/errno.h"

static struct range_map map;

static void expect(unsigned i, uint64_t start, uint64_t end, enum range_type type)
{
    assert_true(i < map.count);
    assert_true(map.r[i].start == start);
    assert_true(map.r[i].end == end);
    assert_int_equal(map.r[i].type, type);
}

static int reset(void **state)
{
    range_map_init(&map);
    return 0;
}

static void test_carve(void **state)
{
    assert_int_equal(range_map_set(&map, 0x1000, 0x9000, RANGE_RAM), 0);
    assert_int_equal(range_map_set(&map, 0x3000, 0x1000, RANGE_RESERVED), 0);
    assert_int_equal(map.count, 3);
    expect(0, 0x1000, 0x3000, RANGE_RAM);
    expect(1, 0x3000, 0x4000, RANGE_RESERVED);
    expect(2, 0x4000, 0xa000, RANGE_RAM);
    assert_int_equal(range_map_set(&map, 0x3000, 0x1000, RANGE_NONE), 0);
    assert_int_equal(map.count, 2);
    assert_int_equal(range_map_type(&map, 0x3000), RANGE_NONE);
    assert_int_equal(range_map_set(&map, 0x3000, 0x1000, RANGE_RAM), 0);
    assert_int_equal(map.count, 1);
    expect(0, 0x1000, 0xa000, RANGE_RAM);
    assert_int_equal(range_map_set(&map, 0, UINT64_MAX, RANGE_NONE), 0);
    assert_int_equal(map.count, 0);
}

static void test_override_by_type(void **state)
{
    /* The firmware names RAM first and last; the reservation stays either way. */
    assert_int_equal(range_map_add(&map, 0x2000, 0x1000, RANGE_RESERVED), 0);
    assert_int_equal(range_map_add(&map, 0x1000, 0x4000, RANGE_RAM), 0);
    assert_int_equal(range_map_add(&map, 0x4000, 0x2000, RANGE_NVS), 0);
    assert_int_equal(range_map_add(&map, 0x4800, 0x100, RANGE_RESERVED), 0);
    assert_int_equal(map.count, 4);
    expect(0, 0x1000, 0x2000, RANGE_RAM);
    expect(1, 0x2000, 0x3000, RANGE_RESERVED);
    expect(2, 0x3000, 0x4000, RANGE_RAM);
    expect(3, 0x4000, 0x6000, RANGE_NVS);
}

static void test_cut_at_end(void **state)
{
    assert_int_equal(range_map_set(&map, UINT64_MAX - 5, 100, RANGE_RAM), 0);
    assert_int_equal(map.count, 0);
    assert_int_equal(range_map_set(&map, 0x1000, UINT64_MAX, RANGE_RAM), 0);
    expect(0, 0x1000, RANGE_ADDR_END, RANGE_RAM);
    assert_int_equal(range_map_set(&map, 0x1000, 1, (enum range_type)6), -EINVAL);
    assert_int_equal(range_map_add(&map, 0x1000, 1, (enum range_type)6), -EINVAL);
}

static void test_full(void **state)
{
    for (uint64_t i = 0; i < RANGE_MAX; i++)
        assert_int_equal(range_map_set(&map, i * 0x2000, 0x1000, RANGE_RAM), 0);
    struct range_map before = map;
    assert_int_equal(range_map_set(&map, 0x10000000, 0x1000, RANGE_RAM), -ENOSPC);
    assert_int_equal(range_map_set(&map, 0x400, 0x100, RANGE_RESERVED), -ENOSPC);
    assert_int_equal(range_map_add(&map, 0x10000000, 0x1000, RANGE_RAM), -ENOSPC);
    assert_memory_equal(&before, &map, sizeof(map));
    /* What needs no more entries still works. */
    assert_int_equal(range_map_set(&map, 0x1000, 0x1000, RANGE_RAM), 0);
    assert_int_equal(map.count, RANGE_MAX - 1);
}

static void test_is_ram(void **state)
{
    range_map_set(&map, 0x1000, 0x1000, RANGE_RAM);
    range_map_set(&map, 0x2000, 0x1000, RANGE_RAM);
    range_map_set(&map, 0x4000, 0x1000, RANGE_ACPI);
    assert_true(range_map_is_ram(&map, 0x1000, 0x2000));
    assert_false(range_map_is_ram(&map, 0x1000, 0x2001));
    assert_false(range_map_is_ram(&map, 0xfff, 2));
    assert_false(range_map_is_ram(&map, 0x4000, 1));
    assert_false(range_map_is_ram(&map, UINT64_MAX, 2));
    assert_true(range_map_is_ram(&map, 0x9000, 0));
    assert_true(range_map_total(&map, RANGE_RAM) == 0x2000);
    assert_true(range_map_total(&map, RANGE_ACPI) == 0x1000);
}

static void test_find(void **state)
{
    uint64_t at = 0;
    const struct range avoid[] = {{0x10000, 0x18000, 0}, {0x1e000, 0x20000, 0}, {5, 5, 0}};
    struct range_query q = {.size = 0x2000, .align = 0x1000};

    range_map_set(&map, 0x800, 0x1000, RANGE_RAM);
    range_map_set(&map, 0x10000, 0x10000, RANGE_RAM);
    range_map_set(&map, 0x40000, 0x3000, RANGE_RESERVED);

    assert_int_equal(range_map_find(&map, &q, &at), 0);
    assert_true(at == 0x10000);
    q.top_down = true;
    assert_int_equal(range_map_find(&map, &q, &at), 0);
    assert_true(at == 0x1e000);
    q.avoid = avoid;
    q.avoid_count = 3;
    assert_int_equal(range_map_find(&map, &q, &at), 0);
    assert_true(at == 0x1c000);
    q.top_down = false;
    assert_int_equal(range_map_find(&map, &q, &at), 0);
    assert_true(at == 0x18000);
    q.min = 0x18001;
    assert_int_equal(range_map_find(&map, &q, &at), 0);
    assert_true(at == 0x19000);
    q.max = 0x1a000;
    assert_int_equal(range_map_find(&map, &q, &at), -ENOENT);
    q = (struct range_query){.size = UINT64_MAX, .align = 1ULL << 63};
    assert_int_equal(range_map_find(&map, &q, &at), -ENOENT);
    q = (struct range_query){.size = 1, .align = 1ULL << 63, .top_down = true};
    assert_int_equal(range_map_find(&map, &q, &at), -ENOENT);
    q = (struct range_query){.size = 0};
    assert_int_equal(range_map_find(&map, &q, &at), -EINVAL);
    q = (struct range_query){.size = 1, .align = 3};
    assert_int_equal(range_map_find(&map, &q, &at), -EINVAL);
}

#define MODEL 96

/* A byte array is the model: each change and each search must agree with it. */
static void check_model(const uint8_t *model)
{
    for (unsigned i = 0; i < MODEL; i++)
        assert_int_equal(range_map_type(&map, i), model[i]);
    for (unsigned i = 0; i < map.count; i++) {
        assert_true(map.r[i].start < map.r[i].end);
        if (i)
            assert_true(map.r[i - 1].end < map.r[i].start ||
                        (map.r[i - 1].end == map.r[i].start && map.r[i - 1].type != map.r[i].type));
    }
}

static bool model_fits(const uint8_t *model, const struct range *avoid, uint64_t at, uint64_t size)
{
    for (uint64_t i = at; i < at + size; i++)
        if (i >= MODEL || model[i] != RANGE_RAM || (i >= avoid->start && i < avoid->end))
            return false;
    return true;
}

static void check_find(const uint8_t *model)
{
    struct range avoid = {(uint64_t)(rand() % MODEL), (uint64_t)(rand() % MODEL), 0};
    struct range_query q = {.size = (uint64_t)(1 + rand() % 12),
                            .align = 1ULL << rand() % 4,
                            .top_down = rand() % 2,
                            .avoid = &avoid,
                            .avoid_count = 1};
    uint64_t want = UINT64_MAX, got = UINT64_MAX;

    for (uint64_t at = 0; at < MODEL; at += q.align)
        if (model_fits(model, &avoid, at, q.size) && (q.top_down || want == UINT64_MAX))
            want = at;
    int err = range_map_find(&map, &q, &got);
    assert_int_equal(err, want == UINT64_MAX ? -ENOENT : 0);
    assert_true(got == want);
}

static void test_model(void **state)
{
    uint8_t model[MODEL] = {0};

    srand(1);
    for (unsigned n = 0; n < 20000; n++) {
        uint64_t start = (uint64_t)(rand() % MODEL);
        uint64_t len = (uint64_t)rand() % (MODEL - start + 1);
        unsigned type = (unsigned)(rand() % 6);
        bool add = rand() % 2;

        if (add && type == RANGE_NONE)
            continue;
        assert_int_equal(
            add ? range_map_add(&map, start, len, type) : range_map_set(&map, start, len, type), 0);
        for (uint64_t i = start; i < start + len; i++)
            if (!add || type > model[i])
                model[i] = (uint8_t)type;
        check_model(model);
        check_find(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_carve, reset),
        cmocka_unit_test_setup(test_override_by_type, reset),
        cmocka_unit_test_setup(test_cut_at_end, reset),
        cmocka_unit_test_setup(test_full, reset),
        cmocka_unit_test_setup(test_is_ram, reset),
        cmocka_unit_test_setup(test_find, reset),
        cmocka_unit_test_setup(test_model, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
