/* SPDX-License-Identifier: MIT */
#ifndef VMWP_SOCKETS_H
#define VMWP_SOCKETS_H

#include <jansson.h>
#include "vmbus/server.h"
#include "vmwp/config.h"

/* The relay of a machine's sockets: what must be opened while the worker may, and what a guest has
 * from being switched on to its end. Only the main thread calls. */

struct sockets;

/** `listener` is borrowed; -1: the host does not reach the guest. 0, or -errno with *why. Without
 * a word about it in the configuration *out is NULL, which all functions take. */
int sockets_open(struct sockets **out, const struct config *config, int listener,
                 struct problem *why);
void sockets_close(struct sockets *s);

/** A guest's VMBus is there. 0 or -errno. */
int sockets_start(struct sockets *s, struct vmbus_server *server);
/** It is about to go. Again does nothing. */
void sockets_stop(struct sockets *s);
void sockets_pause(struct sockets *s, bool pause);

/** What it has done; JSON's null if there is none. */
json_t *sockets_counters(struct sockets *s);

#endif
