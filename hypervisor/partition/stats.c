/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/stats.h"

#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/slots.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/sched/timer.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"

#define REFRESH_PER_SECOND 4U
#define SHARE_ACCESS       ((unsigned)ACCESS_READ | ACCESS_WRITE)

/* Indices of counters; times are in 100 ns units. */
enum hypervisor_counter { HV_LOGICAL_PROCESSORS = 1, HV_PARTITIONS = 2, HV_VIRTUAL_PROCESSORS = 4 };

enum lp_counter {
    LP_GLOBAL_TIME = 1,
    LP_TOTAL_RUN_TIME = 2,
    LP_HARDWARE_INTERRUPTS = 4,
    LP_ROOT_VP_INDEX = 19,
    LP_GLOBAL_TSC = 21,
    LP_ACTIVE_TSC = 22,
    LP_REFRESH_SEQUENCE = 34,
    LP_REFRESH_TIME = 35,
};

enum partition_counter {
    PT_VIRTUAL_PROCESSORS = 1,
    PT_DEPOSITED_PAGES = 5,
    PT_PARTITION_ID = 26,
    PT_ACTIVE_CHILDREN = 46,
};

enum { VP_TOTAL_RUN_TIME = 1, VP_WAITING_FOR_CPU_TIME = 75 };

/** Where the VP's own counters are shown. */
static const uint8_t vp_counters[VPC_COUNT] = {
    [VPC_HYPERCALL] = 7,  [VPC_IO] = 13,    [VPC_HLT] = 15,        [VPC_CPUID] = 19,
    [VPC_MSR] = 21,       [VPC_OTHER] = 23, [VPC_INTR] = 25,       [VPC_MMIO] = 29,
    [VPC_GPA_FAULT] = 71, [VPC_EOI] = 42,   [VPC_INTERCEPTS] = 43, [VPC_INJECTED] = 59,
};

/** A mapped page, in a slot of the parent's memory. */
struct stats {
    struct stats *next;
    struct partition *parent;
    uint64_t *page; /* the parent may write there: never read */
    struct stats_object object;
};
_Static_assert(sizeof(struct stats) <= SLOT_SIZE, "a slot");

static struct {
    struct spinlock lock; /* rank "stats", first of all; protects what follows */
    struct stats *mapped;
    struct slots slots;
    uint64_t sequence;
    struct timer timer; /* armed while anything is mapped */
    bool timer_ready;
} all;

static void put(uint64_t *page, unsigned index, uint64_t value)
{
    __atomic_store_n(&page[index], value, __ATOMIC_RELAXED);
}

/* Children of a parent, and VPs of all partitions. */
static uint64_t count_children(struct partition *parent, uint64_t *vps)
{
    uint64_t n = 0;

    *vps = atomic_load_explicit(&parent->vp_count, memory_order_relaxed);
    for (uint64_t id = child_next(parent, 0); id && n < CHILD_MAX; id = child_next(parent, id)) {
        struct partition *p = partition_get(parent, id);

        n++;
        if (!p)
            continue;
        *vps += atomic_load_explicit(&p->vp_count, memory_order_relaxed);
        partition_put(p);
    }
    return n;
}

static void fill_hypervisor(struct partition *parent, uint64_t *page)
{
    uint64_t vps, children = count_children(parent, &vps);

    put(page, HV_LOGICAL_PROCESSORS, lp_count);
    put(page, HV_PARTITIONS, 1 + children);
    put(page, HV_VIRTUAL_PROCESSORS, vps);
}

static void fill_lp(uint32_t index, uint64_t *page)
{
    const struct lp *lp = lps[index];
    uint64_t now = clock_tsc(), idle = __atomic_load_n(&lp->idle_tsc, __ATOMIC_RELAXED);

    put(page, LP_GLOBAL_TIME, clock_ref_from_tsc(now));
    put(page, LP_TOTAL_RUN_TIME, clock_ref_from_tsc(now - idle));
    put(page, LP_HARDWARE_INTERRUPTS, __atomic_load_n(&lp->irqs, __ATOMIC_RELAXED));
    put(page, LP_ROOT_VP_INDEX, index);
    put(page, LP_GLOBAL_TSC, now);
    put(page, LP_ACTIVE_TSC, now - idle);
    put(page, LP_REFRESH_SEQUENCE, all.sequence);
    put(page, LP_REFRESH_TIME, clock_ref_from_tsc(now));
}

static void fill_partition(struct partition *p, uint64_t *page)
{
    uint64_t available, in_use, vps;

    pool_balance(&p->pool, &available, &in_use);
    put(page, PT_VIRTUAL_PROCESSORS, atomic_load_explicit(&p->vp_count, memory_order_relaxed));
    put(page, PT_DEPOSITED_PAGES, available + in_use);
    put(page, PT_PARTITION_ID, p->id);
    put(page, PT_ACTIVE_CHILDREN, p->is_root ? count_children(p, &vps) : 0);
}

