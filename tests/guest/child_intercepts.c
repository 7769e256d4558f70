/* SPDX-License-Identifier: MIT */
#include "tests/guest/children.h"

/* What a parent hears of its children because it has asked for it. */

extern const uint8_t child_except[], child_except_end[], child_msr[], child_msr_end[],
    child_window[], child_window_end[];

static void install(struct child *c, uint32_t type, uint32_t access, uint64_t parameter,
                    uint16_t wanted)
{
    const struct hv_input_install_intercept in = {c->id, access, type, parameter};
    uint16_t status = parent_call(HVCALL_INSTALL_INTERCEPT, &in, sizeof(in), NULL, 0);

    EXPECT(status == wanted, "intercept %u of 0x%lx, access %u: 0x%x", type, parameter, access,
           status);
}

/* The next intercept is of this type; its payload. */
static void *message(struct child *c, uint32_t type)
{
    struct hv_message *m = child_intercept(c);

    EXPECT(m && m->header.message_type == type, "message 0x%x, not 0x%x",
           m ? m->header.message_type : 0, type);
    return case_failed() ? NULL : m->payload;
}

/* The child reports what it has in AX. */
static void expect_report(struct child *c, uint16_t port, uint16_t value)
{
    struct hv_x64_io_port_intercept_message *io = child_io(c, port);

    REQUIRE(io, "no report on port 0x%x", port);
    EXPECT((io->rax & 0xffff) == value, "port 0x%x: 0x%lx, not 0x%x", port, io->rax & 0xffff,
           value);
    child_go_on(c, &io->header, 2);
}

static void answer_msrs(struct child *c)
{
    struct hv_register_assoc rax = child_reg(HV_X64_REGISTER_RAX, 0x1234);
    struct hv_x64_msr_intercept_message *m = message(c, HVMSG_X64_MSR_INTERCEPT);

    REQUIRE(m, "no RDMSR");
    EXPECT(m->msr_number == 0xc0000101 &&
               m->header.intercept_access_type == HV_INTERCEPT_ACCESS_READ,
           "RDMSR: 0x%x, access %u", m->msr_number, m->header.intercept_access_type);
    EXPECT((m->header.length_cr8 & 0xf) == 2, "RDMSR: length %u", m->header.length_cr8 & 0xf);
    child_set(c, 0, &rax, 1);
    child_go_on(c, &m->header, 2);
    expect_report(c, 0x85, 0x1234);
    m = message(c, HVMSG_X64_MSR_INTERCEPT);
    REQUIRE(m, "no WRMSR");
    EXPECT(m->header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE && m->rax == 0x5678 &&
               !m->rdx,
           "WRMSR: access %u, 0x%lx:0x%lx", m->header.intercept_access_type, m->rdx, m->rax);
    child_go_on(c, &m->header, 2);
    expect_report(c, 0x86, 0x4000);
}

static void answer_cpuid(struct child *c)
{
    struct hv_x64_cpuid_intercept_message *m = message(c, HVMSG_X64_CPUID_INTERCEPT);
    struct hv_register_assoc rbx = child_reg(HV_X64_REGISTER_RBX, 0xabcd);

    REQUIRE(m, "no CPUID");
    EXPECT((uint32_t)m->rax == 0x40000000 && !m->rcx, "CPUID of 0x%lx, 0x%lx", m->rax, m->rcx);
    EXPECT(m->default_result_rbx == 0x7263694d, "default EBX 0x%lx", m->default_result_rbx);
    child_set(c, 0, &rbx, 1);
    child_go_on(c, &m->header, 2);
    expect_report(c, 0x87, 0xabcd);
}

/* What a parent asks for comes to it, also what its child reaches natively otherwise. */
static void installed_intercepts(void)
{
    static const struct {
        uint32_t type, access;
        uint64_t parameter;
    } wanted[] = {{HV_INTERCEPT_TYPE_X64_MSR_INDEX, 3, 0xc0000101},
                  {HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID, 4, 0}};
    struct child c;

    parent_listen();
    REQUIRE(child_with_program(&c, 0, child_msr, child_msr_end), "no child");
    install(&c, HV_INTERCEPT_TYPE_X64_MSR, 4, 0, HV_STATUS_INVALID_PARAMETER);
    install(&c, HV_INTERCEPT_TYPE_X64_CPUID, 4, 1ULL << 32, HV_STATUS_INVALID_PARAMETER);
    install(&c, HV_INTERCEPT_TYPE_REGISTER, 1, 0, HV_STATUS_INVALID_PARAMETER);
    for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++)
        install(&c, wanted[i].type, wanted[i].access, wanted[i].parameter, HV_STATUS_SUCCESS);
    child_run(&c, 0);
    answer_msrs(&c);
    for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (i == 1 && !case_failed())
            answer_cpuid(&c);
        install(&c, wanted[i].type, 0, wanted[i].parameter, HV_STATUS_SUCCESS);
    }
    if (!case_failed())
        expect_report(&c, 0x88, 0);
    child_destroy(&c);
    parent_stop_listening();
}

static struct hv_x64_exception_intercept_message *exception(struct child *c, uint16_t vector)
{
    struct hv_x64_exception_intercept_message *m = message(c, HVMSG_X64_EXCEPTION_INTERCEPT);

    EXPECT(m && m->exception_vector == vector, "exception %u, not %u", m ? m->exception_vector : 0,
           vector);
    return case_failed() ? NULL : m;
}

