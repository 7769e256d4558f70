/* SPDX-License-Identifier: MIT */
/* Events that an exit cuts off: an interrupt is requested again, an exception delivered again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "shim_vpreg.h"

#define VECTOR 0xec

static struct vp *vp;

void child_exception(struct vp *v, const struct exit *exit)
{
}

static int setup(void **state)
{
    vp = shim_vpreg_start();
    atomic_store(&vp->apic.state.svr, 0x1ff);
    svm_is_tcg = false;
    return 0;
}

static bool is_requested(void)
{
    return atomic_load(&vp->apic.state.irr[VECTOR / 32]) & BIT(VECTOR % 32);
}

static bool is_in_service(void)
{
    return vp->apic.state.isr[VECTOR / 32] & BIT(VECTOR % 32);
}

/* The VP runs with the interrupt requested, and exits while `info` is being delivered. */
static void run(bool requested, uint64_t info)
{
    if (requested) {
        atomic_fetch_or(&vp->apic.state.irr[VECTOR / 32], BIT(VECTOR % 32));
        svm_events_prepare(vp);
        assert_int_equal(shim_arch.virq_vector, VECTOR);
        assert_true(shim_vmcb.int_ctl & VINT_IRQ);
        assert_false(is_requested());
    }
    shim_vmcb.event_inj = 0; /* the processor has taken it */
    shim_vmcb.exit_code = VMEXIT_NPF;
    shim_vmcb.exit_int_info = info;
}

static void an_interrupt_is_taken(void **state)
{
    run(true, 0);
    shim_vmcb.int_ctl &= ~VINT_IRQ;
    svm_events_collect(vp);
    assert_true(is_in_service());
    assert_false(is_requested());
    assert_int_equal(vp->vectors[VECTOR], 1);
}

static void an_interrupt_waits(void **state)
{
    run(true, 0);
    svm_events_collect(vp);
    assert_false(is_in_service());
    assert_true(is_requested());
}

/* As processors tell it: the request is gone, the event is what it is. */
static void an_interrupt_is_cut_off(void **state)
{
    run(true, VECTOR | EVENT_INTR | EVENT_VALID);
    shim_vmcb.int_ctl &= ~VINT_IRQ;
    svm_events_collect(vp);
    assert_false(is_in_service());
    assert_true(is_requested());
    assert_false(shim_vmcb.event_inj & EVENT_VALID);
}

/* As TCG tells it: the request is pending, the event an exception, which VMRUN would refuse. */
static void tcg_cuts_an_interrupt_off(void **state)
{
    svm_is_tcg = true;
    run(true, VECTOR | EVENT_EXCEPTION | EVENT_VALID);
    svm_events_collect(vp);
    assert_false(is_in_service());
    assert_true(is_requested());
    assert_false(shim_vmcb.event_inj & EVENT_VALID);
    assert_int_equal(vp->vectors[VECTOR], 0);
}

/* With an interrupt requested or not, on TCG or not. */
static void an_exception_is_cut_off(void **state)
{
    const uint64_t fault = 14 | EVENT_EXCEPTION | EVENT_ERROR_VALID | EVENT_VALID | 2ULL << 32;

    for (unsigned i = 0; i < 4; i++) {
        setup(state);
        svm_is_tcg = i & 1;
        run(i & 2, fault);
        svm_events_collect(vp);
        assert_int_equal(shim_vmcb.event_inj, fault);
        assert_int_equal(is_requested(), i >> 1);
        assert_int_equal(shim_vmcb.exit_int_info, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_interrupt_is_taken, setup),
        cmocka_unit_test_setup(an_interrupt_waits, setup),
        cmocka_unit_test_setup(an_interrupt_is_cut_off, setup),
        cmocka_unit_test_setup(tcg_cuts_an_interrupt_off, setup),
        cmocka_unit_test_setup(an_exception_is_cut_off, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
