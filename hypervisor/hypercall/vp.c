/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/management.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/status.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/child_vp.h"
#include "hypervisor/vp/handoff.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

uint16_t hypercall_create_vp(struct hypercall *h)
{
    struct hv_input_create_vp in;
    struct partition *p;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if (in.padding[0] || in.padding[1] || in.padding[2] || in.flags)
        return HV_STATUS_INVALID_PARAMETER;
    if (in.vp_index >= PARTITION_MAX_VPS)
        return HV_STATUS_INVALID_VP_INDEX;
    rc = child_get_active(h->vp->partition, in.partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    rc = child_vp_create(p, in.vp_index);
    partition_put(p);
    return rc == -EEXIST ? HV_STATUS_INVALID_VP_INDEX : hypercall_status(rc);
}

/* The VP of an active child, which is held: partition_put() follows. */
static uint16_t child_vp(struct hypercall *h, uint64_t id, uint32_t index, struct vp **vp)
{
    struct partition *p;
    int rc = child_get_active(h->vp->partition, id, &p);

    if (rc)
        return hypercall_status(rc);
    *vp = partition_vp(p, index);
    if (*vp)
        return HV_STATUS_SUCCESS;
    partition_put(p);
    return HV_STATUS_INVALID_VP_INDEX;
}

/*
 * The VP stands still from now on. Its memory stays in use until the partition is finalized:
 * others may still be sending it interrupts.
 */
uint16_t hypercall_delete_vp(struct hypercall *h)
{
    struct hv_input_delete_vp in;
    uint16_t status;
    struct vp *vp;

    memcpy(&in, h->in, sizeof(in));
    if (in.reserved)
        return HV_STATUS_INVALID_PARAMETER;
    status = child_vp(h, in.partition_id, in.vp_index, &vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    vp_suspend_set(vp, VP_SUSPEND_DELETED);
    partition_put(vp->partition);
    return HV_STATUS_SUCCESS;
}

uint16_t hypercall_map_vp_state_page(struct hypercall *h)
{
    struct hv_output_map_vp_state_page out;
    struct hv_input_map_vp_state_page in;
    uint16_t status;
    struct vp *vp;
    hpa_t page;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if (in.input_vtl || in.flags)
        return HV_STATUS_INVALID_PARAMETER;
    status = child_vp(h, in.partition_id, in.vp_index, &vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    rc = child_vp_map_page(vp, in.type, &page);
    partition_put(vp->partition);
    if (rc)
        return hypercall_status(rc);
    out.map_location = page.v >> PAGE_SHIFT;
    return hypercall_output(h, 0, &out, sizeof(out));
}

uint16_t hypercall_unmap_vp_state_page(struct hypercall *h)
{
    struct hv_input_unmap_vp_state_page in;
    uint16_t status;
    struct vp *vp;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if (in.input_vtl || in.reserved)
        return HV_STATUS_INVALID_PARAMETER;
    status = child_vp(h, in.partition_id, in.vp_index, &vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    rc = child_vp_unmap_page(vp, in.type);
    partition_put(vp->partition);
    return rc ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_SUCCESS;
}

uint16_t hypercall_dispatch_vp(struct hypercall *h)
{
    struct hv_input_dispatch_vp in;
    uint16_t status;
    struct vp *vp;

    memcpy(&in, h->in, sizeof(in));
    if (in.flags & ~(HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND |
                     HV_DISPATCH_VP_FLAG_ENABLE_CALLER_INTERRUPTS))
        return HV_STATUS_INVALID_PARAMETER;
    status = child_vp(h, in.partition_id, in.vp_index, &vp);
    if (status != HV_STATUS_SUCCESS)
        return status;
    handoff_begin(h->vp, vp, in.flags, h->out_gpa);
    partition_put(vp->partition);
    return HV_STATUS_SUCCESS;
}
