/* SPDX-License-Identifier: MIT */
/* Page tables against a flat model, read back by a walker that works as the processor's does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hypervisor/mm/pagetable.h"
#include "tests/unit/shim_frames.h"

#define KIB4 PAGE_SIZE
#define MIB2 0x200000ULL
#define GIB1 0x40000000ULL

/* The window of address space that the model covers. */
#define WINDOW_PAGES (3 * GIB1 / KIB4)

struct model_page {
    uint64_t pa; /* 0 means not mapped: tests never map frame 0 */
    uint64_t flags;
};

static struct model_page *model;
static uint64_t window; /* its first address */
static struct pagetable pt;

#define FLAG_MASK (PTE_P | PTE_W | PTE_U | PTE_PWT | PTE_PCD | PTE_G | PTE_NX)

/* Effective translation with the rights of all levels combined; false if not present. */
static bool walk(uint64_t va, uint64_t *pa, uint64_t *flags, unsigned *leaf_level)
{
    uint64_t table = pt.root.v;
    uint64_t rights = PTE_W | PTE_U;

    for (unsigned level = 3;; level--) {
        unsigned shift = 12 + 9 * level;
        uint64_t e = ((uint64_t *)hpa_to_virt(hpa(table)))[(va >> shift) & 511];
        if (!(e & PTE_P))
            return false;
        if (level == 0 || e & PTE_PS) {
            assert_true(level < 3);
            assert_false(level == 0 && e & PTE_PS); /* that bit is PAT there */
            assert_int_equal(e & PTE_ADDR & ((1ULL << shift) - 1), 0);
            *pa = (e & PTE_ADDR) | (va & ((1ULL << shift) - 1));
            *flags = (e & (FLAG_MASK & ~(PTE_W | PTE_U))) | (e & rights);
            *leaf_level = level;
            return true;
        }
        rights &= e;
        table = e & PTE_ADDR;
    }
}

static void check_page(uint64_t i)
{
    struct pagetable_leaf leaf;
    uint64_t va = window + i * KIB4;
    uint64_t pa, flags;
    unsigned level;
    bool there = walk(va + 0x123, &pa, &flags, &level);

    assert_int_equal(there, model[i].pa != 0);
    assert_int_equal(pagetable_query(&pt, va + 0x123, &leaf), there ? 0 : -ENOENT);
    if (!there)
        return;
    assert_int_equal(pa, model[i].pa + 0x123);
    assert_int_equal(flags, model[i].flags);
    assert_int_equal(leaf.pa.v, pa);
    assert_int_equal(leaf.flags & FLAG_MASK, flags);
    assert_int_equal(leaf.size, level);
}

static void count(hpa_t table, unsigned level, uint64_t *tables, uint64_t leaves[PAGE_SIZES])
{
    const uint64_t *e = hpa_to_virt(table);
    bool empty = true;

    ++*tables;
    for (unsigned i = 0; i < 512; i++) {
        if (!(e[i] & PTE_P))
            continue;
        empty = false;
        if (level > 0 && !(e[i] & PTE_PS))
            count(hpa(e[i] & PTE_ADDR), level - 1, tables, leaves);
        else
            leaves[level]++;
    }
    assert_true(level == 3 || !empty);
}

/* No leak, no empty table, counters true. */
static void check_tree(void)
{
    uint64_t tables = 0, leaves[PAGE_SIZES] = {0};

    count(pt.root, 3, &tables, leaves);
    assert_int_equal(tables, pt.tables);
    assert_memory_equal(leaves, pt.leaves, sizeof(leaves));
    assert_int_equal(shim_frames_used(), pt.tables + pt.retired_count);
}

static void check_all(void)
{
    for (uint64_t i = 0; i < WINDOW_PAGES; i++)
        check_page(i);
    check_tree();
}

/* The ends of a range, beside them, and a few random pages. */
static void check_some(uint64_t first, uint64_t pages)
{
    for (int d = -2; d <= 2; d++) {
        uint64_t a = first + (uint64_t)d, b = first + pages + (uint64_t)d;
        if (a < WINDOW_PAGES)
            check_page(a);
        if (b < WINDOW_PAGES)
            check_page(b);
    }
    for (int i = 0; i < 64; i++)
        check_page(shim_random() % WINDOW_PAGES);
    for (int i = 0; i < 32; i++)
        check_page(first + shim_random() % pages);
    check_tree();
}

