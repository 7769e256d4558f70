/* SPDX-License-Identifier: MIT */
#ifndef VMWP_SERVICES_H
#define VMWP_SERVICES_H

#include "vmwp/config.h"
#include "vmwp/control.h"
#include "vmwp/hv.h"
#include "vsp/ic/ic.h"

/*
 * The integration services of a machine, and the requests of the control socket for them, which
 * are answered when the guest has answered. All in the main thread.
 */

struct services;

/** 0, or -errno with *why. `control` may be NULL. */
int services_open(struct services **out, const struct config *config, struct hv *hv,
                  struct control *control, struct problem *why);
/** VMBus has let go of them. NULL is allowed. */
void services_close(struct services *s);
/** NULL: not offered to the guest. */
struct ic *services_ic(struct services *s, unsigned kind);

/** An eventfd that is readable when a request has come to its end; then services_serve(). */
int services_fd(const struct services *s);
void services_serve(struct services *s);

/** The guest has been stopped, or goes on: then its clock is set. */
void services_pause(struct services *s, bool pause);

/** Whether a request of that name is for services_control(), which is a control_handler. */
bool services_verb(const char *name);
int services_control(struct services *s, struct control_request *request, json_t **answer,
                     struct problem *why);

/** What each does, by its name; NULL: out of memory. */
json_t *services_counters(struct services *s);

#endif
