/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/management.h"
#include "abi/tlfs/status.h"
#include "hypervisor/arch/x86/apicreg.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/status.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/intercepts.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

#define CONTROL_TYPE_MASK 0xffffffffULL
#define XAPIC_DEST_MAX    0xffU
#define VECTOR_MIN        0x10U

/* One of the two local interrupt pins of a VP, as its own entry for it says. */
static bool assert_lint(struct vp *vp, enum vapic_lvt lint)
{
    uint32_t lvt = atomic_load_explicit(&vp->apic.state.lvt[lint], memory_order_relaxed);

    if (lvt & APIC_LVT_MASKED)
        return false;
    switch ((lvt & APIC_LVT_MODE_MASK) >> APIC_LVT_MODE_SHIFT) {
    case APIC_FIXED:
        vapic_set_irr(vp, (uint8_t)lvt, false);
        return true;
    case APIC_NMI:
        vp_request(vp, VP_REQ_NMI);
        return true;
    default:
        return false; /* ExtINT: the controller says the vector by type EXTINT */
    }
}

static uint16_t assert_on(struct partition *p, const struct hv_input_assert_virtual_interrupt *in)
{
    bool logical = in->control & HV_INTERRUPT_CONTROL_LOGICAL;
    bool level = in->control & HV_INTERRUPT_CONTROL_LEVEL;
    uint32_t dest = (uint32_t)in->dest_addr, type = in->control & CONTROL_TYPE_MASK;
    struct vp *vp;

    switch (type) {
    case HV_X64_INTERRUPT_TYPE_FIXED:
    case HV_X64_INTERRUPT_TYPE_LOWESTPRIORITY:
        if (in->vector < VECTOR_MIN || in->vector > UINT8_MAX)
            return HV_STATUS_INVALID_PARAMETER;
        break;
    case HV_X64_INTERRUPT_TYPE_NMI:
    case HV_X64_INTERRUPT_TYPE_INIT:
    case HV_X64_INTERRUPT_TYPE_SIPI:
        break;
    case HV_X64_INTERRUPT_TYPE_EXTINT:
    case HV_X64_INTERRUPT_TYPE_LOCALINT0:
    case HV_X64_INTERRUPT_TYPE_LOCALINT1:
        vp = partition_vp_by_apic_id(p, dest);
        if (!vp)
            return HV_STATUS_INVALID_VP_INDEX;
        if (type == HV_X64_INTERRUPT_TYPE_EXTINT) {
            vendor_vp_set_extint(vp, (uint8_t)in->vector);
            vp_request(vp, VP_REQ_EVENT);
        } else {
            assert_lint(vp, type == HV_X64_INTERRUPT_TYPE_LOCALINT0 ? VAPIC_LVT_LINT0
                                                                    : VAPIC_LVT_LINT1);
        }
        return HV_STATUS_SUCCESS;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
    /* Messages of devices have 8 bits of destination, whatever mode the APICs are in. That nobody
       takes it is no error: so it is on a bus. */
    vapic_route(p, dest, logical, dest > XAPIC_DEST_MAX, (enum apic_delivery)type,
                (uint8_t)in->vector, level);
    return HV_STATUS_SUCCESS;
}

uint16_t hypercall_assert_virtual_interrupt(struct hypercall *h)
{
    struct hv_input_assert_virtual_interrupt in;
    struct partition *p;
    uint16_t status;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if (in.target_vtl || (in.control & ~(CONTROL_TYPE_MASK | HV_INTERRUPT_CONTROL_LEVEL |
                                         HV_INTERRUPT_CONTROL_LOGICAL)))
        return HV_STATUS_INVALID_PARAMETER;
    rc = child_get_active(h->vp->partition, in.partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    status = assert_on(p, &in);
    partition_put(p);
    return status;
}

uint16_t hypercall_clear_virtual_interrupt(struct hypercall *h)
{
    struct hv_input_clear_virtual_interrupt in;
    struct partition *p;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    rc = child_get_active(h->vp->partition, in.partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    for (uint32_t i = 0; i < PARTITION_MAX_VPS; i++) {
        struct vp *vp = partition_vp(p, i);

        if (vp)
            vendor_vp_clear_extint(vp);
    }
    partition_put(p);
    return HV_STATUS_SUCCESS;
}

uint16_t hypercall_install_intercept(struct hypercall *h)
{
    struct hv_input_install_intercept in;
    struct partition *p;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    rc = child_get_active(h->vp->partition, in.partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    rc = intercepts_install(p, in.intercept_type, in.access_type, in.intercept_parameter);
    partition_put(p);
    return hypercall_status(rc);
}
