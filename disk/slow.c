/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include "disk/disk_priv.h"
#include "lib/bits.h"
#include "lib/hosted/thread.h"

/*
 * The thread of a disk: all that may block or changes tables, one request at a time. What it has
 * done goes back to the queue that the request came from.
 */

#define BATCH_MAX    64U /* discards that one quiet time serves */
#define RETURNING_MS 100
#define BOUNCE_ALIGN 4096U

/* A request goes back to its owner: with its error, or to begin anew. */
static void give_back(struct disk_request *r, int err, bool again)
{
    struct request_state *s = state_of(r);
    struct disk_queue *q = s->queue;

    s->error = err;
    s->again = again;
    if (again)
        atomic_fetch_add_explicit(&s->disk->returning, 1, memory_order_relaxed);
    (void)pthread_mutex_lock(&q->lock);
    list_add(&q->returned, r);
    /* Under the lock, so that the queue is there as long as this needs it: its owner takes the
     * request under the lock before it can destroy the queue. */
    (void)eventfd_write(q->event_fd, 1);
    (void)pthread_mutex_unlock(&q->lock);
}

void slow_began(struct disk *disk)
{
    if (atomic_fetch_sub_explicit(&disk->returning, 1, memory_order_relaxed) != 1)
        return;
    (void)pthread_mutex_lock(&disk->lock);
    (void)pthread_cond_broadcast(&disk->quiet);
    (void)pthread_mutex_unlock(&disk->lock);
}

static struct timespec after_ms(unsigned ms)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

/*
 * Let no transfer begin and wait for those in flight. Requests that the last opening has sent back
 * get their turn first, or discards without end would starve them; but no longer than a while,
 * because their owner may be busy.
 */
static void gate_close(struct disk *disk)
{
    struct timespec until = after_ms(RETURNING_MS);

    (void)pthread_mutex_lock(&disk->lock);
    while (atomic_load_explicit(&disk->returning, memory_order_relaxed) > 0 &&
           pthread_cond_timedwait(&disk->quiet, &disk->lock, &until) != ETIMEDOUT)
        ;
    atomic_fetch_or_explicit(&disk->gate, GATE_CLOSED, memory_order_acq_rel);
    while (atomic_load_explicit(&disk->gate, memory_order_acquire) != GATE_CLOSED)
        (void)pthread_cond_wait(&disk->quiet, &disk->lock);
    (void)pthread_mutex_unlock(&disk->lock);
}

static void gate_open(struct disk *disk)
{
    struct request_list list;
    struct disk_request *r;

    (void)pthread_mutex_lock(&disk->lock);
    atomic_fetch_and_explicit(&disk->gate, ~GATE_CLOSED, memory_order_acq_rel);
    list = disk->waiting;
    disk->waiting = (struct request_list){0};
    (void)pthread_mutex_unlock(&disk->lock);
    while ((r = list_take(&list)))
        give_back(r, 0, true);
}

/* Move the bytes of one extent of a file from or to the vectors at a place. */
static int transfer(struct disk_file *file, const struct iovec *iov, struct cursor at,
                    const struct extent *e, bool write)
{
    uint64_t offset = e->file_offset;
    int err = 0;

    for (uint64_t left = e->length; left > 0 && !err;) {
        struct iovec v;
        uint64_t n;

        (void)cursor_slice(iov, at, left, &v, 1, &n);
        err = write ? file_write(file, v.iov_base, n, offset)
                    : file_read(file, v.iov_base, n, offset);
        cursor_advance(iov, &at, n);
        offset += n;
        left -= n;
    }
    return err;
}

static void gather(const struct iovec *iov, struct cursor at, uint64_t length, char *out)
{
    while (length > 0) {
        struct iovec v;
        uint64_t n;

        (void)cursor_slice(iov, at, length, &v, 1, &n);
        memcpy(out, v.iov_base, n);
        cursor_advance(iov, &at, n);
        out += n;
        length -= n;
    }
}

static int slow_read(struct disk *disk, const struct disk_request *r)
{
    struct cursor at = {0, 0};
    struct extent e;
    int err = 0;

    for (uint64_t done = 0; done < r->length && !err; done += e.length) {
        const struct layer *from;

        chain_map(disk, r->offset + done, r->length - done, false, &e, &from);
        if (e.kind == EXTENT_DATA)
            err = transfer(&from->host->file, r->iov, at, &e, false);
        else
            cursor_zero(r->iov, at, e.length);
        cursor_advance(r->iov, &at, e.length);
    }
    return err;
}

/* A slow extent, gathered so that the format writes large, aligned pieces. */
static int format_write(struct disk *disk, const struct disk_request *r, uint64_t done,
                        struct cursor at, uint64_t length)
{
    const struct layer *top = disk->top;
    int err = 0;

    for (uint64_t n; length > 0 && !err; done += n, length -= n) {
        struct iovec v;

        (void)cursor_slice(r->iov, at, length, &v, 1, &n);
        if (n < length) {
            n = min_u64(length, BOUNCE_BYTES);
            gather(r->iov, at, n, disk->bounce);
            v = (struct iovec){disk->bounce, n};
        }
        err = top->format->write(top->image, r->offset + done, n, &v, 1);
        cursor_advance(r->iov, &at, n);
    }
    return err;
}

static int slow_write(struct disk *disk, const struct disk_request *r)
{
    struct layer *top = disk->top;
    struct cursor at = {0, 0};
    struct extent e;
    int err = 0;

    for (uint64_t done = 0; done < r->length && !err; done += e.length) {
        top->format->map(top->image, r->offset + done, r->length - done, true, &e);
        if (e.kind == EXTENT_DATA)
            err = transfer(&top->host->file, r->iov, at, &e, true);
        else
            err = format_write(disk, r, done, at, e.length);
        cursor_advance(r->iov, &at, e.length);
    }
    if (!err && r->fua)
        err = top->format->flush(top->image);
    return err;
}

