/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_CALLS_H
#define VID_CALLS_H

/* The hypercalls that the module makes on its own account; 0 or -errno unless said otherwise. */

#include "vid.h"

/* The host. */
int vid_get_partition_id(u64 *id);
int vid_get_scheduler_type(u32 *type);

/* A partition. Creation takes memory from the parent's pool, all else from the partition's. */
int vid_create_partition(const struct hv_input_create_partition *in, u64 *id);
int vid_initialize_partition(struct vid_partition *partition);
int vid_finalize_partition(u64 id);
int vid_delete_partition(u64 id);
int vid_get_property(u64 id, u32 code, u64 *value);

/* A virtual processor. */
int vid_create_vp(struct vid_partition *partition, u32 index);
int vid_delete_vp(u64 id, u32 index);
int vid_map_state_page(struct vid_partition *partition, u32 index, u16 type, void **page);
void vid_unmap_state_page(u64 id, u32 index, u16 type);
int vid_get_register(u64 id, u32 index, u32 name, u64 *value);
/** Sets 64-bit registers in the order given. */
int vid_set_registers(u64 id, u32 index, const u32 *names, const u64 *values, u16 count);

/* Guest memory is mapped in pages of 4 KiB and, where it can be, of 2 MiB. */
#define VID_LARGE_SHIFT 9
#define VID_LARGE_PAGES (1U << VID_LARGE_SHIFT)

/** Elements of a list of HvCallMapGpaPages, whose input is a page. */
#define VID_MAP_MAX ((PAGE_SIZE - sizeof(struct hv_input_map_gpa_pages)) / sizeof(u64))

/*
 * Guest memory: UNITS pages, of 2 MiB if LARGE, from a guest frame on. Nothing is there any more;
 * or there is memory that the guest cannot reach now, at most VID_HIDE_MAX units. The second does
 * not sleep.
 */
#define VID_HIDE_MAX 256U
int vid_unmap_gpa(u64 id, u64 frame, u64 units, bool large);
int vid_hide_gpa(u64 id, u64 frame, u32 units, bool large);

/* Interrupts; from any context but NMIs. */
int vid_assert_interrupt(u64 id, u64 control, u64 destination, u32 vector);
int vid_clear_interrupt(u64 id);

/* Doorbells: a port of the parent with a connection of the same number in the child. */
int vid_create_doorbell(struct vid_partition *partition, u32 id,
                        const struct hv_connection_info *info);
void vid_delete_doorbell(u64 partition_id, u32 id);
void vid_notify_ring_empty(u32 sint);

/* Events: a connection of the child to a flag of the parent's. */
int vid_create_event(struct vid_partition *partition, u32 connection, u32 port_id, u32 flag);
void vid_delete_event(u64 partition_id, u32 connection, u32 port_id);

#endif
