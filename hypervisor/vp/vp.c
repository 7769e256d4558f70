/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/vp.h"

#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/frame.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/sched/sched.h"
#include "hypervisor/vp/delay.h"
#include "hypervisor/vp/deliver.h"
#include "hypervisor/vp/handoff.h"
#include "lib/errno.h"

_Static_assert(PARTITION_MAX_VPS <= 64, "one word of waiting VPs");

#define VP_PAGES ((unsigned)((sizeof(struct vp) + PAGE_SIZE - 1) / PAGE_SIZE))

static void set_activity(struct vp *vp, enum vp_activity a)
{
    atomic_store_explicit(&vp->activity, a, memory_order_relaxed);
}

static enum vp_activity get_activity(const struct vp *vp)
{
    return atomic_load_explicit(&vp->activity, memory_order_relaxed);
}

/* Into its partition, unless the index is taken. */
static int publish(struct partition *p, struct vp *vp)
{
    struct vp *none = NULL;
    int rc = 0;

    spin_lock(&p->lock);
    if (!atomic_compare_exchange_strong_explicit(&p->vps[vp->index.v], &none, vp,
                                                 memory_order_release, memory_order_relaxed))
        rc = -EEXIST;
    else if (vp->index.v >= atomic_load_explicit(&p->vp_count, memory_order_relaxed))
        atomic_store_explicit(&p->vp_count, vp->index.v + 1, memory_order_release);
    vp_tsc_follow(vp);
    spin_unlock(&p->lock);
    return rc;
}

int vp_create(struct partition *p, vp_index_t index, apic_id_t apic_id, struct vp **out)
{
    struct vp *vp;
    hpa_t at;
    int rc;

    if (index.v >= PARTITION_MAX_VPS)
        return -EINVAL;
    rc = partition_alloc(p, VP_PAGES, &at);
    if (rc)
        return rc;
    vp = hpa_to_virt(at);
    vp->partition = p;
    vp->index = index;
    vp->apic_id = apic_id;
    list_init(&vp->notice.link);
    list_init(&vp->notices);
    rc = xstate_create(p, &vp->xstate);
    if (rc)
        goto free_vp;
    rc = vendor_vp_create(vp);
    if (rc)
        goto free_xstate;
    rc = synic_init(vp);
    if (rc)
        goto free_arch;
    rc = overlay_vp_reserve(p);
    if (rc)
        goto free_synic;
    /* Firmware finds the APIC of a child as after a reset; the root's is in its last mode. */
    vapic_init(vp, p->is_root);
    stimers_init(vp);
    set_activity(vp, index.v ? VP_WAIT_FOR_SIPI : VP_RUNNING);
    if (!p->is_root)
        atomic_store_explicit(&vp->suspend, VP_SUSPEND_EXPLICIT, memory_order_relaxed);
    rc = publish(p, vp);
    if (rc)
        goto release;
    *out = vp;
    return 0;

release:
    overlay_vp_release(p);
free_synic:
    synic_destroy(vp);
free_arch:
    vendor_vp_destroy(vp);
free_xstate:
    xstate_destroy(p, vp->xstate);
free_vp:
    partition_free(p, at, VP_PAGES);
    return rc;
}

void vp_destroy(struct vp *vp)
{
    struct partition *p = vp->partition;

    stimers_reset(vp);
    vapic_reset(vp); /* its timer stops */
    vendor_vp_destroy(vp);
    synic_destroy(vp);
    spin_lock(&p->lock);
    overlay_hide(p, &vp->assist_page);
    overlay_free(p, &vp->assist_page);
    spin_unlock(&p->lock);
    overlay_vp_release(p);
    xstate_destroy(p, vp->xstate);
    partition_free(p, virt_to_hpa(vp), VP_PAGES);
}

int vp_start(struct vp *vp, struct lp *home, const struct sched_params *params)
{
    int rc = sched_entity_init(&vp->sched, params);

    if (!rc)
        rc = sched_attach(&vp->sched, &home->sched, clock_tsc());
    if (rc)
        return rc;
    atomic_store_explicit(&vp->lp, home, memory_order_relaxed);
    atomic_store_explicit(&vp->blocked, true, memory_order_release);
    if (get_activity(vp) == VP_RUNNING)
        vp_request(vp, VP_REQ_EVENT);
    return 0;
}

