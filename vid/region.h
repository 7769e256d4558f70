/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_REGION_H
#define VID_REGION_H

/*
 * Guest memory: user memory that is locked is pinned for as long as a guest may reach it; all other
 * is mapped on demand (demand.h). Either is mapped in pages of 2 MiB wherever it is contiguous and
 * aligned both in the guest and in the host.
 */

#include <linux/list.h>
#include <linux/types.h>

struct vid_demand;
struct vid_partition;
struct vid_vp;

/** Neighbouring frames of the host, mapped to neighbouring frames of the guest. */
struct vid_extent {
    u64 frame;
    u32 pages;  /* of 4 KiB */
    bool large; /* mapped in pages of 2 MiB */
};

struct vid_extents {
    struct list_head node;
    u32 used;
    struct vid_extent list[];
};

struct vid_region {
    struct list_head node; /* in the partition, under its lock */
    u64 first_frame;       /* of the guest */
    u64 pages;
    u64 user_address;
    u32 map_flags; /* of HvCallMapGpaPages */

    struct vid_demand *demand; /* NULL: it is pinned, which is what follows */
    u64 mapped;                /* frames that the guest can reach, from the first on */
    struct list_head extents;  /* blocks of struct vid_extents, in the order of guest frames */
};

/** MSHV_SET_GUEST_MEMORY, under the partition's lock. */
long vid_set_memory(struct vid_partition *partition, void __user *argument);

/**
 * A VP has no access to a guest address that it wants to read, write or execute
 * (HV_INTERCEPT_ACCESS_*). 0: it can be run again; -EINTR, -ENOMEM; any other: no memory of ours.
 */
int vid_memory_fault(struct vid_vp *vp, u64 address, u8 access);

/** Adds to access states of the hypervisor what it cannot know; under the partition's lock. */
void vid_memory_states(struct vid_partition *partition, u64 frame, u32 pages, u64 flags,
                       u8 *states);

/**
 * Frees all regions of a partition that is finalized, or else was never initialized. KEEP: the
 * guest may still reach its memory; then pinned pages stay so forever. Returns -errno if regions
 * are left, which have to go on hearing of changes: then the partition must stay as well.
 */
int vid_regions_free(struct vid_partition *partition, bool keep);

/* region_map.c */

/** Pins the user memory of a region and maps it. */
int vid_region_map(struct vid_partition *partition, struct vid_region *region,
                   unsigned int pin_flags);

/** Takes a region's memory away from the guest; after an error some of it may be left. */
int vid_region_unmap(struct vid_partition *partition, struct vid_region *region);

/** Lets a region's pages go. */
void vid_region_unpin(struct vid_partition *partition, struct vid_region *region);

#endif
