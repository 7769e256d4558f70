/* SPDX-License-Identifier: MIT */
/* A child's memory: whose each page is after every change, and that nobody can still reach it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/mm/pageinfo.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/child_priv.h"
#include "hypervisor/vp/vp.h"
#include "tests/unit/shim_frames.h"

#define PAGES 2048ULL /* of the parent, from page 1 on */
#define MIB2  0x200000ULL
#define RW    (ACCESS_READ | ACCESS_WRITE)
#define ALL   (HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE | HV_MAP_GPA_KERNEL_EXECUTABLE)

static struct gpa_map maps[2];
static struct partition parent = {.map = &maps[0]};
static struct partition child = {.map = &maps[1], .parent = &parent, .is_child = true};
static unsigned lent[PAGES];
static unsigned flushes;
static bool flushed; /* since the last change of who owns what */

int pageinfo_lend(hpa_t page)
{
    if (!page.v || page.v / PAGE_SIZE >= PAGES)
        return -EINVAL;
    lent[page.v / PAGE_SIZE]++;
    return 0;
}

void pageinfo_return(hpa_t page)
{
    assert_true(page.v / PAGE_SIZE < PAGES && lent[page.v / PAGE_SIZE]--);
}

int pageinfo_take(hpa_t page)
{
    return -EINVAL;
}

void pageinfo_give_back(hpa_t page)
{
}

void vp_flush_tlb_sync(struct partition *p, const uint64_t mask[PARTITION_MAX_VPS / 64])
{
    flushes++;
}

void lp_barrier(void)
{
    flushed = true;
}

void panic(const char *fmt, ...)
{
    abort();
}

bool memory_is_ram(hpa_t page)
{
    return true;
}

int pool_alloc(struct pool *p, unsigned pages, hpa_t *out)
{
    return frame_alloc(pages, 1, out);
}

void pool_free(struct pool *p, hpa_t page, unsigned pages)
{
    frame_free(page, pages);
}

void pool_deposit(struct pool *p, hpa_t page)
{
}

bool pool_withdraw(struct pool *p, hpa_t *page)
{
    return false;
}

int64_t pool_reserve(struct pool *p, uint64_t pages)
{
    return 0;
}

void pool_balance(struct pool *p, uint64_t *available, uint64_t *in_use)
{
    *available = *in_use = 0;
}

int partition_alloc(struct partition *p, unsigned pages, hpa_t *out)
{
    return frame_alloc(pages, 1, out);
}

void partition_free(struct partition *p, hpa_t page, unsigned pages)
{
    frame_free(page, pages);
}

static int setup(void **state)
{
    shim_frames_init();
    memset(lent, 0, sizeof(lent));
    memset(&child.hypercall_page, 0, sizeof(child.hypercall_page));
    flushes = 0;
    assert_int_equal(gpa_map_init(&maps[0], PAGE_SIZE_2M, NULL), 0);
    assert_int_equal(gpa_map_init(&maps[1], PAGE_SIZE_2M, NULL), 0);
    return gpa_map_set(parent.map, gpa(0), hpa(0), PAGES * PAGE_SIZE, 7);
}

static int teardown(void **state)
{
    child_memory_destroy(&child);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(lent[i], 0);
    gpa_map_destroy(parent.map);
    assert_int_equal(shim_frames_used(), 0);
    shim_frames_done();
    return 0;
}

static unsigned lent_pages(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < PAGES; i++)
        n += lent[i];
    return n;
}

static void map(uint64_t at, uint64_t pfn, uint32_t flags)
{
    uint32_t done;

    assert_int_equal(child_map(&child, &parent, gpa(at), &pfn, 1, ALL | flags, &done), 0);
    assert_int_equal(done, 1);
}

static void close_all(uint64_t at, uint32_t count, bool large)
{
    while (count) {
        uint32_t done;

        flushed = false;
        assert_int_equal(child_close(&child, gpa(at), count, large, &done), 0);
        assert_true(done && done <= count);
        at += done * (large ? MIB2 : PAGE_SIZE);
        count -= done;
    }
}

static int look(uint64_t at)
{
    hpa_t there;

    return gpa_map_lookup(child.map, gpa(at), ACCESS_READ, &there);
}

static void small_pages_under_a_large_unit(void **state)
{
    uint64_t tables, first = 1 + shim_random() % 512;

    for (uint64_t i = 0; i < 512; i++)
        map(MIB2 + i * PAGE_SIZE, first + i, 0);
    assert_int_equal(lent_pages(), 512);
    tables = shim_frames_used();
    shim_fail_after = 0;
    close_all(MIB2, 1, true);
    assert_true(flushed);
    assert_int_equal(lent_pages(), 0);
    assert_int_equal(shim_frames_used(), tables - 1);
    assert_int_equal(look(MIB2), -EACCES);
    shim_fail_after = -1;
    /* What was never there needs no flush; a table that falls out of use does. */
    flushes = 0;
    close_all(2 * MIB2, 1, true);
    assert_int_equal(flushes, 0);
    map(MIB2, 5, 0);
    close_all(MIB2, 1, false);
    flushes = 0;
    map(MIB2, 512, HV_MAP_GPA_LARGE_PAGE);
    assert_int_equal(flushes, 1);
    assert_int_equal(lent_pages(), 512);
    assert_int_equal(shim_frames_used(), tables - 1);
    close_all(MIB2 + 7 * PAGE_SIZE, 3, false);
    assert_int_equal(lent_pages(), 509);
}

