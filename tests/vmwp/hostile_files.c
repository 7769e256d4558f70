/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "disk/disk_priv.h"
#include "tests/vmwp/hostile.h"

/* Files that are not the worker's: everybody has the rights of the file system on the targets. */

#define ANYWHERE AT_FDCWD

static int outcome(long result)
{
    return result < 0 ? -errno : 0;
}

static int opened(int fd)
{
    int err = outcome(fd);

    if (fd >= 0)
        (void)close(fd);
    return err;
}

static const char *in_folder(const struct targets *t, const char *name)
{
    static char path[4096];

    (void)snprintf(path, sizeof(path), "%s/%s", t->folder, name);
    return path;
}

static int read_file(const struct targets *t)
{
    return opened(open(t->disk, O_RDONLY));
}

static int write_file(const struct targets *t)
{
    return opened(open(t->disk, O_WRONLY));
}

static int open_by_old_call(const struct targets *t)
{
    return opened((int)syscall(SYS_open, t->disk, O_RDONLY));
}

static int open_by_new_call(const struct targets *t)
{
    const struct open_how how = {.flags = O_RDONLY};

    return opened((int)syscall(SYS_openat2, ANYWHERE, t->disk, &how, sizeof(how)));
}

static int create_file(const struct targets *t)
{
    return opened(open(in_folder(t, HOSTILE_CREATED), O_WRONLY | O_CREAT, 0600));
}

static int create_folder(const struct targets *t)
{
    int err = outcome(mkdir(in_folder(t, "made"), 0700));

    if (!err)
        (void)rmdir(in_folder(t, "made"));
    return err;
}

static int create_link(const struct targets *t)
{
    int err = outcome(symlink(t->disk, in_folder(t, "link")));

    if (!err)
        (void)unlink(in_folder(t, "link"));
    return err;
}

/* To the rights that it has; anything else would change the target. */
static int change_file(const struct targets *t)
{
    return outcome(chmod(t->disk, 0666));
}

static int cut_file(const struct targets *t)
{
    return outcome(truncate(in_folder(t, HOSTILE_SCRATCH), 0));
}

static int remove_file(const struct targets *t)
{
    return outcome(unlink(in_folder(t, HOSTILE_SCRATCH)));
}

static int look_at_file(const struct targets *t)
{
    struct stat st;

    return outcome(syscall(SYS_newfstatat, ANYWHERE, t->disk, &st, AT_EMPTY_PATH));
}

static int look_at_file_by_new_call(const struct targets *t)
{
    struct statx st;

    return outcome(syscall(SYS_statx, ANYWHERE, t->disk, 0, STATX_SIZE, &st));
}

static int watch_file(const struct targets *t)
{
    int fd = inotify_init1(IN_CLOEXEC), err = outcome(fd);

    if (!err)
        err = outcome(inotify_add_watch(fd, t->disk, IN_ALL_EVENTS));
    return err;
}

static int change_root(const struct targets *t)
{
    return outcome(chroot("/"));
}

static int mount_over(const struct targets *t)
{
    int err = outcome(mount("none", t->folder, "tmpfs", 0, NULL));

    if (!err)
        (void)umount(t->folder);
    return err;
}

/* Opens by a ring. What it says is -EINVAL or -EACCES where the ring may not do that. */
static int open_by(struct io_uring *ring, const char *path)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe;
    int err;

    if (!sqe)
        return -ENOSPC;
    io_uring_prep_openat(sqe, ANYWHERE, path, O_RDONLY, 0);
    err = io_uring_submit_and_wait(ring, 1);
    if (err < 0)
        return err;
    err = io_uring_peek_cqe(ring, &cqe);
    if (err < 0)
        return err;
    return cqe->res < 0 ? cqe->res : 0;
}

static int open_by_new_ring(const struct targets *t)
{
    struct io_uring ring;
    int err = io_uring_queue_init(4, &ring, 0);

    return err ? err : open_by(&ring, t->disk);
}

/* The copies share the rings, so it is to be given back. */
static struct disk_queue *own_ring(void)
{
    struct disk_queue *q;

    return disk_queue_create(&q, 16) == 0 && q->engine == &engine_uring ? q : NULL;
}

/* One of those that were made before the sandbox was entered. The copy with all rights has these as
 * well, and they can open nothing there either, so it shows that the way to open is right. */
static int open_by_own_ring(const struct targets *t)
{
    struct disk_queue *q;
    int err;

    if (t->unconfined)
        return open_by_new_ring(t);
    q = own_ring();
    if (!q)
        return NOT_TRIED;
    err = open_by(q->engine_state, t->disk);
    disk_queue_destroy(q);
    return err;
}

/* A ring's restrictions are for ever, but a program that may register could try. */
static int free_own_ring(const struct targets *t)
{
    struct io_uring_restriction all = {.opcode = IORING_RESTRICTION_SQE_OP,
                                       .sqe_op = IORING_OP_OPENAT};
    struct io_uring ring;
    struct disk_queue *q;
    int err;

    if (t->unconfined) {
        err = io_uring_queue_init(4, &ring, IORING_SETUP_R_DISABLED);
        return err ? err : io_uring_register_restrictions(&ring, &all, 1);
    }
    q = own_ring();
    return q ? io_uring_register_restrictions(q->engine_state, &all, 1) : NOT_TRIED;
}

const struct attack attacks_on_files[] = {
    {"read-file", read_file, BY_PATH},
    {"write-file", write_file, BY_PATH},
    {"open-by-old-call", open_by_old_call, BY_PATH},
    {"open-by-new-call", open_by_new_call, BY_PATH},
    {"open-by-new-ring", open_by_new_ring, BY_PATH},
    {"open-by-own-ring", open_by_own_ring, FORBIDDEN},
    {"free-own-ring", free_own_ring, FORBIDDEN},
    {"create-file", create_file, BY_PATH},
    {"create-folder", create_folder, BY_PATH},
    {"create-link", create_link, BY_PATH},
    {"change-file", change_file, FORBIDDEN},
    {"cut-file", cut_file, FORBIDDEN},
    {"remove-file", remove_file, BY_PATH},
    {"look-at-file", look_at_file, FORBIDDEN},
    {"look-at-file-by-new-call", look_at_file_by_new_call, FORBIDDEN},
    {"watch-file", watch_file, FORBIDDEN},
    {"change-root", change_root, FORBIDDEN},
    {"mount-over", mount_over, FORBIDDEN},
    {NULL, NULL, FORBIDDEN},
};
