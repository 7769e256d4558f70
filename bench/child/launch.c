/* SPDX-License-Identifier: MIT */
/*
 * Starts a program that runs a virtual machine, with the machine's console on its standard output,
 * and prints
 *
 *     LAUNCH first_us=N marker_us=N KEY=N…
 *
 * the time from the start to the first byte and to MARKER, and the memory that the program has
 * outside of the guest's RAM. Then the program is ended, and what the console said follows.
 *
 *     launch MARKER SECONDS RAM_MIB PROGRAM [ARGUMENT...]
 *     launch loop MILLISECONDS          the child's loop, here: LOOP PICOSECONDS
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "bench/child/loop.h"

#define SAID_MAX  (1U << 20)
#define SETTLE_US 300000
#define END_US    2000000
#define STEP_US   20000
/* Between reads: a reader that wakes for each byte takes the processor from the machine. */
#define READ_US 5000

static char said[SAID_MAX + 1];

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Sum of the values of `key` in a file of lines "KEY VALUE". */
static uint64_t file_sum(const char *path, const char *key)
{
    FILE *file = fopen(path, "re");
    size_t n = strlen(key);
    uint64_t sum = 0;
    char line[256];

    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, key, n) && (line[n] == ' ' || line[n] == ':'))
            sum += strtoull(line + n + 1, NULL, 10);
    if (file)
        fclose(file);
    return sum;
}

/* KiB of a process without the mappings that are large enough to be the guest's RAM. */
static void process_memory(int pid, uint64_t ram_kib, uint64_t *outside, uint64_t *ram)
{
    uint64_t from, to, pss, kib = 0;
    char path[64], line[256];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            kib = (to - from) / 1024;
        else if (sscanf(line, "Pss: %lu", &pss) == 1)
            *(kib >= ram_kib / 2 ? ram : outside) += pss;
    }
    if (file)
        fclose(file);
}

static int parent_of(int pid)
{
    char path[64], text[512], *end;
    int fd, parent = 0;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    end = strrchr(text, ')');
    if (end && sscanf(end + 1, " %*c %d", &parent) != 1)
        parent = 0;
    return parent;
}

/* The program and the processes that it has started. */
static void family_memory(int root, uint64_t ram_kib, uint64_t *outside, uint64_t *ram)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;

    while (folder && (entry = readdir(folder))) {
        int pid = atoi(entry->d_name);

        for (int up = pid, depth = 0; up > 1 && depth < 4; up = parent_of(up), depth++) {
            if (up != root)
                continue;
            process_memory(pid, ram_kib, outside, ram);
            break;
        }
    }
    if (folder)
        closedir(folder);
}

/* Intercepts of all VPs, in the module's file of a partition. */
static uint64_t intercepts_in(const char *path)
{
    FILE *file = fopen(path, "re");
    uint64_t sum = 0, n;
    char line[256];

    while (file && fgets(line, sizeof(line), file)) {
        const char *at = strstr(line, " intercepts ");

        if (at && sscanf(at, " intercepts %lu", &n) == 1)
            sum += n;
    }
    if (file)
        fclose(file);
    return sum;
}

/* Pages that the hypervisor has been given, of the module's own pool and of each partition; and
   how often VPs have asked their worker. */
static uint64_t pool_pages(uint64_t *intercepts)
{
    static const char home[] = "/sys/kernel/debug/bulkhead-vid";
    uint64_t pages = file_sum("/sys/kernel/debug/bulkhead-vid/memory", "own_pool_pages");
    DIR *folder = opendir(home);
    struct dirent *entry;
    char path[320];

    *intercepts = 0;

    while (folder && (entry = readdir(folder))) {
        if (strncmp(entry->d_name, "partition-", 10))
            continue;
        snprintf(path, sizeof(path), "%s/%s", home, entry->d_name);
        pages += file_sum(path, "pool_pages");
        *intercepts += intercepts_in(path);
    }
    if (folder)
        closedir(folder);
    return pages;
}

/* What the kernel keeps, in KiB; nested page tables of KVM are in SecPageTables. */
static const char *const kernel_keys[] = {"MemFree", "Slab", "KernelStack", "PageTables",
                                          "SecPageTables"};
