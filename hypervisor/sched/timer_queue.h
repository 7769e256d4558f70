/* SPDX-License-Identifier: MIT */
#ifndef SCHED_TIMER_QUEUE_H
#define SCHED_TIMER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include "hypervisor/sched/timer.h"
#include "lib/spinlock.h"

/** The timers of one LP: a pairing heap, least deadline at the root. */
struct timer_queue {
    struct spinlock lock; /* rank: timer queue */
    struct timer *root;   /* under the lock */
    uint64_t floor;       /* owning LP only; deadlines below it are raised to it */
    bool running;         /* owning LP only: inside timer_queue_run() */
};

/** Prepare an empty queue. */
void timer_queue_init(struct timer_queue *q);

/**
 * Called on the owning LP: run the callbacks of all timers with a deadline up to
 * `now`, without the lock. A callback that arms a timer for the past has it run by
 * the next call, not this one, so the work is bounded by what was queued.
 * Returns the next deadline, to be programmed by the caller, or UINT64_MAX.
 */
uint64_t timer_queue_run(struct timer_queue *q, uint64_t now);

/** The earliest deadline, or UINT64_MAX. */
uint64_t timer_queue_next(struct timer_queue *q);

/* Supplied by the architecture. */

/** The queue of the LP that calls. */
struct timer_queue *timer_queue_this_lp(void);

/**
 * Called on the owning LP, without the lock, when an arming outside timer_queue_run()
 * made `deadline` the earliest: program the hardware for it.
 */
void timer_queue_earlier(struct timer_queue *q, uint64_t deadline);

#endif
