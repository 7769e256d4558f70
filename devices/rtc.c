/* SPDX-License-Identifier: MIT */
#include "devices/rtc.h"
#include "lib/bits.h"

enum { SECOND, SECOND_ALARM, MINUTE, MINUTE_ALARM, HOUR, HOUR_ALARM, WEEKDAY, DAY, MONTH, YEAR };
enum { REG_A = 10, REG_B, REG_C, REG_D, CENTURY = 0x32 };

#define A_UIP          BIT(7)
#define A_DIVIDER      0x70U
#define A_DIVIDER_ON   0x20U
#define A_RATE         0x0FU
#define B_SET          BIT(7)
#define B_24H          BIT(1)
#define B_BINARY       BIT(2)
#define EVENT_PERIODIC BIT(6) /* of B (enabled) and C (happened) */
#define EVENT_ALARM    BIT(5)
#define EVENT_UPDATE   BIT(4)
#define EVENTS         0x70U
#define C_IRQ          BIT(7)
#define D_VALID        BIT(7)
#define HOUR_PM        BIT(7)
#define ALARM_ANY      0xC0U

#define NS_PER_S      1000000000ULL
#define UIP_NS        244000U /* before each update */
#define PERIOD_MIN_NS 200000U
#define DAY_S         86400
/* Years 1 to 9999: far from any overflow below. */
#define TIME_MIN (-62135596800LL)
#define TIME_MAX 253402300799LL

#define RTC_TAG     0x43545220U
#define RTC_VERSION 1U

struct date {
    int year, month, day, weekday, hour, minute, second; /* month and day from 1, weekday from 0 */
};

/* Days since 1970 of a date in the proleptic Gregorian calendar; years start in March. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t s, struct date *d)
{
    int64_t days = s / DAY_S - (s % DAY_S < 0), rest = s - days * DAY_S;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    d->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    d->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    d->year = (int)(yoe + era * 400 + (d->month <= 2));
    d->weekday = (int)(((days + 4) % 7 + 7) % 7);
    d->hour = (int)(rest / 3600);
    d->minute = (int)(rest / 60 % 60);
    d->second = (int)(rest % 60);
}

static bool running(const struct rtc *t)
{
    return (t->a & A_DIVIDER) == A_DIVIDER_ON && !(t->b & B_SET);
}

static int64_t time_now(const struct rtc *t)
{
    uint64_t now = bus_clock_now(&t->clock);

    if (!running(t) || now < t->base_ns)
        return t->base_s;
    return t->base_s + (int64_t)((now - t->base_ns) / NS_PER_S);
}

/* Start counting from here; the part of a second that has gone by stays so. */
static void time_set(struct rtc *t, int64_t s)
{
    t->base_s = s < TIME_MIN || s > TIME_MAX ? 0 : s;
    t->base_ns = bus_clock_now(&t->clock);
    t->seen_s = t->base_s;
}

static uint8_t encode(const struct rtc *t, int v)
{
    return (uint8_t)(t->b & B_BINARY ? v : v / 10 * 16 + v % 10);
}

static int decode(const struct rtc *t, uint8_t v)
{
    return t->b & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const struct rtc *t, int hour)
{
    if (t->b & B_24H)
        return encode(t, hour);
    return (uint8_t)(encode(t, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0));
}

static int decode_hour(const struct rtc *t, uint8_t v)
{
    if (t->b & B_24H)
        return decode(t, v);
    return decode(t, v & 0x7F) % 12 + (v & HOUR_PM ? 12 : 0);
}

static uint8_t date_read(const struct rtc *t, unsigned reg)
{
    struct date d;

    date_of(time_now(t), &d);
    switch (reg) {
    case SECOND:
        return encode(t, d.second);
    case MINUTE:
        return encode(t, d.minute);
    case HOUR:
        return encode_hour(t, d.hour);
    case WEEKDAY:
        return encode(t, d.weekday + 1);
    case DAY:
        return encode(t, d.day);
    case MONTH:
        return encode(t, d.month);
    case YEAR:
        return encode(t, d.year % 100);
    default:
        return encode(t, d.year / 100);
    }
}

