/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_PARTITION_H
#define ABI_TLFS_PARTITION_H

#include <stdint.h>

#define HV_PARTITION_ID_INVALID 0ULL
#define HV_PARTITION_ID_SELF    0xFFFFFFFFFFFFFFFFULL

#define HV_VP_INDEX_SELF 0xFFFFFFFEU
#define HV_ANY_VP        0xFFFFFFFFU

/*
 * HV_PARTITION_PRIVILEGE_MASK (TLFS, "Partition Privilege Flags"), 64 bits: the low
 * half is what CPUID leaf 0x40000003 shows in EAX, the high half what it shows in EBX.
 */

/* Access to synthetic MSRs, bits 0..31. */
#define HV_MSR_VP_RUNTIME_AVAILABLE     (1ULL << 0)
#define HV_MSR_TIME_REF_COUNT_AVAILABLE (1ULL << 1)
#define HV_MSR_SYNIC_AVAILABLE          (1ULL << 2)
#define HV_MSR_SYNTIMER_AVAILABLE       (1ULL << 3)
#define HV_MSR_APIC_ACCESS_AVAILABLE    (1ULL << 4)
#define HV_MSR_HYPERCALL_AVAILABLE      (1ULL << 5)
#define HV_MSR_VP_INDEX_AVAILABLE       (1ULL << 6)
#define HV_MSR_RESET_AVAILABLE          (1ULL << 7)
#define HV_MSR_STAT_PAGES_AVAILABLE     (1ULL << 8)
#define HV_MSR_REFERENCE_TSC_AVAILABLE  (1ULL << 9)
#define HV_MSR_GUEST_IDLE_AVAILABLE     (1ULL << 10)
#define HV_ACCESS_FREQUENCY_MSRS        (1ULL << 11)
#define HV_ACCESS_DEBUG_MSRS            (1ULL << 12)
#define HV_ACCESS_REENLIGHTENMENT       (1ULL << 13)
#define HV_ACCESS_TSC_INVARIANT         (1ULL << 15)

/* Access to hypercalls, bits 32..63. */
#define HV_CREATE_PARTITIONS          (1ULL << 32)
#define HV_ACCESS_PARTITION_ID        (1ULL << 33)
#define HV_ACCESS_MEMORY_POOL         (1ULL << 34)
#define HV_ADJUST_MESSAGE_BUFFERS     (1ULL << 35)
#define HV_POST_MESSAGES              (1ULL << 36)
#define HV_SIGNAL_EVENTS              (1ULL << 37)
#define HV_CREATE_PORT                (1ULL << 38)
#define HV_CONNECT_PORT               (1ULL << 39)
#define HV_ACCESS_STATS               (1ULL << 40)
#define HV_DEBUGGING                  (1ULL << 43)
#define HV_CPU_MANAGEMENT             (1ULL << 44)
#define HV_ACCESS_VSM                 (1ULL << 48)
#define HV_ACCESS_VP_REGISTERS        (1ULL << 49)
#define HV_ENABLE_EXTENDED_HYPERCALLS (1ULL << 52)
#define HV_START_VIRTUAL_PROCESSOR    (1ULL << 53)
#define HV_ISOLATION                  (1ULL << 54)

#endif
