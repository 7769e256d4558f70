/* SPDX-License-Identifier: MIT */
#ifndef VMWP_CONSOLE_H
#define VMWP_CONSOLE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include "vmwp/config.h"

/*
 * The host's end of the serial line: a terminal, a file, or a Unix socket. Bytes wait in two
 * bounded rings; the side of the guest (put, get) only touches these and never blocks, the side of
 * the host (poll, serve) belongs to the main thread. The console locks itself.
 */

struct console;

#define CONSOLE_POLLS 2U

/**
 * Open what the configuration names; nothing of the terminal changes yet. A stale socket, on which
 * nobody listens, is replaced. 0, or -errno with *why.
 */
int console_open(struct console **out, const struct config *config, struct problem *why);

/** Called when bytes wait for serve, or room for the guest. Any thread; must not block. */
void console_wake_fd(struct console *c, int eventfd);

/** Start: a terminal goes into raw mode. 0, or -errno with *why. */
int console_start(struct console *c, struct problem *why);

/** What must be undone when everything is over, in whatever process: terminal and socket. */
void console_restore(struct console *c);

/** The guest sends a byte: false if there is no room. */
bool console_put(void *console, uint8_t byte);
/** The next byte for the guest, -1: none. */
int console_get(void *console);

/** What to wait for; CONSOLE_POLLS entries, unused ones have fd -1. */
void console_poll(struct console *c, struct pollfd *polls);
/** Act on what came. False: the user wants to leave (Ctrl-A X). */
bool console_serve(struct console *c, const struct pollfd *polls);
/** Give what still waits a moment to leave; at the end. */
void console_flush(struct console *c);

#endif
