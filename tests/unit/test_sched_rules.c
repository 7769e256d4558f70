/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include "hypervisor/sched/sched.h"
#include "lib/bits.h"
#include "lib/errno.h"

/* Single decisions of the scheduler, random operations, and races; test_sched.c has the shares. */

#define HZ 1000000000ULL
#define MS (HZ / 1000)
#define US (HZ / 1000000)

#define LPS_MAX 4
#define VPS_MAX 16

static struct sched_config config;
static struct sched_entity vps[VPS_MAX];
static struct sched_lp lps[LPS_MAX];
static unsigned lp_count, vp_count;
static uint64_t sim_now;
static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

static void sim_init(unsigned count)
{
    memset(vps, 0, sizeof(vps));
    random_state = 88172645463325252ULL;
    lp_count = count;
    vp_count = 0;
    sim_now = 7 * HZ; /* a multiple of the period */
    sched_config_init(&config, HZ);
    for (unsigned i = 0; i < count; i++)
        sched_lp_init(&lps[i], i, &config, sim_now);
}

static struct sched_params weight(uint32_t w)
{
    return (struct sched_params){.weight = w, .pinned = true};
}

static struct sched_entity *add(unsigned lp, struct sched_params params)
{
    struct sched_entity *e = &vps[vp_count++];

    assert_int_equal(sched_entity_init(e, &params), 0);
    assert_int_equal(sched_attach(e, &lps[lp], sim_now), 0);
    return e;
}

static struct sched_entity *add_reserved(unsigned lp, unsigned percent)
{
    return add(lp, (struct sched_params){.weight = 100,
                                         .reserve = SCHED_FRACTION_ONE * percent / 100,
                                         .pinned = true});
}

static struct sched_entity *pick(unsigned lp, uint64_t now, uint64_t *until)
{
    struct sched_slice slice;
    struct sched_entity *e = sched_pick(&lps[lp], now, &slice);

    if (until)
        *until = slice.until;
    return e;
}

/* Child exits to its parent and gets its answer: it goes on with the rest of its slice. */
static void test_handoff(void **state)
{
    struct sched_entity *parent, *child, *other;
    uint64_t now, until;

    sim_init(1);
    now = sim_now;
    parent = add(0, (struct sched_params){.weight = 1000, .boost_on_wake = true});
    child = add(0, weight(100));
    other = add(0, weight(100));

    sched_wake(child, now);
    assert_ptr_equal(pick(0, now, NULL), child);
    sched_wake(other, now);
    assert_ptr_equal(pick(0, now, &until), child);
    assert_int_equal(until, now + config.slice);
    for (unsigned i = 1; i <= 3; i++) {
        now += MS;
        sched_block(child, now);
        sched_wake(parent, now);
        assert_ptr_equal(pick(0, now, NULL), parent);
        now += 50 * US;
        sched_wake(child, now);
        sched_block(parent, now);
        assert_ptr_equal(pick(0, now, &until), child);
        assert_int_equal(until, now + config.slice - i * MS);
    }
}

static void test_preempted_by_parent_resumes(void **state)
{
    struct sched_entity *parent, *a, *b;
    uint64_t now, until;

    sim_init(1);
    now = sim_now;
    parent = add(0, (struct sched_params){.weight = 1000, .boost_on_wake = true});
    a = add(0, weight(100));
    b = add(0, weight(100));
    sched_wake(a, now);
    sched_wake(b, now);
    assert_ptr_equal(pick(0, now, NULL), a);
    now += 3 * MS;
    assert_ptr_equal(sched_wake(parent, now), &lps[0]);
    assert_ptr_equal(pick(0, now, NULL), parent);
    now += MS;
    sched_block(parent, now);
    assert_ptr_equal(pick(0, now, &until), a);
    assert_int_equal(until, now + config.slice - 3 * MS);
}

