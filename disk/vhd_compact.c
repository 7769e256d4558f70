/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhd_priv.h"
#include "lib/bits.h"

/*
 * Makes the file smaller in place. Blocks that hold nothing are let go; then those at the end are
 * copied into the gaps, and the table names the copies only when they are durable. Whenever it is
 * interrupted the image is whole, and running it again goes on.
 */

#define MOVES_MAX 64U /* copies between two flushes */

struct compacting {
    struct image *image;
    bool (*progress)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
    uint64_t done, all;
    uint8_t *buf;    /* bitmap and data of a block */
    uint32_t *order; /* blocks that are there, by place */
    uint32_t count;
};

static bool go_on(struct compacting *c)
{
    return !c->progress || c->progress(c->ctx, c->done, c->all);
}

static uint64_t place_of(const struct image *i, uint32_t block)
{
    return (uint64_t)atomic_load(&i->bat[block]) * VHD_SECTOR;
}

static uint64_t stride(const struct image *i)
{
    return (uint64_t)i->bitmap_bytes + i->block_size;
}

static int block_read(struct compacting *c, uint32_t block)
{
    struct image *i = c->image;
    uint64_t bytes = vhd_block_bytes(i, block);

    memset(c->buf, 0, stride(i));
    return file_read(i->file, c->buf, bytes, place_of(i, block));
}

static bool all_zero(const uint8_t *p, uint64_t bytes)
{
    return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

/* In a differencing image zeros may cover what the parent has: only a block without sectors goes.
 */
static bool block_empty(const struct compacting *c, uint32_t block)
{
    const struct image *i = c->image;
    const struct vhd_bitmap *m = atomic_load(&i->bitmap[block]);

    if (i->type == VHD_DIFFERENCING)
        return m && m->missing == i->block_size / VHD_SECTOR;
    return all_zero(c->buf + i->bitmap_bytes, i->block_size);
}

static int drop_empty(struct compacting *c)
{
    struct image *i = c->image;
    int err = 0;

    for (uint32_t b = 0; b < i->entries && !err; b++) {
        if (atomic_load(&i->bat[b]) == VHD_UNUSED)
            continue;
        c->done++;
        if (!go_on(c))
            return -ECANCELED;
        if (i->type == VHD_DYNAMIC)
            err = block_read(c, b);
        if (!err && block_empty(c, b)) {
            atomic_store(&i->bat[b], VHD_UNUSED);
            vhd_table_dirty(i, b);
        }
    }
    return err ? err : vhd_flush(i);
}

struct placed {
    uint32_t place, block;
};

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;

    return x->place < y->place ? -1 : x->place > y->place;
}

static int sort_blocks(struct compacting *c)
{
    struct image *i = c->image;
    struct placed *p = calloc((size_t)i->entries + 1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    c->count = 0;
    for (uint32_t b = 0; b < i->entries; b++)
        if (atomic_load(&i->bat[b]) != VHD_UNUSED)
            p[c->count++] = (struct placed){atomic_load(&i->bat[b]), b};
    qsort(p, c->count, sizeof(*p), by_place);
    for (uint32_t k = 0; k < c->count; k++)
        c->order[k] = p[k].block;
    free(p);
    return 0;
}

/* Where blocks may begin: behind header, table and the parent's paths. */
static uint64_t first_place(const struct image *i)
{
    uint64_t end = max_u64(i->header_offset + sizeof(i->header),
                           i->table_offset + align_up((uint64_t)i->entries * 4, VHD_SECTOR));

    for (unsigned k = 0; k < VHD_LOCATORS; k++) {
        const struct vhd_locator *l = &i->header.locator[k];

        if (l->platform && be64toh(l->offset) < i->end)
            end = max_u64(end, be64toh(l->offset) + be32toh(l->length));
    }
    return end;
}

static int move(struct compacting *c, uint32_t block, uint64_t to)
{
    struct image *i = c->image;
    int err = block_read(c, block);

    /* Bitmaps in the file are those in memory: all was flushed before. */
    if (!err)
        err = file_write(i->file, c->buf, stride(i), to);
    return err;
}

/* The moves of one round become valid: vhd_flush() makes the copies durable before the table. */
static int commit(struct compacting *c, const uint32_t *block, const uint64_t *to, unsigned n)
{
    struct image *i = c->image;

    for (unsigned k = 0; k < n; k++) {
        atomic_store(&i->bat[block[k]], (uint32_t)(to[k] / VHD_SECTOR));
        vhd_table_dirty(i, block[k]);
    }
    return vhd_flush(i);
}

/*
 * One round: blocks from the end go into gaps, the lowest first. A gap that a block of this round
 * has left is not used before the next one. *moved: how many.
 */
static int fill_gaps(struct compacting *c, unsigned *moved)
{
    struct image *i = c->image;
    uint32_t block[MOVES_MAX], last = c->count;
    uint64_t to[MOVES_MAX], at = first_place(i);
    unsigned n = 0;
    int err = 0;

    for (uint32_t k = 0; k < last && n < MOVES_MAX && !err; k++) {
        uint64_t next = place_of(i, c->order[k]);

        while (vhd_place(i, at) + stride(i) <= next && k < last && n < MOVES_MAX && !err) {
            to[n] = vhd_place(i, at);
            block[n] = c->order[--last];
            at = to[n] + stride(i);
            err = move(c, block[n], to[n]);
            n++;
        }
        at = max_u64(at, next + stride(i));
    }
    *moved = n;
    return err ? err : commit(c, block, to, n);
}

static int shorten(struct image *i)
{
    uint64_t end = first_place(i);

    for (uint32_t b = 0; b < i->entries; b++)
        if (atomic_load(&i->bat[b]) != VHD_UNUSED)
            end = max_u64(end, place_of(i, b) + stride(i));
    i->end = align_up(end, VHD_SECTOR);
    i->trimmed = false;
    return vhd_footers_write(i);
}

static int compact(struct compacting *c)
{
    unsigned moved = 1;
    int err = vhd_flush(c->image);

    if (!err)
        err = drop_empty(c);
    while (!err && moved > 0) {
        if (!go_on(c))
            return -ECANCELED;
        err = sort_blocks(c);
        if (!err)
            err = fill_gaps(c, &moved);
    }
    return err ? err : shorten(c->image);
}

int vhd_compact(struct image *i, bool (*progress)(void *ctx, uint64_t done, uint64_t all),
                void *ctx, struct problem *why)
{
    struct compacting c = {.image = i, .progress = progress, .ctx = ctx};
    int err;

    if (i->type == VHD_FIXED)
        return 0;
    for (uint32_t b = 0; b < i->entries; b++)
        c.all += atomic_load(&i->bat[b]) != VHD_UNUSED;
    c.buf = malloc(stride(i));
    c.order = calloc((size_t)i->entries + 1, sizeof(*c.order));
    err = c.buf && c.order ? compact(&c) : -ENOMEM;
    free(c.buf);
    free(c.order);
    return err ? problem_set(why, err, "cannot be compacted: %s", strerror(-err)) : 0;
}
