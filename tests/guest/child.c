/* SPDX-License-Identifier: MIT */
#include "tests/guest/children.h"

/* Life and memory of children, and what a parent hears of them without asking. */

#define SOON_US    2000000
#define ANY_ACCESS 0xff

extern const uint8_t child_basic[], child_basic_end[], child_cpuid[], child_cpuid_end[],
    child_demand[], child_demand_end[], child_spin[], child_spin_end[];

static void life_cycle(void)
{
    struct child c;

    pool_fill();
    REQUIRE(hv_hypercall_enable(), "no hypercalls");
    EXPECT(partition_call(HVCALL_DELETE_PARTITION, 12345) == HV_STATUS_INVALID_PARTITION_ID,
           "a child that does not exist is deleted");
    REQUIRE(child_create(&c), "no child");
    EXPECT(partition_call(HVCALL_INITIALIZE_PARTITION, c.id) == HV_STATUS_INVALID_PARTITION_STATE,
           "initialized twice");
    EXPECT(partition_call(HVCALL_DELETE_PARTITION, c.id) == HV_STATUS_INVALID_PARTITION_STATE,
           "an active child is deleted");
    REQUIRE(child_vp_create(&c, 0), "no VP");
    REQUIRE(child_vp_create(&c, 3), "no VP 3");
    child_destroy(&c);
    EXPECT(partition_call(HVCALL_FINALIZE_PARTITION, c.id) == HV_STATUS_INVALID_PARTITION_ID,
           "a deleted child is finalized");
}

/* What may not be deposited, and what a deposited page is to its former owner. */
static void deposits_are_checked(void)
{
    uint64_t *in = hv_input_page(), page;
    struct child c;
    uint8_t byte;

    pool_fill();
    REQUIRE(hv_hypercall_enable() && child_create(&c), "no child");
    in[0] = c.id;
    in[1] = 0xfee00;
    EXPECT(HC_STATUS(hv_call(HVCALL_DEPOSIT_MEMORY | HC_REPS(1), PA(in), 0)) ==
               HV_STATUS_INVALID_PARAMETER,
           "the APIC's page is taken");
    in[1] = 1ULL << 60;
    EXPECT(HC_STATUS(hv_call(HVCALL_DEPOSIT_MEMORY | HC_REPS(1), PA(in), 0)) ==
               HV_STATUS_INVALID_PARAMETER,
           "an impossible page is taken");
    page = pool[pool_count - 1];
    *(volatile uint64_t *)(page << 12) = 0x5555;
    EXPECT(pool_deposit(c.id, 1) == HV_STATUS_SUCCESS, "deposit");
    in[0] = c.id;
    in[1] = page;
    EXPECT(HC_STATUS(hv_call(HVCALL_DEPOSIT_MEMORY | HC_REPS(1), PA(in), 0)) ==
               HV_STATUS_INVALID_PARAMETER,
           "a page is taken twice");
    EXPECT(safe_read8(page << 12, &byte) == 13, "a deposited page can be read");
    EXPECT(safe_write8(page << 12, 1) == 13, "a deposited page can be written");
    EXPECT(child_map(&c, 0, page << 12, 1, ALL_RWX) == HV_STATUS_INVALID_PARAMETER,
           "a deposited page can be mapped");
    child_destroy(&c);
    EXPECT(*(volatile uint64_t *)(page << 12) == 0, "a page comes back with something in it");
}

