/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* preadv2, RWF_DSYNC */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include "disk/disk_priv.h"
#include "lib/hosted/thread.h"

/* The engine where io_uring is forbidden: a few threads that block. */

#define THREADS 8U

struct part_list {
    struct part *first, *last;
};

struct pool {
    struct disk_queue *queue;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t work;
    struct part_list todo, done;
    bool stop;
    unsigned count;
    pthread_t thread[THREADS];
    struct part_list added; /* the owner's, until it flushes */
};

static void part_list_join(struct part_list *list, const struct part_list *more)
{
    if (!more->first)
        return;
    if (list->last)
        list->last->next = more->first;
    else
        list->first = more->first;
    list->last = more->last;
}

static void part_list_add(struct part_list *list, struct part *p)
{
    const struct part_list one = {p, p};

    p->next = NULL;
    part_list_join(list, &one);
}

static int perform(const struct part *p)
{
    ssize_t n;

    if (p->op == PART_SYNC)
        n = fdatasync(p->fd);
    else if (p->op == PART_READ)
        n = preadv(p->fd, p->iov, (int)p->iov_count, (off_t)p->file_offset);
    else
        n = pwritev2(p->fd, p->iov, (int)p->iov_count, (off_t)p->file_offset,
                     p->durable ? RWF_DSYNC : 0);
    return n < 0 ? -errno : (int)n;
}

static struct part *pool_next(struct pool *pool)
{
    struct part *p;

    while (!pool->todo.first && !pool->stop)
        (void)pthread_cond_wait(&pool->work, &pool->lock);
    p = pool->todo.first;
    if (p) {
        pool->todo.first = p->next;
        if (!p->next)
            pool->todo.last = NULL;
    }
    return p;
}

static void *pool_main(void *arg)
{
    struct pool *pool = arg;
    struct part *p;

    (void)pthread_mutex_lock(&pool->lock);
    while ((p = pool_next(pool))) {
        (void)pthread_mutex_unlock(&pool->lock);
        p->result = perform(p);
        (void)pthread_mutex_lock(&pool->lock);
        part_list_add(&pool->done, p);
        (void)eventfd_write(pool->queue->event_fd, 1);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void pool_destroy(struct disk_queue *q)
{
    struct pool *pool = q->engine_state;

    (void)pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++)
        (void)pthread_join(pool->thread[i], NULL);
    (void)pthread_mutex_destroy(&pool->lock);
    (void)pthread_cond_destroy(&pool->work);
    free(pool);
}

static int pool_create(struct disk_queue *q, unsigned parts)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    int err = 0;

    if (!pool)
        return -ENOMEM;
    pool->queue = q;
    q->engine_state = pool;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    for (; pool->count < THREADS && !err; pool->count += !err)
        err = thread_start(&pool->thread[pool->count], pool_main, pool);
    if (pool->count > 0)
        return 0;
    pool_destroy(q);
    return err;
}

static void pool_add(struct disk_queue *q, struct part *p)
{
    struct pool *pool = q->engine_state;

    part_list_add(&pool->added, p);
}

static void pool_flush(struct disk_queue *q)
{
    struct pool *pool = q->engine_state;

    (void)pthread_mutex_lock(&pool->lock);
    part_list_join(&pool->todo, &pool->added);
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    pool->added = (struct part_list){0};
}

static void pool_reap(struct disk_queue *q)
{
    struct pool *pool = q->engine_state;
    struct part *p;

    (void)pthread_mutex_lock(&pool->lock);
    p = pool->done.first;
    pool->done = (struct part_list){0};
    (void)pthread_mutex_unlock(&pool->lock);
    for (struct part *after; p; p = after) {
        after = p->next;
        part_done(q, p, p->result);
    }
}

const struct engine engine_threads = {
    pool_create, pool_destroy, pool_add, pool_flush, pool_reap,
};
