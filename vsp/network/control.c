/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/network/network_priv.h"

/*
 * What the guest says: NVSP, and the control messages of RNDIS, which change what all channels
 * read. They change it while the others stand still, so that an answer ("no frame comes from here
 * on") is true when it is given.
 */

/* Pieces of the receive buffer are large, if it is, so that a large frame needs few of them. */
#define PIECE_PAGES       4U
#define LARGE_BUFFER      (2U << 20)
#define RECEIVE_BYTES_MIN (16U * BUFFER_PAGE)

static void thaw_and_kick(struct channel *c)
{
    struct network *n = c->network;

    for (unsigned i = 1; i < NETWORK_QUEUES_MAX; i++)
        if (n->channels[i])
            network_channel_kick(n->channels[i]);
    network_thaw(n, c);
}

static void forget_all(struct network *n)
{
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX; i++)
        if (n->channels[i])
            receive_forget(n->channels[i]);
}

static uint32_t piece_size(const struct network *n, const struct buffer *b)
{
    uint32_t frame = n->config.mtu + FRAME_HEADER + FRAME_TAG + PACKET_HEADROOM;
    uint32_t pages = (frame + BUFFER_PAGE - 1) / BUFFER_PAGE;

    if ((uint64_t)b->pages * BUFFER_PAGE >= LARGE_BUFFER)
        pages = (uint32_t)max_u64(pages, PIECE_PAGES);
    return pages * BUFFER_PAGE;
}

static bool receive_buffer_set(struct channel *c, uint32_t gpadl, uint16_t id)
{
    struct network *n = c->network;
    struct buffer *b = &n->shared.receive;

    if (b->ready || buffer_map(b, c->vmbus, gpadl, id) < 0)
        return false;
    buffer_cut(b, piece_size(n, b));
    if (b->pages * BUFFER_PAGE < RECEIVE_BYTES_MIN || b->pieces == 0) {
        buffer_unmap(b);
        return false;
    }
    b->pieces = (uint32_t)min_u64(b->pieces, SECTIONS_MAX);
    sections_start(&n->sections, b->pieces);
    forget_all(n);
    return true;
}

static void receive_buffer(struct channel *c, struct nvsp_result *r)
{
    struct network *n = c->network;

    network_freeze(n, c);
    if (receive_buffer_set(c, r->gpadl, r->id))
        nvsp_receive_done(r, n->shared.receive.piece_size, n->shared.receive.pieces);
    n->shared.vlan = c->nvsp.capabilities & NVSP_CAPABILITY_8021Q;
    network_thaw(n, c);
}

static void send_buffer(struct channel *c, struct nvsp_result *r)
{
    struct network *n = c->network;

    network_freeze(n, c);
    if (!n->shared.send.ready && buffer_map(&n->shared.send, c->vmbus, r->gpadl, r->id) == 0) {
        buffer_cut(&n->shared.send, NETWORK_SEND_SECTION);
        nvsp_send_done(r, NETWORK_SEND_SECTION);
    }
    network_thaw(n, c);
}

static void receive_revoke(struct channel *c)
{
    struct network *n = c->network;

    receive_drop(c);
    network_freeze(n, c);
    buffer_unmap(&n->shared.receive);
    forget_all(n);
    sections_start(&n->sections, 0);
    c->answer_count = 0; /* there is no way for them any more */
    thaw_and_kick(c);
}

static void send_revoke(struct channel *c)
{
    network_freeze(c->network, c);
    buffer_unmap(&c->network->shared.send);
    network_thaw(c->network, c);
}

static void subchannels(struct channel *c, struct nvsp_result *r)
{
    struct network *n = c->network;
    unsigned count = (unsigned)min_u64(r->count, n->config.channels - 1);

    if (count == 0 || !n->hooks.sub_channels ||
        n->hooks.sub_channels(n->hooks.ctx, c->vmbus, count) < 0)
        return;
    (void)pthread_mutex_lock(&n->lock);
    n->granted = count;
    (void)pthread_mutex_unlock(&n->lock);
    nvsp_subchannels_done(r, count);
}

