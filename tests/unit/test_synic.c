/* SPDX-License-Identifier: MIT */
/* SynIC: registers, message slots and queues, event flags, interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/msr.h"
#include "tests/unit/shim_apic.h"

#define SIM_PAGE  0x1000U
#define SIEF_PAGE 0x2000U
#define SINT      2U
#define VECTOR    0xF3U

static struct vp *vp;

static void wr(uint32_t msr, uint64_t v)
{
    assert_int_equal(synic_msr_write(vp, msr, v), 0);
}

static uint64_t rd(uint32_t msr)
{
    uint64_t v = 0xDEAD;

    assert_int_equal(synic_msr_read(vp, msr, &v), 0);
    return v;
}

static int setup(void **state)
{
    shim_init(1, true);
    vp = shim_vp(0);
    assert_int_equal(vapic_msr_write(vp, X2APIC_MSR(APIC_SVR), 0x1FF), 0);
    return 0;
}

static int setup_on(void **state)
{
    setup(state);
    wr(HV_X64_MSR_SIMP, SIM_PAGE | 1);
    wr(HV_X64_MSR_SIEFP, SIEF_PAGE | 1);
    wr(HV_X64_MSR_SINT0 + SINT, VECTOR);
    wr(HV_X64_MSR_SCONTROL, 1);
    return 0;
}

static struct hv_message *slot(uint32_t sint)
{
    return &((struct hv_message_page *)(void *)&shim.ram[SIM_PAGE])->sint_message[sint];
}

static struct hv_message message(uint32_t type)
{
    struct hv_message m;

    memset(&m, 0xCC, sizeof(m)); /* what must not reach the guest */
    m.header.message_type = type;
    m.header.payload_size = 16;
    m.header.sender = 0x1000 + type;
    m.payload[0] = type;
    m.payload[1] = ~(uint64_t)type;
    return m;
}

static int post(uint32_t type)
{
    struct hv_message m = message(type);

    return synic_post_message(vp, SINT, &m);
}

static int taken(void)
{
    int v = vapic_highest(vp);

    if (v >= 0) {
        vapic_request(vp, (uint8_t)v);
        vapic_accept(vp, (uint8_t)v);
        vapic_eoi(vp);
    }
    return v;
}

/* As a guest does: take the message out, free the slot, EOM if asked. Its type, or 0. */
static uint32_t guest_receive(uint32_t sint)
{
    uint32_t type = slot(sint)->header.message_type;

    slot(sint)->header.message_type = 0;
    if (slot(sint)->header.message_flags & HV_MESSAGE_FLAG_PENDING)
        wr(HV_X64_MSR_EOM, 0);
    return type;
}

static void test_registers(void **state)
{
    uint64_t v;

    assert_int_equal(rd(HV_X64_MSR_SCONTROL), 0);
    assert_int_equal(rd(HV_X64_MSR_SVERSION), 1);
    assert_int_equal(rd(HV_X64_MSR_SIMP), 0);
    assert_int_equal(rd(HV_X64_MSR_SIEFP), 0);
    assert_int_equal(rd(HV_X64_MSR_EOM), 0);
    for (uint32_t i = 0; i < 16; i++)
        assert_int_equal(rd(HV_X64_MSR_SINT0 + i), 0x10000);
    assert_int_equal(synic_msr_write(vp, HV_X64_MSR_SVERSION, 1), -EPERM);
    assert_int_equal(rd(HV_X64_MSR_SIRBP), 0);
    assert_int_equal(synic_msr_read(vp, HV_X64_MSR_SINT0 + 16, &v), -EPERM);
    assert_int_equal(synic_msr_write(vp, HV_X64_MSR_SCONTROL - 1, 0), -EPERM);

    /* Reserved bits are kept. */
    wr(HV_X64_MSR_SCONTROL, 0xFFFFFFFFFFFFFFFEULL);
    assert_int_equal(rd(HV_X64_MSR_SCONTROL), 0xFFFFFFFFFFFFFFFEULL);
    wr(HV_X64_MSR_SIMP, 0x1FFE);
    assert_int_equal(rd(HV_X64_MSR_SIMP), 0x1FFE);
    wr(HV_X64_MSR_SIEFP, 0x8000000000000FFEULL);
    assert_int_equal(rd(HV_X64_MSR_SIEFP), 0x8000000000000FFEULL);
    wr(HV_X64_MSR_SINT5, 0xFFFFFFFFFFFAFF30ULL);
    assert_int_equal(rd(HV_X64_MSR_SINT5), 0xFFFFFFFFFFFAFF30ULL);
    wr(HV_X64_MSR_EOM, 0x1234);
    assert_int_equal(rd(HV_X64_MSR_EOM), 0);
}

