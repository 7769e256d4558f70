/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include "abi/vsp/socket/socket.h"
#include "tests/unit/shim_vmbus_host.h"
#include "vmwp/broker.h"
#include "vmwp/sockets.h"

/* The relay on a real VMBus: the guest's messages and rings on one side, a program on the other. */

static struct config config;
static struct sockets *sockets;
static int program = -1; /* what the guest reaches */
static struct guest_ring up, down;

int broker_start(struct broker **out, const struct config_socket *c, struct problem *why)
{
    return 0;
}

void broker_stop(struct broker *b)
{
}

int broker_dial(struct broker *b, unsigned service)
{
    int pair[2];

    assert_int_equal(service, 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    program = pair[1];
    return pair[0];
}

static int setup(void **state)
{
    struct problem why;

    machine_start();
    config.socket.services = 2;
    assert_int_equal(relay_service_parse("5000", &config.socket.service[0].name), 0);
    assert_int_equal(relay_service_parse("6000", &config.socket.service[1].name), 0);
    assert_int_equal(sockets_open(&sockets, &config, -1, &why), 0);
    assert_int_equal(sockets_start(sockets, server), 0);
    guest_connect(VMBUS_VERSION_5_3);
    (void)guest_offers(0);
    return 0;
}

static int teardown(void **state)
{
    sockets_stop(sockets);
    sockets_close(sockets);
    if (program >= 0)
        (void)close(program);
    program = -1;
    machine_stop();
    return 0;
}

static void guest_dials(const char *service)
{
    struct vmbus_msg_tl_connect_request m = {.header.type = VMBUS_MSG_TL_CONNECT_REQUEST};
    struct vmbus_guid name;

    assert_int_equal(relay_service_parse(service, &name), 0);
    memcpy(m.service, &name, 16);
    m.endpoint[0] = 77;
    guest_post(&m, sizeof(m));
}

/* The guest gets its channel; the id. */
static uint32_t connected(void)
{
    struct vmbus_msg_offerchannel m;
    const uint8_t endpoint[16] = {77};

    guest_dials("6000");
    memcpy(&m, guest_take(VMBUS_MSG_OFFERCHANNEL, sizeof(m)), sizeof(m));
    assert_memory_equal(m.type, &config.socket.service[1].name, 16);
    assert_memory_equal(m.instance, endpoint, 16);
    assert_int_equal(m.flags, VMBUS_OFFER_TLNPI_PROVIDER | VMBUS_OFFER_NAMED_PIPE_MODE);
    assert_int_equal(HVSOCKET_OFFER_FLAGS, VMBUS_OFFER_TLNPI_PROVIDER);
    assert_int_equal(m.user_defined[HVSOCKET_FROM_HOST], 0);
    assert_int_equal(guest_open(m.relid, 7, 16, &up, &down), 0);
    return m.relid;
}

static void guest_send(uint32_t relid, const void *data, uint32_t length)
{
    uint64_t body[40] = {0};
    const struct vmpipe_header h = {VMPIPE_DATA, length};

    memcpy(body, &h, sizeof(h));
    if (length)
        memcpy(body + 1, data, length);
    assert_true(guest_put(&up, VMPACKET_DATA_INBAND, 2, 0, 0, body, 8 + (length + 7) / 8 * 8) >= 0);
    guest_signal(VMBUS_CONNECTION_SIGNALS + relid);
}

/* The next packet of the host without its header; its length. */
static uint32_t guest_receive(uint32_t relid, void *data)
{
    static uint64_t body[4096];
    struct vmpacket_descriptor d;
    struct vmpipe_header h;
    bool room;

    while (guest_get(&down, &d, body, &room) < 0)
        assert_true(guest_interrupted(PATIENCE_MS));
    if (room)
        guest_signal(VMBUS_CONNECTION_SIGNALS + relid);
    memcpy(&h, body, sizeof(h));
    assert_int_equal(h.type, VMPIPE_DATA);
    memcpy(data, body + 1, h.length);
    return h.length;
}

static json_int_t counter(const char *name)
{
    json_t *all = sockets_counters(sockets);
    json_int_t value = json_integer_value(json_object_get(all, name));

    json_decref(all);
    return value;
}

static void test_connection(void **state)
{
    uint32_t relid = connected();
    char buf[32];

    guest_send(relid, "hello", 5);
    assert_int_equal(read(program, buf, sizeof(buf)), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(write(program, "you too", 7), 7);
    assert_int_equal(guest_receive(relid, buf), 7);
    assert_memory_equal(buf, "you too", 7);
    guest_send(relid, NULL, 0);
    assert_int_equal(read(program, buf, sizeof(buf)), 0);
    assert_int_equal(shutdown(program, SHUT_WR), 0);
    assert_int_equal(guest_receive(relid, buf), 0);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    guest_relid(VMBUS_MSG_RELID_RELEASED, relid);
    for (unsigned i = 0; i < PATIENCE_MS && counter("connections"); i++)
        (void)usleep(1000);
    assert_int_equal(counter("connections"), 0);
    assert_int_equal(counter("bytes_from_host"), 7);
}

/* More than the ring holds, whose packets are smaller than the relay would like. */
static void test_much(void **state)
{
    static uint8_t data[200000], got[4096 * 8];
    uint32_t relid = connected();
    size_t at = 0, put = 0;

    assert_int_equal(fcntl(program, F_SETFL, O_NONBLOCK), 0);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    while (at < sizeof(data)) {
        ssize_t n = write(program, data + put, sizeof(data) - put);
        uint32_t length;

        put += n > 0 ? (size_t)n : 0;
        length = guest_receive(relid, got);
        assert_true(length > 0 && length <= put - at);
        assert_memory_equal(got, data + at, length);
        at += length;
    }
}

static void test_refused(void **state)
{
    struct vmbus_msg_tl_connect_result r;

    guest_dials("6001");
    memcpy(&r, guest_take(VMBUS_MSG_TL_CONNECT_RESULT, sizeof(r)), sizeof(r));
    assert_int_equal(r.endpoint[0], 77);
    assert_int_equal(r.status, VMBUS_STATUS_CONNECTION_REFUSED);
    assert_int_equal(program, -1);
    assert_int_equal(counter("refused"), 1);
}

/* The machine ends under an open connection; the guest comes anew; a driver goes. */
static void test_ends(void **state)
{
    uint32_t relid = connected();
    char c;

    guest_relid(VMBUS_MSG_CLOSECHANNEL, relid);
    assert_int_equal(read(program, &c, 1), 0);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    guest_teardown(relid, 7);
    guest_relid(VMBUS_MSG_RELID_RELEASED, relid);
    (void)close(program);
    (void)connected();
    guest_connect(VMBUS_VERSION_5_3);
    assert_int_equal(read(program, &c, 1), 0);
    (void)close(program);
    for (unsigned i = 0; i < PATIENCE_MS && counter("connections"); i++)
        (void)usleep(1000);
    (void)guest_offers(0);
    (void)connected();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
