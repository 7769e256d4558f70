/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_DISK_H
#define TESTS_UNIT_SHIM_DISK_H

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "disk/format.h"

/*
 * A medium in memory behind struct disk_file, and what a test needs to cut its power: it keeps what
 * is durable apart from what was only written. shim_disk_crash() lets any part of the latter reach
 * the medium: nothing, all, a prefix, any subset, each write whole or torn between sectors.
 *
 * shim_read(), shim_write(), shim_flush() and shim_discard() do for an open image what disk.c does,
 * in one thread. struct shim_model knows what each sector may hold after a crash.
 * shim_crash_run() plays whole lives of an image with random writes and losses of power. All tests
 * of losses do DISK_PLAYS (an environment variable; 1) times as many as usual.
 */

#define SHIM_DISK_MAX (256U << 20) /* bytes of one medium */
#define SHIM_SECTOR   512U

/* xorshift64: the same numbers for the same seed, everywhere. */
static inline uint64_t shim_random(uint64_t *seed)
{
    uint64_t x = *seed ? *seed : 0x9E3779B97F4A7C15U;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *seed = x;
    return x * 0x2545F4914F6CDD1DU;
}

/* 0 to n - 1. */
static inline uint64_t shim_below(uint64_t *seed, uint64_t n)
{
    return (shim_random(seed) >> 11) % n;
}

enum shim_change_kind { SHIM_WRITE, SHIM_PUNCH, SHIM_SIZE };

/* Something that was done and not flushed. */
struct shim_change {
    enum shim_change_kind kind;
    uint64_t offset, length; /* SHIM_SIZE: the size is in length */
    uint8_t *data;           /* SHIM_WRITE */
    struct shim_change *next;
};

struct shim_bytes {
    uint8_t *data;
    uint64_t size, room;
};

struct shim_disk {
    struct disk_file file; /* first: file operations find the rest by it */
    struct shim_bytes now, durable;
    struct shim_change *first, **last; /* since the last flush */
    uint64_t changes;                  /* all operations that change or flush so far */
    uint64_t power_left;               /* so many more of those, then the power fails; 0: never */
    bool dead;                         /* it has failed: everything is -EIO */
    bool no_punch;                     /* punch is -ENOTSUP */
    uint64_t flushes, reads, writes;
};

static inline void shim_bytes_size(struct shim_bytes *b, uint64_t size)
{
    assert_true(size <= SHIM_DISK_MAX);
    if (size > b->room) {
        b->room = size + size / 2 + 65536;
        b->data = realloc(b->data, b->room);
        assert_non_null(b->data);
    }
    if (size > b->size)
        memset(b->data + b->size, 0, size - b->size);
    b->size = size;
}

static inline void shim_bytes_put(struct shim_bytes *b, uint64_t offset, const void *data,
                                  uint64_t length)
{
    assert_true(offset <= SHIM_DISK_MAX && length <= SHIM_DISK_MAX);
    if (offset + length > b->size)
        shim_bytes_size(b, offset + length);
    if (length)
        memcpy(b->data + offset, data, length);
}

/* Punching does not change the size. */
static inline void shim_bytes_zero(struct shim_bytes *b, uint64_t offset, uint64_t length)
{
    if (offset >= b->size)
        return;
    memset(b->data + offset, 0, length < b->size - offset ? length : b->size - offset);
}

static inline void shim_apply(struct shim_bytes *b, const struct shim_change *c)
{
    if (c->kind == SHIM_WRITE)
        shim_bytes_put(b, c->offset, c->data, c->length);
    else if (c->kind == SHIM_PUNCH)
        shim_bytes_zero(b, c->offset, c->length);
    else
        shim_bytes_size(b, c->length);
}

static inline struct shim_disk *shim_of(struct disk_file *file)
{
    return (struct shim_disk *)(void *)file;
}

static inline void shim_forget_changes(struct shim_disk *s)
{
    for (struct shim_change *c = s->first, *next; c; c = next) {
        next = c->next;
        free(c->data);
        free(c);
    }
    s->first = NULL;
    s->last = &s->first;
}