static void test_sint_vectors(void **state)
{
    for (uint64_t v = 0; v < 256; v++) {
        assert_int_equal(synic_msr_write(vp, HV_X64_MSR_SINT3, v), v < 16 ? -EPERM : 0);
        assert_int_equal(synic_msr_write(vp, HV_X64_MSR_SINT4, v | 0x10000), 0);
    }
    wr(HV_X64_MSR_SINT3, 0x55);
    assert_int_equal(synic_msr_write(vp, HV_X64_MSR_SINT3, 0x0F), -EPERM);
    assert_int_equal(rd(HV_X64_MSR_SINT3), 0x55);
}

static void test_pages_are_cleared(void **state)
{
    memset(shim.ram, 0xAA, sizeof(shim.ram));
    synic_provide_pages(vp, gpa(0x1000), gpa(0x2000));
    assert_int_equal(rd(HV_X64_MSR_SIMP), 0x1000);
    assert_int_equal(rd(HV_X64_MSR_SIEFP), 0x2000);
    wr(HV_X64_MSR_SIMP, 0x1001);
    wr(HV_X64_MSR_SIEFP, 0x2001);
    assert_int_equal(shim.ram[0xFFF], 0xAA);
    for (unsigned i = 0x1000; i < 0x3000; i++)
        assert_int_equal(shim.ram[i], 0);
    assert_int_equal(shim.ram[0x3000], 0xAA);
    shim.ram[0x1000] = 1;
    wr(HV_X64_MSR_SIMP, 0x1001); /* no change */
    assert_int_equal(shim.ram[0x1000], 1);
    wr(HV_X64_MSR_SIMP, 0x3001); /* moved */
    assert_int_equal(shim.ram[0x3000], 0);
    /* Not RAM: no fault, but nothing can be delivered. */
    wr(HV_X64_MSR_SCONTROL, 1);
    wr(HV_X64_MSR_SIMP, 0xFFFFFFFFFFFFF001ULL);
    assert_int_equal(post(1), -ENODEV);
}

static void test_post_errors(void **state)
{
    struct hv_message m = message(7);

    assert_int_equal(synic_post_message(vp, 16, &m), -EINVAL);
    m.header.payload_size = 241;
    assert_int_equal(synic_post_message(vp, SINT, &m), -EINVAL);
    assert_int_equal(synic_offer_message(vp, SINT, &m), -EINVAL);
    assert_int_equal(post(0), -EINVAL);
    wr(HV_X64_MSR_SCONTROL, 0);
    assert_int_equal(post(1), -ENODEV);
    wr(HV_X64_MSR_SCONTROL, 1);
    wr(HV_X64_MSR_SIMP, SIM_PAGE);
    assert_int_equal(post(1), -ENODEV);
    assert_int_equal(synic_offer_message(vp, SINT, &(struct hv_message){.header = {1, 0, 0, 0, 0}}),
                     -ENODEV);
    assert_int_equal(taken(), -1);
}

static void test_deliver(void **state)
{
    assert_int_equal(post(5), 0);
    assert_int_equal(slot(SINT)->header.message_type, 5);
    assert_int_equal(slot(SINT)->header.payload_size, 16);
    assert_int_equal(slot(SINT)->header.message_flags, 0);
    assert_int_equal(slot(SINT)->header.reserved, 0);
    assert_int_equal(slot(SINT)->header.sender, 0x1005);
    assert_int_equal(slot(SINT)->payload[0], 5);
    assert_int_equal(slot(SINT)->payload[1], ~5ULL);
    for (unsigned i = 2; i < 30; i++)
        assert_int_equal(slot(SINT)->payload[i], 0);
    assert_int_equal(taken(), VECTOR);
    for (uint32_t i = 0; i < 16; i++)
        assert_true(i == SINT || slot(i)->header.message_type == 0);
}

