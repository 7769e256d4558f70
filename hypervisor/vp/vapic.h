/* SPDX-License-Identifier: MIT */
#ifndef VP_VAPIC_H
#define VP_VAPIC_H

#include <stdatomic.h>
#include "hypervisor/arch/x86/apicreg.h"
#include "hypervisor/sched/timer.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct vp;
struct partition;

/*
 * Virtual local APIC in xAPIC and x2APIC mode (APM volume 2 chapter 16, SDM
 * volume 3 chapter "APIC"). Every partition has it, the root too.
 *
 * Who may touch what: interrupts arrive from any LP, so everything that
 * acceptance and destination matching look at is atomic. Registers are written
 * only by the LP that runs the VP (or while the VP cannot run). The LVT timer
 * has a lock of its own, ranked between ioapic and runqueue, because its
 * callback runs on the LP that armed it, which need not be the VP's any more.
 */

/** LVT entries in register order, offset 0x320 + 0x10 * n. */
enum vapic_lvt {
    VAPIC_LVT_TIMER,
    VAPIC_LVT_THERMAL,
    VAPIC_LVT_PERF,
    VAPIC_LVT_LINT0,
    VAPIC_LVT_LINT1,
    VAPIC_LVT_ERROR,
    VAPIC_LVT_COUNT
};

#define VAPIC_VECTOR_WORDS 8 /* 256 vectors in 32-bit registers */

#define VAPIC_MIN_PERIOD_US 20 /* a bound on the interrupts that one guest can cause */

/** All architectural state (what save and restore carry); the id is vp->apic_id. */
struct vapic_state {
    _Atomic uint64_t base; /* IA32_APIC_BASE */
    uint64_t icr;          /* destination in 63:56 or 63:32, as the mode has it */
    _Atomic uint32_t svr;
    _Atomic uint32_t tpr;
    _Atomic uint32_t ldr; /* xAPIC only; x2APIC derives it from the id */
    _Atomic uint32_t dfr;
    _Atomic uint32_t lvt[VAPIC_LVT_COUNT];
    _Atomic uint32_t irr[VAPIC_VECTOR_WORDS];
    _Atomic uint32_t isr[VAPIC_VECTOR_WORDS];
    _Atomic uint32_t tmr[VAPIC_VECTOR_WORDS]; /* level-triggered, EOI not seen yet */
    _Atomic uint32_t esr_pending;             /* errors since the last write of ESR */
    uint32_t esr;                             /* what a read shows */

    /* LVT timer, under timer_lock. The next expiry is timer_tsc + timer_frac / 2^32. */
    uint64_t timer_tsc;
    uint32_t timer_frac;
    uint32_t timer_running;
    uint32_t timer_initial;
    uint32_t timer_divide;
};

struct vapic {
    struct vapic_state state;
    _Atomic uint32_t auto_eoi[VAPIC_VECTOR_WORDS]; /* derived from the SINTs */
    struct spinlock timer_lock;
    struct timer timer;
    uint64_t tsc_per_tick; /* TSC ticks in one APIC clock tick, 32.32; init only */
    uint64_t tick_per_tsc; /* and back, 32.32; init only */
    uint64_t min_period;   /* TSC ticks, least period of a periodic timer; init only */
};

/** Power-up state, in x2APIC or in xAPIC mode. vp->partition, index and apic_id are set before. */
void vapic_init(struct vp *vp, bool x2apic);

/** INIT: all registers as at power-up; APIC base, id and the SynIC's AutoEOI vectors stay. */
void vapic_reset(struct vp *vp);

/** What firmware leaves on the boot processor: enabled, LINT0 ExtINT, LINT1 NMI. */
void vapic_bios_state(struct vp *vp);

/**
 * IA32_APIC_BASE. A write of reserved bits or with an illegal change of mode returns -EPERM (#GP).
 * Disabling resets the APIC. The BSP flag cannot be changed.
 */
int vapic_base_read(struct vp *vp, uint64_t *val);
int vapic_base_write(struct vp *vp, uint64_t val);

/** Is the APIC globally enabled in xAPIC mode with this page as its registers? */
bool vapic_mmio_at(struct vp *vp, gpa_t addr);

/** Registers in x2APIC mode, MSR 0x800..0x8FF. -EPERM means #GP; then nothing has changed. */
int vapic_msr_read(struct vp *vp, uint32_t msr, uint64_t *val);
int vapic_msr_write(struct vp *vp, uint32_t msr, uint64_t val);

/** Registers in xAPIC mode by offset 0..0xFFF; reserved ones read 0 and set ESR bit 7. */
uint32_t vapic_mmio_read(struct vp *vp, uint32_t offset);
void vapic_mmio_write(struct vp *vp, uint32_t offset, uint32_t val);

/**
 * Post an interrupt, from any LP. Vectors below 16 become an ESR bit; a software- or
 * globally disabled APIC drops it. A vector that is already pending is coalesced.
 */
