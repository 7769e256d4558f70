/* SPDX-License-Identifier: MIT */
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/management.h"
#include "tests/guest/rt/hv.h"

/*
 * The test kernel as a parent: it creates children by hypercalls, runs small real-mode programs in
 * them, answers their intercepts, and takes everything back. Its own memory serves as theirs.
 */

#define POOL_START   (64ULL << 20) /* pages that are given away */
#define POOL_PAGES   2048U
#define MEMORY_START (96ULL << 20) /* pages that children use as their memory */
#define CODE_GPA     0x1000ULL
#define GUEST_PAGES  16U
#define VECTOR       0x61
#define SOON_US      2000000
#define ANY_ACCESS   0xff
#define ALL_RWX                                                                                    \
    (HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE | HV_MAP_GPA_KERNEL_EXECUTABLE |                    \
     HV_MAP_GPA_USER_EXECUTABLE)

extern const uint8_t child_basic[], child_basic_end[], child_spin[], child_spin_end[],
    child_cpuid[], child_cpuid_end[], child_demand[], child_demand_end[], child_msr[],
    child_msr_end[], child_except[], child_except_end[];

/* Pages of the pool that are ours now: a stack of frame numbers. */
static uint64_t pool[POOL_PAGES + 1];
static unsigned pool_count;
static unsigned pool_total = POOL_PAGES; /* what must be there when nothing is deposited */

struct child {
    uint64_t id;
    uint64_t memory; /* physical address of its first page */
    struct hv_message *message[4];
    struct hv_vp_register_page *registers[4];
};

static uint16_t call(uint16_t code, const void *in, size_t size, void *out, size_t out_size)
{
    uint16_t status;

    memcpy(hv_input_page(), in, size);
    status = (uint16_t)HC_STATUS(hv_call(code, PA(hv_input_page()), PA(hv_output_page())));
    if (out)
        memcpy(out, hv_output_page(), out_size);
    return status;
}

static void pool_fill(void)
{
    if (pool_count)
        return;
    for (unsigned i = 0; i < POOL_PAGES; i++)
        pool[pool_count++] = (POOL_START >> 12) + i;
}

/* Deposit `count` pages; the status of the call. */
static uint16_t deposit(uint64_t id, unsigned count)
{
    uint64_t *in = hv_input_page();
    uint64_t r;

    if (count > pool_count)
        return HV_STATUS_NO_RESOURCES;
    in[0] = id;
    for (unsigned i = 0; i < count; i++)
        in[1 + i] = pool[pool_count - 1 - i];
    r = hv_call(HVCALL_DEPOSIT_MEMORY | HC_REPS(count), PA(in), 0);
    pool_count -= HC_REPS_DONE(r);
    return (uint16_t)HC_STATUS(r);
}

/* Take back all that is free there; the number of pages. */
static unsigned withdraw(uint64_t id)
{
    struct hv_input_withdraw_memory in = {.partition_id = id};
    unsigned got = 0;
    uint64_t r;

    do {
        memcpy(hv_input_page(), &in, sizeof(in));
        r = hv_call(HVCALL_WITHDRAW_MEMORY | HC_REPS(64), PA(hv_input_page()),
                    PA(hv_output_page()));
        for (unsigned i = 0; i < HC_REPS_DONE(r); i++)
            pool[pool_count++] = ((uint64_t *)hv_output_page())[i];
        got += HC_REPS_DONE(r);
    } while (HC_STATUS(r) == HV_STATUS_SUCCESS);
    EXPECT(HC_STATUS(r) == HV_STATUS_NO_RESOURCES, "withdraw ends with 0x%x", HC_STATUS(r));
    return got;
}

static struct hv_output_get_memory_balance balance(uint64_t id)
{
    struct hv_input_get_memory_balance in = {.partition_id = id};
    struct hv_output_get_memory_balance out = {0};
    uint16_t status = call(HVCALL_GET_MEMORY_BALANCE, &in, sizeof(in), &out, sizeof(out));

    EXPECT(status == HV_STATUS_SUCCESS, "balance: 0x%x", status);
    return out;
}

/* Repeat a call while memory lacks, depositing to `id`. */
static uint16_t call_depositing(uint16_t code, const void *in, size_t size, void *out,
                                size_t out_size, uint64_t id)
{
    uint16_t status = HV_STATUS_SUCCESS;

    for (unsigned i = 0; i < 256; i++) {
        status = call(code, in, size, out, out_size);
        if (status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY)
            status = deposit(id, 8);
        else if (status == HV_STATUS_INSUFFICIENT_MEMORY)
            status = deposit(id, 1);
        else
            return status;
        if (status != HV_STATUS_SUCCESS)
            return status;
    }
    return status;
}

static uint16_t partition_call(uint16_t code, uint64_t id)
{
    struct hv_input_partition in = {id};

    return call_depositing(code, &in, sizeof(in), NULL, 0, id);
}

