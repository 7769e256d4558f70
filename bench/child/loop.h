/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CHILD_LOOP_H
#define BENCH_CHILD_LOOP_H

#include <stdint.h>

/* The same loop for the child's flat kernel and for a program of its parent: only registers. */
__attribute__((noinline)) static uint64_t loop_run(uint64_t count)
{
    uint64_t x = 88172645463325252ULL;

    for (uint64_t i = 0; i < count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        __asm__ volatile("" : "+r"(x)); /* no other loop may be made of it */
    }
    return x;
}

#endif
