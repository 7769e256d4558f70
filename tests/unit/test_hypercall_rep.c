/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "abi/tlfs/msr.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "shim_tlfs.h"

/*
 * Repeated calls that take longer than a slice, with a table of one row whose
 * handler doubles numbers, one at a time: list in, list out.
 */

#define IN_GPA  0x1000U
#define OUT_GPA 0x2000U
#define CODE    0x42U

static uint32_t fail_at;  /* element that the handler refuses */
static uint32_t close_at; /* element before which the output page is closed */
static unsigned handled;  /* calls of the handler */

static uint16_t double_one(struct hypercall *h)
{
    uint64_t v;

    handled++;
    if (h->rep == close_at)
        shim.closed_page = OUT_GPA / PAGE_SIZE;
    if (h->rep == fail_at)
        return HV_STATUS_INSUFFICIENT_MEMORY;
    memcpy(&v, h->in + hypercall_rep_offset(h, h->rep), sizeof(v));
    v *= 2;
    if (hypercall_output(h, h->rep * 8, &v, sizeof(v)) != 0)
        return HV_STATUS_INVALID_ALIGNMENT;
    h->rep++;
    return HV_STATUS_SUCCESS;
}

static const struct hypercall_entry row = {
    .code = CODE,
    .form = HC_REP | HC_VAR,
    .in_size = 16,
    .in_rep = 8,
    .out_rep = 8,
    .name = "DOUBLE",
    .handler = double_one,
};

const struct hypercall_entry *hypercall_find(uint16_t code)
{
    return code == CODE ? &row : NULL;
}

static struct vp_regs *start(uint32_t count, uint32_t var_words, uint32_t element_ticks)
{
    struct vp_regs *r = &shim.vps[0].regs;

    shim_start(PRIVILEGES_STOCK_CHILD, false);
    shim.partition.hypercall_msr = HV_X64_MSR_HYPERCALL_ENABLE;
    shim.tsc_step = element_ticks;
    fail_at = close_at = UINT32_MAX;
    handled = 0;
    for (uint64_t i = 0; i < count; i++)
        memcpy(shim.ram + IN_GPA + 16 + var_words * 8 + i * 8, &i, sizeof(i));
    r->gpr[RCX] = CODE | (uint64_t)var_words << HV_HYPERCALL_VARHEAD_OFFSET |
                  (uint64_t)count << HV_HYPERCALL_REP_COMP_OFFSET;
    r->gpr[RDX] = IN_GPA;
    r->gpr[R8] = OUT_GPA;
    r->gpr[RAX] = 99;
    return r;
}

static void check_output(uint32_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t v;

        memcpy(&v, shim.ram + OUT_GPA + i * 8, sizeof(v));
        assert_int_equal(v, i * 2);
    }
}

static void quick_list_in_one_go(void **state)
{
    struct vp_regs *r = start(300, 3, 1);

    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], hv_hypercall_result(HV_STATUS_SUCCESS, 300));
    check_output(300);
}

/* 50 us are 100000 ticks: a slice ends after the element that crosses it. */
static void slow_list_in_slices(void **state)
{
    struct vp_regs *r = start(10, 0, 30000);
    uint64_t control = r->gpr[RCX];

    for (uint32_t done = 4; done < 10; done += 4) {
        assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_STAY);
        assert_int_equal(r->gpr[RCX], hv_hypercall_set_rep_start(control, done));
        assert_int_equal(r->gpr[RAX], 99);
        check_output(done);
    }
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], hv_hypercall_result(HV_STATUS_SUCCESS, 10));
    assert_int_equal(shim.exception, -1);
    check_output(10);
}

static void each_slice_does_one_element_at_least(void **state)
{
    struct vp_regs *r = start(5, 0, 1000000);

    for (uint32_t i = 1; i < 5; i++) {
        assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_STAY);
        assert_int_equal(hv_hypercall_rep_start(r->gpr[RCX]), i);
    }
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    check_output(5);
}

