/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_CPUID_H
#define ABI_TLFS_CPUID_H

/*
 * Hypervisor CPUID leaves (TLFS, "Feature and Interface Discovery"). EAX and EBX of
 * the features leaf are the partition's privileges: abi/tlfs/partition.h.
 */
#define HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS 0x40000000U
#define HYPERV_CPUID_INTERFACE                0x40000001U
#define HYPERV_CPUID_VERSION                  0x40000002U
#define HYPERV_CPUID_FEATURES                 0x40000003U
#define HYPERV_CPUID_ENLIGHTMENT_INFO         0x40000004U
#define HYPERV_CPUID_IMPLEMENT_LIMITS         0x40000005U
#define HYPERV_CPUID_HARDWARE_FEATURES        0x40000006U
#define HYPERV_CPUID_CPU_MANAGEMENT_FEATURES  0x40000007U
#define HYPERV_CPUID_SVM_FEATURES             0x40000008U
#define HYPERV_CPUID_NESTED_FEATURES          0x4000000AU
#define HYPERV_CPUID_ISOLATION_CONFIG         0x4000000CU
#define HYPERV_CPUID_VIRT_STACK_INTERFACE     0x40000081U
#define HYPERV_CPUID_VIRT_STACK_PROPERTIES    0x40000082U
#define HYPERV_CPUID_MIN                      0x40000005U
#define HYPERV_CPUID_MAX                      0x4000FFFFU

/* EAX of the interface leaf: the letters "Hv#1". */
#define HYPERV_INTERFACE_HV1 0x31237648U

/* Features leaf, EDX. */
#define HV_X64_MWAIT_AVAILABLE                    (1U << 0)
#define HV_X64_GUEST_DEBUGGING_AVAILABLE          (1U << 1)
#define HV_X64_PERF_MONITOR_AVAILABLE             (1U << 2)
#define HV_X64_CPU_DYNAMIC_PARTITIONING_AVAILABLE (1U << 3)
#define HV_X64_HYPERCALL_XMM_INPUT_AVAILABLE      (1U << 4)
#define HV_X64_GUEST_IDLE_STATE_AVAILABLE         (1U << 5)
#define HV_FEATURE_FREQUENCY_MSRS_AVAILABLE       (1U << 8)
#define HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE      (1U << 10)
#define HV_FEATURE_DEBUG_MSRS_AVAILABLE           (1U << 11)
#define HV_FEATURE_EXT_GVA_RANGES_FLUSH           (1U << 14)
#define HV_X64_HYPERCALL_XMM_OUTPUT_AVAILABLE     (1U << 15)
#define HV_STIMER_DIRECT_MODE_AVAILABLE           (1U << 19)

/* Recommendations leaf, EAX: what a guest should prefer. */
#define HV_X64_AS_SWITCH_RECOMMENDED          (1U << 0)
#define HV_X64_LOCAL_TLB_FLUSH_RECOMMENDED    (1U << 1)
#define HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED   (1U << 2)
#define HV_X64_APIC_ACCESS_RECOMMENDED        (1U << 3)
#define HV_X64_SYSTEM_RESET_RECOMMENDED       (1U << 4)
#define HV_X64_RELAXED_TIMING_RECOMMENDED     (1U << 5)
#define HV_DEPRECATING_AEOI_RECOMMENDED       (1U << 9)
#define HV_X64_CLUSTER_IPI_RECOMMENDED        (1U << 10)
#define HV_X64_EX_PROCESSOR_MASKS_RECOMMENDED (1U << 11)
#define HV_X64_HYPERV_NESTED                  (1U << 12)
#define HV_X64_ENLIGHTENED_VMCS_RECOMMENDED   (1U << 14)
#define HV_X64_NO_NONARCH_CORESHARING         (1U << 18)
#define HV_X64_USE_MMIO_HYPERCALLS            (1U << 21)

/* Recommendations leaf, EBX: spins before a long spin wait is reported; this one says never. */
#define HV_SPIN_NOTIFY_NEVER 0xFFFFFFFFU

/* Hardware features leaf, EAX: what of the hardware the hypervisor itself uses. */
#define HV_HW_APIC_OVERLAY_ASSIST (1U << 0)
#define HV_HW_MSR_BITMAPS         (1U << 1)
#define HV_HW_PERF_COUNTERS       (1U << 2)
#define HV_HW_SLAT                (1U << 3)
#define HV_HW_DMA_REMAPPING       (1U << 4)
#define HV_HW_INTERRUPT_REMAPPING (1U << 5)

#endif
