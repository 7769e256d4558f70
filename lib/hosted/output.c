/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* renameat2 */
#include "lib/hosted/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* What mkostemp() makes is the owner's alone. */
static void set_mode(int fd, mode_t mode)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    (void)fchmod(fd, mode & ~mask);
}

int output_begin(struct output *o, const char *path, mode_t mode, bool force, struct problem *why)
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
    set_mode(o->fd, mode);
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
