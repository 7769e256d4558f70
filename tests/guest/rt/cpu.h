/* SPDX-License-Identifier: MIT */
#ifndef GUEST_RT_CPU_H
#define GUEST_RT_CPU_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Instructions. The safe_ forms survive an exception: they return 0 or the vector
 * that was raised, through a table of (instruction, continuation) pairs.
 */

#define RFLAGS_IF (1ULL << 9)

#define CR0_TS     (1ULL << 3)
#define CR0_EM     (1ULL << 2)
#define CR0_MP     (1ULL << 1)
#define CR0_WP     (1ULL << 16)
#define CR4_OSFXSR (1ULL << 9)

#define MSR_TSC         0x10U
#define MSR_APIC_BASE   0x1BU
#define MSR_PAT         0x277U
#define MSR_EFER        0xC0000080U
#define MSR_GS_BASE     0xC0000101U
#define MSR_VM_CR       0xC0010114U
#define MSR_VM_HSAVE_PA 0xC0010117U
#define EFER_SVME       (1ULL << 12)
#define EFER_LMA        (1ULL << 10)
#define APIC_BASE_BSP   (1ULL << 8)
#define APIC_BASE_EXTD  (1ULL << 10)
#define APIC_BASE_EN    (1ULL << 11)

enum exception { DE = 0, DB = 1, NMI = 2, BP = 3, UD = 6, NM = 7, DF = 8, GP = 13, PF = 14 };

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

/* Each safe_ statement clears r11d; the trap handler puts the vector there, plus this bit. */
#define TRAPPED           0x100U
#define EXTABLE(from, to) ".pushsection .extable, \"a\"\n .quad " from ", " to "\n .popsection\n"

/** An instruction that may fault, as `vec = SAFE_ASM(insn, outputs, inputs)`; 0 if it did not. */
#define SAFE_ASM(insn, vec, ...)                                                                   \
    __asm__ volatile("xor %%r11d, %%r11d\n771: " insn                                              \
                     "\n772:\n" EXTABLE("771b", "772b") "mov %%r11d, %[vec_]\n" __VA_ARGS__)

static inline int trapped_vector(uint32_t raw)
{
    return raw & TRAPPED ? (int)(raw & 0xff) : 0;
}

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;

    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
    return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr) : "memory");
}

static inline int safe_rdmsr(uint32_t msr, uint64_t *v)
{
    uint32_t vec, lo = 0, hi = 0;

    SAFE_ASM("rdmsr", vec, : [vec_] "=r"(vec), "+a"(lo), "+d"(hi) : "c"(msr) : "r11", "memory");
    *v = (uint64_t)hi << 32 | lo;
    return trapped_vector(vec);
}

static inline int safe_wrmsr(uint32_t msr, uint64_t v)
{
    uint32_t vec;

    SAFE_ASM("wrmsr", vec,
             : [vec_] "=r"(vec)
             : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr)
             : "r11", "memory");
    return trapped_vector(vec);
}

static inline int safe_read8(uint64_t addr, uint8_t *v)
{
    uint32_t vec;
    uint8_t out = 0xff;

    SAFE_ASM("movb (%[p]), %[out]", vec,
             : [vec_] "=r"(vec), [out] "+q"(out)
             : [p] "r"(addr)
             : "r11", "memory");
    *v = out;
    return trapped_vector(vec);
}

static inline int safe_write8(uint64_t addr, uint8_t v)
{
    uint32_t vec;

    SAFE_ASM("movb %[in], (%[p])", vec,
             : [vec_] "=r"(vec)
             : [in] "q"(v), [p] "r"(addr)
             : "r11", "memory");
    return trapped_vector(vec);
}

/* MMIO: one MOV of exactly this form, because that is what the hypervisor must decode. */
static inline uint32_t mmio_read32(uint64_t addr)
{
    uint32_t v;

    __asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(addr) : "memory");
    return v;
}

static inline void mmio_write32(uint64_t addr, uint32_t v)
{
    __asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint64_t read_cr2(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}

static inline uint64_t read_cr3(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}

static inline uint64_t read_cr0(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

static inline uint64_t read_cr4(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static inline void write_cr0(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory");
}

static inline void write_cr4(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

static inline void write_cr8(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr8" : : "r"(v) : "memory");
}

static inline uint64_t read_cr8(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr8, %0" : "=r"(v));
    return v;
}

static inline void invlpg(uint64_t va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline uint64_t read_rflags(void)
{
    uint64_t v;

    __asm__ volatile("pushfq; pop %0" : "=r"(v));
    return v;
}

static inline void irq_disable(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline void irq_enable(void)
{
    __asm__ volatile("sti; nop" : : : "memory");
}

static inline void sti_hlt(void)
{
    __asm__ volatile("sti; hlt" : : : "memory");
}

static inline void pause(void)
{
    __builtin_ia32_pause();
}

#endif
