/* SPDX-License-Identifier: MIT */
/*
 * Three VPs' APICs, SynICs and timers under arbitrary register traffic, messages
 * and time. After each step the invariants that no guest may break are checked.
 */
#include "abi/tlfs/msr.h"
#include "hypervisor/vp/vapic_priv.h"
#include "tests/unit/shim_apic.h"

#define VPS   3U
#define STEPS 2000U

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            panic("%s:%d: %s\n", __FILE__, __LINE__, #cond);                                       \
    } while (0)

struct input {
    const uint8_t *data;
    size_t size;
};

/* The next n bytes as a number; 0 after the end. */
static uint64_t take(struct input *in, unsigned n)
{
    uint64_t v = 0;

    while (n-- && in->size) {
        v = v << 8 | *in->data++;
        in->size--;
    }
    return v;
}

static void check_vp(struct vp *vp)
{
    const struct vapic_state *s = &vp->apic.state;
    int highest = vapic_highest(vp), isr = vapic_vec_highest(s->isr);
    uint64_t base = vapic_base(vp);

    CHECK((base & APIC_BASE_ENABLE) || !(base & APIC_BASE_X2APIC));
    CHECK(!(base & APIC_BASE_BSP) == (vp->index.v != 0));
    CHECK(((s->irr[0] | s->isr[0] | s->tmr[0]) & 0xFFFF) == 0);
    CHECK(highest < 0 || (highest >= 16 && highest >> 4 > (isr < 0 ? 0 : isr >> 4)));
    CHECK(!vapic_wakes(vp) || highest >= 0);
    CHECK((vapic_icr_read(vp) & APIC_ICR_BUSY) == 0);
    if (!vapic_accepts(vp)) {
        for (unsigned i = 0; i < VAPIC_LVT_COUNT; i++)
            CHECK(s->lvt[i] & APIC_LVT_MASKED);
    }
    if (!vapic_is_enabled(vp))
        CHECK(isr < 0 && !s->timer_running);
    CHECK(!s->timer_running || s->timer_initial);
    for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
        const struct synic_queue *q = &vp->synic.queue[i];

        CHECK(q->tail - q->head <= SYNIC_QUEUE_CREDIT);
    }
}

/* Deliver what is pending as the run loop does, lazy EOI included. */
static void deliver(struct vp *vp)
{
    int v = vapic_highest(vp);

    if (v < 0)
        return;
    vapic_request(vp, (uint8_t)v);
    if (vapic_lazy_eoi_offer(vp, (uint8_t)v))
        CHECK(vapic_vec_highest(vp->apic.state.isr) < 0 &&
              !vapic_vec_test(vp->apic.state.tmr, (unsigned)v));
    vapic_accept(vp, (uint8_t)v);
    CHECK(vapic_highest(vp) != v);
}

static void advance(uint64_t ticks)
{
    unsigned before = shim.fires;
    uint64_t periods;

    shim_run_until(shim.tsc + ticks);
    /* Per VP: one APIC timer and four synthetic ones, each with a least period; twice for rounding.
     */
    periods = ticks / (shim.tsc_hz / 50000) + 2;
    CHECK(shim.fires - before <= 2 * VPS * 5 * periods);
}

static void message_send(struct vp *vp, struct input *in)
{
    struct hv_message m;
    uint32_t sint = (uint32_t)take(in, 1);

    memset(&m, 0, sizeof(m));
    m.header.message_type = (uint32_t)take(in, 1);
    m.header.payload_size = (uint8_t)take(in, 1);
    synic_post_message(vp, sint, &m);
}

static void synthetic_msr(struct vp *vp, uint32_t n, uint64_t v)
{
    uint64_t out;

    if (n & 0x40) {
        stimer_msr_write(vp, HV_X64_MSR_STIMER0_CONFIG + (n & 0xF), v);
        stimer_msr_read(vp, HV_X64_MSR_STIMER0_CONFIG + (n & 0xF), &out);
    } else {
        synic_msr_write(vp, HV_X64_MSR_SCONTROL + (n & 0x3F), v);
        synic_msr_read(vp, HV_X64_MSR_SCONTROL + (n & 0x3F), &out);
    }
}

static void mmio_access(struct vp *vp, struct input *in)
{
    uint32_t offset = (uint32_t)take(in, 1) << 4;

    vapic_mmio_write(vp, offset, (uint32_t)take(in, 4));
    vapic_mmio_read(vp, offset);
}

static void msr_access(struct vp *vp, struct input *in)
{
    uint32_t msr = X2APIC_MSR_FIRST + (uint32_t)take(in, 1);
    uint64_t before = 0, after = 0, val = take(in, 5);
    bool readable = vapic_msr_read(vp, msr, &before) == 0;

    /* A fault changes nothing. */
    if (vapic_msr_write(vp, msr, val) && readable) {
        CHECK(vapic_msr_read(vp, msr, &after) == 0);
        CHECK(before == after);
    }
}

static void step(struct input *in)
{
    uint8_t op = (uint8_t)take(in, 1);
    struct vp *vp = shim_vp((op >> 4) % VPS);

    switch (op & 0xF) {
    case 0:
    case 1:
        msr_access(vp, in);
        break;
    case 2:
    case 3:
        mmio_access(vp, in);
        break;
    case 4:
        vapic_base_write(vp, take(in, 1) << 4 | (take(in, 1) & 1 ? 0xFEE00000 : 0));
        break;
    case 5:
        vapic_set_irr(vp, (uint8_t)take(in, 1), op & 0x40);
        break;
    case 6:
        deliver(vp);
        break;
    case 7:
        vapic_eoi(vp);
        break;
    case 8:
        vapic_icr_write(vp, take(in, 8));
        break;
    case 9:
        vapic_tpr_set(vp, (uint8_t)take(in, 1));
        break;
    case 10:
        advance(take(in, 3));
        break;
    case 11:
        synthetic_msr(vp, (uint32_t)take(in, 1), take(in, 3));
        break;
    case 12:
        message_send(vp, in);
        break;
    case 13:
        synic_signal_event(vp, (uint32_t)take(in, 1), (uint32_t)take(in, 2), NULL);
        break;
    case 14: /* the guest scribbles over its pages */
        shim.ram[take(in, 2) % sizeof(shim.ram)] = (uint8_t)take(in, 1);
        synic_retry(vp);
        break;
    default:
        if (op & 0x80)
            vapic_reset(vp);
        else
            vapic_route(&shim.partition, (uint32_t)take(in, 1), op & 0x10, op & 0x20,
                        (enum apic_delivery)(take(in, 1) & 7), (uint8_t)take(in, 1), op & 0x40);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    shim_init(VPS, take(&in, 1) & 1);
    for (unsigned n = 0; n < STEPS && in.size; n++) {
        step(&in);
        for (unsigned i = 0; i < VPS; i++)
            check_vp(shim_vp(i));
    }
    return 0;
}
