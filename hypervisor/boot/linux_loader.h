/* SPDX-License-Identifier: MIT */
#ifndef BOOT_LINUX_LOADER_H
#define BOOT_LINUX_LOADER_H

#include "hypervisor/boot/multiboot.h"
#include "hypervisor/mm/range.h"
#include "lib/types.h"

/*
 * The parent's kernel, started through the 64-bit Linux boot protocol
 * (Documentation/arch/x86/boot.rst). Nothing here touches physical memory: a
 * plan says where everything goes, and one function fills a buffer.
 */

/** Everything a plan depends on. Pointers are borrowed until linux_plan_write() is done. */
struct linux_input {
    const void *image; /* the bzImage file */
    size_t image_len;
    const char *cmdline;   /* NUL terminated */
    uint64_t initrd_start; /* where the loader put it; anything if initrd_len is 0 */
    uint64_t initrd_len;
    /* The parent's memory, the hypervisor's already carved out. In and out, see linux_plan_make().
     */
    struct range_map *map;
    /* The part of the map's RAM that may be written now; NULL: all of it. */
    const struct range_map *free;
    const struct range *avoid; /* modules and what else must not be overwritten yet */
    unsigned avoid_count;
    uint64_t rsdp_addr;  /* root pointer that the kernel can read in place; 0: see rsdp */
    const uint8_t *rsdp; /* else: a copy that is placed for it, rsdp_len bytes; NULL: none */
    uint32_t rsdp_len;
    const struct boot_efi *efi;        /* NULL or system_table 0: not from UEFI */
    const void *efi_memmap;            /* the bytes of efi->memmap, efi->memmap_len of them */
    const struct boot_framebuffer *fb; /* NULL: VGA text 80x25 */
};

/** Selectors of the table that linux_plan_write() builds: CS, and DS = ES = SS. */
#define LINUX_BOOT_CS 0x10
#define LINUX_BOOT_DS 0x18

/**
 * Where everything goes. To start: copy kernel_len bytes of the image from
 * kernel_offset to kernel_load; move the initrd if initrd_start differs from
 * the input's; linux_plan_write() into block; then CR3 = page_tables, GDT
 * gdt_addr/gdt_limit, long mode, IF = 0, RSI = boot_params, RIP = entry.
 */
struct linux_plan {
    uint64_t kernel_load;
    uint64_t kernel_room;   /* init_size: RAM from kernel_load on that the kernel uses */
    uint64_t kernel_offset; /* of the protected-mode part in the file */
    uint64_t kernel_len;
    uint64_t entry;
    uint64_t initrd_start;
    uint64_t initrd_len;
    uint64_t block_start; /* one piece of RAM below 4 GiB, page aligned, for all that follows */
    uint64_t block_len;
    uint64_t boot_params;
    uint64_t gdt_addr;
    uint16_t gdt_limit;
    uint64_t e820_ext; /* setup_data for ranges past the 128th */
    uint64_t cmdline_addr;
    uint64_t rsdp_addr;   /* what the kernel is told; 0 for none */
    uint64_t rsdp_copy;   /* a page of its own for the copy; 0 if none was asked for */
    uint64_t efi_memmap;  /* 0 if there is none */
    uint64_t page_tables; /* PML4, PDPT, then directories of 2 MiB leaves */
    uint64_t mapped_end;  /* identity map 0 .. mapped_end - 1, a multiple of 1 GiB */
};

/**
 * Check the kernel and find places. On success the pages of copies (root pointer,
 * UEFI memory map) are RANGE_ACPI in input->map, so that the kernel does not use
 * them as RAM. What is not RAM there is made reserved in the copied UEFI map.
 * Returns 0, or -ENOEXEC (image), -E2BIG (command line), -ENOMEM (no place),
 * -EINVAL (input) or -ENOSPC (map) with *why one sentence that names the parent
 * kernel.
 */
int linux_plan_make(const struct linux_input *input, struct linux_plan *plan, const char **why);

/**
 * Fill `block`, plan->block_len bytes, 8-byte aligned, that will be at plan->block_start:
 * boot_params, GDT, command line, copies and page tables. Cannot fail for a plan
 * that linux_plan_make() made from the same input; the map may have been read,
 * not changed, in between.
 */
void linux_plan_write(const struct linux_input *input, const struct linux_plan *plan, void *block);

#endif