static uint64_t random_flags(void)
{
    uint64_t f = PTE_P | (shim_random() & (PTE_W | PTE_PWT | PTE_PCD | PTE_NX));

    return pt.kind == PAGETABLE_NESTED ? f | PTE_U : f | (shim_random() & PTE_G);
}

struct op {
    int kind; /* 0, 1 map, 2 unmap, 3 protect */
    uint64_t first, pages, pa, flags;
    enum page_size max;
};

static struct op random_op(void)
{
    static const uint64_t grain[] = {1, 1, 512, 512, 512 * 512};
    uint64_t g = grain[shim_random() % 5], max = WINDOW_PAGES / g;
    struct op op = {.kind = (int)(shim_random() % 4), .flags = random_flags()};
    uint64_t first, pages;

    first = shim_random() % max;
    pages = 1 + shim_random() % (g == 1 ? 2000 : g == 512 ? 900 : 2);
    if (pages > max - first)
        pages = max - first;
    op.first = first * g;
    op.pages = pages * g;
    op.max = (enum page_size)(shim_random() % PAGE_SIZES);
    if (op.pages > 20000 && op.max == PAGE_SIZE_4K)
        op.max = PAGE_SIZE_2M;
    op.pa = ((shim_random() % 0x10000000) + 1) * KIB4;
    if (shim_random() & 1) /* congruent: large leaves possible */
        op.pa = (op.pa & ~(GIB1 - 1)) + GIB1 + ((window + op.first * KIB4) & (GIB1 - 1));
    return op;
}

static int run_op(const struct op *op)
{
    uint64_t va = window + op->first * KIB4, len = op->pages * KIB4;

    if (op->kind < 2)
        return pagetable_map(&pt, va, hpa(op->pa), len, op->flags, op->max);
    if (op->kind == 2)
        return pagetable_unmap(&pt, va, len);
    return pagetable_protect(&pt, va, len, op->flags);
}

static void model_op(const struct op *op)
{
    for (uint64_t i = 0; i < op->pages; i++) {
        struct model_page *m = &model[op->first + i];
        if (op->kind < 2)
            *m = (struct model_page){op->pa + i * KIB4, op->flags};
        else if (op->kind == 2)
            m->pa = 0;
        else
            m->flags = op->flags;
    }
}

static void random_run(enum pagetable_kind kind, uint64_t base, unsigned ops)
{
    shim_frames_init();
    model = calloc(WINDOW_PAGES, sizeof(*model));
    assert_non_null(model);
    window = base;
    assert_int_equal(pagetable_init(&pt, kind, NULL), 0);
    for (unsigned n = 0; n < ops; n++) {
        struct op op = random_op();
        int err;

        shim_fail_after = shim_random() % 2 ? (long)(shim_random() % 6) : -1;
        err = run_op(&op);
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_int_equal(shim_fail_after, 0);
            check_some(op.first, op.pages);
            if (n % 64 == 0)
                check_all();
            shim_fail_after = -1;
            assert_int_equal(run_op(&op), 0);
        }
        model_op(&op);
        check_some(op.first, op.pages);
        if (n % 3 == 0)
            pagetable_reclaim(&pt);
    }
    check_all();
    pagetable_destroy(&pt);
    assert_int_equal(shim_frames_used(), 0);
    free(model);
    shim_frames_done();
}

static void test_random_nested(void **state)
{
    random_run(PAGETABLE_NESTED, 510 * GIB1, 500); /* across an entry of the top table */
}

static void test_random_host(void **state)
{
    random_run(PAGETABLE_HOST, 0xFFFF800000000000ULL, 250);
}

static void test_random_host_low(void **state)
{
    random_run(PAGETABLE_HOST, 0, 100);
}

