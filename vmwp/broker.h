/* SPDX-License-Identifier: MIT */
#ifndef VMWP_BROKER_H
#define VMWP_BROKER_H

#include "vmwp/config.h"

/*
 * The worker cannot connect to anything: what a guest that has taken it over could reach would be
 * every socket of the host. So a process beside it does, to the sockets of a list and no other; the
 * worker names a number of that list and gets a descriptor.
 */

struct broker;

/** Start the process. Before there are threads, with the rights to reach the services. 0, or -errno
 * with *why. */
int broker_start(struct broker **out, const struct config_socket *config, struct problem *why);
/** It ends with this, or with the worker. NULL is allowed. */
void broker_stop(struct broker *b);

/** A socket that is connected to the service of that number, or -errno. One thread at a time. */
int broker_dial(struct broker *b, unsigned service);

#endif
