/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhd_priv.h"
#include "lib/bits.h"

/* Reads header, table of blocks and bitmaps of an image, none of which can be trusted. */

static bool meets(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

static int check_header(struct image *i, uint64_t file_bytes, struct problem *why)
{
    const struct vhd_header *h = &i->header;
    uint64_t table_bytes;

    if (memcmp(h->cookie, VHD_HEAD_COOKIE, sizeof(h->cookie)) != 0)
        return problem_set(why, -EINVAL, "no header at byte %llu, where the footer says",
                           (unsigned long long)i->header_offset);
    if (be32toh(h->checksum) != vhd_checksum(h, sizeof(*h), offsetof(struct vhd_header, checksum)))
        return problem_set(why, -EINVAL, "the checksum of the header is wrong");
    if (be32toh(h->version) >> 16 != VHD_VERSION >> 16)
        return problem_set(why, -EINVAL, "the header has version 0x%x", be32toh(h->version));
    i->block_size = be32toh(h->block_size);
    i->entries = be32toh(h->entries);
    i->table_offset = be64toh(h->table_offset);
    if (i->block_size < VHD_BLOCK_MIN || i->block_size > VHD_BLOCK_MAX ||
        i->block_size & (i->block_size - 1))
        return problem_set(why, -EINVAL,
                           "the block size is %u; it is a power of two, 4 KiB to 256 MiB",
                           i->block_size);
    if (i->entries > VHD_ENTRIES_MAX)
        return problem_set(why, -EINVAL, "the table has %u entries; %u is the most", i->entries,
                           VHD_ENTRIES_MAX);
    if ((uint64_t)i->entries * i->block_size < i->size)
        return problem_set(why, -EINVAL, "%u blocks of %u bytes do not hold %llu bytes", i->entries,
                           i->block_size, (unsigned long long)i->size);
    table_bytes = align_up((uint64_t)i->entries * 4, VHD_SECTOR);
    if (i->table_offset % VHD_SECTOR || i->table_offset > file_bytes ||
        table_bytes > file_bytes - i->table_offset)
        return problem_set(why, -EINVAL,
                           "the table at byte %llu, %llu bytes long, is not in the file",
                           (unsigned long long)i->table_offset, (unsigned long long)table_bytes);
    if (meets(i->table_offset, table_bytes, 0, VHD_SECTOR) ||
        meets(i->table_offset, table_bytes, i->header_offset, sizeof(i->header)))
        return problem_set(why, -EINVAL, "the table at byte %llu lies over the header",
                           (unsigned long long)i->table_offset);
    return 0;
}

static int read_header(struct image *i, uint64_t file_bytes, struct problem *why)
{
    int err;

    i->header_offset = be64toh(i->footer.data_offset);
    if (i->header_offset % VHD_SECTOR || i->header_offset < VHD_SECTOR ||
        i->header_offset > file_bytes || sizeof(i->header) > file_bytes - i->header_offset)
        return problem_set(why, -EINVAL, "the header at byte %llu is not in the file",
                           (unsigned long long)i->header_offset);
    err = file_read(i->file, &i->header, sizeof(i->header), i->header_offset);
    if (err)
        return problem_set(why, err, "the header cannot be read: %s", strerror(-err));
    err = check_header(i, file_bytes, why);
    if (err)
        return err;
    i->block_shift = (uint32_t)__builtin_ctz(i->block_size);
    i->bitmap_bytes = (uint32_t)align_up(i->block_size / VHD_SECTOR / 8, VHD_SECTOR);
    return 0;
}

static int read_table(struct image *i, struct problem *why)
{
    uint64_t sectors = ((uint64_t)i->entries + VHD_BAT_PER_SECTOR - 1) / VHD_BAT_PER_SECTOR;
    uint32_t raw[VHD_BAT_PER_SECTOR * 16];
    int err = 0;

    i->bat = calloc((size_t)i->entries + 1, sizeof(*i->bat));
    i->state = calloc((size_t)i->entries + 1, sizeof(*i->state));
    i->bitmap = calloc((size_t)i->entries + 1, sizeof(*i->bitmap));
    i->bat_dirty = calloc((size_t)sectors + 1, sizeof(*i->bat_dirty));
    if (!i->bat || !i->state || !i->bitmap || !i->bat_dirty)
        return problem_set(why, -ENOMEM, "no memory for %u entries of the table", i->entries);
    for (uint32_t b = 0, n; b < i->entries && !err; b += n) {
        n = (uint32_t)min_u64(ARRAY_SIZE(raw), i->entries - b);
        err = file_read(i->file, raw, n * sizeof(raw[0]), i->table_offset + (uint64_t)b * 4);
        for (uint32_t k = 0; k < n && !err; k++)
            atomic_init(&i->bat[b + k], be32toh(raw[k]));
    }
    return err ? problem_set(why, err, "the table cannot be read: %s", strerror(-err)) : 0;
}

/* Bytes of a block in the file, with its bitmap. Of the last one only what the disk needs must be
 * there. */
uint64_t vhd_block_bytes(const struct image *i, uint32_t block)
{
    uint64_t first = (uint64_t)block << i->block_shift;
    uint64_t rest = first < i->size ? i->size - first : 0;

    return i->bitmap_bytes + min_u64(i->block_size, rest);
}

static const char *block_problem(const struct image *i, uint32_t block, uint64_t file_bytes)
{
    uint64_t at = (uint64_t)atomic_load_explicit(&i->bat[block], memory_order_relaxed) * VHD_SECTOR;
    uint64_t bytes = vhd_block_bytes(i, block);

    if (at > file_bytes || bytes > file_bytes - at)
        return "lies beyond the end of the file";
    if (meets(at, bytes, 0, VHD_SECTOR) || meets(at, bytes, i->header_offset, sizeof(i->header)) ||
        meets(at, bytes, i->table_offset, (uint64_t)i->entries * 4))
        return "lies over the header or the table";
    return NULL;
}

/* Blocks by where they begin, in cells as wide as a block: two that overlap begin in the same cell
 * or in neighbours. A cell holds the number of a block plus one. */
struct cells {
    uint64_t width;
    uint64_t count;
    uint32_t *block;
};

static bool overlaps(const struct image *i, const struct cells *c, uint32_t block)
{
    uint64_t at = atomic_load_explicit(&i->bat[block], memory_order_relaxed);
    uint64_t cell = at / c->width;

    for (uint64_t k = cell ? cell - 1 : 0; k <= cell + 1 && k < c->count; k++) {
        uint64_t other;

        if (!c->block[k])
            continue;
        other = atomic_load_explicit(&i->bat[c->block[k] - 1], memory_order_relaxed);
        if (meets(at, c->width, other, c->width))
            return true;
    }
    c->block[cell] = block + 1;
    return false;
}

static int bad_block(struct image *i, vhd_bad_block *bad, void *ctx, uint32_t block,
                     const char *what, struct problem *why)
{
    char sentence[80];

    (void)snprintf(sentence, sizeof(sentence), "block %u, at sector %u, %s", block,
                   atomic_load_explicit(&i->bat[block], memory_order_relaxed), what);
    if (!bad)
        return problem_set(why, -EINVAL, "%s", sentence);
    bad(ctx, block, sentence);
    atomic_store_explicit(&i->bat[block], VHD_UNUSED, memory_order_relaxed);
    return 0;
}

static int check_table(struct image *i, uint64_t file_bytes, vhd_bad_block *bad, void *ctx,
                       struct problem *why)
{
    struct cells c = {.width = (i->bitmap_bytes + i->block_size) / VHD_SECTOR};
    int err = 0;

    /* Entries have 32 bits, so there are 2 TiB at most, whatever the file's size is. */
    c.count = min_u64(file_bytes / VHD_SECTOR, UINT32_MAX) / c.width + 1;
    c.block = calloc(c.count, sizeof(*c.block));
    if (!c.block)
        return problem_set(why, -ENOMEM, "no memory");
    for (uint32_t b = 0; b < i->entries && !err; b++) {
        const char *what;

        if (atomic_load_explicit(&i->bat[b], memory_order_relaxed) == VHD_UNUSED)
            continue;
        what = block_problem(i, b, file_bytes);
        if (!what && overlaps(i, &c, b))
            what = "lies over another block";
        if (what)
            err = bad_block(i, bad, ctx, b, what, why);
    }
    free(c.block);
    return err;
}

/* Where all that is in use ends; new blocks go behind it. */
static void find_end(struct image *i, uint64_t file_bytes)
{
    uint64_t end = max_u64(i->header_offset + sizeof(i->header),
                           i->table_offset + align_up((uint64_t)i->entries * 4, VHD_SECTOR));

    for (unsigned k = 0; k < VHD_LOCATORS; k++) {
        const struct vhd_locator *l = &i->header.locator[k];
        uint64_t at = be64toh(l->offset), bytes = be32toh(l->length);

        if (l->platform && at <= file_bytes && bytes <= file_bytes - at)
            end = max_u64(end, at + bytes);
    }
    for (uint32_t b = 0; b < i->entries; b++) {
        uint64_t at = atomic_load_explicit(&i->bat[b], memory_order_relaxed);

        if (at != VHD_UNUSED)
            end = max_u64(end, at * VHD_SECTOR + i->bitmap_bytes + i->block_size);
    }
    i->end = align_up(end, VHD_SECTOR);
    i->trimmed = file_bytes == i->end + VHD_SECTOR;
}

int vhd_load(struct image *i, vhd_bad_block *bad, void *ctx, struct problem *why)
{
    uint64_t file_bytes;
    int err = file_size(i->file, &file_bytes);

    if (err)
        return problem_set(why, err, "its size cannot be read: %s", strerror(-err));
    err = read_header(i, file_bytes, why);
    if (!err)
        err = read_table(i, why);
    if (!err)
        err = check_table(i, file_bytes, bad, ctx, why);
    if (!err)
        find_end(i, file_bytes);
    return err;
}

/* Bits are numbered from the most significant one of each byte on. */
static int load_bitmap(struct image *i, uint32_t block, uint8_t *raw, struct problem *why)
{
    uint64_t at = (uint64_t)atomic_load_explicit(&i->bat[block], memory_order_relaxed) * VHD_SECTOR;
    uint32_t sectors = i->block_size / VHD_SECTOR, missing = 0;
    int err = file_read(i->file, raw, i->bitmap_bytes, at);
    struct vhd_bitmap *m;

    if (err)
        return problem_set(why, err, "the bitmap of block %u cannot be read: %s", block,
                           strerror(-err));
    for (uint32_t k = 0; k < sectors / 8; k++)
        missing += 8U - (uint32_t)__builtin_popcount(raw[k]);
    if (missing == 0) {
        atomic_init(&i->state[block], VHD_BLOCK_FULL);
        return 0;
    }
    m = vhd_bitmap_new(i, block);
    if (!m)
        return problem_set(why, -ENOMEM, "no memory for the bitmap of block %u", block);
    m->missing = missing;
    for (uint32_t s = 0; s < sectors; s++)
        if (raw[s / 8] & 0x80U >> s % 8)
            atomic_fetch_or_explicit(&m->word[s / 64], 1ULL << s % 64, memory_order_relaxed);
    atomic_init(&i->bitmap[block], m);
    atomic_init(&i->state[block], VHD_BLOCK_PARTIAL);
    return 0;
}

/*
 * A differencing image's are all read now, because map() cannot. In a dynamic image a sector that
 * its bitmap does not have holds zeros by the specification's order of things, so data may be read
 * without them; they are looked at before the first write to their block.
 */
int vhd_load_bitmaps(struct image *i, struct problem *why)
{
    uint8_t *raw;
    int err = 0;

    if (i->type != VHD_DIFFERENCING)
        return 0;
    raw = malloc(i->bitmap_bytes);
    if (!raw)
        return problem_set(why, -ENOMEM, "no memory");
    for (uint32_t b = 0; b < i->entries && !err; b++)
        if (atomic_load_explicit(&i->bat[b], memory_order_relaxed) != VHD_UNUSED)
            err = load_bitmap(i, b, raw, why);
    free(raw);
    return err;
}