/* The row of bytes that a packet means: its part of the send buffer, then its ranges. */
static bool stream_make(struct channel *c, const struct vmbus_packet *packet,
                        const struct nvsp_rndis_packet *r)
{
    const struct buffer *b = &c->network->shared.send;
    struct stream *s = &c->stream;
    struct vmbus_range range;
    uint32_t cursor = 0;
    int n;

    s->count = s->length = 0;
    if (r->section != NVSP_SECTION_NONE) {
        if (r->section >= b->pieces || r->section_length > b->piece_size)
            return false;
        n = buffer_slice(b, r->section * b->piece_size, r->section_length, s->iov, NETWORK_VECTORS);
        if (n < 0)
            return false;
        s->count = (unsigned)n;
        s->length = r->section_length;
    }
    if (packet->type != VMBUS_PACKET_DIRECT)
        return true;
    while (vmbus_packet_range(packet, &cursor, &range)) {
        n = vmbus_channel_map(c->vmbus, &range, 0, s->iov + s->count, NETWORK_VECTORS - s->count);
        if (n < 0 || range.length > FRAME_MAX * RNDIS_PACKETS_MAX - s->length)
            return false;
        s->count += (unsigned)n;
        s->length += range.length;
    }
    return true;
}

static struct answer *answer_new(struct channel *c)
{
    if (c->answer_count == NETWORK_ANSWERS) {
        network_channel_break(c); /* the guest asks and asks, and does not listen */
        return NULL;
    }
    return &c->answers[(c->answer_first + c->answer_count) % NETWORK_ANSWERS];
}

static void coalesce(struct network *n, const struct rndis *r)
{
    if (n->backend.coalesce)
        (void)n->backend.coalesce(n->backend.ctx, r->coalesce_ip4, r->coalesce_ip6);
}

static bool rndis_run(struct channel *c, const uint8_t *message, uint32_t length)
{
    struct network *n = c->network;
    struct rndis *r = &n->shared.rndis;
    struct answer *a = answer_new(c);
    struct rndis_statistics statistics;
    bool ip4, ip6;
    int got;

    if (!a)
        return false;
    network_freeze(n, c);
    ip4 = r->coalesce_ip4;
    ip6 = r->coalesce_ip6;
    network_statistics(n, &statistics);
    got = rndis_control(r, &n->rndis_config, n->shared.link_up, &statistics, message, length,
                        a->bytes);
    if (ip4 != r->coalesce_ip4 || ip6 != r->coalesce_ip6)
        coalesce(n, r);
    thaw_and_kick(c);
    receive_settle(c);
    if (got < 0)
        return false;
    a->length = (uint32_t)got;
    c->answer_count += got > 0;
    return true;
}

static enum nvsp_status rndis_message(struct channel *c)
{
    uint8_t message[RNDIS_CONTROL_MAX];

    if (c->sub != 0 || c->stream.length > sizeof(message))
        return NVSP_STATUS_INVALID_RNDIS_PACKET;
    stream_copy(&c->stream, 0, message, c->stream.length);
    return rndis_run(c, message, c->stream.length) ? NVSP_STATUS_SUCCESS
                                                   : NVSP_STATUS_INVALID_RNDIS_PACKET;
}

static void rndis(struct channel *c, const struct vmbus_packet *packet, struct nvsp_result *r)
{
    enum nvsp_status status = NVSP_STATUS_INVALID_RNDIS_PACKET;

    if (!stream_make(c, packet, &r->rndis))
        network_tally(&c->send_errors, 1);
    else if (r->rndis.channel_type == NVSP_CHANNEL_CONTROL)
        status = rndis_message(c);
    else
        status = send_frames(c);
    nvsp_rndis_done(r, status);
}

static void version_tell(struct channel *c)
{
    struct network *n = c->network;

    (void)pthread_mutex_lock(&n->lock);
    n->version = c->nvsp.version;
    (void)pthread_mutex_unlock(&n->lock);
}

