/* SPDX-License-Identifier: MIT */
#include "hypervisor/sched/sched.h"
#include "lib/bits.h"
#include "lib/errno.h"

/* More refills than this cannot be owed; it keeps the product below in range. */
#define REFILLS_MAX (1ULL << 20)

/* How many slices an entity's virtual time may be ahead of the queue's: see entity_bound(). */
#define AHEAD_SLICES 4

/* How many slices it may be owed over a short wait. */
#define OWED_SLICES 2

/* How far LPs may be apart, in slices that the one behind would need to catch up; and what is
 * forgotten beyond it, for what cannot be moved must not be made up for later. */
#define LEVEL_SLICES     2
#define LEVEL_SLICES_MAX 20

/*
 * Virtual time of a queue is the mean, by weight, over the entities that compete:
 * the current one and those queued and not throttled. The lag of an entity, this
 * mean less its own virtual time, is what it is owed. It takes its lag along when
 * it stops competing and gets it back when it returns, so a short wait neither
 * costs nor gains anything, and the queue need not remember who is away.
 */

/* Signed difference of two virtual times; right as long as they are less than 2^63 apart,
 * a year of one entity of weight 1 alone. */
static int64_t vtime_diff(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b);
}

/* Virtual time that `e` passes while it runs `ticks`. */
static uint64_t entity_vtime(const struct sched_entity *e, uint64_t ticks)
{
    return ticks * SCHED_WEIGHT_DEFAULT / e->params.weight;
}

static uint64_t cap_capacity(const struct sched_lp *lp, const struct sched_entity *e)
{
    /* A cap of less than run_min per period saves up for one worthwhile run. */
    return max_u64(e->cap_quota, lp->config->run_min);
}

/* Start the entity's account of the LP's current period if it has not been yet: refill the bucket.
 */
static void entity_sync(const struct sched_lp *lp, struct sched_entity *e)
{
    uint64_t periods = lp->period - e->period;

    /* Not later: nothing to do, or it came from an LP whose clock reading was a little newer. */
    if ((int64_t)periods <= 0)
        return;
    e->period = lp->period;
    e->period_run = 0;
    if (e->cap_quota) {
        int64_t capacity = (int64_t)cap_capacity(lp, e);

        e->budget += (int64_t)(min_u64(periods, REFILLS_MAX) * e->cap_quota);
        if (e->budget > capacity)
            e->budget = capacity;
    }
}

/* May a queued entity be started? */
static bool entity_has_budget(const struct sched_lp *lp, const struct sched_entity *e)
{
    return !e->cap_quota || e->budget >= (int64_t)lp->config->run_min;
}

/* When the refills will have made a throttled entity eligible. */
static uint64_t entity_refill_time(const struct sched_lp *lp, const struct sched_entity *e)
{
    uint64_t missing = (uint64_t)((int64_t)lp->config->run_min - e->budget);
    uint64_t periods = (missing + e->cap_quota - 1) / e->cap_quota;

    return lp->period_start + periods * lp->config->period;
}

/* Has it not had its reserve in this period? A rest too small to switch for counts as had. */
static bool entity_behind(const struct sched_lp *lp, const struct sched_entity *e)
{
    uint64_t worth = e == lp->current ? 1 : min_u64(lp->config->run_min, e->reserve_quota);

    return e->reserve_quota && e->period_run + worth <= e->reserve_quota;
}

/* Does its wake still put it before others? */
static bool entity_hurries(const struct sched_lp *lp, const struct sched_entity *e)
{
    uint64_t ahead = entity_vtime(e, lp->config->slice);

    return e->boosted && vtime_diff(e->vtime, lp->vtime) <= (int64_t)ahead;
}

/* Standing of a runnable entity; within one standing virtual time decides. */
static unsigned entity_rank(const struct sched_lp *lp, const struct sched_entity *e)
{
    unsigned rank = 1;

    if (e->yielded)
        return 0;
    if (entity_behind(lp, e))
        rank += 2;
    if (entity_hurries(lp, e))
        rank += 1;
    return rank;
}

