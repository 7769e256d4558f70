/* SPDX-License-Identifier: MIT */
/* The start of a kernel file, whose length and machine the first bytes tell. */
#include <stdlib.h>
#include <string.h>
#include "vmwp/layout.h"
#include "vmwp/linux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct linux_kernel *k, const struct linux_plan *p, uint64_t low)
{
    uint64_t end = p->kernel + k->room;

    need(p->kernel >= LAYOUT_KERNEL_MIN && k->room <= low && end <= low);
    need(k->payload_len <= k->room);
    need(p->kernel == k->preferred || (k->alignment && p->kernel % k->alignment == 0));
    if (!p->initrd_len)
        return;
    need(p->initrd >= end && p->initrd_len <= low && p->initrd + p->initrd_len <= low);
    need(p->initrd + p->initrd_len - 1 <= k->initrd_max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problem why = {{0}};
    struct linux_kernel k;
    struct linux_plan p;
    uint64_t file_len, low, initrd_len;

    if (size < 8)
        return 0;
    low = ((uint64_t)data[0] | (uint64_t)data[1] << 8) << 20;
    low = low > MEMORY_LOW_END ? MEMORY_LOW_END : low;
    initrd_len = ((uint64_t)data[2] | (uint64_t)data[3] << 8) << 14;
    file_len = size - 8 + ((uint64_t)data[4] << 12);
    if (linux_inspect(data + 8, size - 8, file_len, &k, &why) < 0) {
        need(why.text[0] != 0);
        return 0;
    }
    need(k.payload_offset + k.payload_len <= file_len);
    need(k.header_len <= sizeof(k.header));
    if (linux_place(&k, low, initrd_len, &p, &why) == 0)
        check(&k, &p, low);
    else
        need(why.text[0] != 0);
    return 0;
}