/* The power may fail in the middle of an operation: it is recorded, and its caller hears -EIO. */
static inline int shim_power(struct shim_disk *s)
{
    s->changes++;
    if (s->power_left && --s->power_left == 0)
        s->dead = true;
    return s->dead ? -EIO : 0;
}

static inline int shim_record(struct shim_disk *s, enum shim_change_kind kind, uint64_t offset,
                              uint64_t length, const void *data)
{
    struct shim_change *c;

    if (s->dead)
        return -EIO;
    c = calloc(1, sizeof(*c));
    assert_non_null(c);
    *c = (struct shim_change){kind, offset, length, NULL, NULL};
    if (kind == SHIM_WRITE) {
        c->data = malloc(length + 1);
        assert_non_null(c->data);
        memcpy(c->data, data, length);
    }
    *s->last = c;
    s->last = &c->next;
    shim_apply(&s->now, c);
    return shim_power(s);
}

static inline int shim_op_read(struct disk_file *file, void *buf, size_t length, uint64_t offset)
{
    struct shim_disk *s = shim_of(file);

    if (s->dead || offset > s->now.size || length > s->now.size - offset)
        return -EIO;
    s->reads++;
    if (length)
        memcpy(buf, s->now.data + offset, length);
    return 0;
}

static inline int shim_op_write(struct disk_file *file, const void *buf, size_t length,
                                uint64_t offset)
{
    shim_of(file)->writes++;
    return shim_record(shim_of(file), SHIM_WRITE, offset, length, buf);
}

static inline int shim_op_flush(struct disk_file *file)
{
    struct shim_disk *s = shim_of(file);

    if (s->dead || shim_power(s) < 0)
        return -EIO;
    for (struct shim_change *c = s->first; c; c = c->next)
        shim_apply(&s->durable, c);
    shim_forget_changes(s);
    s->flushes++;
    return 0;
}

static inline int shim_op_punch(struct disk_file *file, uint64_t offset, uint64_t length)
{
    if (shim_of(file)->no_punch)
        return -ENOTSUP;
    return shim_record(shim_of(file), SHIM_PUNCH, offset, length, NULL);
}

static inline int shim_op_size(struct disk_file *file, uint64_t *size)
{
    *size = shim_of(file)->now.size;
    return shim_of(file)->dead ? -EIO : 0;
}

static inline int shim_op_set_size(struct disk_file *file, uint64_t size)
{
    if (size > SHIM_DISK_MAX)
        return -EFBIG;
    return shim_record(shim_of(file), SHIM_SIZE, 0, size, NULL);
}

static const struct disk_file_ops shim_disk_ops = {
    shim_op_read, shim_op_write, shim_op_flush, shim_op_punch, shim_op_size, shim_op_set_size,
};

static inline void shim_disk_init(struct shim_disk *s)
{
    *s = (struct shim_disk){.file = {.ops = &shim_disk_ops, .fd = -1}};
    s->last = &s->first;
}

static inline void shim_disk_free(struct shim_disk *s)
{
    shim_forget_changes(s);
    free(s->now.data);
    free(s->durable.data);
}

/* A medium with these contents, durable. */
static inline void shim_disk_load(struct shim_disk *s, const void *data, size_t length)
{
    shim_disk_init(s);
    shim_bytes_put(&s->now, 0, data, length);
    shim_bytes_put(&s->durable, 0, data, length);
}

/* Some sectors of a write: a run of them from the front or the back, or any. */
static inline void shim_tear(struct shim_bytes *b, const struct shim_change *c, uint64_t *seed)
{
    uint64_t first = c->offset / SHIM_SECTOR, end = c->offset + c->length, how, cut;

    how = shim_below(seed, 3);
    cut = first + shim_below(seed, c->length / SHIM_SECTOR + 2);
    for (uint64_t at = c->offset, next; at < end; at = next) {
        uint64_t sector = at / SHIM_SECTOR;

        next = (sector + 1) * SHIM_SECTOR < end ? (sector + 1) * SHIM_SECTOR : end;
        if (how == 0 ? sector < cut : how == 1 ? sector >= cut : shim_random(seed) >> 63)
            shim_bytes_put(b, at, c->data + (at - c->offset), next - at);
    }
}

static unsigned long shim_losses; /* so far */

