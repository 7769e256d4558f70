/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>
#include <strings.h>
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

const struct disk_format *format_of_name(const char *path)
{
    static const struct {
        const char *ending;
        const struct disk_format *format;
    } known[] = {
        {".vhd", &format_vhd},    {".avhd", &format_vhd}, {".vhdx", &format_vhdx},
        {".avhdx", &format_vhdx}, {".iso", &format_iso},
    };
    const char *dot = strrchr(path, '.');

    for (unsigned i = 0; i < ARRAY_SIZE(known) && dot; i++)
        if (strcasecmp(known[i].ending, dot) == 0)
            return known[i].format;
    return NULL;
}

int format_probe(struct disk_file *file, const char *path, const struct disk_format **out)
{
    const struct disk_format *first = format_of_name(path);
    int named = first ? first->probe(file) : 0;

    if (named < 0)
        return named;
    if (named > 0) {
        *out = first;
        return 0;
    }
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
