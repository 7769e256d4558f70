/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/lp.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/space.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "hypervisor/sched/clock.h"
#include "lib/bits.h"

#define STACK_PAGES 8
#define IST_PAGES   2

struct lp *lps[LP_MAX];
uint32_t lp_count;

static struct sched_config sched_config;

struct lp *this_lp(void)
{
    struct lp *lp;

    __asm__("movq %%gs:0, %0" : "=r"(lp));
    return lp;
}

int lp_create(uint32_t index, apic_id_t apic_id, struct lp **out)
{
    unsigned pages = (unsigned)(align_up(sizeof(struct lp), PAGE_SIZE) / PAGE_SIZE);
    struct lp *lp;
    hpa_t at;
    int rc = frame_alloc(pages, 1, &at);

    if (rc)
        return rc;
    lp = hpa_to_virt(at);
    lp->self = lp;
    lp->index = index;
    lp->apic_id = apic_id;
    lp->timer_deadline = UINT64_MAX;
    lp->slice_end = UINT64_MAX;
    rc = space_map_stack(STACK_PAGES, &lp->stack_top);
    for (unsigned i = IST_NMI; i < IST_COUNT && !rc; i++) {
        uint64_t top;

        rc = space_map_stack(IST_PAGES, &top);
        lp->traps.tss.ist[i - 1] = rc ? 0 : top;
    }
    if (rc)
        return rc; /* only at boot, where it is fatal */
    if (!sched_config.slice)
        sched_config_init(&sched_config, clock_tsc_hz());
    sched_lp_init(&lp->sched, index, &sched_config, clock_tsc());
    timer_queue_init(&lp->timers);
    *out = lp;
    return 0;
}

void lp_set_slice(uint32_t us)
{
    sched_config.slice = clock_tsc_hz() / 1000000 * us;
}

void lp_install(struct lp *lp)
{
    trap_load(&lp->traps);
    cpu_wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)lp);
    lapic_enable();
    xstate_lp_enable();
}

struct timer_queue *timer_queue_this_lp(void)
{
    return &this_lp()->timers;
}

/* Program the APIC timer; the callbacks run from lp_service() after it has fired. */
static void hardware_timer_set(struct lp *lp, uint64_t deadline)
{
    uint64_t now = clock_tsc(), ticks;

    if (deadline == lp->timer_deadline)
        return;
    lp->timer_deadline = deadline;
    if (deadline == UINT64_MAX)
        return; /* a late interrupt finds nothing to do; stopping costs as much as taking it */
    ticks = deadline > now ? deadline - now : 0;
    ticks = clock_apic_from_tsc(ticks);
    lapic_timer_start((uint32_t)min_u64(max_u64(ticks, 1), UINT32_MAX));
}

void timer_queue_earlier(struct timer_queue *q, uint64_t deadline)
{
    hardware_timer_set(container_of(q, struct lp, timers), min_u64(deadline, this_lp()->slice_end));
}

/* Run what is due and arm the hardware for what comes next. */
static void timers_service(struct lp *lp)
{
    uint64_t next = timer_queue_run(&lp->timers, clock_tsc());

    hardware_timer_set(lp, min_u64(next, lp->slice_end));
}

static void idle(struct lp *lp)
{
    uint64_t start = clock_tsc();

    atomic_store_explicit(&lp->idle, true, memory_order_relaxed);
    lp_quiet_begin();
    if (!atomic_load_explicit(&lp->need_resched, memory_order_relaxed) && !lp->timer_fired)
        vendor_wait();
    lp_quiet_end();
    atomic_store_explicit(&lp->idle, false, memory_order_relaxed);
    lp->idle_tsc += clock_tsc() - start;
}

/* Take the extended state of the last VP out of the registers: anybody may have it then. */
static void unload(struct lp *lp)
{
    struct vp *vp = lp->current;

    if (!vp)
        return;
    xstate_save(vp->xstate);
    lp->current = NULL;
    /* Release: whoever waits for it in vp_pause() sees all of the VP's state. */
    atomic_store_explicit(&vp->loaded, false, memory_order_release);
    /* From now on another LP may take it. */
    sched_unload(&vp->sched);
}

/*
 * Extended state stays in the registers as long as the same VP comes again. False if the VP is
 * held: pairs with vp_pause(), which says so and then looks whether it is loaded.
 */
static bool switch_to(struct lp *lp, struct vp *vp)
{
    if (lp->current == vp)
        return true;
    unload(lp);
    atomic_store_explicit(&vp->lp, lp, memory_order_relaxed);
    atomic_store_explicit(&vp->loaded, true, memory_order_seq_cst);
    if (atomic_load_explicit(&vp->pauses, memory_order_seq_cst)) {
        atomic_store_explicit(&vp->loaded, false, memory_order_release);
        vp_give_up(vp);
        return false;
    }
    xstate_load(vp->xstate);
    lp->current = vp;
    trace(TRACE_SWITCH, vp->index.v, vp->partition->id);
    return true;
}

