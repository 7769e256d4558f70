/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/storage/storage_priv.h"

/*
 * What a disk does for a request: one or more steps, each a disk_request. A step follows when the
 * one before has ended; there is never more than one of a request in flight.
 */

static void step_done(struct disk_request *d, int error);

static uint64_t left(const struct request *r)
{
    return r->task.io.length - r->progress;
}

static void step_submit(struct request *r, enum disk_op op, uint64_t offset, uint64_t length,
                        const struct iovec *iov, unsigned iov_count)
{
    r->disk.op = op;
    r->disk.fua = op == DISK_WRITE && r->task.io.fua;
    r->disk.offset = offset;
    r->disk.length = length;
    r->disk.iov = iov;
    r->disk.iov_count = iov_count;
    r->disk.done = step_done;
    disk_submit(r->channel->queue, r->image, &r->disk);
}

/* Let the guest's vectors hold `length` bytes, not more than they do. */
static void vectors_trim(struct request *r, uint64_t length)
{
    for (unsigned i = 0; i < r->iov_count; i++) {
        if (r->iov[i].iov_len >= length) {
            r->iov[i].iov_len = (size_t)length;
            r->iov_count = i + (length > 0);
            return;
        }
        length -= r->iov[i].iov_len;
    }
}

/* The whole request at once, to or from the guest's memory. */
static void step_transfer(struct request *r, enum disk_op op)
{
    const struct scsi_io *io = &r->task.io;

    vectors_trim(r, io->length);
    step_submit(r, op, io->offset, io->length, r->iov, r->iov_count);
}

/* As much as the bounce buffer holds. */
static void step_bounce(struct request *r, enum disk_op op)
{
    const struct scsi_io *io = &r->task.io;
    uint64_t length = min_u64(left(r), STORAGE_BOUNCE);

    r->step = (struct iovec){r->bounce, (size_t)length};
    step_submit(r, op, io->offset + r->progress, length, &r->step, 1);
}

static void step_discard(struct request *r)
{
    const struct scsi_extent *e = &r->task.io.extent[r->progress];

    step_submit(r, DISK_DISCARD, e->offset, e->length, NULL, 0);
}

static void step_begin(struct request *r)
{
    const struct scsi_io *io = &r->task.io;

    switch (io->kind) {
    case SCSI_IO_READ:
        step_transfer(r, DISK_READ);
        break;
    case SCSI_IO_WRITE:
        step_transfer(r, DISK_WRITE);
        break;
    case SCSI_IO_VERIFY:
    case SCSI_IO_COMPARE:
        step_bounce(r, DISK_READ);
        break;
    case SCSI_IO_SAME:
        step_bounce(r, DISK_WRITE);
        break;
    case SCSI_IO_ZERO:
        step_submit(r, DISK_ZERO, io->offset, io->length, NULL, 0);
        break;
    case SCSI_IO_DISCARD:
        step_discard(r);
        break;
    case SCSI_IO_FLUSH:
    case SCSI_IO_NONE:
        step_submit(r, DISK_FLUSH, 0, 0, NULL, 0);
        break;
    }
}

/* Compare `length` bytes of the bounce buffer with the guest's, from byte `skip` of it on. */
static bool guest_equal(const struct request *r, uint64_t skip, const uint8_t *with, size_t length)
{
    for (unsigned i = 0; i < r->iov_count && length > 0; i++) {
        const struct iovec *v = &r->iov[i];
        size_t n;
        if (skip >= v->iov_len) {
            skip -= v->iov_len;
            continue;
        }
        n = (size_t)min_u64(v->iov_len - skip, length);
        if (memcmp((const uint8_t *)v->iov_base + skip, with, n) != 0)
            return false;
        skip = 0;
        with += n;
        length -= n;
    }
    return length == 0;
}

/* The step's bytes against the same ones of the guest, or each block against its only one. */
static bool step_equal(const struct request *r)
{
    size_t length = r->step.iov_len, block = r->task.io.repeat ? r->block_size : 0;

    if (!block)
        return guest_equal(r, r->progress, r->bounce, length);
    for (size_t at = 0; at < length; at += block)
        if (!guest_equal(r, 0, r->bounce + at, block))
            return false;
    return true;
}

static int bounce_make(struct request *r)
{
    atomic_uint *bounces = &r->channel->storage->bounces;

    if (r->bounce)
        return 0;
    if (atomic_fetch_add_explicit(bounces, 1, memory_order_relaxed) < STORAGE_BOUNCES)
        r->bounce = aligned_alloc(4096, STORAGE_BOUNCE);
    if (r->bounce)
        return 0;
    (void)atomic_fetch_sub_explicit(bounces, 1, memory_order_relaxed);
    return -ENOMEM;
}

void io_release(struct request *r)
{
    if (!r->bounce)
        return;
    free(r->bounce);
    r->bounce = NULL;
    (void)atomic_fetch_sub_explicit(&r->channel->storage->bounces, 1, memory_order_relaxed);
}

/* Go on as another kind of request. */
static int turn_into(struct request *r, enum scsi_io_kind kind)
{
    r->task.io.kind = kind;
    r->progress = 0;
    if (kind == SCSI_IO_FLUSH)
        return 0;
    return bounce_make(r);
}

/* A step has gone well. 1: there is another one; 0: that was all; -errno. */
static int advance(struct request *r)
{
    struct scsi_io *io = &r->task.io;

    switch (io->kind) {
    case SCSI_IO_WRITE: /* WRITE AND VERIFY: now read it */
        return io->verify ? turn_into(r, SCSI_IO_VERIFY) ?: 1 : 0;
    case SCSI_IO_COMPARE:
        if (!step_equal(r)) {
            scsi_miscompare(&r->task);
            return 0;
        }
        /* fall through */
    case SCSI_IO_VERIFY:
    case SCSI_IO_SAME:
        r->progress += r->step.iov_len;
        return left(r) > 0;
    case SCSI_IO_ZERO: /* a cache that writes through */
        return io->fua ? turn_into(r, SCSI_IO_FLUSH) ?: 1 : 0;
    case SCSI_IO_DISCARD:
        return ++r->progress < io->extent_count;
    default:
        return 0;
    }
}

/* An error that can be got round: as advance(). */
static int recover(struct request *r, int error)
{
    if (error != -ENOTSUP && error != -EOPNOTSUPP)
        return error;
    if (r->task.io.kind == SCSI_IO_DISCARD) /* it is only a hint */
        return advance(r);
    if (r->task.io.kind != SCSI_IO_ZERO)
        return error;
    error = turn_into(r, SCSI_IO_SAME);
    if (error < 0)
        return error;
    memset(r->bounce, 0, STORAGE_BOUNCE);
    return 1;
}

static void step_done(struct disk_request *d, int error)
{
    struct request *r = container_of(d, struct request, disk);
    int next = error < 0 ? recover(r, error) : advance(r);

    if (next <= 0)
        request_done(r, next);
    else if (request_go_on(r))
        step_begin(r);
}

int io_prepare(struct request *r)
{
    enum scsi_io_kind kind = r->task.io.kind;
    int err = 0;

    r->progress = 0;
    if (kind == SCSI_IO_VERIFY || kind == SCSI_IO_COMPARE || kind == SCSI_IO_SAME)
        err = bounce_make(r);
    if (err < 0 || kind != SCSI_IO_SAME)
        return err;
    for (size_t at = 0; at < STORAGE_BOUNCE; at += r->block_size)
        memcpy(r->bounce + at, r->task.data, r->block_size);
    return 0;
}

void io_start(struct request *r)
{
    step_begin(r);
}
