/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/network/network_priv.h"

/*
 * Saved state. Of an adapter that is paused this is what the guest has said, answers that wait for
 * room, and which pieces of the receive buffer the guest has. Frames on their way are lost, as
 * frames may be.
 */

#define NETWORK_TAG     0x5754454EU /* "NETW" */
#define NETWORK_VERSION 1U

struct saved_buffer {
    bool ready;
    uint16_t id;
    uint32_t gpadl;
    uint32_t piece_size;
};

struct saved_channel {
    bool open;
    struct nvsp nvsp;
    bool has_reply;
    uint64_t reply_transaction;
    struct nvsp_message reply;
    uint32_t reply_length;
    unsigned answer_count;
    struct answer answers[NETWORK_ANSWERS];
};

struct saved {
    uint32_t version;
    unsigned granted;
    bool link_up, vlan;
    struct rndis rndis;
    struct saved_buffer receive, send;
    uint32_t pieces;
    uint8_t owner[SECTIONS_MAX];
    uint16_t next[SECTIONS_MAX];
    bool used[SECTIONS_MAX]; /* the guest has it */
    struct saved_channel channel[NETWORK_QUEUES_MAX];
};

static void rndis_save(const struct rndis *r, struct save_writer *w)
{
    save_u8(w, r->initialized);
    save_u32(w, r->filter);
    save_bytes(w, r->mac, sizeof(r->mac));
    save_u32(w, r->lookahead);
    save_u8(w, r->coalesce_ip4);
    save_u8(w, r->coalesce_ip6);
    save_u8(w, (uint8_t)r->multicast_count);
    save_bytes(w, r->multicast, sizeof(r->multicast));
    save_u8(w, r->rss.enabled);
    save_u32(w, r->rss.hash);
    save_u16(w, r->rss.entries);
    save_bytes(w, r->rss.key, sizeof(r->rss.key));
    save_bytes(w, r->rss.table, sizeof(r->rss.table));
}

static void rndis_load(struct rndis *r, unsigned channels, struct save_reader *s)
{
    r->initialized = load_max(s, 1, 1);
    r->filter = load_u32(s);
    load_bytes(s, r->mac, sizeof(r->mac));
    r->lookahead = load_u32(s);
    r->coalesce_ip4 = load_max(s, 1, 1);
    r->coalesce_ip6 = load_max(s, 1, 1);
    r->multicast_count = (unsigned)load_max(s, 1, RNDIS_MULTICAST_MAX);
    load_bytes(s, r->multicast, sizeof(r->multicast));
    r->rss.enabled = load_max(s, 1, 1);
    r->rss.hash = load_u32(s);
    r->rss.entries = (uint16_t)load_max(s, 2, NDIS_RSS_TABLE_MAX);
    load_bytes(s, r->rss.key, sizeof(r->rss.key));
    load_bytes(s, r->rss.table, sizeof(r->rss.table));
    if ((r->rss.enabled && !r->rss.entries) || (r->rss.entries & (r->rss.entries - 1)))
        s->err = -EINVAL;
    for (unsigned i = 0; i < r->rss.entries; i++)
        if (r->rss.table[i] >= channels)
            s->err = -EINVAL;
    rss_prepare(&r->rss);
}

static void buffer_save(const struct buffer *b, struct save_writer *w)
{
    save_u8(w, b->ready);
    save_u16(w, b->id);
    save_u32(w, b->gpadl);
    save_u32(w, b->piece_size);
}

static void buffer_load(struct saved_buffer *b, struct save_reader *r)
{
    b->ready = load_max(r, 1, 1);
    b->id = load_u16(r);
    b->gpadl = load_u32(r);
    b->piece_size = (uint32_t)load_max(r, 4, BUFFER_PAGE * BUFFER_PAGES);
    if (b->ready && b->piece_size < BUFFER_PAGE)
        r->err = -EINVAL;
}

/* Which packets the guest has, and of which pieces. */
static void sections_save(const struct sections *s, struct save_writer *w)
{
    save_u32(w, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        save_u8(w, atomic_load(&s->owner[i]));
        save_u16(w, s->next[i]);
    }
}

/* Chains are followed: no piece may be in two of them. */
static void sections_load(struct saved *n, struct save_reader *r)
{
    n->pieces = (uint32_t)load_max(r, 4, SECTIONS_MAX);
    for (uint32_t i = 0; i < n->pieces; i++) {
        n->owner[i] = (uint8_t)load_max(r, 1, NETWORK_QUEUES_MAX);
        n->next[i] = load_u16(r);
    }
    for (uint32_t i = 0; i < n->pieces && !r->err; i++)
        for (uint32_t at = i; n->owner[i] && at != UINT16_MAX && !r->err; at = n->next[at]) {
            if (at >= n->pieces || n->used[at])
                r->err = -EINVAL;
            else
                n->used[at] = true;
        }
}

static void channel_save(const struct channel *c, struct save_writer *w)
{
    save_u8(w, (uint8_t)c->nvsp.state);
    save_u32(w, c->nvsp.version);
    save_u32(w, c->nvsp.mtu);
    save_u64(w, c->nvsp.capabilities);
    save_u8(w, c->has_reply);
    save_u64(w, c->reply_transaction);
    save_bytes(w, &c->reply, sizeof(c->reply));
    save_u32(w, c->reply_length);
    save_u8(w, (uint8_t)c->answer_count);
    for (unsigned i = 0; i < c->answer_count; i++) {
        const struct answer *a = &c->answers[(c->answer_first + i) % NETWORK_ANSWERS];
        save_u32(w, a->length);
        save_bytes(w, a->bytes, a->length);
    }
}

