/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/trap.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/irq.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/debug/panic.h"

/** 64-bit interrupt gate, APM volume 2 section 4.8.4. */
struct idt_gate {
    uint16_t offset_lo;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_mid;
    uint32_t offset_hi;
    uint32_t reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "IDT gate");

#define GATE_INTERRUPT 0x8e /* present, DPL 0, 64-bit interrupt gate */
#define STUB_SIZE      16

struct descriptor_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

struct fixup {
    uint64_t from;
    uint64_t to;
};

extern const uint8_t trap_stubs[];
extern const struct fixup fixup_table_start[], fixup_table_end[];
void trap_handler(struct trap_frame *f);

static struct idt_gate idt[256];

static uint8_t ist_of(unsigned vector)
{
    switch (vector) {
    case 2:
        return IST_NMI;
    case 8:
        return IST_DF;
    case 18:
        return IST_MCE;
    default:
        return IST_NONE;
    }
}

void trap_init(void)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t at = (uint64_t)(uintptr_t)trap_stubs + v * STUB_SIZE;

        idt[v] = (struct idt_gate){
            .offset_lo = (uint16_t)at,
            .selector = SEL_CODE,
            .ist = ist_of(v),
            .type = GATE_INTERRUPT,
            .offset_mid = (uint16_t)(at >> 16),
            .offset_hi = (uint32_t)(at >> 32),
        };
    }
}

void trap_load(struct trap_tables *t)
{
    uint64_t tss = (uint64_t)(uintptr_t)&t->tss;
    struct descriptor_pointer gdtr = {sizeof(t->gdt) - 1, (uint64_t)(uintptr_t)t->gdt};
    struct descriptor_pointer idtr = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

    t->gdt[0] = 0;
    t->gdt[1] = 0x00af9b000000ffffULL; /* 64-bit code */
    t->gdt[2] = 0x00cf93000000ffffULL; /* data */
    t->gdt[3] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | 0x89ULL << 40 |
                (tss >> 24 & 0xff) << 56;
    t->gdt[4] = tss >> 32;
    t->tss.iomap = sizeof(struct tss);

    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%ds\n\tmovl %2, %%es\n\tmovl %2, %%ss\n\t"
                     "lidt %3\n\t"
                     "ltr %w4"
                     :
                     : "m"(gdtr), "i"(SEL_CODE), "r"(SEL_DATA), "m"(idtr), "r"(SEL_TSS)
                     : "rax", "memory");
}

static bool fixup_apply(struct trap_frame *f)
{
    for (const struct fixup *x = fixup_table_start; x < fixup_table_end; x++) {
        if (x->from == f->rip) {
            f->rip = x->to;
            return true;
        }
    }
    return false;
}

void trap_handler(struct trap_frame *f)
{
    if (f->vector == 2) {
        irq_nmi();
        return;
    }
    if (f->vector >= 32) {
        irq_handle((uint8_t)f->vector);
        return;
    }
    if (!fixup_apply(f))
        panic_trap(f);
}