/* Fail at every allocation in turn; all that was there stays, then the change succeeds. */
static void test_every_allocation_fails(void **state)
{
    struct op before = {0, 0, 2 * 512 * 512, 4 * GIB1, PTE_P | PTE_U | PTE_W, PAGE_SIZE_1G};
    struct op ops[] = {
        {0, 3, 2 * 512 * 512 + 700, 77 * KIB4, PTE_P | PTE_U, PAGE_SIZE_2M},
        {0, 512 * 512 + 5, 1500, 9 * GIB1 + 3 * KIB4, PTE_P | PTE_U, PAGE_SIZE_4K},
        {2, 1, 512 * 512, 0, 0, 0},
        {3, 512 * 512 - 1, 2, 0, PTE_P | PTE_U | PTE_NX, 0},
    };

    model = calloc(WINDOW_PAGES, sizeof(*model));
    assert_non_null(model);
    window = 0;
    for (unsigned i = 0; i < 4; i++) {
        shim_frames_init();
        assert_int_equal(pagetable_init(&pt, PAGETABLE_NESTED, NULL), 0);
        memset(model, 0, WINDOW_PAGES * sizeof(*model));
        assert_int_equal(run_op(&before), 0);
        model_op(&before);
        for (long k = 0;; k++) {
            shim_fail_after = k;
            int err = run_op(&ops[i]);
            if (!err)
                break;
            assert_int_equal(err, -ENOMEM);
            check_some(ops[i].first, ops[i].pages);
            pagetable_reclaim(&pt);
        }
        model_op(&ops[i]);
        check_all();
        pagetable_destroy(&pt);
        assert_int_equal(shim_frames_used(), 0);
        shim_frames_done();
    }
    free(model);
}

static void setup_tree(enum pagetable_kind kind)
{
    shim_frames_init();
    assert_int_equal(pagetable_init(&pt, kind, NULL), 0);
}

static void drop_tree(void)
{
    pagetable_destroy(&pt);
    pagetable_destroy(&pt); /* harmless */
    assert_int_equal(shim_frames_used(), 0);
    shim_frames_done();
}

static void test_leaf_sizes(void **state)
{
    setup_tree(PAGETABLE_NESTED);
    /* The largest leaves that alignment allows: 2 pages, 511 large, 1 huge, 1 large, 1 page. */
    assert_int_equal(pagetable_map(&pt, MIB2 - 2 * KIB4, hpa(GIB1 + MIB2 - 2 * KIB4),
                                   2 * GIB1 + KIB4 + 2 * KIB4, PTE_W, PAGE_SIZE_1G),
                     0);
    assert_int_equal(pt.leaves[PAGE_SIZE_1G], 1);
    assert_int_equal(pt.leaves[PAGE_SIZE_2M], 512);
    assert_int_equal(pt.leaves[PAGE_SIZE_4K], 3);
    /* One page out of the huge leaf splits it twice. */
    assert_int_equal(pagetable_unmap(&pt, GIB1 + 5 * KIB4, KIB4), 0);
    assert_int_equal(pt.leaves[PAGE_SIZE_1G], 0);
    assert_int_equal(pt.leaves[PAGE_SIZE_2M], 512 + 511);
    assert_int_equal(pt.leaves[PAGE_SIZE_4K], 3 + 511);
    /* Putting it back as a huge leaf retires both tables and their contents stay. */
    assert_int_equal(pt.retired_count, 0);
    assert_int_equal(pagetable_map(&pt, GIB1, hpa(2 * GIB1), GIB1, PTE_W, PAGE_SIZE_1G), 0);
    assert_int_equal(pt.retired_count, 2);
    assert_int_equal(pt.leaves[PAGE_SIZE_1G], 1);
    const uint64_t *old = hpa_to_virt(pt.retired);
    assert_int_equal(old[3] & (PTE_P | PTE_ADDR), (2 * GIB1 + 3 * MIB2) | PTE_P);
    pagetable_reclaim(&pt);
    assert_int_equal(pt.retired_count, 0);
    /* Not congruent: no large leaf even if asked for. */
    assert_int_equal(pagetable_map(&pt, GIB1, hpa(2 * GIB1 + KIB4), MIB2, PTE_W, PAGE_SIZE_2M), 0);
    assert_int_equal(pt.leaves[PAGE_SIZE_4K], 3 + 512);
    drop_tree();
}

