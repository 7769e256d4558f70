/* SPDX-License-Identifier: MIT */
/* GPA maps: rights, failures, generations and reclaiming, against a flat model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hypervisor/mm/gpamap.h"
#include "tests/unit/shim_frames.h"

#define PAGES 2048ULL /* of the model: 8 MiB from gpa 0 */
#define MIB2  0x200000ULL

static struct {
    uint64_t to;
    unsigned access; /* 0 is unmapped */
    bool closed;     /* known all the same */
} model[PAGES];

static struct gpa_map map;

static void check_page(uint64_t i)
{
    for (unsigned access = 1; access < 8; access++) {
        hpa_t out = hpa(~0ULL);
        int err = gpa_map_lookup(&map, gpa(i * PAGE_SIZE + 77), access, &out);

        if (access & ~model[i].access) {
            assert_int_equal(err, model[i].access || model[i].closed ? -EACCES : -EFAULT);
            assert_int_equal(out.v, ~0ULL);
        } else {
            assert_int_equal(err, 0);
            assert_int_equal(out.v, model[i].to + 77);
        }
    }
}

static void check_all(void)
{
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < PAGES; i++) {
        check_page(i);
        bytes += model[i].access ? PAGE_SIZE : 0;
    }
    assert_int_equal(gpa_map_bytes(&map), bytes);
    assert_int_equal(shim_frames_used(), map.pt.tables + map.pt.retired_count);
}

static void random_change(void)
{
    uint64_t first = shim_random() % PAGES;
    uint64_t pages = 1 + shim_random() % (PAGES - first);
    unsigned access = shim_random() % 2 ? ACCESS_READ | (unsigned)(shim_random() & 6) : 0;
    bool closed = !access && shim_random() % 2;
    uint64_t to = (shim_random() % 4096) * MIB2 + (shim_random() % 2 ? first * PAGE_SIZE : 0);
    uint64_t gen = gpa_map_generation(&map);
    int err;

    for (;;) {
        if (access)
            err = gpa_map_set(&map, gpa(first * PAGE_SIZE), hpa(to), pages * PAGE_SIZE, access);
        else if (closed)
            err = gpa_map_close(&map, gpa(first * PAGE_SIZE), pages * PAGE_SIZE);
        else
            err = gpa_map_clear(&map, gpa(first * PAGE_SIZE), pages * PAGE_SIZE);
        assert_true(gpa_map_generation(&map) > gen);
        if (!err)
            break;
        assert_int_equal(err, -ENOMEM);
        check_all();
        shim_fail_after = -1;
    }
    for (uint64_t i = 0; i < pages; i++) {
        model[first + i].to = to + i * PAGE_SIZE;
        model[first + i].access = access;
        model[first + i].closed = closed;
    }
}

static void test_random(void **state)
{
    for (unsigned max = PAGE_SIZE_4K; max <= PAGE_SIZE_1G; max++) {
        shim_frames_init();
        memset(model, 0, sizeof(model));
        assert_int_equal(gpa_map_init(&map, (enum page_size)max, NULL), 0);
        for (unsigned n = 0; n < 150; n++) {
            shim_fail_after = shim_random() % 2 ? (long)(shim_random() % 4) : -1;
            random_change();
            check_all();
            if (n % 2)
                gpa_map_reclaim(&map, gpa_map_generation(&map));
        }
        gpa_map_destroy(&map);
        assert_int_equal(shim_frames_used(), 0);
        shim_frames_done();
    }
}

static void test_reclaim_waits_for_the_last_change(void **state)
{
    uint64_t gen;

    shim_frames_init();
    assert_int_equal(gpa_map_init(&map, PAGE_SIZE_2M, NULL), 0);
    assert_int_equal(gpa_map_set(&map, gpa(0), hpa(MIB2), PAGE_SIZE, ACCESS_READ), 0);
    assert_int_equal(gpa_map_clear(&map, gpa(0), PAGE_SIZE), 0);
    assert_int_equal(map.pt.retired_count, 3);
    gen = gpa_map_generation(&map);
    /* Another LP changes something between our flush and our reclaim. */
    assert_int_equal(gpa_map_set(&map, gpa(0), hpa(MIB2), PAGE_SIZE, ACCESS_READ), 0);
    gpa_map_reclaim(&map, gen);
    assert_int_equal(map.pt.retired_count, 3);
    gpa_map_reclaim(&map, gpa_map_generation(&map));
    assert_int_equal(map.pt.retired_count, 0);
    gpa_map_destroy(&map);
    assert_int_equal(shim_frames_used(), 0);
    shim_frames_done();
}

