/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CHILD_H
#define PARTITION_CHILD_H

#include "abi/tlfs/management.h"
#include "hypervisor/partition/partition.h"

/*
 * Child partitions: creation to deletion, the table of all of them, their memory. Everything is
 * called by hypercalls of the parent, with no lock held.
 */

#define CHILD_MAX 256

/**
 * The child with this id, or the parent itself for its own id or HV_PARTITION_ID_SELF, held until
 * partition_put(): it does not go away meanwhile. NULL if `parent` has no such child.
 */
struct partition *partition_get(struct partition *parent, uint64_t id);
void partition_put(struct partition *p);

/** The same, but only an initialized child: -ENOENT no such child, -EBADF it is in another state.
 */
int child_get_active(struct partition *parent, uint64_t id, struct partition **out);

/** The child after `previous` (0: the first) in the order of their ids; 0 if there is none. */
uint64_t child_next(const struct partition *parent, uint64_t previous);

/** For dumps: calls `fn` for each child; any LP. */
void child_for_each(void (*fn)(struct partition *p));

/** Make a child from the parent's pool; 0, -ENOMEM, -ENOSPC, or -EAGAIN: too many children. */
int child_create(struct partition *parent, const struct hv_input_create_partition *in,
                 struct partition **out);

/** CREATED to ACTIVE. 0, -EBADF, -ENOMEM. */
int child_initialize(struct partition *p);

/**
 * Stop all VPs and free them with everything else that came from the pool. The caller's hold is
 * the only one that remains. 0, or -EBADF if that has been done already.
 */
int child_finalize(struct partition *p);

/** Delete a finalized (or never initialized) child whose pool is empty; gives the hold up if 0. */
int child_delete(struct partition *p);

/** Add pages of the parent to a pool; *done of `count` page frame numbers. 0, -EINVAL, -EBUSY. */
int child_deposit(struct partition *p, struct partition *from, const uint64_t *pfns, uint32_t count,
                  uint32_t *done);

/** Give free pages of a pool back to the parent. 0, or -ENODATA when fewer than wanted were free.
 */
int child_withdraw(struct partition *p, struct partition *to, uint64_t *pfns, uint32_t count,
                   uint32_t *done);

/**
 * Map and unmap guest memory; the unit is 4 KiB, or 2 MiB with `large`. An overlay keeps its place,
 * and what it hides changes.
 */
int child_map(struct partition *p, struct partition *from, gpa_t at, const uint64_t *pfns,
              uint32_t count, uint32_t flags, uint32_t *done);
int child_unmap(struct partition *p, gpa_t at, uint32_t count, bool large, uint32_t *done);

/** Like child_unmap(), but the addresses stay known: an access is the parent's to answer. */
int child_close(struct partition *p, gpa_t at, uint32_t count, bool large, uint32_t *done);

/** Begin or end to track accesses (HV_PARTITION_PROPERTY_GPA_PAGE_ACCESS_TRACKING). */
void child_track(struct partition *p, bool on);

/**
 * Access states of `count` pages from `at` on, HV_GPA_ACCESS_STATE_* bytes, after which `flags`
 * (HV_GPA_ACCESS_CLEAR_* and _SET_*) change them; what is not mapped is neither. At most one batch
 * at a time: *done of them. -EBADF without tracking.
 */
int child_access_states(struct partition *p, gpa_t at, uint32_t count, uint64_t flags,
                        uint8_t *states, uint32_t *done);

/** A page of the pool that the parent may read and write; and its way back. */
int child_share_page(struct partition *p, hpa_t *out);
void child_unshare_page(struct partition *p, hpa_t page);

#endif
