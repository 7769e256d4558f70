/* SPDX-License-Identifier: MIT */
#ifndef VMWP_SANDBOX_H
#define VMWP_SANDBOX_H

#include "vmwp/config.h"

/*
 * Privilege only falls: first what does not hinder the setup, then, before there is a partition or
 * a second thread, everything else. What remains afterwards is the descriptors that are open,
 * threads, memory. docs/trust.md says what may be done with them.
 */

/** At the start: no descriptors but the standard three, which all exist. */
void sandbox_descriptors(void);

/** After the setup, by the only thread. 0, or -errno with *why. */
int sandbox_enter(const struct config *config, struct problem *why);

#endif
