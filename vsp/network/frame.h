/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_FRAME_H
#define VSP_NETWORK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Ethernet frames: as much of their headers as offloads, filters and RSS need. Headers are read
 * from a private copy of the frame's beginning.
 */

#define FRAME_HEADER  14U /* of Ethernet */
#define FRAME_TAG     4U  /* of 802.1Q */
#define FRAME_TCP     6U
#define FRAME_UDP     17U
#define FRAME_IP_MAX  65535U
#define FRAME_MAX     (FRAME_HEADER + FRAME_TAG + FRAME_IP_MAX)
#define FRAME_ADDRESS 6U

enum frame_kind {
    FRAME_OTHER,
    FRAME_IPV4,
    FRAME_IPV6,
};

/** Offsets into the frame; 0: it has no such thing, or not in the bytes that were looked at. */
struct frame {
    enum frame_kind kind;
    uint8_t protocol; /* above IP */
    bool tagged;
    uint16_t tag;
    uint16_t network;   /* the IP header */
    uint16_t transport; /* the header above it */
    uint16_t addresses; /* two of them */
    uint16_t ports;     /* two of them; not in fragments */
};

/** Look at the first `length` bytes of a frame. */
void frame_parse(struct frame *f, const uint8_t *head, size_t length);

/** The sum of the bytes from `start` on, 16 bits wide and not inverted. */
uint16_t frame_sum(const struct iovec *iov, unsigned count, size_t start);

/** Make the checksum of the bytes from `start` on, whose field at `start + offset` holds the sum of
 * the pseudo header. False: the field is not in the frame. */
bool frame_checksum(struct iovec *iov, unsigned count, size_t start, size_t offset);

/** A frame that is to be cut into segments by somebody else. */
struct frame_large {
    uint16_t header; /* bytes before the payload */
    uint16_t transport;
    bool ip6;
};

/**
 * Headers of a large frame of `length` bytes as guests leave them: lengths, and the sum of IP, are
 * theirs to fill in, and the sum of the pseudo header is without the length. Make them as if the
 * frame was sent in one piece, in the `head_length` bytes at `head`. False: it is no TCP over the
 * said version of IP, or its headers do not fit.
 */
bool frame_large_prepare(struct frame_large *l, uint8_t *head, size_t head_length, size_t length,
                         bool ip6, unsigned transport);

#endif
