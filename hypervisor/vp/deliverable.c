/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/deliverable.h"

#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/vp/notify.h"
#include "hypervisor/vp/vp.h"

/* A halted VP executes its next instruction when it has taken the interrupt. */
static bool executes(const struct vp *vp)
{
    enum vp_activity a = atomic_load_explicit(&vp->activity, memory_order_relaxed);

    return a == VP_RUNNING || a == VP_HALTED || a == VP_IDLE_MSR;
}

static bool nmi_deliverable(const struct vp *vp)
{
    return !(vendor_vp_interrupt_state(vp) &
             (HV_INTERRUPT_STATE_SHADOW | HV_INTERRUPT_STATE_NMI_MASKED));
}

/* Priority 0 is one that no task priority holds back. */
static bool interrupt_deliverable(struct vp *vp)
{
    uint64_t priority = HV_DELIVERABILITY_PRIO(vp->deliverability);

    return vendor_vp_interruptible(vp) && (!priority || priority > vapic_tpr_get(vp) >> 4);
}

bool deliverable_notify(struct vp *vp)
{
    struct hv_x64_interruption_deliverable_message m = {0};

    if (vendor_vp_event_pending(vp) || !executes(vp))
        return false;
    if ((vp->deliverability & HV_DELIVERABILITY_NMI) && nmi_deliverable(vp)) {
        m.deliverable_type = HV_INTERRUPTION_NMI;
        vp->deliverability &= ~HV_DELIVERABILITY_NMI;
    } else if ((vp->deliverability & HV_DELIVERABILITY_INTERRUPT) && interrupt_deliverable(vp)) {
        m.deliverable_type = HV_INTERRUPTION_EXTERNAL;
        vp->deliverability &= ~(HV_DELIVERABILITY_INTERRUPT | HV_DELIVERABILITY_PRIO_MASK);
    } else {
        return false;
    }
    notify_header(vp, &m.header, 0, HV_INTERCEPT_ACCESS_EXECUTE);
    notify_intercept(vp, HVMSG_X64_INTERRUPTION_DELIVERABLE, &m, sizeof(m));
    return true;
}
