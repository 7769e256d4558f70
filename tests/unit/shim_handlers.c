/* SPDX-License-Identifier: MIT */
/* Handlers that a test of the dispatcher does not link: they find nothing to object to. */
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "hypervisor/hypercall/handlers.h"

#define HANDLER(name)                                                                              \
    uint16_t hypercall_##name(struct hypercall *h)                                                 \
    {                                                                                              \
        h->rep = h->rep_count;                                                                     \
        return HV_STATUS_SUCCESS;                                                                  \
    }

HANDLER(create_partition)
HANDLER(initialize_partition)
HANDLER(finalize_partition)
HANDLER(delete_partition)
HANDLER(get_next_child)
HANDLER(deposit_memory)
HANDLER(withdraw_memory)
HANDLER(get_memory_balance)
HANDLER(map_gpa_pages)
HANDLER(unmap_gpa_pages)
HANDLER(get_gpa_access_states)
HANDLER(create_vp)
HANDLER(delete_vp)
HANDLER(map_vp_state_page)
HANDLER(unmap_vp_state_page)
HANDLER(dispatch_vp)
HANDLER(assert_virtual_interrupt)
HANDLER(clear_virtual_interrupt)
HANDLER(install_intercept)
