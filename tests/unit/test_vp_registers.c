/* SPDX-License-Identifier: MIT */
/* HvCallGetVpRegisters and HvCallSetVpRegisters: targets, lists, order, statuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "abi/tlfs/management.h"
#include "abi/tlfs/msr.h"
#include "abi/tlfs/partition.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "shim_tlfs.h"
#include "shim_children.h"

#define IN_GPA  0x1000U
#define OUT_GPA 0x2000U

static int setup(void **state)
{
    shim_start(HV_CREATE_PARTITIONS, true);
    shim_child_start();
    shim.partition.hypercall_msr = HV_X64_MSR_HYPERCALL_ENABLE;
    return 0;
}

static void put_header(uint64_t partition, uint32_t vp)
{
    const struct hv_input_vp_registers in = {.partition_id = partition, .vp_index = vp};

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
}

static void put_name(unsigned i, uint32_t name)
{
    memcpy(shim.ram + IN_GPA + sizeof(struct hv_input_vp_registers) + i * 4, &name, sizeof(name));
}

static void put_assoc(unsigned i, uint32_t name, uint64_t v)
{
    const struct hv_register_assoc a = {.name = name, .value.reg64 = v};

    memcpy(shim.ram + IN_GPA + sizeof(struct hv_input_vp_registers) + i * sizeof(a), &a, sizeof(a));
}

static uint64_t out_value(unsigned i)
{
    uint64_t v;

    memcpy(&v, shim.ram + OUT_GPA + i * 16, sizeof(v));
    return v;
}

/* RAX after a call with `count` elements, repeated as a guest would. */
static uint64_t call(uint16_t code, uint32_t count)
{
    struct vp_regs *r = &shim.vps[0].regs;

    r->gpr[RCX] = code | (uint64_t)count << HV_HYPERCALL_REP_COMP_OFFSET;
    r->gpr[RDX] = IN_GPA;
    r->gpr[R8] = OUT_GPA;
    while (hypercall_dispatch(&shim.vps[0]) == HYPERCALL_STAY)
        assert_int_equal(shim.exception, -1);
    assert_int_equal(shim_child.holds, 0);
    assert_int_equal(shim_child.pauses, 0);
    assert_int_equal(shim_child.saves, shim_child.loads);
    return r->gpr[RAX];
}

static void sets_and_gets_a_childs_registers(void **state)
{
    put_header(SHIM_CHILD_ID, 1);
    for (unsigned i = 0; i < SHIM_REGISTERS; i++)
        put_assoc(i, HV_X64_REGISTER_RAX + i, 1000 + i);
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, SHIM_REGISTERS),
                     hv_hypercall_result(HV_STATUS_SUCCESS, SHIM_REGISTERS));
    assert_int_equal(shim_child.max_pauses, 1); /* once for the list */
    for (unsigned i = 0; i < SHIM_REGISTERS; i++)
        put_name(i, HV_X64_REGISTER_R15 - i);
    memset(shim.ram + OUT_GPA, 0xFF, PAGE_SIZE);
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, SHIM_REGISTERS),
                     hv_hypercall_result(HV_STATUS_SUCCESS, SHIM_REGISTERS));
    for (unsigned i = 0; i < SHIM_REGISTERS; i++)
        assert_int_equal(out_value(i), 1015 - i);
    assert_int_equal(shim_child.saves, 0);
}

static void long_lists_come_in_batches(void **state)
{
    put_header(SHIM_CHILD_ID, 0);
    for (unsigned i = 0; i < 127; i++)
        put_assoc(i, HV_X64_REGISTER_RAX + i % SHIM_REGISTERS, i);
    shim.tsc_step = 1000000; /* each look at the clock ends the slice */
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, 127), hv_hypercall_result(0, 127));
    assert_int_equal(shim_child.regs[126 % SHIM_REGISTERS], 126);
}

static void own_registers(void **state)
{
    put_header(HV_PARTITION_ID_SELF, HV_VP_INDEX_SELF);
    put_assoc(0, HV_X64_REGISTER_RCX, 77);
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, 1), hv_hypercall_result(0, 1));
    assert_int_equal(shim_child.regs[1], 77);
    assert_int_equal(shim_child.saves, 1);
    put_header(shim.partition.id, 0); /* by its numbers */
    put_name(0, HV_X64_REGISTER_RCX);
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 1), hv_hypercall_result(0, 1));
    assert_int_equal(out_value(0), 77);
    put_header(HV_PARTITION_ID_SELF, 1); /* another VP of the caller */
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 1), HV_STATUS_INVALID_VP_INDEX);
}