/* A large unit is closed with what is there already, and gives the small pages' table back. */
static void test_closing_needs_no_memory(void **state)
{
    hpa_t out;

    shim_frames_init();
    assert_int_equal(gpa_map_init(&map, PAGE_SIZE_2M, NULL), 0);
    for (uint64_t i = 0; i < 512; i++)
        assert_int_equal(gpa_map_set(&map, gpa(MIB2 + i * PAGE_SIZE), hpa(i << 20), PAGE_SIZE, 7),
                         0);
    assert_int_equal(map.pt.tables, 4);
    shim_fail_after = 0;
    assert_int_equal(gpa_map_close(&map, gpa(MIB2), MIB2), 0);
    assert_int_equal(map.pt.tables, 3);
    assert_true(gpa_map_retired(&map));
    gpa_map_reclaim(&map, gpa_map_generation(&map));
    assert_false(gpa_map_retired(&map));
    assert_int_equal(gpa_map_bytes(&map), 0);
    /* One page of it needs a table again; the other 511 stay closed. */
    assert_int_equal(gpa_map_set(&map, gpa(MIB2), hpa(0), PAGE_SIZE, 7), -ENOMEM);
    assert_int_equal(gpa_map_lookup(&map, gpa(MIB2), ACCESS_READ, &out), -EACCES);
    shim_fail_after = 1;
    assert_int_equal(gpa_map_set(&map, gpa(MIB2), hpa(MIB2), PAGE_SIZE, 7), 0);
    assert_int_equal(gpa_map_lookup(&map, gpa(MIB2), ACCESS_READ, &out), 0);
    assert_int_equal(gpa_map_lookup(&map, gpa(2 * MIB2 - 1), ACCESS_READ, &out), -EACCES);
    assert_int_equal(gpa_map_lookup(&map, gpa(2 * MIB2), ACCESS_READ, &out), -EFAULT);
    /* Large over small, and everything forgotten: the tables go, too. */
    assert_int_equal(gpa_map_set(&map, gpa(MIB2), hpa(MIB2), MIB2, 7), 0);
    gpa_map_reclaim(&map, gpa_map_generation(&map));
    assert_int_equal(map.pt.tables, 3);
    assert_int_equal(gpa_map_close(&map, gpa(MIB2), MIB2), 0);
    assert_int_equal(gpa_map_clear(&map, gpa(MIB2), MIB2), 0);
    assert_int_equal(gpa_map_lookup(&map, gpa(MIB2), ACCESS_READ, &out), -EFAULT);
    assert_int_equal(map.pt.tables, 1);
    gpa_map_destroy(&map);
    assert_int_equal(shim_frames_used(), 0);
    shim_frames_done();
}

/* What was written before a page is closed is not forgotten, as far as anybody can tell. */
static void test_closed_pages_are_dirty_once(void **state)
{
    unsigned dirty;

    shim_frames_init();
    assert_int_equal(gpa_map_init(&map, PAGE_SIZE_2M, NULL), 0);
    assert_int_equal(gpa_map_close(&map, gpa(MIB2), MIB2), 0);
    assert_true(gpa_map_is_large(&map, gpa(MIB2 + PAGE_SIZE)));
    assert_int_equal(gpa_map_track(&map, gpa(MIB2), GPA_DIRTY, 0, &dirty), 0);
    assert_int_equal(dirty, GPA_ACCESSED | GPA_DIRTY);
    assert_int_equal(gpa_map_set(&map, gpa(MIB2), hpa(0), PAGE_SIZE, 7), 0);
    assert_false(gpa_map_is_large(&map, gpa(MIB2 + PAGE_SIZE)));
    assert_int_equal(gpa_map_track(&map, gpa(MIB2 + PAGE_SIZE), 0, 0, &dirty), 0);
    assert_int_equal(dirty, GPA_ACCESSED);
    assert_int_equal(gpa_map_close(&map, gpa(MIB2), PAGE_SIZE), 0);
    assert_int_equal(gpa_map_track(&map, gpa(MIB2), 0, 0, &dirty), 0);
    assert_int_equal(dirty, GPA_ACCESSED | GPA_DIRTY);
    assert_int_equal(gpa_map_clear(&map, gpa(MIB2), PAGE_SIZE), 0);
    assert_int_equal(gpa_map_track(&map, gpa(MIB2), 0, 0, &dirty), -EFAULT);
    gpa_map_destroy(&map);
    assert_int_equal(shim_frames_used(), 0);
    shim_frames_done();
}

static void test_bad_arguments(void **state)
{
    hpa_t out;

    shim_frames_init();
    assert_int_equal(gpa_map_init(&map, PAGE_SIZE_2M, NULL), 0);
    assert_int_equal(gpa_map_set(&map, gpa(0), hpa(0), PAGE_SIZE, 0), -EINVAL);
    assert_int_equal(gpa_map_set(&map, gpa(0), hpa(0), PAGE_SIZE, ACCESS_WRITE), -EINVAL);
    assert_int_equal(gpa_map_set(&map, gpa(0), hpa(0), PAGE_SIZE, ACCESS_EXEC), -EINVAL);
    assert_int_equal(gpa_map_set(&map, gpa(0), hpa(0), PAGE_SIZE, 9), -EINVAL);
    assert_int_equal(gpa_map_set(&map, gpa(1), hpa(0), PAGE_SIZE, ACCESS_READ), -EINVAL);
    assert_int_equal(gpa_map_set(&map, gpa(1ULL << 48), hpa(0), PAGE_SIZE, ACCESS_READ), -EINVAL);
    assert_int_equal(gpa_map_clear(&map, gpa(0), 0), -EINVAL);
    assert_int_equal(gpa_map_lookup(&map, gpa(~0ULL), ACCESS_READ, &out), -EFAULT);
    assert_int_equal(gpa_map_lookup(&map, gpa(1ULL << 48), ACCESS_READ, &out), -EFAULT);
    assert_int_not_equal(gpa_map_root(&map).v, 0);
    gpa_map_destroy(&map);
    shim_frames_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_reclaim_waits_for_the_last_change),
        cmocka_unit_test(test_closing_needs_no_memory),
        cmocka_unit_test(test_closed_pages_are_dirty_once),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
