/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* Metadata items: what the disk is. */

#define USER_ITEMS_MAX 1024U

/* A value of a known item, read into the image. */
struct item {
    uint8_t guid[16];
    const char *name;
    uint32_t length; /* 0: any */
    bool optional;
    int (*take)(struct image *i, const void *value, struct problem *why);
};

static int take_parameters(struct image *i, const void *value, struct problem *why)
{
    struct vhdx_file_parameters p;

    memcpy(&p, value, sizeof(p));
    i->block_size = le32toh(p.block_size);
    i->has_parent = le32toh(p.flags) & VHDX_HAS_PARENT;
    i->leave_allocated = !i->has_parent && le32toh(p.flags) & VHDX_LEAVE_ALLOCATED;
    if (i->block_size < VHDX_BLOCK_MIN || i->block_size > VHDX_BLOCK_MAX ||
        i->block_size & (i->block_size - 1))
        return problem_set(why, -EINVAL, "blocks of %u bytes: a power of two from 1 to 256 MiB",
                           i->block_size);
    i->block_shift = (uint32_t)__builtin_ctz(i->block_size);
    return 0;
}

static int take_size(struct image *i, const void *value, struct problem *why)
{
    uint64_t size;

    memcpy(&size, value, sizeof(size));
    i->size = le64toh(size);
    if (i->size == 0 || i->size > VHDX_SIZE_MAX)
        return problem_set(why, -EINVAL, "a disk of %llu bytes; 64 TiB is the most",
                           (unsigned long long)i->size);
    return 0;
}

static int take_disk_id(struct image *i, const void *value, struct problem *why)
{
    memcpy(i->disk_id, value, sizeof(i->disk_id));
    return 0;
}

static int sector(uint32_t *out, const void *value, struct problem *why)
{
    uint32_t size;

    memcpy(&size, value, sizeof(size));
    *out = le32toh(size);
    if (*out != 512 && *out != 4096)
        return problem_set(why, -EINVAL, "sectors of %u bytes: 512 or 4096", *out);
    return 0;
}

static int take_logical(struct image *i, const void *value, struct problem *why)
{
    return sector(&i->sector_size, value, why);
}

static int take_physical(struct image *i, const void *value, struct problem *why)
{
    return sector(&i->physical_size, value, why);
}

/* Read where it is used: vhdx_parent.c. */
static int take_parent(struct image *i, const void *value, struct problem *why)
{
    return 0;
}

enum { PARAMETERS, SIZE, DISK_ID, LOGICAL, PHYSICAL, PARENT, ITEMS };

static const struct item known[ITEMS] = {
    [PARAMETERS] = {VHDX_ITEM_PARAMETERS, "file parameters", 8, false, take_parameters},
    [SIZE] = {VHDX_ITEM_SIZE, "size of the disk", 8, false, take_size},
    [DISK_ID] = {VHDX_ITEM_DISK_ID, "identity of the disk", 16, false, take_disk_id},
    [LOGICAL] = {VHDX_ITEM_LOGICAL, "logical sector size", 4, false, take_logical},
    [PHYSICAL] = {VHDX_ITEM_PHYSICAL, "physical sector size", 4, false, take_physical},
    [PARENT] = {VHDX_ITEM_PARENT, "parent locator", 0, true, take_parent},
};

static int check_place(const struct image *i, const struct vhdx_metadata_entry *e,
                       struct problem *why)
{
    uint32_t offset = le32toh(e->offset), length = le32toh(e->length);

    if (length == 0 && offset == 0)
        return 0;
    if (length == 0 || length > VHDX_MIB || offset < VHDX_TABLE_BYTES ||
        offset > i->metadata_length || length > i->metadata_length - offset)
        return problem_set(why, -EINVAL, "a metadata item at 0x%x, 0x%x bytes", offset, length);
    return 0;
}

struct span {
    uint32_t offset, end;
};

