/* SPDX-License-Identifier: MIT */
#ifndef LIB_DECODE_H
#define LIB_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Architectural limit of an instruction's length (APM vol. 3, 1.2). */
#define INSN_MAX 15

/** Default operand and address size of the code segment. */
enum insn_mode {
    INSN_MODE_16, /* real mode, virtual-8086 mode, or CS.D = 0 */
    INSN_MODE_32, /* CS.D = 1 outside 64-bit mode */
    INSN_MODE_64, /* EFER.LMA and CS.L */
};

enum insn_op {
    INSN_MOV,
    INSN_MOVZX,
    INSN_MOVSX, /* and MOVSXD */
    INSN_AND,
    INSN_OR,
    INSN_XOR,
    INSN_TEST,
    INSN_CMP,
    INSN_BT,
    INSN_XCHG,
};

enum insn_seg { INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS };

#define INSN_NO_REG  0xFF /* no base or no index */
#define INSN_REG_RIP 0xFE /* base: address of the next instruction */

/** Effective address: seg.base + ((base + index * scale + disp) mod 2^(8 * size)). */
struct insn_addr {
    uint8_t seg;   /* enum insn_seg, default or override */
    uint8_t base;  /* enum gpr, INSN_NO_REG or INSN_REG_RIP */
    uint8_t index; /* enum gpr or INSN_NO_REG */
    uint8_t scale; /* 1, 2, 4, 8 */
    uint8_t size;  /* address size in bytes: 2, 4, 8 */
    int64_t disp;  /* sign-extended; a full 64-bit offset in MOV moffs */
};

/** An instruction with one memory operand; the other is a register or an immediate. */
struct insn {
    enum insn_op op;
    uint8_t length;   /* bytes, 1 .. INSN_MAX */
    uint8_t size;     /* of the memory operand: 1, 2, 4, 8 */
    uint8_t reg_size; /* of the register operand; differs from size for MOVZX and MOVSX */
    uint8_t reg;      /* enum gpr */
    bool reg_high;    /* the register operand is AH, CH, DH or BH of gpr `reg` */
    bool has_imm;     /* the other operand is imm, not reg */
    bool mem_dst;     /* the memory operand is the destination (MOV, AND, OR, XOR, XCHG) or the
                         first operand (TEST, CMP, BT) */
    bool lock;        /* LOCK prefix */
    uint64_t imm;     /* sign-extended to 64 bits */
    struct insn_addr addr;
};

/**
 * Decode the instruction at the start of `bytes`. Returns 0; -ENODATA if `count` bytes do
 * not settle it; -ENOTSUP if it is none that is known here or has no memory operand; -EINVAL if the
 * processor would raise #UD or #GP for it (LOCK misuse, more than 15 bytes). On errors *out is
 * untouched.
 */
int decode_insn(const uint8_t *bytes, size_t count, enum insn_mode mode, struct insn *out);

/**
 * MOV to CR8 at the start of `bytes`, in its 64-bit form or with a LOCK prefix as outside 64-bit
 * mode (APM vol. 3, "MOV CRn"). Returns its length with *reg the enum gpr of the source; -ENODATA
 * or -EINVAL as decode_length_simple().
 */
int decode_mov_to_cr8(const uint8_t *bytes, size_t n, enum insn_mode mode, uint8_t *reg);

/** Instructions that cause intercepts and have only a length to know. */
enum insn_simple {
    INSN_HLT,
    INSN_CPUID,
    INSN_RDMSR,
    INSN_WRMSR,
    INSN_VMMCALL,
    INSN_VMCALL,
    INSN_INVD,
    INSN_WBINVD,
    INSN_RDTSC,
    INSN_RDTSCP,
    INSN_RDPMC,
    INSN_MONITOR,
    INSN_MWAIT,
    INSN_XSETBV,
    INSN_PAUSE,
    INSN_IN,  /* not string */
    INSN_OUT, /* not string */
    INSN_INS,
    INSN_OUTS,
    INSN_SIMPLE_COUNT
};

/**
 * Length of the instruction at the start of `bytes`, prefixes included, if it is of that kind.
 * Returns 1 .. INSN_MAX; -ENODATA if `n` bytes are not enough; -EINVAL if it is another one.
 */
int decode_length_simple(const uint8_t *bytes, size_t n, enum insn_simple kind);

#endif
