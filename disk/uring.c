/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* RWF_DSYNC */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include "disk/disk_priv.h"
#include "lib/bits.h"

/*
 * The engine over io_uring. Completions are kept by the kernel until the thread that has submitted
 * enters it (COOP_TASKRUN); the ring's eventfd is written to when the first of them waits.
 *
 * A ring can do nothing but transfer and flush, from its making on: a process that allows itself no
 * new rings, but has such ones, can open nothing with them. For it rings are made in advance, and
 * go back to their pool, whoever used them; so none belongs to a thread (SINGLE_ISSUER).
 */

#define CQES 64U

struct uring {
    struct io_uring ring; /* first: what the library wants */
    struct uring *next;   /* in the pool */
    unsigned entries;
    bool pooled;
};

static struct {
    pthread_mutex_t lock;
    struct uring *free;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int init(struct io_uring *ring, unsigned entries)
{
    static const unsigned flags[] = {
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,
        IORING_SETUP_R_DISABLED,
    };
    int err = -EINVAL;

    for (unsigned i = 0; i < ARRAY_SIZE(flags) && err == -EINVAL; i++)
        err = io_uring_queue_init(entries, ring, flags[i]);
    return err;
}

static int restrict_and_enable(struct io_uring *ring)
{
    static const uint8_t operations[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC};
    static const uint8_t registers[] = {IORING_REGISTER_EVENTFD, IORING_UNREGISTER_EVENTFD};
    struct io_uring_restriction r[ARRAY_SIZE(operations) + ARRAY_SIZE(registers)] = {0};
    unsigned n = 0;
    int err;

    for (unsigned i = 0; i < ARRAY_SIZE(operations); i++, n++) {
        r[n].opcode = IORING_RESTRICTION_SQE_OP;
        r[n].sqe_op = operations[i];
    }
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++, n++) {
        r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
        r[n].register_op = registers[i];
    }
    err = io_uring_register_restrictions(ring, r, n);
    return err ? err : io_uring_enable_rings(ring);
}

static int make(struct uring **out, unsigned entries)
{
    struct uring *u = calloc(1, sizeof(*u));
    int err;

    if (!u)
        return -ENOMEM;
    u->entries = entries;
    err = init(&u->ring, entries);
    if (!err) {
        err = restrict_and_enable(&u->ring);
        if (err)
            io_uring_queue_exit(&u->ring);
    }
    if (err) {
        free(u);
        return err;
    }
    *out = u;
    return 0;
}

static void pool_put(struct uring *u)
{
    (void)pthread_mutex_lock(&pool.lock);
    u->next = pool.free;
    pool.free = u;
    (void)pthread_mutex_unlock(&pool.lock);
}

static struct uring *pool_get(unsigned entries)
{
    struct uring **link = &pool.free, *u;

    (void)pthread_mutex_lock(&pool.lock);
    while (*link && (*link)->entries < entries)
        link = &(*link)->next;
    u = *link;
    if (u)
        *link = u->next;
    (void)pthread_mutex_unlock(&pool.lock);
    return u;
}

int uring_reserve(unsigned count, unsigned entries)
{
    struct uring *u;
    int err = 0;

    for (unsigned i = 0; i < count && !err; i++) {
        err = make(&u, entries);
        if (!err) {
            u->pooled = true;
            pool_put(u);
        }
    }
    return err;
}

static void drop(struct uring *u)
{
    if (u->pooled) {
        pool_put(u);
        return;
    }
    io_uring_queue_exit(&u->ring);
    free(u);
}

static int uring_create(struct disk_queue *q, unsigned parts)
{
    struct uring *u = pool_get(parts);
    int err = u ? 0 : make(&u, parts);

    if (err)
        return err;
    err = io_uring_register_eventfd(&u->ring, q->event_fd);
    if (err) {
        drop(u);
        return err;
    }
    q->engine_state = u;
    return 0;
}

/* Nothing is in flight. */
static void uring_destroy(struct disk_queue *q)
{
    struct uring *u = q->engine_state;

    (void)io_uring_unregister_eventfd(&u->ring);
    drop(u);
}

static void uring_add(struct disk_queue *q, struct part *p)
{
    struct io_uring *ring = q->engine_state;
    /* Never NULL: the ring has an entry for each part, and a part is in it once. */
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    if (p->op == PART_READ)
        io_uring_prep_readv(sqe, p->fd, p->iov, p->iov_count, p->file_offset);
    else if (p->op == PART_WRITE)
        io_uring_prep_writev2(sqe, p->fd, p->iov, p->iov_count, p->file_offset,
                              p->durable ? RWF_DSYNC : 0);
    else
        io_uring_prep_fsync(sqe, p->fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(sqe, p);
}

static void uring_flush(struct disk_queue *q)
{
    int n = io_uring_submit(q->engine_state);

    /* The kernel has no memory now, or what is done must be reaped first: once more later. */
    if (n < 0 || io_uring_sq_ready(q->engine_state) > 0) {
        q->unsent = true;
        (void)eventfd_write(q->event_fd, 1);
    }
}

static void uring_reap(struct disk_queue *q)
{
    struct io_uring *ring = q->engine_state;
    struct io_uring_cqe *cqe[CQES];
    unsigned n;

    while ((n = io_uring_peek_batch_cqe(ring, cqe, CQES)) > 0) {
        for (unsigned i = 0; i < n; i++)
            part_done(q, io_uring_cqe_get_data(cqe[i]), cqe[i]->res);
        io_uring_cq_advance(ring, n);
    }
}

const struct engine engine_uring = {
    uring_create, uring_destroy, uring_add, uring_flush, uring_reap,
};