static int first_write(struct disk *disk)
{
    int err;

    if (atomic_load_explicit(&disk->writing, memory_order_relaxed))
        return 0;
    err = disk->top->format->writer(disk->top->image);
    if (!err)
        atomic_store_explicit(&disk->writing, true, memory_order_release);
    return err;
}

static int discard(struct disk *disk, const struct disk_request *r)
{
    struct layer *top = disk->top;
    int err = first_write(disk);

    if (!err)
        err = top->format->discard(top->image, r->offset, r->length, r->op == DISK_ZERO);
    if (!err && r->fua)
        err = top->format->flush(top->image);
    return err;
}

static struct disk_request *next_discard(struct disk *disk)
{
    struct disk_request *r = NULL;

    (void)pthread_mutex_lock(&disk->lock);
    if (disk->slow.first && disk->slow.first->op >= DISK_DISCARD)
        r = list_take(&disk->slow);
    (void)pthread_mutex_unlock(&disk->lock);
    return r;
}

/* A discard, and those that stand behind it. */
static void discards(struct disk *disk, struct disk_request *r)
{
    bool quiet = !disk->top->format->stable_map;

    if (quiet)
        gate_close(disk);
    for (unsigned i = 0; r; r = ++i < BATCH_MAX ? next_discard(disk) : NULL)
        give_back(r, discard(disk, r), false);
    if (quiet)
        gate_open(disk);
}

static void serve(struct disk *disk, struct disk_request *r)
{
    int err = 0;

    if (r->op >= DISK_DISCARD) {
        discards(disk, r);
        return;
    }
    if (r->op == DISK_WRITE)
        err = first_write(disk);
    /* Others before it in the list may have done what it needed. Once only: what it finds when it
     * begins anew may have changed again. */
    if (!err && !state_of(r)->again && request_quick(disk, r)) {
        give_back(r, 0, true);
        return;
    }
    if (!err && r->op == DISK_READ)
        err = slow_read(disk, r);
    else if (!err && r->op == DISK_WRITE)
        err = slow_write(disk, r);
    else if (!err)
        err = disk->top->format->flush(disk->top->image);
    give_back(r, err, false);
}

static void grow(struct disk *disk, struct grow *g)
{
    struct layer *top = disk->top;
    int err = first_write(disk);

    if (!err) {
        gate_close(disk);
        if (g->size < top->geometry.size)
            err = problem_set(g->why, -EINVAL, "it is larger than that");
        else
            err = top->format->resize(top->image, g->size, g->why);
        if (!err) {
            top->geometry.size = g->size;
            atomic_store_explicit(&disk->size, g->size, memory_order_release);
        }
        gate_open(disk);
    }
    (void)pthread_mutex_lock(&disk->lock);
    g->err = err;
    g->done = true;
    disk->grow = NULL;
    (void)pthread_cond_broadcast(&disk->grown);
    (void)pthread_mutex_unlock(&disk->lock);
}

/* The next thing to do; false: stop. Tables are flushed when there was nothing for a while. */
static bool next(struct disk *disk, struct disk_request **r, struct grow **g)
{
    struct timespec until = after_ms(IDLE_FLUSH_MS);
    struct layer *top = disk->top;

    (void)pthread_mutex_lock(&disk->lock);
    while (!disk->stop && !disk->slow.first && !disk->grow) {
        if (disk->read_only || !top->format->dirty(top->image)) {
            (void)pthread_cond_wait(&disk->work, &disk->lock);
        } else if (pthread_cond_timedwait(&disk->work, &disk->lock, &until) == ETIMEDOUT) {
            (void)pthread_mutex_unlock(&disk->lock);
            /* If it fails the next flush will say so. */
            (void)top->format->flush(top->image);
            until = after_ms(IDLE_FLUSH_MS);
            (void)pthread_mutex_lock(&disk->lock);
        }
    }
    *g = disk->grow;
    *r = *g ? NULL : list_take(&disk->slow);
    (void)pthread_mutex_unlock(&disk->lock);
    return *r || *g;
}

static void *slow_main(void *arg)
{
    struct disk *disk = arg;
    struct disk_request *r;
    struct grow *g;

    while (next(disk, &r, &g)) {
        if (g)
            grow(disk, g);
        else
            serve(disk, r);
    }
    return NULL;
}

void slow_submit(struct disk *disk, struct disk_request *request)
{
    (void)pthread_mutex_lock(&disk->lock);
    list_add(&disk->slow, request);
    (void)pthread_cond_signal(&disk->work);
    (void)pthread_mutex_unlock(&disk->lock);
}

int slow_start(struct disk *disk)
{
    int err;

    if (disk->thread_runs)
        return 0;
    if (!disk->bounce && posix_memalign(&disk->bounce, BOUNCE_ALIGN, BOUNCE_BYTES) != 0)
        return -ENOMEM;
    err = thread_start(&disk->thread, slow_main, disk);
    disk->thread_runs = !err;
    return err;
}

void slow_stop(struct disk *disk)
{
    if (!disk->thread_runs)
        return;
    (void)pthread_mutex_lock(&disk->lock);
    disk->stop = true;
    (void)pthread_cond_signal(&disk->work);
    (void)pthread_mutex_unlock(&disk->lock);
    (void)pthread_join(disk->thread, NULL);
}
