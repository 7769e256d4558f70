/* SPDX-License-Identifier: MIT */
#ifndef VMWP_TAP_H
#define VMWP_TAP_H

#include <stdbool.h>
#include "lib/hosted/problem.h"

/*
 * TAP devices: the host's end of a guest's network. Used by the worker before it gives up its
 * rights, and by vmwpctl for it.
 */

#define TAP_NAME_MAX 16U /* with the NUL: IFNAMSIZ */

/** Whether a device may have that name. */
bool tap_name_good(const char *name);

/** Open `queues` queues of a device, which is made if there is none, and goes with the last
 * descriptor then; set its MTU and switch it on, if that is allowed. `fd` has room for as many. 0,
 * or -errno with *why. */
int tap_open(const char *name, unsigned queues, unsigned mtu, int *fd, struct problem *why);

/** What the worker may still do with one. Whether the device has several queues is in `many`. */
int tap_check(int fd, bool *many, struct problem *why);
/** Let frames come to a queue, or not; what is in it goes. 0 or -errno. */
int tap_attach(int fd, bool many, bool on);
/** Whether TCP segments may come joined, over IPv4 and over IPv6. 0 or -errno. */
int tap_coalesce(int fd, bool ip4, bool ip6);

#endif
