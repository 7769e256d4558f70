/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_network_guest.h"

/* Frames for the guest. */

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

/* What the guest sends goes to the queue of the channel that it wants the answer on. */
static void back_check(void)
{
    static uint8_t f[100], out[200];
    unsigned seen[2] = {0};
    struct shim_packet p;

    for (unsigned i = 0; i < 50; i++) {
        unsigned q;
        uint32_t n;
        tcp_make(f, sizeof(f), peer, mac, (uint8_t)i);
        n = message_put(guest_memory + 2100 * 4096, f, sizeof(f), UINT32_MAX, 0);
        assert_int_equal(rndis_send(channel, 0, 2100, n), NVSP_STATUS_SUCCESS);
        q = read(wire[0], out, sizeof(out)) < 0;
        if (q)
            assert_int_equal(read(wire[1], out, sizeof(out)), HEADER + sizeof(f));
        seen[q]++;
        /* The answer: addresses of Ethernet and IP, and ports, change places. */
        memcpy(f, mac, 6);
        memcpy(f + 6, peer, 6);
        memcpy(f + 26, out + HEADER + 30, 4);
        memcpy(f + 30, out + HEADER + 26, 4);
        memcpy(f + 34, out + HEADER + 36, 2);
        memcpy(f + 36, out + HEADER + 34, 2);
        wire_put(q, &plain, f, sizeof(f));
        assert_true(transfer_get(q ? sub : channel, &p, WAIT_MS));
        free(p.pfns);
        complete(q ? sub : channel, p.transaction);
    }
    assert_true(seen[0] > 5 && seen[1] > 5);
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
    back_check();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_receive), T(test_receive_tag_sum), T(test_receive_large), T(test_receive_full),
        T(test_rss),     T(test_sub_close),       T(test_ring_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