static void answer_exceptions(struct child *c)
{
    const struct hv_register_assoc ud = child_reg(HV_REGISTER_PENDING_EVENT0, 6 << 16 | 1);
    struct hv_x64_exception_intercept_message *m = exception(c, 6);

    REQUIRE(m, "no #UD");
    EXPECT(m->instruction_byte_count >= 2 && m->instruction_bytes[0] == 0x0f &&
               m->instruction_bytes[1] == 0x0b,
           "%u bytes, %x", m->instruction_byte_count, m->instruction_bytes[0]);
    EXPECT(!m->exception_info && m->gp_registers[4] == 0x7000, "info %u, rsp 0x%lx",
           m->exception_info, m->gp_registers[4]);
    child_go_on(c, &m->header, 2);
    expect_report(c, 0x85, 0);
    m = exception(c, 6);
    REQUIRE(m, "no second #UD");
    child_set(c, 0, &ud, 1);
    child_run(c, 0);
    expect_report(c, 0x86, 1);
    m = exception(c, 13);
    REQUIRE(m, "no #GP");
    install(c, HV_INTERCEPT_TYPE_EXCEPTION, 0, 6, HV_STATUS_SUCCESS);
    child_go_on(c, &m->header, 2);
    expect_report(c, 0x87, 2);
}

/* An intercepted exception is its parent's to deliver, or not. */
static void intercepted_exceptions(void)
{
    struct child c;

    parent_listen();
    REQUIRE(child_with_program(&c, 0, child_except, child_except_end), "no child");
    install(&c, HV_INTERCEPT_TYPE_EXCEPTION, 1, 6, HV_STATUS_INVALID_PARAMETER);
    install(&c, HV_INTERCEPT_TYPE_EXCEPTION, 4, 2, HV_STATUS_INVALID_PARAMETER);
    install(&c, HV_INTERCEPT_TYPE_EXCEPTION, 4, 6, HV_STATUS_SUCCESS);
    install(&c, HV_INTERCEPT_TYPE_EXCEPTION, 4, 13, HV_STATUS_SUCCESS);
    child_run(&c, 0);
    answer_exceptions(&c);
    child_destroy(&c);
    parent_stop_listening();
}

static void wish(struct child *c, uint64_t wanted)
{
    const struct hv_register_assoc r = child_reg(HV_REGISTER_DELIVERABILITY_NOTIFICATIONS, wanted);

    child_set(c, 0, &r, 1);
    child_run(c, 0);
}

static void expect_interruption(struct child *c, uint32_t type, bool enabled)
{
    struct hv_x64_interruption_deliverable_message *m =
        message(c, HVMSG_X64_INTERRUPTION_DELIVERABLE);

    REQUIRE(m, "no message");
    EXPECT(m->deliverable_type == type, "type %u, not %u", m->deliverable_type, type);
    EXPECT(!!(m->header.rflags & 0x200) == enabled, "rflags 0x%lx", m->header.rflags);
}

static void expect_sints(struct child *c, uint16_t sints)
{
    struct hv_x64_synic_sint_deliverable_message *m = message(c, HVMSG_SYNIC_SINT_DELIVERABLE);

    EXPECT(m && m->deliverable_sints == sints, "SINTs 0x%x", m ? m->deliverable_sints : 0);
}

static uint16_t post(struct child *c, uint32_t sint)
{
    const struct hv_message m = {.header = {.message_type = 0x55}};
    struct hv_input_post_message_direct in = {.partition_id = c->id, .sint_index = sint};

    memcpy(in.message, &m, sizeof(m));
    return parent_call(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof(in), NULL, 0);
}

/* A parent is told once when its child can take an NMI, an interrupt, a message. */
static void wishes_come_true(struct child *c)
{
    const uint64_t sint2 = 4ULL << HV_DELIVERABILITY_SINT_SHIFT;
    struct hv_x64_io_port_intercept_message *io = child_io(c, 0x85);

    REQUIRE(io, "no first report");
    wish(c, HV_DELIVERABILITY_NMI | HV_DELIVERABILITY_INTERRUPT | sint2);
    expect_interruption(c, HV_INTERRUPTION_TYPE_NMI, false);
    child_go_on(c, &io->header, 2);
    expect_interruption(c, HV_INTERRUPTION_TYPE_EXTERNAL, true);
    EXPECT(child_get(c, 0, HV_REGISTER_DELIVERABILITY_NOTIFICATIONS) == sint2, "what is left");
    child_run(c, 0);
    expect_sints(c, 4);
    EXPECT(!child_get(c, 0, HV_REGISTER_DELIVERABILITY_NOTIFICATIONS), "nothing is left");
    child_run(c, 0);
    io = child_io(c, 0x86);
    REQUIRE(io, "no second report");
    EXPECT(post(c, 2) == HV_STATUS_SUCCESS, "post");
    wish(c, sint2);
    EXPECT(child_io(c, 0x86), "told while the slot is full");
    child_go_on(c, &io->header, 2);
    expect_sints(c, 4);
    child_run(c, 0);
    EXPECT(child_io(c, 0x87), "no third report");
}

static void deliverability(void)
{
    struct child c;

    parent_listen();
    REQUIRE(child_with_program(&c, 0, child_window, child_window_end), "no child");
    child_run(&c, 0);
    wishes_come_true(&c);
    child_destroy(&c);
    parent_stop_listening();
}

static const struct test_case cases[] = {
    {"installed_intercepts", installed_intercepts, NEED_HV},
    {"intercepted_exceptions", intercepted_exceptions, NEED_HV},
    {"deliverability", deliverability, NEED_HV},
};

TEST_GROUP(wishes, cases);
