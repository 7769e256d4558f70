/* SPDX-License-Identifier: MIT */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/list.h"
#include "lib/spinlock.h"

/*
 * One queue per LP. Who runs next, in this order:
 *
 *   1. entities that have not had their reserve in the current period;
 *   2. entities woken with a boost, while at most one slice ahead of their share;
 *   3. the least virtual time (run time * 100 / weight).
 *
 * Weights hold across LPs too: an LP whose virtual time is ahead of another's has too little to do
 * and takes one from there.
 *
 * An entity with a cap owns a token bucket; when it is empty the entity is
 * passed over until the bucket is refilled at the start of a period. All times
 * are TSC ticks. A `now` older than one that the LP has already seen counts as
 * the newer one.
 */

#define SCHED_WEIGHT_MIN     1U
#define SCHED_WEIGHT_DEFAULT 100U
#define SCHED_WEIGHT_MAX     10000U
#define SCHED_FRACTION_ONE   0x10000U /* a whole LP, the unit of reserve and cap */

/** Time constants; one instance, constant from the first sched_attach() on. */
struct sched_config {
    uint64_t slice;  /* longest run while others wait: 10 ms */
    uint64_t period; /* reserve and cap accounting: 20 ms */
    uint64_t
        run_min;    /* a rest of budget or reserve below this is not worth a switch: period / 512 */
    uint64_t steal; /* least time between two steals of an LP: 10 ms */
    uint64_t level; /* time between two comparisons of an LP with the others: 50 ms */
};

/** What the parent may set (partition properties CPU_WEIGHT, CPU_RESERVE, CPU_CAP) and fixed
 * traits. */
struct sched_params {
    uint32_t weight;    /* 1..10000 */
    uint32_t reserve;   /* 0..0x10000, of one LP */
    uint32_t cap;       /* 0 or 0x10000: none; else a fraction of one LP, at least the reserve */
    bool pinned;        /* never stolen by another LP */
    bool boost_on_wake; /* a wake puts it before others of equal standing: parent VPs, but not over
                           each other, since VPs of one kernel wait for one another */
};

enum sched_state {
    SCHED_BLOCKED, /* not runnable; the state after sched_attach() */
    SCHED_QUEUED,  /* runnable, in the list of its LP */
    SCHED_RUNNING, /* current of its LP, not in the list */
};

/** One virtual processor as the scheduler sees it. All fields belong to sched.c. */
struct sched_entity {
    /* Home, NULL when detached; changes under the lock of the old and the new home. */
    _Atomic(struct sched_lp *) lp;

    /* Under the home LP's lock. */
    struct list link;
    enum sched_state state;
    struct sched_params params;
    uint64_t vtime;         /* virtual time while it competes; compared by signed difference */
    uint64_t vtime_rest;    /* remainder of the division by weight, for exactness */
    int64_t lag;            /* virtual time it was owed when it last stopped competing */
    uint64_t left_at;       /* when that was */
    uint64_t reserve_quota; /* ticks per period, 0: none */
    uint64_t cap_quota;     /* ticks per period, 0: no cap */
    uint64_t period;        /* number of the LP's period that the next two fields belong to */
    uint64_t period_run;    /* ticks run in it */
    int64_t budget;         /* cap tokens left; negative after an overrun */
    uint64_t slice_left;
    uint64_t queued_since;
    bool throttled; /* seen with an empty bucket */
    bool boosted;
    bool yielded;

    /* Written under the lock, read by anyone. */
    _Atomic uint64_t run_total;  /* ticks run */
    _Atomic uint64_t wait_total; /* ticks runnable but not running (steal time) */
};

/** One logical processor's queue. All fields belong to sched.c. */
struct sched_lp {
    struct spinlock lock;              /* rank: runqueue; two of them in ascending index */
    unsigned index;                    /* init only */
    const struct sched_config *config; /* init only */

    /* Under the lock. */
    struct list queue;            /* SCHED_QUEUED entities in order of arrival */
    struct sched_entity *current; /* SCHED_RUNNING entity */
    struct sched_entity *last;    /* what sched_pick() last returned */
    /* Displaced by the last pick: its registers may still be on this LP. */
    struct sched_entity *saving;
    /* Gave way to a boosted one, or waits for its answer, with slice left: goes on afterwards. */
    struct sched_entity *resume;
    uint64_t now;       /* newest time seen */
    uint64_t run_start; /* `current` is accounted up to here */
    uint64_t until;     /* what the last pick reported */
    uint64_t period;    /* number of the current period */
    uint64_t period_start;
    uint64_t vtime; /* virtual time of the queue: see lp_vtime() */
    uint64_t base;  /* virtual time plus this is what LPs compare */
    bool rested;    /* was idle, so its time says nothing until it is set by another's */
    uint64_t steal_after;
    uint32_t reserve_sum; /* over attached entities, at most SCHED_FRACTION_ONE */
    bool idle;            /* the last pick found nothing */

    uint64_t level_after; /* of this LP alone, no lock */

    _Atomic uint32_t waiting; /* length of `queue`; written under the lock, a hint for others */
};

/** What sched_pick() says beside the entity. */
struct sched_slice {
    uint64_t until; /* call sched_pick() again at this TSC; UINT64_MAX: only when asked to */
};

