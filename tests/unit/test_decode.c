/* SPDX-License-Identifier: MIT */
/* The MMIO decoder against an assembler's output, the emulator against this processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hypervisor/intercept/decode.h"
#include "hypervisor/intercept/emulate.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/errno.h"

/* As in decode_table.inc: struct insn with its members in the order that reads best there. */
struct meaning {
    enum insn_op op;
    uint8_t length, size, reg_size, reg;
    bool reg_high, has_imm, mem_dst, lock;
    uint64_t imm;
    struct insn_addr addr;
};

static const struct row {
    enum insn_mode mode;
    const char *text;
    unsigned length;
    const char *bytes;
    struct meaning means;
} rows[] = {
#include "tests/unit/decode_table.inc"
};

static void check_meaning(const struct row *r, const struct insn *in)
{
    const struct meaning *m = &r->means;
    bool same = in->op == m->op && in->length == m->length && in->size == m->size &&
                in->reg_size == m->reg_size && in->has_imm == m->has_imm &&
                in->mem_dst == m->mem_dst && in->lock == m->lock && in->imm == m->imm;

    same = same && (m->has_imm || (in->reg == m->reg && in->reg_high == m->reg_high));
    same = same && in->addr.seg == m->addr.seg && in->addr.base == m->addr.base &&
           in->addr.index == m->addr.index && in->addr.scale == m->addr.scale &&
           in->addr.size == m->addr.size && in->addr.disp == m->addr.disp;
    if (!same)
        fail_msg("%s (mode %u) is understood differently", r->text, (unsigned)r->mode);
}

static void test_table(void **state)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *r = &rows[i];
        uint8_t bytes[INSN_MAX + 1];
        struct insn in;

        memset(bytes, 0xCC, sizeof(bytes));
        memcpy(bytes, r->bytes, r->length);
        if (decode_insn(bytes, INSN_MAX, r->mode, &in) != 0)
            fail_msg("%s (mode %u) is refused", r->text, (unsigned)r->mode);
        check_meaning(r, &in);
        for (unsigned n = 0; n < r->length; n++)
            assert_int_equal(decode_insn(bytes, n, r->mode, &in), -ENODATA);
    }
}

/* Prefixes in front until the instruction has 15 bytes, then one more. */
static void test_length_limit(void **state)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *r = &rows[i];
        uint8_t bytes[32];
        struct insn in;

        memset(bytes, 0xF2, sizeof(bytes));
        memcpy(bytes + INSN_MAX - r->length, r->bytes, r->length);
        assert_int_equal(decode_insn(bytes, sizeof(bytes), r->mode, &in), 0);
        assert_int_equal(in.length, INSN_MAX);
        memset(bytes, 0xF2, sizeof(bytes));
        memcpy(bytes + INSN_MAX + 1 - r->length, r->bytes, r->length);
        assert_int_equal(decode_insn(bytes, sizeof(bytes), r->mode, &in), -EINVAL);
    }
}

static void test_refused(void **state)
{
    static const struct {
        enum insn_mode mode;
        int err;
        uint8_t bytes[6];
    } bad[] = {
        {INSN_MODE_64, -ENOTSUP, {0x89, 0xC3}},             /* mov ebx, eax */
        {INSN_MODE_64, -ENOTSUP, {0x0F, 0xB6, 0xC0}},       /* movzx eax, al */
        {INSN_MODE_64, -ENOTSUP, {0xAA}},                   /* stosb */
        {INSN_MODE_64, -ENOTSUP, {0xF3, 0xA5}},             /* rep movsd */
        {INSN_MODE_64, -ENOTSUP, {0x01, 0x03}},             /* add [rbx], eax */
        {INSN_MODE_64, -ENOTSUP, {0x80, 0x03, 1}},          /* add byte [rbx], 1 */
        {INSN_MODE_64, -ENOTSUP, {0xC7, 0x0B}},             /* group 11, not /0 */
        {INSN_MODE_64, -ENOTSUP, {0xF7, 0x1B}},             /* neg dword [rbx] */
        {INSN_MODE_64, -ENOTSUP, {0x0F, 0xBA, 0x2B, 1}},    /* bts dword [rbx], 1 */
        {INSN_MODE_64, -ENOTSUP, {0x0F, 0x28, 0x03}},       /* movaps xmm0, [rbx] */
        {INSN_MODE_64, -ENOTSUP, {0xC5, 0xF8, 0x28, 0x03}}, /* the same with VEX */
        {INSN_MODE_32, -ENOTSUP, {0x63, 0x03}},             /* arpl [ebx], ax */
        {INSN_MODE_32, -ENOTSUP, {0x48, 0x89, 0x03}},       /* dec eax */
        {INSN_MODE_64, -EINVAL, {0xF0, 0x89, 0x03}},        /* lock mov */
        {INSN_MODE_64, -EINVAL, {0xF0, 0x23, 0x03}},        /* lock and eax, [rbx] */
        {INSN_MODE_64, -EINVAL, {0xF0, 0x39, 0x03}},        /* lock cmp */
        {INSN_MODE_64, -EINVAL, {0xF0, 0x85, 0x03}},        /* lock test */
        {INSN_MODE_64, -EINVAL, {0xF0, 0x0F, 0xA3, 0x03}},  /* lock bt */
        {INSN_MODE_64, -EINVAL, {0xF0, 0xA1, 0x03}},        /* lock mov eax, moffs */
        {INSN_MODE_64, -EINVAL, {0xF0, 0x0F, 0xB7, 0x03}},  /* lock movzx */
    };
    struct insn in = {.length = 99};

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t bytes[INSN_MAX] = {0};
        memcpy(bytes, bad[i].bytes, sizeof(bad[i].bytes));
        assert_int_equal(decode_insn(bytes, INSN_MAX, bad[i].mode, &in), bad[i].err);
    }
    assert_int_equal(in.length, 99);
}

