/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmwp/socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A name on which nobody listens is left over from a worker that was killed. */
static bool is_stale(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;
    bool stale;

    if (fd < 0)
        return false;
    stale = lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
            connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return stale;
}

static int bind_private(int fd, const struct sockaddr_un *addr)
{
    mode_t mask = umask(0177);
    int err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;

    (void)umask(mask);
    return err;
}

int socket_listen(const char *path, const char *what, struct problem *why)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd, err;

    if (strlen(path) >= sizeof(addr.sun_path))
        return problem_set(why, -ENAMETOOLONG, "%s: %s: too long for a socket", what, path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return problem_set(why, -errno, "%s: socket: %m", what);
    if (is_stale(&addr))
        (void)unlink(path);
    err = bind_private(fd, &addr);
    if (err) {
        (void)close(fd);
        return problem_set(why, err, "%s: %s: %s", what, path, strerror(-err));
    }
    if (listen(fd, 4) < 0) {
        err = -errno;
        (void)unlink(path);
        (void)close(fd);
        return problem_set(why, err, "%s: %s: %s", what, path, strerror(-err));
    }
    return fd;
}
