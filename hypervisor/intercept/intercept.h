/* SPDX-License-Identifier: MIT */
#ifndef INTERCEPT_INTERCEPT_H
#define INTERCEPT_INTERCEPT_H

#include "hypervisor/mm/guest.h"
#include "lib/types.h"

struct vp;
struct exit;

/** Do what the guest's exit asks for; on the LP that runs the VP, before the next entry. */
void intercept_handle(struct vp *vp, const struct exit *exit);

/** The handlers by reason, one file each. */
void intercept_cpuid(struct vp *vp, const struct exit *exit);
void intercept_msr(struct vp *vp, const struct exit *exit);
void intercept_io(struct vp *vp, const struct exit *exit);
void intercept_cr8_write(struct vp *vp, const struct exit *exit);
void intercept_fault(struct vp *vp, const struct exit *exit);

/* A child's exits that its parent handles: child.c. */
void child_io(struct vp *vp, const struct exit *exit);
/** `known`: the page is, and just the access is refused. */
void child_fault(struct vp *vp, const struct exit *exit, enum access wanted, bool known);
void child_unrecoverable(struct vp *vp, const struct exit *exit);

/**
 * What the hypervisor does for a child needs an access that is denied to the child (one page):
 * its parent is asked like for a processor's access, true. RIP must stay at the instruction, of
 * which nothing may have been done. False if the parent has no part in it.
 */
bool child_denied(struct vp *vp, gpa_t at, enum access wanted);

/* Those that its parent has asked for (intercepts_install()): child_wanted.c. */
void child_msr(struct vp *vp, const struct exit *exit);
void child_cpuid(struct vp *vp, const struct exit *exit);
void child_exception(struct vp *vp, const struct exit *exit);

/** A child's hypercall that its parent carries out; RIP stays at the instruction. */
void child_hypercall(struct vp *vp);

#endif