static int by_offset(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int check_overlaps(const struct image *i, struct problem *why)
{
    uint32_t count = le16toh(i->metadata->header.count);
    struct span *s = calloc(count + 1, sizeof(*s));
    int err = 0;

    if (!s)
        return problem_set(why, -ENOMEM, "no memory");
    for (uint32_t k = 0; k < count; k++) {
        s[k].offset = le32toh(i->metadata->entry[k].offset);
        s[k].end = s[k].offset + le32toh(i->metadata->entry[k].length);
    }
    qsort(s, count, sizeof(*s), by_offset);
    for (uint32_t k = 1; k < count && !err; k++)
        if (s[k].offset < s[k - 1].end)
            err = problem_set(why, -EINVAL, "metadata items overlap at 0x%x", s[k].offset);
    free(s);
    return err;
}

/* Which of the known ones an entry is; ITEMS: none. */
static unsigned identify(const struct vhdx_metadata_entry *e)
{
    unsigned k = 0;

    if (le32toh(e->flags) & VHDX_ITEM_USER)
        return ITEMS;
    while (k < ITEMS && !vhdx_guid_is(e->item, known[k].guid))
        k++;
    return k;
}

static int find_items(struct image *i, uint32_t place[ITEMS], struct problem *why)
{
    uint32_t count = le16toh(i->metadata->header.count), users = 0;
    int err = 0;

    for (uint32_t k = 0; k < count && !err; k++) {
        const struct vhdx_metadata_entry *e = &i->metadata->entry[k];
        unsigned item = identify(e);

        users += le32toh(e->flags) & VHDX_ITEM_USER;
        err = check_place(i, e, why);
        if (!err && item < ITEMS && place[item] != UINT32_MAX)
            err = problem_set(why, -EINVAL, "the %s is there twice", known[item].name);
        else if (!err && item < ITEMS)
            place[item] = k;
        else if (!err && le32toh(e->flags) & VHDX_ITEM_REQUIRED)
            err =
                problem_set(why, -ENOTSUP, "it needs a metadata item that is not known (%08x-...)",
                            le32toh(*(const uint32_t *)(const void *)e->item));
    }
    if (!err && users > USER_ITEMS_MAX)
        err = problem_set(why, -EINVAL, "%u metadata items of users", users);
    return err ? err : check_overlaps(i, why);
}

static int read_items(struct image *i, const uint32_t place[ITEMS], struct problem *why)
{
    uint8_t value[16];
    int err = 0;

    for (unsigned k = 0; k < ITEMS && !err; k++) {
        const struct vhdx_metadata_entry *e;

        if (place[k] == UINT32_MAX && !known[k].optional)
            return problem_set(why, -EINVAL, "the metadata have no %s", known[k].name);
        if (place[k] == UINT32_MAX || known[k].length == 0)
            continue;
        e = &i->metadata->entry[place[k]];
        if (le32toh(e->length) != known[k].length)
            return problem_set(why, -EINVAL, "the %s has %u bytes", known[k].name,
                               le32toh(e->length));
        err = vhdx_read(i, value, known[k].length, i->metadata_offset + le32toh(e->offset));
        err =
            err ? problem_set(why, err, "the %s cannot be read: %s", known[k].name, strerror(-err))
                : known[k].take(i, value, why);
    }
    return err;
}

/* 2.5 */
void vhdx_count(const struct image *i, uint64_t size, uint32_t *blocks, uint32_t *chunks,
                uint32_t *entries)
{
    *blocks = (uint32_t)((size + i->block_size - 1) >> i->block_shift);
    *chunks = (uint32_t)((*blocks + (1ULL << i->ratio_shift) - 1) >> i->ratio_shift);
    *entries = i->has_parent ? (*chunks << i->ratio_shift) + *chunks
                             : *blocks + ((*blocks - 1) >> i->ratio_shift);
}

static int check_values(struct image *i, struct problem *why)
{
    if (i->size % i->sector_size)
        return problem_set(why, -EINVAL, "the size of the disk is not a multiple of its sectors");
    if (i->has_parent && i->parent_item == UINT32_MAX)
        return problem_set(why, -EINVAL, "it has a parent, but no parent locator");
    i->sector_shift = (uint32_t)__builtin_ctz(i->sector_size);
    i->ratio_shift = VHDX_CHUNK_SHIFT + i->sector_shift - i->block_shift;
    vhdx_count(i, i->size, &i->blocks, &i->chunks, &i->entries);
    if (i->entries > i->bat_length / 8)
        return problem_set(why, -EINVAL, "a BAT of %u bytes is too short for %u entries",
                           i->bat_length, i->entries);
    return 0;
}

int vhdx_metadata_load(struct image *i, struct problem *why)
{
    uint32_t place[ITEMS];
    int err = -ENOMEM;

    for (unsigned k = 0; k < ITEMS; k++)
        place[k] = UINT32_MAX;
    i->metadata = malloc(sizeof(*i->metadata));
    if (i->metadata)
        err = vhdx_read(i, i->metadata, sizeof(*i->metadata), i->metadata_offset);
    if (err)
        return problem_set(why, err, "the metadata cannot be read: %s", strerror(-err));
    if (le64toh(i->metadata->header.signature) != VHDX_METADATA_SIGNATURE ||
        le16toh(i->metadata->header.count) > VHDX_TABLE_MAX)
        return problem_set(why, -EINVAL, "the metadata table is damaged");
    err = find_items(i, place, why);
    if (!err)
        err = read_items(i, place, why);
    i->size_item = place[SIZE];
    i->parent_item = place[PARENT];
    return err ? err : check_values(i, why);
}
