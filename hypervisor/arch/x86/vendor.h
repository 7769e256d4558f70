/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_VENDOR_H
#define ARCH_X86_VENDOR_H

#include "hypervisor/vp/vp.h"
#include "lib/types.h"

/*
 * What the processor's virtualization extension must do for the rest of the
 * hypervisor. One half is linked: svm/ (AMD), later vmx/ (Intel). Everything
 * here is called on the LP that runs the VP, unless said otherwise.
 */

struct lp;

enum exit_reason {
    EXIT_NONE,      /* nothing left to do: an interrupt of the host, a re-injected event */
    EXIT_INTR,      /* physical interrupt, taken when interrupts are next enabled */
    EXIT_NMI,       /* physical NMI, likewise */
    EXIT_CPUID,     /* CPUID */
    EXIT_MSR,       /* RDMSR or WRMSR: msr.write */
    EXIT_HYPERCALL, /* VMMCALL */
    EXIT_HLT,       /* HLT */
    EXIT_IO,        /* IN, OUT, INS, OUTS */
    EXIT_GPA_FAULT, /* access that the nested tables do not allow */
    EXIT_CR8_WRITE, /* MOV to CR8, where the processor does not do it alone */
    EXIT_UNDEFINED, /* an instruction that this partition does not have: #UD */
    EXIT_FORBIDDEN, /* an instruction that faults here: #GP */
    EXIT_CACHE,     /* INVD, or WBINVD of a child */
    EXIT_EXCEPTION, /* one that the parent of a child wants to hear of; it is not delivered */
    EXIT_SHUTDOWN,  /* triple fault */
    EXIT_INVALID,   /* guest state that the processor refuses */
};

struct exit {
    enum exit_reason reason;
    uint64_t code;    /* vendor's own number, for logs and traces */
    uint8_t insn_len; /* of the exiting instruction where the reason implies one, else 0 */
    union {
        struct {
            bool write;
        } msr;
        struct {
            uint16_t port;
            uint8_t size; /* 1, 2, 4 */
            bool in, string, rep;
        } io;
        struct {
            gpa_t gpa;
            bool write, exec, table_walk; /* table_walk: the guest's page tables lie there */
        } fault;
        struct {
            uint64_t address; /* of a page fault, else 0 */
            uint32_t error_code;
            uint8_t vector;
            bool has_error_code;
        } exception;
    };
};

enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/** A segment register in TLFS layout: attributes = type, S, DPL, P, AVL, L, D, G in bits 0-7,
 * 12-15. */
struct segment {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t attributes;
};

enum vreg {
    VREG_CR0,
    VREG_CR2,
    VREG_CR3,
    VREG_CR4,
    VREG_EFER,
    VREG_PAT,
    VREG_GDTR,
    VREG_IDTR,
    VREG_GDTR_LIMIT,
    VREG_IDTR_LIMIT,
    VREG_DR6,
    VREG_DR7,
    VREG_STAR,
    VREG_LSTAR,
    VREG_CSTAR,
    VREG_SFMASK,
    VREG_KERNEL_GS_BASE,
    VREG_SYSENTER_CS,
    VREG_SYSENTER_EIP,
    VREG_SYSENTER_ESP,
    VREG_RFLAGS,
};

/** An exception, interrupt or NMI whose delivery stands before the next instruction. */
struct vp_event {
    bool valid;
    uint8_t type; /* enum hv_interruption_type */
    uint8_t vector;
    bool has_error_code;
    uint32_t error_code;
};

/** 0 if this processor can run guests; else -ENODEV and `*why` says what is missing. */
int vendor_probe(const char **why);

/** True in QEMU's TCG, whose defects need care beyond what vendor code hides (decision 3). */
bool vendor_is_tcg(void);

/** Switch the extension on for this LP; after lp_install(), whose GS and TR it remembers. */
int vendor_lp_enable(struct lp *lp);

/** Let the parent's accesses to these I/O ports exit; before it starts. */
void vendor_intercept_ports(uint16_t first, unsigned count);

/** Allocate and free the vendor's part of a VP. The VP starts in its reset state. */
int vendor_vp_create(struct vp *vp);
void vendor_vp_destroy(struct vp *vp);

