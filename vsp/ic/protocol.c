/* SPDX-License-Identifier: MIT */
#include "vsp/ic/protocol.h"
#include <string.h>
#include "lib/bits.h"

/* Of the frame itself; newer guests want 3.0, the oldest know 1.0 only. */
static const struct ic_version frameworks[] = {{1, 0}, {3, 0}};

static bool same(struct ic_version a, struct ic_version b)
{
    return a.major == b.major && a.minor == b.minor;
}

static bool known(const struct ic_version *list, unsigned count, struct ic_version v)
{
    for (unsigned i = 0; i < count; i++)
        if (same(list[i], v))
            return true;
    return false;
}

static void header_put(struct protocol *p, uint16_t type, uint8_t *buf, size_t body)
{
    const struct icmsg_header h = {
        .framework = p->framework,
        .type = type,
        .message = p->message,
        .size = (uint16_t)body,
        .transaction = ++p->transaction,
        .flags = ICMSG_TRANSACTION | ICMSG_REQUEST,
    };

    memcpy(buf, &h, sizeof(h));
    p->in_flight = true;
}

size_t ic_protocol_offer(struct protocol *p, const struct protocol_service *s, uint8_t *buf)
{
    const struct icmsg_negotiate n = {ARRAY_SIZE(frameworks), (uint16_t)s->version_count, 0};
    const size_t own = s->version_count * sizeof(s->version[0]);
    uint8_t *at = buf + sizeof(struct icmsg_header);

    p->framework = frameworks[0];
    p->message = (struct ic_version){0, 0};
    memcpy(at, &n, sizeof(n));
    memcpy(at + sizeof(n), frameworks, sizeof(frameworks));
    memcpy(at + sizeof(n) + sizeof(frameworks), s->version, own);
    header_put(p, ICMSG_NEGOTIATE, buf, sizeof(n) + sizeof(frameworks) + own);
    p->state = PROTOCOL_NEGOTIATING;
    return sizeof(struct icmsg_header) + sizeof(n) + sizeof(frameworks) + own;
}

size_t ic_protocol_frame(struct protocol *p, const struct protocol_service *s, uint8_t *buf,
                         size_t body)
{
    header_put(p, s->type, buf, body);
    return sizeof(struct icmsg_header) + body;
}

/* What the guest has chosen out of our offer. */
static enum protocol_state choice(struct protocol *p, const struct protocol_service *s,
                                  const uint8_t *body, size_t length)
{
    struct {
        struct icmsg_negotiate n;
        struct ic_version framework, message;
    } a;

    if (length < sizeof(a.n))
        return PROTOCOL_BROKEN;
    memcpy(&a.n, body, sizeof(a.n));
    if (a.n.framework_count != 1 || a.n.message_count != 1)
        return PROTOCOL_REFUSED;
    if (length < sizeof(a))
        return PROTOCOL_BROKEN;
    memcpy(&a, body, sizeof(a));
    if (!known(frameworks, ARRAY_SIZE(frameworks), a.framework) ||
        !known(s->version, s->version_count, a.message))
        return PROTOCOL_BROKEN;
    p->framework = a.framework;
    p->message = a.message;
    return PROTOCOL_READY;
}

enum protocol_event ic_protocol_packet(struct protocol *p, const struct protocol_service *s,
                                       const void *data, size_t length,
                                       struct protocol_answer *answer)
{
    const uint16_t wanted = p->state == PROTOCOL_NEGOTIATING ? ICMSG_NEGOTIATE : s->type;
    struct icmsg_header h;

    if (!p->in_flight || length < sizeof(h))
        return PROTOCOL_STRAY;
    memcpy(&h, data, sizeof(h));
    if (!(h.flags & ICMSG_RESPONSE) || h.type != wanted || h.transaction != p->transaction)
        return PROTOCOL_STRAY;
    p->in_flight = false;
    *answer =
        (struct protocol_answer){h.status, (const uint8_t *)data + sizeof(h), length - sizeof(h)};
    if (p->state != PROTOCOL_NEGOTIATING)
        return PROTOCOL_ANSWER;
    p->state = choice(p, s, answer->body, answer->length);
    return PROTOCOL_AGREED;
}
