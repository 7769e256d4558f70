/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_crc.h"
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/*
 * Another size of the disk. What the table gains is written first, where nobody looks yet; then one
 * commit changes the size and, if the table had to move, the region tables.
 */

#define UPDATES_MAX (2 * VHDX_TABLE_BYTES / VHDX_PAGE + 2 + 1) /* region tables, size, table */

static const uint8_t bat_guid[16] = VHDX_REGION_BAT;

/* What a commit changes, and its pages. */
struct change {
    struct vhdx_update update[UPDATES_MAX];
    unsigned count;
    uint8_t *pages;
};

/* The tables of the new size. */
struct tables {
    uint32_t blocks, chunks, entries;
    _Atomic uint64_t *bat;
    _Atomic(_Atomic uint64_t *) *bitmap;
    uint64_t offset, length;           /* of the table in the file */
    uint64_t data;                     /* of a fixed image: where its new blocks lie */
    struct vhdx_region_table *regions; /* if the table moves */
};

static uint8_t *add_page(struct change *c, uint64_t offset)
{
    uint8_t *page = c->pages + (size_t)c->count * VHDX_PAGE;

    c->update[c->count++] = (struct vhdx_update){offset, page};
    return page;
}

/* The size stands where its item is, not even aligned: in one page or two. */
static int add_size(struct image *i, struct change *c, uint64_t size)
{
    uint64_t at = i->metadata_offset + le32toh(i->metadata->entry[i->size_item].offset);
    uint64_t raw = htole64(size), first = align_down(at, VHDX_PAGE);
    uint8_t *page = add_page(c, first);
    int err = vhdx_read(i, page, VHDX_PAGE, first);

    if (!err && at + sizeof(raw) > first + VHDX_PAGE)
        err = vhdx_read(i, add_page(c, first + VHDX_PAGE), VHDX_PAGE, first + VHDX_PAGE);
    if (!err)
        memcpy(page + (at - first), &raw, sizeof(raw)); /* pages lie one behind the other */
    return err;
}

/* Both copies, in so far as they are not the same as before. */
static int add_regions(const struct image *i, struct change *c, struct tables *t)
{
    struct vhdx_region_table *now = malloc(sizeof(*now));

    if (!now)
        return -ENOMEM;
    t->regions = now;
    memcpy(now, i->regions, sizeof(*now));
    for (uint32_t k = 0; k < le32toh(now->header.count); k++) {
        if (!vhdx_guid_is(now->region[k].guid, bat_guid))
            continue;
        now->region[k].offset = htole64(t->offset);
        now->region[k].length = htole32((uint32_t)t->length);
    }
    now->header.checksum = htole32(vhdx_crc_struct(now, sizeof(*now)));
    for (unsigned copy = 0; copy < 2; copy++)
        for (size_t at = 0; at < sizeof(*now); at += VHDX_PAGE)
            if (i->regions_damaged[copy] ||
                memcmp((uint8_t *)now + at, (uint8_t *)i->regions + at, VHDX_PAGE) != 0)
                memcpy(add_page(c, (copy ? VHDX_REGIONS2 : VHDX_REGIONS1) + at),
                       (uint8_t *)now + at, VHDX_PAGE);
    return 0;
}

static int tables_new(const struct image *i, struct tables *t)
{
    t->bat = calloc(t->entries, sizeof(*t->bat));
    t->bitmap = i->has_parent ? calloc(t->chunks, sizeof(*t->bitmap)) : NULL;
    if (!t->bat || (i->has_parent && !t->bitmap))
        return -ENOMEM;
    for (uint32_t k = 0; k < t->entries && k < i->entries; k++)
        atomic_init(&t->bat[k], vhdx_entry(i, k));
    for (uint32_t k = 0; i->has_parent && k < t->chunks && k < i->chunks; k++)
        atomic_init(&t->bitmap[k], atomic_load_explicit(&i->bitmap[k], memory_order_relaxed));
    return 0;
}

/* New blocks of a fixed image are there from the start. */
static int fixed_blocks(struct image *i, struct tables *t)
{
    uint64_t units = i->block_size / VHDX_MIB, count = t->blocks - i->blocks;
    int err;

    if (!i->leave_allocated || t->blocks <= i->blocks)
        return 0;
    err = vhdx_space_get(i, count * units, &t->data);
    for (uint32_t k = 0; k < count && !err; k++)
        atomic_init(&t->bat[vhdx_block_entry(i, i->blocks + k)],
                    (t->data + (uint64_t)k * i->block_size) | VHDX_PRESENT);
    return err;
}

/* Entries from `first` on, up to the end of the last page that has some, straight into the file. */
static int write_entries(struct image *i, const struct tables *t, uint32_t first)
{
    uint64_t *buf = malloc(VHDX_MIB);
    int err = buf ? 0 : -ENOMEM;

    while (first < t->entries && !err) {
        uint32_t n =
            (uint32_t)min_u64(align_up(t->entries - first, VHDX_ENTRIES_PAGE), VHDX_MIB / 8);

        for (uint32_t k = 0; k < n; k++)
            buf[k] = first + k < t->entries ? htole64(atomic_load(&t->bat[first + k])) : 0;
        err = file_write(i->file, buf, (size_t)n * 8, t->offset + (uint64_t)first * 8);
        first += n;
    }
    free(buf);
    return err;
}

