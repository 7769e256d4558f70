/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_IC_H
#define TESTS_UNIT_SHIM_IC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include "abi/vsp/ic/copy.h"
#include "abi/vsp/ic/kvp.h"
#include "abi/vsp/ic/vss.h"
#define SHIM_QUEUE   64U
#define SHIM_PAYLOAD 8192U
#include "tests/unit/shim_channel.h"
#include "vsp/ic/ic_priv.h"
#include "vsp/ic/text.h"

/*
 * One service and a guest that answers like Linux. Time stands still unless the test moves it, and
 * there is no thread: ic_work() is called.
 */

static struct ic *ic;
static struct vmbus_channel *channel;
static uint64_t clock_ns, reference_100_ns;
static int reference_error, last_error;
static unsigned done_count;

static inline uint64_t shim_now(void *ctx)
{
    return clock_ns;
}

static inline uint64_t shim_utc(void *ctx)
{
    return 0x1D0000000000000ULL + clock_ns / 100;
}

static inline int shim_reference(void *ctx, uint64_t *time_100_ns)
{
    *time_100_ns = reference_100_ns;
    return reference_error;
}

static const struct ic_host shim_host = {NULL, shim_now, shim_utc, shim_reference};

static inline void shim_done(struct ic_request *r, int err)
{
    done_count++;
    last_error = err;
}

/* The thread's round. */
static inline uint64_t run(void)
{
    uint64_t due;

    (void)pthread_mutex_lock(&ic->lock);
    due = ic_work(ic);
    (void)pthread_mutex_unlock(&ic->lock);
    ic_deliver(ic);
    return due;
}

static inline void pass(uint64_t ms)
{
    clock_ns += ms * NS_PER_MS;
}

/* The message that the host has sent; its body's length. */
static inline size_t heard(struct icmsg_header *h, void *body, size_t size)
{
    struct shim_packet p;

    assert_true(shim_get(channel, &p, 0));
    assert_true(p.length >= sizeof(*h));
    memcpy(h, p.data, sizeof(*h));
    assert_int_equal(h->flags, ICMSG_TRANSACTION | ICMSG_REQUEST);
    assert_int_equal(h->size, p.length - sizeof(*h));
    assert_true(h->size <= size);
    memcpy(body, p.data + sizeof(*h), h->size);
    return h->size;
}

static inline bool silent(void)
{
    struct shim_packet p;

    return !shim_get(channel, &p, 0);
}

/* The guest sends the message back. */
static inline void reply(struct icmsg_header h, uint32_t status, const void *body, size_t length)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND, .length = (uint32_t)(sizeof(h) + length)};

    h.status = status;
    h.flags = ICMSG_TRANSACTION | ICMSG_RESPONSE;
    memcpy(p.data, &h, sizeof(h));
    memcpy(p.data + sizeof(h), body, length);
    assert_true(shim_put(channel, &p));
    (void)run();
}

/* The guest chooses these versions; 0: none. */
static inline void choose(uint16_t framework, uint16_t major, uint16_t minor)
{
    const uint16_t count = framework ? 1 : 0;
    struct {
        struct icmsg_negotiate n;
        struct ic_version v[2];
    } a = {{count, count, 0}, {{framework, 0}, {major, minor}}};
    struct icmsg_header h;
    uint8_t body[256];

    (void)run();
    (void)heard(&h, body, sizeof(body));
    assert_int_equal(h.type, ICMSG_NEGOTIATE);
    reply(h, IC_S_OK, &a, sizeof(a));
}

/* A service whose channel is open; its thread is the test. */
static inline void begin(enum ic_kind kind)
{
    clock_ns = 1000 * NS_PER_S;
    done_count = 0;
    last_error = 1;
    reference_error = 0;
    assert_int_equal(ic_create(&ic, kind, &shim_host), 0);
    channel = shim_channel_new();
    ic->channel = channel;
    ic_begin(ic);
}

static inline void end(void)
{
    ic_forget(ic, -ENOTCONN);
    ic->channel = NULL;
    ic_deliver(ic);
    ic_destroy(ic);
    shim_channel_free(channel);
}

#endif
