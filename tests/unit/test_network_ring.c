/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <sys/socket.h>
#include "abi/vsp/network/ndis.h"
#include "abi/vsp/network/nvsp.h"
#include "abi/vsp/network/rndis.h"
#include "tests/unit/shim_vmbus_host.h"
#include "vsp/network/network.h"

/*
 * The adapter on the real VMBus, with GPADLs and rings in the guest's memory: what test_network_vsp
 * has a shim for.
 */

#define RECEIVE_PAGE  64U
#define RECEIVE_PAGES 20U
#define SEND_PAGE     100U
#define SEND_PAGES    4U
#define DATA_PAGE     200U
#define RECEIVE_ID    0xcafeU
#define HEADER        sizeof(struct virtio_net_hdr)

static struct network *network;
static struct vmbus_device *device;
static struct guest_ring up, down;
static uint32_t relid;
static int wire, queue;
static const uint8_t mac[6] = {0, 0x15, 0x5d, 1, 2, 3};

static int setup(void **state)
{
    const struct network_config config = {
        .mac = {0, 0x15, 0x5d, 1, 2, 3}, .mtu = 1500, .channels = 1, .speed = 10000};
    const struct network_backend backend = {.queues = 1, .queue = &queue};
    const struct network_hooks hooks = {NULL, NULL};
    struct vmbus_offer offer;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    wire = pair[0];
    queue = pair[1];
    machine_start();
    assert_int_equal(network_create(&network, &config, &backend, &hooks), 0);
    network_offer(network, &offer);
    assert_int_equal(vmbus_server_add(server, &offer, &network_device_ops, network, &device), 0);
    guest_connect(VMBUS_VERSION_5_3);
    relid = guest_offers(1);
    assert_int_equal(guest_open(relid, 1, 8, &up, &down), 0);
    guest_gpadl(relid, 2, RECEIVE_PAGES, RECEIVE_PAGE);
    guest_gpadl(relid, 3, SEND_PAGES, SEND_PAGE);
    return 0;
}

static int teardown(void **state)
{
    vmbus_server_remove(server, device);
    machine_stop();
    network_destroy(network);
    (void)close(wire);
    (void)close(queue);
    return 0;
}

static struct nvsp_message say(uint32_t type, const void *payload, size_t size)
{
    static _Alignas(8) uint8_t answer[4096];
    struct nvsp_message m = {.type = type};
    struct vmpacket_descriptor d;

    memcpy(m.payload, payload, size);
    assert_in_range(
        guest_ask(relid, &up, &down, VMPACKET_DATA_INBAND, 2, &m, sizeof(m), &d, answer),
        NVSP_MESSAGE_SIZE_OLD, sizeof(m));
    assert_int_equal(d.type, VMPACKET_COMPLETION);
    memcpy(&m, answer, sizeof(m));
    return m;
}

static uint32_t status_of(const struct nvsp_message *m)
{
    uint32_t v;

    memcpy(&v, m->payload, sizeof(v));
    return v;
}

/* RNDIS in the guest's memory, in two ranges, of which the second begins in the middle. */
static void send_direct(uint32_t kind, uint32_t length)
{
    static _Alignas(8) uint8_t answer[4096];
    const uint32_t first = 8, rest = length - first;
    const uint32_t nvsp[10] = {NVSP_SEND_RNDIS_PACKET, kind, NVSP_SECTION_NONE};
    struct {
        uint32_t reserved, count;
        struct {
            uint32_t length, offset;
            uint64_t pfn;
        } range[2];
        uint32_t nvsp[10];
    } body = {.count = 2};
    struct vmpacket_descriptor d;
    struct nvsp_message m;

    body.range[0].length = first;
    body.range[0].pfn = DATA_PAGE;
    body.range[1].length = rest;
    body.range[1].offset = 1000;
    body.range[1].pfn = DATA_PAGE + 1;
    memmove(ram + (DATA_PAGE + 1) * 4096 + 1000, ram + DATA_PAGE * 4096 + first, rest);
    memcpy(body.nvsp, nvsp, sizeof(nvsp));
    (void)guest_ask(relid, &up, &down, VMPACKET_DATA_GPA_DIRECT, (16 + 8 + 32) / 8, &body,
                    sizeof(body), &d, answer);
    memcpy(&m, answer, sizeof(m));
    assert_int_equal(m.type, NVSP_SEND_RNDIS_PACKET_COMPLETE);
    assert_int_equal(status_of(&m), NVSP_STATUS_SUCCESS);
}

