/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_network_guest.h"

/* Frames of the guest, and the life of the adapter. */

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

static void *retire(void *arg)
{
    network_retire(network, 5000);
    return arg;
}

static uint64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A guest that has a frame in hand is waited for, until it gives it back. */
static void test_retire(void **state)
{
    uint64_t begun = now_ms();
    struct shim_packet data, link;
    pthread_t thread;
    uint8_t f[100];

    filter_set(NDIS_FILTER_DIRECTED);
    frame_make(f, sizeof(f), mac, peer);
    wire_put(0, &plain, f, sizeof(f));
    assert_true(transfer_get(channel, &data, WAIT_MS));
    free(data.pfns);
    assert_int_equal(pthread_create(&thread, NULL, retire, NULL), 0);
    assert_true(transfer_get(channel, &link, WAIT_MS));
    free(link.pfns);
    complete(channel, link.transaction);
    usleep(600000);
    complete(channel, data.transaction);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(now_ms() - begun, 600, 4000);
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

static void test_offer(void **state)
{
    static const uint8_t type[16] = NVSP_CLASS_GUID_BYTES;
    struct vmbus_offer offer;

    network_offer(network, &offer);
    assert_memory_equal(offer.type.bytes, type, 16);
    assert_int_equal(offer.sub_channel_max, QUEUES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_send),       T(test_send_section), T(test_send_checksum_tag),
        T(test_send_large), T(test_link),         T(test_link_often),
        T(test_retire),     T(test_again),        T(test_save),
        T(test_offer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
