/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_REGISTER_H
#define ABI_TLFS_REGISTER_H

#include <stddef.h>
#include <stdint.h>

#ifndef __cplusplus
#define HV_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define HV_LAYOUT(cond) static_assert(cond, #cond)
#endif

/*
 * Registers of a virtual processor as HvCallGetVpRegisters and HvCallSetVpRegisters name
 * them (TLFS "HV_REGISTER_NAME"), their values, and the register state page.
 */
enum hv_register_name {
    /* Suspension: a VP runs while all of them are clear. */
    HV_REGISTER_EXPLICIT_SUSPEND = 0x00000000,
    HV_REGISTER_INTERCEPT_SUSPEND = 0x00000001,
    HV_REGISTER_DISPATCH_SUSPEND = 0x00000003,
    HV_REGISTER_INTERNAL_ACTIVITY_STATE = 0x00000004,

    /* What CPUID leaves 0x40000002 to 0x4000000A say, 128 bits each. */
    HV_REGISTER_HYPERVISOR_VERSION = 0x00000100,
    HV_REGISTER_PRIVILEGES_AND_FEATURES_INFO = 0x00000200,
    HV_REGISTER_FEATURES_INFO = 0x00000201,
    HV_REGISTER_IMPLEMENTATION_LIMITS_INFO = 0x00000202,
    HV_REGISTER_HARDWARE_FEATURES_INFO = 0x00000203,

    HV_REGISTER_GUEST_CRASH_P0 = 0x00000210,
    HV_REGISTER_GUEST_CRASH_P1 = 0x00000211,
    HV_REGISTER_GUEST_CRASH_P2 = 0x00000212,
    HV_REGISTER_GUEST_CRASH_P3 = 0x00000213,
    HV_REGISTER_GUEST_CRASH_P4 = 0x00000214,
    HV_REGISTER_GUEST_CRASH_CTL = 0x00000215,

    /* Interruption state. */
    HV_REGISTER_PENDING_INTERRUPTION = 0x00010002,
    HV_REGISTER_INTERRUPT_STATE = 0x00010003,
    HV_REGISTER_PENDING_EVENT0 = 0x00010004,
    HV_REGISTER_PENDING_EVENT1 = 0x00010005,
    HV_REGISTER_DELIVERABILITY_NOTIFICATIONS = 0x00010006,

    /* General registers in encoding order. */
    HV_X64_REGISTER_RAX = 0x00020000,
    HV_X64_REGISTER_RCX = 0x00020001,
    HV_X64_REGISTER_RDX = 0x00020002,
    HV_X64_REGISTER_RBX = 0x00020003,
    HV_X64_REGISTER_RSP = 0x00020004,
    HV_X64_REGISTER_RBP = 0x00020005,
    HV_X64_REGISTER_RSI = 0x00020006,
    HV_X64_REGISTER_RDI = 0x00020007,
    HV_X64_REGISTER_R8 = 0x00020008,
    HV_X64_REGISTER_R15 = 0x0002000F,
    HV_X64_REGISTER_RIP = 0x00020010,
    HV_X64_REGISTER_RFLAGS = 0x00020011,

    /* Floating point and vector registers, 128 bits each. */
    HV_X64_REGISTER_XMM0 = 0x00030000,
    HV_X64_REGISTER_XMM15 = 0x0003000F,
    HV_X64_REGISTER_FP_MMX0 = 0x00030010,
    HV_X64_REGISTER_FP_MMX7 = 0x00030017,
    HV_X64_REGISTER_FP_CONTROL_STATUS = 0x00030018,
    HV_X64_REGISTER_XMM_CONTROL_STATUS = 0x00030019,

    /* Control and debug registers. INTERMEDIATE: without the checks across registers. */
    HV_X64_REGISTER_CR0 = 0x00040000,
    HV_X64_REGISTER_CR2 = 0x00040001,
    HV_X64_REGISTER_CR3 = 0x00040002,
    HV_X64_REGISTER_CR4 = 0x00040003,
    HV_X64_REGISTER_CR8 = 0x00040004,
    HV_X64_REGISTER_XFEM = 0x00040005,
    HV_X64_REGISTER_INTERMEDIATE_CR0 = 0x00041000,
    HV_X64_REGISTER_INTERMEDIATE_CR3 = 0x00041002,
    HV_X64_REGISTER_INTERMEDIATE_CR4 = 0x00041003,
    HV_X64_REGISTER_INTERMEDIATE_CR8 = 0x00041004,
    HV_X64_REGISTER_DR0 = 0x00050000,
    HV_X64_REGISTER_DR1 = 0x00050001,
    HV_X64_REGISTER_DR2 = 0x00050002,
    HV_X64_REGISTER_DR3 = 0x00050003,
    HV_X64_REGISTER_DR6 = 0x00050004,
    HV_X64_REGISTER_DR7 = 0x00050005,