static bool child_create(struct child *c)
{
    struct hv_input_create_partition in = {
        .flags = HV_PARTITION_CREATION_FLAG_EXO_PARTITION |
                 HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED |
                 HV_PARTITION_CREATION_FLAG_INTERCEPT_MESSAGE_PAGE_ENABLED |
                 HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE,
        .compatibility_version = HV_COMPATIBILITY_21_H2,
    };
    struct hv_output_create_partition out = {0};
    uint16_t status = call_depositing(HVCALL_CREATE_PARTITION, &in, sizeof(in), &out, sizeof(out),
                                      HV_PARTITION_ID_SELF);

    EXPECT(status == HV_STATUS_SUCCESS, "create: 0x%x", status);
    memset(c, 0, sizeof(*c));
    c->id = out.partition_id;
    if (status == HV_STATUS_SUCCESS) {
        status = partition_call(HVCALL_INITIALIZE_PARTITION, c->id);
        EXPECT(status == HV_STATUS_SUCCESS, "initialize: 0x%x", status);
    }
    return status == HV_STATUS_SUCCESS;
}

static uint16_t map(struct child *c, uint64_t gpa, uint64_t pa, unsigned count, uint32_t flags)
{
    struct hv_input_map_gpa_pages in = {c->id, gpa >> 12, flags, 0};
    uint16_t status = HV_STATUS_SUCCESS;
    unsigned done = 0;

    while (done < count && status == HV_STATUS_SUCCESS) {
        uint64_t r;

        in.target_gpa_base = (gpa >> 12) + done;
        memcpy(hv_input_page(), &in, sizeof(in));
        for (unsigned i = done; i < count; i++)
            ((uint64_t *)hv_input_page())[3 + i - done] = (pa >> 12) + i;
        r = hv_call(HVCALL_MAP_GPA_PAGES | HC_REPS(count - done), PA(hv_input_page()), 0);
        done += HC_REPS_DONE(r);
        status = (uint16_t)HC_STATUS(r);
        if (status == HV_STATUS_INSUFFICIENT_MEMORY)
            status = deposit(c->id, 1);
    }
    return status;
}

static uint16_t unmap(struct child *c, uint64_t gpa, unsigned count)
{
    struct hv_input_unmap_gpa_pages in = {c->id, gpa >> 12, 0, 0};

    memcpy(hv_input_page(), &in, sizeof(in));
    return (uint16_t)HC_STATUS(
        hv_call(HVCALL_UNMAP_GPA_PAGES | HC_REPS(count), PA(hv_input_page()), 0));
}

/* Take pages away without a word to the hypervisor of what is there: the list is nonsense. */
static uint16_t close_gpa(struct child *c, uint64_t gpa, unsigned count, uint32_t flags)
{
    return map(c, gpa, 0x7777777777777777, count, HV_MAP_GPA_NO_ACCESS | flags);
}

static void *state_page(struct child *c, uint32_t vp, uint16_t type)
{
    struct hv_input_map_vp_state_page in = {.partition_id = c->id, .vp_index = vp, .type = type};
    struct hv_output_map_vp_state_page out = {0};
    uint16_t status =
        call_depositing(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in), &out, sizeof(out), c->id);

    EXPECT(status == HV_STATUS_SUCCESS, "state page %u: 0x%x", type, status);
    return (void *)(uintptr_t)(out.map_location << 12);
}

static bool vp_create(struct child *c, uint32_t vp)
{
    struct hv_input_create_vp in = {.partition_id = c->id, .vp_index = vp};
    uint16_t status = call_depositing(HVCALL_CREATE_VP, &in, sizeof(in), NULL, 0, c->id);

    EXPECT(status == HV_STATUS_SUCCESS, "create VP %u: 0x%x", vp, status);
    if (status != HV_STATUS_SUCCESS)
        return false;
    c->message[vp] = state_page(c, vp, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE);
    c->registers[vp] = state_page(c, vp, HV_VP_STATE_PAGE_REGISTERS);
    return !case_failed();
}

static void set_registers(struct child *c, uint32_t vp, const struct hv_register_assoc *list,
                          unsigned count)
{
    struct hv_input_vp_registers in = {.partition_id = c->id, .vp_index = vp};
    uint64_t r;

    memcpy(hv_input_page(), &in, sizeof(in));
    memcpy((uint8_t *)hv_input_page() + sizeof(in), list, count * sizeof(*list));
    r = hv_call(HVCALL_SET_VP_REGISTERS | HC_REPS(count), PA(hv_input_page()), 0);
    EXPECT(r == hv_hypercall_result(HV_STATUS_SUCCESS, count), "set registers: 0x%lx", r);
}

static uint64_t get_register(struct child *c, uint32_t vp, uint32_t name)
{
    struct hv_input_vp_registers in = {.partition_id = c->id, .vp_index = vp};
    uint64_t r;

    memcpy(hv_input_page(), &in, sizeof(in));
    memcpy((uint8_t *)hv_input_page() + sizeof(in), &name, sizeof(name));
    r = hv_call(HVCALL_GET_VP_REGISTERS | HC_REPS(1), PA(hv_input_page()), PA(hv_output_page()));
    EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "get register 0x%x: 0x%lx", name, r);
    return *(uint64_t *)hv_output_page();
}

static struct hv_register_assoc reg(uint32_t name, uint64_t value)
{
    return (struct hv_register_assoc){.name = name, .value.reg64 = value};
}

