/* SPDX-License-Identifier: MIT */
/* Pools of deposited pages, and who may use which page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "hypervisor/mm/pageinfo.h"
#include "hypervisor/mm/pool.h"
#include "lib/errno.h"

#define PAGES 64U

uintptr_t direct_map_base;
static uint8_t *memory; /* physical page 0 on */
static uint8_t *table;
static struct pool pool;
static jmp_buf panicked;

void panic(const char *fmt, ...)
{
    longjmp(panicked, 1);
}

/* The table of pages lies beyond the pages that it describes. */
int frame_alloc(unsigned pages, unsigned align_pages, hpa_t *out)
{
    table = memory + PAGES * PAGE_SIZE;
    *out = virt_to_hpa(table);
    return 0;
}

static int setup(void **state)
{
    memory = aligned_alloc(PAGE_SIZE, (PAGES + 1) * PAGE_SIZE);
    memset(memory, 0xa5, (PAGES + 1) * PAGE_SIZE);
    direct_map_base = (uintptr_t)memory;
    pool_init(&pool);
    return 0;
}

static int teardown(void **state)
{
    free(memory);
    return 0;
}

static hpa_t page(unsigned n)
{
    return hpa(n * PAGE_SIZE);
}

static void give(unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pool_deposit(&pool, page(first + i));
}

static bool is_zero(hpa_t at, unsigned pages)
{
    const uint8_t *p = hpa_to_virt(at);

    for (size_t i = 0; i < pages * PAGE_SIZE; i++)
        if (p[i])
            return false;
    return true;
}

static void expect_balance(uint64_t available, uint64_t in_use)
{
    uint64_t a, u;

    pool_balance(&pool, &a, &u);
    assert_int_equal(a, available);
    assert_int_equal(u, in_use);
}

static void gives_out_zeroed_pages(void **state)
{
    hpa_t at;

    assert_int_equal(pool_alloc(&pool, 1, &at), -ENOMEM);
    give(5, 3);
    expect_balance(3, 0);
    assert_int_equal(pool_alloc(&pool, 1, &at), 0);
    assert_true(is_zero(at, 1));
    expect_balance(2, 1);
    memset(hpa_to_virt(at), 0x77, PAGE_SIZE);
    pool_free(&pool, at, 1);
    expect_balance(3, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(pool_withdraw(&pool, &at));
        assert_true(is_zero(at, 1));
    }
    assert_false(pool_withdraw(&pool, &at));
    assert_int_equal(pool_alloc(&pool, 0, &at), -ENOMEM);
}

static void finds_neighbours(void **state)
{
    hpa_t at;

    give(10, 1);
    give(20, 1);
    give(12, 1);
    assert_int_equal(pool_alloc(&pool, 2, &at), -ENOSPC);
    assert_int_equal(pool_alloc(&pool, 4, &at), -ENOMEM);
    give(30, 4);
    give(40, 1);
    assert_int_equal(pool_alloc(&pool, 3, &at), 0);
    assert_true(is_zero(at, 3));
    assert_true(at.v >= page(30).v && at.v + 3 * PAGE_SIZE <= page(34).v);
    expect_balance(5, 3);
    pool_free(&pool, at, 3);
    assert_int_equal(pool_alloc(&pool, 3, &at), 0);
    expect_balance(5, 3);
}

/* What is kept back is for those who know of it. */
static void keeps_a_reserve(void **state)
{
    hpa_t at;

    give(5, 3);
    assert_int_equal(pool_reserve(&pool, 4), -ENOMEM);
    assert_int_equal(pool_reserve(&pool, 2), 0);
    assert_int_equal(pool_alloc(&pool, 2, &at), -ENOMEM);
    assert_int_equal(pool_alloc(&pool, 1, &at), 0);
    assert_false(pool_withdraw(&pool, &at));
    assert_int_equal(pool_reserve(&pool, 0), 2);
    assert_int_equal(pool_alloc(&pool, 1, &at), 0);
    assert_int_equal(pool_reserve(&pool, 2), -ENOMEM);
    assert_int_equal(pool_reserve(&pool, 1), 0);
    expect_balance(1, 2);
}

