/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_IRQFD_H
#define VID_IRQFD_H

/* Interrupts of a guest raised by eventfds, and where they go (msi.c). */

#include <linux/types.h>

struct vid_partition;

/** Where an interrupt goes, in the terms of HvCallAssertVirtualInterrupt. */
struct vid_route {
    u64 control;
    u32 destination;
    u32 vector;
    bool valid;
};

struct vid_routes {
    u32 count;
    struct vid_route list[];
};

/** Creates or destroys what irqfds share. */
int vid_irqfds_init(void);
void vid_irqfds_exit(void);

/** MSHV_IRQFD, MSHV_SET_MSI_ROUTING; under the partition's lock. */
long vid_irqfd(struct vid_partition *partition, void __user *argument);
long vid_set_routing(struct vid_partition *partition, void __user *argument);

/** The route of a number; under the partition's lock. */
struct vid_route vid_route_of(const struct vid_partition *partition, u32 gsi);

/** Tells all irqfds of a partition of new routes; under the partition's lock. */
void vid_irqfds_reroute(struct vid_partition *partition);

/** The guest has ended the interrupt of a vector. Whether an irqfd waited for it; any context. */
bool vid_irqfds_acked(struct vid_partition *partition, u32 vector);

/** Ends all irqfds of a partition, and returns when none is left. Harmless when there are none. */
void vid_irqfds_release(struct vid_partition *partition);

#endif
