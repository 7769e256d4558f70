/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that is mapped on demand: what a guest sees while its memory changes owner, place
 * and content under it.
 */
#define _GNU_SOURCE
#include "tests/vid/demand.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/synic.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define PAGE      4096U
#define LARGE     (2U << 20)
#define GUEST_AT  (16U << 20)
#define WRITABLE  (1U << MSHV_SET_MEM_BIT_WRITABLE)
#define NEW_VALUE 0x600DF00DU
#define OLD_VALUE 0x0BADF00DU
#define FILE_NAME "/tmp/guest-memory"

/* User memory on a boundary of 2 MiB. */
static unsigned int *map_aligned(size_t size)
{
    char *all =
        mmap(NULL, size + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (all == MAP_FAILED)
        return NULL;
    return (unsigned int *)(((unsigned long)all + LARGE - 1) & ~(LARGE - 1UL));
}

static unsigned int *word(unsigned int *memory, size_t offset)
{
    return memory + offset / sizeof(*memory);
}

/* A machine with memory of its own at GUEST_AT. */
static const char *build(struct machine *m, size_t size, unsigned int **memory)
{
    const char *problem = machine_build(m);

    *memory = map_aligned(size);
    if (problem || !*memory)
        return problem ? problem : "no memory";
    return machine_give(m, GUEST_AT, *memory, size, WRITABLE);
}

static const char *expect_load(struct machine *m, unsigned int address, unsigned int expected)
{
    unsigned int value;
    const char *problem = machine_load(m, address, &value);

    if (!problem && value != expected)
        problem = explain("the guest read %#x at %#x instead of %#x", value, address, expected);
    return problem;
}

/* The next run ends with this access, in user space. */
static const char *expect_access(struct machine *m, __u64 address, unsigned int access)
{
    struct machine_exit exit;
    const char *problem = machine_next(m, &exit);

    if (problem)
        return problem;
    if (!exit.memory || exit.address != address || exit.access != access)
        return explain("message %#x, port %#x, address %#llx, access %u", exit.type, exit.port,
                       (unsigned long long)exit.address, exit.access);
    return NULL;
}

/* A line of /proc/self/status in KiB; 0 if there is none. */
static long status_kib(const char *name)
{
    FILE *stream = fopen("/proc/self/status", "r");
    char line[128];
    long value = 0;

    while (stream && fgets(line, sizeof(line), stream))
        if (!strncmp(line, name, strlen(name)))
            value = atol(line + strlen(name));
    if (stream)
        fclose(stream);
    return value;
}

static long counter(struct machine *m, const char *name)
{
    return read_number(m->debug_file, name);
}

/* --- what it costs, and what it brings --- */

static const char *test_no_cost(void)
{
    struct machine m = MACHINE_NONE;
    unsigned int *memory;
    long before = status_kib("VmRSS:");
    const char *problem = build(&m, 256 << 20, &memory);
    long grown = status_kib("VmRSS:") - before;

    if (problem)
        return problem;
    if (grown > 4096)
        return explain("the owner has grown by %ld KiB", grown);
    if (counter(&m, "mapped_pages") || counter(&m, "pinned_pages"))
        return explain("%ld pages are mapped, %ld pinned", counter(&m, "mapped_pages"),
                       counter(&m, "pinned_pages"));
    return NULL;
}

static const char *test_touch(void)
{
    struct machine m = MACHINE_NONE;
    unsigned int *memory;
    const char *problem = build(&m, 8 << 20, &memory);

    if (problem)
        return problem;
    *word(memory, 3 * LARGE) = NEW_VALUE;
    problem = expect_load(&m, GUEST_AT + 3 * LARGE, NEW_VALUE);
    if (!problem)
        problem = machine_store(&m, GUEST_AT + LARGE + PAGE, OLD_VALUE);
    if (!problem && *word(memory, LARGE + PAGE) != OLD_VALUE)
        problem = explain("the owner reads %#x", *word(memory, LARGE + PAGE));
    if (!problem && counter(&m, "faults") < 3)
        problem = explain("%ld faults", counter(&m, "faults"));
    return problem;
}

/* What is only read stays the kernel's page of zeros; what is then written is a page. */
static const char *test_zeros(void)
{
    struct machine m = MACHINE_NONE;
    unsigned int *memory;
    const char *problem = build(&m, 64 << 20, &memory);
    long before = status_kib("RssAnon:");

    for (unsigned int i = 0; i < 32 && !problem; i++)
        problem = expect_load(&m, GUEST_AT + i * LARGE + 5 * PAGE, 0);
    if (!problem && status_kib("RssAnon:") - before > 1024)
        problem = explain("reading has cost %ld KiB", status_kib("RssAnon:") - before);
    if (!problem)
        problem = machine_store(&m, GUEST_AT + 5 * PAGE, NEW_VALUE);
    if (!problem)
        problem = expect_load(&m, GUEST_AT + 6 * PAGE, 0);
    if (!problem)
        problem = expect_load(&m, GUEST_AT + LARGE + 5 * PAGE, 0);
    if (!problem && *word(memory, 5 * PAGE) != NEW_VALUE)
        problem = "the write was lost";
    return problem;
}

/* Small pages, and a region that begins and ends within 2 MiB. */
static const char *test_edges(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    const size_t size = 2 * LARGE + 12 * PAGE;
    const unsigned int at = GUEST_AT + LARGE - 7 * PAGE;
    unsigned int *memory = map_aligned(size);

    if (problem || !memory)
        return problem ? problem : "no memory";
    madvise(memory, size, MADV_NOHUGEPAGE);
    problem = machine_give(&m, at, memory, size, WRITABLE);
    for (size_t i = 0; i < size && !problem; i += 97 * PAGE)
        problem = machine_store(&m, at + (unsigned int)i, (unsigned int)i + 1);
    if (!problem)
        problem = machine_store(&m, at + (unsigned int)size - 4, NEW_VALUE);
    for (size_t i = 0; i < size && !problem; i += 97 * PAGE)
        if (*word(memory, i) != i + 1)
            problem = explain("the owner reads %#x at %#zx", *word(memory, i), i);
    if (!problem && *word(memory, size - 4) != NEW_VALUE)
        problem = "the last word was lost";
    if (!problem && (status_kib("RssAnon:") > 4096 || counter(&m, "large_pages")))
        problem = explain("%ld KiB for a few pages", status_kib("RssAnon:"));
    if (!problem)
        problem = machine_start_load(&m, at + (unsigned int)size);
    return problem ? problem : expect_access(&m, at + size, HV_INTERCEPT_ACCESS_READ);
}

static const char *test_locked(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    size_t size = 4 << 20;
    unsigned int *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

    if (problem || memory == MAP_FAILED)
        return problem ? problem : "no locked memory";
    problem = machine_give(&m, GUEST_AT, memory, size, WRITABLE);
    if (!problem && counter(&m, "pinned_pages") != (long)(size / PAGE))
        problem = explain("%ld pages are pinned", counter(&m, "pinned_pages"));
    if (!problem)
        problem = machine_store(&m, GUEST_AT + PAGE, NEW_VALUE);
    if (!problem && *word(memory, PAGE) != NEW_VALUE)
        problem = "the write was lost";
    if (!problem && counter(&m, "faults") > 2)
        problem = "pinned memory was brought on demand";
    return problem;
}

/* --- memory that changes under the guest --- */

struct change {
    unsigned int *memory;
    size_t size;
    void (*make)(const struct change *change);
    volatile int stop;
};

/* The alarm is for the thread that runs the VP. Others stay open: a SIGCHLD that nobody blocks is
 * ignored, and interrupts nothing. */
static void block_alarm(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *change_later(void *data)
{
    const struct change *change = data;

    block_alarm();
    usleep(200000);
    change->make(change);
    return NULL;
}

static void drop(const struct change *change)
{
    madvise(change->memory, change->size, MADV_DONTNEED);
}

static void unmap(const struct change *change)
{
    munmap(change->memory, change->size);
}

/* The guest waits for a word to change while MAKE is called. */
static const char *watch(struct machine *m, const struct change *change)
{
    pthread_t thread;
    const char *problem = machine_store(m, GUEST_AT + PAGE, OLD_VALUE);

    if (!problem)
        problem = machine_start_watch(m, GUEST_AT + PAGE, OLD_VALUE);
    if (!problem && pthread_create(&thread, NULL, change_later, (void *)change))
        problem = "no thread";
    return problem;
}

static const char *test_dropped(void)
{
    struct machine m = MACHINE_NONE;
    struct change change = {.size = LARGE, .make = drop};
    const char *problem = build(&m, LARGE, &change.memory);
    unsigned int value = 1;

    if (!problem)
        problem = watch(&m, &change);
    if (!problem)
        problem = machine_result(&m, &value);
    if (!problem && value)
        problem = explain("the guest read %#x", value);
    return problem ? problem : counter(&m, "invalidations") ? NULL : "no invalidation";
}

/* One page in the middle of what may be a large one; the others keep what they have. */
static const char *test_dropped_page(void)
{
    struct machine m = MACHINE_NONE;
    unsigned int *memory;
    const char *problem = build(&m, LARGE, &memory);

    for (unsigned int i = 0; i < 512 && !problem; i++)
        *word(memory, i * PAGE) = i + 1;
    for (unsigned int i = 0; i < 64 && !problem; i++)
        problem = machine_store(&m, GUEST_AT + i * 8 * PAGE, 2 * i + 5);
    for (unsigned int i = 0; i < 64 && !problem; i += 2)
        madvise(word(memory, i * 8 * PAGE), PAGE, MADV_DONTNEED);
    for (unsigned int i = 0; i < 64 && !problem; i++)
        problem = expect_load(&m, GUEST_AT + i * 8 * PAGE, i % 2 ? 2 * i + 5 : 0);
    return problem ? problem : expect_load(&m, GUEST_AT + 511 * PAGE, 512);
}

/* The guest comes to a stop in user space, and goes on when there is memory again. */
static const char *test_unmapped(void)
{
    struct machine m = MACHINE_NONE;
    struct change change = {.size = LARGE, .make = unmap};
    const char *problem = build(&m, LARGE, &change.memory);
    unsigned int value = 1;

    if (!problem)
        problem = watch(&m, &change);
    if (!problem)
        problem = expect_access(&m, GUEST_AT + PAGE, HV_INTERCEPT_ACCESS_READ);
    if (!problem)
        problem = expect_access(&m, GUEST_AT + PAGE, HV_INTERCEPT_ACCESS_READ);
    if (!problem && mmap(change.memory, LARGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        problem = "no memory in its place";
    if (!problem)
        problem = machine_result(&m, &value);
    if (!problem && value)
        problem = explain("the guest read %#x", value);
    return problem;
}

/* Copies on write: neither sees what the other writes after the fork. */
static const char *test_fork(void)
{
    struct machine m = MACHINE_NONE;
    unsigned int *memory;
    const char *problem = build(&m, LARGE, &memory);
    int go[2], status;
    pid_t child;
    char byte;

    if (!problem)
        problem = machine_store(&m, GUEST_AT, OLD_VALUE);
    if (!problem)
        problem = machine_store(&m, GUEST_AT + PAGE, OLD_VALUE);
    if (problem || pipe(go))
        return problem ? problem : "no pipe";
    child = fork();
    if (child == 0) {
        memory[PAGE / sizeof(*memory)] = 1;
        _exit(read(go[0], &byte, 1) == 1 && *(volatile unsigned int *)memory == OLD_VALUE ? 0 : 1);
    }
    problem = expect_load(&m, GUEST_AT, OLD_VALUE);
    if (!problem)
        problem = machine_store(&m, GUEST_AT, NEW_VALUE);
    if (!problem)
        problem = expect_load(&m, GUEST_AT + PAGE, OLD_VALUE);
    if (!problem && *memory != NEW_VALUE)
        problem = "the owner does not see what the guest has written";
    if (write(go[1], "g", 1) != 1 || waitpid(child, &status, 0) != child)
        return "the child of the owner is lost";
    return problem ? problem : status ? "the other process saw the guest's write" : NULL;
}

/* --- files --- */

static int make_file(size_t size)
{
    int fd = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    unsigned int value = OLD_VALUE;

    if (fd >= 0 && (ftruncate(fd, (off_t)size) || pwrite(fd, &value, sizeof(value), PAGE) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static unsigned int file_word(int fd)
{
    unsigned int value = 0;

    return pread(fd, &value, sizeof(value), PAGE) == sizeof(value) ? value : 0;
}

static const char *test_file_read_only(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    int fd = make_file(LARGE);
    unsigned int *memory = mmap(NULL, LARGE, PROT_READ, MAP_PRIVATE, fd, 0);

    if (problem || fd < 0 || memory == MAP_FAILED)
        return problem ? problem : "no file";
    problem = machine_give(&m, GUEST_AT, memory, LARGE, 0);
    if (!problem)
        problem = expect_load(&m, GUEST_AT + PAGE, OLD_VALUE);
    if (!problem)
        problem = machine_start_store(&m, GUEST_AT + PAGE, NEW_VALUE);
    if (!problem)
        problem = expect_access(&m, GUEST_AT + PAGE, HV_INTERCEPT_ACCESS_WRITE);
    if (!problem && file_word(fd) != OLD_VALUE)
        problem = "the guest has written to the file";
    return problem;
}

/* A private mapping: the first write makes a copy, of which the file knows nothing. */
static const char *test_file_private(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    int fd = make_file(LARGE);
    unsigned int *memory = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

    if (problem || fd < 0 || memory == MAP_FAILED)
        return problem ? problem : "no file";
    problem = machine_give(&m, GUEST_AT, memory, LARGE, WRITABLE);
    if (!problem)
        problem = expect_load(&m, GUEST_AT + PAGE, OLD_VALUE);
    if (!problem)
        problem = machine_store(&m, GUEST_AT + PAGE, NEW_VALUE);
    if (!problem)
        problem = expect_load(&m, GUEST_AT + PAGE, NEW_VALUE);
    if (!problem && (file_word(fd) != OLD_VALUE || *word(memory, PAGE) != NEW_VALUE))
        problem = explain("the file has %#x, the owner %#x", file_word(fd), *word(memory, PAGE));
    return problem;
}

/* A shared one is the file; where the file has ended there is nothing. */
static const char *test_file_shared(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    int fd = make_file(LARGE);
    unsigned int *memory = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (problem || fd < 0 || memory == MAP_FAILED)
        return problem ? problem : "no file";
    problem = machine_give(&m, GUEST_AT, memory, LARGE, WRITABLE);
    if (!problem)
        problem = machine_store(&m, GUEST_AT + PAGE, NEW_VALUE);
    if (!problem && file_word(fd) != NEW_VALUE)
        problem = "the write did not come to the file";
    if (!problem && ftruncate(fd, 0))
        problem = "the file cannot be cut off";
    if (!problem)
        problem = machine_start_load(&m, GUEST_AT + PAGE);
    return problem ? problem : expect_access(&m, GUEST_AT + PAGE, HV_INTERCEPT_ACCESS_READ);
}

/* --- under pressure --- */

/* Pages that nobody has used for long go out, and come back as they were. */
static const char *test_swap(void)
{
    struct machine m = MACHINE_NONE;
    const unsigned int pages = 2048;
    unsigned int *memory;
    const char *problem = build(&m, pages * PAGE, &memory);
    long swapped;

    for (unsigned int i = 0; i < pages && !problem; i += 8)
        problem = machine_store(&m, GUEST_AT + i * PAGE, i ^ NEW_VALUE);
    if (problem)
        return problem;
    if (madvise(memory, pages * PAGE, MADV_PAGEOUT))
        return "skip: the kernel pages nothing out on demand";
    swapped = status_kib("VmSwap:");
    for (unsigned int i = 0; i < pages && !problem; i += 8)
        problem = expect_load(&m, GUEST_AT + i * PAGE, i ^ NEW_VALUE);
    return problem ? problem : swapped ? NULL : "skip: there is nowhere to swap to";
}

/* Whatever the kernel can do to memory, over and over. */
static void *disturb(void *data)
{
    struct change *change = data;

    block_alarm();
    for (unsigned int i = 0; !change->stop; i++) {
        size_t at = (i * 13 + 1) % (change->size / PAGE / 2) * 2 + 1; /* not on the patrol */
        pid_t child;

        madvise(word(change->memory, at * PAGE), PAGE, MADV_DONTNEED);
        if (i % 32 == 16)
            madvise(word(change->memory, change->size / 2), LARGE, MADV_PAGEOUT);
        if (i % 16 == 0)
            write_number("/proc/sys/vm/compact_memory", 1);
        if (i % 32 == 0) {
            child = fork();
            if (child == 0)
                _exit(0);
            waitpid(child, NULL, 0);
        }
        usleep(1000);
    }
    return NULL;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Passes until some time is over and there were some. */
static const char *patrol(struct machine *m, double duration)
{
    double end = seconds() + duration;
    unsigned int passes = 0;

    while (passes < 3 || seconds() < end) {
        struct machine_exit exit;
        const char *problem = machine_next(m, &exit);

        if (problem)
            return explain("after %u passes, %ld faults, %ld invalidations: %s", passes,
                           counter(m, "faults"), counter(m, "invalidations"), problem);
        if (exit.memory)
            return explain("access %u of %#llx came to user space", exit.access,
                           (unsigned long long)exit.address);
        if (exit.port != 0x86)
            return explain("pass %u found other content at %#x", passes, exit.value);
        passes++;
    }
    return NULL;
}

static const char *test_pressure(void)
{
    struct machine m = MACHINE_NONE;
    struct change change = {.size = 8 << 20};
    const char *problem = build(&m, change.size, &change.memory);
    pthread_t thread;

    if (problem)
        return problem;
    for (size_t at = 0; at < change.size; at += 2 * PAGE)
        *word(change.memory, at) = GUEST_AT + (unsigned int)at;
    madvise(change.memory, change.size, MADV_MERGEABLE);
    write_number("/sys/kernel/mm/ksm/pages_to_scan", 1000);
    write_number("/sys/kernel/mm/ksm/run", 1);
    problem = machine_start_patrol(&m, GUEST_AT, GUEST_AT + (unsigned int)change.size, 2 * PAGE);
    if (problem || pthread_create(&thread, NULL, disturb, &change))
        return problem ? problem : "no thread";
    problem = patrol(&m, 5);
    change.stop = 1;
    pthread_join(thread, NULL);
    write_number("/sys/kernel/mm/ksm/run", 2);
    write_number("/sys/kernel/mm/ksm/run", 0);
    return problem;
}

/* --- the ends of owners --- */

/* Another process has given the memory, and is gone. */
static const char *test_gone_owner(void)
{
    struct machine m = MACHINE_NONE;
    const char *problem = machine_build(&m);
    unsigned int *memory;
    pid_t child;
    int status;

    if (problem)
        return problem;
    child = fork();
    if (child == 0) {
        memory = map_aligned(LARGE);
        if (!memory || machine_give(&m, GUEST_AT, memory, LARGE, WRITABLE) ||
            machine_store(&m, GUEST_AT + PAGE, OLD_VALUE))
            _exit(1);
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status)
        return explain("the owner ended with %#x", status);
    problem = machine_start_load(&m, GUEST_AT + PAGE);
    if (!problem)
        problem = expect_access(&m, GUEST_AT + PAGE, HV_INTERCEPT_ACCESS_READ);
    if (!problem && counter(&m, "mapped_pages") > 128)
        problem = explain("%ld pages are left", counter(&m, "mapped_pages"));
    return problem;
}

static void patrol_until_killed(void)
{
    struct machine m = MACHINE_NONE;
    struct change change = {.size = 8 << 20};
    pthread_t thread;

    if (build(&m, change.size, &change.memory))
        _exit(1);
    for (size_t at = 0; at < change.size; at += 2 * PAGE)
        *word(change.memory, at) = GUEST_AT + (unsigned int)at;
    if (machine_start_patrol(&m, GUEST_AT, GUEST_AT + (unsigned int)change.size, 2 * PAGE) ||
        pthread_create(&thread, NULL, disturb, &change) || patrol(&m, 30))
        _exit(2);
    _exit(3);
}

static const char *test_killed(void)
{
    for (unsigned int i = 0; i < 12; i++) {
        pid_t child = fork();
        int status;

        if (child == 0)
            patrol_until_killed();
        usleep(100000 + i * 37000);
        kill(child, SIGKILL);
        if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
            return explain("round %u: the owner ended before, status %#x", i, status);
    }
    return NULL;
}

/* --- what was written --- */

static const char *dirty(struct machine *m, bool clear, unsigned char *bits)
{
    struct mshv_gpap_access_bitmap args = {.access_type = MSHV_GPAP_ACCESS_TYPE_DIRTY,
                                           .access_op = clear ? MSHV_GPAP_ACCESS_OP_CLEAR
                                                              : MSHV_GPAP_ACCESS_OP_NOOP,
                                           .page_count = 8,
                                           .gpap_base = GUEST_AT / PAGE,
                                           .bitmap_ptr = (__u64)bits};

    *bits = 0;
    if (ioctl(m->partition, MSHV_GET_GPAP_ACCESS_BITMAP, &args))
        return explain("bitmap: %s", strerror(errno));
    return NULL;
}

/* These pages are dirty; others may count as such as well, but not if there are to be none. */
static const char *expect_dirty(struct machine *m, bool clear, unsigned char expected)
{
    unsigned char bits;
    const char *problem = dirty(m, clear, &bits);

    if (!problem && (expected ? (bits & expected) != expected : bits))
        problem = explain("dirty are %#x instead of %#x", bits, expected);
    return problem;
}

/* A page that goes takes the hypervisor's word with it that it was written. */
static const char *test_dirty(void)
{
    struct machine m = MACHINE_NONE;
    unsigned int *memory;
    const char *problem = build(&m, LARGE, &memory);

    if (!problem)
        problem = machine_track(&m);
    if (problem)
        return problem;
    madvise(memory, LARGE, MADV_NOHUGEPAGE);
    problem = machine_store(&m, GUEST_AT + 3 * PAGE, NEW_VALUE);
    if (!problem)
        problem = expect_dirty(&m, true, 1 << 3);
    if (!problem)
        problem = machine_store(&m, GUEST_AT + 3 * PAGE, OLD_VALUE);
    madvise(memory, LARGE, MADV_DONTNEED);
    if (!problem)
        problem = expect_dirty(&m, false, 1 << 3);
    if (!problem)
        problem = expect_dirty(&m, true, 1 << 3);
    return problem ? problem : expect_dirty(&m, false, 0);
}

const struct machine_case demand_cases[] = {
    {"demand: no cost", test_no_cost},
    {"demand: touch", test_touch},
    {"demand: zeros", test_zeros},
    {"demand: edges", test_edges},
    {"demand: locked", test_locked},
    {"demand: dropped", test_dropped},
    {"demand: dropped page", test_dropped_page},
    {"demand: unmapped", test_unmapped},
    {"demand: fork", test_fork},
    {"demand: file, read only", test_file_read_only},
    {"demand: file, private", test_file_private},
    {"demand: file, shared", test_file_shared},
    {"demand: swap", test_swap},
    {"demand: pressure", test_pressure},
    {"demand: gone owner", test_gone_owner},
    {"demand: killed", test_killed},
    {"demand: dirty", test_dirty},
};
const size_t demand_case_count = sizeof(demand_cases) / sizeof(demand_cases[0]);
