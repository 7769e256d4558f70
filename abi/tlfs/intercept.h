/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_INTERCEPT_H
#define ABI_TLFS_INTERCEPT_H

#include <stddef.h>
#include <stdint.h>
#include "abi/tlfs/register.h"

#ifndef __cplusplus
#define HV_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define HV_LAYOUT(cond) static_assert(cond, #cond)
#endif

/* Intercepts that a parent may install, and the payloads of the messages that report them (TLFS
 * "Intercepts"). Message types are in abi/tlfs/synic.h. */

enum hv_intercept_type {
    HV_INTERCEPT_TYPE_X64_IO_PORT = 0x0,
    HV_INTERCEPT_TYPE_X64_MSR = 0x1,
    HV_INTERCEPT_TYPE_X64_CPUID = 0x2,
    HV_INTERCEPT_TYPE_EXCEPTION = 0x3,
    HV_INTERCEPT_TYPE_REGISTER = 0x4,
    HV_INTERCEPT_TYPE_MMIO = 0x5,
    HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID = 0x6,
    HV_INTERCEPT_TYPE_X64_APIC_SMI = 0x7,
    HV_INTERCEPT_TYPE_HYPERCALL = 0x8,
    HV_INTERCEPT_TYPE_X64_APIC_INIT_SIPI = 0x9,
    HV_INTERCEPT_TYPE_X64_APIC_WRITE = 0xB,
    HV_INTERCEPT_TYPE_X64_MSR_INDEX = 0xC,
    HV_INTERCEPT_TYPE_UNKNOWN_SYNIC_CONNECTION = 0xD,
    HV_INTERCEPT_TYPE_X64_APIC_EOI = 0xE,
    HV_INTERCEPT_TYPE_RETARGET_INTERRUPT_WITH_UNKNOWN_DEVICE_ID = 0xF,
    HV_INTERCEPT_TYPE_X64_EXCEPTION_TRAP = 0x10,
    HV_INTERCEPT_TYPE_X64_IO_PORT_RANGE = 0x11,
};

/* Which accesses are intercepted. */
#define HV_INTERCEPT_ACCESS_MASK_NONE    0U
#define HV_INTERCEPT_ACCESS_MASK_READ    1U
#define HV_INTERCEPT_ACCESS_MASK_WRITE   2U
#define HV_INTERCEPT_ACCESS_MASK_EXECUTE 4U

/* What kind of access a message reports. */
#define HV_INTERCEPT_ACCESS_READ    0
#define HV_INTERCEPT_ACCESS_WRITE   1
#define HV_INTERCEPT_ACCESS_EXECUTE 2

/* HV_X64_VP_EXECUTION_STATE. */
#define HV_EXECUTION_STATE_CPL_MASK             0x0003U
#define HV_EXECUTION_STATE_CR0_PE               0x0004U
#define HV_EXECUTION_STATE_CR0_AM               0x0008U
#define HV_EXECUTION_STATE_EFER_LMA             0x0010U
#define HV_EXECUTION_STATE_DEBUG_ACTIVE         0x0020U
#define HV_EXECUTION_STATE_INTERRUPTION_PENDING 0x0040U
#define HV_EXECUTION_STATE_INTERRUPT_SHADOW     0x1000U

struct hv_x64_intercept_message_header {
    uint32_t vp_index;
    uint8_t length_cr8; /* instruction length in 3:0, CR8 in 7:4 */
    uint8_t intercept_access_type;
    uint16_t execution_state;
    struct hv_x64_segment_register cs_segment;
    uint64_t rip;
    uint64_t rflags;
};
HV_LAYOUT(sizeof(struct hv_x64_intercept_message_header) == 40);

#define HV_MEMORY_ACCESS_GVA_VALID     0x01
#define HV_MEMORY_ACCESS_GVA_GPA_VALID 0x02

/** HVMSG_UNMAPPED_GPA, HVMSG_GPA_INTERCEPT. */
struct hv_x64_memory_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint32_t cache_type;
    uint8_t instruction_byte_count; /* 0: fetch them yourself */
    uint8_t memory_access_info;
    uint8_t tpr_priority;
    uint8_t reserved1;
    uint64_t guest_virtual_address;
    uint64_t guest_physical_address;
    uint8_t instruction_bytes[16];
};
HV_LAYOUT(sizeof(struct hv_x64_memory_intercept_message) == 80);
HV_LAYOUT(offsetof(struct hv_x64_memory_intercept_message, guest_physical_address) == 56);

#define HV_IO_ACCESS_SIZE_MASK 0x07
#define HV_IO_ACCESS_STRING    0x08
#define HV_IO_ACCESS_REP       0x10