static void nothing_happens_without_memory(void **state)
{
    uint64_t pfn = 9, used;
    uint32_t done;

    close_all(0, 1, true);
    used = shim_frames_used();
    shim_fail_after = 0;
    assert_int_equal(child_map(&child, &parent, gpa(0x3000), &pfn, 1, ALL, &done), -ENOMEM);
    assert_int_equal(done, 0);
    assert_int_equal(child_close(&child, gpa(1ULL << 40), 1, true, &done), -ENOMEM);
    shim_fail_after = -1;
    assert_int_equal(lent_pages(), 0);
    assert_int_equal(shim_frames_used(), used);
    assert_int_equal(look(0x3000), -EACCES);
}

/* The hypercall page stays where it is; each page below it comes and goes. */
static void overlay_stays(void **state)
{
    struct overlay *o = &child.hypercall_page;
    hpa_t there;

    for (uint64_t i = 0; i < 16; i++)
        map(i * PAGE_SIZE, 1 + i, 0);
    assert_int_equal(overlay_show(&child, o, gpa(0xc000), "code", 4, ACCESS_READ | ACCESS_EXEC), 0);
    close_all(0xa000, 4, false);
    assert_int_equal(lent_pages(), 12);
    assert_int_equal(look(0xb000), -EACCES);
    assert_int_equal(gpa_map_lookup(child.map, gpa(0xc000), ACCESS_EXEC, &there), 0);
    assert_int_equal(there.v, o->frame.v);
    map(0xc000, 100, 0);
    assert_int_equal(lent_pages(), 13);
    close_all(0, 1, true);
    assert_int_equal(lent_pages(), 0);
    map(0, 512, HV_MAP_GPA_LARGE_PAGE);
    assert_int_equal(lent_pages(), 512);
    assert_true(overlay_at(&child, gpa(0xc000)));
    overlay_hide(&child, o);
    assert_int_equal(gpa_map_lookup(child.map, gpa(0xc000), ACCESS_WRITE, &there), 0);
    assert_int_equal(there.v, MIB2 + 0xc000);
    assert_int_equal(overlay_show(&child, o, gpa(0xd000), "code", 4, ACCESS_READ | ACCESS_EXEC), 0);
    close_all(0, 1, true);
    overlay_hide(&child, o);
    assert_int_equal(look(0xd000), -EACCES);
    assert_int_equal(lent_pages(), 0);
}

/* Two overlays of the partition and those of a VP, side by side; a closed page may be covered. */
static void many_overlays(void **state)
{
    static struct vp vp;
    struct overlay *const all[] = {&child.reference_tsc_page, &vp.synic.sief, &vp.assist_page,
                                   &child.hypercall_page, &vp.synic.sim};
    hpa_t there;

    memset(&vp, 0, sizeof(vp));
    child.vps[0] = &vp;
    child.vp_count = 1;
    close_all(0, 1, true);
    for (uint64_t i = 0; i < ARRAY_SIZE(all); i++)
        assert_int_equal(overlay_show(&child, all[i], gpa((3 + 2 * i) * PAGE_SIZE), NULL, 0, RW),
                         0);
    assert_int_equal(overlay_show(&child, &vp.synic.sir, gpa(0x5000), NULL, 0, RW), -EFAULT);
    assert_int_equal(overlay_show(&child, &vp.synic.sir, gpa(MIB2), NULL, 0, RW), -EFAULT);
    assert_ptr_equal(overlay_in(&child, gpa(0x4000), MIB2), &vp.synic.sief);
    assert_null(overlay_in(&child, gpa(0xc000), MIB2));
    map(0, 512, HV_MAP_GPA_LARGE_PAGE);
    for (uint64_t i = 0; i < 12; i++) {
        assert_int_equal(gpa_map_lookup(child.map, gpa(i * PAGE_SIZE), RW, &there), 0);
        assert_true((there.v == MIB2 + i * PAGE_SIZE) == !overlay_at(&child, gpa(i * PAGE_SIZE)));
    }
    for (uint64_t i = 0; i < 12; i++)
        map(i * PAGE_SIZE, 1 + i, 0);
    close_all(4 * PAGE_SIZE, 7, false);
    for (uint64_t i = 0; i < ARRAY_SIZE(all); i++) {
        assert_true(all[i]->shown);
        overlay_hide(&child, all[i]);
        overlay_free(&child, all[i]);
    }
    assert_int_equal(look(0x5000), -EACCES);
    assert_int_equal(gpa_map_lookup(child.map, gpa(0xb000), RW, &there), 0);
    assert_int_equal(there.v, 12 * PAGE_SIZE);
    child.vps[0] = NULL;
    child.vp_count = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_pages_under_a_large_unit, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_happens_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(overlay_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(many_overlays, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
