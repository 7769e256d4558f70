/* SPDX-License-Identifier: MIT */
#include "devices/pciconf.h"

#define ADDRESS_VALID 0x80FFFFFCU

#define PCICONF_TAG     0x49435020U
#define PCICONF_VERSION 1U

/* Only whole doublewords reach the address register; 0xCF9 in its middle is the reset port. */
static uint64_t address_read(void *dev, uint64_t offset, unsigned size)
{
    const struct pciconf *c = dev;

    return size == 4 ? c->address : ~0ULL;
}

static void address_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct pciconf *c = dev;

    if (size == 4)
        c->address = (uint32_t)value & ADDRESS_VALID;
}

static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
    return ~0ULL;
}

static void data_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
}

void pciconf_init(struct pciconf *c)
{
    *c = (struct pciconf){0};
}

int pciconf_attach(struct pciconf *c, struct bus *bus)
{
    static const struct bus_ops address = {address_read, address_write};
    static const struct bus_ops data = {data_read, data_write};
    int err = bus_add_ports(bus, 0xCF8, 1, 4, &address, c);

    return err ? err : bus_add_ports(bus, 0xCFC, 4, 4, &data, c);
}

void pciconf_save(const struct pciconf *c, struct save_writer *w)
{
    size_t begin = save_begin(w, PCICONF_TAG, PCICONF_VERSION);

    save_u32(w, c->address);
    save_end(w, begin);
}

int pciconf_load(struct pciconf *c, struct save_reader *r)
{
    struct pciconf n;

    (void)load_begin(r, PCICONF_TAG, PCICONF_VERSION);
    n.address = load_u32(r) & ADDRESS_VALID;
    if (load_end(r) < 0)
        return r->err;
    *c = n;
    return 0;
}
