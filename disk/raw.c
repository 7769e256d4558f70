/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* posix_fallocate, SEEK_DATA */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "disk/format.h"
#include "disk/host.h"
#include "lib/bits.h"
#include "lib/hosted/fd.h"

/* Files and devices that are nothing but the disk's contents, and discs (ISO 9660, UDF). */

#define OPTICAL_SECTOR 2048U
#define PAGE_BYTES     4096U /* what file systems give space back in, and like transfers of */

struct image {
    struct disk_file *file;
    bool block;
};

/* ECMA-119 8.1 and ECMA-167 2/9.1: volume structure descriptors stand from 32 KiB on, an
 * identifier of five bytes behind their type. */
static int iso_probe(struct disk_file *file)
{
    static const char ids[][5] = {{'C', 'D', '0', '0', '1'}, {'B', 'E', 'A', '0', '1'}};
    char found[5];
    uint64_t size;
    int err = file_size(file, &size);

    if (err < 0 || size < 17 * OPTICAL_SECTOR)
        return err;
    err = file_read(file, found, sizeof(found), 16 * OPTICAL_SECTOR + 1);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
        if (memcmp(found, ids[i], sizeof(found)) == 0)
            return 1;
    return 0;
}

/* Anything may be a raw image; whoever asks has asked all other formats before. */
static int raw_probe(struct disk_file *file)
{
    return 1;
}

static void block_sectors(struct disk_file *file, struct image_geometry *g)
{
    unsigned physical = 0;
    int logical = 0;

    if (ioctl(file->fd, BLKSSZGET, &logical) == 0 && (logical == 512 || logical == 4096))
        g->sector_size = (uint32_t)logical;
    if (ioctl(file->fd, BLKPBSZGET, &physical) == 0 && physical > 512)
        g->physical_size = 4096;
    else
        g->physical_size = g->sector_size;
}

static int image_new(struct image **out, struct disk_file *file)
{
    struct stat st;
    struct image *i = calloc(1, sizeof(*i));

    if (!i)
        return -ENOMEM;
    i->file = file;
    i->block = file->fd >= 0 && fd_stat(file->fd, &st) == 0 && S_ISBLK(st.st_mode);
    *out = i;
    return 0;
}

static int raw_open(struct image **out, struct disk_file *file, bool read_only,
                    struct image_geometry *geometry, struct problem *why)
{
    struct image_geometry g = {
        .sector_size = 512, .physical_size = PAGE_BYTES, .discard_unit = PAGE_BYTES};
    struct image *i;
    uint64_t size;
    int err = file_size(file, &size);

    if (err < 0)
        return problem_set(why, err, "its size cannot be read: %s", strerror(-err));
    err = image_new(&i, file);
    if (err < 0)
        return problem_set(why, err, "no memory");
    if (i->block)
        block_sectors(file, &g);
    g.size = align_down(size, g.sector_size);
    /* A file that ends within a sector gets the rest of it when it may be written to. */
    if (g.size != size && !read_only && !i->block) {
        g.size = align_up(size, g.sector_size);
        err = file_set_size(file, g.size);
    }
    if (err < 0) {
        free(i);
        return problem_set(why, err, "it cannot be made to end with a sector: %s", strerror(-err));
    }
    *geometry = g;
    *out = i;
    return 0;
}

static int iso_open(struct image **out, struct disk_file *file, bool read_only,
                    struct image_geometry *geometry, struct problem *why)
{
    struct image_geometry g = {.sector_size = OPTICAL_SECTOR, .physical_size = OPTICAL_SECTOR};
    int err = file_size(file, &g.size), found;

    if (err < 0)
        return problem_set(why, err, "its size cannot be read: %s", strerror(-err));
    found = iso_probe(file);
    if (found < 0)
        return problem_set(why, found, "cannot be read: %s", strerror(-found));
    if (!found)
        return problem_set(why, -EINVAL, "no disc: neither ISO 9660 nor UDF");
    if (!read_only)
        return problem_set(why, -EROFS, "a disc can only be read");
    err = image_new(out, file);
    if (err < 0)
        return problem_set(why, err, "no memory");
    g.size = align_down(g.size, OPTICAL_SECTOR);
    *geometry = g;
    return 0;
}

static int raw_close(struct image *i)
{
    free(i);
    return 0;
}

static void raw_map(struct image *i, uint64_t offset, uint64_t length, bool write,
                    struct extent *extent)
{
    *extent = (struct extent){EXTENT_DATA, length, offset};
}

static int raw_write(struct image *i, uint64_t offset, uint64_t length, const struct iovec *iov,
                     unsigned iov_count)
{
    int err = 0;

    for (unsigned n = 0; n < iov_count && !err; offset += iov[n++].iov_len)
        err = file_write(i->file, iov[n].iov_base, iov[n].iov_len, offset);
    return err;
}

static int block_zero(const struct image *i, uint64_t offset, uint64_t length)
{
    uint64_t range[2] = {offset, length};

    return ioctl(i->file->fd, BLKZEROOUT, range) < 0 ? -errno : 0;
}

/* Where a device cannot promise zeros by unmapping, what it discards may read as anything that was
 * or as zeros, and that is all that a discard wants. */
