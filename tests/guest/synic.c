/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/*
 * Messages, their queueing and EOM, event flags. The senders are the synthetic timers and the
 * partition itself, which may send to its own VPs.
 */

#define SINT       2
#define VECTOR     0x60
#define SOON       20000   /* reference time, 2 ms */
#define LONG_US    1000000 /* waiting this long is a failure */
#define QUIET_US   20000   /* nothing happened if nothing happened for so long */
#define TIMER_CONF STIMER_SINT(SINT)

static uint32_t interrupts(void)
{
    return this_cpu()->irq_count[VECTOR];
}

/* SynIC on, one SINT programmed, interrupts on. */
static void begin(uint64_t sint)
{
    hv_synic_enable();
    hv_sint_set(SINT, sint);
    this_cpu()->irq_count[VECTOR] = 0;
    irq_enable();
}

static void finish(void)
{
    hv_synic_disable();
    irq_disable();
}

static void timer_in(unsigned timer, uint64_t ticks)
{
    hv_stimer_start(timer, TIMER_CONF, hv_ref_time() + ticks);
}

static bool message_present(void)
{
    return hv_message_slot(SINT)->header.message_type != HVMSG_NONE;
}

static void check_message(unsigned timer, const char *which)
{
    volatile struct hv_message *m = hv_message_slot(SINT);
    volatile struct hv_timer_message_payload *t = hv_timer_message(SINT);

    REQUIRE(m->header.message_type == HVMSG_TIMER_EXPIRED, "%s: message type 0x%x", which,
            m->header.message_type);
    EXPECT(m->header.payload_size == sizeof(*t), "%s: payload of %u bytes", which,
           m->header.payload_size);
    EXPECT(t->timer_index == timer, "%s: from timer %u, not %u", which, t->timer_index, timer);
    EXPECT(t->delivery_time >= t->expiration_time, "%s: delivered before it expired", which);
}

static void message_delivered(void)
{
    begin(VECTOR);
    timer_in(1, SOON);
    REQUIRE(WAIT_FOR(interrupts(), LONG_US), "no interrupt; message %sthere",
            message_present() ? "" : "not ");
    check_message(1, "message");
    EXPECT(!(hv_message_slot(SINT)->header.message_flags & 1), "more is said to be waiting");
    hv_message_done(SINT);
    finish();
}

/* The slot is taken: the second message waits, flagged, until EOM. */
static void message_queued_until_eom(void)
{
    begin(VECTOR);
    timer_in(0, SOON);
    REQUIRE(WAIT_FOR(interrupts() == 1, LONG_US), "no first interrupt");
    check_message(0, "first");
    timer_in(3, SOON);
    EXPECT(WAIT_FOR(hv_message_slot(SINT)->header.message_flags & 1, LONG_US),
           "the waiting message is not flagged");
    delay_us(QUIET_US);
    check_message(0, "first, kept");
    EXPECT(interrupts() == 1, "%u interrupts for one message", interrupts());
    hv_message_done(SINT);
    EXPECT(WAIT_FOR(interrupts() == 2, LONG_US), "no interrupt after EOM");
    check_message(3, "second");
    hv_message_done(SINT);
    finish();
}

/* Several wait: EOM after EOM brings each of them once. */
static void message_queue_of_four(void)
{
    unsigned seen = 0;

    begin(VECTOR);
    for (unsigned t = 0; t < HV_SYNIC_STIMER_COUNT; t++)
        timer_in(t, SOON);
    for (unsigned n = 1; n <= HV_SYNIC_STIMER_COUNT; n++) {
        REQUIRE(WAIT_FOR(message_present(), LONG_US), "message %u does not come", n);
        delay_us(2000);
        seen |= BIT(hv_timer_message(SINT)->timer_index);
        hv_message_done(SINT);
    }
    delay_us(QUIET_US);
    EXPECT(seen == 0xF, "timers seen: 0x%x", seen);
    EXPECT(!message_present(), "a fifth message");
    EXPECT(interrupts() == HV_SYNIC_STIMER_COUNT, "%u interrupts", interrupts());
    finish();
}

