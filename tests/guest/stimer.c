/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/* Clocks against each other, and the synthetic timers in every mode. Times are in 100 ns units. */

#define VECTOR  0x61
#define SINT    4
#define MS      10000ULL
#define LONG_US 1000000

/*
 * How late a timer may be: the virtual host is itself a process that waits for its turn, so
 * this is generous, and the amount is noted. Early is never allowed beyond the clock's grain.
 */
#define LATE_TICKS  (100 * MS)
#define EARLY_TICKS 50

static struct hv_reference_tsc_page *tsc_page;
static uint8_t tsc_page_memory[4096] PAGE_ALIGNED;

static uint64_t page_time(void)
{
    volatile struct hv_reference_tsc_page *p = tsc_page;
    uint32_t seq;
    uint64_t t;

    do {
        seq = p->tsc_sequence;
        t = (uint64_t)(((unsigned __int128)rdtsc() * p->tsc_scale) >> 64) + (uint64_t)p->tsc_offset;
    } while (seq != p->tsc_sequence);
    return t;
}

static bool page_enable(void)
{
    uint64_t v;

    if (safe_wrmsr(HV_X64_MSR_REFERENCE_TSC, PA(tsc_page_memory) | 1) ||
        safe_rdmsr(HV_X64_MSR_REFERENCE_TSC, &v) || !(v & 1)) {
        case_fail("the TSC page cannot be enabled");
        return false;
    }
    tsc_page = (struct hv_reference_tsc_page *)(void *)tsc_page_memory;
    EXPECT(tsc_page->tsc_sequence != HV_REFERENCE_TSC_SEQUENCE_INVALID, "sequence 0: not usable");
    EXPECT(tsc_page->tsc_scale, "a scale of 0");
    return !case_failed();
}

/* a and b in relation to each other, in parts per million. */
static uint64_t ppm(uint64_t a, uint64_t b)
{
    return (a > b ? a - b : b - a) * 1000000 / (b ? b : 1);
}

static void counter_rate(void)
{
    uint64_t r0 = hv_ref_time(), t0 = rdtsc(), r1, t1;

    delay_us(100000);
    r1 = hv_ref_time();
    t1 = rdtsc();
    note("100 ms by TSC: counter %lu", r1 - r0);
    EXPECT(ppm(r1 - r0, (t1 - t0) * 1000 / (tsc_hz / 10000)) < 2000,
           "counter %lu against TSC %lu at %lu Hz", r1 - r0, t1 - t0, tsc_hz);
}

static void counter_monotonic(void)
{
    uint64_t last = hv_ref_time();

    for (unsigned i = 0; i < 5000; i++) {
        uint64_t now = hv_ref_time();

        REQUIRE(now >= last, "the counter went back by %lu", last - now);
        last = now;
    }
}

static void tsc_frequency(void)
{
    uint64_t measured = clock_measure_tsc(50), msr = rdmsr(HV_X64_MSR_TSC_FREQUENCY);

    note("TSC %lu Hz by MSR, %lu Hz against the PIT", msr, measured);
    EXPECT(ppm(measured, msr) < 20000, "MSR says %lu, the PIT %lu", msr, measured);
}

/* On each CPU the page must agree with the counter MSR: between two readings of the page. */
static void page_against_counter_on(void *arg)
{
    uint64_t worst = 0;

    for (unsigned i = 0; i < 2000; i++) {
        uint64_t a = page_time(), m = hv_ref_time(), b = page_time();
        uint64_t off = m + 1 < a ? a - m : m > b + 1 ? m - b : 0;

        worst = max_u64(worst, off);
    }
    EXPECT(worst <= 10, "processor %u: page and counter differ by %lu", this_cpu()->index, worst);
}

static void page_against_counter(void)
{
    if (page_enable())
        smp_run_all(page_against_counter_on, NULL, 10 * LONG_US);
    safe_wrmsr(HV_X64_MSR_REFERENCE_TSC, 0);
}

/* Time handed from CPU to CPU never goes back. */
static _Atomic uint64_t highest;

static void page_race(void *arg)
{
    for (unsigned i = 0; i < 50000; i++) {
        uint64_t seen = atomic_load(&highest), now = page_time();

        /* Rounding: one tick, and one more where the last bit of the product falls. */
        if (now + 2 < seen) {
            case_fail("processor %u is %lu behind", this_cpu()->index, seen - now);
            return;
        }
        while (seen < now && !atomic_compare_exchange_weak(&highest, &seen, now))
            ;
    }
}