static void channel_load(struct saved_channel *c, struct save_reader *r)
{
    c->nvsp.state = (enum nvsp_state)load_max(r, 1, NVSP_STATES - 1);
    c->nvsp.version = load_u32(r);
    c->nvsp.mtu = load_u32(r);
    c->nvsp.capabilities = load_u64(r);
    c->has_reply = load_max(r, 1, 1);
    c->reply_transaction = load_u64(r);
    load_bytes(r, &c->reply, sizeof(c->reply));
    c->reply_length = (uint32_t)load_max(r, 4, sizeof(c->reply));
    c->answer_count = (unsigned)load_max(r, 1, NETWORK_ANSWERS);
    for (unsigned i = 0; i < c->answer_count; i++) {
        c->answers[i].length = (uint32_t)load_max(r, 4, RNDIS_ANSWER_MAX);
        load_bytes(r, c->answers[i].bytes, c->answers[i].length);
    }
}

void network_save(struct network *n, struct save_writer *w)
{
    size_t begin = save_begin(w, NETWORK_TAG, NETWORK_VERSION);

    (void)pthread_mutex_lock(&n->lock);
    save_u32(w, n->version);
    save_u32(w, n->granted);
    save_u8(w, n->shared.link_up);
    save_u8(w, n->shared.vlan);
    rndis_save(&n->shared.rndis, w);
    buffer_save(&n->shared.receive, w);
    buffer_save(&n->shared.send, w);
    sections_save(&n->sections, w);
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX; i++) {
        save_u8(w, n->channels[i] != NULL);
        if (n->channels[i])
            channel_save(n->channels[i], w);
    }
    (void)pthread_mutex_unlock(&n->lock);
    save_end(w, begin);
}

static void saved_load(struct saved *s, unsigned channels, struct save_reader *r)
{
    (void)load_begin(r, NETWORK_TAG, NETWORK_VERSION);
    s->version = load_u32(r);
    s->granted = (unsigned)load_max(r, 4, channels - 1);
    s->link_up = load_max(r, 1, 1);
    s->vlan = load_max(r, 1, 1);
    rndis_load(&s->rndis, channels, r);
    buffer_load(&s->receive, r);
    buffer_load(&s->send, r);
    sections_load(s, r);
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX && !r->err; i++) {
        s->channel[i].open = load_max(r, 1, 1);
        if (s->channel[i].open)
            channel_load(&s->channel[i], r);
    }
}

int network_load(struct network *n, struct save_reader *r)
{
    struct saved *s = calloc(1, sizeof(*s));
    int err;

    if (!s)
        return -ENOMEM;
    saved_load(s, n->config.channels, r);
    err = load_end(r);
    if (err) {
        free(s);
        return err;
    }
    (void)pthread_mutex_lock(&n->lock);
    saved_free(n->saved);
    n->saved = s;
    (void)pthread_mutex_unlock(&n->lock);
    return 0;
}

void saved_free(struct saved *s)
{
    free(s);
}

static int buffer_adopt(const struct saved_buffer *from, struct channel *c, struct buffer *b)
{
    int err;

    if (!from->ready)
        return 0;
    err = buffer_map(b, c->vmbus, from->gpadl, from->id);
    if (!err)
        buffer_cut(b, from->piece_size);
    return err;
}

static int sections_adopt(const struct saved *s, struct network *n)
{
    struct sections *to = &n->sections;

    if (s->pieces > n->shared.receive.pieces || s->receive.piece_size % BUFFER_PAGE)
        return -EINVAL;
    sections_start(to, s->pieces);
    (void)pthread_mutex_lock(&to->lock);
    to->free_count = 0;
    for (uint32_t i = 0; i < s->pieces; i++) {
        to->next[i] = s->next[i];
        atomic_store(&to->owner[i], s->owner[i]);
        if (!s->used[i])
            to->free[to->free_count++] = (uint16_t)i;
    }
    (void)pthread_mutex_unlock(&to->lock);
    return 0;
}

/* No thread of a channel runs yet. */
static int shared_adopt(const struct saved *s, struct channel *c)
{
    struct network *n = c->network;
    int err = buffer_adopt(&s->receive, c, &n->shared.receive);

    if (!err)
        err = buffer_adopt(&s->send, c, &n->shared.send);
    if (!err)
        err = sections_adopt(s, n);
    if (err) {
        buffer_unmap(&n->shared.receive);
        buffer_unmap(&n->shared.send);
        return err;
    }
    n->shared.rndis = s->rndis;
    n->shared.vlan = s->vlan;
    n->shared.link_up = s->link_up;
    atomic_store(&n->link_wanted, s->link_up);
    n->version = s->version;
    n->granted = s->granted;
    if (n->backend.coalesce)
        (void)n->backend.coalesce(n->backend.ctx, s->rndis.coalesce_ip4, s->rndis.coalesce_ip6);
    return 0;
}

int saved_adopt(struct saved *s, struct channel *c)
{
    const struct saved_channel *from = &s->channel[c->sub];
    int err = c->sub == 0 ? shared_adopt(s, c) : 0;

    if (err || !from->open)
        return err;
    c->nvsp = from->nvsp;
    c->has_reply = from->has_reply;
    c->reply_transaction = from->reply_transaction;
    c->reply = from->reply;
    c->reply_length = from->reply_length;
    c->answer_count = from->answer_count;
    memcpy(c->answers, from->answers, sizeof(c->answers));
    c->link_told = s->link_up;
    return 0;
}
