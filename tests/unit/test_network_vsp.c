/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sys/socket.h>
#include "tests/unit/shim_network.h"
#include "vsp/network/frame.h"
#include "vsp/network/network.h"

/*
 * A whole adapter: the test is a guest that speaks like Linux, and the wire, which is a pair of
 * sockets for each queue.
 */

#define WAIT_MS       10000U
#define RECEIVE_PAGES 1024U
#define RECEIVE_PAGE  0U
#define SEND_PAGE     1024U
#define SEND_PAGES    256U
#define FREE_PAGE     2000U
#define RECEIVE_ID    0xcafeU
#define QUEUES        2U
#define HEADER        sizeof(struct virtio_net_hdr)

static struct network *network;
static struct vmbus_channel *channel, *sub;
static int wire[QUEUES], queue[QUEUES];
static atomic_int coalesced;
static atomic_bool attached[QUEUES];
static uint32_t requests, piece_size;
static const uint8_t mac[6] = {0, 0x15, 0x5d, 1, 2, 3}, peer[6] = {2, 0, 0, 0, 0, 9};

static int backend_attach(void *ctx, unsigned q, bool on)
{
    atomic_store(&attached[q], on);
    return 0;
}

static int backend_coalesce(void *ctx, bool ip4, bool ip6)
{
    atomic_store(&coalesced, ip4 + 2 * ip6);
    return 0;
}

static int hook_channels(void *ctx, struct vmbus_channel *to, unsigned count)
{
    return 0;
}

static void adapter_make(void)
{
    const struct network_config config = {
        .mac = {0, 0x15, 0x5d, 1, 2, 3}, .mtu = 1500, .channels = QUEUES, .speed = 10000};
    const struct network_backend backend = {NULL, QUEUES, queue, backend_attach, backend_coalesce};
    const struct network_hooks hooks = {NULL, hook_channels};

    assert_int_equal(network_create(&network, &config, &backend, &hooks), 0);
}

/* A packet of the guest, and the completion that it gets. */
static struct nvsp_message nvsp_ask(struct vmbus_channel *c, struct shim_packet *p)
{
    struct nvsp_message reply = {0};
    struct shim_packet got;

    p->transaction = 77;
    p->wanted = true;
    assert_true(shim_put(c, p));
    shim_kick(c);
    do
        assert_true(shim_get(c, &got, WAIT_MS));
    while (got.type == VMBUS_PACKET_INBAND); /* the table */
    assert_int_equal(got.type, VMBUS_PACKET_COMPLETION);
    assert_int_equal(got.transaction, 77);
    memcpy(&reply, got.data, got.length);
    return reply;
}

static struct nvsp_message nvsp_say(uint32_t type, const void *payload, size_t size)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND, .length = sizeof(struct nvsp_message)};

    memcpy(p.data, &type, sizeof(type));
    memcpy(p.data + 4, payload, size);
    return nvsp_ask(channel, &p);
}

static uint32_t status_of(const struct nvsp_message *m)
{
    uint32_t v;

    memcpy(&v, m->payload, sizeof(v));
    return v;
}

/* `length` bytes at a page go as RNDIS. */
static uint32_t rndis_send(struct vmbus_channel *c, uint32_t kind, uint32_t page, uint32_t length)
{
    struct shim_packet p = {.type = VMBUS_PACKET_DIRECT, .length = sizeof(struct nvsp_message)};
    const uint32_t m[4] = {NVSP_SEND_RNDIS_PACKET, kind, NVSP_SECTION_NONE, 0};
    struct nvsp_message reply;

    memcpy(p.data, m, sizeof(m));
    p.range_count = 1;
    p.range_length = length;
    p.pfn_count = (length + 4095) / 4096;
    p.pfns = calloc(p.pfn_count, sizeof(uint64_t));
    for (uint32_t i = 0; i < p.pfn_count; i++)
        p.pfns[i] = page + i;
    reply = nvsp_ask(c, &p);
    assert_int_equal(reply.type, NVSP_SEND_RNDIS_PACKET_COMPLETE);
    return status_of(&reply);
}

static void complete(struct vmbus_channel *c, uint64_t transaction)
{
    struct shim_packet p = {
        .type = VMBUS_PACKET_COMPLETION, .transaction = transaction, .length = 8};
    const uint32_t m[2] = {NVSP_SEND_RNDIS_PACKET_COMPLETE, NVSP_STATUS_SUCCESS};

    memcpy(p.data, m, sizeof(m));
    assert_true(shim_put(c, &p));
    shim_kick(c);
}

