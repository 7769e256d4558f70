/* SPDX-License-Identifier: MIT */
#ifndef VMWP_HV_FAKE_H
#define VMWP_HV_FAKE_H

#include "vmwp/hv.h"

/* A hypervisor for tests: VP 0 meets the exits of a script, the others and the end of the script
 * wait for a signal. */

#define FAKE_STEPS 64U

struct hv_fake {
    /* Set by the test. */
    struct hv_exit step[FAKE_STEPS]; /* taken in turn, also over resets */
    unsigned steps;
    struct hv_cpu cpu; /* what hv_vp_load() gives */
    int create_error;  /* of hv_create() */
    int fault;         /* of hv_vp_translate(): 0 or -EFAULT; else addresses are their own */
    /* What happened. */
    unsigned next;
    unsigned created, destroyed, vps;
    struct hv_share share;
    uint64_t mapped;
    unsigned registers;
    uint64_t boot_rip, boot_rsi;
    uint64_t finished_rip, finished_rax;
    struct hv_cpu stored;
    uint32_t raised, raised_error;
    uint64_t raised_cr2;
    unsigned interrupts;
    struct hv_interrupt last;
    uint8_t *ram; /* of the last hv_map() */
    bool paused;
    bool slot_full; /* the next hv_message_post() finds no room */
    unsigned posts, awaits;
    uint8_t post[240]; /* the last one */
    size_t post_size;
};

extern struct hv_fake hv_fake;

#endif
