/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhd_priv.h"
#include "lib/bits.h"

/* The paths of a parent: UTF-16 with backslashes in the file, UTF-8 with slashes outside. */

static bool is_high(uint16_t u)
{
    return (u & 0xFC00) == 0xD800;
}

static bool is_low(uint16_t u)
{
    return (u & 0xFC00) == 0xDC00;
}

static unsigned utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* A path of at most `units` units, which a zero ends early; false: it is no text, or too long. */
static bool path_read(char out[PARENT_PATH_MAX], const uint8_t *raw, size_t units, bool big)
{
    size_t n = 0;

    for (size_t k = 0; k < units; k++) {
        uint32_t c =
            (uint32_t)(big ? raw[2 * k] << 8 | raw[2 * k + 1] : raw[2 * k + 1] << 8 | raw[2 * k]);

        if (c == 0)
            break;
        if (is_low((uint16_t)c))
            return false;
        if (is_high((uint16_t)c)) {
            uint16_t low;

            if (++k == units)
                return false;
            low = (uint16_t)(big ? raw[2 * k] << 8 | raw[2 * k + 1]
                                 : raw[2 * k + 1] << 8 | raw[2 * k]);
            if (!is_low(low))
                return false;
            c = 0x10000 + ((c & 0x3FF) << 10 | (low & 0x3FFU));
        }
        if (n + 5 > PARENT_PATH_MAX)
            return false;
        n += utf8_put(out + n, c == '\\' ? '/' : c);
    }
    out[n] = 0;
    return n > 0;
}