static void page_across_processors(void)
{
    if (page_enable())
        smp_run_all(page_race, NULL, 10 * LONG_US);
    safe_wrmsr(HV_X64_MSR_REFERENCE_TSC, 0);
}

static void vp_runtime(void)
{
    uint64_t v0 = rdmsr(HV_X64_MSR_VP_RUNTIME), r0 = hv_ref_time(), v, r;

    delay_us(100000);
    v = rdmsr(HV_X64_MSR_VP_RUNTIME) - v0;
    r = hv_ref_time() - r0;
    note("ran %lu of %lu", v, r);
    EXPECT(v <= r + MS, "run time %lu in %lu", v, r);
    EXPECT(v >= r / 10, "run time %lu in %lu of computing", v, r);
}

/* ---- Synthetic timers ---------------------------------------------------------------------- */

#define MAX_TICKS 256

static volatile uint64_t arrival[MAX_TICKS];
static volatile uint32_t arrivals;

static void on_timer(struct trap_frame *f)
{
    uint32_t n = arrivals;

    if (n < MAX_TICKS)
        arrival[n] = hv_ref_time();
    arrivals = n + 1;
    apic_eoi();
}

static void begin(void)
{
    hv_synic_enable();
    arrivals = 0;
    irq_handler_set(VECTOR, on_timer);
    irq_enable();
}

static void finish(void)
{
    irq_disable();
    hv_synic_disable();
}

static void check_time(const char *what, uint64_t due, uint64_t came)
{
    EXPECT(came + EARLY_TICKS >= due, "%s: %lu early", what, due - came);
    EXPECT(came <= due + LATE_TICKS, "%s: %lu late", what, came - due);
}

static uint64_t direct(void)
{
    return HV_STIMER_DIRECT_MODE | STIMER_VECTOR(VECTOR);
}

static void oneshot_direct(void)
{
    begin();
    for (unsigned t = 0; t < HV_SYNIC_STIMER_COUNT; t++) {
        uint64_t due = hv_ref_time() + 3 * MS, config;

        arrivals = 0;
        hv_stimer_start(t, direct(), due);
        REQUIRE(WAIT_FOR(arrivals, LONG_US), "timer %u does not expire", t);
        check_time("one shot", due, arrival[0]);
        note("timer %u: %lu late", t, arrival[0] - due);
        delay_us(10000);
        EXPECT(arrivals == 1, "timer %u expires %u times", t, arrivals);
        config = rdmsr(STIMER_CONFIG(t));
        EXPECT(!(config & HV_STIMER_ENABLE), "timer %u is still enabled: %lx", t, config);
    }
    finish();
}

static void oneshot_past(void)
{
    begin();
    hv_stimer_start(0, direct(), 1);
    EXPECT(WAIT_FOR(arrivals == 1, LONG_US), "an expiry in the past does not expire");
    arrivals = 0;
    hv_stimer_start(0, direct(), hv_ref_time());
    EXPECT(WAIT_FOR(arrivals == 1, LONG_US), "an expiry now does not expire");
    finish();
}

static void oneshot_message(void)
{
    uint64_t due;
    volatile struct hv_timer_message_payload *m;

    begin();
    hv_sint_set(SINT, VECTOR);
    m = hv_timer_message(SINT);
    due = hv_ref_time() + 3 * MS;
    hv_stimer_start(2, STIMER_SINT(SINT), due);
    REQUIRE(WAIT_FOR(arrivals, LONG_US), "no interrupt");
    check_time("one shot", due, arrival[0]);
    EXPECT(m->expiration_time == due, "expiration %lu, due %lu", m->expiration_time, due);
    EXPECT(m->delivery_time >= due && m->delivery_time <= arrival[0], "delivery %lu of %lu to %lu",
           m->delivery_time, due, arrival[0]);
    finish();
}

static void auto_enable(void)
{
    begin();
    for (unsigned n = 1; n <= 3; n++) {
        wrmsr(STIMER_CONFIG(0), direct() | HV_STIMER_AUTO_ENABLE);
        EXPECT(!(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE), "enabled before a count is written");
        wrmsr(STIMER_VALUE(0), hv_ref_time() + 2 * MS);
        REQUIRE(WAIT_FOR(arrivals == n, LONG_US), "expiry %u does not come", n);
    }
    /* The configuration stays: a new count alone arms it again. */
    wrmsr(STIMER_VALUE(0), hv_ref_time() + 2 * MS);
    EXPECT(WAIT_FOR(arrivals == 4, LONG_US), "a new count does not arm it again");
    finish();
}

