/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "hypervisor/sched/sched.h"
#include "lib/bits.h"

/* Simulated LPs and virtual processors; one tick is one nanosecond. */

#define HZ     1000000000ULL
#define MS     (HZ / 1000)
#define US     (HZ / 1000000)
#define MINUTE (60 * HZ)

#define LPS_MAX 4
#define VPS_MAX 64
#define PERIODS 3100

static struct sched_config config;

/* A virtual processor that computes for `burst` and then sleeps for `sleep`; burst 0: always. */
static struct sim_vp {
    struct sched_entity e;
    uint64_t burst, sleep;
    bool vary; /* both lengths vary from half to one and a half */

    uint64_t burst_left;
    uint64_t wake_at; /* while blocked */
    uint64_t woken_at;
    uint64_t ran;
    uint64_t latency_max; /* from wake to run */
    int64_t cap_low;      /* least of ran - cap * time so far, at starts of runs */
    int64_t cap_excess;   /* most that any interval had over cap * its length */
    uint32_t *period_ran; /* ns in each period, if not NULL */
} vps[VPS_MAX];

static struct sim_lp {
    struct sched_lp lp;
    struct sim_vp *running;
    struct sched_entity *loaded; /* its registers are on the LP */
    uint64_t since;
    uint64_t until;
    bool resched;
    uint64_t busy;
    unsigned picks;
} lps[LPS_MAX];

static unsigned lp_count, vp_count, sim_levels;
static uint64_t sim_now, sim_start, sim_jitter;
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
    memset(lps, 0, sizeof(lps));
    random_state = 88172645463325252ULL;
    lp_count = count;
    vp_count = sim_levels = 0;
    sim_jitter = 0;
    sim_now = sim_start = 7 * HZ; /* a multiple of the period, for the tables by period */
    sched_config_init(&config, HZ);
    for (unsigned i = 0; i < count; i++) {
        sched_lp_init(&lps[i].lp, i, &config, sim_now);
        lps[i].resched = true;
    }
}

static struct sched_params weight(uint32_t w)
{
    return (struct sched_params){.weight = w, .pinned = true};
}

static uint64_t varied(const struct sim_vp *vp, uint64_t v)
{
    return vp->vary ? v / 2 + random_below(v + 1) : v;
}

static void sim_resched(struct sched_lp *lp)
{
    if (lp)
        lps[lp->index].resched = true;
}

static struct sim_vp *sim_add(unsigned lp, struct sched_params params, uint64_t burst,
                              uint64_t sleep)
{
    struct sim_vp *vp = &vps[vp_count++];

    assert_int_equal(sched_entity_init(&vp->e, &params), 0);
    assert_int_equal(sched_attach(&vp->e, &lps[lp].lp, sim_now), 0);
    vp->burst = burst;
    vp->sleep = sleep;
    vp->wake_at = sim_now;
    return vp;
}

static void sim_wake(struct sim_vp *vp)
{
    vp->burst_left = vp->burst ? max_u64(varied(vp, vp->burst), 1) : UINT64_MAX;
    vp->woken_at = sim_now;
    sim_resched(sched_wake(&vp->e, sim_now));
}

static int64_t cap_share(const struct sim_vp *vp)
{
    return (int64_t)((sim_now - sim_start) * vp->e.params.cap / SCHED_FRACTION_ONE);
}

static void sim_account(struct sim_lp *l)
{
    struct sim_vp *vp = l->running;
    uint64_t ran = sim_now - l->since;
    int64_t over;

    if (!vp)
        return;
    for (uint64_t at = l->since; vp->period_ran && at < sim_now;) {
        uint64_t p = (at - sim_start) / config.period;
        uint64_t end = min_u64(sim_start + (p + 1) * config.period, sim_now);

        assert_true(p < PERIODS);
        vp->period_ran[p] += (uint32_t)(end - at);
        at = end;
    }
    vp->ran += ran;
    l->busy += ran;
    if (vp->burst)
        vp->burst_left -= ran;
    l->since = sim_now;

    over = (int64_t)vp->ran - cap_share(vp) - vp->cap_low;
    if (over > vp->cap_excess)
        vp->cap_excess = over;
}

