/* SPDX-License-Identifier: MIT */
#include "lib/decode.h"
#include "lib/bits.h"
#include "lib/errno.h"

/* Encodings: APM vol. 3, chapter 1 and appendix A. */

enum { REG_AX, REG_BX = 3, REG_SP, REG_BP, REG_SI, REG_DI };

#define REX_W BIT(3)
#define REX_R BIT(2)
#define REX_X BIT(1)
#define REX_B BIT(0)

/* What is read so far; the first error sticks and later reads give 0. */
struct cursor {
    const uint8_t *bytes;
    size_t count;
    size_t pos;
    int err;
};

struct prefixes {
    bool operand_size, address_size, lock, has_seg;
    uint8_t seg;
    uint8_t rex; /* with bit 6, or 0 if there is none */
};

/* Forms of an opcode. */
#define F_BYTE    BIT(0) /* memory operand of 1 byte */
#define F_WORD    BIT(1) /* of 2 bytes */
#define F_DWORD   BIT(2) /* of 4 bytes, 2 if the operand size is 2 */
#define F_EXTEND  BIT(3) /* the register operand has the operand size all the same */
#define F_MEM_DST BIT(4)
#define F_IMM8    BIT(5) /* sign-extended */
#define F_IMM     BIT(6) /* of operand size, at most 4 bytes */
#define F_LOCK    BIT(7) /* LOCK is allowed */
#define F_MOFFS   BIT(8) /* address without ModRM, register AX */
#define F_LONG    BIT(9) /* only in 64-bit mode */

#define ANY 0xFF

struct opcode {
    uint16_t code; /* 0x0Fxx for two-byte opcodes */
    uint8_t group; /* ModRM.reg, or ANY where that names a register */
    enum insn_op op;
    uint32_t form;
};

#define LOGIC(base, digit, name)                                                                   \
    {(base), ANY, (name), F_BYTE | F_MEM_DST | F_LOCK},                                            \
        {(base) + 1, ANY, (name), F_MEM_DST | F_LOCK}, {(base) + 2, ANY, (name), F_BYTE},          \
        {(base) + 3, ANY, (name), 0},                                                              \
        {0x80, (digit), (name), F_BYTE | F_MEM_DST | F_IMM8 | F_LOCK},                             \
        {0x81, (digit), (name), F_MEM_DST | F_IMM | F_LOCK},                                       \
    {                                                                                              \
        0x83, (digit), (name), F_MEM_DST | F_IMM8 | F_LOCK                                         \
    }

static const struct opcode opcodes[] = {
    {0x88, ANY, INSN_MOV, F_BYTE | F_MEM_DST},
    {0x89, ANY, INSN_MOV, F_MEM_DST},
    {0x8A, ANY, INSN_MOV, F_BYTE},
    {0x8B, ANY, INSN_MOV, 0},
    {0xA0, ANY, INSN_MOV, F_BYTE | F_MOFFS},
    {0xA1, ANY, INSN_MOV, F_MOFFS},
    {0xA2, ANY, INSN_MOV, F_BYTE | F_MOFFS | F_MEM_DST},
    {0xA3, ANY, INSN_MOV, F_MOFFS | F_MEM_DST},
    {0xC6, 0, INSN_MOV, F_BYTE | F_MEM_DST | F_IMM8},
    {0xC7, 0, INSN_MOV, F_MEM_DST | F_IMM},
    LOGIC(0x08, 1, INSN_OR),
    LOGIC(0x20, 4, INSN_AND),
    LOGIC(0x30, 6, INSN_XOR),
    {0x38, ANY, INSN_CMP, F_BYTE | F_MEM_DST},
    {0x39, ANY, INSN_CMP, F_MEM_DST},
    {0x3A, ANY, INSN_CMP, F_BYTE},
    {0x3B, ANY, INSN_CMP, 0},
    {0x80, 7, INSN_CMP, F_BYTE | F_MEM_DST | F_IMM8},
    {0x81, 7, INSN_CMP, F_MEM_DST | F_IMM},
    {0x83, 7, INSN_CMP, F_MEM_DST | F_IMM8},
    {0x84, ANY, INSN_TEST, F_BYTE | F_MEM_DST},
    {0x85, ANY, INSN_TEST, F_MEM_DST},
    {0xF6, 0, INSN_TEST, F_BYTE | F_MEM_DST | F_IMM8},
    {0xF6, 1, INSN_TEST, F_BYTE | F_MEM_DST | F_IMM8},
    {0xF7, 0, INSN_TEST, F_MEM_DST | F_IMM},
    {0xF7, 1, INSN_TEST, F_MEM_DST | F_IMM},
    {0x86, ANY, INSN_XCHG, F_BYTE | F_MEM_DST | F_LOCK},
    {0x87, ANY, INSN_XCHG, F_MEM_DST | F_LOCK},
    {0x63, ANY, INSN_MOVSX, F_DWORD | F_EXTEND | F_LONG},
    {0x0FB6, ANY, INSN_MOVZX, F_BYTE | F_EXTEND},
    {0x0FB7, ANY, INSN_MOVZX, F_WORD | F_EXTEND},
    {0x0FBE, ANY, INSN_MOVSX, F_BYTE | F_EXTEND},
    {0x0FBF, ANY, INSN_MOVSX, F_WORD | F_EXTEND},
    {0x0FA3, ANY, INSN_BT, F_MEM_DST},
    {0x0FBA, 4, INSN_BT, F_MEM_DST | F_IMM8},
};

