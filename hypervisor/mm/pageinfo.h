/* SPDX-License-Identifier: MIT */
#ifndef MM_PAGEINFO_H
#define MM_PAGEINFO_H

#include "hypervisor/mm/range.h"
#include "lib/types.h"

/*
 * Who may use each page of the machine's RAM. A page belongs to the parent, which may lend it
 * to any number of children (it counts how often it is mapped there), or it was deposited and
 * belongs to the hypervisor. Never both: a page that a child can reach cannot be deposited, and
 * a deposited one cannot be mapped. All functions are atomic and callable on any LP.
 */

/** Prepare the table for `ram`, the parent's memory. Once, at boot; 0 or -ENOMEM. */
int pageinfo_init(const struct range_map *ram);

/** The page becomes the hypervisor's. -EINVAL: not the parent's RAM, or deposited; -EBUSY: lent. */
int pageinfo_take(hpa_t page);

/** A deposited page becomes the parent's again. Nothing of the hypervisor refers to it any more. */
void pageinfo_give_back(hpa_t page);

/**
 * Count one more mapping of the page in a child. -EINVAL: not the parent's RAM, or deposited;
 * -ENOSPC: mapped too often.
 */
int pageinfo_lend(hpa_t page);

/** One mapping less; the child and all processors have forgotten it. */
void pageinfo_return(hpa_t page);

/** Was this page deposited? False for what is no RAM. */
bool pageinfo_deposited(hpa_t page);

#endif
