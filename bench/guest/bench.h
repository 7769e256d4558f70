/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GUEST_BENCH_H
#define BENCH_GUEST_BENCH_H

/*
 * What runs inside the measured machine. Each workload works for about `seconds`, on one thread
 * unless it says otherwise, and returns its rate in the unit that the table in main.c gives, or a
 * negative number after bench_error(). `args` is the rest of the host's line, NULL at its end.
 */
typedef double bench_fn(double seconds, char **args);

/** Monotonic time in seconds. May be a system call: not for the inner loop. */
double bench_now(void);

/** Says on the console what failed, with errno's text; returns -1. */
double bench_error(const char *what);

/** Binds the calling process to one processor. Returns 0, or -1 with errno. */
int bench_pin(int cpu);

/** Number of the last processor that is online. */
int bench_last_processor(void);

bench_fn bench_cpu_integer, bench_cpu_float, bench_cpu_openssl, bench_cpu_exit;
bench_fn bench_memory_copy, bench_memory_read, bench_memory_random;
bench_fn bench_process_idle, bench_process_fault, bench_process_exec;
bench_fn bench_process_switch_same, bench_process_switch_cross;
bench_fn bench_disk_random, bench_disk_sequential;
bench_fn bench_net_send, bench_net_receive;

#endif
