/* SPDX-License-Identifier: MIT */
#include "tests/guest/children.h"

#include "abi/tlfs/management.h"

#define POOL_START (64ULL << 20) /* pages that are given away */
#define VECTOR     0x61
#define SOON_US    2000000

uint64_t pool[POOL_PAGES + 1];
unsigned pool_count;
unsigned pool_total = POOL_PAGES;

uint16_t parent_call(uint16_t code, const void *in, size_t size, void *out, size_t out_size)
{
    uint16_t status;

    memcpy(hv_input_page(), in, size);
    status = (uint16_t)HC_STATUS(hv_call(code, PA(hv_input_page()), PA(hv_output_page())));
    if (out)
        memcpy(out, hv_output_page(), out_size);
    return status;
}

void pool_fill(void)
{
    if (pool_count)
        return;
    for (unsigned i = 0; i < POOL_PAGES; i++)
        pool[pool_count++] = (POOL_START >> 12) + i;
}

/* Deposit `count` pages; the status of the call. */
uint16_t pool_deposit(uint64_t id, unsigned count)
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
unsigned pool_withdraw(uint64_t id)
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

struct hv_output_get_memory_balance pool_balance(uint64_t id)
{
    struct hv_input_get_memory_balance in = {.partition_id = id};
    struct hv_output_get_memory_balance out = {0};
    uint16_t status = parent_call(HVCALL_GET_MEMORY_BALANCE, &in, sizeof(in), &out, sizeof(out));

    EXPECT(status == HV_STATUS_SUCCESS, "balance: 0x%x", status);
    return out;
}

/* Repeat a call while memory lacks, depositing to `id`. */
static uint16_t call_depositing(uint16_t code, const void *in, size_t size, void *out,
                                size_t out_size, uint64_t id)
{
    uint16_t status = HV_STATUS_SUCCESS;

    for (unsigned i = 0; i < 256; i++) {
        status = parent_call(code, in, size, out, out_size);
        if (status == HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY)
            status = pool_deposit(id, 8);
        else if (status == HV_STATUS_INSUFFICIENT_MEMORY)
            status = pool_deposit(id, 1);
        else
            return status;
        if (status != HV_STATUS_SUCCESS)
            return status;
    }
    return status;
}

uint16_t partition_call(uint16_t code, uint64_t id)
{
    struct hv_input_partition in = {id};

    return call_depositing(code, &in, sizeof(in), NULL, 0, id);
}

bool child_create(struct child *c)
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

uint16_t child_map(struct child *c, uint64_t gpa, uint64_t pa, unsigned count, uint32_t flags)
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
            status = pool_deposit(c->id, 1);
    }
    return status;
}

uint16_t child_unmap(struct child *c, uint64_t gpa, unsigned count)
{
    struct hv_input_unmap_gpa_pages in = {c->id, gpa >> 12, 0, 0};

    memcpy(hv_input_page(), &in, sizeof(in));
    return (uint16_t)HC_STATUS(
        hv_call(HVCALL_UNMAP_GPA_PAGES | HC_REPS(count), PA(hv_input_page()), 0));
}

/* Take pages away without a word to the hypervisor of what is there: the list is nonsense. */
uint16_t child_close(struct child *c, uint64_t gpa, unsigned count, uint32_t flags)
{
    return child_map(c, gpa, 0x7777777777777777, count, HV_MAP_GPA_NO_ACCESS | flags);
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

bool child_vp_create(struct child *c, uint32_t vp)
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

void child_set(struct child *c, uint32_t vp, const struct hv_register_assoc *list, unsigned count)
{
    struct hv_input_vp_registers in = {.partition_id = c->id, .vp_index = vp};
    uint64_t r;

    memcpy(hv_input_page(), &in, sizeof(in));
    memcpy((uint8_t *)hv_input_page() + sizeof(in), list, count * sizeof(*list));
    r = hv_call(HVCALL_SET_VP_REGISTERS | HC_REPS(count), PA(hv_input_page()), 0);
    EXPECT(r == hv_hypercall_result(HV_STATUS_SUCCESS, count), "set registers: 0x%lx", r);
}

uint64_t child_get(struct child *c, uint32_t vp, uint32_t name)
{
    struct hv_input_vp_registers in = {.partition_id = c->id, .vp_index = vp};
    uint64_t r;

    memcpy(hv_input_page(), &in, sizeof(in));
    memcpy((uint8_t *)hv_input_page() + sizeof(in), &name, sizeof(name));
    r = hv_call(HVCALL_GET_VP_REGISTERS | HC_REPS(1), PA(hv_input_page()), PA(hv_output_page()));
    EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "get register 0x%x: 0x%lx", name, r);
    return *(uint64_t *)hv_output_page();
}