static void masked_sint_keeps_message(void)
{
    begin(HV_SYNIC_SINT_MASKED | VECTOR);
    timer_in(0, SOON);
    EXPECT(WAIT_FOR(message_present(), LONG_US), "a masked SINT takes no message");
    delay_us(QUIET_US);
    EXPECT(interrupts() == 0, "a masked SINT interrupts");
    finish();
}

static void polled_sint(void)
{
    begin(HV_SYNIC_SINT_POLLING | VECTOR);
    timer_in(0, SOON);
    EXPECT(WAIT_FOR(message_present(), LONG_US), "no message");
    delay_us(QUIET_US);
    EXPECT(interrupts() == 0, "a polled SINT interrupts");
    finish();
}

static void no_eoi(struct trap_frame *f)
{
}

/* With AutoEOI nothing is in service while the handler runs, and no EOI is owed. */
static void auto_eoi(void)
{
    begin(HV_SYNIC_SINT_AUTO_EOI | VECTOR);
    irq_handler_set(VECTOR, no_eoi);
    for (unsigned n = 1; n <= 3; n++) {
        timer_in(0, SOON);
        REQUIRE(WAIT_FOR(interrupts() == n, LONG_US), "interrupt %u does not come", n);
        EXPECT(!apic_bit(APIC_ISR, VECTOR), "the vector stays in service");
        hv_message_done(SINT);
    }
    finish();
}

static void no_auto_eoi(void)
{
    begin(VECTOR);
    irq_handler_set(VECTOR, no_eoi);
    timer_in(0, SOON);
    REQUIRE(WAIT_FOR(interrupts() == 1, LONG_US), "no interrupt");
    EXPECT(apic_bit(APIC_ISR, VECTOR), "the vector is not in service");
    hv_message_done(SINT);
    timer_in(0, SOON);
    delay_us(QUIET_US);
    EXPECT(interrupts() == 1, "an interrupt of the same vector before EOI");
    apic_eoi();
    EXPECT(WAIT_FOR(interrupts() == 2, LONG_US), "no interrupt after EOI");
    apic_eoi();
    finish();
}

static void disabled_synic(void)
{
    begin(VECTOR);
    wrmsr(HV_X64_MSR_SCONTROL, 0);
    timer_in(0, SOON);
    delay_us(QUIET_US);
    EXPECT(!message_present(), "a message although the SynIC is off");
    EXPECT(interrupts() == 0, "an interrupt although the SynIC is off");
    finish();
}

static void message_page_off(void)
{
    begin(VECTOR);
    wrmsr(HV_X64_MSR_SIMP, 0);
    timer_in(0, SOON);
    delay_us(QUIET_US);
    EXPECT(interrupts() == 0, "an interrupt without a message page");
    finish();
}

static void message_page_moves(void)
{
    static uint8_t other[4096] PAGE_ALIGNED;
    volatile struct hv_message *m = (struct hv_message *)(void *)other + SINT;

    begin(VECTOR);
    wrmsr(HV_X64_MSR_SIMP, PA(other) | 1);
    memset(other, 0, sizeof(other));
    timer_in(0, SOON);
    EXPECT(WAIT_FOR(interrupts() == 1, LONG_US), "no interrupt");
    EXPECT(m->header.message_type == HVMSG_TIMER_EXPIRED, "no message in the new page");
    finish();
}

static void eom_without_message(void)
{
    begin(VECTOR);
    for (unsigned i = 0; i < 16; i++)
        EXPECT(safe_wrmsr(HV_X64_MSR_EOM, i) == 0, "EOM faults");
    EXPECT(!message_present() && interrupts() == 0, "EOM makes something of nothing");
    finish();
}

static void message_on_cpu(void *arg)
{
    begin(VECTOR);
    for (unsigned n = 1; n <= 5; n++) {
        timer_in(n & 3, SOON / 2);
        REQUIRE(WAIT_FOR(interrupts() == n, LONG_US), "processor %u: no interrupt %u",
                this_cpu()->index, n);
        check_message(n & 3, "message");
        hv_message_done(SINT);
    }
    hv_synic_disable();
}