static uint8_t cursor_byte(struct cursor *c)
{
    if (c->err)
        return 0;
    if (c->pos >= INSN_MAX)
        c->err = -EINVAL;
    else if (c->pos >= c->count)
        c->err = -ENODATA;
    return c->err ? 0 : c->bytes[c->pos++];
}

/* Little-endian number of 1, 2, 4 or 8 bytes, zero-extended. */
static uint64_t cursor_number(struct cursor *c, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)cursor_byte(c) << (8 * i);
    return v;
}

static int64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned shift = 64 - 8 * size;

    return (int64_t)(v << shift) >> shift;
}

/* Note a legacy prefix; false if the byte is none. Repeat prefixes mean nothing here. */
static bool prefix_legacy(struct prefixes *p, uint8_t b, enum insn_mode mode)
{
    static const uint8_t segs[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65}; /* as enum insn_seg */

    for (uint8_t i = 0; i < ARRAY_SIZE(segs); i++) {
        if (b != segs[i])
            continue;
        if (mode == INSN_MODE_64 && i < INSN_FS)
            return true; /* ignored there */
        p->has_seg = true;
        p->seg = i;
        return true;
    }
    p->operand_size |= b == 0x66;
    p->address_size |= b == 0x67;
    p->lock |= b == 0xF0;
    return b == 0x66 || b == 0x67 || b == 0xF0 || b == 0xF2 || b == 0xF3;
}

/* Read all prefixes and return the first byte after them. */
static uint8_t prefixes_read(struct cursor *c, struct prefixes *p, enum insn_mode mode)
{
    *p = (struct prefixes){0};
    for (;;) {
        uint8_t b = cursor_byte(c);
        if (mode == INSN_MODE_64 && (b & 0xF0) == 0x40)
            p->rex = b;
        else if (prefix_legacy(p, b, mode))
            p->rex = 0; /* only the last prefix may be REX */
        else
            return b;
    }
}

static const struct opcode *opcode_find(uint16_t code, uint8_t modrm, enum insn_mode mode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
        const struct opcode *o = &opcodes[i];
        if (o->code != code || (o->group != ANY && o->group != (modrm >> 3 & 7)))
            continue;
        return (o->form & F_LONG) && mode != INSN_MODE_64 ? NULL : o;
    }
    return NULL;
}

static uint8_t operand_size(const struct prefixes *p, enum insn_mode mode)
{
    if (p->rex & REX_W)
        return 8;
    return (mode == INSN_MODE_16) == p->operand_size ? 4 : 2;
}

static uint8_t address_size(const struct prefixes *p, enum insn_mode mode)
{
    if (mode == INSN_MODE_64)
        return p->address_size ? 4 : 8;
    return (mode == INSN_MODE_16) == p->address_size ? 4 : 2;
}

/* ModRM with 16-bit addressing, APM vol. 3, table A-33. */
static void address_16(struct cursor *c, uint8_t modrm, struct insn_addr *a)
{
    static const uint8_t base[] = {REG_BX, REG_BX, REG_BP, REG_BP, REG_SI, REG_DI, REG_BP, REG_BX};
    uint8_t mod = modrm >> 6, rm = modrm & 7;

    a->base = base[rm];
    if (rm < 4)
        a->index = rm & 1 ? REG_DI : REG_SI;
    if (mod == 0 && rm == 6) {
        a->base = INSN_NO_REG;
        mod = 2;
    }
    if (mod)
        a->disp = sign_extend(cursor_number(c, mod), mod);
    if (a->base == REG_BP)
        a->seg = INSN_SS;
}

