/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/boot/multiboot.h"
#include "hypervisor/boot/multiboot_abi.h"
#include "lib/errno.h"

#define MEM  0x4000U
#define INFO 0x100U

static uint8_t mem[MEM];
static struct boot_info info;
static const char *why;

/* Each map is a fresh copy of just that size, so that the sanitizer sees a read too far. */
static void *copies[4096];
static unsigned copy_count;

static const void *map_mem(void *ctx, uint64_t pa, size_t len)
{
    if (pa > MEM || len > MEM - pa || copy_count == 4096)
        return NULL;
    void *p = malloc(len ? len : 1);
    memcpy(p, mem + pa, len);
    copies[copy_count++] = p;
    return p;
}

static const struct boot_mem accessor = {map_mem, NULL};

static int parse(uint32_t magic)
{
    int err = multiboot_parse(&accessor, magic, INFO, &info, &why);

    while (copy_count)
        free(copies[--copy_count]);
    return err;
}

static int reset(void **state)
{
    memset(mem, 0, sizeof(mem));
    memset(&info, 0xa5, sizeof(info));
    why = NULL;
    return 0;
}

static void put(uint64_t at, const void *src, size_t len)
{
    memcpy(mem + at, src, len);
}

static void put_string(uint64_t at, const char *s)
{
    put(at, s, strlen(s) + 1);
}

/* ---- Multiboot 1 ---- */

static void test_mb1(void **state)
{
    struct mb1_info i = {.flags = MB1_HAS_MEM | MB1_HAS_CMDLINE | MB1_HAS_MODULES | MB1_HAS_MMAP |
                                  MB1_HAS_LOADER | MB1_HAS_FRAMEBUFFER,
                         .mem_upper_kib = 1,
                         .cmdline = 0x1000,
                         .mods_count = 2,
                         .mods_addr = 0x1100,
                         .mmap_length = 24 + 28,
                         .mmap_addr = 0x1200,
                         .boot_loader_name = 0x1300};
    const struct mb1_module mods[] = {{0x300000, 0x400000, 0x1400, 0}, {0x400000, 0x400000, 0, 0}};
    const struct mb1_mmap_entry ram = {24, 0x100000, 0x700000, 1}; /* longer than needed */
    const struct mb1_mmap_entry odd = {20, 0x900000, 0x1000, 12};
    const struct mb1_framebuffer fb = {0xfd000000,         4096, 1024, 768, 32, MB_FB_RGB,
                                       {16, 8, 8, 8, 0, 8}};

    put(INFO, &i, sizeof(i));
    put(INFO + sizeof(i), &fb, sizeof(fb));
    put_string(0x1000, "hv log=debug");
    put(0x1100, mods, sizeof(mods));
    put(0x1200, &ram, sizeof(ram));
    put(0x1200 + 28, &odd, sizeof(odd));
    put_string(0x1300, "loader with a name that is much too long to be kept as it is, really");
    put_string(0x1400, "vmlinuz root=/dev/sda1");

    assert_int_equal(parse(MB1_LOADER_MAGIC), 0);
    assert_int_equal(info.version, 1);
    assert_string_equal(info.cmdline, "hv log=debug");
    assert_int_equal(strlen(info.loader), BOOT_LOADER_MAX - 1);
    assert_true(info.names_first);
    assert_int_equal(info.module_count, 2);
    assert_true(info.modules[0].start == 0x300000 && info.modules[0].end == 0x400000);
    assert_string_equal(info.modules[0].string, "vmlinuz root=/dev/sda1");
    assert_string_equal(info.modules[1].string, "");
    assert_int_equal(info.map.count, 2);
    assert_int_equal(range_map_type(&info.map, 0x7fffff), RANGE_RAM);
    assert_int_equal(range_map_type(&info.map, 0x900000), RANGE_RESERVED);
    assert_int_equal(info.fb.type, BOOT_FB_RGB);
    assert_int_equal(info.fb.red_pos, 16);
    assert_int_equal(info.rsdp_len, 0);
}

static void test_mb1_basic_memory(void **state)
{
    struct mb1_info i = {.flags = MB1_HAS_MEM, .mem_lower_kib = 639, .mem_upper_kib = 0xffffffff};

    put(INFO, &i, sizeof(i));
    assert_int_equal(parse(MB1_LOADER_MAGIC), 0);
    assert_int_equal(info.map.count, 2);
    assert_true(info.map.r[0].end == 639 * 1024);
    assert_true(info.map.r[1].start == 0x100000);
    assert_true(info.map.r[1].end == 0x100000 + 0xffffffffULL * 1024);
}

static void mb1_fails(const struct mb1_info *i, int err)
{
    put(INFO, i, sizeof(*i));
    why = NULL;
    assert_int_equal(parse(MB1_LOADER_MAGIC), err);
    assert_non_null(why);
}

