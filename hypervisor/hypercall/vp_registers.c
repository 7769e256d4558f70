/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/management.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/vp_target.h"
#include "hypervisor/vp/vpreg.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

/*
 * A VP is stopped for the first register of a list that needs it, and stays so until the batch
 * ends: what one list sets is seen by the VP at once, or up to the element that was refused.
 */
#define BATCH 32U

static uint16_t list_begin(struct hypercall *h, struct vp_target *t)
{
    struct hv_input_vp_registers in;

    memcpy(&in, h->in, sizeof(in));
    if (in.reserved[0] || in.reserved[1] || in.reserved[2])
        return HV_STATUS_INVALID_PARAMETER;
    return vp_target_get(h, in.partition_id, in.vp_index, in.input_vtl, true, t);
}

static uint16_t register_status(int rc)
{
    switch (rc) {
    case 0:
        return HV_STATUS_SUCCESS;
    case -EINVAL:
        return HV_STATUS_INVALID_REGISTER_VALUE;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}

static uint16_t get_one(struct hypercall *h, struct vp_target *t)
{
    union hv_register_value value;
    uint16_t status;
    uint32_t name;

    memcpy(&name, h->in + hypercall_rep_offset(h, h->rep), sizeof(name));
    if (vpreg_needs_pause(name))
        vp_target_stop(t);
    status = register_status(vpreg_get(t->vp, name, &value));
    if (status != HV_STATUS_SUCCESS)
        return status;
    return hypercall_output(h, h->rep * (uint32_t)sizeof(value), &value, sizeof(value));
}

/* What the parent has left in the register page belongs to the intercept that ends now. */
static void before_set(struct vp_target *t, const struct hv_register_assoc *a)
{
    if (vpreg_needs_pause(a->name)) {
        vp_target_stop(t);
    } else if (a->name == HV_REGISTER_INTERCEPT_SUSPEND && !a->value.reg64 && !t->self) {
        if (!vpreg_page_dirty(t->vp))
            return;
        vp_target_stop(t);
        vpreg_page_take(t->vp);
    }
}

static uint16_t set_one(struct hypercall *h, struct vp_target *t)
{
    struct hv_register_assoc a;

    memcpy(&a, h->in + hypercall_rep_offset(h, h->rep), sizeof(a));
    before_set(t, &a);
    return register_status(vpreg_set(t->vp, a.name, &a.value));
}

static uint16_t list_run(struct hypercall *h,
                         uint16_t (*one)(struct hypercall *h, struct vp_target *t))
{
    uint32_t end = (uint32_t)min_u64(h->rep_count, (uint64_t)h->rep + BATCH);
    struct vp_target t;
    uint16_t status = list_begin(h, &t);

    if (status != HV_STATUS_SUCCESS)
        return status;
    while (h->rep < end && status == HV_STATUS_SUCCESS) {
        status = one(h, &t);
        if (status == HV_STATUS_SUCCESS)
            h->rep++;
    }
    vp_target_put(&t);
    return status;
}

uint16_t hypercall_get_vp_registers(struct hypercall *h)
{
    return list_run(h, get_one);
}

uint16_t hypercall_set_vp_registers(struct hypercall *h)
{
    return list_run(h, set_one);
}
