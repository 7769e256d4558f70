/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "disk/disk.h"

/*
 * Reads and writes a disk from a script, through disk.h.
 *
 *   diskio PATH write OFFSET LENGTH BYTE   fill a range and flush
 *   diskio PATH zero|discard OFFSET LENGTH
 *   diskio PATH read OFFSET LENGTH         to standard output
 *   diskio PATH hold                       keep it open until standard input ends
 *   diskio PATH life SEED [cached]         write for ever and say so, until it is killed
 *   diskio PATH speed BYTES DEPTH r|w      random transfers for 3 seconds: how many in a second
 *
 * `life` prints "w FIRST COUNT VERSION" before a write of sectors, "d VERSION" when it is done and
 * "f" when a flush is. Each sector holds its number and the version, as 64-bit words.
 */

#define SECTOR 512U
#define DEPTH  16U
#define RUN    32U

static int result;
static unsigned ended;

static void done(struct disk_request *r, int error)
{
    result = error;
    ended++;
}

static int one(struct disk_queue *q, struct disk *disk, enum disk_op op, uint64_t offset,
               void *data, uint64_t length)
{
    struct iovec iov = {data, length};
    struct disk_request r = {
        .op = op, .offset = offset, .length = length, .iov = &iov, .iov_count = 1, .done = done};
    unsigned before = ended;

    disk_submit(q, disk, &r);
    while (ended == before)
        (void)disk_queue_wait(q, -1);
    return result;
}

static int transfer(struct disk_queue *q, struct disk *disk, char **argv)
{
    uint64_t offset = strtoull(argv[3], NULL, 0), length = strtoull(argv[4], NULL, 0);
    char *buf = aligned_alloc(4096, (length + 4095) / 4096 * 4096 + 4096);
    int err;

    if (!buf)
        return -ENOMEM;
    if (strcmp(argv[2], "write") == 0) {
        memset(buf, argv[5] ? atoi(argv[5]) : 1, length);
        err = one(q, disk, DISK_WRITE, offset, buf, length);
        if (!err)
            err = one(q, disk, DISK_FLUSH, 0, NULL, 0);
    } else if (strcmp(argv[2], "read") == 0) {
        err = one(q, disk, DISK_READ, offset, buf, length);
        if (!err && fwrite(buf, 1, length, stdout) != length)
            err = -EIO;
    } else {
        err = one(q, disk, argv[2][0] == 'z' ? DISK_ZERO : DISK_DISCARD, offset, NULL, length);
    }
    free(buf);
    return err;
}

/* ---- life ---- */

struct writing {
    struct disk_request request;
    struct iovec iov;
    uint64_t version;
    uint64_t first, count;
    int busy;
    uint64_t *data;
};

static uint64_t seed;
static uint64_t unit; /* sectors of 512 that one of the disk has */

static uint64_t below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed * 0x2545F4914F6CDD1DU >> 11) % n;
}

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        exit(0);
}

static void written(struct disk_request *r, int error)
{
    struct writing *w = (struct writing *)(void *)r;
    char line[64];

    w->busy = 0;
    if (error) {
        (void)snprintf(line, sizeof(line), "error %d\n", error);
        say(line);
        exit(1);
    }
    if (r->op == DISK_FLUSH)
        (void)snprintf(line, sizeof(line), "f %llu\n", (unsigned long long)w->version);
    else
        (void)snprintf(line, sizeof(line), "d %llu\n", (unsigned long long)w->version);
    say(line);
}

static void begin(struct disk_queue *q, struct disk *disk, struct writing *all, struct writing *w,
                  uint64_t sectors, uint64_t version)
{
    char line[96];

    w->count = (1 + below(RUN / unit)) * unit;
    w->first = below((sectors - w->count) / unit) * unit;
    w->version = version;
    for (unsigned i = 0; i < DEPTH; i++)
        if (all[i].busy && all[i].first < w->first + w->count &&
            w->first < all[i].first + all[i].count)
            return;
    w->request = (struct disk_request){.done = written};
    if (below(12) == 0) {
        w->request.op = DISK_FLUSH;
        w->count = 0;
        (void)snprintf(line, sizeof(line), "b %llu\n", (unsigned long long)version);
    } else {
        for (uint64_t i = 0; i < w->count * SECTOR / 8; i += 2) {
            w->data[i] = w->first + i * 8 / SECTOR;
            w->data[i + 1] = version;
        }
        w->iov = (struct iovec){w->data, w->count * SECTOR};
        w->request = (struct disk_request){.op = DISK_WRITE,
                                           .offset = w->first * SECTOR,
                                           .length = w->count * SECTOR,
                                           .iov = &w->iov,
                                           .iov_count = 1,
                                           .done = written};
        w->request.fua = below(8) == 0;
        (void)snprintf(line, sizeof(line), "w %llu %llu %llu %d\n", (unsigned long long)w->first,
                       (unsigned long long)w->count, (unsigned long long)version, w->request.fua);
    }
    say(line);
    w->busy = 1;
    disk_submit(q, disk, &w->request);
}

