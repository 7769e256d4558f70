/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>

#define SHIM_QUEUE   64U
#define SHIM_PAYLOAD 20480U
#include "tests/unit/shim_channel.h"
#include "vsp/socket/socket_priv.h"

/* The relay with its threads; the test is the server of VMBus, the guest, and the programs. */

#define PATIENCE_MS 10000

struct device {
    struct vmbus_offer offer;
    const struct vmbus_device_ops *ops;
    void *ctx;
    struct vmbus_channel *channel; /* NULL: not open */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct device devices[RELAY_CONNECTIONS_MAX];
static unsigned offers, withdrawn, refused;
static struct vmbus_guid refused_endpoint;
static int dialled[2]; /* the relay's end and ours; -1: nobody listens */
static struct relay *relay;
static struct sockaddr_un address;
static int listener;

static int offer(void *ctx, const struct vmbus_offer *o, const struct vmbus_device_ops *ops,
                 void *device, void **handle)
{
    (void)pthread_mutex_lock(&lock);
    devices[offers] = (struct device){*o, ops, device, NULL};
    *handle = &devices[offers++];
    (void)pthread_mutex_unlock(&lock);
    return 0;
}

static void withdraw(void *ctx, void *handle)
{
    struct device *d = handle;
    struct vmbus_channel *channel;

    (void)pthread_mutex_lock(&lock);
    channel = d->channel;
    d->channel = NULL;
    (void)pthread_mutex_unlock(&lock);
    if (channel)
        d->ops->close(d->ctx, channel, 0);
    (void)pthread_mutex_lock(&lock);
    withdrawn++;
    (void)pthread_mutex_unlock(&lock);
}

static void refuse(void *ctx, const struct vmbus_guid *endpoint, const struct vmbus_guid *service)
{
    (void)pthread_mutex_lock(&lock);
    refused_endpoint = *endpoint;
    refused++;
    (void)pthread_mutex_unlock(&lock);
}

static int dial(void *ctx, unsigned service)
{
    assert_int_equal(service, 0);
    return dialled[0] < 0 ? -ECONNREFUSED : dup(dialled[0]);
}

/* Wait until a counter has this value. */
static void await(const unsigned *counter, unsigned value)
{
    for (unsigned i = 0;; i++) {
        unsigned now;

        (void)pthread_mutex_lock(&lock);
        now = *counter;
        (void)pthread_mutex_unlock(&lock);
        if (now == value)
            return;
        assert_true(i < PATIENCE_MS);
        (void)usleep(1000);
    }
}

static void await_none(void)
{
    struct relay_info info;

    for (unsigned i = 0; i < PATIENCE_MS; i++) {
        relay_info(relay, &info);
        if (info.connections == 0)
            return;
        (void)usleep(1000);
    }
    fail();
}

static void start(unsigned timeout_ms)
{
    struct relay_config c = {.host = {NULL, offer, withdraw, refuse, dial},
                             .listener = listener,
                             .service_count = 1,
                             .timeout_ms = timeout_ms};

    assert_int_equal(relay_service_parse("5000", &c.service[0]), 0);
    assert_int_equal(relay_start(&relay, &c), 0);
}

static int setup(void **state)
{
    offers = withdrawn = refused = 0;
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* an abstract name: nothing is left behind */
    (void)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "relay-%d", getpid());
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 100) < 0)
        return -1;
    return socketpair(AF_UNIX, SOCK_STREAM, 0, dialled);
}

static int teardown(void **state)
{
    relay_stop(relay);
    relay = NULL;
    for (unsigned i = 0; i < 2; i++)
        if (dialled[i] >= 0)
            (void)close(dialled[i]);
    (void)close(listener);
    return 0;
}

static struct vmbus_guid port(uint32_t number)
{
    struct vmbus_guid g;

    name_of_port(number, &g);
    return g;
}

/* The guest opens what was offered as the last. */
static struct vmbus_channel *guest_open(unsigned number)
{
    struct vmbus_channel *channel = shim_channel_new();
    struct device *d = &devices[number];

    assert_int_equal(d->ops->open(d->ctx, channel, 0), 0);
    (void)pthread_mutex_lock(&lock);
    d->channel = channel;
    (void)pthread_mutex_unlock(&lock);
    return channel;
}

static void guest_put(struct vmbus_channel *channel, const void *data, uint32_t length)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND, .length = length};

    if (length)
        memcpy(p.data, data, length);
    assert_true(shim_put(channel, &p));
    shim_kick(channel);
}