static struct hv_register_assoc flat(uint32_t name)
{
    struct hv_register_assoc r = {.name = name};

    r.value.segment = (struct hv_x64_segment_register){
        .limit = 0xffff, .attributes = name == HV_X64_REGISTER_CS ? 0x9b : 0x93};
    return r;
}

/* Real mode at CODE_GPA, all segments at 0. */
static void start_at_code(struct child *c, uint32_t vp)
{
    const struct hv_register_assoc list[] = {
        flat(HV_X64_REGISTER_CS),
        flat(HV_X64_REGISTER_DS),
        flat(HV_X64_REGISTER_ES),
        flat(HV_X64_REGISTER_SS),
        reg(HV_X64_REGISTER_RIP, CODE_GPA),
        reg(HV_X64_REGISTER_RFLAGS, 2),
        reg(HV_X64_REGISTER_APIC_FIRST + APIC_SVR, 0x1ff),
    };

    set_registers(c, vp, list, ARRAY_SIZE(list));
}

/* A child with one VP and GUEST_PAGES pages at 0, of which the second holds a program. */
static bool child_with_program(struct child *c, unsigned n, const uint8_t *code, const uint8_t *end)
{
    uint64_t memory = MEMORY_START + n * GUEST_PAGES * 4096;
    uint16_t status;

    pool_fill();
    if (!hv_hypercall_enable() || !child_create(c))
        return false;
    c->memory = memory;
    memset((void *)(uintptr_t)memory, 0, GUEST_PAGES * 4096);
    memcpy((void *)(uintptr_t)(memory + CODE_GPA), code, (size_t)(end - code));
    status = map(c, 0, memory, GUEST_PAGES, ALL_RWX);
    EXPECT(status == HV_STATUS_SUCCESS, "map: 0x%x", status);
    if (!vp_create(c, 0))
        return false;
    start_at_code(c, 0);
    return !case_failed();
}

static void run(struct child *c, uint32_t vp)
{
    const struct hv_register_assoc list[] = {reg(HV_REGISTER_INTERCEPT_SUSPEND, 0),
                                             reg(HV_REGISTER_EXPLICIT_SUSPEND, 0)};

    set_registers(c, vp, list, ARRAY_SIZE(list));
}

/* Every pool that exists is emptied, and the child is gone. */
static void child_destroy(struct child *c)
{
    uint16_t status = partition_call(HVCALL_FINALIZE_PARTITION, c->id);
    struct hv_output_get_memory_balance b;

    EXPECT(status == HV_STATUS_SUCCESS, "finalize: 0x%x", status);
    withdraw(c->id);
    b = balance(c->id);
    EXPECT(!b.pages_available && !b.pages_in_use, "%lu free and %lu used pages left",
           b.pages_available, b.pages_in_use);
    status = partition_call(HVCALL_DELETE_PARTITION, c->id);
    EXPECT(status == HV_STATUS_SUCCESS, "delete: 0x%x", status);
    withdraw(HV_PARTITION_ID_SELF);
    EXPECT(pool_count == pool_total, "%u of %u pages came back", pool_count, pool_total);
}

/* SynIC of this CPU ready for intercepts. */
static void listen(void)
{
    hv_synic_enable();
    hv_sint_set(0, VECTOR);
    this_cpu()->irq_count[VECTOR] = 0;
    irq_enable();
}

static void stop_listening(void)
{
    hv_synic_disable();
    irq_disable();
}

/*
 * The next intercept of VP 0: the notice comes to some CPU's SINT 0, here always this one's, as
 * the child's home LP is this one's when there is just one; else the register says it.
 */
static struct hv_message *next_intercept(struct child *c)
{
    if (!WAIT_FOR(get_register(c, 0, HV_REGISTER_INTERCEPT_SUSPEND) & 1, SOON_US)) {
        case_fail("no intercept; rip 0x%lx", get_register(c, 0, HV_X64_REGISTER_RIP));
        return NULL;
    }
    if (hv_message_slot(0)->header.message_type != HVMSG_NONE)
        hv_message_done(0);
    return c->message[0];
}

static struct hv_x64_io_port_intercept_message *io_intercept(struct child *c, uint16_t port)
{
    struct hv_message *m = next_intercept(c);
    struct hv_x64_io_port_intercept_message *io = m ? (void *)m->payload : NULL;

    if (!m)
        return NULL;
    EXPECT(m->header.message_type == HVMSG_X64_IO_PORT_INTERCEPT, "message 0x%x, not I/O",
           m->header.message_type);
    EXPECT(io->port_number == port, "port 0x%x, not 0x%x", io->port_number, port);
    EXPECT(m->header.sender == c->id, "sender %lu", m->header.sender);
    return case_failed() ? NULL : io;
}

