/* SPDX-License-Identifier: MIT */
#include "vmwp/emulate.h"

#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/execute.h"
#include "lib/string.h"
#include "vmwp/emulate_priv.h"

#define EFER_LMA  BIT64(10)
#define SEGMENT_L BIT(13)
#define SEGMENT_D BIT(14)

#define PF_PRESENT BIT(0)
#define PF_WRITE   BIT(1)
#define PF_USER    BIT(2)
#define PF_FETCH   BIT(4)

#define PAGE 0x1000ULL

enum insn_mode emulate_mode(const struct hv_cpu *cpu)
{
    uint16_t cs = cpu->segment[INSN_CS].attributes;

    if (cpu->efer & EFER_LMA && cs & SEGMENT_L)
        return INSN_MODE_64;
    return cs & SEGMENT_D ? INSN_MODE_32 : INSN_MODE_16;
}

static uint64_t linear(const struct hv_cpu *cpu, unsigned segment, uint64_t offset)
{
    if (emulate_mode(cpu) != INSN_MODE_64)
        return (cpu->segment[segment].base + offset) & 0xFFFFFFFFULL;
    return segment >= INSN_FS ? cpu->segment[segment].base + offset : offset;
}

static int page_fault(const struct hv_cpu *cpu, uint64_t at, unsigned access, bool present,
                      struct emulate_fault *fault)
{
    fault->vector = HV_EXCEPTION_PF;
    fault->error = (present ? PF_PRESENT : 0) | (access & HV_ACCESS_WRITE ? PF_WRITE : 0) |
                   (cpu->cpl == 3 ? PF_USER : 0) | (access & HV_ACCESS_EXECUTE ? PF_FETCH : 0);
    fault->cr2 = at;
    return EMULATE_FAULT;
}

static int translate(const struct emulate_env *env, const struct hv_cpu *cpu, uint64_t at,
                     unsigned access, uint64_t *gpa, struct emulate_fault *fault)
{
    bool present = false;
    int err = env->translate(env->ctx, at, access, gpa, &present);

    return err == -EFAULT ? page_fault(cpu, at, access, present, fault) : err;
}

int emulate_fetch(const struct emulate_env *env, const struct hv_cpu *cpu, uint8_t *buf,
                  struct emulate_fault *fault)
{
    uint64_t at = linear(cpu, INSN_CS, cpu->rip), gpa;
    unsigned first = (unsigned)min_u64(INSN_MAX, PAGE - at % PAGE);
    struct emulate_fault ignored;
    int got = translate(env, cpu, at, HV_ACCESS_EXECUTE, &gpa, fault);

    if (got != EMULATE_DONE)
        return got < 0 ? got : 0;
    env->read(env->ctx, gpa, buf, first);
    if (first == INSN_MAX)
        return INSN_MAX;
    /* The instruction may end before the next page, so that one need not be there. */
    got = translate(env, cpu, at + first, HV_ACCESS_EXECUTE, &gpa, &ignored);
    if (got != EMULATE_DONE)
        return got < 0 ? got : (int)first;
    env->read(env->ctx, gpa, buf + first, INSN_MAX - first);
    return INSN_MAX;
}

int emulate_copy(const struct emulate_env *env, const struct hv_cpu *cpu, unsigned segment,
                 uint64_t offset, void *buf, unsigned len, unsigned access,
                 struct emulate_fault *fault)
{
    uint64_t at = linear(cpu, segment, offset), gpa[2];
    unsigned first = (unsigned)min_u64(len, PAGE - at % PAGE);
    int err = translate(env, cpu, at, access, &gpa[0], fault);

    if (err == EMULATE_DONE && first < len)
        err = translate(env, cpu, at + first, access, &gpa[1], fault);
    if (err != EMULATE_DONE)
        return err;
    for (unsigned i = 0, done = 0; done < len; i++) {
        unsigned n = i ? len - first : first;
        if (access & HV_ACCESS_WRITE)
            env->write(env->ctx, gpa[i], (uint8_t *)buf + done, n);
        else
            env->read(env->ctx, gpa[i], (uint8_t *)buf + done, n);
        done += n;
    }
    return EMULATE_DONE;
}

/* The page of a memory operand, for insn_execute(). */
struct operand {
    const struct emulate_env *env;
    uint64_t page;
};

static int operand_read(void *ctx, uint64_t offset, unsigned size, uint64_t *val)
{
    const struct operand *o = ctx;

    *val = 0;
    o->env->read(o->env->ctx, o->page + offset, val, size);
    return 0;
}

static int operand_write(void *ctx, uint64_t offset, unsigned size, uint64_t val)
{
    const struct operand *o = ctx;

    o->env->write(o->env->ctx, o->page + offset, &val, size);
    return 0;
}

/* MOVS, STOS or LODS: one element; the intercept names the address of one of its sides. */
static int string_memory(const struct emulate_env *env, const struct hv_exit *exit,
                         struct hv_cpu *cpu, const struct string_insn *s,
                         struct emulate_fault *fault)
{
    uint64_t value = s->op == STRING_STOS ? cpu->gpr[EMU_RAX] : 0, known = exit->memory.gpa;
    bool to_known = exit->memory.write;
    int err = EMULATE_DONE;

