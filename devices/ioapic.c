/* SPDX-License-Identifier: MIT */
#include "devices/ioapic.h"
#include "lib/bits.h"

/* The memory window. */
#define REG_SELECT 0x00U
#define REG_WINDOW 0x10U
#define REG_EOI    0x40U

/* What REG_SELECT selects. */
#define INDEX_ID      0x00U
#define INDEX_VERSION 0x01U
#define INDEX_ARB     0x02U
#define INDEX_ENTRY   0x10U

#define VERSION (0x20U | (IOAPIC_PINS - 1) << 16)

/* A redirection entry. */
#define RTE_MODE_SHIFT 8
#define RTE_LOGICAL    BIT64(11)
#define RTE_STATUS     BIT64(12)
#define RTE_REMOTE_IRR BIT64(14)
#define RTE_LEVEL      BIT64(15)
#define RTE_MASKED     BIT64(16)
#define RTE_DEST_SHIFT 56
#define RTE_READ_ONLY  (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_VALID      0xFF0000000001FFFFULL

#define IOAPIC_TAG     0x43504149U /* "IAPC" */
#define IOAPIC_VERSION 1U

static void deliver(struct ioapic *io, uint64_t e)
{
    const struct ioapic_message m = {
        .vector = (uint8_t)e,
        .destination = (uint8_t)(e >> RTE_DEST_SHIFT),
        .mode = (uint8_t)(e >> RTE_MODE_SHIFT & 7),
        .logical = e & RTE_LOGICAL,
        .level = e & RTE_LEVEL,
    };

    if (m.mode != 3 && m.mode != 6 && io->host.deliver)
        io->host.deliver(io->host.ctx, &m);
}

/* A level-triggered pin that is high, unmasked and not in service is delivered. */
static void level_service(struct ioapic *io, unsigned pin)
{
    uint64_t *e = &io->entry[pin];

    if (!(*e & RTE_LEVEL) || *e & (RTE_MASKED | RTE_REMOTE_IRR) || !(io->lines >> pin & 1))
        return;
    *e |= RTE_REMOTE_IRR;
    deliver(io, *e);
}

void ioapic_set(struct ioapic *io, unsigned pin, bool high)
{
    bool was;

    if (pin >= IOAPIC_PINS)
        return;
    was = io->lines >> pin & 1;
    io->lines = (io->lines & ~BIT(pin)) | (uint32_t)high << pin;
    /* An edge at a masked pin is lost, as in the 82093AA. */
    if (high && !was && !(io->entry[pin] & (RTE_LEVEL | RTE_MASKED)))
        deliver(io, io->entry[pin]);
    level_service(io, pin);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *e = &io->entry[pin];
        if ((uint8_t)*e != vector || !(*e & RTE_REMOTE_IRR))
            continue;
        *e &= ~RTE_REMOTE_IRR;
        level_service(io, pin);
    }
}

static void entry_write(struct ioapic *io, unsigned index, uint32_t v)
{
    unsigned pin = (index - INDEX_ENTRY) / 2, shift = index % 2 ? 32 : 0;
    uint64_t *e = &io->entry[pin];
    uint64_t n = (*e & ~(0xFFFFFFFFULL << shift)) | (uint64_t)v << shift;

    *e = (n & RTE_VALID & ~RTE_READ_ONLY) | (*e & RTE_READ_ONLY);
    /* Guests without an EOI register end an interrupt by making it edge-triggered for a moment. */
    if (!(*e & RTE_LEVEL))
        *e &= ~RTE_REMOTE_IRR;
    level_service(io, pin);
}

static uint32_t indexed_read(const struct ioapic *io)
{
    unsigned i = io->select;

    if (i == INDEX_ID || i == INDEX_ARB)
        return (uint32_t)io->id << 24;
    if (i == INDEX_VERSION)
        return VERSION;
    if (i >= INDEX_ENTRY && i < INDEX_ENTRY + 2 * IOAPIC_PINS)
        return (uint32_t)(io->entry[(i - INDEX_ENTRY) / 2] >> (i % 2 ? 32 : 0));
    return 0;
}

static void indexed_write(struct ioapic *io, uint32_t v)
{
    unsigned i = io->select;

    if (i == INDEX_ID)
        io->id = v >> 24 & 0x0F;
    else if (i >= INDEX_ENTRY && i < INDEX_ENTRY + 2 * IOAPIC_PINS)
        entry_write(io, i, v);
}

/* The registers are 32 bits wide at 16-byte steps; anything else is no access. */
static uint64_t mem_read(void *dev, uint64_t offset, unsigned size)
{
    const struct ioapic *io = dev;

    if (offset == REG_SELECT)
        return io->select;
    return offset == REG_WINDOW && size == 4 ? indexed_read(io) : 0;
}

static void mem_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct ioapic *io = dev;

    if (offset == REG_SELECT)
        io->select = (uint8_t)value;
    else if (offset == REG_WINDOW && size == 4)
        indexed_write(io, (uint32_t)value);
    else if (offset == REG_EOI && size == 4)
        ioapic_eoi(io, (uint8_t)value);
}

void ioapic_init(struct ioapic *io, uint8_t id, const struct ioapic_host *host)
{
    *io = (struct ioapic){.id = id & 0x0F, .host = *host};
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        io->entry[pin] = RTE_MASKED;
}

int ioapic_attach(struct ioapic *io, struct bus *bus, uint64_t base)
{
    static const struct bus_ops ops = {mem_read, mem_write};

    return bus_add_memory(bus, base, IOAPIC_SIZE, 4, &ops, io);
}

void ioapic_save(const struct ioapic *io, struct save_writer *w)
{
    size_t begin = save_begin(w, IOAPIC_TAG, IOAPIC_VERSION);

    save_u8(w, io->select);
    save_u8(w, io->id);
    save_u32(w, io->lines);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        save_u64(w, io->entry[pin]);
    save_end(w, begin);
}

int ioapic_load(struct ioapic *io, struct save_reader *r)
{
    struct ioapic n = {.host = io->host};

    (void)load_begin(r, IOAPIC_TAG, IOAPIC_VERSION);
    n.select = load_u8(r);
    n.id = (uint8_t)load_max(r, 1, 0x0F);
    n.lines = (uint32_t)load_max(r, 4, (1ULL << IOAPIC_PINS) - 1);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        n.entry[pin] = load_u64(r) & RTE_VALID;
        if (!(n.entry[pin] & RTE_LEVEL))
            n.entry[pin] &= ~RTE_REMOTE_IRR;
    }
    if (load_end(r) < 0)
        return r->err;
    *io = n;
    return 0;
}