static void run(struct channel *c, const struct vmbus_packet *packet, struct nvsp_result *r)
{
    switch (r->action) {
    case NVSP_DO_REPLY:
        version_tell(c);
        break;
    case NVSP_DO_RECEIVE_BUFFER:
        receive_buffer(c, r);
        break;
    case NVSP_DO_RECEIVE_REVOKE:
        receive_revoke(c);
        break;
    case NVSP_DO_SEND_BUFFER:
        send_buffer(c, r);
        break;
    case NVSP_DO_SEND_REVOKE:
        send_revoke(c);
        break;
    case NVSP_DO_RNDIS:
        rndis(c, packet, r);
        break;
    case NVSP_DO_SUBCHANNELS:
        subchannels(c, r);
        break;
    case NVSP_DO_BREAK:
        network_channel_break(c);
        break;
    }
}

void control_packet(struct channel *c, const struct vmbus_packet *packet)
{
    struct nvsp_result r;

    nvsp_packet(&c->nvsp, c->sub == 0, packet->data, packet->length, &r);
    run(c, packet, &r);
    if (!packet->completion_wanted || r.action == NVSP_DO_BREAK)
        return;
    c->has_reply = true;
    c->reply_transaction = packet->transaction;
    c->reply = r.reply;
    c->reply_length = r.reply_length;
}

static bool reply_send(struct channel *c)
{
    int err;

    if (!c->has_reply)
        return false;
    err = vmbus_channel_send(c->vmbus, VMBUS_PACKET_COMPLETION, c->reply_transaction, false,
                             &c->reply, c->reply_length);
    if (err == -EAGAIN) {
        network_tally(&c->ring_full, 1);
        return false;
    }
    if (err < 0)
        network_channel_break(c);
    c->has_reply = false;
    c->signal = true;
    return true;
}

/* An answer comes after the completion of its question. */
bool control_flush(struct channel *c)
{
    bool any = reply_send(c);

    while (!c->has_reply && c->answer_count > 0) {
        const struct answer *a = &c->answers[c->answer_first];
        int err = receive_control(c, a->bytes, a->length);
        if (err == -EAGAIN)
            break;
        c->answer_first = (c->answer_first + 1) % NETWORK_ANSWERS;
        c->answer_count--;
        any = true;
    }
    return any;
}

/* A guest that begins asks for the link; later it is told, of the newest state if it does not
 * listen for long. */
static bool link_tell(struct channel *c)
{
    const struct shared *s = &c->network->shared;
    struct answer *a;

    if (!s->rndis.initialized)
        c->link_told = s->link_up;
    if (c->link_told == s->link_up || c->answer_count == NETWORK_ANSWERS)
        return false;
    a = answer_new(c);
    a->length = rndis_link_message(s->link_up, a->bytes);
    c->answer_count++;
    c->link_told = s->link_up;
    return true;
}

static bool link_check(struct channel *c)
{
    struct network *n = c->network;
    bool up = atomic_load(&n->link_wanted);

    if (up != n->shared.link_up) {
        network_freeze(n, c);
        n->shared.link_up = up;
        thaw_and_kick(c);
    }
    return link_tell(c);
}

static bool table_send(struct channel *c)
{
    struct network *n = c->network;
    uint8_t message[NVSP_TABLE_MESSAGE_SIZE];
    unsigned channels;

    if (!atomic_load_explicit(&n->table_due, memory_order_relaxed) ||
        !atomic_exchange(&n->table_due, false))
        return false;
    (void)pthread_mutex_lock(&n->lock);
    channels = n->granted + 1;
    (void)pthread_mutex_unlock(&n->lock);
    nvsp_table_message(channels, message);
    if (vmbus_channel_send(c->vmbus, VMBUS_PACKET_INBAND, 0, false, message, sizeof(message)) ==
        -EAGAIN)
        atomic_store(&n->table_due, true);
    c->signal = true;
    return true;
}

bool control_chores(struct channel *c)
{
    if (c->sub != 0)
        return false;
    return link_check(c) | table_send(c);
}

void control_end(struct channel *c)
{
    struct network *n = c->network;

    network_freeze(n, c);
    buffer_unmap(&n->shared.receive);
    buffer_unmap(&n->shared.send);
    forget_all(n);
    sections_start(&n->sections, 0);
    rndis_init(&n->shared.rndis, &n->rndis_config);
    n->version = 0;
    n->granted = 0;
    coalesce(n, &n->shared.rndis);
    thaw_and_kick(c);
}