/** How much more than usual is to be done. */
static inline unsigned shim_plays(void)
{
    const char *text = getenv("DISK_PLAYS");
    long plays = text ? atol(text) : 1;

    return plays > 0 && plays <= 1000 ? (unsigned)plays : 1;
}

/** A group's teardown that tells how many there were. */
static inline int shim_tell_losses(void **state)
{
    print_message("%lu losses of power\n", shim_losses);
    return 0;
}

/**
 * The power comes back: what was flushed is there, and any part of the rest. The medium works again
 * and does not fail before power_left is set anew.
 */
static inline void shim_disk_crash(struct shim_disk *s, uint64_t *seed)
{
    uint64_t how = shim_below(seed, 5), count = 0, cut, i = 0;

    for (struct shim_change *c = s->first; c; c = c->next)
        count++;
    cut = shim_below(seed, count + 1);
    shim_losses++;
    for (struct shim_change *c = s->first; c; c = c->next, i++) {
        bool whole = how == 1 || (how == 2 && i < cut) || (how == 3 && shim_random(seed) >> 63);
        bool torn = (how == 2 && i == cut) || how == 4 || (how == 3 && shim_below(seed, 4) == 0);

        if (whole)
            shim_apply(&s->durable, c);
        else if (torn && c->kind == SHIM_WRITE)
            shim_tear(&s->durable, c, seed);
        else if (torn && shim_random(seed) >> 63)
            shim_apply(&s->durable, c);
    }
    shim_forget_changes(s);
    s->now.size = 0;
    shim_bytes_put(&s->now, 0, s->durable.data, s->durable.size);
    s->power_left = 0;
    s->dead = false;
}

/* ---- an open image ---- */

struct shim_image {
    const struct disk_format *format;
    struct disk_file *file;
    struct image *image;
    struct image_geometry geometry;
    struct problem why;
    bool writing;              /* format->writer() was called */
    struct shim_image *parent; /* NULL: what is in the parent reads as zeros */
};

static inline int shim_open(struct shim_image *o, const struct disk_format *format,
                            struct disk_file *file, bool read_only)
{
    *o = (struct shim_image){.format = format, .file = file};
    return format->open(&o->image, file, read_only, &o->geometry, &o->why);
}

static inline int shim_close(struct shim_image *o)
{
    int err = o->format->close(o->image);

    o->image = NULL;
    return err;
}

static inline int shim_read(struct shim_image *o, uint64_t offset, void *buf, uint64_t length)
{
    uint8_t *to = buf;
    int err = 0;

    for (uint64_t n; length > 0 && !err; offset += n, to += n, length -= n) {
        struct extent e = {.length = 0};
        uint64_t there = 0;

        o->format->map(o->image, offset, length, false, &e);
        n = e.length;
        assert_true(n > 0 && n <= length && e.kind != EXTENT_SLOW);
        if (e.kind == EXTENT_DATA) {
            err = file_read(o->file, to, n, e.file_offset);
            continue;
        }
        memset(to, 0, n);
        if (e.kind == EXTENT_PARENT && o->parent && offset < o->parent->geometry.size) {
            there = o->parent->geometry.size - offset;
            err = shim_read(o->parent, offset, to, n < there ? n : there);
        }
    }
    return err;
}

static inline int shim_first_write(struct shim_image *o)
{
    int err = 0;

    if (!o->writing && o->format->writer)
        err = o->format->writer(o->image);
    o->writing |= !err;
    return err;
}

static inline int shim_write(struct shim_image *o, uint64_t offset, const void *buf,
                             uint64_t length)
{
    uint8_t *copy = malloc(length + 1);
    int err = shim_first_write(o);

    assert_non_null(copy);
    memcpy(copy, buf, length);
    for (uint64_t n, done = 0; done < length && !err; done += n) {
        struct extent e = {.length = 0};
        struct iovec iov = {copy + done, length - done};

        o->format->map(o->image, offset + done, length - done, true, &e);
        n = e.length;
        assert_true(n > 0 && n <= length - done);
        assert_true(e.kind == EXTENT_DATA || e.kind == EXTENT_SLOW);
        iov.iov_len = n;
        err = e.kind == EXTENT_DATA ? file_write(o->file, copy + done, n, e.file_offset)
                                    : o->format->write(o->image, offset + done, n, &iov, 1);
    }
    free(copy);
    return err;
}

