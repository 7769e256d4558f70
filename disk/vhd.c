/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "disk/vhd_priv.h"
#include "lib/bits.h"

/* Where bytes lie, in any thread and without a lock. */

/* How many sectors from `first` on, `max` at most, are in the block like this one is. */
static uint32_t bitmap_run(const struct vhd_bitmap *m, uint32_t first, uint32_t max, bool *there)
{
    uint64_t word = atomic_load_explicit(&m->word[first / 64], memory_order_acquire);
    uint32_t n = 0;

    *there = word >> first % 64 & 1;
    while (n < max) {
        uint32_t at = (first + n) % 64, run;

        if (n > 0 && at == 0)
            word = atomic_load_explicit(&m->word[(first + n) / 64], memory_order_acquire);
        uint64_t differ = (*there ? ~word : word) >> at;
        run = differ ? (uint32_t)__builtin_ctzll(differ) : 64 - at;
        n += run;
        if (run < 64 - at)
            break;
    }
    return n < max ? n : max;
}

static enum extent_kind absent(const struct image *i, bool write)
{
    if (write)
        return EXTENT_SLOW;
    return i->type == VHD_DIFFERENCING ? EXTENT_PARENT : EXTENT_ZERO;
}

/* Blocks that are not there, as many as stand in a row. */
static void map_absent(const struct image *i, uint64_t offset, uint64_t length, bool write,
                       struct extent *e)
{
    uint64_t at = offset;

    do {
        at = (align_down(at, i->block_size)) + i->block_size;
    } while (at < offset + length && atomic_load_explicit(&i->bat[at >> i->block_shift],
                                                          memory_order_acquire) == VHD_UNUSED);
    *e = (struct extent){absent(i, write), min_u64(at - offset, length), 0};
}

static void map_block(const struct image *i, uint32_t block, uint32_t place, uint64_t offset,
                      uint64_t length, bool write, struct extent *e)
{
    uint8_t state = atomic_load_explicit(&i->state[block], memory_order_acquire);
    const struct vhd_bitmap *m;
    bool there = true;

    length = min_u64(length, i->block_size - offset);
    if (state == VHD_BLOCK_PARTIAL) {
        m = atomic_load_explicit(&i->bitmap[block], memory_order_acquire);
        length = (uint64_t)bitmap_run(m, (uint32_t)(offset / VHD_SECTOR),
                                      (uint32_t)(length / VHD_SECTOR), &there) *
                 VHD_SECTOR;
    }
    if (!there)
        *e = (struct extent){absent(i, write), length, 0};
    else if (state == VHD_BLOCK_UNKNOWN && write)
        *e = (struct extent){EXTENT_SLOW, length, 0};
    else
        *e = (struct extent){EXTENT_DATA, length,
                             (uint64_t)place * VHD_SECTOR + i->bitmap_bytes + offset};
}

static void vhd_map(struct image *i, uint64_t offset, uint64_t length, bool write, struct extent *e)
{
    uint32_t block, place;

    if (i->type == VHD_FIXED) {
        *e = (struct extent){EXTENT_DATA, length, offset};
        return;
    }
    block = (uint32_t)(offset >> i->block_shift);
    place = atomic_load_explicit(&i->bat[block], memory_order_acquire);
    if (place == VHD_UNUSED)
        map_absent(i, offset, length, write, e);
    else
        map_block(i, block, place, offset & (i->block_size - 1), length, write, e);
}

static bool vhd_dirty(const struct image *i)
{
    return atomic_load_explicit(&i->dirty, memory_order_acquire);
}

const struct disk_format format_vhd = {
    .name = "vhd",
    .stable_map = true, /* a discard leaves blocks where they are and makes holes in the file */
    .probe = vhd_probe,
    .open = vhd_open,
    .close = vhd_close,
    .map = vhd_map,
    .write = vhd_write,
    .discard = vhd_discard,
    .flush = vhd_flush,
    .dirty = vhd_dirty,
    .resize = vhd_resize,
    .create = vhd_create,
    .check = vhd_check,
    .compact = vhd_compact,
    .set_parent = vhd_set_parent,
};