static void sim_pick(struct sim_lp *l)
{
    struct sched_slice slice;
    struct sched_entity *e;

    sim_account(l);
    if (sched_level_due(&l->lp, sim_now)) {
        for (unsigned i = 0; i < lp_count; i++)
            sim_levels += sched_level(&l->lp, &lps[i].lp, sim_now);
    }
    e = sched_pick(&l->lp, sim_now, &slice);
    assert_true(slice.until > sim_now);
    l->picks++;
    l->resched = false;
    l->until = slice.until;
    if (l->until != UINT64_MAX && sim_jitter)
        l->until += random_below(sim_jitter);
    l->since = sim_now;
    if (l->loaded && l->loaded != e)
        sched_unload(l->loaded);
    l->loaded = e;
    l->running = e ? list_entry(e, struct sim_vp, e) : NULL;
    if (l->running) {
        struct sim_vp *vp = l->running;
        int64_t low = (int64_t)vp->ran - cap_share(vp);

        if (low < vp->cap_low)
            vp->cap_low = low;
        if (vp->woken_at && sim_now - vp->woken_at > vp->latency_max)
            vp->latency_max = sim_now - vp->woken_at;
        vp->woken_at = 0;
    }
}

static void sim_step_lp(struct sim_lp *l)
{
    struct sim_vp *vp = l->running;

    if (vp && vp->burst && sim_now - l->since >= vp->burst_left) {
        sim_account(l);
        sched_block(&vp->e, sim_now);
        vp->wake_at = sim_now + max_u64(varied(vp, vp->sleep), 1);
        l->running = NULL;
        l->resched = true;
    }
    if (sim_now >= l->until)
        l->resched = true;
}

static uint64_t sim_next_event(uint64_t end)
{
    for (unsigned i = 0; i < lp_count; i++) {
        const struct sim_lp *l = &lps[i];

        end = min_u64(end, l->until);
        if (l->running && l->running->burst)
            end = min_u64(end, l->since + l->running->burst_left);
    }
    for (unsigned i = 0; i < vp_count; i++) {
        if (vps[i].e.state == SCHED_BLOCKED)
            end = min_u64(end, vps[i].wake_at);
    }
    return end;
}

static void sim_run(uint64_t ticks)
{
    uint64_t end = sim_now + ticks;

    for (;;) {
        for (unsigned i = 0; i < lp_count; i++)
            sim_step_lp(&lps[i]);
        for (unsigned i = 0; i < vp_count; i++) {
            if (vps[i].e.state == SCHED_BLOCKED && vps[i].wake_at <= sim_now)
                sim_wake(&vps[i]);
        }
        for (unsigned i = 0; i < lp_count; i++) {
            if (lps[i].resched)
                sim_pick(&lps[i]);
        }
        if (sim_now >= end)
            break;
        sim_now = sim_next_event(end);
    }
    for (unsigned i = 0; i < lp_count; i++) {
        sim_account(&lps[i]);
        sched_charge(&lps[i].lp, sim_now);
    }
    for (unsigned i = 0; i < vp_count; i++)
        assert_int_equal(sched_entity_run_time(&vps[i].e), vps[i].ran);
}

/* value within 1 % of expected */
static void assert_near(uint64_t value, uint64_t expected)
{
    uint64_t off = value > expected ? value - expected : expected - value;

    if (off > expected / 100)
        fail_msg("%llu is not within 1 %% of %llu", (unsigned long long)value,
                 (unsigned long long)expected);
}

/* The vps from..to divide what they had together by their weights. */
static void assert_shares(unsigned from, unsigned to)
{
    uint64_t ran = 0, weights = 0;

    for (unsigned i = from; i <= to; i++) {
        ran += vps[i].ran;
        weights += vps[i].e.params.weight;
    }
    for (unsigned i = from; i <= to; i++)
        assert_near(vps[i].ran, ran * vps[i].e.params.weight / weights);
}

static void test_weights(void **state)
{
    sim_init(1);
    sim_add(0, weight(100), 0, 0);
    sim_add(0, weight(200), 0, 0);
    sim_add(0, weight(400), 0, 0);
    sim_run(MINUTE);
    assert_shares(0, 2);
    assert_int_equal(lps[0].busy, MINUTE);
    /* One switch per slice: nobody is preempted without need. */
    assert_true(lps[0].picks <= MINUTE / config.slice + 10);
}

static void test_weights_jitter(void **state)
{
    sim_init(1);
    sim_jitter = 300 * US;
    sim_add(0, weight(100), 0, 0);
    sim_add(0, weight(300), 0, 0);
    sim_add(0, weight(1000), 0, 0);
    sim_add(0, weight(37), 0, 0);
    sim_run(MINUTE);
    assert_shares(0, 3);
}

static void test_weights_many(void **state)
{
    sim_init(1);
    for (unsigned i = 0; i < 12; i++)
        sim_add(0, weight(50 + 25 * i), 0, 0);
    sim_run(MINUTE);
    assert_shares(0, 11);
}

