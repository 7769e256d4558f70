/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/*
 * Makes the file smaller in place. Blocks that hold nothing are let go; then those at the end are
 * copied into the gaps, and the table names the copies only when they are durable. Whenever it is
 * interrupted the image is whole, and running it again goes on.
 */

#define MOVES_MAX 16U /* copies between two commits; each may change a page of the table */

struct placed {
    uint64_t place;
    uint32_t index; /* in the table */
};

struct compacting {
    struct image *image;
    bool (*progress)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
    uint64_t done, all;
    uint8_t *buf;          /* VHDX_MIB */
    struct placed *placed; /* all that has a place, by place */
    uint32_t count;
};

static bool go_on(const struct compacting *c)
{
    return !c->progress || c->progress(c->ctx, c->done, c->all);
}

static bool is_bitmap(const struct image *i, uint32_t index)
{
    uint64_t group = (1ULL << i->ratio_shift) + 1;

    return index % group == group - 1;
}

static uint64_t units_of(const struct image *i, uint32_t index)
{
    return is_bitmap(i, index) ? VHDX_BITMAP_BYTES / VHDX_MIB : i->block_size / VHDX_MIB;
}

static bool all_zero(const uint8_t *p, size_t bytes)
{
    return p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0;
}

/* Whether a block holds nothing: 1, 0 or -errno. */
static int block_empty(const struct compacting *c, uint32_t block, uint64_t entry)
{
    struct image *i = c->image;
    uint64_t bytes = vhdx_block_bytes(i, block);
    bool set, zero = true;
    int err = 0;

    if (vhdx_state(entry) == VHDX_PARTIAL) {
        uint32_t bits = (uint32_t)(bytes >> i->sector_shift);

        return vhdx_bits_alike(vhdx_bitmap_words(i, block >> i->ratio_shift),
                               vhdx_first_bit(i, block), bits, &set) == bits &&
               !set;
    }
    for (uint64_t at = 0, n; at < bytes && zero && !err; at += n) {
        n = min_u64(bytes - at, VHDX_MIB);
        err = file_read(i->file, c->buf, (size_t)n, vhdx_place(entry) + at);
        zero = !err && all_zero(c->buf, (size_t)n);
    }
    return err ? err : zero;
}

static int drop_empty(struct compacting *c)
{
    struct image *i = c->image;
    int err = 0;

    for (uint32_t b = 0; b < i->blocks && !err; b++) {
        uint32_t index = vhdx_block_entry(i, b);
        uint64_t entry = vhdx_entry(i, index);

        if (!vhdx_place(entry))
            continue;
        c->done++;
        if (!go_on(c))
            return -ECANCELED;
        err = vhdx_room(i);
        if (!err)
            err = block_empty(c, b, entry);
        if (err <= 0)
            continue;
        err = 0;
        vhdx_bits_clear(i, b);
        vhdx_space_free(i, vhdx_place(entry), i->block_size / VHDX_MIB);
        vhdx_bat_set(i, index, vhdx_state(entry) == VHDX_PARTIAL ? VHDX_NOT_PRESENT : VHDX_ZERO);
    }
    return err ? err : vhdx_flush(i);
}

static bool chunk_needs_bitmap(const struct image *i, uint32_t chunk)
{
    uint32_t first = chunk << i->ratio_shift;

    for (uint32_t b = first; b < i->blocks && b - first < 1U << i->ratio_shift; b++)
        if (vhdx_state(vhdx_entry(i, vhdx_block_entry(i, b))) == VHDX_PARTIAL)
            return true;
    return false;
}

/* The log may have pages of a sector bitmap: it goes before the place is used for anything else. */
static int drop_bitmaps(struct compacting *c)
{
    struct image *i = c->image;
    bool dropped = false;
    int err = 0;

    for (uint32_t k = 0; i->has_parent && k < i->chunks && !err; k++) {
        uint32_t index = vhdx_bitmap_entry(i, k);
        uint64_t entry = vhdx_entry(i, index);

        if (!entry || chunk_needs_bitmap(i, k))
            continue;
        err = vhdx_room(i);
        if (err)
            break;
        vhdx_space_free(i, vhdx_place(entry), VHDX_BITMAP_BYTES / VHDX_MIB);
        vhdx_bat_set(i, index, VHDX_NOT_PRESENT);
        dropped = true;
    }
    if (!err)
        err = vhdx_flush(i);
    return err || !dropped ? err : vhdx_log_close(i);
}

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;

    return x->place < y->place ? -1 : x->place > y->place;
}

