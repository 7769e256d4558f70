/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "disk/disk_priv.h"
#include "lib/bits.h"

/* Requests from disk_submit() to done(): cut into parts that lie in one extent each, handed to the
 * engine, or to the thread of the disk. All in the thread that owns the queue. */

static struct part *part_take(struct disk_queue *q)
{
    struct part *p = q->free_parts;

    if (p)
        q->free_parts = p->next;
    return p;
}

static void part_free(struct disk_queue *q, struct part *p)
{
    p->request = NULL;
    p->next = q->free_parts;
    q->free_parts = p;
}

/* Hand over what is left of a part: as it stands in the request if it is all of it, else as many
 * vectors as fit; part_done() sees to the rest. */
static void part_send(struct disk_queue *q, struct part *p)
{
    const struct disk_request *r = p->request;
    uint64_t bytes;

    if (p->op == PART_SYNC) {
        p->iov_count = 0;
    } else if (p->left == r->length && r->iov_count <= VECTORS_MAX) {
        p->iov = r->iov;
        p->iov_count = r->iov_count;
    } else {
        p->iov = p->own;
        p->iov_count = cursor_slice(r->iov, p->cursor, p->left, p->own, PART_VECTORS, &bytes);
    }
    q->engine->add(q, p);
    q->unsent = true;
}

/* One more extent of a request; false: there is no part for it now. */
static bool step(struct disk_queue *q, struct disk_request *r)
{
    struct request_state *s = state_of(r);
    bool write = r->op == DISK_WRITE;
    const struct layer *from;
    struct extent e;
    struct part *p;

    chain_map(s->disk, r->offset + s->at, r->length - s->at, write, &e, &from);
    if (e.kind == EXTENT_DATA) {
        p = part_take(q);
        if (!p)
            return false;
        p->request = r;
        p->op = write ? PART_WRITE : PART_READ;
        p->durable = write && r->fua;
        p->retries = 0;
        p->fd = from->host->file.fd;
        p->file_offset = e.file_offset;
        p->left = e.length;
        p->cursor = s->cursor;
        s->parts++;
        part_send(q, p);
    } else if (!write) {
        cursor_zero(r->iov, s->cursor, e.length);
    } else {
        s->error = -EIO; /* what was quick when it began stays so while the gate counts it */
    }
    s->at += e.length;
    cursor_advance(r->iov, &s->cursor, e.length);
    return true;
}

/* Go on with a request, as far as there are parts. */
static void advance(struct disk_queue *q, struct disk_request *r)
{
    struct request_state *s = state_of(r);

    while (s->at < r->length && !s->error) {
        if (!step(q, r)) {
            s->starved = true;
            list_add(&q->starved, r);
            return;
        }
    }
    if (s->parts == 0)
        list_add(&q->ready, r);
}

static void start_sync(struct disk_queue *q, struct disk_request *r)
{
    struct request_state *s = state_of(r);
    struct part *p = s->disk->read_only ? NULL : part_take(q);

    if (!p) {
        if (s->disk->read_only)
            list_add(&q->ready, r);
        else
            slow_submit(s->disk, r);
        return;
    }
    *p = (struct part){.request = r, .op = PART_SYNC, .fd = s->disk->top->host->file.fd};
    s->parts = 1;
    part_send(q, p);
}

static void start(struct disk_queue *q, struct disk_request *r)
{
    struct request_state *s = state_of(r);

    if (r->op == DISK_FLUSH) {
        if (request_quick(s->disk, r))
            start_sync(q, r);
        else
            slow_submit(s->disk, r);
        return;
    }
    if (r->op >= DISK_DISCARD) {
        slow_submit(s->disk, r);
        return;
    }
    if (!gate_enter(s->disk, r))
        return;
    if (!request_quick(s->disk, r)) {
        gate_leave(s->disk);
        slow_submit(s->disk, r);
        return;
    }
    s->inside = true;
    advance(q, r);
}

void disk_submit(struct disk_queue *q, struct disk *disk, struct disk_request *r)
{
    struct request_state *s = state_of(r);
    int err = request_check(disk, r);

    if (!err && q->busy >= q->depth)
        err = -EAGAIN;
    if (err) {
        r->done(r, err);
        return;
    }
    *s = (struct request_state){.disk = disk, .queue = q};
    q->busy++;
    if (r->length == 0 && r->op != DISK_FLUSH)
        list_add(&q->ready, r);
    else
        start(q, r);
}