/* A page that a child reaches cannot be given to the hypervisor. */
static void lent_pages_stay(void)
{
    uint64_t *in = hv_input_page();
    struct child c;

    pool_fill();
    REQUIRE(hv_hypercall_enable() && child_create(&c), "no child");
    EXPECT(child_map(&c, 0x10000, MEMORY_START, 2, ALL_RWX) == HV_STATUS_SUCCESS, "map");
    EXPECT(child_map(&c, 0x20000, MEMORY_START, 1, ALL_RWX) == HV_STATUS_SUCCESS, "map again");
    EXPECT(child_unmap(&c, 0x10000, 1) == HV_STATUS_SUCCESS, "unmap");
    in[0] = HV_PARTITION_ID_SELF;
    in[1] = MEMORY_START >> 12;
    EXPECT(HC_STATUS(hv_call(HVCALL_DEPOSIT_MEMORY | HC_REPS(1), PA(in), 0)) ==
               HV_STATUS_OPERATION_DENIED,
           "a lent page is taken");
    EXPECT(child_unmap(&c, 0x20000, 1) == HV_STATUS_SUCCESS, "unmap");
    in[0] = HV_PARTITION_ID_SELF;
    in[1] = MEMORY_START >> 12;
    EXPECT(HC_STATUS(hv_call(HVCALL_DEPOSIT_MEMORY | HC_REPS(1), PA(in), 0)) == HV_STATUS_SUCCESS,
           "a page that is lent no more is refused");
    pool_total++;
    child_destroy(&c);
    pool_total--;
    /* The page of the children's memory is not the pool's to use. */
    for (unsigned i = 0; i < pool_count; i++)
        if (pool[i] == MEMORY_START >> 12)
            pool[i] = pool[pool_count - 1];
    pool_count--;
}

static void interrupt(struct child *c, uint32_t type, uint32_t vector)
{
    const struct hv_input_assert_virtual_interrupt in = {
        .partition_id = c->id, .control = type, .dest_addr = 0, .vector = vector};
    uint16_t status = parent_call(HVCALL_ASSERT_VIRTUAL_INTERRUPT, &in, sizeof(in), NULL, 0);

    EXPECT(status == HV_STATUS_SUCCESS, "interrupt: 0x%x", status);
}

static void answer_io(struct child *c)
{
    struct hv_x64_io_port_intercept_message *io = child_io(c, 0x80);
    struct hv_register_assoc rax;

    REQUIRE(io, "no OUT");
    EXPECT(io->access_info == 1 && io->header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE,
           "OUT: access 0x%x, type %u", io->access_info, io->header.intercept_access_type);
    EXPECT((io->rax & 0xff) == 0x42, "OUT: rax 0x%lx", io->rax);
    EXPECT((io->header.length_cr8 & 0xf) == 1, "OUT: length %u", io->header.length_cr8 & 0xf);
    EXPECT(c->registers[0]->isvalid && c->registers[0]->rip == io->header.rip,
           "register page: valid %u, rip 0x%lx", c->registers[0]->isvalid, c->registers[0]->rip);
    child_go_on(c, &io->header, 1);
    io = child_io(c, 0x81);
    REQUIRE(io, "no IN");
    EXPECT(io->access_info == 2 && io->header.intercept_access_type == HV_INTERCEPT_ACCESS_READ,
           "IN: access 0x%x", io->access_info);
    rax = child_reg(HV_X64_REGISTER_RAX, 0xbeef);
    child_set(c, 0, &rax, 1);
    child_go_on(c, &io->header, 2);
    io = child_io(c, 0x82);
    REQUIRE(io, "no second OUT");
    EXPECT((io->rax & 0xffff) == 0xbeef, "what came in: 0x%lx", io->rax);
    child_go_on(c, &io->header, 2);
}

static void answer_memory(struct child *c)
{
    struct hv_x64_memory_intercept_message *mem;
    struct hv_message *m = child_intercept(c);

    REQUIRE(m, "no read");
    mem = (void *)m->payload;
    EXPECT(m->header.message_type == HVMSG_UNMAPPED_GPA, "message 0x%x", m->header.message_type);
    EXPECT(mem->guest_physical_address == 0x90010, "read of 0x%lx", mem->guest_physical_address);
    EXPECT(mem->header.intercept_access_type == HV_INTERCEPT_ACCESS_READ, "not a read");
    EXPECT(mem->instruction_byte_count >= 4 && mem->instruction_bytes[0] == 0x8a,
           "%u instruction bytes, %x", mem->instruction_byte_count, mem->instruction_bytes[0]);
    child_go_on(c, &mem->header, 4);
    m = child_intercept(c);
    REQUIRE(m, "no write");
    EXPECT(mem->guest_physical_address == 0x90014, "write of 0x%lx", mem->guest_physical_address);
    EXPECT(mem->header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE, "not a write");
    child_go_on(c, &mem->header, 4);
}

