/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmwp/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>
#include "abi/mshv.h"
#include "abi/vmbus/message.h"
#include "lib/bits.h"

#define NOBODY 65534U

/*
 * A partition, its VPs, a client; files that are open already; chains of disk images, and three for
 * each channel of VMBus. A guest that opens sockets and never forgets their channels keeps one
 * for each of all ids that there are.
 */
#define DESCRIPTORS(processors) ((processors) + 1024U + VMBUS_EVENT_FLAGS)
#define MEMLOCK_SLACK           (64ULL << 20)

/* Landlock (linux/landlock.h, which older headers do not have). */
#define LANDLOCK_VERSION     1U
#define LANDLOCK_FS_V1       0x1FFFULL /* all rights of ABI 1 */
#define LANDLOCK_FS_REFER    0x2000ULL /* since ABI 2 */
#define LANDLOCK_FS_TRUNCATE 0x4000ULL /* since ABI 3 */

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

void sandbox_descriptors(void)
{
    int fd;

    (void)syscall(SYS_close_range, 3U, ~0U, 0U);
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3);
    if (fd >= 3)
        (void)close(fd);
}

static int limit(int resource, uint64_t value, const char *name, struct problem *why)
{
    struct rlimit now, wanted = {value, value};

    if (setrlimit(resource, &wanted) == 0)
        return 0;
    /* It is lower already, and may be raised no further than this. */
    if (errno == EPERM && getrlimit(resource, &now) == 0 && now.rlim_max <= value) {
        now.rlim_cur = now.rlim_max;
        if (setrlimit(resource, &now) == 0)
            return 0;
    }
    return problem_set(why, -errno, "sandbox: limit of %s: %m", name);
}

/* Landlock and no_new_privs are of a thread: one that runs already would keep what it has. Without
   /proc nobody can tell; the filter of system calls reaches all threads by itself. */
static int step_alone(struct problem *why)
{
    struct stat st;

    if (stat("/proc/self/task", &st) < 0 || st.st_nlink == 3)
        return 0;
    return problem_set(why, -EBUSY, "sandbox: %ld threads run already", (long)st.st_nlink - 2);
}

/* Bounds for a worker that a guest has taken over: no core with guest memory, few descriptors. */
static int step_limits(const struct config *config, struct problem *why)
{
    int err = limit(RLIMIT_CORE, 0, "core size", why);

    if (!err)
        err = limit(RLIMIT_NOFILE, DESCRIPTORS(config->processors), "descriptors", why);
    return err ? err : limit(RLIMIT_MEMLOCK, config->memory + MEMLOCK_SLACK, "locked memory", why);
}

/* A user that owns nothing. Without root's rights there is nothing to give up. */
static int step_user(const struct config *config, struct problem *why)
{
    uid_t uid = config->user_given ? config->uid : NOBODY;
    gid_t gid = config->user_given ? config->gid : NOBODY;

    if (geteuid() != 0) {
        if (config->user_given && (geteuid() != uid || getegid() != gid))
            return problem_set(why, -EPERM, "user: only root can become %u:%u", uid, gid);
        return 0;
    }
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return problem_set(why, -errno, "user: cannot become %u:%u: %m", uid, gid);
    if (setresuid(0, 0, 0) == 0)
        return problem_set(why, -EPERM, "user: root's rights are still there");
    return 0;
}

/* No program that is executed could get rights back, and nobody of the same user may trace us. */
static int step_no_new_privileges(struct problem *why)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return problem_set(why, -errno, "sandbox: no_new_privs: %m");
    /* The worker ends with its keeper; a change of user has forgotten that. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return problem_set(why, -errno, "sandbox: parent's death: %m");
    return 0;
}

/* The file system is gone: every access right is handled, none is granted. Kernels without
   Landlock are tolerated; the system call filter forbids the same. */
static int step_landlock(struct problem *why)
{
    struct {
        uint64_t handled_access_fs;
    } rules = {.handled_access_fs = LANDLOCK_FS_V1};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
    int fd;

    if (abi < 1)
        return 0;
    rules.handled_access_fs |= abi >= 2 ? LANDLOCK_FS_REFER : 0;
    rules.handled_access_fs |= abi >= 3 ? LANDLOCK_FS_TRUNCATE : 0;
    fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
    if (fd < 0)
        return problem_set(why, -errno, "sandbox: landlock: %m");
    long err = syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
    (void)close(fd);
    return err ? problem_set(why, (int)err, "sandbox: landlock: %s", strerror((int)-err)) : 0;
}