void vp_request(struct vp *vp, uint32_t requests)
{
    struct lp *lp;

    /* Pairs with block() and with vendor_vp_run(): request first, then look. */
    atomic_fetch_or_explicit(&vp->requests, requests, memory_order_seq_cst);
    if (atomic_load_explicit(&vp->blocked, memory_order_seq_cst)) {
        struct sched_lp *home;

        if (vp_held(vp))
            return; /* whoever lets it go asks for it again */
        if (!atomic_exchange_explicit(&vp->blocked, false, memory_order_seq_cst))
            return; /* another LP is waking it */
        trace(TRACE_WAKE, vp->index.v, vp->partition->id);
        home = sched_wake(&vp->sched, clock_tsc());
        if (home)
            lp_reschedule(container_of(home, struct lp, sched));
        else if (vp->partition->is_child)
            lp_offer_work(atomic_load_explicit(&vp->lp, memory_order_relaxed));
        return;
    }
    if (!atomic_load_explicit(&vp->in_guest, memory_order_seq_cst))
        return; /* it will look before it enters */
    lp = atomic_load_explicit(&vp->lp, memory_order_relaxed);
    if (lp != this_lp()) {
        vp->counters[VPC_KICKS]++;
        lapic_send_fixed(lp->apic_id, VECTOR_HV_KICK);
    }
}

void vp_suspend_set(struct vp *vp, uint32_t reasons)
{
    atomic_fetch_or_explicit(&vp->suspend, reasons, memory_order_seq_cst);
    vp_request(vp, VP_REQ_EVENT);
}

void vp_suspend_clear(struct vp *vp, uint32_t reasons)
{
    atomic_fetch_and_explicit(&vp->suspend, ~reasons, memory_order_seq_cst);
    vp_request(vp, VP_REQ_EVENT);
}

/* Pairs with lp_loop(), which marks a VP as loaded and then asks whether it is held. */
void vp_pause(struct vp *vp)
{
    atomic_fetch_add_explicit(&vp->pauses, 1, memory_order_seq_cst);
    vp_request(vp, VP_REQ_EVENT);
    while (atomic_load_explicit(&vp->loaded, memory_order_seq_cst)) {
        struct lp *lp = atomic_load_explicit(&vp->lp, memory_order_relaxed);

        if (lp && !atomic_load_explicit(&lp->need_resched, memory_order_relaxed))
            lp_reschedule(lp);
        cpu_relax();
    }
}

void vp_resume(struct vp *vp)
{
    atomic_fetch_sub_explicit(&vp->pauses, 1, memory_order_seq_cst);
    vp_request(vp, VP_REQ_EVENT);
}

void vp_tsc_follow(struct vp *vp)
{
    uint64_t stood = vp->partition->properties.stood_tsc;

    vendor_vp_shift_tsc(vp, vp->tsc_stood - stood);
    vp->tsc_stood = stood;
}

static void reset(struct vp *vp)
{
    vendor_vp_reset(vp);
    vapic_reset(vp);
    set_activity(vp, VP_WAIT_FOR_SIPI);
}

static void take_requests(struct vp *vp)
{
    uint32_t r;

    if (!atomic_load_explicit(&vp->requests, memory_order_relaxed))
        return;
    r = atomic_exchange_explicit(&vp->requests, 0, memory_order_acq_rel);
    if (r & VP_REQ_FLUSH_TLB)
        vendor_vp_flush(vp);
    if (r & VP_REQ_SYNIC)
        synic_retry(vp);
    if (r & VP_REQ_INIT)
        reset(vp);
    if ((r & VP_REQ_SIPI) && get_activity(vp) == VP_WAIT_FOR_SIPI) {
        vendor_vp_start_sipi(vp, atomic_load_explicit(&vp->sipi_vector, memory_order_relaxed));
        set_activity(vp, VP_RUNNING);
    }
    if (r & VP_REQ_NMI) {
        vendor_vp_nmi(vp);
        if (get_activity(vp) == VP_HALTED || get_activity(vp) == VP_IDLE_MSR)
            set_activity(vp, VP_RUNNING);
        else if (get_activity(vp) == VP_HANDED_OFF)
            handoff_cancel(vp);
    }
}

