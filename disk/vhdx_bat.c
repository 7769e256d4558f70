/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* The table of blocks and the sector bitmaps in memory. */

#define BITMAP_WORDS (VHDX_BITMAP_BYTES / 8)

struct loading {
    struct image *image;
    vhdx_bad_entry *bad;
    void *ctx;
    struct problem *why;
    bool partial; /* a block of the chunk is partially present */
};

/* An entry that is wrong: an error, or what it has counts as not there. */
static int bad_entry(struct loading *l, uint32_t index, uint64_t raw, const char *what)
{
    char sentence[160];

    (void)snprintf(sentence, sizeof(sentence), "BAT entry %u (0x%llx): %s", index,
                   (unsigned long long)raw, what);
    if (!l->bad)
        return problem_set(l->why, -EINVAL, "%s", sentence);
    l->bad(l->ctx, index, sentence);
    return 0;
}

static bool is_bitmap_entry(const struct image *i, uint32_t index)
{
    uint64_t group = (1ULL << i->ratio_shift) + 1;

    return index % group == group - 1;
}

/* NULL, or what is wrong with a place. The last block may be cut where the disk ends. */
static const char *place_wrong(struct loading *l, uint64_t place, uint64_t bytes, uint64_t space,
                               bool data)
{
    struct image *i = l->image;

    if (place < VHDX_SECTION)
        return "its place is in the header section";
    if (place > i->overlay.size || bytes > i->overlay.size - place)
        return "its place is behind the end of the file";
    if (data && vhdx_overlay_touches(&i->overlay, place, space))
        return "the log has updates of its data";
    if (!vhdx_space_take(&i->space, place, space))
        return "its place is used by something else";
    return NULL;
}

/* The state decides whether there is a place; where there is none, what stands there is reserved
 * (2.5.1.1) and forgotten. */
static int payload_entry(struct loading *l, uint32_t index, uint32_t block, uint64_t raw)
{
    struct image *i = l->image;
    enum vhdx_state state = vhdx_state(raw);
    const char *wrong = NULL;

    if (raw & VHDX_ENTRY_UNUSED || state == 4 || state == 5)
        return bad_entry(l, index, raw, "no such state");
    if (state == VHDX_PARTIAL && !i->has_parent)
        return bad_entry(l, index, raw, "partially present without a parent");
    if (state != VHDX_PRESENT && state != VHDX_PARTIAL)
        raw = state;
    else
        wrong = place_wrong(l, vhdx_place(raw), vhdx_block_bytes(i, block), i->block_size, true);
    if (wrong)
        return bad_entry(l, index, raw, wrong);
    l->partial |= state == VHDX_PARTIAL;
    atomic_store_explicit(&i->bat[index], raw, memory_order_relaxed);
    return 0;
}

/* Blocks that a bad bitmap tells of are lost with it. */
static int lose_chunk(struct loading *l, uint32_t chunk)
{
    struct image *i = l->image;
    int err = 0;

    for (uint32_t k = 0; k < 1U << i->ratio_shift && !err; k++) {
        uint32_t block = (chunk << i->ratio_shift) + k;
        uint32_t index = block < i->blocks ? vhdx_block_entry(i, block) : 0;

        if (block >= i->blocks || vhdx_state(vhdx_entry(i, index)) != VHDX_PARTIAL)
            continue;
        err = bad_entry(l, index, vhdx_entry(i, index), "its sector bitmap is missing");
        atomic_store_explicit(&i->bat[index], 0, memory_order_relaxed);
    }
    return err;
}

/* Images without a parent have none, whatever stands there. */
static int bitmap_entry(struct loading *l, uint32_t index, uint32_t chunk, uint64_t raw)
{
    struct image *i = l->image;
    enum vhdx_state state = vhdx_state(raw);
    const char *wrong = NULL;
    int err = 0;

    if (!i->has_parent)
        return 0;
    if (raw & VHDX_ENTRY_UNUSED || (state != VHDX_NOT_PRESENT && state != VHDX_PRESENT))
        wrong = "no such state of a sector bitmap";
    else if (state == VHDX_PRESENT)
        wrong = place_wrong(l, vhdx_place(raw), VHDX_BITMAP_BYTES, VHDX_BITMAP_BYTES, false);
    if (wrong)
        err = bad_entry(l, index, raw, wrong);
    else if (state == VHDX_PRESENT)
        atomic_store_explicit(&i->bat[index], raw, memory_order_relaxed);
    if (!err && l->partial && vhdx_entry(i, index) == 0)
        err = lose_chunk(l, chunk);
    l->partial = false;
    return err;
}

