/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/child.h"

#include "abi/tlfs/partition.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/partition/child_priv.h"
#include "hypervisor/partition/cpuid_result.h"
#include "hypervisor/partition/port.h"
#include "hypervisor/partition/privileges.h"
#include "hypervisor/partition/properties.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/handoff.h"
#include "hypervisor/vp/notify.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"

_Static_assert(sizeof(struct child) <= PAGE_SIZE, "one page of the parent's pool");

/* All children, in no order. Ids count up and are never used twice. */
static struct {
    struct spinlock lock; /* rank "children", first of all */
    struct partition *slot[CHILD_MAX];
    uint64_t last_id;
} table = {.last_id = PARTITION_ROOT_ID};

struct partition *partition_get(struct partition *parent, uint64_t id)
{
    struct partition *found = NULL;

    if (id == HV_PARTITION_ID_SELF || id == parent->id)
        found = parent;
    spin_lock(&table.lock);
    for (unsigned i = 0; i < CHILD_MAX && !found; i++) {
        struct partition *p = table.slot[i];

        if (p && p->id == id && p->parent == parent)
            found = p;
    }
    if (found)
        atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    spin_unlock(&table.lock);
    return found;
}

void partition_put(struct partition *p)
{
    /* Release: who waits for the last hold to go sees what was done under it. */
    atomic_fetch_sub_explicit(&p->refs, 1, memory_order_release);
}

int child_get_active(struct partition *parent, uint64_t id, struct partition **out)
{
    struct partition *p = partition_get(parent, id);

    if (!p || !p->is_child) {
        if (p)
            partition_put(p);
        return -ENOENT;
    }
    if (atomic_load_explicit(&p->state, memory_order_acquire) != PARTITION_ACTIVE) {
        partition_put(p);
        return -EBADF;
    }
    *out = p;
    return 0;
}

uint64_t child_next(const struct partition *parent, uint64_t previous)
{
    uint64_t next = 0;

    spin_lock(&table.lock);
    for (unsigned i = 0; i < CHILD_MAX; i++) {
        const struct partition *p = table.slot[i];

        if (p && p->parent == parent && p->id > previous && (!next || p->id < next))
            next = p->id;
    }
    spin_unlock(&table.lock);
    return next;
}

void child_for_each(void (*fn)(struct partition *p))
{
    spin_lock(&table.lock);
    for (unsigned i = 0; i < CHILD_MAX; i++)
        if (table.slot[i])
            fn(table.slot[i]);
    spin_unlock(&table.lock);
}

static int table_add(struct partition *p)
{
    int rc = -EAGAIN;

    spin_lock(&table.lock);
    for (unsigned i = 0; i < CHILD_MAX && rc; i++) {
        if (table.slot[i])
            continue;
        p->id = ++table.last_id;
        table.slot[i] = p;
        rc = 0;
    }
    spin_unlock(&table.lock);
    return rc;
}

static void table_remove(struct partition *p)
{
    spin_lock(&table.lock);
    for (unsigned i = 0; i < CHILD_MAX; i++)
        if (table.slot[i] == p)
            table.slot[i] = NULL;
    spin_unlock(&table.lock);
}

/* The caller's hold is the last one. Whoever else has one is inside a call, and done with it soon.
 */
static void wait_for_others(struct partition *p)
{
    lp_quiet_begin();
    while (atomic_load_explicit(&p->refs, memory_order_acquire) != 1)
        cpu_relax();
    lp_quiet_end();
}

int child_create(struct partition *parent, const struct hv_input_create_partition *in,
                 struct partition **out)
{
    struct child *c;
    hpa_t page;
    int rc = pool_alloc(&parent->pool, 1, &page);

    if (rc)
        return rc;
    c = hpa_to_virt(page);
    c->partition.is_child = true;
    c->partition.parent = parent;
    c->partition.creation_flags = in->flags;
    c->partition.map = &c->map;
    c->partition.ref_base = clock_ref_from_tsc(clock_tsc());
    c->partition.eoi_hook = child_eoi;
    pool_init(&c->partition.pool);
    properties_init(&c->partition);
    properties_disable_features(&c->partition, in);
    rc = table_add(&c->partition);
    if (rc) {
        pool_free(&parent->pool, page, 1);
        return rc;
    }
    *out = &c->partition;
    return 0;
}

int child_initialize(struct partition *p)
{
    struct pagetable_alloc source = pool_pagetables(&p->pool);
    int rc = -EBADF;

    spin_lock(&p->lock);
    if (atomic_load_explicit(&p->state, memory_order_relaxed) == PARTITION_CREATED) {
        rc = pool_reserve(&p->pool, OVERLAY_PAGES) < 0 ? -ENOMEM : 0;
        if (!rc)
            rc = gpa_map_init(p->map, PAGE_SIZE_2M, &source);
        if (!rc)
            atomic_store_explicit(&p->state, PARTITION_ACTIVE, memory_order_release);
    }
    spin_unlock(&p->lock);
    return rc;
}

/* The VP runs no more, nobody finds it, and no queue knows it. */
static void vp_stop(struct vp *vp)
{
    vp_pause(vp);
    handoff_release(vp);
    notify_cancel(vp);
    /* It is loaded nowhere; that its LP may still be about to look at it passes at once. */
    do
        sched_unload(&vp->sched);
    while (sched_detach(&vp->sched, clock_tsc()) == -EBUSY);
}

static void vps_free(struct partition *p)
{
    uint32_t count = atomic_load_explicit(&p->vp_count, memory_order_acquire);
    struct vp *gone[PARTITION_MAX_VPS];

    for (uint32_t i = 0; i < count; i++) {
        gone[i] = p->vps[i];
        if (gone[i])
            vp_stop(gone[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        atomic_store_explicit(&p->vps[i], NULL, memory_order_release);
    lp_barrier();
    for (uint32_t i = 0; i < count; i++) {
        if (!gone[i])
            continue;
        child_vp_pages_free(gone[i]);
        vp_destroy(gone[i]);
    }
}

int child_finalize(struct partition *p)
{
    enum partition_state active = PARTITION_ACTIVE;

    /* From here on nobody gets a new hold by child_get_active(). */
    if (!atomic_compare_exchange_strong_explicit(&p->state, &active, PARTITION_FINALIZED,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return -EBADF;
    wait_for_others(p);
    vps_free(p);
    ports_destroy(p);
    cpuid_results_destroy(p);
    child_memory_destroy(p);
    pool_reserve(&p->pool, 0);
    return 0;
}

int child_delete(struct partition *p)
{
    uint64_t available, in_use;
    struct partition *parent = p->parent;
    enum partition_state state = atomic_load_explicit(&p->state, memory_order_acquire);

    if (state == PARTITION_ACTIVE)
        return -EBADF;
    pool_reserve(&p->pool, 0);
    pool_balance(&p->pool, &available, &in_use);
    if (available || in_use)
        return -EBUSY;
    table_remove(p);
    wait_for_others(p);
    lp_barrier();
    pool_free(&parent->pool, virt_to_hpa(container_of(p, struct child, partition)), 1);
    return 0;
}