/* Is `e` so much more deserving than `incumbent` that it may cut its slice short? */
static bool entity_preempts(const struct sched_lp *lp, const struct sched_entity *e,
                            const struct sched_entity *incumbent)
{
    unsigned rank = entity_rank(lp, e), other = entity_rank(lp, incumbent);

    /* Not over its own kind: what it wakes for may be waiting for just that one. */
    if (incumbent->params.boost_on_wake && rank > 1) {
        rank -= entity_hurries(lp, e);
        other -= other > 1 && entity_hurries(lp, incumbent);
    }
    if (rank != other)
        return rank > other;
    return vtime_diff(incumbent->vtime, e->vtime) > (int64_t)entity_vtime(e, lp->config->slice / 2);
}

/* Advance the LP's clock; returns the newest time. Periods are the same on all LPs. */
static uint64_t lp_advance(struct sched_lp *lp, uint64_t now)
{
    if (now > lp->now) {
        lp->now = now;
        lp->period = now / lp->config->period;
        lp->period_start = lp->period * lp->config->period;
    }
    return lp->now;
}

/* Bring lp->vtime up to date; returns the weight of all that compete. An empty queue's time stands.
 */
static uint64_t lp_vtime(struct sched_lp *lp)
{
    int64_t sum = 0;
    int64_t weight = 0;

    /* The products are small: distance times weight is a few slices per entity. */
    if (lp->current) {
        weight = lp->current->params.weight;
        sum = weight * vtime_diff(lp->current->vtime, lp->vtime);
    }
    list_for_each(it, &lp->queue)
    {
        const struct sched_entity *e = list_entry(it, struct sched_entity, link);

        if (!e->throttled) {
            weight += e->params.weight;
            sum += (int64_t)e->params.weight * vtime_diff(e->vtime, lp->vtime);
        }
    }
    if (weight)
        lp->vtime += (uint64_t)(sum / weight);
    return (uint64_t)weight;
}

/*
 * An entity that lives on its reserve gets ahead of its share for ever, and must
 * not pay for it when the reserve goes.
 */
static void entity_bound(struct sched_lp *lp, struct sched_entity *e)
{
    uint64_t most = entity_vtime(e, lp->config->slice * AHEAD_SLICES);

    lp_vtime(lp);
    if (vtime_diff(e->vtime, lp->vtime) > (int64_t)most)
        e->vtime = lp->vtime + most;
}

static void entity_bound_lag(const struct sched_lp *lp, struct sched_entity *e)
{
    int64_t slice = (int64_t)entity_vtime(e, lp->config->slice);

    if (e->lag > slice * OWED_SLICES)
        e->lag = slice * OWED_SLICES;
    else if (e->lag < -slice * AHEAD_SLICES)
        e->lag = -slice * AHEAD_SLICES;
}

/* Before an entity stops competing. */
static void entity_leave(struct sched_lp *lp, struct sched_entity *e)
{
    lp_vtime(lp);
    e->lag = vtime_diff(lp->vtime, e->vtime);
    e->left_at = lp->now;
    entity_bound_lag(lp, e);
}

/* Before an entity starts to compete. */
static void entity_join(struct sched_lp *lp, struct sched_entity *e)
{
    int64_t others = (int64_t)lp_vtime(lp);
    int64_t all = others + e->params.weight;
    int64_t credit = (int64_t)entity_vtime(e, lp->config->slice / 2);
    uint64_t away = lp->now - min_u64(e->left_at, lp->now);

    e->vtime = lp->vtime;
    /* Nobody else: nobody was kept from running, and all debts are forgotten. */
    if (!others)
        return;
    /* Its share of the time that it was away for, up to half a slice of credit. */
    entity_bound_lag(lp, e);
    if (e->lag > credit && away > lp->config->slice && !e->throttled)
        e->lag = credit;
    if (e->lag < credit)
        e->lag = (int64_t)min_u64((uint64_t)(credit - e->lag),
                                  away * SCHED_WEIGHT_DEFAULT / (uint64_t)all) +
                 e->lag;
    /* Its joining moves the mean towards it; so much further off, it has the same lag as before. */
    e->vtime -= (uint64_t)(e->lag * all / others);
}