static int sort_places(struct compacting *c)
{
    struct image *i = c->image;

    free(c->placed);
    c->placed = calloc((size_t)i->entries + 1, sizeof(*c->placed));
    if (!c->placed)
        return -ENOMEM;
    c->count = 0;
    for (uint32_t k = 0; k < i->entries; k++)
        if (vhdx_place(vhdx_entry(i, k)))
            c->placed[c->count++] = (struct placed){vhdx_place(vhdx_entry(i, k)), k};
    qsort(c->placed, c->count, sizeof(*c->placed), by_place);
    return 0;
}

static int copy(const struct compacting *c, uint64_t from, uint64_t to, uint64_t units)
{
    struct image *i = c->image;
    int err = 0;

    for (uint64_t at = 0; at < units * VHDX_MIB && !err; at += VHDX_MIB) {
        err = file_read(i->file, c->buf, VHDX_MIB, from + at);
        if (!err && all_zero(c->buf, VHDX_MIB))
            err = vhdx_zero(i->file, to + at, VHDX_MIB);
        else if (!err)
            err = file_write(i->file, c->buf, VHDX_MIB, to + at);
    }
    return err;
}

/* Move what stands last: 1; 0: there is no gap for it. */
static int move_last(struct compacting *c, bool *bitmap)
{
    struct image *i = c->image;
    struct placed p = c->placed[c->count - 1];
    uint64_t units = units_of(i, p.index), to;
    int err = vhdx_space_get_below(i, units, p.place, &to);

    if (err)
        return err == -ENOSPC ? 0 : err;
    err = copy(c, p.place, to, units);
    if (err) {
        vhdx_space_drop(i, to, units);
        return err;
    }
    c->count--;
    i->flush_first = true;
    vhdx_space_free(i, p.place, units);
    vhdx_bat_set(i, p.index, to | vhdx_state(vhdx_entry(i, p.index)));
    *bitmap |= is_bitmap(i, p.index);
    return 1;
}

/* One round: places that it leaves are free in the next one. A bitmap's old place must not be in
 * the log then. *moved: how many. */
static int round_of_moves(struct compacting *c, unsigned *moved)
{
    bool bitmap = false;
    int err = 1;

    *moved = 0;
    while (err == 1 && c->count > 0 && *moved < MOVES_MAX) {
        err = move_last(c, &bitmap);
        *moved += err == 1;
    }
    if (err >= 0)
        err = vhdx_flush(c->image);
    return err || !bitmap ? err : vhdx_log_close(c->image);
}

static int compact(struct compacting *c)
{
    unsigned moved = 0;
    bool sorted;
    int err = vhdx_session(c->image, false);

    if (!err)
        err = vhdx_flush(c->image);
    if (!err)
        err = drop_empty(c);
    if (!err)
        err = drop_bitmaps(c);
    do {
        if (!err && !go_on(c))
            return -ECANCELED;
        /* After a full round, what stands before those that it moved is still in order. */
        sorted = moved < MOVES_MAX;
        if (!err && sorted)
            err = sort_places(c);
        if (!err)
            err = round_of_moves(c, &moved);
    } while (!err && (moved > 0 || !sorted));
    if (!err)
        err = vhdx_trim(c->image);
    return err ? err : vhdx_sync(c->image);
}

int vhdx_compact(struct image *i, bool (*progress)(void *ctx, uint64_t done, uint64_t all),
                 void *ctx, struct problem *why)
{
    struct compacting c = {.image = i, .progress = progress, .ctx = ctx};
    int err;

    if (i->leave_allocated)
        return 0;
    for (uint32_t b = 0; b < i->blocks; b++)
        c.all += vhdx_place(vhdx_entry(i, vhdx_block_entry(i, b))) != 0;
    c.buf = malloc(VHDX_MIB);
    err = c.buf ? compact(&c) : -ENOMEM;
    free(c.buf);
    free(c.placed);
    return err ? problem_set(why, err, "cannot be compacted: %s", strerror(-err)) : 0;
}