/* ModRM and SIB with 32-bit and 64-bit addressing, APM vol. 3, tables. */
static void address_32(struct cursor *c, uint8_t modrm, uint8_t rex, bool long_mode,
                       struct insn_addr *a)
{
    uint8_t mod = modrm >> 6, rm = modrm & 7;
    bool sib = rm == 4;

    if (sib) {
        uint8_t b = cursor_byte(c);
        uint8_t index = (b >> 3 & 7) | (rex & REX_X ? 8 : 0);
        a->scale = (uint8_t)(1U << (b >> 6));
        a->index = index == REG_SP ? INSN_NO_REG : index;
        rm = b & 7;
    }
    a->base = rm | (rex & REX_B ? 8 : 0);
    if (mod == 0 && rm == REG_BP) {
        a->base = long_mode && !sib ? INSN_REG_RIP : INSN_NO_REG;
        mod = 2;
    }
    if (mod)
        a->disp = sign_extend(cursor_number(c, mod == 1 ? 1 : 4), mod == 1 ? 1 : 4);
    if (a->base == REG_SP || a->base == REG_BP)
        a->seg = INSN_SS;
}

static void address_read(struct cursor *c, const struct prefixes *p, enum insn_mode mode,
                         uint8_t modrm, bool moffs, struct insn_addr *a)
{
    *a = (struct insn_addr){
        .seg = INSN_DS,
        .base = INSN_NO_REG,
        .index = INSN_NO_REG,
        .scale = 1,
        .size = address_size(p, mode),
    };
    if (moffs)
        a->disp = (int64_t)cursor_number(c, a->size);
    else if (a->size == 2)
        address_16(c, modrm, a);
    else
        address_32(c, modrm, p->rex, mode == INSN_MODE_64, a);
    if (p->has_seg)
        a->seg = p->seg;
}

static void sizes_set(struct insn *in, uint32_t form, uint8_t size)
{
    in->size = size;
    if (form & F_BYTE)
        in->size = 1;
    else if (form & F_WORD)
        in->size = 2;
    else if (form & F_DWORD)
        in->size = size == 2 ? 2 : 4;
    in->reg_size = form & F_EXTEND ? size : in->size;
}

static void register_set(struct insn *in, uint8_t modrm, uint8_t rex)
{
    in->reg = modrm >> 3 & 7;
    if (rex & REX_R)
        in->reg |= 8;
    /* Without REX, byte registers 4..7 are the second bytes of 0..3. */
    in->reg_high = in->reg_size == 1 && !rex && in->reg >= 4;
    if (in->reg_high)
        in->reg &= 3;
}

/* What follows the opcode. */
static void operands_read(struct cursor *c, const struct prefixes *p, enum insn_mode mode,
                          uint8_t modrm, uint32_t form, struct insn *in)
{
    sizes_set(in, form, operand_size(p, mode));
    in->mem_dst = form & F_MEM_DST;
    in->has_imm = form & (F_IMM | F_IMM8);
    in->lock = p->lock;
    address_read(c, p, mode, modrm, form & F_MOFFS, &in->addr);
    if (in->has_imm) {
        unsigned n = form & F_IMM8 ? 1 : (unsigned)min_u64(in->size, 4);
        in->imm = (uint64_t)sign_extend(cursor_number(c, n), n);
    } else if (!(form & F_MOFFS)) {
        register_set(in, modrm, p->rex);
    }
}

int decode_insn(const uint8_t *bytes, size_t count, enum insn_mode mode, struct insn *out)
{
    struct cursor c = {bytes, count, 0, 0};
    const struct opcode *o;
    struct insn in = {0};
    struct prefixes p;
    uint8_t modrm = 0;
    uint16_t code = prefixes_read(&c, &p, mode);

    if (code == 0x0F)
        code = (uint16_t)(0x0F00 | cursor_byte(&c));
    if (code < 0xA0 || code > 0xA3)
        modrm = cursor_byte(&c);
    if (c.err)
        return c.err;
    o = opcode_find(code, modrm, mode);
    if (!o || (!(o->form & F_MOFFS) && modrm >= 0xC0))
        return -ENOTSUP;
    if (p.lock && !(o->form & F_LOCK && o->form & F_MEM_DST))
        return -EINVAL;
    in.op = o->op;
    operands_read(&c, &p, mode, modrm, o->form, &in);
    if (c.err)
        return c.err;
    in.length = (uint8_t)c.pos;
    *out = in;
    return 0;
}