/* Account what ran since the last accounting, split where the period changed. */
static void lp_charge(struct sched_lp *lp, uint64_t now)
{
    struct sched_entity *e = lp->current;
    uint64_t from = lp->run_start;
    uint64_t ran = now - from;
    uint64_t this_period = now - max_u64(from, lp->period_start);
    uint64_t scaled;

    lp->run_start = now;
    if (!e) {
        lp->rested |= lp->idle;
        return;
    }

    if (e->cap_quota)
        e->budget -= (int64_t)(ran - this_period);
    entity_sync(lp, e);
    if (e->cap_quota)
        e->budget -= (int64_t)this_period;
    e->period_run += this_period;
    e->slice_left -= min_u64(e->slice_left, ran);

    scaled = ran * SCHED_WEIGHT_DEFAULT + e->vtime_rest;
    e->vtime += scaled / e->params.weight;
    e->vtime_rest = scaled % e->params.weight;
    entity_bound(lp, e);
    atomic_fetch_add_explicit(&e->run_total, ran, memory_order_relaxed);
}

static void lp_enqueue(struct sched_lp *lp, struct sched_entity *e)
{
    e->state = SCHED_QUEUED;
    e->queued_since = lp->now;
    list_append(&lp->queue, &e->link);
    atomic_fetch_add_explicit(&lp->waiting, 1, memory_order_relaxed);
}

static void lp_dequeue(struct sched_lp *lp, struct sched_entity *e)
{
    list_remove(&e->link);
    atomic_fetch_sub_explicit(&lp->waiting, 1, memory_order_relaxed);
}

/* See whether the bucket of a queued entity lets it compete. */
static void entity_refresh(struct sched_lp *lp, struct sched_entity *e)
{
    bool throttled;

    entity_sync(lp, e);
    throttled = !entity_has_budget(lp, e);
    if (throttled && !e->throttled)
        entity_leave(lp, e);
    else if (!throttled && e->throttled)
        entity_join(lp, e);
    e->throttled = throttled;
}

/* Until when `e`, the current entity, may run beside what is queued now. */
static uint64_t lp_slice_end(const struct sched_lp *lp, const struct sched_entity *e)
{
    uint64_t until = UINT64_MAX;
    bool reserve = false, behind = false;

    list_for_each(it, &lp->queue)
    {
        const struct sched_entity *other = list_entry(it, struct sched_entity, link);

        reserve |= other->reserve_quota != 0;
        behind |= !other->throttled && entity_behind(lp, other);
    }
    if (!list_empty(&lp->queue))
        until = lp->now + e->slice_left;
    /* A new period gives the reserves their precedence back. */
    if (reserve)
        until = min_u64(until, lp->period_start + lp->config->period);
    if (behind && entity_behind(lp, e))
        until = min_u64(until, lp->now + e->reserve_quota - e->period_run);
    if (e->cap_quota)
        until = min_u64(until, lp->now + (e->budget > 0 ? (uint64_t)e->budget : 0));
    return until;
}

/* The LP if it has to call sched_pick() because `e` was queued or changed. */
static struct sched_lp *lp_kick(struct sched_lp *lp, const struct sched_entity *e)
{
    if (lp->idle)
        return e->state == SCHED_QUEUED ? lp : NULL;
    /* Between sched_block() and sched_pick(): it will see `e` there. */
    if (!lp->current)
        return NULL;
    lp_vtime(lp);
    if (e->state == SCHED_QUEUED && !e->throttled && entity_preempts(lp, e, lp->current))
        return lp;
    return lp_slice_end(lp, lp->current) < lp->until ? lp : NULL;
}

