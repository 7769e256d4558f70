/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/host.h"
#include "disk/vhd_priv.h"
#include "lib/bits.h"

/*
 * Order of writes. A new block goes behind all others: first a footer behind it, which makes the
 * file longer, then its bitmap, where the old footer may have been, then data. The copy of the
 * footer at the start stands for the lost one. Table and bitmaps are changed in memory only; a
 * flush makes the file durable, writes them, and makes it durable once more. So whatever part of
 * what was not flushed is lost, what the table in the file names is there, and what a bitmap in the
 * file says was written before it. A new block's bitmap is all ones in a dynamic image, where the
 * rest of the block is zeros, and all zeros in a differencing one until the flush.
 */

uint64_t vhd_place(const struct image *i, uint64_t at)
{
    return align_up(at + i->bitmap_bytes, VHD_DATA_ALIGN) - i->bitmap_bytes;
}

void vhd_table_dirty(struct image *i, uint32_t block)
{
    i->bat_dirty[block / VHD_BAT_PER_SECTOR] = true;
    atomic_store_explicit(&i->dirty, true, memory_order_release);
}

static void bitmap_dirty(struct image *i, struct vhd_bitmap *m)
{
    if (!m->dirty) {
        m->dirty = true;
        m->next_dirty = i->dirty_bitmaps;
        i->dirty_bitmaps = m;
    }
    atomic_store_explicit(&i->dirty, true, memory_order_release);
}

struct vhd_bitmap *vhd_bitmap_new(const struct image *i, uint32_t block)
{
    uint32_t sectors = i->block_size / VHD_SECTOR;
    struct vhd_bitmap *m = calloc(1, sizeof(*m) + (sectors + 63) / 64 * sizeof(m->word[0]));

    if (m) {
        m->block = block;
        m->missing = sectors;
    }
    return m;
}

static int fill(struct image *i, uint64_t at, uint64_t bytes, uint8_t value)
{
    uint8_t buf[4096];
    int err = 0;

    memset(buf, value, sizeof(buf));
    for (uint64_t n; bytes > 0 && !err; at += n, bytes -= n) {
        n = min_u64(bytes, sizeof(buf));
        err = file_write(i->file, buf, n, at);
    }
    return err;
}

/* Room for a block at the end of the file, zeros but for its bitmap: its byte in the file. */
static int block_place(struct image *i, uint64_t *out)
{
    uint64_t at = vhd_place(i, i->end), end = at + i->bitmap_bytes + i->block_size;
    int err = 0;

    if (at / VHD_SECTOR >= VHD_UNUSED)
        return -ENOSPC;
    /* What a lost life has left behind the end must not become the contents of a block. */
    if (!i->trimmed)
        err = file_set_size(i->file, i->end);
    if (!err)
        err = file_write(i->file, &i->footer, sizeof(i->footer), end);
    i->trimmed = false; /* until the block counts */
    if (!err)
        err = fill(i, at, i->bitmap_bytes, i->type == VHD_DYNAMIC ? 0xFF : 0);
    *out = at;
    return err;
}

static int block_put(struct image *i, uint64_t at, uint64_t offset, uint64_t length,
                     const struct iovec *iov, unsigned iov_count)
{
    uint64_t to = at + i->bitmap_bytes + offset;
    int err = 0;

    if (!iov) /* zeros: they are there */
        return 0;
    for (unsigned n = 0; n < iov_count && !err; to += iov[n++].iov_len)
        err = file_write(i->file, iov[n].iov_base, iov[n].iov_len, to);
    return err;
}

/* The sectors are in the file: bitmaps and, for a new block, the table may say so. */
static void bitmap_set(struct image *i, struct vhd_bitmap *m, uint64_t offset, uint64_t length)
{
    uint32_t first = (uint32_t)(offset / VHD_SECTOR), end = first + (uint32_t)(length / VHD_SECTOR);

    bitmap_dirty(i, m);
    for (uint32_t s = first; s < end; s++) {
        uint64_t bit = 1ULL << s % 64;

        if (!(atomic_fetch_or_explicit(&m->word[s / 64], bit, memory_order_release) & bit))
            m->missing--;
    }
    if (m->missing == 0)
        atomic_store_explicit(&i->state[m->block], VHD_BLOCK_FULL, memory_order_release);
}