/* One opcode of a simple instruction; `tail` bytes of immediate follow. */
struct simple {
    enum insn_simple kind;
    uint8_t size;
    uint8_t bytes[3];
    uint8_t tail;
};

static const struct simple simples[] = {
    {INSN_HLT, 1, {0xF4}, 0},
    {INSN_CPUID, 2, {0x0F, 0xA2}, 0},
    {INSN_RDMSR, 2, {0x0F, 0x32}, 0},
    {INSN_WRMSR, 2, {0x0F, 0x30}, 0},
    {INSN_VMMCALL, 3, {0x0F, 0x01, 0xD9}, 0},
    {INSN_VMCALL, 3, {0x0F, 0x01, 0xC1}, 0},
    {INSN_INVD, 2, {0x0F, 0x08}, 0},
    {INSN_WBINVD, 2, {0x0F, 0x09}, 0},
    {INSN_RDTSC, 2, {0x0F, 0x31}, 0},
    {INSN_RDTSCP, 3, {0x0F, 0x01, 0xF9}, 0},
    {INSN_RDPMC, 2, {0x0F, 0x33}, 0},
    {INSN_MONITOR, 3, {0x0F, 0x01, 0xC8}, 0},
    {INSN_MWAIT, 3, {0x0F, 0x01, 0xC9}, 0},
    {INSN_XSETBV, 3, {0x0F, 0x01, 0xD1}, 0},
    {INSN_PAUSE, 1, {0x90}, 0}, /* with the repeat prefix, else it is NOP and no exit */
    {INSN_IN, 1, {0xE4}, 1},
    {INSN_IN, 1, {0xE5}, 1},
    {INSN_IN, 1, {0xEC}, 0},
    {INSN_IN, 1, {0xED}, 0},
    {INSN_OUT, 1, {0xE6}, 1},
    {INSN_OUT, 1, {0xE7}, 1},
    {INSN_OUT, 1, {0xEE}, 0},
    {INSN_OUT, 1, {0xEF}, 0},
    {INSN_INS, 1, {0x6C}, 0},
    {INSN_INS, 1, {0x6D}, 0},
    {INSN_OUTS, 1, {0x6E}, 0},
    {INSN_OUTS, 1, {0x6F}, 0},
};

/* Length in all, -EINVAL if it is another instruction, -ENODATA if that cannot be known. */
static int simple_match(const struct simple *s, struct cursor c, uint8_t first)
{
    if (s->bytes[0] != first)
        return -EINVAL;
    for (unsigned i = 1; i < s->size; i++) {
        uint8_t b = cursor_byte(&c);
        if (!c.err && b != s->bytes[i])
            return -EINVAL;
    }
    for (unsigned i = 0; i < s->tail; i++)
        (void)cursor_byte(&c);
    return c.err ? c.err : (int)c.pos;
}

int decode_length_simple(const uint8_t *bytes, size_t n, enum insn_simple kind)
{
    struct cursor c = {bytes, n, 0, 0};
    struct prefixes p;
    /* The mode only matters for REX, which is another instruction outside 64-bit mode: one
       that does not cause the caller's exit. */
    uint8_t first = prefixes_read(&c, &p, INSN_MODE_64);

    if (c.err)
        return c.err;
    for (unsigned i = 0; i < ARRAY_SIZE(simples); i++) {
        int length = simples[i].kind == kind ? simple_match(&simples[i], c, first) : -EINVAL;
        if (length != -EINVAL)
            return length;
    }
    return -EINVAL;
}

int decode_mov_to_cr8(const uint8_t *bytes, size_t n, enum insn_mode mode, uint8_t *reg)
{
    struct cursor c = {bytes, n, 0, 0};
    struct prefixes p;
    uint8_t first = prefixes_read(&c, &p, mode), second = cursor_byte(&c), modrm = cursor_byte(&c);
    unsigned cr;

    if (c.err)
        return c.err;
    cr = (modrm >> 3 & 7U) | (p.rex & REX_R ? 8U : 0U) | (p.lock ? 8U : 0U);
    if (first != 0x0F || second != 0x22 || cr != 8)
        return -EINVAL;
    *reg = (uint8_t)((modrm & 7U) | (p.rex & REX_B ? 8U : 0U));
    return (int)c.pos;
}