/* Lock the home of an entity; NULL when it has none. */
static struct sched_lp *entity_lock_lp(const struct sched_entity *e)
{
    /* Repeats only when the entity was moved meanwhile, which the steal interval makes rare. */
    for (;;) {
        struct sched_lp *lp = sched_entity_lp(e);

        if (!lp)
            return NULL;
        spin_lock(&lp->lock);
        if (sched_entity_lp(e) == lp)
            return lp;
        spin_unlock(&lp->lock);
    }
}

void sched_config_init(struct sched_config *config, uint64_t tsc_hz)
{
    config->slice = tsc_hz / 100;
    config->period = tsc_hz / 50;
    config->run_min = config->period / 512;
    config->steal = tsc_hz / 100;
    config->level = tsc_hz / 20;
}

void sched_lp_init(struct sched_lp *lp, unsigned index, const struct sched_config *config,
                   uint64_t now)
{
    *lp = (struct sched_lp){.index = index, .config = config, .run_start = now, .rested = true};
    list_init(&lp->queue);
    lp_advance(lp, now);
}

static int params_check(const struct sched_params *p)
{
    if (p->weight < SCHED_WEIGHT_MIN || p->weight > SCHED_WEIGHT_MAX ||
        p->reserve > SCHED_FRACTION_ONE || p->cap > SCHED_FRACTION_ONE)
        return -ERANGE;
    if (p->cap && p->cap < p->reserve)
        return -EINVAL;
    return 0;
}

int sched_entity_init(struct sched_entity *e, const struct sched_params *params)
{
    int ret = params_check(params);

    if (ret)
        return ret;
    *e = (struct sched_entity){.params = *params};
    list_init(&e->link);
    return 0;
}

static uint64_t fraction_of(uint64_t ticks, uint32_t fraction)
{
    return ticks * fraction / SCHED_FRACTION_ONE;
}

/* Quotas from parameters. A cap that begins starts with a full bucket. */
static void entity_apply_params(const struct sched_lp *lp, struct sched_entity *e)
{
    const struct sched_params *p = &e->params;
    bool had_cap = e->cap_quota;

    e->reserve_quota = fraction_of(lp->config->period, p->reserve);
    e->cap_quota = 0;
    if (p->cap && p->cap < SCHED_FRACTION_ONE) {
        int64_t capacity;

        e->cap_quota = max_u64(fraction_of(lp->config->period, p->cap), 1);
        capacity = (int64_t)cap_capacity(lp, e);
        if (!had_cap || e->budget > capacity)
            e->budget = capacity;
    }
}

int sched_attach(struct sched_entity *e, struct sched_lp *lp, uint64_t now)
{
    int ret = -ERANGE;

    if (sched_entity_lp(e))
        return -EBUSY;

    spin_lock(&lp->lock);
    lp_charge(lp, lp_advance(lp, now));
    if (lp->reserve_sum + e->params.reserve <= SCHED_FRACTION_ONE) {
        lp->reserve_sum += e->params.reserve;
        e->state = SCHED_BLOCKED;
        e->lag = 0;
        e->left_at = lp->now;
        e->period = lp->period;
        e->period_run = 0;
        e->cap_quota = 0;
        e->throttled = e->boosted = e->yielded = false;
        entity_apply_params(lp, e);
        /* Release: whoever finds the home finds the fields above. */
        atomic_store_explicit(&e->lp, lp, memory_order_release);
        ret = 0;
    }
    spin_unlock(&lp->lock);
    return ret;
}

void sched_unload(struct sched_entity *e)
{
    struct sched_lp *lp = entity_lock_lp(e);

    if (!lp)
        return;
    if (e != lp->current && e == lp->last)
        lp->last = NULL;
    if (e == lp->saving)
        lp->saving = NULL;
    spin_unlock(&lp->lock);
}