/* VPs of the parent displace children, not each other. */
static void test_no_boost_over_kin(void **state)
{
    struct sched_entity *first, *second, *child;
    uint64_t now;

    sim_init(1);
    now = sim_now;
    first = add(0, (struct sched_params){.weight = 1000, .boost_on_wake = true});
    second = add(0, (struct sched_params){.weight = 1000, .boost_on_wake = true});
    child = add(0, weight(100));

    sched_wake(child, now);
    assert_ptr_equal(pick(0, now, NULL), child);
    assert_ptr_equal(sched_wake(first, now), &lps[0]);
    assert_ptr_equal(pick(0, now, NULL), first);
    now += 100 * US;
    sched_wake(second, now);
    assert_ptr_equal(pick(0, now, NULL), first);
    sched_block(first, now);
    assert_ptr_equal(pick(0, now, NULL), second);
    sched_block(second, now);
    assert_ptr_equal(pick(0, now, NULL), child);
}

static void test_wake_rules(void **state)
{
    struct sched_entity *a, *b;
    uint64_t now, until;

    sim_init(1);
    now = sim_now;
    a = add(0, weight(100));
    b = add(0, weight(100));

    assert_null(pick(0, now, &until));
    assert_int_equal(until, UINT64_MAX);
    assert_ptr_equal(sched_wake(a, now), &lps[0]);
    assert_null(sched_wake(a, now)); /* queued already */
    assert_ptr_equal(pick(0, now, &until), a);
    assert_int_equal(until, UINT64_MAX);
    assert_null(sched_wake(a, now)); /* running */
    /* It ran without a slice; now it needs one. */
    assert_ptr_equal(sched_wake(b, now + MS), &lps[0]);
    assert_ptr_equal(pick(0, now + MS, &until), a);
    assert_int_equal(until, now + config.slice);

    /* A wake that came before the block did nothing; the waiter's second look finds its reason. */
    assert_null(sched_wake(a, now + 2 * MS));
    sched_block(a, now + 2 * MS);
    assert_null(sched_wake(a, now + 2 * MS));
    assert_ptr_equal(pick(0, now + 2 * MS, NULL), a);

    /* Only the current entity can block or yield. */
    sched_block(b, now + 2 * MS);
    sched_relinquish(b, now + 2 * MS);
    assert_int_equal(b->state, SCHED_QUEUED);
}

static void test_relinquish(void **state)
{
    sim_init(1);
    for (unsigned i = 0; i < 3; i++)
        sched_wake(add(0, weight(100)), sim_now);
    add_reserved(0, 50);
    sched_wake(&vps[3], sim_now);
    /* Also one behind on its reserve lets the others go first, and comes next. */
    assert_ptr_equal(pick(0, sim_now, NULL), &vps[3]);
    sched_relinquish(&vps[3], sim_now + US);
    assert_ptr_not_equal(pick(0, sim_now + US, NULL), &vps[3]);
    assert_ptr_equal(pick(0, sim_now + 2 * US, NULL), &vps[3]);
    /* Alone, it goes on. */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sched_detach(&vps[i], sim_now + 3 * US), i == 0 ? -EBUSY : 0);
    assert_ptr_equal(pick(0, sim_now + 4 * US, NULL), &vps[3]);
    assert_int_equal(sched_detach(&vps[0], sim_now + 4 * US), 0);
    sched_relinquish(&vps[3], sim_now + 5 * US);
    assert_ptr_equal(pick(0, sim_now + 5 * US, NULL), &vps[3]);
}

static void test_detach(void **state)
{
    struct sched_entity *a, *b;
    uint64_t now;

    sim_init(1);
    now = sim_now;
    a = add_reserved(0, 60);
    b = add(0, weight(100));
    assert_int_equal(sched_attach(a, &lps[0], now), -EBUSY);
    sched_wake(a, now);
    sched_wake(b, now);
    assert_ptr_equal(pick(0, now, NULL), a);

    assert_int_equal(sched_detach(b, now), 0); /* while queued */
    assert_null(sched_entity_lp(b));
    assert_null(sched_wake(b, now));
    assert_int_equal(sched_detach(b, now), 0);
    assert_int_equal(sched_detach(a, now), -EBUSY); /* while running */
    sched_block(a, now + MS);
    assert_int_equal(sched_detach(a, now + MS), -EBUSY);
    assert_null(pick(0, now + MS, NULL));
    assert_int_equal(sched_detach(a, now + MS), -EBUSY); /* its registers may be there still */
    assert_null(pick(0, now + MS, NULL));
    assert_int_equal(lps[0].reserve_sum, SCHED_FRACTION_ONE * 60 / 100);
    assert_int_equal(sched_detach(a, now + MS), 0);
    assert_int_equal(lps[0].reserve_sum, 0);
    assert_int_equal(sched_attach(a, &lps[0], now + MS), 0);
}

