/* SPDX-License-Identifier: MIT */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "lib/hosted/problem.h"

/*
 * Disk images behind one interface, whatever their format: raw files, block devices, ISO, VHD, VHDX
 * and chains of differencing images.
 *
 * A disk may be used by several threads, each with a queue of its own (an io_uring). A thread adds
 * requests to its queue, submits them in one batch, and reaps what is done. What a format must do
 * before the data can move (allocate a block, write its log) happens in a thread of the disk, so
 * nothing here blocks its caller but disk_open(), disk_close() and disk_queue_wait().
 */

struct disk;
struct disk_queue;

#define DISK_SECTOR 512U /* the least unit of offsets and lengths; some disks have a larger one */

enum disk_op {
    DISK_READ,
    DISK_WRITE,
    DISK_FLUSH,   /* what was done before it was asked for survives a loss of power */
    DISK_DISCARD, /* contents are of no interest; reads give the old ones or zeros */
    DISK_ZERO,    /* reads give zeros from now on; space may be given back */
};

struct disk_info {
    uint64_t size;          /* bytes, a multiple of sector_size */
    uint32_t sector_size;   /* logical: 512, 2048 (optical) or 4096 */
    uint32_t physical_size; /* of a sector: 512 or 4096 */
    uint64_t discard_unit;  /* bytes that give space back when they are discarded; 0: none do */
    bool read_only;
    bool optical;         /* an ISO image */
    uint8_t identity[16]; /* the same each time this image is opened; zero: it has none */
    const char *format;   /* "raw", "vhd", "vhdx", "iso" */
};

/**
 * A request. Its memory, with the vectors and what they point to, is the caller's and must stay as
 * it is until done() is called, in the thread that owns the queue. An error is -errno: EINVAL (not
 * in the disk or not in whole sectors), EROFS, ENOSPC, EIO. Requests in flight have no order.
 */
struct disk_request {
    enum disk_op op;
    bool fua; /* a write that is not done before it would survive a loss of power */
    uint64_t offset;
    uint64_t length;         /* bytes; the sum of the vectors for reads and writes */
    const struct iovec *iov; /* of reads and writes */
    unsigned iov_count;
    void (*done)(struct disk_request *request, int error);
    uint64_t priv[24]; /* the disk's own, until done */
};

/** A file that is open already. */
struct disk_given {
    const char *path; /* what the configuration or the child image calls it */
    int fd;           /* stays the caller's, who may close it when the disk is open */
};

struct disk_options {
    bool read_only;
    bool cached;        /* through the page cache of the host; else O_DIRECT where that works */
    bool shared;        /* do not lock: somebody else sees to it that there is one writer */
    const char *format; /* NULL: found by looking at the file */
    /* Without `format`: the end of the name tells it (.vhd .avhd .vhdx .avhdx .iso). Any other file
     * is raw, and refused if it looks like an image: its guest may have written that. */
    bool by_name;
    bool later; /* no thread is made before disk_start(), and the disk is not used before */
    /* For a process that can open nothing: the only files that there are. NULL: all of the host. */
    const struct disk_given *given;
    unsigned given_count;
};

/**
 * Open an image and all its parents, and lock them: the image for writing (unless read-only), its
 * parents for reading, against this host and others. A log that was left is replayed first. 0, or
 * -errno with *why, which names the file.
 */
int disk_open(struct disk **out, const char *path, const struct disk_options *options,
              struct problem *why);

/** What `later` has put off: for a process that gives up rights in between, because a thread keeps
 * those that it began with. 0 or -errno; again does nothing. */
int disk_start(struct disk *disk);

/** Makes metadata durable and closes; no request is in flight. NULL is allowed. -errno if the last
 * writes have failed. */
int disk_close(struct disk *disk);

/** What is known of it now; the size may grow while it is open. */
void disk_info(const struct disk *disk, struct disk_info *info);

/** The paths of the image and of its parents, in order; how many there are, of which at most `max`
 * have been written. They live as long as the disk. */
unsigned disk_paths(const struct disk *disk, const char **paths, unsigned max);

/**
 * Grow to `size` bytes while it is in use. 0, -EINVAL (smaller), -ENOTSUP, or another -errno. It
 * waits until what is in flight has been reaped by the threads that own the queues, so the caller's
 * own queues have nothing in flight on this disk.
 */
int disk_grow(struct disk *disk, uint64_t size, struct problem *why);

/** For a process that will not be allowed to make queues: make so many in advance, for any depth up
 * to this. 0 or -errno. */
int disk_queues_reserve(unsigned count, unsigned depth);

/** A queue for one thread that takes up to `depth` requests at a time. 0 or -errno. */
int disk_queue_create(struct disk_queue **out, unsigned depth);
/** Nothing is in flight. NULL is allowed. */
void disk_queue_destroy(struct disk_queue *queue);

/** Readable when there is something to reap: an eventfd of the queue. */
int disk_queue_fd(const struct disk_queue *queue);

/** Take a request. done() may be called from here only if the request is refused at once. */
void disk_submit(struct disk_queue *queue, struct disk *disk, struct disk_request *request);

/** Hand all that was taken to the kernel: one system call at most. */
void disk_queue_flush(struct disk_queue *queue);

/** Call done() of all that has ended; how many. Does not block. */
unsigned disk_queue_reap(struct disk_queue *queue);

/** disk_queue_flush(), then block until something has ended, at most timeout_ms (-1: for ever),
 * then reap. */
unsigned disk_queue_wait(struct disk_queue *queue, int timeout_ms);

/** Requests that are not done. */
unsigned disk_queue_busy(const struct disk_queue *queue);

#endif