static void message_on_every_cpu(void)
{
    smp_run_all(message_on_cpu, NULL, 10 * LONG_US);
    irq_disable();
}

/* ---- Sent to ourselves: messages with contents, event flags -------------------------------- */

static uint32_t post_direct(uint32_t vp, uint32_t type, uint64_t word)
{
    struct hv_input_post_message_direct *in = hv_input_page();
    struct hv_message m = {.header = {.message_type = type, .payload_size = sizeof(word)}};

    m.payload[0] = word;
    memset(in, 0, sizeof(*in));
    in->partition_id = HV_PARTITION_ID_SELF;
    in->vp_index = vp;
    in->sint_index = SINT;
    memcpy(in->message, &m, sizeof(m));
    return HC_STATUS(hv_call(HVCALL_POST_MESSAGE_DIRECT, PA(in), 0));
}

/* Status; -1 if the answer to "was it clear before" is not the one given. */
static int signal_direct(uint32_t vp, uint16_t flag, bool newly)
{
    struct hv_input_signal_event_direct *in = hv_input_page();
    struct hv_output_signal_event_direct *out = hv_output_page();
    uint32_t s;

    memset(in, 0, sizeof(*in));
    in->target_partition = HV_PARTITION_ID_SELF;
    in->target_vp = vp;
    in->target_sint = SINT;
    in->flag_number = flag;
    s = HC_STATUS(hv_call(HVCALL_SIGNAL_EVENT_DIRECT, PA(in), PA(out)));
    return s == HV_STATUS_SUCCESS && (out->newly_signaled == 1) != newly ? -1 : (int)s;
}

static bool may_send(void)
{
    uint32_t s;

    if (!hv_hypercall_enable())
        return false;
    s = HC_STATUS(hv_call(HVCALL_SIGNAL_EVENT_DIRECT, PA(hv_input_page()), PA(hv_output_page())));
    if (s != HV_STATUS_INVALID_HYPERCALL_CODE && s != HV_STATUS_ACCESS_DENIED)
        return true;
    case_skip("not for this partition (status 0x%x)", s);
    return false;
}

/* One in the slot, eight in the queue, then the sender hears of it; none is lost or reordered. */
static void posted_messages(void)
{
    volatile struct hv_message *m = hv_message_slot(SINT);
    uint32_t s, sent = 0;

    if (!may_send())
        return;
    begin(VECTOR);
    while ((s = post_direct(0, 7, 100 + sent)) == HV_STATUS_SUCCESS && sent < 100)
        sent++;
    EXPECT(s == HV_STATUS_INSUFFICIENT_BUFFERS, "a full queue: status 0x%x", s);
    EXPECT(sent >= 2, "%u messages taken", sent);
    for (uint32_t n = 0; n < sent; n++) {
        REQUIRE(WAIT_FOR(message_present(), LONG_US), "message %u of %u does not come", n, sent);
        EXPECT(m->header.message_type == 7 && m->header.payload_size == 8, "type %u, %u bytes",
               m->header.message_type, m->header.payload_size);
        EXPECT(m->payload[0] == 100 + n, "message %u holds %lu", n, m->payload[0]);
        EXPECT(m->payload[1] == 0, "message %u is not cleared behind its payload", n);
        hv_message_done(SINT);
    }
    delay_us(QUIET_US);
    EXPECT(!message_present(), "one message too many");
    EXPECT(post_direct(0, 0, 0) == HV_STATUS_INVALID_PARAMETER, "type 0 is taken");
    EXPECT(post_direct(4000, 7, 0) == HV_STATUS_INVALID_VP_INDEX, "a VP that is not there");
    hv_synic_disable();
    EXPECT(post_direct(0, 7, 0) == HV_STATUS_INVALID_SYNIC_STATE, "the SynIC is off");
    finish();
}

