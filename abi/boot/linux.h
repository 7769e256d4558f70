/* SPDX-License-Identifier: MIT */
#ifndef ABI_BOOT_LINUX_H
#define ABI_BOOT_LINUX_H

#include <stddef.h>
#include <stdint.h>

#ifndef __cplusplus
#define BOOT_LAYOUT(cond, name) _Static_assert(cond, name)
#else
#define BOOT_LAYOUT(cond, name) static_assert(cond, name)
#endif

/*
 * Layouts of the Linux/x86 boot protocol (Documentation/arch/x86/boot.rst and
 * zero-page.rst). Padding stands for fields that are left zero.
 */

#define LINUX_SECTOR         512U
#define LINUX_BOOT_FLAG      0xaa55U
#define LINUX_HEADER_MAGIC   0x53726448U /* "HdrS" */
#define LINUX_VERSION_MIN    0x020cU     /* 2.12: xloadflags */
#define LINUX_LOADER_UNKNOWN 0xffU       /* type_of_loader without an assigned number */
#define LINUX_ENTRY64        0x200U      /* from the load address */

/* loadflags */
#define LINUX_LOADED_HIGH  0x01U
#define LINUX_CAN_USE_HEAP 0x80U

/* xloadflags */
#define LINUX_XLF_KERNEL_64 0x01U
#define LINUX_XLF_ABOVE_4G  0x02U

struct linux_setup_header {
    uint8_t setup_sects;
    uint16_t root_flags;
    uint32_t syssize; /* of the protected-mode part, in 16-byte units */
    uint16_t ram_size;
    uint16_t vid_mode;
    uint16_t root_dev;
    uint16_t boot_flag;
    uint8_t jump[2]; /* jump[1]: end of the header counted from `header` */
    uint32_t header;
    uint16_t version;
    uint32_t realmode_swtch;
    uint16_t start_sys_seg;
    uint16_t kernel_version;
    uint8_t type_of_loader;
    uint8_t loadflags;
    uint16_t setup_move_size;
    uint32_t code32_start;
    uint32_t ramdisk_image;
    uint32_t ramdisk_size;
    uint32_t bootsect_kludge;
    uint16_t heap_end_ptr;
    uint8_t ext_loader_ver;
    uint8_t ext_loader_type;
    uint32_t cmd_line_ptr;
    uint32_t initrd_addr_max; /* of the last byte */
    uint32_t kernel_alignment;
    uint8_t relocatable_kernel;
    uint8_t min_alignment;
    uint16_t xloadflags;
    uint32_t cmdline_size; /* without the NUL */
    uint32_t hardware_subarch;
    uint64_t hardware_subarch_data;
    uint32_t payload_offset;
    uint32_t payload_length;
    uint64_t setup_data;
    uint64_t pref_address;
    uint32_t init_size;
    uint32_t handover_offset;
    uint32_t kernel_info_offset;
} __attribute__((packed));

#define LINUX_HEADER_AT  0x1f1U /* in the file and in boot_params alike */
#define LINUX_HEADER_END 0x290U /* no header may reach beyond this in boot_params */

BOOT_LAYOUT(sizeof(struct linux_setup_header) == 0x26c - LINUX_HEADER_AT, "setup_header");
BOOT_LAYOUT(LINUX_HEADER_AT + offsetof(struct linux_setup_header, boot_flag) == 0x1fe, "flag");
BOOT_LAYOUT(LINUX_HEADER_AT + offsetof(struct linux_setup_header, header) == 0x202, "header");
BOOT_LAYOUT(LINUX_HEADER_AT + offsetof(struct linux_setup_header, type_of_loader) == 0x210,
            "type_of_loader");
BOOT_LAYOUT(LINUX_HEADER_AT + offsetof(struct linux_setup_header, cmd_line_ptr) == 0x228,
            "cmd_line_ptr");
BOOT_LAYOUT(LINUX_HEADER_AT + offsetof(struct linux_setup_header, xloadflags) == 0x236,
            "xloadflags");
BOOT_LAYOUT(LINUX_HEADER_AT + offsetof(struct linux_setup_header, pref_address) == 0x258,
            "pref_address");

/** What orig_video_isVGA says. */
#define LINUX_VIDEO_VGA  0x01U
#define LINUX_VIDEO_VLFB 0x23U /* linear frame buffer, lfb_size in units of 64 KiB */
#define LINUX_VIDEO_EFI  0x70U /* the same from UEFI, lfb_size in bytes */

#define LINUX_VIDEO_CAP_64BIT 0x2U /* ext_lfb_base counts */

