/* SPDX-License-Identifier: MIT */
#include "hypervisor/hypercall/table.h"
#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/handlers.h"
#include "lib/bits.h"

/*
 * Every hypercall of TLFS and of the Linux headers that a caller of this hypervisor
 * may try. A row without a handler is a feature that this build does not have. Sizes
 * of the fixed header exclude the valid bank mask where the variable header of the
 * call begins with it (the two device interrupt calls).
 *
 * The same list with its status is docs/hypercalls.md; a unit test compares them.
 */

#define NONE     0
#define CP       HV_CREATE_PARTITIONS
#define CP_OR_VP (HV_CREATE_PARTITIONS | HV_ACCESS_VP_REGISTERS)
#define ABSENT   HV_STATUS_INVALID_HYPERCALL_CODE

/* A call that this build carries out, and one that it does not. */
#define DONE(c, form, in, in_rep, out, out_rep, priv, fn)                                          \
    {                                                                                              \
        HVCALL_##c, form, in, in_rep, out, out_rep, HV_STATUS_SUCCESS, priv, #c, fn                \
    }
#define LATER(c, form, in, in_rep, out, out_rep, priv)                                             \
    {                                                                                              \
        HVCALL_##c, form, in, in_rep, out, out_rep, ABSENT, priv, #c, NULL                         \
    }
#define EXT_LATER(c, form, in, in_rep, out, out_rep)                                               \
    {                                                                                              \
        HV_EXT_CALL_##c, form, in, in_rep, out, out_rep, ABSENT, HV_ENABLE_EXTENDED_HYPERCALLS,    \
            "EXT_" #c, NULL                                                                        \
    }

