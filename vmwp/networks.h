/* SPDX-License-Identifier: MIT */
#ifndef VMWP_NETWORKS_H
#define VMWP_NETWORKS_H

#include <jansson.h>
#include "vmwp/config.h"
#include "vsp/network/network.h"

/*
 * The network adapters of a machine and the TAP devices behind them. They are opened before the
 * worker gives up its rights, and outlive a reset of the machine. Only the main thread calls.
 */

struct networks;

/** Open everything that the configuration names. 0, or -errno with *why. */
int networks_open(struct networks **out, const struct config *config, struct problem *why);
/** No channel is open any more. NULL is allowed. */
void networks_close(struct networks *n);

/** The adapter in that place, below CONFIG_NETWORKS_MAX; NULL: there is none. */
struct network *networks_adapter(struct networks *n, unsigned place);

/** One more, in the first place that is free, with the queues of a TAP, which belong to it if this
 * succeeds. The place, or -errno with *why. */
int networks_add(struct networks *n, const struct config_network *what, const int *queue,
                 unsigned queues, struct problem *why);
/** Its channels are closed, and it is offered no more. */
void networks_remove(struct networks *n, unsigned place);

/** A list of all adapters with what their channels have done; NULL: out of memory. */
json_t *networks_counters(struct networks *n);

#endif
