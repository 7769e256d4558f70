/* SPDX-License-Identifier: MIT */
#ifndef LIB_ERRNO_H
#define LIB_ERRNO_H

/* Error numbers for code without a C library; values are Linux's. */
#if __STDC_HOSTED__
#include <errno.h>
#else
#define EPERM   1
#define ENOENT  2
#define EINTR   4
#define EIO     5
#define E2BIG   7
#define ENOEXEC 8
#define EBADF   9
#define EAGAIN  11
#define ENOMEM  12
#define EACCES  13
#define EFAULT  14
#define EBUSY   16
#define EEXIST  17
#define ENODEV  19
#define EINVAL  22
#define ENOSPC  28
#define ERANGE  34
#define ENOSYS  38
#define ENODATA 61
#define ENOTSUP 95
#endif

#endif