/* Busy ones share by weight what sleepers leave; sleepers below their share get all they ask for.
 */
static void test_sleepers(void **state)
{
    sim_init(1);
    sim_add(0, weight(100), 0, 0);
    sim_add(0, weight(200), 0, 0);
    sim_add(0, weight(400), 0, 0);
    for (unsigned i = 0; i < 3; i++)
        sim_add(0, weight(100), 500 * US, 20 * MS)->vary = true;
    sim_run(MINUTE);
    assert_shares(0, 2);
    assert_int_equal(lps[0].busy, MINUTE);
    for (unsigned i = 3; i < 6; i++)
        assert_true(vps[i].ran > MINUTE / 1000 * 15);
}

/* One that sleeps just long enough to be seen must not get more than its weight. */
static void test_sleeper_gains_nothing(void **state)
{
    sim_init(1);
    sim_add(0, weight(100), 0, 0);
    sim_add(0, weight(100), 2 * MS, 10 * US);
    sim_run(MINUTE);
    assert_true(vps[1].ran <= MINUTE / 2 + config.slice);
    assert_true(vps[1].ran >= MINUTE / 100 * 49);
}

/* Nor does it lose: not even beside one whose virtual time leaps. */
static void test_sleeper_loses_nothing(void **state)
{
    sim_init(1);
    sim_add(0, weight(10), 0, 0);
    sim_add(0, weight(1000), 3 * MS, 5 * US)->vary = true;
    sim_add(0, weight(200), 0, 0);
    sim_run(MINUTE);
    assert_true(vps[1].ran >= MINUTE / 1210 * 980);
    assert_true(vps[1].ran <= MINUTE / 1210 * 1000 + config.slice);
    assert_near(vps[2].ran, (vps[0].ran + vps[2].ran) * 200 / 210);
}

static void test_four_lps(void **state)
{
    sim_init(4);
    for (unsigned i = 0; i < 4; i++) {
        sim_add(i, weight(100), 0, 0);
        sim_add(i, weight(200), 0, 0);
        sim_add(i, weight(400), 0, 0);
    }
    for (unsigned i = 0; i < 4; i++)
        sim_add(i, weight(1000), 300 * US, 5 * MS)->vary = true;
    sim_run(MINUTE);
    for (unsigned i = 0; i < 4; i++) {
        assert_shares(3 * i, 3 * i + 2);
        assert_int_equal(lps[i].busy, MINUTE);
    }
}

/* Alone: no timer, no switches. */
static void test_alone_is_tickless(void **state)
{
    sim_init(1);
    sim_add(0, weight(1), 0, 0);
    sim_run(MINUTE);
    assert_int_equal(vps[0].ran, MINUTE);
    assert_true(lps[0].picks <= 2);
}

static struct sim_vp *add_capped(unsigned lp, uint32_t w, unsigned percent, uint64_t burst,
                                 uint64_t sleep)
{
    return sim_add(lp,
                   (struct sched_params){
                       .weight = w, .cap = SCHED_FRACTION_ONE * percent / 100, .pinned = true},
                   burst, sleep);
}

static void assert_cap_kept(const struct sim_vp *vp, uint64_t slack)
{
    if (vp->cap_excess > (int64_t)(config.slice + slack))
        fail_msg("%lld ns over the cap", (long long)vp->cap_excess);
}

static uint64_t cap_of(const struct sim_vp *vp, uint64_t ticks)
{
    return ticks * vp->e.params.cap / SCHED_FRACTION_ONE;
}

static void test_cap_alone(void **state)
{
    static const unsigned percents[] = {1, 10, 25, 50, 75, 99};

    for (unsigned i = 0; i < ARRAY_SIZE(percents); i++) {
        sim_init(1);
        add_capped(0, 100, percents[i], 0, 0);
        sim_run(MINUTE);
        assert_cap_kept(&vps[0], 0);
        assert_near(vps[0].ran, cap_of(&vps[0], MINUTE));
    }
}

/* A cap so small that one period's tokens are not worth a run. */
static void test_cap_tiny(void **state)
{
    sim_init(1);
    sim_add(0, (struct sched_params){.weight = 100, .cap = 1}, 0, 0);
    sim_add(0, weight(100), 0, 0);
    sim_run(MINUTE);
    assert_true(vps[0].ran > 0);
    assert_true(vps[0].ran <= cap_of(&vps[0], MINUTE) + 2 * config.run_min);
    /* It has run in pieces worth a switch. */
    assert_true(lps[0].picks < 2 * MINUTE / config.slice);
}

