/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_RING_RING_H
#define VMBUS_RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/vmbus/packet.h"

/*
 * Rings in a guest's memory, seen from the host. Reading and writing happen in batches: packets
 * are taken or put, and one call publishes the index and says whether the guest is to be
 * interrupted. One thread serves a ring.
 *
 * The guest writes to all of it at any time. What is read is copied once and checked then; what
 * this side has decided (its own index) is kept here and only ever written to the ring.
 */

#define VMBUS_RING_PAGES_MIN 2U                         /* control and one page of data */
#define VMBUS_RING_PAGES_MAX ((16U << 20) / 4096U + 1U) /* control and 16 MiB */

/** Pages of a ring. */
struct vmbus_ring {
    struct vmbus_ring_control *control;
    uint8_t *flat;         /* the data, if it is contiguous on the host */
    uint8_t *const *pages; /* else: its pages; the caller's */
    uint32_t size;         /* of the data */
};

/** The ring that the guest writes. */
struct vmbus_ring_in {
    struct vmbus_ring ring;
    uint32_t read;      /* next byte to take */
    uint32_t published; /* what the guest has been told of `read` */
    uint32_t write;     /* of the guest, as last seen */
    bool masked;        /* the guest has been told that it need not signal */
    bool polled;        /* the reader looks by itself, also when the ring is empty */
    bool signal;        /* it waited for room, got some, and has not been signalled */
};

/** The ring that the guest reads. */
struct vmbus_ring_out {
    struct vmbus_ring ring;
    uint32_t write;     /* next byte to fill */
    uint32_t published; /* what the guest has been told of `write` */
    uint32_t read;      /* of the guest, as last seen */
    bool waiting;       /* pending_send_size is set */
};

/** A packet that has been taken; the body, all after the descriptor, lies in the caller's buffer.
 */
struct vmbus_ring_packet {
    struct vmpacket_descriptor descriptor;
    uint32_t body_length;
    uint32_t data_offset; /* into the body, at most body_length */
};

/** A packet to put. The head is what stands between descriptor and data; both may be empty. */
struct vmbus_ring_send {
    uint16_t type; /* enum vmpacket_type */
    uint16_t flags;
    uint64_t transaction;
    const void *head;
    size_t head_length; /* a multiple of 8 */
    const void *prefix; /* stands before the data (pipe header) */
    size_t prefix_length;
    const void *data;
    size_t length;
};

/**
 * Use `count` pages, the first of them control. `pages` stays the caller's, and must stay as it is.
 * -EINVAL: not a ring.
 */
int vmbus_ring_attach(struct vmbus_ring *ring, uint8_t *const *pages, uint32_t count);

/** Begin with the indices that the guest has left there. -EINVAL: they make no sense. */
int vmbus_ring_in_open(struct vmbus_ring_in *in, const struct vmbus_ring *ring);
int vmbus_ring_out_open(struct vmbus_ring_out *out, const struct vmbus_ring *ring);

/** Go on with an own index that was saved. -EINVAL: it makes no sense. */
int vmbus_ring_in_resume(struct vmbus_ring_in *in, const struct vmbus_ring *ring, uint32_t read);
int vmbus_ring_out_resume(struct vmbus_ring_out *out, const struct vmbus_ring *ring,
                          uint32_t write);

/**
 * Take the next packet into `buf`, whose address is a multiple of 8. 1; 0: there is none, and the
 * guest has been told to signal the next, unless the reader polls; -EMSGSIZE: larger than `size`,
 * and dropped; -EPIPE: the ring makes no sense.
 */
int vmbus_ring_read(struct vmbus_ring_in *in, struct vmbus_ring_packet *packet, void *buf,
                    size_t size);

/** From now on the reader looks by itself, or no longer: then it must read once more before it
 * waits for a signal. */
void vmbus_ring_in_poll(struct vmbus_ring_in *in, bool polled);

/** Tell the guest what has been taken. 1: it waits for room and has some now, signal it; 0; -EPIPE.
 */
int vmbus_ring_read_publish(struct vmbus_ring_in *in);

/**
 * Put a packet. 0; -EAGAIN: no room now, and the guest has been asked to signal when there is;
 * -EMSGSIZE: there will never be; -EPIPE. After -EAGAIN what was put before has been published:
 * *signal is set if the guest must hear of it, and else left.
 */
int vmbus_ring_write(struct vmbus_ring_out *out, const struct vmbus_ring_send *send, bool *signal);

/** Tell the guest what has been put. 1: signal it; 0; -EPIPE. */
int vmbus_ring_write_publish(struct vmbus_ring_out *out);

/** A range of guest memory in a packet. */
struct vmbus_ring_range {
    uint32_t length;
    uint32_t offset;      /* into the first page, or into the GPADL of a transfer set */
    const uint64_t *pfns; /* not of transfer pages */
    uint32_t pfn_count;
};

/** Ranges that have been checked, in the caller's buffer. */
struct vmbus_ring_ranges {
    const uint8_t *at;
    uint32_t left; /* how many */
    bool transfer;
};

/** The ranges of a packet with GPA direct or transfer pages, none for others. -EINVAL: one of them
 * is not whole or not in bounds. `body` is what vmbus_ring_read() has filled. */
int vmbus_ring_ranges(struct vmbus_ring_ranges *ranges, const struct vmbus_ring_packet *packet,
                      const void *body);

/** The next of them; false: there is none. */
bool vmbus_ring_range_next(struct vmbus_ring_ranges *ranges, struct vmbus_ring_range *range);

#endif