static int block_discard(const struct image *i, uint64_t offset, uint64_t length)
{
    uint64_t range[2] = {offset, length};

    return ioctl(i->file->fd, BLKDISCARD, range) < 0 && errno != EOPNOTSUPP ? -errno : 0;
}

static int raw_discard(struct image *i, uint64_t offset, uint64_t length, bool zero)
{
    int err = file_punch(i->file, offset, length);

    if (err != -ENOTSUP)
        return err;
    if (i->block)
        return zero ? block_zero(i, offset, length) : block_discard(i, offset, length);
    return zero ? host_zero(i->file, offset, length) : 0;
}

static int raw_flush(struct image *i)
{
    return file_flush(i->file);
}

static bool raw_dirty(const struct image *i)
{
    return false;
}

static int raw_resize(struct image *i, uint64_t size, struct problem *why)
{
    uint64_t now;
    int err = file_size(i->file, &now);

    /* A device was grown by its owner; here the new size is only taken over. */
    if (!err && i->block)
        err = size <= now ? 0 : -ENOSPC;
    else if (!err && size != now)
        err = file_set_size(i->file, size);
    if (!err)
        err = file_flush(i->file);
    return err < 0 ? problem_set(why, err, "its size cannot be changed: %s", strerror(-err)) : 0;
}

static int raw_create(struct disk_file *file, const struct format_create *how, struct problem *why)
{
    int err;

    if (how->parent_path)
        return problem_set(why, -EINVAL, "a raw image has no parent");
    if (how->size % DISK_SECTOR)
        return problem_set(why, -EINVAL, "the size is not a multiple of 512");
    err = file_set_size(file, how->size);
    if (!err && how->fixed && file->fd >= 0 && how->size > 0)
        err = -posix_fallocate(file->fd, 0, (off_t)how->size);
    return err < 0 ? problem_set(why, err, "its size cannot be set: %s", strerror(-err)) : 0;
}

#define COMPACT_BYTES (1U << 20)
#define COMPACT_GRAIN 65536U

/* Where the next data is at or behind `at`, as far as the host knows. */
static uint64_t skip_holes(const struct image *i, uint64_t at, uint64_t size)
{
    off_t data = i->file->fd < 0 ? -1 : lseek(i->file->fd, (off_t)at, SEEK_DATA);

    if (data < 0)
        return i->file->fd >= 0 && errno == ENXIO ? size : at;
    return max_u64(at, align_down((uint64_t)data, COMPACT_GRAIN));
}

static int punch_zeros(struct image *i, const uint8_t *buf, uint64_t at, uint64_t length)
{
    int err = 0;

    for (uint64_t k = 0, n; k < length && !err; k += n) {
        n = min_u64(COMPACT_GRAIN, length - k);
        if (buf[k] == 0 && memcmp(buf + k, buf + k + 1, n - 1) == 0)
            err = file_punch(i->file, at + k, n);
    }
    return err;
}

/* Zeros become holes: what the disk holds does not change at any moment. */
static int raw_compact(struct image *i, bool (*progress)(void *ctx, uint64_t done, uint64_t all),
                       void *ctx, struct problem *why)
{
    uint8_t *buf = malloc(COMPACT_BYTES);
    uint64_t size, n;
    int err = buf ? file_size(i->file, &size) : -ENOMEM;

    for (uint64_t at = 0; !err && (at = skip_holes(i, at, size)) < size; at += n) {
        n = min_u64(COMPACT_BYTES, size - at);
        err = file_read(i->file, buf, n, at);
        if (!err)
            err = punch_zeros(i, buf, at, n);
        if (!err && progress && !progress(ctx, at, size))
            err = -ECANCELED;
    }
    free(buf);
    if (!err)
        err = file_flush(i->file);
    return err ? problem_set(why, err, "cannot be compacted: %s", strerror(-err)) : 0;
}

static int raw_check(struct disk_file *file, bool repair, struct check_report *report,
                     struct problem *why)
{
    uint64_t size;
    int err = file_size(file, &size);

    if (err < 0)
        return problem_set(why, err, "its size cannot be read: %s", strerror(-err));
    if (size % DISK_SECTOR == 0)
        return 0;
    report->errors++;
    if (repair && file_set_size(file, align_up(size, DISK_SECTOR)) == 0)
        report->fixed++;
    report->say(report->ctx, report->fixed > 0, "its size is not a multiple of 512");
    return 0;
}

const struct disk_format format_raw = {
    .name = "raw",
    .stable_map = true,
    .probe = raw_probe,
    .open = raw_open,
    .close = raw_close,
    .map = raw_map,
    .write = raw_write,
    .discard = raw_discard,
    .flush = raw_flush,
    .dirty = raw_dirty,
    .resize = raw_resize,
    .create = raw_create,
    .check = raw_check,
    .compact = raw_compact,
};

const struct disk_format format_iso = {
    .name = "iso",
    .stable_map = true,
    .probe = iso_probe,
    .open = iso_open,
    .close = raw_close,
    .map = raw_map,
    .write = raw_write,
    .discard = raw_discard,
    .flush = raw_flush,
    .dirty = raw_dirty,
};
