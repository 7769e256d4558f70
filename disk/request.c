/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "disk/disk_priv.h"
#include "lib/bits.h"

void list_add(struct request_list *list, struct disk_request *request)
{
    state_of(request)->next = NULL;
    if (list->last)
        state_of(list->last)->next = request;
    else
        list->first = request;
    list->last = request;
}

struct disk_request *list_take(struct request_list *list)
{
    struct disk_request *r = list->first;

    if (!r)
        return NULL;
    list->first = state_of(r)->next;
    if (!list->first)
        list->last = NULL;
    return r;
}

unsigned cursor_slice(const struct iovec *iov, struct cursor at, uint64_t length, struct iovec *out,
                      unsigned max, uint64_t *bytes)
{
    unsigned n = 0;
    uint64_t left = length;

    for (; n < max && left > 0; at.index++, at.skip = 0) {
        size_t here = min_u64(iov[at.index].iov_len - at.skip, left);
        if (here == 0)
            continue; /* the sum of all lengths is at least `length`: there is another one */
        out[n++] = (struct iovec){(char *)iov[at.index].iov_base + at.skip, here};
        left -= here;
    }
    *bytes = length - left;
    return n;
}

void cursor_advance(const struct iovec *iov, struct cursor *at, uint64_t length)
{
    while (length > 0) {
        uint64_t here = iov[at->index].iov_len - at->skip;
        if (length < here) {
            at->skip += length;
            return;
        }
        length -= here;
        at->index++;
        at->skip = 0;
    }
}

void cursor_zero(const struct iovec *iov, struct cursor at, uint64_t length)
{
    while (length > 0) {
        struct iovec v;
        uint64_t n;

        (void)cursor_slice(iov, at, length, &v, 1, &n);
        memset(v.iov_base, 0, n);
        cursor_advance(iov, &at, n);
        length -= n;
    }
}

static int vectors_check(const struct disk_request *r)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < r->iov_count; i++) {
        if (r->iov[i].iov_len > r->length - sum)
            return -EINVAL;
        sum += r->iov[i].iov_len;
    }
    return sum == r->length ? 0 : -EINVAL;
}

int request_check(const struct disk *disk, const struct disk_request *r)
{
    uint64_t size = atomic_load_explicit(&disk->size, memory_order_acquire);
    uint32_t sector = disk->top->geometry.sector_size;

    if (r->op > DISK_ZERO)
        return -EINVAL;
    if (r->op == DISK_FLUSH)
        return 0;
    if (r->op != DISK_READ && disk->read_only)
        return -EROFS;
    if ((r->offset | r->length) & (sector - 1) || r->offset > size || r->length > size - r->offset)
        return -EINVAL;
    return r->op == DISK_READ || r->op == DISK_WRITE ? vectors_check(r) : 0;
}

bool request_aligned(const struct disk *disk, const struct disk_request *r)
{
    uintptr_t memory = 0, length = 0;

    if (disk->offset_align == 1)
        return true;
    for (unsigned i = 0; i < r->iov_count; i++) {
        memory |= (uintptr_t)r->iov[i].iov_base;
        length |= r->iov[i].iov_len;
    }
    return (memory & (disk->memory_align - 1)) == 0 && (length & (disk->offset_align - 1)) == 0;
}

/* The tables are looked at after the map: if they are clean then, what the map says is durable. */
static bool write_quick(const struct disk *disk, const struct disk_request *r)
{
    const struct layer *top = disk->top;
    struct extent e;

    if (!atomic_load_explicit(&disk->writing, memory_order_acquire))
        return false;
    for (uint64_t at = 0; at < r->length; at += e.length) {
        top->format->map(top->image, r->offset + at, r->length - at, true, &e);
        if (e.kind != EXTENT_DATA)
            return false;
    }
    return !r->fua || !top->format->dirty(top->image);
}

bool request_quick(const struct disk *disk, const struct disk_request *r)
{
    switch (r->op) {
    case DISK_READ:
        return request_aligned(disk, r);
    case DISK_WRITE:
        return request_aligned(disk, r) && write_quick(disk, r);
    case DISK_FLUSH:
        return disk->read_only || !disk->top->format->dirty(disk->top->image);
    default:
        return false;
    }
}