static void test_bits(void **state)
{
    const uint64_t *top;

    setup_tree(PAGETABLE_HOST);
    assert_int_equal(pagetable_map(&pt, 0xFFFFFFFF80000000ULL, hpa(MIB2), MIB2,
                                   PTE_W | PTE_G | PTE_NX | PTE_PCD | PTE_PWT, PAGE_SIZE_2M),
                     0);
    top = hpa_to_virt(pt.root);
    assert_int_equal(top[511] & 0xFFF, PTE_P | PTE_W | PTE_A);
    drop_tree();

    setup_tree(PAGETABLE_NESTED);
    assert_int_equal(pagetable_map(&pt, 0, hpa(MIB2), KIB4, 0, PAGE_SIZE_4K), 0);
    top = hpa_to_virt(pt.root);
    assert_int_equal(top[0] & 0xFFF, PTE_P | PTE_W | PTE_U | PTE_A);
    struct pagetable_leaf leaf;
    assert_int_equal(pagetable_query(&pt, 0xFFF, &leaf), 0);
    assert_int_equal(leaf.flags, PTE_P | PTE_U);
    assert_int_equal(leaf.pa.v, MIB2 + 0xFFF);
    drop_tree();
}

static void test_bad_arguments(void **state)
{
    struct pagetable_leaf leaf;
    const uint64_t top = 1ULL << 48;

    setup_tree(PAGETABLE_NESTED);
    assert_int_equal(pagetable_map(&pt, 1, hpa(0), KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0, hpa(1), KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0, hpa(0), 0, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0, hpa(0), 5, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0, hpa(0), KIB4, PTE_PS, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0, hpa(0), KIB4, 0, PAGE_SIZES), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0, hpa(1ULL << 52), KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0, hpa((1ULL << 52) - KIB4), 2 * KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, top - KIB4, hpa(KIB4), 2 * KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, top, hpa(KIB4), KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_unmap(&pt, 0, top + KIB4), -EINVAL);
    assert_int_equal(pagetable_unmap(&pt, KIB4, 0 - KIB4), -EINVAL);
    assert_int_equal(pagetable_protect(&pt, 0, KIB4, BIT64(9)), -EINVAL);
    assert_int_equal(pagetable_query(&pt, top, &leaf), -EINVAL);
    assert_int_equal(pagetable_query(&pt, ~0ULL, &leaf), -EINVAL);
    assert_int_equal(pt.tables, 1);
    /* The last page, and everything at once. */
    assert_int_equal(pagetable_map(&pt, top - KIB4, hpa((1ULL << 52) - KIB4), KIB4, 0, 0), 0);
    assert_int_equal(pagetable_query(&pt, top - 1, &leaf), 0);
    assert_int_equal(leaf.pa.v, (1ULL << 52) - 1);
    assert_int_equal(pagetable_protect(&pt, 0, top, PTE_W), 0);
    assert_int_equal(pagetable_unmap(&pt, 0, top), 0);
    assert_int_equal(pt.tables, 1);
    drop_tree();

    setup_tree(PAGETABLE_HOST);
    assert_int_equal(pagetable_map(&pt, 1ULL << 47, hpa(0), KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, (1ULL << 47) - KIB4, hpa(0), 2 * KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0 - KIB4, hpa(0), 2 * KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0xFFFF7FFFFFFFF000ULL, hpa(0), KIB4, 0, 0), -EINVAL);
    assert_int_equal(pagetable_map(&pt, 0 - KIB4, hpa(KIB4), KIB4, 0, 0), 0);
    assert_int_equal(pagetable_query(&pt, ~0ULL, &leaf), 0);
    assert_int_equal(leaf.pa.v, 2 * KIB4 - 1);
    drop_tree();

    shim_frames_init();
    shim_fail_after = 0;
    assert_int_equal(pagetable_init(&pt, PAGETABLE_NESTED, NULL), -ENOMEM);
    shim_frames_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf_sizes),      cmocka_unit_test(test_bits),
        cmocka_unit_test(test_bad_arguments),   cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_random_nested),   cmocka_unit_test(test_random_host),
        cmocka_unit_test(test_random_host_low),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
