/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CHILD_PRIV_H
#define PARTITION_CHILD_PRIV_H

#include "hypervisor/mm/gpamap.h"
#include "hypervisor/partition/partition.h"

/** A child as it lies in a page of its parent's pool. */
struct child {
    struct partition partition;
    struct gpa_map map;
};

/** Unmap everything; the pages are lent no more. No VP exists any longer. */
void child_memory_destroy(struct partition *p);

/** Give back the pages that the VP shares with the parent. */
void child_vp_pages_free(struct vp *vp);

/** A level-triggered vector got its EOI: tell the parent. */
void child_eoi(struct vp *vp, uint8_t vector);

#endif
