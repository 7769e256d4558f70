/* SPDX-License-Identifier: MIT */
#include "lib/errno.h"
#include "lib/string.h"
#include "vmbus/ring/ring.h"

/* What stands before the ranges: the rest of the header, after the descriptor. */
struct ranges_head {
    uint32_t reserved; /* or the transfer set */
    uint32_t count;
};

/* Pages of a range; 64 bits hold any offset and length. */
static uint64_t range_pages(const struct vmbus_gpa_range *r)
{
    return ((uint64_t)r->offset + r->length + VMBUS_PAGE_SIZE - 1) / VMBUS_PAGE_SIZE;
}

/* Bytes of the range at `at`, of which `left` are there; 0: it is not whole. */
static uint32_t range_bytes(const uint8_t *at, uint32_t left, bool transfer)
{
    struct vmbus_gpa_range r;
    uint64_t bytes;

    if (left < sizeof(r))
        return 0;
    memcpy(&r, at, sizeof(r));
    if (transfer)
        return sizeof(struct vmpacket_transfer_range);
    bytes = sizeof(r) + range_pages(&r) * sizeof(uint64_t);
    return r.offset < VMBUS_PAGE_SIZE && bytes <= left ? (uint32_t)bytes : 0;
}

int vmbus_ring_ranges(struct vmbus_ring_ranges *ranges, const struct vmbus_ring_packet *packet,
                      const void *body)
{
    const bool transfer = packet->descriptor.type == VMPACKET_DATA_TRANSFER_PAGES;
    const uint8_t *at = body;
    struct ranges_head head;
    uint32_t left = packet->data_offset;

    *ranges = (struct vmbus_ring_ranges){.transfer = transfer};
    if (!transfer && packet->descriptor.type != VMPACKET_DATA_GPA_DIRECT)
        return 0;
    if (left < sizeof(head))
        return -EINVAL;
    memcpy(&head, at, sizeof(head));
    at += sizeof(head);
    left -= (uint32_t)sizeof(head);
    ranges->at = at;
    /* Each takes 8 bytes at least, so what there is bounds the loop. */
    for (uint32_t i = 0; i < head.count; i++) {
        uint32_t bytes = range_bytes(at, left, transfer);
        if (bytes == 0)
            return -EINVAL;
        at += bytes;
        left -= bytes;
    }
    ranges->left = head.count;
    return 0;
}

bool vmbus_ring_range_next(struct vmbus_ring_ranges *ranges, struct vmbus_ring_range *range)
{
    struct vmbus_gpa_range r;

    if (ranges->left == 0)
        return false;
    memcpy(&r, ranges->at, sizeof(r));
    ranges->at += sizeof(r);
    ranges->left--;
    *range = (struct vmbus_ring_range){.length = r.length, .offset = r.offset};
    if (!ranges->transfer) {
        range->pfn_count = (uint32_t)range_pages(&r);
        range->pfns = (const uint64_t *)(const void *)ranges->at;
        ranges->at += range->pfn_count * sizeof(uint64_t);
    }
    return true;
}
