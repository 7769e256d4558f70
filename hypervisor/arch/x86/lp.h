/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_LP_H
#define ARCH_X86_LP_H

#include <stdatomic.h>
#include "hypervisor/arch/x86/trap.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/sched/sched.h"
#include "hypervisor/sched/timer_queue.h"
#include "lib/types.h"

#define LP_MAX 64

struct vp;
struct vendor_lp;
struct lp_call;

/**
 * A logical processor: everything that belongs to one hardware thread. GS points
 * at it while hypervisor code runs. Unless said otherwise only its own LP touches it.
 */
struct lp {
    struct lp *self; /* at offset 0, read through GS */
    uint32_t index;
    apic_id_t apic_id;
    _Atomic bool online;       /* set by the LP itself when it is ready; not the boot processor's */
    _Atomic bool stopped;      /* has seen the NMI of a panic */
    _Atomic bool need_resched; /* any LP; taken by the loop of this one */
    _Atomic bool idle;         /* waits for an interrupt; a hint for others */
    _Atomic bool nmi_seen;     /* set by the NMI handler, taken by the loop */
    bool runs_vps;             /* VPs may have their home here; init only, before the parent runs */
    bool extint;               /* LINT0 passes interrupts of an 8259 */
    bool timer_fired;          /* set by the timer vector, taken by the loop */
    uint64_t timer_deadline;   /* TSC for which the hardware timer is armed, or UINT64_MAX */
    uint64_t slice_end;        /* TSC at which the running VP must be looked at */
    struct vp *current;        /* the VP that ran last: its extended state is loaded; or NULL */
    _Atomic uint64_t quiet;    /* odd while this LP holds no reference: see lp_barrier() */
    struct vp *parent_vp;      /* the parent partition's VP whose interrupts arrive here */
    struct vendor_lp *vendor;
    _Atomic(struct lp_call *) call; /* set by any LP, taken by the loop of this one */
    struct sched_lp sched;          /* internally locked */
    struct timer_queue timers;      /* internally locked */
    struct trap_tables traps;       /* GDT and TSS */
    uint64_t stack_top;
    uint64_t irqs;
    uint64_t idle_tsc;
    struct trace_ring trace;
};

/** All LPs that came up, [0] is the boot processor; init only. */
extern struct lp *lps[LP_MAX];
extern uint32_t lp_count;

/** The LP that executes this. */
struct lp *this_lp(void);

/** Allocate and fill an LP with its stacks; -ENOMEM. */
int lp_create(uint32_t index, apic_id_t apic_id, struct lp **out);

/** Longest run of a VP while others wait, in microseconds; before any VP has a home. */
void lp_set_slice(uint32_t us);

/** Make `lp` the structure of the processor that executes this: GDT, TSS, GS. */
void lp_install(struct lp *lp);

/** Start every other processor in the firmware's table; a dead one is reported and left out. */
struct acpi_info;
int smp_start_all(const struct acpi_info *acpi, uint32_t max_lps, hpa_t trampoline);

/** Make `lp` call sched_pick() soon: before the next guest entry, or out of its idle wait. */
void lp_reschedule(struct lp *lp);

/** A VP that may move waits on `busy`, which goes on with another: wake an idle LP to take it. */
void lp_offer_work(const struct lp *busy);

/**
 * Run a function on another LP and wait for it; at once if it is this one. Only for an LP that has
 * no VPs, because two that have some could wait for each other.
 */
void lp_run_on(struct lp *lp, void (*fn)(void *arg), void *arg);

/*
 * What one LP takes away, another may still be using: a pointer to a page of a guest, to a VP or
 * to a partition that it found without a lock. Such references do not outlive the visit to the
 * hypervisor. Between begin and end an LP promises to hold none: it is in guest mode, idle, or
 * waits.
 */
void lp_quiet_begin(void);
void lp_quiet_end(void);

/**
 * Wait until every other LP has been quiet once since the call: what was made unreachable before
 * is referred to by nobody. The caller holds no lock and, besides its own, no such reference.
 */
void lp_barrier(void);

/** Hypervisor work for ever on this LP: scheduling, timers, idling. */
_Noreturn void lp_loop(void);

#endif
