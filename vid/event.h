/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_EVENT_H
#define VID_EVENT_H

/* Eventfds that are signalled when a guest calls HvCallSignalEvent (BULKHEAD_EVENT). */

#include <linux/types.h>

struct hv_synic_event_flags;
struct vid_partition;

/** BULKHEAD_EVENT, under the partition's lock. */
long vid_event(struct vid_partition *partition, void __user *argument);

/** Takes the flags that are set and signals what belongs to them; from the upcall. */
void vid_events_take(struct hv_synic_event_flags *flags);

/** Removes all events of a partition, under its lock or with the partition's last reference. */
void vid_events_release(struct vid_partition *partition);

#endif
