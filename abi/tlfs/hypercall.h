/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_HYPERCALL_H
#define ABI_TLFS_HYPERCALL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ABI_HC_ASSERT static_assert
#else
#define ABI_HC_ASSERT _Static_assert
#endif

/*
 * Hypercall input value, RCX (TLFS, "Hypercall Inputs"). The variable header size is
 * counted in 8-byte units and says nothing about the fixed part of the header.
 */
#define HV_HYPERCALL_CODE_MASK        0x000000000000FFFFULL
#define HV_HYPERCALL_FAST_BIT         0x0000000000010000ULL
#define HV_HYPERCALL_VARHEAD_OFFSET   17
#define HV_HYPERCALL_VARHEAD_MASK     0x0000000007FE0000ULL
#define HV_HYPERCALL_RSVD0_MASK       0x0000000078000000ULL
#define HV_HYPERCALL_NESTED           0x0000000080000000ULL
#define HV_HYPERCALL_REP_COMP_OFFSET  32
#define HV_HYPERCALL_REP_COMP_MASK    0x00000FFF00000000ULL
#define HV_HYPERCALL_RSVD1_MASK       0x0000F00000000000ULL
#define HV_HYPERCALL_REP_START_OFFSET 48
#define HV_HYPERCALL_REP_START_MASK   0x0FFF000000000000ULL
#define HV_HYPERCALL_RSVD2_MASK       0xF000000000000000ULL
#define HV_HYPERCALL_RSVD_MASK                                                                     \
    (HV_HYPERCALL_RSVD0_MASK | HV_HYPERCALL_RSVD1_MASK | HV_HYPERCALL_RSVD2_MASK)

/* Hypercall result value, RAX: the status below, the completed repetitions above. */
#define HV_HYPERCALL_RESULT_MASK 0x000000000000FFFFULL

#define HV_HYPERCALL_PAGE_SIZE 4096U

/** Call code of a control word. */
static inline uint16_t hv_hypercall_code(uint64_t control)
{
    return (uint16_t)(control & HV_HYPERCALL_CODE_MASK);
}

/** Size of the variable header in 8-byte units, 0..1023. */
static inline uint32_t hv_hypercall_varhead(uint64_t control)
{
    return (uint32_t)((control & HV_HYPERCALL_VARHEAD_MASK) >> HV_HYPERCALL_VARHEAD_OFFSET);
}

/** Number of repetitions asked for, and the one to start with, 0..4095. */
static inline uint32_t hv_hypercall_rep_count(uint64_t control)
{
    return (uint32_t)((control & HV_HYPERCALL_REP_COMP_MASK) >> HV_HYPERCALL_REP_COMP_OFFSET);
}

static inline uint32_t hv_hypercall_rep_start(uint64_t control)
{
    return (uint32_t)((control & HV_HYPERCALL_REP_START_MASK) >> HV_HYPERCALL_REP_START_OFFSET);
}

/** The control word with another start repetition. */
static inline uint64_t hv_hypercall_set_rep_start(uint64_t control, uint32_t start)
{
    return (control & ~HV_HYPERCALL_REP_START_MASK) |
           (((uint64_t)start << HV_HYPERCALL_REP_START_OFFSET) & HV_HYPERCALL_REP_START_MASK);
}

/** Result value of a status and the repetitions done. */
static inline uint64_t hv_hypercall_result(uint16_t status, uint32_t reps)
{
    return (uint64_t)status |
           (((uint64_t)reps << HV_HYPERCALL_REP_COMP_OFFSET) & HV_HYPERCALL_REP_COMP_MASK);
}