static void test_queue(void **state)
{
    /* One in the slot, eight waiting, then no credit. */
    for (uint32_t i = 1; i <= 9; i++)
        assert_int_equal(post(i), 0);
    assert_int_equal(post(10), -EAGAIN);
    assert_int_equal(slot(SINT)->header.message_flags, HV_MESSAGE_FLAG_PENDING);
    assert_int_equal(taken(), VECTOR);
    assert_int_equal(taken(), -1);
    for (uint32_t i = 1; i <= 9; i++) {
        assert_int_equal(guest_receive(SINT), i);
        assert_int_equal(taken(), i < 9 ? (int)VECTOR : -1);
        /* The last two: nothing behind it, no EOM wanted. */
        assert_int_equal(slot(SINT)->header.message_flags, i < 8 ? 1 : 0);
    }
    assert_int_equal(guest_receive(SINT), 0);

    /* Without EOM nothing moves, but a later post does it in order. */
    post(20);
    post(21);
    slot(SINT)->header.message_type = 0;
    post(22);
    assert_int_equal(slot(SINT)->header.message_type, 21);
    slot(SINT)->header.message_type = 0;
    synic_retry(vp);
    assert_int_equal(slot(SINT)->header.message_type, 22);
    /* Other SINTs have their own credit. */
    wr(HV_X64_MSR_SINT4, 0x44);
    struct hv_message m = message(9);
    assert_int_equal(synic_post_message(vp, 4, &m), 0);
    assert_int_equal(slot(4)->header.message_type, 9);
}

static void test_queue_survives_disable(void **state)
{
    post(1);
    post(2);
    wr(HV_X64_MSR_SCONTROL, 0);
    slot(SINT)->header.message_type = 0;
    wr(HV_X64_MSR_EOM, 0);
    assert_int_equal(slot(SINT)->header.message_type, 0);
    wr(HV_X64_MSR_SCONTROL, 1);
    assert_int_equal(slot(SINT)->header.message_type, 2);
}

static void test_masked_and_polling(void **state)
{
    static const uint64_t quiet[] = {VECTOR | HV_SYNIC_SINT_MASKED, HV_SYNIC_SINT_MASKED,
                                     VECTOR | HV_SYNIC_SINT_POLLING};
    bool newly;

    for (uint32_t i = 0; i < ARRAY_SIZE(quiet); i++) {
        wr(HV_X64_MSR_SINT0 + SINT, quiet[i]);
        assert_int_equal(post(1), 0);
        assert_int_equal(post(2), 0);
        assert_int_equal(synic_signal_event(vp, SINT, i, &newly), 0);
        assert_true(newly);
        assert_int_equal(guest_receive(SINT), 1);
        assert_int_equal(guest_receive(SINT), 2);
        assert_int_equal(taken(), -1);
    }
    /* Proxy and intercept bits change nothing. */
    wr(HV_X64_MSR_SINT0 + SINT, VECTOR | HV_SYNIC_SINT_PROXY | HV_SYNIC_SINT_AS_INTERCEPT);
    post(1);
    assert_int_equal(taken(), VECTOR);
}

static void test_auto_eoi(void **state)
{
    uint64_t isr;

    wr(HV_X64_MSR_SINT0 + SINT, VECTOR | HV_SYNIC_SINT_AUTO_EOI);
    post(1);
    assert_int_equal(vapic_highest(vp), VECTOR);
    vapic_request(vp, VECTOR);
    vapic_accept(vp, VECTOR);
    vapic_msr_read(vp, X2APIC_MSR(APIC_ISR0 + 0x70), &isr);
    assert_int_equal(isr, 0);
    assert_true(vp->apic.auto_eoi[VECTOR / 32] == BIT(VECTOR % 32));
    /* Two SINTs on one vector: it stays as long as one wants it. */
    wr(HV_X64_MSR_SINT5, VECTOR | HV_SYNIC_SINT_AUTO_EOI);
    wr(HV_X64_MSR_SINT0 + SINT, VECTOR);
    assert_true(vp->apic.auto_eoi[VECTOR / 32] == BIT(VECTOR % 32));
    wr(HV_X64_MSR_SINT5, VECTOR | HV_SYNIC_SINT_AUTO_EOI | HV_SYNIC_SINT_MASKED);
    assert_true(vp->apic.auto_eoi[VECTOR / 32] == 0);
    /* A change of vector takes it along. */
    wr(HV_X64_MSR_SINT5, VECTOR | HV_SYNIC_SINT_AUTO_EOI);
    wr(HV_X64_MSR_SINT5, 0x40 | HV_SYNIC_SINT_AUTO_EOI);
    assert_true(vp->apic.auto_eoi[VECTOR / 32] == 0);
    assert_true(vp->apic.auto_eoi[2] == 1);
}

