/* SPDX-License-Identifier: MIT */
#include "vmbus/channel.h"

#include <errno.h>
#include <string.h>
#include "vmbus/server_priv.h"

/* Transfer ranges of one packet: with their header they must fit into a descriptor's length. */
#define TRANSFER_RANGES_MAX 4096U
/* Packets in a row that nobody has a use for; guests send none, but they could refill a ring faster
 * than it is read, and the VSP's thread would never come back. */
#define USELESS_MAX 256U

/* There is one writer, so that this need not be one instruction. */
static void count(_Atomic uint64_t *counter)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, v + 1, memory_order_relaxed);
}

static int broken(struct vmbus_channel *ch, int err)
{
    if (err != -EPIPE || ch->broken)
        return err;
    ch->broken = true;
    vmbus_record(ch->server->recorder, VMBUS_RECORD_BROKEN, ch->relid, 0, NULL, 0, NULL, 0);
    return -EPIPE;
}

/* The kind of a packet; -1: one that a VSP has no use for. */
static int packet_kind(uint16_t type)
{
    switch (type) {
    case VMPACKET_DATA_INBAND:
        return VMBUS_PACKET_INBAND;
    case VMPACKET_DATA_GPA_DIRECT:
        return VMBUS_PACKET_DIRECT;
    case VMPACKET_DATA_TRANSFER_PAGES:
        return VMBUS_PACKET_TRANSFER;
    case VMPACKET_COMPLETION:
        return VMBUS_PACKET_COMPLETION;
    default:
        return -1;
    }
}

bool vmbus_packet_range(const struct vmbus_packet *packet, uint32_t *cursor,
                        struct vmbus_range *range)
{
    struct vmbus_ring_ranges r = {.at = (const uint8_t *)packet->descriptor + *cursor,
                                  .left = *cursor < packet->descriptor_length,
                                  .transfer = packet->type == VMBUS_PACKET_TRANSFER};
    struct vmbus_ring_range got;

    /* They were checked when the packet was received, so that the length says how many. */
    if (!vmbus_ring_range_next(&r, &got))
        return false;
    *cursor = (uint32_t)(r.at - (const uint8_t *)packet->descriptor);
    *range = (struct vmbus_range){got.length, got.offset, got.pfns, got.pfn_count};
    return true;
}

/* Ranges of a packet whose body is in `buf`. */
static int ranges_take(struct vmbus_packet *packet, const struct vmbus_ring_packet *p,
                       const uint8_t *buf)
{
    struct vmbus_ring_ranges ranges, end;
    struct vmbus_ring_range range = {0};
    uint32_t cursor = 0;
    int err = vmbus_ring_ranges(&ranges, p, buf);

    if (err || (packet->type != VMBUS_PACKET_DIRECT && packet->type != VMBUS_PACKET_TRANSFER))
        return err;
    packet->range_count = ranges.left;
    packet->descriptor = ranges.at;
    for (end = ranges; vmbus_ring_range_next(&end, &range);)
        continue;
    packet->descriptor_length = (uint32_t)(end.at - ranges.at);
    if (packet->type == VMBUS_PACKET_TRANSFER)
        memcpy(&packet->transfer_set, buf, sizeof(packet->transfer_set));
    else
        (void)vmbus_packet_range(packet, &cursor, &packet->range);
    return 0;
}

/* Take the pipe's header off. */
static int pipe_take(struct vmbus_packet *packet)
{
    struct vmpipe_header h;

    if (packet->length < sizeof(h))
        return -EPIPE;
    memcpy(&h, packet->data, sizeof(h));
    if (h.type != VMPIPE_DATA || h.length > packet->length - sizeof(h))
        return -EPIPE;
    packet->data = (const uint8_t *)packet->data + sizeof(h);
    packet->length = h.length;
    return 0;
}

static int packet_take(struct vmbus_channel *ch, const struct vmbus_ring_packet *p,
                       const uint8_t *buf, struct vmbus_packet *packet)
{
    struct vmbus_packet out = {
        .type = (enum vmbus_packet_type)packet_kind(p->descriptor.type),
        .completion_wanted = p->descriptor.flags & VMPACKET_COMPLETION_WANTED,
        .transaction = p->descriptor.transaction,
        .data = buf + p->data_offset,
        .length = p->body_length - p->data_offset,
    };
    int err = ranges_take(&out, p, buf);

    if (!err && ch->pipe && out.type == VMBUS_PACKET_INBAND)
        err = pipe_take(&out);
    if (err)
        return -EPIPE;
    *packet = out;
    return 1;
}

int vmbus_channel_receive(struct vmbus_channel *ch, struct vmbus_packet *packet, void *buf,
                          size_t size)
{
    struct vmbus_ring_packet p;
    int err = ch->broken ? -EPIPE : 1;

    for (unsigned useless = 0; err == 1; useless++) {
        if (useless == USELESS_MAX)
            return broken(ch, -EPIPE);
        err = vmbus_ring_read(&ch->in, &p, buf, size);
        if (err != 1)
            break;
        count(&ch->received);
        vmbus_record(ch->server->recorder, VMBUS_RECORD_RECEIVE, ch->relid, 0, &p.descriptor,
                     sizeof(p.descriptor), buf, p.body_length);
        if (packet_kind(p.descriptor.type) >= 0)
            return broken(ch, packet_take(ch, &p, buf, packet));
    }
    return broken(ch, err);
}