void vapic_set_irr(struct vp *vp, uint8_t vector, bool level);

/** Globally enabled and software-enabled: fixed interrupts are taken. Callable on any LP. */
bool vapic_accepts(const struct vp *vp);

/** Highest pending vector of a class above the highest in service (TPR ignored), or -1. */
int vapic_highest(struct vp *vp);

/** Is a vector pending above the processor priority, TPR included? Callable on any LP. */
bool vapic_wakes(struct vp *vp);

/** Is any vector pending, whatever the priority? Callable on any LP. */
bool vapic_pending(struct vp *vp);

/**
 * The processor is asked to take `vector` at this entry: it leaves IRR, so that one more of the
 * same vector, sent after the guest has taken this one, is pending anew and not lost in it.
 * Then either vapic_accept(), when it was delivered: in service; AutoEOI vectors do not stay so.
 * Or vapic_withdraw(): it was not, and goes back to IRR.
 */
void vapic_request(struct vp *vp, uint8_t vector);
void vapic_accept(struct vp *vp, uint8_t vector);
void vapic_withdraw(struct vp *vp, uint8_t vector);

/** End of interrupt: the highest vector in service leaves; eoi_hook for a level-triggered one. */
void vapic_eoi(struct vp *vp);

/** The 64-bit ICR; the destination is in bits 63:56 in xAPIC mode, in 63:32 in x2APIC mode. */
void vapic_icr_write(struct vp *vp, uint64_t icr);
uint64_t vapic_icr_read(struct vp *vp);

/** Task priority, 8 bits. CR8 is bits 7:4 of it. */
uint8_t vapic_tpr_get(struct vp *vp);
void vapic_tpr_set(struct vp *vp, uint8_t tpr);

/**
 * May the guest skip the EOI of `vector`, which is about to be accepted? Call it after
 * vapic_request() at every delivery and set or clear the "no EOI required" bit of the assist page
 * to the answer (TLFS "EOI Assist"): a stale bit would swallow the EOI of the new interrupt. On
 * exit, if the guest has cleared the bit, call vapic_eoi() before anything else.
 */
bool vapic_lazy_eoi_offer(struct vp *vp, uint8_t vector);

/**
 * May a pending vector be held back by the one in service? Then the "no EOI required" bit must be
 * taken back before guest entry, so that the EOI exits.
 */
bool vapic_eoi_awaited(struct vp *vp);

/** From the SynIC: vectors that need no EOI (AutoEOI of a SINT). */
void vapic_set_auto_eoi(struct vp *vp, uint8_t vector, bool on);

/** Post a fixed, edge-triggered interrupt to one VP; for hypercalls that send IPIs. */
void vapic_ipi_fixed(struct vp *target, uint8_t vector);

/**
 * Does an interrupt message with this destination reach the VP? `x2apic` is the form of `dest`:
 * 32-bit with broadcast 0xFFFFFFFF, or 8-bit with broadcast 0xFF.
 */
bool vapic_match(struct vp *vp, uint32_t dest, bool logical, bool x2apic);

/**
 * Send an interrupt message (IPI, MSI, IOAPIC, HvCallAssertVirtualInterrupt) to every VP of the
 * partition that matches; lowest priority picks one of them. SMI and ExtINT are ignored.
 * Returns the number of VPs reached.
 */
unsigned vapic_route(struct partition *p, uint32_t dest, bool logical, bool x2apic,
                     enum apic_delivery mode, uint8_t vector, bool level);

/*
 * The state from outside, while the VP does not run: nothing happens but that it is read or
 * replaced. The id, version, and what cannot be there are ignored.
 */
struct hv_local_interrupt_controller_state;
void vapic_state_get(struct vp *vp, struct hv_local_interrupt_controller_state *out);
void vapic_state_set(struct vp *vp, const struct hv_local_interrupt_controller_state *in);

/** One register of it by its xAPIC offset, in either mode; -ENOENT: there is none. */
int vapic_state_read(struct vp *vp, uint32_t reg, uint32_t *val);
int vapic_state_write(struct vp *vp, uint32_t reg, uint32_t val);

/** IA32_APIC_BASE in any legal state, whatever it was before; the BSP flag stays. -EINVAL. */
int vapic_base_set(struct vp *vp, uint64_t val);

/** Copies of IRR and ISR for dumps; either may be NULL. */
void vapic_dump(const struct vp *vp, uint32_t irr[VAPIC_VECTOR_WORDS],
                uint32_t isr[VAPIC_VECTOR_WORDS]);

/**
 * Supplied by the architecture code: LVT0, LVT1 or the software enable bit have changed. Called on
 * the LP that runs the VP, not at vapic_init().
 */
void vapic_lint_changed(struct vp *vp, uint32_t lvt0, uint32_t lvt1, bool enabled);

/** Call that again; on the LP that runs the VP. */
void vapic_lint_mirror(struct vp *vp);

#endif