/* The instruction is done. */
static void go_on(struct child *c, const struct hv_x64_intercept_message_header *h, unsigned len)
{
    const struct hv_register_assoc rip = reg(HV_X64_REGISTER_RIP, h->rip + len);

    set_registers(c, 0, &rip, 1);
    run(c, 0);
}

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
    REQUIRE(vp_create(&c, 0), "no VP");
    REQUIRE(vp_create(&c, 3), "no VP 3");
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
    EXPECT(deposit(c.id, 1) == HV_STATUS_SUCCESS, "deposit");
    in[0] = c.id;
    in[1] = page;
    EXPECT(HC_STATUS(hv_call(HVCALL_DEPOSIT_MEMORY | HC_REPS(1), PA(in), 0)) ==
               HV_STATUS_INVALID_PARAMETER,
           "a page is taken twice");
    EXPECT(safe_read8(page << 12, &byte) == 13, "a deposited page can be read");
    EXPECT(safe_write8(page << 12, 1) == 13, "a deposited page can be written");
    EXPECT(map(&c, 0, page << 12, 1, ALL_RWX) == HV_STATUS_INVALID_PARAMETER,
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
    EXPECT(map(&c, 0x10000, MEMORY_START, 2, ALL_RWX) == HV_STATUS_SUCCESS, "map");
    EXPECT(map(&c, 0x20000, MEMORY_START, 1, ALL_RWX) == HV_STATUS_SUCCESS, "map again");
    EXPECT(unmap(&c, 0x10000, 1) == HV_STATUS_SUCCESS, "unmap");
    in[0] = HV_PARTITION_ID_SELF;
    in[1] = MEMORY_START >> 12;
    EXPECT(HC_STATUS(hv_call(HVCALL_DEPOSIT_MEMORY | HC_REPS(1), PA(in), 0)) ==
               HV_STATUS_OPERATION_DENIED,
           "a lent page is taken");
    EXPECT(unmap(&c, 0x20000, 1) == HV_STATUS_SUCCESS, "unmap");
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
    uint16_t status = call(HVCALL_ASSERT_VIRTUAL_INTERRUPT, &in, sizeof(in), NULL, 0);

    EXPECT(status == HV_STATUS_SUCCESS, "interrupt: 0x%x", status);
}

static void answer_io(struct child *c)
{
    struct hv_x64_io_port_intercept_message *io = io_intercept(c, 0x80);
    struct hv_register_assoc rax;

    REQUIRE(io, "no OUT");
    EXPECT(io->access_info == 1 && io->header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE,
           "OUT: access 0x%x, type %u", io->access_info, io->header.intercept_access_type);
    EXPECT((io->rax & 0xff) == 0x42, "OUT: rax 0x%lx", io->rax);
    EXPECT((io->header.length_cr8 & 0xf) == 1, "OUT: length %u", io->header.length_cr8 & 0xf);
    EXPECT(c->registers[0]->isvalid && c->registers[0]->rip == io->header.rip,
           "register page: valid %u, rip 0x%lx", c->registers[0]->isvalid, c->registers[0]->rip);
    go_on(c, &io->header, 1);
    io = io_intercept(c, 0x81);
    REQUIRE(io, "no IN");
    EXPECT(io->access_info == 2 && io->header.intercept_access_type == HV_INTERCEPT_ACCESS_READ,
           "IN: access 0x%x", io->access_info);
    rax = reg(HV_X64_REGISTER_RAX, 0xbeef);
    set_registers(c, 0, &rax, 1);
    go_on(c, &io->header, 2);
    io = io_intercept(c, 0x82);
    REQUIRE(io, "no second OUT");
    EXPECT((io->rax & 0xffff) == 0xbeef, "what came in: 0x%lx", io->rax);
    go_on(c, &io->header, 2);
}

static void answer_memory(struct child *c)
{
    struct hv_x64_memory_intercept_message *mem;
    struct hv_message *m = next_intercept(c);

    REQUIRE(m, "no read");
    mem = (void *)m->payload;
    EXPECT(m->header.message_type == HVMSG_UNMAPPED_GPA, "message 0x%x", m->header.message_type);
    EXPECT(mem->guest_physical_address == 0x90010, "read of 0x%lx", mem->guest_physical_address);
    EXPECT(mem->header.intercept_access_type == HV_INTERCEPT_ACCESS_READ, "not a read");
    EXPECT(mem->instruction_byte_count >= 4 && mem->instruction_bytes[0] == 0x8a,
           "%u instruction bytes, %x", mem->instruction_byte_count, mem->instruction_bytes[0]);
    go_on(c, &mem->header, 4);
    m = next_intercept(c);
    REQUIRE(m, "no write");
    EXPECT(mem->guest_physical_address == 0x90014, "write of 0x%lx", mem->guest_physical_address);
    EXPECT(mem->header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE, "not a write");
    go_on(c, &mem->header, 4);
}

