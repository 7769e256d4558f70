/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* renameat2 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "disk/tool/tool.h"

/* The one temporary file of this process. The handler reads the name while `have_file` is set. */
static char signal_path[4096];
static volatile sig_atomic_t have_file;

static void on_signal(int number)
{
    if (have_file)
        (void)unlink(signal_path);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void watch(const char *path)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction action = {.sa_handler = on_signal};

    (void)snprintf(signal_path, sizeof(signal_path), "%s", path);
    have_file = 1;
    for (unsigned k = 0; k < sizeof(signals) / sizeof(signals[0]); k++)
        (void)sigaction(signals[k], &action, NULL);
}

static int folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (int)(slash - path) + 1 : 0;
}

/* What mkostemp() makes is the owner's alone; a disk gets what the umask allows. */
static void usual_mode(int fd)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    (void)fchmod(fd, 0666 & ~mask);
}

int output_begin(struct output *o, const char *path, bool force, struct problem *why)
{
    int folder = folder_length(path), n;
    struct stat st;

    *o = (struct output){.path = path, .force = force, .fd = -1};
    if (stat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode))
            return problem_set(why, -EINVAL, "%s: is there and is no file", path);
        if (!force)
            return problem_set(why, -EEXIST, "%s: is there already; --force replaces it", path);
    }
    n = snprintf(o->temporary, sizeof(o->temporary), "%.*s.%s.XXXXXX", folder, path, path + folder);
    if (n < 0 || (size_t)n >= sizeof(o->temporary))
        return problem_set(why, -ENAMETOOLONG, "%.400s: the name is too long", path);
    o->fd = mkostemp(o->temporary, O_CLOEXEC);
    if (o->fd < 0)
        return problem_set(why, -errno, "%s: %s", path, strerror(errno));
    watch(o->temporary);
    usual_mode(o->fd);
    return 0;
}

void output_drop(struct output *o)
{
    if (o->fd < 0)
        return;
    (void)unlink(o->temporary);
    have_file = 0;
    (void)close(o->fd);
    o->fd = -1;
}

int folder_flush(const char *path)
{
    char folder[4096];
    int length = folder_length(path), fd, err;

    (void)snprintf(folder, sizeof(folder), "%.*s", length, path);
    fd = open(length ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    err = fsync(fd) < 0 ? -errno : 0;
    (void)close(fd);
    return err;
}

/* renameat2() without replacing is not there on all file systems; a link is. */
static int take_name(const struct output *o)
{
    if (o->force)
        return rename(o->temporary, o->path) < 0 ? -errno : 0;
    if (renameat2(AT_FDCWD, o->temporary, AT_FDCWD, o->path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (link(o->temporary, o->path) < 0)
        return -errno;
    (void)unlink(o->temporary);
    return 0;
}

int output_commit(struct output *o, struct problem *why)
{
    int err = fsync(o->fd) < 0 ? -errno : 0;

    if (!err)
        err = take_name(o);
    if (err) {
        output_drop(o);
        return problem_set(why, err, "%s: %s", o->path, strerror(-err));
    }
    have_file = 0;
    (void)close(o->fd);
    o->fd = -1;
    err = folder_flush(o->path);
    return err ? problem_set(why, err, "%s: its folder cannot be flushed: %s", o->path,
                             strerror(-err))
               : 0;
}

int output_format(struct output *o, const struct disk_format *format,
                  const struct format_create *how, struct problem *why)
{
    struct problem inner = {{0}};
    struct host_file *h;
    int fd = dup(o->fd), err;

    if (!format->create)
        err = problem_set(&inner, -ENOTSUP, "images of this format are not made here");
    else
        err = fd < 0 ? -errno : host_file_adopt(&h, fd, true);
    if (!err) {
        err = format->create(&h->file, how, &inner);
        host_file_close(h);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return err ? problem_set(why, err, "%.250s: %.250s", o->path,
                             inner.text[0] ? inner.text : strerror(-err))
               : 0;
}
