/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* SEEK_DATA */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "disk/tool/tool.h"
#include "lib/bits.h"

/* Copies what one disk holds into another: several pieces at a time, and no zeros into zeros. */

#define SLOTS       8U
#define CHUNK_BYTES (1U << 20)
#define GRAIN       4096U  /* zeros are looked for in these */
#define GAP_BYTES   65536U /* fewer zeros than this do not split a write */

struct copier;

struct slot {
    struct disk_request request;
    struct iovec iov;
    struct copier *copier;
    uint8_t *data;
    uint64_t offset, length;
    uint64_t next; /* of the data, what is not written yet */
    bool busy;
};

struct copier {
    const struct copy *copy;
    struct disk_queue *queue;
    uint64_t at, size;
    uint32_t to_sector;
    int err;
    const char *doing;
    struct slot slot[SLOTS];
};

/* A hole of a file reads as zeros, and the host knows it without reading. */
static void skip_hole(const struct layer *from, struct extent *e)
{
    off_t data = lseek(from->host->file.fd, (off_t)e->file_offset, SEEK_DATA);

    if (data < 0 && errno == ENXIO) /* there is no more data behind it */
        data = INT64_MAX;
    if (data < 0 || (uint64_t)data < e->file_offset + GRAIN)
        return;
    e->kind = EXTENT_ZERO;
    e->length = min_u64(e->length, align_down((uint64_t)data - e->file_offset, GRAIN));
}

/* What comes next in the source. */
static void next_extent(struct copier *c, struct extent *e)
{
    struct disk *disk = c->copy->from;
    const struct layer *from = disk->top;

    if (c->copy->top_only)
        from->format->map(from->image, c->at, c->size - c->at, false, e);
    else
        chain_map(disk, c->at, c->size - c->at, false, e, &from);
    if (e->kind != EXTENT_DATA)
        return;
    skip_hole(from, e);
    if (e->kind == EXTENT_DATA)
        e->length = min_u64(e->length, CHUNK_BYTES);
}

static void submit(struct slot *s, struct disk *disk, enum disk_op op, uint64_t offset, void *data,
                   uint64_t length, void (*done)(struct disk_request *, int))
{
    s->busy = true;
    s->iov = (struct iovec){data, length};
    s->request = (struct disk_request){.op = op,
                                       .offset = offset,
                                       .length = length,
                                       .iov = data ? &s->iov : NULL,
                                       .iov_count = data ? 1 : 0,
                                       .done = done};
    disk_submit(s->copier->queue, disk, &s->request);
}

static void failed(struct copier *c, const char *doing, int err)
{
    if (c->err)
        return;
    c->err = err;
    c->doing = doing;
}

static bool grain_zero(const struct slot *s, uint64_t at)
{
    uint64_t n = min_u64(GRAIN, s->length - at);
    const uint8_t *p = s->data + at;

    return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* The next piece that must be written; false: there is none. */
static bool next_piece(const struct slot *s, uint64_t *first, uint64_t *end)
{
    uint64_t at = s->next, zeros = 0;

    if (!s->copier->copy->fresh) {
        *first = at;
        *end = s->length;
        return at < s->length;
    }
    while (at < s->length && grain_zero(s, at))
        at += GRAIN;
    if (at >= s->length)
        return false;
    *first = *end = at;
    for (; at < s->length && zeros < GAP_BYTES; at += GRAIN) {
        zeros = grain_zero(s, at) ? zeros + GRAIN : 0;
        if (zeros == 0)
            *end = min_u64(at + GRAIN, s->length);
    }
    return true;
}

static void write_done(struct disk_request *r, int error);

static void write_next(struct slot *s)
{
    struct copier *c = s->copier;
    uint64_t first, end;

    s->busy = false;
    if (c->err || !next_piece(s, &first, &end))
        return;
    s->next = end;
    /* The last sectors of a target with larger ones: the buffer has zeros there. */
    submit(s, c->copy->to, DISK_WRITE, s->offset + first, s->data + first,
           align_up(end - first, c->to_sector), write_done);
}

static void write_done(struct disk_request *r, int error)
{
    struct slot *s = container_of(r, struct slot, request);

    if (error)
        failed(s->copier, "writing", error);
    write_next(s);
}

static void read_done(struct disk_request *r, int error)
{
    struct slot *s = container_of(r, struct slot, request);

    if (error)
        failed(s->copier, "reading", error);
    s->next = 0;
    write_next(s);
}

/* Begin with the next piece of the source, if it asks for anything. */
static void begin(struct copier *c, struct slot *s)
{
    struct extent e;

    next_extent(c, &e);
    s->offset = c->at;
    s->length = e.length;
    s->next = s->length;
    c->at += e.length;
    if (e.kind == EXTENT_DATA) {
        memset(s->data + e.length, 0, min_u64(GRAIN, CHUNK_BYTES - e.length));
        submit(s, c->copy->from, DISK_READ, s->offset, s->data, s->length, read_done);
    } else if (e.kind == EXTENT_ZERO && !c->copy->fresh) {
        submit(s, c->copy->to, DISK_ZERO, s->offset, NULL, s->length, write_done);
    }
}

static void run(struct copier *c)
{
    while (disk_queue_busy(c->queue) > 0 || (c->at < c->size && !c->err)) {
        for (unsigned i = 0; i < SLOTS; i++)
            while (!c->slot[i].busy && c->at < c->size && !c->err)
                begin(c, &c->slot[i]);
        if (disk_queue_busy(c->queue) > 0)
            (void)disk_queue_wait(c->queue, -1);
        (void)progress_show(c->copy->progress, c->at, c->size);
    }
}

int copy_run(const struct copy *copy, struct problem *why)
{
    struct copier *c = calloc(1, sizeof(*c));
    struct disk_info from, to;
    void *memory = NULL;
    int err = 0;

    if (!c || posix_memalign(&memory, 4096, SLOTS * CHUNK_BYTES) != 0)
        err = -ENOMEM;
    if (!err)
        err = disk_queue_create(&c->queue, SLOTS);
    if (err) {
        free(memory);
        free(c);
        return problem_set(why, err, "%s", strerror(-err));
    }
    disk_info(copy->from, &from);
    disk_info(copy->to, &to);
    c->copy = copy;
    c->size = from.size;
    c->to_sector = to.sector_size;
    for (unsigned i = 0; i < SLOTS; i++) {
        c->slot[i].copier = c;
        c->slot[i].data = (uint8_t *)memory + i * CHUNK_BYTES;
    }
    run(c);
    err = c->err;
    if (err)
        (void)problem_set(why, err, "%s: %s: %s",
                          c->doing[0] == 'r' ? copy->from->top->path : copy->to_path, c->doing,
                          strerror(-err));
    disk_queue_destroy(c->queue);
    free(memory);
    free(c);
    return err;
}
