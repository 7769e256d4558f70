/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_KERNEL_H
#define TESTS_UNIT_SHIM_KERNEL_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "abi/boot/linux.h"

#define SHIM_KERNEL_BYTES 0x4000U
#define SHIM_KERNEL_AT    0x1000000ULL

/* A bzImage that is sound and does nothing. */
static inline void shim_kernel(uint8_t *image)
{
    const struct linux_setup_header h = {.setup_sects = 3,
                                         .syssize = (SHIM_KERNEL_BYTES - 4 * LINUX_SECTOR) / 16,
                                         .boot_flag = LINUX_BOOT_FLAG,
                                         .jump = {0xeb, 0x6a},
                                         .header = LINUX_HEADER_MAGIC,
                                         .version = 0x20f,
                                         .loadflags = LINUX_LOADED_HIGH,
                                         .initrd_addr_max = 0x7fffffff,
                                         .kernel_alignment = 0x200000,
                                         .relocatable_kernel = 1,
                                         .xloadflags = LINUX_XLF_KERNEL_64,
                                         .cmdline_size = 2047,
                                         .pref_address = SHIM_KERNEL_AT,
                                         .init_size = 0x100000};

    memset(image, 0x90, SHIM_KERNEL_BYTES);
    memcpy(image + LINUX_HEADER_AT, &h, sizeof(h));
}

/* A file with these bytes that has no name; -1 if that fails. */
static inline int shim_file(const void *bytes, size_t len)
{
    FILE *f = tmpfile();
    int fd;

    if (!f)
        return -1;
    fd = fwrite(bytes, 1, len, f) == len && fflush(f) == 0 ? dup(fileno(f)) : -1;
    (void)fclose(f);
    return fd;
}

#endif