static inline int shim_discard(struct shim_image *o, uint64_t offset, uint64_t length, bool zero)
{
    int err = shim_first_write(o);

    return err ? err : o->format->discard(o->image, offset, length, zero);
}

static inline int shim_flush(struct shim_image *o)
{
    return o->format->dirty(o->image) ? o->format->flush(o->image) : file_flush(o->file);
}

/* ---- what each sector may hold ---- */

/* Versions number all writes and discards of a run; a sector's floor is durable for certain. */
struct shim_sector {
    uint32_t floor;
    uint32_t last; /* what a read must give while the power is on */
    uint32_t zero; /* the newest version that reads as zeros: they are right from this on */
};

#define SHIM_VERSIONS 65536U

struct shim_model {
    uint64_t sectors;
    struct shim_sector *sector;
    struct {
        uint64_t first, count;
    } write[SHIM_VERSIONS]; /* where each version is; count 0: it is zeros */
    uint32_t newest;
};

static inline struct shim_model *shim_model_new(uint64_t size)
{
    struct shim_model *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    m->sectors = size / SHIM_SECTOR;
    m->sector = calloc(m->sectors, sizeof(*m->sector));
    assert_non_null(m->sector);
    return m;
}

static inline void shim_model_free(struct shim_model *m)
{
    free(m->sector);
    free(m);
}

/* What is written to a sector says where and when. */
static inline void shim_fill(uint8_t *buf, uint64_t sector, uint64_t version)
{
    uint64_t words[2] = {sector ^ 0xA5A5A5A500000000U, version};

    for (unsigned i = 0; i < SHIM_SECTOR; i += sizeof(words))
        memcpy(buf + i, words, sizeof(words));
}

/* A write to these sectors is about to be done: its contents are put into buf. */
static inline void shim_model_write(struct shim_model *m, uint64_t first, uint64_t count,
                                    uint8_t *buf)
{
    uint32_t version = ++m->newest;

    assert_true(version < SHIM_VERSIONS && first + count <= m->sectors);
    m->write[version].first = first;
    m->write[version].count = count;
    for (uint64_t i = 0; i < count; i++) {
        shim_fill(buf + i * SHIM_SECTOR, first + i, version);
        m->sector[first + i].last = version;
    }
}

/* A discard is about to be done; `zero`: zeros are its promise. */
static inline void shim_model_discard(struct shim_model *m, uint64_t first, uint64_t count,
                                      bool zero)
{
    uint32_t version = ++m->newest;

    assert_true(version < SHIM_VERSIONS && first + count <= m->sectors);
    for (uint64_t i = first; i < first + count; i++) {
        m->sector[i].zero = version;
        if (zero)
            m->sector[i].last = version;
    }
}

static inline void shim_model_flushed(struct shim_model *m)
{
    for (uint64_t i = 0; i < m->sectors; i++)
        m->sector[i].floor = m->sector[i].last;
}

/* The version in these 512 bytes of a sector; 0: zeros; UINT64_MAX: no version of it. */
static inline uint64_t shim_version(const struct shim_model *m, uint64_t sector,
                                    const uint8_t *data)
{
    static const uint8_t zeros[SHIM_SECTOR];
    uint8_t want[SHIM_SECTOR];
    uint64_t v;

    if (memcmp(data, zeros, SHIM_SECTOR) == 0)
        return 0;
    memcpy(&v, data + sizeof(v), sizeof(v));
    if (v == 0 || v > m->newest || sector < m->write[v].first ||
        sector - m->write[v].first >= m->write[v].count)
        return UINT64_MAX;
    shim_fill(want, sector, v);
    return memcmp(data, want, SHIM_SECTOR) == 0 ? v : UINT64_MAX;
}

