/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_MANAGEMENT_H
#define ABI_TLFS_MANAGEMENT_H

#include <stddef.h>
#include <stdint.h>
#include "abi/tlfs/register.h"

#ifndef __cplusplus
#define HV_LAYOUT(cond) _Static_assert(cond, #cond)
#else
#define HV_LAYOUT(cond) static_assert(cond, #cond)
#endif

/*
 * Inputs and outputs of the hypercalls by which a parent manages its children (TLFS "Partition
 * Management", "Physical Hardware Management", "Guest Physical Address Spaces", "Virtual
 * Processor Management", "Inter-Partition Communication"). Lists follow the structs.
 */

struct hv_proximity_domain_info {
    uint32_t domain_id;
    uint32_t flags;
};

/* HvCallCreatePartition. */
#define HV_PARTITION_CREATION_FLAG_SMT_ENABLED_GUEST              (1ULL << 0)
#define HV_PARTITION_CREATION_FLAG_NESTED_VIRTUALIZATION_CAPABLE  (1ULL << 1)
#define HV_PARTITION_CREATION_FLAG_GPA_LARGE_PAGES_DISABLED       (1ULL << 3)
#define HV_PARTITION_CREATION_FLAG_GPA_SUPER_PAGES_ENABLED        (1ULL << 4)
#define HV_PARTITION_CREATION_FLAG_EXO_PARTITION                  (1ULL << 8)
#define HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED                  (1ULL << 13)
#define HV_PARTITION_CREATION_FLAG_INTERCEPT_MESSAGE_PAGE_ENABLED (1ULL << 19)
#define HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE                 (1ULL << 22)

#define HV_COMPATIBILITY_21_H2 0x0609U

struct hv_input_create_partition {
    uint64_t flags;
    struct hv_proximity_domain_info proximity_domain_info;
    uint32_t compatibility_version;
    uint32_t padding;
    uint64_t disabled_processor_features[2];
    uint64_t disabled_processor_xsave_features;
    uint64_t isolation_properties;
};
HV_LAYOUT(sizeof(struct hv_input_create_partition) == 56);

struct hv_output_create_partition {
    uint64_t partition_id;
};

/** HvCallInitializePartition, HvCallFinalizePartition, HvCallDeletePartition. */
struct hv_input_partition {
    uint64_t partition_id;
};

enum hv_partition_property_code {
    HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS = 0x00010000,
    HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES = 0x00010001,

    HV_PARTITION_PROPERTY_SUSPEND = 0x00020000,
    HV_PARTITION_PROPERTY_CPU_RESERVE = 0x00020001,
    HV_PARTITION_PROPERTY_CPU_CAP = 0x00020002,
    HV_PARTITION_PROPERTY_CPU_WEIGHT = 0x00020003,
    HV_PARTITION_PROPERTY_CPU_GROUP_ID = 0x00020004,
    HV_PARTITION_PROPERTY_INTEGRATED_SCHEDULER = 0x00020005,

    HV_PARTITION_PROPERTY_TIME_FREEZE = 0x00030003,
    HV_PARTITION_PROPERTY_REFERENCE_TIME = 0x00030005,

    HV_PARTITION_PROPERTY_PROCESSORS_PER_SOCKET = 0x00050003,
    HV_PARTITION_PROPERTY_GPA_PAGE_ACCESS_TRACKING = 0x00050005,
    HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION = 0x00050017,

    HV_PARTITION_PROPERTY_PROCESSOR_VENDOR = 0x00060000,
    HV_PARTITION_PROPERTY_PROCESSOR_XSAVE_FEATURES = 0x00060002,
    HV_PARTITION_PROPERTY_PHYSICAL_ADDRESS_WIDTH = 0x00060006,
    HV_PARTITION_PROPERTY_XSAVE_STATES = 0x00060007,
    HV_PARTITION_PROPERTY_MAX_XSAVE_DATA_SIZE = 0x00060008,
    HV_PARTITION_PROPERTY_PROCESSOR_CLOCK_FREQUENCY = 0x00060009,
    HV_PARTITION_PROPERTY_PROCESSOR_FEATURES0 = 0x0006000A,
    HV_PARTITION_PROPERTY_PROCESSOR_FEATURES1 = 0x0006000B,

    HV_PARTITION_PROPERTY_VMM_CAPABILITIES = 0x00090007,
    HV_PARTITION_PROPERTY_ASSIGNABLE_SYNTHETIC_PROC_FEATURES = 0x00090009,
};

/* HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION. */
#define HV_UNIMPLEMENTED_MSR_ACTION_FAULT                  0
#define HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO 1

struct hv_input_get_partition_property {
    uint64_t partition_id;
    uint32_t property_code;
    uint32_t padding;
};
HV_LAYOUT(sizeof(struct hv_input_get_partition_property) == 16);

struct hv_output_get_partition_property {
    uint64_t property_value;
};

struct hv_input_set_partition_property {
    uint64_t partition_id;
    uint32_t property_code;
    uint32_t padding;
    uint64_t property_value;
};
HV_LAYOUT(sizeof(struct hv_input_set_partition_property) == 24);

/** HvCallGetPartitionPropertyEx; the argument selects within the property. */
struct hv_input_get_partition_property_ex {
    uint64_t partition_id;
    uint32_t property_code;
    uint32_t padding;
    uint64_t argument;
};
HV_LAYOUT(sizeof(struct hv_input_get_partition_property_ex) == 24);

/* HV_PARTITION_SYNTHETIC_PROCESSOR_FEATURES, bank 0. */
#define HV_SYNTH_HYPERVISOR_PRESENT        (1ULL << 0)
#define HV_SYNTH_HV1                       (1ULL << 1)
#define HV_SYNTH_ACCESS_VP_RUN_TIME        (1ULL << 2)
#define HV_SYNTH_ACCESS_REFERENCE_COUNTER  (1ULL << 3)
#define HV_SYNTH_ACCESS_SYNIC              (1ULL << 4)
#define HV_SYNTH_ACCESS_SYNTHETIC_TIMERS   (1ULL << 5)
#define HV_SYNTH_ACCESS_INTR_CTRL          (1ULL << 6)
#define HV_SYNTH_ACCESS_HYPERCALL          (1ULL << 7)
#define HV_SYNTH_ACCESS_VP_INDEX           (1ULL << 8)
#define HV_SYNTH_ACCESS_REFERENCE_TSC      (1ULL << 9)
#define HV_SYNTH_ACCESS_GUEST_IDLE         (1ULL << 10)
#define HV_SYNTH_ACCESS_FREQUENCY          (1ULL << 11)
#define HV_SYNTH_EXTENDED_GVA_RANGES       (1ULL << 15)
#define HV_SYNTH_FAST_HYPERCALL_OUTPUT     (1ULL << 18)
#define HV_SYNTH_START_VIRTUAL_PROCESSOR   (1ULL << 20)
#define HV_SYNTH_DIRECT_SYNTHETIC_TIMERS   (1ULL << 22)
#define HV_SYNTH_EXTENDED_PROCESSOR_MASKS  (1ULL << 24)
#define HV_SYNTH_TB_FLUSH_HYPERCALLS       (1ULL << 25)
#define HV_SYNTH_SYNTHETIC_CLUSTER_IPI     (1ULL << 26)
#define HV_SYNTH_NOTIFY_LONG_SPIN_WAIT     (1ULL << 27)
#define HV_SYNTH_QUERY_NUMA_DISTANCE       (1ULL << 28)
#define HV_SYNTH_SIGNAL_EVENTS             (1ULL << 29)
#define HV_SYNTH_RETARGET_DEVICE_INTERRUPT (1ULL << 30)
#define HV_SYNTH_RESTORE_TIME              (1ULL << 31)

/* Memory pools. The page lists hold page frame numbers of 4 KiB pages of the caller. */
struct hv_input_deposit_memory {
    uint64_t partition_id;
};

struct hv_input_withdraw_memory {
    uint64_t partition_id;
    struct hv_proximity_domain_info proximity_domain_info;
};
HV_LAYOUT(sizeof(struct hv_input_withdraw_memory) == 16);

struct hv_input_get_memory_balance {
    uint64_t partition_id;
    struct hv_proximity_domain_info proximity_domain_info;
};

struct hv_output_get_memory_balance {
    uint64_t pages_available;
    uint64_t pages_in_use;
};

struct hv_input_get_next_child_partition {
    uint64_t parent_id;
    uint64_t previous_child_id;
};

struct hv_output_get_next_child_partition {
    uint64_t next_child_id; /* HV_PARTITION_ID_INVALID: there is no further one */
};

