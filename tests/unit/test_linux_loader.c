/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "abi/boot/linux.h"
#include "hypervisor/boot/efi_memmap.h"
#include "hypervisor/boot/linux_loader.h"
#include "lib/errno.h"

#define MIB 0x100000ULL
#define GIB 0x40000000ULL

static uint8_t image[0x4000];
static struct linux_setup_header *hdr; /* of the image: it is packed */
static struct range_map map;
static struct linux_input in;
static struct linux_plan plan;
static const char *why;

/* A sound kernel on a machine with 640 KiB and 1 MiB .. 1 GiB. */
static int reset(void **state)
{
    memset(image, 0, sizeof(image));
    hdr = (struct linux_setup_header *)(void *)(image + LINUX_HEADER_AT);
    *hdr = (struct linux_setup_header){.setup_sects = 3,
                                       .syssize = (sizeof(image) - 4 * LINUX_SECTOR) / 16,
                                       .boot_flag = LINUX_BOOT_FLAG,
                                       .jump = {0xeb, 0x6a},
                                       .header = LINUX_HEADER_MAGIC,
                                       .version = 0x20f,
                                       .loadflags = LINUX_LOADED_HIGH | LINUX_CAN_USE_HEAP,
                                       .initrd_addr_max = 0x7fffffff,
                                       .kernel_alignment = 0x200000,
                                       .relocatable_kernel = 1,
                                       .xloadflags = LINUX_XLF_KERNEL_64 | LINUX_XLF_ABOVE_4G,
                                       .cmdline_size = 2047,
                                       .pref_address = 16 * MIB,
                                       .init_size = 32 * MIB - 5};
    range_map_init(&map);
    range_map_set(&map, 0, 0xa0000, RANGE_RAM);
    range_map_set(&map, MIB, GIB - MIB, RANGE_RAM);
    in = (struct linux_input){.image = image,
                              .image_len = sizeof(image),
                              .cmdline = "console=ttyS0",
                              .map = &map,
                              .rsdp_addr = 0xf5a40};
    why = NULL;
    return 0;
}

static void fails(int err, const char *text)
{
    memset(&plan, 0x5a, sizeof(plan));
    assert_int_equal(linux_plan_make(&in, &plan, &why), err);
    assert_string_equal(why, text);
    assert_int_equal(((uint8_t *)&plan)[0], 0x5a); /* untouched */
}

static void test_preferred(void **state)
{
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    assert_true(plan.kernel_load == 16 * MIB);
    assert_true(plan.kernel_room == 32 * MIB);
    assert_true(plan.entry == 16 * MIB + 0x200);
    assert_int_equal(plan.kernel_offset, 4 * LINUX_SECTOR);
    assert_int_equal(plan.kernel_len, sizeof(image) - 4 * LINUX_SECTOR);
    assert_true(plan.block_start + plan.block_len == GIB);
    assert_true(plan.mapped_end == 4 * GIB);
    assert_true(plan.rsdp_addr == 0xf5a40);
    assert_int_equal(plan.initrd_len, 0);
    assert_int_equal(map.count, 2);
}

static void test_moves_out_of_the_way(void **state)
{
    const struct range avoid[] = {{20 * MIB, 30 * MIB + 1, 0}};

    in.avoid = avoid;
    in.avoid_count = 1;
    in.initrd_start = 40 * MIB + 123;
    in.initrd_len = 10 * MIB;
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    assert_true(plan.kernel_load == 52 * MIB); /* not below pref_address, although it is free */
    assert_true(plan.initrd_start == 40 * MIB + 123);

    hdr->relocatable_kernel = 0;
    fails(-ENOMEM, "parent kernel: not relocatable, and its place is taken");
}

static void test_initrd_moves(void **state)
{
    in.initrd_start = 2 * GIB; /* not the parent's memory */
    in.initrd_len = 5 * MIB + 1;
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    assert_true(plan.initrd_start == GIB - 5 * MIB - 0x1000);
    assert_true(plan.block_start + plan.block_len <= plan.initrd_start);

    /* An old kernel's limit counts. */
    hdr->xloadflags = LINUX_XLF_KERNEL_64;
    hdr->initrd_addr_max = 128 * MIB - 1;
    in.initrd_start = 200 * MIB;
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    assert_true(plan.initrd_start == 128 * MIB - 5 * MIB - 0x1000);
    in.initrd_len = 2 * GIB;
    fails(-ENOMEM, "parent kernel: no piece of RAM is large enough for its initrd");
    in.initrd_len = UINT64_MAX;
    fails(-EINVAL, "parent kernel: the initrd lies outside of memory");
}

