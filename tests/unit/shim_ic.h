/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_IC_H
#define TESTS_UNIT_SHIM_IC_H

#define SHIM_QUEUE   64U
#define SHIM_PAYLOAD 8192U

#include "tests/unit/shim_channel.h"
#include "vsp/ic/ic_priv.h"

/* One integration service without its thread: a test is the guest, and the clock. */

struct shim_ic {
    struct ic *ic;
    struct vmbus_channel *channel;
    uint64_t now_ns, utc;
    uint64_t reference, reference_step; /* that each look takes */
    bool no_reference;
    struct icmsg_header header; /* of what came last to the guest */
    uint8_t body[IC_BODY_MAX];
    size_t body_length;
};

static inline uint64_t shim_ic_now(void *ctx)
{
    return ((struct shim_ic *)ctx)->now_ns;
}

static inline uint64_t shim_ic_utc(void *ctx)
{
    return ((struct shim_ic *)ctx)->utc;
}

static inline int shim_ic_reference(void *ctx, uint64_t *time_100_ns)
{
    struct shim_ic *s = ctx;

    if (s->no_reference)
        return -EIO;
    *time_100_ns = s->reference;
    s->reference += s->reference_step;
    return 0;
}

static inline int shim_ic_create(struct shim_ic *s, enum ic_kind kind)
{
    const struct ic_host host = {s, shim_ic_now, shim_ic_utc, shim_ic_reference};

    memset(s, 0, sizeof(*s));
    s->now_ns = 1000 * NS_PER_S;
    s->channel = shim_channel_new();
    return ic_create(&s->ic, kind, &host);
}

/* Open it without a thread. */
static inline void shim_ic_open(struct shim_ic *s)
{
    s->ic->channel = s->channel;
    ic_begin(s->ic);
}

static inline void shim_ic_destroy(struct shim_ic *s)
{
    ic_forget(s->ic, -ENOTCONN);
    ic_deliver(s->ic);
    s->ic->channel = NULL;
    ic_destroy(s->ic);
    shim_channel_free(s->channel);
}

/* What the thread does between two sleeps. */
static inline uint64_t shim_ic_work(struct shim_ic *s)
{
    uint64_t due;

    (void)pthread_mutex_lock(&s->ic->lock);
    due = ic_work(s->ic);
    (void)pthread_mutex_unlock(&s->ic->lock);
    ic_deliver(s->ic);
    return due;
}

/* The next message that came to the guest. */
static inline bool shim_ic_take(struct shim_ic *s, unsigned ms)
{
    struct shim_packet p;

    if (!shim_get(s->channel, &p, ms) || p.length < sizeof(s->header))
        return false;
    memcpy(&s->header, p.data, sizeof(s->header));
    s->body_length = p.length - sizeof(s->header);
    memcpy(s->body, p.data + sizeof(s->header), s->body_length);
    return true;
}

/* Answer what came last. */
static inline void shim_ic_reply(struct shim_ic *s, uint32_t status, const void *body, size_t length)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND};

    s->header.status = status;
    s->header.flags = ICMSG_TRANSACTION | ICMSG_RESPONSE;
    s->header.size = (uint16_t)length;
    p.length = (uint32_t)(sizeof(s->header) + length);
    memcpy(p.data, &s->header, sizeof(s->header));
    if (length)
        memcpy(p.data + sizeof(s->header), body, length);
    (void)shim_put(s->channel, &p);
    shim_kick(s->channel);
}

/* The same with the body that came. */
static inline void shim_ic_echo(struct shim_ic *s, uint32_t status)
{
    shim_ic_reply(s, status, s->body, s->body_length);
}

struct shim_ic_choice {
    struct icmsg_negotiate n;
    struct ic_version framework, message;
};

/* Agree on framework 3.0 and on a message version of the offer, which has been taken. */
static inline void shim_ic_choose(struct shim_ic *s, uint16_t major, uint16_t minor)
{
    const struct shim_ic_choice c = {{1, 1, 0}, {3, 0}, {major, minor}};

    shim_ic_reply(s, IC_S_OK, &c, sizeof(c));
}

/* The last version of the offer. */
static inline void shim_ic_agree(struct shim_ic *s)
{
    const struct protocol_service *p = &s->ic->service->protocol;
    const struct ic_version v = p->version[p->version_count - 1];

    shim_ic_choose(s, v.major, v.minor);
}

/* A service that is open and ready. */
static inline int shim_ic_ready(struct shim_ic *s, enum ic_kind kind)
{
    int err = shim_ic_create(s, kind);

    if (err)
        return err;
    shim_ic_open(s);
    (void)shim_ic_work(s);
    if (!shim_ic_take(s, 0))
        return -EIO;
    shim_ic_agree(s);
    (void)shim_ic_work(s);
    return s->ic->protocol.state == PROTOCOL_READY ? 0 : -EPROTO;
}

/* The end of a request. */
struct shim_ic_end {
    bool done;
    int err;
    unsigned pairs;
    char key[IC_KEY_MAX], value[4096];
};

static inline void shim_ic_done(struct ic_request *r, int err)
{
    struct shim_ic_end *end = r->ctx;

    end->done = true;
    end->err = err;
}

static inline int shim_ic_pair(struct ic_request *r, const char *key, const char *value)
{
    struct shim_ic_end *end = r->ctx;

    end->pairs++;
    (void)snprintf(end->key, sizeof(end->key), "%s", key);
    (void)snprintf(end->value, sizeof(end->value), "%s", value);
    return 0;
}

#endif