int sched_detach(struct sched_entity *e, uint64_t now)
{
    struct sched_lp *lp = entity_lock_lp(e);
    int ret = -EBUSY;

    if (!lp)
        return 0;

    lp_charge(lp, lp_advance(lp, now));
    if (e != lp->current && e != lp->last && e != lp->saving) {
        if (e->state == SCHED_QUEUED)
            lp_dequeue(lp, e);
        e->state = SCHED_BLOCKED;
        if (lp->resume == e)
            lp->resume = NULL;
        lp->reserve_sum -= e->params.reserve;
        atomic_store_explicit(&e->lp, NULL, memory_order_release);
        ret = 0;
    }
    spin_unlock(&lp->lock);
    return ret;
}

/* New parameters for an attached entity. It competes with the same lag in ticks as before. */
static void entity_change(struct sched_lp *lp, struct sched_entity *e,
                          const struct sched_params *params)
{
    bool current = e == lp->current;

    if (current || (e->state == SCHED_QUEUED && !e->throttled))
        entity_leave(lp, e);
    e->lag = e->lag * (int64_t)e->params.weight / (int64_t)params->weight;
    e->params = *params;
    entity_sync(lp, e);
    entity_apply_params(lp, e);
    if (current) {
        lp->current = NULL;
        entity_join(lp, e);
        lp->current = e;
    } else if (e->state == SCHED_QUEUED) {
        e->throttled = true;
        entity_refresh(lp, e);
    }
}

int sched_set_params(struct sched_entity *e, const struct sched_params *params, uint64_t now,
                     struct sched_lp **kick)
{
    struct sched_lp *lp;
    int ret = params_check(params);

    *kick = NULL;
    if (ret)
        return ret;
    lp = entity_lock_lp(e);
    if (!lp) {
        e->params = *params;
        return 0;
    }

    ret = -ERANGE;
    if (lp->reserve_sum - e->params.reserve + params->reserve <= SCHED_FRACTION_ONE) {
        /* Under the old parameters up to now. */
        lp_charge(lp, lp_advance(lp, now));
        lp->reserve_sum += params->reserve - e->params.reserve;
        entity_change(lp, e, params);
        *kick = lp_kick(lp, e);
        ret = 0;
    }
    spin_unlock(&lp->lock);
    return ret;
}

struct sched_lp *sched_wake(struct sched_entity *e, uint64_t now)
{
    struct sched_lp *lp = entity_lock_lp(e);
    struct sched_lp *kick = NULL;

    if (!lp)
        return NULL;
    if (e->state == SCHED_BLOCKED) {
        lp_charge(lp, lp_advance(lp, now));
        entity_sync(lp, e);
        e->throttled = !entity_has_budget(lp, e);
        if (!e->throttled)
            entity_join(lp, e);
        e->boosted = e->params.boost_on_wake;
        lp_enqueue(lp, e);
        kick = lp_kick(lp, e);
    }
    spin_unlock(&lp->lock);
    return kick;
}

void sched_block(struct sched_entity *e, uint64_t now)
{
    /* The home of a running entity does not change. */
    struct sched_lp *lp = sched_entity_lp(e);

    if (!lp)
        return;
    spin_lock(&lp->lock);
    if (lp->current == e) {
        lp_charge(lp, lp_advance(lp, now));
        entity_leave(lp, e);
        e->state = SCHED_BLOCKED;
        /* A child that waits for its parent's answer goes on with its slice afterwards. */
        if (!e->boosted)
            lp->resume = e;
        e->boosted = e->yielded = false;
        lp->current = NULL;
    }
    spin_unlock(&lp->lock);
}

/* The most deserving of the queue, and the earliest refill of those that may not run. */
static struct sched_entity *lp_best(struct sched_lp *lp, uint64_t *refill)
{
    struct sched_entity *best = NULL;
    unsigned best_rank = 0;

