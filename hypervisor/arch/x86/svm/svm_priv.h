/* SPDX-License-Identifier: MIT */
#ifndef SVM_SVM_PRIV_H
#define SVM_SVM_PRIV_H

#include "hypervisor/arch/x86/svm/vmcb.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/sched/timer.h"

/** What SVM needs on each LP. */
struct vendor_lp {
    hpa_t host_save;     /* VM_HSAVE_PA: written by VMRUN */
    hpa_t host_vmcb;     /* FS, GS, TR ... of the hypervisor, for VMLOAD */
    uint32_t asid_next;  /* next free ASID of this generation */
    uint32_t asid_limit; /* first ASID that does not exist */
    uint64_t generation; /* grows when the ASIDs of this LP are used up */
};

#define SVM_LENGTHS 61 /* slots; a prime spreads addresses */

/** A remembered instruction length, see svm_length.c. */
struct svm_length {
    uint64_t key;
    uint8_t kind; /* enum insn_simple */
    uint8_t length;
};

/** SVM's part of a VP; owned by the LP that runs the VP. */
struct vp_arch {
    struct vmcb *vmcb;
    hpa_t vmcb_pa;

    struct lp *asid_lp; /* where `generation` counts */
    uint64_t generation;
    bool flush_tlb;

    int virq_vector;           /* programmed for this entry, or -1 */
    bool virq_extint;          /* it came from the 8259, not from the APIC */
    _Atomic int extint_vector; /* acknowledged from the 8259, not delivered yet, or -1; any LP */

    bool nmi_pending;
    bool nmi_masked;   /* from delivery until the IRET is done */
    uint64_t iret_rip; /* an IRET was seen here: unmask when RIP has moved on */
    bool iret_pending;
    uint64_t shadow_rip;   /* TCG: where the interrupt shadow was seen last */
    unsigned shadow_tries; /* TCG: how often it may still be assumed there */
    struct timer retry;    /* look again soon: no exit tells when the shadow ends */

    uint64_t good_cr0, good_cr3, good_cr4; /* accepted by the last VMRUN */
    struct svm_length lengths[SVM_LENGTHS];
    bool recovering; /* the next refusal is final */
    bool changed;    /* registers were set from outside: see svm_set_consistent() */
};

_Static_assert(sizeof(struct vp_arch) <= PAGE_SIZE, "one page of a partition's memory");

/* svm_event.c */

/** Choose what this entry delivers: queued event, NMI, or the APIC's highest interrupt. */
void svm_events_prepare(struct vp *vp);

/** After an exit: what was delivered, what was interrupted in delivery. */
void svm_events_collect(struct vp *vp);

/** An IRET was intercepted: NMIs open once it is executed. */
void svm_events_iret(struct vp *vp);

/** Exceptions that can be injected, and those of them with an error code. */
bool svm_event_exception(uint8_t vector);
bool svm_event_has_error_code(uint8_t vector);

/** Such an exception as an exit, without an address. */
void svm_event_describe(const struct vmcb *c, uint8_t vector, uint32_t error_code, struct exit *e);

/* svm_set.c */

/**
 * Before the entry after registers were set from outside: settle what the processor derives, and
 * tell whether it would accept the state (APM volume 2 section 15.5.1).
 */
bool svm_set_consistent(struct vp *vp);

/* svm.c */
void svm_enter(struct vp_regs *regs, uint64_t guest_vmcb, uint64_t host_vmcb);

/** True under QEMU's TCG: V_TPR compares inclusively, the interrupt shadow is lost at VMRUN. */
extern bool svm_is_tcg;

/* svm_length.c */

/** CPUID 0x8000000A EDX. */
void svm_length_init(uint32_t svm_features);

/** Length of the instruction that exited, of a `kind` (enum insn_simple) that is `usual` long. */
uint8_t svm_insn_length(struct vp *vp, uint8_t kind, uint8_t usual);

/* svm_maps.c: permission maps of the parent partition, and of children; closed: every MSR exits. */
int svm_maps_init(void);
extern hpa_t svm_parent_iopm, svm_parent_msrpm;
extern hpa_t svm_child_iopm, svm_child_msrpm, svm_closed_msrpm;

#endif