static void test_from_guest(void **state)
{
    struct vmbus_guid endpoint = port(77), service = port(5000);
    struct vmbus_channel *channel;
    struct relay_info info;
    struct shim_packet p;
    char buf[8];

    start(PATIENCE_MS);
    assert_true(relay_connect(relay, &endpoint, &service));
    await(&offers, 1);
    assert_memory_equal(&devices[0].offer.type, &service, 16);
    assert_memory_equal(&devices[0].offer.instance, &endpoint, 16);
    assert_int_equal(devices[0].offer.user_defined[HVSOCKET_FROM_HOST], 0);
    assert_int_equal(devices[0].offer.flags, HVSOCKET_OFFER_FLAGS);
    assert_true(devices[0].offer.pipe);
    channel = guest_open(0);
    guest_put(channel, "ping", 4);
    assert_int_equal(read(dialled[1], buf, sizeof(buf)), 4);
    assert_int_equal(write(dialled[1], "pong", 4), 4);
    assert_true(shim_get(channel, &p, PATIENCE_MS));
    assert_memory_equal(p.data, "pong", 4);
    guest_put(channel, NULL, 0);
    assert_int_equal(read(dialled[1], buf, sizeof(buf)), 0);
    assert_int_equal(shutdown(dialled[1], SHUT_WR), 0);
    await(&withdrawn, 1);
    await_none();
    relay_info(relay, &info);
    assert_int_equal(info.from_guest, 1);
    assert_int_equal(info.bytes_from_guest, 4);
    assert_int_equal(info.bytes_from_host, 4);
    shim_channel_free(channel);
}

/* Not on the list, or nobody listens there. */
static void test_refused(void **state)
{
    struct vmbus_guid endpoint = port(77), service = port(5001);

    start(PATIENCE_MS);
    assert_false(relay_connect(relay, &endpoint, &service));
    (void)close(dialled[0]);
    dialled[0] = -1;
    service = port(5000);
    assert_true(relay_connect(relay, &endpoint, &service));
    await(&refused, 1);
    assert_memory_equal(&refused_endpoint, &endpoint, 16);
    assert_int_equal(offers, 0);
    await_none();
}

static int client(const char *line)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, line, strlen(line)), (ssize_t)strlen(line));
    return fd;
}

static void test_from_host(void **state)
{
    struct vmbus_guid service = port(22);
    struct vmbus_channel *channel;
    struct shim_packet p;
    char buf[16] = {0};
    int fd;

    start(PATIENCE_MS);
    fd = client("CONNECT 22\nmore");
    await(&offers, 1);
    assert_memory_equal(&devices[0].offer.type, &service, 16);
    assert_int_equal(devices[0].offer.user_defined[HVSOCKET_FROM_HOST], 1);
    channel = guest_open(0);
    assert_int_equal(read(fd, buf, sizeof(buf)), 8);
    assert_string_equal(buf, "OK 1024\n");
    assert_true(shim_get(channel, &p, PATIENCE_MS));
    assert_memory_equal(p.data, "more", 4);
    (void)close(fd); /* the program has gone */
    await(&withdrawn, 1);
    await_none();
    shim_channel_free(channel);
}

/* The guest does not open: the client's connection ends, and so does the offer. */
static void test_nobody_listens(void **state)
{
    struct vmbus_channel *late = shim_channel_new();
    char c;
    int fd;

    start(50);
    fd = client("CONNECT 22\n");
    assert_int_equal(read(fd, &c, 1), 0);
    await(&withdrawn, 1);
    assert_int_equal(devices[0].ops->open(devices[0].ctx, late, 0), -ENOENT);
    (void)close(fd);
    fd = client("CONNECT 22"); /* no end of the line */
    assert_int_equal(read(fd, &c, 1), 0);
    (void)close(fd);
    fd = client("GET / HTTP/1.0\n");
    assert_int_equal(read(fd, &c, 1), 0);
    (void)close(fd);
    assert_int_equal(offers, 1);
    await_none();
    shim_channel_free(late);
}

/* The guest takes all there are; all end when it is switched off. */
static void test_bounds(void **state)
{
    struct vmbus_guid endpoint, service = port(5000);
    struct vmbus_channel *channel;

    start(60000);
    for (unsigned i = 0; i < RELAY_CONNECTIONS_MAX; i++) {
        endpoint = port(i);
        assert_true(relay_connect(relay, &endpoint, &service));
    }
    assert_false(relay_connect(relay, &endpoint, &service));
    await(&offers, RELAY_CONNECTIONS_MAX);
    channel = guest_open(3);
    relay_pause(relay, true);
    relay_pause(relay, false);
    relay_stop(relay);
    relay = NULL;
    assert_int_equal(withdrawn, RELAY_CONNECTIONS_MAX);
    shim_channel_free(channel);
}

/* The guest closes the channel by itself. */
static void test_guest_closes(void **state)
{
    struct vmbus_guid endpoint = port(77), service = port(5000);
    struct vmbus_channel *channel;
    char buf[8];

    start(PATIENCE_MS);
    assert_true(relay_connect(relay, &endpoint, &service));
    await(&offers, 1);
    channel = guest_open(0);
    (void)pthread_mutex_lock(&lock);
    devices[0].channel = NULL;
    (void)pthread_mutex_unlock(&lock);
    guest_put(channel, "last", 4);
    devices[0].ops->close(devices[0].ctx, channel, 0);
    await(&withdrawn, 1);
    await_none();
    assert_int_equal(read(dialled[1], buf, sizeof(buf)), 4);
    shim_channel_free(channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_from_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from_host, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guest_closes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