static int in_range(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* One field changes; what is no date becomes the nearest one. */
static void date_write(struct rtc *t, unsigned reg, uint8_t v)
{
    struct date d;
    int n = decode(t, v);

    date_of(time_now(t), &d);
    if (reg == SECOND)
        d.second = in_range(n, 0, 59);
    else if (reg == MINUTE)
        d.minute = in_range(n, 0, 59);
    else if (reg == HOUR)
        d.hour = in_range(decode_hour(t, v), 0, 23);
    else if (reg == DAY)
        d.day = in_range(n, 1, 31);
    else if (reg == MONTH)
        d.month = in_range(n, 1, 12);
    else if (reg == YEAR)
        d.year = d.year / 100 * 100 + in_range(n, 0, 99);
    else if (reg == CENTURY)
        d.year = in_range(n, 1, 99) * 100 + d.year % 100;
    time_set(t, days_of(d.year, d.month, d.day) * DAY_S + d.hour * 3600 + d.minute * 60 + d.second);
}

static uint64_t period_ns(const struct rtc *t)
{
    unsigned rate = t->a & A_RATE;
    uint64_t ns;

    if (rate == 0)
        return 0;
    rate = rate < 3 ? rate + 7 : rate; /* rates 1 and 2 repeat 8 and 9 */
    ns = (NS_PER_S << (rate - 1)) / 32768;
    return ns < PERIOD_MIN_NS ? PERIOD_MIN_NS : ns;
}

static bool alarm_matches(const struct rtc *t, int64_t s)
{
    struct date d;

    date_of(s, &d);
    return (t->alarm[0] >= ALARM_ANY || decode(t, t->alarm[0]) == d.second) &&
           (t->alarm[1] >= ALARM_ANY || decode(t, t->alarm[1]) == d.minute) &&
           (t->alarm[2] >= ALARM_ANY || decode_hour(t, t->alarm[2]) == d.hour);
}

/* Note what has happened since the last look, and set the line. */
static void events_note(struct rtc *t)
{
    uint64_t now = bus_clock_now(&t->clock), period = period_ns(t);
    int64_t s = time_now(t);

    if (s != t->seen_s) {
        t->c |= EVENT_UPDATE;
        /* Of a long silence only the last second is compared: a bound for the guest. */
        if (alarm_matches(t, s))
            t->c |= EVENT_ALARM;
        t->seen_s = s;
    }
    if (period && now >= t->periodic_ns) {
        t->c |= EVENT_PERIODIC;
        t->periodic_ns += ((now - t->periodic_ns) / period + 1) * period;
    }
    if (t->c & t->b & EVENTS)
        t->c |= C_IRQ;
    bus_line_set(&t->line, t->c & C_IRQ);
}

static void periodic_restart(struct rtc *t)
{
    uint64_t period = period_ns(t);

    t->periodic_ns = period ? bus_clock_now(&t->clock) + period : BUS_NEVER;
}

static void control_write(struct rtc *t, unsigned reg, uint8_t v)
{
    int64_t s = time_now(t);

    if (reg == REG_A) {
        t->a = v & (uint8_t)~A_UIP;
        periodic_restart(t);
    } else if (reg == REG_B) {
        t->b = v;
    } else {
        return; /* C and D cannot be written */
    }
    time_set(t, s); /* it may have stopped or started with this */
    events_note(t);
}

static uint8_t a_read(const struct rtc *t)
{
    uint64_t into = bus_clock_now(&t->clock) - t->base_ns;
    bool soon = running(t) && into % NS_PER_S >= NS_PER_S - UIP_NS;

    return t->a | (soon ? A_UIP : 0);
}

static uint8_t c_read(struct rtc *t)
{
    uint8_t v;

    events_note(t);
    v = t->c;
    t->c = 0;
    bus_line_set(&t->line, false);
    return v;
}

static bool is_alarm(unsigned reg)
{
    return reg == SECOND_ALARM || reg == MINUTE_ALARM || reg == HOUR_ALARM;
}

static uint8_t register_read(struct rtc *t, unsigned reg)
{
    if (is_alarm(reg))
        return t->alarm[reg / 2];
    if (reg <= YEAR || reg == CENTURY)
        return date_read(t, reg);
    if (reg == REG_A)
        return a_read(t);
    if (reg == REG_B)
        return t->b;
    if (reg == REG_C)
        return c_read(t);
    return reg == REG_D ? D_VALID : t->cmos[reg];
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
    struct rtc *t = dev;

    return offset ? register_read(t, t->index) : 0xFF;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct rtc *t = dev;
    uint8_t v = (uint8_t)value;

    if (!offset)
        t->index = v & (RTC_BYTES - 1); /* bit 7 masks NMIs, of which there are none */
    else if (is_alarm(t->index))
        t->alarm[t->index / 2] = v;
    else if (t->index <= YEAR || t->index == CENTURY)
        date_write(t, t->index, v);
    else if (t->index >= REG_A && t->index <= REG_D)
        control_write(t, t->index, v);
    else
        t->cmos[t->index] = v;
}

static uint64_t deadline(void *dev)
{
    const struct rtc *t = dev;
    uint64_t next = BUS_NEVER;

    if (t->c & C_IRQ)
        return BUS_NEVER; /* the line is up until C is read */
    if (t->b & EVENT_PERIODIC && period_ns(t))
        next = t->periodic_ns;
    if (t->b & (EVENT_ALARM | EVENT_UPDATE) && running(t)) {
        uint64_t tick = t->base_ns + (uint64_t)(t->seen_s - t->base_s + 1) * NS_PER_S;
        next = tick < next ? tick : next;
    }
    return next;
}

static void expire(void *dev, uint64_t now_ns)
{
    events_note(dev);
}

void rtc_init(struct rtc *t, int64_t now_s, const struct bus_line *line,
              const struct bus_clock *clock)
{
    *t = (struct rtc){.a = 0x26, .b = B_24H, .line = *line, .clock = *clock};
    time_set(t, now_s);
    periodic_restart(t);
}

int rtc_attach(struct rtc *t, struct bus *bus)
{
    static const struct bus_ops ops = {port_read, port_write};
    static const struct bus_timer_ops timer = {deadline, expire};
    int err = bus_add_ports(bus, 0x70, 2, 1, &ops, t);

    return err ? err : bus_add_timer(bus, &timer, t);
}

void rtc_save(const struct rtc *t, struct save_writer *w)
{
    size_t begin = save_begin(w, RTC_TAG, RTC_VERSION);

    save_u8(w, t->index);
    save_u8(w, t->a);
    save_u8(w, t->b);
    save_u8(w, t->c);
    save_bytes(w, t->alarm, sizeof(t->alarm));
    save_bytes(w, t->cmos, sizeof(t->cmos));
    save_u64(w, (uint64_t)t->base_s);
    save_u64(w, t->base_ns);
    save_u64(w, (uint64_t)t->seen_s);
    save_u64(w, t->periodic_ns);
    save_end(w, begin);
}

int rtc_load(struct rtc *t, struct save_reader *r)
{
    struct rtc n = {.line = t->line, .clock = t->clock};

    (void)load_begin(r, RTC_TAG, RTC_VERSION);
    n.index = (uint8_t)load_max(r, 1, RTC_BYTES - 1);
    n.a = (uint8_t)load_max(r, 1, 0x7F);
    n.b = load_u8(r);
    n.c = load_u8(r) & (C_IRQ | EVENTS);
    load_bytes(r, n.alarm, sizeof(n.alarm));
    load_bytes(r, n.cmos, sizeof(n.cmos));
    n.base_s = (int64_t)load_u64(r);
    n.base_ns = load_u64(r);
    n.seen_s = (int64_t)load_u64(r);
    n.periodic_ns = load_u64(r);
    uint64_t now = bus_clock_now(&n.clock);
    if (n.base_s < TIME_MIN || n.base_s > TIME_MAX || n.seen_s < n.base_s || n.base_ns > now ||
        (uint64_t)(n.seen_s - n.base_s) > (now - n.base_ns) / NS_PER_S)
        r->err = -EINVAL;
    if (load_end(r) < 0)
        return r->err;
    *t = n;
    bus_line_set(&t->line, t->c & C_IRQ);
    return 0;
}