static void intercepts(void)
{
    struct hv_x64_io_port_intercept_message *io;
    struct hv_message *m;
    struct child c;

    parent_listen();
    REQUIRE(child_with_program(&c, 0, child_basic, child_basic_end), "no child");
    child_run(&c, 0);
    answer_io(&c);
    if (!case_failed())
        answer_memory(&c);
    if (!case_failed()) {
        delay_us(5000);
        EXPECT(!(child_get(&c, 0, HV_REGISTER_INTERCEPT_SUSPEND) & 1), "HLT reaches the parent");
        interrupt(&c, HV_X64_INTERRUPT_TYPE_FIXED, 0x45);
        io = child_io(&c, 0x83);
        REQUIRE(io, "no OUT after the interrupt");
        EXPECT((io->rax & 0xff) == 1, "%lu interrupts", io->rax & 0xff);
        child_go_on(&c, &io->header, 2);
        m = child_intercept(&c);
        EXPECT(m && m->header.message_type == HVMSG_UNRECOVERABLE_EXCEPTION, "message 0x%x",
               m ? m->header.message_type : 0);
    }
    child_destroy(&c);
    parent_stop_listening();
}

/* Children that never stop share the processors with this one, and can be killed at any time. */
static void spinning_children(void)
{
    struct child c[3];
    volatile uint32_t *count[3];
    uint32_t before[3];

    for (unsigned i = 0; i < 3; i++) {
        REQUIRE(child_with_program(&c[i], i, child_spin, child_spin_end), "no child %u", i);
        count[i] = (volatile uint32_t *)(uintptr_t)(c[i].memory + 0x2000);
        child_run(&c[i], 0);
    }
    for (unsigned i = 0; i < 3; i++)
        EXPECT(WAIT_FOR(*count[i] > 1000, SOON_US), "child %u does not run", i);
    for (unsigned i = 0; i < 3; i++) {
        const struct hv_register_assoc stop = child_reg(HV_REGISTER_EXPLICIT_SUSPEND, 1);

        child_set(&c[i], 0, &stop, 1);
        child_get(&c[i], 0, HV_X64_REGISTER_RIP); /* waits until it stands */
        before[i] = *count[i];
    }
    delay_us(20000);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(*count[i] == before[i], "child %u runs on", i);
        child_run(&c[i], 0);
        EXPECT(WAIT_FOR(*count[i] != before[i], SOON_US), "child %u does not go on", i);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct hv_output_get_memory_balance b;

        EXPECT(partition_call(HVCALL_FINALIZE_PARTITION, c[i].id) == HV_STATUS_SUCCESS, "finalize");
        pool_withdraw(c[i].id);
        b = pool_balance(c[i].id);
        EXPECT(!b.pages_available && !b.pages_in_use, "child %u keeps pages", i);
        EXPECT(partition_call(HVCALL_DELETE_PARTITION, c[i].id) == HV_STATUS_SUCCESS, "delete");
    }
    pool_withdraw(HV_PARTITION_ID_SELF);
    EXPECT(pool_count == pool_total, "%u of %u pages came back", pool_count, pool_total);
}

/* Memory is taken from a child that is using it: it stops there, and nowhere else. */
static void unmap_while_running(void)
{
    volatile uint32_t *count;
    struct hv_message *m;
    struct child c;
    uint32_t seen;

    parent_listen();
    REQUIRE(child_with_program(&c, 0, child_spin, child_spin_end), "no child");
    count = (volatile uint32_t *)(uintptr_t)(c.memory + 0x2000);
    child_run(&c, 0);
    EXPECT(WAIT_FOR(*count > 1000, SOON_US), "the child does not run");
    EXPECT(child_unmap(&c, 0x2000, 1) == HV_STATUS_SUCCESS, "unmap");
    seen = *count;
    m = child_intercept(&c);
    EXPECT(m && m->header.message_type == HVMSG_UNMAPPED_GPA, "message 0x%x",
           m ? m->header.message_type : 0);
    EXPECT(*count == seen, "it was written after the unmap had returned");
    EXPECT(child_map(&c, 0x2000, c.memory + 0x2000, 1, ALL_RWX) == HV_STATUS_SUCCESS, "map again");
    child_run(&c, 0);
    EXPECT(WAIT_FOR(*count != seen, SOON_US), "the child does not go on");
    child_destroy(&c);
    parent_stop_listening();
}