/* What the worker does from here on, whatever the arguments. */
static const int allowed[] = {
    /* console, clocks, events */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(readv), /* frames, which go into pieces of memory */
    SCMP_SYS(pread64),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(accept4),
    SCMP_SYS(close),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    /* disks; what a ring for them may do was settled when it was made, and no more are made */
    SCMP_SYS(pwrite64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwritev),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fallocate),
    SCMP_SYS(ftruncate),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(recvmsg), /* requests, and the descriptors that they bring */
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown), /* one side of a connection of [hvsocket] has ended */
    /* memory */
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mlock), /* of a machine that is built anew */
    SCMP_SYS(brk),
    /* threads and signals */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getrandom),
};

/* What a library may try, and is told that it cannot. */
static const struct {
    int call;
    int err;
} denied[] = {
    {SCMP_SYS(clone3), ENOSYS}, /* its flags cannot be seen; glibc falls back to clone */
    {SCMP_SYS(openat), EACCES},
    {SCMP_SYS(open), EACCES},
    {SCMP_SYS(readlink), EACCES},
    {SCMP_SYS(newfstatat), EACCES}, /* it takes paths as well; see lib/hosted/fd.h */
    {SCMP_SYS(prctl), EPERM},
    {SCMP_SYS(sched_getaffinity), EPERM},
    {SCMP_SYS(prlimit64), EPERM},
    {SCMP_SYS(statx), ENOSYS}, /* it takes paths as well; the usual alignment will do */
};

static int rule(scmp_filter_ctx filter, int call, struct scmp_arg_cmp cmp)
{
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &cmp);
}

/* Calls that are allowed with these values of their second argument. */
static const struct {
    int call;
    scmp_datum_t value;
} commands[] = {
    {SCMP_SYS(ioctl), TCGETS},
    /* sizes of block devices, and giving space back */
    {SCMP_SYS(ioctl), BLKGETSIZE64},
    {SCMP_SYS(ioctl), BLKSSZGET},
    {SCMP_SYS(ioctl), BLKPBSZGET},
    {SCMP_SYS(ioctl), BLKZEROOUT},
    {SCMP_SYS(ioctl), BLKDISCARD},
    /* queues of a TAP that the worker has or is given: which are in use, and what may come joined;
     * not which device it is */
    {SCMP_SYS(ioctl), TUNGETIFF},
    {SCMP_SYS(ioctl), TUNSETQUEUE},
    {SCMP_SYS(ioctl), TUNSETOFFLOAD},
    /* of descriptors that are there, and of those that come with requests for disks */
    {SCMP_SYS(fcntl), F_SETFD},
    {SCMP_SYS(fcntl), F_GETFL},
    {SCMP_SYS(fcntl), F_SETFL},
    {SCMP_SYS(fcntl), F_DUPFD_CLOEXEC},
    {SCMP_SYS(fcntl), F_OFD_SETLK},
    {SCMP_SYS(fcntl), F_OFD_GETLK},
    /* who hears of a ring; its restrictions stay */
    {SCMP_SYS(io_uring_register), IORING_REGISTER_EVENTFD},
    {SCMP_SYS(io_uring_register), IORING_UNREGISTER_EVENTFD},
};

/* Calls of which only some forms are allowed. */
static int rules_by_argument(scmp_filter_ctx filter)
{
    const uint64_t exec = PROT_EXEC;
    int err = rule(filter, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, exec, 0));

    if (!err)
        err = rule(filter, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, exec, 0));
    if (!err)
        err =
            rule(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (!err) /* our own threads, and not those of another worker, who is the same user */
        err = rule(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    if (!err)
        err = rule(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFF00, MSHV_IOCTL << 8));
    for (size_t i = 0; i < ARRAY_SIZE(commands) && !err; i++)
        err = rule(filter, commands[i].call, SCMP_A1(SCMP_CMP_EQ, commands[i].value));
    return err;
}

static int rules_add(scmp_filter_ctx filter)
{
    int err = 0;

    for (size_t i = 0; i < ARRAY_SIZE(allowed) && !err; i++)
        err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(denied) && !err; i++)
        err = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)denied[i].err),
                                     denied[i].call, 0, NULL);
    return err ? err : rules_by_argument(filter);
}

/* Only these system calls remain; any other ends the worker. */
static int step_seccomp(struct problem *why)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int err = filter ? rules_add(filter) : -ENOMEM;

    if (!err)
        err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!err) /* the 32-bit way in ends the worker as well, and not only the thread that takes it */
        err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!err)
        err = seccomp_load(filter);
    seccomp_release(filter);
    return err ? problem_set(why, err, "sandbox: seccomp: %s", strerror(-err)) : 0;
}

int sandbox_enter(const struct config *config, struct problem *why)
{
    int err = step_alone(why);

    if (!err)
        err = step_limits(config, why);
    if (!err)
        err = step_user(config, why);
    if (!err)
        err = step_no_new_privileges(why);
    if (!err)
        err = step_landlock(why);
    return err ? err : step_seccomp(why);
}
