/* SPDX-License-Identifier: MIT */
#ifndef SYNIC_STIMER_H
#define SYNIC_STIMER_H

#include "abi/tlfs/synic.h"
#include "hypervisor/sched/timer.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct vp;

/*
 * The four synthetic timers of one VP (TLFS "Synthetic Timers"). The lock exists
 * because a callback runs on the LP that armed the timer, which need not be the
 * VP's any more; its rank is directly below the SynIC's.
 */

#define STIMER_MIN_PERIOD_REF                                                                      \
    200 /* 20 us in 100 ns units: a bound on interrupts from one guest                             \
         */

struct stimer {
    uint64_t config;
    uint64_t count;   /* absolute time or period, 100 ns units, as written */
    uint64_t expiry;  /* next expiry in partition reference time, 0 = not running */
    uint64_t expired; /* expiry of the message that waits for its slot */
    bool msg_waiting; /* `expired` is valid */
    uint8_t index;    /* init only */
    struct timer timer;
};

struct stimers {
    struct spinlock lock; /* protects all */
    struct stimer timer[HV_SYNIC_STIMER_COUNT];
};

/** Power-up state: all stopped. */
void stimers_init(struct vp *vp);

/** The same for a VP that is being reset. */
void stimers_reset(struct vp *vp);

/** The partition's reference time was frozen, let go or set: wait for the right moment again. */
void stimers_time_changed(struct vp *vp);

/**
 * HV_X64_MSR_STIMER0_CONFIG .. STIMER3_COUNT. -EPERM means #GP: not such a register, or direct mode
 * with a vector below 16.
 */
int stimer_msr_read(struct vp *vp, uint32_t msr, uint64_t *val);
int stimer_msr_write(struct vp *vp, uint32_t msr, uint64_t val);

/*
 * All four from outside, while the VP does not run. Setting is -EINVAL for a configuration that
 * the guest could not write; then nothing has changed. A periodic timer keeps its phase.
 */
struct hv_synthetic_timers_state;
void stimers_state_get(struct vp *vp, struct hv_synthetic_timers_state *out);
int stimers_state_set(struct vp *vp, const struct hv_synthetic_timers_state *in);

/** Send the expiry messages that found their slot busy; called by synic_retry(). */
void stimers_retry(struct vp *vp);

#endif
