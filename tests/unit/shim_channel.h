/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_CHANNEL_H
#define TESTS_UNIT_SHIM_CHANNEL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "vmbus/channel.h"

/*
 * vmbus/channel.h with queues in the place of rings: a test is the guest. Guest memory is an
 * array; a page frame number is an index into it.
 */

#define SHIM_PAGES 4096U /* 16 MiB of guest memory */
#ifndef SHIM_QUEUE
#define SHIM_QUEUE 1024U /* packets in a ring */
#endif
#ifndef SHIM_PAYLOAD
#define SHIM_PAYLOAD 256U
#endif
#define SHIM_PFNS 2049U

struct shim_packet {
    enum vmbus_packet_type type;
    uint64_t transaction;
    bool wanted;
    uint32_t length;
    uint8_t data[SHIM_PAYLOAD];
    uint32_t range_count, range_length, range_offset, pfn_count;
    uint64_t *pfns;
};

struct vmbus_channel {
    pthread_mutex_t lock; /* of all */
    pthread_cond_t sent;
    int fd;
    struct shim_packet in[SHIM_QUEUE], out[SHIM_QUEUE];
    unsigned in_head, in_count, out_head, out_count;
    unsigned out_room; /* packets that the guest's ring takes */
    bool broken, starved;
    bool restored;       /* before it is opened */
    atomic_uint signals; /* without the lock */
    atomic_bool polled;
    unsigned full;
};

static uint8_t *guest_memory;

static inline struct vmbus_channel *shim_channel_new(void)
{
    struct vmbus_channel *c = calloc(1, sizeof(*c));

    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->sent, NULL);
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->out_room = SHIM_QUEUE;
    return c;
}

static inline void shim_channel_free(struct vmbus_channel *c)
{
    for (unsigned i = 0; i < SHIM_QUEUE; i++)
        free(c->in[i].pfns);
    (void)close(c->fd);
    free(c);
}

int vmbus_channel_receive(struct vmbus_channel *c, struct vmbus_packet *packet, void *buf,
                          size_t size)
{
    int got = 0;

    (void)pthread_mutex_lock(&c->lock);
    if (c->broken) {
        got = -EPIPE;
    } else if (c->in_count > 0) {
        struct shim_packet *p = &c->in[c->in_head % SHIM_QUEUE];
        size_t pfns = p->pfn_count * sizeof(uint64_t), at = (p->length + 7U) / 8 * 8;
        got = at + pfns > size ? -EMSGSIZE : 1;
        if (got > 0) {
            memcpy(buf, p->data, p->length);
            if (pfns)
                memcpy((uint8_t *)buf + at, p->pfns, pfns);
            *packet = (struct vmbus_packet){
                .type = p->type,
                .completion_wanted = p->wanted,
                .transaction = p->transaction,
                .data = buf,
                .length = p->length,
                .range_count = p->range_count,
                .range = {p->range_length, p->range_offset,
                          (const uint64_t *)(const void *)((uint8_t *)buf + at), p->pfn_count},
            };
        }
        free(p->pfns);
        p->pfns = NULL;
        c->in_head++;
        c->in_count--;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return got;
}

int vmbus_channel_send(struct vmbus_channel *c, enum vmbus_packet_type type, uint64_t transaction,
                       bool completion_wanted, const void *data, size_t length)
{
    int err = 0;

    (void)pthread_mutex_lock(&c->lock);
    if (c->broken) {
        err = -EPIPE;
    } else if (c->out_count >= c->out_room) {
        c->starved = true;
        c->full++;
        err = -EAGAIN;
    } else {
        struct shim_packet *p = &c->out[(c->out_head + c->out_count) % SHIM_QUEUE];
        *p = (struct shim_packet){.type = type, .transaction = transaction};
        p->length = (uint32_t)length;
        memcpy(p->data, data, length);
        c->out_count++;
        (void)pthread_cond_broadcast(&c->sent);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return err;
}

void vmbus_channel_poll(struct vmbus_channel *c, bool poll)
{
    atomic_store(&c->polled, poll);
}

void vmbus_channel_signal(struct vmbus_channel *c)
{
    atomic_fetch_add(&c->signals, 1);
}

bool vmbus_channel_restored(const struct vmbus_channel *c)
{
    return c->restored;
}

int vmbus_channel_fd(const struct vmbus_channel *c)
{
    return c->fd;
}

/* Pieces are joined where they are contiguous, as the real one does. */
int vmbus_channel_map(struct vmbus_channel *c, const struct vmbus_range *range, uint64_t skip,
                      struct iovec *iov, unsigned max)
{
    uint64_t at = range->offset + skip, end = (uint64_t)range->offset + range->length;
    unsigned n = 0;

    while (at < end) {
        uint64_t page = at / 4096, in_page = at % 4096, length = 4096 - in_page;
        uint8_t *host;
        if (page >= range->pfn_count || range->pfns[page] >= SHIM_PAGES)
            return -EFAULT;
        if (length > end - at)
            length = end - at;
        host = guest_memory + range->pfns[page] * 4096 + in_page;
        if (n > 0 && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == host) {
            iov[n - 1].iov_len += (size_t)length;
        } else {
            if (n == max)
                return -E2BIG;
            iov[n++] = (struct iovec){host, (size_t)length};
        }
        at += length;
    }
    return (int)n;
}

/* The guest's side. */

static inline void shim_kick(struct vmbus_channel *c)
{
    (void)eventfd_write(c->fd, 1);
}

/* Put a packet into the ring; the caller kicks. False: the ring is full. */
static inline bool shim_put(struct vmbus_channel *c, const struct shim_packet *packet)
{
    bool room;

    (void)pthread_mutex_lock(&c->lock);
    room = c->in_count < SHIM_QUEUE;
    if (room) {
        c->in[(c->in_head + c->in_count) % SHIM_QUEUE] = *packet;
        c->in_count++;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return room;
}

/* Take a packet that came to the guest; waits for it up to `ms`. False: none came. */
static inline bool shim_get(struct vmbus_channel *c, struct shim_packet *packet, unsigned ms)
{
    struct timespec until;
    bool got, starved;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    (void)pthread_mutex_lock(&c->lock);
    while (c->out_count == 0 && pthread_cond_timedwait(&c->sent, &c->lock, &until) == 0)
        ;
    got = c->out_count > 0;
    if (got) {
        *packet = c->out[c->out_head++ % SHIM_QUEUE];
        c->out_count--;
    }
    starved = got && c->starved;
    c->starved = c->starved && !starved;
    (void)pthread_mutex_unlock(&c->lock);
    if (starved)
        shim_kick(c);
    return got;
}

#endif
