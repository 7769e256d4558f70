/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_SYNIC_H
#define ABI_TLFS_SYNIC_H

#include <stddef.h>
#include <stdint.h>

/*
 * Synthetic interrupt controller and synthetic timers: register fields and the
 * layouts of the pages that a VP shares with the hypervisor (TLFS "Virtual
 * Interrupt Controller", "Timers"). Register numbers are in abi/tlfs/msr.h.
 */

#ifndef __cplusplus
#define HV_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define HV_LAYOUT(cond) static_assert(cond, #cond)
#endif

#define HV_SYNIC_SINT_COUNT         16
#define HV_SYNIC_VERSION            1
#define HV_SYNIC_FIRST_VALID_VECTOR 16
#define HV_SYNIC_STIMER_COUNT       4

/* HV_X64_MSR_SCONTROL; all other bits are preserved. */
#define HV_SYNIC_SCONTROL_ENABLE (1ULL << 0)

/* HV_X64_MSR_SIMP, _SIEFP, _SIRBP: bits 11:1 are preserved. */
#define HV_SYNIC_PAGE_ENABLE    (1ULL << 0)
#define HV_SYNIC_PAGE_BASE_MASK (~0xFFFULL)

/* HV_X64_MSR_SINT0..15; all other bits are preserved. */
#define HV_SYNIC_SINT_VECTOR_MASK  0xFFULL
#define HV_SYNIC_SINT_MASKED       (1ULL << 16)
#define HV_SYNIC_SINT_AUTO_EOI     (1ULL << 17)
#define HV_SYNIC_SINT_POLLING      (1ULL << 18)
#define HV_SYNIC_SINT_AS_INTERCEPT (1ULL << 19)
#define HV_SYNIC_SINT_PROXY        (1ULL << 20)

/* HV_X64_MSR_STIMERn_CONFIG; bits 15:13 and 63:20 are zero. */
#define HV_STIMER_ENABLE       (1ULL << 0)
#define HV_STIMER_PERIODIC     (1ULL << 1)
#define HV_STIMER_LAZY         (1ULL << 2)
#define HV_STIMER_AUTO_ENABLE  (1ULL << 3)
#define HV_STIMER_VECTOR_SHIFT 4
#define HV_STIMER_VECTOR_MASK  (0xFFULL << HV_STIMER_VECTOR_SHIFT)
#define HV_STIMER_DIRECT_MODE  (1ULL << 12)
#define HV_STIMER_SINT_SHIFT   16
#define HV_STIMER_SINT_MASK    (0xFULL << HV_STIMER_SINT_SHIFT)
#define HV_STIMER_VALID_MASK   0xF1FFFULL

/** Message types; those with bit 31 set come from the hypervisor (TLFS "SynIC Message Types"). */
enum hv_message_type {
    HVMSG_NONE = 0x00000000,

    HVMSG_UNMAPPED_GPA = 0x80000000U,
    HVMSG_GPA_INTERCEPT = 0x80000001U,
    HVMSG_UNACCEPTED_GPA = 0x80000003U,
    HVMSG_GPA_ATTRIBUTE_INTERCEPT = 0x80000004U,
    HVMSG_TIMER_EXPIRED = 0x80000010U,
    HVMSG_INVALID_VP_REGISTER_VALUE = 0x80000020U,
    HVMSG_UNRECOVERABLE_EXCEPTION = 0x80000021U,
    HVMSG_UNSUPPORTED_FEATURE = 0x80000022U,
    HVMSG_TLB_PAGE_SIZE_MISMATCH = 0x80000023U,
    HVMSG_OPAQUE_INTERCEPT = 0x8000003FU,
    HVMSG_EVENTLOG_BUFFERCOMPLETE = 0x80000040U,
    HVMSG_HYPERCALL_INTERCEPT = 0x80000050U,
    HVMSG_SYNIC_EVENT_INTERCEPT = 0x80000060U,
    HVMSG_SYNIC_SINT_INTERCEPT = 0x80000061U,
    HVMSG_SYNIC_SINT_DELIVERABLE = 0x80000062U,
    HVMSG_ASYNC_CALL_COMPLETION = 0x80000070U,
    HVMSG_SCHEDULER_VP_SIGNAL_BITSET = 0x80000100U,
    HVMSG_SCHEDULER_VP_SIGNAL_PAIR = 0x80000101U,

