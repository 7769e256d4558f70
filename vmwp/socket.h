/* SPDX-License-Identifier: MIT */
#ifndef VMWP_SOCKET_H
#define VMWP_SOCKET_H

#include "lib/hosted/problem.h"

/**
 * Listen on a Unix socket that only its owner may use. A name on which nobody listens any more is
 * taken over. The descriptor, or -errno with *why, which begins with `what`.
 */
int socket_listen(const char *path, const char *what, struct problem *why);

#endif
