/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vsp/ic/ic_priv.h"

/*
 * The work of a service between two sleeps: requests that are too old end, answers are taken, and
 * one message goes out if none is under way. A guest that does not answer is owed no more.
 */

static uint64_t now_ns(const struct ic *ic)
{
    return ic->host.now_ns(ic->host.ctx);
}

static void ended_put(struct ic *ic, struct ic_request *r, int err)
{
    struct ic_request **end = &ic->ended;

    while (*end)
        end = &(*end)->next;
    r->next = NULL;
    r->deadline_ns = (uint64_t)-err; /* it has no other use any more */
    *end = r;
}

void ic_end(struct ic *ic, int err)
{
    struct ic_request *r = ic->current;

    if (!r)
        return;
    ic->current = NULL;
    ic->about_current = false;
    ended_put(ic, r, err);
}

void ic_end_status(struct ic *ic, uint32_t status)
{
    if (ic->current)
        ic->current->status = status;
    ic_end(ic, status == IC_S_OK ? 0 : -EREMOTEIO);
}

/* The request ends though its message may be under way. */
static void drop_current(struct ic *ic, int err)
{
    if (ic->current && ic->service->drop)
        ic->service->drop(ic);
    ic_end(ic, err);
}

static void waiting_end(struct ic *ic, struct ic_request **at, int err)
{
    struct ic_request *r = *at;

    *at = r->next;
    ic->waiting_count--;
    ended_put(ic, r, err);
}

void ic_forget(struct ic *ic, int err)
{
    drop_current(ic, err);
    while (ic->waiting)
        waiting_end(ic, &ic->waiting, err);
    ic->unsent = 0;
}

void ic_begin(struct ic *ic)
{
    memset(&ic->protocol, 0, sizeof(ic->protocol));
    ic->lost = false;
    ic->heard_ns = now_ns(ic);
    ic->next_ns = 0;
    ic->service->reset(ic);
}

static void expire(struct ic *ic, uint64_t now)
{
    if (ic->current && now >= ic->current->deadline_ns) {
        ic->timeouts++;
        drop_current(ic, -ETIMEDOUT);
    }
    for (struct ic_request **at = &ic->waiting; *at;) {
        if (now >= (*at)->deadline_ns) {
            ic->timeouts++;
            waiting_end(ic, at, -ETIMEDOUT);
        } else {
            at = &(*at)->next;
        }
    }
}

/* The guest has broken the ring or the protocol: nothing more is said until it closes. */
static void lose(struct ic *ic)
{
    ic->lost = true;
    ic_forget(ic, -EPROTO);
}

static void agreed(struct ic *ic)
{
    switch (ic->protocol.state) {
    case PROTOCOL_READY:
        ic->service->reset(ic);
        break;
    case PROTOCOL_REFUSED:
        ic_forget(ic, -ENOTCONN);
        break;
    default:
        lose(ic);
        break;
    }
}

static void packet(struct ic *ic, const struct vmbus_packet *p)
{
    struct protocol_answer a;
    bool mine;

    switch (ic_protocol_packet(&ic->protocol, &ic->service->protocol, p->data, p->length, &a)) {
    case PROTOCOL_STRAY:
        ic->strays++;
        break;
    case PROTOCOL_AGREED:
        ic->heard_ns = now_ns(ic);
        agreed(ic);
        break;
    case PROTOCOL_ANSWER:
        ic->heard_ns = now_ns(ic);
        ic->answered++;
        mine = ic->about_current && ic->current;
        ic->about_current = false;
        ic->service->answer(ic, &a, mine);
        break;
    }
}

/* Whether there may be more. */
static bool receive(struct ic *ic)
{
    struct vmbus_packet p;

    for (unsigned i = 0; i < IC_BATCH; i++) {
        int got = vmbus_channel_receive(ic->channel, &p, ic->in, sizeof(ic->in));

        if (got == 0)
            return false;
        if (got < 0) {
            lose(ic);
            return false;
        }
        if (p.type == VMBUS_PACKET_INBAND && !ic->lost)
            packet(ic, &p);
    }
    return true;
}

static void start_next(struct ic *ic)
{
    if (ic->current || !ic->waiting)
        return;
    ic->current = ic->waiting;
    ic->waiting = ic->current->next;
    ic->waiting_count--;
}

/* Make the next message, if there is one to be sent. */
static void make(struct ic *ic, uint64_t now)
{
    uint8_t *body = ic->out + sizeof(struct icmsg_header);
    size_t length = 0;

    if (ic->unsent || ic->protocol.in_flight || ic->lost)
        return;
    if (ic->protocol.state == PROTOCOL_NEW) {
        ic->unsent = ic_protocol_offer(&ic->protocol, &ic->service->protocol, ic->out);
        return;
    }
    if (ic->protocol.state != PROTOCOL_READY)
        return;
    /* A request that is over at once leaves its turn to the next. */
    for (unsigned i = 0; i <= IC_REQUESTS_MAX && length == 0; i++) {
        bool more = ic->current || ic->waiting;

        start_next(ic);
        length = ic->service->next(ic, now, body);
        if (!more)
            break;
    }
    if (length == 0)
        return;
    ic->about_current = ic->current != NULL;
    ic->unsent = ic_protocol_frame(&ic->protocol, &ic->service->protocol, ic->out, length);
}

/* A ring without room is tried again when the guest signals. */
static void transmit(struct ic *ic)
{
    int err;

    if (!ic->unsent)
        return;
    err = vmbus_channel_send(ic->channel, VMBUS_PACKET_INBAND, ic->protocol.transaction, false,
                             ic->out, ic->unsent);
    if (err == -EAGAIN)
        return;
    ic->unsent = 0;
    if (err) {
        lose(ic);
        return;
    }
    ic->sent++;
    ic->sent_ns = now_ns(ic);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t due(const struct ic *ic)
{
    uint64_t first = ic->current ? ic->current->deadline_ns : IC_NEVER;

    for (const struct ic_request *r = ic->waiting; r; r = r->next)
        first = earlier(first, r->deadline_ns);
    if (ic->service->due && !ic->pausing && !ic->lost && !ic->protocol.in_flight &&
        ic->protocol.state == PROTOCOL_READY)
        first = earlier(first, ic->service->due(ic));
    return first;
}

uint64_t ic_work(struct ic *ic)
{
    uint64_t now = now_ns(ic);
    bool more = false;

    expire(ic, now);
    if (!ic->pausing) {
        more = receive(ic);
        make(ic, now);
        transmit(ic);
        vmbus_channel_signal(ic->channel);
    }
    return more ? 0 : due(ic);
}

void ic_deliver(struct ic *ic)
{
    struct ic_request *r;

    (void)pthread_mutex_lock(&ic->lock);
    r = ic->ended;
    ic->ended = NULL;
    (void)pthread_mutex_unlock(&ic->lock);
    while (r) {
        struct ic_request *next = r->next;

        r->done(r, -(int)r->deadline_ns);
        r = next;
    }
}
