/* SPDX-License-Identifier: MIT */
#ifndef LIB_SAVE_H
#define LIB_SAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/errno.h"
#include "lib/string.h"

/*
 * Saved state: little-endian numbers in sections. A section has a tag, a version and its length,
 * so that a reader can refuse what it does not know. The first error sticks: write or read
 * everything, then look at `err` once.
 */

struct save_writer {
    uint8_t *buf;
    size_t size;
    size_t len; /* bytes written */
    int err;    /* 0 or -ENOSPC */
};

struct save_reader {
    const uint8_t *buf;
    size_t size;
    size_t pos;
    size_t end; /* of the section that is open */
    int err;    /* 0 or -EINVAL */
};

#define SAVE_HEADER 12U /* tag u32, version u32, length u32 */

static inline void save_bytes(struct save_writer *w, const void *data, size_t len)
{
    if (w->err || len > w->size - w->len) {
        w->err = -ENOSPC;
        return;
    }
    memcpy(w->buf + w->len, data, len);
    w->len += len;
}

/** The `size` low bytes of v; size is 1, 2, 4 or 8. */
static inline void save_number(struct save_writer *w, uint64_t v, unsigned size)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    save_bytes(w, bytes, size);
}

static inline void save_u8(struct save_writer *w, uint8_t v)
{
    save_number(w, v, 1);
}

static inline void save_u16(struct save_writer *w, uint16_t v)
{
    save_number(w, v, 2);
}

static inline void save_u32(struct save_writer *w, uint32_t v)
{
    save_number(w, v, 4);
}

static inline void save_u64(struct save_writer *w, uint64_t v)
{
    save_number(w, v, 8);
}

/** Start a section; the result goes to save_end(). Sections do not nest. */
static inline size_t save_begin(struct save_writer *w, uint32_t tag, uint32_t version)
{
    save_u32(w, tag);
    save_u32(w, version);
    save_u32(w, 0);
    return w->len;
}

static inline void save_end(struct save_writer *w, size_t begin)
{
    size_t len = w->len - begin;

    for (unsigned i = 0; i < 4 && !w->err; i++)
        w->buf[begin - 4 + i] = (uint8_t)(len >> (8 * i));
}

static inline void load_bytes(struct save_reader *r, void *data, size_t len)
{
    if (r->err || len > r->end - r->pos) {
        r->err = -EINVAL;
        memset(data, 0, len);
        return;
    }
    memcpy(data, r->buf + r->pos, len);
    r->pos += len;
}

static inline uint64_t load_number(struct save_reader *r, unsigned size)
{
    uint8_t bytes[8];
    uint64_t v = 0;

    load_bytes(r, bytes, size);
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)bytes[i] << (8 * i);
    return v;
}

static inline uint8_t load_u8(struct save_reader *r)
{
    return (uint8_t)load_number(r, 1);
}

static inline uint16_t load_u16(struct save_reader *r)
{
    return (uint16_t)load_number(r, 2);
}

static inline uint32_t load_u32(struct save_reader *r)
{
    return (uint32_t)load_number(r, 4);
}

static inline uint64_t load_u64(struct save_reader *r)
{
    return load_number(r, 8);
}

/** A number that must be at most `max`. */
static inline uint64_t load_max(struct save_reader *r, unsigned size, uint64_t max)
{
    uint64_t v = load_number(r, size);

    if (v > max)
        r->err = -EINVAL;
    return v > max ? 0 : v;
}

/** Open the section at the reader's place: its version, or 0 with err set. */
static inline uint32_t load_begin(struct save_reader *r, uint32_t tag, uint32_t newest)
{
    uint32_t found, version, len;

    r->end = r->size;
    found = load_u32(r);
    version = load_u32(r);
    len = load_u32(r);
    if (r->err || found != tag || version == 0 || version > newest || len > r->size - r->pos) {
        r->err = -EINVAL;
        return 0;
    }
    r->end = r->pos + len;
    return version;
}

/** Close it; all of it must have been read. Returns err. */
static inline int load_end(struct save_reader *r)
{
    if (!r->err && r->pos != r->end)
        r->err = -EINVAL;
    return r->err;
}

#endif
