/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* realpath */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "disk/tool/tool.h"

#define DIGITS_MAX 18

/* The part behind a point, of a unit. */
static uint64_t fraction(const char **s, uint64_t unit)
{
    uint64_t value = 0, scale = 1;

    for (; **s >= '0' && **s <= '9' && scale < 1000000000; (*s)++) {
        value = value * 10 + (uint64_t)(**s - '0');
        scale *= 10;
    }
    /* Both factors are below 2^40 and 2^30: no overflow in 128 bits, and none of the result. */
    return (uint64_t)((unsigned __int128)unit * value / scale);
}

bool size_parse(const char *text, uint64_t *out)
{
    static const char suffixes[] = "KMGT";
    const char *s = text, *dot, *found, *end;
    uint64_t whole = 0, unit = 1, part = 0;

    for (; *s >= '0' && *s <= '9'; s++) {
        if (s - text == DIGITS_MAX)
            return false;
        whole = whole * 10 + (uint64_t)(*s - '0');
    }
    if (s == text)
        return false;
    dot = *s == '.' ? s : NULL;
    end = dot ? s + 1 + strspn(s + 1, "0123456789") : s;
    found = *end ? strchr(suffixes, *end) : NULL;
    if (*end && (!found || end[1]))
        return false;
    if (found)
        unit = 1ULL << (10 * (found - suffixes + 1));
    if (dot) {
        if (!found || end == dot + 1)
            return false;
        s = dot + 1;
        part = fraction(&s, unit);
    }
    if (s != end || whole > (INT64_MAX - part) / unit)
        return false;
    *out = whole * unit + part;
    return true;
}

void size_text(char out[32], uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    unsigned u = 0;
    uint64_t tenths = 0, whole = bytes;

    while (u < 4 && whole >= 1024) {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        u++;
    }
    if (tenths)
        (void)snprintf(out, 32, "%llu.%llu %s", (unsigned long long)whole,
                       (unsigned long long)tenths, units[u]);
    else
        (void)snprintf(out, 32, "%llu %s", (unsigned long long)whole, units[u]);
}

void json_string(FILE *f, const char *text)
{
    (void)fputc('"', f);
    for (const char *s = text; *s; s++) {
        if (*s == '"' || *s == '\\')
            (void)fprintf(f, "\\%c", *s);
        else if ((unsigned char)*s < ' ')
            (void)fprintf(f, "\\u%04x", (unsigned)(unsigned char)*s);
        else
            (void)fputc(*s, f);
    }
    (void)fputc('"', f);
}

/* The folder of a path, absolute and without links; the file need not be there. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    char *real = folder ? realpath(folder, NULL) : NULL;

    free(folder);
    return real;
}

static int join(char *out, size_t size, const char *folder, const char *file)
{
    size_t same = 0, n = 0;

    /* How much they have in common, in whole names. */
    for (size_t k = 0; folder[k] == file[k] || (folder[k] == 0 && file[k] == '/'); k++) {
        if (file[k] == '/')
            same = k;
        if (folder[k] == 0)
            break;
    }
    out[0] = 0;
    for (const char *s = folder + same; *s; s++) {
        if (*s != '/' || s[1] == 0)
            continue;
        if (n + 4 > size)
            return -ENAMETOOLONG;
        memcpy(out + n, "../", 4);
        n += 3;
    }
    if (n + strlen(file + same + 1) + 1 > size)
        return -ENAMETOOLONG;
    memcpy(out + n, file + same + 1, strlen(file + same + 1) + 1);
    return 0;
}

int path_relative(char *out, size_t size, const char *from, const char *to)
{
    char *folder = folder_of(from), *file = realpath(to, NULL);
    int err = folder && file ? 0 : -errno;

    if (!err)
        err = join(out, size, folder, file);
    free(folder);
    free(file);
    return err;
}
