/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <poll.h>
#include <sys/socket.h>
#include <cmocka.h>

#define SHIM_QUEUE   64U
#define SHIM_PAYLOAD 20480U
#include "tests/unit/shim_channel.h"
#include "vsp/socket/socket_priv.h"

/* Names of services, and the bytes of one connection, without threads. */

static struct vmbus_channel *channel;
static struct stream *s;
static int peer; /* the program on the host */

static int setup(void **state)
{
    int pair[2], small = 4096;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
        return -1;
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    channel = shim_channel_new();
    s = malloc(sizeof(*s));
    stream_init(s, channel, pair[0]);
    peer = pair[1];
    return 0;
}

static int teardown(void **state)
{
    (void)close(s->fd);
    if (peer >= 0)
        (void)close(peer);
    free(s);
    shim_channel_free(channel);
    return 0;
}

static void test_names(void **state)
{
    static const uint8_t port[16] = {0x88, 0x13, 0,    0, 0xCB, 0xFA, 0xE6, 0x11,
                                     0xBD, 0x58, 0x64, 0, 0x6A, 0x79, 0x86, 0xD3};
    static const char *const bad[] = {"",
                                      " 1",
                                      "4294967295",
                                      "99999999999",
                                      "-1",
                                      "5000x",
                                      "00001388-facb-11e6-bd58-64006a7986d",
                                      "00001388-facb-11e6-bd58-64006a7986d34",
                                      "00001388-facb-11e6-bd5864006a7986d3aa",
                                      "0000138g-facb-11e6-bd58-64006a7986d3"};
    struct vmbus_guid g;

    assert_int_equal(relay_service_parse("5000", &g), 0);
    assert_memory_equal(g.bytes, port, 16);
    memset(&g, 0, sizeof(g));
    assert_int_equal(relay_service_parse("00001388-FACB-11e6-bd58-64006a7986d3", &g), 0);
    assert_memory_equal(g.bytes, port, 16);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(relay_service_parse(bad[i], &g), -EINVAL);
    assert_int_equal(greeting_parse("CONNECT 5000", &g), 0);
    assert_int_equal(greeting_parse("connect 5000", &g), -EINVAL);
    assert_int_equal(greeting_parse("CONNECT ", &g), -EINVAL);
    assert_int_equal(greeting_parse("CONNECT", &g), -EINVAL);
}

static void guest_put(const void *data, uint32_t length)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND, .length = length};

    if (length)
        memcpy(p.data, data, length);
    assert_true(shim_put(channel, &p));
}

static void test_both_ways(void **state)
{
    struct shim_packet p;
    char buf[16];

    guest_put("hello", 5);
    assert_int_equal(write(peer, "world!", 6), 6);
    assert_int_equal(stream_work(s), 0);
    assert_int_equal(read(peer, buf, sizeof(buf)), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_true(shim_get(channel, &p, 0));
    assert_int_equal(p.length, 6);
    assert_memory_equal(p.data, "world!", 6);
    assert_int_equal(stream_events(s), POLLIN);
    assert_true(atomic_load(&channel->signals) > 0);
}

/* A program that does not read stops the guest after one packet; nothing is lost. */
static void test_slow_program(void **state)
{
    static uint8_t data[HVSOCKET_DATA_MAX], got[HVSOCKET_DATA_MAX];
    uint8_t next = 0;

    for (unsigned i = 0; i < 8; i++) {
        for (size_t k = 0; k < sizeof(data); k++)
            data[k] = (uint8_t)(i * 37 + k);
        guest_put(data, sizeof(data));
    }
    guest_put(NULL, 0);
    while (stream_work(s) > 0)
        ;
    assert_true(channel->in_count >= 6);
    assert_true(stream_events(s) & POLLOUT);
    for (size_t at = 0; at < 8 * sizeof(data);) {
        ssize_t n = read(peer, got, 1000);
        if (n < 0)
            assert_true(stream_work(s) >= 0);
        for (ssize_t k = 0; k < n; k++, at++) {
            next = (uint8_t)(at / sizeof(data) * 37 + at % sizeof(data));
            assert_int_equal(got[k], next);
        }
    }
    assert_int_equal(stream_work(s), 0);
    assert_int_equal(read(peer, got, 1), 0); /* and the end is the end */
    assert_int_equal(s->bytes_from_guest, 8 * sizeof(data));
}

/* A guest that does not read stops the program. */
static void test_slow_guest(void **state)
{
    static uint8_t data[1000];
    struct shim_packet p;
    size_t put = 0, got = 0;

    channel->out_room = 2;
    for (unsigned i = 0; i < 100; i++) {
        ssize_t n = write(peer, data, sizeof(data));
        if (n > 0)
            put += (size_t)n;
        (void)stream_work(s);
    }
    assert_true(put < sizeof(data) * 100 || s->out_length > 0);
    assert_int_equal(channel->out_count, 2);
    assert_int_equal(stream_events(s), 0);
    while (got < put) {
        assert_true(shim_get(channel, &p, 0));
        got += p.length;
        (void)stream_work(s);
    }
    assert_int_equal(got, put);
    assert_int_equal(s->bytes_from_host, put);
}

/* Each side ends by itself, and both together end the connection. */
static void test_ends(void **state)
{
    struct shim_packet p;
    char c;

    guest_put("x", 1);
    guest_put(NULL, 0);
    assert_int_equal(stream_work(s), 0);
    assert_int_equal(read(peer, &c, 1), 1);
    assert_int_equal(read(peer, &c, 1), 0);
    assert_int_equal(write(peer, "y", 1), 1); /* the other way still goes */
    assert_int_equal(stream_work(s), 0);
    assert_true(shim_get(channel, &p, 0));
    assert_int_equal(p.length, 1);
    channel->out_room = 0;
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    assert_int_equal(stream_work(s), 0); /* the end finds no room */
    channel->out_room = SHIM_QUEUE;
    assert_int_equal(stream_work(s), -ENODATA);
    assert_true(shim_get(channel, &p, 0));
    assert_int_equal(p.length, 0);
    assert_false(shim_get(channel, &p, 0)); /* once */
}

/* A program that has gone: what it wrote before is still for the guest. */
static void test_program_gone(void **state)
{
    struct shim_packet p;

    assert_int_equal(write(peer, "last", 4), 4);
    (void)close(peer);
    peer = -1;
    guest_put("nobody", 6);
    assert_int_equal(stream_work(s), -ENODATA);
    assert_true(shim_get(channel, &p, 0));
    assert_memory_equal(p.data, "last", 4);
    assert_true(shim_get(channel, &p, 0));
    assert_int_equal(p.length, 0);
}

static void test_hostile(void **state)
{
    static uint8_t data[HVSOCKET_DATA_MAX + 1];
    struct shim_packet p = {.type = VMBUS_PACKET_COMPLETION, .length = 8};

    guest_put(NULL, 0);
    guest_put("after the end", 13); /* dropped, whatever it is */
    assert_int_equal(stream_work(s), 0);
    stream_init(s, channel, s->fd);
    channel->in_count = 0;
    guest_put(data, sizeof(data));
    assert_int_equal(stream_work(s), -EPROTO);
    assert_true(shim_put(channel, &p));
    assert_int_equal(stream_work(s), -EPROTO);
    channel->broken = true;
    assert_int_equal(stream_work(s), -EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_program, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_program_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