static void wrong_targets(void **state)
{
    const struct hv_input_vp_registers vtl1 = {.partition_id = SHIM_CHILD_ID, .input_vtl = 0x11};
    const struct hv_input_vp_registers dirty = {.partition_id = SHIM_CHILD_ID, .reserved = {0, 1}};

    put_name(0, HV_X64_REGISTER_RAX);
    put_header(10, 0);
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 1), HV_STATUS_INVALID_PARTITION_ID);
    put_header(SHIM_CHILD_ID, SHIM_CHILD_VPS);
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 1), HV_STATUS_INVALID_VP_INDEX);
    put_header(SHIM_CHILD_ID, HV_VP_INDEX_SELF);
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, 1), HV_STATUS_INVALID_VP_INDEX);
    memcpy(shim.ram + IN_GPA, &vtl1, sizeof(vtl1));
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 1), HV_STATUS_INVALID_PARAMETER);
    memcpy(shim.ram + IN_GPA, &dirty, sizeof(dirty));
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 1), HV_STATUS_INVALID_PARAMETER);
    shim_child.inactive = true;
    put_header(SHIM_CHILD_ID, 0);
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 1), HV_STATUS_INVALID_PARTITION_STATE);
}

static void elements_before_a_bad_one_count(void **state)
{
    put_header(SHIM_CHILD_ID, 0);
    put_name(0, HV_X64_REGISTER_RAX);
    put_name(1, HV_X64_REGISTER_RCX);
    put_name(2, 0x12345);
    put_name(3, HV_X64_REGISTER_RDX);
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 4),
                     hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 2));
    put_assoc(0, HV_X64_REGISTER_RAX, 5);
    put_assoc(1, HV_X64_REGISTER_RCX, SHIM_BAD_VALUE);
    put_assoc(2, HV_X64_REGISTER_RDX, 7);
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, 3),
                     hv_hypercall_result(HV_STATUS_INVALID_REGISTER_VALUE, 1));
    assert_int_equal(shim_child.regs[0], 5);
    assert_int_equal(shim_child.regs[2], 0);
}

static void suspension_needs_no_pause_and_keeps_its_place(void **state)
{
    put_header(SHIM_CHILD_ID, 0);
    put_assoc(0, HV_REGISTER_EXPLICIT_SUSPEND, 1);
    put_assoc(1, HV_REGISTER_INTERCEPT_SUSPEND, 0);
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, 2), hv_hypercall_result(0, 2));
    assert_string_equal(shim_child.log, "SC");
    put_name(0, HV_REGISTER_EXPLICIT_SUSPEND);
    put_name(1, HV_REGISTER_INTERCEPT_SUSPEND);
    assert_int_equal(call(HVCALL_GET_VP_REGISTERS, 2), hv_hypercall_result(0, 2));
    assert_int_equal(out_value(0), 1);
    assert_int_equal(out_value(1), 0);
    assert_int_equal(shim_child.max_pauses, 0);
    shim_child.log[0] = shim_child.log[1] = 0;
    put_assoc(0, HV_REGISTER_EXPLICIT_SUSPEND, 1);
    put_assoc(1, HV_X64_REGISTER_RAX, 1);
    put_assoc(2, HV_REGISTER_EXPLICIT_SUSPEND, 0);
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, 3), hv_hypercall_result(0, 3));
    assert_string_equal(shim_child.log, "SPRC");
}

static void the_register_page_is_taken_when_the_intercept_ends(void **state)
{
    put_header(SHIM_CHILD_ID, 0);
    put_assoc(0, HV_REGISTER_INTERCEPT_SUSPEND, 1); /* this does not end it */
    shim_child.page_dirty = true;
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, 1), hv_hypercall_result(0, 1));
    assert_int_equal(shim_child.page_takes, 0);
    put_assoc(0, HV_REGISTER_INTERCEPT_SUSPEND, 0);
    memset(shim_child.log, 0, sizeof(shim_child.log));
    assert_int_equal(call(HVCALL_SET_VP_REGISTERS, 1), hv_hypercall_result(0, 1));
    assert_string_equal(shim_child.log, "PTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sets_and_gets_a_childs_registers, setup),
        cmocka_unit_test_setup(long_lists_come_in_batches, setup),
        cmocka_unit_test_setup(own_registers, setup),
        cmocka_unit_test_setup(wrong_targets, setup),
        cmocka_unit_test_setup(elements_before_a_bad_one_count, setup),
        cmocka_unit_test_setup(suspension_needs_no_pause_and_keeps_its_place, setup),
        cmocka_unit_test_setup(the_register_page_is_taken_when_the_intercept_ends, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