static int block_new(struct image *i, uint32_t block, uint64_t offset, uint64_t length,
                     const struct iovec *iov, unsigned iov_count)
{
    struct vhd_bitmap *m = atomic_load_explicit(&i->bitmap[block], memory_order_relaxed);
    uint64_t at;
    int err;

    if (i->type == VHD_DIFFERENCING && !m) {
        m = vhd_bitmap_new(i, block);
        if (!m)
            return -ENOMEM;
        atomic_store_explicit(&i->bitmap[block], m, memory_order_release);
    }
    err = block_place(i, &at);
    if (!err)
        err = block_put(i, at, offset, length, iov, iov_count);
    if (err)
        return err;
    i->end = at + i->bitmap_bytes + i->block_size;
    i->trimmed = true;
    vhd_table_dirty(i, block);
    atomic_store_explicit(&i->state[block], m ? VHD_BLOCK_PARTIAL : VHD_BLOCK_FULL,
                          memory_order_release);
    if (m)
        bitmap_set(i, m, offset, length);
    atomic_store_explicit(&i->bat[block], (uint32_t)(at / VHD_SECTOR), memory_order_release);
    return 0;
}

/* The first write to a block of a dynamic image: what its bitmap does not have are zeros, and from
 * now on it has everything. */
static int block_know(struct image *i, uint32_t block, uint64_t at)
{
    uint32_t used = i->block_size / VHD_SECTOR / 8;
    uint8_t *raw = malloc(i->bitmap_bytes);
    bool full = true;
    int err;

    if (!raw)
        return -ENOMEM;
    err = file_read(i->file, raw, i->bitmap_bytes, at);
    for (uint32_t k = 0; k < used; k++)
        full = full && raw[k] == 0xFF;
    free(raw);
    if (!err && !full)
        err = fill(i, at, i->bitmap_bytes, 0xFF);
    if (!err)
        atomic_store_explicit(&i->state[block], VHD_BLOCK_FULL, memory_order_release);
    return err;
}

/* A piece of a write that lies in one block. */
static int write_piece(struct image *i, uint32_t block, uint64_t offset, uint64_t length,
                       const struct iovec *iov, unsigned iov_count)
{
    uint32_t place = atomic_load_explicit(&i->bat[block], memory_order_relaxed);
    uint64_t at = (uint64_t)place * VHD_SECTOR;
    int err = 0;

    if (place == VHD_UNUSED)
        return block_new(i, block, offset, length, iov, iov_count);
    if (atomic_load_explicit(&i->state[block], memory_order_relaxed) == VHD_BLOCK_UNKNOWN)
        err = block_know(i, block, at);
    if (!err)
        err = block_put(i, at, offset, length, iov, iov_count);
    if (!err && atomic_load_explicit(&i->state[block], memory_order_relaxed) == VHD_BLOCK_PARTIAL)
        bitmap_set(i, atomic_load_explicit(&i->bitmap[block], memory_order_relaxed), offset,
                   length);
    return err;
}

int vhd_write(struct image *i, uint64_t offset, uint64_t length, const struct iovec *iov,
              unsigned iov_count)
{
    int err = 0;

    if (i->type == VHD_FIXED) {
        for (unsigned n = 0; n < iov_count && !err; offset += iov[n++].iov_len)
            err = file_write(i->file, iov[n].iov_base, iov[n].iov_len, offset);
        return err;
    }
    /* Vector by vector, each cut at the ends of blocks: new blocks are few. */
    for (unsigned n = 0; n < iov_count && !err; n++) {
        for (size_t done = 0, part; done < iov[n].iov_len && !err; done += part) {
            uint64_t in_block = offset & (i->block_size - 1);

            part = min_u64(iov[n].iov_len - done, i->block_size - in_block);
            const struct iovec v = {(char *)iov[n].iov_base + done, part};
            err = write_piece(i, (uint32_t)(offset >> i->block_shift), in_block, part, &v, 1);
            offset += part;
        }
    }
    return err;
}

/* Part of a block, or all of it, becomes zeros; a bare discard only makes a hole. */
static int discard_piece(struct image *i, uint32_t block, uint64_t offset, uint64_t length,
                         bool zero)
{
    uint32_t place = atomic_load_explicit(&i->bat[block], memory_order_relaxed);
    uint64_t at = (uint64_t)place * VHD_SECTOR + i->bitmap_bytes + offset;
    int err;

    if (place == VHD_UNUSED)
        return zero && i->type == VHD_DIFFERENCING ? block_new(i, block, offset, length, NULL, 0)
                                                   : 0;
    if (!zero) {
        err = file_punch(i->file, at, length);
        return err == -ENOTSUP ? 0 : err;
    }
    err = host_zero(i->file, at, length);
    if (!err && atomic_load_explicit(&i->state[block], memory_order_relaxed) == VHD_BLOCK_PARTIAL)
        bitmap_set(i, atomic_load_explicit(&i->bitmap[block], memory_order_relaxed), offset,
                   length);
    return err;
}

