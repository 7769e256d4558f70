/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PRIVILEGES_H
#define PARTITION_PRIVILEGES_H

#include "abi/tlfs/partition.h"

/*
 * The privilege sets of this build (TLFS "Partition Privilege Flags"). struct
 * partition.privileges is the authority; CPUID shows it less what the
 * personality hides.
 */

/** Every enlightenment that a guest may use on its own: MSRs, SynIC, timers, calls on itself. */
#define PRIVILEGES_GUEST                                                                           \
    (HV_MSR_VP_RUNTIME_AVAILABLE | HV_MSR_TIME_REF_COUNT_AVAILABLE | HV_MSR_SYNIC_AVAILABLE |      \
     HV_MSR_SYNTIMER_AVAILABLE | HV_MSR_APIC_ACCESS_AVAILABLE | HV_MSR_HYPERCALL_AVAILABLE |       \
     HV_MSR_VP_INDEX_AVAILABLE | HV_MSR_REFERENCE_TSC_AVAILABLE | HV_MSR_GUEST_IDLE_AVAILABLE |    \
     HV_ACCESS_FREQUENCY_MSRS | HV_ACCESS_TSC_INVARIANT | HV_POST_MESSAGES | HV_SIGNAL_EVENTS)

/** What manages other partitions. The root has it whatever its kernel is. */
#define PRIVILEGES_PARENT                                                                          \
    (HV_CREATE_PARTITIONS | HV_ACCESS_MEMORY_POOL | HV_CREATE_PORT | HV_CONNECT_PORT |             \
     HV_ACCESS_STATS | HV_CPU_MANAGEMENT | HV_ACCESS_VP_REGISTERS)

/** A root partition that runs a stock kernel. */
#define PRIVILEGES_STOCK_ROOT                                                                      \
    (PRIVILEGES_GUEST | PRIVILEGES_PARENT | HV_ACCESS_PARTITION_ID | HV_MSR_RESET_AVAILABLE)

/** A child partition with the default set of enlightenments. */
#define PRIVILEGES_STOCK_CHILD PRIVILEGES_GUEST

/**
 * What CPUID leaf 0x40000003 leaves out under the stock personality: a kernel that
 * saw CpuManagement there would take itself for the root of another hypervisor, and
 * Linux 6.1 asks for the partition id with an output page that it only has as a root.
 */
#define PRIVILEGES_HIDDEN_STOCK (PRIVILEGES_PARENT | HV_ACCESS_PARTITION_ID)

#endif
