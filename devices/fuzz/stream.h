/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_FUZZ_STREAM_H
#define DEVICES_FUZZ_STREAM_H

/*
 * A hostile driver: four bytes of input are one access to a port or register of a device, some
 * time going by, or something that happens on the host's side. Now and then the device is saved
 * and loaded; nothing may change by that.
 */
#include <stdlib.h>
#include <string.h>
#include "devices/bus.h"
#include "lib/save.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bus bus;
static uint64_t now_ns;
static unsigned lines_set;

static inline void need(bool ok)
{
    if (!ok)
        abort();
}

static inline uint64_t stream_now(void *ctx)
{
    return now_ns;
}

static inline void stream_line(void *ctx, unsigned number, bool high)
{
    lines_set++;
}

static const struct bus_clock stream_clock = {stream_now, NULL};
static const struct bus_line stream_irq = {stream_line, NULL, 0};

struct stream_device {
    void (*host)(uint8_t a, uint8_t b); /* NULL: nothing happens there */
    void (*save)(struct save_writer *w);
    int (*load)(struct save_reader *r);
    uint64_t first[2]; /* of ports, or of memory */
    bool memory;
};

static inline void stream_save(const struct stream_device *d)
{
    static uint8_t one[8192], two[8192];
    struct save_writer w = {.buf = one, .size = sizeof(one)};
    struct save_writer w2 = {.buf = two, .size = sizeof(two)};
    struct save_reader r = {.buf = one};

    d->save(&w);
    need(!w.err);
    r.size = w.len;
    need(d->load(&r) == 0);
    d->save(&w2);
    need(w.len == w2.len && memcmp(one, two, w.len) == 0);
}

static inline void stream_access(const struct stream_device *d, const uint8_t *op)
{
    static const unsigned sizes[] = {1, 1, 2, 4};
    unsigned size = sizes[op[0] >> 4 & 3];
    uint64_t at = d->first[op[0] >> 6 & 1] + op[1] % 80;
    uint64_t v = op[2] | (uint64_t)op[3] << 8 | (uint64_t)op[2] << 24;

    if (d->memory && op[0] & 1)
        bus_memory_write(&bus, at, size, v);
    else if (d->memory)
        need(bus_memory_read(&bus, at, size) <= ~0ULL >> (64 - 8 * size));
    else if (op[0] & 1)
        bus_port_write(&bus, (uint16_t)at, size, v);
    else
        need(bus_port_read(&bus, (uint16_t)at, size) <= ~0ULL >> (64 - 8 * size));
}

/* Timers: a bound of what one step of time may cause. */
static inline void stream_time(const uint8_t *op)
{
    now_ns += (uint64_t)op[1] << (op[2] % 32);
    for (unsigned i = 0; bus_deadline(&bus) <= now_ns; i++) {
        need(i < 4);
        bus_expire(&bus, now_ns);
    }
}

static inline void stream_run(const struct stream_device *d, const uint8_t *data, size_t size)
{
    for (; size >= 4; data += 4, size -= 4) {
        switch (data[0] >> 1 & 7) {
        case 0:
            stream_time(data);
            break;
        case 1:
            if (d->host)
                d->host(data[1], data[2]);
            break;
        case 2:
            stream_save(d);
            break;
        default:
            stream_access(d, data);
            break;
        }
    }
}

/* A hostile saved state: a sound one with some of its bytes changed. If it is taken, it must work.
 */
static inline void stream_load(const struct stream_device *d, const uint8_t *data, size_t size)
{
    static uint8_t buf[8192];
    struct save_writer w = {.buf = buf, .size = sizeof(buf)};
    struct save_reader r = {.buf = buf};

    d->save(&w);
    for (size_t i = 0; i + 1 < size && i < 64; i += 2)
        buf[data[i] % w.len] = data[i + 1];
    r.size = w.len;
    if (d->load(&r) == 0)
        stream_save(d);
}

/* Half of the inputs start from such a state. */
static inline int stream_input(const struct stream_device *d, const uint8_t *data, size_t size)
{
    size_t n;

    if (size < 2)
        return 0;
    n = data[0] & 1 ? data[1] % 64U : 0;
    n = n > size - 2 ? size - 2 : n;
    stream_load(d, data + 2, n);
    stream_run(d, data + 2 + n, size - 2 - n);
    return 0;
}

/* Give `type` and its instance `dev` the two functions above. */
#define STREAM_SAVES(type, dev)                                                                    \
    static void stream_dev_save(struct save_writer *w)                                             \
    {                                                                                              \
        type##_save(&dev, w);                                                                      \
    }                                                                                              \
    static int stream_dev_load(struct save_reader *r)                                              \
    {                                                                                              \
        return type##_load(&dev, r);                                                               \
    }

#endif
