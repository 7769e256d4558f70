/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* Which MiB of the file are in use: known from what the tables name, and nowhere else written. */

int vhdx_space_room(struct vhdx_space *s, uint64_t units)
{
    uint64_t room = align_up(max_u64(units, s->room + s->room / 2), 64);
    uint64_t *used;

    if (units <= s->room)
        return 0;
    if (units > VHDX_FILE_MAX / VHDX_MIB)
        return -EFBIG;
    used = realloc(s->used, room / 8);
    if (!used)
        return -ENOMEM;
    memset(used + s->room / 64, 0, (room - s->room) / 8);
    s->used = used;
    s->room = room;
    return 0;
}

static bool is_used(const struct vhdx_space *s, uint64_t unit)
{
    return s->used[unit / 64] >> (unit % 64) & 1;
}

static void set(struct vhdx_space *s, uint64_t first, uint64_t count, bool used)
{
    for (uint64_t u = first; u < first + count; u++) {
        if (used)
            s->used[u / 64] |= 1ULL << (u % 64);
        else
            s->used[u / 64] &= ~(1ULL << (u % 64));
    }
}

bool vhdx_space_take(struct vhdx_space *s, uint64_t offset, uint64_t length)
{
    uint64_t first = offset / VHDX_MIB, count = (length + VHDX_MIB - 1) / VHDX_MIB;

    if (offset > VHDX_FILE_MAX || length > VHDX_FILE_MAX || vhdx_space_room(s, first + count) < 0)
        return false;
    for (uint64_t u = first; u < first + count; u++)
        if (is_used(s, u))
            return false;
    set(s, first, count, true);
    return true;
}

/* The first of `count` free MiB between two places; UINT64_MAX: none, and *tail begin the free ones
 * before the end. */
static uint64_t find(const struct vhdx_space *s, uint64_t from, uint64_t end, uint64_t count,
                     uint64_t *tail)
{
    uint64_t run = 0, step;

    for (uint64_t u = from; u < end; u += step) {
        uint64_t bits = s->used[u / 64] >> (u % 64), left = min_u64(64 - u % 64, end - u);

        if (bits & 1) {
            step = min_u64(~bits ? (uint64_t)__builtin_ctzll(~bits) : 64, left);
            run = 0;
            continue;
        }
        step = min_u64(bits ? (uint64_t)__builtin_ctzll(bits) : 64, left);
        run += step;
        if (run >= count)
            return u + step - run;
    }
    *tail = end - run;
    return UINT64_MAX;
}

/* What the file has gained reads as zeros. What was there before has held something, and must be
 * zeros for good before a table names it. */
int vhdx_space_get(struct image *i, uint64_t count, uint64_t *offset)
{
    struct vhdx_space *s = &i->space;
    uint64_t old = s->units, from = count > 1 ? s->no_block : 0, tail = old, first;
    int err = 0;

    first = find(s, min_u64(from, old), old, count, &tail);
    if (first == UINT64_MAX) {
        first = tail; /* what is free there, and the file grows for the rest */
        err = vhdx_set_size(i, (first + count) * VHDX_MIB);
    }
    if (!err && first < old) {
        err =
            vhdx_zero(i->file, first * VHDX_MIB, (min_u64(first + count, old) - first) * VHDX_MIB);
        i->flush_first = true;
    }
    if (err)
        return err;
    set(s, first, count, true);
    if (count > 1)
        s->no_block = first + count;
    *offset = first * VHDX_MIB;
    return 0;
}

int vhdx_space_get_below(struct image *i, uint64_t count, uint64_t below, uint64_t *offset)
{
    uint64_t tail,
        first = find(&i->space, 0, min_u64(below / VHDX_MIB, i->space.units), count, &tail);

    if (first == UINT64_MAX)
        return -ENOSPC;
    set(&i->space, first, count, true);
    *offset = first * VHDX_MIB;
    return 0;
}

void vhdx_space_drop(struct image *i, uint64_t offset, uint64_t count)
{
    set(&i->space, offset / VHDX_MIB, count, false);
    i->space.no_block = 0;
}

/* If there is no memory for the list it stays in use until the image is opened again. */
void vhdx_space_free(struct image *i, uint64_t offset, uint64_t count)
{
    struct vhdx_space *s = &i->space;
    struct vhdx_run *last = s->freed_count ? &s->freed[s->freed_count - 1] : NULL;
    uint64_t first = offset / VHDX_MIB;

    if (last && last->first + last->count == first) {
        last->count += count;
        return;
    }
    if (s->freed_count == s->freed_room) {
        struct vhdx_run *more = realloc(s->freed, (s->freed_room * 2 + 16) * sizeof(*more));

        if (!more)
            return;
        s->freed = more;
        s->freed_room = s->freed_room * 2 + 16;
    }
    s->freed[s->freed_count++] = (struct vhdx_run){first, count};
}

/* Giving space back to the host is a favour; whoever takes it makes zeros of it anyhow. */
void vhdx_space_settle(struct image *i)
{
    struct vhdx_space *s = &i->space;

    for (unsigned k = 0; k < s->freed_count; k++) {
        set(s, s->freed[k].first, s->freed[k].count, false);
        (void)file_punch(i->file, s->freed[k].first * VHDX_MIB, s->freed[k].count * VHDX_MIB);
    }
    if (s->freed_count)
        s->no_block = 0;
    s->freed_count = 0;
}

uint64_t vhdx_space_end(const struct vhdx_space *s)
{
    uint64_t word = s->room / 64;

    while (word > 0 && !s->used[word - 1])
        word--;
    return word ? (word * 64 - (uint64_t)__builtin_clzll(s->used[word - 1])) * VHDX_MIB : 0;
}