/* clang-format off */
const struct hypercall_entry hypercall_table[] = {
    /*    call                            form          in  rep  out rep  privilege */
    DONE(FLUSH_VIRTUAL_ADDRESS_SPACE,     0,            24,  0,   0,  0,  NONE, hypercall_flush),
    DONE(FLUSH_VIRTUAL_ADDRESS_LIST,      HC_REP,       24,  8,   0,  0,  NONE, hypercall_flush),
    DONE(GET_LOGICAL_PROCESSOR_RUN_TIME,  0,             4,  0,  32,  0,  HV_CPU_MANAGEMENT,
         hypercall_get_lp_run_time),
    DONE(NOTIFY_LONG_SPIN_WAIT,           HC_FAST,       8,  0,   0,  0,  NONE,
         hypercall_long_spin_wait),
    DONE(SEND_IPI,                        HC_FAST,      16,  0,   0,  0,  NONE, hypercall_send_ipi),
    DONE(FLUSH_VIRTUAL_ADDRESS_SPACE_EX,  HC_VAR,       32,  0,   0,  0,  NONE, hypercall_flush_ex),
    DONE(FLUSH_VIRTUAL_ADDRESS_LIST_EX,   HC_REP | HC_VAR, 32, 8, 0,  0,  NONE, hypercall_flush_ex),
    DONE(SEND_IPI_EX,                     HC_VAR,       24,  0,   0,  0,  NONE,
         hypercall_send_ipi_ex),
    DONE(CREATE_PARTITION,                0,            56,  0,   8,  0,  CP,
         hypercall_create_partition),
    DONE(INITIALIZE_PARTITION,            HC_FAST,       8,  0,   0,  0,  CP,
         hypercall_initialize_partition),
    DONE(FINALIZE_PARTITION,              HC_FAST,       8,  0,   0,  0,  CP,
         hypercall_finalize_partition),
    DONE(DELETE_PARTITION,                HC_FAST,       8,  0,   0,  0,  CP,
         hypercall_delete_partition),
    DONE(GET_PARTITION_PROPERTY,          0,            16,  0,   8,  0,  CP,
         hypercall_get_partition_property),
    DONE(SET_PARTITION_PROPERTY,          0,            24,  0,   0,  0,  CP,
         hypercall_set_partition_property),
    DONE(GET_PARTITION_ID,                0,             0,  0,   8,  0,  HV_ACCESS_PARTITION_ID,
         hypercall_get_partition_id),
    DONE(GET_NEXT_CHILD_PARTITION,        0,            16,  0,   8,  0,  CP,
         hypercall_get_next_child),
    DONE(DEPOSIT_MEMORY,                  HC_REP,        8,  8,   0,  0,  HV_ACCESS_MEMORY_POOL,
         hypercall_deposit_memory),
    DONE(WITHDRAW_MEMORY,                 HC_REP,       16,  0,   0,  8,  HV_ACCESS_MEMORY_POOL,
         hypercall_withdraw_memory),
    DONE(GET_MEMORY_BALANCE,              0,            16,  0,  16,  0,  CP,
         hypercall_get_memory_balance),
    DONE(MAP_GPA_PAGES,                   HC_REP,       24,  8,   0,  0,  CP,
         hypercall_map_gpa_pages),
    DONE(UNMAP_GPA_PAGES,                 HC_REP,       24,  0,   0,  0,  CP,
         hypercall_unmap_gpa_pages),
    DONE(INSTALL_INTERCEPT,               0,            24,  0,   0,  0,  CP,
         hypercall_install_intercept),
    DONE(CREATE_VP,                       0,            40,  0,   0,  0,  CP,
         hypercall_create_vp),
    DONE(DELETE_VP,                       HC_FAST,      16,  0,   0,  0,  CP,
         hypercall_delete_vp),
    DONE(GET_VP_REGISTERS,                HC_REP,       16,  4,   0, 16,  CP_OR_VP,
         hypercall_get_vp_registers),
    DONE(SET_VP_REGISTERS,                HC_REP,       16, 32,   0,  0,  CP_OR_VP,
         hypercall_set_vp_registers),
    DONE(TRANSLATE_VIRTUAL_ADDRESS,       0,            32,  0,  16,  0,  CP,
         hypercall_translate_virtual_address),
    DONE(READ_GPA,                        0,            32,  0,  24,  0,  CP,
         hypercall_read_gpa),
    DONE(WRITE_GPA,                       0,            48,  0,   8,  0,  CP,
         hypercall_write_gpa),
    DONE(CLEAR_VIRTUAL_INTERRUPT,         HC_FAST,       8,  0,   0,  0,  CP,
         hypercall_clear_virtual_interrupt),
    DONE(DELETE_PORT,                     HC_FAST,      16,  0,   0,  0,  HV_CREATE_PORT,
         hypercall_delete_port),
    DONE(DISCONNECT_PORT,                 HC_FAST,      16,  0,   0,  0,  HV_CONNECT_PORT,
         hypercall_disconnect_port),
    DONE(POST_MESSAGE,                    0,           256,  0,   0,  0,  HV_POST_MESSAGES,
         hypercall_post_message),
    DONE(SIGNAL_EVENT,                    HC_FAST,       8,  0,   0,  0,  HV_SIGNAL_EVENTS,
         hypercall_signal_event),
    DONE(MAP_STATS_PAGE,                  0,            24,  0,   8,  0,  HV_ACCESS_STATS,
         hypercall_map_stats_page),
    DONE(UNMAP_STATS_PAGE,                0,            24,  0,   0,  0,  HV_ACCESS_STATS,
         hypercall_unmap_stats_page),
    DONE(SET_SYSTEM_PROPERTY,             HC_ROOT,      72,  0,   0,  0,  NONE,
         hypercall_set_system_property),
    LATER(ADD_LOGICAL_PROCESSOR,          0,            16,  0,  56,  0,  HV_CPU_MANAGEMENT),
    DONE(GET_SYSTEM_PROPERTY,             HC_ROOT,      16,  0,   8,  0,  NONE,
         hypercall_get_system_property),
    LATER(MAP_DEVICE_INTERRUPT,           HC_ROOT | HC_VAR, 72, 0, 56, 0, NONE),
    LATER(UNMAP_DEVICE_INTERRUPT,         HC_ROOT,      36,  0,   0,  0,  NONE),
    LATER(RETARGET_INTERRUPT,             HC_VAR,       56,  0,   0,  0,  NONE),
    LATER(ENTER_SLEEP_STATE,              HC_ROOT,       4,  0,   0,  0,  NONE),
    LATER(NOTIFY_PARTITION_EVENT,         HC_ROOT,       8,  0,   0,  0,  NONE),
    DONE(NOTIFY_PORT_RING_EMPTY,          HC_FAST,       8,  0,   0,  0,  NONE,
         hypercall_notify_port_ring_empty),
    DONE(REGISTER_INTERCEPT_RESULT,       0,            60,  0,   0,  0,  CP,
         hypercall_register_intercept_result),
    DONE(ASSERT_VIRTUAL_INTERRUPT,        0,            32,  0,   0,  0,  CP,
         hypercall_assert_virtual_interrupt),
    DONE(CREATE_PORT,                     0,            56,  0,   0,  0,  HV_CREATE_PORT,
         hypercall_create_port),
    DONE(CONNECT_PORT,                    0,            72,  0,   0,  0,  HV_CONNECT_PORT,
         hypercall_connect_port),
    LATER(START_VP,                       0,           240,  0,   0,  0,  HV_START_VIRTUAL_PROCESSOR),
    LATER(GET_VP_ID_FROM_APIC_ID,         HC_REP,       16,  4,   0,  4,  NONE),
    LATER(FLUSH_GUEST_PHYSICAL_ADDRESS_SPACE, 0,        16,  0,   0,  0,  NONE),
    LATER(FLUSH_GUEST_PHYSICAL_ADDRESS_LIST, HC_REP,    16,  8,   0,  0,  NONE),
    DONE(SIGNAL_EVENT_DIRECT,             0,            16,  0,   8,  0,  CP,
         hypercall_signal_event_direct),
    DONE(POST_MESSAGE_DIRECT,             0,           280,  0,   0,  0,  CP,
         hypercall_post_message_direct),
    DONE(DISPATCH_VP,                     HC_ROOT,      32,  0,   8,  0,  NONE,
         hypercall_dispatch_vp),
    DONE(GET_GPA_PAGES_ACCESS_STATES,     HC_REP,       24,  0,   0,  1,  CP,
         hypercall_get_gpa_access_states),
    LATER(ACQUIRE_SPARSE_SPA_PAGE_HOST_ACCESS, HC_REP,  16,  8,   0,  0,  NONE),
    LATER(RELEASE_SPARSE_SPA_PAGE_HOST_ACCESS, HC_REP,  16,  8,   0,  0,  NONE),
    LATER(MODIFY_SPARSE_GPA_PAGE_HOST_VISIBILITY, HC_REP, 16, 8,  0,  0,  NONE),
    DONE(MAP_VP_STATE_PAGE,               0,            24,  0,   8,  0,  CP,
         hypercall_map_vp_state_page),
    DONE(UNMAP_VP_STATE_PAGE,             0,            16,  0,   0,  0,  CP,
         hypercall_unmap_vp_state_page),
    DONE(GET_VP_STATE,                    HC_VAR,       40,  0, 200,  0,  CP,
         hypercall_get_vp_state),
    DONE(SET_VP_STATE,                    HC_VAR,       40,  0,   0,  0,  CP,
         hypercall_set_vp_state),
    DONE(GET_VP_CPUID_VALUES,             HC_REP,       24, 24,   0, 16,  CP,
         hypercall_get_vp_cpuid_values),
    DONE(GET_PARTITION_PROPERTY_EX,       0,            24,  0, 4072, 0,  CP,
         hypercall_get_partition_property_ex),
    LATER(MMIO_READ,                      0,            16,  0,  64,  0,  NONE),
    LATER(MMIO_WRITE,                     0,            80,  0,   0,  0,  NONE),
    LATER(DISABLE_HYP_EX,                 HC_ROOT,      16,  0,   0,  0,  NONE),
    LATER(MAP_STATS_PAGE2,                0,            32,  0,   0,  0,  HV_ACCESS_STATS),
    EXT_LATER(QUERY_CAPABILITIES,         0,             0,  0,   8,  0),
    EXT_LATER(MEMORY_HEAT_HINT,           HC_REP,        8,  8,   0,  0),
};
/* clang-format on */

const uint32_t hypercall_table_len = ARRAY_SIZE(hypercall_table);

const struct hypercall_entry *hypercall_find(uint16_t code)
{
    uint32_t low = 0;
    uint32_t high = hypercall_table_len;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (hypercall_table[mid].code == code)
            return &hypercall_table[mid];
        if (hypercall_table[mid].code < code)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}
