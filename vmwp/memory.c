/* SPDX-License-Identifier: MIT */
#include "vmwp/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "lib/bits.h"

#define LARGE_PAGE (2ULL << 20)
#define MIB        (1ULL << 20)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* What the kernel thinks it can give without trouble, bytes; UINT64_MAX if it does not say. */
static uint64_t memory_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];
    bool found = false;

    if (!f)
        return UINT64_MAX;
    while (!found && fgets(line, sizeof(line), f))
        found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
    (void)fclose(f);
    return found ? kib << 10 : UINT64_MAX;
}

/* Reserved huge pages if there are enough, else pages that the kernel may join. */
static uint8_t *map_large(uint64_t size)
{
    const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    uint8_t *all, *start;
    uint64_t head;

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

static int region_add(struct memory *m, uint64_t start, uint64_t size, struct problem *why)
{
    struct memory_region *r = &m->region[m->count];

    if (!size)
        return 0;
    *r = (struct memory_region){start, size, map_large(size)};
    if (!r->host)
        return problem_set(why, -ENOMEM, "memory: %llu MiB: %m", (unsigned long long)(size / MIB));
    m->count++;
    /* The guest must not be what runs out of memory later; kernels before 5.14 do it when the
       memory is mapped into the partition. */
    if (madvise(r->host, size, MADV_POPULATE_WRITE) < 0 && errno != EINVAL)
        return problem_set(why, -ENOMEM, "memory: the host cannot give %llu MiB: %m",
                           (unsigned long long)(size / MIB));
    /* Neither core dumps nor children of this process have any business with it. */
    (void)madvise(r->host, size, MADV_DONTDUMP);
    (void)madvise(r->host, size, MADV_DONTFORK);
    return 0;
}

int memory_create(struct memory *m, uint64_t size, struct problem *why)
{
    uint64_t low = min_u64(size, MEMORY_LOW_END), available = memory_available();
    int err;

    *m = (struct memory){.count = 0};
    if (size > available)
        return problem_set(why, -ENOMEM,
                           "memory: %llu MiB are wanted, the host has %llu MiB available",
                           (unsigned long long)(size / MIB), (unsigned long long)(available / MIB));
    err = region_add(m, 0, low, why);
    if (!err)
        err = region_add(m, MEMORY_HIGH_START, size - low, why);
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
