/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "lib/errno.h"

#define FRAMES 200
#define BASE   0x7000ULL /* frame 7: alignment is that of addresses, not of indices */

uintptr_t direct_map_base;
static uint8_t *memory;
static jmp_buf panicked;

void panic(const char *fmt, ...)
{
    longjmp(panicked, 1);
}

#define assert_panics(statement)                                                                   \
    do {                                                                                           \
        if (!setjmp(panicked)) {                                                                   \
            statement;                                                                             \
            fail_msg("no panic");                                                                  \
        }                                                                                          \
    } while (0)

static int setup(void **state)
{
    memory = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
    memset(memory, 0xa5, FRAMES * PAGE_SIZE);
    direct_map_base = (uintptr_t)memory - BASE;
    return frame_init(hpa(BASE), FRAMES * PAGE_SIZE);
}

static int teardown(void **state)
{
    free(memory);
    return 0;
}

static bool is_zero(hpa_t addr, unsigned pages)
{
    const uint8_t *p = hpa_to_virt(addr);

    for (size_t i = 0; i < pages * PAGE_SIZE; i++)
        if (p[i])
            return false;
    return true;
}

static void test_all_of_it(void **state)
{
    hpa_t f;

    assert_int_equal(frame_stats().total, FRAMES - 1);
    for (unsigned i = 0; i < FRAMES - 1; i++) {
        assert_int_equal(frame_alloc(1, 0, &f), 0);
        assert_true(frame_owns(f));
        assert_true(is_zero(f, 1));
        memset(hpa_to_virt(f), 0x5a, PAGE_SIZE);
    }
    assert_int_equal(frame_alloc(1, 1, &f), -ENOMEM);
    assert_int_equal(frame_stats().free, 0);
    assert_int_equal(frame_stats().peak, FRAMES - 1);
    frame_free(hpa(BASE + 5 * PAGE_SIZE), 3);
    assert_true(is_zero(hpa(BASE + 5 * PAGE_SIZE), 3));
    assert_int_equal(frame_stats().free, 3);
    assert_int_equal(frame_alloc(4, 1, &f), -ENOMEM);
    assert_int_equal(frame_alloc(3, 1, &f), 0);
    assert_true(f.v == BASE + 5 * PAGE_SIZE);
    assert_int_equal(frame_stats().peak, FRAMES - 1);
}

static void test_alignment(void **state)
{
    hpa_t f;

    for (unsigned align = 1; align <= 64; align *= 2) {
        assert_int_equal(frame_alloc(3, align, &f), 0);
        assert_int_equal(f.v % (align * PAGE_SIZE), 0);
        frame_free(f, 3);
    }
    assert_int_equal(frame_alloc(1, 256, &f), -ENOMEM);
    assert_int_equal(frame_alloc(1, 3, &f), -EINVAL);
    assert_int_equal(frame_alloc(0, 1, &f), -EINVAL);
    assert_int_equal(frame_alloc(UINT32_MAX, 1U << 31, &f), -ENOMEM);
}

static void test_misuse_panics(void **state)
{
    hpa_t f;

    assert_int_equal(frame_alloc(4, 1, &f), 0);
    frame_free(hpa(f.v + PAGE_SIZE), 1);
    assert_panics(frame_free(hpa(f.v + PAGE_SIZE), 1));
    assert_panics(frame_free(f, 4));
    assert_panics(frame_free(hpa(f.v + 1), 1));
    assert_panics(frame_free(hpa(BASE), 1)); /* the bitmap */
    assert_panics(frame_free(hpa(BASE - PAGE_SIZE), 1));
    assert_panics(frame_free(hpa(BASE + FRAMES * PAGE_SIZE), 1));
    assert_panics(frame_free(f, UINT32_MAX));
    assert_false(frame_owns(hpa(BASE - 1)));
    assert_true(frame_owns(hpa(BASE)));
    assert_false(frame_owns(hpa(BASE + FRAMES * PAGE_SIZE)));
}

static void test_init_refuses(void **state)
{
    assert_int_equal(frame_init(hpa(BASE + 1), PAGE_SIZE * 8), -EINVAL);
    assert_int_equal(frame_init(hpa(BASE), PAGE_SIZE * 8 + 1), -EINVAL);
    assert_int_equal(frame_init(hpa(BASE), PAGE_SIZE), -EINVAL);
    assert_int_equal(frame_init(hpa(BASE), 0), -EINVAL);
}

/* Each allocation is stamped; nothing that is out may be handed out again. */
static void test_random(void **state)
{
    struct {
        hpa_t addr;
        unsigned pages;
    } out[64] = {0};
    uint64_t in_use = 0;

    srand(2);
    for (unsigned n = 0; n < 20000; n++) {
        unsigned i = (unsigned)(rand() % 64);

        if (out[i].pages) {
            for (unsigned p = 0; p < out[i].pages; p++)
                assert_int_equal(((uint8_t *)hpa_to_virt(out[i].addr))[p * PAGE_SIZE], i + 1);
            frame_free(out[i].addr, out[i].pages);
            in_use -= out[i].pages;
            out[i].pages = 0;
        } else {
            unsigned pages = (unsigned)(1 + rand() % 6);
            unsigned align = 1U << rand() % 4;

            if (frame_alloc(pages, align, &out[i].addr))
                continue;
            assert_int_equal(out[i].addr.v % (align * PAGE_SIZE), 0);
            for (unsigned p = 0; p < pages; p++) {
                uint8_t *b = hpa_to_virt(hpa(out[i].addr.v + p * PAGE_SIZE));

                assert_int_equal(*b, 0);
                *b = (uint8_t)(i + 1);
            }
            out[i].pages = pages;
            in_use += pages;
        }
        assert_int_equal(frame_stats().free, FRAMES - 1 - in_use);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alignment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misuse_panics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_init_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
