/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_XSTATE_H
#define ARCH_X86_XSTATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Extended state: what a world switch leaves in the processor. x87, vector and
 * other registers that XSAVE knows, XCR0, DR0..3 and TSC_AUX. The hypervisor uses
 * none of it, so it is exchanged only when another VP follows on the same LP.
 */
struct xstate;
struct partition;

#define XCR0_X87 (1ULL << 0)
#define XCR0_SSE (1ULL << 1)

/** Places in the legacy region of an XSAVE area, APM volume 2 section 11.5. */
enum xstate_legacy {
    XSTATE_FCW = 0,
    XSTATE_FSW = 2,
    XSTATE_FTW = 4,
    XSTATE_FOP = 6,
    XSTATE_FIP = 8,
    XSTATE_FDP = 16,
    XSTATE_MXCSR = 24,
    XSTATE_MXCSR_MASK = 28,
    XSTATE_ST0 = 32, /* eight, 16 bytes apart */
    XSTATE_XMM0 = 160,
    XSTATE_LEGACY_SIZE = 512
};

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

#define XSTATE_LIVE_XMM 6

/** XMM0..5 of the VP that is loaded on this LP, without saving it. */
void xstate_live_xmm(uint64_t out[XSTATE_LIVE_XMM][2]);

/** Likewise its XCR0. */
uint64_t xstate_live_xcr0(const struct xstate *x);

/*
 * What follows reads and writes the state in memory: the VP is not loaded, or has just been saved
 * and is loaded again afterwards. Nothing is stored that the processor would refuse to load.
 */

/** Bytes of the legacy region; a write says which component (XCR0_X87, XCR0_SSE) they are of. */
void xstate_read(const struct xstate *x, unsigned at, void *to, size_t len);
void xstate_write(struct xstate *x, uint64_t component, unsigned at, const void *from, size_t len);

/** -EINVAL: reserved bits, or components that depend on others. */
int xstate_set_mxcsr(struct xstate *x, uint32_t v);
int xstate_set_xcr0(struct xstate *x, uint64_t v);
uint64_t xstate_xcr0(const struct xstate *x);
int xstate_set_tsc_aux(struct xstate *x, uint64_t v);
uint64_t xstate_tsc_aux(const struct xstate *x);
uint64_t *xstate_dr(struct xstate *x, unsigned n);

/**
 * The XSAVE area in compacted form, with the components of `states` that exist; returns the bytes,
 * 0 if `len` is too short. And back, from compacted or standard form: components that are absent
 * become initial; -EINVAL if it is malformed, and nothing changes.
 */
size_t xstate_export(const struct xstate *x, uint64_t states, uint8_t *to, size_t len);
int xstate_import(struct xstate *x, const uint8_t *from, size_t len);

#endif
