/* SPDX-License-Identifier: MIT */
#ifndef VP_WALK_H
#define VP_WALK_H

#include "lib/types.h"

struct partition;
struct vp;

/** What a walk of the guest's page tables depends on. */
struct walk_mode {
    uint64_t cr0, cr3, cr4, efer;
    bool ac; /* RFLAGS.AC: SMAP does not hold; only for checked walks */
};

/** What a walk shall find out, beside the address. */
enum walk_check {
    WALK_CHECK = 1 << 0,    /* reserved bits and permissions: of a read, unless the next say more */
    WALK_WRITE = 1 << 1,    /* of a write */
    WALK_EXEC = 1 << 2,     /* of a fetch */
    WALK_USER = 1 << 3,     /* at CPL 3 */
    WALK_EXEMPT = 1 << 4,   /* user and supervisor do not matter */
    WALK_SET_BITS = 1 << 5, /* set accessed bits, with WALK_WRITE the dirty bit, if all is well */
};

enum walk_result {
    WALK_OK,
    WALK_NOT_PRESENT,
    WALK_PRIVILEGE,    /* the tables do not allow the access */
    WALK_RESERVED,     /* reserved bits are set in an entry */
    WALK_UNMAPPED,     /* a table is not in the partition's memory */
    WALK_NOT_WRITABLE, /* bits cannot be set in a table */
    WALK_DENIED,       /* a table is known there, but must not be read */
};

/**
 * Translate a linear address through the guest's own page tables in any paging mode, for
 * reading as supervisor; sets no accessed bits. Returns 0, or -EFAULT if it is not mapped.
 */
int walk_translate(struct partition *p, const struct walk_mode *mode, gva_t at, gpa_t *out);

/** The same with `checks`, a set of enum walk_check; *out is set if it is WALK_OK. */
enum walk_result walk_checked(struct partition *p, const struct walk_mode *mode, gva_t at,
                              unsigned checks, gpa_t *out);

/** The mode that the VP is in; it does not run, or is the caller. */
void walk_mode_of(const struct vp *vp, struct walk_mode *out);

/**
 * Copy up to `len` bytes of the instruction at RIP. Returns how many could be read, 0 if none:
 * another VP may have changed the page tables meanwhile.
 */
size_t walk_fetch(struct vp *vp, uint8_t *buf, size_t len);

#endif