/* A transfer packet with one range, which is completed: where its message is. */
static const uint8_t *transfer(uint32_t *length)
{
    static _Alignas(8) uint8_t body[4096];
    const uint32_t done[2] = {NVSP_SEND_RNDIS_PACKET_COMPLETE, NVSP_STATUS_SUCCESS};
    struct vmpacket_descriptor d;
    uint32_t head[4];
    uint16_t set;
    bool room;

    while (guest_get(&down, &d, body, &room) < 0)
        assert_true(guest_interrupted(PATIENCE_MS));
    assert_int_equal(d.type, VMPACKET_DATA_TRANSFER_PAGES);
    assert_true(d.flags & VMPACKET_COMPLETION_WANTED);
    memcpy(&set, body, sizeof(set));
    assert_int_equal(set, RECEIVE_ID);
    memcpy(head, body, sizeof(head));
    assert_int_equal(head[1], 1);
    *length = head[2];
    assert_in_range(head[3] + head[2], 1, RECEIVE_PAGES * 4096);
    if (guest_put(&up, VMPACKET_COMPLETION, 2, 0, d.transaction, done, sizeof(done)) == 1)
        guest_signal(VMBUS_CONNECTION_SIGNALS + relid);
    return ram + RECEIVE_PAGE * 4096 + head[3];
}

static void control(uint32_t type, const void *body, uint32_t size, void *out, size_t out_size)
{
    const struct rndis_header h = {type, (uint32_t)sizeof(h) + size};
    const uint8_t *answer;
    uint32_t length;

    memcpy(ram + DATA_PAGE * 4096, &h, sizeof(h));
    memcpy(ram + DATA_PAGE * 4096 + sizeof(h), body, size);
    send_direct(NVSP_CHANNEL_CONTROL, h.length);
    answer = transfer(&length);
    assert_true(length >= sizeof(h) + out_size);
    memcpy(out, answer + sizeof(h), out_size);
}

static void begin(void)
{
    const struct nvsp_init init = {NVSP_VERSION_6_1, NVSP_VERSION_6_1};
    const struct nvsp_send_buffer receive = {2, RECEIVE_ID}, send = {3, 0}, wrong = {9, 0};
    const struct rndis_initialize rndis = {1, 1, 0, 0x4000};
    struct rndis_initialize_complete ready;
    struct nvsp_receive_buffer_complete r;
    struct nvsp_message m;

    (void)say(NVSP_INIT, &init, sizeof(init));
    m = say(NVSP_SEND_RECEIVE_BUFFER, &wrong, sizeof(wrong));
    assert_int_equal(status_of(&m), NVSP_STATUS_FAIL);
    m = say(NVSP_SEND_RECEIVE_BUFFER, &receive, sizeof(receive));
    memcpy(&r, m.payload, sizeof(r));
    assert_int_equal(r.status, NVSP_STATUS_SUCCESS);
    assert_int_equal(r.piece_count, RECEIVE_PAGES);
    m = say(NVSP_SEND_SEND_BUFFER, &send, sizeof(send));
    assert_int_equal(status_of(&m), NVSP_STATUS_SUCCESS);
    control(RNDIS_INITIALIZE, &rndis, sizeof(rndis), &ready, sizeof(ready));
    assert_int_equal(ready.status, 0);
}

static void filter_set(uint32_t filter)
{
    const uint32_t set[6] = {2, OID_GEN_CURRENT_PACKET_FILTER, 4, 20, 0, filter};
    struct rndis_status done;

    control(RNDIS_SET, set, sizeof(set), &done, sizeof(done));
    assert_int_equal(done.status, 0);
}

static void test_both_ways(void **state)
{
    uint8_t frame[100] = {2, 0, 0, 0, 0, 9}, got[200];
    const struct rndis_header h = {RNDIS_PACKET, 44 + sizeof(frame)};
    const struct rndis_packet p = {.data_offset = sizeof(p), .data_length = sizeof(frame)};
    struct rndis_packet in;
    const uint8_t *message;
    uint32_t length;

    begin();
    filter_set(NDIS_FILTER_DIRECTED);
    memcpy(frame + 6, mac, 6);
    frame[99] = 0x42;
    for (unsigned i = 0; i < 100; i++) {
        memcpy(ram + DATA_PAGE * 4096, &h, sizeof(h));
        memcpy(ram + DATA_PAGE * 4096 + 8, &p, sizeof(p));
        memcpy(ram + DATA_PAGE * 4096 + 44, frame, sizeof(frame));
        send_direct(NVSP_CHANNEL_DATA, h.length);
        assert_int_equal(read(wire, got, sizeof(got)), HEADER + sizeof(frame));
        assert_memory_equal(got + HEADER, frame, sizeof(frame));
        memcpy(got + HEADER, mac, 6);
        assert_int_equal(write(wire, got, HEADER + sizeof(frame)), HEADER + sizeof(frame));
        message = transfer(&length);
        memcpy(&in, message + 8, sizeof(in));
        assert_int_equal(in.data_length, sizeof(frame));
        assert_memory_equal(message + 8 + in.data_offset, got + HEADER, sizeof(frame));
    }
    filter_set(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
