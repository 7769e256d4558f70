/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_STATS_H
#define PARTITION_STATS_H

#include "abi/tlfs/management.h"
#include "hypervisor/partition/partition.h"

/*
 * Statistics pages (HvCallMapStatsPage): arrays of 64-bit counters of an object that the parent
 * reads without a call. Their indices are those that Linux prints, and what is not counted is zero.
 * While there are any, they are filled anew some times a second; nobody else pays for them.
 */

/** What is counted. */
struct stats_object {
    uint32_t type;  /* enum hv_stats_object_type */
    uint32_t index; /* of the LP or VP */
    uint64_t partition_id;
};

/**
 * Map a page of an object for the parent; from its own deposits, because that is what Linux adds to
 * when there is no memory. The same page again if it is mapped. 0, -ENOMEM.
 */
int stats_map(struct partition *parent, const struct stats_object *object, hpa_t *out);

/** 0, or -ENOENT if it is not mapped. The object need not exist any more. */
int stats_unmap(struct partition *parent, const struct stats_object *object);

#endif
