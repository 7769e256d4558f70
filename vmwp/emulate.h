/* SPDX-License-Identifier: MIT */
#ifndef VMWP_EMULATE_H
#define VMWP_EMULATE_H

#include "vmwp/hv.h"

/*
 * What an intercepted instruction would have done: loads and stores to device memory (MOV, MOVZX,
 * MOVSX, AND, OR, XOR, TEST, CMP, BT, XCHG; one element of MOVS, STOS and LODS at a time) and
 * string I/O. Everything comes from a hostile guest; the bounds are here.
 */

/** The machine as an instruction sees it. Errors other than -EFAULT end the machine. */
struct emulate_env {
    /* As hv_vp_translate(). */
    int (*translate)(void *ctx, uint64_t gva, unsigned access, uint64_t *gpa, bool *present);
    /* Physical accesses that do not cross a page: RAM, or a device for 1, 2, 4 and 8 bytes. What
       is neither reads as all ones. */
    void (*read)(void *ctx, uint64_t gpa, void *buf, unsigned len);
    void (*write)(void *ctx, uint64_t gpa, const void *buf, unsigned len);
    uint32_t (*port_read)(void *ctx, uint16_t port, unsigned size);
    void (*port_write)(void *ctx, uint16_t port, unsigned size, uint32_t value);
    void *ctx;
};

/** An exception for the guest. */
struct emulate_fault {
    uint32_t vector;
    uint32_t error;
    uint64_t cr2;
};

#define EMULATE_DONE  0 /* *cpu is the state after it, RIP included */
#define EMULATE_FAULT 1 /* *cpu is what had been done before; raise *fault */

/** Elements of a repeated INS or OUTS for one exit; then the guest may take interrupts. */
#define EMULATE_BATCH 1024U

/** EMULATE_DONE, EMULATE_FAULT, or -errno with *cpu unchanged. */
int emulate_memory(const struct emulate_env *env, const struct hv_exit *exit, struct hv_cpu *cpu,
                   struct emulate_fault *fault);
/** For string instructions; plain ones need no emulation. */
int emulate_string_io(const struct emulate_env *env, const struct hv_exit *exit, struct hv_cpu *cpu,
                      struct emulate_fault *fault);

#endif