/* Can the VP execute, given what is pending? Ends a halt that is over. */
static bool runnable(struct vp *vp)
{
    bool wake = false;

    switch (get_activity(vp)) {
    case VP_RUNNING:
        return true;
    case VP_HALTED:
        wake = vendor_vp_interruptible(vp) && (vapic_wakes(vp) || vendor_vp_extint_pending(vp));
        break;
    case VP_IDLE_MSR:
        /* Whatever is in service: Linux waits for its spinlocks so, also in handlers, and is
           kicked by a vector that may be of the same class. */
        wake = vapic_pending(vp) || vendor_vp_extint_pending(vp);
        break;
    case VP_HANDED_OFF:
        wake = handoff_over(vp);
        break;
    case VP_WAIT_FOR_SIPI:
    case VP_DEAD:
        break;
    }
    if (wake)
        set_activity(vp, VP_RUNNING);
    return wake;
}

static void block(struct vp *vp)
{
    sched_block(&vp->sched, clock_tsc());
    atomic_store_explicit(&vp->blocked, true, memory_order_seq_cst);
    /* A request from before the store saw blocked == false and left waking to us. */
    if (atomic_load_explicit(&vp->requests, memory_order_seq_cst) & ~(uint32_t)VP_REQ_FLUSH_TLB)
        vp_request(vp, 0); /* does nothing for one that is held */
    if (atomic_load_explicit(&vp->dispatcher, memory_order_relaxed))
        handoff_release(vp);
}

void vp_give_up(struct vp *vp)
{
    block(vp);
}

void vp_run(struct vp *vp)
{
    struct lp *lp = this_lp();
    struct exit exit;

    for (;;) {
        if (vp_held(vp)) {
            block(vp);
            return;
        }
        take_requests(vp);
        if (deliver_tell(vp))
            continue;
        if (!runnable(vp)) {
            block(vp);
            return;
        }
        vendor_vp_run(vp, &exit);
        delay_random();
        vp_count(vp, VPC_EXITS);
        trace(TRACE_EXIT, exit.code, vp->regs.rip);
        intercept_handle(vp, &exit);
        if (lp->timer_fired || atomic_load_explicit(&lp->need_resched, memory_order_relaxed))
            return;
    }
}

/*
 * An APIC that is off takes nothing that could end the sleep: Linux kicks a waiter for a spinlock
 * once, and that may be a processor that has not set its APIC up yet.
 */
void vp_idle(struct vp *vp)
{
    if (vapic_accepts(vp))
        set_activity(vp, VP_IDLE_MSR);
    else
        vp_yield(vp);
}

void vp_wait_handoff(struct vp *vp)
{
    set_activity(vp, VP_HANDED_OFF);
}

void vp_halt(struct vp *vp)
{
    set_activity(vp, VP_HALTED);
}

void vp_die(struct vp *vp)
{
    set_activity(vp, VP_DEAD);
}

void vp_yield(struct vp *vp)
{
    sched_relinquish(&vp->sched, clock_tsc());
    lp_reschedule(this_lp());
}

/*
 * A VP in guest mode may hold old translations until its next exit. First every
 * such VP is asked to leave, then waited for, so that they leave at the same time.
 */
void vp_flush_tlb_sync(struct partition *p, const uint64_t mask[PARTITION_MAX_VPS / 64])
{
    struct vp *self = this_lp()->current;
    uint32_t count = atomic_load_explicit(&p->vp_count, memory_order_acquire);
    uint64_t entries[PARTITION_MAX_VPS], waiting = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct vp *vp = p->vps[i];

        if (!vp || !(mask[i / 64] & BIT64(i % 64)))
            continue;
        if (vp == self) {
            vendor_vp_flush(vp);
            continue;
        }
        entries[i] = atomic_load_explicit(&vp->entries, memory_order_acquire);
        atomic_fetch_or_explicit(&vp->requests, VP_REQ_FLUSH_TLB, memory_order_seq_cst);
        if (!atomic_load_explicit(&vp->in_guest, memory_order_seq_cst))
            continue; /* it will flush before it enters */
        lapic_send_fixed(atomic_load_explicit(&vp->lp, memory_order_relaxed)->apic_id,
                         VECTOR_HV_KICK);
        waiting |= BIT64(i);
    }
    for (uint32_t i = 0; i < count; i++)
        while ((waiting & BIT64(i)) &&
               atomic_load_explicit(&p->vps[i]->in_guest, memory_order_acquire) &&
               atomic_load_explicit(&p->vps[i]->entries, memory_order_acquire) == entries[i])
            cpu_relax();
}

uint64_t vp_run_time(const struct vp *vp)
{
    struct lp *lp = atomic_load_explicit(&vp->lp, memory_order_relaxed);

    if (lp == this_lp())
        sched_charge(&lp->sched, clock_tsc());
    return clock_ref_from_tsc(sched_entity_run_time(&vp->sched));
}