static void fill_vp(const struct vp *vp, uint64_t *page)
{
    for (unsigned i = 0; i < VPC_COUNT; i++)
        if (vp_counters[i])
            put(page, vp_counters[i], __atomic_load_n(&vp->counters[i], __ATOMIC_RELAXED));
    put(page, VP_TOTAL_RUN_TIME, clock_ref_from_tsc(sched_entity_run_time(&vp->sched)));
    put(page, VP_WAITING_FOR_CPU_TIME, clock_ref_from_tsc(sched_entity_wait_time(&vp->sched)));
}

/* What is gone keeps its last values. */
static void fill(const struct stats *s)
{
    const struct stats_object *o = &s->object;
    struct partition *p;

    switch (o->type) {
    case HV_STATS_OBJECT_HYPERVISOR:
        fill_hypervisor(s->parent, s->page);
        return;
    case HV_STATS_OBJECT_LOGICAL_PROCESSOR:
        fill_lp(o->index, s->page);
        return;
    default:
        break;
    }
    p = partition_get(s->parent, o->partition_id);
    if (!p)
        return;
    if (o->type == HV_STATS_OBJECT_PARTITION) {
        fill_partition(p, s->page);
    } else {
        const struct vp *vp = partition_vp(p, o->index);

        if (vp)
            fill_vp(vp, s->page);
    }
    partition_put(p);
}

static void timer_next(void)
{
    timer_arm(&all.timer, clock_tsc() + clock_tsc_hz() / REFRESH_PER_SECOND);
}

static void refresh(struct timer *timer)
{
    spin_lock(&all.lock);
    all.sequence++;
    for (const struct stats *s = all.mapped; s; s = s->next)
        fill(s);
    if (all.mapped)
        timer_next();
    spin_unlock(&all.lock);
}

/* The link that leads to the page of an object, or to the end; under the lock. */
static struct stats **find(struct partition *parent, const struct stats_object *o)
{
    struct stats **link = &all.mapped;

    while (*link &&
           ((*link)->parent != parent || (*link)->object.type != o->type ||
            (*link)->object.index != o->index || (*link)->object.partition_id != o->partition_id))
        link = &(*link)->next;
    return link;
}

/* A page of the parent's deposits that it may see again. */
static int page_share(struct partition *parent, hpa_t *out)
{
    int rc = pool_alloc(&parent->pool, 1, out);

    if (rc)
        return -ENOMEM;
    rc = gpa_map_set(parent->map, gpa(out->v), *out, PAGE_SIZE, SHARE_ACCESS);
    if (rc)
        pool_free(&parent->pool, *out, 1);
    return rc ? -ENOMEM : 0;
}

static void page_unshare(struct partition *parent, hpa_t page)
{
    static const uint64_t everyone[PARTITION_MAX_VPS / 64] = {UINT64_MAX};
    uint64_t generation;

    if (gpa_map_clear(parent->map, gpa(page.v), PAGE_SIZE))
        panic("statistics page %lx cannot be hidden from the parent", page.v);
    generation = gpa_map_generation(parent->map);
    vp_flush_tlb_sync(parent, everyone);
    lp_barrier();
    gpa_map_reclaim(parent->map, generation);
    pool_free(&parent->pool, page, 1);
}

/* Under the lock. */
static int add(struct partition *parent, const struct stats_object *object, struct stats **out)
{
    struct stats *s;
    hpa_t page;
    int rc = slot_alloc(&all.slots, &parent->pool, (void **)&s);

    if (rc)
        return rc;
    rc = page_share(parent, &page);
    if (rc) {
        slot_free(&all.slots, &parent->pool, s);
        return rc;
    }
    s->parent = parent;
    s->object = *object;
    s->page = hpa_to_virt(page);
    s->next = all.mapped;
    all.mapped = s;
    if (!all.timer_ready)
        timer_init(&all.timer, refresh);
    all.timer_ready = true;
    if (!s->next)
        timer_next();
    *out = s;
    return 0;
}

int stats_map(struct partition *parent, const struct stats_object *object, hpa_t *out)
{
    struct stats *s;
    int rc = 0;

    spin_lock(&all.lock);
    s = *find(parent, object);
    if (!s)
        rc = add(parent, object, &s);
    if (!rc) {
        fill(s);
        *out = virt_to_hpa(s->page);
    }
    spin_unlock(&all.lock);
    return rc;
}

int stats_unmap(struct partition *parent, const struct stats_object *object)
{
    struct stats **link, *s;
    hpa_t page = hpa(0);

    spin_lock(&all.lock);
    link = find(parent, object);
    s = *link;
    if (s) {
        *link = s->next;
        page = virt_to_hpa(s->page);
        slot_free(&all.slots, &parent->pool, s);
    }
    spin_unlock(&all.lock);
    if (!page.v)
        return -ENOENT;
    page_unshare(parent, page);
    return 0;
}
