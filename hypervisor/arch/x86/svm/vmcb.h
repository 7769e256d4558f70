/* SPDX-License-Identifier: MIT */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

#include <stddef.h>
#include <stdint.h>
#include "lib/bits.h"

/* Virtual machine control block, APM volume 2 appendix B. */

/* Intercept vector 0 (offset 0x00): reads of CR0-15 in the low, writes in the high half. */
#define INTERCEPT0_CR8_WRITE BIT(24)

/* Intercept vector 3 (offset 0x0c) and 4 (0x10). */
#define INTERCEPT3_INTR     BIT(0)
#define INTERCEPT3_NMI      BIT(1)
#define INTERCEPT3_SMI      BIT(2)
#define INTERCEPT3_INIT     BIT(3)
#define INTERCEPT3_VINTR    BIT(4)
#define INTERCEPT3_RDPMC    BIT(15)
#define INTERCEPT3_CPUID    BIT(18)
#define INTERCEPT3_IRET     BIT(20)
#define INTERCEPT3_INVD     BIT(22)
#define INTERCEPT3_HLT      BIT(24)
#define INTERCEPT3_INVLPGA  BIT(26)
#define INTERCEPT3_IOIO     BIT(27)
#define INTERCEPT3_MSR      BIT(28)
#define INTERCEPT3_SHUTDOWN BIT(31)
#define INTERCEPT4_VMRUN    BIT(0)
#define INTERCEPT4_VMMCALL  BIT(1)
#define INTERCEPT4_VMLOAD   BIT(2)
#define INTERCEPT4_VMSAVE   BIT(3)
#define INTERCEPT4_STGI     BIT(4)
#define INTERCEPT4_CLGI     BIT(5)
#define INTERCEPT4_SKINIT   BIT(6)
#define INTERCEPT4_WBINVD   BIT(9)
#define INTERCEPT4_MONITOR  BIT(10)
#define INTERCEPT4_MWAIT    BIT(11)

/* int_ctl (offset 0x60). */
#define VINT_TPR_MASK     0xffULL
#define VINT_IRQ          BIT64(8)
#define VINT_PRIO_SHIFT   16
#define VINT_IGN_TPR      BIT64(20)
#define VINT_INTR_MASKING BIT64(24)
#define VINT_VECTOR_SHIFT 32
#define VINT_REQUEST_MASK                                                                          \
    (VINT_IRQ | 0xfULL << VINT_PRIO_SHIFT | VINT_IGN_TPR | 0xffULL << VINT_VECTOR_SHIFT)

#define INT_SHADOW BIT64(0)

/* event_inj, exit_int_info. */
#define EVENT_VECTOR(e)   ((uint8_t)(e))
#define EVENT_TYPE_MASK   (7ULL << 8)
#define EVENT_INTR        (0ULL << 8)
#define EVENT_NMI         (2ULL << 8)
#define EVENT_EXCEPTION   (3ULL << 8)
#define EVENT_SOFT        (4ULL << 8)
#define EVENT_ERROR_VALID BIT64(11)
#define EVENT_VALID       BIT64(31)

#define TLB_FLUSH_ALL  1
#define TLB_FLUSH_ASID 3
#define NESTED_PAGING  BIT64(0)

/* Exit codes, APM volume 2 appendix C. */
#define VMEXIT_CR8_WRITE 0x18
#define VMEXIT_EXCEPTION 0x40 /* and the vector, up to 0x5f */
#define VMEXIT_INTR      0x60
#define VMEXIT_NMI       0x61
#define VMEXIT_SMI       0x62
#define VMEXIT_INIT      0x63
#define VMEXIT_VINTR     0x64
#define VMEXIT_RDPMC     0x6f
#define VMEXIT_CPUID     0x72
#define VMEXIT_IRET      0x74
#define VMEXIT_INVD      0x76
#define VMEXIT_HLT       0x78
#define VMEXIT_INVLPGA   0x7a
#define VMEXIT_IOIO      0x7b
#define VMEXIT_MSR       0x7c
#define VMEXIT_SHUTDOWN  0x7f
#define VMEXIT_VMRUN     0x80
#define VMEXIT_VMMCALL   0x81
#define VMEXIT_VMLOAD    0x82
#define VMEXIT_VMSAVE    0x83
#define VMEXIT_STGI      0x84
#define VMEXIT_CLGI      0x85
#define VMEXIT_SKINIT    0x86
#define VMEXIT_WBINVD    0x89
#define VMEXIT_MONITOR   0x8a
#define VMEXIT_MWAIT     0x8b
#define VMEXIT_NPF       0x400
#define VMEXIT_INVALID   0xffffffffffffffffULL

/* EXITINFO1 of a nested page fault. */
#define NPF_WRITE      BIT64(1)
#define NPF_FETCH      BIT64(4)
#define NPF_TABLE_WALK BIT64(33)

struct vmcb_segment {
    uint16_t selector;
    uint16_t attributes; /* bits 0-7: type, S, DPL, P; 8-11: AVL, L, D, G */
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    uint32_t intercept[6]; /* 0x000: CR, DR, exceptions, 3, 4, 5 */
    uint8_t reserved0[0x40 - 0x18];
    uint64_t iopm_base;     /* 0x040 */
    uint64_t msrpm_base;    /* 0x048 */
    uint64_t tsc_offset;    /* 0x050 */
    uint32_t asid;          /* 0x058 */
    uint32_t tlb_control;   /* 0x05c */
    uint64_t int_ctl;       /* 0x060 */
    uint64_t int_shadow;    /* 0x068 */
    uint64_t exit_code;     /* 0x070 */
    uint64_t exit_info1;    /* 0x078 */
    uint64_t exit_info2;    /* 0x080 */
    uint64_t exit_int_info; /* 0x088 */
    uint64_t np_enable;     /* 0x090 */
    uint8_t reserved1[0xa8 - 0x98];
    uint64_t event_inj;  /* 0x0a8 */
    uint64_t nested_cr3; /* 0x0b0 */
    uint8_t reserved2[0xc8 - 0xb8];
    uint64_t next_rip; /* 0x0c8 */
    uint8_t reserved10[0x400 - 0xd0];

    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; /* 0x400 */
    uint8_t reserved3[0x4cb - 0x4a0];
    uint8_t cpl; /* 0x4cb */
    uint32_t reserved4;
    uint64_t efer; /* 0x4d0 */
    uint8_t reserved5[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 0x548 */
    uint8_t reserved6[0x5d8 - 0x580];
    uint64_t rsp; /* 0x5d8 */
    uint8_t reserved7[0x5f8 - 0x5e0];
    uint64_t rax; /* 0x5f8 */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2; /* ..0x648 */
    uint8_t reserved8[0x668 - 0x648];
    uint64_t g_pat; /* 0x668 */
    uint8_t reserved9[0x1000 - 0x670];
};

_Static_assert(offsetof(struct vmcb, iopm_base) == 0x40, "VMCB");
_Static_assert(offsetof(struct vmcb, asid) == 0x58, "VMCB");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "VMCB");
_Static_assert(offsetof(struct vmcb, np_enable) == 0x90, "VMCB");
_Static_assert(offsetof(struct vmcb, event_inj) == 0xa8, "VMCB");
_Static_assert(offsetof(struct vmcb, next_rip) == 0xc8, "VMCB");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB");
_Static_assert(offsetof(struct vmcb, tr) == 0x490, "VMCB");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "VMCB");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "VMCB");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "VMCB");
_Static_assert(sizeof(struct vmcb) == 0x1000, "VMCB");

#endif
