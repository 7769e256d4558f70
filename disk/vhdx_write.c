/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* The slow way of a write: blocks and sectors that are not in the file yet. */

/* What is left of the vectors of a write. */
struct source {
    const struct iovec *iov;
    unsigned count;
    size_t skip;
};

static int put(struct image *i, struct source *s, uint64_t place, uint64_t length)
{
    int err = 0;

    while (length > 0 && !err) {
        size_t n;

        while (s->count > 0 && s->skip == s->iov->iov_len) {
            s->iov++;
            s->count--;
            s->skip = 0;
        }
        if (s->count == 0)
            return -EINVAL;
        n = (size_t)min_u64(length, s->iov->iov_len - s->skip);
        err = file_write(i->file, (const char *)s->iov->iov_base + s->skip, n, place);
        s->skip += n;
        place += n;
        length -= n;
    }
    return err;
}

int vhdx_room(struct image *i)
{
    if (i->page_count + VHDX_PAGES_OP <= i->page_limit)
        return 0;
    return vhdx_flush(i);
}

/* The pages that have the bits of a range of a block. */
static void bits_dirty(struct image *i, uint32_t block, uint64_t from, uint64_t length)
{
    uint32_t first = vhdx_first_bit(i, block) + (uint32_t)(from >> i->sector_shift);
    uint32_t last = first + (uint32_t)(length >> i->sector_shift) - 1;

    for (uint32_t p = first / 8 / VHDX_PAGE; p <= last / 8 / VHDX_PAGE; p++)
        vhdx_page_dirty(i, block >> i->ratio_shift, p);
}

static void bits_set(struct image *i, _Atomic uint64_t *words, uint32_t block, uint64_t from,
                     uint64_t length)
{
    uint32_t bit = vhdx_first_bit(i, block) + (uint32_t)(from >> i->sector_shift);
    uint32_t end = bit + (uint32_t)(length >> i->sector_shift);

    while (bit < end) {
        uint32_t n = (uint32_t)min_u64(64 - bit % 64, end - bit);
        uint64_t mask = (n == 64 ? ~0ULL : (1ULL << n) - 1) << (bit % 64);

        atomic_fetch_or_explicit(&words[bit / 64], mask, memory_order_acq_rel);
        bit += n;
    }
    bits_dirty(i, block, from, length);
}

/* A block that has got all of its sectors needs its bits no more. They stay set in memory, where a
 * map() that began before may still look at them. */
static void complete(struct image *i, const _Atomic uint64_t *words, uint32_t block, uint64_t entry)
{
    uint32_t bits = (uint32_t)(vhdx_block_bytes(i, block) >> i->sector_shift);
    bool set;

    if (vhdx_bits_alike(words, vhdx_first_bit(i, block), bits, &set) == bits && set)
        vhdx_bat_set(i, vhdx_block_entry(i, block), vhdx_place(entry) | VHDX_PRESENT);
}

static int write_partial(struct image *i, struct source *s, uint32_t block, uint64_t in_block,
                         uint64_t length, uint64_t entry)
{
    _Atomic uint64_t *words = vhdx_bitmap_words(i, block >> i->ratio_shift);
    int err = words ? put(i, s, vhdx_place(entry) + in_block, length) : -ENOMEM;

    if (err)
        return err;
    i->flush_first = true; /* bits must not show what the parent has not */
    bits_set(i, words, block, in_block, length);
    complete(i, words, block, entry);
    return 0;
}

/* The sector bitmap of a chunk, in memory and with a place in the file. */
static int bitmap_ready(struct image *i, uint32_t chunk)
{
    uint32_t index = vhdx_bitmap_entry(i, chunk);
    uint64_t place;
    int err;

    if (!vhdx_bitmap_words(i, chunk))
        return -ENOMEM;
    if (vhdx_entry(i, index))
        return 0;
    err = vhdx_space_get(i, 1, &place);
    if (!err)
        vhdx_bat_set(i, index, place | VHDX_PRESENT);
    return err;
}

/*
 * A block gets a place, whose bytes are zeros, then its data, and the table names it when these are
 * written. With a parent, sectors that were not written stay in the parent, unless the block had
 * been made zeros before.
 */
static int write_new(struct image *i, struct source *s, uint32_t block, uint64_t in_block,
                     uint64_t length, enum vhdx_state was)
{
    uint64_t bytes = vhdx_block_bytes(i, block), units = i->block_size / VHDX_MIB, place;
    bool partial = i->has_parent && was == VHDX_NOT_PRESENT && length < bytes;
    uint32_t chunk = block >> i->ratio_shift;
    int err = partial ? bitmap_ready(i, chunk) : 0;

    if (!err)
        err = vhdx_space_get(i, units, &place);
    if (err)
        return err;
    err = put(i, s, place + in_block, length);
    if (err) {
        vhdx_space_drop(i, place, units);
        return err;
    }
    i->flush_first |= i->has_parent;
    if (partial) {
        /* All of its bits go to the file: what stands there is of an earlier life. */
        bits_dirty(i, block, 0, i->block_size);
        bits_set(i, vhdx_bitmap_words(i, chunk), block, in_block, length);
    }
    vhdx_bat_set(i, vhdx_block_entry(i, block), place | (partial ? VHDX_PARTIAL : VHDX_PRESENT));
    return 0;
}

static int write_block(struct image *i, struct source *s, uint32_t block, uint64_t in_block,
                       uint64_t length)
{
    uint64_t entry = vhdx_entry(i, vhdx_block_entry(i, block));

    if (vhdx_state(entry) == VHDX_PRESENT)
        return put(i, s, vhdx_place(entry) + in_block, length);
    if (vhdx_state(entry) == VHDX_PARTIAL)
        return write_partial(i, s, block, in_block, length, entry);
    return write_new(i, s, block, in_block, length, vhdx_state(entry));
}

int vhdx_write(struct image *i, uint64_t offset, uint64_t length, const struct iovec *iov,
               unsigned iov_count)
{
    struct source s = {iov, iov_count, 0};
    int err = vhdx_session(i, true);

    for (uint64_t n; length > 0 && !err; offset += n, length -= n) {
        uint64_t in_block = offset & (i->block_size - 1);

        n = min_u64(length, i->block_size - in_block);
        err = vhdx_room(i);
        if (!err)
            err = write_block(i, &s, (uint32_t)(offset >> i->block_shift), in_block, n);
    }
    return err;
}