/* The VP stands before an access that was refused; the bytes of its instruction do not matter. */
static void expect_refused(struct child *c, uint64_t gpa, uint8_t access)
{
    struct hv_message *m = child_intercept(c);
    struct hv_x64_memory_intercept_message *mem;

    REQUIRE(m, "no access of 0x%lx", gpa);
    mem = (void *)m->payload;
    EXPECT(m->header.message_type == HVMSG_GPA_INTERCEPT && mem->guest_physical_address == gpa &&
               (mem->header.intercept_access_type == access || access == ANY_ACCESS),
           "message 0x%x: access %u of 0x%lx, not %u of 0x%lx, rip 0x%lx", m->header.message_type,
           mem->header.intercept_access_type, mem->guest_physical_address, access, gpa,
           mem->header.rip);
    EXPECT(child_get(c, 0, HV_X64_REGISTER_RIP) == mem->header.rip, "rip moves on");
}

/* Then it gets the page, and does the same again. */
static void allow(struct child *c, uint64_t gpa, uint32_t flags)
{
    gpa &= ~0xfffULL;
    EXPECT(child_map(c, gpa, c->memory + gpa, 1, flags) == HV_STATUS_SUCCESS, "map 0x%lx", gpa);
    child_run(c, 0);
}

static void refuse_then_allow(struct child *c, uint64_t gpa, uint8_t access)
{
    expect_refused(c, gpa, access);
    allow(c, gpa, ALL_RWX);
}

/* A closed page, a page without write access, a page that must not be executed. */
static void accesses_are_refused(struct child *c)
{
    const uint32_t no_write = ALL_RWX & ~HV_MAP_GPA_WRITABLE;

    refuse_then_allow(c, CODE_GPA, HV_INTERCEPT_ACCESS_EXECUTE);
    refuse_then_allow(c, 0x8010, HV_INTERCEPT_ACCESS_READ);
    refuse_then_allow(c, 0x9004, HV_INTERCEPT_ACCESS_WRITE);
    expect_refused(c, 0xa008, HV_INTERCEPT_ACCESS_WRITE);
    allow(c, 0xa008, no_write);
    refuse_then_allow(c, 0xa008, HV_INTERCEPT_ACCESS_WRITE);
    expect_refused(c, 0xb000, HV_INTERCEPT_ACCESS_EXECUTE);
    allow(c, 0xb000, HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE);
    refuse_then_allow(c, 0xb000, HV_INTERCEPT_ACCESS_EXECUTE);
}

/* What is told of closed pages to the parent, which asks while the VP stands. */
static void closed_pages_answer(struct child *c)
{
    const struct hv_register_assoc paged[] = {child_reg(HV_X64_REGISTER_CR3, 0xf000),
                                              child_reg(HV_X64_REGISTER_CR0, 0x80000011)};
    const struct hv_input_translate_virtual_address where = {
        .partition_id = c->id, .control_flags = HV_TRANSLATE_GVA_VALIDATE_READ, .gva_page = 8};
    const struct hv_input_read_gpa from = {
        .partition_id = c->id, .byte_count = 1, .base_gpa = 0xf000};
    const struct hv_input_write_gpa to = {
        .partition_id = c->id, .byte_count = 1, .base_gpa = 0xf000};
    struct hv_output_translate_virtual_address found = {0};
    struct hv_output_read_gpa read = {0};
    struct hv_register_assoc cr0 = child_reg(HV_X64_REGISTER_CR0, 0);
    uint64_t written = 0;

    cr0.value.reg64 = child_get(c, 0, HV_X64_REGISTER_CR0);
    child_set(c, 0, paged, ARRAY_SIZE(paged));
    EXPECT(!parent_call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &where, sizeof(where), &found,
                        sizeof(found)) &&
               found.result_code == HV_TRANSLATE_GVA_INTERCEPT,
           "translation: %u", found.result_code);
    child_set(c, 0, &cr0, 1);
    EXPECT(!parent_call(HVCALL_READ_GPA, &from, sizeof(from), &read, sizeof(read)) &&
               read.access_result == 2,
           "read: %lu", (unsigned long)read.access_result);
    EXPECT(!parent_call(HVCALL_WRITE_GPA, &to, sizeof(to), &written, sizeof(written)) &&
               written == 3,
           "write: %lu", written);
}

