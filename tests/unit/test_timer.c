/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include "hypervisor/sched/timer_queue.h"
#include "lib/bits.h"

#define LPS    4
#define TIMERS 200

static struct timer_queue queues[LPS];
static _Thread_local unsigned this_lp;
static _Thread_local uint64_t programmed; /* what timer_queue_earlier() was told last */
static _Thread_local unsigned programmings;

struct timer_queue *timer_queue_this_lp(void)
{
    return &queues[this_lp];
}

void timer_queue_earlier(struct timer_queue *q, uint64_t deadline)
{
    assert_ptr_equal(q, &queues[this_lp]);
    programmed = deadline;
    programmings++;
}

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* The model: where and for when each timer is armed; lp -1 is nowhere. */
static struct item {
    struct timer timer;
    int lp;
    uint64_t deadline;
    unsigned fired;
    uint64_t rearm; /* the callback arms it again for this, if not 0 */
} items[TIMERS];

static uint64_t last_fired;

static void item_fire(struct timer *t)
{
    struct item *it = container_of(t, struct item, timer);

    assert_false(timer_armed(t));
    assert_int_equal(it->lp, this_lp);
    assert_true(it->deadline >= last_fired);
    last_fired = it->deadline;
    it->lp = -1;
    it->fired++;
    if (it->rearm) {
        timer_arm(t, it->rearm);
        it->lp = (int)this_lp;
        it->deadline = it->rearm;
        it->rearm = 0;
    }
}

static int setup(void **state)
{
    random_state = 88172645463325252ULL;
    this_lp = 0;
    programmed = last_fired = 0;
    programmings = 0;
    for (unsigned i = 0; i < LPS; i++)
        timer_queue_init(&queues[i]);
    for (unsigned i = 0; i < TIMERS; i++) {
        items[i] = (struct item){.lp = -1};
        timer_init(&items[i].timer, item_fire);
    }
    return 0;
}

static uint64_t model_next(unsigned lp)
{
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; i < TIMERS; i++) {
        if (items[i].lp == (int)lp && items[i].deadline < next)
            next = items[i].deadline;
    }
    return next;
}

static void model_check(void)
{
    for (unsigned i = 0; i < LPS; i++)
        assert_int_equal(timer_queue_next(&queues[i]), model_next(i));
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_int_equal(timer_armed(&items[i].timer), items[i].lp >= 0);
        if (items[i].lp >= 0)
            assert_ptr_equal(items[i].timer.queue, &queues[items[i].lp]);
    }
}

static void run_lp(uint64_t now)
{
    uint64_t next;

    for (unsigned i = 0; i < TIMERS; i++) {
        items[i].rearm = random_below(4) ? 0 : now + 1 + random_below(500);
    }
    last_fired = 0;
    next = timer_queue_run(&queues[this_lp], now);
    assert_int_equal(next, model_next(this_lp));
    assert_true(next > now);
}

static void test_random_against_model(void **state)
{
    uint64_t now = 1;

    for (unsigned step = 0; step < 60000; step++) {
        struct item *it = &items[random_below(TIMERS)];

        this_lp = (unsigned)random_below(LPS);
        switch (random_below(8)) {
        case 0:
            timer_cancel(&it->timer);
            it->lp = -1;
            break;
        case 1:
            now += random_below(100);
            run_lp(now);
            break;
        default: {
            uint64_t deadline = now + 1 + random_below(1000);
            bool first;

            it->lp = -1;
            first = deadline < model_next(this_lp);
            programmings = 0;
            timer_arm(&it->timer, deadline);
            it->lp = (int)this_lp;
            it->deadline = deadline;
            assert_int_equal(programmings, first);
            if (first)
                assert_int_equal(programmed, deadline);
        }
        }
        if (step % 16 == 0)
            model_check();
    }
    model_check();
}

static void test_order(void **state)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        items[i].lp = 0;
        items[i].deadline = 1 + (i * 37) % TIMERS;
        timer_arm(&items[i].timer, items[i].deadline);
    }
    assert_int_equal(timer_queue_run(&queues[0], TIMERS / 2), TIMERS / 2 + 1);
    for (unsigned i = 0; i < TIMERS; i++)
        assert_int_equal(items[i].fired, items[i].deadline <= TIMERS / 2);
    assert_int_equal(timer_queue_run(&queues[0], TIMERS), UINT64_MAX);
    for (unsigned i = 0; i < TIMERS; i++)
        assert_int_equal(items[i].fired, 1);
}

