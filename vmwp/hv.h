/* SPDX-License-Identifier: MIT */
#ifndef VMWP_HV_H
#define VMWP_HV_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/tlfs/register.h"
#include "lib/hosted/problem.h"

/*
 * All that the worker wants of a hypervisor. hv_mshv.c is this over /dev/mshv; hv_fake.c stands in
 * for it in tests. One thread builds and destroys; then each VP belongs to the thread that runs
 * it, and only hv_interrupt() may be called by any.
 */

struct hv;
struct hv_vp;

#define HV_FRACTION_ONE 0x10000U /* of reserve and cap: a whole processor for each VP */

/** What the scheduler is told; 0 leaves the hypervisor's default. */
struct hv_share {
    uint32_t weight;
    uint32_t reserve;
    uint32_t cap;
};

/** An interrupt for local APICs, as on the bus. */
struct hv_interrupt {
    uint32_t vector;
    uint32_t destination;
    uint8_t type; /* enum hv_interrupt_type (abi/tlfs/management.h) */
    bool logical;
    bool level;
};

/** The state of a processor that emulation needs. */
struct hv_cpu {
    uint64_t gpr[16]; /* encoding order: RAX, RCX, RDX, RBX, RSP, ... */
    uint64_t rip;
    uint64_t rflags;
    struct hv_x64_segment_register segment[6]; /* ES, CS, SS, DS, FS, GS */
    uint64_t cr0;
    uint64_t efer;
    unsigned cpl;
};

enum hv_exit_kind {
    HV_EXIT_IO,     /* a port */
    HV_EXIT_MEMORY, /* memory that is not mapped */
    HV_EXIT_EOI,    /* the end of a level-triggered interrupt */
    HV_EXIT_FATAL,  /* triple fault */
    HV_EXIT_CALL,   /* a hypercall for a connection that nobody serves below us */
    HV_EXIT_SINTS,  /* messages can go where hv_message_await() has waited */
    HV_EXIT_OTHER,  /* nothing that this machine knows; see type */
};

struct hv_exit_io {
    uint16_t port;
    uint8_t size; /* 1, 2, 4 */
    bool write;
    bool string;
    bool rep;
    uint64_t rax;
    uint64_t next_rip; /* 0: the length is not known */
};

struct hv_exit_memory {
    uint64_t gpa;
    uint64_t gva;
    bool gva_valid;
    bool write;
};

/** A hypercall; `input` is an address in guest memory, or the input itself if the control word says
 * that it is fast. */
struct hv_exit_call {
    uint64_t control;
    uint64_t input;
    uint64_t next_rip;
    bool long_mode; /* the result goes to RAX, else to EDX:EAX */
};

/** Why a VP stopped. The bytes at RIP are here if the hypervisor has given them. */
struct hv_exit {
    enum hv_exit_kind kind;
    uint32_t type; /* of the message */
    uint8_t byte_count;
    uint8_t bytes[16];
    union {
        struct hv_exit_io io;
        struct hv_exit_memory memory;
        struct hv_exit_call call;
        uint8_t vector; /* EOI */
        uint16_t sints; /* bit n: SINT n */
    };
};

/** Find the hypervisor. 0, or -errno with *why. */
int hv_open(struct hv **out, struct problem *why);
/** Also whatever is left of a partition. NULL is allowed. */
void hv_close(struct hv *hv);

/** Make the partition; there is none before. 0, or -errno with *why. */
int hv_create(struct hv *hv, const struct hv_share *share, struct problem *why);
/** It ends with its VPs, which nobody runs any more. hv_create() may follow. */
void hv_destroy(struct hv *hv);

/** Stop all VPs and the guest's clock where they are, or let both go on. 0, or -errno with *why. */
int hv_pause(struct hv *hv, bool pause, struct problem *why);

