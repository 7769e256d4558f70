/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* O_DIRECT, fallocate, statx */
#include "disk/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/bits.h"
#include "lib/hosted/fd.h"

#define BUFFER_BYTES (1U << 20)
#define ALIGN_MAX    4096U /* units of O_DIRECT that are larger make the file a cached one */

static struct host_file *host_of(struct disk_file *file)
{
    return container_of(file, struct host_file, file);
}

/* As much as there is up to the end of the file: bytes or -errno. */
static ssize_t read_some(int fd, void *buf, size_t length, uint64_t offset)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = pread(fd, (char *)buf + done, length - done, (off_t)(offset + done));
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int write_all(int fd, const void *buf, size_t length, uint64_t offset)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = pwrite(fd, (const char *)buf + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

static bool aligned(const struct host_file *h, const void *buf, size_t length, uint64_t offset)
{
    return ((offset | length) & (h->offset_align - 1)) == 0 &&
           ((uintptr_t)buf & (h->memory_align - 1)) == 0;
}

static bool in_range(size_t length, uint64_t offset)
{
    return offset <= INT64_MAX && length <= INT64_MAX - offset;
}

static int bounce_read(struct host_file *h, char *bounce, void *buf, size_t length, uint64_t offset)
{
    for (size_t done = 0, n; done < length; done += n) {
        uint64_t at = align_down(offset + done, h->offset_align);
        size_t lead = (size_t)(offset + done - at);
        size_t want;

        n = min_u64(length - done, BUFFER_BYTES - lead);
        want = align_up(lead + n, h->offset_align);
        ssize_t got = read_some(h->file.fd, bounce, want, at);
        if (got < 0)
            return (int)got;
        if ((size_t)got < lead + n)
            return -EIO;
        memcpy((char *)buf + done, bounce + lead, n);
    }
    return 0;
}

/* The caller holds `edge`. What is read of the units at both ends is written back unchanged. */
static int bounce_write(struct host_file *h, char *bounce, const void *buf, size_t length,
                        uint64_t offset)
{
    for (size_t done = 0, n; done < length; done += n) {
        uint64_t at = align_down(offset + done, h->offset_align);
        size_t lead = (size_t)(offset + done - at), whole;
        int err;

        n = min_u64(length - done, BUFFER_BYTES - lead);
        whole = align_up(lead + n, h->offset_align);
        if (whole != n) {
            ssize_t got = read_some(h->file.fd, bounce, whole, at);
            if (got < 0)
                return (int)got;
            memset(bounce + got, 0, whole - (size_t)got);
        }
        memcpy(bounce + lead, (const char *)buf + done, n);
        err = write_all(h->file.fd, bounce, whole, at);
        if (err < 0)
            return err;
    }
    return 0;
}

static char *bounce_new(void)
{
    void *p = NULL;

    return posix_memalign(&p, ALIGN_MAX, BUFFER_BYTES) == 0 ? p : NULL;
}

static int host_read(struct disk_file *file, void *buf, size_t length, uint64_t offset)
{
    struct host_file *h = host_of(file);
    char *bounce;
    int err;

    if (!in_range(length, offset))
        return -EIO;
    if (aligned(h, buf, length, offset)) {
        ssize_t n = read_some(file->fd, buf, length, offset);
        return n < 0 ? (int)n : (size_t)n == length ? 0 : -EIO;
    }
    bounce = bounce_new();
    if (!bounce)
        return -ENOMEM;
    err = bounce_read(h, bounce, buf, length, offset);
    free(bounce);
    return err;
}

static int host_write(struct disk_file *file, const void *buf, size_t length, uint64_t offset)
{
    struct host_file *h = host_of(file);
    struct stat st;
    char *bounce;
    int err;

    if (!in_range(length, offset))
        return -EFBIG;
    if (aligned(h, buf, length, offset))
        return write_all(file->fd, buf, length, offset);
    bounce = bounce_new();
    if (!bounce)
        return -ENOMEM;
    (void)pthread_mutex_lock(&h->edge);
    err = fd_stat(file->fd, &st) < 0 ? -errno : bounce_write(h, bounce, buf, length, offset);
    /* The last unit may have made the file longer than what was asked for. */
    if (!err && !h->block && align_up(offset + length, h->offset_align) > (uint64_t)st.st_size &&
        ftruncate(file->fd, (off_t)max_u64(offset + length, (uint64_t)st.st_size)) < 0)
        err = -errno;
    (void)pthread_mutex_unlock(&h->edge);
    free(bounce);
    return err;
}

static int host_flush(struct disk_file *file)
{
    return fdatasync(file->fd) < 0 ? -errno : 0;
}

static int host_punch(struct disk_file *file, uint64_t offset, uint64_t length)
{
    if (length == 0)
        return 0;
    if (fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                  (off_t)length) == 0)
        return 0;
    return errno == EOPNOTSUPP || errno == ENOSYS ? -ENOTSUP : -errno;
}

