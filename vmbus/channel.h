/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_CHANNEL_H
#define VMBUS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * All that a VSP sees of VMBus. A device is offered to the guest as a channel; the guest opens it,
 * and more of them (sub-channels) if the device allows. An open channel has two rings in the
 * guest's memory. The VSP serves each open channel from one thread, which is the only one that
 * calls the functions below for it.
 *
 * The guest is hostile: packets are copied out of the ring before they are looked at; if a ring
 * makes no sense its channel is broken, every later call says -EPIPE, and the guest may close it.
 */

struct vmbus_channel;

struct vmbus_guid {
    uint8_t bytes[16]; /* as in memory: the first three fields little-endian */
};

/** What is offered. The server copies it. */
struct vmbus_offer {
    struct vmbus_guid type;
    struct vmbus_guid instance;
    uint16_t flags;            /* VMBUS_OFFER_* of abi/vmbus */
    uint16_t mmio_mb;          /* of address space that the device wants */
    uint8_t user_defined[120]; /* of the device class; pipe mode lies in its first four bytes */
    uint16_t sub_channel_max;  /* that the guest may ask the device for */
    bool pipe;                 /* packets carry the pipe header of 8 bytes (integration services);
                                * it is taken off and put on by the functions below */
};

/** Calls into the VSP, from the server's thread. Each is finished when it returns. */
struct vmbus_device_ops {
    /** The guest has opened a channel; `sub` is 0 for the first. 0, or -errno: the guest sees the
     * open fail. From here on the VSP may serve it in a thread of its own. */
    int (*open)(void *device, struct vmbus_channel *channel, unsigned sub);
    /** The channel is to be closed: when this returns, no thread of the VSP uses it any more. */
    void (*close)(void *device, struct vmbus_channel *channel, unsigned sub);
};

/** Kinds of packets (abi/vmbus has the wire's). */
enum vmbus_packet_type {
    VMBUS_PACKET_INBAND,     /* data only */
    VMBUS_PACKET_DIRECT,     /* data, and ranges of guest memory */
    VMBUS_PACKET_TRANSFER,   /* data, and ranges of a GPADL (network) */
    VMBUS_PACKET_COMPLETION, /* answers one with the same transaction id */
};

/** A range of guest memory as a packet names it: `length` bytes that begin `offset` bytes into the
 * first of the pages. */
struct vmbus_range {
    uint32_t length;
    uint32_t offset;
    const uint64_t *pfns; /* of 4 KiB pages, as many as offset and length need */
    uint32_t pfn_count;
};

struct vmbus_packet {
    enum vmbus_packet_type type;
    bool completion_wanted;
    uint64_t transaction;
    const void *data; /* in the caller's buffer */
    uint32_t length;
    uint16_t transfer_set;    /* TRANSFER only */
    uint32_t range_count;     /* DIRECT and TRANSFER */
    struct vmbus_range range; /* the first of DIRECT: storage has no more */
    const void *descriptor;   /* raw ranges, for those who know more than one */
    uint32_t descriptor_length;
};

/** A range of a transfer set. */
struct vmbus_transfer_range {
    uint32_t length;
    uint32_t offset;
};

/**
 * Take the next packet out of the ring: it is copied to `buf`, whose address is a multiple of 8,
 * and *packet points there. All that the packet says of lengths, ranges and page numbers has been
 * checked against its own size; whether the pages are memory is vmbus_channel_map()'s to say. 1; 0:
 * there is none, and the guest will signal the next, unless the VSP polls; -EPIPE: the channel is
 * broken; -EMSGSIZE: the packet is larger than `size` and has been dropped, which a VSP treats as a
 * protocol error.
 */
int vmbus_channel_receive(struct vmbus_channel *channel, struct vmbus_packet *packet, void *buf,
                          size_t size);

/** From now on the VSP looks by itself for packets, without being signalled; or no longer: then it
 * must call vmbus_channel_receive() once more before it waits. For a VSP that is about to look
 * anyway, so that the guest need not leave its VP for a signal. */
void vmbus_channel_poll(struct vmbus_channel *channel, bool poll);

/** The range of DIRECT or TRANSFER after the one that was taken last: *cursor is 0 for the first.
 * False: there is none. */
bool vmbus_packet_range(const struct vmbus_packet *packet, uint32_t *cursor,
                        struct vmbus_range *range);

/** Put a packet into the ring; the guest hears of it by vmbus_channel_signal(). 0; -EAGAIN: no room
 * now, and the guest will signal when there is some; -EPIPE; -EMSGSIZE: more than the ring could
 * ever take. */
int vmbus_channel_send(struct vmbus_channel *channel, enum vmbus_packet_type type,
                       uint64_t transaction, bool completion_wanted, const void *data,
                       size_t length);

/** Send data that lies in buffers which the guest shares as transfer set `set` (a GPADL of the
 * channel, by agreement of the device's protocol): ranges are offsets into it. As above. */
int vmbus_channel_send_transfer(struct vmbus_channel *channel, uint64_t transaction,
                                bool completion_wanted, uint16_t set,
                                const struct vmbus_transfer_range *ranges, uint32_t range_count,
                                const void *data, size_t length);

/** Let the guest see what was sent and taken since the last time, and interrupt it if it wants to
 * be told: call it once for a batch, and always before waiting for the next signal. */
void vmbus_channel_signal(struct vmbus_channel *channel);

/** Readable when the guest has signalled: an eventfd of the channel, for poll(). */
int vmbus_channel_fd(const struct vmbus_channel *channel);

/** The VP that the guest wants to be interrupted on; it may change. UINT32_MAX: none. */
uint32_t vmbus_channel_vp(const struct vmbus_channel *channel);

/** Offer the guest `count` more sub-channels of the device, of which this is the first channel; it
 * opens them when it likes. They go when it closes this one. 0, -EINVAL, -ENOSPC (then some may be
 * offered). */
int vmbus_channel_offer_subs(struct vmbus_channel *channel, unsigned count);

/** Whether the channel was open in a saved state: its rings go on where they were. */
bool vmbus_channel_restored(const struct vmbus_channel *channel);

/** What the guest has sent with its request to open the channel: 120 bytes. */
const uint8_t *vmbus_channel_open_data(const struct vmbus_channel *channel);

/**
 * Find guest memory: fill at most `max` vectors with the host's addresses of `range`, from byte
 * `skip` on, contiguous pieces joined. The number of vectors; -EFAULT: a part is no memory of the
 * guest, -E2BIG. The memory stays where it is as long as the channel is open; its contents may
 * change at any time.
 */
int vmbus_channel_map(struct vmbus_channel *channel, const struct vmbus_range *range, uint64_t skip,
                      struct iovec *iov, unsigned max);

/** Map a GPADL of this channel, from byte `skip` on, in the same way (buffers of network). */
int vmbus_channel_map_gpadl(struct vmbus_channel *channel, uint32_t gpadl, uint64_t skip,
                            uint64_t length, struct iovec *iov, unsigned max);

#endif
