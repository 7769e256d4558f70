/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_DEBUGPORT_H
#define DEVICES_DEBUGPORT_H

#include "devices/bus.h"
#include "lib/save.h"

/* Port 0xE9: a byte written there is text for whoever watches; it reads as 0xE9. */

#define DEBUGPORT_LINE 120 /* longer lines are cut */

struct debugport_host {
    /* A line without its newline, NUL terminated, printable ASCII only. */
    void (*line)(void *ctx, const char *text);
    void *ctx;
};

struct debugport {
    /* Saved. */
    uint8_t used;
    char text[DEBUGPORT_LINE + 1];
    /* Not saved. */
    struct debugport_host host;
};

void debugport_init(struct debugport *d, const struct debugport_host *host);
int debugport_attach(struct debugport *d, struct bus *bus);

void debugport_save(const struct debugport *d, struct save_writer *w);
int debugport_load(struct debugport *d, struct save_reader *r);

#endif
