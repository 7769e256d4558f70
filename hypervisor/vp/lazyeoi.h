/* SPDX-License-Identifier: MIT */
#ifndef VP_LAZYEOI_H
#define VP_LAZYEOI_H

#include <stdbool.h>
#include <stdint.h>

struct vp;

/*
 * Lazy EOI, TLFS "Virtual Interrupts: EOI assist": the hypervisor sets bit 0 of
 * the VP assist page when the interrupt that it delivers needs no EOI; the guest
 * tests and clears the bit instead of writing the EOI register. The VP is not in
 * guest mode while any of these run, so the bit cannot change meanwhile.
 */

/** Allow or forbid lazy EOI on the whole machine (option lazyeoi=); default allowed. */
extern bool lazyeoi_enabled;

/**
 * Before an entry that may deliver `vector` (-1: none): offer the bit for it, or
 * take an earlier offer back when another interrupt now waits for the EOI.
 */
void lazyeoi_enter(struct vp *vp, int vector);

/** After an exit: `accepted` says whether the vector of lazyeoi_enter() was delivered. */
void lazyeoi_exit(struct vp *vp, bool accepted);

#endif