/* HvCallMapGpaPages. */
#define HV_MAP_GPA_PERMISSIONS_NONE  0x0U
#define HV_MAP_GPA_READABLE          0x1U
#define HV_MAP_GPA_WRITABLE          0x2U
#define HV_MAP_GPA_KERNEL_EXECUTABLE 0x4U
#define HV_MAP_GPA_USER_EXECUTABLE   0x8U
#define HV_MAP_GPA_PERMISSIONS_MASK  0xFU
#define HV_MAP_GPA_ADJUSTABLE        0x8000U
#define HV_MAP_GPA_NO_ACCESS         0x10000U
#define HV_MAP_GPA_NOT_CACHED        0x200000U
#define HV_MAP_GPA_LARGE_PAGE        0x80000000U /* repetitions are 2 MiB each */

struct hv_input_map_gpa_pages {
    uint64_t target_partition_id;
    uint64_t target_gpa_base; /* page frame number */
    uint32_t map_flags;
    uint32_t padding;
    /* uint64_t source page frame numbers follow; meaningless with HV_MAP_GPA_NO_ACCESS */
};
HV_LAYOUT(sizeof(struct hv_input_map_gpa_pages) == 24);

#define HV_UNMAP_GPA_LARGE_PAGE 0x2U

struct hv_input_unmap_gpa_pages {
    uint64_t target_partition_id;
    uint64_t target_gpa_base;
    uint32_t unmap_flags;
    uint32_t padding;
};
HV_LAYOUT(sizeof(struct hv_input_unmap_gpa_pages) == 24);

/* HvCallGetGpaPagesAccessStates; one byte per page comes out. */
#define HV_GPA_ACCESS_CLEAR_ACCESSED (1ULL << 0)
#define HV_GPA_ACCESS_SET_ACCESSED   (1ULL << 1)
#define HV_GPA_ACCESS_CLEAR_DIRTY    (1ULL << 2)
#define HV_GPA_ACCESS_SET_DIRTY      (1ULL << 3)
#define HV_GPA_ACCESS_STATE_ACCESSED 0x1U
#define HV_GPA_ACCESS_STATE_DIRTY    0x2U

struct hv_input_get_gpa_pages_access_state {
    uint64_t partition_id;
    uint64_t flags;
    uint64_t hv_gpa_page_number;
};
HV_LAYOUT(sizeof(struct hv_input_get_gpa_pages_access_state) == 24);

/* HvCallInstallIntercept: the parameter is a port, an MSR, a CPUID leaf or an exception vector. */
struct hv_input_install_intercept {
    uint64_t partition_id;
    uint32_t access_type;    /* HV_INTERCEPT_ACCESS_MASK_* */
    uint32_t intercept_type; /* enum hv_intercept_type */
    uint64_t intercept_parameter;
};
HV_LAYOUT(sizeof(struct hv_input_install_intercept) == 24);

/* Virtual processors. */
struct hv_input_create_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t padding[3];
    uint8_t subnode_type;
    uint64_t subnode_id;
    struct hv_proximity_domain_info proximity_domain_info;
    uint64_t flags;
};
HV_LAYOUT(sizeof(struct hv_input_create_vp) == 40);

struct hv_input_delete_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t reserved;
};
HV_LAYOUT(sizeof(struct hv_input_delete_vp) == 16);

/** HvCallGetVpRegisters (32-bit names follow) and HvCallSetVpRegisters (hv_register_assoc). */
struct hv_input_vp_registers {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t input_vtl;
    uint8_t reserved[3];
};
HV_LAYOUT(sizeof(struct hv_input_vp_registers) == 16);

/* HvCallTranslateVirtualAddress. */
#define HV_TRANSLATE_GVA_VALIDATE_READ       0x1ULL
#define HV_TRANSLATE_GVA_VALIDATE_WRITE      0x2ULL
#define HV_TRANSLATE_GVA_VALIDATE_EXECUTE    0x4ULL
#define HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT    0x8ULL
#define HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS 0x10ULL