    *refill = UINT64_MAX;
    /* All of them first: standing depends on the mean. */
    list_for_each(it, &lp->queue) entity_refresh(lp, list_entry(it, struct sched_entity, link));
    lp_vtime(lp);
    list_for_each(it, &lp->queue)
    {
        struct sched_entity *e = list_entry(it, struct sched_entity, link);
        unsigned rank;

        if (e->throttled) {
            *refill = min_u64(*refill, entity_refill_time(lp, e));
            continue;
        }
        rank = entity_rank(lp, e);
        if (!best || rank > best_rank ||
            (rank == best_rank && vtime_diff(e->vtime, best->vtime) < 0)) {
            best = e;
            best_rank = rank;
        }
    }
    return best;
}

/* Put the current entity back into the queue. */
static void lp_displace(struct sched_lp *lp)
{
    struct sched_entity *e = lp->current;

    lp->current = NULL;
    lp_enqueue(lp, e);
}

/* Whoever has a claim to the LP without being the most deserving: a slice that is not used up. */
static struct sched_entity *lp_incumbent(struct sched_lp *lp)
{
    struct sched_entity *e = lp->current;

    if (e) {
        if (e->slice_left && !e->yielded && !(e->cap_quota && e->budget <= 0))
            return e;
        e->boosted = false;
        lp_displace(lp);
        return NULL;
    }
    e = lp->resume;
    if (!e || e->state != SCHED_QUEUED || e->slice_left < lp->config->run_min)
        return NULL;
    entity_refresh(lp, e);
    return e->throttled ? NULL : e;
}

/* Take `next` out of the queue and make it current, with a new slice unless it has a claim. */
static void lp_start(struct sched_lp *lp, struct sched_entity *next, bool new_slice)
{
    uint64_t waited = lp->now - next->queued_since;

    lp_dequeue(lp, next);
    next->state = SCHED_RUNNING;
    if (new_slice)
        next->slice_left = lp->config->slice;
    atomic_fetch_add_explicit(&next->wait_total, waited, memory_order_relaxed);
    lp->current = next;
    if (next == lp->resume || !next->boosted)
        lp->resume = NULL;
}

/* Choose and make current; NULL with *refill when nothing may run. */
static struct sched_entity *lp_switch(struct sched_lp *lp, uint64_t *refill)
{
    struct sched_entity *before = lp->current;
    struct sched_entity *incumbent = lp_incumbent(lp);
    struct sched_entity *best = lp_best(lp, refill);
    struct sched_entity *next = best;

    if (incumbent && (!best || !entity_preempts(lp, best, incumbent)))
        next = incumbent;
    if (next && next != lp->current) {
        struct sched_entity *displaced = lp->current;

        if (displaced)
            lp_displace(lp);
        lp_start(lp, next, next != incumbent);
        if (displaced && !displaced->boosted && next->boosted)
            lp->resume = displaced;
    }
    /* A yield counts for one choice. */
    if (before)
        before->yielded = false;
    return next;
}

struct sched_entity *sched_pick(struct sched_lp *lp, uint64_t now, struct sched_slice *out)
{
    struct sched_entity *next;
    uint64_t refill;

    spin_lock(&lp->lock);
    lp_charge(lp, lp_advance(lp, now));
    next = lp_switch(lp, &refill);
    lp->idle = !next;
    lp->until = next ? lp_slice_end(lp, next) : refill;
    lp->saving = next != lp->last ? lp->last : NULL;
    lp->last = next;
    out->until = lp->until;
    spin_unlock(&lp->lock);
    return next;
}

void sched_charge(struct sched_lp *lp, uint64_t now)
{
    spin_lock(&lp->lock);
    lp_charge(lp, lp_advance(lp, now));
    spin_unlock(&lp->lock);
}

