/* SPDX-License-Identifier: MIT */
#include "devices/pit.h"
#include "lib/bits.h"

#define NS_PER_S 1000000000U
/* A guest may ask for an interrupt each 838 ns; it does not get more than 5000 in a second. */
#define PERIOD_MIN_NS 200000U

#define STATUS_OUT  BIT(7)
#define STATUS_NULL BIT(6)

#define PORT61_GATE    BIT(0)
#define PORT61_SPEAKER BIT(1)
#define PORT61_REFRESH BIT(4)
#define PORT61_OUT     BIT(5)
#define REFRESH_NS     15085U /* half a period of the memory refresh, 15 us */

#define LATCHED_COUNT  BIT(0)
#define LATCHED_STATUS BIT(1)

#define PIT_TAG     0x54495020U
#define PIT_VERSION 1U

static uint64_t ns_to_ticks(uint64_t ns)
{
    return (uint64_t)((unsigned __int128)ns * PIT_HZ / NS_PER_S);
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * NS_PER_S / PIT_HZ);
}

static bool periodic(const struct pit_channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static uint64_t ticks_since(const struct pit *p, const struct pit_channel *c)
{
    uint64_t now = bus_clock_now(&p->clock);

    if (!c->loaded || !c->gate || now < c->start_ns)
        return 0;
    return ns_to_ticks(now - c->start_ns);
}

static uint16_t count_now(const struct pit *p, const struct pit_channel *c)
{
    uint64_t t = ticks_since(p, c);

    if (c->mode == 3) /* counts down by two, twice in a period */
        return (uint16_t)(c->count - (2 * t) % c->count);
    if (c->mode == 2)
        return (uint16_t)(c->count - t % c->count);
    return (uint16_t)(c->count - t); /* goes on after zero */
}

static bool out_now(const struct pit *p, const struct pit_channel *c)
{
    uint64_t t = ticks_since(p, c);

    if (!c->loaded)
        return c->mode != 0;
    if (c->mode == 2)
        return t % c->count != c->count - 1;
    if (c->mode == 3)
        return t % c->count < (c->count + 1) / 2;
    return t >= c->count;
}

static uint64_t period_ns(const struct pit_channel *c)
{
    uint64_t ns = ticks_to_ns(c->count);

    return ns < PERIOD_MIN_NS ? PERIOD_MIN_NS : ns;
}

/* Counting starts anew; channel 0 will interrupt at its end. */
static void channel_start(struct pit *p, struct pit_channel *c)
{
    c->start_ns = bus_clock_now(&p->clock);
    c->loaded = true;
    if (c == &p->ch[0])
        p->next_ns = c->start_ns + period_ns(c);
}

static void count_write(struct pit *p, struct pit_channel *c, uint8_t v)
{
    uint32_t n = v;

    if (c->access == 3 && !c->write_high) {
        c->low = v;
        c->write_high = true;
        return;
    }
    if (c->access == 3)
        n = c->low | (uint32_t)v << 8;
    else if (c->access == 2)
        n = (uint32_t)v << 8;
    c->write_high = false;
    c->count = n ? n : 0x10000;
    channel_start(p, c);
}

static void latch_count(const struct pit *p, struct pit_channel *c)
{
    if (c->latched & LATCHED_COUNT)
        return;
    c->latch = count_now(p, c);
    c->latched |= LATCHED_COUNT;
}

static void latch_status(const struct pit *p, struct pit_channel *c)
{
    if (c->latched & LATCHED_STATUS)
        return;
    uint8_t flags = (out_now(p, c) ? STATUS_OUT : 0) | (c->loaded ? 0 : STATUS_NULL);
    c->status = (uint8_t)(flags | c->access << 4 | c->mode << 1 | (uint8_t)c->bcd);
    c->latched |= LATCHED_STATUS;
}

static void mode_write(struct pit *p, uint8_t v)
{
    unsigned n = v >> 6;

    if (n == 3) { /* read back */
        for (unsigned i = 0; i < 3; i++) {
            if (!(v >> (i + 1) & 1))
                continue;
            if (!(v & BIT(5)))
                latch_count(p, &p->ch[i]);
            if (!(v & BIT(4)))
                latch_status(p, &p->ch[i]);
        }
        return;
    }
    struct pit_channel *c = &p->ch[n];
    if ((v >> 4 & 3) == 0) {
        latch_count(p, c);
        return;
    }
    c->access = v >> 4 & 3;
    c->mode = (v >> 1 & 7) > 5 ? (v >> 1 & 7) - 4 : v >> 1 & 7;
    c->bcd = v & 1;
    c->loaded = c->write_high = c->read_high = false;
    c->latched = 0;
    if (n == 0)
        p->next_ns = BUS_NEVER;
}

static uint8_t count_read(struct pit *p, struct pit_channel *c)
{
    uint16_t v = c->latched & LATCHED_COUNT ? c->latch : count_now(p, c);
    bool high = c->access == 2 || (c->access == 3 && c->read_high);

    if (c->latched & LATCHED_STATUS) {
        c->latched &= (uint8_t)~LATCHED_STATUS;
        return c->status;
    }
    if (c->access == 3)
        c->read_high = !c->read_high;
    if (c->access != 3 || high)
        c->latched &= (uint8_t)~LATCHED_COUNT;
    return (uint8_t)(high ? v >> 8 : v);
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
    struct pit *p = dev;

    return offset < 3 ? count_read(p, &p->ch[offset]) : 0xFF;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pit *p = dev;

    if (offset < 3)
        count_write(p, &p->ch[offset], (uint8_t)value);
    else
        mode_write(p, (uint8_t)value);
}

static uint64_t port61_read(void *dev, uint64_t offset, unsigned size)
{
    const struct pit *p = dev;
    bool refresh = bus_clock_now(&p->clock) / REFRESH_NS & 1;

    return p->port61 | (refresh ? PORT61_REFRESH : 0) | (out_now(p, &p->ch[2]) ? PORT61_OUT : 0);
}

static void port61_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pit *p = dev;
    struct pit_channel *c = &p->ch[2];
    bool gate = value & PORT61_GATE;

    /* A rising gate starts a new count, but for mode 0, which only waits meanwhile. */
    if (gate && !c->gate && c->loaded)
        channel_start(p, c);
    c->gate = gate;
    p->port61 = (uint8_t)(value & (PORT61_GATE | PORT61_SPEAKER));
}

