/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* posix_fallocate */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_crc.h"
#include "disk/vhdx_priv.h"
#include "disk/vhdx_text.h"
#include "lib/bits.h"

/* A new image: header section, log, metadata, table of blocks, blocks. */

#define LOG_OFFSET      VHDX_SECTION
#define LOG_LENGTH      (1U << 20)
#define METADATA_OFFSET (LOG_OFFSET + LOG_LENGTH)
#define METADATA_LENGTH (1U << 20)
#define BAT_OFFSET      (METADATA_OFFSET + METADATA_LENGTH)

#define BLOCK_DEFAULT        (32U << 20)
#define BLOCK_DEFAULT_PARENT (2U << 20)
#define CREATOR              "Bulkhead"

/* What is made; an image in so far as it has the sizes. */
struct creation {
    struct disk_file *file;
    const struct format_create *how;
    struct image sizes;
    uint64_t bat_length, end;
    uint8_t *buf; /* VHDX_MIB */
};

static int write_headers(const struct creation *c)
{
    struct vhdx_identifier id = {.signature = {'v', 'h', 'd', 'x', 'f', 'i', 'l', 'e'}};
    struct vhdx_header h = {
        .signature = htole32(VHDX_HEADER_SIGNATURE),
        .version = htole16(1),
        .log_length = htole32(LOG_LENGTH),
        .log_offset = htole64(LOG_OFFSET),
    };
    int err = vhdx_guid_new(h.file_write_guid);

    if (!err)
        err = vhdx_guid_new(h.data_write_guid);
    (void)vhdx_text_put((uint8_t *)id.creator, sizeof(id.creator), CREATOR);
    if (!err)
        err = file_write(c->file, &id, sizeof(id), 0);
    for (unsigned k = 0; k < 2 && !err; k++) {
        h.sequence = htole64(k + 1);
        h.checksum = 0;
        h.checksum = htole32(vhdx_crc_struct(&h, sizeof(h)));
        err = file_write(c->file, &h, sizeof(h), k ? VHDX_HEADER2 : VHDX_HEADER1);
    }
    return err;
}

static int write_regions(const struct creation *c)
{
    struct vhdx_region_table *t = memset(c->buf, 0, sizeof(*t));
    int err;

    t->header.signature = htole32(VHDX_REGIONS_SIGNATURE);
    t->header.count = htole32(2);
    t->region[0] = (struct vhdx_region){VHDX_REGION_BAT, htole64(BAT_OFFSET),
                                        htole32((uint32_t)c->bat_length), htole32(1)};
    t->region[1] = (struct vhdx_region){VHDX_REGION_METADATA, htole64(METADATA_OFFSET),
                                        htole32(METADATA_LENGTH), htole32(1)};
    t->header.checksum = htole32(vhdx_crc_struct(t, sizeof(*t)));
    err = file_write(c->file, t, sizeof(*t), VHDX_REGIONS1);
    return err ? err : file_write(c->file, t, sizeof(*t), VHDX_REGIONS2);
}

/* An item behind those that are there; *end: where the next one goes. */
static void add_item(const struct creation *c, const uint8_t guid[16], uint32_t flags,
                     const void *value, uint32_t length, uint32_t *end)
{
    struct vhdx_metadata_table *t = (struct vhdx_metadata_table *)(void *)c->buf;
    uint32_t k = le16toh(t->header.count);

    memcpy(t->entry[k].item, guid, 16);
    t->entry[k].offset = htole32(*end);
    t->entry[k].length = htole32(length);
    t->entry[k].flags = htole32(flags | VHDX_ITEM_REQUIRED);
    t->header.count = htole16((uint16_t)(k + 1));
    memcpy(c->buf + *end, value, length);
    *end = (uint32_t)align_up(*end + length, 16);
}

/* 2.6.2 */
static int write_metadata(const struct creation *c, const void *locator, uint32_t locator_length)
{
    static const uint8_t parameters[16] = VHDX_ITEM_PARAMETERS, size[16] = VHDX_ITEM_SIZE,
                         id[16] = VHDX_ITEM_DISK_ID, logical[16] = VHDX_ITEM_LOGICAL,
                         physical[16] = VHDX_ITEM_PHYSICAL, parent[16] = VHDX_ITEM_PARENT;
    struct vhdx_metadata_table *t = memset(c->buf, 0, METADATA_LENGTH);
    const struct image *s = &c->sizes;
    struct vhdx_file_parameters p = {htole32(s->block_size),
                                     htole32(s->has_parent   ? VHDX_HAS_PARENT
                                             : c->how->fixed ? VHDX_LEAVE_ALLOCATED
                                                             : 0)};
    uint64_t bytes = htole64(s->size);
    uint32_t sector = htole32(s->sector_size), whole = htole32(s->physical_size);
    uint32_t end = VHDX_TABLE_BYTES;
    uint8_t disk_id[16];
    int err = vhdx_guid_new(disk_id);

    if (err)
        return err;
    t->header.signature = htole64(VHDX_METADATA_SIGNATURE);
    add_item(c, parameters, 0, &p, sizeof(p), &end);
    add_item(c, size, VHDX_ITEM_VIRTUAL_DISK, &bytes, sizeof(bytes), &end);
    add_item(c, id, VHDX_ITEM_VIRTUAL_DISK, disk_id, sizeof(disk_id), &end);
    add_item(c, logical, VHDX_ITEM_VIRTUAL_DISK, &sector, sizeof(sector), &end);
    add_item(c, physical, VHDX_ITEM_VIRTUAL_DISK, &whole, sizeof(whole), &end);
    if (locator)
        add_item(c, parent, 0, locator, locator_length, &end);
    return file_write(c->file, c->buf, align_up(end, VHDX_PAGE), METADATA_OFFSET);
}