/* The next transfer packet; its pfns are the caller's. */
static bool transfer_get(struct vmbus_channel *c, struct shim_packet *p, unsigned ms)
{
    do
        if (!shim_get(c, p, ms))
            return false;
    while (p->type != VMBUS_PACKET_TRANSFER);
    assert_int_equal(p->range_offset, RECEIVE_ID);
    assert_true(p->wanted);
    return true;
}

/* A control message and its answer; of the body, behind the header, at most `size` bytes. */
static void rndis_ask(uint32_t type, const void *body, size_t length, void *out, size_t size)
{
    const struct rndis_header h = {type, (uint32_t)(sizeof(h) + length)};
    uint8_t *at = guest_memory + FREE_PAGE * 4096;
    struct shim_packet p;

    memcpy(at, &h, sizeof(h));
    memcpy(at + sizeof(h), body, length);
    assert_int_equal(rndis_send(channel, NVSP_CHANNEL_CONTROL, FREE_PAGE, h.length),
                     NVSP_STATUS_SUCCESS);
    assert_true(transfer_get(channel, &p, WAIT_MS));
    assert_int_equal(p.range_count, 1);
    at = guest_memory + RECEIVE_PAGE * 4096 + (p.pfns[0] >> 32);
    memcpy(out, at + sizeof(h), size);
    free(p.pfns);
    complete(channel, p.transaction);
}

static uint32_t rndis_set(uint32_t oid, const void *info, size_t length)
{
    const struct rndis_request q = {++requests, oid, (uint32_t)length, sizeof(q), 0};
    struct rndis_status done;
    uint8_t body[1024];

    memcpy(body, &q, sizeof(q));
    memcpy(body + sizeof(q), info, length);
    rndis_ask(RNDIS_SET, body, sizeof(q) + length, &done, sizeof(done));
    assert_int_equal(done.request, requests);
    return done.status;
}

static void filter_set(uint32_t filter)
{
    assert_int_equal(rndis_set(OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof(filter)), 0);
}

static void coalesce_set(uint8_t wish)
{
    const struct ndis_offload_parameters p = {
        .header = {NDIS_OBJECT_DEFAULT, 3, sizeof(p)}, .coalesce_ip4 = wish, .coalesce_ip6 = wish};

    assert_int_equal(rndis_set(OID_TCP_OFFLOAD_PARAMETERS, &p, sizeof(p)), 0);
}

static void guest_begin(void)
{
    const struct nvsp_init init = {NVSP_VERSION_6_1, NVSP_VERSION_6_1};
    const struct nvsp_ndis_config config = {1514, 0, NVSP_CAPABILITY_8021Q | NVSP_CAPABILITY_RSC};
    const struct nvsp_send_buffer receive = {SHIM_GPADL(RECEIVE_PAGE, RECEIVE_PAGES), RECEIVE_ID};
    const struct nvsp_send_buffer send = {SHIM_GPADL(SEND_PAGE, SEND_PAGES), 0};
    const struct rndis_initialize rndis = {1, 1, 0, 0x4000};
    struct rndis_initialize_complete done;
    struct nvsp_receive_buffer_complete r;
    struct nvsp_message m;

    (void)nvsp_say(NVSP_INIT, &init, sizeof(init));
    (void)nvsp_say(NVSP_SEND_NDIS_CONFIG, &config, sizeof(config));
    m = nvsp_say(NVSP_SEND_RECEIVE_BUFFER, &receive, sizeof(receive));
    memcpy(&r, m.payload, sizeof(r));
    assert_int_equal(r.status, NVSP_STATUS_SUCCESS);
    assert_int_equal(r.section_count, 1);
    assert_true(r.piece_size * r.piece_count <= RECEIVE_PAGES * 4096);
    piece_size = r.piece_size;
    m = nvsp_say(NVSP_SEND_SEND_BUFFER, &send, sizeof(send));
    assert_int_equal(status_of(&m), NVSP_STATUS_SUCCESS);
    rndis_ask(RNDIS_INITIALIZE, &rndis, sizeof(rndis), &done, sizeof(done));
    assert_int_equal(done.status, 0);
}