static void test_above_4g(void **state)
{
    range_map_set(&map, 8 * MIB, GIB, RANGE_RESERVED);
    range_map_set(&map, 5 * GIB, 5 * GIB, RANGE_RAM);
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    assert_true(plan.kernel_load == 5 * GIB);
    assert_true(plan.mapped_end == 6 * GIB);
    hdr->xloadflags = LINUX_XLF_KERNEL_64;
    fails(-ENOMEM, "parent kernel: no piece of RAM is large enough for it");
}

static void test_bad_images(void **state)
{
    in.image_len = 1023;
    fails(-ENOEXEC, "parent kernel: too short for a Linux bzImage");
    in.image_len = sizeof(image) - 1;
    fails(-ENOEXEC, "parent kernel: the file is truncated");
    in.image_len = sizeof(image);
    hdr->syssize = UINT32_MAX;
    fails(-ENOEXEC, "parent kernel: the file is truncated");
    hdr->syssize = 0x200 / 16;
    fails(-ENOEXEC, "parent kernel: the file has no code");
    reset(state);
    hdr->boot_flag = 0;
    fails(-ENOEXEC, "parent kernel: not a Linux bzImage");
    reset(state);
    hdr->header++;
    fails(-ENOEXEC, "parent kernel: not a Linux bzImage");
    reset(state);
    hdr->version = 0x20b;
    fails(-ENOEXEC, "parent kernel: too old, boot protocol 2.12 is needed");
    reset(state);
    hdr->loadflags = 0;
    fails(-ENOEXEC, "parent kernel: a zImage, not a bzImage");
    reset(state);
    hdr->xloadflags = LINUX_XLF_ABOVE_4G;
    fails(-ENOEXEC, "parent kernel: no 64-bit entry point");
    reset(state);
    hdr->kernel_alignment = 0x300000;
    fails(-ENOEXEC, "parent kernel: its alignment is not a sensible power of two");
    hdr->kernel_alignment = 0;
    fails(-ENOEXEC, "parent kernel: its alignment is not a sensible power of two");
    reset(state);
    hdr->pref_address = UINT64_MAX;
    fails(-ENOMEM, "parent kernel: no piece of RAM is large enough for it");
    reset(state);
    hdr->init_size = UINT32_MAX;
    fails(-ENOMEM, "parent kernel: no piece of RAM is large enough for it");
    reset(state);
    hdr->cmdline_size = 12;
    fails(-E2BIG, "parent kernel: its command line is too long");
    reset(state);
    in.avoid_count = 33;
    fails(-EINVAL, "parent kernel: too many modules to keep clear of");
    reset(state);
    range_map_set(&map, 48 * MIB, GIB, RANGE_NONE);
    range_map_set(&map, MIB, 15 * MIB, RANGE_NONE);
    fails(-ENOMEM, "parent kernel: no RAM below 4 GiB for its boot data");
}

static uint8_t *write_block(void)
{
    uint8_t *block = malloc(plan.block_len); /* exactly: the sanitizer sees a write past it */

    memset(block, 0xa5, plan.block_len);
    linux_plan_write(&in, &plan, block);
    return block;
}

static uint64_t walk(const uint8_t *block, uint64_t va)
{
    uint64_t table = plan.page_tables, entry = 0;

    for (unsigned shift = 39; shift >= 21; shift -= 9) {
        assert_true(table >= plan.page_tables && table + 4096 <= plan.block_start + plan.block_len);
        memcpy(&entry, block + (table - plan.block_start) + (va >> shift & 511) * 8, 8);
        assert_int_equal(entry & 3, 3);
        table = entry & 0xffffffffff000ULL;
    }
    assert_int_equal(entry & 0x80, 0x80);
    return table + (va & 0x1fffff);
}

