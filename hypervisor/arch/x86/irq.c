/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/irq.h"

#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/console.h"
#include "hypervisor/debug/dump.h"
#include "hypervisor/debug/panic.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/partition/parent.h"

/*
 * Handlers run only in the two interrupt windows of lp_loop(), where this LP
 * holds no lock. Routing is identity: what arrives on this LP is for the
 * parent's VP that has its APIC id, wherever the parent programmed it to go.
 */

static void device_interrupt(struct lp *lp, uint8_t vector)
{
    struct vp *vp = lp->parent_vp;

    if (!vp) {
        lapic_eoi();
        return;
    }
    if (lp->extint && !lapic_in_service(vector)) {
        /* Acknowledged at the 8259, which gets its EOI from the parent. */
        vendor_vp_set_extint(vp, vector);
        vp_request(vp, VP_REQ_EVENT);
        return;
    }
    bool level = ioapic_level_begin(parent_ioapics(), vector);

    lapic_eoi();
    vapic_set_irr(vp, vector, level);
}

/* Dumps look at VPs of children, which an idle LP has promised not to. */
static void console_interrupt(struct lp *lp)
{
    bool quiet = atomic_load_explicit(&lp->quiet, memory_order_relaxed) & 1;
    int key;

    if (quiet)
        lp_quiet_end();
    while ((key = console_input()) >= 0)
        dump_key(key);
    if (quiet)
        lp_quiet_begin();
    lapic_eoi();
}

void irq_handle(uint8_t vector)
{
    struct lp *lp = this_lp();

    lp->irqs++;
    trace(TRACE_IRQ, vector, 0);
    switch (vector) {
    case VECTOR_HV_SPURIOUS:
        return;
    case VECTOR_HV_KICK:
        lapic_eoi();
        return;
    case VECTOR_HV_TIMER:
        lapic_eoi();
        lp->timer_fired = true;
        return;
    case VECTOR_HV_CONSOLE:
        console_interrupt(lp);
        return;
    default:
        if (vector >= VECTOR_HV_FIRST)
            lapic_eoi(); /* not ours, and not the parent's to program */
        else
            device_interrupt(lp, vector);
    }
}

void irq_nmi(void)
{
    struct lp *lp;

    if (!lp_count)
        return;
    if (panic_active())
        panic_stop_self();
    /* An NMI may interrupt a lock holder: only leave a note for the loop. */
    lp = this_lp();
    atomic_store_explicit(&lp->nmi_seen, true, memory_order_relaxed);
    atomic_store_explicit(&lp->need_resched, true, memory_order_relaxed);
}
