/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_RTC_H
#define DEVICES_RTC_H

#include "devices/bus.h"
#include "lib/save.h"

/*
 * MC146818 clock with 128 bytes of CMOS memory, ports 0x70 and 0x71, IRQ 8. The time is UTC: the
 * host's when the machine starts, and from then on what the guest makes of it.
 */

#define RTC_BYTES 128

struct rtc {
    /* Saved. */
    uint8_t index;
    uint8_t a, b, c;  /* control registers; c: what has happened since it was read */
    uint8_t alarm[3]; /* second, minute, hour as the guest wrote them */
    uint8_t cmos[RTC_BYTES];
    int64_t base_s;       /* the time ... */
    uint64_t base_ns;     /* ... at this moment of the clock */
    int64_t seen_s;       /* the last second whose update has been noted */
    uint64_t periodic_ns; /* the next periodic event; BUS_NEVER */
    /* Not saved. */
    struct bus_line line;
    struct bus_clock clock;
};

/** `now_s`: seconds since 1970. */
void rtc_init(struct rtc *t, int64_t now_s, const struct bus_line *line,
              const struct bus_clock *clock);
int rtc_attach(struct rtc *t, struct bus *bus);

void rtc_save(const struct rtc *t, struct save_writer *w);
int rtc_load(struct rtc *t, struct save_reader *r);

#endif