static void test_params(void **state)
{
    struct sched_params p = weight(0);
    struct sched_entity e, *a, *b;
    struct sched_lp *kick;
    uint64_t until;

    sim_init(1);
    assert_int_equal(sched_entity_init(&e, &p), -ERANGE);
    p.weight = SCHED_WEIGHT_MAX + 1;
    assert_int_equal(sched_entity_init(&e, &p), -ERANGE);
    p.weight = SCHED_WEIGHT_MAX;
    p.cap = SCHED_FRACTION_ONE + 1;
    assert_int_equal(sched_entity_init(&e, &p), -ERANGE);
    p.cap = 0;
    p.reserve = SCHED_FRACTION_ONE + 1;
    assert_int_equal(sched_entity_init(&e, &p), -ERANGE);
    p.reserve = 100;
    p.cap = 99;
    assert_int_equal(sched_entity_init(&e, &p), -EINVAL);
    p.cap = 100;
    assert_int_equal(sched_entity_init(&e, &p), 0);
    assert_int_equal(sched_set_params(&e, &p, sim_now, &kick), 0); /* detached */

    a = add_reserved(0, 60);
    b = add_reserved(0, 40);
    p = (struct sched_params){.weight = 100, .reserve = SCHED_FRACTION_ONE / 2};
    assert_int_equal(sched_set_params(b, &p, sim_now, &kick), -ERANGE);
    assert_int_equal(b->params.reserve, SCHED_FRACTION_ONE * 40 / 100);
    assert_int_equal(sched_set_params(a, &p, sim_now, &kick), 0);
    assert_int_equal(sched_set_params(b, &p, sim_now, &kick), 0);
    assert_int_equal(lps[0].reserve_sum, SCHED_FRACTION_ONE);
    p.reserve = 1;
    assert_int_equal(sched_entity_init(&e, &p), 0);
    assert_int_equal(sched_attach(&e, &lps[0], sim_now), -ERANGE);
    assert_null(sched_entity_lp(&e));

    /* A cap for one that runs without limit asks for a new pick; lifting it on an idle LP too. */
    sched_wake(a, sim_now);
    assert_ptr_equal(pick(0, sim_now, &until), a);
    assert_int_equal(until, UINT64_MAX);
    p = (struct sched_params){.weight = 100, .cap = SCHED_FRACTION_ONE / 4};
    assert_int_equal(sched_set_params(a, &p, sim_now, &kick), 0);
    assert_ptr_equal(kick, &lps[0]);
    assert_ptr_equal(pick(0, sim_now, &until), a);
    assert_int_equal(until, sim_now + config.period / 4);
    assert_null(pick(0, until, &until));
    assert_int_equal(until, sim_now + config.period);
    p.cap = 0;
    assert_int_equal(sched_set_params(a, &p, sim_now + 6 * MS, &kick), 0);
    assert_ptr_equal(kick, &lps[0]);
    assert_ptr_equal(pick(0, sim_now + 6 * MS, &until), a);
}

