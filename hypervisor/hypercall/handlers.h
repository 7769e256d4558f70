/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_HANDLERS_H
#define HYPERCALL_HANDLERS_H

#include "hypervisor/hypercall/table.h"

/* The handlers that rows of the table name; see hypercall_fn. */

/* flush.c: HvCallFlushVirtualAddressSpace, ...List and their Ex forms. */
hypercall_fn hypercall_flush;
hypercall_fn hypercall_flush_ex;

/* ipi.c: HvCallSendSyntheticClusterIpi and its Ex form. */
hypercall_fn hypercall_send_ipi;
hypercall_fn hypercall_send_ipi_ex;

/* message.c: HvCallPostMessage, HvCallSignalEvent, and the same without a port. */
hypercall_fn hypercall_post_message;
hypercall_fn hypercall_signal_event;
hypercall_fn hypercall_post_message_direct;
hypercall_fn hypercall_signal_event_direct;

/* self.c: HvCallNotifyLongSpinWait, HvCallGetPartitionId. */
hypercall_fn hypercall_long_spin_wait;
hypercall_fn hypercall_get_partition_id;

/* partition.c: life of children. */
hypercall_fn hypercall_create_partition;
hypercall_fn hypercall_initialize_partition;
hypercall_fn hypercall_finalize_partition;
hypercall_fn hypercall_delete_partition;
hypercall_fn hypercall_get_next_child;

/* memory.c: pools, and guest memory of children. */
hypercall_fn hypercall_deposit_memory;
hypercall_fn hypercall_withdraw_memory;
hypercall_fn hypercall_get_memory_balance;
hypercall_fn hypercall_map_gpa_pages;
hypercall_fn hypercall_unmap_gpa_pages;
hypercall_fn hypercall_get_gpa_access_states;

/* vp.c: VPs of children and the pages that they share with their parent. */
hypercall_fn hypercall_create_vp;
hypercall_fn hypercall_delete_vp;
hypercall_fn hypercall_map_vp_state_page;
hypercall_fn hypercall_unmap_vp_state_page;
hypercall_fn hypercall_dispatch_vp;

/* interrupt.c: interrupts for children, and what of them their parent wants to hear. */
hypercall_fn hypercall_assert_virtual_interrupt;
hypercall_fn hypercall_clear_virtual_interrupt;
hypercall_fn hypercall_install_intercept;

/* vp_registers.c: HvCallGetVpRegisters, HvCallSetVpRegisters. */
hypercall_fn hypercall_get_vp_registers;
hypercall_fn hypercall_set_vp_registers;

/* property.c: properties of partitions and of the system. */
hypercall_fn hypercall_get_partition_property;
hypercall_fn hypercall_set_partition_property;
hypercall_fn hypercall_get_partition_property_ex;
hypercall_fn hypercall_get_system_property;
hypercall_fn hypercall_set_system_property;
hypercall_fn hypercall_get_lp_run_time;

/* port.c: ports and connections. */
hypercall_fn hypercall_create_port;
hypercall_fn hypercall_delete_port;
hypercall_fn hypercall_connect_port;
hypercall_fn hypercall_disconnect_port;
hypercall_fn hypercall_notify_port_ring_empty;

/* stats.c: statistics pages. */
hypercall_fn hypercall_map_stats_page;
hypercall_fn hypercall_unmap_stats_page;

/* cpuid.c: what a child's CPUID says. */
hypercall_fn hypercall_register_intercept_result;
hypercall_fn hypercall_get_vp_cpuid_values;

/* translate.c: HvCallTranslateVirtualAddress, HvCallReadGpa, HvCallWriteGpa. */
hypercall_fn hypercall_translate_virtual_address;
hypercall_fn hypercall_read_gpa;
hypercall_fn hypercall_write_gpa;

/* vp_state.c: HvCallGetVpState, HvCallSetVpState. */
hypercall_fn hypercall_get_vp_state;
hypercall_fn hypercall_set_vp_state;

#endif