    /* Segments and tables. */
    HV_X64_REGISTER_ES = 0x00060000,
    HV_X64_REGISTER_CS = 0x00060001,
    HV_X64_REGISTER_SS = 0x00060002,
    HV_X64_REGISTER_DS = 0x00060003,
    HV_X64_REGISTER_FS = 0x00060004,
    HV_X64_REGISTER_GS = 0x00060005,
    HV_X64_REGISTER_LDTR = 0x00060006,
    HV_X64_REGISTER_TR = 0x00060007,
    HV_X64_REGISTER_IDTR = 0x00070000,
    HV_X64_REGISTER_GDTR = 0x00070001,

    /* Architectural MSRs. */
    HV_X64_REGISTER_TSC = 0x00080000,
    HV_X64_REGISTER_EFER = 0x00080001,
    HV_X64_REGISTER_KERNEL_GS_BASE = 0x00080002,
    HV_X64_REGISTER_APIC_BASE = 0x00080003,
    HV_X64_REGISTER_PAT = 0x00080004,
    HV_X64_REGISTER_SYSENTER_CS = 0x00080005,
    HV_X64_REGISTER_SYSENTER_EIP = 0x00080006,
    HV_X64_REGISTER_SYSENTER_ESP = 0x00080007,
    HV_X64_REGISTER_STAR = 0x00080008,
    HV_X64_REGISTER_LSTAR = 0x00080009,
    HV_X64_REGISTER_CSTAR = 0x0008000A,
    HV_X64_REGISTER_SFMASK = 0x0008000B,
    HV_X64_REGISTER_INITIAL_APIC_ID = 0x0008000C,
    HV_X64_REGISTER_MSR_MTRR_CAP = 0x0008000D,
    HV_X64_REGISTER_MSR_MTRR_DEF_TYPE = 0x0008000E,
    HV_X64_REGISTER_MSR_MTRR_PHYS_BASE0 = 0x00080010,
    HV_X64_REGISTER_MSR_MTRR_PHYS_BASE_F = 0x0008001F,
    HV_X64_REGISTER_MSR_MTRR_PHYS_MASK0 = 0x00080040,
    HV_X64_REGISTER_MSR_MTRR_PHYS_MASK_F = 0x0008004F,
    HV_X64_REGISTER_MSR_MTRR_FIX64K00000 = 0x00080070,
    HV_X64_REGISTER_MSR_MTRR_FIX16K80000 = 0x00080071,
    HV_X64_REGISTER_MSR_MTRR_FIX16KA0000 = 0x00080072,
    HV_X64_REGISTER_MSR_MTRR_FIX4KC0000 = 0x00080073,
    HV_X64_REGISTER_MSR_MTRR_FIX4KF8000 = 0x0008007A,
    HV_X64_REGISTER_TSC_AUX = 0x0008007B,
    HV_X64_REGISTER_BNDCFGS = 0x0008007C,
    HV_X64_REGISTER_DEBUG_CTL = 0x0008007D,
    HV_X64_REGISTER_SPEC_CTRL = 0x00080084,
    HV_X64_REGISTER_TSC_DEADLINE = 0x00080095,
    HV_X64_REGISTER_TSC_ADJUST = 0x00080096,
    HV_X64_REGISTER_XSS = 0x0008008B,
    HV_X64_REGISTER_MSR_IA32_MISC_ENABLE = 0x000800A0,

    /* The local APIC's registers follow their x2APIC numbers: 0x00084800 + (MSR - 0x800). */
    HV_X64_REGISTER_APIC_FIRST = 0x00084800,
    HV_X64_REGISTER_APIC_ID = 0x00084802,
    HV_X64_REGISTER_APIC_LAST = 0x000848FF,

