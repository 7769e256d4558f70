/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/hypercall/status.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/cpuid_result.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

/* flags of HvCallGetVpCpuidValues */
#define CPUID_USE_VP_XFEM_XSS         (1ULL << 0)
#define CPUID_APPLY_REGISTERED_VALUES (1ULL << 1)

uint16_t hypercall_register_intercept_result(struct hypercall *h)
{
    struct hv_input_register_intercept_result in;
    struct partition *p;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if (in.intercept_type != HV_INTERCEPT_TYPE_X64_CPUID)
        return HV_STATUS_INVALID_PARAMETER;
    rc = child_get_active(h->vp->partition, in.partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    /* The VP need not exist yet. */
    if (in.vp_index != HV_ANY_VP && in.vp_index >= PARTITION_MAX_VPS) {
        partition_put(p);
        return HV_STATUS_INVALID_VP_INDEX;
    }
    rc = cpuid_result_register(p, &in);
    partition_put(p);
    /* Its list is full, and no deposit would help. */
    return hypercall_status(rc == -ENOSPC ? -EAGAIN : rc);
}

/* One leaf; the VP stands still meanwhile, because some bits mirror its registers. */
static uint16_t leaf_get(struct hypercall *h, struct vp *vp, uint64_t flags)
{
    struct hv_cpuid_leaf_info leaf;
    uint32_t regs[4];
    uint16_t status;

    memcpy(&leaf, h->in + hypercall_rep_offset(h, h->rep), sizeof(leaf));
    vp_pause(vp);
    vp_cpuid(vp, leaf.eax, leaf.ecx, flags & CPUID_APPLY_REGISTERED_VALUES, regs);
    vp_resume(vp);
    status = hypercall_output(h, h->rep * (uint32_t)sizeof(regs), regs, sizeof(regs));
    if (status == HV_STATUS_SUCCESS)
        h->rep++;
    return status;
}

uint16_t hypercall_get_vp_cpuid_values(struct hypercall *h)
{
    struct hv_input_get_vp_cpuid_values in;
    struct partition *p;
    struct vp *vp;
    uint16_t status;
    int rc;

    memcpy(&in, h->in, sizeof(in));
    if (in.flags & ~(CPUID_USE_VP_XFEM_XSS | CPUID_APPLY_REGISTERED_VALUES))
        return HV_STATUS_INVALID_PARAMETER;
    rc = child_get_active(h->vp->partition, in.partition_id, &p);
    if (rc)
        return hypercall_status(rc);
    vp = partition_vp(p, in.vp_index);
    status = vp ? leaf_get(h, vp, in.flags) : HV_STATUS_INVALID_VP_INDEX;
    partition_put(p);
    return status;
}
