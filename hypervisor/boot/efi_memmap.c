/* SPDX-License-Identifier: MIT */
#include "hypervisor/boot/efi_memmap.h"

#include "lib/bits.h"
#include "lib/string.h"
#include "lib/types.h"

/** EFI_MEMORY_DESCRIPTOR version 1; firmware may use longer ones (UEFI 2.10, 7.2.3). */
struct efi_desc {
    uint32_t type;
    uint32_t pad;
    uint64_t phys;
    uint64_t virt;
    uint64_t pages;
    uint64_t attribute;
};
_Static_assert(sizeof(struct efi_desc) == 40, "efi_desc");

enum efi_type {
    EFI_RESERVED = 0,
    EFI_LOADER_CODE = 1,
    EFI_LOADER_DATA = 2,
    EFI_BOOT_CODE = 3,
    EFI_BOOT_DATA = 4,
    EFI_CONVENTIONAL = 7,
};

struct copy {
    const struct range_map *map;
    uint32_t desc_size;
    uint8_t *out;
    uint32_t len;
    uint32_t extra; /* descriptors that may still be added */
};

static bool is_free_ram(uint32_t type)
{
    return (type >= EFI_LOADER_CODE && type <= EFI_BOOT_DATA) || type == EFI_CONVENTIONAL;
}

/** Append `src`, with all its bytes, as a descriptor of [start, end). */
static void emit(struct copy *c, const uint8_t *src, uint64_t start, uint64_t end, bool ram)
{
    struct efi_desc d;

    memcpy(&d, src, sizeof(d));
    d.phys = start;
    d.pages = (end - start) >> PAGE_SHIFT;
    if (!ram)
        d.type = EFI_RESERVED;
    memcpy(c->out + c->len, src, c->desc_size);
    memcpy(c->out + c->len, &d, sizeof(d));
    c->len += c->desc_size;
}

/**
 * The end of the run of pages from `at` on that are all RAM, or all not. A page
 * that is both counts as not.
 */
static uint64_t run_end(const struct range_map *map, uint64_t at, uint64_t end, bool *ram)
{
    *ram = false;
    range_map_for_each(r, map)
    {
        if (r->type != RANGE_RAM || align_down(r->end, PAGE_SIZE) <= at)
            continue;
        if (align_up(r->start, PAGE_SIZE) > at)
            return min_u64(end, align_up(r->start, PAGE_SIZE));
        *ram = true;
        return min_u64(end, align_down(r->end, PAGE_SIZE));
    }
    return end;
}

static void copy_one(struct copy *c, const uint8_t *src)
{
    struct efi_desc d;
    bool ram;

    memcpy(&d, src, sizeof(d));
    if (!is_free_ram(d.type) || d.phys & ~PAGE_MASK || d.phys >= RANGE_ADDR_END ||
        d.pages > (RANGE_ADDR_END - d.phys) >> PAGE_SHIFT) {
        memcpy(c->out + c->len, src, c->desc_size);
        c->len += c->desc_size;
        return;
    }

    uint64_t end = d.phys + (d.pages << PAGE_SHIFT);
    for (uint64_t at = d.phys; at < end;) {
        uint64_t stop = run_end(c->map, at, end, &ram);

        if (stop < end && !c->extra--) {
            c->extra = 0;
            ram = false;
            stop = end;
        }
        emit(c, src, at, stop, ram);
        at = stop;
    }
}

uint32_t efi_memmap_restrict(const struct range_map *map, const void *in, uint32_t in_len,
                             uint32_t desc_size, void *out)
{
    struct copy c = {map, desc_size, out, 0, EFI_MEMMAP_EXTRA};
    const uint8_t *src = in;

    for (uint32_t at = 0; in_len - at >= desc_size; at += desc_size)
        copy_one(&c, src + at);
    return c.len;
}

int efi_memmap_keep_boot_data(struct range_map *free, const void *in, uint32_t in_len,
                              uint32_t desc_size)
{
    const uint8_t *src = in;
    struct efi_desc d;
    int rc = 0;

    for (uint32_t at = 0; in_len - at >= desc_size; at += desc_size) {
        memcpy(&d, src + at, sizeof(d));
        if ((d.type != EFI_BOOT_CODE && d.type != EFI_BOOT_DATA) || !d.pages ||
            d.phys >= RANGE_ADDR_END || d.pages > (RANGE_ADDR_END - d.phys) >> PAGE_SHIFT)
            continue;
        int err = range_map_set(free, d.phys, d.pages << PAGE_SHIFT, RANGE_RESERVED);
        rc = rc ? rc : err;
    }
    return rc;
}
