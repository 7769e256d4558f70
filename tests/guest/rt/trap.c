/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/rt_priv.h"

#define SEL_KERNEL_CODE 0x10
#define SEL_KERNEL_DATA 0x18
#define SEL_TSS         0x38
#define VECTOR_USER_END 0x80
#define GATE_INTERRUPT  0x8E00ULL

struct idt_gate {
    uint64_t low, high;
};

struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

struct extable_entry {
    uint64_t insn, next;
};

extern const struct extable_entry extable_start[], extable_end[];
extern const uint8_t trap_stubs[], trap_stubs_plain[];
extern const uint8_t user_return[];
int user_enter(uint64_t rip, uint64_t rsp, uint64_t *saved);

static struct idt_gate idt[256] PAGE_ALIGNED;
static uint8_t user_stacks[MAX_CPUS][4096] PAGE_ALIGNED;
static bool plain_vectors;
static void (*irq_handlers[256])(struct trap_frame *);
static void (*nmi_handler)(struct trap_frame *);
static bool (*exception_hook)(struct trap_frame *);

static void idt_set(unsigned vector, const uint8_t *stub)
{
    uint64_t a = (uint64_t)stub;
    uint64_t dpl = vector == VECTOR_USER_END ? 3 : 0;

    idt[vector].low = (a & 0xffff) | SEL_KERNEL_CODE << 16 | (GATE_INTERRUPT | dpl << 13) << 32 |
                      (a >> 16 & 0xffff) << 48;
    idt[vector].high = a >> 32;
}

void trap_plain_vectors(bool on)
{
    for (unsigned v = 16; v < 32; v++)
        idt_set(v, on ? trap_stubs_plain + (v - 16) * 16 : trap_stubs + v * 16);
    plain_vectors = on;
}

void trap_init(struct cpu *cpu)
{
    struct table_register gdtr = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};
    struct table_register idtr = {sizeof(idt) - 1, (uint64_t)idt};
    uint64_t tss = (uint64_t)cpu->tss;

    if (cpu->index == 0)
        for (unsigned v = 0; v < 256; v++)
            idt_set(v, trap_stubs + v * 16);
    cpu->self = cpu;
    cpu->gdt[1] = 0x00cf9b000000ffff;
    cpu->gdt[2] = 0x00af9b000000ffff;
    cpu->gdt[3] = 0x00cf93000000ffff;
    cpu->gdt[5] = 0x00cff3000000ffff; /* user data, 0x2b */
    cpu->gdt[6] = 0x00affb000000ffff; /* user code, 0x33 */
    cpu->gdt[7] =
        (sizeof(cpu->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ULL << 40 | (tss >> 24 & 0xff) << 56;
    cpu->gdt[8] = tss >> 32;
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
    __asm__ volatile("lidt %0" : : "m"(idtr));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    wrmsr(MSR_GS_BASE, (uint64_t)cpu);
}

void irq_handler_set(uint8_t vector, void (*fn)(struct trap_frame *))
{
    irq_handlers[vector] = fn;
}

void nmi_handler_set(void (*fn)(struct trap_frame *))
{
    nmi_handler = fn;
}

void exception_hook_set(bool (*fn)(struct trap_frame *))
{
    exception_hook = fn;
}

/* The ring 0 stack pointer of the TSS, at byte 4 of it and therefore unaligned. */
static void tss_set_rsp0(struct cpu *cpu, uint64_t rsp)
{
    memcpy((uint8_t *)cpu->tss + 4, &rsp, sizeof(rsp));
}

int user_run(void (*fn)(void))
{
    struct cpu *cpu = this_cpu();
    uint64_t flags = read_rflags();
    uint64_t here;
    int vec;

    __asm__ volatile("mov %%rsp, %0" : "=r"(here));
    irq_disable();
    /* Traps from user mode use this stack, well below everything live on it. */
    tss_set_rsp0(cpu, (here - 2048) & ~15ULL);
    vec = user_enter((uint64_t)fn, (uint64_t)user_stacks[cpu->index] + 4096 - 8, &cpu->user_rsp);
    if (flags & RFLAGS_IF)
        irq_enable();
    return vec;
}

static void user_leave(struct trap_frame *f)
{
    struct cpu *cpu = this_cpu();

    f->rax = f->vector;
    f->rip = (uint64_t)user_return;
    f->cs = SEL_KERNEL_CODE;
    f->ss = SEL_KERNEL_DATA;
    f->rsp = cpu->user_rsp;
    f->rflags = 2;
    cpu->user_rsp = 0;
}

static bool extable_resume(struct trap_frame *f)
{
    for (const struct extable_entry *e = extable_start; e < extable_end; e++) {
        if (e->insn != f->rip)
            continue;
        f->r11 = TRAPPED | f->vector;
        f->rip = e->next;
        return true;
    }
    return false;
}

static void exception(struct trap_frame *f)
{
    struct cpu *cpu = this_cpu();

    if (f->vector == NMI) {
        cpu->nmi_count++;
        if (nmi_handler)
            nmi_handler(f);
        return;
    }
    if ((f->cs & 3) == 3 && cpu->user_rsp) {
        user_leave(f);
        return;
    }
    if (extable_resume(f) || (exception_hook && exception_hook(f)))
        return;
    case_abort("unexpected exception", f);
}

void trap_handler(struct trap_frame *f);

void trap_handler(struct trap_frame *f)
{
    struct cpu *cpu = this_cpu();
    uint8_t v = (uint8_t)f->vector;

    if (v < 16 || (v < 32 && !plain_vectors)) {
        exception(f);
        return;
    }
    if (v == VECTOR_USER_END && (f->cs & 3) == 3) {
        user_leave(f);
        return;
    }
    cpu->irq_count[v]++;
    cpu->irq_rip = f->rip;
    if (irq_handlers[v])
        irq_handlers[v](f);
    else
        apic_eoi();
}
