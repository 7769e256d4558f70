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
static bool read_only;             /* memory cannot be written */
static uint64_t closed = RAM_SIZE; /* page that cannot even be read, but is known */

bool guest_denied(struct partition *p, gpa_t addr, unsigned access)
{
    return addr.v < RAM_SIZE &&
           ((addr.v & PAGE_MASK) == closed || (access & ACCESS_WRITE && read_only));
}

int guest_read(struct partition *p, gpa_t addr, void *buf, size_t len)
{
    if ((addr.v & PAGE_MASK) == closed || addr.v >= RAM_SIZE || len > RAM_SIZE - addr.v)
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

/* A table that the guest's parent has to open first, at each level; the page itself may be so. */
static void closed_tables(void **state)
{
    gpa_t out = gpa(0x77);

    mode.cr4 = CR4_PAE;
    mode.efer = EFER_LMA;
    put64(0x1000, 0x2000 | P);
    put64(0x2000, 0x3000 | P);
    put64(0x3000, 0x4000 | P);
    put64(0x4000, 0x5000 | P);
    for (closed = 0x1000; closed < 0x5000; closed += PAGE_SIZE) {
        assert_int_equal(walk_checked(NULL, &mode, gva(0x123), 0, &out), WALK_DENIED);
        assert_int_equal(out.v, 0x77);
    }
    maps(0x123, 0x5123);
    closed = RAM_SIZE;
    put64(0x4000, 0);
    faults(0x123);
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

static enum walk_result check(uint64_t at, unsigned checks)
{
    gpa_t out = gpa(0x77);
    enum walk_result r = walk_checked(NULL, &mode, gva(at), WALK_CHECK | checks, &out);

    assert_true((r == WALK_OK) == (out.v != 0x77));
    return r;
}

#define W  BIT64(1)
#define U  BIT64(2)
#define A  BIT64(5)
#define D  BIT64(6)
#define NX BIT64(63)

/* Page n of the first 2 MiB is at 0x4000 + 8 n. */
static void long_mode_tables(uint64_t upper)
{
    mode.cr4 = CR4_PAE;
    mode.efer = EFER_LME | EFER_LMA | EFER_NXE;
    put64(0x1000, 0x2000 | upper);
    put64(0x2000, 0x3000 | upper);
    put64(0x3000, 0x4000 | upper);
}

static void permissions_of_all_levels(void **state)
{
    long_mode_tables(P | W | U);
    put64(0x4000, 0x9000 | P | W | U);
    put64(0x4008, 0x9000 | P | U);
    put64(0x4010, 0x9000 | P | W);
    put64(0x4018, 0x9000 | P | W | U | NX);
    assert_int_equal(check(0, WALK_WRITE | WALK_USER), WALK_OK);
    assert_int_equal(check(0x1000, WALK_WRITE | WALK_USER), WALK_PRIVILEGE);
    assert_int_equal(check(0x1000, WALK_WRITE), WALK_OK); /* CR0.WP is clear */
    mode.cr0 |= CR0_WP;
    assert_int_equal(check(0x1000, WALK_WRITE), WALK_PRIVILEGE);
    assert_int_equal(check(0x2000, 0), WALK_OK);
    assert_int_equal(check(0x2000, WALK_USER), WALK_PRIVILEGE);
    assert_int_equal(check(0x2000, WALK_USER | WALK_EXEMPT), WALK_OK);
    assert_int_equal(check(0x3000, WALK_EXEC), WALK_PRIVILEGE);
    assert_int_equal(check(0x3000, 0), WALK_OK);
    assert_int_equal(check(0x4000, 0), WALK_NOT_PRESENT);
    assert_int_equal(check(BIT64(47), 0), WALK_NOT_PRESENT); /* not canonical */
    long_mode_tables(P | U); /* an upper level takes the right to write away */
    assert_int_equal(check(0, WALK_WRITE), WALK_PRIVILEGE);
    mode.cr3 = RAM_SIZE;
    assert_int_equal(check(0, 0), WALK_UNMAPPED);
}

static void smep_and_smap(void **state)
{
    long_mode_tables(P | W | U);
    put64(0x4000, 0x9000 | P | U);
    mode.cr4 |= CR4_SMEP | CR4_SMAP;
    assert_int_equal(check(0, 0), WALK_PRIVILEGE);
    assert_int_equal(check(0, WALK_EXEC), WALK_PRIVILEGE);
    assert_int_equal(check(0, WALK_USER), WALK_OK);
    assert_int_equal(check(0, WALK_EXEMPT), WALK_OK);
    mode.ac = true;
    assert_int_equal(check(0, 0), WALK_OK);
    assert_int_equal(check(0, WALK_EXEC), WALK_PRIVILEGE);
}

static void reserved_bits(void **state)
{
    gpa_t out;

    long_mode_tables(P | W | U);
    put64(0x3008, 0x200000 | PS | P | BIT64(12)); /* PAT */
    put64(0x3010, 0x200000 | PS | P | BIT64(13));
    put64(0x4000, 0x9000 | P | NX);
    assert_int_equal(check(0x200000, 0), WALK_OK);
    assert_int_equal(check(0x400000, 0), WALK_RESERVED);
    assert_int_equal(walk_checked(NULL, &mode, gva(0x400000), 0, &out), WALK_OK);
    assert_int_equal(check(0, 0), WALK_OK);
    mode.efer &= ~EFER_NXE;
    assert_int_equal(check(0, 0), WALK_RESERVED);
    put64(0x1000, 0x2000 | P | PS);
    assert_int_equal(check(0, 0), WALK_RESERVED);
    /* PAE: the four have reserved bits of their own, and no rights. */
    mode.efer = 0;
    put64(0x1000, 0x2000 | P);
    put64(0x2000, 0x3000 | P | W | U);
    put64(0x3000, 0x9000 | P | W | U);
    assert_int_equal(check(0, WALK_WRITE | WALK_USER), WALK_OK);
    put64(0x1000, 0x2000 | P | W);
    assert_int_equal(check(0, 0), WALK_RESERVED);
    assert_int_equal(check(BIT64(32), 0), WALK_NOT_PRESENT);
    /* 32 bits */
    mode.cr4 = CR4_PSE;
    put32(0x1000, 0x400000 | (uint32_t)(PS | P | BIT64(21)));
    assert_int_equal(check(0, 0), WALK_RESERVED);
}

static uint64_t entry(uint64_t at)
{
    uint64_t v;

    memcpy(&v, ram + at, sizeof(v));
    return v;
}

static void accessed_and_dirty_bits(void **state)
{
    long_mode_tables(P | W | U);
    put64(0x4000, 0x9000 | P | W);
    put64(0x4008, 0x9000 | P);
    assert_int_equal(check(0, 0), WALK_OK);
    assert_int_equal(entry(0x4000), 0x9000 | P | W);
    assert_int_equal(check(0, WALK_SET_BITS), WALK_OK);
    assert_int_equal(entry(0x1000), 0x2000 | P | W | U | A);
    assert_int_equal(entry(0x3000), 0x4000 | P | W | U | A);
    assert_int_equal(entry(0x4000), 0x9000 | P | W | A);
    assert_int_equal(check(0, WALK_SET_BITS | WALK_WRITE), WALK_OK);
    assert_int_equal(entry(0x4000), 0x9000 | P | W | A | D);
    /* Nothing is set where the access is not allowed. */
    assert_int_equal(check(0x1000, WALK_SET_BITS | WALK_WRITE | WALK_USER), WALK_PRIVILEGE);
    assert_int_equal(entry(0x4008), 0x9000 | P);
    read_only = true;
    assert_int_equal(check(0, WALK_SET_BITS), WALK_OK); /* there is nothing to set */
    assert_int_equal(check(0x1000, WALK_SET_BITS), WALK_NOT_WRITABLE);
    read_only = false;
    /* 32 bits: the neighbour stays. */
    mode = (struct walk_mode){.cr0 = CR0_PG | CR0_PE, .cr3 = 0x1000};
    put32(0x1000, 0x2000 | (uint32_t)P);
    put32(0x2000, 0x9000 | (uint32_t)P);
    put32(0x2004, 0x12345);
    assert_int_equal(check(0, WALK_SET_BITS), WALK_OK);
    assert_int_equal(entry(0x2000), 0x1234500000000 | 0x9000 | P | A);
}

static void unpaged_addresses_have_32_bits(void **state)
{
    mode.cr0 = 0;
    assert_int_equal(check(0xffffffff, WALK_WRITE | WALK_USER), WALK_OK);
    assert_int_equal(check(BIT64(32), 0), WALK_NOT_PRESENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(four_levels, setup),
        cmocka_unit_test_setup(closed_tables, setup),
        cmocka_unit_test_setup(five_levels, setup),
        cmocka_unit_test_setup(physical_address_extension, setup),
        cmocka_unit_test_setup(thirty_two_bits, setup),
        cmocka_unit_test_setup(unpaged, setup),
        cmocka_unit_test_setup(tables_outside_memory, setup),
        cmocka_unit_test_setup(permissions_of_all_levels, setup),
        cmocka_unit_test_setup(smep_and_smap, setup),
        cmocka_unit_test_setup(reserved_bits, setup),
        cmocka_unit_test_setup(accessed_and_dirty_bits, setup),
        cmocka_unit_test_setup(unpaged_addresses_have_32_bits, setup),
        cmocka_unit_test_setup(fetch_over_a_page_end, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
