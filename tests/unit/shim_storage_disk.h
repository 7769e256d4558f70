/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_STORAGE_DISK_H
#define TESTS_UNIT_SHIM_STORAGE_DISK_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "disk/disk.h"

/*
 * disk/disk.h over memory. Requests end in any order, some at a time, when the queue is reaped; a
 * disk that is held ends none; errors are injected by operation.
 */

#define SHIM_QUEUES 8U

struct disk {
    struct disk_info info;
    uint8_t *bytes;
    atomic_bool held;      /* nothing ends */
    atomic_int fail[5];    /* errno for the next operation of the kind, by enum disk_op */
    atomic_uint ops[5];    /* that have ended */
    atomic_uint fua;       /* writes with it */
    atomic_uint in_flight; /* submitted, not ended */
};

struct disk_queue {
    pthread_mutex_t lock;
    int fd;
    unsigned busy, depth, seed;
    bool flushed;
    struct disk_request *request[1024];
    struct disk *disk[1024];
};

static struct disk_queue *shim_queues[SHIM_QUEUES];
static pthread_mutex_t shim_queues_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint shim_flushes;
static atomic_int shim_queue_error; /* errno of the next disk_queue_create() */

static inline struct disk *shim_disk_new(uint64_t size, uint32_t sector)
{
    struct disk *d = calloc(1, sizeof(*d));

    d->bytes = calloc(1, size);
    d->info = (struct disk_info){.size = size,
                                 .sector_size = sector,
                                 .physical_size = sector < 4096 ? 4096 : sector,
                                 .discard_unit = 4096,
                                 .optical = sector == 2048,
                                 .identity = {1, 2, 3},
                                 .format = "raw"};
    return d;
}

static inline void shim_disk_free(struct disk *d)
{
    if (d)
        free(d->bytes);
    free(d);
}

void disk_info(const struct disk *disk, struct disk_info *info)
{
    *info = disk->info;
}

int disk_queue_create(struct disk_queue **out, unsigned depth)
{
    struct disk_queue *q;
    int err = atomic_exchange(&shim_queue_error, 0);

    if (err)
        return err;
    q = calloc(1, sizeof(*q));
    (void)pthread_mutex_init(&q->lock, NULL);
    q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    q->depth = depth;
    q->seed = 1;
    (void)pthread_mutex_lock(&shim_queues_lock);
    for (unsigned i = 0; i < SHIM_QUEUES; i++) {
        if (!shim_queues[i]) {
            shim_queues[i] = q;
            break;
        }
    }
    (void)pthread_mutex_unlock(&shim_queues_lock);
    *out = q;
    return 0;
}

void disk_queue_destroy(struct disk_queue *q)
{
    if (!q)
        return;
    (void)pthread_mutex_lock(&shim_queues_lock);
    for (unsigned i = 0; i < SHIM_QUEUES; i++)
        if (shim_queues[i] == q)
            shim_queues[i] = NULL;
    (void)pthread_mutex_unlock(&shim_queues_lock);
    if (q->busy > 0)
        abort();
    (void)close(q->fd);
    free(q);
}

int disk_queue_fd(const struct disk_queue *q)
{
    return q->fd;
}

/* Let what is held go on. */
static inline void shim_disk_release(struct disk *d)
{
    atomic_store(&d->held, false);
    (void)pthread_mutex_lock(&shim_queues_lock);
    for (unsigned i = 0; i < SHIM_QUEUES; i++)
        if (shim_queues[i])
            (void)eventfd_write(shim_queues[i]->fd, 1);
    (void)pthread_mutex_unlock(&shim_queues_lock);
}

void disk_submit(struct disk_queue *q, struct disk *disk, struct disk_request *r)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < r->iov_count; i++)
        sum += r->iov[i].iov_len;
    if (q->busy == q->depth)
        abort();
    if (r->offset % disk->info.sector_size || r->length % disk->info.sector_size ||
        r->offset > disk->info.size || r->length > disk->info.size - r->offset ||
        (r->op <= DISK_WRITE && sum != r->length)) {
        r->done(r, -EINVAL);
        return;
    }
    atomic_fetch_add(&disk->in_flight, 1);
    q->disk[q->busy] = disk;
    q->request[q->busy++] = r;
    q->flushed = false;
}

void disk_queue_flush(struct disk_queue *q)
{
    if (q->flushed || q->busy == 0)
        return;
    q->flushed = true;
    atomic_fetch_add(&shim_flushes, 1);
    (void)eventfd_write(q->fd, 1);
}

static inline int shim_disk_run(struct disk *d, const struct disk_request *r)
{
    uint8_t *p = d->bytes + r->offset;
    int fail = atomic_exchange(&d->fail[r->op], 0);

    if (fail)
        return fail;
    if (r->op >= DISK_DISCARD)
        memset(p, 0, r->length);
    if (r->op == DISK_WRITE && r->fua)
        atomic_fetch_add(&d->fua, 1);
    for (unsigned i = 0; r->op <= DISK_WRITE && i < r->iov_count; i++) {
        if (r->op == DISK_READ)
            memcpy(r->iov[i].iov_base, p, r->iov[i].iov_len);
        else
            memcpy(p, r->iov[i].iov_base, r->iov[i].iov_len);
        p += r->iov[i].iov_len;
    }
    return 0;
}

/* End the i-th. */
static inline void shim_disk_end(struct disk_queue *q, unsigned i)
{
    struct disk_request *r = q->request[i];
    struct disk *d = q->disk[i];
    int err = shim_disk_run(d, r);

    q->request[i] = q->request[--q->busy];
    q->disk[i] = q->disk[q->busy];
    atomic_fetch_add(&d->ops[r->op], 1);
    atomic_fetch_sub(&d->in_flight, 1);
    r->done(r, err);
}

unsigned disk_queue_reap(struct disk_queue *q)
{
    unsigned ended = 0, left = 0;

    if (!q->flushed)
        return 0;
    for (unsigned tries = q->busy; tries > 0 && q->busy > 0; tries--) {
        unsigned i = (unsigned)rand_r(&q->seed) % q->busy;
        if (atomic_load(&q->disk[i]->held) || rand_r(&q->seed) % 4 == 0)
            continue;
        shim_disk_end(q, i);
        ended++;
    }
    for (unsigned i = 0; i < q->busy; i++)
        left += !atomic_load(&q->disk[i]->held);
    if (left) /* and the others later */
        (void)eventfd_write(q->fd, 1);
    return ended;
}

unsigned disk_queue_wait(struct disk_queue *q, int timeout_ms)
{
    struct pollfd p = {.fd = q->fd, .events = POLLIN};
    unsigned n = 0;

    disk_queue_flush(q);
    while (q->busy > 0 && n == 0) {
        eventfd_t value;
        (void)poll(&p, 1, timeout_ms < 0 ? 1000 : timeout_ms);
        (void)eventfd_read(q->fd, &value);
        n = disk_queue_reap(q);
        if (timeout_ms >= 0)
            break;
    }
    return n;
}

unsigned disk_queue_busy(const struct disk_queue *q)
{
    return q->busy;
}

#endif