static void test_events(void **state)
{
    static const uint32_t flags[] = {0, 7, 63, 64, 1000, 2047};
    bool newly;

    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        uint32_t f = flags[i];
        uint8_t *byte = &shim.ram[SIEF_PAGE + SINT * 256 + f / 8];

        assert_int_equal(synic_signal_event(vp, SINT, f, &newly), 0);
        assert_true(newly);
        assert_true(*byte & BIT(f % 8));
        assert_int_equal(taken(), VECTOR);
        assert_int_equal(synic_signal_event(vp, SINT, f, &newly), 0);
        assert_false(newly);
        assert_int_equal(taken(), -1);
        *byte = (uint8_t)(*byte & ~BIT(f % 8));
        assert_int_equal(synic_signal_event(vp, SINT, f, NULL), 0);
        assert_int_equal(taken(), VECTOR);
    }
    assert_int_equal(synic_signal_event(vp, 16, 0, NULL), -EINVAL);
    assert_int_equal(synic_signal_event(vp, SINT, 2048, NULL), -EINVAL);
    wr(HV_X64_MSR_SIEFP, SIEF_PAGE);
    assert_int_equal(synic_signal_event(vp, SINT, 1, NULL), -ENODEV);
    wr(HV_X64_MSR_SIEFP, SIEF_PAGE | 1);
    wr(HV_X64_MSR_SCONTROL, 0);
    assert_int_equal(synic_signal_event(vp, SINT, 1, NULL), -ENODEV);
    assert_int_equal(taken(), -1);
}

static void test_offer(void **state)
{
    struct hv_message m = message(3);

    assert_int_equal(synic_offer_message(vp, SINT, &m), 0);
    assert_int_equal(slot(SINT)->header.message_flags, 0);
    assert_int_equal(slot(SINT)->payload[2], 0);
    assert_int_equal(taken(), VECTOR);
    assert_int_equal(synic_offer_message(vp, SINT, &m), -EAGAIN);
    assert_int_equal(slot(SINT)->header.message_flags, HV_MESSAGE_FLAG_PENDING);
    /* A posted message that overtakes the one on offer keeps the guest writing EOM. */
    slot(SINT)->header.message_type = 0;
    slot(SINT)->header.message_flags = 0;
    assert_int_equal(post(8), 0);
    assert_int_equal(slot(SINT)->header.message_flags, HV_MESSAGE_FLAG_PENDING);
    assert_int_equal(guest_receive(SINT), 8);
    assert_int_equal(vp->synic.offer_waiting, 0);
}

#define RING_PAGE 0x3000U
#define BELL      5U

static struct hv_synic_event_ring *bell_ring(void)
{
    return &((struct hv_synic_event_ring_page *)(void *)&shim.ram[RING_PAGE])
                ->sint_event_ring[BELL];
}

static void ring_on(uint64_t sint)
{
    wr(HV_X64_MSR_SIRBP, RING_PAGE | 1);
    wr(HV_X64_MSR_SINT0, VECTOR);
    wr(HV_X64_MSR_SINT0 + BELL, sint);
}

static void test_ring(void **state)
{
    struct hv_synic_event_ring *ring = bell_ring();

    assert_int_equal(synic_ring_push(vp, BELL, 1), -ENODEV);
    memset(ring, 0xFF, sizeof(*ring));
    ring_on(VECTOR | HV_SYNIC_SINT_AS_INTERCEPT);
    assert_int_equal(ring->data[0], 0);
    assert_int_equal(synic_ring_push(vp, 16, 1), -EINVAL);
    assert_int_equal(synic_ring_push(vp, BELL, 0), -EINVAL);
    assert_int_equal(synic_ring_push(vp, BELL, 77), 0);
    assert_int_equal(ring->data[0], 77);
    assert_int_equal(ring->signal_masked, 1);
    /* The parent hears of it in the slot of intercepts, once while it has not looked. */
    assert_int_equal(slot(0)->header.message_type, HVMSG_SYNIC_SINT_INTERCEPT);
    assert_int_equal(slot(0)->payload[0], BELL);
    assert_int_equal(taken(), VECTOR);
    assert_int_equal(synic_ring_push(vp, BELL, 78), 0);
    assert_int_equal(slot(0)->header.message_flags, 0);
    assert_int_equal(taken(), -1);
    assert_int_equal(guest_receive(0), HVMSG_SYNIC_SINT_INTERCEPT);
    /* Emptied: signals are wanted again. */
    ring->data[0] = ring->data[1] = 0;
    ring->signal_masked = 0;
    assert_int_equal(synic_ring_push(vp, BELL, 79), 0);
    assert_int_equal(ring->data[2], 79);
    assert_int_equal(guest_receive(0), HVMSG_SYNIC_SINT_INTERCEPT);
    /* Switched off and on, it begins anew. */
    wr(HV_X64_MSR_SIRBP, RING_PAGE);
    assert_int_equal(synic_ring_push(vp, BELL, 80), -ENODEV);
    wr(HV_X64_MSR_SIRBP, RING_PAGE | 1);
    assert_int_equal(synic_ring_push(vp, BELL, 80), 0);
    assert_int_equal(ring->data[0], 80);
    assert_int_equal(ring->data[2], 0);
}

