/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CHILD_CHILD_H
#define BENCH_CHILD_CHILD_H

#include <stdbool.h>
#include <stdint.h>

/* What is measured in the child. One operation in ticks of the TSC is a sample. */

struct measured {
    const char *name;
    /** Does the operation `count` times; false if the machine has not what it takes. */
    bool (*run)(uint64_t count);
    /** Instead of run: one operation; the ticks that it took, 0 if the machine cannot do it. */
    uint64_t (*once)(void);
};

bool bench_cpuid(uint64_t count);
bool bench_hypercall(uint64_t count);
bool bench_hypercall_kvm(uint64_t count);
bool bench_msr_read(uint64_t count);
bool bench_msr_write(uint64_t count);
bool bench_port_read(uint64_t count);
bool bench_port_write(uint64_t count);
bool bench_loop(uint64_t count);
uint64_t bench_ipi(void);
uint64_t bench_ipi_halted(void);
uint64_t bench_timer(void);
uint64_t bench_stimer(void);

#endif