static void intercepts(void)
{
    struct hv_x64_io_port_intercept_message *io;
    struct hv_message *m;
    struct child c;

    listen();
    REQUIRE(child_with_program(&c, 0, child_basic, child_basic_end), "no child");
    run(&c, 0);
    answer_io(&c);
    if (!case_failed())
        answer_memory(&c);
    if (!case_failed()) {
        delay_us(5000);
        EXPECT(!(get_register(&c, 0, HV_REGISTER_INTERCEPT_SUSPEND) & 1), "HLT reaches the parent");
        interrupt(&c, HV_X64_INTERRUPT_TYPE_FIXED, 0x45);
        io = io_intercept(&c, 0x83);
        REQUIRE(io, "no OUT after the interrupt");
        EXPECT((io->rax & 0xff) == 1, "%lu interrupts", io->rax & 0xff);
        go_on(&c, &io->header, 2);
        m = next_intercept(&c);
        EXPECT(m && m->header.message_type == HVMSG_UNRECOVERABLE_EXCEPTION, "message 0x%x",
               m ? m->header.message_type : 0);
    }
    child_destroy(&c);
    stop_listening();
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
        run(&c[i], 0);
    }
    for (unsigned i = 0; i < 3; i++)
        EXPECT(WAIT_FOR(*count[i] > 1000, SOON_US), "child %u does not run", i);
    for (unsigned i = 0; i < 3; i++) {
        const struct hv_register_assoc stop = reg(HV_REGISTER_EXPLICIT_SUSPEND, 1);

        set_registers(&c[i], 0, &stop, 1);
        get_register(&c[i], 0, HV_X64_REGISTER_RIP); /* waits until it stands */
        before[i] = *count[i];
    }
    delay_us(20000);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(*count[i] == before[i], "child %u runs on", i);
        run(&c[i], 0);
        EXPECT(WAIT_FOR(*count[i] != before[i], SOON_US), "child %u does not go on", i);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct hv_output_get_memory_balance b;

        EXPECT(partition_call(HVCALL_FINALIZE_PARTITION, c[i].id) == HV_STATUS_SUCCESS, "finalize");
        withdraw(c[i].id);
        b = balance(c[i].id);
        EXPECT(!b.pages_available && !b.pages_in_use, "child %u keeps pages", i);
        EXPECT(partition_call(HVCALL_DELETE_PARTITION, c[i].id) == HV_STATUS_SUCCESS, "delete");
    }
    withdraw(HV_PARTITION_ID_SELF);
    EXPECT(pool_count == pool_total, "%u of %u pages came back", pool_count, pool_total);
}

/* Memory is taken from a child that is using it: it stops there, and nowhere else. */
static void unmap_while_running(void)
{
    volatile uint32_t *count;
    struct hv_message *m;
    struct child c;
    uint32_t seen;

    listen();
    REQUIRE(child_with_program(&c, 0, child_spin, child_spin_end), "no child");
    count = (volatile uint32_t *)(uintptr_t)(c.memory + 0x2000);
    run(&c, 0);
    EXPECT(WAIT_FOR(*count > 1000, SOON_US), "the child does not run");
    EXPECT(unmap(&c, 0x2000, 1) == HV_STATUS_SUCCESS, "unmap");
    seen = *count;
    m = next_intercept(&c);
    EXPECT(m && m->header.message_type == HVMSG_UNMAPPED_GPA, "message 0x%x",
           m ? m->header.message_type : 0);
    EXPECT(*count == seen, "it was written after the unmap had returned");
    EXPECT(map(&c, 0x2000, c.memory + 0x2000, 1, ALL_RWX) == HV_STATUS_SUCCESS, "map again");
    run(&c, 0);
    EXPECT(WAIT_FOR(*count != seen, SOON_US), "the child does not go on");
    child_destroy(&c);
    stop_listening();
}

/* The VP stands before an access that was refused; the bytes of its instruction do not matter. */
static void expect_refused(struct child *c, uint64_t gpa, uint8_t access)
{
    struct hv_message *m = next_intercept(c);
    struct hv_x64_memory_intercept_message *mem;

    REQUIRE(m, "no access of 0x%lx", gpa);
    mem = (void *)m->payload;
    EXPECT(m->header.message_type == HVMSG_GPA_INTERCEPT && mem->guest_physical_address == gpa &&
               (mem->header.intercept_access_type == access || access == ANY_ACCESS),
           "message 0x%x: access %u of 0x%lx, not %u of 0x%lx, rip 0x%lx", m->header.message_type,
           mem->header.intercept_access_type, mem->guest_physical_address, access, gpa,
           mem->header.rip);
    EXPECT(get_register(c, 0, HV_X64_REGISTER_RIP) == mem->header.rip, "rip moves on");
}

/* Then it gets the page, and does the same again. */
static void allow(struct child *c, uint64_t gpa, uint32_t flags)
{
    gpa &= ~0xfffULL;
    EXPECT(map(c, gpa, c->memory + gpa, 1, flags) == HV_STATUS_SUCCESS, "map 0x%lx", gpa);
    run(c, 0);
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
    const struct hv_register_assoc paged[] = {reg(HV_X64_REGISTER_CR3, 0xf000),
                                              reg(HV_X64_REGISTER_CR0, 0x80000011)};
    const struct hv_input_translate_virtual_address where = {
        .partition_id = c->id, .control_flags = HV_TRANSLATE_GVA_VALIDATE_READ, .gva_page = 8};
    const struct hv_input_read_gpa from = {
        .partition_id = c->id, .byte_count = 1, .base_gpa = 0xf000};
    const struct hv_input_write_gpa to = {
        .partition_id = c->id, .byte_count = 1, .base_gpa = 0xf000};
    struct hv_output_translate_virtual_address found = {0};
    struct hv_output_read_gpa read = {0};
    struct hv_register_assoc cr0 = reg(HV_X64_REGISTER_CR0, 0);
    uint64_t written = 0;

    cr0.value.reg64 = get_register(c, 0, HV_X64_REGISTER_CR0);
    set_registers(c, 0, paged, ARRAY_SIZE(paged));
    EXPECT(!call(HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &where, sizeof(where), &found, sizeof(found)) &&
               found.result_code == HV_TRANSLATE_GVA_INTERCEPT,
           "translation: %u", found.result_code);
    set_registers(c, 0, &cr0, 1);
    EXPECT(!call(HVCALL_READ_GPA, &from, sizeof(from), &read, sizeof(read)) &&
               read.access_result == 2,
           "read: %lu", (unsigned long)read.access_result);
    EXPECT(!call(HVCALL_WRITE_GPA, &to, sizeof(to), &written, sizeof(written)) && written == 3,
           "write: %lu", written);
}

