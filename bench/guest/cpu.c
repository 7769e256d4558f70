/* SPDX-License-Identifier: MIT */
/* Work that stays inside the processor, and the opposite: an instruction that must exit. */
#include "bench/guest/bench.h"

#include <cpuid.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#define MATRIX     48
#define HASH_BATCH (1u << 20)
#define EXIT_BATCH 128

double bench_cpu_integer(double seconds, char **args)
{
    double start = bench_now(), spent;
    uint64_t hash = 0x9e3779b97f4a7c15u, count = 0;

    (void)args;
    do {
        for (unsigned i = 0; i < HASH_BATCH; i++) {
            hash ^= hash >> 29;
            hash *= 0xbf58476d1ce4e5b9u;
            hash += i;
        }
        count += HASH_BATCH;
        spent = bench_now() - start;
    } while (spent < seconds);
    /* The compiler must believe that the result is wanted. */
    __asm__ volatile("" : : "r"(hash));
    return (double)count / spent / 1e6;
}

static void multiply(double out[MATRIX][MATRIX], double a[MATRIX][MATRIX], double b[MATRIX][MATRIX])
{
    for (unsigned i = 0; i < MATRIX; i++) {
        for (unsigned j = 0; j < MATRIX; j++) {
            double sum = 0;

            for (unsigned k = 0; k < MATRIX; k++)
                sum += a[i][k] * b[k][j];
            out[i][j] = sum;
        }
    }
}

double bench_cpu_float(double seconds, char **args)
{
    static double a[MATRIX][MATRIX], b[MATRIX][MATRIX], out[MATRIX][MATRIX];
    double start, spent;
    uint64_t count = 0;

    (void)args;
    for (unsigned i = 0; i < MATRIX * MATRIX; i++) {
        a[i / MATRIX][i % MATRIX] = 1.0 + i % 7;
        b[i / MATRIX][i % MATRIX] = 1.0 / (1.0 + i % 11);
    }
    start = bench_now();
    do {
        multiply(out, a, b);
        __asm__ volatile("" : : "r"(out) : "memory");
        count++;
        spent = bench_now() - start;
    } while (spent < seconds);
    return (double)count * (2.0 * MATRIX * MATRIX * MATRIX) / spent / 1e6;
}

/* openssl measures and prints: "+F:22:sha256:123456789.00", in bytes per second. */
double bench_cpu_openssl(double seconds, char **args)
{
    char command[160], line[160];
    double bytes_per_s = -1;
    FILE *out;

    (void)args;
    snprintf(command, sizeof(command),
             "openssl speed -mr -elapsed -seconds %d -bytes 16384 sha256 2>/dev/null",
             seconds < 1 ? 1 : (int)seconds);
    out = popen(command, "r");
    if (!out)
        return bench_error("openssl");
    while (fgets(line, sizeof(line), out))
        sscanf(line, "+F:%*d:%*[^:]:%lf", &bytes_per_s);
    pclose(out);
    if (bytes_per_s >= 0)
        return bytes_per_s / 1e6;
    errno = EIO;
    return bench_error("openssl");
}

/* CPUID leaves every guest, and does nothing on bare metal: the price of one exit. */
double bench_cpu_exit(double seconds, char **args)
{
    double start = bench_now(), spent;
    uint64_t count = 0;

    (void)args;
    do {
        for (unsigned i = 0; i < EXIT_BATCH; i++) {
            unsigned a, b, c, d;

            __cpuid(0, a, b, c, d);
            __asm__ volatile("" : : "r"(a), "r"(b), "r"(c), "r"(d));
        }
        count += EXIT_BATCH;
        spent = bench_now() - start;
    } while (spent < seconds);
    return (double)count / spent;
}
