/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/network/network_priv.h"

/*
 * Frames that the guest sends: from its memory to the queue, with the headers that offloads need
 * in front. Headers are copied once, looked at, and sent from the copy.
 */

#define ETHERNET_MIN FRAME_HEADER
#define MESSAGES_MAX 256U /* of one packet; guests are told RNDIS_PACKETS_MAX */
/* As much as is copied of a frame that needs no cutting: small ones as a whole. */
#define COPY_SIZE 256U
#define TCP_SUM   16U
#define UDP_SUM   6U

/** A frame on its way out. */
struct outgoing {
    struct virtio_net_hdr vnet;
    uint8_t head[NETWORK_HEAD + FRAME_TAG]; /* follows it without a gap */
    uint32_t copied;                        /* bytes of the frame that are in `head` */
    uint32_t head_length;                   /* with a tag */
};
_Static_assert(offsetof(struct outgoing, head) == sizeof(struct virtio_net_hdr),
               "both are sent as one vector");

void stream_copy(const struct stream *s, uint32_t at, void *to, uint32_t length)
{
    uint8_t *out = to;

    for (unsigned i = 0; i < s->count && length > 0; i++) {
        const struct iovec *v = &s->iov[i];
        uint32_t n;
        if (at >= v->iov_len) {
            at -= (uint32_t)v->iov_len;
            continue;
        }
        n = (uint32_t)min_u64(length, v->iov_len - at);
        memcpy(out, (const uint8_t *)v->iov_base + at, n);
        out += n;
        length -= n;
        at = 0;
    }
}

/* Vectors for a part of it, in iov; how many. */
static unsigned stream_slice(const struct stream *s, uint32_t at, uint32_t length,
                             struct iovec *iov)
{
    unsigned count = 0;

    for (unsigned i = 0; i < s->count && length > 0; i++) {
        const struct iovec *v = &s->iov[i];
        uint32_t n;
        if (at >= v->iov_len) {
            at -= (uint32_t)v->iov_len;
            continue;
        }
        n = (uint32_t)min_u64(length, v->iov_len - at);
        iov[count++] = (struct iovec){(uint8_t *)v->iov_base + at, n};
        length -= n;
        at = 0;
    }
    return count;
}

static bool large_ready(struct outgoing *o, const struct packet_out *p, uint32_t mtu)
{
    uint32_t mss = p->large & RNDIS_LARGE_SEND_MSS_MASK;
    bool ip6 = (p->large & RNDIS_LARGE_SEND_V2) && (p->large & RNDIS_LARGE_SEND_IPV6);
    uint32_t transport = p->large >> RNDIS_LARGE_SEND_OFFSET_SHIFT & RNDIS_LARGE_SEND_OFFSET_MASK;
    struct frame_large l;

    if (!frame_large_prepare(&l, o->head, o->copied, p->data_length, ip6, transport))
        return false;
    if (mss == 0 || l.header - FRAME_HEADER + mss > mtu)
        return false;
    o->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    o->vnet.csum_start = l.transport;
    o->vnet.csum_offset = TCP_SUM;
    if (p->data_length - l.header <= mss)
        return true;
    o->vnet.gso_type = ip6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
    o->vnet.gso_size = (uint16_t)mss;
    o->vnet.hdr_len = l.header;
    return true;
}

/* The sum of an IPv4 header, which nobody after us makes. */
static void ip_sum(struct outgoing *o, const struct frame *f)
{
    struct iovec v = {o->head + f->network, (size_t)(f->transport - f->network)};

    if (f->kind != FRAME_IPV4 || f->transport > o->copied)
        return;
    memset(o->head + f->network + 10, 0, 2);
    (void)frame_checksum(&v, 1, 0, 10);
}

static bool checksum_ready(struct outgoing *o, const struct packet_out *p)
{
    uint32_t start = p->checksum >> RNDIS_CHECKSUM_OFFSET_SHIFT & RNDIS_CHECKSUM_OFFSET_MASK;
    bool tcp = p->checksum & RNDIS_CHECKSUM_TCP;
    struct frame f;

    frame_parse(&f, o->head, o->copied);
    if (p->checksum & RNDIS_CHECKSUM_IP_HEADER)
        ip_sum(o, &f);
    if (!tcp && !(p->checksum & RNDIS_CHECKSUM_UDP))
        return true;
    if (start == 0)
        start = f.transport;
    if (start < FRAME_HEADER || start + (tcp ? TCP_SUM : UDP_SUM) + 2 > p->data_length)
        return false;
    o->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    o->vnet.csum_start = (uint16_t)start;
    o->vnet.csum_offset = tcp ? TCP_SUM : UDP_SUM;
    return true;
}

