/* SPDX-License-Identifier: MIT */
#ifndef VMWP_EMULATE_PRIV_H
#define VMWP_EMULATE_PRIV_H

#include <stddef.h>
#include "lib/decode.h"
#include "vmwp/emulate.h"

enum { EMU_RAX, EMU_RCX, EMU_RSI = 6, EMU_RDI = 7 };

/** The default sizes of the code that runs. */
enum insn_mode emulate_mode(const struct hv_cpu *cpu);

/** The bytes at RIP, at most INSN_MAX: how many could be read, or -errno; 0 with *fault set: none,
 * and that is a page fault. */
int emulate_fetch(const struct emulate_env *env, const struct hv_cpu *cpu, uint8_t *buf,
                  struct emulate_fault *fault);

/** Copy at a virtual address of a segment, across pages too. EMULATE_DONE, EMULATE_FAULT (nothing
 * has been copied) or -errno. */
int emulate_copy(const struct emulate_env *env, const struct hv_cpu *cpu, unsigned segment,
                 uint64_t offset, void *buf, unsigned len, unsigned access,
                 struct emulate_fault *fault);

enum string_op { STRING_MOVS, STRING_STOS, STRING_LODS, STRING_INS, STRING_OUTS };

struct string_insn {
    enum string_op op;
    uint8_t length;
    uint8_t size;         /* of an element */
    uint8_t address_size; /* of RSI, RDI and RCX */
    uint8_t segment;      /* of the source */
    bool rep;
};

/** 0, -ENODATA if `n` bytes are not enough, -ENOTSUP if it is another instruction. */
int string_decode(const uint8_t *bytes, size_t n, enum insn_mode mode, struct string_insn *out);

/** Whether there is an element left to do. */
bool string_more(const struct hv_cpu *cpu, const struct string_insn *s);
/** Offset in a segment that a register (EMU_RSI, EMU_RDI) holds. */
uint64_t string_offset(const struct hv_cpu *cpu, const struct string_insn *s, unsigned reg);
/** One element is done: step the registers it uses, and RIP after the last. */
void string_step(struct hv_cpu *cpu, const struct string_insn *s);
/** RIP is behind the instruction. */
void string_finish(struct hv_cpu *cpu, uint8_t length);

#endif
