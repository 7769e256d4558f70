/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_VMBUS_HOST_H
#define TESTS_UNIT_SHIM_VMBUS_HOST_H

/*
 * A machine around a server of VMBus: memory, one message slot, event flags, connections. The test
 * plays the guest, with the rings of shim_ring.h.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "abi/vmbus/message.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "tests/unit/shim_ring.h"
#include "vmbus/server.h"

#define RAM_PAGES   512U
#define PATIENCE_MS 10000
#define VPS         4U

static _Alignas(4096) uint8_t ram[RAM_PAGES * 4096];
static struct vmbus_server *server;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    bool full;
    bool tells; /* the server hears when the slot is free */
    uint32_t vp;
    size_t len;
    uint8_t data[VMBUS_MESSAGE_MAX];
    unsigned posts;
    unsigned busy;
} slot = {.lock = PTHREAD_MUTEX_INITIALIZER, .posted = PTHREAD_COND_INITIALIZER, .tells = true};

static int interrupts; /* an eventfd */
static _Atomic uint32_t signal_vp, signal_flag;

static struct {
    uint32_t id;
    int fd;
} connections[8];
static unsigned connection_count;

static inline int host_post(void *ctx, uint32_t vp, uint8_t sint, const void *message, size_t len)
{
    int err = 0;

    (void)pthread_mutex_lock(&slot.lock);
    if (slot.full) {
        slot.busy++;
        err = -EAGAIN;
    } else {
        slot.full = true;
        slot.vp = vp;
        slot.len = len;
        memcpy(slot.data, message, len);
        slot.posts++;
        (void)pthread_cond_signal(&slot.posted);
    }
    (void)pthread_mutex_unlock(&slot.lock);
    return err;
}

static inline int host_signal(void *ctx, uint32_t vp, uint8_t sint, uint16_t flag)
{
    const uint64_t one = 1;

    signal_vp = vp;
    signal_flag = flag;
    (void)!write(interrupts, &one, sizeof(one));
    return 0;
}

static inline int host_connect(void *ctx, uint32_t id, int fd)
{
    for (unsigned i = 0; i < connection_count; i++)
        if (connections[i].id == id)
            return -EEXIST;
    if (connection_count == ARRAY_SIZE(connections))
        return -ENOSPC;
    connections[connection_count].id = id;
    connections[connection_count++].fd = fd;
    return 0;
}

static inline void host_disconnect(void *ctx, uint32_t id, int fd)
{
    for (unsigned i = 0; i < connection_count; i++)
        if (connections[i].id == id)
            connections[i] = connections[--connection_count];
}

static inline void *host_memory(void *ctx, uint64_t gpa, uint64_t length)
{
    return gpa <= sizeof(ram) && length <= sizeof(ram) - gpa ? ram + gpa : NULL;
}

static inline void server_new(struct vmbus_server **out)
{
    const struct vmbus_server_config c = {
        .vp_count = VPS,
        .host = {NULL, host_post, host_signal, host_connect, host_disconnect, host_memory},
    };

    assert_int_equal(vmbus_server_create(out, &c), 0);
}

static inline void machine_start(void)
{
    memset(ram, 0, sizeof(ram));
    slot.full = false;
    slot.tells = true;
    slot.posts = slot.busy = 0;
    interrupts = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    connection_count = 0;
    server_new(&server);
}

static inline void machine_stop(void)
{
    vmbus_server_destroy(server);
    assert_int_equal(connection_count, 0);
    (void)close(interrupts);
}

/* The guest's HvSignalEvent. */
static inline void guest_signal(uint32_t connection)
{
    const uint64_t one = 1;

    for (unsigned i = 0; i < connection_count; i++)
        if (connections[i].id == connection)
            (void)!write(connections[i].fd, &one, sizeof(one));
}

/* Wait for an event flag. */
static inline bool guest_interrupted(int timeout_ms)
{
    struct pollfd p = {.fd = interrupts, .events = POLLIN};
    uint64_t count;

    if (poll(&p, 1, timeout_ms) != 1)
        return false;
    (void)!read(interrupts, &count, sizeof(count));
    return true;
}

static inline void guest_post(const void *message, size_t len)
{
    assert_int_equal(vmbus_server_message(server, VMBUS_CONNECTION_MESSAGES_4, message, len), 0);
}

/* Wait for the next message; it is `len` bytes of `type`. */
static inline const void *guest_take(uint32_t type, size_t len)
{
    static _Alignas(8) uint8_t data[VMBUS_MESSAGE_MAX];
    struct timespec t;
    uint32_t got;
    size_t got_len;
    bool tells;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += PATIENCE_MS / 1000;
    (void)pthread_mutex_lock(&slot.lock);
    while (!slot.full)
        assert_int_equal(pthread_cond_timedwait(&slot.posted, &slot.lock, &t), 0);
    got_len = slot.len;
    memcpy(data, slot.data, slot.len);
    slot.full = false;
    tells = slot.tells;
    (void)pthread_mutex_unlock(&slot.lock);
    if (tells)
        vmbus_server_retry(server);
    memcpy(&got, data, sizeof(got));
    assert_int_equal(got, type);
    assert_int_equal(got_len, len);
    return data;
}

