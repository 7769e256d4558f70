/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/management.h"
#include "abi/tlfs/status.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/properties.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vp.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Properties of partitions and of the system (TLFS "Partition Properties"). */

static uint16_t property_status(int rc)
{
    switch (rc) {
    case 0:
        return HV_STATUS_SUCCESS;
    case -ENOENT:
        return HV_STATUS_UNKNOWN_PROPERTY;
    case -EACCES:
        return HV_STATUS_OPERATION_DENIED;
    case -EBADF:
        return HV_STATUS_INVALID_PARTITION_STATE;
    case -ERANGE:
        return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}

uint16_t hypercall_get_partition_property(struct hypercall *h)
{
    struct hv_output_get_partition_property out = {0};
    struct hv_input_get_partition_property in;
    struct partition *p;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    p = partition_get(h->vp->partition, in.partition_id);
    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    status = property_status(property_get(p, in.property_code, &out.property_value));
    partition_put(p);
    return status == HV_STATUS_SUCCESS ? hypercall_output(h, 0, &out, sizeof(out)) : status;
}

uint16_t hypercall_set_partition_property(struct hypercall *h)
{
    struct hv_input_set_partition_property in;
    struct partition *p;
    uint16_t status;

    memcpy(&in, h->in, sizeof(in));
    p = partition_get(h->vp->partition, in.partition_id);
    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    status = property_status(property_set(p, in.property_code, in.property_value));
    partition_put(p);
    return status;
}

uint16_t hypercall_get_partition_property_ex(struct hypercall *h)
{
    struct hv_input_get_partition_property_ex in;
    struct partition *p;
    uint16_t status;
    uint32_t len;

    memcpy(&in, h->in, sizeof(in));
    p = partition_get(h->vp->partition, in.partition_id);
    if (!p)
        return HV_STATUS_INVALID_PARTITION_ID;
    /* The input is read: its page is where the answer takes shape. */
    _Static_assert(PROPERTY_EX_MAX <= sizeof(h->in), "it fits");
    memset(h->in, 0, PROPERTY_EX_MAX);
    status = property_status(property_get_ex(p, in.property_code, in.argument, h->in, &len));
    partition_put(p);
    return status == HV_STATUS_SUCCESS ? hypercall_output(h, 0, h->in, len) : status;
}

uint16_t hypercall_get_system_property(struct hypercall *h)
{
    struct hv_output_get_system_property out = {0};
    struct hv_input_get_system_property in;

    memcpy(&in, h->in, sizeof(in));
    switch (in.property_id) {
    case HV_SYSTEM_PROPERTY_SCHEDULER_TYPE:
        out.value = HV_SCHEDULER_TYPE_LP;
        break;
    case HV_SYSTEM_PROPERTY_CRASHDUMPAREA: /* none */
    case HV_SYSTEM_PROPERTY_DYNAMIC_PROCESSOR_FEATURE:
        break;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
    return hypercall_output(h, 0, &out, sizeof(out));
}

/* How the machine is switched off; the parent does that by itself and only says how it would. */
uint16_t hypercall_set_system_property(struct hypercall *h)
{
    uint32_t id;

    memcpy(&id, h->in, sizeof(id));
    return id == HV_SYSTEM_PROPERTY_SLEEP_STATE ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER;
}

/** HvCallGetLogicalProcessorRunTime; 100 ns units. */
struct lp_run_time {
    uint64_t global_time;
    uint64_t local_run_time;
    uint64_t reserved;
    uint64_t hypervisor_time;
};
_Static_assert(sizeof(struct lp_run_time) == 32, "TLFS layout");

uint16_t hypercall_get_lp_run_time(struct hypercall *h)
{
    struct lp_run_time out = {0};
    uint64_t now = clock_tsc();
    const struct lp *lp;
    uint32_t index;

    memcpy(&index, h->in, sizeof(index));
    if (index >= lp_count)
        return HV_STATUS_INVALID_LP_INDEX;
    lp = lps[index];
    out.global_time = clock_ref_from_tsc(now);
    out.local_run_time = clock_ref_from_tsc(now - __atomic_load_n(&lp->idle_tsc, __ATOMIC_RELAXED));
    return hypercall_output(h, 0, &out, sizeof(out));
}