/** HVMSG_X64_IO_PORT_INTERCEPT; header.intercept_access_type tells IN (read) from OUT. */
struct hv_x64_io_port_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint16_t port_number;
    uint8_t access_info;
    uint8_t instruction_byte_count;
    uint32_t reserved;
    uint64_t rax;
    uint8_t instruction_bytes[16];
    struct hv_x64_segment_register ds_segment;
    struct hv_x64_segment_register es_segment;
    uint64_t rcx;
    uint64_t rsi;
    uint64_t rdi;
};
HV_LAYOUT(sizeof(struct hv_x64_io_port_intercept_message) == 128);
HV_LAYOUT(offsetof(struct hv_x64_io_port_intercept_message, rax) == 48);
HV_LAYOUT(offsetof(struct hv_x64_io_port_intercept_message, rcx) == 104);

/** HVMSG_X64_MSR_INTERCEPT. */
struct hv_x64_msr_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint32_t msr_number;
    uint32_t reserved;
    uint64_t rdx;
    uint64_t rax;
};
HV_LAYOUT(sizeof(struct hv_x64_msr_intercept_message) == 64);

/** HVMSG_X64_CPUID_INTERCEPT; the default result is what the guest would see without it. */
struct hv_x64_cpuid_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint64_t rax, rcx, rdx, rbx;
    uint64_t default_result_rax, default_result_rcx, default_result_rdx, default_result_rbx;
};
HV_LAYOUT(sizeof(struct hv_x64_cpuid_intercept_message) == 104);

#define HV_EXCEPTION_INFO_ERROR_CODE_VALID 0x01
#define HV_EXCEPTION_INFO_SOFTWARE         0x02

/** HVMSG_X64_EXCEPTION_INTERCEPT. */
struct hv_x64_exception_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint16_t exception_vector;
    uint8_t exception_info;
    uint8_t instruction_byte_count;
    uint32_t error_code;
    uint64_t exception_parameter; /* #PF: the address */
    uint64_t reserved;
    uint8_t instruction_bytes[16];
    struct hv_x64_segment_register ds_segment;
    struct hv_x64_segment_register ss_segment;
    uint64_t gp_registers[16];
};
HV_LAYOUT(sizeof(struct hv_x64_exception_intercept_message) == 240);
HV_LAYOUT(offsetof(struct hv_x64_exception_intercept_message, exception_parameter) == 48);
HV_LAYOUT(offsetof(struct hv_x64_exception_intercept_message, ds_segment) == 80);
HV_LAYOUT(offsetof(struct hv_x64_exception_intercept_message, gp_registers) == 112);

/** HVMSG_X64_APIC_EOI. */
struct hv_x64_apic_eoi_message {
    uint32_t vp_index;
    uint32_t interrupt_vector;
};
HV_LAYOUT(sizeof(struct hv_x64_apic_eoi_message) == 8);

/** HVMSG_UNRECOVERABLE_EXCEPTION. */
struct hv_x64_unrecoverable_exception_message {
    struct hv_x64_intercept_message_header header;
};

/** HVMSG_HYPERCALL_INTERCEPT. */
struct hv_x64_hypercall_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint64_t rax, rbx, rcx, rdx, r8, rsi, rdi;
    uint64_t xmm_registers[6][2];
    uint32_t flags;
    uint32_t reserved[3];
};
HV_LAYOUT(offsetof(struct hv_x64_hypercall_intercept_message, xmm_registers) == 96);
HV_LAYOUT(offsetof(struct hv_x64_hypercall_intercept_message, flags) == 192);

/** HVMSG_X64_INTERRUPTION_DELIVERABLE. */
struct hv_x64_interruption_deliverable_message {
    struct hv_x64_intercept_message_header header;
    uint32_t deliverable_type; /* HV_INTERRUPTION_TYPE_* */
    uint32_t reserved;
};
HV_LAYOUT(sizeof(struct hv_x64_interruption_deliverable_message) == 48);

/** HVMSG_SYNIC_SINT_DELIVERABLE. */
struct hv_x64_synic_sint_deliverable_message {
    struct hv_x64_intercept_message_header header;
    uint16_t deliverable_sints;
    uint16_t reserved1;
    uint32_t reserved2;
};
HV_LAYOUT(sizeof(struct hv_x64_synic_sint_deliverable_message) == 48);

/** HVMSG_OPAQUE_INTERCEPT: the message itself is in the VP's intercept message page. */
struct hv_opaque_intercept_message {
    uint32_t vp_index;
};

/** Payload of a message that tells of a SINT with as_intercept set: HVMSG_SYNIC_SINT_INTERCEPT. */
struct hv_notification_message_payload {
    uint32_t sint_index;
};

#undef HV_LAYOUT

#endif