/* Put the tag where it belongs; what lies behind it moves. */
static void tag_insert(struct outgoing *o, uint16_t tag)
{
    uint8_t *at = o->head + 2 * FRAME_ADDRESS;

    memmove(at + FRAME_TAG, at, o->copied - 2 * FRAME_ADDRESS);
    at[0] = 0x81;
    at[1] = 0;
    at[2] = (uint8_t)(tag >> 8);
    at[3] = (uint8_t)tag;
    o->head_length += FRAME_TAG;
    if (o->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        o->vnet.csum_start = (uint16_t)(o->vnet.csum_start + FRAME_TAG);
    if (o->vnet.hdr_len)
        o->vnet.hdr_len = (uint16_t)(o->vnet.hdr_len + FRAME_TAG);
}

static bool frame_ready(struct channel *c, struct outgoing *o, uint32_t at,
                        const struct packet_out *p)
{
    const struct network *n = c->network;
    uint32_t most = p->has_large ? FRAME_MAX - FRAME_TAG : n->config.mtu + FRAME_HEADER + FRAME_TAG;

    if (p->data_length < ETHERNET_MIN || p->data_length > most)
        return false;
    o->vnet = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_NONE};
    o->copied = (uint32_t)min_u64(p->data_length, p->has_large ? NETWORK_HEAD : COPY_SIZE);
    o->head_length = o->copied;
    stream_copy(&c->stream, at + p->data, o->head, o->copied);
    if (p->has_large)
        return large_ready(o, p, n->config.mtu);
    return !p->has_checksum || checksum_ready(o, p);
}

static bool is_spoofed(const struct network *n, const struct outgoing *o)
{
    return !n->config.spoofing &&
           memcmp(o->head + FRAME_ADDRESS, n->shared.rndis.mac, FRAME_ADDRESS) != 0;
}

/* The kernel sends a flow to the queue that its other direction has come from. So that is the queue
 * of the channel that the guest wants the answers on, and they need not be handed over. */
static int queue_for(const struct channel *c, const struct outgoing *o)
{
    const struct network *n = c->network;
    struct frame f;
    uint32_t hash;
    unsigned channel;

    if (n->backend.queues == 1 || !n->shared.rndis.rss.enabled)
        return c->queue_fd;
    frame_parse(&f, o->head, o->head_length);
    if (!rss_hash(&n->shared.rndis.rss, &f, o->head, true, &hash))
        return c->queue_fd;
    channel = rss_channel(&n->shared.rndis.rss, hash);
    return channel < n->backend.queues ? n->backend.queue[channel] : c->queue_fd;
}

/* At `at` of the stream is its message. */
static void frame_send(struct channel *c, uint32_t at, const struct packet_out *p)
{
    struct iovec iov[1 + NETWORK_VECTORS];
    struct outgoing o;
    unsigned count;

    if (!frame_ready(c, &o, at, p)) {
        network_tally(&c->send_errors, 1);
        return;
    }
    if (is_spoofed(c->network, &o)) {
        network_tally(&c->spoofed, 1);
        return;
    }
    if (p->has_vlan)
        tag_insert(&o, packet_tag(p->vlan));
    iov[0] = (struct iovec){&o, sizeof(o.vnet) + o.head_length};
    count = stream_slice(&c->stream, at + p->data + o.copied, p->data_length - o.copied, iov + 1);
    if (writev(queue_for(c, &o), iov, (int)count + 1) < 0) {
        network_tally(&c->send_errors, 1);
        return;
    }
    network_tally(&c->sent, 1);
    network_tally(&c->sent_bytes, p->data_length);
}

/* One message; how long it is, 0: it makes no sense. */
static uint32_t message_send(struct channel *c, uint32_t at)
{
    const struct network *n = c->network;
    uint8_t head[sizeof(struct rndis_header) + sizeof(struct rndis_packet)];
    uint8_t info[PACKET_INFO_MAX];
    uint32_t left = c->stream.length - at;
    struct packet_out p;

    if (left < sizeof(head))
        return 0;
    stream_copy(&c->stream, at, head, sizeof(head));
    if (!packet_out_parse(&p, head, sizeof(head), left))
        return 0;
    stream_copy(&c->stream, at + p.info, info, p.info_length);
    if (!packet_out_info(&p, info))
        return 0;
    if (n->shared.link_up && n->shared.rndis.initialized)
        frame_send(c, at, &p);
    return p.length;
}

enum nvsp_status send_frames(struct channel *c)
{
    uint32_t at = 0, n;

    for (unsigned i = 0; at < c->stream.length && i < MESSAGES_MAX; i++) {
        n = message_send(c, at);
        if (n == 0) {
            network_tally(&c->send_errors, 1);
            return NVSP_STATUS_INVALID_RNDIS_PACKET;
        }
        at += n;
    }
    return NVSP_STATUS_SUCCESS;
}
