/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PARTITION_H
#define PARTITION_PARTITION_H

#include <stdatomic.h>
#include "hypervisor/partition/overlay.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct vp;
struct gpa_map; /* nested page tables, see mm/gpamap.h */

#define PARTITION_ROOT_ID 1ULL
#define PARTITION_MAX_VPS 64

/** Crash MSRs P0..P4 and CTL, TLFS "Guest Crash Enlightenment". */
struct partition_crash {
    uint64_t param[5];
};

/**
 * A partition. Its identity (`is_root`, `privileges`) decides what it may do;
 * what CPUID shows it is a personality derived from the same bits.
 */
struct partition {
    uint64_t id;         /* HV_PARTITION_ID; init only */
    uint64_t privileges; /* HV_PARTITION_PRIVILEGE_MASK = leaf 0x40000003 EBX:EAX; init only */
    bool is_root;        /* init only */

    struct gpa_map *map;               /* internally locked */
    struct vp *vps[PARTITION_MAX_VPS]; /* init only (root); set before vp_count grows */
    _Atomic uint32_t vp_count;

    struct spinlock lock; /* protects what follows */
    uint64_t guest_os_id;
    uint64_t hypercall_msr;
    struct overlay hypercall_page;
    uint64_t reference_tsc_msr;
    uint64_t tsc_invariant_control;
    struct partition_crash crash;

    /* Reference time of this partition = clock_ref_from_tsc(tsc) - ref_base; init only. */
    uint64_t ref_base;

    /* Called on EOI of a level-triggered vector by any VP of this partition; may be NULL. */
    void (*eoi_hook)(struct vp *vp, uint8_t vector);
};

/** The VP with this index or APIC id, or NULL. */
struct vp *partition_vp(struct partition *p, uint32_t vp_index);
struct vp *partition_vp_by_apic_id(struct partition *p, uint32_t apic_id);

/** Partition reference time now, 100 ns units (TLFS "Partition Reference Counter"). */
uint64_t partition_ref_time(const struct partition *p);

#endif