static unsigned self_fired;

static void self_rearm(struct timer *t)
{
    self_fired++;
    timer_arm(t, 0);
}

/* A callback that arms its timer for the past runs once per call and keeps nobody else from
 * running. */
static void test_past_rearm_is_bounded(void **state)
{
    struct timer self;

    timer_init(&self, self_rearm);
    self_fired = 0;
    timer_arm(&self, 0);
    items[0].lp = 0;
    items[0].deadline = 5;
    timer_arm(&items[0].timer, 5);

    programmings = 0;
    assert_int_equal(timer_queue_run(&queues[0], 10), 11);
    assert_int_equal(self_fired, 1);
    assert_int_equal(items[0].fired, 1);
    /* The caller programs the returned deadline; nothing is programmed from callbacks. */
    assert_int_equal(programmings, 0);
    assert_int_equal(timer_queue_run(&queues[0], 11), 12);
    assert_int_equal(self_fired, 2);
    timer_cancel(&self);
}

static void test_never(void **state)
{
    timer_arm(&items[0].timer, UINT64_MAX);
    assert_true(timer_armed(&items[0].timer));
    assert_int_equal(timer_queue_run(&queues[0], UINT64_MAX), UINT64_MAX);
    assert_int_equal(items[0].fired, 0);
    timer_cancel(&items[0].timer);
    timer_cancel(&items[0].timer);
    assert_false(timer_armed(&items[0].timer));
}

static void test_rearm_moves(void **state)
{
    items[0].lp = 0;
    timer_arm(&items[0].timer, 100);
    this_lp = 1;
    items[0].lp = 1;
    items[0].deadline = 50;
    timer_arm(&items[0].timer, 50);
    assert_int_equal(timer_queue_next(&queues[0]), UINT64_MAX);
    assert_int_equal(timer_queue_run(&queues[1], 60), UINT64_MAX);
    assert_int_equal(items[0].fired, 1);
}

/* Threads as LPs that arm, cancel and run the same few timers. */

#define SHARED 8

static struct shared {
    struct timer timer;
    _Atomic unsigned armed, fired;
} shared[SHARED];

static void shared_fire(struct timer *t)
{
    struct shared *s = container_of(t, struct shared, timer);

    atomic_fetch_add(&s->fired, 1);
}

static void *lp_thread(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg + 1;
    uint64_t now = 1;

    this_lp = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < 30000; i++) {
        unsigned pick = (unsigned)rand_r(&seed);
        struct shared *s = &shared[pick % SHARED];

        switch ((pick >> 8) % 4) {
        case 0:
            timer_cancel(&s->timer);
            break;
        case 1:
            timer_queue_run(&queues[this_lp], ++now);
            break;
        default:
            atomic_fetch_add(&s->armed, 1);
            timer_arm(&s->timer, now + (pick >> 12) % 4);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[LPS];
    unsigned queued = 0;

    for (unsigned i = 0; i < SHARED; i++) {
        timer_init(&shared[i].timer, shared_fire);
        shared[i].armed = shared[i].fired = 0;
    }
    for (uintptr_t i = 0; i < LPS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, lp_thread, (void *)i), 0);
    for (unsigned i = 0; i < LPS; i++)
        pthread_join(threads[i], NULL);

    for (unsigned i = 0; i < SHARED; i++) {
        queued += timer_armed(&shared[i].timer);
        assert_true(shared[i].fired <= shared[i].armed);
        timer_cancel(&shared[i].timer);
        assert_false(timer_armed(&shared[i].timer));
    }
    assert_true(queued <= SHARED);
    for (unsigned i = 0; i < LPS; i++)
        assert_null(queues[i].root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_random_against_model, setup),
        cmocka_unit_test_setup(test_order, setup),
        cmocka_unit_test_setup(test_past_rearm_is_bounded, setup),
        cmocka_unit_test_setup(test_never, setup),
        cmocka_unit_test_setup(test_rearm_moves, setup),
        cmocka_unit_test_setup(test_threads, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
