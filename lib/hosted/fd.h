/* SPDX-License-Identifier: MIT */
#ifndef LIB_HOSTED_FD_H
#define LIB_HOSTED_FD_H

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/** fstat() by the system call of that name. The C library's is newfstatat(), which takes paths as
 * well and so is no call of a process that may look at no file but its own. */
static inline int fd_stat(int fd, struct stat *st)
{
    return (int)syscall(SYS_fstat, fd, st);
}

#endif
