/* SPDX-License-Identifier: MIT */
#ifndef ABI_VMBUS_PACKET_H
#define ABI_VMBUS_PACKET_H

#include <stddef.h>
#include <stdint.h>

/*
 * Rings of an open channel and the packets in them. A ring is a page of control words and whole
 * pages of data after it; indices are bytes into the data, multiples of 8, and equal indices mean
 * an empty ring. The ring from guest to host comes first in the channel's GPADL.
 */

#ifndef __cplusplus
#define VMPACKET_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define VMPACKET_LAYOUT(cond) static_assert(cond, #cond)
#endif

#define VMBUS_PAGE_SIZE 4096U

struct vmbus_ring_control {
    uint32_t write_index;       /* the writer's */
    uint32_t read_index;        /* the reader's */
    uint32_t interrupt_mask;    /* the reader's: not 0: it needs no signal for what is written */
    uint32_t pending_send_size; /* the writer's: it waits for more free bytes than this; 0: no */
    uint32_t reserved1[12];
    uint32_t features; /* VMBUS_RING_*; each side sets those of the ring that it writes */
    uint8_t reserved2[VMBUS_PAGE_SIZE - 68];
};
VMPACKET_LAYOUT(sizeof(struct vmbus_ring_control) == VMBUS_PAGE_SIZE);
VMPACKET_LAYOUT(offsetof(struct vmbus_ring_control, features) == 64);

/* This side sets pending_send_size and signals when the other's is satisfied. */
#define VMBUS_RING_PENDING_SEND_SIZE 1U

enum vmpacket_type {
    VMPACKET_INVALID = 0,
    VMPACKET_DATA_INBAND = 6,
    VMPACKET_DATA_TRANSFER_PAGES = 7,
    VMPACKET_DATA_GPA_DIRECT = 9,
    VMPACKET_CANCEL = 10,
    VMPACKET_COMPLETION = 11,
};

#define VMPACKET_COMPLETION_WANTED 1U /* flag of a descriptor */

struct vmpacket_descriptor {
    uint16_t type;    /* enum vmpacket_type */
    uint16_t offset8; /* of the data, in units of 8 bytes from here */
    uint16_t length8; /* of descriptor and data */
    uint16_t flags;
    uint64_t transaction;
};
VMPACKET_LAYOUT(sizeof(struct vmpacket_descriptor) == 16);

/* After each packet stand 8 bytes: 0, and where it began. */
#define VMPACKET_TRAILER 8U
/* The largest that a descriptor can name. */
#define VMPACKET_BYTES_MAX (0xFFFFU * 8U)

/** A range of guest memory that looks contiguous; page numbers follow. */
struct vmbus_gpa_range {
    uint32_t length;
    uint32_t offset; /* into the first page */
};
VMPACKET_LAYOUT(sizeof(struct vmbus_gpa_range) == 8);

struct vmpacket_gpa_direct {
    struct vmpacket_descriptor descriptor;
    uint32_t reserved;
    uint32_t range_count;
    /* struct vmbus_gpa_range and its page numbers, range_count times */
};
VMPACKET_LAYOUT(sizeof(struct vmpacket_gpa_direct) == 24);

struct vmpacket_transfer_range {
    uint32_t length;
    uint32_t offset; /* into the GPADL of the set */
};
VMPACKET_LAYOUT(sizeof(struct vmpacket_transfer_range) == 8);

struct vmpacket_transfer_pages {
    struct vmpacket_descriptor descriptor;
    uint16_t set;
    uint8_t sender_owns_set;
    uint8_t reserved;
    uint32_t range_count;
    /* struct vmpacket_transfer_range, range_count times */
};
VMPACKET_LAYOUT(sizeof(struct vmpacket_transfer_pages) == 24);

/** Before the data of each packet on a channel in pipe mode. */
struct vmpipe_header {
    uint32_t type; /* VMPIPE_DATA */
    uint32_t length;
};
VMPACKET_LAYOUT(sizeof(struct vmpipe_header) == 8);

#define VMPIPE_DATA 1U

#endif
