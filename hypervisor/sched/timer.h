/* SPDX-License-Identifier: MIT */
#ifndef SCHED_TIMER_H
#define SCHED_TIMER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct timer_queue;

/**
 * One-shot timer. It is queued on the LP that armed it and its callback runs on
 * that LP, outside guest mode, with no lock held; it may arm the timer again.
 * Fields belong to timer.c.
 */
struct timer {
    void (*fn)(struct timer *);
    uint64_t deadline_tsc;
    struct timer *child, *next, *prev; /* pairing heap links; prev of a first child is its parent */
    _Atomic(struct timer_queue *) queue; /* where it is armed, or NULL */
};

/** Prepare a timer; `fn` is called once for each arming that is not cancelled. */
void timer_init(struct timer *t, void (*fn)(struct timer *));

/** (Re)arm on this LP for an absolute TSC. A deadline in the past fires at the next opportunity. */
void timer_arm(struct timer *t, uint64_t deadline_tsc);

/** Disarm. When it returns on another LP than the callback's, the callback may still be running. */
void timer_cancel(struct timer *t);

static inline bool timer_armed(const struct timer *t)
{
    return atomic_load_explicit(&t->queue, memory_order_relaxed);
}

#endif