static void count_zero_stops(void)
{
    begin();
    wrmsr(STIMER_CONFIG(0), direct() | HV_STIMER_AUTO_ENABLE);
    wrmsr(STIMER_VALUE(0), hv_ref_time() + 10 * MS);
    EXPECT(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE, "a count does not enable");
    wrmsr(STIMER_VALUE(0), 0);
    EXPECT(!(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE), "count 0 does not disable");
    delay_us(40000);
    EXPECT(arrivals == 0, "a stopped timer expires");
    finish();
}

static void disable_stops(void)
{
    begin();
    hv_stimer_start(1, direct(), hv_ref_time() + 10 * MS);
    wrmsr(STIMER_CONFIG(1), direct());
    delay_us(40000);
    EXPECT(arrivals == 0, "a disabled timer expires");
    finish();
}

static void rearm_moves(void)
{
    uint64_t due;

    begin();
    hv_stimer_start(1, direct(), hv_ref_time() + 10 * MS);
    due = hv_ref_time() + 60 * MS;
    hv_stimer_start(1, direct(), due);
    REQUIRE(WAIT_FOR(arrivals, LONG_US), "does not expire");
    check_time("moved", due, arrival[0]);
    hv_stimer_start(1, direct(), hv_ref_time() + 5000 * MS);
    due = hv_ref_time() + 5 * MS;
    arrivals = 0;
    hv_stimer_start(1, direct(), due);
    REQUIRE(WAIT_FOR(arrivals, LONG_US), "does not expire when moved closer");
    check_time("moved closer", due, arrival[0]);
    finish();
}

static void message_needs_sint(void)
{
    begin();
    hv_stimer_start(0, 0, hv_ref_time() + MS);
    EXPECT(!(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE), "enabled to send to SINT 0");
    finish();
}

/*
 * Periods keep their places on the time line: lateness of one tick must not move the next. A host
 * that is busy may merge ticks, so the places tell drift and not the number: none comes before its
 * own, and the best of the last ones stands near one.
 */
static void check_periodic(uint64_t period, unsigned count, uint64_t start)
{
    uint64_t nearest = period, last;

    REQUIRE(WAIT_FOR(arrivals >= count, LONG_US * 3), "%u ticks of %u", arrivals, count);
    check_time("first tick", start + period, arrival[0]);
    for (unsigned n = 0; n < count; n++) {
        uint64_t since = arrival[n] - start;

        EXPECT(since + EARLY_TICKS >= (n + 1) * period, "tick %u: %lu before its place", n + 1,
               (n + 1) * period - since);
        if (n >= count / 2)
            nearest = min_u64(nearest, since % period);
    }
    last = arrival[count - 1] - start;
    note("%u periods of %lu took %lu, nearest to its place by %lu", count, period, last, nearest);
    EXPECT(nearest < period / 4, "drift: no tick nearer than %lu to its place", nearest);
}

static void periodic_direct(void)
{
    uint64_t start;

    begin();
    start = hv_ref_time();
    hv_stimer_start(0, direct() | HV_STIMER_PERIODIC, 5 * MS);
    check_periodic(5 * MS, 100, start);
    EXPECT(rdmsr(STIMER_CONFIG(0)) & HV_STIMER_ENABLE, "a periodic timer disables itself");
    hv_stimer_stop(0);
    arrivals = 0;
    delay_us(30000);
    EXPECT(arrivals == 0, "a stopped periodic timer expires");
    finish();
}

static void periodic_lazy(void)
{
    uint64_t start;

    begin();
    start = hv_ref_time();
    hv_stimer_start(0, direct() | HV_STIMER_PERIODIC | HV_STIMER_LAZY, 10 * MS);
    REQUIRE(WAIT_FOR(arrivals >= 10, LONG_US * 3), "%u ticks", arrivals);
    check_time("first tick", start + 10 * MS, arrival[0]);
    finish();
}

