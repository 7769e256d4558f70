/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* Bytes that stand before those of a file that must not be changed: the newest first. */

#define PIECES_MAX 8192U

struct vhdx_piece {
    uint64_t offset, end;
    uint8_t *data; /* a page; NULL: zeros */
};

/* The first piece that ends behind a place. */
static unsigned find(const struct vhdx_overlay *o, uint64_t offset)
{
    unsigned low = 0, high = o->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (o->piece[middle].end > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int make_room(struct vhdx_overlay *o)
{
    struct vhdx_piece *p;

    /* A piece may become two, with the new one between them. */
    if (o->count + 2 <= o->room)
        return 0;
    if (o->count + 2 > PIECES_MAX)
        return -EFBIG;
    p = realloc(o->piece, (o->room * 2 + 16) * sizeof(*p));
    if (!p)
        return -ENOMEM;
    o->piece = p;
    o->room = o->room * 2 + 16;
    return 0;
}

/* Pieces with data are pages and so are covered as a whole; zeros may be cut. */
int vhdx_overlay_put(struct vhdx_overlay *o, uint64_t offset, uint64_t length, const void *data)
{
    uint64_t end = offset + length;
    struct vhdx_piece now[3];
    unsigned first, last, n = 0;
    int err = make_room(o);

    if (err || length == 0)
        return err;
    first = last = find(o, offset);
    while (last < o->count && o->piece[last].offset < end)
        last++;
    if (first < last && o->piece[first].offset < offset)
        now[n++] = (struct vhdx_piece){o->piece[first].offset, offset, NULL};
    now[n] = (struct vhdx_piece){offset, end, data ? malloc(VHDX_PAGE) : NULL};
    if (data && !now[n].data)
        return -ENOMEM;
    if (data)
        memcpy(now[n].data, data, VHDX_PAGE);
    n++;
    if (first < last && o->piece[last - 1].end > end)
        now[n++] = (struct vhdx_piece){end, o->piece[last - 1].end, NULL};
    for (unsigned k = first; k < last; k++)
        free(o->piece[k].data);
    memmove(o->piece + first + n, o->piece + last, (o->count - last) * sizeof(*now));
    memcpy(o->piece + first, now, n * sizeof(*now));
    o->count = o->count - (last - first) + n;
    return 0;
}

void vhdx_overlay_get(const struct vhdx_overlay *o, uint64_t offset, uint64_t length, void *buf)
{
    uint64_t end = offset + length;

    for (unsigned k = find(o, offset); k < o->count && o->piece[k].offset < end; k++) {
        const struct vhdx_piece *p = &o->piece[k];
        uint64_t from = max_u64(p->offset, offset), to = min_u64(p->end, end);
        uint8_t *at = (uint8_t *)buf + (from - offset);

        if (p->data)
            memcpy(at, p->data + (from - p->offset), (size_t)(to - from));
        else
            memset(at, 0, (size_t)(to - from));
    }
}

bool vhdx_overlay_touches(const struct vhdx_overlay *o, uint64_t offset, uint64_t length)
{
    unsigned k = find(o, offset);

    return k < o->count && o->piece[k].offset < offset + length;
}

void vhdx_overlay_free(struct vhdx_overlay *o)
{
    for (unsigned k = 0; k < o->count; k++)
        free(o->piece[k].data);
    free(o->piece);
    *o = (struct vhdx_overlay){.size = o->size};
}
