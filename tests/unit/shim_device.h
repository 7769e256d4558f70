/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_DEVICE_H
#define TESTS_UNIT_SHIM_DEVICE_H

/* A machine for one device: a bus, a clock that the test turns, and a line that it watches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "devices/bus.h"
#include "lib/save.h"

static struct bus bus;
static uint64_t now_ns;
static bool line_high;
static unsigned line_rises;
static uint8_t saved[4096];

static inline uint64_t shim_now(void *ctx)
{
    return now_ns;
}

static inline void shim_line(void *ctx, unsigned number, bool high)
{
    line_rises += high && !line_high;
    line_high = high;
}

static const struct bus_clock shim_clock = {shim_now, NULL};
static const struct bus_line shim_irq = {shim_line, NULL, 0};

static inline void shim_reset(void)
{
    memset(&bus, 0, sizeof(bus));
    now_ns = 1000;
    line_high = false;
    line_rises = 0;
}

static inline uint8_t inb(uint16_t port)
{
    return (uint8_t)bus_port_read(&bus, port, 1);
}

static inline void outb(uint16_t port, uint8_t v)
{
    bus_port_write(&bus, port, 1, v);
}

/* Let time go by as the machine's main thread does. */
static inline void shim_advance(uint64_t ns)
{
    uint64_t until = now_ns + ns;

    for (unsigned i = 0; i < 100000; i++) {
        uint64_t next = bus_deadline(&bus);
        if (next > until)
            break;
        now_ns = next > now_ns ? next : now_ns;
        bus_expire(&bus, now_ns);
    }
    now_ns = until;
}

/*
 * Save `dev`, load it into `other` (initialized the same way), save that: the bytes must be equal.
 * Then every shortened or lengthened form and every other tag and version must be refused with
 * `other` untouched.
 */
#define CHECK_SAVE(type, dev, other)                                                               \
    do {                                                                                           \
        uint8_t again[sizeof(saved)];                                                              \
        struct save_writer w = {.buf = saved, .size = sizeof(saved)};                              \
        struct save_writer w2 = {.buf = again, .size = sizeof(again)};                             \
        type##_save(dev, &w);                                                                      \
        assert_int_equal(w.err, 0);                                                                \
        struct save_reader r = {.buf = saved, .size = w.len};                                      \
        assert_int_equal(type##_load(other, &r), 0);                                               \
        assert_int_equal(r.pos, w.len);                                                            \
        type##_save(other, &w2);                                                                   \
        assert_int_equal(w2.len, w.len);                                                           \
        assert_memory_equal(saved, again, w.len);                                                  \
        for (size_t n = 0; n < w.len; n++) {                                                       \
            struct save_reader cut = {.buf = saved, .size = n};                                    \
            assert_int_equal(type##_load(other, &cut), -EINVAL);                                   \
            struct save_writer full = {.buf = again, .size = n};                                   \
            type##_save(dev, &full);                                                               \
            assert_int_equal(full.err, -ENOSPC);                                                   \
        }                                                                                          \
        for (unsigned i = 0; i < SAVE_HEADER; i++) {                                               \
            saved[i] ^= 0x40;                                                                      \
            struct save_reader bad = {.buf = saved, .size = w.len};                                \
            assert_int_equal(type##_load(other, &bad), -EINVAL);                                   \
            saved[i] ^= 0x40;                                                                      \
        }                                                                                          \
        w2.len = 0;                                                                                \
        type##_save(other, &w2);                                                                   \
        assert_memory_equal(saved, again, w.len);                                                  \
    } while (0)

#endif
