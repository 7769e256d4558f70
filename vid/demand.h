/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_DEMAND_H
#define VID_DEMAND_H

/*
 * Guest memory that is mapped when the guest touches it and belongs to its owner all the time: the
 * kernel may swap, move, merge and share its pages, and the owner may unmap it. A page that the
 * guest cannot reach raises an intercept, which vp_run.c brings here.
 */

#include <linux/types.h>

struct vid_partition;
struct vid_demand;

/** The user memory of a region, of this process. */
struct vid_demand_memory {
    u64 first_frame; /* of the guest */
    u64 pages;
    u64 user_address;
    u32 map_flags; /* of HvCallMapGpaPages */
};

/** Whether the kernel has what it takes; else memory is pinned. */
bool vid_demand_possible(void);

/**
 * Makes a region in which nothing is present. 0, or -errno: then *OUT is what may be left in the
 * hypervisor and must be unmapped, or NULL.
 */
int vid_demand_map(struct vid_partition *partition, const struct vid_demand_memory *memory,
                   struct vid_demand **out);

/** Takes the region away from the guest; after an error some of it may be left. */
int vid_demand_unmap(struct vid_demand *demand);

/** Forgets a region that the guest can no longer reach; NULL is accepted. */
void vid_demand_free(struct vid_demand *demand);

/**
 * Makes a frame of the region present for an access. 0: run the guest again, if only to see whether
 * it comes back; 1: the same, for the frame was present already; -EINTR; -ENOMEM: there is no
 * memory for the hypervisor's tables; any other: the owner's memory does not allow it. PFNS is a
 * page to work with.
 */
int vid_demand_fault(struct vid_demand *demand, u64 frame, bool write, unsigned long *pfns);

/**
 * What a list of access states lacks, whose first is that of FRAME: a page that is gone may have
 * been written before it went. FLAGS are those of HvCallGetGpaPagesAccessStates.
 */
void vid_demand_states(struct vid_demand *demand, u64 frame, u32 pages, u64 flags, u8 *states);

#endif
