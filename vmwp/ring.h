/* SPDX-License-Identifier: MIT */
#ifndef VMWP_RING_H
#define VMWP_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes that wait; the oldest is at `head`. Not locked. */
struct ring {
    uint8_t *data;
    size_t size;
    size_t head;
    size_t count;
};

static inline bool ring_put(struct ring *r, uint8_t byte)
{
    if (r->count == r->size)
        return false;
    r->data[(r->head + r->count) % r->size] = byte;
    r->count++;
    return true;
}

static inline int ring_get(struct ring *r)
{
    uint8_t byte;

    if (r->count == 0)
        return -1;
    byte = r->data[r->head];
    r->head = (r->head + 1) % r->size;
    r->count--;
    return byte;
}

/** Copy up to `max` of the oldest bytes without taking them. */
static inline size_t ring_peek(const struct ring *r, uint8_t *out, size_t max)
{
    size_t n = r->count < max ? r->count : max;

    for (size_t i = 0; i < n; i++)
        out[i] = r->data[(r->head + i) % r->size];
    return n;
}

/** Take `n` bytes away; at most those that are there. */
static inline void ring_drop(struct ring *r, size_t n)
{
    n = r->count < n ? r->count : n;
    r->head = (r->head + n) % r->size;
    r->count -= n;
}

static inline size_t ring_room(const struct ring *r)
{
    return r->size - r->count;
}

#endif
