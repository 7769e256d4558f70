/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PARTITION_H
#define PARTITION_PARTITION_H

#include <stdatomic.h>
#include "hypervisor/mm/pool.h"
#include "hypervisor/partition/overlay.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct vp;
struct port_space;
struct cpuid_result;
struct gpa_map; /* nested page tables, see mm/gpamap.h */

#define PARTITION_ROOT_ID 1ULL
#define PARTITION_MAX_VPS 64

/** Crash MSRs P0..P4 and CTL, TLFS "Guest Crash Enlightenment". */
struct partition_crash {
    uint64_t param[5];
};

/** Life of a child (TLFS "Partition Management"); the root is active for ever. */
enum partition_state {
    PARTITION_CREATED,   /* properties that shape the guest's view may be set */
    PARTITION_ACTIVE,    /* initialized: memory, VPs, everything */
    PARTITION_FINALIZED, /* VPs and tables are gone; its pool can be withdrawn, then it is deleted
                          */
};

/** What the parent may set of a partition by HvCallSetPartitionProperty. */
struct partition_properties {
    uint64_t synthetic_features; /* HV_SYNTH_*; `privileges` follows from it */
    uint32_t weight;             /* scheduler, of each VP */
    uint32_t reserve;
    uint32_t cap;
    uint64_t unimplemented_msr_action; /* HV_UNIMPLEMENTED_MSR_ACTION_* */
    uint64_t processors_per_socket;
    bool suspended;
    bool time_frozen;
    uint64_t frozen_at;  /* reference time that stands still, while time_frozen */
    uint64_t frozen_tsc; /* the processor's TSC then */
    uint64_t stood_tsc;  /* ticks of it that time has stood still for until now; under the lock */
    uint32_t time_steps; /* how often reference time was set or let go again */
    bool page_access_tracking;
    uint64_t disabled_features[3]; /* enum features_bank; what CPUID must not show */
};

#define INTERCEPT_INDICES 16U /* MSRs, and leaves of CPUID, that a parent may name */

/**
 * Which events of a child reach its parent, beside those that always do: HV_INTERCEPT_ACCESS_MASK_*
 * bits. Changed under the lock by intercepts_install(), read without.
 */
struct partition_intercepts {
    uint32_t hypercall;
    uint32_t unknown_connection; /* post and signal on a connection that does not exist */
    uint32_t retarget_unknown;
    uint32_t apic_eoi;
    uint32_t msr;                     /* of every MSR */
    uint32_t cpuid;                   /* of every leaf */
    uint64_t msrs[INTERCEPT_INDICES]; /* of one each: mask << 32 | index; 0: nothing */
    uint64_t cpuids[INTERCEPT_INDICES];
    uint32_t any_msr; /* all masks of MSRs together */
    uint32_t any_cpuid;
    uint32_t exceptions; /* bit n: vector n */
};

/**
 * A partition. Its identity (`is_root`, `privileges`) decides what it may do;
 * what CPUID shows it is a personality derived from the same bits.
 */
struct partition {
    uint64_t id;              /* HV_PARTITION_ID; init only */
    uint64_t privileges;      /* HV_PARTITION_PRIVILEGE_MASK = leaf 0x40000003 EBX:EAX; init only */
    bool is_root;             /* init only */
    bool is_child;            /* created by a parent; init only */
    struct partition *parent; /* NULL for the root; init only */
    uint64_t creation_flags;  /* HV_PARTITION_CREATION_FLAG_*; init only */
    _Atomic(enum partition_state) state; /* changes under the lock */
    _Atomic uint32_t refs;               /* see child_get() */
    struct pool pool;                    /* internally locked */

    struct gpa_map *map; /* internally locked */
    /* Set once, under the lock and before vp_count grows; VPs of a child may have any index. */
    _Atomic(struct vp *) vps[PARTITION_MAX_VPS];
    _Atomic uint32_t vp_count; /* one more than the highest index */

    struct spinlock lock; /* protects what follows */
    uint64_t guest_os_id;
    uint64_t hypercall_msr;
    struct overlay hypercall_page;
    uint64_t reference_tsc_msr;
    struct overlay reference_tsc_page;
    uint64_t tsc_invariant_control;
    struct partition_crash crash;
    struct partition_properties properties;
    struct partition_intercepts intercepts;
    struct cpuid_result *cpuid_results; /* list, see cpuid_result.h */

    _Atomic(struct port_space *) port_space; /* ports and connections, see port.h */

    /* Reference time of this partition = clock_ref_from_tsc(tsc) - ref_base. */
    _Atomic uint64_t ref_base;
    /* What the parent has set a TSC to last: where it stood at TSC 0 of the processor, and 1 + the
     * index of that VP, or 0; under the lock. */
    uint64_t tsc_origin;
    uint32_t tsc_setter;

    /* Called on EOI of a level-triggered vector by any VP of this partition; may be NULL. */
    void (*eoi_hook)(struct vp *vp, uint8_t vector);
};

/**
 * Memory of the hypervisor for what the partition needs: from its pool, or for the root from the
 * hypervisor's own. Contiguous and zeroed. 0, -ENOMEM, -ENOSPC (see pool_alloc()).
 */
int partition_alloc(struct partition *p, unsigned pages, hpa_t *out);
void partition_free(struct partition *p, hpa_t page, unsigned pages);

/** The VP with this index or APIC id, or NULL. */
struct vp *partition_vp(struct partition *p, uint32_t vp_index);
struct vp *partition_vp_by_apic_id(struct partition *p, uint32_t apic_id);

/** Partition reference time now, 100 ns units (TLFS "Partition Reference Counter"). */
uint64_t partition_ref_time(const struct partition *p);
/** The processor's TSC, from which those of VPs are counted; it stands still with reference time.
 */
uint64_t partition_tsc(const struct partition *p);

#endif
