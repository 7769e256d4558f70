/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_RING_RING_PRIV_H
#define VMBUS_RING_RING_PRIV_H

#include "vmbus/ring/ring.h"

/*
 * Control words are shared with the guest's processors. Where the order "publish an index, then
 * look at the other side's words" matters, both are sequentially consistent: the guest does the
 * same with full barriers between its store and its load (Linux: virt_mb() in ring_buffer.c), so
 * that at least one of the two sees what the other has written.
 */
static inline uint32_t word_read(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void word_write(uint32_t *word, uint32_t v)
{
    __atomic_store_n(word, v, __ATOMIC_SEQ_CST);
}

/** Indices are in the data, and multiples of 8. */
static inline bool index_valid(const struct vmbus_ring *r, uint32_t index)
{
    return index < r->size && index % 8 == 0;
}

/** Bytes from `from` to `to`, going forward. */
static inline uint32_t index_distance(const struct vmbus_ring *r, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : r->size - from + to;
}

static inline uint32_t index_advance(const struct vmbus_ring *r, uint32_t index, uint32_t bytes)
{
    uint32_t left = r->size - index;

    return bytes < left ? index + bytes : bytes - left;
}

/** Copy `length` bytes, less than the ring has, out of or into it; they may wrap. */
void ring_copy_out(const struct vmbus_ring *r, uint32_t index, void *buf, uint32_t length);
void ring_copy_in(const struct vmbus_ring *r, uint32_t index, const void *buf, uint32_t length);

#endif
