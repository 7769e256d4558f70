/* SPDX-License-Identifier: MIT */
#ifndef ARCH_X86_APICREG_H
#define ARCH_X86_APICREG_H

/*
 * Local APIC registers, physical and virtual (APM volume 2 chapter 16, SDM
 * volume 3 chapter "Advanced Programmable Interrupt Controller").
 */

#define APIC_DEFAULT_BASE 0xFEE00000ULL

/** Register offsets in the xAPIC page; the x2APIC MSR is 0x800 + offset / 16. */
enum apic_reg {
    APIC_ID = 0x020,
    APIC_VERSION = 0x030,
    APIC_TPR = 0x080,
    APIC_APR = 0x090, /* arbitration priority; xAPIC only */
    APIC_PPR = 0x0A0,
    APIC_EOI = 0x0B0,
    APIC_RRD = 0x0C0, /* remote read; xAPIC only */
    APIC_LDR = 0x0D0,
    APIC_DFR = 0x0E0, /* xAPIC only */
    APIC_SVR = 0x0F0,
    APIC_ISR0 = 0x100, /* eight registers, 0x10 apart */
    APIC_TMR0 = 0x180,
    APIC_IRR0 = 0x200,
    APIC_ESR = 0x280,
    APIC_LVT_CMCI = 0x2F0,
    APIC_ICR = 0x300,
    APIC_ICR_HIGH = 0x310, /* xAPIC only */
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_THERMAL = 0x330,
    APIC_LVT_PERF = 0x340,
    APIC_LVT_LINT0 = 0x350,
    APIC_LVT_LINT1 = 0x360,
    APIC_LVT_ERROR = 0x370,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3E0,
    APIC_SELF_IPI = 0x3F0, /* x2APIC only */
};

#define APIC_REG_STRIDE 0x10U

#define X2APIC_MSR_FIRST 0x800U
#define X2APIC_MSR_LAST  0x8FFU
#define X2APIC_MSR(reg)  (X2APIC_MSR_FIRST + ((unsigned)(reg) >> 4))

/* IA32_APIC_BASE */
#define APIC_BASE_BSP       (1ULL << 8)
#define APIC_BASE_X2APIC    (1ULL << 10)
#define APIC_BASE_ENABLE    (1ULL << 11)
#define APIC_BASE_ADDR_MASK 0x000FFFFFFFFFF000ULL

/* Version: version in 7:0, highest LVT entry in 23:16. */
#define APIC_VERSION_MAXLVT_SHIFT 16
#define APIC_VERSION_EOI_SUPPRESS (1U << 24)

/* Spurious interrupt vector register. */
#define APIC_SVR_VECTOR_MASK 0x0FFU
#define APIC_SVR_ENABLE      (1U << 8)
#define APIC_SVR_FOCUS       (1U << 9)

/* Logical destination: 31:24 in xAPIC mode; the model of it in DFR 31:28. */
#define APIC_LDR_SHIFT   24
#define APIC_LDR_MASK    0xFF000000U
#define APIC_DFR_MASK    0xF0000000U
#define APIC_DFR_FLAT    0xF0000000U
#define APIC_DFR_CLUSTER 0x00000000U
#define APIC_DFR_ONES    0x0FFFFFFFU

/* Local vector table entries. */
#define APIC_LVT_VECTOR_MASK    0x000000FFU
#define APIC_LVT_MODE_SHIFT     8
#define APIC_LVT_MODE_MASK      0x00000700U
#define APIC_LVT_STATUS         (1U << 12) /* read only */
#define APIC_LVT_POLARITY       (1U << 13)
#define APIC_LVT_REMOTE_IRR     (1U << 14) /* read only */
#define APIC_LVT_LEVEL          (1U << 15)
#define APIC_LVT_MASKED         (1U << 16)
#define APIC_LVT_TIMER_PERIODIC (1U << 17)
#define APIC_LVT_TIMER_DEADLINE (1U << 18)

/* Interrupt command register, low half. */
#define APIC_ICR_VECTOR_MASK     0x000000FFU
#define APIC_ICR_MODE_SHIFT      8
#define APIC_ICR_MODE_MASK       0x00000700U
#define APIC_ICR_LOGICAL         (1U << 11)
#define APIC_ICR_BUSY            (1U << 12) /* read only */
#define APIC_ICR_ASSERT          (1U << 14)
#define APIC_ICR_LEVEL           (1U << 15)
#define APIC_ICR_SHORTHAND_SHIFT 18
#define APIC_ICR_SHORTHAND_MASK  0x000C0000U
#define APIC_ICR_VALID_MASK                                                                        \
    (APIC_ICR_VECTOR_MASK | APIC_ICR_MODE_MASK | APIC_ICR_LOGICAL | APIC_ICR_ASSERT |              \
     APIC_ICR_LEVEL | APIC_ICR_SHORTHAND_MASK)

/** ICR bits 19:18. */
enum apic_shorthand {
    APIC_DEST_NONE,
    APIC_DEST_SELF,
    APIC_DEST_ALL,
    APIC_DEST_OTHERS,
};

/** Delivery modes, bits 10:8 of ICR, LVT and MSI data. */
enum apic_delivery {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_SIPI = 6,
    APIC_EXTINT = 7,
};

/* ICR destinations: bits 63:56 in xAPIC mode, 63:32 in x2APIC mode. */
#define XAPIC_DEST_SHIFT      56
#define XAPIC_DEST_BROADCAST  0xFFU
#define X2APIC_DEST_SHIFT     32
#define X2APIC_DEST_BROADCAST 0xFFFFFFFFU

/* Error status register. */
#define APIC_ESR_SEND_CHECKSUM   (1U << 0)
#define APIC_ESR_RECV_CHECKSUM   (1U << 1)
#define APIC_ESR_SEND_ACCEPT     (1U << 2)
#define APIC_ESR_RECV_ACCEPT     (1U << 3)
#define APIC_ESR_REDIRECTABLE    (1U << 4)
#define APIC_ESR_SEND_ILLEGAL    (1U << 5) /* vector below 16 sent */
#define APIC_ESR_RECV_ILLEGAL    (1U << 6) /* vector below 16 received, or from the LVT */
#define APIC_ESR_ILLEGAL_ADDRESS (1U << 7) /* reserved register; xAPIC only */

/* Timer divide configuration: divisor 2 << n with n in bits 3, 1, 0, and 7 meaning 1. */
#define APIC_DIVIDE_MASK 0x0BU

/* Vectors below this are exceptions: no interrupt may carry them. */
#define APIC_FIRST_VECTOR 16

#endif
