/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_SLOTS_H
#define PARTITION_SLOTS_H

#include "hypervisor/mm/pool.h"

/** Small objects, several to a page of a partition's deposits. The caller serialises. */
#define SLOT_SIZE 64U

struct slot_page;
struct slots {
    struct slot_page *pages; /* those that have objects */
};

/** A zeroed slot; 0 or -ENOMEM. */
int slot_alloc(struct slots *s, struct pool *pool, void **out);

/** Free it, and its page when it was the last one there. */
void slot_free(struct slots *s, struct pool *pool, void *slot);

/** Free all. */
void slots_destroy(struct slots *s, struct pool *pool);

#endif
