/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_VP_H
#define ABI_TLFS_VP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ABI_VP_ASSERT static_assert
#else
#define ABI_VP_ASSERT _Static_assert
#endif

/* Bit 0 of hv_vp_assist_page.apic_assist: the next EOI needs no write to the APIC. */
#define HV_APIC_ASSIST_NO_EOI_REQUIRED 0x1U

/**
 * VP assist page (TLFS, "Virtual Processor Assist Page"), in guest memory: the
 * hypervisor sets, and the guest tests and clears, the EOI bit; the rest serves
 * virtual trust levels and nesting and is left as the guest has it.
 */
struct hv_vp_assist_page {
    uint32_t apic_assist;
    uint32_t reserved1;
    uint32_t vtl_entry_reason;
    uint32_t vtl_reserved;
    uint64_t vtl_ret_x64rax;
    uint64_t vtl_ret_x64rcx;
    uint64_t nested_control;
    uint8_t enlighten_vmentry;
    uint8_t reserved2[7];
    uint64_t current_nested_vmcs;
    uint8_t synthetic_time_unhalted_timer_expired;
    uint8_t reserved3[7];
    uint8_t virtualization_fault_information[40];
    uint8_t reserved4[8];
    uint8_t intercept_message[256];
    uint8_t vtl_ret_actions[256];
};

ABI_VP_ASSERT(offsetof(struct hv_vp_assist_page, vtl_entry_reason) == 8, "layout");
ABI_VP_ASSERT(offsetof(struct hv_vp_assist_page, vtl_ret_x64rax) == 16, "layout");
ABI_VP_ASSERT(offsetof(struct hv_vp_assist_page, nested_control) == 32, "layout");
ABI_VP_ASSERT(offsetof(struct hv_vp_assist_page, enlighten_vmentry) == 40, "layout");
ABI_VP_ASSERT(offsetof(struct hv_vp_assist_page, current_nested_vmcs) == 48, "layout");
ABI_VP_ASSERT(offsetof(struct hv_vp_assist_page, virtualization_fault_information) == 64, "layout");
ABI_VP_ASSERT(offsetof(struct hv_vp_assist_page, intercept_message) == 112, "layout");
ABI_VP_ASSERT(offsetof(struct hv_vp_assist_page, vtl_ret_actions) == 368, "layout");
ABI_VP_ASSERT(sizeof(struct hv_vp_assist_page) == 624, "layout");

/* Value of tsc_sequence that tells the guest to read the counter MSR instead. */
#define HV_REFERENCE_TSC_SEQUENCE_INVALID 0U

/**
 * Reference TSC page (TLFS, "Partition Reference Time Enlightenment"):
 * time in 100 ns units = ((tsc * scale) >> 64) + offset.
 */
struct hv_reference_tsc_page {
    uint32_t tsc_sequence;
    uint32_t reserved1;
    uint64_t tsc_scale;
    int64_t tsc_offset;
};

ABI_VP_ASSERT(offsetof(struct hv_reference_tsc_page, tsc_scale) == 8, "layout");
ABI_VP_ASSERT(offsetof(struct hv_reference_tsc_page, tsc_offset) == 16, "layout");
ABI_VP_ASSERT(sizeof(struct hv_reference_tsc_page) == 24, "layout");

#undef ABI_VP_ASSERT

#endif