/* Descending order is a run as well; the page at 0x1000 does not make one with the list's end. */
static void runs_of_both_directions(void **state)
{
    hpa_t at;

    give(1, 1);
    assert_int_equal(pool_alloc(&pool, 2, &at), -ENOMEM);
    give(7, 1);
    assert_int_equal(pool_alloc(&pool, 2, &at), -ENOSPC);
    give(6, 1);
    assert_int_equal(pool_alloc(&pool, 2, &at), 0);
    assert_int_equal(at.v, page(6).v);
    expect_balance(1, 2);
}

static uint8_t mark(hpa_t at)
{
    return (uint8_t)(at.v >> PAGE_SHIFT);
}

/* Random deposits, allocations and frees: nothing is given out twice or lost. */
static void random_use(void **state)
{
    struct {
        hpa_t at;
        unsigned pages;
    } held[PAGES];
    unsigned count = 0, seed = 1;
    uint64_t used = 0;

    give(1, PAGES - 1);
    for (unsigned round = 0; round < 20000; round++) {
        unsigned pages;

        seed = seed * 1103515245U + 12345U;
        pages = 1 + (seed >> 16) % 3;
        if ((seed >> 20) & 1 && count) {
            unsigned n = (seed >> 8) % count;
            const uint8_t *p = hpa_to_virt(held[n].at);

            for (size_t i = 0; i < held[n].pages * PAGE_SIZE; i += 512)
                assert_int_equal(p[i], mark(held[n].at));
            pool_free(&pool, held[n].at, held[n].pages);
            used -= held[n].pages;
            held[n] = held[--count];
        } else if (!pool_alloc(&pool, pages, &held[count].at)) {
            assert_true(is_zero(held[count].at, pages));
            memset(hpa_to_virt(held[count].at), mark(held[count].at), pages * PAGE_SIZE);
            held[count++].pages = pages;
            used += pages;
        }
        expect_balance(PAGES - 1 - used, used);
    }
}

static void pages_have_one_owner(void **state)
{
    struct range_map ram = {.count = 1};

    ram.r[0] = (struct range){0, 32 * PAGE_SIZE, RANGE_RAM};
    assert_int_equal(pageinfo_init(&ram), 0);
    assert_int_equal(pageinfo_take(page(0)), -EINVAL);
    assert_int_equal(pageinfo_take(page(32)), -EINVAL);
    assert_int_equal(pageinfo_lend(page(1000)), -EINVAL);
    assert_int_equal(pageinfo_lend(page(4)), 0);
    assert_int_equal(pageinfo_lend(page(4)), 0);
    assert_int_equal(pageinfo_take(page(4)), -EBUSY);
    pageinfo_return(page(4));
    assert_int_equal(pageinfo_take(page(4)), -EBUSY);
    pageinfo_return(page(4));
    assert_int_equal(pageinfo_take(page(4)), 0);
    assert_true(pageinfo_deposited(page(4)));
    assert_int_equal(pageinfo_take(page(4)), -EINVAL);
    assert_int_equal(pageinfo_lend(page(4)), -EINVAL);
    pageinfo_give_back(page(4));
    assert_false(pageinfo_deposited(page(4)));
    assert_int_equal(pageinfo_lend(page(4)), 0);
}

static void lending_has_a_bound(void **state)
{
    struct range_map ram = {.count = 1};
    unsigned n = 0;

    ram.r[0] = (struct range){0, 32 * PAGE_SIZE, RANGE_RAM};
    assert_int_equal(pageinfo_init(&ram), 0);
    while (!pageinfo_lend(page(3)))
        n++;
    assert_true(n > 60000 && n < 65536);
    assert_int_equal(pageinfo_lend(page(3)), -ENOSPC);
    while (n--)
        pageinfo_return(page(3));
    assert_int_equal(pageinfo_take(page(3)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_out_zeroed_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_neighbours, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_a_reserve, setup, teardown),
        cmocka_unit_test_setup_teardown(runs_of_both_directions, setup, teardown),
        cmocka_unit_test_setup_teardown(random_use, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_have_one_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(lending_has_a_bound, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