struct hv_register_assoc child_reg(uint32_t name, uint64_t value)
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
        child_reg(HV_X64_REGISTER_RIP, CODE_GPA),
        child_reg(HV_X64_REGISTER_RFLAGS, 2),
        child_reg(HV_X64_REGISTER_APIC_FIRST + APIC_SVR, 0x1ff),
    };

    child_set(c, vp, list, ARRAY_SIZE(list));
}

/* A child with one VP and GUEST_PAGES pages at 0, of which the second holds a program. */
bool child_with_program(struct child *c, unsigned n, const uint8_t *code, const uint8_t *end)
{
    uint64_t memory = MEMORY_START + n * GUEST_PAGES * 4096;
    uint16_t status;

    pool_fill();
    if (!hv_hypercall_enable() || !child_create(c))
        return false;
    c->memory = memory;
    memset((void *)(uintptr_t)memory, 0, GUEST_PAGES * 4096);
    memcpy((void *)(uintptr_t)(memory + CODE_GPA), code, (size_t)(end - code));
    status = child_map(c, 0, memory, GUEST_PAGES, ALL_RWX);
    EXPECT(status == HV_STATUS_SUCCESS, "map: 0x%x", status);
    if (!child_vp_create(c, 0))
        return false;
    start_at_code(c, 0);
    return !case_failed();
}

void child_run(struct child *c, uint32_t vp)
{
    const struct hv_register_assoc list[] = {child_reg(HV_REGISTER_INTERCEPT_SUSPEND, 0),
                                             child_reg(HV_REGISTER_EXPLICIT_SUSPEND, 0)};

    child_set(c, vp, list, ARRAY_SIZE(list));
}

/* Every pool that exists is emptied, and the child is gone. */
void child_destroy(struct child *c)
{
    uint16_t status = partition_call(HVCALL_FINALIZE_PARTITION, c->id);
    struct hv_output_get_memory_balance b;

    EXPECT(status == HV_STATUS_SUCCESS, "finalize: 0x%x", status);
    pool_withdraw(c->id);
    b = pool_balance(c->id);
    EXPECT(!b.pages_available && !b.pages_in_use, "%lu free and %lu used pages left",
           b.pages_available, b.pages_in_use);
    status = partition_call(HVCALL_DELETE_PARTITION, c->id);
    EXPECT(status == HV_STATUS_SUCCESS, "delete: 0x%x", status);
    pool_withdraw(HV_PARTITION_ID_SELF);
    EXPECT(pool_count == pool_total, "%u of %u pages came back", pool_count, pool_total);
}

/* SynIC of this CPU ready for intercepts. */
void parent_listen(void)
{
    hv_synic_enable();
    hv_sint_set(0, VECTOR);
    this_cpu()->irq_count[VECTOR] = 0;
    irq_enable();
}

void parent_stop_listening(void)
{
    hv_synic_disable();
    irq_disable();
}

/*
 * The next intercept of VP 0: the notice comes to some CPU's SINT 0, here always this one's, as
 * the child's home LP is this one's when there is just one; else the register says it.
 */
struct hv_message *child_intercept(struct child *c)
{
    if (!WAIT_FOR(child_get(c, 0, HV_REGISTER_INTERCEPT_SUSPEND) & 1, SOON_US)) {
        case_fail("no intercept; rip 0x%lx", child_get(c, 0, HV_X64_REGISTER_RIP));
        return NULL;
    }
    if (hv_message_slot(0)->header.message_type != HVMSG_NONE)
        hv_message_done(0);
    return c->message[0];
}

struct hv_x64_io_port_intercept_message *child_io(struct child *c, uint16_t port)
{
    struct hv_message *m = child_intercept(c);
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
void child_go_on(struct child *c, const struct hv_x64_intercept_message_header *h, unsigned len)
{
    const struct hv_register_assoc rip = child_reg(HV_X64_REGISTER_RIP, h->rip + len);

    child_set(c, 0, &rip, 1);
    child_run(c, 0);
}