/** Default constants for a TSC of `tsc_hz`. */
void sched_config_init(struct sched_config *config, uint64_t tsc_hz);

/** Prepare an LP's queue, before any other LP can reach it. `config` is kept. */
void sched_lp_init(struct sched_lp *lp, unsigned index, const struct sched_config *config,
                   uint64_t now);

/**
 * Prepare a detached entity. -ERANGE: weight, reserve or cap out of range;
 * -EINVAL: cap below reserve.
 */
int sched_entity_init(struct sched_entity *e, const struct sched_params *params);

/**
 * Make `lp` the home of a detached entity, which starts blocked. -EBUSY: it has a
 * home; -ERANGE: the reserves on the LP would exceed the LP. Attach and detach of
 * one entity, and sched_set_params(), are serialised by the caller.
 */
int sched_attach(struct sched_entity *e, struct sched_lp *lp, uint64_t now);

/**
 * Take an entity away from its LP, blocked or queued. 0 also when it has none.
 * -EBUSY: it runs, or its registers may still be on the LP; send that LP
 * (sched_entity_lp()) a reschedule IPI so that it calls sched_pick(), and try again.
 * A running entity leaves only when it blocks or is displaced, so stop it first.
 * After 0 no LP touches the entity any more, except a caller of sched_wake() that
 * the owner has to keep away itself.
 */
int sched_detach(struct sched_entity *e, uint64_t now);

/**
 * A displaced entity's registers are known to be on its LP no more, before that LP's next
 * sched_pick() would say so: it may be detached or stolen. Not while it runs.
 */
void sched_unload(struct sched_entity *e);

/**
 * Give an entity that does not run another home. It stays where it is if it runs after all, if its
 * registers are still on the old LP, or if the new one cannot grant its reserve.
 */
void sched_move(struct sched_entity *e, struct sched_lp *to, uint64_t now);

/**
 * Change weight, reserve, cap and traits. Errors as sched_entity_init() and
 * -ERANGE when the reserves on the LP would exceed it; nothing changes then.
 * *kick receives the LP that needs a reschedule IPI to honour the change, or NULL.
 */
int sched_set_params(struct sched_entity *e, const struct sched_params *params, uint64_t now,
                     struct sched_lp **kick);

/**
 * Make a blocked entity runnable; nothing happens to one that is runnable already
 * or detached. Callable on any LP. Returns the LP that must call sched_pick()
 * because of it, or NULL: send that LP a reschedule IPI, or, if it is the calling
 * one, call sched_pick() before entering a guest.
 */
struct sched_lp *sched_wake(struct sched_entity *e, uint64_t now);

/**
 * Called on the LP that runs `e`: it waits for something. The caller then looks at
 * its wake condition once more and, if that holds, calls sched_wake() itself: a
 * wake that came before this call found the entity running and did nothing.
 */
void sched_block(struct sched_entity *e, uint64_t now);

/**
 * Called on its own LP: account what ran and choose what runs next, or NULL for
 * idle. The returned entity may be the one that ran. out->until is the end of its
 * slice or budget, or, when idle, the next refill of a throttled entity.
 * Contract: whatever registers of the previously returned entity are still on this
 * LP have been saved when sched_pick() is called the next time.
 */
struct sched_entity *sched_pick(struct sched_lp *lp, uint64_t now, struct sched_slice *out);

/** Account what runs on `lp` up to `now`, for exact readings of run_total. */
void sched_charge(struct sched_lp *lp, uint64_t now);

/**
 * Called on the LP that runs `e`, before sched_pick(): let others go first once
 * (long spin wait). The entity gives up its lead over the next one in line.
 */
void sched_relinquish(struct sched_entity *e, uint64_t now);

/**
 * Called on the idle LP: move one waiting, unpinned entity from `busy` to `idle`,
 * at most once per steal interval, and return true; call sched_pick() then.
 */
bool sched_steal(struct sched_lp *idle, struct sched_lp *busy, uint64_t now);

/** Called on its own LP before sched_pick(): is it time to compare it with others? */
bool sched_level_due(struct sched_lp *lp, uint64_t now);

/**
 * Called on an LP when sched_level_due() says so: if its time is well ahead of `other`'s, move one
 * waiting, unpinned entity here, and return true.
 */
bool sched_level(struct sched_lp *lp, struct sched_lp *other, uint64_t now);

/** The entity's home at this moment, or NULL; it may be another by the time the caller looks. */
static inline struct sched_lp *sched_entity_lp(const struct sched_entity *e)
{
    return atomic_load_explicit(&e->lp, memory_order_acquire);
}

/** Is somebody waiting on this LP? A hint without lock, for deciding whether to steal. */
static inline bool sched_lp_crowded(const struct sched_lp *lp)
{
    return atomic_load_explicit(&lp->waiting, memory_order_relaxed) != 0;
}

/** Ticks that the entity ran, up to the last accounting. */
static inline uint64_t sched_entity_run_time(const struct sched_entity *e)
{
    return atomic_load_explicit(&e->run_total, memory_order_relaxed);
}

/** Ticks that the entity was runnable without running. */
static inline uint64_t sched_entity_wait_time(const struct sched_entity *e)
{
    return atomic_load_explicit(&e->wait_total, memory_order_relaxed);
}

#endif
