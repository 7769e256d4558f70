/* SPDX-License-Identifier: MIT */
#ifndef BOOT_MULTIBOOT_ABI_H
#define BOOT_MULTIBOOT_ABI_H

#include <stddef.h>
#include <stdint.h>

/* Layouts of what a loader hands over: Multiboot 0.6.96 section 3.3, Multiboot2 2.0 section 3.6. */

#define MB1_LOADER_MAGIC 0x2badb002U
#define MB2_LOADER_MAGIC 0x36d76289U

/* mb1_info.flags: which fields are valid. */
#define MB1_HAS_MEM         (1U << 0)
#define MB1_HAS_CMDLINE     (1U << 2)
#define MB1_HAS_MODULES     (1U << 3)
#define MB1_HAS_MMAP        (1U << 6)
#define MB1_HAS_LOADER      (1U << 9)
#define MB1_HAS_FRAMEBUFFER (1U << 12)

struct mb1_info {
    uint32_t flags;
    uint32_t mem_lower_kib;
    uint32_t mem_upper_kib; /* from 1 MiB on */
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count;
    uint32_t mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length;
    uint32_t mmap_addr;
    uint32_t drives_length;
    uint32_t drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
    uint32_t apm_table;
    uint32_t vbe[4];
} __attribute__((packed));
_Static_assert(sizeof(struct mb1_info) == 88, "mb1_info");
_Static_assert(offsetof(struct mb1_info, mmap_length) == 44, "mb1_info.mmap_length");
_Static_assert(offsetof(struct mb1_info, boot_loader_name) == 64, "mb1_info.boot_loader_name");

/** Follows struct mb1_info; loaders of the older specification do not have it. */
struct mb1_framebuffer {
    uint64_t addr;
    uint32_t pitch;
    uint32_t width;
    uint32_t height;
    uint8_t bpp;
    uint8_t type; /* MB_FB_* */
    uint8_t color[6];
} __attribute__((packed));
_Static_assert(sizeof(struct mb1_framebuffer) == 28, "mb1_framebuffer");

#define MB_FB_INDEXED 0
#define MB_FB_RGB     1
#define MB_FB_TEXT    2

struct mb1_module {
    uint32_t start;
    uint32_t end;
    uint32_t string;
    uint32_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct mb1_module) == 16, "mb1_module");

struct mb1_mmap_entry {
    uint32_t size; /* of what follows this field, at least 20 */
    uint64_t addr;
    uint64_t len;
    uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct mb1_mmap_entry) == 24, "mb1_mmap_entry");

struct mb2_info {
    uint32_t total_size;
    uint32_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct mb2_info) == 8, "mb2_info");

#define MB2_TAG_ALIGN 8

enum mb2_tag_type {
    MB2_TAG_END = 0,
    MB2_TAG_CMDLINE = 1,
    MB2_TAG_LOADER = 2,
    MB2_TAG_MODULE = 3,
    MB2_TAG_MEM = 4,
    MB2_TAG_MMAP = 6,
    MB2_TAG_FRAMEBUFFER = 8,
    MB2_TAG_EFI64 = 12,
    MB2_TAG_RSDP_OLD = 14,
    MB2_TAG_RSDP_NEW = 15,
    MB2_TAG_EFI_MMAP = 17,
    MB2_TAG_EFI_BS = 18,
};

/** Each tag starts so; `size` counts this header but not the padding to the next tag. */
struct mb2_tag {
    uint32_t type;
    uint32_t size;
} __attribute__((packed));
_Static_assert(sizeof(struct mb2_tag) == 8, "mb2_tag");

/* The bodies of tags, after struct mb2_tag. */

struct mb2_module {
    uint32_t start;
    uint32_t end;
    /* the string follows */
} __attribute__((packed));
_Static_assert(sizeof(struct mb2_module) == 8, "mb2_module");

struct mb2_mem {
    uint32_t lower_kib;
    uint32_t upper_kib;
} __attribute__((packed));
_Static_assert(sizeof(struct mb2_mem) == 8, "mb2_mem");

struct mb2_mmap {
    uint32_t entry_size; /* at least 24 */
    uint32_t entry_version;
} __attribute__((packed));
_Static_assert(sizeof(struct mb2_mmap) == 8, "mb2_mmap");

struct mb2_mmap_entry {
    uint64_t addr;
    uint64_t len;
    uint32_t type;
    uint32_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct mb2_mmap_entry) == 24, "mb2_mmap_entry");

struct mb2_framebuffer {
    uint64_t addr;
    uint32_t pitch;
    uint32_t width;
    uint32_t height;
    uint8_t bpp;
    uint8_t type; /* MB_FB_* */
    uint16_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct mb2_framebuffer) == 24, "mb2_framebuffer");

struct mb2_efi_mmap {
    uint32_t desc_size;
    uint32_t desc_version;
} __attribute__((packed));
_Static_assert(sizeof(struct mb2_efi_mmap) == 8, "mb2_efi_mmap");

#endif
