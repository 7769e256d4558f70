/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_priv.h"
#include "disk/vhdx_text.h"
#include "lib/bits.h"

/* Parent locators (2.6.2.6): keys and values, of which paths and the parent's identity are known.
 */

#define KEY_MAX   64U
#define GUID_TEXT 38U /* with braces */
#define PAIRS_MAX 3U  /* that are written */
#define LOCATOR_ROOM                                                                               \
    (PAIRS_MAX * (12 + 2 * KEY_MAX) + 20 + 2 * GUID_TEXT + 4 * PARENT_PATH_MAX + 16)

static const uint8_t vhdx_locator[16] = VHDX_LOCATOR_VHDX;

struct locator {
    const uint8_t *raw;
    uint32_t length;
};

/* The value of a key: 1; 0: it is not there, or no text. */
static bool value_of(const struct locator *l, const char *key, char *out, size_t size)
{
    struct vhdx_locator_header h;
    char name[KEY_MAX];

    memcpy(&h, l->raw, sizeof(h));
    for (unsigned k = 0; k < le16toh(h.count); k++) {
        struct vhdx_locator_entry e;
        uint32_t at = (uint32_t)(sizeof(h) + k * sizeof(e)), key_at, value_at;

        if (at + sizeof(e) > l->length)
            return false;
        memcpy(&e, l->raw + at, sizeof(e));
        key_at = le32toh(e.key_offset);
        value_at = le32toh(e.value_offset);
        if (key_at > l->length || le16toh(e.key_length) > l->length - key_at ||
            value_at > l->length || le16toh(e.value_length) > l->length - value_at)
            continue;
        if (vhdx_text_get(name, sizeof(name), l->raw + key_at, le16toh(e.key_length)) &&
            strcmp(name, key) == 0)
            return vhdx_text_get(out, size, l->raw + value_at, le16toh(e.value_length));
    }
    return false;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* In the order in which the bytes of a GUID are printed. */
static const uint8_t guid_order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

static bool is_dash(unsigned k)
{
    return k == 4 || k == 6 || k == 8 || k == 10;
}

static bool guid_parse(uint8_t guid[16], const char *text)
{
    if (strlen(text) != GUID_TEXT || *text++ != '{')
        return false;
    for (unsigned k = 0; k < 16; k++) {
        if (is_dash(k) && *text++ != '-')
            return false;
        if (hex(text[0]) < 0 || hex(text[1]) < 0)
            return false;
        guid[guid_order[k]] = (uint8_t)(hex(text[0]) << 4 | hex(text[1]));
        text += 2;
    }
    return text[0] == '}';
}

static void guid_print(char out[GUID_TEXT + 1], const uint8_t guid[16])
{
    static const char digits[] = "0123456789abcdef";
    unsigned n = 0;

    out[n++] = '{';
    for (unsigned k = 0; k < 16; k++) {
        if (is_dash(k))
            out[n++] = '-';
        out[n++] = digits[guid[guid_order[k]] >> 4];
        out[n++] = digits[guid[guid_order[k]] & 15];
    }
    out[n++] = '}';
    out[n] = 0;
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

static bool path_of(const struct locator *l, const char *key, char path[PARENT_PATH_MAX])
{
    if (!value_of(l, key, path, PARENT_PATH_MAX))
        return false;
    for (char *c = path; *c; c++)
        if (*c == '\\')
            *c = '/';
    return true;
}

/* Without a drive or a server it is a path of a host like this one. */
static const char *host_path(const char *path)
{
    if (strncmp(path, "//?/", 4) == 0)
        path += 3;
    return path[0] == '/' && path[1] != '/' && !(path[1] && path[2] == ':') ? path : "";
}

/* 2.6.2.6.3: the relative path, the volume's, the absolute one. Of paths of other systems only the
 * name is of use, in this image's own folder. */
static void add_paths(const struct locator *l, struct parent *p)
{
    char path[PARENT_PATH_MAX];

    if (path_of(l, "relative_path", path) && path[0] != '/')
        add_path(p, path);
    if (path_of(l, "absolute_win32_path", path))
        add_path(p, host_path(path));
    if (path_of(l, "relative_path", path))
        add_path(p, base_name(path));
    if (path_of(l, "volume_path", path))
        add_path(p, base_name(path));
    if (path_of(l, "absolute_win32_path", path))
        add_path(p, base_name(path));
}

static int load_locator(const struct locator *l, struct parent *p, struct problem *why)
{
    struct vhdx_locator_header h;
    char linkage[PARENT_PATH_MAX];

    if (l->length < sizeof(h))
        return problem_set(why, -EINVAL, "a parent locator of %u bytes", l->length);
    memcpy(&h, l->raw, sizeof(h));
    if (!vhdx_guid_is(h.type, vhdx_locator))
        return problem_set(why, -ENOTSUP, "its parent is not a file of a kind that is known");
    *p = (struct parent){.wanted = true};
    if (!value_of(l, "parent_linkage", linkage, sizeof(linkage)) ||
        !guid_parse(p->identity, linkage))
        return problem_set(why, -EINVAL, "the parent locator names no parent_linkage");
    /* 2.6.2.6.3: if it is there, the parent may have this identity as well. */
    if (value_of(l, "parent_linkage2", linkage, sizeof(linkage)) &&
        !guid_parse(p->identity2, linkage))
        return problem_set(why, -EINVAL, "the parent locator's parent_linkage2 is no GUID");
    add_paths(l, p);
    return 0;
}

int vhdx_parent_load(struct image *i, struct parent *parent, struct problem *why)
{
    const struct vhdx_metadata_entry *e = &i->metadata->entry[i->parent_item];
    struct locator l = {.length = le32toh(e->length)};
    uint8_t *raw = malloc(l.length + 1);
    int err = raw ? vhdx_read(i, raw, l.length, i->metadata_offset + le32toh(e->offset)) : -ENOMEM;

    l.raw = raw;
    err = err ? problem_set(why, err, "the parent locator cannot be read: %s", strerror(-err))
              : load_locator(&l, parent, why);
    free(raw);
    return err;
}

/* A pair behind the others; *end: where its text ends. 0 or -errno. */
static int add_pair(uint8_t *raw, uint32_t *end, unsigned k, const char *key, const char *value)
{
    ssize_t key_bytes = vhdx_text_put(raw + *end, LOCATOR_ROOM - *end, key), value_bytes;
    struct vhdx_locator_entry e = {.key_offset = htole32(*end)};

    if (key_bytes < 0)
        return (int)key_bytes;
    *end += (uint32_t)key_bytes;
    value_bytes = vhdx_text_put(raw + *end, LOCATOR_ROOM - *end, value);
    if (value_bytes < 0)
        return (int)value_bytes;
    e.value_offset = htole32(*end);
    e.key_length = htole16((uint16_t)key_bytes);
    e.value_length = htole16((uint16_t)value_bytes);
    *end += (uint32_t)value_bytes;
    memcpy(raw + sizeof(struct vhdx_locator_header) + k * sizeof(e), &e, sizeof(e));
    return 0;
}

/* As the format has paths: backslashes, and a bare name with its folder, the dot. */
static int stored_path(char *out, size_t size, const char *path)
{
    const char *lead = path[0] == '/' || path[0] == '.' ? "" : "./";
    int n = snprintf(out, size, "%s%s", lead, path);

    if (strchr(path, '\\'))
        return -EINVAL;
    if (n < 0 || (size_t)n >= size)
        return -ENAMETOOLONG;
    for (char *c = out; *c; c++)
        if (*c == '/')
            *c = '\\';
    return 0;
}

static int add_path_pair(uint8_t *raw, uint32_t *end, unsigned k, const char *key, const char *path)
{
    char stored[PARENT_PATH_MAX];
    int err = stored_path(stored, sizeof(stored), path);

    return err ? err : add_pair(raw, end, k, key, stored);
}

/* Both paths if both are known: some readers look at the absolute one alone. */
int vhdx_parent_make(const char *path, const char *absolute, const struct image_geometry *parent,
                     void **locator, uint32_t *length, struct problem *why)
{
    struct vhdx_locator_header h = {.type = VHDX_LOCATOR_VHDX, .count = htole16(2)};
    uint32_t end = (uint32_t)(sizeof(h) + PAIRS_MAX * sizeof(struct vhdx_locator_entry)), before;
    bool relative = path[0] != '/';
    char linkage[GUID_TEXT + 1];
    uint8_t *raw;
    int err;

    if (vhdx_guid_none(parent->link))
        return problem_set(why, -EINVAL, "the parent has no identity: it is no VHD or VHDX");
    raw = calloc(1, LOCATOR_ROOM);
    if (!raw)
        return problem_set(why, -ENOMEM, "no memory");
    guid_print(linkage, parent->link);
    err = add_pair(raw, &end, 0, "parent_linkage", linkage);
    if (!err)
        err = add_path_pair(raw, &end, 1, relative ? "relative_path" : "absolute_win32_path", path);
    before = end;
    if (!err && relative && absolute) {
        if (add_path_pair(raw, &end, 2, "absolute_win32_path", absolute) == 0)
            h.count = htole16(3);
        else
            end = before; /* it does without */
    }
    memcpy(raw, &h, sizeof(h));
    if (err) {
        free(raw);
        return problem_set(why, err, "the parent's path is %s",
                           err == -EINVAL ? "not UTF-8, or has a backslash" : "too long");
    }
    *locator = raw;
    *length = end;
    return 0;
}

/* A free place for an item in the metadata region, in whole pages; 0: there is none. */
static uint32_t find_place(const struct image *i, uint32_t length)
{
    uint32_t count = le16toh(i->metadata->header.count), at = VHDX_TABLE_BYTES;
    bool moved = true;

    while (moved && at + length <= i->metadata_length) {
        moved = false;
        for (uint32_t k = 0; k < count; k++) {
            const struct vhdx_metadata_entry *e = &i->metadata->entry[k];
            uint32_t begin = le32toh(e->offset), end = begin + le32toh(e->length);

            if (begin < at + length && end > at) {
                at = (uint32_t)align_up(end, VHDX_PAGE);
                moved = true;
            }
        }
    }
    return moved || length > i->metadata_length - at ? 0 : at;
}

/* The new locator stands where nothing is until the table names it, which is one update. */
static int replace(struct image *i, const void *locator, uint32_t length)
{
    struct vhdx_metadata_entry *e = &i->metadata->entry[i->parent_item], old = *e;
    uint32_t at = find_place(i, length);
    size_t page = align_down(
        offsetof(struct vhdx_metadata_table, entry) + i->parent_item * sizeof(*e), VHDX_PAGE);
    const struct vhdx_update u = {i->metadata_offset + page, (const uint8_t *)i->metadata + page};
    int err = at ? vhdx_session(i, false) : -ENOSPC;

    if (!err)
        err = file_write(i->file, locator, length, i->metadata_offset + at);
    if (err)
        return err;
    i->flush_first = true;
    e->offset = htole32(at);
    e->length = htole32(length);
    err = vhdx_commit_once(i, &u, 1);
    if (err)
        *e = old;
    return err;
}

int vhdx_set_parent(struct image *i, const char *path, const char *absolute,
                    const struct image_geometry *parent, struct problem *why)
{
    void *locator;
    uint32_t length;
    int err;

    if (!i->has_parent)
        return problem_set(why, -EINVAL, "it is not a differencing image");
    err = vhdx_parent_make(path, absolute, parent, &locator, &length, why);
    if (err)
        return err;
    err = vhdx_flush(i);
    if (!err)
        err = replace(i, locator, length);
    free(locator);
    return err ? problem_set(why, err, "the parent locator cannot be written: %s", strerror(-err))
               : 0;
}