/* To the caller only what disk.h names. */
static int public_error(int err)
{
    switch (err) {
    case 0:
    case -EROFS:
        return err;
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

static void end(struct disk_queue *q, struct disk_request *r)
{
    struct request_state *s = state_of(r);

    if (s->inside)
        gate_leave(s->disk);
    q->busy--;
    q->ended++;
    r->done(r, public_error(s->error));
}

/* Whether the rest of the part is under way again. */
static bool part_again(struct disk_queue *q, struct part *p, int result)
{
    if (result == -EINTR || result == -EAGAIN) {
        if (p->retries++ >= PART_RETRIES)
            return false;
    } else if (result <= 0 || (uint64_t)result >= p->left) {
        return false;
    } else {
        p->left -= (uint64_t)result;
        p->file_offset += (uint64_t)result;
        cursor_advance(p->request->iov, &p->cursor, (uint64_t)result);
    }
    part_send(q, p);
    return true;
}

void part_done(struct disk_queue *q, struct part *p, int result)
{
    struct disk_request *r = p->request;
    struct request_state *s = state_of(r);

    if (part_again(q, p, result))
        return;
    if (result < 0 || (result == 0 && p->op != PART_SYNC))
        s->error = s->error ? s->error : result ? result : -EIO;
    part_free(q, p);
    s->parts--;
    if (s->parts == 0 && !s->starved)
        list_add(&q->ready, r);
    if (q->starved.first) {
        r = list_take(&q->starved);
        state_of(r)->starved = false;
        advance(q, r);
    }
}

/* What the threads of disks have sent back. */
static void take_returned(struct disk_queue *q)
{
    struct request_list list;
    struct disk_request *r;

    (void)pthread_mutex_lock(&q->lock);
    list = q->returned;
    q->returned = (struct request_list){0};
    (void)pthread_mutex_unlock(&q->lock);
    while ((r = list_take(&list))) {
        if (state_of(r)->again) {
            struct disk *disk = state_of(r)->disk;
            start(q, r);
            slow_began(disk);
        } else {
            list_add(&q->ready, r);
        }
    }
}

static unsigned collect(struct disk_queue *q)
{
    struct disk_request *r;

    q->ended = 0;
    q->engine->reap(q);
    take_returned(q);
    while ((r = list_take(&q->ready)))
        end(q, r);
    if (q->unsent)
        disk_queue_flush(q);
    return q->ended;
}

unsigned disk_queue_reap(struct disk_queue *q)
{
    eventfd_t ignored;

    /* First, so that whatever ends after this makes it readable again. */
    (void)eventfd_read(q->event_fd, &ignored);
    return collect(q);
}

void disk_queue_flush(struct disk_queue *q)
{
    if (q->unsent) {
        q->unsent = false;
        q->engine->flush(q);
    }
    if (q->ready.first)
        (void)eventfd_write(q->event_fd, 1);
}

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What comes from the page cache has ended when flush returns, so that is looked at first. The
 * descriptor is then readable without need, and for requests that begin anew: once more. */
unsigned disk_queue_wait(struct disk_queue *q, int timeout_ms)
{
    struct pollfd fd = {.fd = q->event_fd, .events = POLLIN};
    int64_t end_ms = now_ms() + timeout_ms, left = timeout_ms;
    unsigned n;

    disk_queue_flush(q);
    n = collect(q);
    while (n == 0 && (timeout_ms < 0 || left >= 0)) {
        int got = poll(&fd, 1, timeout_ms < 0 ? -1 : (int)left);
        if (got == 0)
            break;
        if (got > 0)
            n = disk_queue_reap(q);
        left = end_ms - now_ms();
    }
    return n;
}

unsigned disk_queue_busy(const struct disk_queue *q)
{
    return q->busy;
}

int disk_queue_fd(const struct disk_queue *q)
{
    return q->event_fd;
}

/* Half as many again as there are requests, because some lie in several extents. */
static unsigned parts_for(unsigned depth)
{
    unsigned n = PARTS_MIN;

    while (n < PARTS_MAX && n < depth + depth / 2)
        n *= 2;
    return n;
}

static int queue_init(struct disk_queue *q, unsigned depth, const struct engine *engine)
{
    unsigned parts = parts_for(depth);
    int err;

    q->depth = depth;
    q->engine = engine;
    q->parts = calloc(parts, sizeof(*q->parts));
    if (!q->parts)
        return -ENOMEM;
    for (unsigned i = 0; i < parts; i++)
        part_free(q, &q->parts[i]);
    q->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = q->event_fd < 0 ? -errno : engine->create(q, parts);
    if (err && q->event_fd >= 0)
        (void)close(q->event_fd);
    if (err)
        free(q->parts);
    return err;
}

int disk_queue_create_with(struct disk_queue **out, unsigned depth, const struct engine *engine)
{
    struct disk_queue *q;
    int err;

    if (depth == 0 || depth > PARTS_MAX)
        return -EINVAL;
    q = calloc(1, sizeof(*q));
    if (!q)
        return -ENOMEM;
    err = queue_init(q, depth, engine);
    if (err) {
        free(q);
        return err;
    }
    (void)pthread_mutex_init(&q->lock, NULL);
    *out = q;
    return 0;
}

int disk_queues_reserve(unsigned count, unsigned depth)
{
    int err = uring_reserve(count, parts_for(depth));

    return err == -ENOSYS || err == -EPERM || err == -EACCES ? 0 : err;
}

int disk_queue_create(struct disk_queue **out, unsigned depth)
{
    int err = disk_queue_create_with(out, depth, &engine_uring);

    /* Hosts and containers may forbid io_uring. */
    if (err == -ENOSYS || err == -EPERM || err == -EACCES || err == -ENOMEM)
        err = disk_queue_create_with(out, depth, &engine_threads);
    return err;
}

void disk_queue_destroy(struct disk_queue *q)
{
    if (!q)
        return;
    q->engine->destroy(q);
    (void)close(q->event_fd);
    (void)pthread_mutex_destroy(&q->lock);
    free(q->parts);
    free(q);
}