static void test_prefix_order(void **state)
{
    struct insn in;

    /* REX.W before another prefix is lost. */
    assert_int_equal(decode_insn((const uint8_t *)"\x48\x66\x89\x03", 4, INSN_MODE_64, &in), 0);
    assert_int_equal(in.size, 2);
    /* REX.W beats the operand size prefix. */
    assert_int_equal(decode_insn((const uint8_t *)"\x66\x48\x89\x03", 4, INSN_MODE_64, &in), 0);
    assert_int_equal(in.size, 8);
    /* DS does not undo FS in 64-bit mode, it does elsewhere. */
    assert_int_equal(decode_insn((const uint8_t *)"\x64\x3e\x89\x03", 4, INSN_MODE_64, &in), 0);
    assert_int_equal(in.addr.seg, INSN_FS);
    assert_int_equal(decode_insn((const uint8_t *)"\x64\x3e\x89\x03", 4, INSN_MODE_32, &in), 0);
    assert_int_equal(in.addr.seg, INSN_DS);
    /* TEST has an alias; RIP-relative also with 32-bit addresses; both only in long mode. */
    assert_int_equal(decode_insn((const uint8_t *)"\xf6\x0b\x81", 3, INSN_MODE_64, &in), 0);
    assert_int_equal(in.op, INSN_TEST);
    assert_int_equal(
        decode_insn((const uint8_t *)"\x67\x89\x05\xfc\xff\xff\xff", 7, INSN_MODE_64, &in), 0);
    assert_int_equal(in.addr.base, INSN_REG_RIP);
    assert_int_equal(in.addr.disp, -4);
    assert_int_equal(decode_insn((const uint8_t *)"\x89\x05\xfc\xff\xff\xff", 6, INSN_MODE_32, &in),
                     0);
    assert_int_equal(in.addr.base, INSN_NO_REG);
}

static void test_simple_lengths(void **state)
{
    static const struct {
        enum insn_simple kind;
        int length;
        const char *bytes;
    } good[] = {
        {INSN_HLT, 1, "\xf4"},
        {INSN_HLT, 2, "\x66\xf4"},
        {INSN_CPUID, 2, "\x0f\xa2"},
        {INSN_CPUID, 3, "\x48\x0f\xa2"},
        {INSN_CPUID, 5, "\xf3\x2e\x41\x0f\xa2"},
        {INSN_RDMSR, 2, "\x0f\x32"},
        {INSN_WRMSR, 2, "\x0f\x30"},
        {INSN_VMMCALL, 3, "\x0f\x01\xd9"},
        {INSN_VMCALL, 3, "\x0f\x01\xc1"},
        {INSN_INVD, 2, "\x0f\x08"},
        {INSN_WBINVD, 2, "\x0f\x09"},
        {INSN_WBINVD, 3, "\xf3\x0f\x09"},
        {INSN_RDTSC, 2, "\x0f\x31"},
        {INSN_RDTSCP, 3, "\x0f\x01\xf9"},
        {INSN_RDPMC, 2, "\x0f\x33"},
        {INSN_MONITOR, 3, "\x0f\x01\xc8"},
        {INSN_MONITOR, 4, "\x67\x0f\x01\xc8"},
        {INSN_MWAIT, 3, "\x0f\x01\xc9"},
        {INSN_XSETBV, 3, "\x0f\x01\xd1"},
        {INSN_PAUSE, 2, "\xf3\x90"},
        {INSN_IN, 2, "\xe4\x70"},
        {INSN_IN, 2, "\xe5\x70"},
        {INSN_IN, 1, "\xec"},
        {INSN_IN, 2, "\x66\xed"},
        {INSN_OUT, 2, "\xe6\x80"},
        {INSN_OUT, 3, "\x66\xe7\x80"},
        {INSN_OUT, 1, "\xee"},
        {INSN_OUT, 1, "\xef"},
        {INSN_INS, 2, "\xf3\x6c"},
        {INSN_INS, 1, "\x6d"},
        {INSN_OUTS, 3, "\xf3\x65\x6e"},
        {INSN_OUTS, 2, "\x66\x6f"},
        {INSN_HLT, 15, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xf4"},
    };
    uint8_t bytes[32];

    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        size_t n = (size_t)good[i].length;
        for (int kind = 0; kind < INSN_SIMPLE_COUNT; kind++)
            assert_int_equal(
                decode_length_simple((const uint8_t *)good[i].bytes, n, (enum insn_simple)kind),
                (int)good[i].kind == kind ? good[i].length : -EINVAL);
        while (n-- > 0)
            assert_int_equal(decode_length_simple((const uint8_t *)good[i].bytes, n, good[i].kind),
                             -ENODATA);
    }
    memset(bytes, 0x66, sizeof(bytes));
    assert_int_equal(decode_length_simple(bytes, sizeof(bytes), INSN_HLT), -EINVAL);
    bytes[14] = 0x0F;
    bytes[15] = 0xA2;
    assert_int_equal(decode_length_simple(bytes, sizeof(bytes), INSN_CPUID), -EINVAL);
}

