/* SPDX-License-Identifier: MIT */
#include "devices/bus.h"
#include <stddef.h>
#include "lib/errno.h"

#define PORTS 0x10000ULL

static int range_add(struct bus_range *ranges, unsigned *used, const struct bus_range *r)
{
    if (r->count == 0 || r->first + (r->count - 1) < r->first)
        return -EINVAL;
    for (unsigned i = 0; i < *used; i++)
        if (r->first <= ranges[i].first + (ranges[i].count - 1) &&
            ranges[i].first <= r->first + (r->count - 1))
            return -EEXIST;
    if (*used == BUS_RANGES)
        return -ENOSPC;
    ranges[(*used)++] = *r;
    return 0;
}

int bus_add_ports(struct bus *bus, uint16_t first, unsigned count, unsigned width,
                  const struct bus_ops *ops, void *dev)
{
    const struct bus_range r = {first, count, width, ops, dev};

    if (first + (uint64_t)count > PORTS)
        return -EINVAL;
    return range_add(bus->ports, &bus->port_count, &r);
}

int bus_add_memory(struct bus *bus, uint64_t first, uint64_t count, unsigned width,
                   const struct bus_ops *ops, void *dev)
{
    const struct bus_range r = {first, count, width, ops, dev};

    return range_add(bus->memory, &bus->memory_count, &r);
}

int bus_add_timer(struct bus *bus, const struct bus_timer_ops *ops, void *dev)
{
    if (bus->timer_count == BUS_TIMERS)
        return -ENOSPC;
    bus->timers[bus->timer_count++] = (struct bus_timer){ops, dev};
    return 0;
}

static uint64_t size_mask(unsigned size)
{
    return ~0ULL >> (64 - 8 * size);
}

static const struct bus_range *range_find(const struct bus_range *ranges, unsigned used,
                                          uint64_t at)
{
    for (unsigned i = 0; i < used; i++)
        if (at >= ranges[i].first && at - ranges[i].first < ranges[i].count)
            return &ranges[i];
    return NULL;
}

/* The part of an access that one device takes: `size`, or its width if that is less. */
static unsigned piece(const struct bus_range *r, unsigned size)
{
    if (!r)
        return 1;
    return r->width < size ? r->width : size;
}

static uint64_t access_read(const struct bus_range *ranges, unsigned used, uint64_t at,
                            unsigned size)
{
    uint64_t value = 0;

    for (unsigned done = 0, n; done < size; done += n) {
        const struct bus_range *r = range_find(ranges, used, at + done);
        n = piece(r, size - done);
        uint64_t v = r ? r->ops->read(r->dev, at + done - r->first, n) : ~0ULL;
        value |= (v & size_mask(n)) << (8 * done);
    }
    return value;
}

static void access_write(const struct bus_range *ranges, unsigned used, uint64_t at, unsigned size,
                         uint64_t value)
{
    for (unsigned done = 0, n; done < size; done += n) {
        const struct bus_range *r = range_find(ranges, used, at + done);
        n = piece(r, size - done);
        if (r)
            r->ops->write(r->dev, at + done - r->first, n, value >> (8 * done) & size_mask(n));
    }
}

uint64_t bus_port_read(const struct bus *bus, uint16_t port, unsigned size)
{
    return access_read(bus->ports, bus->port_count, port, size);
}

void bus_port_write(const struct bus *bus, uint16_t port, unsigned size, uint64_t value)
{
    access_write(bus->ports, bus->port_count, port, size, value);
}

uint64_t bus_memory_read(const struct bus *bus, uint64_t addr, unsigned size)
{
    return access_read(bus->memory, bus->memory_count, addr, size);
}

void bus_memory_write(const struct bus *bus, uint64_t addr, unsigned size, uint64_t value)
{
    access_write(bus->memory, bus->memory_count, addr, size, value);
}

uint64_t bus_deadline(const struct bus *bus)
{
    uint64_t first = BUS_NEVER;

    for (unsigned i = 0; i < bus->timer_count; i++) {
        uint64_t t = bus->timers[i].ops->deadline(bus->timers[i].dev);
        first = t < first ? t : first;
    }
    return first;
}

void bus_expire(const struct bus *bus, uint64_t now_ns)
{
    for (unsigned i = 0; i < bus->timer_count; i++)
        if (bus->timers[i].ops->deadline(bus->timers[i].dev) <= now_ns)
            bus->timers[i].ops->expire(bus->timers[i].dev, now_ns);
}