static void slices_of_32_bit_code(void **state)
{
    struct vp_regs *r = start(2, 0, 1000000);
    uint64_t control = r->gpr[RCX];

    shim.long_mode = false;
    r->gpr[RDX] = control >> 32;
    r->gpr[RAX] = control & UINT32_MAX;
    r->gpr[RBX] = 0;
    r->gpr[RCX] = IN_GPA;
    r->gpr[RDI] = 0;
    r->gpr[RSI] = OUT_GPA;
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_STAY);
    assert_int_equal(r->gpr[RAX], control & UINT32_MAX);
    assert_int_equal(r->gpr[RDX], hv_hypercall_set_rep_start(control, 1) >> 32);
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], HV_STATUS_SUCCESS);
    assert_int_equal(r->gpr[RDX], 2);
    check_output(2);
}

/* Input or output on a page that the caller's parent has to open first: nothing has been done. */
static void closed_pages_are_asked_for(void **state)
{
    static const struct {
        uint64_t page;
        enum access access;
    } cases[] = {{IN_GPA / PAGE_SIZE, ACCESS_READ}, {OUT_GPA / PAGE_SIZE, ACCESS_WRITE}};

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vp_regs *r = start(10, 0, 1);
        struct vp_regs before = *r;

        shim.partition.is_child = true;
        shim.closed_page = cases[i].page;
        assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_STAY);
        assert_memory_equal(r, &before, sizeof(before));
        assert_int_equal(shim.denied.at.v, cases[i].page * PAGE_SIZE);
        assert_int_equal(shim.denied.access, cases[i].access);
        assert_int_equal(shim.denied.times, 1);
        assert_int_equal(handled, 0);
        shim.closed_page = 0;
        assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
        assert_int_equal(r->gpr[RAX], hv_hypercall_result(HV_STATUS_SUCCESS, 10));
        check_output(10);
    }
}

/* The output page is taken away in the middle of the call, which is then made anew. */
static void output_closed_meanwhile(void **state)
{
    struct vp_regs *r = start(10, 0, 1);
    struct vp_regs before = *r;

    shim.partition.is_child = true;
    close_at = 4;
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_STAY);
    assert_memory_equal(r, &before, sizeof(before));
    assert_int_equal(shim.denied.at.v, OUT_GPA);
    assert_int_equal(shim.denied.access, ACCESS_WRITE);
    close_at = UINT32_MAX;
    shim.closed_page = 0;
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], hv_hypercall_result(HV_STATUS_SUCCESS, 10));
    check_output(10);
}

static void error_reports_what_was_done(void **state)
{
    struct vp_regs *r = start(10, 0, 1);

    fail_at = 6;
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], hv_hypercall_result(HV_STATUS_INSUFFICIENT_MEMORY, 6));
    check_output(6);
    assert_int_equal(shim.ram[OUT_GPA + 48], 0);
}

static void output_list_stays_in_its_page(void **state)
{
    struct vp_regs *r = start(10, 0, 1);

    r->gpr[R8] = OUT_GPA - 80; /* the list ends with the page */
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], hv_hypercall_result(HV_STATUS_SUCCESS, 10));
    r->gpr[R8] = OUT_GPA - 72;
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], HV_STATUS_INVALID_ALIGNMENT);
}

/* Where the output cannot go is known before anything is done. */
static void unwritable_output_stops_the_call(void **state)
{
    struct vp_regs *r = start(10, 0, 1);

    r->gpr[R8] = SHIM_PAGE_RO * PAGE_SIZE;
    assert_int_equal(hypercall_dispatch(&shim.vps[0]), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], HV_STATUS_INVALID_ALIGNMENT);
    assert_int_equal(handled, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_list_in_one_go),
        cmocka_unit_test(slow_list_in_slices),
        cmocka_unit_test(each_slice_does_one_element_at_least),
        cmocka_unit_test(slices_of_32_bit_code),
        cmocka_unit_test(closed_pages_are_asked_for),
        cmocka_unit_test(output_closed_meanwhile),
        cmocka_unit_test(error_reports_what_was_done),
        cmocka_unit_test(output_list_stays_in_its_page),
        cmocka_unit_test(unwritable_output_stops_the_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
