/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_VPSET_H
#define HYPERCALL_VPSET_H

#include "hypervisor/hypercall/dispatch.h"

#define VP_MASK_WORDS (PARTITION_MAX_VPS / 64)
_Static_assert(PARTITION_MAX_VPS % 64 == 0, "whole words");

/** VPs of one partition, bit i for VP i. */
struct vp_mask {
    uint64_t words[VP_MASK_WORDS];
};

/** Every VP that the partition has. */
void vp_mask_all(const struct partition *p, struct vp_mask *mask);

/** The low 64 VPs as a word names them; VPs that do not exist are left out. */
void vp_mask_word(const struct partition *p, uint64_t word, struct vp_mask *mask);

/**
 * The set whose head is `set` and whose banks are the variable header of `h` (TLFS
 * "Virtual Processor Sets"). VPs that do not exist are left out.
 * HV_STATUS_INVALID_HYPERCALL_INPUT: the header has not one word for each bank;
 * HV_STATUS_INVALID_PARAMETER: unknown format.
 */
uint16_t vp_mask_from_set(const struct hypercall *h, const struct hv_vpset *set,
                          struct vp_mask *mask);

#endif