static void event_flags(void)
{
    volatile uint64_t *flags = hv_event_flags(SINT)->flags;

    if (!may_send())
        return;
    begin(VECTOR);
    EXPECT(signal_direct(0, 3, true) == 0, "not newly signaled");
    EXPECT(WAIT_FOR(interrupts() == 1, LONG_US), "no interrupt");
    EXPECT(flags[0] == BIT64(3), "flags 0x%lx", flags[0]);
    EXPECT(signal_direct(0, 3, false) == 0, "a flag that is set is news");
    delay_us(QUIET_US);
    EXPECT(interrupts() == 1, "an interrupt for a flag that was set");
    EXPECT(signal_direct(0, HV_EVENT_FLAGS_COUNT - 1, true) == 0, "the last flag");
    EXPECT(WAIT_FOR(interrupts() == 2, LONG_US), "no interrupt for another flag");
    EXPECT(flags[HV_EVENT_FLAGS_WORDS - 1] == BIT64(63), "last word 0x%lx",
           flags[HV_EVENT_FLAGS_WORDS - 1]);
    flags[0] = 0;
    EXPECT(signal_direct(0, 3, true) == 0, "not news after it was cleared");
    EXPECT(WAIT_FOR(interrupts() == 3, LONG_US), "no interrupt after it was cleared");
    EXPECT(signal_direct(0, HV_EVENT_FLAGS_COUNT, true) == HV_STATUS_INVALID_PARAMETER,
           "a flag beyond the last");
    hv_sint_set(SINT, HV_SYNIC_SINT_MASKED | VECTOR);
    EXPECT(signal_direct(0, 5, true) == 0, "a masked SINT");
    delay_us(QUIET_US);
    EXPECT(flags[0] == (BIT64(3) | BIT64(5)), "flags of a masked SINT 0x%lx", flags[0]);
    EXPECT(interrupts() == 3, "a masked SINT interrupts");
    finish();
}

#define FLAGS_EACH 200

/* Every processor sets flags of its own on the first one; none may be lost. */
static void flags_from_cpu(void *arg)
{
    uint32_t first = 64 + this_cpu()->index * FLAGS_EACH;

    hv_hypercall_enable();
    for (uint32_t n = 0; n < FLAGS_EACH; n++)
        EXPECT(signal_direct(0, (uint16_t)(first + n), true) == 0, "processor %u flag %u",
               this_cpu()->index, n);
}

static void event_flags_from_every_cpu(void)
{
    volatile uint64_t *flags = hv_event_flags(SINT)->flags;
    uint32_t set = 0;

    if (!may_send())
        return;
    begin(VECTOR);
    smp_run_all(flags_from_cpu, NULL, 10 * LONG_US);
    for (uint32_t n = 0; n < HV_EVENT_FLAGS_WORDS; n++)
        for (uint64_t left = flags[n]; left; left &= left - 1)
            set++;
    EXPECT(set == cpu_count * FLAGS_EACH, "%u flags of %u", set, cpu_count * FLAGS_EACH);
    EXPECT(WAIT_FOR(interrupts() > 0, LONG_US), "no interrupt");
    finish();
}

static const struct test_case cases[] = {
    {"message_delivered", message_delivered, NEED_HV},
    {"message_queued_until_eom", message_queued_until_eom, NEED_HV},
    {"message_queue_of_four", message_queue_of_four, NEED_HV},
    {"masked_sint_keeps_message", masked_sint_keeps_message, NEED_HV},
    {"polled_sint", polled_sint, NEED_HV},
    {"auto_eoi", auto_eoi, NEED_HV},
    {"no_auto_eoi", no_auto_eoi, NEED_HV},
    {"disabled_synic", disabled_synic, NEED_HV},
    {"message_page_off", message_page_off, NEED_HV},
    {"message_page_moves", message_page_moves, NEED_HV},
    {"eom_without_message", eom_without_message, NEED_HV},
    {"message_on_every_cpu", message_on_every_cpu, NEED_HV | NEED_SMP2},
    {"posted_messages", posted_messages, NEED_HV},
    {"event_flags", event_flags, NEED_HV},
    {"event_flags_from_every_cpu", event_flags_from_every_cpu, NEED_HV | NEED_SMP2},
};

TEST_GROUP(synic, cases);