/* In message mode the expiration times tell exactly: a multiple of the period, always. */
static void periodic_message(void)
{
    const uint64_t period = 5 * MS;
    uint64_t last = 0, late = 0;

    begin();
    hv_sint_set(SINT, VECTOR);
    hv_stimer_start(3, STIMER_SINT(SINT) | HV_STIMER_PERIODIC, period);
    for (unsigned n = 1; n <= 100; n++) {
        volatile struct hv_timer_message_payload *m = hv_timer_message(SINT);

        REQUIRE(WAIT_FOR(hv_message_slot(SINT)->header.message_type, LONG_US), "tick %u", n);
        EXPECT(m->timer_index == 3, "message of timer %u", m->timer_index);
        if (last)
            REQUIRE(m->expiration_time > last && (m->expiration_time - last) % period == 0,
                    "tick %u: expiration %lu after the one before", n, m->expiration_time - last);
        last = m->expiration_time;
        late = max_u64(late, m->delivery_time - last);
        hv_message_done(SINT);
    }
    note("delivered at most %lu after expiration", late);
    finish();
}

/* A slot that stays taken holds back ticks, not the machine; afterwards they go on. */
static void periodic_slot_busy(void)
{
    begin();
    hv_sint_set(SINT, VECTOR);
    hv_stimer_start(0, STIMER_SINT(SINT) | HV_STIMER_PERIODIC, 2 * MS);
    delay_us(50000);
    EXPECT(arrivals == 1, "%u interrupts while the slot was taken", arrivals);
    for (unsigned n = 0; n < 10; n++) {
        REQUIRE(WAIT_FOR(hv_message_slot(SINT)->header.message_type, LONG_US), "no tick");
        hv_message_done(SINT);
    }
    finish();
}

static void timers_on_cpu(void *arg)
{
    struct cpu *cpu = this_cpu();

    cpu->irq_count[VECTOR] = 0;
    for (unsigned n = 1; n <= 20; n++) {
        for (unsigned t = 0; t < HV_SYNIC_STIMER_COUNT; t++) {
            uint32_t before = cpu->irq_count[0x70 + t];

            hv_stimer_start(t, HV_STIMER_DIRECT_MODE | STIMER_VECTOR(0x70 + t),
                            hv_ref_time() + MS * (1 + (n + t) % 3));
            if (t == HV_SYNIC_STIMER_COUNT - 1)
                REQUIRE(WAIT_FOR(cpu->irq_count[0x70 + t] != before, LONG_US),
                        "processor %u round %u: timer %u is lost", cpu->index, n, t);
        }
        delay_us(1000);
    }
}

static void all_timers_all_processors(void)
{
    irq_enable();
    for (uint32_t i = 0; i < cpu_count; i++)
        for (unsigned t = 0; t < HV_SYNIC_STIMER_COUNT; t++)
            cpus[i].irq_count[0x70 + t] = 0;
    smp_run_all(timers_on_cpu, NULL, 10 * LONG_US);
    delay_us(50000);
    irq_disable();
    for (uint32_t i = 0; i < cpu_count; i++)
        for (unsigned t = 0; t < HV_SYNIC_STIMER_COUNT; t++)
            EXPECT(cpus[i].irq_count[0x70 + t] == 20 || t < HV_SYNIC_STIMER_COUNT - 1,
                   "processor %u timer %u: %u expiries", i, t, cpus[i].irq_count[0x70 + t]);
}

/* ---- The local APIC's own timer ----------------------------------------------------------- */

static uint64_t apic_timer_hz(void)
{
    uint64_t hz = 0;

    if (hv_present() && !safe_rdmsr(HV_X64_MSR_APIC_FREQUENCY, &hz))
        return hz;
    return 1000000000; /* the emulated APIC of the bare virtual host */
}

static void on_apic_timer(struct trap_frame *f)
{
    uint32_t n = arrivals;

    if (n < MAX_TICKS)
        arrival[n] = rdtsc();
    arrivals = n + 1;
    apic_eoi();
}

static void apic_timer_begin(void)
{
    arrivals = 0;
    irq_handler_set(VECTOR, on_apic_timer);
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
    irq_enable();
}

