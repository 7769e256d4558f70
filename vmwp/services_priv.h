/* SPDX-License-Identifier: MIT */
#ifndef VMWP_SERVICES_PRIV_H
#define VMWP_SERVICES_PRIV_H

#include <pthread.h>
#include "vmwp/services.h"

/** A request of a client until it is answered. */
struct services_job {
    struct ic_request request;
    struct services *services;
    struct services_job *next; /* of those that have ended */
    uint64_t ticket;
    int err;
    json_t *found;   /* what is answered if all goes well; NULL: nothing */
    const char *key; /* kvp-get: owned by `words` */
    json_t *words;   /* the request */
    /* The answer out of what has been found: 0 or -errno with *why. NULL: `found` is it. */
    int (*finish)(struct services_job *job, struct problem *why);
};

struct services {
    struct ic *ic[IC_KINDS];
    struct hv *hv;
    struct control *control;
    bool paused;
    int wake;
    pthread_mutex_t lock; /* around the list */
    struct services_job *ended;
};

/** It ends with the answer, also if it cannot begin: then -errno with *why. CONTROL_LATER. */
int services_begin(struct services *s, struct services_job *job, struct problem *why);
void services_job_free(struct services_job *job);

#endif
