/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_POWER_H
#define DEVICES_POWER_H

#include "devices/bus.h"
#include "lib/save.h"

/*
 * Power and reset: the fixed hardware of ACPI (specification 6.5, section 4.8), always in ACPI
 * mode, and the ways by which PCs are reset: port 0xCF9, and 0xFE to port 0x64.
 */

#define POWER_PM1_EVENT   0x600U /* status, enable: 4 bytes */
#define POWER_PM1_CONTROL 0x604U /* 2 bytes */
#define POWER_PM_TIMER    0x608U /* 4 bytes */
#define POWER_RESET_PORT  0xCF9U
#define POWER_RESET_VALUE 0x06U
#define POWER_KBC_PORT    0x64U
#define POWER_SLEEP_S5    5U /* what SLP_TYP means "off" */

struct power_host {
    void (*off)(void *ctx);
    void (*reset)(void *ctx);
    void *ctx;
};

struct power {
    /* Saved. */
    uint16_t status, enable, control;
    uint8_t reset; /* what was last written to 0xCF9 */
    /* Not saved. */
    struct bus_line sci;
    struct power_host host;
    struct bus_clock clock;
};

void power_init(struct power *p, const struct bus_line *sci, const struct power_host *host,
                const struct bus_clock *clock);
int power_attach(struct power *p, struct bus *bus);
/** Somebody presses the button: the guest is asked to shut down. */
void power_button(struct power *p);

void power_save(const struct power *p, struct save_writer *w);
int power_load(struct power *p, struct save_reader *r);

#endif