/* Emulation on a page of memory. */

static uint8_t page[PAGE_SIZE];
static int fail_read, fail_write;
static unsigned reads, writes;

static int page_read(void *ctx, uint64_t offset, unsigned size, uint64_t *val)
{
    assert_ptr_equal(ctx, page);
    assert_true(offset + size <= PAGE_SIZE);
    reads++;
    if (fail_read)
        return fail_read;
    *val = 0xDEADBEEFDEADBEEF; /* bytes above the size must not matter */
    memcpy(val, page + offset, size);
    return 0;
}

static int page_write(void *ctx, uint64_t offset, unsigned size, uint64_t val)
{
    assert_true(offset + size <= PAGE_SIZE);
    assert_true(size == 8 || val >> (8 * size) == 0);
    writes++;
    if (fail_write)
        return fail_write;
    memcpy(page + offset, &val, size);
    return 0;
}

static const struct mmio_ops page_ops = {page_read, page_write};

static uint64_t random64(void)
{
    static const uint64_t edge[] = {0, 1, 0x7F, 0x80, 0xFF, 0x8000, 0x80000000, 1ULL << 63, ~0ULL};
    uint64_t v = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();

    return rand() % 4 ? v : edge[(unsigned)rand() % ARRAY_SIZE(edge)];
}

static struct vp_regs random_regs(void)
{
    struct vp_regs regs;

    for (unsigned i = 0; i < GPR_COUNT; i++)
        regs.gpr[i] = random64();
    regs.rip = random64();
    regs.rflags = random64();
    return regs;
}

#define STATUS 0x8D5ULL /* OF SF ZF AF PF CF */

/* Run one two-operand instruction on this processor: a is changed as its destination is. */
#define NATIVE(insn, type, a, b, flags)                                                            \
    do {                                                                                           \
        type a_ = (type)(a), b_ = (type)(b);                                                       \
        /* The compiler may keep something below the stack pointer. */                             \
        __asm__("lea -128(%%rsp), %%rsp;" insn " %2, %0; pushf; pop %1; lea 128(%%rsp), %%rsp"     \
                : "+q"(a_), "=&r"(flags)                                                           \
                : "q"(b_)                                                                          \
                : "cc");                                                                           \
        (a) = a_;                                                                                  \
    } while (0)

#define NATIVE_SIZES(insn, size, a, b, flags)                                                      \
    do {                                                                                           \
        if ((size) == 1)                                                                           \
            NATIVE(insn, uint8_t, a, b, flags);                                                    \
        else if ((size) == 2)                                                                      \
            NATIVE(insn, uint16_t, a, b, flags);                                                   \
        else if ((size) == 4)                                                                      \
            NATIVE(insn, uint32_t, a, b, flags);                                                   \
        else                                                                                       \
            NATIVE(insn, uint64_t, a, b, flags);                                                   \
    } while (0)

static void native_alu(enum insn_op op, unsigned size, uint64_t *a, uint64_t b, uint64_t *flags)
{
    switch (op) {
    case INSN_AND:
        NATIVE_SIZES("and", size, *a, b, *flags);
        break;
    case INSN_OR:
        NATIVE_SIZES("or", size, *a, b, *flags);
        break;
    case INSN_XOR:
        NATIVE_SIZES("xor", size, *a, b, *flags);
        break;
    case INSN_TEST:
        NATIVE_SIZES("test", size, *a, b, *flags);
        break;
    default:
        NATIVE_SIZES("cmp", size, *a, b, *flags);
        break;
    }
}