/**
 * Exit where the partition's parent wants to hear of it (struct partition_intercepts); the VP does
 * not run. A VP that is reset does so by itself.
 */
void vendor_vp_update_intercepts(struct vp *vp);

/** State after INIT (APM volume 2 section 14.1.3), then the start of a SIPI with this vector. */
void vendor_vp_reset(struct vp *vp);
void vendor_vp_start_sipi(struct vp *vp, uint8_t vector);

/** 64-bit mode with flat segments, interrupts off: where a loader would jump from. */
void vendor_vp_start_long(struct vp *vp, uint64_t rip, uint64_t cr3, gpa_t gdt, uint16_t gdt_limit);

/**
 * Enter the guest once and describe why it left. Takes pending events, the APIC's
 * highest interrupt and flush requests into account; returns EXIT_NONE at once
 * when a request arrived meanwhile.
 */
void vendor_vp_run(struct vp *vp, struct exit *exit);

/** Wait for an interrupt, with no gap between enabling and waiting; returns with them disabled. */
void vendor_wait(void);

/** An event waits to be delivered at the next entry; the next instruction is in a shadow. */
bool vendor_vp_event_pending(const struct vp *vp);
bool vendor_vp_in_shadow(const struct vp *vp);

/** The exiting instruction is done: move RIP on and end the interrupt shadow. */
void vendor_vp_skip(struct vp *vp, unsigned len);

uint64_t vendor_vp_get(const struct vp *vp, enum vreg r);
void vendor_vp_get_segment(const struct vp *vp, enum seg s, struct segment *out);

/**
 * Set registers from outside; the VP does not run. -EINVAL: a value that the processor would
 * refuse, or that this partition must not have. Registers that depend on each other may be set in
 * any order: whether they fit together is decided at the next entry, where EXIT_INVALID says no.
 */
int vendor_vp_set(struct vp *vp, enum vreg r, uint64_t v);
int vendor_vp_set_segment(struct vp *vp, enum seg s, const struct segment *from);

/** The event that waits for the next entry, and another one or none instead of it; -EINVAL. */
void vendor_vp_get_event(const struct vp *vp, struct vp_event *out);
int vendor_vp_set_event(struct vp *vp, const struct vp_event *e);

/** HV_INTERRUPT_STATE_* bits: what holds interrupts and NMIs back. */
uint64_t vendor_vp_interrupt_state(const struct vp *vp);
void vendor_vp_set_interrupt_state(struct vp *vp, uint64_t state);

/** Guest writes of EFER and PAT; -EPERM for a value that must fault. */
int vendor_vp_set_efer(struct vp *vp, uint64_t v);
int vendor_vp_set_pat(struct vp *vp, uint64_t v);

/** Add to the guest's time stamp counter. */
void vendor_vp_shift_tsc(struct vp *vp, uint64_t delta);
uint64_t vendor_vp_tsc_offset(const struct vp *vp);

/** An interrupt acknowledged from the 8259 is waiting for this VP; bypasses the APIC. Any LP. */
void vendor_vp_set_extint(struct vp *vp, uint8_t vector);
bool vendor_vp_extint_pending(const struct vp *vp);
void vendor_vp_clear_extint(struct vp *vp);

/** Its vector, or -1; and drop it. */
int vendor_vp_extint(const struct vp *vp);
void vendor_vp_clear_extint(struct vp *vp);

/** Make an NMI pending; flush the VP's linear mappings at its next entry. */
void vendor_vp_nmi(struct vp *vp);
void vendor_vp_flush(struct vp *vp);

/** True if an interrupt could be taken at the present instruction: IF=1, no shadow. */
bool vendor_vp_interruptible(const struct vp *vp);

/** The same of an NMI: none in service, no shadow, no event on its way. */
bool vendor_vp_nmi_deliverable(struct vp *vp);

/** The instruction that calls the hypervisor, followed by a return, for the hypercall page. */
const uint8_t *hypercall_page_code(size_t *len);

/** One line of vendor state for a dump, into `buf`. */
void vendor_vp_describe(const struct vp *vp, char *buf, size_t len);

#endif