static inline void guest_header(uint32_t type)
{
    const struct vmbus_msg_header m = {.type = type};

    guest_post(&m, sizeof(m));
}

static inline void guest_relid(uint32_t type, uint32_t relid)
{
    const struct vmbus_msg_relid m = {.header.type = type, .relid = relid};

    guest_post(&m, sizeof(m));
}

static inline void guest_connect(uint32_t version)
{
    const struct vmbus_msg_initiate_contact m = {.header.type = VMBUS_MSG_INITIATE_CONTACT,
                                                 .version = version,
                                                 .target_vp = 2,
                                                 .target_sint = 2};

    guest_post(&m, sizeof(m));
    (void)guest_take(VMBUS_MSG_VERSION_RESPONSE, version >= VMBUS_VERSION_6_0 ? 20 : 16);
    assert_int_equal(slot.vp, 2);
}

/* Ask for offers; the id of the last one. */
static inline uint32_t guest_offers(unsigned count)
{
    struct vmbus_msg_offerchannel m = {.relid = 0};

    guest_header(VMBUS_MSG_REQUESTOFFERS);
    while (count--)
        memcpy(&m, guest_take(VMBUS_MSG_OFFERCHANNEL, 196), sizeof(m));
    (void)guest_take(VMBUS_MSG_ALLOFFERS_DELIVERED, 8);
    return m.relid;
}

/* A GPADL of `pages` pages from `pfn` on; no more than fit into one message. */
static inline void guest_gpadl(uint32_t relid, uint32_t id, uint32_t pages, uint64_t pfn)
{
    uint8_t bytes[VMBUS_MESSAGE_MAX];
    const struct vmbus_msg_gpadl_header h = {.header.type = VMBUS_MSG_GPADL_HEADER,
                                             .relid = relid,
                                             .gpadl = id,
                                             .range_bytes = (uint16_t)(8 + 8 * pages),
                                             .range_count = 1};
    const uint32_t range[2] = {pages * 4096, 0};
    struct vmbus_msg_gpadl_created r;

    memcpy(bytes, &h, sizeof(h));
    memcpy(bytes + sizeof(h), range, 8);
    for (uint32_t i = 0; i < pages; i++) {
        uint64_t n = pfn + i;
        memcpy(bytes + sizeof(h) + 8 + i * 8, &n, 8);
    }
    guest_post(bytes, sizeof(h) + 8 + pages * 8);
    memcpy(&r, guest_take(VMBUS_MSG_GPADL_CREATED, sizeof(r)), sizeof(r));
    assert_int_equal(r.status, 0);
}

static inline void guest_teardown(uint32_t relid, uint32_t id)
{
    const struct vmbus_msg_gpadl_teardown m = {
        .header.type = VMBUS_MSG_GPADL_TEARDOWN, .relid = relid, .gpadl = id};

    guest_post(&m, sizeof(m));
    (void)guest_take(VMBUS_MSG_GPADL_TORNDOWN, 12);
}

/* Open a channel with two rings of 4 pages from `pfn` on; what the host says of it. */
static inline uint32_t guest_open(uint32_t relid, uint32_t gpadl, uint64_t pfn,
                                  struct guest_ring *up, struct guest_ring *down)
{
    const struct vmbus_msg_openchannel m = {.header.type = VMBUS_MSG_OPENCHANNEL,
                                            .relid = relid,
                                            .open_id = 1,
                                            .ring_gpadl = gpadl,
                                            .target_vp = 1,
                                            .downstream_offset = 4,
                                            .user_data = "hello"};
    struct vmbus_msg_openchannel_result r;

    memset(ram + pfn * 4096, 0, 8 * 4096);
    *up = (struct guest_ring){ram + pfn * 4096, 3 * 4096};
    *down = (struct guest_ring){ram + (pfn + 4) * 4096, 3 * 4096};
    guest_control(up)->features = guest_control(down)->features = 1;
    guest_gpadl(relid, gpadl, 8, pfn);
    guest_post(&m, sizeof(m));
    memcpy(&r, guest_take(VMBUS_MSG_OPENCHANNEL_RESULT, sizeof(r)), sizeof(r));
    return r.status;
}

/* Put a packet and wait for the host's, whose body's length this is. */
static inline long guest_ask(uint32_t relid, const struct guest_ring *up,
                             const struct guest_ring *down, uint16_t type, uint16_t offset8,
                             const void *body, size_t len, struct vmpacket_descriptor *d,
                             void *answer)
{
    bool room;
    long got;
    int r = guest_put(up, type, offset8, VMPACKET_COMPLETION_WANTED, 0xABC, body, len);

    assert_in_range(r, 0, 1);
    if (r)
        guest_signal(VMBUS_CONNECTION_SIGNALS + relid);
    while ((got = guest_get(down, d, answer, &room)) < 0)
        assert_true(guest_interrupted(PATIENCE_MS));
    return got;
}

#endif
