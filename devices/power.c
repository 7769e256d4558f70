/* SPDX-License-Identifier: MIT */
#include "devices/power.h"
#include "lib/bits.h"

#define STATUS_BUTTON BIT(8)
#define STATUS_MASK   0x8731U /* timer, bus master, global, power and sleep button, RTC, wake */
#define ENABLE_MASK   0x0721U

#define CONTROL_SCI        BIT(0)
#define CONTROL_TYPE_SHIFT 10
#define CONTROL_TYPE_MASK  (7U << CONTROL_TYPE_SHIFT)
#define CONTROL_SLEEP      BIT(13) /* reads as zero */

#define RESET_SYSTEM BIT(1)
#define RESET_CPU    BIT(2)
#define KBC_RESET    0xFEU

#define PM_TIMER_HZ 3579545U
#define NS_PER_S    1000000000U

#define POWER_TAG     0x52575020U
#define POWER_VERSION 1U

static void sci_update(struct power *p)
{
    bus_line_set(&p->sci, p->status & p->enable);
}

static uint64_t event_read(void *dev, uint64_t offset, unsigned size)
{
    const struct power *p = dev;
    uint32_t both = p->status | (uint32_t)p->enable << 16;

    return both >> (8 * offset);
}

static void event_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct power *p = dev;
    uint32_t shifted = (uint32_t)value << (8 * offset);
    uint32_t touched = (uint32_t)(~0ULL >> (64 - 8 * size)) << (8 * offset);

    p->status &= (uint16_t)~shifted; /* a one clears */
    p->enable = (uint16_t)((p->enable & ~(touched >> 16)) | (shifted >> 16 & ENABLE_MASK));
    sci_update(p);
}

static uint64_t control_read(void *dev, uint64_t offset, unsigned size)
{
    const struct power *p = dev;

    return p->control >> (8 * offset);
}

static void control_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct power *p = dev;
    uint32_t touched = (uint32_t)(~0ULL >> (64 - 8 * size)) << (8 * offset);
    uint32_t v = (p->control & ~touched) | ((uint32_t)value << (8 * offset) & touched);

    p->control = (uint16_t)((v & CONTROL_TYPE_MASK) | CONTROL_SCI);
    if (v & CONTROL_SLEEP && (v & CONTROL_TYPE_MASK) >> CONTROL_TYPE_SHIFT == POWER_SLEEP_S5)
        p->host.off(p->host.ctx);
}

static uint64_t timer_read(void *dev, uint64_t offset, unsigned size)
{
    const struct power *p = dev;
    uint64_t now = bus_clock_now(&p->clock);
    uint32_t ticks = (uint32_t)((unsigned __int128)now * PM_TIMER_HZ / NS_PER_S);

    return ticks >> (8 * offset);
}

static void ignored_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
}

static uint64_t reset_read(void *dev, uint64_t offset, unsigned size)
{
    const struct power *p = dev;

    return p->reset;
}

static void reset_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct power *p = dev;
    bool rises = value & RESET_CPU && !(p->reset & RESET_CPU);

    p->reset = (uint8_t)(value & (RESET_SYSTEM | RESET_CPU));
    if (rises)
        p->host.reset(p->host.ctx);
}

/* There is no keyboard controller: its status says that it takes commands and has no data. */
static uint64_t kbc_read(void *dev, uint64_t offset, unsigned size)
{
    return 0;
}

static void kbc_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct power *p = dev;

    if (value == KBC_RESET)
        p->host.reset(p->host.ctx);
}

void power_init(struct power *p, const struct bus_line *sci, const struct power_host *host,
                const struct bus_clock *clock)
{
    *p = (struct power){.control = CONTROL_SCI, .sci = *sci, .host = *host, .clock = *clock};
}

int power_attach(struct power *p, struct bus *bus)
{
    static const struct {
        uint16_t first;
        uint8_t count, width;
        struct bus_ops ops;
    } ranges[] = {
        {POWER_PM1_EVENT, 4, 4, {event_read, event_write}},
        {POWER_PM1_CONTROL, 2, 2, {control_read, control_write}},
        {POWER_PM_TIMER, 4, 4, {timer_read, ignored_write}},
        {POWER_RESET_PORT, 1, 1, {reset_read, reset_write}},
        {POWER_KBC_PORT, 1, 1, {kbc_read, kbc_write}},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
        int err = bus_add_ports(bus, ranges[i].first, ranges[i].count, ranges[i].width,
                                &ranges[i].ops, p);
        if (err)
            return err;
    }
    return 0;
}

void power_button(struct power *p)
{
    p->status |= STATUS_BUTTON;
    sci_update(p);
}

void power_save(const struct power *p, struct save_writer *w)
{
    size_t begin = save_begin(w, POWER_TAG, POWER_VERSION);

    save_u16(w, p->status);
    save_u16(w, p->enable);
    save_u16(w, p->control);
    save_u8(w, p->reset);
    save_end(w, begin);
}

int power_load(struct power *p, struct save_reader *r)
{
    struct power n = {.sci = p->sci, .host = p->host, .clock = p->clock};

    (void)load_begin(r, POWER_TAG, POWER_VERSION);
    n.status = load_u16(r) & STATUS_MASK;
    n.enable = load_u16(r) & ENABLE_MASK;
    n.control = (load_u16(r) & CONTROL_TYPE_MASK) | CONTROL_SCI;
    n.reset = load_u8(r) & (RESET_SYSTEM | RESET_CPU);
    if (load_end(r) < 0)
        return r->err;
    *p = n;
    sci_update(p);
    return 0;
}
