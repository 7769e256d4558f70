/* SPDX-License-Identifier: MIT */
#ifndef VP_WALK_H
#define VP_WALK_H

#include "lib/types.h"

struct partition;
struct vp;

/** What a walk of the guest's page tables depends on. */
struct walk_mode {
    uint64_t cr0, cr3, cr4, efer;
};

/**
 * Translate a linear address through the guest's own page tables in any paging mode, for
 * reading as supervisor; sets no accessed bits. Returns 0, or -EFAULT if it is not mapped.
 */
int walk_translate(struct partition *p, const struct walk_mode *mode, gva_t at, gpa_t *out);

/**
 * Copy up to `len` bytes of the instruction at RIP. Returns how many could be read, 0 if none:
 * another VP may have changed the page tables meanwhile.
 */
size_t walk_fetch(struct vp *vp, uint8_t *buf, size_t len);

#endif
