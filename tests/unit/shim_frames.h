/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_FRAMES_H
#define TESTS_UNIT_SHIM_FRAMES_H

#include <stdlib.h>
#include <string.h>
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "lib/errno.h"

/*
 * One-page frames from an arena, for tests of the page tables: counts what is out, fails on
 * demand, fills fresh frames with garbage. Included by exactly one file of a test.
 */
#define SHIM_FRAMES 8192U

uintptr_t direct_map_base;
static uint8_t *shim_arena;
static uint32_t shim_free_list[SHIM_FRAMES];
static unsigned shim_free;
static long shim_fail_after = -1; /* allocations that still succeed; -1 is no limit */

static void shim_frames_init(void)
{
    shim_arena = aligned_alloc(PAGE_SIZE, SHIM_FRAMES * PAGE_SIZE);
    if (!shim_arena)
        abort();
    direct_map_base = (uintptr_t)shim_arena;
    shim_free = 0;
    for (uint32_t i = SHIM_FRAMES; i-- > 1;) /* frame 0 stays unused */
        shim_free_list[shim_free++] = i;
    shim_fail_after = -1;
}

static void shim_frames_done(void)
{
    free(shim_arena);
}

/* Frames handed out and not returned. */
static unsigned shim_frames_used(void)
{
    return SHIM_FRAMES - 1 - shim_free;
}

int frame_alloc(unsigned pages, unsigned align_pages, hpa_t *out)
{
    if (pages != 1 || align_pages > 1)
        abort();
    if (shim_fail_after == 0 || !shim_free)
        return -ENOMEM;
    if (shim_fail_after > 0)
        shim_fail_after--;
    *out = hpa(shim_free_list[--shim_free] * PAGE_SIZE);
    memset(hpa_to_virt(*out), 0xA5, PAGE_SIZE);
    return 0;
}

void frame_free(hpa_t addr, unsigned pages)
{
    if (pages != 1 || addr.v % PAGE_SIZE || addr.v / PAGE_SIZE >= SHIM_FRAMES)
        abort();
    for (unsigned i = 0; i < shim_free; i++)
        if (shim_free_list[i] == addr.v / PAGE_SIZE)
            abort(); /* double free */
    shim_free_list[shim_free++] = (uint32_t)(addr.v / PAGE_SIZE);
}

/* A small generator of its own, so that failures repeat everywhere. */
static uint64_t shim_seed = 0x9E3779B97F4A7C15ULL;

static uint64_t shim_random(void)
{
    shim_seed ^= shim_seed << 13;
    shim_seed ^= shim_seed >> 7;
    shim_seed ^= shim_seed << 17;
    return shim_seed;
}

#endif
