/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "vsp/ic/ic_priv.h"

/*
 * The host's time: the guest gets a sample every five seconds, for a daemon that disciplines its
 * clock. After it has stood still (it has just started, was paused, or comes from a saved state)
 * the next one sets its clock.
 */

#define PERIOD_NS   (5 * NS_PER_S)
#define CLOSE_100NS 10000U /* both clocks were read within a millisecond */
#define TRIES       4U

static void reset(struct ic *ic)
{
    ic->sync = true;
    ic->next_ns = 0;
}

/* The host's and the guest's time of one moment. False: the guest's is not to be had. */
static bool moment(const struct ic *ic, uint64_t *utc, uint64_t *reference)
{
    const struct ic_host *h = &ic->host;
    uint64_t before, after;

    /* Whoever is interrupted between the clocks looks again. */
    for (unsigned i = 0; i < TRIES; i++) {
        if (h->reference(h->ctx, &before) < 0)
            return false;
        *utc = h->utc(h->ctx);
        if (h->reference(h->ctx, &after) < 0)
            return false;
        *reference = before + (after - before) / 2;
        if (after - before < CLOSE_100NS)
            break;
    }
    return true;
}

static size_t sample(const struct ic *ic, uint8_t flags, uint8_t *body)
{
    struct ic_time_reference m = {.flags = flags};
    struct ic_time old = {.flags = flags};
    uint64_t utc, reference;

    if (ic->protocol.message.major < 4) {
        old.host = ic->host.utc(ic->host.ctx);
        memcpy(body, &old, sizeof(old));
        return sizeof(old);
    }
    if (!moment(ic, &utc, &reference))
        return 0;
    m.host = utc;
    m.reference = reference;
    memcpy(body, &m, sizeof(m));
    return sizeof(m);
}

static size_t next(struct ic *ic, uint64_t now, uint8_t *body)
{
    size_t length;

    if (!ic->sync && now < ic->next_ns)
        return 0;
    length = sample(ic, ic->sync ? IC_TIME_SYNC : IC_TIME_SAMPLE, body);
    ic->next_ns = now + PERIOD_NS;
    if (length)
        ic->sync = false;
    return length;
}

static void answer(struct ic *ic, const struct protocol_answer *a, bool mine)
{
}

static uint64_t due(const struct ic *ic)
{
    return ic->next_ns;
}

const struct ic_service ic_service_time = {
    .name = "time",
    .type = {IC_TIME_CLASS_BYTES},
    .instance = {IC_TIME_INSTANCE_BYTES},
    .protocol = {ICMSG_TIME, 3, {{1, 0}, {3, 0}, {4, 0}}},
    .reset = reset,
    .next = next,
    .answer = answer,
    .due = due,
};
