/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_NETWORK_H
#define TESTS_UNIT_SHIM_NETWORK_H

#include "abi/vsp/network/ndis.h"
#include "abi/vsp/network/nvsp.h"
#include "abi/vsp/network/rndis.h"
#include "lib/bits.h"
#include "tests/unit/shim_channel.h"

/*
 * What the network VSP needs of VMBus besides: GPADLs, whose number has the first page in its upper
 * half and the count of pages in the lower, and transfer packets, whose ranges are in `pfns` with
 * the offset in the upper half.
 */

#define SHIM_GPADL(page, pages) ((uint32_t)(page) << 16 | (uint32_t)(pages))

int vmbus_channel_map_gpadl(struct vmbus_channel *c, uint32_t gpadl, uint64_t skip, uint64_t length,
                            struct iovec *iov, unsigned max)
{
    uint64_t page = gpadl >> 16, pages = gpadl & 0xFFFF;

    if (skip + length > pages * 4096 || page + pages > SHIM_PAGES || max == 0)
        return -EFAULT;
    iov[0] = (struct iovec){guest_memory + page * 4096 + skip, length};
    return 1;
}

bool vmbus_packet_range(const struct vmbus_packet *packet, uint32_t *cursor,
                        struct vmbus_range *range)
{
    if (*cursor || packet->range_count == 0)
        return false;
    *cursor = 1;
    *range = packet->range;
    return true;
}

int vmbus_channel_send_transfer(struct vmbus_channel *c, uint64_t transaction,
                                bool completion_wanted, uint16_t set,
                                const struct vmbus_transfer_range *ranges, uint32_t range_count,
                                const void *data, size_t length)
{
    int err = 0;

    (void)pthread_mutex_lock(&c->lock);
    if (c->out_count >= c->out_room) {
        c->starved = true;
        err = -EAGAIN;
    } else {
        struct shim_packet *p = &c->out[(c->out_head + c->out_count) % SHIM_QUEUE];
        *p = (struct shim_packet){.type = VMBUS_PACKET_TRANSFER, .transaction = transaction};
        p->wanted = completion_wanted;
        p->length = (uint32_t)length;
        p->range_offset = set;
        memcpy(p->data, data, length);
        p->range_count = range_count;
        p->pfns = calloc(range_count, sizeof(uint64_t));
        for (uint32_t i = 0; i < range_count; i++)
            p->pfns[i] = (uint64_t)ranges[i].offset << 32 | ranges[i].length;
        c->out_count++;
        (void)pthread_cond_broadcast(&c->sent);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return err;
}

#endif