/* The page that has entries of before and new ones, or the end of a shorter table. */
static void add_boundary(struct change *c, const struct tables *t, uint32_t entries)
{
    uint32_t first = (uint32_t)align_down(entries, VHDX_ENTRIES_PAGE);
    uint64_t *page;

    if (first == entries)
        return;
    page = (uint64_t *)(void *)add_page(c, t->offset + (uint64_t)first * 8);
    for (uint32_t k = 0; k < VHDX_ENTRIES_PAGE; k++)
        page[k] = first + k < t->entries ? htole64(atomic_load(&t->bat[first + k])) : 0;
}

static int write_table(struct image *i, struct change *c, struct tables *t)
{
    uint64_t length = (uint64_t)t->entries * 8;
    int err;
    /* What stands behind the last block counts for nothing, whoever wrote it. The last sector
     * bitmap, which stands there too, is written as it was. */
    uint32_t live = vhdx_block_entry(i, i->blocks - 1) + 1;

    t->offset = i->bat_offset;
    t->length = i->bat_length;
    if (length <= i->bat_length) {
        add_boundary(c, t, (uint32_t)min_u64(live, t->entries));
        return write_entries(i, t, (uint32_t)align_up(live, VHDX_ENTRIES_PAGE));
    }
    t->length = align_up(length, VHDX_MIB);
    err = vhdx_space_get(i, t->length / VHDX_MIB, &t->offset);
    if (!err)
        err = write_entries(i, t, 0);
    if (!err)
        err = add_regions(i, c, t);
    return err;
}

/* What lies behind the end in the last block is not the disk's, and must not be when it is: data,
 * and bits, which memory does not have but the file may. */
static int clear_tail(struct image *i)
{
    uint64_t in_block = i->size & (i->block_size - 1);
    uint32_t last = i->blocks - 1, first = vhdx_first_bit(i, last);
    uint64_t entry = vhdx_entry(i, vhdx_block_entry(i, last));
    int err = 0;

    if (!in_block || !vhdx_place(entry))
        return 0;
    if (vhdx_state(entry) == VHDX_PARTIAL) {
        uint32_t end = first + (i->block_size >> i->sector_shift) - 1;

        for (uint32_t p = first / 8 / VHDX_PAGE; p <= end / 8 / VHDX_PAGE; p++)
            vhdx_page_dirty(i, last >> i->ratio_shift, p);
        err = vhdx_flush(i);
    }
    return err ? err : vhdx_zero(i->file, vhdx_place(entry) + in_block, i->block_size - in_block);
}

static void free_blocks(struct image *i, uint32_t from)
{
    for (uint32_t b = from; b < i->blocks; b++) {
        uint64_t entry = vhdx_entry(i, vhdx_block_entry(i, b));

        if (vhdx_state(entry) == VHDX_PRESENT)
            vhdx_space_free(i, vhdx_place(entry), i->block_size / VHDX_MIB);
    }
}

/* The file has it: so does the image. Nobody reads the tables meanwhile: see format.h. */
static int take_over(struct image *i, struct tables *t, uint64_t size)
{
    bool moved = t->offset != i->bat_offset;
    uint64_t old = i->bat_offset, old_length = i->bat_length;

    free(i->bat);
    free(i->bitmap);
    i->bat = t->bat;
    i->bitmap = t->bitmap;
    t->bat = NULL;
    t->bitmap = NULL;
    if (moved) {
        free(i->regions);
        i->regions = t->regions;
        t->regions = NULL;
    }
    i->size = size;
    i->blocks = t->blocks;
    i->chunks = t->chunks;
    i->entries = t->entries;
    i->bat_offset = t->offset;
    i->bat_length = (uint32_t)t->length;
    if (!moved)
        return 0;
    /* Entries of the log that tell of its old place must be gone before that is used again. */
    vhdx_space_free(i, old, old_length / VHDX_MIB);
    return vhdx_log_close(i);
}

static int resize(struct image *i, struct change *c, struct tables *t, uint64_t size)
{
    uint32_t before = i->blocks;
    int err = add_size(i, c, size);

    if (!err)
        err = tables_new(i, t);
    if (!err)
        err = fixed_blocks(i, t);
    if (!err)
        err = write_table(i, c, t);
    if (!err && size > i->size)
        err = clear_tail(i);
    i->flush_first = true;
    if (!err)
        err = vhdx_commit_once(i, c->update, c->count);
    if (err)
        return err;
    if (t->blocks < before)
        free_blocks(i, t->blocks);
    err = take_over(i, t, size);
    if (!err && i->space.freed_count)
        vhdx_space_settle(i); /* the commit was of what lets go of it */
    return err;
}

static int check_size(const struct image *i, uint64_t size, struct problem *why)
{
    if (size == 0 || size % i->sector_size || size > VHDX_SIZE_MAX)
        return problem_set(why, -EINVAL,
                           "the size of a VHDX is a multiple of its sectors, at most 64 TiB");
    if (size < i->size && i->has_parent)
        return problem_set(why, -EINVAL, "a differencing image does not shrink");
    return 0;
}

int vhdx_resize(struct image *i, uint64_t size, struct problem *why)
{
    struct change c = {.pages = calloc(UPDATES_MAX, VHDX_PAGE)};
    struct tables t = {.bat = NULL};
    int err = check_size(i, size, why);

    if (!err && size != i->size) {
        vhdx_count(i, size, &t.blocks, &t.chunks, &t.entries);
        err = c.pages ? vhdx_session(i, true) : -ENOMEM;
        if (!err)
            err = vhdx_flush(i);
        if (!err)
            err = resize(i, &c, &t, size);
        if (err)
            (void)problem_set(why, err, "cannot be resized: %s", strerror(-err));
    }
    free(t.bat);
    free(t.bitmap);
    free(t.regions);
    free(c.pages);
    return err;
}