/* Of a fixed image; that of others is zeros, which the file has by itself. */
static int write_table(const struct creation *c)
{
    const struct image *s = &c->sizes;
    uint64_t *entry = (uint64_t *)(void *)c->buf, place = BAT_OFFSET + c->bat_length;
    int err = 0;

    for (uint32_t at = 0, n; at < s->entries && !err; at += n) {
        n = (uint32_t)min_u64(s->entries - at, VHDX_MIB / 8);
        for (uint32_t k = 0; k < n; k++) {
            uint64_t group = (1ULL << s->ratio_shift) + 1;
            bool bitmap = (at + k) % group == group - 1;

            entry[k] = bitmap ? 0 : htole64(place | VHDX_PRESENT);
            place += bitmap ? 0 : s->block_size;
        }
        err = file_write(c->file, entry, (size_t)n * 8, BAT_OFFSET + (uint64_t)at * 8);
    }
    return err;
}

static int write_all(const struct creation *c, const void *locator, uint32_t locator_length)
{
    int err = file_set_size(c->file, 0); /* all that is not written below is zeros */

    if (!err)
        err = file_set_size(c->file, c->end);
    if (!err && c->how->fixed && c->file->fd >= 0)
        err = -posix_fallocate(c->file->fd, 0, (off_t)c->end);
    if (!err)
        err = write_headers(c);
    if (!err)
        err = write_regions(c);
    if (!err)
        err = write_metadata(c, locator, locator_length);
    if (!err && c->how->fixed)
        err = write_table(c);
    return err;
}

static int check_how(const struct format_create *how, const struct image *s, struct problem *why)
{
    if (how->size == 0 || how->size > VHDX_SIZE_MAX || how->size % s->sector_size)
        return problem_set(why, -EINVAL,
                           "the size of a VHDX is a multiple of its sectors, at most 64 TiB");
    if ((s->sector_size != 512 && s->sector_size != 4096) ||
        (s->physical_size != 512 && s->physical_size != 4096) || s->physical_size < s->sector_size)
        return problem_set(why, -EINVAL, "the sectors of a VHDX have 512 or 4096 bytes");
    if (s->block_size < VHDX_BLOCK_MIN || s->block_size > VHDX_BLOCK_MAX ||
        s->block_size & (s->block_size - 1))
        return problem_set(why, -EINVAL,
                           "the block size of a VHDX is a power of two, 1 MiB to 256 MiB");
    if (how->fixed && how->parent_path)
        return problem_set(why, -EINVAL, "an image of fixed size has no parent");
    return 0;
}

static void set_sizes(struct creation *c)
{
    struct image *s = &c->sizes;

    s->sector_shift = (uint32_t)__builtin_ctz(s->sector_size);
    s->block_shift = (uint32_t)__builtin_ctz(s->block_size);
    s->ratio_shift = VHDX_CHUNK_SHIFT + s->sector_shift - s->block_shift;
    vhdx_count(s, s->size, &s->blocks, &s->chunks, &s->entries);
    c->bat_length = align_up((uint64_t)s->entries * 8, VHDX_MIB);
    c->end = BAT_OFFSET + c->bat_length;
    if (c->how->fixed)
        c->end += (uint64_t)s->blocks * s->block_size;
}

static int create(struct creation *c, struct problem *why)
{
    const struct format_create *how = c->how;
    struct image *s = &c->sizes;
    void *locator = NULL;
    uint32_t length = 0;
    int err;

    s->size = how->size;
    s->has_parent = how->parent_path;
    s->sector_size = how->sector_size ? how->sector_size : DISK_SECTOR;
    s->physical_size = how->physical_size ? how->physical_size : VHDX_PAGE;
    s->block_size = how->block_size ? how->block_size
                    : s->has_parent ? BLOCK_DEFAULT_PARENT
                                    : BLOCK_DEFAULT;
    err = check_how(how, s, why);
    if (err)
        return err;
    set_sizes(c);
    if (s->has_parent)
        err = vhdx_parent_make(how->parent_path, how->parent_absolute, how->parent, &locator,
                               &length, why);
    if (err)
        return err;
    err = write_all(c, locator, length);
    free(locator);
    return err ? problem_set(why, err, "cannot be written: %s", strerror(-err)) : 0;
}

int vhdx_create(struct disk_file *file, const struct format_create *how, struct problem *why)
{
    struct creation *c = calloc(1, sizeof(*c));
    int err = -ENOMEM;

    if (!c || !(c->buf = malloc(VHDX_MIB)))
        err = problem_set(why, -ENOMEM, "no memory");
    else {
        c->file = file;
        c->how = how;
        err = create(c, why);
        free(c->buf);
    }
    free(c);
    return err;
}