static uint64_t low(uint64_t v, unsigned size)
{
    return size == 8 ? v : v & ((1ULL << (8 * size)) - 1);
}

static uint64_t reg_get(const struct vp_regs *regs, const struct insn *in, unsigned size)
{
    return low(regs->gpr[in->reg] >> (in->reg_high ? 8 : 0), size);
}

/* What a register is after `v` was written to the operand. */
static uint64_t reg_after(uint64_t old, const struct insn *in, uint64_t v)
{
    unsigned at = in->reg_high ? 1 : 0;

    v = low(v, in->reg_size);
    if (in->reg_size >= 4)
        return v;
    memcpy((uint8_t *)&old + at, &v, in->reg_size);
    return old;
}

static void check_one(const struct insn *in, uint64_t offset)
{
    struct vp_regs regs = random_regs(), want = regs;
    uint64_t mem = random64(), before = 0, other, result, flags = 0;
    uint64_t undefined = in->op == INSN_CMP ? 0 : 0x10; /* AF after logic */

    memcpy(page + offset, &mem, in->size);
    memcpy(&before, page + offset, in->size);
    other = in->has_imm ? low(in->imm, in->size) : reg_get(&regs, in, in->size);
    result = before;
    switch (in->op) {
    case INSN_MOV:
        if (in->mem_dst)
            result = other;
        else
            want.gpr[in->reg] = reg_after(regs.gpr[in->reg], in, before);
        break;
    case INSN_MOVZX:
        want.gpr[in->reg] = reg_after(regs.gpr[in->reg], in, before);
        break;
    case INSN_MOVSX: {
        unsigned shift = 64 - 8U * in->size;
        int64_t v = (int64_t)(before << shift) >> shift;
        want.gpr[in->reg] = reg_after(regs.gpr[in->reg], in, (uint64_t)v);
        break;
    }
    case INSN_XCHG:
        result = other;
        want.gpr[in->reg] = reg_after(regs.gpr[in->reg], in, before);
        break;
    case INSN_BT:
        want.rflags = (regs.rflags & ~1ULL) | (before >> (other % (8U * in->size)) & 1);
        break;
    default:
        if (in->mem_dst) {
            native_alu(in->op, in->size, &result, other, &flags);
        } else {
            native_alu(in->op, in->size, &other, before, &flags);
            if (in->op != INSN_CMP)
                want.gpr[in->reg] = reg_after(regs.gpr[in->reg], in, other);
        }
        want.rflags = (regs.rflags & ~STATUS) | (flags & STATUS & ~undefined);
    }
    assert_int_equal(emulate_mmio(&regs, in, &page_ops, page, offset), 0);
    assert_memory_equal(&regs, &want, sizeof(regs));
    assert_memory_equal(page + offset, &result, in->size);
}

static void test_emulate(void **state)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct insn in;
        const uint8_t *bytes = (const uint8_t *)rows[i].bytes;

        assert_int_equal(decode_insn(bytes, rows[i].length, rows[i].mode, &in), 0);
        for (unsigned n = 0; n < 200; n++)
            check_one(&in, random64() % (PAGE_SIZE - 8));
        check_one(&in, PAGE_SIZE - in.size);
    }
}

/* Device errors and operands beyond the page leave the registers alone. */
static void test_emulate_errors(void **state)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vp_regs regs = random_regs(), before = regs;
        struct insn in;
        int err;

        decode_insn((const uint8_t *)rows[i].bytes, rows[i].length, rows[i].mode, &in);
        assert_int_equal(emulate_mmio(&regs, &in, &page_ops, page, PAGE_SIZE - in.size + 1U),
                         -EINVAL);
        assert_int_equal(emulate_mmio(&regs, &in, &page_ops, page, ~0ULL), -EINVAL);
        assert_memory_equal(&regs, &before, sizeof(regs));
        reads = writes = 0;
        fail_read = -EIO;
        fail_write = -EFAULT;
        err = emulate_mmio(&regs, &in, &page_ops, page, 0);
        assert_int_equal(err, reads ? -EIO : -EFAULT);
        assert_memory_equal(&regs, &before, sizeof(regs));
        fail_read = 0;
        writes = 0;
        err = emulate_mmio(&regs, &in, &page_ops, page, 0);
        assert_int_equal(err, writes ? -EFAULT : 0);
        if (writes)
            assert_memory_equal(&regs, &before, sizeof(regs));
        fail_write = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),          cmocka_unit_test(test_length_limit),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_prefix_order),
        cmocka_unit_test(test_simple_lengths), cmocka_unit_test(test_emulate),
        cmocka_unit_test(test_emulate_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