static int setup(void **state)
{
    guest_memory = calloc(SHIM_PAGES, 4096);
    for (unsigned i = 0; i < QUEUES; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
        wire[i] = pair[0];
        queue[i] = pair[1];
    }
    adapter_make();
    channel = shim_channel_new();
    assert_int_equal(network_device_ops.open(network, channel, 0), 0);
    guest_begin();
    return 0;
}

static void leave(struct vmbus_channel *c)
{
    struct shim_packet p;

    while (shim_get(c, &p, 0))
        free(p.pfns);
    shim_channel_free(c);
}

static int teardown(void **state)
{
    if (sub) {
        network_device_ops.close(network, sub, 1);
        leave(sub);
    }
    network_device_ops.close(network, channel, 0);
    leave(channel);
    sub = channel = NULL;
    network_destroy(network);
    for (unsigned i = 0; i < QUEUES; i++) {
        (void)close(wire[i]);
        (void)close(queue[i]);
    }
    free(guest_memory);
    return 0;
}

/* A frame of the guest as a data message at `at`, with one piece of information or none. */
static uint32_t message_put(uint8_t *at, const uint8_t *frame, uint32_t length, uint32_t type,
                            uint32_t value)
{
    const struct rndis_info i = {16, type, 12};
    const uint32_t info = type == UINT32_MAX ? 0 : 16;
    const struct rndis_packet m = {.data_offset = sizeof(m) + info,
                                   .data_length = length,
                                   .info_offset = info ? sizeof(m) : 0,
                                   .info_length = info};
    const struct rndis_header h = {RNDIS_PACKET, (uint32_t)(sizeof(h) + sizeof(m) + info + length)};

    memcpy(at, &h, sizeof(h));
    memcpy(at + 8, &m, sizeof(m));
    if (info) {
        memcpy(at + 44, &i, sizeof(i));
        memcpy(at + 56, &value, sizeof(value));
    }
    memcpy(at + 44 + info, frame, length);
    return h.length;
}

static void frame_make(uint8_t *f, uint32_t length, const uint8_t *to, const uint8_t *from)
{
    for (uint32_t i = 0; i < length; i++)
        f[i] = (uint8_t)(i * 7 + length);
    memcpy(f, to, 6);
    memcpy(f + 6, from, 6);
    f[12] = 0x88;
    f[13] = 0xB5;
}

/* IPv4 and TCP; ports decide about the hash. */
static void tcp_make(uint8_t *f, uint32_t length, const uint8_t *to, const uint8_t *from,
                     uint8_t port)
{
    frame_make(f, length, to, from);
    memcpy(f + 12, "\x08\x00\x45\x00", 4);
    f[16] = (uint8_t)((length - 14) >> 8);
    f[17] = (uint8_t)(length - 14);
    f[20] = f[21] = 0;
    f[23] = 6;
    f[35] = port;
    f[46] = 0x50;
}

/* What has gone out; -1: nothing. */
static ssize_t wire_get(unsigned q, uint8_t *to, size_t size)
{
    struct pollfd p = {.fd = wire[q], .events = POLLIN};

    if (poll(&p, 1, 100) <= 0)
        return -1;
    return read(wire[q], to, size);
}

static void test_send(void **state)
{
    static uint8_t f[200], got[2000];
    uint32_t n;

    frame_make(f, sizeof(f), peer, mac);
    n = message_put(guest_memory + 2100 * 4096, f, sizeof(f), UINT32_MAX, 0);
    assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
    assert_int_equal(wire_get(0, got, sizeof(got)), HEADER + sizeof(f));
    assert_int_equal(got[0], 0);
    assert_memory_equal(got + HEADER, f, sizeof(f));
    /* Another's address. */
    frame_make(f, sizeof(f), peer, peer);
    n = message_put(guest_memory + 2100 * 4096, f, sizeof(f), UINT32_MAX, 0);
    assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
    assert_int_equal(wire_get(0, got, sizeof(got)), -1);
    /* Too long, too short, and not a message at all. */
    n = message_put(guest_memory + 2100 * 4096, got, 1519, UINT32_MAX, 0);
    assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
    assert_int_equal(rndis_send(channel, 0, 2100, n - 1), NVSP_STATUS_INVALID_RNDIS_PACKET);
    assert_int_equal(rndis_send(channel, 0, 2100, 7), NVSP_STATUS_INVALID_RNDIS_PACKET);
    assert_int_equal(wire_get(0, got, sizeof(got)), -1);
}

