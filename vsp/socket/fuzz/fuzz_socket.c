/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHIM_QUEUE   16U
#define SHIM_PAYLOAD 20480U
#include "tests/unit/shim_channel.h"
#include "vsp/socket/socket_priv.h"

/*
 * A guest and a program that both do as they like with one connection; the first byte tells whether
 * the input is a client's first line instead. What is written on one side comes out on the other:
 * not more, and in order.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vmbus_channel *channel;
static struct stream s;
static int peer;
static uint64_t guest_put, guest_got, program_put, program_got;
static bool over;

static void need(bool true_always)
{
    if (!true_always)
        abort();
}

static uint8_t expected(uint64_t at)
{
    return (uint8_t)(at * 7 + at / 256);
}

static void guest_send(unsigned kind, uint32_t length)
{
    static struct shim_packet p;

    p = (struct shim_packet){.type = kind == 0 ? VMBUS_PACKET_DIRECT : VMBUS_PACKET_INBAND,
                             .length = length};
    for (uint32_t i = 0; i < length; i++)
        p.data[i] = expected(guest_put + i);
    if (shim_put(channel, &p))
        guest_put += length;
}

static void guest_take(void)
{
    static struct shim_packet p;

    if (!shim_get(channel, &p, 0))
        return;
    need(p.length <= HVSOCKET_DATA_MAX);
    for (uint32_t i = 0; i < p.length; i++)
        need(p.data[i] == expected(guest_got++));
    need(guest_got <= program_put);
}

static void program_send(size_t length)
{
    static uint8_t buf[8192];
    ssize_t n;

    for (size_t i = 0; i < length; i++)
        buf[i] = expected(program_put + i);
    n = peer >= 0 ? send(peer, buf, length, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
    program_put += n > 0 ? (uint64_t)n : 0;
}

static void program_take(void)
{
    static uint8_t buf[8192];
    ssize_t n = peer >= 0 ? recv(peer, buf, sizeof(buf), MSG_DONTWAIT) : -1;

    for (ssize_t i = 0; i < n; i++)
        need(buf[i] == expected(program_got++));
    need(program_got <= guest_put);
}

static void step(const uint8_t *p)
{
    const uint32_t length = (uint32_t)(p[1] | p[2] << 8);

    switch (p[0] % 8) {
    case 0:
        guest_send(p[0] >> 3, length % SHIM_PAYLOAD);
        break;
    case 1:
        guest_take();
        break;
    case 2:
        program_send(length % 8192);
        break;
    case 3:
        program_take();
        break;
    case 4:
        channel->out_room = p[1] % (SHIM_QUEUE + 1);
        break;
    case 5:
        if (peer >= 0)
            (void)shutdown(peer, p[1] % 3);
        break;
    case 6:
        if (p[1] == 0 && peer >= 0) {
            (void)close(peer);
            peer = -1;
        }
        break;
    default:
        break;
    }
    if (!over)
        over = stream_work(&s) < 0;
    need(s.in_length <= HVSOCKET_DATA_MAX && s.out_length <= HVSOCKET_DATA_MAX);
}

static void line(const uint8_t *data, size_t size)
{
    char text[GREETING_MAX];
    struct vmbus_guid g;

    if (size >= sizeof(text))
        size = sizeof(text) - 1;
    memcpy(text, data, size);
    text[size] = 0;
    (void)greeting_parse(text, &g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];

    if (size == 0)
        return 0;
    if (data[0] & 1) {
        line(data + 1, size - 1);
        return 0;
    }
    need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    channel = shim_channel_new();
    stream_init(&s, channel, pair[0]);
    peer = pair[1];
    guest_put = guest_got = program_put = program_got = 0;
    over = false;
    for (size_t at = 1; at + 3 <= size; at += 3)
        step(data + at);
    (void)close(pair[0]);
    if (peer >= 0)
        (void)close(peer);
    shim_channel_free(channel);
    return 0;
}
