/* SPDX-License-Identifier: MIT */
#include "vmwp/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "lib/bits.h"

#define LARGE_PAGE (2ULL << 20)
#define MIB        (1ULL << 20)

/*
 * What the kernel thinks it can give without trouble, if the memory is to stay present, else all
 * that it has, swap included. Bytes; UINT64_MAX if it does not say.
 */
static uint64_t memory_limit(bool pinned)
{
    FILE *f = fopen("/proc/meminfo", "re");
    uint64_t sum_kib = 0;
    char line[128];

    if (!f)
        return UINT64_MAX;
    while (fgets(line, sizeof(line), f)) {
        unsigned long long kib;

        if (pinned ? sscanf(line, "MemAvailable: %llu kB", &kib) == 1
                   : sscanf(line, "MemTotal: %llu kB", &kib) == 1 ||
                         sscanf(line, "SwapTotal: %llu kB", &kib) == 1)
            sum_kib += kib;
    }
    (void)fclose(f);
    return sum_kib ? sum_kib << 10 : UINT64_MAX;
}

/* Pages that the kernel may join; or reserved huge pages if there are enough, which is never known
   of as locked. */
static uint8_t *map_large(uint64_t size, bool pinned)
{
    const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    uint8_t *all, *start = MAP_FAILED;
    uint64_t head;

    if (!pinned)
        start = mmap(NULL, size, prot, flags | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);
    if (start != MAP_FAILED)
        return start;
    all = mmap(NULL, size + LARGE_PAGE, prot, flags | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    start = (uint8_t *)(uintptr_t)align_up((uintptr_t)all, LARGE_PAGE);
    head = (uint64_t)(start - all);
    if (head)
        (void)munmap(all, head);
    (void)munmap(start + size, LARGE_PAGE - head);
    (void)madvise(start, size, MADV_HUGEPAGE);
    return start;
}

/* Makes it present, and the module pin what is locked. */
static int lock(const struct memory_region *r, struct problem *why)
{
    int err = mlock(r->host, r->size) < 0 ? -errno : 0;

    return err ? problem_set(why, err, "memory_pinned: the host cannot give %llu MiB: %s",
                             (unsigned long long)(r->size / MIB), strerror(-err))
               : 0;
}

static int region_add(struct memory *m, uint64_t start, uint64_t size, bool pinned,
                      struct problem *why)
{
    struct memory_region *r = &m->region[m->count];

    if (!size)
        return 0;
    *r = (struct memory_region){start, size, map_large(size, pinned)};
    if (!r->host)
        return problem_set(why, -ENOMEM, "memory: %llu MiB: %m", (unsigned long long)(size / MIB));
    m->count++;
    /* Neither core dumps nor children of this process have any business with it. */
    (void)madvise(r->host, size, MADV_DONTDUMP);
    (void)madvise(r->host, size, MADV_DONTFORK);
    return pinned ? lock(r, why) : 0;
}

/* Root may, and raises the limit for the worker that it becomes. */
static int may_lock(uint64_t size, struct problem *why)
{
    struct rlimit limit;

    if (geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_max >= size)
        return 0;
    return problem_set(
        why, -EPERM, "memory_pinned: %llu MiB cannot be locked; RLIMIT_MEMLOCK is %llu MiB",
        (unsigned long long)(size / MIB), (unsigned long long)(limit.rlim_max / MIB));
}

int memory_check(uint64_t size, bool pinned, struct problem *why)
{
    uint64_t limit = memory_limit(pinned);

    if (size > limit)
        return problem_set(why, -ENOMEM, "memory: %llu MiB are wanted, the host has %llu MiB%s",
                           (unsigned long long)(size / MIB), (unsigned long long)(limit / MIB),
                           pinned ? " available" : " with swap");
    return pinned ? may_lock(size, why) : 0;
}

int memory_create(struct memory *m, uint64_t size, bool pinned, struct problem *why)
{
    uint64_t low = min_u64(size, MEMORY_LOW_END);
    int err;

    *m = (struct memory){.count = 0};
    err = region_add(m, 0, low, pinned, why);
    if (!err)
        err = region_add(m, MEMORY_HIGH_START, size - low, pinned, why);
    if (err)
        memory_destroy(m);
    return err;
}

void memory_destroy(struct memory *m)
{
    for (unsigned i = 0; i < m->count; i++)
        (void)munmap(m->region[i].host, m->region[i].size);
    *m = (struct memory){.count = 0};
}

uint64_t memory_low_size(const struct memory *m)
{
    return m->count ? m->region[0].size : 0;
}

uint8_t *memory_span(const struct memory *m, gpa_t at, uint64_t len)
{
    for (unsigned i = 0; i < m->count; i++) {
        const struct memory_region *r = &m->region[i];
        uint64_t offset = at.v - r->start;
        if (at.v >= r->start && offset < r->size && len <= r->size - offset)
            return r->host + offset;
    }
    return NULL;
}

bool memory_is_ram(const struct memory *m, gpa_t at, uint64_t len)
{
    return memory_span(m, at, len) != NULL;
}

int memory_read(const struct memory *m, gpa_t at, void *buf, size_t len)
{
    const uint8_t *p = memory_span(m, at, len);

    if (!p)
        return -EFAULT;
    memcpy(buf, p, len);
    return 0;
}

int memory_write(const struct memory *m, gpa_t at, const void *buf, size_t len)
{
    uint8_t *p = memory_span(m, at, len);

    if (!p)
        return -EFAULT;
    memcpy(p, buf, len);
    return 0;
}
