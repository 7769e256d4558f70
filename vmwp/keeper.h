/* SPDX-License-Identifier: MIT */
#ifndef VMWP_KEEPER_H
#define VMWP_KEEPER_H

#include "vmwp/console.h"

/*
 * The worker cannot undo everything it has done: it loses the rights, and it may be killed. So it
 * runs in a child process, and its parent, the keeper, does nothing but wait, hand signals on, and
 * put the terminal and the socket right at the end.
 */

/**
 * Run `worker(arg)` in a child process; returns its exit status, or 128 and the number of the
 * signal that ended it. The console is restored. -errno with *why if there is no child.
 */
int keeper_run(struct console *console, int (*worker)(void *arg), void *arg, struct problem *why);

#endif
