/* SPDX-License-Identifier: MIT */
#ifndef VMWP_LOG_H
#define VMWP_LOG_H

#include <stdbool.h>

/* Lines on standard error, "vmwp: NAME: ...". */

/** Before anything else is logged. */
void log_setup(const char *name, bool verbose);

__attribute__((format(printf, 1, 2))) void log_error(const char *fmt, ...);
/** Only with --verbose. */
__attribute__((format(printf, 1, 2))) void log_verbose(const char *fmt, ...);
/** The same for what a guest can cause: only with --verbose, and a bounded number of lines. */
__attribute__((format(printf, 1, 2))) void log_guest(const char *fmt, ...);

#endif