static void test_ring_full(void **state)
{
    struct hv_synic_event_ring *ring = bell_ring();

    ring_on(VECTOR + 1); /* no intercept: its own interrupt */
    for (uint32_t i = 1; i <= HV_SYNIC_EVENT_RING_MESSAGE_COUNT; i++)
        assert_int_equal(synic_ring_push(vp, BELL, i), 0);
    assert_int_equal(taken(), VECTOR + 1);
    assert_int_equal(slot(0)->header.message_type, 0);
    assert_int_equal(ring->ring_full, 0);
    assert_int_equal(synic_ring_push(vp, BELL, 99), -EAGAIN);
    assert_int_equal(ring->ring_full, 1);
    for (uint32_t i = 0; i < HV_SYNIC_EVENT_RING_MESSAGE_COUNT; i++) {
        assert_int_equal(ring->data[i], i + 1);
        ring->data[i] = 0;
    }
    ring->ring_full = 0;
    assert_int_equal(synic_ring_push(vp, BELL, 99), 0);
    assert_int_equal(ring->data[0], 99);
    assert_int_equal(taken(), -1); /* the VP is still at it */
}

/* Who cannot be told is told the next time. */
static void test_ring_untold(void **state)
{
    struct hv_synic_event_ring *ring = bell_ring();

    ring_on(VECTOR | HV_SYNIC_SINT_AS_INTERCEPT);
    wr(HV_X64_MSR_SIMP, SIM_PAGE);
    assert_int_equal(synic_ring_push(vp, BELL, 1), 0);
    assert_int_equal(ring->signal_masked, 0);
    wr(HV_X64_MSR_SIMP, SIM_PAGE | 1);
    assert_int_equal(synic_ring_push(vp, BELL, 2), 0);
    assert_int_equal(guest_receive(0), HVMSG_SYNIC_SINT_INTERCEPT);
    assert_int_equal(ring->data[1], 2);
}

/*
 * Two senders on other LPs, one guest that frees slots: all arrive, each sender's in order.
 * They yield where they would spin: ticket locks crawl when there are more threads than cores.
 */
#define SENDERS 2
#define SENDS   5000U
static _Atomic bool failed;

static void *sender(void *arg)
{
    uint32_t base = (uint32_t)((uintptr_t)arg + 1) << 24;
    unsigned spins = 0;

    for (uint32_t n = 1; n <= SENDS;) {
        int rc = post(base | n);

        if (rc == 0)
            n++;
        else if (rc != -EAGAIN || ++spins > 10000000)
            failed = true;
        sched_yield();
        if (failed)
            break;
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[SENDERS];
    uint32_t got[SENDERS] = {0}, total = 0;

    for (uintptr_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sender, (void *)i), 0);
    while (total < SENDERS * SENDS && !failed) {
        uint32_t *where = &slot(SINT)->header.message_type;
        uint32_t type, from;

        /* Looks only when interrupted: a lost interrupt or EOM would hang this. */
        if (taken() < 0) {
            sched_yield();
            continue;
        }
        type = __atomic_load_n(where, __ATOMIC_ACQUIRE);
        if (!type)
            continue;
        from = (type >> 24) - 1;
        if (from >= SENDERS || (type & 0xFFFFFF) != ++got[from])
            failed = true;
        total++;
        __atomic_store_n(where, 0, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&slot(SINT)->header.message_flags, __ATOMIC_SEQ_CST) &
            HV_MESSAGE_FLAG_PENDING)
            wr(HV_X64_MSR_EOM, 0);
    }
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(failed);
    assert_int_equal(total, SENDERS * SENDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_registers, setup),
        cmocka_unit_test_setup(test_sint_vectors, setup),
        cmocka_unit_test_setup(test_pages_are_cleared, setup),
        cmocka_unit_test_setup(test_post_errors, setup_on),
        cmocka_unit_test_setup(test_deliver, setup_on),
        cmocka_unit_test_setup(test_queue, setup_on),
        cmocka_unit_test_setup(test_queue_survives_disable, setup_on),
        cmocka_unit_test_setup(test_masked_and_polling, setup_on),
        cmocka_unit_test_setup(test_auto_eoi, setup_on),
        cmocka_unit_test_setup(test_events, setup_on),
        cmocka_unit_test_setup(test_offer, setup_on),
        cmocka_unit_test_setup(test_ring, setup_on),
        cmocka_unit_test_setup(test_ring_full, setup_on),
        cmocka_unit_test_setup(test_ring_untold, setup_on),
        cmocka_unit_test_setup(test_threads, setup_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
