/* SPDX-License-Identifier: MIT */
/* Reads of /dev/vda past the page cache, several at a time, by the kernel's asynchronous I/O. */
#define _GNU_SOURCE
#include "bench/guest/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX   32u
#define BUFFER_SIZE (1u << 20)

struct reader {
    aio_context_t context;
    int fd;
    bool random;
    unsigned block;  /* bytes of one read */
    uint64_t blocks; /* on the disk */
    uint64_t next;   /* block number, or the state of the random numbers */
    char *buffers;   /* one of BUFFER_SIZE for each read under way */
    struct iocb requests[DEPTH_MAX];
};

static int reader_open(struct reader *r)
{
    uint64_t bytes = 0;

    r->fd = open("/dev/vda", O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (r->fd < 0)
        return -1;
    if (ioctl(r->fd, BLKGETSIZE64, &bytes) || syscall(SYS_io_setup, DEPTH_MAX, &r->context))
        return -1;
    r->blocks = bytes / r->block;
    r->buffers = aligned_alloc(BUFFER_SIZE, (size_t)BUFFER_SIZE * DEPTH_MAX);
    errno = r->blocks ? ENOMEM : ENODEV;
    return r->blocks && r->buffers ? 0 : -1;
}

static void reader_close(struct reader *r)
{
    if (r->context)
        syscall(SYS_io_destroy, r->context);
    if (r->fd >= 0)
        close(r->fd);
    free(r->buffers);
}

static int reader_submit(struct reader *r, unsigned slot)
{
    struct iocb *request = &r->requests[slot];
    uint64_t block = r->next++ % r->blocks;

    if (r->random) {
        r->next = r->next * 6364136223846793005u + 1442695040888963407u;
        block = (r->next >> 24) % r->blocks;
    }
    *request = (struct iocb){
        .aio_data = slot,
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = (uint32_t)r->fd,
        .aio_buf = (uint64_t)(uintptr_t)(r->buffers + (size_t)slot * BUFFER_SIZE),
        .aio_nbytes = r->block,
        .aio_offset = (int64_t)(block * r->block),
    };
    return syscall(SYS_io_submit, r->context, 1, &request) == 1 ? 0 : -1;
}

/* Waits for at least one read and starts the next in its place; returns how many ended, or -1. */
static long reader_turn(struct reader *r)
{
    struct io_event events[DEPTH_MAX];
    long n = syscall(SYS_io_getevents, r->context, 1, DEPTH_MAX, events, NULL);

    for (long i = 0; i < n; i++) {
        if (events[i].res != (int64_t)r->block) {
            errno = EIO;
            return -1;
        }
        if (reader_submit(r, (unsigned)events[i].data))
            return -1;
    }
    return n;
}

/* Reads per second. */
static double read_rate(double seconds, struct reader *r, unsigned depth)
{
    double start, spent = 0;
    uint64_t count = 0;

    for (unsigned i = 0; i < depth; i++) {
        if (reader_submit(r, i))
            return -1;
    }
    start = bench_now();
    while (spent < seconds) {
        long n = reader_turn(r);

        if (n < 0)
            return -1;
        count += (uint64_t)n;
        spent = bench_now() - start;
    }
    return (double)count / spent;
}

static double measure(double seconds, unsigned block, unsigned depth, bool random)
{
    struct reader r = {.block = block, .random = random, .next = random ? 1 : 0};
    double rate = reader_open(&r) ? -1 : read_rate(seconds, &r, depth);

    if (rate < 0)
        bench_error("/dev/vda");
    /* Waits for the reads under way. */
    reader_close(&r);
    return rate;
}

double bench_disk_random(double seconds, char **args)
{
    (void)args;
    return measure(seconds, 4096, 16, true);
}

double bench_disk_sequential(double seconds, char **args)
{
    (void)args;
    double rate = measure(seconds, 1u << 20, 4, false);
    return rate < 0 ? rate : rate * (1u << 20) / 1e6;
}
