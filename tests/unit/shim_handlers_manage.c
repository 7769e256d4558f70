/* SPDX-License-Identifier: MIT */
/* Handlers of management calls that a test of the dispatcher does not link: they object to nothing.
 */
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"

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