static uint16_t post_direct(struct child *c, uint32_t sint, uint32_t type)
{
    const struct hv_message m = {.header = {.message_type = type}};
    struct hv_input_post_message_direct in = {.partition_id = c->id, .sint_index = sint};

    memcpy(in.message, &m, sizeof(m));
    return call(HVCALL_POST_MESSAGE_DIRECT, &in, sizeof(in), NULL, 0);
}

/* All memory is closed as one unit; it comes back by pages, as the child needs them. */
static void demand(void)
{
    struct hv_x64_io_port_intercept_message *io;
    volatile uint8_t *memory;
    struct child c;
    uint64_t used, at;

    listen();
    REQUIRE(child_with_program(&c, 0, child_demand, child_demand_end), "no child");
    memory = (volatile uint8_t *)(uintptr_t)c.memory;
    memory[0x8010] = 0x5a;
    memory[0xb000] = 0xff; /* JMP BX */
    memory[0xb001] = 0xe3;
    used = balance(c.id).pages_in_use;
    EXPECT(close_gpa(&c, 0, 1, HV_MAP_GPA_LARGE_PAGE) == HV_STATUS_SUCCESS, "close");
    EXPECT(balance(c.id).pages_in_use == used - 1, "the table of small pages is kept");
    EXPECT(close_gpa(&c, 0x200000, 3, HV_MAP_GPA_LARGE_PAGE) == HV_STATUS_SUCCESS, "close more");
    EXPECT(close_gpa(&c, 0x3000, 2, 0) == HV_STATUS_SUCCESS, "close in pages what is closed");
    run(&c, 0);
    accesses_are_refused(&c);
    expect_refused(&c, 0x2000, ANY_ACCESS); /* INC reads and writes */
    closed_pages_answer(&c);
    allow(&c, 0x2000, ALL_RWX);
    expect_refused(&c, 0xd000, HV_INTERCEPT_ACCESS_READ);
    /* The child has a hypercall page at 0xc000 now and messages at 0xe000, the hypervisor's. */
    EXPECT(post_direct(&c, 2, 0x1234) == HV_STATUS_SUCCESS, "a message over a closed page");
    EXPECT(close_gpa(&c, 0xb000, 2, 0) == HV_STATUS_SUCCESS, "close below the hypercall page");
    EXPECT(close_gpa(&c, 0xc000, 1, 0) == HV_STATUS_SUCCESS, "again");
    EXPECT(map(&c, 0xc000, c.memory + 0xe000, 1, ALL_RWX) == HV_STATUS_SUCCESS, "map below it");
    EXPECT(map(&c, 0xe000, c.memory + 0xe000, 1, ALL_RWX) == HV_STATUS_SUCCESS, "below messages");
    EXPECT(close_gpa(&c, 0, 1, HV_MAP_GPA_LARGE_PAGE) == HV_STATUS_SUCCESS, "close all");
    at = get_register(&c, 0, HV_X64_REGISTER_RIP);
    allow(&c, 0xd000, ALL_RWX);
    refuse_then_allow(&c, at, HV_INTERCEPT_ACCESS_EXECUTE);
    io = io_intercept(&c, 0x86);
    EXPECT(io && (io->rax & 0xffff) == HV_STATUS_SUCCESS, "hypercall: 0x%lx", io ? io->rax : 0);
    if (io)
        go_on(&c, &io->header, 2);
    io = io_intercept(&c, 0x87);
    EXPECT(io && (io->rax & 0xffff) == 0x1234, "message: 0x%lx", io ? io->rax : 0);
    EXPECT(memory[0x9004] == 0x5a && memory[0xa008] == 0x5a, "written: %x, %x", memory[0x9004],
           memory[0xa008]);
    EXPECT(memory[0x2000] == 1, "done %u times", memory[0x2000]);
    child_destroy(&c);
    stop_listening();
}

