/* SPDX-License-Identifier: MIT */
#include "devices/debugport.h"

#define PORT 0xE9U

#define DEBUGPORT_TAG     0x39453020U
#define DEBUGPORT_VERSION 1U

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
    return PORT;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct debugport *d = dev;
    char c = (char)(value & 0x7F);

    if (c >= ' ' && c < 0x7F)
        d->text[d->used++] = c;
    if (d->used < DEBUGPORT_LINE && c != '\n')
        return;
    d->text[d->used] = 0;
    d->used = 0;
    if (d->host.line)
        d->host.line(d->host.ctx, d->text);
}

void debugport_init(struct debugport *d, const struct debugport_host *host)
{
    *d = (struct debugport){.host = *host};
}

int debugport_attach(struct debugport *d, struct bus *bus)
{
    static const struct bus_ops ops = {port_read, port_write};

    return bus_add_ports(bus, PORT, 1, 1, &ops, d);
}

void debugport_save(const struct debugport *d, struct save_writer *w)
{
    size_t begin = save_begin(w, DEBUGPORT_TAG, DEBUGPORT_VERSION);

    save_u8(w, d->used);
    save_bytes(w, d->text, d->used);
    save_end(w, begin);
}

int debugport_load(struct debugport *d, struct save_reader *r)
{
    struct debugport n = {.host = d->host};

    (void)load_begin(r, DEBUGPORT_TAG, DEBUGPORT_VERSION);
    n.used = (uint8_t)load_max(r, 1, DEBUGPORT_LINE - 1);
    load_bytes(r, n.text, n.used);
    for (unsigned i = 0; i < n.used; i++)
        if (n.text[i] < ' ' || n.text[i] >= 0x7F)
            r->err = -EINVAL;
    if (load_end(r) < 0)
        return r->err;
    *d = n;
    return 0;
}