    HVMSG_X64_IO_PORT_INTERCEPT = 0x80010000U,
    HVMSG_X64_MSR_INTERCEPT = 0x80010001U,
    HVMSG_X64_CPUID_INTERCEPT = 0x80010002U,
    HVMSG_X64_EXCEPTION_INTERCEPT = 0x80010003U,
    HVMSG_X64_APIC_EOI = 0x80010004U,
    HVMSG_X64_LEGACY_FP_ERROR = 0x80010005U,
    HVMSG_X64_IOMMU_PRQ = 0x80010006U,
    HVMSG_X64_HALT = 0x80010007U,
    HVMSG_X64_INTERRUPTION_DELIVERABLE = 0x80010008U,
    HVMSG_X64_SIPI_INTERCEPT = 0x80010009U,
};

#define HV_MESSAGE_SIZE          256
#define HV_MESSAGE_PAYLOAD_BYTES 240
#define HV_MESSAGE_PAYLOAD_WORDS 30

/* hv_message_header.message_flags */
#define HV_MESSAGE_FLAG_PENDING 0x01 /* more is queued: write EOM after freeing the slot */

struct hv_message_header {
    uint32_t message_type; /* enum hv_message_type or the sender's own; 0 = the slot is free */
    uint8_t payload_size;  /* bytes, at most HV_MESSAGE_PAYLOAD_BYTES */
    uint8_t message_flags;
    uint16_t reserved;
    uint64_t sender; /* partition id, or the port id */
};
HV_LAYOUT(sizeof(struct hv_message_header) == 16);
HV_LAYOUT(offsetof(struct hv_message_header, payload_size) == 4);
HV_LAYOUT(offsetof(struct hv_message_header, message_flags) == 5);
HV_LAYOUT(offsetof(struct hv_message_header, sender) == 8);

struct hv_message {
    struct hv_message_header header;
    uint64_t payload[HV_MESSAGE_PAYLOAD_WORDS];
};
HV_LAYOUT(sizeof(struct hv_message) == HV_MESSAGE_SIZE);
HV_LAYOUT(offsetof(struct hv_message, payload) == 16);

/** The SIM page: one slot for each SINT. */
struct hv_message_page {
    struct hv_message sint_message[HV_SYNIC_SINT_COUNT];
};
HV_LAYOUT(sizeof(struct hv_message_page) == 4096);

#define HV_EVENT_FLAGS_COUNT 2048 /* for each SINT */
#define HV_EVENT_FLAGS_WORDS 32

/** The flags of one SINT; flag n is bit n % 64 of word n / 64. */
struct hv_synic_event_flags {
    uint64_t flags[HV_EVENT_FLAGS_WORDS];
};
HV_LAYOUT(sizeof(struct hv_synic_event_flags) == 256);

/** The SIEF page. */
struct hv_synic_event_flags_page {
    struct hv_synic_event_flags sint_flags[HV_SYNIC_SINT_COUNT];
};
HV_LAYOUT(sizeof(struct hv_synic_event_flags_page) == 4096);

/** Payload of HVMSG_TIMER_EXPIRED; times are partition reference time, 100 ns units. */
struct hv_timer_message_payload {
    uint32_t timer_index;
    uint32_t reserved;
    uint64_t expiration_time; /* when the timer expired */
    uint64_t delivery_time;   /* when the message was placed in the slot */
};
HV_LAYOUT(sizeof(struct hv_timer_message_payload) == 24);
HV_LAYOUT(offsetof(struct hv_timer_message_payload, expiration_time) == 8);
HV_LAYOUT(offsetof(struct hv_timer_message_payload, delivery_time) == 16);

#undef HV_LAYOUT

#endif