static void test_cap_among_others(void **state)
{
    sim_init(1);
    add_capped(0, 1000, 20, 0, 0);
    add_capped(0, 100, 30, 3 * MS, 1 * MS)->vary = true;
    sim_add(0, weight(100), 0, 0);
    sim_add(0, weight(300), 0, 0);
    sim_run(MINUTE);
    assert_cap_kept(&vps[0], 0);
    assert_cap_kept(&vps[1], 0);
    /* A cap is no promise: a refill may have to wait for the slices of two neighbours. */
    assert_true(vps[0].ran >= cap_of(&vps[0], MINUTE) / 100 * 95);
    assert_shares(2, 3);
    assert_int_equal(lps[0].busy, MINUTE);
}

static void test_cap_jitter(void **state)
{
    sim_init(1);
    sim_jitter = 500 * US;
    add_capped(0, 100, 50, 0, 0);
    add_capped(0, 100, 30, 0, 0);
    sim_run(MINUTE);
    /* A late timer is paid back: the excess does not add up. */
    assert_cap_kept(&vps[0], sim_jitter);
    assert_cap_kept(&vps[1], sim_jitter);
    assert_near(vps[0].ran, cap_of(&vps[0], MINUTE));
    assert_near(vps[1].ran, cap_of(&vps[1], MINUTE));
}

static struct sim_vp *add_reserved(unsigned lp, uint32_t w, unsigned percent)
{
    static uint32_t periods[4][PERIODS];
    static unsigned used;
    struct sim_vp *vp =
        sim_add(lp,
                (struct sched_params){
                    .weight = w, .reserve = SCHED_FRACTION_ONE * percent / 100, .pinned = true},
                0, 0);

    vp->period_ran = periods[used++ % 4];
    memset(vp->period_ran, 0, sizeof(periods[0]));
    return vp;
}

static void assert_reserve_met(const struct sim_vp *vp, uint64_t slack)
{
    uint64_t quota = config.period * vp->e.params.reserve / SCHED_FRACTION_ONE;

    for (unsigned i = 0; i < (sim_now - sim_start) / config.period; i++) {
        if (vp->period_ran[i] + slack < quota)
            fail_msg("period %u: %u of %llu", i, vp->period_ran[i], (unsigned long long)quota);
    }
}

static void test_reserve(void **state)
{
    sim_init(1);
    add_reserved(0, 100, 50);
    for (unsigned i = 0; i < 3; i++)
        sim_add(0, weight(100 << i), 0, 0);
    sim_run(MINUTE);
    assert_reserve_met(&vps[0], config.run_min);
    assert_near(vps[0].ran, MINUTE / 2);
    assert_shares(1, 3);
}

/* Several reserves that fill the LP, with sleepers of great weight beside them. */
static void test_reserve_full(void **state)
{
    sim_init(1);
    add_reserved(0, 1, 50);
    add_reserved(0, 100, 30);
    add_reserved(0, 10, 20);
    sim_add(0, weight(10000), 1 * MS, 7 * MS)->vary = true;
    vps[3].e.params.boost_on_wake = true;
    sim_run(MINUTE);
    for (unsigned i = 0; i < 3; i++)
        assert_reserve_met(&vps[i], config.run_min);
}

/* A reserve below the fair share changes nothing in the long run. */
static void test_reserve_below_share(void **state)
{
    sim_init(1);
    add_reserved(0, 200, 25);
    sim_add(0, weight(100), 0, 0);
    sim_add(0, weight(100), 0, 0);
    sim_run(MINUTE);
    assert_shares(0, 2);
    assert_reserve_met(&vps[0], config.run_min);
}

/* Time had from a reserve is not a debt when the reserve goes. */
static void test_reserve_removed(void **state)
{
    struct sched_params params = weight(100);
    struct sched_lp *kick;
    uint64_t before[2];

    sim_init(1);
    add_reserved(0, 100, 90);
    sim_add(0, weight(100), 0, 0);
    sim_run(MINUTE / 2);
    assert_int_equal(sched_set_params(&vps[0].e, &params, sim_now, &kick), 0);
    sim_resched(kick);
    before[0] = vps[0].ran;
    before[1] = vps[1].ran;
    sim_run(10 * HZ);
    assert_near(vps[0].ran - before[0], 5 * HZ);
    assert_near(vps[1].ran - before[1], 5 * HZ);
}

