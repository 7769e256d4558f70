/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "abi/vsp/ic/icmsg.h"
#include "vmwp/services_priv.h"

#define UNITS_PER_S 10000000ULL    /* of 100 ns */
#define EPOCH_S     11644473600ULL /* from 1601 to 1970 */

static uint64_t clock_now(clockid_t clock, uint64_t per_s)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * per_s + (uint64_t)t.tv_nsec / (1000000000ULL / per_s);
}

static uint64_t host_now_ns(void *ctx)
{
    return clock_now(CLOCK_MONOTONIC, 1000000000ULL);
}

static uint64_t host_utc(void *ctx)
{
    return clock_now(CLOCK_REALTIME, UNITS_PER_S) + EPOCH_S * UNITS_PER_S;
}

static int host_reference(void *ctx, uint64_t *time_100_ns)
{
    struct services *s = ctx;

    return hv_reference_time(s->hv, time_100_ns);
}

static bool wanted(const struct config_services *c, enum ic_kind kind)
{
    const bool all[IC_KINDS] = {
        [IC_HEARTBEAT] = c->heartbeat,
        [IC_SHUTDOWN] = c->shutdown,
        [IC_TIME] = c->time,
        [IC_KVP] = c->kvp,
        [IC_VSS] = c->vss,
        [IC_COPY] = c->copy,
    };

    return all[kind];
}

int services_open(struct services **out, const struct config *config, struct hv *hv,
                  struct control *control, struct problem *why)
{
    struct services *s = calloc(1, sizeof(*s));
    struct ic_host host = {s, host_now_ns, host_utc, host_reference};
    int err = 0;

    if (!s)
        return problem_set(why, -ENOMEM, "out of memory");
    s->hv = hv;
    s->control = control;
    (void)pthread_mutex_init(&s->lock, NULL);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake < 0)
        err = problem_set(why, -errno, "services: %m");
    for (enum ic_kind i = 0; i < IC_KINDS && !err; i++)
        if (wanted(&config->services, i))
            err = ic_create(&s->ic[i], i, &host);
    if (err == -ENOMEM)
        (void)problem_set(why, err, "services: out of memory");
    if (err)
        services_close(s);
    else
        *out = s;
    return err;
}

void services_job_free(struct services_job *job)
{
    if (job->request.verb == IC_ASK_COPY && job->request.copy.file >= 0)
        (void)close(job->request.copy.file);
    json_decref(job->found);
    json_decref(job->words);
    free(job);
}

static struct services_job *ended_take(struct services *s)
{
    struct services_job *job;

    (void)pthread_mutex_lock(&s->lock);
    job = s->ended;
    s->ended = NULL;
    (void)pthread_mutex_unlock(&s->lock);
    return job;
}

