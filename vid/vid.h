/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_H
#define VID_H

/*
 * The module's own state. Descriptors of three kinds lead to it: the device, a partition, a
 * virtual processor. A partition lives until its last descriptor is closed; its VPs live as long.
 */

#include <linux/completion.h>
#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/synic.h"
#include "abi/mshv.h"
#include "pool.h"

#define VID_MAX_VPS        256
#define VID_MAX_GUEST_IRQS 4096

/* SINTs of the parent: intercepts of children and completions, events, and doorbells. */
#define VID_SINT_INTERCEPT 0
#define VID_SINT_EVENT     4
#define VID_SINT_DOORBELL  5

struct vid_partition;

/** Input and output of HvCallDispatchVp: in one page, because its size is a power of two. */
struct vid_dispatch {
    struct hv_input_dispatch_vp in;
    struct hv_output_dispatch_vp out;
    u64 unused[3];
};
_Static_assert(sizeof(struct vid_dispatch) == 64, "a power of two");

struct vid_vp {
    struct vid_partition *partition;
    u32 index;
    struct mutex lock; /* serializes the ioctls of the VP's descriptors */

    /* Set before the VP can be found, unchanged until the partition is destroyed. */
    const struct hv_message *intercept_page;
    void *register_page;

    /* Woken when the hypervisor has stopped the VP and filled the intercept page. */
    wait_queue_head_t wait;
    bool kicked;  /* set by the upcall, cleared by the runner under lock; READ/WRITE_ONCE */
    bool due;     /* under lock: an intercept was seen whose upcall was not waited for */
    bool stopped; /* under lock: EXPLICIT_SUSPEND is set */

    struct vid_dispatch *dispatch; /* under lock */
    unsigned long *pfns;           /* under lock: a page for vid_demand_fault() */
    u32 idle_faults;               /* under lock: in a row, for pages that were present */

    /* Counters, for debugfs: the first by the upcall (atomic), the others under lock. */
    atomic64_t kicks;
    u64 runs;
    u64 intercepts;
    u64 interrupted;
    u64 acked;
};

struct vid_counters {
    atomic64_t irqs;          /* virtual interrupts asserted for eventfds */
    atomic64_t doorbells;     /* doorbells that rang */
    atomic64_t events;        /* signals of the guest that an eventfd took */
    atomic64_t acks;          /* EOIs that an irqfd took */
    atomic64_t passthru;      /* calls of MSHV_ROOT_HVCALL */
    atomic64_t mapped;        /* 4 KiB pages that the guest can reach now */
    atomic64_t large;         /* of these, in mappings of 2 MiB */
    atomic64_t pinned;        /* of these, pinned; under the partition's lock */
    atomic64_t faults;        /* intercepts that brought memory */
    atomic64_t invalidations; /* changes of user memory that may have taken some away */
};

struct vid_partition {
    u64 id;
    refcount_t refs;                 /* one per descriptor */
    struct hlist_node node;          /* in the table of partitions; RCU */
    struct mutex lock;               /* serializes the ioctls of the partition's descriptors */
    bool initialized;                /* under lock */
    struct vid_pool pool;            /* the memory deposited for it */
    struct rw_semaphore regions_sem; /* taken for reading by a VP that misses memory */
    struct list_head regions;        /* guest memory; changed under both */
    struct mutex end_lock;           /* innermost; of the end of the guest, whoever brings it */
    bool finalized;                  /* under end_lock; the guest runs no more */
    struct vid_vp *vps[VID_MAX_VPS]; /* set once under lock; the upcall reads, RCU */

    struct vid_routes *routes;   /* of MSHV_SET_MSI_ROUTING; under lock; NULL: none */
    spinlock_t irqfds_lock;      /* innermost but for the seqcount of an irqfd; from interrupts */
    struct list_head irqfds;     /* under irqfds_lock */
    struct list_head resamplers; /* irqfds that want to hear of EOIs; irqfds_lock, readers RCU */
    struct list_head doorbells;  /* of MSHV_IOEVENTFD; under lock */
    struct list_head events;     /* of BULKHEAD_EVENT; under lock */

    struct completion async_done; /* of a call that the hypervisor finishes later */
    u16 async_status;             /* written before async_done is completed */

    struct vid_counters counters;
    struct dentry *debug;
};

/** What the module knows of the host; set while it is loaded. */
struct vid_host {
    u64 partition_id;     /* the parent's own */
    u32 scheduler_type;   /* HV_SCHEDULER_TYPE_* */
    struct vid_pool pool; /* the parent's own pool */
};
extern struct vid_host vid_host;

/* partition.c */

/** MSHV_CREATE_PARTITION: a descriptor or -errno. */
long vid_partition_create(void __user *argument);

/** Another descriptor refers to the partition, or refers to it no more. The caller has one. */
void vid_partition_get(struct vid_partition *partition);
void vid_partition_put(struct vid_partition *partition);

/** The partition of an id or NULL; under rcu_read_lock(), and valid until it is released. */
struct vid_partition *vid_partition_find(u64 id);

/**
 * Ends the guest: none of its VPs runs again and none of its memory can be reached. 0, also if it
 * has ended before or has never begun, or -errno.
 */
int vid_partition_finalize(struct vid_partition *partition);

/* passthru.c */

/**
 * MSHV_ROOT_HVCALL. PARTITION is NULL on the device. LOCKED: the partition's lock is held, which
 * calls that may complete later need.
 */
long vid_passthru(struct vid_partition *partition, bool locked, void __user *argument);

/* vp.c, under the partition's lock */

/** MSHV_CREATE_VP: a descriptor or -errno. */
long vid_vp_create(struct vid_partition *partition, void __user *argument);

/** Frees what user space and upcalls can no longer reach; NULL is accepted. */
void vid_vp_free(struct vid_vp *vp);

/** Undoes the mappings that a VP's creation made in the hypervisor; the VP stays allocated. */
void vid_vp_unmap(struct vid_vp *vp);

/* vp_run.c */

/** Wakes the runner of a VP; from the upcall. */
void vid_vp_kick(struct vid_vp *vp);

/** MSHV_RUN_VP, under the VP's lock. */
long vid_vp_run(struct vid_vp *vp, void __user *argument);

/* vp_state.c */

/** MSHV_GET_VP_STATE, MSHV_SET_VP_STATE, under the VP's lock. */
long vid_vp_state(struct vid_vp *vp, void __user *argument, bool set);

/* access_bitmap.c, under the partition's lock */

/** MSHV_GET_GPAP_ACCESS_BITMAP. */
long vid_access_bitmap(struct vid_partition *partition, void __user *argument);

/* debugfs.c */

void vid_debugfs_init(void);
void vid_debugfs_exit(void);
void vid_debugfs_add(struct vid_partition *partition);
void vid_debugfs_remove(struct vid_partition *partition);

#endif
