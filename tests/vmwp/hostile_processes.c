/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/vmwp/hostile.h"

/* Other processes, programs and sockets. */

#define HARMLESS   SIGCONT    /* for a process that is not stopped */
#define IMAGE      0x400000UL /* where a program that is not relocated lies */
#define OLD_GETPID 20

static int outcome(long result)
{
    return result < 0 ? -errno : 0;
}

static int send_signal(const struct targets *t)
{
    return outcome(kill(t->pid, HARMLESS));
}

static int send_to_all(const struct targets *t)
{
    return outcome(kill(-1, 0));
}

static int send_to_thread(const struct targets *t)
{
    return outcome(syscall(SYS_tgkill, t->pid, t->pid, HARMLESS));
}

static int send_to_thread_by_old_call(const struct targets *t)
{
    return outcome(syscall(SYS_tkill, t->pid, HARMLESS));
}

static int send_with_value(const struct targets *t)
{
    siginfo_t info = {.si_signo = HARMLESS, .si_code = SI_QUEUE};

    return outcome(syscall(SYS_rt_sigqueueinfo, t->pid, HARMLESS, &info));
}

static int send_by_descriptor(const struct targets *t)
{
    int fd = (int)syscall(SYS_pidfd_open, t->pid, 0), err = outcome(fd);

    return err ? err : outcome(syscall(SYS_pidfd_send_signal, fd, HARMLESS, NULL, 0));
}

/* The kernel sends for us, when there is something to read. */
static int send_by_owner(const struct targets *t)
{
    return outcome(fcntl(STDOUT_FILENO, F_SETOWN, t->pid));
}

static int send_to_own_thread(const struct targets *t)
{
    return outcome(syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), HARMLESS));
}

static int trace(const struct targets *t)
{
    return outcome(ptrace(PTRACE_SEIZE, t->pid, NULL, NULL));
}

static int read_memory(const struct targets *t)
{
    char magic[4] = "";
    struct iovec to = {magic, sizeof(magic)}, from = {(void *)IMAGE, sizeof(magic)};
    ssize_t n = process_vm_readv(t->pid, &to, 1, &from, 1, 0);

    return n < 0 ? -errno : memcmp(magic, "\177ELF", sizeof(magic)) == 0 ? 0 : -EIO;
}

static int write_memory(const struct targets *t)
{
    int err = read_memory(t);

    /* No bytes: rights are checked all the same, and nothing is changed. */
    if (!err) {
        struct iovec none = {NULL, 0};
        err = outcome(process_vm_writev(t->pid, &none, 1, &none, 1, 0));
    }
    return err;
}

static int open_memory(const struct targets *t)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/mem", t->pid);
    fd = open(path, O_RDWR);
    if (fd >= 0)
        (void)close(fd);
    return outcome(fd);
}

static int take_descriptor(const struct targets *t)
{
    int fd = (int)syscall(SYS_pidfd_open, t->pid, 0), err = outcome(fd);

    return err ? err : outcome(syscall(SYS_pidfd_getfd, fd, STDERR_FILENO, 0));
}

static int change_limits(const struct targets *t)
{
    struct rlimit limit;

    return outcome(prlimit(t->pid, RLIMIT_NOFILE, NULL, &limit));
}

static int change_priority(const struct targets *t)
{
    errno = 0;
    return outcome(setpriority(PRIO_PROCESS, (id_t)t->pid, 0));
}

static int start_program(const struct targets *t)
{
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"exit 0"}, NULL};

    return outcome(execve("/bin/sh", argv, NULL));
}

static int make_process(const struct targets *t)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return outcome(pid);
}

static int become_root(const struct targets *t)
{
    return outcome(syscall(SYS_setresuid, 0, 0, 0));
}

static int leave_namespace(const struct targets *t)
{
    return outcome(unshare(CLONE_NEWNS));
}

static int run_new_code(const struct targets *t)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? -errno : 0;
}

static int change_code(const struct targets *t)
{
    return outcome(mprotect((void *)IMAGE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
}

/* The 32-bit way into the kernel has other numbers. */
static int call_as_32_bit(const struct targets *t)
{
    int pid;

    __asm__ volatile("int $0x80"
                     : "=a"(pid)
                     : "a"(OLD_GETPID)
                     : "memory", "r8", "r9", "r10", "r11");
    return pid > 0 ? 0 : pid;
}

static int make_socket(const struct targets *t)
{
    return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int make_kernel_socket(const struct targets *t)
{
    return outcome(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int make_socket_pair(const struct targets *t)
{
    int pair[2];

    return outcome(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int connect_to_control_socket(const struct targets *t)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), err = outcome(fd);

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", t->socket);
    return err ? err : outcome(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
}

/* By a socket that the worker has: the one that it listens at or its console. */
static int connect_own_socket(const struct targets *t)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct msghdr m = {.msg_name = &addr, .msg_namelen = sizeof(addr)};
    int err = -ENOTSOCK;

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", t->socket);
    if (t->unconfined)
        return connect_to_control_socket(t);
    for (int fd = 3; fd < 256 && err; fd++)
        if (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == 0)
            err = 0;
        else if (errno != ENOTSOCK && errno != EBADF)
            err = -errno;
    return err;
}

const struct attack attacks_on_processes[] = {
    {"send-signal", send_signal, FORBIDDEN},
    {"send-to-all", send_to_all, FORBIDDEN},
    {"send-to-thread", send_to_thread, FORBIDDEN},
    {"send-to-thread-by-old-call", send_to_thread_by_old_call, FORBIDDEN},
    {"send-with-value", send_with_value, FORBIDDEN},
    {"send-by-descriptor", send_by_descriptor, FORBIDDEN},
    {"send-by-owner", send_by_owner, FORBIDDEN},
    {"send-to-own-thread", send_to_own_thread, ALLOWED},
    {"trace", trace, FORBIDDEN},
    {"read-memory", read_memory, FORBIDDEN},
    {"write-memory", write_memory, FORBIDDEN},
    {"open-memory", open_memory, BY_PATH},
    {"take-descriptor", take_descriptor, FORBIDDEN},
    {"change-limits", change_limits, FORBIDDEN},
    {"change-priority", change_priority, FORBIDDEN},
    {"start-program", start_program, FORBIDDEN},
    {"make-process", make_process, FORBIDDEN},
    {"become-root", become_root, FORBIDDEN},
    {"leave-namespace", leave_namespace, FORBIDDEN},
    {"run-new-code", run_new_code, FORBIDDEN},
    {"change-code", change_code, FORBIDDEN},
    {"call-as-32-bit", call_as_32_bit, FORBIDDEN},
    {"make-socket", make_socket, FORBIDDEN},
    {"make-kernel-socket", make_kernel_socket, FORBIDDEN},
    {"make-socket-pair", make_socket_pair, FORBIDDEN},
    {"connect-to-control-socket", connect_to_control_socket, FORBIDDEN},
    {"connect-own-socket", connect_own_socket, FORBIDDEN},
    {NULL, NULL, FORBIDDEN},
};
