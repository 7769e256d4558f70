/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "tests/unit/shim_ring.h"
#include "vmbus/ring/ring.h"

/*
 * A guest and a host that echoes, each in a thread that sleeps when it has nothing to do: a signal
 * that one of them forgets leaves both asleep, and the test fails after a while. The host polls now
 * and then, and looks again after a millisecond then.
 */

#define PACKETS    100000U
#define PATIENCE   20000 /* ms */
#define BODY_MAX   1024U
#define DATA_PAGES 2U

static _Alignas(4096) uint8_t memory[2][(DATA_PAGES + 1) * 4096];
static uint8_t *pages[2][DATA_PAGES + 1];
static struct guest_ring up, down;
static struct vmbus_ring_in in;
static struct vmbus_ring_out out;
static int to_host, to_guest;
static unsigned host_sleeps, guest_sleeps;

static void event_set(int fd)
{
    const uint64_t one = 1;

    (void)!write(fd, &one, sizeof(one));
}

/* False: nobody has signalled for too long. */
static bool event_wait(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t count;

    if (poll(&p, 1, ms) != 1)
        return false;
    (void)!read(fd, &count, sizeof(count));
    return true;
}

static void publish(bool signal)
{
    int r = vmbus_ring_read_publish(&in), w = vmbus_ring_write_publish(&out);

    if (r < 0 || w < 0)
        abort();
    if (signal || r || w)
        event_set(to_guest);
}

/* Answer one packet: 1; 0: there is none; -EAGAIN: there is no room, and the answer is held. */
static int echo(bool *held, bool *signal)
{
    static uint64_t body[BODY_MAX / 8];
    static struct vmbus_ring_packet p;
    struct vmbus_ring_send s = {.type = VMPACKET_COMPLETION, .data = body};
    int err = *held ? 1 : vmbus_ring_read(&in, &p, body, sizeof(body));

    if (err <= 0)
        return err;
    s.transaction = p.descriptor.transaction;
    s.length = p.body_length;
    err = vmbus_ring_write(&out, &s, signal);
    *held = err == -EAGAIN;
    return err ? err : 1;
}

static void *host(void *arg)
{
    bool held = false;
    unsigned done = 0, seed = 1;

    while (done < PACKETS) {
        bool signal = false, polls = rand_r(&seed) % 4 == 0;
        unsigned batch = 0;
        int err = 1;
        vmbus_ring_in_poll(&in, polls);
        while (batch < 7 && (err = echo(&held, &signal)) == 1)
            batch++;
        done += batch;
        publish(signal);
        if (err < 0 && err != -EAGAIN)
            return "host: the ring is bad";
        if (err == 1 || done == PACKETS)
            continue;
        host_sleeps++;
        if (!event_wait(to_host, polls ? 1 : PATIENCE) && !polls)
            return held ? "host: nobody said that there is room" : "host: nobody said anything";
    }
    return NULL;
}

/* Take all there is; how many. */
static unsigned drain(uint64_t *next)
{
    static uint64_t body[BODY_MAX / 8];
    struct vmpacket_descriptor d;
    unsigned n = 0;
    bool signal;
    long len;

    while ((len = guest_get(&down, &d, body, &signal)) >= 0) {
        if (signal)
            event_set(to_host);
        if (d.transaction != *next || (len > 0 && body[0] != *next * 3) ||
            (len > 8 && body[len / 8 - 1] != *next * 5))
            abort();
        ++*next;
        n++;
    }
    return n;
}

static const char *guest(void)
{
    static uint64_t body[BODY_MAX / 8];
    uint64_t sent = 0, got = 0;

    while (got < PACKETS) {
        unsigned worked = 0;
        int r = 0;
        while (sent < PACKETS && r >= 0 && worked < 50) {
            size_t words = sent * 7 % (BODY_MAX / 8);
            if (words > 1)
                body[words - 1] = sent * 5;
            body[0] = sent * 3;
            r = guest_put(&up, VMPACKET_DATA_INBAND, 2, 1, sent, body, words * 8);
            if (r > 0)
                event_set(to_host);
            sent += r >= 0;
            worked += r >= 0;
        }
        guest_set(&guest_control(&down)->interrupt_mask, 1);
        worked += drain(&got);
        guest_set(&guest_control(&down)->interrupt_mask, 0);
        worked += drain(&got);
        if (worked || got == PACKETS)
            continue;
        guest_sleeps++;
        if (!event_wait(to_guest, PATIENCE))
            return "guest: nobody said anything";
    }
    return NULL;
}

static void stress(bool flat)
{
    struct vmbus_ring r;
    pthread_t thread;
    const char *said;
    void *host_said;

    memset(memory, 0, sizeof(memory));
    up = (struct guest_ring){memory[0], DATA_PAGES * 4096};
    down = (struct guest_ring){memory[1], DATA_PAGES * 4096};
    for (unsigned i = 0; i < 2; i++)
        for (unsigned p = 0; p <= DATA_PAGES; p++)
            pages[i][p] = memory[i] + p * 4096;
    assert_int_equal(vmbus_ring_attach(&r, pages[0], DATA_PAGES + 1), 0);
    r.flat = flat ? r.flat : NULL;
    assert_int_equal(vmbus_ring_in_open(&in, &r), 0);
    assert_int_equal(vmbus_ring_attach(&r, pages[1], DATA_PAGES + 1), 0);
    r.flat = flat ? r.flat : NULL;
    assert_int_equal(vmbus_ring_out_open(&out, &r), 0);
    to_host = eventfd(0, EFD_CLOEXEC);
    to_guest = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&thread, NULL, host, NULL), 0);
    said = guest();
    assert_int_equal(pthread_join(thread, &host_said), 0);
    (void)close(to_host);
    (void)close(to_guest);
    assert_null(said);
    assert_null(host_said);
    print_message("%u sleeps of the host, %u of the guest\n", host_sleeps, guest_sleeps);
}

static void test_flat(void **state)
{
    stress(true);
}

static void test_scattered(void **state)
{
    stress(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_scattered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
