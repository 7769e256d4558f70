/* SPDX-License-Identifier: MIT */
#include "lib/execute.h"
#include "lib/bits.h"
#include "lib/errno.h"

#define OPERAND_PAGE 4096ULL

#define FLAG_CF BIT64(0)
#define FLAG_PF BIT64(2)
#define FLAG_AF BIT64(4)
#define FLAG_ZF BIT64(6)
#define FLAG_SF BIT64(7)
#define FLAG_OF BIT64(11)
#define FLAGS   (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static uint64_t size_mask(unsigned size)
{
    return ~0ULL >> (64 - 8 * size);
}

static uint64_t size_sign(unsigned size)
{
    return 1ULL << (8 * size - 1);
}

static uint64_t sign_extend(uint64_t v, unsigned size)
{
    return v & size_sign(size) ? v | ~size_mask(size) : v;
}

/* The operand that is not in memory, at most `size` bytes of it. */
static uint64_t operand_read(const uint64_t *gpr, const struct insn *in)
{
    uint64_t v = in->has_imm ? in->imm : gpr[in->reg] >> (in->reg_high ? 8 : 0);

    return v & size_mask(in->size);
}

/* Bytes and words leave the rest of the register alone, doublewords clear the upper half. */
static void register_write(uint64_t *gpr, const struct insn *in, uint64_t v)
{
    unsigned shift = in->reg_high ? 8 : 0;
    uint64_t mask = in->reg_size < 4 ? size_mask(in->reg_size) << shift : ~0ULL;
    uint64_t *r = &gpr[in->reg];

    *r = (*r & ~mask) | ((v & size_mask(in->reg_size)) << shift);
}

/* SF, ZF and PF of a result. */
static uint64_t result_flags(uint64_t v, unsigned size)
{
    return (v & size_mask(size) ? 0 : FLAG_ZF) | (v & size_sign(size) ? FLAG_SF : 0) |
           (__builtin_popcountll(v & 0xFF) & 1 ? 0 : FLAG_PF);
}

static uint64_t compare_flags(uint64_t a, uint64_t b, unsigned size)
{
    uint64_t d = (a - b) & size_mask(size);
    uint64_t overflow = (a ^ b) & (a ^ d);

    return result_flags(d, size) | (a < b ? FLAG_CF : 0) | ((a ^ b ^ d) & 0x10 ? FLAG_AF : 0) |
           (overflow & size_sign(size) ? FLAG_OF : 0);
}

static void flags_set(uint64_t *rflags, uint64_t mask, uint64_t v)
{
    *rflags = (*rflags & ~mask) | v;
}

/* The result of AND, OR and XOR, and of TEST, which does not store it. */
static uint64_t logic(enum insn_op op, uint64_t a, uint64_t b)
{
    switch (op) {
    case INSN_OR:
        return a | b;
    case INSN_XOR:
        return a ^ b;
    default:
        return a & b;
    }
}

/* The instructions that only read memory and then cannot fail. */
static void finish_read(uint64_t *gpr, uint64_t *rflags, const struct insn *in, uint64_t mem)
{
    uint64_t other = operand_read(gpr, in);

    switch (in->op) {
    case INSN_MOV:
    case INSN_MOVZX:
        register_write(gpr, in, mem);
        break;
    case INSN_MOVSX:
        register_write(gpr, in, sign_extend(mem, in->size));
        break;
    case INSN_CMP:
        flags_set(rflags, FLAGS,
                  in->mem_dst ? compare_flags(mem, other, in->size)
                              : compare_flags(other, mem, in->size));
        break;
    case INSN_BT:
        /* `offset` is where the processor accessed memory: only the bit inside is left. */
        flags_set(rflags, FLAG_CF, mem >> (other & (8U * in->size - 1)) & 1);
        break;
    default:
        mem = logic(in->op, mem, other);
        if (in->op != INSN_TEST)
            register_write(gpr, in, mem);
        flags_set(rflags, FLAGS, result_flags(mem, in->size));
        break;
    }
}

/* Whether the instruction stores to memory. */
static bool stores(const struct insn *in)
{
    return in->mem_dst && in->op != INSN_TEST && in->op != INSN_CMP && in->op != INSN_BT;
}

int insn_execute(uint64_t *gpr, uint64_t *rflags, const struct insn *in, const struct mmio_ops *ops,
                 void *ctx, uint64_t offset)
{
    uint64_t other = operand_read(gpr, in);
    uint64_t mem = 0, result;
    int err;

    if (offset > OPERAND_PAGE - in->size)
        return -EINVAL;
    if (in->op == INSN_MOV && in->mem_dst)
        return ops->write(ctx, offset, in->size, other);
    err = ops->read(ctx, offset, in->size, &mem);
    if (err < 0)
        return err;
    mem &= size_mask(in->size);
    if (!stores(in)) {
        finish_read(gpr, rflags, in, mem);
        return 0;
    }
    result = in->op == INSN_XCHG ? other : logic(in->op, mem, other);
    err = ops->write(ctx, offset, in->size, result);
    if (err < 0)
        return err;
    if (in->op == INSN_XCHG)
        register_write(gpr, in, mem);
    else
        flags_set(rflags, FLAGS, result_flags(result, in->size));
    return 0;
}
