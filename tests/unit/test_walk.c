/* SPDX-License-Identifier: MIT */
/* The guest page walk in every paging mode, over a small model of guest memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/vp/walk.h"
#include "lib/errno.h"
#include "lib/string.h"

#define RAM_SIZE 0x10000

#define P  1ULL
#define PS BIT64(7)

static _Alignas(8) uint8_t ram[RAM_SIZE];
static struct walk_mode mode;
static struct segment code_segment;
static bool long_mode;
static bool read_only; /* memory cannot be written */

int guest_read(struct partition *p, gpa_t addr, void *buf, size_t len)
{
    if (addr.v >= RAM_SIZE || len > RAM_SIZE - addr.v)
        return -EFAULT;
    memcpy(buf, ram + addr.v, len);
    return 0;
}

void *guest_page(struct partition *p, gpa_t addr, enum access access)
{
    return addr.v < RAM_SIZE && !(access & ACCESS_WRITE && read_only) ? ram + addr.v : NULL;
}

uint64_t vendor_vp_get(const struct vp *vp, enum vreg r)
{
    switch (r) {
    case VREG_CR0:
        return mode.cr0;
    case VREG_CR3:
        return mode.cr3;
    case VREG_CR4:
        return mode.cr4;
    default:
        return mode.efer;
    }
}

void vendor_vp_get_segment(const struct vp *vp, enum seg s, struct segment *out)
{
    *out = code_segment;
}

bool vp_long_mode(const struct vp *vp)
{
    return long_mode;
}

static void put64(uint64_t at, uint64_t v)
{
    memcpy(ram + at, &v, sizeof(v));
}

static void put32(uint64_t at, uint32_t v)
{
    memcpy(ram + at, &v, sizeof(v));
}

static int setup(void **state)
{
    memset(ram, 0, sizeof(ram));
    mode = (struct walk_mode){.cr0 = CR0_PG | CR0_PE, .cr3 = 0x1000};
    long_mode = false;
    return 0;
}

static void maps(uint64_t at, uint64_t to)
{
    gpa_t out = gpa(0);

    assert_int_equal(walk_translate(NULL, &mode, gva(at), &out), 0);
    assert_int_equal(out.v, to);
}

static void faults(uint64_t at)
{
    gpa_t out = gpa(0x77);

    assert_int_equal(walk_translate(NULL, &mode, gva(at), &out), -EFAULT);
    assert_int_equal(out.v, 0x77);
}

static void four_levels(void **state)
{
    mode.cr4 = CR4_PAE;
    mode.efer = EFER_LMA;
    put64(0x1000 + 511 * 8, 0x2000 | P);
    put64(0x2000 + 510 * 8, 0x3000 | P);
    put64(0x2000 + 509 * 8, 0x40000000 | PS | P);
    put64(0x3000, 0x4000 | P);
    put64(0x3000 + 8, 0x200000 | PS | P | BIT64(63));
    put64(0x4000 + 3 * 8, 0x5000 | P);
    maps(0xffffffff80003abc, 0x5abc);
    maps(0xffffffff80212345, 0x212345);
    maps(0xffffffff40123456, 0x40123456);
    faults(0xffffffff80004000);
    faults(0x1000);
}

static void five_levels(void **state)
{
    mode.cr4 = CR4_PAE | CR4_LA57;
    mode.efer = EFER_LMA;
    put64(0x1000, 0x2000 | P);
    put64(0x2000, 0x3000 | P);
    put64(0x3000, 0x40000000 | PS | P);
    maps(0x123456, 0x40123456);
    put64(0x2000, 0x3000 | PS | P); /* no leaf at level 4: the bit is reserved, and ignored here */
    maps(0x123456, 0x40123456);
}

static void physical_address_extension(void **state)
{
    mode.cr4 = CR4_PAE;
    mode.cr3 = 0x1020; /* the four entries need 32 bytes of alignment only */
    put64(0x1020 + 3 * 8, 0x2000 | P);
    put64(0x2000, 0x3000 | P);
    put64(0x2000 + 8, 0x600000 | PS | P);
    put64(0x3000 + 7 * 8, 0xf00007000 | P);
    maps(0xc0007010, 0xf00007010);
    maps(0xc0200020, 0x600020);
    faults(0x80000000);
}

static void thirty_two_bits(void **state)
{
    mode.cr4 = CR4_PSE;
    put32(0x1000 + 4, 0x2000 | P);
    put32(0x2000 + 4, 0x3000 | P);
    put32(0x1000 + 8, 0x00c02000 | PS | P); /* bits 20:13 give address bits 39:32 */
    maps(0x401123, 0x3123);
    maps(0x800456, 0x100c00456);
    mode.cr4 = 0; /* without PSE it is a table */
    faults(0x800456);
}

static void unpaged(void **state)
{
    mode.cr0 = CR0_PE;
    maps(0x12345678, 0x12345678);
}

static void tables_outside_memory(void **state)
{
    mode.cr4 = CR4_PAE;
    mode.efer = EFER_LMA;
    mode.cr3 = 0x7fffffff000;
    faults(0);
    mode.cr3 = 0x1000;
    put64(0x1000, 0x0ffffffffffff000 | P);
    faults(0);
}

static void fetch_over_a_page_end(void **state)
{
    struct vp *vp = test_calloc(1, sizeof(*vp));
    uint8_t bytes[15];

    mode.cr4 = CR4_PAE;
    mode.efer = EFER_LMA;
    long_mode = true;
    put64(0x1000, 0x2000 | P);
    put64(0x2000, 0x3000 | P);
    put64(0x3000, 0x4000 | P);
    put64(0x4000, 0x6000 | P);
    memset(ram + 0x6ff8, 0xaa, 8);
    vp->regs.rip = 0xff8;
    assert_int_equal(walk_fetch(vp, bytes, sizeof(bytes)), 8); /* the next page is not mapped */
    put64(0x4000 + 8, 0x9000 | P);
    assert_int_equal(walk_fetch(vp, bytes, sizeof(bytes)), 15);
    assert_int_equal(bytes[7], 0xaa);
    assert_int_equal(bytes[8], 0);
    /* Real mode: the segment's base counts, and addresses wrap at 4 GiB. */
    long_mode = false;
    mode.cr0 = 0;
    code_segment.base = 0xffffff00;
    vp->regs.rip = 0x70f8;
    assert_int_equal(walk_fetch(vp, bytes, 8), 8);
    assert_int_equal(bytes[0], 0xaa);
    test_free(vp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(four_levels, setup),
        cmocka_unit_test_setup(five_levels, setup),
        cmocka_unit_test_setup(physical_address_extension, setup),
        cmocka_unit_test_setup(thirty_two_bits, setup),
        cmocka_unit_test_setup(unpaged, setup),
        cmocka_unit_test_setup(tables_outside_memory, setup),
        cmocka_unit_test_setup(fetch_over_a_page_end, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