/* Call codes. */
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE            0x0002
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST             0x0003
#define HVCALL_GET_LOGICAL_PROCESSOR_RUN_TIME         0x0004
#define HVCALL_NOTIFY_LONG_SPIN_WAIT                  0x0008
#define HVCALL_SEND_IPI                               0x000B
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX         0x0013
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX          0x0014
#define HVCALL_SEND_IPI_EX                            0x0015
#define HVCALL_CREATE_PARTITION                       0x0040
#define HVCALL_INITIALIZE_PARTITION                   0x0041
#define HVCALL_FINALIZE_PARTITION                     0x0042
#define HVCALL_DELETE_PARTITION                       0x0043
#define HVCALL_GET_PARTITION_PROPERTY                 0x0044
#define HVCALL_SET_PARTITION_PROPERTY                 0x0045
#define HVCALL_GET_PARTITION_ID                       0x0046
#define HVCALL_GET_NEXT_CHILD_PARTITION               0x0047
#define HVCALL_DEPOSIT_MEMORY                         0x0048
#define HVCALL_WITHDRAW_MEMORY                        0x0049
#define HVCALL_GET_MEMORY_BALANCE                     0x004A
#define HVCALL_MAP_GPA_PAGES                          0x004B
#define HVCALL_UNMAP_GPA_PAGES                        0x004C
#define HVCALL_INSTALL_INTERCEPT                      0x004D
#define HVCALL_CREATE_VP                              0x004E
#define HVCALL_DELETE_VP                              0x004F
#define HVCALL_GET_VP_REGISTERS                       0x0050
#define HVCALL_SET_VP_REGISTERS                       0x0051
#define HVCALL_TRANSLATE_VIRTUAL_ADDRESS              0x0052
#define HVCALL_READ_GPA                               0x0053
#define HVCALL_WRITE_GPA                              0x0054
#define HVCALL_CLEAR_VIRTUAL_INTERRUPT                0x0056
#define HVCALL_DELETE_PORT                            0x0058
#define HVCALL_DISCONNECT_PORT                        0x005B
#define HVCALL_POST_MESSAGE                           0x005C
#define HVCALL_SIGNAL_EVENT                           0x005D
#define HVCALL_MAP_STATS_PAGE                         0x006C
#define HVCALL_UNMAP_STATS_PAGE                       0x006D
#define HVCALL_SET_SYSTEM_PROPERTY                    0x006F
#define HVCALL_ADD_LOGICAL_PROCESSOR                  0x0076
#define HVCALL_GET_SYSTEM_PROPERTY                    0x007B
#define HVCALL_MAP_DEVICE_INTERRUPT                   0x007C
#define HVCALL_UNMAP_DEVICE_INTERRUPT                 0x007D
#define HVCALL_RETARGET_INTERRUPT                     0x007E
#define HVCALL_ENTER_SLEEP_STATE                      0x0084
#define HVCALL_NOTIFY_PARTITION_EVENT                 0x0087
#define HVCALL_NOTIFY_PORT_RING_EMPTY                 0x008B
#define HVCALL_REGISTER_INTERCEPT_RESULT              0x0091
#define HVCALL_ASSERT_VIRTUAL_INTERRUPT               0x0094
#define HVCALL_CREATE_PORT                            0x0095
#define HVCALL_CONNECT_PORT                           0x0096
#define HVCALL_START_VP                               0x0099
#define HVCALL_GET_VP_ID_FROM_APIC_ID                 0x009A
#define HVCALL_FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE     0x00AF
#define HVCALL_FLUSH_GUEST_PHYSICAL_ADDRESS_LIST      0x00B0
#define HVCALL_SIGNAL_EVENT_DIRECT                    0x00C0
#define HVCALL_POST_MESSAGE_DIRECT                    0x00C1
#define HVCALL_DISPATCH_VP                            0x00C2
#define HVCALL_GET_GPA_PAGES_ACCESS_STATES            0x00C9
#define HVCALL_ACQUIRE_SPARSE_SPA_PAGE_HOST_ACCESS    0x00D7
#define HVCALL_RELEASE_SPARSE_SPA_PAGE_HOST_ACCESS    0x00D8
#define HVCALL_MODIFY_SPARSE_GPA_PAGE_HOST_VISIBILITY 0x00DB
#define HVCALL_MAP_VP_STATE_PAGE                      0x00E1
#define HVCALL_UNMAP_VP_STATE_PAGE                    0x00E2
#define HVCALL_GET_VP_STATE                           0x00E3
#define HVCALL_SET_VP_STATE                           0x00E4
#define HVCALL_GET_VP_CPUID_VALUES                    0x00F4
#define HVCALL_GET_PARTITION_PROPERTY_EX              0x0101
#define HVCALL_MMIO_READ                              0x0106
#define HVCALL_MMIO_WRITE                             0x0107
#define HVCALL_DISABLE_HYP_EX                         0x010F
#define HVCALL_MAP_STATS_PAGE2                        0x0131
#define HV_EXT_CALL_QUERY_CAPABILITIES                0x8001
#define HV_EXT_CALL_MEMORY_HEAT_HINT                  0x8003

/* Set of VPs (TLFS, "Virtual Processor Sets"); a bank holds 64 VPs. */
#define HV_GENERIC_SET_SPARSE_4K 0ULL
#define HV_GENERIC_SET_ALL       1ULL
#define HV_MAX_SPARSE_VCPU_BANKS 64
#define HV_VCPUS_PER_SPARSE_BANK 64

/** Head of a VP set; one 64-bit word follows for each bit set in valid_bank_mask. */
struct hv_vpset {
    uint64_t format;
    uint64_t valid_bank_mask;
};

ABI_HC_ASSERT(sizeof(struct hv_vpset) == 16, "layout");

/* Flags of the four flush calls. */
#define HV_FLUSH_ALL_PROCESSORS             0x1ULL
#define HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES 0x2ULL
#define HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY   0x4ULL
#define HV_FLUSH_USE_EXTENDED_RANGE_FORMAT  0x8ULL

/** HvCallFlushVirtualAddressSpace and ...List; the list holds GVAs, pages - 1 in bits 11..0. */
struct hv_tlb_flush {
    uint64_t address_space;
    uint64_t flags;
    uint64_t processor_mask;
};

ABI_HC_ASSERT(offsetof(struct hv_tlb_flush, processor_mask) == 16, "layout");
ABI_HC_ASSERT(sizeof(struct hv_tlb_flush) == 24, "layout");

