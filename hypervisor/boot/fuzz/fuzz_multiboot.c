/* SPDX-License-Identifier: MIT */
/*
 * Multiboot information from a hostile loader. The first byte chooses the
 * version, the rest is all of physical memory; the information starts at 0.
 */
#include <stdlib.h>

#include "hypervisor/boot/multiboot.h"
#include "hypervisor/boot/multiboot_abi.h"
#include "lib/string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    const uint8_t *data;
    size_t size;
};

static const void *map_mem(void *ctx, uint64_t pa, size_t len)
{
    const struct memory *m = ctx;

    return pa <= m->size && len <= m->size - pa ? m->data + pa : NULL;
}

static void check(const struct boot_info *info)
{
    if (info->module_count > BOOT_MODULES_MAX || info->map.count > RANGE_MAX ||
        !memchr(info->cmdline, 0, sizeof(info->cmdline)) ||
        !memchr(info->loader, 0, sizeof(info->loader)))
        abort();
    for (unsigned i = 0; i < info->module_count; i++)
        if (info->modules[i].start > info->modules[i].end ||
            !memchr(info->modules[i].string, 0, BOOT_STRING_MAX))
            abort();
    for (unsigned i = 0; i < info->map.count; i++)
        if (info->map.r[i].start >= info->map.r[i].end ||
            (i && info->map.r[i - 1].end > info->map.r[i].start))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_info info;
    const char *why = NULL;

    if (!size)
        return 0;
    struct memory m = {data + 1, size - 1};
    const struct boot_mem mem = {map_mem, &m};

    if (!multiboot_parse(&mem, data[0] & 1 ? MB1_LOADER_MAGIC : MB2_LOADER_MAGIC, 0, &info, &why))
        check(&info);
    else if (!why)
        abort();
    return 0;
}
