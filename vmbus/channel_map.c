/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "vmbus/server_priv.h"

/* Vectors that are being filled. */
struct filling {
    const struct vmbus_host *host;
    struct iovec *iov;
    unsigned max;
    unsigned count;
};

/* Add memory, joined to the piece before if it follows it on the host. */
static int piece_add(struct filling *f, uint64_t gpa, uint64_t length)
{
    void *at = f->host->memory_host(f->host->ctx, gpa, length);
    struct iovec *last = f->count ? &f->iov[f->count - 1] : NULL;

    if (!at)
        return -EFAULT;
    if (last && (uint8_t *)last->iov_base + last->iov_len == at) {
        last->iov_len += length;
        return 0;
    }
    if (f->count == f->max)
        return -E2BIG;
    f->iov[f->count++] = (struct iovec){at, length};
    return 0;
}

/* How many bytes from `offset` of the first page on lie one after the other in the guest. */
static uint64_t run_length(const uint64_t *pfns, uint32_t count, uint64_t offset, uint64_t length)
{
    uint64_t run = VMBUS_PAGE_SIZE - offset;

    for (uint32_t i = 1; i < count && run < length && pfns[i] == pfns[i - 1] + 1; i++)
        run += VMBUS_PAGE_SIZE;
    return run < length ? run : length;
}

/* `length` bytes from byte `at` of pages on, which are enough of them. */
static int pages_add(struct filling *f, const uint64_t *pfns, uint32_t count, uint64_t at,
                     uint64_t length)
{
    while (length > 0) {
        uint32_t first = (uint32_t)(at / VMBUS_PAGE_SIZE);
        uint64_t offset = at % VMBUS_PAGE_SIZE, n;
        int err;

        if (pfns[first] > UINT64_MAX / VMBUS_PAGE_SIZE)
            return -EFAULT;
        n = run_length(pfns + first, count - first, offset, length);
        err = piece_add(f, pfns[first] * VMBUS_PAGE_SIZE + offset, n);
        if (err)
            return err;
        at += n;
        length -= n;
    }
    return 0;
}

int vmbus_channel_map(struct vmbus_channel *ch, const struct vmbus_range *range, uint64_t skip,
                      struct iovec *iov, unsigned max)
{
    struct filling f = {&ch->server->config.host, iov, max, 0};
    uint64_t end = (uint64_t)range->offset + range->length;
    int err;

    if (skip > range->length || end > (uint64_t)range->pfn_count * VMBUS_PAGE_SIZE)
        return -EFAULT;
    err = pages_add(&f, range->pfns, range->pfn_count, range->offset + skip, range->length - skip);
    return err ? err : (int)f.count;
}

/* Ranges of a GPADL count as one after the other. */
static int gpadl_add(struct filling *f, const struct vmbus_core_gpadl *g, uint64_t skip,
                     uint64_t length)
{
    const uint64_t *at = g->words;
    int err = 0;

    for (uint32_t i = 0; i < g->range_count && length > 0 && !err; i++) {
        struct vmbus_gpa_range r;
        uint32_t pages;
        uint64_t n;
        memcpy(&r, at, sizeof(r));
        pages = (uint32_t)(((uint64_t)r.offset + r.length + VMBUS_PAGE_SIZE - 1) / VMBUS_PAGE_SIZE);
        if (skip < r.length) {
            n = r.length - skip < length ? r.length - skip : length;
            err = pages_add(f, at + 1, pages, r.offset + skip, n);
            length -= n;
            skip = 0;
        } else {
            skip -= r.length;
        }
        at += 1 + pages;
    }
    return err ? err : length > 0 ? -EFAULT : 0;
}

int vmbus_channel_map_gpadl(struct vmbus_channel *ch, uint32_t gpadl, uint64_t skip,
                            uint64_t length, struct iovec *iov, unsigned max)
{
    struct vmbus_server *server = ch->server;
    struct filling f = {&server->config.host, iov, max, 0};
    struct vmbus_core_gpadl g;
    int err;

    (void)pthread_mutex_lock(&server->lock);
    err = vmbus_core_gpadl(server->core, ch->relid, gpadl, &g);
    if (!err)
        err = gpadl_add(&f, &g, skip, length);
    (void)pthread_mutex_unlock(&server->lock);
    return err ? (err == -ENOENT ? -EFAULT : err) : (int)f.count;
}