enum hv_translate_gva_result_code {
    HV_TRANSLATE_GVA_SUCCESS = 0,
    HV_TRANSLATE_GVA_PAGE_NOT_PRESENT = 1,
    HV_TRANSLATE_GVA_PRIVILEGE_VIOLATION = 2,
    HV_TRANSLATE_GVA_INVALID_PAGE_TABLE_FLAGS = 3,
    HV_TRANSLATE_GVA_GPA_UNMAPPED = 4,
    HV_TRANSLATE_GVA_GPA_NO_READ_ACCESS = 5,
    HV_TRANSLATE_GVA_GPA_NO_WRITE_ACCESS = 6,
    HV_TRANSLATE_GVA_GPA_ILLEGAL_OVERLAY_ACCESS = 7,
    HV_TRANSLATE_GVA_INTERCEPT = 8,
    HV_TRANSLATE_GVA_GPA_UNACCEPTED = 9,
};

struct hv_input_translate_virtual_address {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t padding;
    uint64_t control_flags;
    uint64_t gva_page;
};
HV_LAYOUT(sizeof(struct hv_input_translate_virtual_address) == 32);

struct hv_output_translate_virtual_address {
    uint32_t result_code;
    uint32_t cache_type; /* low byte; bit 8: overlay page */
    uint64_t gpa_page;
};
HV_LAYOUT(sizeof(struct hv_output_translate_virtual_address) == 16);

/* HvCallReadGpa, HvCallWriteGpa. */
struct hv_input_read_gpa {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t byte_count;
    uint64_t base_gpa;
    uint64_t control_flags;
};
HV_LAYOUT(sizeof(struct hv_input_read_gpa) == 32);

struct hv_output_read_gpa {
    uint64_t access_result;
    uint8_t data[16];
};
HV_LAYOUT(sizeof(struct hv_output_read_gpa) == 24);

struct hv_input_write_gpa {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t byte_count;
    uint64_t base_gpa;
    uint64_t control_flags;
    uint8_t data[16];
};
HV_LAYOUT(sizeof(struct hv_input_write_gpa) == 48);

/* HvCallAssertVirtualInterrupt: control is the type in 31:0 and the two flags above it. */
enum hv_interrupt_type {
    HV_X64_INTERRUPT_TYPE_FIXED = 0x0,
    HV_X64_INTERRUPT_TYPE_LOWESTPRIORITY = 0x1,
    HV_X64_INTERRUPT_TYPE_SMI = 0x2,
    HV_X64_INTERRUPT_TYPE_REMOTEREAD = 0x3,
    HV_X64_INTERRUPT_TYPE_NMI = 0x4,
    HV_X64_INTERRUPT_TYPE_INIT = 0x5,
    HV_X64_INTERRUPT_TYPE_SIPI = 0x6,
    HV_X64_INTERRUPT_TYPE_EXTINT = 0x7,
    HV_X64_INTERRUPT_TYPE_LOCALINT0 = 0x8,
    HV_X64_INTERRUPT_TYPE_LOCALINT1 = 0x9,
};
#define HV_INTERRUPT_CONTROL_LEVEL   (1ULL << 32)
#define HV_INTERRUPT_CONTROL_LOGICAL (1ULL << 33)

struct hv_input_assert_virtual_interrupt {
    uint64_t partition_id;
    uint64_t control;
    uint64_t dest_addr;
    uint32_t vector;
    uint8_t target_vtl;
    uint8_t reserved[3];
};
HV_LAYOUT(sizeof(struct hv_input_assert_virtual_interrupt) == 32);

struct hv_input_clear_virtual_interrupt {
    uint64_t partition_id;
};

/* HvCallRegisterInterceptResult, of which only CPUID results are known here. */
struct hv_input_register_intercept_result {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t intercept_type; /* HV_INTERCEPT_TYPE_X64_CPUID */
    uint32_t eax, ecx;       /* leaf and subleaf */
    uint8_t subleaf_specific;
    uint8_t always_override;
    uint16_t padding;
    uint32_t result[8];    /* EAX, its mask, EBX, its mask, ECX, its mask, EDX, its mask */
} __attribute__((packed)); /* not a multiple of 8 */
HV_LAYOUT(sizeof(struct hv_input_register_intercept_result) == 60);
HV_LAYOUT(offsetof(struct hv_input_register_intercept_result, result) == 28);

/** HvCallGetVpCpuidValues: header, then one element per leaf. */
struct hv_input_get_vp_cpuid_values {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t reserved;
    uint64_t flags;
};
HV_LAYOUT(sizeof(struct hv_input_get_vp_cpuid_values) == 24);

struct hv_cpuid_leaf_info {
    uint32_t eax, ecx;
    uint64_t xfem, xss;
};
HV_LAYOUT(sizeof(struct hv_cpuid_leaf_info) == 24);

