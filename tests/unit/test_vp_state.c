/* SPDX-License-Identifier: MIT */
/* HvCallGetVpState, HvCallSetVpState, HvCallTranslateVirtualAddress, HvCallReadGpa, ...WriteGpa. */
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

#define IN_GPA   0x1000U
#define OUT_GPA  0x2000U
#define PAGE_A   6U
#define PAGE_B   7U
#define SIM_PAGE 5U /* of the guest */
#define PFN      HV_GET_SET_VP_STATE_TYPE_PFN

static int setup(void **state)
{
    shim_start(HV_CREATE_PARTITIONS, true);
    shim_child_start();
    shim.partition.hypercall_msr = HV_X64_MSR_HYPERCALL_ENABLE;
    return 0;
}

static uint16_t call(uint16_t code, uint32_t words)
{
    struct vp_regs *r = &shim.vps[0].regs;

    r->gpr[RCX] = code | (uint64_t)words << HV_HYPERCALL_VARHEAD_OFFSET;
    r->gpr[RDX] = IN_GPA;
    r->gpr[R8] = OUT_GPA;
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(shim_child.holds, 0);
    assert_int_equal(shim_child.pauses, 0);
    return (uint16_t)r->gpr[RAX];
}

static void put_state(uint32_t type, uint64_t states)
{
    const struct hv_vp_state in = {
        .partition_id = SHIM_CHILD_ID, .vp_index = 1, .type = type, .xsave_states = states};

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
}

static void put_word(unsigned n, uint64_t v)
{
    memcpy(shim.ram + IN_GPA + sizeof(struct hv_vp_state) + n * sizeof(v), &v, sizeof(v));
}

static void apic_by_page_and_inline(void **state)
{
    struct hv_local_interrupt_controller_state s;

    shim_child.lapic.apic_lvt_lint0 = 0x700;
    put_state(HV_VP_STATE_LOCAL_INTERRUPT_CONTROLLER | PFN, 0);
    put_word(0, PAGE_A);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 1), HV_STATUS_SUCCESS);
    memcpy(&s, shim.ram + PAGE_A * PAGE_SIZE, sizeof(s));
    assert_int_equal(s.apic_lvt_lint0, 0x700);
    s.apic_lvt_lint1 = 0x400;
    memcpy(shim.ram + PAGE_A * PAGE_SIZE, &s, sizeof(s));
    assert_int_equal(call(HVCALL_SET_VP_STATE, 1), HV_STATUS_SUCCESS);
    assert_int_equal(shim_child.lapic.apic_lvt_lint1, 0x400);
    assert_int_equal(shim_child.max_pauses, 1);

    put_state(HV_VP_STATE_LOCAL_INTERRUPT_CONTROLLER, 0);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 0), HV_STATUS_SUCCESS);
    assert_memory_equal(shim.ram + OUT_GPA, &s, sizeof(s));
    assert_int_equal(call(HVCALL_SET_VP_STATE, sizeof(s) / 8 - 1), HV_STATUS_INVALID_PARAMETER);
    s.apic_lvt_lint1 = 0x10000;
    memcpy(shim.ram + IN_GPA + sizeof(struct hv_vp_state), &s, sizeof(s));
    assert_int_equal(call(HVCALL_SET_VP_STATE, sizeof(s) / 8), HV_STATUS_SUCCESS);
    assert_int_equal(shim_child.lapic.apic_lvt_lint1, 0x10000);
}

