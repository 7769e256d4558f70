/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/*
 * Messages, their queueing and EOM, event flags. Without a peer the messages come
 * from the synthetic timers, which queue like any other sender.
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

/* ---- Event flags: a port to ourselves and a connection to it ------------------------------- */

#define PORT_TYPE_EVENT 2
#define PORT_ID         0x40
#define CONNECTION_ID   0x41
#define BASE_FLAG       8

/* HvCreatePort and HvConnectPort, only the fields in use. */
struct create_port {
    uint64_t origin_partition;
    uint32_t port_id;
    uint8_t port_vtl, min_connection_vtl;
    uint16_t padding;
    uint64_t connection_partition;
    uint32_t type, type_padding;
    uint32_t sint, vp;
    uint16_t base_flag, flag_count;
    uint32_t reserved;
    uint64_t proximity;
};

_Static_assert(sizeof(struct create_port) == 56, "HvCreatePort");

struct connect_port {
    uint64_t connection_partition;
    uint32_t connection_id;
    uint8_t vtl, reserved0;
    uint16_t reserved1;
    uint64_t port_partition;
    uint32_t port_id, reserved2;
    uint32_t type, type_padding;
    uint64_t info[3];
    uint64_t proximity;
};

_Static_assert(sizeof(struct connect_port) == 72, "HvConnectPort");

/* Open the event port; SKIP where the hypervisor has no ports for us. */
static bool port_open(void)
{
    struct create_port *c = hv_input_page();
    struct connect_port *n = hv_input_page();
    uint32_t s;

    memset(c, 0, sizeof(*c));
    c->origin_partition = c->connection_partition = HV_PARTITION_ID_SELF;
    c->port_id = PORT_ID;
    c->type = PORT_TYPE_EVENT;
    c->sint = SINT;
    c->base_flag = BASE_FLAG;
    c->flag_count = 16;
    s = HC_STATUS(hv_call(HVCALL_CREATE_PORT, PA(c), 0));
    if (s == HV_STATUS_INVALID_HYPERCALL_CODE || s == HV_STATUS_ACCESS_DENIED) {
        case_skip("no ports for this partition (status 0x%x)", s);
        return false;
    }
    EXPECT(s == HV_STATUS_SUCCESS, "create port: status 0x%x", s);
    memset(n, 0, sizeof(*n));
    n->connection_partition = n->port_partition = HV_PARTITION_ID_SELF;
    n->connection_id = CONNECTION_ID;
    n->port_id = PORT_ID;
    n->type = PORT_TYPE_EVENT;
    s = HC_STATUS(hv_call(HVCALL_CONNECT_PORT, PA(n), 0));
    EXPECT(s == HV_STATUS_SUCCESS, "connect port: status 0x%x", s);
    return !case_failed();
}

static void port_close(void)
{
    hv_call(HVCALL_DISCONNECT_PORT | HC_FAST, HV_PARTITION_ID_SELF, CONNECTION_ID);
    hv_call(HVCALL_DELETE_PORT | HC_FAST, HV_PARTITION_ID_SELF, PORT_ID);
}

static uint32_t signal(uint16_t flag)
{
    uint64_t in = CONNECTION_ID | (uint64_t)flag << 32;

    return HC_STATUS(hv_call(HVCALL_SIGNAL_EVENT | HC_FAST, in, 0));
}

static void event_flags(void)
{
    volatile uint64_t *flags;
    uint32_t s;

    if (!hv_hypercall_enable() || !port_open())
        return;
    begin(VECTOR);
    flags = hv_event_flags(SINT)->flags;
    s = signal(3);
    EXPECT(s == HV_STATUS_SUCCESS, "signal: status 0x%x", s);
    EXPECT(WAIT_FOR(interrupts() == 1, LONG_US), "no interrupt");
    EXPECT(flags[0] == BIT64(BASE_FLAG + 3), "flags 0x%lx", flags[0]);
    /* A flag that is already set is no news. */
    signal(3);
    delay_us(QUIET_US);
    EXPECT(interrupts() == 1, "an interrupt for a flag that was set");
    signal(4);
    EXPECT(WAIT_FOR(interrupts() == 2, LONG_US), "no interrupt for another flag");
    EXPECT(flags[0] == 3 * BIT64(BASE_FLAG + 3), "flags 0x%lx", flags[0]);
    s = signal(16);
    EXPECT(s == HV_STATUS_INVALID_PARAMETER, "flag beyond the port: status 0x%x", s);
    port_close();
    s = signal(3);
    EXPECT(s == HV_STATUS_INVALID_CONNECTION_ID, "closed connection: status 0x%x", s);
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
    {"event_flags", event_flags, NEED_HV},
};

TEST_GROUP(synic, cases);
