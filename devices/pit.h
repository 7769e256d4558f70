/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_PIT_H
#define DEVICES_PIT_H

#include "devices/bus.h"
#include "lib/save.h"

/*
 * The i8254 timer and port 0x61: three counters at 1193182 Hz. Channel 0 drives IRQ 0, channel 2
 * is gated by port 0x61 and read back there; that is how kernels measure other clocks.
 */

#define PIT_HZ 1193182U

struct pit_channel {
    uint8_t mode;   /* 0 to 5 */
    uint8_t access; /* 1: low byte, 2: high byte, 3: both */
    bool bcd;       /* remembered, counted in binary */
    bool gate;
    bool loaded;     /* a count has been written since the mode was */
    bool write_high; /* access 3: the high byte comes next */
    bool read_high;
    uint8_t low;     /* access 3: the low byte that has come */
    uint8_t latched; /* bit 0: the count is latched, bit 1: the status is */
    uint8_t status;
    uint16_t latch;
    uint32_t count; /* 1 to 0x10000 */
    uint64_t start_ns;
};

struct pit {
    /* Saved. */
    struct pit_channel ch[3];
    uint8_t port61;   /* bits 0 and 1 */
    uint64_t next_ns; /* of channel 0's next interrupt; BUS_NEVER */
    /* Not saved. */
    struct bus_line line;
    struct bus_clock clock;
};

void pit_init(struct pit *p, const struct bus_line *line, const struct bus_clock *clock);
/** Ports 0x40 to 0x43 and 0x61, and a timer. */
int pit_attach(struct pit *p, struct bus *bus);

void pit_save(const struct pit *p, struct save_writer *w);
int pit_load(struct pit *p, struct save_reader *r);

#endif
