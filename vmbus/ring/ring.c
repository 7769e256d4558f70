/* SPDX-License-Identifier: MIT */
#include "vmbus/ring/ring.h"

#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmbus/ring/ring_priv.h"

int vmbus_ring_attach(struct vmbus_ring *ring, uint8_t *const *pages, uint32_t count)
{
    struct vmbus_ring r = {0};
    bool flat = true;

    if (count < VMBUS_RING_PAGES_MIN || count > VMBUS_RING_PAGES_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        if (!pages[i] || (uintptr_t)pages[i] % VMBUS_PAGE_SIZE)
            return -EINVAL;
    for (uint32_t i = 2; i < count; i++)
        flat &= pages[i] == pages[i - 1] + VMBUS_PAGE_SIZE;
    r.control = (struct vmbus_ring_control *)(void *)pages[0];
    r.pages = pages + 1;
    r.flat = flat ? pages[1] : NULL;
    r.size = (count - 1) * VMBUS_PAGE_SIZE;
    *ring = r;
    return 0;
}

/* The host's address of `index`, and how many bytes there are contiguous. */
static uint8_t *piece(const struct vmbus_ring *r, uint32_t index, uint32_t *length)
{
    uint32_t in_page = index % VMBUS_PAGE_SIZE;

    if (r->flat) {
        *length = r->size - index;
        return r->flat + index;
    }
    *length = VMBUS_PAGE_SIZE - in_page;
    return r->pages[index / VMBUS_PAGE_SIZE] + in_page;
}

void ring_copy_out(const struct vmbus_ring *r, uint32_t index, void *buf, uint32_t length)
{
    uint8_t *to = buf;

    while (length > 0) {
        uint32_t n;
        const uint8_t *from = piece(r, index, &n);
        n = n < length ? n : length;
        memcpy(to, from, n);
        to += n;
        length -= n;
        index = index_advance(r, index, n);
    }
}

void ring_copy_in(const struct vmbus_ring *r, uint32_t index, const void *buf, uint32_t length)
{
    const uint8_t *from = buf;

    while (length > 0) {
        uint32_t n;
        uint8_t *to = piece(r, index, &n);
        n = n < length ? n : length;
        memcpy(to, from, n);
        from += n;
        length -= n;
        index = index_advance(r, index, n);
    }
}
