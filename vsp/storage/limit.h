/* SPDX-License-Identifier: MIT */
#ifndef VSP_STORAGE_LIMIT_H
#define VSP_STORAGE_LIMIT_H

#include <stdint.h>

/*
 * How fast a disk may be used: operations and bytes a second. A request is never refused, it is
 * told when it may start. Two token buckets, kept as the time at which each would be full again
 * (the generic cell rate algorithm). Pure; the caller has the lock and the clock.
 */

#define LIMIT_BURST_NS    50000000ULL  /* what was not used for so long may be used at once */
#define LIMIT_BYTES_MIN   65536U       /* a second */
#define LIMIT_REQUEST_MAX (1ULL << 30) /* bytes that one request is charged for at most */

struct limit {
    uint64_t iops;    /* 0: no limit */
    uint64_t bytes_s; /* 0: no limit */
    uint64_t iops_full_ns, bytes_full_ns;
};

/** Set the rates; the past is forgotten. 0, or -EINVAL: fewer bytes than LIMIT_BYTES_MIN. */
int limit_set(struct limit *l, uint64_t iops, uint64_t bytes_s);

/** Charge a request of `bytes` (0: it moves none), and say when it may start: now_ns or later. */
uint64_t limit_schedule(struct limit *l, uint64_t now_ns, uint64_t bytes);

/** A request that has been charged will not start: those that come later need not wait for it. */
void limit_refund(struct limit *l, uint64_t bytes);

#endif