static void extended_state_over_two_pages(void **state)
{
    for (unsigned i = 0; i < SHIM_XSAVE_SIZE; i++)
        shim_child.xsave[i] = (uint8_t)(i * 7);
    put_state(HV_VP_STATE_XSAVE | PFN, 0x7);
    put_word(0, PAGE_B);
    put_word(1, PAGE_A);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 2), HV_STATUS_SUCCESS);
    assert_int_equal(shim_child.xsave_states, 0x7);
    assert_memory_equal(shim.ram + PAGE_B * PAGE_SIZE, shim_child.xsave, PAGE_SIZE);
    assert_memory_equal(shim.ram + PAGE_A * PAGE_SIZE, shim_child.xsave + PAGE_SIZE,
                        SHIM_XSAVE_SIZE - PAGE_SIZE);
    shim.ram[PAGE_A * PAGE_SIZE] ^= 0xff;
    assert_int_equal(call(HVCALL_SET_VP_STATE, 2), HV_STATUS_SUCCESS);
    assert_int_equal(shim_child.xsave_len, 2 * PAGE_SIZE);
    assert_int_equal(shim_child.xsave[PAGE_SIZE], shim.ram[PAGE_A * PAGE_SIZE]);
    shim_child.state_rc = -EINVAL;
    assert_int_equal(call(HVCALL_SET_VP_STATE, 2), HV_STATUS_INVALID_PARAMETER);
    put_state(HV_VP_STATE_XSAVE, 0x7); /* never inline */
    assert_int_equal(call(HVCALL_GET_VP_STATE, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(call(HVCALL_SET_VP_STATE, 500), HV_STATUS_INVALID_PARAMETER);
}

static void synic_pages(void **state)
{
    struct synic *s = &shim_child.vps[1].synic;

    put_state(HV_VP_STATE_SIM_PAGE | PFN, 0);
    put_word(0, PAGE_A);
    memset(shim.ram + PAGE_A * PAGE_SIZE, 0xa5, PAGE_SIZE);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 1), HV_STATUS_SUCCESS);
    assert_int_equal(shim.ram[PAGE_A * PAGE_SIZE + 99], 0); /* it is disabled */
    s->sim = (struct overlay){.shown = true, .at = gpa(SIM_PAGE * PAGE_SIZE)};
    memset(shim.ram + SIM_PAGE * PAGE_SIZE, 0x5a, PAGE_SIZE);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 1), HV_STATUS_SUCCESS);
    assert_int_equal(shim.ram[PAGE_A * PAGE_SIZE + 99], 0x5a);
    memset(shim.ram + PAGE_A * PAGE_SIZE, 0xa5, PAGE_SIZE);
    put_state(HV_VP_STATE_SIEF_PAGE | PFN, 0);
    assert_int_not_equal(call(HVCALL_SET_VP_STATE, 1), HV_STATUS_SUCCESS);
    s->sief = s->sim;
    assert_int_equal(call(HVCALL_SET_VP_STATE, 1), HV_STATUS_SUCCESS);
    assert_int_equal(shim.ram[SIM_PAGE * PAGE_SIZE + 99], 0xa5);
}

static void synthetic_timers(void **state)
{
    shim_child.timers.timers[2].count = 99;
    put_state(HV_VP_STATE_SYNTHETIC_TIMERS, 0);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 0), HV_STATUS_SUCCESS);
    assert_memory_equal(shim.ram + OUT_GPA, &shim_child.timers, sizeof(shim_child.timers));
    put_word(1, 0x3004); /* config of the first */
    assert_int_equal(call(HVCALL_SET_VP_STATE, 25), HV_STATUS_SUCCESS);
    assert_int_equal(shim_child.timers.timers[0].config, 0x3004);
    shim_child.state_rc = -EINVAL;
    assert_int_equal(call(HVCALL_SET_VP_STATE, 25), HV_STATUS_INVALID_PARAMETER);
}

static void bad_state_calls(void **state)
{
    const uint64_t bad[] = {SHIM_PAGE_HOLE, SHIM_PAGES, BIT64(40), UINT64_MAX};
    struct hv_vp_state in;

    put_state(HV_VP_STATE_LOCAL_INTERRUPT_CONTROLLER | PFN, 0);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 0), HV_STATUS_INVALID_PARAMETER);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        put_word(0, bad[i]);
        assert_int_equal(call(HVCALL_GET_VP_STATE, 1), HV_STATUS_INVALID_PARAMETER);
        assert_int_equal(call(HVCALL_SET_VP_STATE, 1), HV_STATUS_INVALID_PARAMETER);
    }
    put_word(0, SHIM_PAGE_RO);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 1), HV_STATUS_INVALID_PARAMETER);
    put_state(5, 0);
    assert_int_equal(call(HVCALL_GET_VP_STATE, 0), HV_STATUS_INVALID_PARAMETER);
    memcpy(&in, shim.ram + IN_GPA, sizeof(in));
    in.type = 0;
    in.reserved2 = 1;
    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    assert_int_equal(call(HVCALL_GET_VP_STATE, 0), HV_STATUS_INVALID_PARAMETER);
    in.reserved2 = 0;
    in.partition_id = HV_PARTITION_ID_SELF;
    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    assert_int_equal(call(HVCALL_GET_VP_STATE, 0), HV_STATUS_INVALID_PARTITION_ID);
}