static int load_entry(struct loading *l, uint32_t index, uint64_t raw)
{
    struct image *i = l->image;
    uint32_t chunk = (uint32_t)(index / ((1ULL << i->ratio_shift) + 1));

    /* Memory that holds nothing is not touched: tables may be large and empty. */
    if (raw == 0 && !l->partial)
        return 0;
    if (is_bitmap_entry(i, index))
        return bitmap_entry(l, index, chunk, raw);
    if (index - chunk >= i->blocks) /* of the last chunk of an image with a parent */
        return 0;
    return payload_entry(l, index, index - chunk, raw);
}

static int load_table(struct loading *l)
{
    struct image *i = l->image;
    uint64_t bytes = (uint64_t)i->entries * 8, at = 0;
    uint64_t *buf = malloc((size_t)min_u64(bytes, VHDX_MIB));
    int err = 0;

    if (!buf)
        return problem_set(l->why, -ENOMEM, "no memory");
    for (uint64_t n; at < bytes && !err; at += n) {
        n = min_u64(bytes - at, VHDX_MIB);
        err = vhdx_read(i, buf, (size_t)n, i->bat_offset + at);
        if (err)
            (void)problem_set(l->why, err, "the BAT cannot be read: %s", strerror(-err));
        for (uint64_t k = 0; k < n / 8 && !err; k++)
            err = load_entry(l, (uint32_t)(at / 8 + k), le64toh(buf[k]));
    }
    free(buf);
    return err;
}

uint32_t vhdx_first_bit(const struct image *i, uint32_t block)
{
    return (block & ((1U << i->ratio_shift) - 1)) << (i->block_shift - i->sector_shift);
}

_Atomic uint64_t *vhdx_bitmap_words(struct image *i, uint32_t chunk)
{
    _Atomic uint64_t *words = atomic_load_explicit(&i->bitmap[chunk], memory_order_acquire);

    if (!words) {
        words = calloc(BITMAP_WORDS, sizeof(*words));
        atomic_store_explicit(&i->bitmap[chunk], words, memory_order_release);
    }
    return words;
}

/* A word of the bits of a block, `from` its first sector in it: without those behind the end. */
static uint64_t bits_in_disk(const struct image *i, uint32_t block, uint64_t word, uint32_t from)
{
    uint64_t sectors = vhdx_block_bytes(i, block) >> i->sector_shift;

    if (from + 64 <= sectors)
        return word;
    return from < sectors ? word & ((1ULL << (sectors - from)) - 1) : 0;
}

/* Only the bits of blocks that are partially present mean something. */
static int load_bitmap(struct image *i, uint32_t chunk, uint64_t *buf)
{
    uint32_t first = chunk << i->ratio_shift, words = i->block_size >> i->sector_shift >> 6;
    _Atomic uint64_t *to = NULL;
    int err = 0;

    for (uint32_t b = first; b < i->blocks && b - first < 1U << i->ratio_shift && !err; b++) {
        uint32_t at = vhdx_first_bit(i, b) / 64;

        if (vhdx_state(vhdx_entry(i, vhdx_block_entry(i, b))) != VHDX_PARTIAL)
            continue;
        if (!to) {
            to = vhdx_bitmap_words(i, chunk);
            err = to ? vhdx_read(i, buf, VHDX_BITMAP_BYTES,
                                 vhdx_place(vhdx_entry(i, vhdx_bitmap_entry(i, chunk))))
                     : -ENOMEM;
        }
        for (uint32_t w = at; w < at + words && !err; w++)
            if (buf[w])
                atomic_store_explicit(&to[w], bits_in_disk(i, b, le64toh(buf[w]), (w - at) * 64),
                                      memory_order_relaxed);
    }
    return err;
}