void sched_relinquish(struct sched_entity *e, uint64_t now)
{
    struct sched_lp *lp = sched_entity_lp(e);
    const struct sched_entity *least = NULL;

    if (!lp)
        return;
    spin_lock(&lp->lock);
    if (lp->current == e) {
        lp_charge(lp, lp_advance(lp, now));
        list_for_each(it, &lp->queue)
        {
            const struct sched_entity *other = list_entry(it, struct sched_entity, link);

            if (!other->throttled && (!least || vtime_diff(other->vtime, least->vtime) < 0))
                least = other;
        }
        /* Without this a spinner would pile up credit against those it lets go first. */
        if (least && vtime_diff(least->vtime, e->vtime) > 0)
            e->vtime = least->vtime;
        entity_bound(lp, e);
        e->yielded = true;
    }
    spin_unlock(&lp->lock);
}

/* Does nothing keep an entity that does not run from having another home? Both locked. */
static bool entity_movable(const struct sched_entity *e, const struct sched_lp *from,
                           const struct sched_lp *to)
{
    return e != from->last && e != from->saving &&
           to->reserve_sum + e->params.reserve <= SCHED_FRACTION_ONE;
}

/* May another LP take a queued entity on its own account? Both locked. */
static bool entity_takable(struct sched_entity *e, struct sched_lp *from, const struct sched_lp *to)
{
    entity_refresh(from, e);
    return !e->params.pinned && !e->throttled && entity_movable(e, from, to);
}

/* Whether an LP keeps somebody when one of its queue leaves: not the only one it is about to start.
 */
static bool lp_keeps_one(const struct sched_lp *lp)
{
    return lp->current || lp->queue.next != lp->queue.prev;
}

/* An entity that `idle` may take from `busy`; both locked. */
static struct sched_entity *steal_candidate(const struct sched_lp *idle, struct sched_lp *busy)
{
    list_for_each(it, &busy->queue)
    {
        struct sched_entity *e = list_entry(it, struct sched_entity, link);

        if (entity_takable(e, busy, idle))
            return e;
    }
    return NULL;
}

/* The weight of those on an LP that are not bound to it. */
static int64_t lp_load(const struct sched_lp *lp)
{
    int64_t load = lp->current && !lp->current->params.pinned ? lp->current->params.weight : 0;

    list_for_each(it, &lp->queue)
    {
        const struct sched_entity *e = list_entry(it, struct sched_entity, link);

        if (!e->params.pinned && !e->throttled)
            load += e->params.weight;
    }
    return load;
}

/*
 * What `ahead` takes from `behind`, both locked: the lightest after whose move the time of `behind`
 * runs faster, or else the heaviest.
 */
static struct sched_entity *level_candidate(struct sched_lp *ahead, struct sched_lp *behind)
{
    int64_t excess = lp_load(behind) - lp_load(ahead);
    struct sched_entity *best = NULL;

    list_for_each(it, &behind->queue)
    {
        struct sched_entity *e = list_entry(it, struct sched_entity, link);
        bool best_turns, turns;

        if (!entity_takable(e, behind, ahead))
            continue;
        turns = 2 * (int64_t)e->params.weight > excess;
        best_turns = best && 2 * (int64_t)best->params.weight > excess;
        if (!best || turns > best_turns ||
            (turns == best_turns && (e->params.weight < best->params.weight) == turns))
            best = e;
    }
    return best;
}

/* Give an entity that is in no queue another home; both locked. */
static void entity_rehome(struct sched_entity *e, struct sched_lp *from, struct sched_lp *to)
{
    if (from->resume == e)
        from->resume = NULL;
    from->reserve_sum -= e->params.reserve;
    to->reserve_sum += e->params.reserve;
    /* Release: whoever finds the home finds the entity as it is there. */
    atomic_store_explicit(&e->lp, to, memory_order_release);
}

/* Move a queued entity; both locked. */
static void entity_move(struct sched_entity *e, struct sched_lp *from, struct sched_lp *to)
{
    entity_leave(from, e);
    lp_dequeue(from, e);
    entity_join(to, e);
    list_append(&to->queue, &e->link);
    atomic_fetch_add_explicit(&to->waiting, 1, memory_order_relaxed);
    entity_rehome(e, from, to);
}