static void test_write(void **state)
{
    range_map_set(&map, 2 * GIB, GIB, RANGE_NVS);
    in.initrd_start = 100 * MIB;
    in.initrd_len = 1234567;
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    uint8_t *block = write_block();
    const struct linux_boot_params *bp =
        (const void *)(block + (plan.boot_params - plan.block_start));

    assert_int_equal(bp->hdr.header, LINUX_HEADER_MAGIC);
    assert_int_equal(bp->hdr.type_of_loader, 0xff);
    assert_int_equal(bp->hdr.loadflags, LINUX_LOADED_HIGH);
    assert_int_equal(bp->hdr.ramdisk_image, 100 * MIB);
    assert_int_equal(bp->hdr.ramdisk_size, 1234567);
    assert_int_equal(bp->hdr.cmd_line_ptr, plan.cmdline_addr);
    assert_true(bp->hdr.setup_data == 0);
    assert_true(bp->acpi_rsdp_addr == 0xf5a40);
    assert_string_equal((char *)block + (plan.cmdline_addr - plan.block_start), "console=ttyS0");
    assert_int_equal(bp->e820_entries, 3);
    assert_true(bp->e820_table[1].addr == MIB && bp->e820_table[1].size == GIB - MIB);
    assert_int_equal(bp->e820_table[2].type, RANGE_NVS);
    assert_int_equal(bp->screen_info.orig_video_isVGA, LINUX_VIDEO_VGA);
    assert_int_equal(bp->screen_info.orig_video_cols, 80);
    assert_int_equal(bp->screen_info.orig_video_lines, 25);
    assert_int_equal(bp->efi_info.signature, 0);
    assert_int_equal(((const uint8_t *)bp)[0x1ef], 0); /* sentinel */

    for (uint64_t va = 0; va < plan.mapped_end; va += 0x3ff123)
        assert_true(walk(block, va) == va);
    uint64_t cs, ds;
    memcpy(&cs, block + (plan.gdt_addr - plan.block_start) + LINUX_BOOT_CS, 8);
    memcpy(&ds, block + (plan.gdt_addr - plan.block_start) + LINUX_BOOT_DS, 8);
    assert_true(cs == 0x00af9b000000ffff);
    assert_true(ds == 0x00cf93000000ffff);
    assert_int_equal(plan.gdt_limit, 31);
    free(block);
}

static void test_e820_extension(void **state)
{
    for (uint64_t i = 0; i < 140; i++)
        range_map_set(&map, 2 * GIB + i * 0x2000, 0x1000, RANGE_RESERVED);
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    uint8_t *block = write_block();
    const struct linux_boot_params *bp = (const void *)block;
    const uint8_t *ext = block + (plan.e820_ext - plan.block_start);
    struct linux_setup_data head;
    struct linux_e820_entry last;

    assert_int_equal(bp->e820_entries, 128);
    assert_true(bp->hdr.setup_data == plan.e820_ext);
    memcpy(&head, ext, sizeof(head));
    assert_int_equal(head.type, LINUX_SETUP_E820_EXT);
    assert_int_equal(head.len, 14 * sizeof(last));
    memcpy(&last, ext + sizeof(head) + 13 * sizeof(last), sizeof(last));
    assert_true(last.addr == 2 * GIB + 139 * 0x2000);
    free(block);
}

struct desc {
    uint32_t type, pad;
    uint64_t phys, virt, pages, attribute, vendor;
};

static void test_efi_and_copies(void **state)
{
    uint8_t rsdp[36];
    struct desc descs[] = {{7, 0, MIB, 0, (GIB - MIB) / 4096, 15, 99},
                           {5, 0, 3 * GIB, 0, 16, 1ULL << 63, 98}};
    const struct boot_efi efi = {.system_table = 0x1234567890,
                                 .memmap_len = sizeof(descs),
                                 .desc_size = sizeof(descs[0]),
                                 .desc_version = 1};
    const struct boot_framebuffer fb = {.type = BOOT_FB_RGB,
                                        .addr = 0x400000000,
                                        .pitch = 4096,
                                        .width = 1024,
                                        .height = 768,
                                        .bpp = 32,
                                        .red_pos = 16,
                                        .red_size = 8};

    memset(rsdp, 'R', sizeof(rsdp));
    range_map_set(&map, 512 * MIB, 64 * MIB, RANGE_RESERVED); /* the hypervisor */
    in.rsdp_addr = 0;
    in.rsdp = rsdp;
    in.rsdp_len = sizeof(rsdp);
    in.efi = &efi;
    in.efi_memmap = descs;
    in.fb = &fb;
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    assert_int_equal(range_map_type(&map, plan.rsdp_copy), RANGE_ACPI);
    assert_int_equal(range_map_type(&map, plan.efi_memmap), RANGE_ACPI);
    assert_int_equal(range_map_type(&map, plan.boot_params), RANGE_RAM);

    uint8_t *block = write_block();
    const struct linux_boot_params *bp = (const void *)block;
    assert_true(bp->acpi_rsdp_addr == plan.rsdp_copy);
    assert_memory_equal(block + (plan.rsdp_copy - plan.block_start), rsdp, sizeof(rsdp));
    assert_int_equal(bp->efi_info.signature, LINUX_EFI64_SIGNATURE);
    assert_int_equal(bp->efi_info.systab, 0x34567890);
    assert_int_equal(bp->efi_info.systab_hi, 0x12);
    assert_int_equal(bp->efi_info.memmap, plan.efi_memmap);
    assert_int_equal(bp->screen_info.orig_video_isVGA, LINUX_VIDEO_EFI);
    assert_int_equal(bp->screen_info.lfb_base, 0);
    assert_int_equal(bp->screen_info.ext_lfb_base, 4);
    assert_int_equal(bp->screen_info.lfb_size, 4096 * 768);

    /* RAM, hypervisor, RAM, copies, RAM, and the runtime services as they were. */
    struct desc out[6];
    assert_int_equal(bp->efi_info.memmap_size, sizeof(out));
    memcpy(out, block + (plan.efi_memmap - plan.block_start), sizeof(out));
    assert_int_equal(out[0].type, 7);
    assert_true(out[0].pages == 511 * MIB / 4096);
    assert_int_equal(out[1].type, 0);
    assert_true(out[1].phys == 512 * MIB && out[1].pages == 64 * MIB / 4096);
    assert_true(out[1].vendor == 99);
    assert_int_equal(out[3].type, 0);
    assert_true(out[3].phys == plan.rsdp_copy);
    assert_true(out[4].phys + out[4].pages * 4096 == GIB);
    assert_memory_equal(&out[5], &descs[1], sizeof(descs[1]));
    free(block);
}