/** The guest's reference time (HV_X64_MSR_TIME_REF_COUNT), in 100 ns. Any thread. 0 or -errno. */
int hv_reference_time(struct hv *hv, uint64_t *time_100_ns);

/** RAM at `gpa`: `size` bytes at `host`. 0, or -errno with *why. */
int hv_map(struct hv *hv, uint64_t gpa, void *host, uint64_t size, struct problem *why);

/** Make VP `index`, whose APIC id is the same. VPs but 0 wait for INIT and SIPI. */
int hv_vp_create(struct hv *hv, uint32_t index, struct hv_vp **out, struct problem *why);

/** Before its first run. 0, or -errno with *why. */
int hv_vp_set(struct hv_vp *vp, const struct hv_register_assoc *regs, unsigned count,
              struct problem *why);

/** Run until there is something to do. 0, -EINTR (a signal), or another -errno. */
int hv_vp_run(struct hv_vp *vp, struct hv_exit *exit);

/** Registers after an exit; what is stored goes into the VP when it runs next: general registers,
 * RIP and RFLAGS. 0 or -errno. */
int hv_vp_load(struct hv_vp *vp, struct hv_cpu *cpu);
int hv_vp_store(struct hv_vp *vp, const struct hv_cpu *cpu);

/** The quick form for plain port accesses: the instruction is done, RAX is this. 0 or -errno. */
int hv_vp_finish_io(struct hv_vp *vp, uint64_t next_rip, uint64_t rax);

/** The hypercall of the last exit is done, with this result (TLFS "Hypercall Outputs"). */
int hv_vp_finish_call(struct hv_vp *vp, const struct hv_exit_call *call, uint64_t result);

#define HV_ACCESS_READ    1U
#define HV_ACCESS_WRITE   2U
#define HV_ACCESS_EXECUTE 4U

/** Translate a guest virtual address as the VP would now. 0; -EFAULT: a page fault, with *present
 * saying whether there was a page; -EAGAIN: page tables are not in memory now, and will be when the
 * VP has run into them; or another -errno. */
int hv_vp_translate(struct hv_vp *vp, uint64_t gva, unsigned access, uint64_t *gpa, bool *present);

#define HV_EXCEPTION_UD 6U
#define HV_EXCEPTION_GP 13U
#define HV_EXCEPTION_PF 14U

/** Raise an exception before the next instruction; `error` counts for GP and PF, `cr2` for PF. */
int hv_vp_raise(struct hv_vp *vp, uint32_t vector, uint32_t error, uint64_t cr2);

/** Any thread. 0 or -errno. */
int hv_interrupt(struct hv *hv, const struct hv_interrupt *i);

/*
 * The guest's SynIC. Any thread may call these.
 */

/** Connections that lead nowhere come as HV_EXIT_CALL from now on. 0, or -errno with *why. */
int hv_connections_take(struct hv *hv, struct problem *why);

/** Send a message of `size` bytes (at most 240). 0; -EAGAIN: no room, see hv_message_await();
 * -ENODEV: the guest does not listen; or another -errno. */
int hv_message_post(struct hv *hv, uint32_t vp, uint32_t sint, uint32_t type, const void *payload,
                    size_t size);

/** Be told once, by HV_EXIT_SINTS of that VP, when there is room for a message. 0 or -errno. */
int hv_message_await(struct hv *hv, uint32_t vp, uint32_t sint);

/** Set an event flag of a SINT, and interrupt the guest if it was clear. 0 or -errno. */
int hv_event_signal(struct hv *hv, uint32_t vp, uint32_t sint, uint32_t flag);

/** The guest's HvCallSignalEvent on a connection signals an eventfd from now on, or no longer. 0 or
 * -errno; -ENOTTY: this hypervisor cannot, and such calls come as HV_EXIT_CALL. */
int hv_event_connect(struct hv *hv, uint32_t connection, int fd);
int hv_event_disconnect(struct hv *hv, uint32_t connection, int fd);

#endif