    /* What the synthetic MSRs hold. */
    HV_REGISTER_VP_RUNTIME = 0x00090000,
    HV_X64_REGISTER_HYPERCALL = 0x00090001,
    HV_REGISTER_GUEST_OS_ID = 0x00090002,
    HV_REGISTER_VP_INDEX = 0x00090003,
    HV_REGISTER_TIME_REF_COUNT = 0x00090004,
    HV_X64_REGISTER_EOI = 0x00090010,
    HV_X64_REGISTER_ICR = 0x00090011,
    HV_X64_REGISTER_TPR = 0x00090012,
    HV_REGISTER_VP_ASSIST_PAGE = 0x00090013,
    HV_REGISTER_VP_ROOT_SIGNAL_COUNT = 0x00090014,
    HV_REGISTER_REFERENCE_TSC = 0x00090017,
    HV_X64_REGISTER_REG_PAGE = 0x0009001C,
    HV_REGISTER_SINT0 = 0x000A0000,
    HV_REGISTER_SINT15 = 0x000A000F,
    HV_REGISTER_SCONTROL = 0x000A0010,
    HV_REGISTER_SVERSION = 0x000A0011,
    HV_REGISTER_SIEFP = 0x000A0012,
    HV_REGISTER_SIMP = 0x000A0013,
    HV_REGISTER_EOM = 0x000A0014,
    HV_REGISTER_SIRBP = 0x000A0015,
    HV_REGISTER_STIMER0_CONFIG = 0x000B0000,
    HV_REGISTER_STIMER0_COUNT = 0x000B0001,
    HV_REGISTER_STIMER3_COUNT = 0x000B0007,
};

/** HV_X64_SEGMENT_REGISTER; attributes as in a descriptor: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L
 * 13, D 14, G 15. */
struct hv_x64_segment_register {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t attributes;
};
HV_LAYOUT(sizeof(struct hv_x64_segment_register) == 16);

struct hv_x64_table_register {
    uint16_t pad[3];
    uint16_t limit;
    uint64_t base;
};
HV_LAYOUT(sizeof(struct hv_x64_table_register) == 16);
HV_LAYOUT(offsetof(struct hv_x64_table_register, limit) == 6);

/** HV_REGISTER_VALUE: what is narrower than 128 bits stands in the low bytes, the rest is zero. */
union hv_register_value {
    uint64_t reg128[2];
    uint64_t reg64;
    uint32_t reg32;
    uint16_t reg16;
    uint8_t reg8;
    struct hv_x64_segment_register segment;
    struct hv_x64_table_register table;
};
HV_LAYOUT(sizeof(union hv_register_value) == 16);

/** One element of the list of HvCallSetVpRegisters. */
struct hv_register_assoc {
    uint32_t name; /* enum hv_register_name */
    uint32_t reserved1;
    uint64_t reserved2;
    union hv_register_value value;
};
HV_LAYOUT(sizeof(struct hv_register_assoc) == 32);

#define HV_VP_SUSPENDED 1ULL /* bit 0 of the suspend registers */

/* HV_REGISTER_INTERRUPT_STATE. */
#define HV_INTERRUPT_STATE_SHADOW     (1ULL << 0)
#define HV_INTERRUPT_STATE_NMI_MASKED (1ULL << 1)

/* HV_REGISTER_PENDING_INTERRUPTION: error code in 63:32. */
#define HV_PENDING_INTERRUPTION_VALID      (1ULL << 0)
#define HV_PENDING_INTERRUPTION_TYPE_SHIFT 1
#define HV_PENDING_INTERRUPTION_TYPE_MASK  (7ULL << 1)
#define HV_PENDING_INTERRUPTION_ERROR_CODE (1ULL << 4)
#define HV_PENDING_INTERRUPTION_LEN_SHIFT  5
#define HV_PENDING_INTERRUPTION_VEC_SHIFT  16

/* Types of interruptions. */
#define HV_INTERRUPTION_TYPE_EXTERNAL 0
#define HV_INTERRUPTION_TYPE_NMI      2
enum hv_interruption_type {
    HV_INTERRUPTION_EXTERNAL = 0,
    HV_INTERRUPTION_NMI = 2,
    HV_INTERRUPTION_EXCEPTION = 3,
    HV_INTERRUPTION_SOFTWARE_INTERRUPT = 4,
    HV_INTERRUPTION_PRIVILEGED_SOFTWARE_EXCEPTION = 5,
    HV_INTERRUPTION_SOFTWARE_EXCEPTION = 6,
};

/* HV_REGISTER_PENDING_EVENT0: event_pending bit 0, type 3:1; exception or ExtINT. */
#define HV_PENDING_EVENT_VALID            (1ULL << 0)
#define HV_PENDING_EVENT_TYPE_SHIFT       1
#define HV_PENDING_EVENT_TYPE_MASK        (7ULL << 1)
#define HV_PENDING_EVENT_EXCEPTION        0
#define HV_PENDING_EVENT_EXTINT           5
#define HV_PENDING_EVENT_ERROR_CODE       (1ULL << 8) /* exception: deliver the error code */
#define HV_PENDING_EVENT_VECTOR_SHIFT     16          /* exception: vector in 31:16 */
#define HV_PENDING_EVENT_EXTINT_VEC_SHIFT 8           /* ExtINT: vector in 15:8 */

