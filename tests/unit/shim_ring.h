/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_RING_H
#define TESTS_UNIT_SHIM_RING_H

/*
 * A guest's side of a pair of rings, written for itself: it puts and takes packets, and says when
 * it would signal. Its pages are given to the host in an order that is not theirs, if wanted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "abi/vmbus/packet.h"

struct guest_ring {
    uint8_t *pages; /* as the guest sees them: one after the other */
    uint32_t size;  /* of the data */
};

static inline struct vmbus_ring_control *guest_control(const struct guest_ring *r)
{
    return (struct vmbus_ring_control *)(void *)r->pages;
}

static inline uint32_t guest_word(uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void guest_set(uint32_t *word, uint32_t v)
{
    __atomic_store_n(word, v, __ATOMIC_SEQ_CST);
}

static inline void guest_bytes_put(const struct guest_ring *r, uint32_t *at, const void *data,
                                   size_t len)
{
    const uint8_t *from = data;

    for (size_t i = 0; i < len; i++) {
        r->pages[4096 + *at] = from[i];
        *at = *at + 1 == r->size ? 0 : *at + 1;
    }
}

static inline void guest_bytes_get(const struct guest_ring *r, uint32_t *at, void *data, size_t len)
{
    uint8_t *to = data;

    for (size_t i = 0; i < len; i++) {
        to[i] = r->pages[4096 + *at];
        *at = *at + 1 == r->size ? 0 : *at + 1;
    }
}

static inline uint32_t guest_used(const struct guest_ring *r)
{
    uint32_t w = guest_word(&guest_control(r)->write_index);
    uint32_t d = guest_word(&guest_control(r)->read_index);

    return w >= d ? w - d : r->size - d + w;
}

/* Put a packet whose body is `len` bytes, a multiple of 8. 1: the host is to be signalled; 0; -1:
 * no room, and the host has been told to signal. */
static inline int guest_put(const struct guest_ring *r, uint16_t type, uint16_t offset8,
                            uint16_t flags, uint64_t transaction, const void *body, size_t len)
{
    const struct vmpacket_descriptor d = {type, offset8, (uint16_t)(2 + len / 8), flags,
                                          transaction};
    struct vmbus_ring_control *c = guest_control(r);
    uint32_t old = c->write_index, at = old;
    uint64_t trailer = (uint64_t)old << 32;
    uint32_t need = (uint32_t)(sizeof(d) + len + 8);

    if (r->size - guest_used(r) <= need) {
        guest_set(&c->pending_send_size, need);
        if (r->size - guest_used(r) <= need)
            return -1;
    }
    guest_set(&c->pending_send_size, 0);
    guest_bytes_put(r, &at, &d, sizeof(d));
    guest_bytes_put(r, &at, body, len);
    guest_bytes_put(r, &at, &trailer, 8);
    guest_set(&c->write_index, at);
    return guest_word(&c->interrupt_mask) == 0 && guest_word(&c->read_index) == old;
}

/* Take a packet: its body's length, -1 if there is none. *signal: the host waited for room. */
static inline long guest_get(const struct guest_ring *r, struct vmpacket_descriptor *d, void *body,
                             bool *signal)
{
    struct vmbus_ring_control *c = guest_control(r);
    uint32_t at = c->read_index, pending, room, taken;
    uint64_t trailer;
    size_t len;

    if (guest_used(r) == 0)
        return -1;
    guest_bytes_get(r, &at, d, sizeof(*d));
    len = d->length8 * 8U - sizeof(*d);
    guest_bytes_get(r, &at, body, len);
    guest_bytes_get(r, &at, &trailer, 8);
    guest_set(&c->read_index, at);
    pending = guest_word(&c->pending_send_size);
    /* What was free before, had the host by then written what it has now. */
    room = r->size - guest_used(r);
    taken = (uint32_t)(sizeof(*d) + len + 8);
    *signal = pending && room > pending && (room < taken || room - taken <= pending);
    return (long)len;
}

#endif
