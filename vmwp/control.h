/* SPDX-License-Identifier: MIT */
#ifndef VMWP_CONTROL_H
#define VMWP_CONTROL_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/hosted/problem.h"

/*
 * The control socket: a client sends one JSON object on a line, and gets one back. A request may
 * bring descriptors along (SCM_RIGHTS): the worker itself can open nothing. vmwp.8 has the
 * requests.
 *
 *     {"do": "disk-remove", "controller": 0, "lun": 3}
 *     {"ok": true}                    or {"ok": false, "error": "there is no lun 3"}
 */

#define CONTROL_CLIENTS  4U
#define CONTROL_POLLS    (1U + CONTROL_CLIENTS)
#define CONTROL_LINE_MAX 65536U
#define CONTROL_FILES    64U /* descriptors of one request */

struct control;

/** What a request brings. The descriptors are closed afterwards; -1 in the place of one that the
 * handler has taken. */
struct control_request {
    const json_t *object;
    uint64_t ticket; /* for an answer that comes later */
    int file[CONTROL_FILES];
    unsigned files;
};

#define CONTROL_LATER 1

/** Carry out a request. 0 with what is to be added to {"ok": true} in *answer (or NULL), or -errno
 * with *why; or CONTROL_LATER: control_answer() will be called with the ticket. */
typedef int control_handler(void *ctx, struct control_request *request, json_t **answer,
                            struct problem *why);

/** Listen there. 0, or -errno with *why. */
int control_open(struct control **out, const char *path, struct problem *why);
/** Who carries out requests, in the thread that calls control_serve(). */
void control_handle(struct control *c, control_handler *handler, void *ctx);
/** The answer that was to come later, in the same thread, as the handler gives one; *answer is
 * taken over. A client that has gone meanwhile does not matter. */
void control_answer(struct control *c, uint64_t ticket, int err, json_t *answer,
                    const struct problem *why);
/** Closes all connections; the name stays. NULL is allowed. */
void control_close(struct control *c);

/** Fill CONTROL_POLLS entries, and act on what poll() has found. NULL: there is no socket. */
void control_poll(const struct control *c, struct pollfd *polls);
void control_serve(struct control *c, const struct pollfd *polls);

#endif
