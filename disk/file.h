/* SPDX-License-Identifier: MIT */
#ifndef DISK_FILE_H
#define DISK_FILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * A file of the host as formats use it for everything that is not a plain transfer of data:
 * headers, tables, logs, and the slow way of a write. Calls block. Tests put a medium behind it
 * that forgets or tears what was not flushed.
 */

struct disk_file;

struct disk_file_ops {
    /** All of `length` or an error; what lies past the end reads as -EIO. 0 or -errno. */
    int (*read)(struct disk_file *file, void *buf, size_t length, uint64_t offset);
    int (*write)(struct disk_file *file, const void *buf, size_t length, uint64_t offset);
    /** What was written before it, data and size, survives a loss of power when it returns. */
    int (*flush)(struct disk_file *file);
    /** Give space back; the range reads as zeros. -ENOTSUP where the host cannot. */
    int (*punch)(struct disk_file *file, uint64_t offset, uint64_t length);
    int (*size)(struct disk_file *file, uint64_t *size);
    /** What is gained reads as zeros. */
    int (*set_size)(struct disk_file *file, uint64_t size);
};

struct disk_file {
    const struct disk_file_ops *ops;
    int fd; /* for transfers by io_uring; -1 in tests */
};

static inline int file_read(struct disk_file *f, void *buf, size_t length, uint64_t offset)
{
    return f->ops->read(f, buf, length, offset);
}

static inline int file_write(struct disk_file *f, const void *buf, size_t length, uint64_t offset)
{
    return f->ops->write(f, buf, length, offset);
}

static inline int file_flush(struct disk_file *f)
{
    return f->ops->flush(f);
}

static inline int file_punch(struct disk_file *f, uint64_t offset, uint64_t length)
{
    return f->ops->punch(f, offset, length);
}

static inline int file_size(struct disk_file *f, uint64_t *size)
{
    return f->ops->size(f, size);
}

static inline int file_set_size(struct disk_file *f, uint64_t size)
{
    return f->ops->set_size(f, size);
}

#endif
