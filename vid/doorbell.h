/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_DOORBELL_H
#define VID_DOORBELL_H

/* Eventfds that ring when a guest writes to an address (MSHV_IOEVENTFD). */

#include <linux/types.h>

struct vid_partition;

/** MSHV_IOEVENTFD, under the partition's lock. */
long vid_ioeventfd(struct vid_partition *partition, void __user *argument);

/** The port of a doorbell was hit; from the upcall. */
void vid_doorbell_ring(u32 port);

/** Removes all doorbells of a partition, under its lock or with the partition's last reference. */
void vid_doorbells_release(struct vid_partition *partition);

#endif
