/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * All that a device sees of its machine: a bus that brings it accesses to ports and memory, lines
 * that it raises, a clock, and timers. Devices do not know each other.
 *
 * Nothing here locks. The machine holds one lock around every call into a bus or a device, so a
 * device is plain sequential code; what it calls back runs under that lock and must not block.
 */

#define BUS_RANGES 24 /* of ports, and as many of memory */
#define BUS_TIMERS 8
#define BUS_NEVER  UINT64_MAX

/**
 * A device's answer to accesses. `offset` counts from the start of its range; `size` is 1, 2, 4 or
 * 8 bytes, never more than the range's width. Values are right aligned; the bus cuts what is read
 * to `size`.
 */
struct bus_ops {
    uint64_t (*read)(void *dev, uint64_t offset, unsigned size);
    void (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
};

/** When a device wants to be called (ns of its clock, BUS_NEVER), and that call. */
struct bus_timer_ops {
    uint64_t (*deadline)(void *dev);
    void (*expire)(void *dev, uint64_t now_ns);
};

/** An interrupt line; a `set` of NULL leads nowhere. */
struct bus_line {
    void (*set)(void *ctx, unsigned number, bool high);
    void *ctx;
    unsigned number;
};

/** Time that stops when the machine is saved: nanoseconds, never backwards. */
struct bus_clock {
    uint64_t (*now_ns)(void *ctx);
    void *ctx;
};

struct bus_range {
    uint64_t first;
    uint64_t count;
    unsigned width;
    const struct bus_ops *ops;
    void *dev;
};

struct bus_timer {
    const struct bus_timer_ops *ops;
    void *dev;
};

struct bus {
    struct bus_range ports[BUS_RANGES];
    struct bus_range memory[BUS_RANGES];
    struct bus_timer timers[BUS_TIMERS];
    unsigned port_count;
    unsigned memory_count;
    unsigned timer_count;
};

static inline void bus_line_set(const struct bus_line *line, bool high)
{
    if (line->set)
        line->set(line->ctx, line->number, high);
}

static inline uint64_t bus_clock_now(const struct bus_clock *clock)
{
    return clock->now_ns(clock->ctx);
}

/**
 * Give a range to a device. Accesses wider than `width` (1, 2, 4, 8) reach it in pieces of that
 * width, as an 8-bit device sees a 16-bit access. 0, -EINVAL (empty or past the end of the space),
 * -EEXIST (overlaps another), -ENOSPC.
 */
int bus_add_ports(struct bus *bus, uint16_t first, unsigned count, unsigned width,
                  const struct bus_ops *ops, void *dev);
int bus_add_memory(struct bus *bus, uint64_t first, uint64_t count, unsigned width,
                   const struct bus_ops *ops, void *dev);

/** 0 or -ENOSPC. */
int bus_add_timer(struct bus *bus, const struct bus_timer_ops *ops, void *dev);

/** Accesses by a guest; where nobody answers reads give all ones and writes vanish. */
uint64_t bus_port_read(const struct bus *bus, uint16_t port, unsigned size);
void bus_port_write(const struct bus *bus, uint16_t port, unsigned size, uint64_t value);
uint64_t bus_memory_read(const struct bus *bus, uint64_t addr, unsigned size);
void bus_memory_write(const struct bus *bus, uint64_t addr, unsigned size, uint64_t value);

/** The earliest deadline of all timers, and the call of those that are due. */
uint64_t bus_deadline(const struct bus *bus);
void bus_expire(const struct bus *bus, uint64_t now_ns);

#endif
