/* SPDX-License-Identifier: MIT */
/* Guest memory access: page crossings, rights, device pages, and all-or-nothing writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hypervisor/mm/gpamap.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/partition/partition.h"
#include "tests/unit/shim_frames.h"

/* Guest pages 0 .. 31; backing frames come from the shim's arena, in random order. */
#define PAGES 32U

static struct gpa_map map;
static struct partition part = {.map = &map};
static unsigned rights[PAGES]; /* enum access bits, 0 is unmapped */
static bool device[PAGES];
static hpa_t frame[PAGES];
static uint8_t content[PAGES * PAGE_SIZE]; /* what each mapped frame should hold */

bool memory_is_ram(hpa_t page)
{
    assert_int_equal(page.v % PAGE_SIZE, 0);
    for (unsigned i = 0; i < PAGES; i++)
        if (frame[i].v == page.v)
            return !device[i];
    return false;
}

static void setup_pages(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        rights[i] = shim_random() % 8 ? ACCESS_READ | (shim_random() % 8 ? ACCESS_WRITE : 0) : 0;
        device[i] = shim_random() % 16 == 0;
        assert_int_equal(frame_alloc(1, 1, &frame[i]), 0);
        for (unsigned b = 0; b < PAGE_SIZE; b++)
            content[i * PAGE_SIZE + b] = (uint8_t)shim_random();
        memcpy(hpa_to_virt(frame[i]), &content[i * PAGE_SIZE], PAGE_SIZE);
        if (rights[i])
            assert_int_equal(gpa_map_set(&map, gpa(i * PAGE_SIZE), frame[i], PAGE_SIZE, rights[i]),
                             0);
    }
}

static void drop_pages(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        assert_memory_equal(hpa_to_virt(frame[i]), &content[i * PAGE_SIZE], PAGE_SIZE);
        frame_free(frame[i], 1);
    }
    assert_int_equal(gpa_map_clear(&map, gpa(0), PAGES * PAGE_SIZE), 0);
}

static bool allowed(uint64_t addr, size_t len, unsigned access)
{
    for (uint64_t i = addr / PAGE_SIZE; len && i <= (addr + len - 1) / PAGE_SIZE; i++)
        if (i >= PAGES || access & ~rights[i] || device[i])
            return false;
    return true;
}

static void random_copies(unsigned n)
{
    static uint8_t buf[PAGES * PAGE_SIZE];

    while (n--) {
        uint64_t addr = shim_random() % (PAGES * PAGE_SIZE);
        size_t len = shim_random() % (shim_random() % 2 ? 64 : 4 * PAGE_SIZE);

        if (shim_random() % 2) {
            bool ok = allowed(addr, len, ACCESS_READ);
            assert_int_equal(guest_read(&part, gpa(addr), buf, len), ok ? 0 : -EFAULT);
            if (ok)
                assert_memory_equal(buf, &content[addr], len);
            continue;
        }
        bool ok = allowed(addr, len, ACCESS_WRITE);
        for (size_t i = 0; i < len; i++)
            buf[i] = (uint8_t)shim_random();
        assert_int_equal(guest_write(&part, gpa(addr), buf, len), ok ? 0 : -EFAULT);
        if (ok)
            memcpy(&content[addr], buf, len);
    }
}

static void test_random(void **state)
{
    shim_frames_init();
    assert_int_equal(gpa_map_init(&map, PAGE_SIZE_2M, NULL), 0);
    for (unsigned n = 0; n < 100; n++) {
        setup_pages();
        random_copies(100);
        drop_pages(); /* compares: a refused write left every byte alone */
    }
    gpa_map_destroy(&map);
    assert_int_equal(shim_frames_used(), 0);
    shim_frames_done();
}

static void test_limits(void **state)
{
    static uint8_t buf[GUEST_COPY_MAX + 1];

    shim_frames_init();
    assert_int_equal(gpa_map_init(&map, PAGE_SIZE_4K, NULL), 0);
    memset(device, 0, sizeof(device));
    for (unsigned i = 0; i < PAGES; i++) {
        assert_int_equal(frame_alloc(1, 1, &frame[i]), 0);
        assert_int_equal(gpa_map_set(&map, gpa(i * PAGE_SIZE), frame[i], PAGE_SIZE, ACCESS_READ),
                         0);
    }
    assert_int_equal(guest_read(&part, gpa(4095), buf, GUEST_COPY_MAX), 0);
    assert_int_equal(guest_read(&part, gpa(0), buf, GUEST_COPY_MAX + 1), -EFAULT);
    assert_int_equal(guest_read(&part, gpa(0), buf, SIZE_MAX), -EFAULT);
    assert_int_equal(guest_read(&part, gpa(~0ULL), buf, 2), -EFAULT);
    assert_int_equal(guest_write(&part, gpa(0), buf, 1), -EFAULT);
    assert_int_equal(guest_read(&part, gpa(~0ULL), buf, 0), 0);
    assert_null(guest_page(&part, gpa(0), ACCESS_WRITE));
    assert_null(guest_page(&part, gpa(PAGES * PAGE_SIZE), ACCESS_READ));
    assert_ptr_equal(guest_page(&part, gpa(0x1234), ACCESS_READ),
                     (uint8_t *)hpa_to_virt(frame[1]) + 0x234);
    gpa_map_destroy(&map);
    shim_frames_done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
