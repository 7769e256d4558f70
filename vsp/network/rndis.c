/* SPDX-License-Identifier: MIT */
#include "vsp/network/rndis.h"
#include <errno.h>
#include <string.h>
#include "lib/bits.h"

void rndis_init(struct rndis *r, const struct rndis_config *config)
{
    memset(r, 0, sizeof(*r));
    memcpy(r->mac, config->mac, sizeof(r->mac));
    rss_init(&r->rss);
}

/* All that one message needs on its way. */
struct call {
    struct rndis *r;
    const struct rndis_config *config;
    bool link_up;
    const struct rndis_statistics *statistics;
    const uint8_t *body; /* behind the header */
    uint32_t length;
    uint8_t *answer;
};

static int answer_put(const struct call *c, uint32_t type, const void *body, uint32_t size,
                      uint32_t more)
{
    const struct rndis_header h = {type | RNDIS_COMPLETE, (uint32_t)sizeof(h) + size + more};

    memcpy(c->answer, &h, sizeof(h));
    memcpy(c->answer + sizeof(h), body, size);
    return (int)h.length;
}

static int initialize(const struct call *c)
{
    struct rndis_initialize_complete done = {
        .status = RNDIS_STATUS_SUCCESS,
        .major = RNDIS_MAJOR,
        .minor = RNDIS_MINOR,
        .device_flags = RNDIS_CONNECTIONLESS,
        .medium = RNDIS_MEDIUM_ETHERNET,
        .packets_max = RNDIS_PACKETS_MAX,
        .transfer_max = RNDIS_TRANSFER_MAX,
        .alignment_shift = RNDIS_ALIGN_SHIFT,
    };
    struct rndis_initialize wish;

    memcpy(&wish, c->body, sizeof(wish));
    done.request = wish.request;
    rndis_init(c->r, c->config);
    c->r->initialized = true;
    return answer_put(c, RNDIS_INITIALIZE, &done, sizeof(done), 0);
}

static int halt(const struct call *c)
{
    rndis_init(c->r, c->config);
    return 0;
}

/* The information of a request; false: it is not inside the message. */
static bool info_find(const struct call *c, const struct rndis_request *q, const uint8_t **info)
{
    *info = c->body;
    if (q->info_length == 0)
        return true;
    if (q->info_offset < sizeof(*q) || q->info_offset > c->length ||
        q->info_length > c->length - q->info_offset)
        return false;
    *info = c->body + q->info_offset;
    return true;
}

static int query(const struct call *c)
{
    struct rndis_query_complete done = {.status = RNDIS_STATUS_NOT_SUPPORTED};
    uint8_t *value = c->answer + sizeof(struct rndis_header) + sizeof(done);
    uint32_t room = RNDIS_ANSWER_MAX - sizeof(struct rndis_header) - sizeof(done);
    struct rndis_request q;
    const uint8_t *info;
    int n = -1;

    memcpy(&q, c->body, sizeof(q));
    done.request = q.request;
    if (!c->r->initialized)
        done.status = RNDIS_STATUS_ADAPTER_NOT_READY;
    else if (!info_find(c, &q, &info))
        done.status = RNDIS_STATUS_INVALID_DATA;
    else
        n = oid_query(c->r, c->config, c->link_up, c->statistics, q.oid, info, q.info_length, value,
                      room);
    if (n >= 0) {
        done.status = RNDIS_STATUS_SUCCESS;
        done.info_offset = sizeof(done);
        done.info_length = (uint32_t)n;
    }
    return answer_put(c, RNDIS_QUERY, &done, sizeof(done), done.info_length);
}

static int set(const struct call *c)
{
    struct rndis_status done = {.status = RNDIS_STATUS_INVALID_DATA};
    struct rndis_request q;
    const uint8_t *info;

    memcpy(&q, c->body, sizeof(q));
    done.request = q.request;
    if (!c->r->initialized)
        done.status = RNDIS_STATUS_ADAPTER_NOT_READY;
    else if (info_find(c, &q, &info))
        done.status = oid_set(c->r, c->config, q.oid, info, q.info_length);
    return answer_put(c, RNDIS_SET, &done, sizeof(done), 0);
}

/* Its answer has no request's number, but whether addresses have to be set anew: no. */
static int reset(const struct call *c)
{
    const struct rndis_status done = {RNDIS_STATUS_SUCCESS, 0};

    return answer_put(c, RNDIS_RESET, &done, sizeof(done), 0);
}

static int keepalive(const struct call *c)
{
    struct rndis_status done = {.status = RNDIS_STATUS_SUCCESS};

    memcpy(&done.request, c->body, sizeof(done.request));
    return answer_put(c, RNDIS_KEEPALIVE, &done, sizeof(done), 0);
}

static const struct {
    uint32_t type;
    uint32_t size; /* behind the header */
    int (*run)(const struct call *c);
} messages[] = {
    {RNDIS_INITIALIZE, sizeof(struct rndis_initialize), initialize},
    {RNDIS_HALT, sizeof(uint32_t), halt},
    {RNDIS_QUERY, sizeof(struct rndis_request), query},
    {RNDIS_SET, sizeof(struct rndis_request), set},
    {RNDIS_RESET, sizeof(uint32_t), reset},
    {RNDIS_KEEPALIVE, sizeof(uint32_t), keepalive},
};

int rndis_control(struct rndis *r, const struct rndis_config *config, bool link_up,
                  const struct rndis_statistics *statistics, const uint8_t *message,
                  uint32_t length, uint8_t *answer)
{
    struct rndis_header h;
    struct call c = {r, config, link_up, statistics, message + sizeof(h), 0, answer};

    if (length < sizeof(h))
        return -EINVAL;
    memcpy(&h, message, sizeof(h));
    if (h.length < sizeof(h) || h.length > length)
        return -EINVAL;
    c.length = h.length - (uint32_t)sizeof(h);
    for (unsigned i = 0; i < ARRAY_SIZE(messages); i++)
        if (messages[i].type == h.type)
            return c.length < messages[i].size ? -EINVAL : messages[i].run(&c);
    return -EINVAL;
}

uint32_t rndis_link_message(bool up, uint8_t *message)
{
    const struct rndis_indicate i = {.status = up ? RNDIS_STATUS_MEDIA_CONNECT
                                                  : RNDIS_STATUS_MEDIA_DISCONNECT};
    const struct rndis_header h = {RNDIS_INDICATE, sizeof(h) + sizeof(i)};

    memcpy(message, &h, sizeof(h));
    memcpy(message + sizeof(h), &i, sizeof(i));
    return h.length;
}

static bool multicast_wanted(const struct rndis *r, const uint8_t *destination)
{
    if (r->filter & NDIS_FILTER_ALL_MULTICAST)
        return true;
    if (!(r->filter & NDIS_FILTER_MULTICAST))
        return false;
    for (unsigned i = 0; i < r->multicast_count; i++)
        if (memcmp(r->multicast[i], destination, FRAME_ADDRESS) == 0)
            return true;
    return false;
}

bool rndis_wanted(const struct rndis *r, const uint8_t *destination)
{
    static const uint8_t broadcast[FRAME_ADDRESS] = {255, 255, 255, 255, 255, 255};

    if (r->filter & NDIS_FILTER_PROMISCUOUS)
        return true;
    if (memcmp(destination, broadcast, FRAME_ADDRESS) == 0)
        return r->filter & NDIS_FILTER_BROADCAST;
    if (destination[0] & 1)
        return multicast_wanted(r, destination);
    return (r->filter & NDIS_FILTER_DIRECTED) && memcmp(destination, r->mac, FRAME_ADDRESS) == 0;
}