/* Messages that were joined in a section of the send buffer. */
static void test_send_section(void **state)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND, .length = sizeof(struct nvsp_message)};
    uint8_t f[100], got[200], *at = guest_memory + SEND_PAGE * 4096 + 3 * 6144;
    uint32_t m[4] = {NVSP_SEND_RNDIS_PACKET, 0, 3, 0}, n = 0;
    struct nvsp_message reply;

    for (unsigned i = 0; i < 8; i++) {
        frame_make(f, 100 - i, peer, mac);
        n += message_put(at + n, f, 100 - i, UINT32_MAX, 0);
    }
    m[3] = n;
    memcpy(p.data, m, sizeof(m));
    reply = nvsp_ask(channel, &p);
    assert_int_equal(status_of(&reply), NVSP_STATUS_SUCCESS);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(wire_get(0, got, sizeof(got)), HEADER + 100 - i);
    m[2] = SEND_PAGES * 4096 / 6144;
    memcpy(p.data, m, sizeof(m));
    reply = nvsp_ask(channel, &p);
    assert_int_equal(status_of(&reply), NVSP_STATUS_INVALID_RNDIS_PACKET);
    m[2] = 0;
    m[3] = 6145;
    memcpy(p.data, m, sizeof(m));
    reply = nvsp_ask(channel, &p);
    assert_int_equal(status_of(&reply), NVSP_STATUS_INVALID_RNDIS_PACKET);
}