/* Lock two LPs and bring them up to date. */
static void lps_lock(struct sched_lp *a, struct sched_lp *b, uint64_t now)
{
    spin_lock(a->index < b->index ? &a->lock : &b->lock);
    spin_lock(a->index < b->index ? &b->lock : &a->lock);
    lp_charge(a, lp_advance(a, now));
    lp_charge(b, lp_advance(b, now));
}

static void lps_unlock(struct sched_lp *a, struct sched_lp *b)
{
    spin_unlock(&a->lock);
    spin_unlock(&b->lock);
}

void sched_move(struct sched_entity *e, struct sched_lp *to, uint64_t now)
{
    struct sched_lp *from = sched_entity_lp(e);

    if (!from || from == to)
        return;
    lps_lock(from, to, now);
    if (sched_entity_lp(e) == from && e != from->current && entity_movable(e, from, to)) {
        if (e->state == SCHED_QUEUED) {
            entity_refresh(from, e);
            if (!e->throttled)
                entity_move(e, from, to);
        } else {
            e->period = to->period;
            entity_rehome(e, from, to);
        }
    }
    lps_unlock(from, to);
}

bool sched_steal(struct sched_lp *idle, struct sched_lp *busy, uint64_t now)
{
    struct sched_entity *e = NULL;

    if (idle == busy || !sched_lp_crowded(busy))
        return false;

    lps_lock(idle, busy, now);
    if (idle->now >= idle->steal_after && lp_keeps_one(busy))
        e = steal_candidate(idle, busy);
    if (e) {
        entity_move(e, busy, idle);
        idle->steal_after = idle->now + idle->config->steal;
    }
    lps_unlock(idle, busy);
    return e;
}

bool sched_level_due(struct sched_lp *lp, uint64_t now)
{
    if (now < lp->level_after)
        return false;
    lp->level_after = now + lp->config->level;
    return true;
}

/* How far the time of `lp` is ahead of that of `other`; both locked. */
static int64_t lp_ahead(struct sched_lp *lp, struct sched_lp *other, int64_t most)
{
    int64_t ahead;

    lp_vtime(lp);
    lp_vtime(other);
    /* Who had nothing to do has missed nothing. */
    if (lp->rested)
        lp->base = other->vtime + other->base - lp->vtime;
    else if (other->rested)
        other->base = lp->vtime + lp->base - other->vtime;
    lp->rested = other->rested = false;
    ahead = vtime_diff(lp->vtime + lp->base, other->vtime + other->base);
    if (ahead <= most)
        return ahead;
    other->base += (uint64_t)(ahead - most);
    return most;
}

/* Move a queued entity to an LP that is ahead: what it is behind there is made up for. */
static void entity_level(struct sched_entity *e, struct sched_lp *from, struct sched_lp *to,
                         int64_t ahead)
{
    uint64_t vtime = to->vtime - (uint64_t)(vtime_diff(from->vtime, e->vtime) + ahead);

    entity_move(e, from, to);
    /* In full, whatever entity_join() grants: it has not slept. */
    e->vtime = vtime;
}

bool sched_level(struct sched_lp *lp, struct sched_lp *other, uint64_t now)
{
    struct sched_entity *e = NULL;
    int64_t slice, ahead;

    if (lp == other || !sched_lp_crowded(other))
        return false;

    lps_lock(lp, other, now);
    /* Of the load of `other`: what it takes to bring all of it forward. */
    slice = (int64_t)lp->config->slice * SCHED_WEIGHT_DEFAULT / (lp_load(other) + 1);
    ahead = lp_ahead(lp, other, slice * LEVEL_SLICES_MAX);
    if (ahead > slice * LEVEL_SLICES && lp_keeps_one(other))
        e = level_candidate(lp, other);
    if (e)
        entity_level(e, other, lp, ahead);
    lps_unlock(lp, other);
    return e;
}
