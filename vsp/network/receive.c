/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/network/network_priv.h"

/*
 * Frames for the guest: read from the queue straight into pieces of the receive buffer, behind
 * room for a message's head; the heads are filled in then, and one packet tells the guest of a
 * batch of frames. A frame that the guest's RSS wants on another channel goes into its inbox.
 */

#define LOOK 128U /* bytes of a frame that are looked at */

/** A frame that has been read. */
struct incoming {
    struct virtio_net_hdr vnet;
    struct iovec iov[NETWORK_VECTORS];
    unsigned count;
    uint32_t length;
    uint32_t shift; /* bytes at the beginning of the room that are not the frame's */
    struct frame frame;
    struct packet_in first;
    uint8_t head[LOOK];
    unsigned channel; /* that is to have it */
};

static uint32_t room_of(const struct network *n)
{
    return n->shared.receive.piece_size - PACKET_HEADROOM;
}

static bool coalesces(const struct network *n)
{
    return n->shared.rndis.coalesce_ip4 || n->shared.rndis.coalesce_ip6;
}

/* The longest frame that may come. */
static uint32_t frame_max(const struct network *n)
{
    return coalesces(n) ? FRAME_MAX : n->config.mtu + FRAME_HEADER + FRAME_TAG;
}

static unsigned pieces_for(const struct network *n, uint32_t length)
{
    return (length + room_of(n) - 1) / room_of(n);
}

/* Have enough pieces in hand for the next frame, whatever its length. */
static bool window_fill(struct channel *c)
{
    struct network *n = c->network;
    unsigned wanted = pieces_for(n, frame_max(n));

    while (c->window_count < wanted) {
        uint32_t section = section_take(&n->sections, &c->cache);
        if (section == SECTION_NONE) {
            network_tally(&c->no_buffer, 1);
            return false;
        }
        c->window[c->window_count++] = (uint16_t)section;
    }
    return true;
}

/* Vectors for `length` bytes in the pieces of the window. */
static bool window_map(const struct channel *c, uint32_t length, struct incoming *in)
{
    const struct buffer *b = &c->network->shared.receive;
    uint32_t room = room_of(c->network);

    in->count = 0;
    for (unsigned i = 0; length > 0; i++) {
        uint32_t part = (uint32_t)min_u64(length, room);
        int n = buffer_slice(b, c->window[i] * b->piece_size + PACKET_HEADROOM, part,
                             in->iov + in->count, NETWORK_VECTORS - in->count);
        if (n < 0)
            return false;
        in->count += (unsigned)n;
        length -= part;
    }
    return true;
}

/* Let the vectors hold `length` bytes. */
static void trim(struct incoming *in, uint32_t length)
{
    for (unsigned i = 0; i < in->count; i++) {
        if (in->iov[i].iov_len >= length) {
            in->iov[i].iov_len = length;
            in->count = i + (length > 0);
            return;
        }
        length -= (uint32_t)in->iov[i].iov_len;
    }
}

static void look(struct incoming *in)
{
    uint32_t length = 0;

    for (unsigned i = 0; i < in->count && length < LOOK; i++) {
        uint32_t n = (uint32_t)min_u64(LOOK - length, in->iov[i].iov_len);
        memcpy(in->head + length, in->iov[i].iov_base, n);
        length += n;
    }
    frame_parse(&in->frame, in->head, length);
}

/* One more than the longest frame fits, so that what is too long can be told from it. */
static int frame_read(struct channel *c, struct incoming *in)
{
    uint32_t most = (uint32_t)min_u64(frame_max(c->network) + 1ULL,
                                      (uint64_t)c->window_count * room_of(c->network));
    struct iovec iov[1 + NETWORK_VECTORS];
    ssize_t n;

    if (!window_map(c, most, in))
        return -EINVAL;
    iov[0] = (struct iovec){&in->vnet, sizeof(in->vnet)};
    memcpy(iov + 1, in->iov, in->count * sizeof(iov[0]));
    n = readv(c->queue_fd, iov, (int)in->count + 1);
    if (n <= 0) {
        c->queue_ready = n < 0 && errno == EINTR;
        return -EAGAIN;
    }
    if (n < (ssize_t)(sizeof(in->vnet) + FRAME_HEADER) ||
        n - (ssize_t)sizeof(in->vnet) > frame_max(c->network))
        return -EINVAL;
    in->length = (uint32_t)n - (uint32_t)sizeof(in->vnet);
    trim(in, in->length);
    look(in);
    return 0;
}

static uint32_t good(const struct frame *f)
{
    if (f->protocol == FRAME_TCP)
        return RNDIS_CHECKSUM_TCP_GOOD;
    return f->protocol == FRAME_UDP ? RNDIS_CHECKSUM_UDP_GOOD : 0;
}