static void test_efi_splits_are_bounded(void **state)
{
    static struct desc out[2 + EFI_MEMMAP_EXTRA];
    struct desc d[2] = {{7, 0, 0, 0, 512, 0, 0}, {7, 0, 4 * MIB, 0, 1, 0, 0}};

    range_map_init(&map);
    for (uint64_t i = 0; i < 128; i++)
        range_map_set(&map, i * 0x4000 + 0x800, 0x2000, RANGE_RAM);
    range_map_set(&map, 4 * MIB, MIB, RANGE_RAM);
    assert_int_equal(efi_memmap_restrict(&map, d, sizeof(d), sizeof(d[0]), out), sizeof(out));
    /* Only whole pages of RAM are RAM. */
    assert_int_equal(out[0].type, 0);
    assert_true(out[0].pages == 1);
    assert_int_equal(out[1].type, 7);
    assert_true(out[1].phys == 0x1000 && out[1].pages == 1);
    /* The rest is reserved as a whole; the next descriptor is there. */
    assert_int_equal(out[EFI_MEMMAP_EXTRA].type, 0);
    assert_true(out[EFI_MEMMAP_EXTRA].phys + out[EFI_MEMMAP_EXTRA].pages * 4096 == 2 * MIB);
    assert_int_equal(out[EFI_MEMMAP_EXTRA + 1].type, 7);
}

/* Boot services left tables at 16 MiB and 1008 MiB: neither the kernel nor the block goes there. */
static void test_boot_data_is_kept(void **state)
{
    static struct range_map unused;
    struct desc d[] = {{7, 0, MIB, 0, 15 * 256, 0, 0},
                       {4, 0, 16 * MIB, 0, 4 * 256, 0, 0},
                       {3, 0, 1008 * MIB, 0, 16 * 256, 0, 0},
                       {4, 0, ~0xfffULL, 0, 2, 0, 0},  /* runs over the end: ignored */
                       {6, 0, 64 * MIB, 0, 256, 0, 0}, /* not of the boot services */
                       {4, 0, 32 * MIB, 0, 0, 0, 0}};

    unused = map;
    assert_int_equal(efi_memmap_keep_boot_data(&unused, d, sizeof(d), sizeof(d[0])), 0);
    assert_false(range_map_is_ram(&unused, 16 * MIB, 1));
    assert_true(range_map_is_ram(&unused, 20 * MIB, 988 * MIB));
    in.free = &unused;
    assert_int_equal(linux_plan_make(&in, &plan, &why), 0);
    assert_true(plan.kernel_load == 20 * MIB);
    assert_true(plan.block_start + plan.block_len == 1008 * MIB);
    assert_int_equal(range_map_type(&map, 16 * MIB), RANGE_RAM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_preferred, reset),
        cmocka_unit_test_setup(test_moves_out_of_the_way, reset),
        cmocka_unit_test_setup(test_initrd_moves, reset),
        cmocka_unit_test_setup(test_above_4g, reset),
        cmocka_unit_test_setup(test_bad_images, reset),
        cmocka_unit_test_setup(test_write, reset),
        cmocka_unit_test_setup(test_e820_extension, reset),
        cmocka_unit_test_setup(test_efi_and_copies, reset),
        cmocka_unit_test_setup(test_efi_splits_are_bounded, reset),
        cmocka_unit_test_setup(test_boot_data_is_kept, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
