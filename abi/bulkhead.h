/* SPDX-License-Identifier: MIT */
#ifndef ABI_BULKHEAD_H
#define ABI_BULKHEAD_H

/*
 * What the descriptor of a partition of /dev/mshv does beyond Linux' own interface (mshv.h). Linux
 * leaves HvCallSignalEvent to the program that runs the VP; here it can end in an eventfd.
 */

#include "abi/mshv.h"

enum { BULKHEAD_EVENT_BIT_DEASSIGN, BULKHEAD_EVENT_BIT_COUNT };
#define BULKHEAD_EVENT_FLAGS_MASK ((1 << BULKHEAD_EVENT_BIT_COUNT) - 1)

/**
 * From now on flag 0 of this connection of the guest signals the eventfd `fd`; or, deassigned, no
 * longer. EEXIST: the connection exists. ENOENT: it does not exist, or with another eventfd.
 * ENOSPC: the host has no more of them.
 */
struct bulkhead_event {
    __u32 connection_id;
    __s32 fd;
    __u32 flags;
    __u32 rsvd;
};

#define BULKHEAD_EVENT _IOW(MSHV_IOCTL, 0x80, struct bulkhead_event)

#endif