void services_close(struct services *s)
{
    struct services_job *job;

    if (!s)
        return;
    for (unsigned i = 0; i < IC_KINDS; i++)
        ic_destroy(s->ic[i]);
    job = ended_take(s);
    while (job) {
        struct services_job *next = job->next;
        services_job_free(job);
        job = next;
    }
    if (s->wake >= 0)
        (void)close(s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

struct ic *services_ic(struct services *s, unsigned kind)
{
    return s->ic[kind];
}

int services_fd(const struct services *s)
{
    return s->wake;
}

/* In the thread of a service. */
static void done(struct ic_request *r, int err)
{
    struct services_job *job = r->ctx, **end;
    struct services *s = job->services;

    job->err = err;
    job->next = NULL;
    (void)pthread_mutex_lock(&s->lock);
    for (end = &s->ended; *end; end = &(*end)->next)
        ;
    *end = job;
    (void)pthread_mutex_unlock(&s->lock);
    (void)eventfd_write(s->wake, 1);
}

/* A guest's status, for people. */
static const char *status_text(uint32_t status)
{
    switch (status) {
    case IC_E_FAIL:
        return "it failed, or the daemon for it does not run there";
    case IC_E_NO_MORE:
        return "there is no such thing";
    case IC_E_NOT_SUPPORTED:
        return "it does not know how to";
    case IC_E_ALREADY_EXISTS:
        return "it is there already";
    case IC_E_INVALID_ARGUMENT:
        return "it does not take what was given";
    case IC_E_DISK_FULL:
        return "its disk is full";
    case IC_E_NOT_FOUND:
        return "it has no such adapter";
    default:
        return "for a reason of its own";
    }
}

static int explain(int err, const struct ic_request *r, struct problem *why)
{
    const char *name = ic_name(ic_verb_kind(r->verb));

    switch (err) {
    case -ENOTCONN:
        return problem_set(why, err, "the guest has no %s service, or has no driver for it", name);
    case -ETIMEDOUT:
        return problem_set(why, err, "%s: the guest has not answered in %u s", name,
                           r->timeout_ms / 1000);
    case -EREMOTEIO:
        return problem_set(why, err, "%s: the guest refuses: %s (0x%08x)", name,
                           status_text(r->status), r->status);
    case -ETIME:
        return problem_set(why, err,
                           "the freeze had ended by itself: what was copied is not consistent");
    case -EALREADY:
        return problem_set(why, err, "it is frozen already");
    case -ENODATA:
        return problem_set(why, err, "it is not frozen");
    case -EPROTO:
        return problem_set(why, err, "%s: the guest has broken the protocol", name);
    case -EBUSY:
        return problem_set(why, err, "%s: too many requests wait", name);
    case -EINVAL:
        return problem_set(why, err, "%s: a text is empty, too long, or no UTF-8", name);
    default:
        return problem_set(why, err, "%s: %s", name, strerror(-err));
    }
}

int services_begin(struct services *s, struct services_job *job, struct problem *why)
{
    const enum ic_kind kind = ic_verb_kind(job->request.verb);
    int err;

    job->services = s;
    job->request.ctx = job;
    job->request.done = done;
    if (!s->ic[kind])
        err =
            problem_set(why, -ENODEV, "the %s service is off in the configuration", ic_name(kind));
    else if (s->paused)
        err = problem_set(why, -EBUSY, "the machine is paused");
    else
        err = ic_ask(s->ic[kind], &job->request);
    if (!err)
        return CONTROL_LATER;
    if (err != -ENODEV && !s->paused)
        (void)explain(err, &job->request, why);
    services_job_free(job);
    return err;
}

static void answer(struct services *s, struct services_job *job)
{
    struct problem why = {{0}};
    int err = job->err ? explain(job->err, &job->request, &why) : 0;
    json_t *found;

    if (!err && job->finish)
        err = job->finish(job, &why);
    found = job->found;
    job->found = NULL;
    control_answer(s->control, job->ticket, err, found, &why);
    services_job_free(job);
}

void services_serve(struct services *s)
{
    struct services_job *job;
    eventfd_t count;

    (void)eventfd_read(s->wake, &count);
    job = ended_take(s);
    while (job) {
        struct services_job *next = job->next;
        answer(s, job);
        job = next;
    }
}

void services_pause(struct services *s, bool pause)
{
    s->paused = pause;
    for (unsigned i = 0; i < IC_KINDS; i++) {
        if (s->ic[i] && pause)
            ic_pause(s->ic[i]);
        else if (s->ic[i])
            ic_resume(s->ic[i]);
    }
    if (!pause && s->ic[IC_TIME])
        ic_sync(s->ic[IC_TIME]);
}

static json_t *counters_of(struct ic *ic)
{
    static const char *const states[IC_STATES] = {
        [IC_CLOSED] = "closed",   [IC_NEGOTIATING] = "negotiating", [IC_READY] = "ready",
        [IC_REFUSED] = "refused", [IC_BROKEN] = "broken",
    };
    struct ic_info i;
    char version[16];

    ic_info(ic, &i);
    (void)snprintf(version, sizeof(version), "%u.%u", i.version[0], i.version[1]);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "state", states[i.state], "version", version,
                     "sent", (json_int_t)i.sent, "answered", (json_int_t)i.answered, "strays",
                     (json_int_t)i.strays, "timeouts", (json_int_t)i.timeouts);
}

json_t *services_counters(struct services *s)
{
    json_t *all = json_object();

    for (enum ic_kind i = 0; i < IC_KINDS; i++)
        if (s->ic[i])
            (void)json_object_set_new(all, ic_name(i), counters_of(s->ic[i]));
    return all;
}