static int host_size(struct disk_file *file, uint64_t *size)
{
    struct stat st;

    if (host_of(file)->block)
        return ioctl(file->fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
    if (fd_stat(file->fd, &st) < 0)
        return -errno;
    *size = (uint64_t)st.st_size;
    return 0;
}

static int host_set_size(struct disk_file *file, uint64_t size)
{
    uint64_t now;

    if (host_of(file)->block)
        return host_size(file, &now) == 0 && now == size ? 0 : -ENOTSUP;
    if (size > INT64_MAX)
        return -EFBIG;
    return ftruncate(file->fd, (off_t)size) < 0 ? -errno : 0;
}

static const struct disk_file_ops host_ops = {
    host_read, host_write, host_flush, host_punch, host_size, host_set_size,
};

int host_zero(struct disk_file *file, uint64_t offset, uint64_t length)
{
    static const uint8_t zeros[65536];
    int err = file_punch(file, offset, length);

    if (err != -ENOTSUP)
        return err;
    if (file->fd >= 0 && fallocate(file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                   (off_t)offset, (off_t)length) == 0)
        return 0;
    err = 0;
    for (uint64_t n; length > 0 && !err; offset += n, length -= n) {
        n = min_u64(length, sizeof(zeros));
        err = file_write(file, zeros, n, offset);
    }
    return err;
}

/* What O_DIRECT wants of this file; false: it is better left alone. */
static bool direct_align(struct host_file *h)
{
    struct statx sx;
    int sector;

    if (h->block) {
        if (ioctl(h->file.fd, BLKSSZGET, &sector) < 0)
            return false;
        h->offset_align = h->memory_align = (uint32_t)sector;
    } else if (statx(h->file.fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
               sx.stx_mask & STATX_DIOALIGN) {
        h->offset_align = sx.stx_dio_offset_align;
        h->memory_align = sx.stx_dio_mem_align;
    } else { /* file servers and older file systems do not say, and this is enough for all */
        h->offset_align = h->memory_align = ALIGN_MAX;
    }
    if (h->memory_align < sizeof(uint64_t))
        h->memory_align = sizeof(uint64_t);
    return h->offset_align > 0 && h->offset_align <= ALIGN_MAX && h->memory_align <= ALIGN_MAX &&
           (h->offset_align & (h->offset_align - 1)) == 0 &&
           (h->memory_align & (h->memory_align - 1)) == 0;
}

void host_file_cached(struct host_file *h)
{
    int flags = fcntl(h->file.fd, F_GETFL);

    if (h->direct && flags >= 0 && fcntl(h->file.fd, F_SETFL, flags & ~O_DIRECT) < 0)
        return; /* it stays direct, and calls here stay aligned */
    h->direct = false;
    h->offset_align = h->memory_align = 1;
}

static void direct_on(struct host_file *h)
{
    int flags = fcntl(h->file.fd, F_GETFL);

    if (flags < 0 || !direct_align(h) || fcntl(h->file.fd, F_SETFL, flags | O_DIRECT) < 0) {
        h->offset_align = h->memory_align = 1;
        return;
    }
    h->direct = true;
}

int host_file_adopt(struct host_file **out, int fd, bool writable)
{
    struct host_file *h;
    struct stat st;

    if (fd_stat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return -EINVAL;
    h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->file = (struct disk_file){&host_ops, fd};
    h->block = S_ISBLK(st.st_mode);
    h->writable = writable;
    h->offset_align = h->memory_align = 1;
    h->dev = h->block ? st.st_rdev : st.st_dev;
    h->ino = h->block ? 0 : st.st_ino;
    (void)pthread_mutex_init(&h->edge, NULL);
    *out = h;
    return 0;
}

static int use(struct host_file **out, const char *path, int fd, unsigned flags,
               struct problem *why)
{
    int err = host_file_adopt(out, fd, flags & HOST_WRITE);

    /* From here on calls may block: io_uring would give up (-EAGAIN) where a file system cannot do
     * without. */
    if (!err && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0) {
        err = -errno;
        host_file_close(*out);
        return problem_set(why, err, "%s: %s", path, strerror(-err));
    }
    if (err < 0) {
        (void)close(fd);
        return problem_set(why, err, "%s: %s", path,
                           err == -EINVAL ? "neither a file nor a block device" : strerror(-err));
    }
    if (flags & HOST_DIRECT)
        direct_on(*out);
    return 0;
}

int host_file_open(struct host_file **out, const char *path, unsigned flags, struct problem *why)
{
    /* O_NONBLOCK: a FIFO or a drive without a disc must not hold us up; files do not care. */
    int fd = open(path, (flags & HOST_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);

    return fd < 0 ? problem_set(why, -errno, "%s: %s", path, strerror(errno))
                  : use(out, path, fd, flags, why);
}

int host_file_copy(struct host_file **out, const char *path, int fd, unsigned flags,
                   struct problem *why)
{
    int mode = fcntl(fd, F_GETFL), copy;

    if (mode < 0)
        return problem_set(why, -errno, "%s: %s", path, strerror(errno));
    if ((flags & HOST_WRITE) && (mode & O_ACCMODE) != O_RDWR)
        return problem_set(why, -EACCES, "%s: its descriptor is not open for writing", path);
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? problem_set(why, -errno, "%s: %s", path, strerror(errno))
                    : use(out, path, copy, flags, why);
}

void host_file_close(struct host_file *h)
{
    if (!h)
        return;
    (void)close(h->file.fd);
    (void)pthread_mutex_destroy(&h->edge);
    free(h);
}
