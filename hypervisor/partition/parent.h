/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PARENT_H
#define PARTITION_PARENT_H

#include "hypervisor/boot/acpi.h"
#include "hypervisor/boot/cmdline.h"
#include "hypervisor/boot/linux_loader.h"
#include "hypervisor/intercept/ioapic.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/mm/range.h"
#include "hypervisor/partition/partition.h"

/** The parent partition: the machine, less what the hypervisor keeps. */
struct partition *parent_partition(void);

/** The shadows of the machine's IOAPICs. */
struct ioapics *parent_ioapics(void);

/**
 * Create it with one VP for every LP. `ram` is its memory: the machine's map with the
 * hypervisor carved out. 0 or -errno; only at boot, where an error is fatal.
 */
int parent_create(const struct cmdline *opts, const struct acpi_info *acpi,
                  const struct range_map *ram);

/** Put the registers of VP 0 where the boot protocol wants them and let all VPs run. */
int parent_start(const struct linux_plan *plan);

/**
 * The parent touched an address that its nested tables do not map. Device memory
 * is mapped on first use: returns 0 and the access may be tried again. -EPERM for
 * the hypervisor's memory and pages that it shows read-only, -EFAULT beyond the physical address
 * space, -ENOMEM.
 */
int parent_map_device(gpa_t at, enum access access);

/** A VP of the parent has another logical APIC id; called on the LP that runs it. */
void parent_logical_id_changed(struct vp *vp);

/** Let no interrupt of the 8259s through to VP 0, or let them again; called on the LP of VP 0. */
void parent_hold_extint(bool hold);

/** Is this page RAM that a partition may own? Used by guest memory access. */
bool memory_is_ram(hpa_t page);

/** Does this page belong to the hypervisor itself? */
bool memory_is_hypervisor(hpa_t page);

#endif