struct lp_call {
    void (*fn)(void *arg);
    void *arg;
    _Atomic bool done;
};

static void take_call(struct lp *lp)
{
    struct lp_call *c = atomic_exchange_explicit(&lp->call, NULL, memory_order_acquire);

    if (!c)
        return;
    c->fn(c->arg);
    atomic_store_explicit(&c->done, true, memory_order_release);
}

void lp_run_on(struct lp *lp, void (*fn)(void *arg), void *arg)
{
    struct lp_call c = {fn, arg, false}, *free;

    if (lp == this_lp()) {
        fn(arg);
        return;
    }
    do
        free = NULL;
    while (!atomic_compare_exchange_weak_explicit(&lp->call, &free, &c, memory_order_release,
                                                  memory_order_relaxed));
    lp_reschedule(lp);
    while (!atomic_load_explicit(&c.done, memory_order_acquire))
        cpu_relax();
}

void lp_quiet_begin(void)
{
    atomic_fetch_add_explicit(&this_lp()->quiet, 1, memory_order_seq_cst);
}

void lp_quiet_end(void)
{
    atomic_fetch_add_explicit(&this_lp()->quiet, 1, memory_order_seq_cst);
}

void lp_barrier(void)
{
    struct lp *self = this_lp();

    lp_quiet_begin();
    for (uint32_t i = 0; i < lp_count; i++) {
        uint64_t before = atomic_load_explicit(&lps[i]->quiet, memory_order_seq_cst);

        while (lps[i] != self && !(before & 1) &&
               atomic_load_explicit(&lps[i]->quiet, memory_order_acquire) == before)
            cpu_relax();
    }
    lp_quiet_end();
}

void lp_reschedule(struct lp *lp)
{
    atomic_store_explicit(&lp->need_resched, true, memory_order_release);
    if (lp != this_lp())
        lapic_send_fixed(lp->apic_id, VECTOR_HV_KICK);
}

/* Take a VP that waits elsewhere; one look at each LP, no lock where nobody waits. */
static bool steal_work(struct lp *lp)
{
    for (uint32_t i = 0; lp->runs_vps && i < lp_count; i++)
        if (lps[i] != lp && sched_steal(&lp->sched, &lps[i]->sched, clock_tsc()))
            return true;
    return false;
}

void lp_offer_work(const struct lp *busy)
{
    for (uint32_t i = 0; i < lp_count; i++) {
        if (lps[i] != busy && lps[i]->runs_vps &&
            atomic_load_explicit(&lps[i]->idle, memory_order_relaxed)) {
            lp_reschedule(lps[i]);
            return;
        }
    }
}

/* Take a VP from an LP that has more to do, now and then. */
static void level_work(struct lp *lp)
{
    if (!lp->runs_vps || !sched_level_due(&lp->sched, clock_tsc()))
        return;
    for (uint32_t i = 0; i < lp_count; i++)
        if (sched_level(&lp->sched, &lps[i]->sched, clock_tsc()))
            return;
    /* Whoever runs alone has no tick: it looks here when it is told to. */
    for (uint32_t i = 0; sched_lp_crowded(&lp->sched) && i < lp_count; i++)
        if (lps[i] != lp && lps[i]->runs_vps && !sched_lp_crowded(&lps[i]->sched))
            lp_reschedule(lps[i]);
}

static struct sched_entity *choose(struct lp *lp, struct sched_slice *slice)
{
    struct sched_entity *e;

    level_work(lp);
    e = sched_pick(&lp->sched, clock_tsc(), slice);

    /* Before anybody else may take it: see sched_pick(). The parent's VPs never leave. */
    if (!e && lp->current && lp->current->partition->is_child)
        unload(lp);
    if (!e && steal_work(lp))
        e = sched_pick(&lp->sched, clock_tsc(), slice);
    return e;
}

_Noreturn void lp_loop(void)
{
    struct lp *lp = this_lp();

    for (;;) {
        struct sched_slice slice;
        struct sched_entity *e;

        if (atomic_exchange_explicit(&lp->nmi_seen, false, memory_order_relaxed) && lp->parent_vp)
            vp_request(lp->parent_vp, VP_REQ_NMI);
        if (lp->timer_fired || clock_tsc() >= lp->timer_deadline) {
            lp->timer_fired = false;
            lp->timer_deadline = UINT64_MAX;
        }
        atomic_store_explicit(&lp->need_resched, false, memory_order_relaxed);
        take_call(lp);
        if (lp->current && vp_held(lp->current))
            unload(lp);
        e = choose(lp, &slice);
        lp->slice_end = slice.until;
        timers_service(lp);
        if (e) {
            struct vp *vp = container_of(e, struct vp, sched);

            if (switch_to(lp, vp))
                vp_run(vp);
        } else {
            idle(lp);
        }
    }
}
