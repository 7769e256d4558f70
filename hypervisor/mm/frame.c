/* SPDX-License-Identifier: MIT */
#include "hypervisor/mm/frame.h"

#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/spinlock.h"
#include "lib/string.h"

/*
 * One bit for each frame of the chunk, set while the frame is in use. The
 * bitmap lies in the chunk's first frames, which are in use for ever. `base`,
 * `frames` and the pointer are init only, the rest is under the lock.
 */
static struct {
    struct spinlock lock;
    uint64_t base; /* frame number, not address: alignment is that of physical addresses */
    uint64_t frames;
    uint64_t *used;
    uint64_t reserved; /* frames of the bitmap */
    uint64_t in_use;   /* without the bitmap's */
    uint64_t peak;
    uint64_t hint; /* no free frame lies below */
} pool;

static bool frame_used(uint64_t i)
{
    return pool.used[i / 64] & BIT64(i % 64);
}

static void frame_mark(uint64_t first, uint64_t pages, bool used)
{
    for (uint64_t i = first; i < first + pages; i++) {
        if (used)
            pool.used[i / 64] |= BIT64(i % 64);
        else
            pool.used[i / 64] &= ~BIT64(i % 64);
    }
}

int frame_init(hpa_t base, uint64_t len)
{
    uint64_t frames = len >> PAGE_SHIFT;
    uint64_t bitmap_bytes = (frames + 63) / 64 * 8;
    uint64_t bitmap_frames = align_up(bitmap_bytes, PAGE_SIZE) >> PAGE_SHIFT;

    if ((base.v | len) & ~PAGE_MASK || frames <= bitmap_frames)
        return -EINVAL;
    pool.base = base.v >> PAGE_SHIFT;
    pool.frames = frames;
    pool.used = hpa_to_virt(base);
    pool.reserved = bitmap_frames;
    pool.in_use = 0;
    pool.peak = 0;
    pool.hint = bitmap_frames;
    memset(pool.used, 0, bitmap_frames << PAGE_SHIFT);
    frame_mark(0, bitmap_frames, true);
    return 0;
}

/** The next free frame at or after i, or pool.frames. Full words are skipped at once. */
static uint64_t next_free(uint64_t i)
{
    while (i < pool.frames) {
        uint64_t free_bits = ~pool.used[i / 64] >> (i % 64);

        if (free_bits)
            return min_u64(i + (uint64_t)__builtin_ctzll(free_bits), pool.frames);
        i = (i / 64 + 1) * 64;
    }
    return pool.frames;
}

/** First fit; returns the index or pool.frames. */
static uint64_t find_run(unsigned pages, uint64_t align)
{
    uint64_t i = next_free(pool.hint);

    pool.hint = i;
    while (i < pool.frames) {
        uint64_t first = align_up(pool.base + i, align) - pool.base;
        uint64_t n = 0;

        if (first > pool.frames || pool.frames - first < pages)
            break;
        while (n < pages && !frame_used(first + n))
            n++;
        if (n == pages)
            return first;
        i = next_free(first + n);
    }
    return pool.frames;
}

int frame_alloc(unsigned pages, unsigned align_pages, hpa_t *out)
{
    uint64_t align = align_pages ? align_pages : 1;

    if (!pages || (align & (align - 1)))
        return -EINVAL;

    spin_lock(&pool.lock);
    uint64_t first = find_run(pages, align);
    bool found = first < pool.frames;
    if (found) {
        frame_mark(first, pages, true);
        pool.in_use += pages;
        pool.peak = max_u64(pool.peak, pool.in_use);
    }
    spin_unlock(&pool.lock);
    if (!found)
        return -ENOMEM;

    hpa_t addr = hpa((pool.base + first) << PAGE_SHIFT);
    memset(hpa_to_virt(addr), 0, (size_t)pages << PAGE_SHIFT);
    *out = addr;
    return 0;
}

static bool all_used(uint64_t first, uint64_t pages)
{
    for (uint64_t i = first; i < first + pages; i++)
        if (!frame_used(i))
            return false;
    return true;
}

void frame_free(hpa_t addr, unsigned pages)
{
    uint64_t first = (addr.v >> PAGE_SHIFT) - pool.base;

    /* The subtraction wraps for addresses below the chunk, and fails the first test then. */
    if (first >= pool.frames || pages > pool.frames - first || first < pool.reserved ||
        addr.v & ~PAGE_MASK)
        panic("frame_free: 0x%lx + %u pages are not frames of the hypervisor", addr.v, pages);

    spin_lock(&pool.lock);
    bool ours = all_used(first, pages);
    spin_unlock(&pool.lock);

    /* While the frames are still the caller's: once they are free another LP may own them. */
    if (ours)
        memset(hpa_to_virt(addr), 0, (size_t)pages << PAGE_SHIFT);

    spin_lock(&pool.lock);
    ours = ours && all_used(first, pages);
    if (ours) {
        frame_mark(first, pages, false);
        pool.in_use -= pages;
        pool.hint = min_u64(pool.hint, first);
    }
    spin_unlock(&pool.lock);
    if (!ours)
        panic("frame_free: 0x%lx + %u pages: freed twice", addr.v, pages);
}

bool frame_owns(hpa_t addr)
{
    return (addr.v >> PAGE_SHIFT) - pool.base < pool.frames;
}

struct frame_stats frame_stats(void)
{
    spin_lock(&pool.lock);
    struct frame_stats s = {
        .total = pool.frames - pool.reserved,
        .free = pool.frames - pool.reserved - pool.in_use,
        .peak = pool.peak,
    };
    spin_unlock(&pool.lock);
    return s;
}