/* A parent with weight, reserve and boost answers at once beside busy children. */
static void test_boost_latency(void **state)
{
    sim_init(1);
    sim_add(0,
            (struct sched_params){.weight = 1000,
                                  .reserve = SCHED_FRACTION_ONE / 10,
                                  .pinned = true,
                                  .boost_on_wake = true},
            100 * US, 700 * US)
        ->vary = true;
    for (unsigned i = 0; i < 3; i++)
        sim_add(0, weight(100), 0, 0);
    sim_run(MINUTE);
    assert_int_equal(vps[0].latency_max, 0);
    assert_shares(1, 3);
    assert_int_equal(lps[0].busy, MINUTE);
}

/* The boost does not take more than the weight and a slice. */
static void test_boost_bounded(void **state)
{
    sim_init(1);
    sim_add(0, (struct sched_params){.weight = 100, .pinned = true, .boost_on_wake = true}, 2 * MS,
            10 * US);
    sim_add(0, weight(100), 0, 0);
    sim_run(MINUTE);
    assert_true(vps[0].ran <= MINUTE / 2 + 2 * config.slice);
    assert_true(vps[0].ran >= MINUTE / 100 * 48);
}

/* An ordinary sleeper with credit waits no longer than its neighbour's lead needs. */
static void test_wake_latency(void **state)
{
    sim_init(1);
    sim_add(0, weight(100), 200 * US, 50 * MS)->vary = true;
    for (unsigned i = 0; i < 3; i++)
        sim_add(0, weight(100), 0, 0);
    sim_run(MINUTE);
    assert_true(vps[0].latency_max <= 2 * config.slice);
}

/* A spinner that yields all the time does not save up time against the others. */
static void test_relinquish_saves_nothing(void **state)
{
    uint64_t ran;

    sim_init(1);
    sim_add(0, weight(100), 0, 0);
    sim_add(0, weight(100), 0, 0);
    sim_run(20 * MS);
    for (unsigned i = 0; i < 1000; i++) {
        if (lps[0].running == &vps[0]) {
            sched_relinquish(&vps[0].e, sim_now);
            lps[0].resched = true;
        }
        sim_run(10 * MS);
    }
    ran = vps[0].ran;
    sim_run(HZ);
    assert_true(vps[0].ran - ran <= HZ / 2 + 2 * config.slice);
}

/* Weights hold over all LPs, wherever the VPs began, and nobody moves without need. */
static void test_level(void **state)
{
    static const uint32_t weights[] = {400, 400, 100, 100, 200, 200};

    sim_init(2);
    sim_add(0, weight(1000), 2 * MS, 48 * MS);
    sim_add(1, weight(1000), 2 * MS, 48 * MS);
    for (unsigned i = 0; i < ARRAY_SIZE(weights); i++)
        sim_add(i < 2 ? 0 : 1, (struct sched_params){.weight = weights[i]}, 0, 0);
    sim_run(30 * HZ);
    assert_shares(2, 7);
    assert_true(sim_levels > 0 && sim_levels < 30 * 20);

    /* A LP each: nothing can be better. */
    sim_init(3);
    for (unsigned i = 0; i < lp_count; i++)
        sim_add(i, (struct sched_params){.weight = 100 << i}, 0, 0);
    sim_run(30 * HZ);
    assert_int_equal(sim_levels, 0);
}

/* The lone heavy one of an LP is not made up for when others come. */
static void test_level_forgets(void **state)
{
    uint64_t ran;

    sim_init(2);
    sim_add(0, (struct sched_params){.weight = 1000}, 0, 0);
    sim_add(1, (struct sched_params){.weight = 100}, 0, 0);
    sim_run(30 * HZ);
    sim_add(0, (struct sched_params){.weight = 1000}, 0, 0);
    sim_add(1, (struct sched_params){.weight = 100}, 0, 0);
    ran = vps[1].ran;
    sim_run(10 * HZ);
    assert_true(vps[1].ran - ran > HZ / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_weights_jitter),
        cmocka_unit_test(test_weights_many),
        cmocka_unit_test(test_sleepers),
        cmocka_unit_test(test_sleeper_gains_nothing),
        cmocka_unit_test(test_sleeper_loses_nothing),
        cmocka_unit_test(test_four_lps),
        cmocka_unit_test(test_alone_is_tickless),
        cmocka_unit_test(test_cap_alone),
        cmocka_unit_test(test_cap_tiny),
        cmocka_unit_test(test_cap_among_others),
        cmocka_unit_test(test_cap_jitter),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_reserve_full),
        cmocka_unit_test(test_reserve_below_share),
        cmocka_unit_test(test_reserve_removed),
        cmocka_unit_test(test_boost_latency),
        cmocka_unit_test(test_boost_bounded),
        cmocka_unit_test(test_wake_latency),
        cmocka_unit_test(test_relinquish_saves_nothing),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_level_forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
