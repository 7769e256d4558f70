/* SPDX-License-Identifier: MIT */
#ifndef DISK_FUZZ_MEMORY_FILE_H
#define DISK_FUZZ_MEMORY_FILE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/format.h"

/* A file in memory for targets that read images, and what they do with an image. */

#ifndef MEMORY_MAX
#define MEMORY_MAX (4U << 20)
#endif

static struct disk_file memory_file;
static uint8_t memory[MEMORY_MAX];
static uint64_t memory_size;
static unsigned long memory_changes; /* what reads only must not make any */

static inline void must(bool condition)
{
    if (!condition)
        abort();
}

static int memory_read(struct disk_file *f, void *buf, size_t length, uint64_t offset)
{
    if (offset > memory_size || length > memory_size - offset)
        return -EIO;
    memcpy(buf, memory + offset, length);
    return 0;
}

static int memory_set_size(struct disk_file *f, uint64_t size)
{
    if (size > MEMORY_MAX)
        return -ENOSPC;
    memory_changes++;
    if (size > memory_size)
        memset(memory + memory_size, 0, size - memory_size);
    memory_size = size;
    return 0;
}

static int memory_write(struct disk_file *f, const void *buf, size_t length, uint64_t offset)
{
    if (offset > MEMORY_MAX || length > MEMORY_MAX - offset)
        return -ENOSPC;
    if (offset + length > memory_size)
        (void)memory_set_size(f, offset + length);
    memory_changes++;
    memcpy(memory + offset, buf, length);
    return 0;
}

static int memory_flush(struct disk_file *f)
{
    return 0;
}

static int memory_punch(struct disk_file *f, uint64_t offset, uint64_t length)
{
    memory_changes++;
    if (offset < memory_size)
        memset(memory + offset, 0, length < memory_size - offset ? length : memory_size - offset);
    return 0;
}

static int memory_get_size(struct disk_file *f, uint64_t *size)
{
    *size = memory_size;
    return 0;
}

static const struct disk_file_ops memory_ops = {
    memory_read, memory_write, memory_flush, memory_punch, memory_get_size, memory_set_size,
};

static inline void memory_load(const uint8_t *data, size_t length)
{
    memory_file = (struct disk_file){&memory_ops, -1};
    memory_size = 0;
    (void)memory_write(&memory_file, data, length < MEMORY_MAX ? length : MEMORY_MAX, 0);
}

/* Every extent makes sense and lies in the file. */
static inline void walk(const struct disk_format *format, struct image *image,
                        const struct image_geometry *g, bool write)
{
    static uint8_t buf[4096];
    uint64_t at = 0;

    for (unsigned n = 0; at < g->size && n < 2000; n++) {
        struct extent e = {.length = 0};

        format->map(image, at, g->size - at, write, &e);
        must(e.length > 0 && e.length <= g->size - at && e.length % g->sector_size == 0);
        must(write ? e.kind == EXTENT_DATA || e.kind == EXTENT_SLOW : e.kind != EXTENT_SLOW);
        if (e.kind == EXTENT_DATA)
            must(e.file_offset <= memory_size && e.length <= memory_size - e.file_offset);
        if (e.kind == EXTENT_DATA && !write)
            must(memory_read(&memory_file, buf, e.length < sizeof(buf) ? e.length : sizeof(buf),
                             e.file_offset) == 0);
        at += e.length;
    }
}

#endif
