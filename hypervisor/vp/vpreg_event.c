/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/vp/vpreg_priv.h"
#include "lib/errno.h"

/* Suspension, activity, and events on their way (TLFS "Virtual Processor Management"). */

/* HV_INTERNAL_ACTIVITY_REGISTER. */
#define ACTIVITY_STARTUP BIT64(0)
#define ACTIVITY_HALT    BIT64(1)
#define ACTIVITY_IDLE    BIT64(2)

#define INTERRUPT_STATE_VALID (HV_INTERRUPT_STATE_SHADOW | HV_INTERRUPT_STATE_NMI_MASKED)
#define DELIVERABILITY_VALID                                                                       \
    (HV_DELIVERABILITY_NMI | HV_DELIVERABILITY_INTERRUPT | HV_DELIVERABILITY_PRIO_MASK |           \
     0xFFFFULL << HV_DELIVERABILITY_SINT_SHIFT)

/* HV_X64_PENDING_INTERRUPTION_REGISTER. */
#define INTERRUPTION_TYPE(v)                                                                       \
    ((uint8_t)(((v)&HV_PENDING_INTERRUPTION_TYPE_MASK) >> HV_PENDING_INTERRUPTION_TYPE_SHIFT))
#define INTERRUPTION_VECTOR(v) ((v) >> HV_PENDING_INTERRUPTION_VEC_SHIFT & 0xFFFF)

#define VECTOR_MAX 0xFFU

/* `arg` is the reason. These two work while the VP runs, and are the only ones that do. */
int vpreg_suspend_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 =
        atomic_load_explicit(&vp->suspend, memory_order_seq_cst) & arg ? HV_VP_SUSPENDED : 0;
    return 0;
}

/* The parent's own VPs cannot be suspended. */
int vpreg_suspend_set(struct vp *vp, uint32_t arg, uint32_t n, const union hv_register_value *value)
{
    if (!vp->partition->is_child || value->reg64 > HV_VP_SUSPENDED)
        return -EINVAL;
    if (value->reg64)
        vp_suspend_set(vp, arg);
    else
        vp_suspend_clear(vp, arg);
    return 0;
}

int vpreg_activity_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    switch (atomic_load_explicit(&vp->activity, memory_order_relaxed)) {
    case VP_HANDED_OFF: /* only of the parent */
    case VP_RUNNING:
    case VP_DEAD:
        break;
    case VP_HALTED:
        out->reg64 = ACTIVITY_HALT;
        break;
    case VP_IDLE_MSR:
        out->reg64 = ACTIVITY_IDLE;
        break;
    case VP_WAIT_FOR_SIPI:
        out->reg64 = ACTIVITY_STARTUP;
        break;
    }
    return 0;
}

int vpreg_activity_set(struct vp *vp, uint32_t arg, uint32_t n,
                       const union hv_register_value *value)
{
    enum vp_activity a;

    if (!vp->partition->is_child)
        return -EINVAL;
    switch (value->reg64) {
    case 0:
        a = VP_RUNNING;
        break;
    case ACTIVITY_HALT:
        a = VP_HALTED;
        break;
    case ACTIVITY_IDLE:
        a = VP_IDLE_MSR;
        break;
    case ACTIVITY_STARTUP:
        a = VP_WAIT_FOR_SIPI;
        break;
    default:
        return -EINVAL;
    }
    atomic_store_explicit(&vp->activity, a, memory_order_relaxed);
    return 0;
}

int vpreg_interruption_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    struct vp_event e;

    vendor_vp_get_event(vp, &e);
    if (!e.valid)
        return 0;
    out->reg64 = HV_PENDING_INTERRUPTION_VALID |
                 (uint64_t)e.type << HV_PENDING_INTERRUPTION_TYPE_SHIFT |
                 (uint64_t)e.vector << HV_PENDING_INTERRUPTION_VEC_SHIFT;
    if (e.has_error_code)
        out->reg64 |= HV_PENDING_INTERRUPTION_ERROR_CODE | (uint64_t)e.error_code << 32;
    return 0;
}

int vpreg_interruption_set(struct vp *vp, uint32_t arg, uint32_t n,
                           const union hv_register_value *value)
{
    uint64_t v = value->reg64;
    const struct vp_event e = {
        .valid = v & HV_PENDING_INTERRUPTION_VALID,
        .type = INTERRUPTION_TYPE(v),
        .vector = (uint8_t)INTERRUPTION_VECTOR(v),
        .has_error_code = v & HV_PENDING_INTERRUPTION_ERROR_CODE,
        .error_code = (uint32_t)(v >> 32),
    };

    if (e.valid && INTERRUPTION_VECTOR(v) > VECTOR_MAX)
        return -EINVAL;
    return vendor_vp_set_event(vp, &e);
}

