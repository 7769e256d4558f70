/* SPDX-License-Identifier: MIT */
#ifndef MM_GUEST_H
#define MM_GUEST_H

#include "lib/types.h"

struct partition;

enum access { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EXEC = 4 };

/** The most that one copy below moves; a longer one is -EFAULT. */
#define GUEST_COPY_MAX 0x10000U

/**
 * Whether this page of host memory is ordinary RAM that partitions may own, as opposed to
 * device registers or holes. Supplied by boot code.
 */
bool memory_is_ram(hpa_t page);

/*
 * The host addresses used here stay good until this LP next lets interrupts in,
 * because whoever takes a page away from a partition must wait until every LP,
 * also one that is inside the hypervisor, has answered the TLB shootdown.
 */

/**
 * Copy between guest physical memory and a buffer. The range may cross pages.
 * Returns 0, or -EFAULT if any byte is not RAM that the partition may access so;
 * then guest_write() has written nothing and the buffer of guest_read() is undefined.
 */
int guest_read(struct partition *p, gpa_t addr, void *buf, size_t len);
int guest_write(struct partition *p, gpa_t addr, const void *buf, size_t len);

/**
 * Host address of the guest page that contains `addr` (its offset in the page
 * kept), or NULL if it is not RAM that the partition may access so. Shared with
 * a hostile guest: read each value once, check the copy.
 */
void *guest_page(struct partition *p, gpa_t addr, enum access access);

/**
 * Is the page known to the partition, but not with all of `access` (enum access bits)? Then it is
 * for whoever mapped it to say what happens. It may have changed since an access failed.
 */
bool guest_denied(struct partition *p, gpa_t addr, unsigned access);

#endif
