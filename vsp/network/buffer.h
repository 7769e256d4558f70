/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_BUFFER_H
#define VSP_NETWORK_BUFFER_H

#include <stdbool.h>
#include <stdint.h>
#include "vmbus/channel.h"

/*
 * A buffer of the guest that both sides use for a long time: the receive buffer or the send buffer.
 */

#define BUFFER_PAGE  4096U
#define BUFFER_PAGES 8192U /* 32 MiB, at the most */

struct buffer {
    bool ready;
    uint16_t id; /* the guest's name for it */
    uint32_t gpadl;
    uint32_t pages;
    uint8_t **page; /* where each of them is */
    uint32_t piece_size;
    uint32_t pieces;
};

/** Find all pages of a GPADL. Pieces are 0. 0, -EINVAL (it is no whole pages, or too many),
 * -EFAULT, -ENOMEM. */
int buffer_map(struct buffer *b, struct vmbus_channel *channel, uint32_t gpadl, uint16_t id);
/** Forget it; it need not be there. */
void buffer_unmap(struct buffer *b);
/** Cut it into pieces of that size. */
void buffer_cut(struct buffer *b, uint32_t piece_size);
/** Vectors for `length` bytes from `offset` on, pages that lie side by side joined: how many; -1:
 * they are not in the buffer, or need more than `max`. */
int buffer_slice(const struct buffer *b, uint32_t offset, uint32_t length, struct iovec *iov,
                 unsigned max);

#endif
