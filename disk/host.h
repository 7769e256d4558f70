/* SPDX-License-Identifier: MIT */
#ifndef DISK_HOST_H
#define DISK_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>
#include "disk/file.h"
#include "lib/hosted/problem.h"

/*
 * struct disk_file over a descriptor of the host: a regular file or a block device.
 *
 * There is one descriptor, so that all that reads and writes sees the same bytes in the same order.
 * A second, cached one beside an O_DIRECT one would have pages that the direct one does not know
 * of. If the descriptor is O_DIRECT, calls here go through an aligned buffer where they are not
 * aligned themselves. A write of a part of an aligned unit reads the rest of it first, which is
 * right only if nobody else writes to that unit: disk.c sees to it that O_DIRECT is only used
 * where sectors are whole units.
 */

struct host_file {
    struct disk_file file; /* first */
    bool block;            /* a block device */
    bool direct;
    bool writable;
    uint32_t offset_align; /* of offsets and lengths of transfers; 1 if not direct */
    uint32_t memory_align;
    dev_t dev; /* of the file, or of the block device itself */
    ino_t ino;
    pthread_mutex_t edge; /* writes of parts of units, one at a time */
};

enum { HOST_WRITE = 1, HOST_DIRECT = 2 };

/** Open; O_DIRECT where that works if `flags` ask for it. 0, or -errno with a sentence. */
int host_file_open(struct host_file **out, const char *path, unsigned flags, struct problem *why);

/** The same with a copy of a descriptor. -EACCES: it is not open for writing. */
int host_file_copy(struct host_file **out, const char *path, int fd, unsigned flags,
                   struct problem *why);

/** The same for a descriptor, which is the file's from here on if this succeeds. */
int host_file_adopt(struct host_file **out, int fd, bool writable);

/** Use the page cache from here on. */
void host_file_cached(struct host_file *host);

/** NULL is allowed; locks on the file end. */
void host_file_close(struct host_file *host);

/**
 * Lock the file against other openers, for writing or for reading, by an open file description
 * lock: it ends with the descriptor, and file servers pass it on to other hosts. 0; -EBUSY or
 * another -errno with a sentence that begins with `path`.
 */
int host_file_lock(struct host_file *host, bool write, const char *path, struct problem *why);

/** Make zeros by whatever way the host has: 0 or -errno. Space may be given back. */
int host_zero(struct disk_file *file, uint64_t offset, uint64_t length);

#endif