/* Pages are taken from a running child and given back, often: it loses nothing. */
static void demand_while_running(void)
{
    volatile uint32_t *count;
    struct child c;
    uint32_t seen;

    listen();
    REQUIRE(child_with_program(&c, 0, child_spin, child_spin_end), "no child");
    count = (volatile uint32_t *)(uintptr_t)(c.memory + 0x2000);
    run(&c, 0);
    EXPECT(WAIT_FOR(*count > 1000, SOON_US), "the child does not run");
    for (unsigned i = 0; i < 20 && !case_failed(); i++) {
        struct hv_message *m;

        EXPECT(close_gpa(&c, 0x2000, 1, 0) == HV_STATUS_SUCCESS, "close");
        seen = *count;
        m = next_intercept(&c);
        EXPECT(m && m->header.message_type == HVMSG_GPA_INTERCEPT, "message 0x%x",
               m ? m->header.message_type : 0);
        EXPECT(*count == seen, "it was written after the call had returned");
        allow(&c, 0x2000, ALL_RWX);
        EXPECT(WAIT_FOR(*count > seen, SOON_US), "the child does not go on");
    }
    child_destroy(&c);
    stop_listening();
}

/* HvCallDispatchVp until the child has an intercept; how often it came back without one. */
static unsigned dispatch(struct child *c, uint32_t flags)
{
    struct hv_input_dispatch_vp in = {.partition_id = c->id, .flags = flags};
    struct hv_output_dispatch_vp out = {0};
    unsigned tries = 0;

    do {
        uint16_t status = call(HVCALL_DISPATCH_VP, &in, sizeof(in), &out, sizeof(out));

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
    const struct hv_register_assoc go = reg(HV_REGISTER_EXPLICIT_SUSPEND, 0);
    struct hv_x64_io_port_intercept_message *io;
    struct child c;

    REQUIRE(child_with_program(&c, 0, child_cpuid, child_cpuid_end), "no child");
    irq_enable();
    set_registers(&c, 0, &go, 1);
    for (unsigned i = 0; i < 200 && !case_failed(); i++) {
        struct hv_register_assoc next[2];

        dispatch(&c, HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND);
        io = (void *)c.message[0]->payload;
        EXPECT(io->port_number == 0x84, "port 0x%x", io->port_number);
        next[0] = reg(HV_X64_REGISTER_RIP, io->header.rip + 2);
        next[1] = reg(HV_X64_REGISTER_RAX, i);
        set_registers(&c, 0, next, 2);
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
    uint16_t status = call(HVCALL_DISPATCH_VP, &in, sizeof(in), &out, sizeof(out));

    EXPECT(status == HV_STATUS_SUCCESS || status == HV_STATUS_INVALID_PARTITION_ID ||
               status == HV_STATUS_INVALID_PARTITION_STATE,
           "dispatch: 0x%x", status);
}

static void handoff_to_a_dying_child(void)
{
    for (unsigned i = 0; i < 20 && !case_failed(); i++) {
        REQUIRE(child_with_program(&victim, 0, child_spin, child_spin_end), "no child");
        run(&victim, 0);
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
    EXPECT(call(HVCALL_SET_PARTITION_PROPERTY, &track, sizeof(track), NULL, 0) == HV_STATUS_SUCCESS,
           "no tracking");
    run(&c, 0);
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
    EXPECT(close_gpa(&c, 0x2000, 1, 0) == HV_STATUS_SUCCESS, "close");
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

    listen();
    REQUIRE(child_with_program(&c, 0, child_cpuid, child_cpuid_end), "no child");
    ask[0] = reg(HV_X64_REGISTER_RAX, HYPERV_CPUID_FEATURES);
    ask[1] = reg(HV_X64_REGISTER_RCX, 0);
    set_registers(&c, 0, ask, 2);
    run(&c, 0);
    io = io_intercept(&c, 0x84);
    REQUIRE(io, "no answer");
    ebx = get_register(&c, 0, HV_X64_REGISTER_RBX);
    EXPECT(!(ebx & 1), "a child may create partitions: 0x%lx", ebx);
    EXPECT(io->rax & HV_MSR_HYPERCALL_AVAILABLE, "a child has no hypercalls: 0x%lx", io->rax);
    child_destroy(&c);
    stop_listening();
}

static void install(struct child *c, uint32_t type, uint32_t access, uint64_t parameter,
                    uint16_t wanted)
{
    const struct hv_input_install_intercept in = {c->id, access, type, parameter};
    uint16_t status = call(HVCALL_INSTALL_INTERCEPT, &in, sizeof(in), NULL, 0);

    EXPECT(status == wanted, "intercept %u of 0x%lx, access %u: 0x%x", type, parameter, access,
           status);
}

/* The next intercept is of this type; its payload. */
static void *message(struct child *c, uint32_t type)
{
    struct hv_message *m = next_intercept(c);

    EXPECT(m && m->header.message_type == type, "message 0x%x, not 0x%x",
           m ? m->header.message_type : 0, type);
    return case_failed() ? NULL : m->payload;
}

/* The child reports what it has in AX. */
static void expect_report(struct child *c, uint16_t port, uint16_t value)
{
    struct hv_x64_io_port_intercept_message *io = io_intercept(c, port);

    REQUIRE(io, "no report on port 0x%x", port);
    EXPECT((io->rax & 0xffff) == value, "port 0x%x: 0x%lx, not 0x%x", port, io->rax & 0xffff,
           value);
    go_on(c, &io->header, 2);
}

static void answer_msrs(struct child *c)
{
    struct hv_register_assoc rax = reg(HV_X64_REGISTER_RAX, 0x1234);
    struct hv_x64_msr_intercept_message *m = message(c, HVMSG_X64_MSR_INTERCEPT);

    REQUIRE(m, "no RDMSR");
    EXPECT(m->msr_number == 0xc0000101 &&
               m->header.intercept_access_type == HV_INTERCEPT_ACCESS_READ,
           "RDMSR: 0x%x, access %u", m->msr_number, m->header.intercept_access_type);
    EXPECT((m->header.length_cr8 & 0xf) == 2, "RDMSR: length %u", m->header.length_cr8 & 0xf);
    set_registers(c, 0, &rax, 1);
    go_on(c, &m->header, 2);
    expect_report(c, 0x85, 0x1234);
    m = message(c, HVMSG_X64_MSR_INTERCEPT);
    REQUIRE(m, "no WRMSR");
    EXPECT(m->header.intercept_access_type == HV_INTERCEPT_ACCESS_WRITE && m->rax == 0x5678 &&
               !m->rdx,
           "WRMSR: access %u, 0x%lx:0x%lx", m->header.intercept_access_type, m->rdx, m->rax);
    go_on(c, &m->header, 2);
    expect_report(c, 0x86, 0x4000);
}

static void answer_cpuid(struct child *c)
{
    struct hv_x64_cpuid_intercept_message *m = message(c, HVMSG_X64_CPUID_INTERCEPT);
    struct hv_register_assoc rbx = reg(HV_X64_REGISTER_RBX, 0xabcd);

    REQUIRE(m, "no CPUID");
    EXPECT((uint32_t)m->rax == 0x40000000 && !m->rcx, "CPUID of 0x%lx, 0x%lx", m->rax, m->rcx);
    EXPECT(m->default_result_rbx == 0x7263694d, "default EBX 0x%lx", m->default_result_rbx);
    set_registers(c, 0, &rbx, 1);
    go_on(c, &m->header, 2);
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

    listen();
    REQUIRE(child_with_program(&c, 0, child_msr, child_msr_end), "no child");
    install(&c, HV_INTERCEPT_TYPE_X64_MSR, 4, 0, HV_STATUS_INVALID_PARAMETER);
    install(&c, HV_INTERCEPT_TYPE_X64_CPUID, 4, 1ULL << 32, HV_STATUS_INVALID_PARAMETER);
    install(&c, HV_INTERCEPT_TYPE_REGISTER, 1, 0, HV_STATUS_INVALID_PARAMETER);
    for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++)
        install(&c, wanted[i].type, wanted[i].access, wanted[i].parameter, HV_STATUS_SUCCESS);
    run(&c, 0);
    answer_msrs(&c);
    for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++) {
        if (i == 1 && !case_failed())
            answer_cpuid(&c);
        install(&c, wanted[i].type, 0, wanted[i].parameter, HV_STATUS_SUCCESS);
    }
    if (!case_failed())
        expect_report(&c, 0x88, 0);
    child_destroy(&c);
    stop_listening();
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
    const struct hv_register_assoc ud = reg(HV_REGISTER_PENDING_EVENT0, 6 << 16 | 1);
    struct hv_x64_exception_intercept_message *m = exception(c, 6);

    REQUIRE(m, "no #UD");
    EXPECT(m->instruction_byte_count >= 2 && m->instruction_bytes[0] == 0x0f &&
               m->instruction_bytes[1] == 0x0b,
           "%u bytes, %x", m->instruction_byte_count, m->instruction_bytes[0]);
    EXPECT(!m->exception_info && m->gp_registers[4] == 0x7000, "info %u, rsp 0x%lx",
           m->exception_info, m->gp_registers[4]);
    go_on(c, &m->header, 2);
    expect_report(c, 0x85, 0);
    m = exception(c, 6);
    REQUIRE(m, "no second #UD");
    set_registers(c, 0, &ud, 1);
    run(c, 0);
    expect_report(c, 0x86, 1);
    m = exception(c, 13);
    REQUIRE(m, "no #GP");
    install(c, HV_INTERCEPT_TYPE_EXCEPTION, 0, 6, HV_STATUS_SUCCESS);
    go_on(c, &m->header, 2);
    expect_report(c, 0x87, 2);
}

/* An intercepted exception is its parent's to deliver, or not. */
static void intercepted_exceptions(void)
{
    struct child c;

    listen();
    REQUIRE(child_with_program(&c, 0, child_except, child_except_end), "no child");
    install(&c, HV_INTERCEPT_TYPE_EXCEPTION, 1, 6, HV_STATUS_INVALID_PARAMETER);
    install(&c, HV_INTERCEPT_TYPE_EXCEPTION, 4, 2, HV_STATUS_INVALID_PARAMETER);
    install(&c, HV_INTERCEPT_TYPE_EXCEPTION, 4, 6, HV_STATUS_SUCCESS);
    install(&c, HV_INTERCEPT_TYPE_EXCEPTION, 4, 13, HV_STATUS_SUCCESS);
    run(&c, 0);
    answer_exceptions(&c);
    child_destroy(&c);
    stop_listening();
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
    {"installed_intercepts", installed_intercepts, NEED_HV},
    {"intercepted_exceptions", intercepted_exceptions, NEED_HV},
};

TEST_GROUP(child, cases);
