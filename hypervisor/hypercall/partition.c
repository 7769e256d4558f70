/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/management.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/status.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

/* What a child may be created with. EXO, APIC and message page are how every child is. */
#define CREATION_FLAGS                                                                             \
    (HV_PARTITION_CREATION_FLAG_SMT_ENABLED_GUEST |                                                \
     HV_PARTITION_CREATION_FLAG_GPA_LARGE_PAGES_DISABLED |                                         \
     HV_PARTITION_CREATION_FLAG_GPA_SUPER_PAGES_ENABLED |                                          \
     HV_PARTITION_CREATION_FLAG_EXO_PARTITION | HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED |         \
     HV_PARTITION_CREATION_FLAG_INTERCEPT_MESSAGE_PAGE_ENABLED |                                   \
     HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE)

uint16_t hypercall_create_partition(struct hypercall *h)
{
    struct hv_output_create_partition out;
    struct hv_input_create_partition in;
    struct partition *p;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if ((in.flags & ~CREATION_FLAGS) || in.padding || in.isolation_properties)
        return HV_STATUS_INVALID_PARAMETER;
    rc = child_create(h->vp->partition, &in, &p);
    if (rc)
        return hypercall_status(rc);
    out.partition_id = p->id;
    if (hypercall_output(h, 0, &out, sizeof(out)) == 0)
        return HV_STATUS_SUCCESS;
    /* Nobody knows the id yet, unless he guessed it: then the child stays his to delete. */
    p = partition_get(h->vp->partition, out.partition_id);
    if (p && child_delete(p))
        partition_put(p);
    return HV_STATUS_INVALID_ALIGNMENT;
}

/* The child that the input of a call names, in any state. */
static struct partition *named_child(const struct hypercall *h)
{
    struct hv_input_partition in;
    struct partition *p;

    memcpy(&in, h->in, sizeof(in));
    p = partition_get(h->vp->partition, in.partition_id);
    if (p && !p->is_child) {
        partition_put(p);
        return NULL;
    }
    return p;
}

uint16_t hypercall_initialize_partition(struct hypercall *h)
{
    struct partition *p = named_child(h);
    int rc;

    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    rc = child_initialize(p);
    partition_put(p);
    return hypercall_status(rc);
}

uint16_t hypercall_finalize_partition(struct hypercall *h)
{
    struct partition *p = named_child(h);
    int rc;

    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    rc = child_finalize(p);
    partition_put(p);
    return hypercall_status(rc);
}

uint16_t hypercall_delete_partition(struct hypercall *h)
{
    struct partition *p = named_child(h);
    int rc;

    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    rc = child_delete(p);
    if (rc)
        partition_put(p);
    /* Its memory has to be withdrawn first. */
    return rc == -EBUSY ? HV_STATUS_INVALID_PARTITION_STATE : hypercall_status(rc);
}

uint16_t hypercall_get_next_child(struct hypercall *h)
{
    struct hv_output_get_next_child_partition out;
    struct hv_input_get_next_child_partition in;
    const struct partition *self = h->vp->partition;

    memcpy(&in, h->in, sizeof(in));
    if (in.parent_id != HV_PARTITION_ID_SELF && in.parent_id != self->id)
        return HV_STATUS_INVALID_PARTITION_ID;
    out.next_child_id = child_next(self, in.previous_child_id);
    return hypercall_output(h, 0, &out, sizeof(out));
}
