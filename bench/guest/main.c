/* SPDX-License-Identifier: MIT */
/*
 * Runs workloads as the host asks for them on the console, so that the host can look at the
 * hypervisor's counters between them. The host sends `run NAME SECONDS [ARGUMENT...]` or `quit`;
 * the answers are `BENCH READY`, `BENCH RESULT NAME VALUE UNIT SECONDS`, `BENCH ERROR NAME TEXT`.
 */
#define _GNU_SOURCE
#include "bench/guest/bench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 256
#define WORDS_MAX  8

static const struct workload {
    const char *name;
    const char *unit;
    bench_fn *run;
} workloads[] = {
    {"idle", "s", bench_process_idle},
    {"cpu-integer", "Mop/s", bench_cpu_integer},
    {"cpu-float", "Mflop/s", bench_cpu_float},
    {"cpu-openssl", "MB/s", bench_cpu_openssl},
    {"cpu-exit", "1/s", bench_cpu_exit},
    {"memory-copy", "MB/s", bench_memory_copy},
    {"memory-read", "MB/s", bench_memory_read},
    {"memory-random", "Mop/s", bench_memory_random},
    {"page-fault", "1/s", bench_process_fault},
    {"fork-exec", "1/s", bench_process_exec},
    {"switch-same", "1/s", bench_process_switch_same},
    {"switch-cross", "1/s", bench_process_switch_cross},
    {"disk-random", "IOPS", bench_disk_random},
    {"disk-sequential", "MB/s", bench_disk_sequential},
    {"net-send", "MB/s", bench_net_send},
    {"net-receive", "MB/s", bench_net_receive},
};

static const char *running = "-";

double bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bench_error(const char *what)
{
    printf("BENCH ERROR %s %s: %s\n", running, what, strerror(errno));
    return -1;
}

int bench_last_processor(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
}

int bench_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set);
}

static void run(char **words)
{
    const struct workload *w = NULL;
    double seconds = words[1] && words[2] ? strtod(words[2], NULL) : 0;

    for (size_t i = 0; words[1] && i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (!strcmp(workloads[i].name, words[1]))
            w = &workloads[i];
    }
    running = w ? w->name : "-";
    if (!w || seconds <= 0) {
        errno = EINVAL;
        bench_error("line");
        return;
    }
    double start = bench_now();
    double value = w->run(seconds, words + 3);
    if (value >= 0)
        printf("BENCH RESULT %s %.6g %s %.6f\n", w->name, value, w->unit, bench_now() - start);
}

int main(int argc, char **argv)
{
    char line[LINE_BYTES];

    if (argc > 1 && !strcmp(argv[1], "--noop"))
        return 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (;;) {
        char *words[WORDS_MAX + 1] = {NULL}, *rest = line;

        printf("BENCH READY\n");
        if (!fgets(line, sizeof(line), stdin))
            return 1;
        for (unsigned n = 0; n < WORDS_MAX; n++)
            words[n] = strtok_r(n ? NULL : line, " \r\n", &rest);
        if (words[0] && !strcmp(words[0], "quit"))
            return 0;
        if (words[0] && !strcmp(words[0], "run"))
            run(words);
    }
}
