/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"
#include "hypervisor/vp/vp.h"

uint16_t hypercall_long_spin_wait(struct hypercall *h)
{
    vp_yield(h->vp);
    return HV_STATUS_SUCCESS;
}

uint16_t hypercall_get_partition_id(struct hypercall *h)
{
    struct hv_output_get_partition_id out = {.partition_id = h->vp->partition->id};

    return hypercall_output(h, 0, &out, sizeof(out));
}
