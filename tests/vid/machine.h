/* SPDX-License-Identifier: MIT */
#ifndef TESTS_VID_MACHINE_H
#define TESTS_VID_MACHINE_H

/*
 * A tiny child of one VP, in real mode. Its program (machine.c), in order: OUT 0x3F8 'K'; IN 0x71,
 * OUT 0x80 of what came; a byte written to MACHINE_MMIO; CPUID 0, whose EBX goes to
 * MACHINE_CPUID_AT; the local APIC enabled; OUT 0x81 1; HLT. The handler of MACHINE_VECTOR does
 * OUT 0x82 2, ends the interrupt, OUT 0x83 3, and returns to the HLT.
 *
 * Functions return NULL or what went wrong.
 */

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include "abi/mshv.h"

#define MACHINE_MMIO     0x80000ULL
#define MACHINE_CPUID_AT 0x3000
#define MACHINE_VECTOR   0x30

struct machine {
    int device, partition, vp;
    unsigned char *bytes; /* guest memory from address 0, 512 KiB */
    struct mshv_user_mem_region memory;
    char debug_file[96]; /* the module's file about the partition */
};
#define MACHINE_NONE                                                                               \
    {                                                                                              \
        -1, -1, -1, NULL, {0}, ""                                                                  \
    }

/** A case of the test: NULL, or what went wrong; "skip: " and why it was not run. */
struct machine_case {
    const char *name;
    const char *(*run)(void);
};

/** errno of the last step of machine_build() that failed. */
extern int machine_errno;

const char *explain(const char *format, ...) __attribute__((format(printf, 1, 2)));
long read_number(const char *file, const char *name);
int write_number(const char *file, long value);

/** SIGALRM interrupts system calls, and does nothing else. */
void machine_catch_alarm(void);

const char *machine_open(struct machine *m);
const char *machine_create(struct machine *m);
const char *machine_initialize(struct machine *m);
const char *machine_add_vp(struct machine *m);

/** All of these, with memory, program and registers: ready to run. */
const char *machine_build(struct machine *m);
void machine_close(struct machine *m);

/** Runs to the next intercept, which must be this one, and completes it. */
const char *machine_expect_out(struct machine *m, unsigned int port, unsigned int value);
const char *machine_expect_in(struct machine *m, unsigned int port, unsigned int answer);
const char *machine_expect_write(struct machine *m, __u64 address);

/** Runs, completing what comes, until after the OUT to a port. */
const char *machine_go_to(struct machine *m, unsigned int port);

/** What a run came to: an OUT to a port, which is completed, or an access to memory. */
struct machine_exit {
    unsigned int type; /* of the message */
    unsigned int port;
    unsigned int value; /* EAX */
    bool memory;
    __u64 address;
    unsigned int access; /* HV_INTERCEPT_ACCESS_* */
};
const char *machine_next(struct machine *m, struct machine_exit *exit);

/**
 * Makes the next run one of 32 bits of memory, which ends with what it has read in EAX: a load; a
 * store; loads until there is something else than a value. Or one that goes through memory without
 * an end, with an OUT to 0x86 after each pass, and to 0x85 where it finds what it did not leave.
 */
const char *machine_start_load(struct machine *m, unsigned int address);
const char *machine_start_store(struct machine *m, unsigned int address, unsigned int value);
const char *machine_start_watch(struct machine *m, unsigned int address, unsigned int value);
const char *machine_start_patrol(struct machine *m, unsigned int start, unsigned int end,
                                 unsigned int step);

/** The end of such a run, or it from start to end: user space must not hear of its accesses. */
const char *machine_result(struct machine *m, unsigned int *value);
const char *machine_load(struct machine *m, unsigned int address, unsigned int *value);
const char *machine_store(struct machine *m, unsigned int address, unsigned int value);

/** HvCallSignalEvent from start to end, and its status. */
const char *machine_signal(struct machine *m, unsigned int connection, unsigned int *status);

/** Gives the child memory; FLAGS: bits of MSHV_SET_MEM_BIT_*. */
const char *machine_give(struct machine *m, unsigned int address, void *memory, size_t size,
                         unsigned int flags);

/** Has the hypervisor track which pages are written. */
const char *machine_track(struct machine *m);

/** Makes the next run one that has no intercepts. */
const char *machine_spin(struct machine *m);
/** Such a run must end by a signal that is sent after some time. */
const char *machine_run_interrupted(struct machine *m, unsigned int after_us);

const char *machine_assert(struct machine *m, unsigned int vector);
const char *machine_route(struct machine *m, unsigned int gsi, unsigned int vector, bool level);

#endif