static void add_path(struct parent *p, const char *path)
{
    for (unsigned k = 0; k < p->path_count; k++)
        if (strcmp(p->path[k], path) == 0)
            return;
    if (p->path_count < PARENT_PATHS && path[0])
        memcpy(p->path[p->path_count++], path, strlen(path) + 1);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The path of the first locator of a kind, into out; 1, 0: there is none that can be used. */
static int locator_read(const struct image *i, uint32_t platform, char out[PARENT_PATH_MAX])
{
    for (unsigned k = 0; k < VHD_LOCATORS; k++) {
        const struct vhd_locator *l = &i->header.locator[k];
        uint32_t length = be32toh(l->length);
        uint8_t *raw;
        bool good;

        if (be32toh(l->platform) != platform || length < 2 || length > 2 * PARENT_PATH_MAX)
            continue;
        raw = malloc(length);
        if (!raw)
            return -ENOMEM;
        good = file_read(i->file, raw, length, be64toh(l->offset)) == 0 &&
               path_read(out, raw, length / 2, false);
        free(raw);
        if (good)
            return 1;
    }
    return 0;
}

/* The relative path, the absolute one if it is not of another system, and the names in this
 * image's own folder. */
int vhd_parent_paths(struct image *i, struct parent *p)
{
    char absolute[PARENT_PATH_MAX], other[PARENT_PATH_MAX];
    uint8_t name[2 * VHD_NAME_UNITS];
    int relative = locator_read(i, VHD_PLATFORM_RU, other), has;

    *p = (struct parent){.wanted = true};
    memcpy(p->identity, i->header.parent_id, sizeof(p->identity));
    if (relative > 0)
        add_path(p, other);
    has = locator_read(i, VHD_PLATFORM_KU, absolute);
    if (has > 0 && absolute[0] == '/' && absolute[1] != '/')
        add_path(p, absolute);
    memcpy(name, i->header.parent_name, sizeof(name));
    if (path_read(other, name, VHD_NAME_UNITS, true))
        add_path(p, base_name(other));
    if (has > 0)
        add_path(p, base_name(absolute));
    return relative < 0 ? relative : has < 0 ? has : 0;
}

/* The next character of UTF-8; 0 at the end, UINT32_MAX: it is none. */
static uint32_t utf8_next(const char **s)
{
    const uint8_t *p = (const uint8_t *)*s;
    unsigned more = p[0] < 0x80 ? 0 : (p[0] & 0xE0) == 0xC0 ? 1 : (p[0] & 0xF0) == 0xE0 ? 2 : 3;
    uint32_t c = more == 0 ? p[0] : more == 1 ? p[0] & 0x1F : more == 2 ? p[0] & 0x0F : p[0] & 0x07;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    if (p[0] >= 0xF8 || (p[0] & 0xC0) == 0x80)
        return UINT32_MAX;
    for (unsigned k = 1; k <= more; k++) {
        if ((p[k] & 0xC0) != 0x80)
            return UINT32_MAX;
        c = c << 6 | (p[k] & 0x3F);
    }
    if (c < least[more] || c > 0x10FFFF || (c & 0xFFFFF800) == 0xD800)
        return UINT32_MAX;
    *s += c ? more + 1 : 0;
    return c;
}

/* UTF-16 units of a path, slashes as backslashes: how many, or -errno. */
static ssize_t path_units(const char *path, uint16_t *out, size_t max)
{
    size_t n = 0;
    uint32_t c;

    while ((c = utf8_next(&path)) != 0) {
        if (c == UINT32_MAX || c == '\\')
            return -EINVAL;
        if (n + 2 > max)
            return -ENAMETOOLONG;
        if (c >= 0x10000) {
            out[n++] = (uint16_t)(0xD800 | (c - 0x10000) >> 10);
            out[n++] = (uint16_t)(0xDC00 | ((c - 0x10000) & 0x3FF));
        } else {
            out[n++] = c == '/' ? '\\' : (uint16_t)c;
        }
    }
    return (ssize_t)n;
}

static int name_set(struct vhd_header *h, const char *path)
{
    uint16_t units[VHD_NAME_UNITS];
    ssize_t n = path_units(base_name(path), units, VHD_NAME_UNITS);

    if (n < 0)
        return (int)n;
    memset(h->parent_name, 0, sizeof(h->parent_name));
    for (ssize_t k = 0; k < n; k++)
        h->parent_name[k] = htobe16(units[k]);
    return 0;
}

static int locator_set(struct disk_file *file, struct vhd_header *h, const char *path, uint64_t at,
                       uint64_t *end)
{
    bool absolute = path[0] == '/';
    uint16_t *units = calloc(PARENT_PATH_MAX, sizeof(*units));
    /* A bare name is written as Windows does: with its folder, the dot. */
    unsigned lead = absolute || path[0] == '.' ? 0 : 2;
    ssize_t n;
    int err;

    if (!units)
        return -ENOMEM;
    n = path_units(path, units + lead, PARENT_PATH_MAX - lead);
    if (n >= 0) {
        uint32_t length = (uint32_t)((size_t)n + lead) * 2;

        if (lead) {
            units[0] = '.';
            units[1] = '\\';
        }
        for (size_t k = 0; k < (size_t)n + lead; k++)
            units[k] = htole16(units[k]);
        *end = align_up(at + length, VHD_SECTOR);
        memset(h->locator, 0, sizeof(h->locator));
        h->locator[0] = (struct vhd_locator){
            .platform = htobe32(absolute ? VHD_PLATFORM_KU : VHD_PLATFORM_RU),
            .space = htobe32((uint32_t)(*end - at)),
            .length = htobe32(length),
            .offset = htobe64(at),
        };
        /* Whole sectors: `units` has zeros behind the text and is larger than any path. */
        err = file_write(file, units, *end - at, at);
    } else {
        err = (int)n;
    }
    free(units);
    return err;
}

int vhd_parent_set(struct disk_file *file, struct vhd_header *h, const char *path,
                   const struct image_geometry *parent, uint64_t at, uint64_t *end,
                   struct problem *why)
{
    static const uint8_t none[16];
    int err;

    if (memcmp(parent->link, none, sizeof(none)) == 0)
        return problem_set(why, -EINVAL, "the parent has no identity: it is no VHD or VHDX");
    memcpy(h->parent_id, parent->link, sizeof(h->parent_id));
    h->parent_timestamp = htobe32((uint32_t)(parent->modified - VHD_EPOCH));
    err = name_set(h, path);
    if (!err)
        err = locator_set(file, h, path, at, end);
    if (err == -EINVAL)
        return problem_set(why, err, "the parent's path is not UTF-8 or has a backslash");
    return err ? problem_set(why, err, "the parent's path: %s", strerror(-err)) : 0;
}

int vhd_set_parent(struct image *i, const char *path, const char *absolute,
                   const struct image_geometry *parent, struct problem *why)
{
    struct vhd_header h = i->header;
    uint64_t end = i->end;
    int err;

    if (i->type != VHD_DIFFERENCING)
        return problem_set(why, -EINVAL, "it is not a differencing image");
    err = vhd_flush(i);
    if (!err && !i->trimmed)
        err = vhd_footers_write(i);
    if (err)
        return problem_set(why, err, "cannot be flushed: %s", strerror(-err));
    i->trimmed = false;
    err = vhd_parent_set(i->file, &h, path, parent, i->end, &end, why);
    if (err)
        return err;
    err = vhd_header_switch(i, &h, i->size, end);
    return err ? problem_set(why, err, "the header cannot be written: %s", strerror(-err)) : 0;
}
