/* SPDX-License-Identifier: MIT */
#include "hypervisor/sched/timer_queue.h"
#include "lib/bits.h"

/*
 * Ownership of a timer's links and deadline: the lock of the queue that
 * timer.queue names. The field leaves NULL only by compare-and-swap under the
 * lock of the new queue, and becomes NULL again only under that same lock; two
 * LPs that arm one timer at once therefore cannot both insert it.
 */

/* The root of two heaps joined; either may be NULL. */
static struct timer *heap_meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->deadline_tsc < a->deadline_tsc) {
        struct timer *t = a;

        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    a->next = a->prev = NULL;
    return a;
}

/* One heap of a list of siblings: pairs from left to right, then the pairs from right to left. */
static struct timer *heap_merge_pairs(struct timer *first)
{
    struct timer *pairs = NULL; /* a stack by way of `next` */
    struct timer *root = NULL;

    while (first) {
        struct timer *a = first, *b = a->next;

        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = heap_meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *t = pairs;

        pairs = t->next;
        t->next = NULL;
        root = heap_meld(root, t);
    }
    return root;
}

static void heap_remove(struct timer_queue *q, struct timer *t)
{
    struct timer *below = heap_merge_pairs(t->child);

    if (q->root == t) {
        q->root = below;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        q->root = heap_meld(q->root, below);
    }
    t->child = t->next = t->prev = NULL;
}

/* Unqueue if it is still on `q`; false means that another LP was faster. */
static bool queue_remove(struct timer_queue *q, struct timer *t)
{
    bool mine;

    spin_lock(&q->lock);
    mine = atomic_load_explicit(&t->queue, memory_order_relaxed) == q;
    if (mine) {
        heap_remove(q, t);
        /* Release: pairs with the compare-and-swap of whoever queues it next, under another lock.
         */
        atomic_store_explicit(&t->queue, NULL, memory_order_release);
    }
    spin_unlock(&q->lock);
    return mine;
}

/* Queue an idle timer; false when another LP queued it first. *first: it is the earliest now. */
static bool queue_insert(struct timer_queue *q, struct timer *t, uint64_t deadline, bool *first)
{
    struct timer_queue *none = NULL;
    bool mine;

    spin_lock(&q->lock);
    mine = atomic_compare_exchange_strong_explicit(&t->queue, &none, q, memory_order_acquire,
                                                   memory_order_relaxed);
    if (mine) {
        t->deadline_tsc = max_u64(deadline, q->floor);
        q->root = heap_meld(q->root, t);
        *first = q->root == t;
    }
    spin_unlock(&q->lock);
    return mine;
}

void timer_queue_init(struct timer_queue *q)
{
    *q = (struct timer_queue){.lock = SPINLOCK_INIT};
}

void timer_init(struct timer *t, void (*fn)(struct timer *))
{
    *t = (struct timer){.fn = fn};
}

void timer_arm(struct timer *t, uint64_t deadline_tsc)
{
    struct timer_queue *q = timer_queue_this_lp();
    bool first = false;

    /* Repeats only when another LP has armed the same timer in between: its arming came first. */
    do {
        timer_cancel(t);
    } while (!queue_insert(q, t, deadline_tsc, &first));

    if (first && !q->running)
        timer_queue_earlier(q, max_u64(deadline_tsc, q->floor));
}

void timer_cancel(struct timer *t)
{
    struct timer_queue *q;

    /* Repeats only when another LP moved it in between. */
    do {
        q = atomic_load_explicit(&t->queue, memory_order_relaxed);
    } while (q && !queue_remove(q, t));
}

/* Unqueue and return the earliest timer if its time has come. */
static struct timer *queue_pop(struct timer_queue *q, uint64_t now)
{
    struct timer *t;

    spin_lock(&q->lock);
    t = q->root;
    /* UINT64_MAX is never, also for a clock that says so. */
    if (t && (t->deadline_tsc > now || t->deadline_tsc == UINT64_MAX))
        t = NULL;
    if (t) {
        heap_remove(q, t);
        atomic_store_explicit(&t->queue, NULL, memory_order_release);
    }
    spin_unlock(&q->lock);
    return t;
}

uint64_t timer_queue_run(struct timer_queue *q, uint64_t now)
{
    struct timer *t;

    q->running = true;
    /* What callbacks arm from here on is due after `now`, so that the loop ends. Only this LP
     * arms timers here, hence reads and writes the floor. */
    if (now >= q->floor)
        q->floor = now == UINT64_MAX ? now : now + 1;
    while ((t = queue_pop(q, now)))
        t->fn(t);
    q->running = false;
    return timer_queue_next(q);
}

uint64_t timer_queue_next(struct timer_queue *q)
{
    uint64_t next;

    spin_lock(&q->lock);
    next = q->root ? q->root->deadline_tsc : UINT64_MAX;
    spin_unlock(&q->lock);
    return next;
}
