/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_XSTATE_H
#define ARCH_X86_XSTATE_H

/*
 * Extended state: what a world switch leaves in the processor. x87, vector and
 * other registers that XSAVE knows, XCR0, DR0..3 and TSC_AUX. The hypervisor uses
 * none of it, so it is exchanged only when another VP follows on the same LP.
 */
struct xstate;
struct partition;

/** Learn the size; once, on the boot processor. */
void xstate_init(void);

/** Let the hypervisor use XSAVE on this LP. */
void xstate_lp_enable(void);

/** Allocate the state that a processor has after power-up; errors of partition_alloc(). */
int xstate_create(struct partition *p, struct xstate **out);

/** Free it; NULL is accepted. */
void xstate_destroy(struct partition *p, struct xstate *x);

/** Exchange with the registers of this LP. */
void xstate_save(struct xstate *x);
void xstate_load(const struct xstate *x);

#endif
