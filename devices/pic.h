/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_PIC_H
#define DEVICES_PIC_H

#include "devices/bus.h"
#include "lib/save.h"

/*
 * The pair of 8259A interrupt controllers as an I/O APIC machine has them: nothing is wired to
 * them, so they never interrupt, but they answer whoever initializes, masks and polls them.
 */

struct pic_chip {
    uint8_t mask;
    uint8_t base;     /* ICW2 */
    uint8_t elcr;     /* edge or level */
    uint8_t expected; /* the ICW that comes next, 2 to 4; 0: none */
    bool want_icw4;
    bool single; /* no ICW3 */
    bool read_isr;
};

struct pic {
    struct pic_chip chip[2];
};

void pic_init(struct pic *p);
/** Ports 0x20, 0x21, 0xA0, 0xA1, 0x4D0 and 0x4D1. */
int pic_attach(struct pic *p, struct bus *bus);

void pic_save(const struct pic *p, struct save_writer *w);
int pic_load(struct pic *p, struct save_reader *r);

#endif
