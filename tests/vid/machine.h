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

/** Makes the next run one that has no intercepts. */
const char *machine_spin(struct machine *m);
/** Such a run must end by a signal that is sent after some time. */
const char *machine_run_interrupted(struct machine *m, unsigned int after_us);

const char *machine_assert(struct machine *m, unsigned int vector);
const char *machine_route(struct machine *m, unsigned int gsi, unsigned int vector, bool level);

#endif
