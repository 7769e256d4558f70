/* SPDX-License-Identifier: MIT */
#include "devices/pic.h"
#include "lib/bits.h"

#define ICW1        BIT(4) /* of a command: start of an initialization */
#define ICW1_ICW4   BIT(0)
#define ICW1_SINGLE BIT(1)
#define OCW3        BIT(3)
#define OCW3_READ   BIT(1)
#define OCW3_ISR    BIT(0)

#define ELCR_MASTER 0xF8U /* lines that may be level-triggered */
#define ELCR_SLAVE  0xDEU

#define PIC_TAG     0x43495020U
#define PIC_VERSION 1U

static void command_write(struct pic_chip *c, uint8_t v)
{
    if (v & ICW1) {
        c->mask = 0;
        c->read_isr = false;
        c->single = v & ICW1_SINGLE;
        c->want_icw4 = v & ICW1_ICW4;
        c->expected = 2;
    } else if (v & OCW3 && v & OCW3_READ) {
        c->read_isr = v & OCW3_ISR;
    } /* an EOI finds nothing in service */
}

static void data_write(struct pic_chip *c, uint8_t v)
{
    uint8_t last = c->want_icw4 ? 4 : 0;

    switch (c->expected) {
    case 2:
        c->base = v & 0xF8;
        c->expected = c->single ? last : 3;
        break;
    case 3:
        c->expected = last;
        break;
    case 4:
        c->expected = 0;
        break;
    default:
        c->mask = v;
        break;
    }
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
    const struct pic_chip *c = dev;

    return offset ? c->mask : 0; /* nothing is requested, nothing in service */
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset)
        data_write(dev, (uint8_t)value);
    else
        command_write(dev, (uint8_t)value);
}

static uint64_t elcr_read(void *dev, uint64_t offset, unsigned size)
{
    const struct pic *p = dev;

    return p->chip[offset].elcr;
}

static void elcr_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pic *p = dev;

    p->chip[offset].elcr = (uint8_t)(value & (offset ? ELCR_SLAVE : ELCR_MASTER));
}

void pic_init(struct pic *p)
{
    *p = (struct pic){.chip = {{.mask = 0xFF}, {.mask = 0xFF}}};
}

int pic_attach(struct pic *p, struct bus *bus)
{
    static const struct bus_ops ops = {port_read, port_write};
    static const struct bus_ops elcr = {elcr_read, elcr_write};
    int err = bus_add_ports(bus, 0x20, 2, 1, &ops, &p->chip[0]);

    if (!err)
        err = bus_add_ports(bus, 0xA0, 2, 1, &ops, &p->chip[1]);
    return err ? err : bus_add_ports(bus, 0x4D0, 2, 1, &elcr, p);
}

void pic_save(const struct pic *p, struct save_writer *w)
{
    size_t begin = save_begin(w, PIC_TAG, PIC_VERSION);

    for (unsigned i = 0; i < 2; i++) {
        const struct pic_chip *c = &p->chip[i];
        save_u8(w, c->mask);
        save_u8(w, c->base);
        save_u8(w, c->elcr);
        save_u8(w, c->expected);
        save_u8(w, (uint8_t)(c->want_icw4 | c->single << 1 | c->read_isr << 2));
    }
    save_end(w, begin);
}

int pic_load(struct pic *p, struct save_reader *r)
{
    struct pic n = {0};

    (void)load_begin(r, PIC_TAG, PIC_VERSION);
    for (unsigned i = 0; i < 2; i++) {
        struct pic_chip *c = &n.chip[i];
        c->mask = load_u8(r);
        c->base = load_u8(r) & 0xF8;
        c->elcr = load_u8(r) & (i ? ELCR_SLAVE : ELCR_MASTER);
        c->expected = (uint8_t)load_max(r, 1, 4);
        uint8_t flags = (uint8_t)load_max(r, 1, 7);
        c->want_icw4 = flags & 1;
        c->single = flags & 2;
        c->read_isr = flags & 4;
    }
    if (load_end(r) < 0)
        return r->err;
    *p = n;
    return 0;
}