static uint16_t post_direct(struct child *c, uint32_t sint, uint32_t type)
{
    const struct hv_message m = {.header = {.message_type = type}};
    struct hv_input_post_message_direct in = {.partition_id = c->id, .sint_index = sint};

    memcpy(in.message, &m, sizeof(m));
    return parent_call(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof(in), NULL, 0);
}

/* All memory is closed as one unit; it comes back by pages, as the child needs them. */
static void demand(void)
{
    struct hv_x64_io_port_intercept_message *io;
    volatile uint8_t *memory;
    struct child c;
    uint64_t used, at;

    parent_listen();
    REQUIRE(child_with_program(&c, 0, child_demand, child_demand_end), "no child");
    memory = (volatile uint8_t *)(uintptr_t)c.memory;
    memory[0x8010] = 0x5a;
    memory[0xb000] = 0xff; /* JMP BX */
    memory[0xb001] = 0xe3;
    used = pool_balance(c.id).pages_in_use;
    EXPECT(child_close(&c, 0, 1, HV_MAP_GPA_LARGE_PAGE) == HV_STATUS_SUCCESS, "close");
    EXPECT(pool_balance(c.id).pages_in_use == used - 1, "the table of small pages is kept");
    EXPECT(child_close(&c, 0x200000, 3, HV_MAP_GPA_LARGE_PAGE) == HV_STATUS_SUCCESS, "close more");
    EXPECT(child_close(&c, 0x3000, 2, 0) == HV_STATUS_SUCCESS, "close in pages what is closed");
    child_run(&c, 0);
    accesses_are_refused(&c);
    expect_refused(&c, 0x2000, ANY_ACCESS); /* INC reads and writes */
    closed_pages_answer(&c);
    allow(&c, 0x2000, ALL_RWX);
    expect_refused(&c, 0xd000, HV_INTERCEPT_ACCESS_READ);
    /* The child has a hypercall page at 0xc000 now and messages at 0xe000, the hypervisor's. */
    EXPECT(post_direct(&c, 2, 0x1234) == HV_STATUS_SUCCESS, "a message over a closed page");
    EXPECT(child_close(&c, 0xb000, 2, 0) == HV_STATUS_SUCCESS, "close below the hypercall page");
    EXPECT(child_close(&c, 0xc000, 1, 0) == HV_STATUS_SUCCESS, "again");
    EXPECT(child_map(&c, 0xc000, c.memory + 0xe000, 1, ALL_RWX) == HV_STATUS_SUCCESS,
           "map below it");
    EXPECT(child_map(&c, 0xe000, c.memory + 0xe000, 1, ALL_RWX) == HV_STATUS_SUCCESS,
           "below messages");
    EXPECT(child_close(&c, 0, 1, HV_MAP_GPA_LARGE_PAGE) == HV_STATUS_SUCCESS, "close all");
    at = child_get(&c, 0, HV_X64_REGISTER_RIP);
    allow(&c, 0xd000, ALL_RWX);
    refuse_then_allow(&c, at, HV_INTERCEPT_ACCESS_EXECUTE);
    io = child_io(&c, 0x86);
    EXPECT(io && (io->rax & 0xffff) == HV_STATUS_SUCCESS, "hypercall: 0x%lx", io ? io->rax : 0);
    if (io)
        child_go_on(&c, &io->header, 2);
    io = child_io(&c, 0x87);
    EXPECT(io && (io->rax & 0xffff) == 0x1234, "message: 0x%lx", io ? io->rax : 0);
    EXPECT(memory[0x9004] == 0x5a && memory[0xa008] == 0x5a, "written: %x, %x", memory[0x9004],
           memory[0xa008]);
    EXPECT(memory[0x2000] == 1, "done %u times", memory[0x2000]);
    child_destroy(&c);
    parent_stop_listening();
}

