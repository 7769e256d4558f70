/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "devices/bus.h"
#include "lib/save.h"

/* An I/O APIC of 24 pins (82093AA data sheet; the EOI register as of version 0x20). */

#define IOAPIC_PINS 24U
#define IOAPIC_SIZE 0x1000U

/** Delivery modes of a redirection entry. */
enum ioapic_mode {
    IOAPIC_FIXED = 0,
    IOAPIC_LOWEST = 1,
    IOAPIC_SMI = 2,
    IOAPIC_NMI = 4,
    IOAPIC_INIT = 5,
    IOAPIC_EXTINT = 7,
};

/** An interrupt on its way to local APICs. */
struct ioapic_message {
    uint8_t vector;
    uint8_t destination;
    uint8_t mode; /* enum ioapic_mode; 3 and 6 are never delivered */
    bool logical;
    bool level;
};

struct ioapic_host {
    void (*deliver)(void *ctx, const struct ioapic_message *m);
    void *ctx;
};

struct ioapic {
    /* Saved. */
    uint8_t select;
    uint8_t id;
    uint32_t lines; /* levels of the pins */
    uint64_t entry[IOAPIC_PINS];
    /* Not saved. */
    struct ioapic_host host;
};

void ioapic_init(struct ioapic *io, uint8_t id, const struct ioapic_host *host);
int ioapic_attach(struct ioapic *io, struct bus *bus, uint64_t base);
/** A pin changes. Pins from IOAPIC_PINS on do not exist and are ignored. */
void ioapic_set(struct ioapic *io, unsigned pin, bool high);
/** A local APIC has ended a level-triggered interrupt. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

void ioapic_save(const struct ioapic *io, struct save_writer *w);
/** 0, or -EINVAL with the device untouched. Nothing is delivered. */
int ioapic_load(struct ioapic *io, struct save_reader *r);

#endif