static void apic_timer_oneshot(void)
{
    uint64_t hz = apic_timer_hz(), start, us;

    EXPECT(hz >= 1000000, "APIC timer frequency %lu", hz);
    apic_timer_begin();
    apic_write(APIC_LVT_TIMER, VECTOR);
    start = rdtsc();
    apic_write(APIC_TIMER_INITIAL, (uint32_t)(hz / 100));
    EXPECT(apic_read(APIC_TIMER_CURRENT) <= hz / 100, "the current count exceeds the initial one");
    REQUIRE(WAIT_FOR(arrivals, LONG_US), "no interrupt");
    us = tsc_to_us(arrival[0] - start);
    note("10 ms took %lu us at %lu Hz", us, hz);
    EXPECT(us >= 9900 && us <= 10000 + LATE_TICKS / 10, "10 ms took %lu us", us);
    EXPECT(apic_read(APIC_TIMER_CURRENT) == 0, "counts on after one shot");
    delay_us(20000);
    EXPECT(arrivals == 1, "%u interrupts of one shot", arrivals);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
}

static void apic_timer_periodic(void)
{
    const uint64_t period = 20000; /* microseconds */
    uint64_t hz = apic_timer_hz(), start, us, nearest = period;

    apic_timer_begin();
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR);
    start = rdtsc();
    apic_write(APIC_TIMER_INITIAL, (uint32_t)(hz / 50));
    REQUIRE(WAIT_FOR(arrivals >= 30, 10 * LONG_US), "%u ticks", arrivals);
    /* Late ticks may merge, but each stands on its place: the best of the last ones shows drift. */
    for (unsigned n = 0; n < 30; n++) {
        us = tsc_to_us(arrival[n] - start);
        EXPECT(us + 200 >= (n + 1) * period, "tick %u after %lu us", n, us);
        if (n >= 15)
            nearest = min_u64(nearest, us % period);
    }
    note("30 periods of 20 ms took %lu us, nearest to its place by %lu us", us, nearest);
    EXPECT(nearest < period / 2, "drift: no tick nearer than %lu us to its place", nearest);
    apic_write(APIC_TIMER_INITIAL, 0);
    delay_us(2000);
    arrivals = 0;
    delay_us(40000);
    EXPECT(arrivals == 0, "an initial count of 0 does not stop it");
    apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
}

static void apic_timer_divide(void)
{
    uint64_t hz = apic_timer_hz(), start;

    apic_timer_begin();
    apic_write(APIC_TIMER_DIVIDE, 0x3); /* by 16 */
    EXPECT(apic_read(APIC_TIMER_DIVIDE) == 3, "reads 0x%x", apic_read(APIC_TIMER_DIVIDE));
    apic_write(APIC_LVT_TIMER, VECTOR);
    start = rdtsc();
    apic_write(APIC_TIMER_INITIAL, (uint32_t)(hz / 1600));
    REQUIRE(WAIT_FOR(arrivals, LONG_US), "no interrupt");
    EXPECT(tsc_to_us(arrival[0] - start) >= 9900, "10 ms took %lu us",
           tsc_to_us(arrival[0] - start));
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
}

static const struct test_case cases[] = {
    {"counter_rate", counter_rate, NEED_HV},
    {"counter_monotonic", counter_monotonic, NEED_HV},
    {"tsc_frequency", tsc_frequency, NEED_HV},
    {"page_against_counter", page_against_counter, NEED_HV},
    {"page_across_processors", page_across_processors, NEED_HV | NEED_SMP2},
    {"vp_runtime", vp_runtime, NEED_HV},
    {"oneshot_direct", oneshot_direct, NEED_HV},
    {"oneshot_past", oneshot_past, NEED_HV},
    {"oneshot_message", oneshot_message, NEED_HV},
    {"auto_enable", auto_enable, NEED_HV},
    {"count_zero_stops", count_zero_stops, NEED_HV},
    {"disable_stops", disable_stops, NEED_HV},
    {"rearm_moves", rearm_moves, NEED_HV},
    {"message_needs_sint", message_needs_sint, NEED_HV},
    {"periodic_direct", periodic_direct, NEED_HV},
    {"periodic_lazy", periodic_lazy, NEED_HV},
    {"periodic_message", periodic_message, NEED_HV},
    {"periodic_slot_busy", periodic_slot_busy, NEED_HV},
    {"all_timers_all_processors", all_timers_all_processors, NEED_HV | NEED_SMP4},
    {"apic_timer_oneshot", apic_timer_oneshot, 0},
    {"apic_timer_periodic", apic_timer_periodic, 0},
    {"apic_timer_divide", apic_timer_divide, 0},
};

TEST_GROUP(stimer, cases);
