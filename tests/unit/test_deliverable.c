/* SPDX-License-Identifier: MIT */
/* HV_REGISTER_DELIVERABILITY_NOTIFICATIONS: when the parent is told, and what SVM is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hypervisor/vp/deliverable.h"
#include "shim_vpreg.h"

#define ASK_NMI       HV_DELIVERABILITY_NMI
#define ASK_INTERRUPT HV_DELIVERABILITY_INTERRUPT
#define ASK_PRIO(p)   (HV_DELIVERABILITY_INTERRUPT | (uint64_t)(p) << 2)

static struct vp *vp;
static struct hv_x64_interruption_deliverable_message sent;
static unsigned messages;

void child_exception(struct vp *v, const struct exit *exit)
{
}

void notify_header(struct vp *v, struct hv_x64_intercept_message_header *h, uint8_t insn_len,
                   uint8_t access)
{
    h->rip = v->regs.rip;
}

void notify_intercept(struct vp *v, uint32_t type, const void *payload, size_t len)
{
    assert_int_equal(type, HVMSG_X64_INTERRUPTION_DELIVERABLE);
    assert_int_equal(len, sizeof(sent));
    memcpy(&sent, payload, len);
    messages++;
}

static int setup(void **state)
{
    const union hv_register_value svr = {.reg64 = 0x1ff};

    vp = shim_vpreg_start();
    assert_int_equal(vpreg_set(vp, HV_X64_REGISTER_APIC_FIRST + (APIC_SVR >> 4), &svr), 0);
    messages = 0;
    svm_is_tcg = false;
    return 0;
}

static void ask(uint64_t what)
{
    const union hv_register_value v = {.reg64 = what};

    assert_int_equal(vpreg_set(vp, HV_REGISTER_DELIVERABILITY_NOTIFICATIONS, &v), 0);
}

static bool told(uint32_t type)
{
    return deliverable_notify(vp) && sent.deliverable_type == type;
}

static bool window(void)
{
    return shim_vmcb.intercept[3] & INTERCEPT3_VINTR;
}

static bool retry_armed(void)
{
    for (unsigned i = 0; i < SHIM_TIMERS_MAX; i++)
        if (shim.armed[i] == &shim_arch.retry)
            return true;
    return false;
}

static void nothing_is_asked(void **state)
{
    vp->regs.rflags |= RFLAGS_IF;
    assert_false(deliverable_notify(vp));
    svm_events_prepare(vp);
    assert_false(window());
    assert_false(retry_armed());
}

/* Told once, when IF and the shadow allow. */
static void interrupt(void **state)
{
    ask(ASK_INTERRUPT);
    assert_false(deliverable_notify(vp)); /* IF is clear */
    svm_events_prepare(vp);
    assert_true(window());
    assert_true(shim_vmcb.int_ctl & VINT_IRQ);
    assert_true(shim_vmcb.int_ctl & VINT_IGN_TPR);
    svm_events_collect(vp);
    vp->regs.rflags |= RFLAGS_IF;
    shim_vmcb.int_shadow = INT_SHADOW;
    assert_false(deliverable_notify(vp));
    shim_vmcb.int_shadow = 0;
    shim_vmcb.event_inj = EVENT_VALID | EVENT_EXCEPTION | VECTOR_GP;
    assert_false(deliverable_notify(vp));
    shim_vmcb.event_inj = 0;
    atomic_store(&vp->activity, VP_WAIT_FOR_SIPI);
    assert_false(deliverable_notify(vp));
    atomic_store(&vp->activity, VP_HALTED);
    assert_true(told(HV_INTERRUPTION_EXTERNAL));
    assert_int_equal(vp->deliverability, 0);
    assert_false(deliverable_notify(vp));
    svm_events_prepare(vp);
    assert_false(window());
    assert_false(shim_vmcb.int_ctl & VINT_IRQ);
    assert_int_equal(messages, 1);
}