__attribute__((noreturn)) static void life(struct disk_queue *q, struct disk *disk,
                                           uint64_t sectors)
{
    struct writing *all = calloc(DEPTH, sizeof(*all));

    for (unsigned i = 0; i < DEPTH; i++)
        all[i].data = aligned_alloc(4096, RUN * SECTOR);
    for (uint64_t version = seed << 32 | 1;;) {
        for (unsigned i = 0; i < DEPTH; i++)
            if (!all[i].busy && below(2))
                begin(q, disk, all, &all[i], sectors, version++);
        (void)disk_queue_wait(q, 10);
    }
}

/* ---- speed ---- */

static int speed(struct disk_queue *q, struct disk *disk, uint64_t size, char **argv)
{
    uint64_t bytes = strtoull(argv[3], NULL, 0);
    unsigned depth = (unsigned)atoi(argv[4]);
    struct writing *all = calloc(depth, sizeof(*all));
    struct timespec from, to;
    unsigned long count = 0;
    double seconds;

    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < depth; i++)
        all[i].data = aligned_alloc(4096, bytes);
    do {
        for (unsigned i = 0; i < depth; i++) {
            all[i].iov = (struct iovec){all[i].data, bytes};
            all[i].request = (struct disk_request){.op = argv[5][0] == 'w' ? DISK_WRITE : DISK_READ,
                                                   .offset = below(size / bytes) * bytes,
                                                   .length = bytes,
                                                   .iov = &all[i].iov,
                                                   .iov_count = 1,
                                                   .done = done};
            disk_submit(q, disk, &all[i].request);
        }
        while (disk_queue_busy(q))
            (void)disk_queue_wait(q, -1);
        count += depth;
        (void)clock_gettime(CLOCK_MONOTONIC, &to);
        seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    } while (seconds < 3);
    (void)printf("%.0f\n", (double)count / seconds);
    return 0;
}

static int act(struct disk_queue *q, struct disk *disk, int argc, char **argv)
{
    struct disk_info info;
    char c;

    disk_info(disk, &info);
    if (strcmp(argv[2], "hold") == 0) {
        say("held\n");
        while (read(STDIN_FILENO, &c, 1) > 0)
            ;
        return 0;
    }
    if (strcmp(argv[2], "life") == 0 && argc > 3) {
        seed = strtoull(argv[3], NULL, 0);
        unit = info.sector_size / SECTOR;
        life(q, disk, info.size / SECTOR);
    }
    if (strcmp(argv[2], "speed") == 0 && argc > 5) {
        seed = 1;
        return speed(q, disk, info.size, argv);
    }
    return argc > 4 ? transfer(q, disk, argv) : -EINVAL;
}

int main(int argc, char **argv)
{
    struct disk_options options = {.cached = argc > 2 && strcmp(argv[argc - 1], "cached") == 0};
    struct disk_queue *q = NULL;
    struct disk *disk = NULL;
    struct problem why;
    int err, closed;

    if (argc < 3)
        return 2;
    options.read_only = strcmp(argv[2], "read") == 0;
    if (disk_open(&disk, argv[1], &options, &why) < 0) {
        (void)fprintf(stderr, "diskio: %s\n", why.text);
        return 1;
    }
    err = disk_queue_create(&q, 256);
    if (!err)
        err = act(q, disk, argc, argv);
    disk_queue_destroy(q);
    closed = disk_close(disk);
    if (err || closed)
        (void)fprintf(stderr, "diskio: %s\n", strerror(-(err ? err : closed)));
    return err || closed;
}
