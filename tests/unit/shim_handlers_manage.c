/* SPDX-License-Identifier: MIT */
/* Handlers of management calls that a test of the dispatcher does not link: they object to nothing.
 */
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/port.h"
#include "hypervisor/vp/vp.h"
#include "abi/tlfs/partition.h"
#include "lib/errno.h"

#define HANDLER(name)                                                                              \
    uint16_t hypercall_##name(struct hypercall *h)                                                 \
    {                                                                                              \
        h->rep = h->rep_count;                                                                     \
        return HV_STATUS_SUCCESS;                                                                  \
    }

HANDLER(get_partition_property)
HANDLER(set_partition_property)
HANDLER(get_partition_property_ex)
HANDLER(get_system_property)
HANDLER(set_system_property)
HANDLER(get_lp_run_time)
HANDLER(register_intercept_result)
HANDLER(get_vp_cpuid_values)
HANDLER(map_stats_page)
HANDLER(unmap_stats_page)
HANDLER(create_port)
HANDLER(delete_port)
HANDLER(connect_port)
HANDLER(disconnect_port)
HANDLER(notify_port_ring_empty)

/* And no partition but the caller's, which has no connection; a test may know of others. */

__attribute__((weak)) struct partition *partition_get(struct partition *parent, uint64_t id)
{
    return id == HV_PARTITION_ID_SELF || id == parent->id ? parent : NULL;
}

__attribute__((weak)) void partition_put(struct partition *p)
{
}

int connection_post(struct partition *owner, uint32_t id, struct hv_message *message)
{
    return -ENOENT;
}

int connection_signal(struct partition *owner, uint32_t id, uint32_t flag)
{
    return -ENOENT;
}

void child_hypercall(struct vp *vp)
{
    vp->regs.rip++; /* so that a test sees it */
}