/* Pages are taken from a running child and given back, often: it loses nothing. */
static void demand_while_running(void)
{
    volatile uint32_t *count;
    struct child c;
    uint32_t seen;

    parent_listen();
    REQUIRE(child_with_program(&c, 0, child_spin, child_spin_end), "no child");
    count = (volatile uint32_t *)(uintptr_t)(c.memory + 0x2000);
    child_run(&c, 0);
    EXPECT(WAIT_FOR(*count > 1000, SOON_US), "the child does not run");
    for (unsigned i = 0; i < 20 && !case_failed(); i++) {
        struct hv_message *m;

        EXPECT(child_close(&c, 0x2000, 1, 0) == HV_STATUS_SUCCESS, "close");
        seen = *count;
        m = child_intercept(&c);
        EXPECT(m && m->header.message_type == HVMSG_GPA_INTERCEPT, "message 0x%x",
               m ? m->header.message_type : 0);
        EXPECT(*count == seen, "it was written after the call had returned");
        allow(&c, 0x2000, ALL_RWX);
        EXPECT(WAIT_FOR(*count > seen, SOON_US), "the child does not go on");
    }
    child_destroy(&c);
    parent_stop_listening();
}

/* HvCallDispatchVp until the child has an intercept; how often it came back without one. */
static unsigned dispatch(struct child *c, uint32_t flags)
{
    struct hv_input_dispatch_vp in = {.partition_id = c->id, .flags = flags};
    struct hv_output_dispatch_vp out = {0};
    unsigned tries = 0;

    do {
        uint16_t status = parent_call(HVCALL_DISPATCH_VP, &in, sizeof(in), &out, sizeof(out));

        EXPECT(status == HV_STATUS_SUCCESS, "dispatch: 0x%x", status);
        EXPECT(out.dispatch_state == HV_VP_DISPATCH_STATE_READY ||
                   out.dispatch_state == HV_VP_DISPATCH_STATE_BLOCKED,
               "state %u", out.dispatch_state);
        in.flags = 0;
    } while (out.dispatch_event != HV_VP_DISPATCH_EVENT_INTERCEPT && tries++ < 10000 &&
             !case_failed());
    EXPECT(out.dispatch_event == HV_VP_DISPATCH_EVENT_INTERCEPT, "no intercept");
    return tries;
}

/* The same program as in `intercepts`, its parent waiting in the hypervisor each time. */
static void handoff(void)
{
    const struct hv_register_assoc go = child_reg(HV_REGISTER_EXPLICIT_SUSPEND, 0);
    struct hv_x64_io_port_intercept_message *io;
    struct child c;

    REQUIRE(child_with_program(&c, 0, child_cpuid, child_cpuid_end), "no child");
    irq_enable();
    child_set(&c, 0, &go, 1);
    for (unsigned i = 0; i < 200 && !case_failed(); i++) {
        struct hv_register_assoc next[2];

        dispatch(&c, HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND);
        io = (void *)c.message[0]->payload;
        EXPECT(io->port_number == 0x84, "port 0x%x", io->port_number);
        next[0] = child_reg(HV_X64_REGISTER_RIP, io->header.rip + 2);
        next[1] = child_reg(HV_X64_REGISTER_RAX, i);
        child_set(&c, 0, next, 2);
    }
    irq_disable();
    child_destroy(&c);
}

/* Two processors at once: one waits for a child, another takes the child away. */
static struct child victim;

static void wait_for_victim(void *arg)
{
    struct hv_input_dispatch_vp in = {.partition_id = victim.id};
    struct hv_output_dispatch_vp out = {0};
    uint16_t status = parent_call(HVCALL_DISPATCH_VP, &in, sizeof(in), &out, sizeof(out));

    EXPECT(status == HV_STATUS_SUCCESS || status == HV_STATUS_INVALID_PARTITION_ID ||
               status == HV_STATUS_INVALID_PARTITION_STATE,
           "dispatch: 0x%x", status);
}

static void handoff_to_a_dying_child(void)
{
    for (unsigned i = 0; i < 20 && !case_failed(); i++) {
        REQUIRE(child_with_program(&victim, 0, child_spin, child_spin_end), "no child");
        child_run(&victim, 0);
        smp_post(1, wait_for_victim, NULL);
        delay_us(i * 100);
        child_destroy(&victim);
        EXPECT(smp_wait(1, SOON_US), "the waiting processor does not come back");
    }
}

