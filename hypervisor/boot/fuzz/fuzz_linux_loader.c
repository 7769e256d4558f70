/* SPDX-License-Identifier: MIT */
/*
 * A hostile kernel file on a hostile memory map. 64 bytes describe the machine,
 * the rest is the file. A plan that is made must keep its promises.
 */
#include <stdlib.h>

#include "hypervisor/boot/efi_memmap.h"
#include "hypervisor/boot/linux_loader.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MACHINE 64U

static uint8_t rsdp[36];
static uint8_t descs[96];

static void need(bool ok)
{
    if (!ok)
        abort();
}

static bool apart(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return !range_overlaps(a, alen, b, blen);
}

/* `before` is the map as it was: the plan retypes its copies. */
static void check(const struct linux_input *in, const struct linux_plan *p,
                  const struct range_map *before)
{
    need(range_map_is_ram(before, p->kernel_load, p->kernel_room));
    need(range_map_is_ram(before, p->block_start, p->block_len));
    need(range_map_is_ram(before, p->initrd_start, p->initrd_len));
    need(p->block_start + p->block_len <= 1ULL << 32);
    need(p->kernel_load + p->kernel_room <= p->mapped_end);
    need(p->kernel_len <= p->kernel_room);
    need(p->kernel_offset + p->kernel_len <= in->image_len);
    need(apart(p->kernel_load, p->kernel_room, p->block_start, p->block_len));
    need(apart(p->initrd_start, p->initrd_len, p->block_start, p->block_len));
    need(apart(p->initrd_start, p->initrd_len, p->kernel_load, p->kernel_room));
    for (unsigned i = 0; i < in->avoid_count; i++) {
        uint64_t len = in->avoid[i].end - in->avoid[i].start;

        need(apart(p->kernel_load, p->kernel_room, in->avoid[i].start, len));
        need(apart(p->block_start, p->block_len, in->avoid[i].start, len));
    }
    if (in->free) {
        need(range_map_is_ram(in->free, p->kernel_load, p->kernel_room));
        need(range_map_is_ram(in->free, p->block_start, p->block_len));
    }
    void *block = malloc(p->block_len);
    if (!block)
        return;
    linux_plan_write(in, p, block);
    free(block);
}

static uint64_t take16(const uint8_t *p, unsigned i)
{
    return (uint64_t)p[2 * i] | (uint64_t)p[2 * i + 1] << 8;
}

/* A UEFI descriptor with the fields that count; whether 48 is its size is up to the input. */
static void put_desc(uint8_t *at, uint32_t type, uint64_t phys, uint64_t pages)
{
    memcpy(at, &type, sizeof(type));
    memcpy(at + 8, &phys, sizeof(phys));
    memcpy(at + 24, &pages, sizeof(pages));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct range_map map, before, unused;
    struct range avoid[2];
    struct linux_plan plan;
    const char *why = NULL;

    if (size < MACHINE)
        return 0;
    range_map_init(&map);
    for (unsigned i = 0; i < 6; i++) /* units of 1 MiB */
        (void)range_map_set(&map, take16(data, 3 * i) << 20, take16(data, 3 * i + 1) << 20,
                            take16(data, 3 * i + 2) % 6);
    for (unsigned i = 0; i < 2; i++) {
        avoid[i].start = take16(data, 18 + 2 * i) << 16;
        avoid[i].end = avoid[i].start + (take16(data, 19 + 2 * i) << 12);
    }
    const struct boot_efi efi = {.system_table = take16(data, 24),
                                 .memmap_len = data[50] % (sizeof(descs) + 1),
                                 .desc_size = data[51]};
    const struct boot_framebuffer fb = {
        .type = data[52] % 3, .pitch = data[53], .width = data[54], .height = data[55]};
    memcpy(descs, data, 40);
    put_desc(descs, data[58] % 16, take16(data, 30) << 16, take16(data, 31) << 8);
    put_desc(descs + 48, data[59] % 16, take16(data, 18) << 16, take16(data, 19));
    struct linux_input in = {.image = data + MACHINE,
                             .image_len = size - MACHINE,
                             .cmdline = "quiet",
                             .initrd_start = take16(data, 22) << 12,
                             .initrd_len = take16(data, 23),
                             .map = &map,
                             .avoid = avoid,
                             .avoid_count = 2,
                             .rsdp_addr = data[56] & 1 ? 0xf0000 : 0,
                             .rsdp = rsdp,
                             .rsdp_len = data[57],
                             .efi = &efi,
                             .efi_memmap = descs,
                             .fb = &fb};
    before = unused = map;
    if (data[56] & 2 && efi.desc_size >= EFI_MEMMAP_DESC_MIN) {
        (void)efi_memmap_keep_boot_data(&unused, descs, efi.memmap_len, efi.desc_size);
        in.free = &unused;
    }
    if (!linux_plan_make(&in, &plan, &why))
        check(&in, &plan, &before);
    else
        need(why != NULL);
    return 0;
}
