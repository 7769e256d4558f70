/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_PANIC_H
#define DEBUG_PANIC_H

#include <stdbool.h>
#include "hypervisor/arch/x86/trap.h"

/** An exception in hypervisor code: print all that is known and stop the machine. */
_Noreturn void panic_trap(const struct trap_frame *f);

/** True once some LP panics; the others stop at their next NMI. */
bool panic_active(void);

/** Stop this LP for a panic of another. */
_Noreturn void panic_stop_self(void);

/**
 * A condition of the machine or of the configuration, not of our code, that leaves nothing to run:
 * one clear line on every console, then halt.
 */
_Noreturn void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
