/* SPDX-License-Identifier: MIT */
#include "vsp/network/buffer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bits.h"

/* Nobody says how long a GPADL is: as many pages as are found. */
static int pages_find(struct buffer *b, struct vmbus_channel *channel, uint32_t gpadl)
{
    for (b->pages = 0; b->pages < BUFFER_PAGES; b->pages++) {
        struct iovec iov[2];
        int n = vmbus_channel_map_gpadl(channel, gpadl, (uint64_t)b->pages * BUFFER_PAGE,
                                        BUFFER_PAGE, iov, 2);
        if (n < 0)
            return b->pages ? 0 : n;
        if (n != 1)
            return -EINVAL;
        b->page[b->pages] = iov[0].iov_base;
    }
    return 0;
}

int buffer_map(struct buffer *b, struct vmbus_channel *channel, uint32_t gpadl, uint16_t id)
{
    struct buffer next = {.ready = true, .id = id, .gpadl = gpadl};
    int err;

    next.page = calloc(BUFFER_PAGES, sizeof(*next.page));
    if (!next.page)
        return -ENOMEM;
    err = pages_find(&next, channel, gpadl);
    if (err < 0) {
        free(next.page);
        return err;
    }
    *b = next;
    return 0;
}

void buffer_unmap(struct buffer *b)
{
    free(b->page);
    *b = (struct buffer){.ready = false};
}

void buffer_cut(struct buffer *b, uint32_t piece_size)
{
    b->piece_size = piece_size;
    b->pieces = (uint32_t)((uint64_t)b->pages * BUFFER_PAGE / piece_size);
}

int buffer_slice(const struct buffer *b, uint32_t offset, uint32_t length, struct iovec *iov,
                 unsigned max)
{
    unsigned n = 0;

    if (!b->ready || (uint64_t)offset + length > (uint64_t)b->pages * BUFFER_PAGE)
        return -1;
    while (length > 0) {
        uint32_t skip = offset % BUFFER_PAGE;
        uint32_t size = (uint32_t)min_u64(length, BUFFER_PAGE - skip);
        uint8_t *at = b->page[offset / BUFFER_PAGE] + skip;

        if (n > 0 && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == at) {
            iov[n - 1].iov_len += size;
        } else {
            if (n == max)
                return -1;
            iov[n++] = (struct iovec){at, size};
        }
        offset += size;
        length -= size;
    }
    return (int)n;
}
