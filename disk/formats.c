/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>
#include "disk/disk_priv.h"
#include "lib/bits.h"

/* In the order in which a file is asked; raw is last, because everything looks like it. */
static const struct disk_format *const formats[] = {
    &format_vhdx,
    &format_vhd,
    &format_iso,
    &format_raw,
};

const struct disk_format *format_named(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

int format_probe(struct disk_file *file, const struct disk_format **out)
{
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        int found = formats[i]->probe(file);
        if (found < 0)
            return found;
        if (found > 0) {
            *out = formats[i];
            return 0;
        }
    }
    *out = &format_raw;
    return 0;
}