int vhd_discard(struct image *i, uint64_t offset, uint64_t length, bool zero)
{
    int err = 0;

    if (i->type == VHD_FIXED) {
        err = zero ? host_zero(i->file, offset, length) : file_punch(i->file, offset, length);
        return err == -ENOTSUP ? 0 : err;
    }
    for (uint64_t n; length > 0 && !err; offset += n, length -= n) {
        uint64_t in_block = offset & (i->block_size - 1);

        n = min_u64(length, i->block_size - in_block);
        err = discard_piece(i, (uint32_t)(offset >> i->block_shift), in_block, n, zero);
    }
    return err;
}

static int bitmap_write(struct image *i, const struct vhd_bitmap *m)
{
    uint64_t at =
        (uint64_t)atomic_load_explicit(&i->bat[m->block], memory_order_relaxed) * VHD_SECTOR;
    uint8_t *raw = calloc(1, i->bitmap_bytes);
    int err;

    if (!raw)
        return -ENOMEM;
    for (uint32_t s = 0; s < i->block_size / VHD_SECTOR; s++)
        if (atomic_load_explicit(&m->word[s / 64], memory_order_relaxed) >> s % 64 & 1)
            raw[s / 8] |= (uint8_t)(0x80U >> s % 8);
    err = file_write(i->file, raw, i->bitmap_bytes, at);
    free(raw);
    return err;
}

static int table_write(struct image *i, uint32_t sector)
{
    uint32_t raw[VHD_BAT_PER_SECTOR], first = sector * VHD_BAT_PER_SECTOR;

    for (uint32_t k = 0; k < VHD_BAT_PER_SECTOR; k++)
        raw[k] = first + k < i->entries
                     ? htobe32(atomic_load_explicit(&i->bat[first + k], memory_order_relaxed))
                     : VHD_UNUSED;
    return file_write(i->file, raw, sizeof(raw), i->table_offset + (uint64_t)sector * VHD_SECTOR);
}

static int tables_write(struct image *i)
{
    uint32_t sectors = (i->entries + VHD_BAT_PER_SECTOR - 1) / VHD_BAT_PER_SECTOR;
    int err = 0;

    for (struct vhd_bitmap *m = i->dirty_bitmaps; m && !err; m = m->next_dirty)
        err = bitmap_write(i, m);
    for (uint32_t s = 0; s < sectors && !err; s++)
        if (i->bat_dirty[s])
            err = table_write(i, s);
    return err;
}

static void tables_clean(struct image *i)
{
    uint32_t sectors = (i->entries + VHD_BAT_PER_SECTOR - 1) / VHD_BAT_PER_SECTOR;

    while (i->dirty_bitmaps) {
        i->dirty_bitmaps->dirty = false;
        i->dirty_bitmaps = i->dirty_bitmaps->next_dirty;
    }
    memset(i->bat_dirty, 0, sectors * sizeof(i->bat_dirty[0]));
    atomic_store_explicit(&i->dirty, false, memory_order_release);
}

int vhd_flush(struct image *i)
{
    int err = file_flush(i->file);

    if (err || !atomic_load_explicit(&i->dirty, memory_order_relaxed))
        return err;
    err = tables_write(i);
    if (!err)
        err = file_flush(i->file);
    if (!err)
        tables_clean(i);
    return err;
}

int vhd_footers_write(struct image *i)
{
    int err = 0;

    if (i->type == VHD_FIXED) {
        err = file_write(i->file, &i->footer, sizeof(i->footer), i->size);
    } else {
        /* The copy first and durable: while the one at the end moves it is the only one. */
        err = file_write(i->file, &i->footer, sizeof(i->footer), 0);
        if (!err)
            err = file_flush(i->file);
        if (!err && !i->trimmed)
            err = file_set_size(i->file, i->end);
        if (!err)
            err = file_write(i->file, &i->footer, sizeof(i->footer), i->end);
        i->trimmed = !err;
    }
    return err ? err : file_flush(i->file);
}

int vhd_close(struct image *i)
{
    int err = 0;

    if (!i->read_only && i->type != VHD_FIXED) {
        err = vhd_flush(i);
        /* An allocation that failed has left a piece of a file behind the end. */
        if (!err && !i->trimmed)
            err = vhd_footers_write(i);
    }
    vhd_free(i);
    return err;
}