void vmbus_channel_poll(struct vmbus_channel *ch, bool poll)
{
    vmbus_ring_in_poll(&ch->in, poll);
}

static int send(struct vmbus_channel *ch, const struct vmbus_ring_send *s)
{
    struct {
        uint16_t type;
        uint16_t flags;
        uint32_t head_length;
        uint64_t transaction;
    } head = {s->type, s->flags, (uint32_t)s->head_length, s->transaction};
    int err = ch->broken ? -EPIPE : vmbus_ring_write(&ch->out, s, &ch->signal);

    if (!err) {
        count(&ch->sent);
        vmbus_record(ch->server->recorder, VMBUS_RECORD_SEND, ch->relid, err, &head, sizeof(head),
                     s->data, s->length);
    }
    return broken(ch, err);
}

int vmbus_channel_send(struct vmbus_channel *ch, enum vmbus_packet_type type, uint64_t transaction,
                       bool completion_wanted, const void *data, size_t length)
{
    const struct vmpipe_header pipe = {VMPIPE_DATA, (uint32_t)length};
    const bool completion = type == VMBUS_PACKET_COMPLETION;
    const struct vmbus_ring_send s = {
        .type = completion ? VMPACKET_COMPLETION : VMPACKET_DATA_INBAND,
        .flags = completion_wanted ? VMPACKET_COMPLETION_WANTED : 0,
        .transaction = transaction,
        .prefix = &pipe,
        .prefix_length = ch->pipe && !completion ? sizeof(pipe) : 0,
        .data = data,
        .length = length,
    };

    return send(ch, &s);
}

int vmbus_channel_send_transfer(struct vmbus_channel *ch, uint64_t transaction,
                                bool completion_wanted, uint16_t set,
                                const struct vmbus_transfer_range *ranges, uint32_t range_count,
                                const void *data, size_t length)
{
    struct {
        uint16_t set;
        uint8_t sender_owns_set;
        uint8_t reserved;
        uint32_t count;
        struct vmbus_transfer_range ranges[TRANSFER_RANGES_MAX];
    } head;
    struct vmbus_ring_send s = {
        .type = VMPACKET_DATA_TRANSFER_PAGES,
        .flags = completion_wanted ? VMPACKET_COMPLETION_WANTED : 0,
        .transaction = transaction,
        .head = &head,
        .data = data,
        .length = length,
    };

    if (range_count == 0 || range_count > TRANSFER_RANGES_MAX)
        return -EMSGSIZE;
    head.set = set;
    head.sender_owns_set = head.reserved = 0;
    head.count = range_count;
    memcpy(head.ranges, ranges, range_count * sizeof(ranges[0]));
    s.head_length = sizeof(struct vmpacket_transfer_pages) - sizeof(struct vmpacket_descriptor) +
                    range_count * sizeof(ranges[0]);
    return send(ch, &s);
}

static void interrupt(struct vmbus_channel *ch)
{
    const struct vmbus_host *host = &ch->server->config.host;
    uint32_t vp;
    int err = 0;

    (void)pthread_mutex_lock(&ch->target);
    vp = atomic_load_explicit(&ch->vp, memory_order_relaxed);
    if (vp != VMBUS_VP_NO_INTERRUPT)
        err = host->signal_event(host->ctx, vp, ch->sint, ch->event_flag);
    (void)pthread_mutex_unlock(&ch->target);
    if (vp == VMBUS_VP_NO_INTERRUPT)
        return;
    count(&ch->signals);
    vmbus_record(ch->server->recorder, VMBUS_RECORD_SIGNAL, ch->relid, err, &vp, sizeof(vp), NULL,
                 0);
}

void vmbus_channel_signal(struct vmbus_channel *ch)
{
    int read, written;

    if (ch->broken)
        return;
    read = vmbus_ring_read_publish(&ch->in);
    written = vmbus_ring_write_publish(&ch->out);
    if (read < 0 || written < 0) {
        (void)broken(ch, -EPIPE);
        return;
    }
    if (read || written || ch->signal)
        interrupt(ch);
    ch->signal = false;
}

int vmbus_channel_fd(const struct vmbus_channel *ch)
{
    return ch->fd;
}

uint32_t vmbus_channel_vp(const struct vmbus_channel *ch)
{
    return atomic_load_explicit(&ch->vp, memory_order_relaxed);
}

bool vmbus_channel_restored(const struct vmbus_channel *ch)
{
    return ch->restored;
}

const uint8_t *vmbus_channel_open_data(const struct vmbus_channel *ch)
{
    return ch->open_data;
}

int vmbus_channel_offer_subs(struct vmbus_channel *ch, unsigned count)
{
    struct vmbus_server *server = ch->server;
    unsigned have = 0;
    uint32_t relid;
    int err = 0;

    (void)pthread_mutex_lock(&server->lock);
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        struct vmbus_core_channel_info info;
        have += vmbus_core_channel(server->core, i, &info) == 0 && info.primary == ch->relid &&
                !info.revoked;
    }
    if (!ch->device || ch->sub || count > ch->device->offer.sub_channel_max ||
        have > ch->device->offer.sub_channel_max - count)
        err = -EINVAL;
    for (unsigned i = 0; i < count && !err; i++)
        err = vmbus_core_offer_sub(server->core, ch->relid, &relid);
    server_posts(server);
    server_wake(server);
    (void)pthread_mutex_unlock(&server->lock);
    return err;
}
