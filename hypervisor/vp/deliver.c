/* SPDX-License-Identifier: MIT */
#include "hypervisor/vp/deliver.h"

#include "abi/tlfs/intercept.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/vp/notify.h"
#include "hypervisor/vp/vp.h"

#define WANTED_SINTS(v) ((uint16_t)((v) >> HV_DELIVERABILITY_SINT_SHIFT))
#define WANTED_PRIORITY(v)                                                                         \
    ((uint8_t)(((v)&HV_DELIVERABILITY_PRIO_MASK) >> HV_DELIVERABILITY_PRIO_SHIFT))

static void tell_interruption(struct vp *vp, uint32_t type)
{
    struct hv_x64_interruption_deliverable_message m = {.deliverable_type = type};

    notify_header(vp, &m.header, 0, HV_INTERCEPT_ACCESS_EXECUTE);
    notify_intercept(vp, HVMSG_X64_INTERRUPTION_DELIVERABLE, &m, sizeof(m));
}

static void tell_sints(struct vp *vp, uint16_t sints)
{
    struct hv_x64_synic_sint_deliverable_message m = {.deliverable_sints = sints};

    notify_header(vp, &m.header, 0, HV_INTERCEPT_ACCESS_EXECUTE);
    notify_intercept(vp, HVMSG_SYNIC_SINT_DELIVERABLE, &m, sizeof(m));
}

/* Priority 0: whatever CR8 says. */
static bool interrupt_deliverable(struct vp *vp, uint8_t priority)
{
    return vendor_vp_interruptible(vp) && !vendor_vp_event_pending(vp) &&
           (!priority || priority > vapic_tpr_get(vp) >> 4);
}

bool deliver_tell(struct vp *vp)
{
    uint64_t wanted = vp->deliverability;
    uint16_t sints;

    if (!wanted)
        return false;
    if (wanted & HV_DELIVERABILITY_NMI && vendor_vp_nmi_deliverable(vp)) {
        vp->deliverability &= ~HV_DELIVERABILITY_NMI;
        tell_interruption(vp, HV_INTERRUPTION_TYPE_NMI);
        return true;
    }
    if (wanted & HV_DELIVERABILITY_INTERRUPT &&
        interrupt_deliverable(vp, WANTED_PRIORITY(wanted))) {
        vp->deliverability &= ~(HV_DELIVERABILITY_INTERRUPT | HV_DELIVERABILITY_PRIO_MASK);
        tell_interruption(vp, HV_INTERRUPTION_TYPE_EXTERNAL);
        return true;
    }
    sints = synic_deliverable(vp, WANTED_SINTS(wanted));
    if (!sints)
        return false;
    vp->deliverability &= ~((uint64_t)sints << HV_DELIVERABILITY_SINT_SHIFT);
    tell_sints(vp, sints);
    return true;
}