    if (known % PAGE > PAGE - s->size)
        return -EINVAL;
    if (s->op != STRING_STOS && to_known)
        err = emulate_copy(env, cpu, s->segment, string_offset(cpu, s, EMU_RSI), &value, s->size,
                           HV_ACCESS_READ, fault);
    else if (s->op != STRING_STOS)
        env->read(env->ctx, known, &value, s->size);
    if (err != EMULATE_DONE)
        return err;
    if (s->op == STRING_LODS)
        memcpy(&cpu->gpr[EMU_RAX], &value, s->size == 4 ? 8 : s->size);
    else if (to_known)
        env->write(env->ctx, known, &value, s->size);
    else
        err = emulate_copy(env, cpu, INSN_ES, string_offset(cpu, s, EMU_RDI), &value, s->size,
                           HV_ACCESS_WRITE, fault);
    if (err == EMULATE_DONE)
        string_step(cpu, s);
    return err;
}

static int undefined(struct emulate_fault *fault)
{
    *fault = (struct emulate_fault){.vector = HV_EXCEPTION_UD};
    return EMULATE_FAULT;
}

/* Execute what stands in `bytes`; -ENODATA if it does not end there. */
static int memory_execute(const struct emulate_env *env, const struct hv_exit *exit,
                          const uint8_t *bytes, size_t n, struct hv_cpu *cpu,
                          struct emulate_fault *fault)
{
    static const struct mmio_ops ops = {operand_read, operand_write};
    struct operand o = {env, exit->memory.gpa & ~(PAGE - 1)};
    enum insn_mode mode = emulate_mode(cpu);
    struct string_insn s;
    struct insn insn;
    int err = decode_insn(bytes, n, mode, &insn);

    if (err == 0) {
        err = insn_execute(cpu->gpr, &cpu->rflags, &insn, &ops, &o, exit->memory.gpa % PAGE);
        if (err == 0)
            string_finish(cpu, insn.length);
        return err == -EINVAL ? undefined(fault) : err;
    }
    if (err == -ENODATA)
        return err;
    err = string_decode(bytes, n, mode, &s);
    if (err < 0 || s.op == STRING_INS || s.op == STRING_OUTS)
        return err == -ENODATA ? err : undefined(fault);
    if (s.op != STRING_MOVS && exit->memory.write != (s.op == STRING_STOS))
        return undefined(fault); /* the code has changed under our eyes */
    err = string_memory(env, exit, cpu, &s, fault);
    return err == -EINVAL ? undefined(fault) : err;
}

int emulate_memory(const struct emulate_env *env, const struct hv_exit *exit, struct hv_cpu *cpu,
                   struct emulate_fault *fault)
{
    uint8_t bytes[INSN_MAX];
    int n, err = -ENODATA;

    if (exit->byte_count)
        err = memory_execute(env, exit, exit->bytes, exit->byte_count, cpu, fault);
    if (err != -ENODATA)
        return err;
    n = emulate_fetch(env, cpu, bytes, fault);
    if (n <= 0)
        return n < 0 ? n : EMULATE_FAULT;
    err = memory_execute(env, exit, bytes, (size_t)n, cpu, fault);
    return err == -ENODATA ? undefined(fault) : err;
}

static int io_element(const struct emulate_env *env, uint16_t port, struct hv_cpu *cpu,
                      const struct string_insn *s, struct emulate_fault *fault)
{
    uint32_t value = 0;
    int err;

    if (s->op == STRING_OUTS) {
        err = emulate_copy(env, cpu, s->segment, string_offset(cpu, s, EMU_RSI), &value, s->size,
                           HV_ACCESS_READ, fault);
        if (err == EMULATE_DONE)
            env->port_write(env->ctx, port, s->size, value);
    } else {
        uint64_t ignored, at = linear(cpu, INSN_ES, string_offset(cpu, s, EMU_RDI));
        /* A port may change by being read: first see that there is a place for the value. */
        err = translate(env, cpu, at, HV_ACCESS_WRITE, &ignored, fault);
        if (err != EMULATE_DONE)
            return err;
        value = env->port_read(env->ctx, port, s->size);
        err = emulate_copy(env, cpu, INSN_ES, string_offset(cpu, s, EMU_RDI), &value, s->size,
                           HV_ACCESS_WRITE, fault);
    }
    if (err == EMULATE_DONE)
        string_step(cpu, s);
    return err;
}

int emulate_string_io(const struct emulate_env *env, const struct hv_exit *exit, struct hv_cpu *cpu,
                      struct emulate_fault *fault)
{
    enum string_op wanted = exit->io.write ? STRING_OUTS : STRING_INS;
    uint64_t start = cpu->rip;
    uint8_t bytes[INSN_MAX];
    struct string_insn s;
    int n = (int)min_u64(exit->byte_count, INSN_MAX);
    int err = string_decode(exit->bytes, (size_t)n, emulate_mode(cpu), &s);

    if (err == -ENODATA) {
        n = emulate_fetch(env, cpu, bytes, fault);
        if (n <= 0)
            return n < 0 ? n : EMULATE_FAULT;
        err = string_decode(bytes, (size_t)n, emulate_mode(cpu), &s);
    }
    if (err < 0 || s.op != wanted)
        return undefined(fault); /* the code has changed under our eyes */
    err = EMULATE_DONE;
    if (!string_more(cpu, &s))
        string_finish(cpu, s.length);
    for (unsigned i = 0; i < EMULATE_BATCH && err == EMULATE_DONE && cpu->rip == start; i++)
        err = io_element(env, exit->io.port, cpu, &s, fault);
    return err;
}