static void test_steal(void **state)
{
    uint64_t now;

    sim_init(2);
    now = sim_now;
    add(0, weight(100));                          /* 0: pinned */
    add(0, (struct sched_params){.weight = 100}); /* 1 */
    add(0, (struct sched_params){.weight = 100}); /* 2 */
    add(1, (struct sched_params){.weight = 100}); /* 3: sleeps */
    assert_false(sched_steal(&lps[1], &lps[0], now));
    sched_wake(&vps[1], now);
    assert_null(pick(1, now, NULL));
    /* The only one of an LP that is about to run it. */
    assert_false(sched_steal(&lps[1], &lps[0], now));
    assert_ptr_equal(pick(0, now, NULL), &vps[1]);
    sched_wake(&vps[0], now);
    assert_false(sched_steal(&lps[1], &lps[0], now));
    sched_wake(&vps[2], now);
    assert_true(sched_steal(&lps[1], &lps[0], now));
    assert_ptr_equal(sched_entity_lp(&vps[2]), &lps[1]);
    assert_ptr_equal(pick(1, now, NULL), &vps[2]);

    /* Displaced just now: not before its LP has picked again. And not too often. */
    now += config.slice;
    assert_ptr_equal(pick(0, now, NULL), &vps[0]);
    sched_block(&vps[2], now);
    assert_null(pick(1, now, NULL));
    assert_false(sched_steal(&lps[1], &lps[0], now));
    assert_ptr_equal(pick(0, now, NULL), &vps[0]);
    assert_true(sched_steal(&lps[1], &lps[0], now));
    assert_ptr_equal(pick(1, now, NULL), &vps[1]);
    assert_ptr_equal(sched_wake(&vps[2], now), &lps[1]);
    assert_false(sched_steal(&lps[0], &lps[0], now));
}

/* Random operations; the invariants hold after each, and time is accounted to the tick. */

#define RANDOM_VPS 12

static uint64_t vtime_mean[LPS_MAX];

/* The mean virtual time of those that compete, from scratch. */
static uint64_t mean_of(const struct sched_lp *lp)
{
    int64_t sum = 0, weights = 0;

    for (unsigned i = 0; i < RANDOM_VPS; i++) {
        const struct sched_entity *e = &vps[i];

        if (e->lp == lp &&
            (e->state == SCHED_RUNNING || (e->state == SCHED_QUEUED && !e->throttled))) {
            sum += (int64_t)(e->vtime - lp->vtime) * e->params.weight;
            weights += e->params.weight;
        }
    }
    return lp->vtime + (uint64_t)(weights ? sum / weights : 0);
}

static void check_lp(unsigned index)
{
    const struct sched_lp *lp = &lps[index];
    uint32_t length = 0, reserve = 0;

    list_for_each(it, &lp->queue)
    {
        const struct sched_entity *e = list_entry(it, struct sched_entity, link);

        assert_int_equal(e->state, SCHED_QUEUED);
        assert_ptr_equal(e->lp, lp);
        assert_ptr_equal(it->next->prev, it);
        length++;
        assert_true(length <= RANDOM_VPS);
    }
    assert_int_equal(length, lp->waiting);
    assert_int_equal(lp->lock.next, lp->lock.owner);
    if (lp->current) {
        assert_int_equal(lp->current->state, SCHED_RUNNING);
        assert_ptr_equal(lp->current->lp, lp);
        assert_false(lp->idle);
    }
    for (unsigned i = 0; i < RANDOM_VPS; i++) {
        if (vps[i].lp == lp)
            reserve += vps[i].params.reserve;
        else
            assert_ptr_not_equal(lp->resume, &vps[i]);
    }
    vtime_mean[index] = mean_of(lp);
    assert_int_equal(reserve, lp->reserve_sum);
    assert_true(reserve <= SCHED_FRACTION_ONE);
}

static void check_entity(const struct sched_entity *e)
{
    const struct sched_lp *lp = sched_entity_lp(e);
    uint64_t slice;

    if (!lp) {
        assert_int_equal(e->state, SCHED_BLOCKED);
        return;
    }
    if (e->state == SCHED_RUNNING)
        assert_ptr_equal(lp->current, e);
    if (e->cap_quota)
        assert_true(e->budget <= (int64_t)max_u64(e->cap_quota, config.run_min));
    if (e->state != SCHED_BLOCKED && !e->throttled) {
        int64_t ahead = (int64_t)(e->vtime - vtime_mean[lp->index]);

        slice = config.slice * 100 / e->params.weight;
        /* Four slices when it was charged; each other that joins since may take one off the mean.
         */
        assert_true(ahead <= (int64_t)((4 + RANDOM_VPS) * slice) + 100);
    }
}

