/* SPDX-License-Identifier: MIT */
#ifndef VP_VP_H
#define VP_VP_H

#include <stdatomic.h>
#include "abi/tlfs/intercept.h"
#include "hypervisor/partition/partition.h"
#include "hypervisor/sched/sched.h"
#include "hypervisor/synic/stimer.h"
#include "hypervisor/synic/synic.h"
#include "hypervisor/vp/vapic.h"
#include "lib/list.h"
#include "lib/types.h"

struct lp;
struct xstate;
struct vp_arch; /* the vendor half's state: VMCB and friends */

/** A VP of the parent that waits for a child's; see handoff.c for who may write what. */
struct vp_handoff {
    struct vp *child;
    gpa_t out;             /* where the result goes */
    uint32_t state, event; /* the result, valid once it is over */
    _Atomic bool over;
};

#define VP_MTRR_RANGES 8U
#define VP_MTRR_FIXED  11U

/* A child's MTRR capabilities: eight variable ranges, fixed ones, write-combining. */
#define VP_MTRR_CAP           (VP_MTRR_RANGES | 1ULL << 8 | 1ULL << 10)
#define VP_MTRR_DEFTYPE_VALID 0xcffULL

/** A child's memory type ranges: kept for it, without effect, its memory is write-back. */
struct vp_mtrrs {
    uint64_t def_type;
    uint64_t base[VP_MTRR_RANGES], mask[VP_MTRR_RANGES];
    uint64_t fixed[VP_MTRR_FIXED]; /* 64K, 16K twice, 4K eight times */
};

/** Place of a child's VP in the list of those whose parent has not been told yet; see notify.h. */
struct vp_notice {
    struct list link;
    struct vp *to; /* the parent's VP whose list it is in, or NULL */
};

/** General registers in encoding order, then RIP and RFLAGS. */
enum gpr {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    GPR_COUNT
};

struct vp_regs {
    uint64_t gpr[GPR_COUNT];
    uint64_t rip;
    uint64_t rflags;
};

/** Requests to a VP, set by any LP and taken by the LP that runs it, before guest entry. */
enum vp_request {
    VP_REQ_NMI = 1 << 0,       /* deliver an NMI */
    VP_REQ_INIT = 1 << 1,      /* INIT: reset, wait for SIPI */
    VP_REQ_SIPI = 1 << 2,      /* start at sipi_vector if waiting for SIPI */
    VP_REQ_FLUSH_TLB = 1 << 3, /* flush this VP's linear mappings at next entry */
    VP_REQ_EVENT = 1 << 4,     /* interrupt state changed: look at the APIC again */
    VP_REQ_SYNIC = 1 << 5,     /* retry queued SynIC messages */
};

/** Why a child's VP stands still; it runs while there is no reason (TLFS "VP suspension"). */
enum vp_suspend {
    VP_SUSPEND_EXPLICIT = 1 << 0,  /* its parent wants so; also from creation on */
    VP_SUSPEND_INTERCEPT = 1 << 1, /* its parent has an intercept to handle */
    VP_SUSPEND_DELETED = 1 << 2,   /* its parent has deleted it */
};

enum vp_activity {
    VP_RUNNING,       /* runnable or running */
    VP_HALTED,        /* HLT or guest idle: woken by a deliverable interrupt, NMI or INIT */
    VP_IDLE_MSR,      /* HV_X64_MSR_GUEST_IDLE: woken by any pending interrupt, even with IF=0 */
    VP_WAIT_FOR_SIPI, /* after INIT */
    VP_HANDED_OFF,    /* of the parent: waits in HvCallDispatchVp, see handoff.h */
    VP_DEAD,          /* triple fault and the like */
};

/** Counters for the debug keys; each written by the LP that runs the VP, read without lock. */
enum vp_counter {
    VPC_EXITS,
    VPC_INTR,
    VPC_NMI,
    VPC_CPUID,
    VPC_MSR,
    VPC_HYPERCALL,
    VPC_HLT,
    VPC_IO,
    VPC_MMIO,
    VPC_GPA_FAULT,
    VPC_OTHER,
    VPC_INJECTED,
    VPC_EOI,
    VPC_LAZY_EOI,
    VPC_KICKS,
    VPC_INTERCEPTS, /* messages to the parent */
    VPC_COUNT
};

struct vp {
    struct partition *partition; /* init only */
    vp_index_t index;            /* init only */
    apic_id_t apic_id;           /* init only */
    struct vp_arch *arch;        /* owned by the LP that runs the VP */
    struct vp_regs regs;         /* owned by the LP that runs the VP */
    struct xstate *xstate;       /* the extended state, while no LP has it loaded */
    struct vapic apic;           /* see vapic.h */
    struct synic synic;          /* see synic.h */
    struct stimers stimers;      /* owned by the LP that runs the VP */
    struct sched_entity sched;   /* runqueue lock */

    _Atomic uint32_t requests; /* enum vp_request bits; any LP */
    _Atomic bool in_guest;     /* set by the running LP around guest mode */
    _Atomic uint64_t entries;  /* guest entries so far; written by the running LP */
    _Atomic(enum vp_activity) activity;
    _Atomic uint8_t sipi_vector;

    _Atomic bool blocked;     /* given up to the scheduler; set by its LP, see vp_request() */
    _Atomic bool loaded;      /* its extended state is in an LP's registers, or it runs there */
    _Atomic(struct lp *) lp;  /* where it runs or ran last */
    _Atomic uint32_t suspend; /* enum vp_suspend bits; only for a child, see vp_held() */
    _Atomic uint32_t pauses;  /* vp_pause() less vp_resume() */