static int load_bitmaps(struct image *i, struct problem *why)
{
    uint64_t *buf = i->has_parent ? malloc(VHDX_BITMAP_BYTES) : NULL;
    int err = 0;

    if (!i->has_parent)
        return 0;
    if (!buf)
        return problem_set(why, -ENOMEM, "no memory");
    for (uint32_t c = 0; c < i->chunks && !err; c++)
        if (vhdx_entry(i, vhdx_bitmap_entry(i, c)))
            err = load_bitmap(i, c, buf);
    free(buf);
    return err ? problem_set(why, err, "a sector bitmap cannot be read: %s", strerror(-err)) : 0;
}

int vhdx_bat_load(struct image *i, vhdx_bad_entry *bad, void *ctx, struct problem *why)
{
    struct loading l = {i, bad, ctx, why, false};
    int err;

    i->bat = calloc(i->entries, sizeof(*i->bat));
    if (i->has_parent)
        i->bitmap = calloc(i->chunks, sizeof(*i->bitmap));
    if (!i->bat || (i->has_parent && !i->bitmap))
        return problem_set(why, -ENOMEM, "no memory");
    err = load_table(&l);
    return err ? err : load_bitmaps(i, why);
}

void vhdx_bat_set(struct image *i, uint32_t index, uint64_t entry)
{
    atomic_store_explicit(&i->bat[index], entry, memory_order_release);
    vhdx_page_dirty(i, VHDX_PAGE_BAT, index / VHDX_ENTRIES_PAGE);
}

uint32_t vhdx_bits_alike(const _Atomic uint64_t *words, uint32_t bit, uint32_t max, bool *set)
{
    uint32_t n = 0;

    for (uint32_t at = bit, step; n < max; at += step, n += step) {
        uint64_t w = atomic_load_explicit(&words[at / 64], memory_order_acquire) >> (at % 64);
        uint64_t other;

        if (n == 0)
            *set = w & 1;
        other = *set ? ~w : w;
        step = 64 - at % 64;
        if (other && (uint32_t)__builtin_ctzll(other) < step)
            return (uint32_t)min_u64(n + (uint32_t)__builtin_ctzll(other), max);
    }
    return max;
}

void vhdx_bits_clear(struct image *i, uint32_t block)
{
    uint32_t at = vhdx_first_bit(i, block) / 64, words = i->block_size >> i->sector_shift >> 6;
    _Atomic uint64_t *w = i->has_parent ? atomic_load_explicit(&i->bitmap[block >> i->ratio_shift],
                                                               memory_order_acquire)
                                        : NULL;

    for (uint32_t k = 0; w && k < words; k++)
        atomic_store_explicit(&w[at + k], 0, memory_order_relaxed);
}

void vhdx_page_dirty(struct image *i, uint32_t chunk, uint32_t index)
{
    for (unsigned k = i->page_count; k > 0; k--)
        if (i->pages[k - 1].index == index && i->pages[k - 1].chunk == chunk)
            return;
    if (i->page_count == VHDX_PAGES_MAX)
        return; /* cannot be: vhdx_room() comes first */
    i->pages[i->page_count++] = (struct vhdx_page){chunk, index};
    atomic_store_explicit(&i->dirty, true, memory_order_release);
}

void vhdx_page_fill(const struct image *i, struct vhdx_page page, void *buf)
{
    uint32_t first = page.index * VHDX_ENTRIES_PAGE;
    const _Atomic uint64_t *from = i->bat;
    uint32_t end = i->entries;
    uint64_t *to = buf;

    if (page.chunk != VHDX_PAGE_BAT) {
        from = atomic_load_explicit(&i->bitmap[page.chunk], memory_order_acquire);
        end = BITMAP_WORDS;
    }
    for (uint32_t k = 0; k < VHDX_ENTRIES_PAGE; k++)
        to[k] = first + k < end
                    ? htole64(atomic_load_explicit(&from[first + k], memory_order_relaxed))
                    : 0;
}
