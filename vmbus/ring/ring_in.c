/* SPDX-License-Identifier: MIT */
#include "lib/errno.h"
#include "vmbus/ring/ring_priv.h"

/* Part of the ring that may be taken before the guest is told: it can use the room meanwhile. */
#define PUBLISH_FRACTION 4U

int vmbus_ring_in_resume(struct vmbus_ring_in *in, const struct vmbus_ring *ring, uint32_t read)
{
    uint32_t write = word_read(&ring->control->write_index);

    if (!index_valid(ring, read) || !index_valid(ring, write))
        return -EINVAL;
    *in = (struct vmbus_ring_in){.ring = *ring, .read = read, .published = read, .write = read};
    word_write(&ring->control->interrupt_mask, 0);
    return 0;
}

int vmbus_ring_in_open(struct vmbus_ring_in *in, const struct vmbus_ring *ring)
{
    return vmbus_ring_in_resume(in, ring, word_read(&ring->control->read_index));
}

static void mask_set(struct vmbus_ring_in *in, bool masked)
{
    if (in->masked == masked)
        return;
    in->masked = masked;
    word_write(&in->ring.control->interrupt_mask, masked);
}

/* Look at the guest's index again. -EPIPE if it is none. */
static int write_index_refresh(struct vmbus_ring_in *in)
{
    uint32_t write = word_read(&in->ring.control->write_index);

    if (!index_valid(&in->ring, write))
        return -EPIPE;
    in->write = write;
    return 0;
}

/*
 * A guest that waits for more than `pending` free bytes is signalled by the step that makes it so:
 * not if there was that much before, nor if there is not enough yet.
 */
static int publish(struct vmbus_ring_in *in)
{
    const struct vmbus_ring *r = &in->ring;
    uint32_t taken = index_distance(r, in->published, in->read), pending, write, room;

    if (taken == 0)
        return 0;
    word_write(&r->control->read_index, in->read);
    in->published = in->read;
    pending = word_read(&r->control->pending_send_size);
    if (pending == 0)
        return 0;
    write = word_read(&r->control->write_index);
    if (!index_valid(r, write))
        return -EPIPE;
    room = r->size - index_distance(r, in->read, write);
    in->signal |= room > pending && (room < taken || room - taken <= pending);
    return 0;
}

/*
 * Whether there is something to read: 1, 0, -EPIPE. Before 0 the guest is told how far we are and
 * that we want signals, and only then its index counts: it signals if it finds the ring empty and
 * unmasked when it publishes.
 */
static int packet_waits(struct vmbus_ring_in *in)
{
    int err;

    if (in->read != in->write)
        return 1;
    err = write_index_refresh(in);
    if (!err && in->read == in->write) {
        err = publish(in);
        mask_set(in, in->polled);
        err = err ? err : write_index_refresh(in);
    }
    if (err)
        return err;
    if (in->read == in->write)
        return 0;
    mask_set(in, true);
    return 1;
}

void vmbus_ring_in_poll(struct vmbus_ring_in *in, bool polled)
{
    in->polled = polled;
}

/* Whether the lengths of a descriptor agree with each other and with what is in the ring. */
static bool descriptor_valid(const struct vmpacket_descriptor *d, uint32_t available)
{
    uint32_t bytes = d->length8 * 8U;

    return d->offset8 >= sizeof(*d) / 8 && d->offset8 <= d->length8 &&
           bytes + VMPACKET_TRAILER <= available;
}

/* Step over a packet. The guest may use the room before a long batch is over. */
static int take(struct vmbus_ring_in *in, uint32_t bytes)
{
    in->read = index_advance(&in->ring, in->read, bytes);
    if (index_distance(&in->ring, in->published, in->read) < in->ring.size / PUBLISH_FRACTION)
        return 0;
    return publish(in);
}

int vmbus_ring_read(struct vmbus_ring_in *in, struct vmbus_ring_packet *packet, void *buf,
                    size_t size)
{
    const struct vmbus_ring *r = &in->ring;
    struct vmbus_ring_packet p = {0};
    uint32_t available;
    int err = packet_waits(in);

    if (err <= 0)
        return err;
    available = index_distance(r, in->read, in->write);
    if (available < sizeof(p.descriptor) + VMPACKET_TRAILER)
        return -EPIPE;
    ring_copy_out(r, in->read, &p.descriptor, sizeof(p.descriptor));
    if (!descriptor_valid(&p.descriptor, available))
        return -EPIPE;
    p.body_length = p.descriptor.length8 * 8U - (uint32_t)sizeof(p.descriptor);
    p.data_offset = p.descriptor.offset8 * 8U - (uint32_t)sizeof(p.descriptor);
    if (p.body_length <= size)
        ring_copy_out(r, index_advance(r, in->read, sizeof(p.descriptor)), buf, p.body_length);
    err = take(in, p.descriptor.length8 * 8U + VMPACKET_TRAILER);
    if (err)
        return err;
    if (p.body_length > size)
        return -EMSGSIZE;
    *packet = p;
    return 1;
}

int vmbus_ring_read_publish(struct vmbus_ring_in *in)
{
    int err = publish(in);
    bool signal = in->signal;

    in->signal = false;
    return err ? err : signal;
}