static struct sched_params random_params(void)
{
    struct sched_params p = {
        .weight = 1 + (uint32_t)random_below(random_below(2) ? 10000 : 200),
        .pinned = random_below(2),
        .boost_on_wake = random_below(3) == 0,
    };

    if (random_below(3) == 0)
        p.reserve = (uint32_t)random_below(0x6000);
    if (random_below(3) == 0)
        p.cap = p.reserve + (uint32_t)random_below(SCHED_FRACTION_ONE - p.reserve + 1);
    return p;
}

static void random_pick(struct sched_lp *l)
{
    struct sched_slice slice;
    struct sched_entity *e = sched_pick(l, sim_now, &slice);

    assert_ptr_equal(e, l->current);
    assert_true(slice.until > l->now);
    if (e) {
        assert_false(e->throttled);
        assert_false(e->yielded);
        return;
    }
    /* Idle only when nobody may run, and it knows when somebody may. */
    assert_int_equal(slice.until == UINT64_MAX, list_empty(&l->queue));
    list_for_each(it, &l->queue) assert_true(list_entry(it, struct sched_entity, link)->throttled);
}

static void random_wake(struct sched_entity *e)
{
    struct sched_lp *lp = sched_entity_lp(e);
    bool idle = lp && lp->idle && e->state == SCHED_BLOCKED;
    struct sched_lp *kick = sched_wake(e, sim_now);

    assert_true(kick == NULL || kick == lp);
    if (idle)
        assert_ptr_equal(kick, lp);
    if (lp)
        assert_int_not_equal(e->state, SCHED_BLOCKED);
}

static void random_op(void)
{
    struct sched_lp *l = &lps[random_below(lp_count)];
    struct sched_entity *e = &vps[random_below(RANDOM_VPS)];
    struct sched_params p = random_params();
    struct sched_lp *kick;

    switch (random_below(16)) {
    case 0:
        if (sched_entity_lp(e) == NULL)
            sched_attach(e, l, sim_now);
        break;
    case 1:
        if (sched_detach(e, sim_now) == 0)
            assert_null(sched_entity_lp(e));
        break;
    case 2:
        sched_set_params(e, &p, sim_now, &kick);
        break;
    case 3:
    case 4:
        if (l->current)
            sched_block(l->current, sim_now);
        break;
    case 5:
        if (l->current)
            sched_relinquish(l->current, sim_now);
        break;
    case 6:
        if (l->idle)
            sched_steal(l, &lps[random_below(lp_count)], sim_now);
        break;
    case 7:
        sched_charge(l, sim_now - random_below(100));
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        random_wake(e);
        break;
    default:
        random_pick(l);
    }
}

static void test_random(void **state)
{
    uint64_t busy = 0, ran = 0;

    sim_init(3);
    for (unsigned i = 0; i < RANDOM_VPS; i++) {
        struct sched_params p = random_params();

        assert_int_equal(sched_entity_init(&vps[i], &p), 0);
    }
    for (unsigned step = 0; step < 100000; step++) {
        uint64_t ticks = random_below(8) ? random_below(MS) : random_below(30 * MS);

        for (unsigned i = 0; i < lp_count; i++)
            busy += lps[i].current ? ticks : 0;
        sim_now += ticks;
        for (unsigned i = 0; i < lp_count; i++)
            sched_charge(&lps[i], sim_now);
        random_op();
        for (unsigned i = 0; i < lp_count; i++)
            check_lp(i);
        for (unsigned i = 0; i < RANDOM_VPS; i++)
            check_entity(&vps[i]);
    }
    for (unsigned i = 0; i < RANDOM_VPS; i++)
        ran += sched_entity_run_time(&vps[i]);
    assert_int_equal(ran, busy);
}

/* Threads as LPs: no wake is lost, nobody runs on two LPs at once. */

#define RACE_LPS   2
#define RACE_VPS   6
#define RACE_WAKES 5000

static struct race_vp {
    struct sched_entity e;
    _Atomic unsigned pending, taken;
    _Atomic bool on_lp;
} race_vps[RACE_VPS];

