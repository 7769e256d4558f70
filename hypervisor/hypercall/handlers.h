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

/* vp_registers.c: HvCallGetVpRegisters, HvCallSetVpRegisters. */
hypercall_fn hypercall_get_vp_registers;
hypercall_fn hypercall_set_vp_registers;

/* translate.c: HvCallTranslateVirtualAddress, HvCallReadGpa, HvCallWriteGpa. */
hypercall_fn hypercall_translate_virtual_address;
hypercall_fn hypercall_read_gpa;
hypercall_fn hypercall_write_gpa;

/* vp_state.c: HvCallGetVpState, HvCallSetVpState. */
hypercall_fn hypercall_get_vp_state;
hypercall_fn hypercall_set_vp_state;

#endif
