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

#define MAP_FLAGS                                                                                  \
    (HV_MAP_GPA_PERMISSIONS_MASK | HV_MAP_GPA_ADJUSTABLE | HV_MAP_GPA_NO_ACCESS |                  \
     HV_MAP_GPA_NOT_CACHED | HV_MAP_GPA_LARGE_PAGE)

#define PFN_MAX (1ULL << 36)

/* Elements of the list that are still to do, copied: `list` has room for a whole page. */
static uint32_t rest_of_list(const struct hypercall *h, uint64_t *list)
{
    uint32_t count = h->rep_count - h->rep;

    memcpy(list, h->in + hypercall_rep_offset(h, h->rep), count * sizeof(*list));
    return count;
}

/* A call that has done something has no error yet: the next round meets it again, alone. */
static uint16_t rep_status(struct hypercall *h, int rc, uint32_t done)
{
    h->rep += done;
    return done ? HV_STATUS_SUCCESS : hypercall_status(rc);
}

uint16_t hypercall_deposit_memory(struct hypercall *h)
{
    struct partition *self = h->vp->partition, *p;
    uint64_t list[HV_HYPERCALL_PAGE_SIZE / sizeof(uint64_t)];
    struct hv_input_deposit_memory in;
    uint32_t done;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    p = partition_get(self, in.partition_id);
    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    rc = child_deposit(p, self, list, rest_of_list(h, list), &done);
    partition_put(p);
    /* It is the hypervisor that lacks memory here; more deposits would not help. */
    return rep_status(h, rc == -ENOMEM ? -EAGAIN : rc, done);
}

uint16_t hypercall_withdraw_memory(struct hypercall *h)
{
    struct partition *self = h->vp->partition, *p;
    struct hv_input_withdraw_memory in;
    uint64_t pfn;
    uint32_t done;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    p = partition_get(self, in.partition_id);
    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    /* One at a time: it must not leave the pool before its owner can be told its number. */
    rc = child_withdraw(p, self, &pfn, 1, &done);
    if (done && hypercall_output(h, h->rep * (uint32_t)sizeof(pfn), &pfn, sizeof(pfn)))
        rc = -EINVAL; /* the output page has gone: that is the caller's loss */
    partition_put(p);
    return rep_status(h, rc, done);
}

uint16_t hypercall_get_memory_balance(struct hypercall *h)
{
    struct hv_output_get_memory_balance out;
    struct hv_input_get_memory_balance in;
    struct partition *p;

    memcpy(&in, h->in, sizeof(in));
    p = partition_get(h->vp->partition, in.partition_id);
    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    pool_balance(&p->pool, &out.pages_available, &out.pages_in_use);
    partition_put(p);
    return hypercall_output(h, 0, &out, sizeof(out));
}

static uint16_t map_into(struct hypercall *h, struct partition *p,
                         const struct hv_input_map_gpa_pages *in)
{
    bool large = in->map_flags & HV_MAP_GPA_LARGE_PAGE;
    uint64_t list[HV_HYPERCALL_PAGE_SIZE / sizeof(uint64_t)];
    uint64_t unit = large ? 512 * PAGE_SIZE : PAGE_SIZE;
    gpa_t at = gpa((in->target_gpa_base << PAGE_SHIFT) + h->rep * unit);
    uint32_t done, count;
    int rc;

    count = rest_of_list(h, list);
    if (in->map_flags & HV_MAP_GPA_NO_ACCESS)
        rc = child_close(p, at, count, large, &done); /* the list is not looked at */
    else
        rc = child_map(p, h->vp->partition, at, list, count, in->map_flags, &done);
    return rep_status(h, rc, done);
}

uint16_t hypercall_map_gpa_pages(struct hypercall *h)
{
    struct hv_input_map_gpa_pages in;
    struct partition *p;
    uint16_t status;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if ((in.map_flags & ~MAP_FLAGS) || in.padding || in.target_gpa_base >= PFN_MAX)
        return HV_STATUS_INVALID_PARAMETER;
    rc = child_get_active(h->vp->partition, in.target_partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    status = map_into(h, p, &in);
    partition_put(p);
    return status;
}

uint16_t hypercall_unmap_gpa_pages(struct hypercall *h)
{
    struct hv_input_unmap_gpa_pages in;
    struct partition *p;
    uint64_t unit;
    uint32_t done;
    bool large;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    large = in.unmap_flags & HV_UNMAP_GPA_LARGE_PAGE;
    unit = large ? 512 * PAGE_SIZE : PAGE_SIZE;
    if ((in.unmap_flags & ~HV_UNMAP_GPA_LARGE_PAGE) || in.padding || in.target_gpa_base >= PFN_MAX)
        return HV_STATUS_INVALID_PARAMETER;
    rc = child_get_active(h->vp->partition, in.target_partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    rc = child_unmap(p, gpa((in.target_gpa_base << PAGE_SHIFT) + h->rep * unit),
                     h->rep_count - h->rep, large, &done);
    partition_put(p);
    return rep_status(h, rc, done);
}

uint16_t hypercall_get_gpa_access_states(struct hypercall *h)
{
    uint8_t states[HV_HYPERCALL_PAGE_SIZE / 8];
    struct hv_input_get_gpa_pages_access_state in;
    struct partition *p;
    uint32_t done;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if ((in.flags & ~(HV_GPA_ACCESS_CLEAR_ACCESSED | HV_GPA_ACCESS_SET_ACCESSED |
                      HV_GPA_ACCESS_CLEAR_DIRTY | HV_GPA_ACCESS_SET_DIRTY)) ||
        in.hv_gpa_page_number >= PFN_MAX)
        return HV_STATUS_INVALID_PARAMETER;
    rc = child_get_active(h->vp->partition, in.partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    rc = child_access_states(p, gpa((in.hv_gpa_page_number + h->rep) << PAGE_SHIFT),
                             (uint32_t)min_u64(h->rep_count - h->rep, sizeof(states)), in.flags,
                             states, &done);
    partition_put(p);
    if (done && hypercall_output(h, h->rep, states, done))
        return HV_STATUS_INVALID_ALIGNMENT;
    return rep_status(h, rc == -EBADF ? -EPERM : rc, done);
}