struct linux_screen_info {
    uint8_t orig_x;
    uint8_t orig_y;
    uint16_t ext_mem_k;
    uint16_t orig_video_page;
    uint8_t orig_video_mode;
    uint8_t orig_video_cols;
    uint8_t flags;
    uint8_t unused2;
    uint16_t orig_video_ega_bx;
    uint16_t unused3;
    uint8_t orig_video_lines;
    uint8_t orig_video_isVGA;
    uint16_t orig_video_points;
    uint16_t lfb_width;
    uint16_t lfb_height;
    uint16_t lfb_depth;
    uint32_t lfb_base;
    uint32_t lfb_size;
    uint16_t cl_magic;
    uint16_t cl_offset;
    uint16_t lfb_linelength;
    uint8_t red_size, red_pos;
    uint8_t green_size, green_pos;
    uint8_t blue_size, blue_pos;
    uint8_t rsvd_size, rsvd_pos;
    uint16_t vesapm_seg;
    uint16_t vesapm_off;
    uint16_t pages;
    uint16_t vesa_attributes;
    uint32_t capabilities;
    uint32_t ext_lfb_base;
    uint8_t reserved[2];
} __attribute__((packed));
BOOT_LAYOUT(sizeof(struct linux_screen_info) == 0x40, "screen_info");
BOOT_LAYOUT(offsetof(struct linux_screen_info, lfb_base) == 0x18, "screen_info.lfb_base");
BOOT_LAYOUT(offsetof(struct linux_screen_info, capabilities) == 0x36, "screen_info.caps");

#define LINUX_EFI64_SIGNATURE 0x34364c45U /* "EL64" */

struct linux_efi_info {
    uint32_t signature;
    uint32_t systab;
    uint32_t memdesc_size;
    uint32_t memdesc_version;
    uint32_t memmap;
    uint32_t memmap_size;
    uint32_t systab_hi;
    uint32_t memmap_hi;
} __attribute__((packed));
BOOT_LAYOUT(sizeof(struct linux_efi_info) == 32, "efi_info");

struct linux_e820_entry {
    uint64_t addr;
    uint64_t size;
    uint32_t type;
} __attribute__((packed));
BOOT_LAYOUT(sizeof(struct linux_e820_entry) == 20, "e820_entry");

#define LINUX_E820_MAX 128U

struct linux_boot_params {
    struct linux_screen_info screen_info;
    uint8_t pad0[0x30];
    uint64_t acpi_rsdp_addr;
    uint8_t pad1[0x48];
    uint32_t ext_ramdisk_image;
    uint32_t ext_ramdisk_size;
    uint32_t ext_cmd_line_ptr;
    uint8_t pad2[0xf4];
    struct linux_efi_info efi_info;
    uint8_t pad3[8];
    uint8_t e820_entries;
    uint8_t pad4[8];
    struct linux_setup_header hdr;
    uint8_t pad5[0x2d0 - 0x26c];
    struct linux_e820_entry e820_table[LINUX_E820_MAX];
    uint8_t pad6[0x330];
} __attribute__((packed));
BOOT_LAYOUT(sizeof(struct linux_boot_params) == 4096, "boot_params");
BOOT_LAYOUT(offsetof(struct linux_boot_params, acpi_rsdp_addr) == 0x70, "acpi_rsdp_addr");
BOOT_LAYOUT(offsetof(struct linux_boot_params, ext_ramdisk_image) == 0xc0, "ext_ramdisk_image");
BOOT_LAYOUT(offsetof(struct linux_boot_params, ext_cmd_line_ptr) == 0xc8, "ext_cmd_line_ptr");
BOOT_LAYOUT(offsetof(struct linux_boot_params, efi_info) == 0x1c0, "efi_info");
BOOT_LAYOUT(offsetof(struct linux_boot_params, e820_entries) == 0x1e8, "e820_entries");
BOOT_LAYOUT(offsetof(struct linux_boot_params, hdr) == LINUX_HEADER_AT, "hdr");
BOOT_LAYOUT(offsetof(struct linux_boot_params, e820_table) == 0x2d0, "e820_table");

#define LINUX_SETUP_E820_EXT 1U

/** Head of a piece of extra data; `len` bytes follow. */
struct linux_setup_data {
    uint64_t next;
    uint32_t type;
    uint32_t len;
} __attribute__((packed));
BOOT_LAYOUT(sizeof(struct linux_setup_data) == 16, "setup_data");

#undef BOOT_LAYOUT

#endif