/* Pages that a VP shares with its parent. */
enum hv_vp_state_page_type {
    HV_VP_STATE_PAGE_REGISTERS = 0,
    HV_VP_STATE_PAGE_INTERCEPT_MESSAGE = 1,
    HV_VP_STATE_PAGE_GHCB = 2,
    HV_VP_STATE_PAGE_COUNT
};

struct hv_input_map_vp_state_page {
    uint64_t partition_id;
    uint32_t vp_index;
    uint16_t type;
    uint8_t input_vtl;
    uint8_t flags;
    uint64_t requested_map_location; /* only with flag bit 0 */
};
HV_LAYOUT(sizeof(struct hv_input_map_vp_state_page) == 24);

struct hv_output_map_vp_state_page {
    uint64_t map_location; /* page frame number */
};

struct hv_input_unmap_vp_state_page {
    uint64_t partition_id;
    uint32_t vp_index;
    uint16_t type;
    uint8_t input_vtl;
    uint8_t reserved;
};
HV_LAYOUT(sizeof(struct hv_input_unmap_vp_state_page) == 16);

/* HvCallGetVpState, HvCallSetVpState. */
#define HV_GET_SET_VP_STATE_TYPE_PFN (1U << 31)
enum hv_get_set_vp_state_type {
    HV_VP_STATE_LOCAL_INTERRUPT_CONTROLLER = 0,
    HV_VP_STATE_XSAVE = 1,
    HV_VP_STATE_SIM_PAGE = 2,
    HV_VP_STATE_SIEF_PAGE = 3,
    HV_VP_STATE_SYNTHETIC_TIMERS = 4,
};

struct hv_vp_state {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t input_vtl;
    uint8_t reserved0;
    uint16_t reserved1;
    uint32_t type;
    uint32_t reserved2;
    uint64_t xsave_flags;
    uint64_t xsave_states;
    /* uint64_t page frame numbers, or the state itself, follow as the variable header */
};
HV_LAYOUT(sizeof(struct hv_vp_state) == 40);

/* Ports and connections. */
enum hv_port_type {
    HV_PORT_TYPE_MESSAGE = 1,
    HV_PORT_TYPE_EVENT = 2,
    HV_PORT_TYPE_MONITOR = 3,
    HV_PORT_TYPE_DOORBELL = 4,
};

struct hv_port_info {
    uint32_t port_type;
    uint32_t padding;
    union {
        struct {
            uint32_t target_sint;
            uint32_t target_vp;
            uint64_t reserved;
        } message; /* and doorbell */
        struct {
            uint32_t target_sint;
            uint32_t target_vp;
            uint16_t base_flag_number;
            uint16_t flag_count;
            uint32_t reserved;
        } event;
        struct {
            uint64_t monitor_address;
            uint64_t reserved;
        } monitor;
    } u;
};
HV_LAYOUT(sizeof(struct hv_port_info) == 24);

#define HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK 0x7ULL /* 0: any, else 1 << (n - 1) bytes */
#define HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE 0x80000000ULL

struct hv_connection_info {
    uint32_t port_type;
    uint32_t padding;
    union {
        struct {
            uint64_t monitor_address;
        } monitor;
        struct {
            uint64_t gpa;
            uint64_t trigger_value;
            uint64_t flags;
        } doorbell;
    } u;
};
HV_LAYOUT(sizeof(struct hv_connection_info) == 32);

struct hv_input_create_port {
    uint64_t port_partition_id;
    uint32_t port_id;
    uint8_t port_vtl;
    uint8_t min_connection_vtl;
    uint16_t padding;
    uint64_t connection_partition_id;
    struct hv_port_info port_info;
    struct hv_proximity_domain_info proximity_domain_info;
};
HV_LAYOUT(sizeof(struct hv_input_create_port) == 56);

struct hv_input_delete_port {
    uint64_t port_partition_id;
    uint32_t port_id;
    uint32_t reserved;
};
HV_LAYOUT(sizeof(struct hv_input_delete_port) == 16);

struct hv_input_connect_port {
    uint64_t connection_partition_id;
    uint32_t connection_id;
    uint8_t connection_vtl;
    uint8_t reserved0;
    uint16_t reserved1;
    uint64_t port_partition_id;
    uint32_t port_id;
    uint32_t reserved2;
    struct hv_connection_info connection_info;
    struct hv_proximity_domain_info proximity_domain_info;
};
HV_LAYOUT(sizeof(struct hv_input_connect_port) == 72);

