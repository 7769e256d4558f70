/* SPDX-License-Identifier: MIT */
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* Where bytes lie. Any thread; no I/O, no locks. */

#define MAP_BLOCKS_MAX 4096U /* that one extent spans */

/* Blocks that are alike, and whose data lie one behind the other, are one extent. */
static uint64_t join(const struct image *i, uint64_t entry, uint64_t offset, uint64_t length)
{
    uint32_t block = (uint32_t)(offset >> i->block_shift);
    uint64_t n = i->block_size - (offset & (i->block_size - 1));
    bool data = vhdx_state(entry) == VHDX_PRESENT;

    for (unsigned k = 1; n < length && k < MAP_BLOCKS_MAX; k++, n += i->block_size) {
        uint64_t next = vhdx_entry(i, vhdx_block_entry(i, block + k));

        if (next != (data ? entry + ((uint64_t)k << i->block_shift) : entry))
            break;
    }
    return min_u64(n, length);
}

/* A file that was cut where the log would have made it longer reads as zeros from there on. */
static void clip(const struct image *i, struct extent *e)
{
    uint64_t end = align_down(i->data_end, i->sector_size);

    if (e->kind != EXTENT_DATA)
        return;
    if (e->file_offset >= end)
        *e = (struct extent){EXTENT_ZERO, e->length, 0};
    else
        e->length = min_u64(e->length, end - e->file_offset);
}

static void map_partial(const struct image *i, uint64_t entry, uint64_t offset, uint64_t length,
                        struct extent *e)
{
    uint32_t block = (uint32_t)(offset >> i->block_shift);
    uint64_t in_block = offset & (i->block_size - 1);
    const _Atomic uint64_t *words =
        atomic_load_explicit(&i->bitmap[block >> i->ratio_shift], memory_order_acquire);
    uint32_t bit = vhdx_first_bit(i, block) + (uint32_t)(in_block >> i->sector_shift);
    bool here;

    length = min_u64(length, i->block_size - in_block);
    length = (uint64_t)vhdx_bits_alike(words, bit, (uint32_t)(length >> i->sector_shift), &here)
             << i->sector_shift;
    if (here)
        *e = (struct extent){EXTENT_DATA, length, vhdx_place(entry) + in_block};
    else
        *e = (struct extent){EXTENT_PARENT, length, 0};
}

void vhdx_map(struct image *i, uint64_t offset, uint64_t length, bool write, struct extent *extent)
{
    uint32_t block = (uint32_t)(offset >> i->block_shift);
    uint64_t entry = vhdx_entry(i, vhdx_block_entry(i, block));
    uint64_t in_block = offset & (i->block_size - 1);
    struct extent e;

    if (vhdx_state(entry) == VHDX_PARTIAL)
        map_partial(i, entry, offset, length, &e);
    else if (vhdx_state(entry) == VHDX_PRESENT)
        e = (struct extent){EXTENT_DATA, join(i, entry, offset, length),
                            vhdx_place(entry) + in_block};
    else if (write)
        e = (struct extent){EXTENT_SLOW, min_u64(length, i->block_size - in_block), 0};
    else
        e = (struct extent){vhdx_state(entry) == VHDX_NOT_PRESENT && i->has_parent ? EXTENT_PARENT
                                                                                   : EXTENT_ZERO,
                            join(i, entry, offset, length), 0};
    if (!write)
        clip(i, &e);
    else if (e.kind == EXTENT_PARENT)
        e.kind = EXTENT_SLOW;
    *extent = e;
}
