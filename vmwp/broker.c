/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* close_range() */
#include "vmwp/broker.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/bits.h"

#define BROKER_FD 3 /* in the process, whose only other descriptors are 0 to 2 */
/* It waits for nobody, so it does not take long. */
#define ANSWER_S 2

struct broker {
    int fd;
};

/* What goes over the socket: a number, and 0 with a descriptor or -errno. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* A service that does not accept is not waited for. */
static int service_connect(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

    if (fd < 0)
        return -errno;
    memcpy(addr.sun_path, path, strlen(path) + 1); /* the configuration's, which are that short */
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    err = -errno;
    (void)close(fd);
    return err;
}

static bool answer(int fd)
{
    int32_t status = fd < 0 ? fd : 0;
    union control control = {0};
    struct iovec part = {&status, sizeof(status)};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        control.header = (struct cmsghdr){CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
    }
    return sendmsg(BROKER_FD, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(status);
}

/* Until the worker has gone. */
static void serve(const struct config_socket *config)
{
    uint32_t number = 0;
    struct iovec part = {&number, sizeof(number)};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

    while (recvmsg(BROKER_FD, &m, 0) == (ssize_t)sizeof(number)) {
        int fd =
            number < config->services ? service_connect(config->service[number].path) : -EINVAL;
        bool sent = answer(fd);

        if (fd >= 0)
            (void)close(fd);
        if (!sent)
            return;
    }
}

/* All that serve() needs. */
static int restrict_calls(void)
{
    static const int allowed[] = {SCMP_SYS(socket),     SCMP_SYS(connect),     SCMP_SYS(recvmsg),
                                  SCMP_SYS(sendmsg),    SCMP_SYS(close),       SCMP_SYS(exit),
                                  SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int err = filter ? 0 : -ENOMEM;

    for (size_t i = 0; i < ARRAY_SIZE(allowed) && !err; i++)
        err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
    if (!err)
        err = seccomp_load(filter);
    seccomp_release(filter);
    return err;
}

__attribute__((noreturn)) static void run(int fd, pid_t worker, const struct config_socket *config)
{
    if (fd != BROKER_FD && dup2(fd, BROKER_FD) < 0)
        _exit(1);
    (void)close_range(BROKER_FD + 1, ~0U, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_DUMPABLE, 0);
    if (getppid() == worker && restrict_calls() == 0)
        serve(config);
    _exit(0);
}

int broker_start(struct broker **out, const struct config_socket *config, struct problem *why)
{
    const struct timeval patience = {.tv_sec = ANSWER_S};
    struct broker *b = calloc(1, sizeof(*b));
    pid_t worker = getpid(), child;
    int pair[2];

    if (!b || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        free(b);
        return problem_set(why, -ENOMEM, "hvsocket: no sockets for its broker");
    }
    child = fork();
    if (child == 0)
        run(pair[1], worker, config);
    (void)close(pair[1]);
    b->fd = pair[0];
    (void)setsockopt(b->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (child < 0) {
        broker_stop(b);
        return problem_set(why, -EAGAIN, "hvsocket: no process for its broker");
    }
    *out = b;
    return 0;
}

void broker_stop(struct broker *b)
{
    if (!b)
        return;
    (void)close(b->fd);
    free(b);
}

/* An answer that comes too late would be taken for the next one's, so it is the last. */
static int answer_take(struct broker *b)
{
    int32_t status = 0;
    union control control = {0};
    struct iovec part = {&status, sizeof(status)};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    const struct cmsghdr *h;
    int fd;

    if (recvmsg(b->fd, &m, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(status)) {
        (void)shutdown(b->fd, SHUT_RDWR);
        return -EPIPE;
    }
    h = CMSG_FIRSTHDR(&m);
    if (status < 0 || !h || h->cmsg_type != SCM_RIGHTS)
        return status < 0 ? status : -EPROTO;
    memcpy(&fd, CMSG_DATA(h), sizeof(fd));
    return fd;
}

int broker_dial(struct broker *b, unsigned service)
{
    uint32_t number = service;
    struct iovec part = {&number, sizeof(number)};
    const struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

    if (sendmsg(b->fd, &m, MSG_NOSIGNAL) != (ssize_t)sizeof(number))
        return -EPIPE;
    return answer_take(b);
}
