/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "lib/errno.h"
#include "vmwp/emulate_priv.h"

#define RFLAGS_DF BIT64(10)
#define REX_W     BIT(3)
#define REX_MASK  0xF0U
#define REX       0x40U

struct prefixes {
    bool operand, address, rep;
    uint8_t rex;
    uint8_t segment;
};

static bool prefix_note(struct prefixes *p, uint8_t b, enum insn_mode mode)
{
    static const uint8_t segments[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65}; /* as enum insn_seg */

    for (uint8_t i = 0; i < ARRAY_SIZE(segments); i++) {
        if (b != segments[i])
            continue;
        if (mode != INSN_MODE_64 || i >= INSN_FS)
            p->segment = i;
        return true;
    }
    p->operand |= b == 0x66;
    p->address |= b == 0x67;
    p->rep |= b == 0xF2 || b == 0xF3;
    return b == 0x66 || b == 0x67 || b == 0xF2 || b == 0xF3;
}

static int opcode_find(uint8_t opcode, enum string_op *op)
{
    switch (opcode & 0xFE) {
    case 0xA4:
        *op = STRING_MOVS;
        return 0;
    case 0xAA:
        *op = STRING_STOS;
        return 0;
    case 0xAC:
        *op = STRING_LODS;
        return 0;
    case 0x6C:
        *op = STRING_INS;
        return 0;
    case 0x6E:
        *op = STRING_OUTS;
        return 0;
    default:
        return -ENOTSUP;
    }
}

static uint8_t element_size(const struct prefixes *p, enum insn_mode mode, const uint8_t opcode,
                            enum string_op op)
{
    bool port = op == STRING_INS || op == STRING_OUTS;

    if (!(opcode & 1))
        return 1;
    if (p->rex & REX_W)
        return port ? 4 : 8;
    return (mode == INSN_MODE_16) == p->operand ? 4 : 2;
}

static uint8_t address_size(const struct prefixes *p, enum insn_mode mode)
{
    if (mode == INSN_MODE_64)
        return p->address ? 4 : 8;
    return (mode == INSN_MODE_16) == p->address ? 4 : 2;
}

int string_decode(const uint8_t *bytes, size_t n, enum insn_mode mode, struct string_insn *out)
{
    struct prefixes p = {.segment = INSN_DS};
    enum string_op op;
    size_t at = 0;

    for (; at < n && at < INSN_MAX; at++) {
        if (mode == INSN_MODE_64 && (bytes[at] & REX_MASK) == REX)
            p.rex = bytes[at];
        else if (prefix_note(&p, bytes[at], mode))
            p.rex = 0; /* only the last prefix may be REX */
        else
            break;
    }
    if (at == INSN_MAX)
        return -ENOTSUP;
    if (at == n)
        return -ENODATA;
    if (opcode_find(bytes[at], &op) < 0)
        return -ENOTSUP;
    *out = (struct string_insn){
        .op = op,
        .length = (uint8_t)(at + 1),
        .size = element_size(&p, mode, bytes[at], op),
        .address_size = address_size(&p, mode),
        .segment = p.segment,
        .rep = p.rep,
    };
    return 0;
}

static uint64_t masked(uint64_t v, unsigned size)
{
    return v & (~0ULL >> (64 - 8 * size));
}

/* Add to a register as the address size has it: words keep the rest, doublewords clear it. */
static void register_add(uint64_t *r, uint64_t delta, unsigned size)
{
    uint64_t v = masked(*r + delta, size);

    *r = size == 2 ? (*r & ~0xFFFFULL) | v : v;
}

bool string_more(const struct hv_cpu *cpu, const struct string_insn *s)
{
    return !s->rep || masked(cpu->gpr[EMU_RCX], s->address_size) != 0;
}

uint64_t string_offset(const struct hv_cpu *cpu, const struct string_insn *s, unsigned reg)
{
    return masked(cpu->gpr[reg], s->address_size);
}

void string_finish(struct hv_cpu *cpu, uint8_t length)
{
    enum insn_mode mode = emulate_mode(cpu);

    cpu->rip += length;
    if (mode != INSN_MODE_64)
        cpu->rip = masked(cpu->rip, mode == INSN_MODE_32 ? 4 : 2);
}

void string_step(struct hv_cpu *cpu, const struct string_insn *s)
{
    uint64_t delta = cpu->rflags & RFLAGS_DF ? 0 - (uint64_t)s->size : s->size;

    if (s->op == STRING_MOVS || s->op == STRING_LODS || s->op == STRING_OUTS)
        register_add(&cpu->gpr[EMU_RSI], delta, s->address_size);
    if (s->op == STRING_MOVS || s->op == STRING_STOS || s->op == STRING_INS)
        register_add(&cpu->gpr[EMU_RDI], delta, s->address_size);
    if (s->rep)
        register_add(&cpu->gpr[EMU_RCX], ~0ULL, s->address_size);
    if (!s->rep || !string_more(cpu, s))
        string_finish(cpu, s->length);
}