static uint64_t deadline(void *dev)
{
    const struct pit *p = dev;

    return p->next_ns;
}

static void expire(void *dev, uint64_t now_ns)
{
    struct pit *p = dev;

    bus_line_set(&p->line, true);
    bus_line_set(&p->line, false);
    /* Ticks that were missed are not made up for. */
    if (periodic(&p->ch[0]))
        p->next_ns += ((now_ns - p->next_ns) / period_ns(&p->ch[0]) + 1) * period_ns(&p->ch[0]);
    else
        p->next_ns = BUS_NEVER;
}

void pit_init(struct pit *p, const struct bus_line *line, const struct bus_clock *clock)
{
    *p = (struct pit){.next_ns = BUS_NEVER, .line = *line, .clock = *clock};
    for (unsigned i = 0; i < 3; i++)
        p->ch[i] = (struct pit_channel){.mode = 3, .access = 3, .gate = i < 2, .count = 0x10000};
}

int pit_attach(struct pit *p, struct bus *bus)
{
    static const struct bus_ops ops = {port_read, port_write};
    static const struct bus_ops ops61 = {port61_read, port61_write};
    static const struct bus_timer_ops timer = {deadline, expire};
    int err = bus_add_ports(bus, 0x40, 4, 1, &ops, p);

    if (!err)
        err = bus_add_ports(bus, 0x61, 1, 1, &ops61, p);
    return err ? err : bus_add_timer(bus, &timer, p);
}

void pit_save(const struct pit *p, struct save_writer *w)
{
    size_t begin = save_begin(w, PIT_TAG, PIT_VERSION);

    save_u8(w, p->port61);
    save_u64(w, p->next_ns);
    for (unsigned i = 0; i < 3; i++) {
        const struct pit_channel *c = &p->ch[i];
        save_u8(w, c->mode);
        save_u8(w, c->access);
        save_u8(w, (uint8_t)(c->bcd | c->gate << 1 | c->loaded << 2 | c->write_high << 3 |
                             c->read_high << 4));
        save_u8(w, c->low);
        save_u8(w, c->latched);
        save_u8(w, c->status);
        save_u16(w, c->latch);
        save_u32(w, c->count);
        save_u64(w, c->start_ns);
    }
    save_end(w, begin);
}

static void channel_load(struct pit_channel *c, struct save_reader *r)
{
    c->mode = (uint8_t)load_max(r, 1, 5);
    c->access = (uint8_t)load_max(r, 1, 3);
    uint8_t flags = (uint8_t)load_max(r, 1, 0x1F);
    c->bcd = flags & 1;
    c->gate = flags & 2;
    c->loaded = flags & 4;
    c->write_high = flags & 8;
    c->read_high = flags & 16;
    c->low = load_u8(r);
    c->latched = (uint8_t)load_max(r, 1, 3);
    c->status = load_u8(r);
    c->latch = load_u16(r);
    c->count = (uint32_t)load_max(r, 4, 0x10000);
    c->start_ns = load_u64(r);
    if (c->count == 0)
        r->err = -EINVAL;
}

int pit_load(struct pit *p, struct save_reader *r)
{
    struct pit n = {.line = p->line, .clock = p->clock};

    (void)load_begin(r, PIT_TAG, PIT_VERSION);
    n.port61 = (uint8_t)load_max(r, 1, 3);
    n.next_ns = load_u64(r);
    for (unsigned i = 0; i < 3; i++)
        channel_load(&n.ch[i], r);
    if (load_end(r) < 0)
        return r->err;
    *p = n;
    return 0;
}
