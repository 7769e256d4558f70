/* SPDX-License-Identifier: MIT */
#include "hypervisor/hypercall/vp_target.h"

#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "hypervisor/arch/x86/xstate.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"

/* HV_INPUT_VTL: bits 3..0 name the level if bit 4 is set. There is only level 0. */
#define INPUT_VTL_USE_TARGET 0x10U

static uint16_t own_vp(const struct hypercall *h, uint32_t vp_index, struct vp_target *t)
{
    /* Another VP of the caller's partition may be waiting for this one and cannot be paused. */
    if (vp_index != HV_VP_INDEX_SELF && vp_index != h->vp->index.v)
        return HV_STATUS_INVALID_VP_INDEX;
    *t = (struct vp_target){.vp = h->vp, .self = true};
    return HV_STATUS_SUCCESS;
}

uint16_t vp_target_get(const struct hypercall *h, uint64_t partition_id, uint32_t vp_index,
                       uint8_t vtl, bool self_allowed, struct vp_target *t)
{
    struct partition *caller = h->vp->partition, *p;
    int rc;

    if (vtl & ~INPUT_VTL_USE_TARGET)
        return HV_STATUS_INVALID_PARAMETER;
    if (partition_id == HV_PARTITION_ID_SELF || partition_id == caller->id)
        return self_allowed ? own_vp(h, vp_index, t) : HV_STATUS_INVALID_PARTITION_ID;
    rc = child_get_active(caller, partition_id, &p);
    if (rc)
        return rc == -EBADF ? HV_STATUS_INVALID_PARTITION_STATE : HV_STATUS_INVALID_PARTITION_ID;
    *t = (struct vp_target){.vp = partition_vp(p, vp_index), .partition = p};
    if (t->vp)
        return HV_STATUS_SUCCESS;
    partition_put(p);
    return HV_STATUS_INVALID_VP_INDEX;
}

void vp_target_stop(struct vp_target *t)
{
    if (t->stopped)
        return;
    if (t->self)
        xstate_save(t->vp->xstate);
    else
        vp_pause(t->vp);
    t->stopped = true;
}

void vp_target_put(struct vp_target *t)
{
    if (t->stopped && t->self)
        xstate_load(t->vp->xstate);
    else if (t->stopped)
        vp_resume(t->vp);
    if (t->partition)
        partition_put(t->partition);
}