static void unpaged_addresses_translate(void **state)
{
    struct hv_input_translate_virtual_address in = {
        .partition_id = SHIM_CHILD_ID,
        .control_flags = HV_TRANSLATE_GVA_VALIDATE_READ,
        .gva_page = SHIM_PAGES - 1,
    };
    struct hv_output_translate_virtual_address out;

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    assert_int_equal(call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, 0), HV_STATUS_SUCCESS);
    memcpy(&out, shim.ram + OUT_GPA, sizeof(out));
    assert_int_equal(out.result_code, HV_TRANSLATE_GVA_SUCCESS);
    assert_int_equal(out.gpa_page, SHIM_PAGES - 1);
    assert_int_equal(out.cache_type, 0x106);
    in.gva_page = BIT64(20); /* above 4 GiB */
    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    assert_int_equal(call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, 0), HV_STATUS_SUCCESS);
    memcpy(&out, shim.ram + OUT_GPA, sizeof(out));
    assert_int_equal(out.result_code, HV_TRANSLATE_GVA_PAGE_NOT_PRESENT);
    in.control_flags = BIT64(5);
    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    assert_int_equal(call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, 0), HV_STATUS_INVALID_PARAMETER);
}

static uint16_t read_gpa(uint64_t at, uint32_t count, struct hv_output_read_gpa *out)
{
    const struct hv_input_read_gpa in = {
        .partition_id = SHIM_CHILD_ID, .byte_count = count, .base_gpa = at};
    uint16_t status;

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    status = call(HVCALL_READ_GPA, 0);
    memcpy(out, shim.ram + OUT_GPA, sizeof(*out));
    return status;
}

static uint16_t write_gpa(uint64_t at, uint32_t count, uint64_t *result)
{
    const struct hv_input_write_gpa in = {
        .partition_id = SHIM_CHILD_ID, .byte_count = count, .base_gpa = at, .data = {1, 2, 3}};
    uint16_t status;

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    status = call(HVCALL_WRITE_GPA, 0);
    memcpy(result, shim.ram + OUT_GPA, sizeof(*result));
    return status;
}

static void guest_memory(void **state)
{
    struct hv_output_read_gpa out;
    uint64_t result;

    assert_int_equal(write_gpa(PAGE_A * PAGE_SIZE + 4093, 3, &result), HV_STATUS_SUCCESS);
    assert_int_equal(result, 0);
    assert_int_equal(read_gpa(PAGE_A * PAGE_SIZE + 4092, 4, &out), HV_STATUS_SUCCESS);
    assert_int_equal(out.access_result, 0);
    assert_int_equal(out.data[3], 3);
    assert_int_equal(out.data[4], 0);
    assert_int_equal(read_gpa(SHIM_PAGE_HOLE * PAGE_SIZE, 1, &out), HV_STATUS_SUCCESS);
    assert_int_equal(out.access_result, 1);
    assert_int_equal(write_gpa(SHIM_PAGE_HOLE * PAGE_SIZE, 1, &result), HV_STATUS_SUCCESS);
    assert_int_equal(result, 1);
    assert_int_equal(write_gpa(SHIM_PAGE_RO * PAGE_SIZE, 1, &result), HV_STATUS_SUCCESS);
    assert_int_equal(result, 3);
    shim.closed_page = PAGE_A;
    assert_int_equal(read_gpa(PAGE_A * PAGE_SIZE, 1, &out), HV_STATUS_SUCCESS);
    assert_int_equal(out.access_result, 2);
    assert_int_equal(write_gpa(PAGE_A * PAGE_SIZE, 1, &result), HV_STATUS_SUCCESS);
    assert_int_equal(result, 3);
    shim.closed_page = 0;
    assert_int_equal(read_gpa(PAGE_A * PAGE_SIZE + 4093, 4, &out), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(read_gpa(PAGE_A * PAGE_SIZE, 0, &out), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(write_gpa(PAGE_A * PAGE_SIZE, 17, &result), HV_STATUS_INVALID_PARAMETER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(apic_by_page_and_inline, setup),
        cmocka_unit_test_setup(extended_state_over_two_pages, setup),
        cmocka_unit_test_setup(synic_pages, setup),
        cmocka_unit_test_setup(synthetic_timers, setup),
        cmocka_unit_test_setup(bad_state_calls, setup),
        cmocka_unit_test_setup(unpaged_addresses_translate, setup),
        cmocka_unit_test_setup(guest_memory, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