static void test_mb1_errors(void **state)
{
    struct mb1_info i = {.flags = 0};
    const struct mb1_mmap_entry small = {19, 0, 0x1000, 1}, large = {21, 0, 0x1000, 1};
    const struct mb1_module backward = {0x2000, 0x1fff, 0, 0};

    mb1_fails(&i, -EINVAL); /* no memory at all */
    i = (struct mb1_info){.flags = MB1_HAS_MMAP, .mmap_length = 24, .mmap_addr = MEM - 23};
    mb1_fails(&i, -EFAULT);
    i.mmap_length = 0;
    mb1_fails(&i, -EFAULT);
    i.mmap_length = 0xffffffff;
    mb1_fails(&i, -E2BIG);
    i.mmap_length = 24;
    i.mmap_addr = 0x1000;
    put(0x1000, &small, sizeof(small));
    mb1_fails(&i, -EINVAL);
    put(0x1000, &large, sizeof(large));
    mb1_fails(&i, -EINVAL);

    i = (struct mb1_info){.flags = MB1_HAS_MEM | MB1_HAS_MODULES, .mem_lower_kib = 640};
    i.mods_count = 1;
    i.mods_addr = 0x1100;
    put(0x1100, &backward, sizeof(backward));
    mb1_fails(&i, -EINVAL);
    i.mods_addr = 0xffffffff;
    mb1_fails(&i, -EFAULT);
    i.mods_addr = 0x1200; /* zeroes: empty modules */
    i.mods_count = BOOT_MODULES_MAX + 1;
    mb1_fails(&i, -E2BIG);
    i.mods_count = 0xffffffff;
    mb1_fails(&i, -E2BIG);

    i = (struct mb1_info){.flags = MB1_HAS_MEM | MB1_HAS_CMDLINE, .mem_lower_kib = 640};
    i.cmdline = 0x1000;
    memset(mem + 0x1000, 'x', BOOT_CMDLINE_MAX);
    mb1_fails(&i, -E2BIG);
    i.cmdline = MEM - 1;
    mem[MEM - 1] = 'x';
    mb1_fails(&i, -EFAULT);
    assert_int_equal(parse(0x12345678), -EINVAL);
}

/* ---- Multiboot 2 ---- */

static uint32_t at2;

static void tag(uint32_t type, const void *head, size_t head_len, const void *body, size_t len)
{
    struct mb2_tag t = {type, (uint32_t)(sizeof(t) + head_len + len)};

    put(INFO + at2, &t, sizeof(t));
    if (head_len)
        put(INFO + at2 + sizeof(t), head, head_len);
    if (len)
        put(INFO + at2 + sizeof(t) + head_len, body, len);
    at2 = (at2 + t.size + 7) & ~7U;
}

static int finish(void)
{
    tag(MB2_TAG_END, NULL, 0, NULL, 0);
    struct mb2_info h = {at2, 0};
    put(INFO, &h, sizeof(h));
    int err = parse(MB2_LOADER_MAGIC);
    at2 = sizeof(struct mb2_info);
    return err;
}

static void test_mb2(void **state)
{
    const struct mb2_mmap mm = {32, 0};
    uint8_t entries[64] = {0};
    const struct mb2_mmap_entry ram = {0x100000, 0x700000, 1, 0}, nvs = {0x700000, 0x1000, 4, 0};
    const struct mb2_module mod = {0x300000, 0x300010};
    const struct mb2_framebuffer fb = {0xb8000, 160, 80, 25, 16, MB_FB_TEXT, 0};
    const uint64_t systab = 0x123456789aULL;
    const struct mb2_efi_mmap em = {48, 1};
    uint8_t descs[100] = {0}, rsdp[36];

    at2 = sizeof(struct mb2_info);
    memcpy(entries, &ram, sizeof(ram));
    memcpy(entries + 32, &nvs, sizeof(nvs));
    memset(rsdp, 7, sizeof(rsdp));
    tag(MB2_TAG_CMDLINE, NULL, 0, "npt=4k", 7);
    tag(MB2_TAG_LOADER, NULL, 0, "GRUB 2.06", 9); /* without its NUL */
    tag(MB2_TAG_MODULE, &mod, sizeof(mod), "quiet", 6);
    tag(MB2_TAG_MMAP, &mm, sizeof(mm), entries, sizeof(entries));
    tag(MB2_TAG_FRAMEBUFFER, &fb, sizeof(fb), NULL, 0);
    tag(MB2_TAG_EFI64, &systab, sizeof(systab), NULL, 0);
    tag(MB2_TAG_RSDP_NEW, rsdp, 36, NULL, 0);
    memset(rsdp, 8, sizeof(rsdp));
    tag(MB2_TAG_RSDP_OLD, rsdp, 20, NULL, 0);
    uint32_t efi_at = at2;
    tag(MB2_TAG_EFI_MMAP, &em, sizeof(em), descs, sizeof(descs));
    tag(99, NULL, 0, "?", 1);
    assert_int_equal(finish(), 0);

    assert_int_equal(info.version, 2);
    assert_string_equal(info.cmdline, "npt=4k");
    assert_string_equal(info.loader, "GRUB 2.06");
    assert_false(info.names_first);
    assert_string_equal(info.modules[0].string, "quiet");
    assert_int_equal(info.map.count, 3);
    assert_int_equal(range_map_type(&info.map, 0x700000), RANGE_NVS);
    assert_int_equal(info.fb.type, BOOT_FB_TEXT);
    assert_true(info.efi.system_table == systab);
    assert_int_equal(info.rsdp_len, 36);
    assert_int_equal(info.rsdp[0], 7);
    assert_int_equal(info.efi.memmap, INFO + efi_at + 16);
    assert_int_equal(info.efi.memmap_len, 96);
    assert_int_equal(info.efi.desc_size, 48);
    assert_false(info.efi.boot_services_alive);
    assert_int_equal(info.info_start, INFO);
}