static void test_send_checksum_tag(void **state)
{
    uint8_t f[200], got[300];
    struct virtio_net_hdr v;
    uint32_t n;

    tcp_make(f, sizeof(f), peer, mac, 1);
    n = message_put(guest_memory + 2100 * 4096, f, sizeof(f), RNDIS_INFO_CHECKSUM,
                    RNDIS_CHECKSUM_IPV4 | RNDIS_CHECKSUM_TCP | 34U << 16);
    assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
    assert_int_equal(wire_get(0, got, sizeof(got)), HEADER + sizeof(f));
    memcpy(&v, got, sizeof(v));
    assert_int_equal(v.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(v.csum_start, 34);
    assert_int_equal(v.csum_offset, 16);
    n = message_put(guest_memory + 2100 * 4096, f, sizeof(f), RNDIS_INFO_VLAN, 5 << 4 | 3);
    assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
    assert_int_equal(wire_get(0, got, sizeof(got)), HEADER + sizeof(f) + 4);
    assert_memory_equal(got + HEADER + 12, "\x81\x00\x60\x05\x08\x00", 6);
    assert_memory_equal(got + HEADER + 18, f + 14, sizeof(f) - 14);
}

static void test_send_large(void **state)
{
    static uint8_t f[60000], got[61000];
    const uint32_t large = RNDIS_LARGE_SEND_V2 | 34U << 20 | 1460;
    struct virtio_net_hdr v;
    uint32_t n;

    tcp_make(f, sizeof(f), peer, mac, 1);
    f[16] = f[17] = 0; /* as guests do */
    n = message_put(guest_memory + 2100 * 4096, f, sizeof(f), RNDIS_INFO_LARGE_SEND, large);
    assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
    assert_int_equal(wire_get(0, got, sizeof(got)), HEADER + sizeof(f));
    memcpy(&v, got, sizeof(v));
    assert_int_equal(v.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(v.gso_size, 1460);
    assert_int_equal(v.hdr_len, 54);
    assert_int_equal(got[HEADER + 16] << 8 | got[HEADER + 17], 60000 - 14);
    assert_memory_equal(got + HEADER + 54, f + 54, sizeof(f) - 54);
    /* Segments longer than the MTU, or of nothing. */
    n = message_put(guest_memory + 2100 * 4096, f, sizeof(f), RNDIS_INFO_LARGE_SEND, large + 1);
    assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
    n = message_put(guest_memory + 2100 * 4096, f, sizeof(f), RNDIS_INFO_LARGE_SEND, large - 1460);
    assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
    assert_int_equal(wire_get(0, got, sizeof(got)), -1);
}

static void wire_put(unsigned q, const struct virtio_net_hdr *v, const uint8_t *f, uint32_t length)
{
    struct iovec iov[2];
    struct virtio_net_hdr header = *v;
    uint8_t bytes[70000];

    memcpy(bytes, f, length);
    iov[0] = (struct iovec){&header, sizeof(header)};
    iov[1] = (struct iovec){bytes, length};
    assert_int_equal(writev(wire[q], iov, 2), HEADER + length);
}

static const struct virtio_net_hdr plain;

/* A message in the receive buffer: its frame, and where the information is. */
static const uint8_t *message_at(uint64_t range, struct rndis_packet *m, const uint8_t **info)
{
    const uint8_t *at = guest_memory + RECEIVE_PAGE * 4096 + (range >> 32);
    struct rndis_header h;

    memcpy(&h, at, sizeof(h));
    memcpy(m, at + sizeof(h), sizeof(*m));
    assert_int_equal(h.type, RNDIS_PACKET);
    assert_true(h.length <= (uint32_t)range && (uint32_t)range <= piece_size);
    assert_true(m->data_offset + m->data_length + sizeof(h) <= h.length);
    *info = at + sizeof(h) + m->info_offset;
    return at + sizeof(h) + m->data_offset;
}

/* The value of a piece of information; -1. */
static int64_t info_of(const struct rndis_packet *m, const uint8_t *info, uint32_t type)
{
    struct rndis_info i;
    uint32_t value;

    for (uint32_t at = 0; at < m->info_length; at += i.size) {
        memcpy(&i, info + at, sizeof(i));
        memcpy(&value, info + at + i.offset, sizeof(value));
        if (i.type == type)
            return value;
    }
    return -1;
}

static void test_receive(void **state)
{
    uint8_t f[300];
    struct rndis_packet m;
    struct shim_packet p;
    const uint8_t *info, *at;

    frame_make(f, sizeof(f), mac, peer);
    wire_put(0, &plain, f, sizeof(f));
    assert_false(transfer_get(channel, &p, 50));
    assert_false(atomic_load(&attached[0]));
    filter_set(NDIS_FILTER_DIRECTED | NDIS_FILTER_BROADCAST);
    assert_true(atomic_load(&attached[0]));
    assert_true(transfer_get(channel, &p, WAIT_MS));
    at = message_at(p.pfns[0], &m, &info);
    assert_int_equal(m.data_length, sizeof(f));
    assert_memory_equal(at, f, sizeof(f));
    assert_int_equal(m.info_length, 0);
    free(p.pfns);
    complete(channel, p.transaction);
    frame_make(f, sizeof(f), peer, peer); /* for somebody else */
    wire_put(0, &plain, f, sizeof(f));
    assert_false(transfer_get(channel, &p, 50));
    /* After the answer to this nothing comes any more. */
    filter_set(0);
    frame_make(f, sizeof(f), mac, peer);
    wire_put(0, &plain, f, sizeof(f));
    assert_false(transfer_get(channel, &p, 50));
    assert_false(atomic_load(&attached[0]));
}

static void test_receive_tag_sum(void **state)
{
    const struct virtio_net_hdr v = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 38, .csum_offset = 16};
    uint8_t f[300], tagged[304];
    struct iovec all;
    struct rndis_packet m;
    struct shim_packet p;
    const uint8_t *info, *at;
    uint8_t copy[300];

    filter_set(NDIS_FILTER_DIRECTED);
    tcp_make(f, sizeof(f), mac, peer, 1);
    f[50] = f[51] = 0;
    memcpy(tagged, f, 12);
    memcpy(tagged + 12, "\x81\x00\x60\x05", 4);
    memcpy(tagged + 16, f + 12, sizeof(f) - 12);
    wire_put(0, &v, tagged, sizeof(tagged));
    assert_true(transfer_get(channel, &p, WAIT_MS));
    at = message_at(p.pfns[0], &m, &info);
    assert_int_equal(m.data_length, sizeof(f));
    assert_memory_equal(at, f, 50);
    assert_int_equal(info_of(&m, info, RNDIS_INFO_VLAN), 0x53);
    assert_int_equal(info_of(&m, info, RNDIS_INFO_CHECKSUM), RNDIS_CHECKSUM_TCP_GOOD);
    memcpy(copy, at, sizeof(copy));
    all = (struct iovec){copy, sizeof(copy)};
    assert_int_equal(frame_sum(&all, 1, 34), 0xFFFF);
    free(p.pfns);
    complete(channel, p.transaction);
}

/* A large frame comes in pieces, if the guest takes it, and else not at all. */
static void test_receive_large(void **state)
{
    static uint8_t f[60000], got[60000];
    const struct virtio_net_hdr v = {.flags = VIRTIO_NET_HDR_F_DATA_VALID,
                                     .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                     .gso_size = 1460};
    struct rndis_packet m;
    struct shim_packet p;
    const uint8_t *info, *at;
    uint32_t length = 0;

    filter_set(NDIS_FILTER_DIRECTED);
    tcp_make(f, sizeof(f), mac, peer, 1);
    wire_put(0, &v, f, sizeof(f));
    wire_put(0, &v, f, 1000);
    assert_false(transfer_get(channel, &p, 50));
    coalesce_set(NDIS_OFFLOAD_ENABLE);
    assert_int_equal(atomic_load(&coalesced), 3);
    wire_put(0, &v, f, sizeof(f));
    assert_true(transfer_get(channel, &p, WAIT_MS));
    for (uint32_t i = 0; i < p.range_count; i++) {
        int64_t flags = 1 | (i == 0) << 1 | (i + 1 == p.range_count) << 2;
        at = message_at(p.pfns[i], &m, &info);
        assert_int_equal(info_of(&m, info, RNDIS_INFO_ID), 1 | flags << 8);
        memcpy(got + length, at, m.data_length);
        length += m.data_length;
    }
    assert_int_equal(length, sizeof(f));
    assert_memory_equal(got, f, sizeof(f));
    free(p.pfns);
    complete(channel, p.transaction);
    coalesce_set(NDIS_OFFLOAD_DISABLE);
    assert_int_equal(atomic_load(&coalesced), 0);
}

/* More frames than the buffer has pieces for: the rest waits until the guest gives some back. */
static void test_receive_full(void **state)
{
    enum { FRAMES = 1000 };
    uint64_t held[FRAMES];
    uint8_t f[100];
    unsigned put = 0, got = 0, packets = 0, completed = 0;
    struct network_counters counters;
    struct shim_packet p;

    filter_set(NDIS_FILTER_DIRECTED);
    frame_make(f, sizeof(f), mac, peer);
    while (got < FRAMES) {
        for (unsigned i = 0; i < 60 && put < FRAMES; i++, put++)
            wire_put(0, &plain, f, sizeof(f));
        while (transfer_get(channel, &p, 20)) {
            held[packets++] = p.transaction;
            got += p.range_count;
            free(p.pfns);
        }
        if (got < put)
            while (completed < packets)
                complete(channel, held[completed++]);
    }
    assert_int_equal(got, FRAMES);
    assert_int_equal(network_counters(network, 0, &counters), 0);
    assert_true(counters.no_buffer > 0);
    assert_int_equal(counters.received, FRAMES);
    while (completed < packets)
        complete(channel, held[completed++]);
    complete(channel, 5); /* nobody has asked for these */
    complete(channel, UINT64_MAX);
    complete(channel, 0);
}

static void subs_open(void)
{
    const struct nvsp_subchannel_request r = {NVSP_SUBCHANNEL_ALLOCATE, 5};
    struct nvsp_message m = nvsp_say(NVSP_SUBCHANNEL, &r, sizeof(r));
    struct nvsp_subchannel_complete done;

    memcpy(&done, m.payload, sizeof(done));
    assert_int_equal(done.status, NVSP_STATUS_SUCCESS);
    assert_int_equal(done.count, 1);
    sub = shim_channel_new();
    assert_int_equal(network_device_ops.open(network, sub, 1), 0);
}

/* The guest's table decides, whatever queue a frame comes from. */
static void test_rss(void **state)
{
    struct ndis_rss_parameters r = {
        .header = {NDIS_OBJECT_RSS_PARAMETERS, 2, sizeof(r)},
        .hash = NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4 | NDIS_HASH_TCP_IPV4,
        .table_size = 8,
        .table_offset = sizeof(r),
        .key_size = 40,
        .key_offset = sizeof(r) + 8,
    };
    uint8_t info[sizeof(r) + 48] = {0}, f[100];
    unsigned got[2] = {0};
    struct shim_packet p;

    subs_open();
    memcpy(info, &r, sizeof(r));
    info[sizeof(r) + 4] = 1;
    for (unsigned i = 0; i < 40; i++)
        info[sizeof(r) + 8 + i] = (uint8_t)(i * 41 + 3);
    assert_int_equal(rndis_set(OID_GEN_RECEIVE_SCALE_PARAMETERS, info, sizeof(info)), 0);
    filter_set(NDIS_FILTER_DIRECTED);
    for (unsigned i = 0; i < 200; i++) {
        tcp_make(f, sizeof(f), mac, peer, (uint8_t)i);
        wire_put(i % 2, &plain, f, sizeof(f));
        for (unsigned c = 0; c < 2; c++)
            while (transfer_get(c ? sub : channel, &p, 1)) {
                got[c] += p.range_count;
                free(p.pfns);
                complete(c ? sub : channel, p.transaction);
            }
    }
    for (unsigned c = 0; c < 2; c++)
        while (transfer_get(c ? sub : channel, &p, 100)) {
            got[c] += p.range_count;
            free(p.pfns);
            complete(c ? sub : channel, p.transaction);
        }
    assert_int_equal(got[0] + got[1], 200);
    assert_true(got[0] > 50 && got[1] > 50);
}

/* A sub-channel that closes while the guest has frames of it. */
static void test_sub_close(void **state)
{
    struct network_state n;
    uint8_t f[100];
    struct shim_packet p;

    subs_open();
    filter_set(NDIS_FILTER_DIRECTED);
    frame_make(f, sizeof(f), mac, peer);
    wire_put(1, &plain, f, sizeof(f));
    assert_true(transfer_get(sub, &p, WAIT_MS));
    free(p.pfns);
    network_device_ops.close(network, sub, 1);
    leave(sub);
    sub = NULL;
    wire_put(0, &plain, f, sizeof(f));
    assert_true(transfer_get(channel, &p, WAIT_MS));
    free(p.pfns);
    network_state(network, &n);
    assert_int_equal(n.channels, 1);
    assert_int_equal(n.version, NVSP_VERSION_6_1);
}

static void test_link(void **state)
{
    struct rndis_indicate i;
    uint8_t f[100];
    struct shim_packet p;

    filter_set(NDIS_FILTER_DIRECTED);
    network_link(network, false);
    assert_true(transfer_get(channel, &p, WAIT_MS));
    memcpy(&i, guest_memory + (p.pfns[0] >> 32) + 8, sizeof(i));
    assert_int_equal(i.status, RNDIS_STATUS_MEDIA_DISCONNECT);
    free(p.pfns);
    complete(channel, p.transaction);
    frame_make(f, sizeof(f), mac, peer);
    wire_put(0, &plain, f, sizeof(f));
    assert_false(transfer_get(channel, &p, 50));
    network_link(network, true);
    assert_true(transfer_get(channel, &p, WAIT_MS));
    memcpy(&i, guest_memory + (p.pfns[0] >> 32) + 8, sizeof(i));
    assert_int_equal(i.status, RNDIS_STATUS_MEDIA_CONNECT);
    free(p.pfns);
    complete(channel, p.transaction);
}

/* A guest that does not listen misses changes of the link, but not the last one. */
static void test_link_often(void **state)
{
    struct shim_packet p;
    struct rndis_indicate i = {.status = 0};
    unsigned got = 0;

    (void)pthread_mutex_lock(&channel->lock);
    channel->out_room = 0;
    (void)pthread_mutex_unlock(&channel->lock);
    for (unsigned n = 0; n < 101; n++) {
        network_link(network, n % 2);
        usleep(1000);
    }
    (void)pthread_mutex_lock(&channel->lock);
    channel->out_room = SHIM_QUEUE;
    (void)pthread_mutex_unlock(&channel->lock);
    shim_kick(channel);
    while (transfer_get(channel, &p, 100)) {
        memcpy(&i, guest_memory + (p.pfns[0] >> 32) + 8, sizeof(i));
        free(p.pfns);
        complete(channel, p.transaction);
        got++;
    }
    assert_true(got > 0 && got <= 18);
    assert_int_equal(i.status, RNDIS_STATUS_MEDIA_DISCONNECT);
}

/* A reloaded driver: all is given back, and begins anew. */
static void test_again(void **state)
{
    const uint16_t id = RECEIVE_ID;
    const uint32_t halt = 9;
    const struct rndis_header h = {RNDIS_HALT, 12};
    uint8_t f[100], *at = guest_memory + FREE_PAGE * 4096;
    struct shim_packet p;

    for (unsigned i = 0; i < 3; i++) {
        filter_set(NDIS_FILTER_DIRECTED);
        frame_make(f, sizeof(f), mac, peer);
        wire_put(0, &plain, f, sizeof(f));
        assert_true(transfer_get(channel, &p, WAIT_MS));
        free(p.pfns);
        memcpy(at, &h, sizeof(h));
        memcpy(at + 8, &halt, sizeof(halt));
        assert_int_equal(rndis_send(channel, NVSP_CHANNEL_CONTROL, FREE_PAGE, 12),
                         NVSP_STATUS_SUCCESS);
        (void)nvsp_say(NVSP_REVOKE_RECEIVE_BUFFER, &id, sizeof(id));
        (void)nvsp_say(NVSP_REVOKE_SEND_BUFFER, &id, sizeof(id));
        network_device_ops.close(network, channel, 0);
        leave(channel);
        channel = shim_channel_new();
        assert_int_equal(network_device_ops.open(network, channel, 0), 0);
        guest_begin();
    }
}

static void test_save(void **state)
{
    static uint8_t saved[200000];
    struct save_writer w = {.buf = saved, .size = sizeof(saved)};
    struct save_reader r = {.buf = saved};
    uint8_t f[100];
    struct shim_packet p;

    filter_set(NDIS_FILTER_DIRECTED);
    frame_make(f, sizeof(f), mac, peer);
    wire_put(0, &plain, f, sizeof(f));
    assert_true(transfer_get(channel, &p, WAIT_MS));
    free(p.pfns);
    network_pause(network);
    network_save(network, &w);
    assert_int_equal(w.err, 0);
    network_resume(network);
    network_device_ops.close(network, channel, 0);
    leave(channel);
    network_destroy(network);
    adapter_make();
    r.size = w.len;
    assert_int_equal(network_load(network, &r), 0);
    channel = shim_channel_new();
    channel->restored = true;
    assert_int_equal(network_device_ops.open(network, channel, 0), 0);
    complete(channel, p.transaction); /* of before */
    for (unsigned i = 0; i < 300; i++) {
        wire_put(0, &plain, f, sizeof(f));
        assert_true(transfer_get(channel, &p, WAIT_MS));
        free(p.pfns);
        complete(channel, p.transaction);
    }
    for (size_t n = 0; n < w.len; n += 97) { /* half of a state changes nothing */
        r = (struct save_reader){.buf = saved, .size = n};
        assert_int_equal(network_load(network, &r), -EINVAL);
    }
}

/* A ring without room: what could not be sent comes later, and nothing is lost. */
static void test_ring_full(void **state)
{
    uint8_t f[100];
    struct shim_packet p;
    unsigned got = 0;

    filter_set(NDIS_FILTER_DIRECTED);
    (void)pthread_mutex_lock(&channel->lock);
    channel->out_room = 1;
    (void)pthread_mutex_unlock(&channel->lock);
    frame_make(f, sizeof(f), mac, peer);
    for (unsigned i = 0; i < 100; i++)
        wire_put(0, &plain, f, sizeof(f));
    while (got < 100) {
        assert_true(transfer_get(channel, &p, WAIT_MS));
        got += p.range_count;
        free(p.pfns);
        complete(channel, p.transaction);
    }
    assert_int_equal(got, 100);
}

static void test_offer(void **state)
{
    static const uint8_t type[16] = NVSP_CLASS_GUID_BYTES;
    struct vmbus_offer offer;

    network_offer(network, &offer);
    assert_memory_equal(offer.type.bytes, type, 16);
    assert_int_equal(offer.sub_channel_max, QUEUES - 1);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_offer),         T(test_send),
        T(test_send_section),  T(test_send_large),
        T(test_receive),       T(test_receive_tag_sum),
        T(test_receive_large), T(test_receive_full),
        T(test_rss),           T(test_sub_close),
        T(test_link),          T(test_again),
        T(test_link_often),    T(test_save),
        T(test_ring_full),     T(test_send_checksum_tag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