struct hv_input_disconnect_port {
    uint64_t connection_partition_id;
    uint32_t connection_id;
    uint32_t flags; /* bit 0: a doorbell */
};
HV_LAYOUT(sizeof(struct hv_input_disconnect_port) == 16);

struct hv_input_notify_port_ring_empty {
    uint32_t sint_index;
    uint32_t reserved;
};
HV_LAYOUT(sizeof(struct hv_input_notify_port_ring_empty) == 8);

#define HV_SYNIC_EVENT_RING_MESSAGE_COUNT 63

/** The ring of one SINT in the page that HV_X64_MSR_SIRBP names; ids of ports that were hit. */
struct hv_synic_event_ring {
    uint8_t signal_masked;
    uint8_t ring_full;
    uint16_t reserved;
    uint32_t data[HV_SYNIC_EVENT_RING_MESSAGE_COUNT];
};
HV_LAYOUT(sizeof(struct hv_synic_event_ring) == 256);

struct hv_synic_event_ring_page {
    struct hv_synic_event_ring sint_event_ring[16];
};
HV_LAYOUT(sizeof(struct hv_synic_event_ring_page) == 4096);

/* Statistics pages. */
enum hv_stats_object_type {
    HV_STATS_OBJECT_HYPERVISOR = 0x00000001,
    HV_STATS_OBJECT_LOGICAL_PROCESSOR = 0x00000002,
    HV_STATS_OBJECT_PARTITION = 0x00010001,
    HV_STATS_OBJECT_VP = 0x00010002,
};

enum hv_stats_area_type {
    HV_STATS_AREA_SELF = 0,
    HV_STATS_AREA_PARENT = 1,
    HV_STATS_AREA_INTERNAL = 2,
};

/** Identity: partition id or LP index, VP index, and the area in the last byte. */
struct hv_input_map_stats_page {
    uint32_t type;
    uint32_t padding;
    uint8_t identity[16];
};
HV_LAYOUT(sizeof(struct hv_input_map_stats_page) == 24);

struct hv_output_map_stats_page {
    uint64_t map_location;
};

/* System properties, root only. */
enum hv_system_property {
    HV_SYSTEM_PROPERTY_SLEEP_STATE = 3,
    HV_SYSTEM_PROPERTY_SCHEDULER_TYPE = 15,
    HV_SYSTEM_PROPERTY_DYNAMIC_PROCESSOR_FEATURE = 21,
    HV_SYSTEM_PROPERTY_CRASHDUMPAREA = 47,
};

#define HV_SCHEDULER_TYPE_LP       1U
#define HV_SCHEDULER_TYPE_LP_SMT   2U
#define HV_SCHEDULER_TYPE_CORE_SMT 3U
#define HV_SCHEDULER_TYPE_ROOT     4U

struct hv_input_get_system_property {
    uint32_t property_id;
    uint32_t reserved;
    uint64_t argument;
};
HV_LAYOUT(sizeof(struct hv_input_get_system_property) == 16);

struct hv_output_get_system_property {
    uint64_t value;
};

/* HvCallDispatchVp: run a child's VP on the caller's processor until something happens. */
#define HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND  0x1U
#define HV_DISPATCH_VP_FLAG_ENABLE_CALLER_INTERRUPTS 0x2U

enum hv_vp_dispatch_state {
    HV_VP_DISPATCH_STATE_INVALID = 0,
    HV_VP_DISPATCH_STATE_BLOCKED = 1,
    HV_VP_DISPATCH_STATE_READY = 2,
};

enum hv_vp_dispatch_event {
    HV_VP_DISPATCH_EVENT_INVALID = 0,
    HV_VP_DISPATCH_EVENT_SUSPEND = 1,
    HV_VP_DISPATCH_EVENT_INTERCEPT = 2,
};

struct hv_input_dispatch_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t flags;
    uint64_t time_slice; /* 100 ns units; 0: no bound */
    uint64_t spec_ctrl;
};
HV_LAYOUT(sizeof(struct hv_input_dispatch_vp) == 32);

struct hv_output_dispatch_vp {
    uint32_t dispatch_state;
    uint32_t dispatch_event;
};
HV_LAYOUT(sizeof(struct hv_output_dispatch_vp) == 8);

#undef HV_LAYOUT

#endif
