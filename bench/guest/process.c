/* SPDX-License-Identifier: MIT */
/* What the kernel does all day: page faults, new processes, switches between them, nothing. */
#define _GNU_SOURCE
#include "bench/guest/bench.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAULT_BYTES  (16ul << 20)
#define PAGE_BYTES   4096ul
#define SWITCH_BATCH 64

double bench_process_idle(double seconds, char **args)
{
    struct timespec t = {.tv_sec = (time_t)seconds};
    double start = bench_now();

    (void)args;
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
    return bench_now() - start;
}

double bench_process_fault(double seconds, char **args)
{
    double start = bench_now(), spent;
    uint64_t count = 0;

    (void)args;
    do {
        volatile char *area =
            mmap(NULL, FAULT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (area == MAP_FAILED || madvise((void *)(uintptr_t)area, FAULT_BYTES, MADV_NOHUGEPAGE))
            return bench_error("mmap");
        for (size_t at = 0; at < FAULT_BYTES; at += PAGE_BYTES)
            area[at] = 1;
        munmap((void *)(uintptr_t)area, FAULT_BYTES);
        count += FAULT_BYTES / PAGE_BYTES;
        spent = bench_now() - start;
    } while (spent < seconds);
    return (double)count / spent;
}

double bench_process_exec(double seconds, char **args)
{
    char *argv[] = {"bench", "--noop", NULL}, *envp[] = {NULL};
    double start = bench_now(), spent;
    uint64_t count = 0;

    (void)args;
    do {
        int status;
        pid_t child = fork();

        if (child < 0)
            return bench_error("fork");
        if (child == 0) {
            execve("/proc/self/exe", argv, envp);
            _exit(1);
        }
        if (waitpid(child, &status, 0) != child || status) {
            errno = ECHILD;
            return bench_error("exec");
        }
        count++;
        spent = bench_now() - start;
    } while (spent < seconds);
    return (double)count / spent;
}

/* The other player: sends back each byte until the pipe ends. */
static void echo(int cpu, int in, int out)
{
    char byte;

    if (bench_pin(cpu))
        _exit(1);
    while (read(in, &byte, 1) == 1) {
        if (write(out, &byte, 1) != 1)
            break;
    }
    _exit(0);
}

/* Switches per second of two processes that pass a byte to and fro: two for each round. */
static double ping_pong(double seconds, int to, int from)
{
    double start = bench_now(), spent;
    uint64_t count = 0;
    char byte = 0;

    do {
        for (unsigned i = 0; i < SWITCH_BATCH; i++) {
            if (write(to, &byte, 1) != 1 || read(from, &byte, 1) != 1)
                return bench_error("pipe");
        }
        count += 2 * SWITCH_BATCH;
        spent = bench_now() - start;
    } while (spent < seconds);
    return (double)count / spent;
}

/* A process of its own plays, so that the binding to a processor ends with it. */
static double switch_between(double seconds, int cpu, int other_cpu)
{
    int there[2], back[2], result[2];
    double value = -1;
    pid_t player, partner;

    if (pipe(there) || pipe(back) || pipe(result))
        return bench_error("pipe");
    player = fork();
    if (player == 0) {
        partner = fork();
        if (partner == 0) {
            close(there[1]);
            echo(other_cpu, there[0], back[1]);
        }
        close(there[0]);
        close(back[1]);
        if (partner > 0 && !bench_pin(cpu))
            value = ping_pong(seconds, there[1], back[0]);
        close(there[1]);
        waitpid(partner, NULL, 0);
        _exit(write(result[1], &value, sizeof(value)) != sizeof(value));
    }
    for (unsigned i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
    close(result[1]);
    if (read(result[0], &value, sizeof(value)) != sizeof(value) || value < 0)
        value = bench_error("players");
    close(result[0]);
    if (player > 0)
        waitpid(player, NULL, 0);
    return value;
}

double bench_process_switch_same(double seconds, char **args)
{
    int last = bench_last_processor();

    (void)args;
    return switch_between(seconds, last, last);
}

/* On processors that do not share an LP: in an emulator VP 0 and VP 1 do (decision 5). */
double bench_process_switch_cross(double seconds, char **args)
{
    int last = bench_last_processor();

    (void)args;
    return switch_between(seconds, last, last > 0 ? last - 1 : 0);
}
