/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_NETWORK_GUEST_H
#define TESTS_UNIT_SHIM_NETWORK_GUEST_H

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

static inline int backend_attach(void *ctx, unsigned q, bool on)
{
    atomic_store(&attached[q], on);
    return 0;
}

static inline int backend_coalesce(void *ctx, bool ip4, bool ip6)
{
    atomic_store(&coalesced, ip4 + 2 * ip6);
    return 0;
}

static inline int hook_channels(void *ctx, struct vmbus_channel *to, unsigned count)
{
    return 0;
}

static inline void adapter_make(void)
{
    const struct network_config config = {
        .mac = {0, 0x15, 0x5d, 1, 2, 3}, .mtu = 1500, .channels = QUEUES, .speed = 10000};
    const struct network_backend backend = {NULL, QUEUES, queue, backend_attach, backend_coalesce};
    const struct network_hooks hooks = {NULL, hook_channels};

    assert_int_equal(network_create(&network, &config, &backend, &hooks), 0);
}

/* A packet of the guest, and the completion that it gets. */
static inline struct nvsp_message nvsp_ask(struct vmbus_channel *c, struct shim_packet *p)
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

static inline struct nvsp_message nvsp_say(uint32_t type, const void *payload, size_t size)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND, .length = sizeof(struct nvsp_message)};

    memcpy(p.data, &type, sizeof(type));
    memcpy(p.data + 4, payload, size);
    return nvsp_ask(channel, &p);
}

static inline uint32_t status_of(const struct nvsp_message *m)
{
    uint32_t v;

    memcpy(&v, m->payload, sizeof(v));
    return v;
}

/* `length` bytes at a page go as RNDIS. */
static inline uint32_t rndis_send(struct vmbus_channel *c, uint32_t kind, uint32_t page,
                                  uint32_t length)
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

static inline void complete(struct vmbus_channel *c, uint64_t transaction)
{
    struct shim_packet p = {
        .type = VMBUS_PACKET_COMPLETION, .transaction = transaction, .length = 8};
    const uint32_t m[2] = {NVSP_SEND_RNDIS_PACKET_COMPLETE, NVSP_STATUS_SUCCESS};

    memcpy(p.data, m, sizeof(m));
    assert_true(shim_put(c, &p));
    shim_kick(c);
}

/* The next transfer packet; its pfns are the caller's. */
static inline bool transfer_get(struct vmbus_channel *c, struct shim_packet *p, unsigned ms)
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
static inline void rndis_ask(uint32_t type, const void *body, size_t length, void *out, size_t size)
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

static inline uint32_t rndis_set(uint32_t oid, const void *info, size_t length)
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

static inline void filter_set(uint32_t filter)
{
    assert_int_equal(rndis_set(OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof(filter)), 0);
}

static inline void coalesce_set(uint8_t wish)
{
    const struct ndis_offload_parameters p = {
        .header = {NDIS_OBJECT_DEFAULT, 3, sizeof(p)}, .coalesce_ip4 = wish, .coalesce_ip6 = wish};

    assert_int_equal(rndis_set(OID_TCP_OFFLOAD_PARAMETERS, &p, sizeof(p)), 0);
}

static inline void guest_begin(void)
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

static inline int setup(void **state)
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

static inline void leave(struct vmbus_channel *c)
{
    struct shim_packet p;

    while (shim_get(c, &p, 0))
        free(p.pfns);
    shim_channel_free(c);
}

static inline int teardown(void **state)
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
static inline uint32_t message_put(uint8_t *at, const uint8_t *frame, uint32_t length,
                                   uint32_t type, uint32_t value)
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

static inline void frame_make(uint8_t *f, uint32_t length, const uint8_t *to, const uint8_t *from)
{
    for (uint32_t i = 0; i < length; i++)
        f[i] = (uint8_t)(i * 7 + length);
    memcpy(f, to, 6);
    memcpy(f + 6, from, 6);
    f[12] = 0x88;
    f[13] = 0xB5;
}

/* IPv4 and TCP; ports decide about the hash. */
static inline void tcp_make(uint8_t *f, uint32_t length, const uint8_t *to, const uint8_t *from,
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
static inline ssize_t wire_get(unsigned q, uint8_t *to, size_t size)
{
    struct pollfd p = {.fd = wire[q], .events = POLLIN};

    if (poll(&p, 1, 100) <= 0)
        return -1;
    return read(wire[q], to, size);
}

static inline void wire_put(unsigned q, const struct virtio_net_hdr *v, const uint8_t *f,
                            uint32_t length)
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
static inline const uint8_t *message_at(uint64_t range, struct rndis_packet *m,
                                        const uint8_t **info)
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
static inline int64_t info_of(const struct rndis_packet *m, const uint8_t *info, uint32_t type)
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

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
