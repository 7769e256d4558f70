/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "disk/host.h"

#define TRIES_MAX 50U /* 20 ms each */

/* The name of a process of this host. Locks of descriptions and of other hosts have no process. */
static void process_name(pid_t pid, char *out, size_t size)
{
    char path[64];
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    out[0] = 0;
    f = fopen(path, "re");
    if (!f)
        return;
    if (fgets(out, (int)size, f))
        out[strcspn(out, "\n")] = 0;
    (void)fclose(f);
}

static int busy(struct host_file *h, struct flock *lock, const char *path, struct problem *why)
{
    char name[32];
    bool write = lock->l_type == F_WRLCK;
    const char *how;

    if (fcntl(h->file.fd, F_OFD_GETLK, lock) < 0 || lock->l_type == F_UNLCK)
        return problem_set(why, -EBUSY, "%s: in use by another program", path);
    how = lock->l_type == F_WRLCK ? "writing" : "reading";
    if (lock->l_pid <= 0)
        return problem_set(why, -EBUSY, "%s: in use: another program has it open for %s%s", path,
                           how, write && lock->l_type == F_RDLCK ? ", perhaps as a parent" : "");
    process_name(lock->l_pid, name, sizeof(name));
    return problem_set(why, -EBUSY, "%s: in use: process %d (%s) has it open for %s", path,
                       (int)lock->l_pid, name[0] ? name : "of another host", how);
}

/* A process that has just ended may hold its files a little longer: io_uring lets go of them when
 * what was in flight has ended. So somebody else's lock is given some time to go away. */
int host_file_lock(struct host_file *h, bool write, const char *path, struct problem *why)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct flock lock = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    unsigned tries = 0;

    while (fcntl(h->file.fd, F_OFD_SETLK, &lock) < 0) {
        if (errno == EAGAIN || errno == EACCES) {
            if (tries++ == TRIES_MAX)
                return busy(h, &lock, path, why);
            (void)nanosleep(&pause, NULL);
            continue;
        }
        if (errno != EINTR)
            return problem_set(why, -errno, "%s: cannot be locked: %s", path, strerror(errno));
    }
    return 0;
}
