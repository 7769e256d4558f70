/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_CPU_H
#define ARCH_X86_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/bits.h"

/* Control registers and EFER, APM volume 2 chapter 3. */
#define CR0_PE BIT64(0)
#define CR0_MP BIT64(1)
#define CR0_ET BIT64(4)
#define CR0_NE BIT64(5)
#define CR0_WP BIT64(16)
#define CR0_NW BIT64(29)
#define CR0_CD BIT64(30)
#define CR0_PG BIT64(31)

#define CR4_PSE     BIT64(4)
#define CR4_PAE     BIT64(5)
#define CR4_PGE     BIT64(7)
#define CR4_OSFXSR  BIT64(9)
#define CR4_LA57    BIT64(12)
#define CR4_SMEP    BIT64(20)
#define CR4_SMAP    BIT64(21)
#define CR4_OSXSAVE BIT64(18)

#define EFER_SCE  BIT64(0)
#define EFER_LME  BIT64(8)
#define EFER_LMA  BIT64(10)
#define EFER_NXE  BIT64(11)
#define EFER_SVME BIT64(12)

#define RFLAGS_FIXED BIT64(1)
#define RFLAGS_TF    BIT64(8)
#define RFLAGS_IF    BIT64(9)
#define RFLAGS_VM    BIT64(17)
#define RFLAGS_AC    BIT64(18)

/* MSR numbers, APM volume 2 appendix A. */
#define MSR_TSC            0x00000010U
#define MSR_APIC_BASE      0x0000001bU
#define MSR_TSC_ADJUST     0x0000003bU
#define MSR_MICROCODE      0x0000008bU
#define MSR_MTRR_CAP       0x000000feU
#define MSR_SYSENTER_CS    0x00000174U
#define MSR_SYSENTER_EIP   0x00000176U
#define MSR_MCG_CAP        0x00000179U
#define MSR_MCG_STATUS     0x0000017aU
#define MSR_MISC_ENABLE    0x000001a0U
#define MSR_MTRR_FIRST     0x00000200U /* PHYSBASE0 */
#define MSR_MTRR_LAST      0x0000020fU
#define MSR_MTRR_FIX64K    0x00000250U
#define MSR_MTRR_FIX16KA   0x00000258U
#define MSR_MTRR_FIX16KB   0x00000259U
#define MSR_MTRR_FIX4K     0x00000268U /* ..0x26f */
#define MSR_PAT            0x00000277U
#define MSR_MTRR_DEFTYPE   0x000002ffU
#define MSR_X2APIC_FIRST   0x00000800U
#define MSR_X2APIC_LAST    0x000008ffU
#define MSR_HV_FIRST       0x40000000U
#define MSR_HV_LAST        0x4000ffffU
#define MSR_EFER           0xc0000080U
#define MSR_STAR           0xc0000081U
#define MSR_SFMASK         0xc0000084U
#define MSR_FS_BASE        0xc0000100U
#define MSR_GS_BASE        0xc0000101U
#define MSR_KERNEL_GS_BASE 0xc0000102U
#define MSR_TSC_AUX        0xc0000103U
#define MSR_SYSCFG         0xc0010010U
#define MSR_HWCR           0xc0010015U
#define MSR_DE_CFG         0xc0011029U
#define MSR_VM_CR          0xc0010114U
#define MSR_VM_HSAVE_PA    0xc0010117U
#define MSR_SVM_KEY        0xc0010118U

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

/** RDMSR and WRMSR that report #GP as -EPERM instead of a panic. */
int cpu_rdmsr_safe(uint32_t msr, uint64_t *v);
int cpu_wrmsr_safe(uint32_t msr, uint64_t v);

static inline void cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(subleaf));
}

/** TSC, not before the loads that precede it in program order. */
static inline uint64_t cpu_rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return (uint64_t)hi << 32 | lo;
}

#define CPU_CR(n)                                                                                  \
    static inline uint64_t cpu_read_cr##n(void)                                                    \
    {                                                                                              \
        uint64_t v;                                                                                \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));                                          \
        return v;                                                                                  \
    }                                                                                              \
    static inline void cpu_write_cr##n(uint64_t v)                                                 \
    {                                                                                              \
        __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");                                 \
    }
CPU_CR(0)
CPU_CR(2)
CPU_CR(3)
CPU_CR(4)
#undef CPU_CR

static inline uint8_t cpu_in8(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint32_t cpu_in32(uint16_t port)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void cpu_out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void cpu_invlpg(uint64_t va)
{
    __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

/** Take whatever interrupts are pending, at a point where no lock is held. */
static inline void cpu_interrupt_window(void)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

static inline _Noreturn void cpu_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

#endif
