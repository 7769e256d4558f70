/* SPDX-License-Identifier: MIT */
#ifndef BOOT_MULTIBOOT_H
#define BOOT_MULTIBOOT_H

#include "hypervisor/boot/boot_mem.h"
#include "hypervisor/mm/range.h"
#include "lib/types.h"

#define BOOT_MODULES_MAX 8
#define BOOT_STRING_MAX  1024 /* module string, with the NUL */
#define BOOT_CMDLINE_MAX 2048 /* hypervisor command line, with the NUL */
#define BOOT_LOADER_MAX  64
#define BOOT_RSDP_MAX    36

/** One file that the loader put into memory: bytes start .. end - 1. */
struct boot_module {
    uint64_t start;
    uint64_t end;
    char string[BOOT_STRING_MAX]; /* see boot_info.names_first */
};

/** What UEFI left behind; all 0 when the machine did not boot from it. */
struct boot_efi {
    uint64_t system_table;    /* 64-bit table; 0 if the loader gave none */
    uint64_t memmap;          /* physical address inside the loader's information */
    uint32_t memmap_len;      /* bytes, a multiple of desc_size; 0 if there is none */
    uint32_t desc_size;       /* bytes, at least 40 */
    uint32_t desc_version;    /* 1 */
    bool boot_services_alive; /* ExitBootServices was not called */
};

enum boot_fb_type { BOOT_FB_NONE, BOOT_FB_TEXT, BOOT_FB_RGB };

/** The screen as the loader set it up. */
struct boot_framebuffer {
    enum boot_fb_type type;
    uint64_t addr;
    uint32_t pitch;  /* bytes per line */
    uint32_t width;  /* pixels or characters */
    uint32_t height; /* pixels or characters */
    uint8_t bpp;
    /* RGB only: */
    uint8_t red_pos, red_size;
    uint8_t green_pos, green_size;
    uint8_t blue_pos, blue_size;
};

/** What either Multiboot version says, checked and copied. About 17 KiB: not for the stack. */
struct boot_info {
    unsigned version; /* 1 or 2 */
    /* The first word of cmdline and of module strings is a file name: everywhere but in GRUB 2. */
    bool names_first;
    uint64_t info_start; /* the loader's own block: keep it until boot_efi.memmap has been copied */
    uint64_t info_end;
    struct range_map map; /* as the firmware says: modules and the image are still RAM in it */
    unsigned module_count;
    struct boot_module modules[BOOT_MODULES_MAX];
    char cmdline[BOOT_CMDLINE_MAX];
    char loader[BOOT_LOADER_MAX]; /* cut if longer */
    uint32_t rsdp_len;            /* 0, 20 or 36; checksums are not checked here */
    uint8_t rsdp[BOOT_RSDP_MAX];
    struct boot_efi efi;
    struct boot_framebuffer fb;
};

/**
 * Parse what a loader left: `magic` from EAX and the address from EBX (Multiboot
 * Specification 0.6.96 section 3.3, Multiboot2 2.0 section 3.6).
 * Returns 0 with *out complete; otherwise -EINVAL, -EFAULT (not reachable),
 * -E2BIG (a string or list too long) or -ENOSPC, with *why a sentence for the
 * console, and *out is undefined but for fb and efi: what they say by then holds.
 */
int multiboot_parse(const struct boot_mem *mem, uint32_t magic, uint64_t info,
                    struct boot_info *out, const char **why);

#endif