    /* Pages that a child's VP shares with its parent, or NULL; changed while it is paused. */
    struct hv_vp_register_page *register_page;
    struct hv_message *message_page;
    struct vp_notice notice;         /* that an intercept waits for the parent, see notify.h */
    struct vp_handoff handoff;       /* of a VP of the parent */
    _Atomic(struct vp *) dispatcher; /* of a child's VP: who waits for it in HvCallDispatchVp */
    struct list notices;   /* of a VP of the parent: children's VPs that it has to be told of */
    struct vp_mtrrs mtrrs; /* of a child's VP; owned by the LP that runs it */

    uint64_t deliverability; /* HV_REGISTER_DELIVERABILITY_NOTIFICATIONS; as mtrrs */

    uint64_t assist_msr;        /* HV_X64_MSR_VP_ASSIST_PAGE; owned by the running LP */
    struct overlay assist_page; /* changed by the running LP, under the partition's lock */
    bool eoi_offered;           /* lazy EOI bit set for an interrupt that is not delivered yet */
    bool eoi_skippable;         /* lazy EOI bit set for the interrupt in service */
    uint64_t tsc_adjust;        /* IA32_TSC_ADJUST; owned by the running LP */
    uint64_t tsc_stood;         /* of the partition's stood_tsc, what its TSC knows; see below */

    uint64_t counters[VPC_COUNT];
    uint32_t vectors[256]; /* interrupts taken, by vector; counts like counters */
};

/** May the VP not run, whatever else it is: suspended or paused? */
static inline bool vp_held(const struct vp *vp)
{
    return atomic_load_explicit(&vp->suspend, memory_order_seq_cst) ||
           atomic_load_explicit(&vp->pauses, memory_order_seq_cst) ||
           __atomic_load_n(&vp->partition->properties.suspended, __ATOMIC_SEQ_CST);
}

static inline void vp_count(struct vp *vp, enum vp_counter c)
{
    vp->counters[c]++;
}

/**
 * Set request bits and make sure that the VP sees them before it executes another
 * instruction after the current exit: wakes it if halted, sends an IPI if it is
 * in guest mode on another LP. Callable on any LP, takes only scheduler locks.
 */
void vp_request(struct vp *vp, uint32_t requests);

/**
 * Build a VP in its partition, of the partition's memory: wait-for-SIPI, except index 0; attached
 * to no LP. 0, -EINVAL: impossible index, -EEXIST, -ENOMEM or -ENOSPC (see pool_alloc()).
 */
int vp_create(struct partition *p, vp_index_t index, apic_id_t apic_id, struct vp **out);

/** Free a child's VP that no LP knows any more: detached, and every LP has passed lp_barrier(). */
void vp_destroy(struct vp *vp);

/**
 * Keep a child's VP from running and wait until no LP runs it or holds any of its state, which then
 * belongs to the caller until vp_resume(). Nests. Not for the parent's VPs; no lock is held.
 */
void vp_pause(struct vp *vp);
void vp_resume(struct vp *vp);

/** Take from the VP's TSC what its partition's time has stood still for, as far as it has not been
 * taken yet. It is paused or has never run; under the partition's lock. */
void vp_tsc_follow(struct vp *vp);

/** Set or clear reasons to stand still. The VP itself may set some before it returns to its LP. */
void vp_suspend_set(struct vp *vp, uint32_t reasons);
void vp_suspend_clear(struct vp *vp, uint32_t reasons);

/** Give it a home and let it run there: VP 0 at once, the others when they get a SIPI. */
int vp_start(struct vp *vp, struct lp *home, const struct sched_params *params);

/**
 * Run it on this LP until it blocks, its slice ends or the LP must reschedule.
 * Interrupts of the host are taken on the way.
 */
void vp_run(struct vp *vp);

/** Chosen by the scheduler, but held: block it again. On the LP that chose it. */
void vp_give_up(struct vp *vp);

/** HV_X64_MSR_GUEST_IDLE: sleep until any interrupt is pending; not if the APIC takes none. */
void vp_idle(struct vp *vp);

/** HvCallDispatchVp has begun: sleep until handoff_over(). */
void vp_wait_handoff(struct vp *vp);

/** Long spin wait: let another VP of this LP go first once. */
void vp_yield(struct vp *vp);

/** HLT: sleep until an interrupt that can be taken, an NMI or INIT. */
void vp_halt(struct vp *vp);

/** Nothing more can run here (triple fault): the VP never becomes runnable again. */
void vp_die(struct vp *vp);

/**
 * Flush the linear mappings of the VPs in the mask (bit n of word n / 64 is VP n).
 * When it returns none of them uses an old translation.
 */
void vp_flush_tlb_sync(struct partition *p, const uint64_t mask[PARTITION_MAX_VPS / 64]);

/** Virtual processor run time in 100 ns units (HV_X64_MSR_VP_RUNTIME). */
uint64_t vp_run_time(const struct vp *vp);

/** Queue an exception for the next guest entry. error_code is used where the vector has one. */
void vp_inject_exception(struct vp *vp, uint8_t vector, uint32_t error_code);

/** Protection mode of the caller: current privilege level, and CR0.PE, EFER.LMA with CS.L. */
unsigned vp_cpl(const struct vp *vp);
bool vp_protected_mode(const struct vp *vp);
bool vp_long_mode(const struct vp *vp);

/** CR4.OSXSAVE of the guest, which CPUID mirrors. */
bool vp_cr4_osxsave(const struct vp *vp);

#define VECTOR_DB 1
#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_PF 14

#endif