/* HV_REGISTER_DELIVERABILITY_NOTIFICATIONS. */
#define HV_DELIVERABILITY_NMI        (1ULL << 0)
#define HV_DELIVERABILITY_INTERRUPT  (1ULL << 1)
#define HV_DELIVERABILITY_PRIO_SHIFT 2
#define HV_DELIVERABILITY_PRIO_MASK  (0xFULL << 2)
#define HV_DELIVERABILITY_SINT_SHIFT 48

/* Classes of registers in `dirty` of the register page; the parent sets them. */
#define HV_X64_REGISTER_CLASS_GENERAL 0
#define HV_X64_REGISTER_CLASS_IP      1
#define HV_X64_REGISTER_CLASS_XMM     2
#define HV_X64_REGISTER_CLASS_SEGMENT 3
#define HV_X64_REGISTER_CLASS_FLAGS   4

#define HV_VP_REGISTER_PAGE_VERSION_1 1U

/**
 * HV_VP_REGISTER_PAGE: state page of type HV_VP_STATE_PAGE_REGISTERS. Filled at an intercept;
 * the classes marked dirty are taken over when the VP is resumed.
 */
struct hv_vp_register_page {
    uint16_t version;
    uint8_t isvalid;
    uint8_t reserved0;
    uint32_t dirty;
    uint64_t gp_registers[16];
    uint64_t rip;
    uint64_t rflags;
    uint64_t reserved1;
    uint64_t xmm_registers[6][2];
    struct hv_x64_segment_register segment_registers[6]; /* ES, CS, SS, DS, FS, GS */
    uint64_t cr0, cr3, cr4, cr8, efer, dr7;
    uint64_t pending_interruption;
    uint64_t interrupt_state;
    uint64_t instruction_emulation_hints;
    uint64_t xfem;
    uint8_t reserved2[256];
    uint64_t interrupt_vectors;
};
HV_LAYOUT(offsetof(struct hv_vp_register_page, gp_registers) == 8);
HV_LAYOUT(offsetof(struct hv_vp_register_page, rip) == 136);
HV_LAYOUT(offsetof(struct hv_vp_register_page, rflags) == 144);
HV_LAYOUT(offsetof(struct hv_vp_register_page, xmm_registers) == 160);
HV_LAYOUT(offsetof(struct hv_vp_register_page, segment_registers) == 256);
HV_LAYOUT(offsetof(struct hv_vp_register_page, cr0) == 352);
HV_LAYOUT(offsetof(struct hv_vp_register_page, pending_interruption) == 400);
HV_LAYOUT(offsetof(struct hv_vp_register_page, xfem) == 424);
HV_LAYOUT(offsetof(struct hv_vp_register_page, interrupt_vectors) == 688);
HV_LAYOUT(sizeof(struct hv_vp_register_page) == 696);

/** The local APIC's state in HvCallGetVpState and HvCallSetVpState (xAPIC register form). */
struct hv_local_interrupt_controller_state {
    uint32_t apic_id; /* bits 31:24 in xAPIC mode, all 32 bits in x2APIC mode */
    uint32_t apic_version;
    uint32_t apic_ldr;
    uint32_t apic_dfr;
    uint32_t apic_spurious;
    uint32_t apic_isr[8];
    uint32_t apic_tmr[8];
    uint32_t apic_irr[8];
    uint32_t apic_esr;
    uint32_t apic_icr_high;
    uint32_t apic_icr_low;
    uint32_t apic_lvt_timer;
    uint32_t apic_lvt_thermal;
    uint32_t apic_lvt_perfmon;
    uint32_t apic_lvt_lint0;
    uint32_t apic_lvt_lint1;
    uint32_t apic_lvt_error;
    uint32_t apic_lvt_cmci;
    uint32_t apic_error_status;
    uint32_t apic_initial_count;
    uint32_t apic_counter_value;
    uint32_t apic_divide_configuration;
    uint32_t apic_remote_read;
};
HV_LAYOUT(sizeof(struct hv_local_interrupt_controller_state) == 176);

/** Synthetic timers in HvCallGetVpState and HvCallSetVpState. */
struct hv_stimer_state {
    uint32_t flags; /* bit 0: a message waits for its slot */
    uint32_t reserved;
    uint64_t config;
    uint64_t count;
    uint64_t adjustment;
    uint64_t undelivered_exp_time;
};
HV_LAYOUT(sizeof(struct hv_stimer_state) == 40);

struct hv_synthetic_timers_state {
    struct hv_stimer_state timers[4];
    uint64_t reserved[5];
};
HV_LAYOUT(sizeof(struct hv_synthetic_timers_state) == 200);

#undef HV_LAYOUT

#endif