/* A sum that is still to be made is made here: a guest may look at it whatever it is told, or send
 * the frame on. */
static bool checksum_settle(struct incoming *in)
{
    if (in->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        if (!frame_checksum(in->iov, in->count, in->vnet.csum_start, in->vnet.csum_offset))
            return false;
        in->first.checksum = good(&in->frame);
    } else if (in->vnet.flags & VIRTIO_NET_HDR_F_DATA_VALID) {
        in->first.checksum = good(&in->frame);
    }
    return true;
}

/* Beside the frame, the tag is out of the guest's way; the addresses move up over it. */
static void tag_take(const struct network *n, struct incoming *in)
{
    uint8_t *at = in->iov[0].iov_base;

    if (!in->frame.tagged || !n->shared.vlan)
        return;
    memmove(at + FRAME_TAG, in->head, 2 * FRAME_ADDRESS);
    in->shift = FRAME_TAG;
    in->length -= FRAME_TAG;
    in->first.has_vlan = true;
    in->first.tag = in->frame.tag;
}

/* What it is, and whether the guest wants it. */
static bool judge(struct channel *c, struct incoming *in)
{
    const struct network *n = c->network;
    const struct rndis *r = &n->shared.rndis;

    in->channel = c->sub;
    in->shift = 0;
    in->first = (struct packet_in){.checksum = 0};
    if (!rndis_wanted(r, in->head)) {
        network_tally(&c->filtered, 1);
        return false;
    }
    if ((in->vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE && !coalesces(n)) || !checksum_settle(in)) {
        network_tally(&c->receive_errors, 1);
        return false;
    }
    in->first.has_hash = rss_hash(&r->rss, &in->frame, in->head, false, &in->first.hash);
    if (in->first.has_hash)
        in->channel = rss_channel(&r->rss, in->first.hash);
    tag_take(n, in);
    return true;
}

/* Take pieces out of the window and fill in their heads. */
static void heads_fill(struct channel *c, const struct incoming *in, struct chain *chain)
{
    struct network *n = c->network;
    const struct buffer *b = &n->shared.receive;
    uint32_t left = in->length, data = PACKET_HEADROOM + in->shift, part;
    unsigned used = 0;

    chain_init(chain);
    do {
        uint32_t section = c->window[used++], at = section * b->piece_size;
        struct packet_in p = used == 1 ? in->first : (struct packet_in){.checksum = 0};
        struct iovec head;

        part = (uint32_t)min_u64(left, b->piece_size - data);
        p.data = data;
        p.data_length = part;
        if (part < in->length)
            p.piece = (uint8_t)(RNDIS_ID_PIECE | (used == 1 ? RNDIS_ID_FIRST : 0) |
                                (part == left ? RNDIS_ID_LAST : 0));
        (void)buffer_slice(b, at, PACKET_HEADROOM, &head, 1); /* it is in one page */
        n->sections.length[section] = packet_in_fill(&p, head.iov_base);
        chain_append(&n->sections, chain, section);
        left -= part;
        data = PACKET_HEADROOM;
    } while (left > 0);
    c->window_count -= used;
    memmove(c->window, c->window + used, c->window_count * sizeof(c->window[0]));
}

/* Give it to the channel that it is for. False: that has too much already. */
static bool steer(struct channel *c, unsigned channel, struct chain *chain)
{
    struct network *n = c->network;
    struct channel *to;
    bool taken = false;

    (void)pthread_mutex_lock(&n->route_lock);
    to = n->route[channel];
    if (to && to->inbox.count + chain->count <= NETWORK_INBOX_MAX) {
        if (to->inbox.count == 0)
            network_channel_kick(to);
        chain_join(&n->sections, &to->inbox, chain);
        taken = true;
    }
    (void)pthread_mutex_unlock(&n->route_lock);
    return taken;
}

static void deliver(struct channel *c, const struct incoming *in)
{
    struct network *n = c->network;
    struct chain chain;

    heads_fill(c, in, &chain);
    network_tally(&c->received, 1);
    network_tally(&c->received_bytes, in->length);
    if (in->channel == c->sub || in->channel >= NETWORK_QUEUES_MAX) {
        chain_join(&n->sections, &c->batch, &chain);
    } else if (steer(c, in->channel, &chain)) {
        network_tally(&c->steered, 1);
    } else {
        /* It is not open, or does not keep up: order is lost with the frame's flow at most. */
        chain_join(&n->sections, &c->batch, &chain);
    }
}