/** The same with a VP set; the banks are the variable header, the list follows them. */
struct hv_tlb_flush_ex {
    uint64_t address_space;
    uint64_t flags;
    struct hv_vpset hv_vp_set;
};

ABI_HC_ASSERT(offsetof(struct hv_tlb_flush_ex, hv_vp_set) == 16, "layout");
ABI_HC_ASSERT(sizeof(struct hv_tlb_flush_ex) == 32, "layout");

#define HV_IPI_LOW_VECTOR  0x10U
#define HV_IPI_HIGH_VECTOR 0xFFU

/** HvCallSendSyntheticClusterIpi: fixed, edge triggered. */
struct hv_send_ipi {
    uint32_t vector;
    uint8_t target_vtl;
    uint8_t reserved[3];
    uint64_t cpu_mask;
};

ABI_HC_ASSERT(offsetof(struct hv_send_ipi, target_vtl) == 4, "layout");
ABI_HC_ASSERT(offsetof(struct hv_send_ipi, cpu_mask) == 8, "layout");
ABI_HC_ASSERT(sizeof(struct hv_send_ipi) == 16, "layout");

/** HvCallSendSyntheticClusterIpiEx; the banks of the set are the variable header. */
struct hv_send_ipi_ex {
    uint32_t vector;
    uint8_t target_vtl;
    uint8_t reserved[3];
    struct hv_vpset vp_set;
};

ABI_HC_ASSERT(offsetof(struct hv_send_ipi_ex, vp_set) == 8, "layout");
ABI_HC_ASSERT(sizeof(struct hv_send_ipi_ex) == 24, "layout");

/** HvCallNotifyLongSpinWait. */
struct hv_notify_long_spin_wait {
    uint64_t spinwait_info;
};

ABI_HC_ASSERT(sizeof(struct hv_notify_long_spin_wait) == 8, "layout");

/** HvCallGetPartitionId. */
struct hv_output_get_partition_id {
    uint64_t partition_id;
};

ABI_HC_ASSERT(sizeof(struct hv_output_get_partition_id) == 8, "layout");

/* Connection ids have 24 bits; the rest is reserved. */
#define HV_CONNECTION_ID_MASK 0x00FFFFFFU

#define HV_POST_MESSAGE_MAX_PAYLOAD 240U

/** HvCallPostMessage. Message types with bit 31 belong to the hypervisor; 0 means none. */
struct hv_input_post_message {
    uint32_t connection_id;
    uint32_t reserved;
    uint32_t message_type;
    uint32_t payload_size; /* bytes of payload in use */
    uint8_t payload[HV_POST_MESSAGE_MAX_PAYLOAD];
};

ABI_HC_ASSERT(offsetof(struct hv_input_post_message, message_type) == 8, "layout");
ABI_HC_ASSERT(offsetof(struct hv_input_post_message, payload_size) == 12, "layout");
ABI_HC_ASSERT(offsetof(struct hv_input_post_message, payload) == 16, "layout");
ABI_HC_ASSERT(sizeof(struct hv_input_post_message) == 256, "layout");

/** HvCallSignalEvent; the flag number counts from the base flag of the port. */
struct hv_input_signal_event {
    uint32_t connection_id;
    uint16_t flag_number;
    uint16_t reserved;
};

ABI_HC_ASSERT(offsetof(struct hv_input_signal_event, flag_number) == 4, "layout");
ABI_HC_ASSERT(sizeof(struct hv_input_signal_event) == 8, "layout");

/** HvCallSignalEventDirect: a flag of a SINT of any VP of the partition, without a port. */
struct hv_input_signal_event_direct {
    uint64_t target_partition;
    uint32_t target_vp;
    uint8_t target_vtl;
    uint8_t target_sint;
    uint16_t flag_number;
};

ABI_HC_ASSERT(offsetof(struct hv_input_signal_event_direct, target_sint) == 13, "layout");
ABI_HC_ASSERT(offsetof(struct hv_input_signal_event_direct, flag_number) == 14, "layout");
ABI_HC_ASSERT(sizeof(struct hv_input_signal_event_direct) == 16, "layout");

struct hv_output_signal_event_direct {
    uint8_t newly_signaled;
    uint8_t reserved[7];
};

ABI_HC_ASSERT(sizeof(struct hv_output_signal_event_direct) == 8, "layout");

/** HvCallPostMessageDirect: a whole message (struct hv_message) for a SINT, without a port. */
struct hv_input_post_message_direct {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t vtl;
    uint8_t reserved[3];
    uint32_t sint_index;
    uint8_t message[256];
    uint32_t reserved2;
};

ABI_HC_ASSERT(offsetof(struct hv_input_post_message_direct, sint_index) == 16, "layout");
ABI_HC_ASSERT(offsetof(struct hv_input_post_message_direct, message) == 20, "layout");
ABI_HC_ASSERT(sizeof(struct hv_input_post_message_direct) == 280, "layout");

#undef ABI_HC_ASSERT

#endif