/* With the power on: the newest; after a loss of it: nothing older than what was flushed. */
static inline void shim_model_check(const struct shim_model *m, uint64_t first, uint64_t count,
                                    const uint8_t *data, bool crashed)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct shim_sector *s = &m->sector[first + i];
        uint64_t v = shim_version(m, first + i, data + i * SHIM_SECTOR);
        uint32_t least = crashed ? s->floor : s->last;
        bool right = v == 0 ? s->zero >= least : crashed ? v >= least : v == least;

        if (v == UINT64_MAX || !right)
            fail_msg("sector %llu holds version %lld, wanted %u (zeros since %u)%s",
                     (unsigned long long)(first + i), (long long)v, least, s->zero,
                     crashed ? " after a crash" : "");
    }
}

/* What was found after a crash and checked is what there is from now on. */
static inline void shim_model_found(struct shim_model *m, uint64_t first, uint64_t count,
                                    const uint8_t *data)
{
    for (uint64_t i = 0; i < count; i++) {
        struct shim_sector *s = &m->sector[first + i];
        uint64_t v = shim_version(m, first + i, data + i * SHIM_SECTOR);

        s->floor = s->last = v ? (uint32_t)v : m->newest;
        s->zero = v ? 0 : m->newest;
    }
}

/* ---- lives of an image ---- */

struct shim_crash {
    const struct disk_format *format;
    const struct format_create *how;
    struct shim_image *parent; /* of a differencing image, open for writing; is filled */
    uint64_t seed;
    unsigned lives;  /* each ends with a loss of power or with a close */
    unsigned ops;    /* in a life */
    uint64_t power;  /* the power fails within so many operations of the medium; 0: 100 */
    uint64_t window; /* writes lie in so many bytes, so that they meet; 0: in the whole disk */
};

#define SHIM_OP_SECTORS 64U

struct shim_life {
    const struct shim_crash *c;
    struct shim_disk disk;
    struct shim_image open;
    struct shim_model *model;
    uint64_t seed;
    uint8_t buf[SHIM_OP_SECTORS * SHIM_SECTOR];
};

static inline void shim_say(void *ctx, bool fixed, const char *sentence)
{
    print_message("check: %s%s\n", sentence, fixed ? " (repaired)" : "");
}

/* A place and a length in sectors, in whole sectors of the image. */
static inline void shim_place(struct shim_life *l, uint64_t *first, uint64_t *count)
{
    uint64_t unit = l->open.geometry.sector_size / SHIM_SECTOR;
    uint64_t all = l->model->sectors / unit, window = l->c->window / SHIM_SECTOR / unit;
    uint64_t n = 1 + shim_below(&l->seed, shim_below(&l->seed, 3) ? 4 : SHIM_OP_SECTORS / unit);
    uint64_t at;

    window = window && window < all ? window : all;
    at = shim_below(&l->seed, window);
    *first = at * unit;
    *count = (n < all - at ? n : all - at) * unit;
}

static inline int shim_life_op(struct shim_life *l)
{
    uint64_t first, count, what = shim_below(&l->seed, 100);
    int err;

    shim_place(l, &first, &count);
    if (what < 50) {
        shim_model_write(l->model, first, count, l->buf);
        return shim_write(&l->open, first * SHIM_SECTOR, l->buf, count * SHIM_SECTOR);
    }
    if (what < 65) {
        err = shim_flush(&l->open);
        if (!err)
            shim_model_flushed(l->model);
        return err;
    }
    if (what < 75) {
        /* Long ones, so that whole blocks go. */
        count = what < 70 ? count : (l->model->sectors - first) & ~7ULL;
        count = count ? count : l->open.geometry.sector_size / SHIM_SECTOR;
        shim_model_discard(l->model, first, count, what & 1);
        return shim_discard(&l->open, first * SHIM_SECTOR, count * SHIM_SECTOR, what & 1);
    }
    err = shim_read(&l->open, first * SHIM_SECTOR, l->buf, count * SHIM_SECTOR);
    if (!err)
        shim_model_check(l->model, first, count, l->buf, false);
    return err;
}

/* All of the disk after its power came back. */
static inline void shim_life_verify(struct shim_life *l, bool crashed, bool keep)
{
    for (uint64_t at = 0, n; at < l->model->sectors; at += n) {
        n = l->model->sectors - at < SHIM_OP_SECTORS ? l->model->sectors - at : SHIM_OP_SECTORS;
        assert_int_equal(shim_read(&l->open, at * SHIM_SECTOR, l->buf, n * SHIM_SECTOR), 0);
        shim_model_check(l->model, at, n, l->buf, crashed);
        if (keep)
            shim_model_found(l->model, at, n, l->buf);
    }
}