int vpreg_interrupt_state_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vendor_vp_interrupt_state(vp);
    return 0;
}

int vpreg_interrupt_state_set(struct vp *vp, uint32_t arg, uint32_t n,
                              const union hv_register_value *value)
{
    if (value->reg64 & ~INTERRUPT_STATE_VALID)
        return -EINVAL;
    vendor_vp_set_interrupt_state(vp, value->reg64);
    return 0;
}

static bool exception_pending(const struct vp *vp, struct vp_event *e)
{
    vendor_vp_get_event(vp, e);
    return e->valid && e->type == HV_INTERRUPTION_EXCEPTION;
}

/* Two places: an exception stands in the first one, and an ExtINT in the first that is free. */
int vpreg_pending_event_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    struct vp_event e;
    bool exception = exception_pending(vp, &e);
    int extint = vendor_vp_extint(vp);

    if (n == 0 && exception) {
        out->reg128[0] = HV_PENDING_EVENT_VALID |
                         HV_PENDING_EVENT_EXCEPTION << HV_PENDING_EVENT_TYPE_SHIFT |
                         (uint64_t)e.vector << HV_PENDING_EVENT_VECTOR_SHIFT;
        if (e.has_error_code)
            out->reg128[0] |= HV_PENDING_EVENT_ERROR_CODE | (uint64_t)e.error_code << 32;
        out->reg128[1] = e.vector == VECTOR_PF ? vendor_vp_get(vp, VREG_CR2) : 0;
    } else if (extint >= 0 && (n == 0 || exception)) {
        out->reg128[0] = HV_PENDING_EVENT_VALID |
                         HV_PENDING_EVENT_EXTINT << HV_PENDING_EVENT_TYPE_SHIFT |
                         (uint64_t)extint << HV_PENDING_EVENT_EXTINT_VEC_SHIFT;
    }
    return 0;
}

/* What the register shows goes away. */
static int pending_event_clear(struct vp *vp, uint32_t n)
{
    const struct vp_event none = {.valid = false};
    struct vp_event e;
    bool exception = exception_pending(vp, &e);

    if (n == 0 && exception)
        return vendor_vp_set_event(vp, &none);
    if (n == 0 || exception)
        vendor_vp_clear_extint(vp);
    return 0;
}

int vpreg_pending_event_set(struct vp *vp, uint32_t arg, uint32_t n,
                            const union hv_register_value *value)
{
    uint64_t v = value->reg128[0], vector = v >> HV_PENDING_EVENT_VECTOR_SHIFT & 0xFFFF;
    struct vp_event e = {
        .valid = true,
        .type = HV_INTERRUPTION_EXCEPTION,
        .vector = (uint8_t)vector,
        .has_error_code = v & HV_PENDING_EVENT_ERROR_CODE,
        .error_code = (uint32_t)(v >> 32),
    };
    int rc;

    if (!(v & HV_PENDING_EVENT_VALID))
        return pending_event_clear(vp, n);
    switch ((v & HV_PENDING_EVENT_TYPE_MASK) >> HV_PENDING_EVENT_TYPE_SHIFT) {
    case HV_PENDING_EVENT_EXCEPTION:
        if (vector > VECTOR_MAX)
            return -EINVAL;
        rc = vendor_vp_set_event(vp, &e);
        if (!rc && vector == VECTOR_PF)
            rc = vendor_vp_set(vp, VREG_CR2, value->reg128[1]);
        return rc;
    case HV_PENDING_EVENT_EXTINT:
        vendor_vp_set_extint(vp, (uint8_t)(v >> HV_PENDING_EVENT_EXTINT_VEC_SHIFT));
        return 0;
    default:
        return -EINVAL;
    }
}

/* A wish that lasts until it is fulfilled; see deliver.h. */
int vpreg_deliverability_get(struct vp *vp, uint32_t arg, uint32_t n, union hv_register_value *out)
{
    out->reg64 = vp->deliverability;
    return 0;
}

int vpreg_deliverability_set(struct vp *vp, uint32_t arg, uint32_t n,
                             const union hv_register_value *value)
{
    if (value->reg64 & ~DELIVERABILITY_VALID)
        return -EINVAL;
    vp->deliverability = value->reg64;
    return 0;
}
