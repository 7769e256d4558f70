/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_TRAP_H
#define ARCH_X86_TRAP_H

#include <stdint.h>

/* Physical vectors of the hypervisor: the highest class, above what any parent programs. */
#define VECTOR_HV_KICK     0xf0
#define VECTOR_HV_TIMER    0xf1
#define VECTOR_HV_CONSOLE  0xf2
#define VECTOR_HV_SPURIOUS 0xff
#define VECTOR_HV_FIRST    0xf0

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS  0x18

enum trap_ist { IST_NONE, IST_NMI, IST_DF, IST_MCE, IST_COUNT };

/** What the entry stubs leave on the stack. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/** 64-bit TSS, APM volume 2 section 12.2.5. */
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t iomap;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "TSS");

/** Per-LP descriptor tables. */
struct trap_tables {
    uint64_t gdt[5]; /* null, code, data, TSS (two entries) */
    struct tss tss;
};

/** Build the shared IDT; once, on the boot processor. */
void trap_init(void);

/** Load GDT, TSS and IDT on this processor. */
void trap_load(struct trap_tables *t);

#endif