static void priority(void **state)
{
    vp->regs.rflags |= RFLAGS_IF;
    vapic_tpr_set(vp, 0x50);
    ask(ASK_PRIO(5));
    assert_false(deliverable_notify(vp));
    svm_events_prepare(vp);
    assert_true(window());
    assert_int_equal(shim_vmcb.int_ctl >> VINT_PRIO_SHIFT & 0x1f, 5); /* TPR is not ignored */
    svm_events_collect(vp);
    vapic_tpr_set(vp, 0x4f);
    assert_true(told(HV_INTERRUPTION_EXTERNAL));
    assert_int_equal(vp->deliverability, 0);
    vapic_tpr_set(vp, 0xff);
    ask(ASK_INTERRUPT);
    assert_true(told(HV_INTERRUPTION_EXTERNAL)); /* no priority: the TPR does not count */
}

/* A vector that waits too is not kept out by the request of the parent. */
static void with_a_vector(void **state)
{
    vapic_set_irr(vp, 0x61, false);
    ask(ASK_PRIO(6));
    svm_events_prepare(vp);
    assert_true(window()); /* neither of both can be taken before the other */
    assert_int_equal(shim_arch.virq_vector, -1);
    svm_events_collect(vp);
    assert_true(vapic_pending(vp));
    ask(ASK_PRIO(5));
    svm_events_prepare(vp);
    assert_false(window());
    assert_int_equal(shim_arch.virq_vector, 0x61);
    assert_true(retry_armed());
    svm_events_collect(vp);
    ask(ASK_INTERRUPT);
    svm_events_prepare(vp);
    assert_true(window());
    svm_events_collect(vp);
    vendor_vp_set_extint(vp, 0x30);
    ask(ASK_PRIO(15));
    svm_events_prepare(vp);
    assert_false(window()); /* the TPR does not count for the 8259 */
    assert_int_equal(shim_arch.virq_vector, 0x30);
    svm_events_collect(vp);
}

static void nmi(void **state)
{
    ask(ASK_NMI | ASK_PRIO(3));
    vendor_vp_set_interrupt_state(vp, HV_INTERRUPT_STATE_NMI_MASKED);
    assert_false(deliverable_notify(vp));
    svm_events_prepare(vp);
    assert_false(retry_armed()); /* the IRET exits */
    svm_events_collect(vp);
    vp->regs.rip = 0x2000;
    svm_events_iret(vp);
    assert_false(deliverable_notify(vp));
    svm_events_prepare(vp);
    assert_true(retry_armed());
    svm_events_collect(vp);
    vp->regs.rip = 0x3000; /* it is done */
    svm_events_prepare(vp);
    svm_events_collect(vp);
    assert_true(told(HV_INTERRUPTION_NMI)); /* IF does not count */
    assert_int_equal(vp->deliverability, ASK_PRIO(3));
    assert_false(deliverable_notify(vp));
    vp->regs.rflags |= RFLAGS_IF;
    assert_true(told(HV_INTERRUPTION_EXTERNAL));
}

/* What TCG needs: no request in a shadow, CR8 exits, one priority lower. */
static void in_tcg(void **state)
{
    svm_is_tcg = true;
    ask(ASK_PRIO(5));
    shim_vmcb.int_shadow = INT_SHADOW;
    svm_events_prepare(vp);
    assert_false(window());
    assert_true(retry_armed());
    svm_events_collect(vp);
    shim_vmcb.int_shadow = 0;
    svm_events_prepare(vp);
    assert_true(window());
    assert_true(shim_vmcb.intercept[0] & INTERCEPT0_CR8_WRITE);
    assert_int_equal(shim_vmcb.int_ctl >> VINT_PRIO_SHIFT & 0x1f, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_asked, setup),
        cmocka_unit_test_setup(interrupt, setup),
        cmocka_unit_test_setup(priority, setup),
        cmocka_unit_test_setup(with_a_vector, setup),
        cmocka_unit_test_setup(nmi, setup),
        cmocka_unit_test_setup(in_tcg, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
