/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/stats.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/status.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Where the identity of an object has what. */
#define IDENTITY_VP   8
#define IDENTITY_AREA 15

/* Callers fall back to the object's own area when the parent's is an invalid parameter. */
static uint16_t object_of(const struct hv_input_map_stats_page *in, struct stats_object *out)
{
    *out = (struct stats_object){.type = in->type};
    if (in->identity[IDENTITY_AREA] != HV_STATS_AREA_SELF)
        return HV_STATUS_INVALID_PARAMETER;
    switch (in->type) {
    case HV_STATS_OBJECT_HYPERVISOR:
        return HV_STATUS_SUCCESS;
    case HV_STATS_OBJECT_LOGICAL_PROCESSOR:
        memcpy(&out->index, in->identity, sizeof(out->index));
        return out->index < lp_count ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_LP_INDEX;
    case HV_STATS_OBJECT_VP:
        memcpy(&out->index, in->identity + IDENTITY_VP, sizeof(out->index));
        memcpy(&out->partition_id, in->identity, sizeof(out->partition_id));
        return HV_STATUS_SUCCESS;
    case HV_STATS_OBJECT_PARTITION:
        memcpy(&out->partition_id, in->identity, sizeof(out->partition_id));
        return HV_STATUS_SUCCESS;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}

/* Does the caller have such a partition, and that such a VP? Its id is made the real one. */
static uint16_t object_exists(struct partition *caller, struct stats_object *o)
{
    uint16_t status = HV_STATUS_SUCCESS;
    struct partition *p;

    if (o->type != HV_STATS_OBJECT_PARTITION && o->type != HV_STATS_OBJECT_VP)
        return status;
    p = partition_get(caller, o->partition_id);
    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    o->partition_id = p->id;
    if (o->type == HV_STATS_OBJECT_VP && !partition_vp(p, o->index))
        status = HV_STATUS_INVALID_VP_INDEX;
    partition_put(p);
    return status;
}

uint16_t hypercall_map_stats_page(struct hypercall *h)
{
    struct hv_output_map_stats_page out;
    struct hv_input_map_stats_page in;
    struct stats_object object;
    uint16_t status;
    hpa_t page;

    memcpy(&in, h->in, sizeof(in));
    status = object_of(&in, &object);
    if (status == HV_STATUS_SUCCESS)
        status = object_exists(h->vp->partition, &object);
    if (status != HV_STATUS_SUCCESS)
        return status;
    if (stats_map(h->vp->partition, &object, &page))
        return HV_STATUS_INSUFFICIENT_MEMORY;
    out.map_location = page.v >> PAGE_SHIFT;
    return hypercall_output(h, 0, &out, sizeof(out));
}

uint16_t hypercall_unmap_stats_page(struct hypercall *h)
{
    struct hv_input_map_stats_page in; /* the same */
    struct stats_object object;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    status = object_of(&in, &object);
    if (status != HV_STATUS_SUCCESS)
        return status;
    object_exists(h->vp->partition, &object); /* for the id; it may be gone */
    return stats_unmap(h->vp->partition, &object) ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_SUCCESS;
}
