/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "lib/errno.h"
#include "vmbus/ring/ring_priv.h"

int vmbus_ring_out_resume(struct vmbus_ring_out *out, const struct vmbus_ring *ring, uint32_t write)
{
    uint32_t read = word_read(&ring->control->read_index);

    if (!index_valid(ring, read) || !index_valid(ring, write))
        return -EINVAL;
    *out = (struct vmbus_ring_out){.ring = *ring, .write = write, .published = write, .read = read};
    word_write(&ring->control->pending_send_size, 0);
    word_write(&ring->control->features, VMBUS_RING_PENDING_SEND_SIZE);
    return 0;
}

int vmbus_ring_out_open(struct vmbus_ring_out *out, const struct vmbus_ring *ring)
{
    return vmbus_ring_out_resume(out, ring, word_read(&ring->control->write_index));
}

static int read_index_refresh(struct vmbus_ring_out *out)
{
    uint32_t read = word_read(&out->ring.control->read_index);

    if (!index_valid(&out->ring, read))
        return -EPIPE;
    out->read = read;
    return 0;
}

/* A ring that is filled up would look empty, so one that has just enough room has none. */
static bool fits(const struct vmbus_ring_out *out, uint32_t bytes)
{
    return out->ring.size - index_distance(&out->ring, out->read, out->write) > bytes;
}

/*
 * The guest has to be told only if it had read all that it knew of: it looks again after it has
 * published its index, and then finds what came later.
 */
int vmbus_ring_write_publish(struct vmbus_ring_out *out)
{
    struct vmbus_ring_control *c = out->ring.control;
    uint32_t before = out->published;
    bool masked;
    int err;

    if (out->write == before)
        return 0;
    out->published = out->write;
    if (out->waiting) {
        out->waiting = false;
        word_write(&c->pending_send_size, 0);
    }
    word_write(&c->write_index, out->write);
    /* The mask first: a guest that clears it publishes its index before it looks for more. */
    masked = word_read(&c->interrupt_mask) != 0;
    err = read_index_refresh(out);
    return err ? err : !masked && out->read == before;
}

/* Make the guest signal when more than `bytes` are free; whether they are by now. */
static int room_wait(struct vmbus_ring_out *out, uint32_t bytes)
{
    int err;

    out->waiting = true;
    word_write(&out->ring.control->pending_send_size, bytes);
    err = read_index_refresh(out);
    return err ? err : fits(out, bytes) ? 0 : -EAGAIN;
}

static int room_make(struct vmbus_ring_out *out, uint32_t bytes, bool *signal)
{
    int err;

    if (fits(out, bytes))
        return 0;
    err = read_index_refresh(out);
    if (err || fits(out, bytes))
        return err;
    /* It cannot free what it does not know of. */
    err = vmbus_ring_write_publish(out);
    if (err < 0)
        return err;
    if (err)
        *signal = true;
    return room_wait(out, bytes);
}

static uint32_t put(const struct vmbus_ring *r, uint32_t at, const void *data, size_t length)
{
    if (length > 0)
        ring_copy_in(r, at, data, (uint32_t)length);
    return index_advance(r, at, (uint32_t)length);
}

int vmbus_ring_write(struct vmbus_ring_out *out, const struct vmbus_ring_send *s, bool *signal)
{
    static const uint8_t zeros[8];
    const size_t data = s->prefix_length + s->length;
    struct vmpacket_descriptor d = {
        .type = s->type, .flags = s->flags, .transaction = s->transaction};
    uint64_t trailer = (uint64_t)out->write << 32;
    uint32_t at = out->write, bytes;
    int err;

    if (s->head_length > VMPACKET_BYTES_MAX || s->prefix_length > VMPACKET_BYTES_MAX ||
        s->length > VMPACKET_BYTES_MAX)
        return -EMSGSIZE;
    bytes = (uint32_t)(sizeof(d) + s->head_length + align_up(data, 8));
    if (bytes > VMPACKET_BYTES_MAX || bytes + VMPACKET_TRAILER >= out->ring.size)
        return -EMSGSIZE;
    err = room_make(out, bytes + VMPACKET_TRAILER, signal);
    if (err)
        return err;
    d.offset8 = (uint16_t)((sizeof(d) + s->head_length) / 8);
    d.length8 = (uint16_t)(bytes / 8);
    at = put(&out->ring, at, &d, sizeof(d));
    at = put(&out->ring, at, s->head, s->head_length);
    at = put(&out->ring, at, s->prefix, s->prefix_length);
    at = put(&out->ring, at, s->data, s->length);
    at = put(&out->ring, at, zeros, align_up(data, 8) - data);
    out->write = put(&out->ring, at, &trailer, sizeof(trailer));
    return 0;
}