static void test_mb2_basic_memory(void **state)
{
    const struct mb2_mem m = {640, 65536};

    at2 = sizeof(struct mb2_info);
    tag(MB2_TAG_MEM, &m, sizeof(m), NULL, 0);
    tag(MB2_TAG_EFI_BS, NULL, 0, NULL, 0);
    assert_int_equal(finish(), 0);
    assert_true(range_map_total(&info.map, RANGE_RAM) == (640ULL + 65536) * 1024);
    assert_true(info.efi.boot_services_alive);
}

static void test_mb2_errors(void **state)
{
    const struct mb2_module backward = {2, 1};
    const struct mb2_mmap tiny = {23, 0}, zero = {0, 0};
    const struct mb2_efi_mmap desc = {39, 1};
    const struct mb2_tag short_tag = {MB2_TAG_LOADER, 7}, long_tag = {MB2_TAG_LOADER, 1000};
    char many[BOOT_CMDLINE_MAX];

    memset(many, 'x', sizeof(many));
    at2 = sizeof(struct mb2_info);
    assert_int_equal(finish(), -EINVAL); /* no RAM */
    tag(MB2_TAG_MODULE, &backward, sizeof(backward), "", 1);
    assert_int_equal(finish(), -EINVAL);
    tag(MB2_TAG_MODULE, NULL, 0, "1234567", 7);
    assert_int_equal(finish(), -EINVAL);
    tag(MB2_TAG_MMAP, &tiny, sizeof(tiny), NULL, 0);
    assert_int_equal(finish(), -EINVAL);
    tag(MB2_TAG_MMAP, &zero, sizeof(zero), NULL, 0);
    assert_int_equal(finish(), -EINVAL);
    tag(MB2_TAG_EFI_MMAP, &desc, sizeof(desc), NULL, 0);
    assert_int_equal(finish(), -EINVAL);
    tag(MB2_TAG_CMDLINE, NULL, 0, many, sizeof(many));
    assert_int_equal(finish(), -E2BIG);
    for (unsigned i = 0; i <= BOOT_MODULES_MAX; i++)
        tag(MB2_TAG_MODULE, "\0\0\0\0\0\0\0", 8, "", 1);
    assert_int_equal(finish(), -E2BIG);

    put(INFO, &(struct mb2_info){24, 0}, 8);
    put(INFO + 8, &short_tag, 8);
    assert_int_equal(parse(MB2_LOADER_MAGIC), -EINVAL);
    put(INFO + 8, &long_tag, 8);
    assert_int_equal(parse(MB2_LOADER_MAGIC), -EINVAL);
    put(INFO, &(struct mb2_info){12, 0}, 8); /* no room for an end tag */
    assert_int_equal(parse(MB2_LOADER_MAGIC), -EINVAL);
    put(INFO, &(struct mb2_info){7, 0}, 8);
    assert_int_equal(parse(MB2_LOADER_MAGIC), -EINVAL);
    put(INFO, &(struct mb2_info){0xffffffff, 0}, 8);
    assert_int_equal(parse(MB2_LOADER_MAGIC), -EINVAL);
    put(INFO, &(struct mb2_info){MEM, 0}, 8);
    assert_int_equal(parse(MB2_LOADER_MAGIC), -EFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_mb1, reset),
        cmocka_unit_test_setup(test_mb1_basic_memory, reset),
        cmocka_unit_test_setup(test_mb1_errors, reset),
        cmocka_unit_test_setup(test_mb2, reset),
        cmocka_unit_test_setup(test_mb2_basic_memory, reset),
        cmocka_unit_test_setup(test_mb2_errors, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
