/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/features.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/partition/cpuid.h"
#include "lib/bits.h"
#include "lib/string.h"

#define X1 0x80000001U
#define X7 0x80000007U
#define X8 0x80000008U

/** One feature: bit `bit` of its bank is bit `at` of a register of a CPUID leaf. */
struct feature {
    uint8_t bank, bit;
    uint8_t reg, at;
    uint32_t leaf, subleaf;
};

#define B0(bit, leaf, subleaf, reg, at)                                                            \
    {                                                                                              \
        FEATURES_BANK0, bit, CPUID_##reg, at, leaf, subleaf                                        \
    }
#define B1(bit, leaf, subleaf, reg, at)                                                            \
    {                                                                                              \
        FEATURES_BANK1, bit, CPUID_##reg, at, leaf, subleaf                                        \
    }
#define XS(bit, leaf, subleaf, reg, at)                                                            \
    {                                                                                              \
        FEATURES_XSAVE, bit, CPUID_##reg, at, leaf, subleaf                                        \
    }

/*
 * Features that no CPUID bit stands for, or that children do not get (CET, five-level paging, the
 * TSC deadline), are not listed: they read as absent, and to disable them changes nothing.
 */
/* clang-format off */
static const struct feature features[] = {
    B0(0,  1, 0, ECX, 0),    /* SSE3 */
    B0(1,  X1, 0, ECX, 0),   /* LAHF and SAHF in 64-bit mode */
    B0(2,  1, 0, ECX, 9),    /* SSSE3 */
    B0(3,  1, 0, ECX, 19),   /* SSE4.1 */
    B0(4,  1, 0, ECX, 20),   /* SSE4.2 */
    B0(5,  X1, 0, ECX, 6),   /* SSE4A */
    B0(6,  X1, 0, ECX, 11),  /* XOP */
    B0(7,  1, 0, ECX, 23),   /* POPCNT */
    B0(8,  1, 0, ECX, 13),   /* CMPXCHG16B */
    B0(9,  X1, 0, ECX, 4),   /* MOV CR8 by LOCK MOV CR0 */
    B0(10, X1, 0, ECX, 5),   /* LZCNT */
    B0(11, X1, 0, ECX, 7),   /* misaligned SSE */
    B0(12, X1, 0, EDX, 22),  /* MMX extensions */
    B0(13, X1, 0, EDX, 31),  /* 3DNow! */
    B0(14, X1, 0, EDX, 30),  /* 3DNow! extensions */
    B0(15, X1, 0, EDX, 26),  /* 1 GiB pages */
    B0(16, 1, 0, ECX, 25),   /* AES */
    B0(17, 1, 0, ECX, 1),    /* PCLMULQDQ */
    B0(18, 1, 0, ECX, 17),   /* PCID */
    B0(19, X1, 0, ECX, 16),  /* FMA4 */
    B0(20, 1, 0, ECX, 29),   /* F16C */
    B0(21, 1, 0, ECX, 30),   /* RDRAND */
    B0(22, 7, 0, EBX, 0),    /* RDFSBASE and the like */
    B0(23, 7, 0, EBX, 7),    /* SMEP */
    B0(24, 7, 0, EBX, 9),    /* enhanced REP MOVSB */
    B0(25, 7, 0, EBX, 3),    /* BMI1 */
    B0(26, 7, 0, EBX, 8),    /* BMI2 */
    B0(29, 1, 0, ECX, 22),   /* MOVBE */
    B0(31, 7, 0, EBX, 13),   /* x87 saves no segment selectors */
    B0(32, 7, 0, EBX, 18),   /* RDSEED */
    B0(33, 7, 0, EBX, 19),   /* ADX */
    B0(34, X1, 0, ECX, 8),   /* PREFETCHW */
    B0(35, 7, 0, EBX, 20),   /* SMAP */
    B0(36, 7, 0, EBX, 4),    /* HLE */
    B0(37, 7, 0, EBX, 11),   /* RTM */
    B0(38, X1, 0, EDX, 27),  /* RDTSCP */
    B0(39, 7, 0, EBX, 23),   /* CLFLUSHOPT */
    B0(40, 7, 0, EBX, 24),   /* CLWB */
    B0(41, 7, 0, EBX, 29),   /* SHA */
    B0(42, X8, 0, EBX, 2),   /* x87 error pointers are always saved */
    B0(43, 7, 0, EBX, 10),   /* INVPCID */
    B0(44, 7, 0, EDX, 26),   /* IBRS and IBPB */
    B0(45, 7, 0, EDX, 27),   /* STIBP */
    B0(46, X8, 0, EBX, 12),  /* IBPB */
    B0(48, 7, 0, EDX, 31),   /* SSBD */
    B0(49, 7, 0, EDX, 4),    /* fast short REP MOV */
    B0(50, 7, 0, EDX, 28),   /* L1D flush */
    B0(56, X8, 0, EBX, 25),  /* VIRT_SPEC_CTRL */
    B0(57, 7, 0, ECX, 22),   /* RDPID */
    B0(58, 7, 0, ECX, 2),    /* UMIP */
    B0(60, 7, 0, EDX, 10),   /* VERW clears buffers */
    B1(1,  X7, 0, EDX, 8),   /* invariant TSC */
    B1(2,  X8, 0, EBX, 0),   /* CLZERO */
    B1(3,  X8, 0, EBX, 4),   /* RDPRU */
    B1(12, 7, 0, ECX, 5),    /* UMWAIT, TPAUSE */
    B1(13, 7, 0, ECX, 27),   /* MOVDIRI */
    B1(14, 7, 0, ECX, 28),   /* MOVDIR64B */
    B1(15, 7, 0, ECX, 25),   /* CLDEMOTE */
    B1(16, 7, 0, EDX, 14),   /* SERIALIZE */
    B1(18, 7, 0, EBX, 1),    /* TSC_ADJUST */
    B1(19, 7, 1, EAX, 10),   /* fast zero-length REP MOVSB */
    B1(20, 7, 1, EAX, 11),   /* fast short REP STOSB */
    B1(21, 7, 1, EAX, 12),   /* fast short REP CMPSB */
    XS(0,  1, 0, ECX, 26),   /* XSAVE */
    XS(1,  0xD, 1, EAX, 0),  /* XSAVEOPT */
    XS(2,  1, 0, ECX, 28),   /* AVX */
    XS(3,  7, 0, EBX, 5),    /* AVX2 */
    XS(4,  1, 0, ECX, 12),   /* FMA */
    XS(5,  7, 0, EBX, 14),   /* MPX */
    XS(6,  7, 0, EBX, 16),   /* AVX-512 F */
    XS(7,  7, 0, EBX, 17),   /* AVX-512 DQ */
    XS(8,  7, 0, EBX, 28),   /* AVX-512 CD */
    XS(9,  7, 0, EBX, 30),   /* AVX-512 BW */
    XS(10, 7, 0, EBX, 31),   /* AVX-512 VL */
    XS(11, 0xD, 1, EAX, 1),  /* compact format */
    XS(12, 0xD, 1, EAX, 3),  /* supervisor states */
    XS(13, 0xD, 1, EAX, 2),  /* XGETBV of XCR1 */
    XS(14, 7, 0, ECX, 12),   /* AVX-512 BITALG */
    XS(15, 7, 0, EBX, 21),   /* AVX-512 IFMA */
    XS(16, 7, 0, ECX, 1),    /* AVX-512 VBMI */
    XS(17, 7, 0, ECX, 6),    /* AVX-512 VBMI2 */
    XS(18, 7, 0, ECX, 11),   /* AVX-512 VNNI */
    XS(19, 7, 0, ECX, 8),    /* GFNI */
    XS(20, 7, 0, ECX, 9),    /* VAES */
    XS(21, 7, 0, ECX, 14),   /* AVX-512 VPOPCNTDQ */
    XS(22, 7, 0, ECX, 10),   /* VPCLMULQDQ */
    XS(23, 7, 1, EAX, 5),    /* AVX-512 BF16 */
    XS(24, 7, 0, EDX, 8),    /* AVX-512 VP2INTERSECT */
    XS(25, 7, 0, EDX, 23),   /* AVX-512 FP16 */
    XS(26, 0xD, 1, EAX, 4),  /* XFD */
    XS(27, 7, 0, EDX, 24),   /* AMX tiles */
    XS(28, 7, 0, EDX, 22),   /* AMX BF16 */
    XS(29, 7, 0, EDX, 25),   /* AMX INT8 */
    XS(30, 7, 1, EAX, 4),    /* AVX-VNNI */
};
/* clang-format on */

