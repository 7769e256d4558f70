/* SPDX-License-Identifier: MIT */
#ifndef VMWP_MEMORY_H
#define VMWP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/types.h"
#include "lib/hosted/problem.h"

/*
 * The guest's RAM: below 3 GiB, and what does not fit there from 4 GiB on. Guests write to it at
 * any time, so what is read from it is copied once and then checked.
 */

#define MEMORY_LOW_END    0xC0000000ULL
#define MEMORY_HIGH_START 0x100000000ULL

struct memory_region {
    uint64_t start; /* guest physical */
    uint64_t size;
    uint8_t *host;
};

struct memory {
    struct memory_region region[2];
    unsigned count;
};

/** Whether the host has so much, and we may lock it if it is to be pinned; else -errno with *why.
 * It asks what a worker in its sandbox cannot ask any more. */
int memory_check(uint64_t size, bool pinned, struct problem *why);

/**
 * Allocate `size` bytes, a multiple of 2 MiB, all of it zero, in large pages where the host has
 * them. It becomes present when it is used; if it is to be pinned, now, and locked. -errno with
 * *why if the host cannot give so much, or may not lock so much.
 */
int memory_create(struct memory *m, uint64_t size, bool pinned, struct problem *why);
void memory_destroy(struct memory *m);

/** Bytes of RAM that start at 0. */
uint64_t memory_low_size(const struct memory *m);

/** Whether the `len` bytes at `at` are all RAM. */
bool memory_is_ram(const struct memory *m, gpa_t at, uint64_t len);

/** Copy out of and into RAM. 0, or -EFAULT if a part is not RAM: then nothing is copied. */
int memory_read(const struct memory *m, gpa_t at, void *buf, size_t len);
int memory_write(const struct memory *m, gpa_t at, const void *buf, size_t len);

/** RAM to fill before the machine runs; NULL if a part is not RAM. */
uint8_t *memory_span(const struct memory *m, gpa_t at, uint64_t len);

#endif
