/* SPDX-License-Identifier: MIT */
/* Memory: bandwidth over more than the caches hold, and the price of finding a page. */
#define _GNU_SOURCE
#include "bench/guest/bench.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define AREA_BYTES   (64ul << 20)
#define CHUNK_BYTES  (4ul << 20)
#define RANDOM_BATCH 65536u

static void *area_get(void)
{
    void *area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return area == MAP_FAILED ? NULL : area;
}

static void area_put(void *area)
{
    if (area)
        munmap(area, AREA_BYTES);
}

double bench_memory_copy(double seconds, char **args)
{
    char *from = area_get(), *to = area_get();
    double start, spent, done = 0;

    (void)args;
    if (!from || !to) {
        area_put(from);
        area_put(to);
        return bench_error("memory");
    }
    memset(from, 1, AREA_BYTES);
    start = bench_now();
    do {
        for (size_t at = 0; at < AREA_BYTES; at += CHUNK_BYTES) {
            memcpy(to + at, from + at, CHUNK_BYTES);
            __asm__ volatile("" : : "r"(to) : "memory");
        }
        done += AREA_BYTES;
        spent = bench_now() - start;
    } while (spent < seconds);
    area_put(from);
    area_put(to);
    return done / spent / 1e6;
}

double bench_memory_read(double seconds, char **args)
{
    uint64_t *area = area_get();
    double start, spent, done = 0;
    uint64_t sum = 0;

    (void)args;
    if (!area)
        return bench_error("memory");
    memset(area, 1, AREA_BYTES);
    start = bench_now();
    do {
        for (size_t i = 0; i < AREA_BYTES / sizeof(*area); i += 8)
            sum += area[i] ^ area[i + 1] ^ area[i + 2] ^ area[i + 3] ^ area[i + 4] ^ area[i + 5] ^
                   area[i + 6] ^ area[i + 7];
        __asm__ volatile("" : : "r"(sum) : "memory");
        done += AREA_BYTES;
        spent = bench_now() - start;
    } while (spent < seconds);
    area_put(area);
    return done / spent / 1e6;
}

/* Each address depends on what was read at the last one; nearly each lies in another page. */
double bench_memory_random(double seconds, char **args)
{
    uint64_t *area = area_get(), at = 1, count = 0;
    double start, spent;

    (void)args;
    if (!area)
        return bench_error("memory");
    /* Small pages, so that translations and not only lines are missed. */
    madvise(area, AREA_BYTES, MADV_NOHUGEPAGE);
    memset(area, 0, AREA_BYTES);
    start = bench_now();
    do {
        for (unsigned i = 0; i < RANDOM_BATCH; i++) {
            at = at * 6364136223846793005u + 1442695040888963407u;
            at += area[(at >> 33) % (AREA_BYTES / sizeof(*area))];
        }
        count += RANDOM_BATCH;
        spent = bench_now() - start;
    } while (spent < seconds);
    __asm__ volatile("" : : "r"(at));
    area_put(area);
    return (double)count / spent / 1e6;
}