/* What a child writes is marked, once; large and small steps of clearing. */
static void dirty_pages(void)
{
    struct hv_input_set_partition_property track = {
        .property_code = HV_PARTITION_PROPERTY_GPA_PAGE_ACCESS_TRACKING, .property_value = 1};
    struct hv_input_get_gpa_pages_access_state in = {.flags = HV_GPA_ACCESS_CLEAR_DIRTY};
    uint8_t *states = hv_output_page();
    volatile uint32_t *count;
    struct child c;
    uint64_t r;

    REQUIRE(child_with_program(&c, 0, child_spin, child_spin_end), "no child");
    count = (volatile uint32_t *)(uintptr_t)(c.memory + 0x2000);
    track.partition_id = in.partition_id = c.id;
    EXPECT(parent_call(HVCALL_SET_PARTITION_PROPERTY, &track, sizeof(track), NULL, 0) ==
               HV_STATUS_SUCCESS,
           "no tracking");
    child_run(&c, 0);
    EXPECT(WAIT_FOR(*count > 1000, SOON_US), "the child does not run");
    for (unsigned round = 0; round < 3; round++) {
        uint32_t seen;

        memcpy(hv_input_page(), &in, sizeof(in));
        r = hv_call(HVCALL_GET_GPA_PAGES_ACCESS_STATES | HC_REPS(GUEST_PAGES), PA(hv_input_page()),
                    PA(states));
        EXPECT(r == hv_hypercall_result(HV_STATUS_SUCCESS, GUEST_PAGES), "states: 0x%lx", r);
        seen = *count; /* what is written from now on is marked anew */
        for (unsigned i = 0; i < GUEST_PAGES; i++)
            EXPECT(!(states[i] & HV_GPA_ACCESS_STATE_DIRTY) == (i != 2), "page %u: 0x%x", i,
                   states[i]);
        EXPECT(WAIT_FOR(*count > seen + 100, SOON_US), "the child does not go on");
    }
    /* Closed before anybody has asked: dirty, once. */
    EXPECT(child_close(&c, 0x2000, 1, 0) == HV_STATUS_SUCCESS, "close");
    for (unsigned round = 0; round < 2; round++) {
        memcpy(hv_input_page(), &in, sizeof(in));
        r = hv_call(HVCALL_GET_GPA_PAGES_ACCESS_STATES | HC_REPS(GUEST_PAGES), PA(hv_input_page()),
                    PA(states));
        EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "states: 0x%lx", r);
        EXPECT(!(states[2] & HV_GPA_ACCESS_STATE_DIRTY) == (round == 1), "closed: 0x%x", states[2]);
    }
    child_destroy(&c);
}

static void child_sees_itself_as_a_guest(void)
{
    struct hv_x64_io_port_intercept_message *io;
    struct hv_register_assoc ask[2];
    struct child c;
    uint64_t ebx;

    parent_listen();
    REQUIRE(child_with_program(&c, 0, child_cpuid, child_cpuid_end), "no child");
    ask[0] = child_reg(HV_X64_REGISTER_RAX, HYPERV_CPUID_FEATURES);
    ask[1] = child_reg(HV_X64_REGISTER_RCX, 0);
    child_set(&c, 0, ask, 2);
    child_run(&c, 0);
    io = child_io(&c, 0x84);
    REQUIRE(io, "no answer");
    ebx = child_get(&c, 0, HV_X64_REGISTER_RBX);
    EXPECT(!(ebx & 1), "a child may create partitions: 0x%lx", ebx);
    EXPECT(io->rax & HV_MSR_HYPERCALL_AVAILABLE, "a child has no hypercalls: 0x%lx", io->rax);
    child_destroy(&c);
    parent_stop_listening();
}

static const struct test_case cases[] = {
    {"life_cycle", life_cycle, NEED_HV},
    {"deposits_are_checked", deposits_are_checked, NEED_HV},
    {"lent_pages_stay", lent_pages_stay, NEED_HV},
    {"intercepts", intercepts, NEED_HV},
    {"spinning_children", spinning_children, NEED_HV},
    {"unmap_while_running", unmap_while_running, NEED_HV},
    {"demand", demand, NEED_HV},
    {"demand_while_running", demand_while_running, NEED_HV},
    {"child_sees_itself_as_a_guest", child_sees_itself_as_a_guest, NEED_HV},
    {"handoff", handoff, NEED_HV},
    {"handoff_to_a_dying_child", handoff_to_a_dying_child, NEED_HV | NEED_SMP2},
    {"dirty_pages", dirty_pages, NEED_HV},
};

TEST_GROUP(child, cases);