/* The leaf, or zeros where the processor has none: it would answer for another one. */
static void leaf_read(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    cpu_cpuid(leaf & 0x80000000U, 0, regs);
    if (leaf > regs[CPUID_EAX])
        memset(regs, 0, 4 * sizeof(regs[0]));
    else
        cpu_cpuid(leaf, subleaf, regs);
}

uint64_t features_host(enum features_bank bank)
{
    uint64_t found = 0;

    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        uint32_t regs[4];

        if (f->bank != bank)
            continue;
        leaf_read(f->leaf, f->subleaf, regs);
        if (regs[f->reg] & BIT(f->at))
            found |= BIT64(f->bit);
    }
    return found;
}

void features_hide(const uint64_t disabled[FEATURES_BANKS], uint32_t leaf, uint32_t subleaf,
                   uint32_t regs[4])
{
    /* Without XSAVE there is no leaf that describes it. */
    if (leaf == 0xD && (disabled[FEATURES_XSAVE] & BIT(0)))
        memset(regs, 0, 4 * sizeof(regs[0]));
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];

        /* Of the leaves here only these two have subleaves. */
        if (f->leaf == leaf && (f->subleaf == subleaf || (leaf != 7 && leaf != 0xD)) &&
            (disabled[f->bank] & BIT64(f->bit)))
            regs[f->reg] &= ~BIT(f->at);
    }
}