#define KERNEL_KEYS (sizeof(kernel_keys) / sizeof(kernel_keys[0]))

struct kernel_memory {
    uint64_t kib[KERNEL_KEYS];
    uint64_t pool_pages;
    uint64_t intercepts;
};

static void kernel_memory(struct kernel_memory *m)
{
    for (unsigned i = 0; i < KERNEL_KEYS; i++)
        m->kib[i] = file_sum("/proc/meminfo", kernel_keys[i]);
    m->pool_pages = pool_pages(&m->intercepts);
}

static int start(char **argv, int *pid)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    *pid = fork();
    if (*pid == 0) {
        int null = open("/dev/null", O_RDONLY);

        dup2(null, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        execv(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    close(ends[1]);
    return *pid < 0 ? -1 : ends[0];
}

/* Until the marker, the end or the bound; false if the marker has not come. */
static bool listen_for(int fd, const char *marker, uint64_t begun, uint64_t bound_us,
                       uint64_t *first_us, uint64_t *marker_us)
{
    size_t used = 0, looked = 0, n = strlen(marker);

    while (used < SAID_MAX && now_us() - begun < bound_us) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (poll(&poller, 1, 100) <= 0)
            continue;
        got = read(fd, said + used, SAID_MAX - used);
        if (got <= 0)
            return false;
        if (used)
            usleep(READ_US);
        else
            *first_us = now_us() - begun;
        used += (size_t)got;
        if (strstr(said + looked, marker)) {
            *marker_us = now_us() - begun;
            return true;
        }
        looked = used > n ? used - n : 0;
    }
    return false;
}

static void finish(int pid)
{
    kill(pid, SIGTERM);
    for (unsigned us = 0; us < END_US; us += STEP_US) {
        if (waitpid(pid, NULL, WNOHANG))
            return;
        usleep(STEP_US);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void show(const struct kernel_memory *a, const struct kernel_memory *b, int pid,
                 uint64_t ram_kib)
{
    uint64_t outside = 0, ram = 0;

    family_memory(pid, ram_kib, &outside, &ram);
    printf(" outside_kib=%lu ram_kib=%lu pool_kib=%ld intercepts=%lu", outside, ram,
           (long)(b->pool_pages - a->pool_pages) * 4, b->intercepts);
    for (unsigned i = 0; i < KERNEL_KEYS; i++)
        printf(" %s_kib=%ld", kernel_keys[i], (long)(b->kib[i] - a->kib[i]));
}

static int launch(const char *marker, double seconds, uint64_t ram_kib, char **argv)
{
    uint64_t first_us = 0, marker_us = 0, begun;
    struct kernel_memory before, after;
    int pid, fd;
    bool seen;

    kernel_memory(&before);
    begun = now_us();
    fd = start(argv, &pid);
    if (fd < 0) {
        perror(argv[0]);
        return 1;
    }
    seen = listen_for(fd, marker, begun, (uint64_t)(seconds * 1e6), &first_us, &marker_us);
    printf("\nLAUNCH first_us=%lu marker_us=%lu", first_us, marker_us);
    if (seen && ram_kib) {
        usleep(SETTLE_US);
        kernel_memory(&after);
        show(&before, &after, pid, ram_kib);
    }
    printf("\n");
    finish(pid);
    close(fd);
    for (char *c = said; *c; c++)
        if (*c != '\r' && (isprint((unsigned char)*c) || *c == '\n'))
            putchar(*c);
    putchar('\n');
    return seen ? 0 : 1;
}

static void loop(uint64_t us)
{
    uint64_t count = 1000000, begun, took;

    for (;; count *= 2) {
        begun = now_us();
        loop_run(count);
        took = now_us() - begun;
        if (took >= us)
            break;
    }
    printf("\nLOOP %.0f\n", (double)took * 1e6 / (double)count);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "loop")) {
        loop(strtoull(argv[2], NULL, 10) * 1000);
        return 0;
    }
    if (argc < 5) {
        fprintf(stderr, "usage: launch MARKER SECONDS RAM_MIB PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    return launch(argv[1], strtod(argv[2], NULL), strtoull(argv[3], NULL, 10) * 1024, argv + 4);
}
