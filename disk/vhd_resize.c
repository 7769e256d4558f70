/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/host.h"
#include "disk/vhd_priv.h"
#include "lib/bits.h"

/*
 * What has two sectors or more, or belongs together, is written anew behind everything else and
 * becomes valid by one sector: a footer that points to it. The footer at the end comes first, and
 * while it is not there its copy at the start leads to what was before.
 */
int vhd_header_switch(struct image *i, struct vhd_header *h, uint64_t size, uint64_t end)
{
    struct vhd_footer f = i->footer;
    int err;

    vhd_header_seal(h);
    f.data_offset = htobe64(end);
    vhd_footer_seal(&f, size);
    err = file_write(i->file, h, sizeof(*h), end);
    if (!err)
        err = file_flush(i->file);
    if (!err)
        err = file_write(i->file, &f, sizeof(f), end + sizeof(*h));
    if (!err)
        err = file_flush(i->file);
    if (!err)
        err = file_write(i->file, &f, sizeof(f), 0);
    if (!err)
        err = file_flush(i->file);
    if (err)
        return err;
    i->footer = f;
    i->header = *h;
    i->header_offset = end;
    i->table_offset = be64toh(h->table_offset);
    i->end = end + sizeof(*h);
    i->trimmed = true;
    i->size = size;
    return 0;
}

/* Tables in memory for more blocks. Nobody reads them meanwhile: see format.h. */
static int tables_grow(struct image *i, uint32_t entries)
{
    size_t n = (size_t)entries + 1;
    _Atomic uint32_t *bat = calloc(n, sizeof(*bat));
    atomic_uchar *state = calloc(n, sizeof(*state));
    _Atomic(struct vhd_bitmap *) *bitmap = calloc(n, sizeof(*bitmap));
    bool *dirty = calloc(n / VHD_BAT_PER_SECTOR + 2, sizeof(*dirty));

    if (!bat || !state || !bitmap || !dirty) {
        free(bat);
        free(state);
        free(bitmap);
        free(dirty);
        return -ENOMEM;
    }
    for (uint32_t b = 0; b < entries; b++) {
        bool old = b < i->entries;

        atomic_init(&bat[b], old ? atomic_load(&i->bat[b]) : VHD_UNUSED);
        atomic_init(&state[b], old ? atomic_load(&i->state[b]) : VHD_BLOCK_UNKNOWN);
        atomic_init(&bitmap[b], old ? atomic_load(&i->bitmap[b]) : NULL);
    }
    free(i->bat);
    free(i->state);
    free(i->bitmap);
    free(i->bat_dirty);
    i->bat = bat;
    i->state = state;
    i->bitmap = bitmap;
    i->bat_dirty = dirty;
    return 0;
}

static int table_copy(struct image *i, uint64_t at, uint32_t entries)
{
    uint32_t raw[VHD_BAT_PER_SECTOR];
    int err = 0;

    for (uint32_t first = 0; first < entries && !err; first += VHD_BAT_PER_SECTOR) {
        for (uint32_t k = 0; k < VHD_BAT_PER_SECTOR; k++)
            raw[k] = first + k < i->entries ? htobe32(atomic_load(&i->bat[first + k])) : VHD_UNUSED;
        err = file_write(i->file, raw, sizeof(raw), at + (uint64_t)first * 4);
    }
    return err;
}

static int resize_blocks(struct image *i, uint64_t size)
{
    uint64_t entries = (size + i->block_size - 1) >> i->block_shift, at = i->end;
    struct vhd_header h = i->header;
    int err;

    if (entries > VHD_ENTRIES_MAX)
        return -EFBIG;
    if (entries <= i->entries) { /* the table is large enough */
        vhd_footer_seal(&i->footer, size);
        i->size = size;
        return vhd_footers_write(i);
    }
    h.entries = htobe32((uint32_t)entries);
    h.table_offset = htobe64(at);
    i->trimmed = false;
    err = table_copy(i, at, (uint32_t)entries);
    if (!err)
        err = tables_grow(i, (uint32_t)entries);
    if (!err)
        err = vhd_header_switch(i, &h, size, at + align_up(entries * 4, VHD_SECTOR));
    if (!err)
        i->entries = (uint32_t)entries;
    return err;
}

/* The end is smaller than before: blocks behind it are let go, and what is behind it in the last
 * one is zeros if the disk grows again. */
static int cut_blocks(struct image *i)
{
    uint32_t last = (uint32_t)((i->size + i->block_size - 1) >> i->block_shift);
    uint64_t in_block = i->size & (i->block_size - 1);
    int err = 0;

    for (uint32_t b = last; b < i->entries; b++) {
        if (atomic_load(&i->bat[b]) == VHD_UNUSED)
            continue;
        atomic_store(&i->bat[b], VHD_UNUSED);
        atomic_store(&i->state[b], VHD_BLOCK_UNKNOWN);
        vhd_table_dirty(i, b);
    }
    if (in_block && atomic_load(&i->bat[last - 1]) != VHD_UNUSED)
        err = host_zero(i->file,
                        (uint64_t)atomic_load(&i->bat[last - 1]) * VHD_SECTOR + i->bitmap_bytes +
                            in_block,
                        i->block_size - in_block);
    return err ? err : vhd_flush(i);
}

/* The new footer is durable before the old one goes. */
static int resize_fixed(struct image *i, uint64_t size)
{
    static const uint8_t zeros[VHD_SECTOR];
    uint64_t before = i->size;
    int err;

    vhd_footer_seal(&i->footer, size);
    i->size = size;
    err = vhd_footers_write(i);
    if (!err && size > before)
        err = file_write(i->file, zeros, min_u64(sizeof(zeros), size - before), before);
    else if (!err)
        err = file_set_size(i->file, size + VHD_SECTOR);
    return err ? err : file_flush(i->file);
}

int vhd_resize(struct image *i, uint64_t size, struct problem *why)
{
    struct vhd_footer footer = i->footer;
    uint64_t before = i->size;
    int err;

    if (size == 0 || size % VHD_SECTOR || size > VHD_SIZE_MAX)
        return problem_set(why, -EINVAL,
                           "the size of a VHD is a multiple of 512 bytes, at most 2040 GiB");
    if (size == before)
        return 0;
    if (size < before && i->type == VHD_DIFFERENCING)
        return problem_set(why, -EINVAL, "a differencing image does not shrink");
    if (i->type == VHD_FIXED) {
        err = resize_fixed(i, size);
    } else {
        err = vhd_flush(i);
        if (!err && !i->trimmed)
            err = vhd_footers_write(i);
        if (!err)
            err = resize_blocks(i, size);
        if (!err && size < before)
            err = cut_blocks(i);
    }
    if (err) {
        i->footer = footer;
        i->size = before;
        return problem_set(why, err, "cannot be resized: %s", strerror(-err));
    }
    return 0;
}