static _Atomic bool race_kicked[LPS_MAX];
static _Atomic bool race_over, race_failed;
static _Atomic uint64_t race_clock;

static uint64_t race_now(void)
{
    return atomic_fetch_add(&race_clock, 20 * US);
}

static void race_kick(struct sched_lp *lp)
{
    if (lp)
        atomic_store(&race_kicked[lp->index], true);
}

/* Take the work of the entity that runs here, then wait for more. */
static void race_run(struct race_vp *vp)
{
    atomic_fetch_add(&vp->taken, atomic_exchange(&vp->pending, 0));
    sched_block(&vp->e, race_now());
    if (atomic_load(&vp->pending))
        sched_wake(&vp->e, race_now()); /* its home is this LP, which picks next */
}

/* Make `next` the one whose registers are here. */
static void race_switch(struct race_vp **loaded, struct race_vp *next)
{
    if (*loaded == next)
        return;
    for (unsigned i = 0; i < 20; i++)
        cpu_relax();
    if (*loaded)
        atomic_store(&(*loaded)->on_lp, false);
    if (next && atomic_exchange(&next->on_lp, true))
        atomic_store(&race_failed, true);
    *loaded = next;
}

static void *race_lp(void *arg)
{
    unsigned index = (unsigned)(uintptr_t)arg;
    struct race_vp *loaded = NULL;

    while (!atomic_load(&race_over)) {
        struct sched_slice slice;
        struct sched_entity *e = sched_pick(&lps[index], race_now(), &slice);

        race_switch(&loaded, e ? list_entry(e, struct race_vp, e) : NULL);
        if (e) {
            race_run(loaded);
            continue;
        }
        /* Idle: wait to be told, without a look at the queue, so that a missing kick would hang. */
        while (!atomic_exchange(&race_kicked[index], false) && !atomic_load(&race_over)) {
            if (sched_steal(&lps[index], &lps[(index + 1) % lp_count], race_now()))
                break;
            thrd_yield();
        }
    }
    return NULL;
}

static void *race_waker(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < RACE_WAKES; i++) {
        struct race_vp *vp = &race_vps[(unsigned)rand_r(&seed) % RACE_VPS];

        atomic_fetch_add(&vp->pending, 1);
        race_kick(sched_wake(&vp->e, race_now()));
        if (i % 8 == 0)
            thrd_yield();
    }
    return NULL;
}

static unsigned race_pending(void)
{
    unsigned pending = 0;

    for (unsigned i = 0; i < RACE_VPS; i++)
        pending += atomic_load(&race_vps[i].pending);
    return pending;
}

static void test_races(void **state)
{
    pthread_t lp_threads[RACE_LPS], wakers[2];
    struct sched_params params = {.weight = 100};
    unsigned taken = 0;

    sim_init(RACE_LPS);
    atomic_store(&race_clock, sim_now);
    for (unsigned i = 0; i < RACE_VPS; i++) {
        params.boost_on_wake = i % 2;
        assert_int_equal(sched_entity_init(&race_vps[i].e, &params), 0);
        assert_int_equal(sched_attach(&race_vps[i].e, &lps[i % RACE_LPS], sim_now), 0);
    }
    for (uintptr_t i = 0; i < RACE_LPS; i++)
        assert_int_equal(pthread_create(&lp_threads[i], NULL, race_lp, (void *)i), 0);
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&wakers[i], NULL, race_waker, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(wakers[i], NULL);
    for (unsigned i = 0; i < 10000 && race_pending(); i++)
        thrd_sleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_store(&race_over, true);
    for (unsigned i = 0; i < RACE_LPS; i++)
        pthread_join(lp_threads[i], NULL);

    assert_int_equal(race_pending(), 0);
    assert_false(race_failed);
    for (unsigned i = 0; i < RACE_VPS; i++)
        taken += race_vps[i].taken;
    assert_int_equal(taken, 2 * RACE_WAKES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handoff),
        cmocka_unit_test(test_preempted_by_parent_resumes),
        cmocka_unit_test(test_no_boost_over_kin),
        cmocka_unit_test(test_wake_rules),
        cmocka_unit_test(test_relinquish),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_steal),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_races),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