static inline void shim_life_open(struct shim_life *l, bool read_only)
{
    int err = shim_open(&l->open, l->c->format, &l->disk.file, read_only);

    if (err)
        fail_msg("seed %llu: %d: %s", (unsigned long long)l->c->seed, err, l->open.why.text);
    l->open.parent = l->c->parent;
    assert_int_equal(l->open.geometry.size, l->model->sectors * SHIM_SECTOR);
}

/* The power may fail again while the image is opened. */
static inline void shim_life_stumble(struct shim_life *l)
{
    int err;

    l->disk.power_left = 1 + shim_below(&l->seed, 12);
    err = shim_open(&l->open, l->c->format, &l->disk.file, false);
    assert_true(err == 0 || l->disk.dead);
    l->disk.dead = true;
    if (!err)
        (void)shim_close(&l->open);
    shim_disk_crash(&l->disk, &l->seed);
}

/* It opens for reading and for writing, holds what was flushed, and has no errors after that. */
static inline void shim_life_recover(struct shim_life *l)
{
    struct check_report report = {.say = shim_say};
    struct problem why = {{0}};

    shim_life_open(l, true);
    shim_life_verify(l, true, false);
    assert_int_equal(shim_close(&l->open), 0);
    if (shim_below(&l->seed, 3) == 0)
        shim_life_stumble(l);
    shim_life_open(l, false);
    shim_life_verify(l, true, true);
    assert_int_equal(shim_close(&l->open), 0);
    assert_int_equal(l->c->format->check(&l->disk.file, false, &report, &why), 0);
    assert_int_equal(report.errors, 0);
}

/* A close, or the end of the process without one, then a loss of power. */
static inline void shim_life_end(struct shim_life *l)
{
    int err;

    if (shim_below(&l->seed, 2))
        l->disk.dead = true;
    err = shim_close(&l->open);
    /* As disk_close() does. */
    if (!err && !l->disk.dead && file_flush(&l->disk.file) == 0)
        shim_model_flushed(l->model);
    shim_disk_crash(&l->disk, &l->seed);
}

/* What the parent holds is known to the model as what was written first. */
static inline void shim_life_parent(struct shim_life *l)
{
    uint64_t end = l->c->parent->geometry.size / SHIM_SECTOR;

    for (uint64_t at = 0, n; at < end && at < l->model->sectors; at += n) {
        n = end - at < SHIM_OP_SECTORS ? end - at : SHIM_OP_SECTORS;
        shim_model_write(l->model, at, n, l->buf);
        assert_int_equal(shim_write(l->c->parent, at * SHIM_SECTOR, l->buf, n * SHIM_SECTOR), 0);
    }
    assert_int_equal(shim_flush(l->c->parent), 0);
    shim_model_flushed(l->model);
}

static inline void shim_crash_run(const struct shim_crash *c)
{
    struct shim_life *l = calloc(1, sizeof(*l));
    struct problem why = {{0}};
    int err = 0;

    assert_non_null(l);
    l->c = c;
    l->seed = c->seed * 0x9E3779B97F4A7C15U + 1;
    shim_disk_init(&l->disk);
    l->model = shim_model_new(c->how->size);
    if (c->parent)
        shim_life_parent(l);
    if (c->format->create(&l->disk.file, c->how, &why) < 0)
        fail_msg("create: %s", why.text);
    assert_int_equal(file_flush(&l->disk.file), 0);
    for (unsigned life = 0; life < c->lives; life++) {
        shim_life_open(l, false);
        l->disk.power_left = 1 + shim_below(&l->seed, c->power ? c->power : 100);
        err = 0;
        for (unsigned i = 0; i < c->ops && !err; i++)
            err = shim_life_op(l);
        if (err && !l->disk.dead)
            fail_msg("seed %llu: error %d with the power on", (unsigned long long)c->seed, err);
        shim_life_end(l);
        shim_life_recover(l);
    }
    shim_model_free(l->model);
    shim_disk_free(&l->disk);
    free(l);
}

#endif