/* Take what others have read; a frame is never torn apart. */
static void inbox_take(struct channel *c)
{
    struct network *n = c->network;

    (void)pthread_mutex_lock(&n->route_lock);
    chain_join(&n->sections, &c->batch, &c->inbox);
    (void)pthread_mutex_unlock(&n->route_lock);
}

static int transfer(struct channel *c, const struct chain *chain, uint32_t type)
{
    struct network *n = c->network;
    const struct buffer *b = &n->shared.receive;
    struct vmbus_transfer_range range[NETWORK_BATCH + NETWORK_INBOX_MAX + NETWORK_WINDOW];
    struct nvsp_message message;
    uint32_t size = nvsp_rndis_message(&c->nvsp, type, &message), section = chain->head;
    int err;

    for (unsigned i = 0; i < chain->count; i++, section = n->sections.next[section])
        range[i] =
            (struct vmbus_transfer_range){n->sections.length[section], section * b->piece_size};
    err = vmbus_channel_send_transfer(c->vmbus, chain->head + 1ULL, true, b->id, range,
                                      chain->count, &message, size);
    if (err == 0) {
        section_lend(&n->sections, chain, c->sub);
        c->signal = true;
    } else if (err == -EAGAIN) {
        network_tally(&c->ring_full, 1);
    } else {
        network_channel_break(c);
    }
    return err;
}

/* Whether it has gone. */
static bool batch_send(struct channel *c)
{
    if (c->batch.count == 0 || transfer(c, &c->batch, NVSP_CHANNEL_DATA) < 0)
        return false;
    chain_init(&c->batch);
    network_tally(&c->batches, 1);
    return true;
}

static void attach(struct channel *c, bool on)
{
    const struct network_backend *b = &c->network->backend;

    if (c->attached == on || !c->reads)
        return;
    if (b->attach && b->attach(b->ctx, c->sub, on) < 0)
        network_tally(&c->receive_errors, 1);
    c->attached = on;
    c->queue_ready = on;
}

void receive_settle(struct channel *c)
{
    if (network_receives(c->network))
        attach(c, true);
    else
        receive_drop(c);
}

void receive_drop(struct channel *c)
{
    struct network *n = c->network;

    inbox_take(c);
    chain_give(&n->sections, &c->cache, &c->batch);
    while (c->window_count > 0)
        section_give(&n->sections, &c->cache, c->window[--c->window_count]);
    section_cache_drain(&n->sections, &c->cache);
    attach(c, false);
}

/* Fill the batch with what there is. */
static bool batch_read(struct channel *c)
{
    struct incoming in;
    bool any = false;

    for (unsigned i = 0; i < NETWORK_BATCH && c->queue_ready && c->batch.count < NETWORK_BATCH;
         i++) {
        int err;
        if (!window_fill(c))
            break;
        err = frame_read(c, &in);
        if (err == -EAGAIN)
            break;
        any = true;
        if (err < 0)
            network_tally(&c->receive_errors, 1);
        else if (judge(c, &in))
            deliver(c, &in);
    }
    return any;
}

bool receive_frames(struct channel *c)
{
    bool any;

    if (!network_receives(c->network)) {
        receive_drop(c);
        return false;
    }
    attach(c, true);
    /* What the ring had no room for goes first. */
    any = batch_send(c);
    if (c->batch.count)
        return any;
    inbox_take(c);
    if (c->reads)
        any |= batch_read(c);
    return batch_send(c) | any;
}

int receive_control(struct channel *c, const void *message, uint32_t length)
{
    struct network *n = c->network;
    struct chain chain;
    struct iovec at;
    uint32_t section;
    int err;

    if (!n->shared.receive.ready)
        return -ENOENT;
    section = section_take(&n->sections, &c->cache);
    if (section == SECTION_NONE)
        return -EAGAIN;
    (void)buffer_slice(&n->shared.receive, section * n->shared.receive.piece_size, length, &at, 1);
    memcpy(at.iov_base, message, length);
    n->sections.length[section] = length;
    chain_init(&chain);
    chain_append(&n->sections, &chain, section);
    err = transfer(c, &chain, NVSP_CHANNEL_CONTROL);
    if (err < 0)
        chain_give(&n->sections, &c->cache, &chain);
    return err;
}

void receive_completed(struct channel *c, uint64_t transaction)
{
    struct network *n = c->network;

    if (n->shared.receive.ready)
        (void)section_return(&n->sections, &c->cache, transaction - 1, c->sub);
}

void receive_forget(struct channel *c)
{
    chain_init(&c->batch);
    (void)pthread_mutex_lock(&c->network->route_lock);
    chain_init(&c->inbox);
    (void)pthread_mutex_unlock(&c->network->route_lock);
    c->window_count = 0;
    c->cache.count = 0;
}
