/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pwritev2, fallocate, renameat2 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Linked into a bhdisk of the tests in place of the calls that change files (ld --wrap). Each is
 * done and, if DISK_RECORD names a file, written down there with its data, in the order in which
 * they were done. tests/disk/run plays such a record up to some place, loses or tears what was not
 * flushed by then, and looks at what is left.
 */

/* What the linker makes of --wrap. */
#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name

enum kind {
    RECORD_WRITE = 'w',
    RECORD_SIZE = 's',   /* in offset */
    RECORD_PUNCH = 'p',  /* so many bytes as `bytes` */
    RECORD_FLUSH = 'f',  /* of a file */
    RECORD_NAMES = 'd',  /* of a folder: names are durable */
    RECORD_CREATE = 'c', /* data: the name */
    RECORD_RENAME = 'r', /* data: both names, each with a zero behind it */
    RECORD_LINK = 'l',   /* the same */
    RECORD_UNLINK = 'u', /* data: the name */
};

struct record {
    uint64_t kind, inode, offset, bytes;
    uint64_t data_length; /* of what follows */
};

int REAL(open64)(const char *path, int flags, ...);
int REAL(mkostemp64)(char *path, int flags);
ssize_t REAL(write)(int fd, const void *buf, size_t length);
ssize_t REAL(pwrite64)(int fd, const void *buf, size_t length, off_t offset);
ssize_t REAL(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int REAL(ftruncate64)(int fd, off_t size);
int REAL(fallocate64)(int fd, int mode, off_t offset, off_t length);
int REAL(posix_fallocate64)(int fd, off_t offset, off_t length);
int REAL(fsync)(int fd);
int REAL(fdatasync)(int fd);
int REAL(rename)(const char *from, const char *to);
int REAL(renameat2)(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int REAL(link)(const char *from, const char *to);
int REAL(unlink)(const char *path);

int WRAP(open64)(const char *path, int flags, ...);
int WRAP(mkostemp64)(char *path, int flags);
ssize_t WRAP(write)(int fd, const void *buf, size_t length);
ssize_t WRAP(pwrite64)(int fd, const void *buf, size_t length, off_t offset);
ssize_t WRAP(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int WRAP(ftruncate64)(int fd, off_t size);
int WRAP(fallocate64)(int fd, int mode, off_t offset, off_t length);
int WRAP(posix_fallocate64)(int fd, off_t offset, off_t length);
int WRAP(fsync)(int fd);
int WRAP(fdatasync)(int fd);
int WRAP(rename)(const char *from, const char *to);
int WRAP(renameat2)(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int WRAP(link)(const char *from, const char *to);
int WRAP(unlink)(const char *path);
int WRAP(io_uring_queue_init)(unsigned entries, void *ring, unsigned flags);

/* A call and its record are one: threads must not come between. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int record_fd = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK_RECORD");

    if (path)
        record_fd = REAL(open64)(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *data, size_t length)
{
    if (REAL(write)(record_fd, data, length) != (ssize_t)length)
        abort(); /* a record with a gap is worth nothing */
}

static void note(enum kind kind, uint64_t inode, uint64_t offset, uint64_t bytes,
                 const struct iovec *iov, unsigned iov_count)
{
    struct record r = {kind, inode, offset, bytes, 0};

    if (record_fd < 0)
        return;
    for (unsigned k = 0; k < iov_count; k++)
        r.data_length += iov[k].iov_len;
    put(&r, sizeof(r));
    for (unsigned k = 0; k < iov_count; k++)
        put(iov[k].iov_base, iov[k].iov_len);
}

static void note_name(enum kind kind, uint64_t inode, const char *name, const char *other)
{
    const struct iovec iov[] = {
        {(void *)(uintptr_t)name, strlen(name) + 1},
        {(void *)(uintptr_t)other, other ? strlen(other) + 1 : 0},
    };

    note(kind, inode, 0, 0, iov, 2);
}

/* Only files count; what goes to a terminal or a pipe does not. */
static uint64_t file_inode(int fd, bool *folder)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return 0;
    *folder = S_ISDIR(st.st_mode);
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? (uint64_t)st.st_ino : 0;
}

static void note_file(enum kind kind, int fd, uint64_t offset, uint64_t bytes,
                      const struct iovec *iov, unsigned iov_count)
{
    bool folder = false;
    uint64_t inode = file_inode(fd, &folder);

    if (inode)
        note(folder ? RECORD_NAMES : kind, inode, offset, bytes, iov, iov_count);
}

int WRAP(open64)(const char *path, int flags, ...)
{
    mode_t mode = 0;
    struct stat st;
    bool fresh;
    va_list ap;
    int fd;

    if (flags & O_CREAT) {
        va_start(ap, flags);
        mode = (mode_t)va_arg(ap, int);
        va_end(ap);
    }
    (void)pthread_mutex_lock(&lock);
    fresh = flags & O_CREAT && stat(path, &st) < 0;
    fd = REAL(open64)(path, flags, mode);
    if (fd >= 0 && fresh && fstat(fd, &st) == 0)
        note_name(RECORD_CREATE, (uint64_t)st.st_ino, path, NULL);
    else if (fd >= 0 && flags & O_TRUNC)
        note_file(RECORD_SIZE, fd, 0, 0, NULL, 0);
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

int WRAP(mkostemp64)(char *path, int flags)
{
    struct stat st;
    int fd;

    (void)pthread_mutex_lock(&lock);
    fd = REAL(mkostemp64)(path, flags);
    if (fd >= 0 && fstat(fd, &st) == 0)
        note_name(RECORD_CREATE, (uint64_t)st.st_ino, path, NULL);
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

/* Of the descriptors that are written to this way, only new files matter. */
ssize_t WRAP(write)(int fd, const void *buf, size_t length)
{
    struct iovec iov = {(void *)(uintptr_t)buf, 0};
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t n;

    (void)pthread_mutex_lock(&lock);
    n = REAL(write)(fd, buf, length);
    iov.iov_len = n > 0 ? (size_t)n : 0;
    if (n > 0 && at >= 0)
        note_file(RECORD_WRITE, fd, (uint64_t)at, 0, &iov, 1);
    (void)pthread_mutex_unlock(&lock);
    return n;
}

ssize_t WRAP(pwrite64)(int fd, const void *buf, size_t length, off_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)buf, 0};
    ssize_t n;

    (void)pthread_mutex_lock(&lock);
    n = REAL(pwrite64)(fd, buf, length, offset);
    iov.iov_len = n > 0 ? (size_t)n : 0;
    if (n > 0)
        note_file(RECORD_WRITE, fd, (uint64_t)offset, 0, &iov, 1);
    (void)pthread_mutex_unlock(&lock);
    return n;
}

/* Nobody sees a short write, so that the vectors need not be cut for the record. */
ssize_t WRAP(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    size_t want = 0;
    ssize_t n;

    for (int k = 0; k < count; k++)
        want += iov[k].iov_len;
    (void)pthread_mutex_lock(&lock);
    n = REAL(pwritev64v2)(fd, iov, count, offset, flags);
    if (n == (ssize_t)want)
        note_file(RECORD_WRITE, fd, (uint64_t)offset, 0, iov, (unsigned)count);
    else if (n >= 0)
        abort();
    if (n >= 0 && flags & RWF_DSYNC)
        note_file(RECORD_FLUSH, fd, 0, 0, NULL, 0);
    (void)pthread_mutex_unlock(&lock);
    return n;
}

int WRAP(ftruncate64)(int fd, off_t size)
{
    int result;

    (void)pthread_mutex_lock(&lock);
    result = REAL(ftruncate64)(fd, size);
    if (result == 0)
        note_file(RECORD_SIZE, fd, (uint64_t)size, 0, NULL, 0);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int WRAP(fallocate64)(int fd, int mode, off_t offset, off_t length)
{
    int result;

    (void)pthread_mutex_lock(&lock);
    result = REAL(fallocate64)(fd, mode, offset, length);
    if (result == 0)
        note_file(RECORD_PUNCH, fd, (uint64_t)offset, (uint64_t)length, NULL, 0);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

/* Space for a file that has its size by then: nothing that a loss of power could show. */
int WRAP(posix_fallocate64)(int fd, off_t offset, off_t length)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size < offset + length)
        abort();
    return REAL(posix_fallocate64)(fd, offset, length);
}

int WRAP(fsync)(int fd)
{
    int result;

    (void)pthread_mutex_lock(&lock);
    result = REAL(fsync)(fd);
    if (result == 0)
        note_file(RECORD_FLUSH, fd, 0, 0, NULL, 0);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int WRAP(fdatasync)(int fd)
{
    return WRAP(fsync)(fd);
}

int WRAP(rename)(const char *from, const char *to)
{
    int result;

    (void)pthread_mutex_lock(&lock);
    result = REAL(rename)(from, to);
    if (result == 0)
        note_name(RECORD_RENAME, 0, from, to);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int WRAP(renameat2)(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    int result;

    (void)pthread_mutex_lock(&lock);
    result = REAL(renameat2)(from_fd, from, to_fd, to, flags);
    if (result == 0)
        note_name(RECORD_RENAME, 0, from, to);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int WRAP(link)(const char *from, const char *to)
{
    int result;

    (void)pthread_mutex_lock(&lock);
    result = REAL(link)(from, to);
    if (result == 0)
        note_name(RECORD_LINK, 0, from, to);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

int WRAP(unlink)(const char *path)
{
    int result;

    (void)pthread_mutex_lock(&lock);
    result = REAL(unlink)(path);
    if (result == 0)
        note_name(RECORD_UNLINK, 0, path, NULL);
    (void)pthread_mutex_unlock(&lock);
    return result;
}

/* A ring would write behind our back. Without one, threads do it by the calls above. */
int WRAP(io_uring_queue_init)(unsigned entries, void *ring, unsigned flags)
{
    return -ENOSYS;
}
