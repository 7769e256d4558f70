/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "abi/tlfs/msr.h"
#include "abi/tlfs/status.h"
#include "hypervisor/hypercall/dispatch.h"
#include "shim_tlfs.h"
#include "shim_children.h"

#define IN_GPA  0x1000U
#define OUT_GPA 0x2000U

#define ALL_PRIVILEGES UINT64_MAX

static struct vp *caller(void)
{
    return &shim.vps[0];
}

static void guest_start(uint64_t privileges, bool root)
{
    shim_start(privileges, root);
    shim_child_start();
    shim.partition.guest_os_id = 1;
    shim.partition.hypercall_msr = HV_X64_MSR_HYPERCALL_ENABLE;
}

/* The 64-bit convention, to the end. Returns RAX. */
static uint64_t call64(uint64_t control, uint64_t in, uint64_t out)
{
    struct vp_regs *r = &caller()->regs;

    r->gpr[RCX] = control;
    r->gpr[RDX] = in;
    r->gpr[R8] = out;
    r->gpr[RAX] = 0xDEAD;
    assert_int_equal(hypercall_dispatch(caller()), HYPERCALL_DONE);
    assert_int_equal(shim.exception, -1);
    return r->gpr[RAX];
}

static uint16_t status_of(uint64_t control, uint64_t in, uint64_t out)
{
    return (uint16_t)(call64(control, in, out) & HV_HYPERCALL_RESULT_MASK);
}

static uint64_t reps(uint32_t count, uint32_t start)
{
    return (uint64_t)count << HV_HYPERCALL_REP_COMP_OFFSET | (uint64_t)start
                                                                 << HV_HYPERCALL_REP_START_OFFSET;
}

static uint64_t var(uint32_t words)
{
    return (uint64_t)words << HV_HYPERCALL_VARHEAD_OFFSET;
}

/* A control word of the right form with the least that it may ask for. */
static uint64_t control_of(const struct hypercall_entry *e)
{
    return e->code | (e->form & HC_REP ? reps(1, 0) : 0);
}

/* Input that every handler takes: the IPI calls need a vector, messages a type. */
static void fill_valid_input(const struct hypercall_entry *e)
{
    uint32_t vector = 0x20, type = 1, bytes = 1;
    uint64_t self = HV_PARTITION_ID_SELF, child = SHIM_CHILD_ID;

    memset(shim.ram + IN_GPA, 0, PAGE_SIZE);
    if (e->code == HVCALL_SEND_IPI || e->code == HVCALL_SEND_IPI_EX)
        memcpy(shim.ram + IN_GPA, &vector, sizeof(vector));
    if (e->code == HVCALL_POST_MESSAGE)
        memcpy(shim.ram + IN_GPA + 8, &type, sizeof(type));
    if (e->code == HVCALL_POST_MESSAGE_DIRECT || e->code == HVCALL_SIGNAL_EVENT_DIRECT)
        memcpy(shim.ram + IN_GPA, &self, sizeof(self));
    if (e->code >= HVCALL_GET_VP_REGISTERS && e->code <= HVCALL_WRITE_GPA)
        memcpy(shim.ram + IN_GPA, &child, sizeof(child));
    if (e->code == HVCALL_READ_GPA || e->code == HVCALL_WRITE_GPA)
        memcpy(shim.ram + IN_GPA + 12, &bytes, sizeof(bytes));
    if (e->code == HVCALL_GET_VP_STATE || e->code == HVCALL_SET_VP_STATE)
        memcpy(shim.ram + IN_GPA, &child, sizeof(child));
}

static uint16_t expected_valid(const struct hypercall_entry *e)
{
    if (!e->handler)
        return e->refusal;
    if (e->code == HVCALL_POST_MESSAGE || e->code == HVCALL_SIGNAL_EVENT)
        return HV_STATUS_INVALID_CONNECTION_ID;
    if (e->code == HVCALL_SET_VP_STATE) /* without any state */
        return HV_STATUS_INVALID_PARAMETER;
    return HV_STATUS_SUCCESS;
}

static void table_is_consistent(void **state)
{
    for (uint32_t i = 0; i < hypercall_table_len; i++) {
        const struct hypercall_entry *e = &hypercall_table[i];

        if (i > 0)
            assert_true(hypercall_table[i - 1].code < e->code);
        assert_ptr_equal(hypercall_find(e->code), e);
        if (e->form & HC_FAST) {
            assert_true(e->in_size <= HYPERCALL_FAST_SIZE);
            assert_false(e->form & (HC_REP | HC_VAR));
            assert_int_equal(e->out_size, 0);
        }
        if (!(e->form & HC_REP)) {
            assert_int_equal(e->in_rep, 0);
            assert_int_equal(e->out_rep, 0);
        }
        assert_true(e->in_size <= PAGE_SIZE && e->out_size <= PAGE_SIZE);
        assert_true(e->handler || e->refusal != HV_STATUS_SUCCESS);
    }
}

static void unknown_codes_are_refused(void **state)
{
    guest_start(ALL_PRIVILEGES, true);
    for (uint32_t code = 0; code <= UINT16_MAX; code++)
        if (!hypercall_find((uint16_t)code))
            assert_int_equal(call64(code, IN_GPA, OUT_GPA), HV_STATUS_INVALID_HYPERCALL_CODE);
}

static void every_row_takes_its_form(void **state)
{
    for (uint32_t i = 0; i < hypercall_table_len; i++) {
        const struct hypercall_entry *e = &hypercall_table[i];

        guest_start(ALL_PRIVILEGES, true);
        fill_valid_input(e);
        assert_int_equal(status_of(control_of(e), IN_GPA, OUT_GPA), expected_valid(e));
    }
}

static void every_row_refuses_wrong_reps(void **state)
{
    guest_start(ALL_PRIVILEGES, true);
    for (uint32_t i = 0; i < hypercall_table_len; i++) {
        const struct hypercall_entry *e = &hypercall_table[i];
        bool rep = e->form & HC_REP;
        uint64_t bad[] = {rep ? reps(0, 0) : reps(1, 0), rep ? reps(1, 1) : reps(0, 1),
                          rep ? reps(5, 9) : reps(4095, 0), rep ? reps(0, 4095) : reps(2, 1)};

        for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
            assert_int_equal(call64(e->code | bad[k], IN_GPA, OUT_GPA),
                             HV_STATUS_INVALID_HYPERCALL_INPUT);
    }
}

static void every_row_refuses_wrong_flags(void **state)
{
    guest_start(ALL_PRIVILEGES, true);
    for (uint32_t i = 0; i < hypercall_table_len; i++) {
        const struct hypercall_entry *e = &hypercall_table[i];

        if (!(e->form & HC_FAST))
            assert_int_equal(call64(control_of(e) | HV_HYPERCALL_FAST_BIT, 0, 0),
                             HV_STATUS_INVALID_HYPERCALL_INPUT);
        if (!(e->form & HC_VAR)) {
            assert_int_equal(call64(control_of(e) | var(1), IN_GPA, OUT_GPA),
                             HV_STATUS_INVALID_HYPERCALL_INPUT);
            assert_int_equal(call64(control_of(e) | var(1023), IN_GPA, OUT_GPA),
                             HV_STATUS_INVALID_HYPERCALL_INPUT);
        }
        for (unsigned bit = 0; bit < 64; bit++)
            if ((bit >= 27 && bit <= 31) || (bit >= 44 && bit <= 47) || bit >= 60)
                assert_int_equal(call64(control_of(e) | BIT64(bit), IN_GPA, OUT_GPA),
                                 HV_STATUS_INVALID_HYPERCALL_INPUT);
    }
}

/* The form is judged before the caller, the caller before memory and existence. */
static void every_row_asks_for_its_privilege(void **state)
{
    for (uint32_t i = 0; i < hypercall_table_len; i++) {
        const struct hypercall_entry *e = &hypercall_table[i];
        bool open = !e->privileges && !(e->form & HC_ROOT);

        guest_start(~e->privileges, false);
        fill_valid_input(e);
        assert_int_equal(status_of(control_of(e), IN_GPA, OUT_GPA),
                         open ? expected_valid(e) : HV_STATUS_ACCESS_DENIED);
        assert_int_equal(status_of(control_of(e) | BIT64(63), IN_GPA, OUT_GPA),
                         HV_STATUS_INVALID_HYPERCALL_INPUT);
        if (!open)
            assert_int_equal(status_of(control_of(e), IN_GPA + 1, OUT_GPA + 1),
                             HV_STATUS_ACCESS_DENIED);
        for (unsigned bit = 0; bit < 64; bit++) {
            if (!(e->privileges & BIT64(bit)))
                continue;
            guest_start(BIT64(bit), true);
            fill_valid_input(e);
            assert_int_equal(status_of(control_of(e), IN_GPA, OUT_GPA), expected_valid(e));
        }
    }
}

static void every_row_checks_its_input_address(void **state)
{
    for (uint32_t i = 0; i < hypercall_table_len; i++) {
        const struct hypercall_entry *e = &hypercall_table[i];
        uint32_t len = e->in_size + e->in_rep;
        uint64_t last = (uint64_t)IN_GPA + PAGE_SIZE - align_up(len, 8);

        guest_start(ALL_PRIVILEGES, true);
        if (!e->handler || len == 0)
            continue;
        for (unsigned off = 1; off < 8; off++)
            assert_int_equal(status_of(control_of(e), IN_GPA + off, OUT_GPA),
                             HV_STATUS_INVALID_ALIGNMENT);
        if (len > 8)
            assert_int_equal(status_of(control_of(e), last + 8, OUT_GPA),
                             HV_STATUS_INVALID_ALIGNMENT);
        assert_int_not_equal(status_of(control_of(e), last, OUT_GPA), HV_STATUS_INVALID_ALIGNMENT);
        assert_int_equal(status_of(control_of(e), SHIM_PAGE_HOLE * PAGE_SIZE, OUT_GPA),
                         HV_STATUS_INVALID_ALIGNMENT);
        assert_int_equal(status_of(control_of(e), UINT64_MAX & PAGE_MASK, OUT_GPA),
                         HV_STATUS_INVALID_ALIGNMENT);
        if (e->in_rep) /* a list that no page holds */
            assert_int_equal(status_of(e->code | reps(4095, 0), IN_GPA, OUT_GPA),
                             HV_STATUS_INVALID_ALIGNMENT);
        if (e->form & HC_VAR)
            assert_int_equal(status_of(control_of(e) | var(1023), IN_GPA, OUT_GPA),
                             HV_STATUS_INVALID_ALIGNMENT);
    }
}

static void every_row_checks_its_output_address(void **state)
{
    for (uint32_t i = 0; i < hypercall_table_len; i++) {
        const struct hypercall_entry *e = &hypercall_table[i];
        uint64_t bad[] = {OUT_GPA + 1, OUT_GPA + 4, SHIM_PAGE_HOLE * PAGE_SIZE,
                          SHIM_PAGE_RO * PAGE_SIZE, UINT64_MAX & PAGE_MASK};

        guest_start(ALL_PRIVILEGES, true);
        fill_valid_input(e);
        if (!e->handler)
            continue;
        for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
            assert_int_equal(status_of(control_of(e), IN_GPA, bad[k]),
                             e->out_size + e->out_rep ? HV_STATUS_INVALID_ALIGNMENT
                                                      : expected_valid(e));
    }
}

static void who_may_not_call_gets_ud(void **state)
{
    struct {
        bool enabled, protected_mode;
        unsigned cpl;
    } cases[] = {{false, true, 0}, {true, false, 0}, {true, true, 3}, {true, true, 1}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        guest_start(ALL_PRIVILEGES, true);
        if (!cases[i].enabled)
            shim.partition.hypercall_msr = 0;
        shim.protected_mode = cases[i].protected_mode;
        shim.cpl = cases[i].cpl;
        caller()->regs.gpr[RCX] = HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_HYPERCALL_FAST_BIT;
        caller()->regs.gpr[RAX] = 99;
        assert_int_equal(hypercall_dispatch(caller()), HYPERCALL_STAY);
        assert_int_equal(shim.exception, VECTOR_UD);
        assert_int_equal(caller()->regs.gpr[RAX], 99);
        assert_int_equal(shim.yields, 0);
    }
}

static void convention_of_32_bit_code(void **state)
{
    struct vp_regs *r = &caller()->regs;

    guest_start(ALL_PRIVILEGES, true);
    shim.long_mode = false;
    /* Fast IPI: first parameter in EBX:ECX, second in EDI:ESI; high halves are no part of it. */
    r->gpr[RDX] = 0xFFFFFFFF00000000;
    r->gpr[RAX] = 0xFFFFFFFF00000000 | HVCALL_SEND_IPI | (uint32_t)HV_HYPERCALL_FAST_BIT;
    r->gpr[RBX] = 0xFFFFFFFF00000000;
    r->gpr[RCX] = 0x41;
    r->gpr[RDI] = 0;
    r->gpr[RSI] = 0x6;
    assert_int_equal(hypercall_dispatch(caller()), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], HV_STATUS_SUCCESS);
    assert_int_equal(r->gpr[RDX], 0);
    assert_int_equal(shim.ipi_vector, 0x41);
    assert_int_equal(shim.ipi_vps, 0x6);

    /* A list in memory: repetitions are in EDX on both ways. */
    r->gpr[RDX] = 3;
    r->gpr[RAX] = HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST;
    r->gpr[RBX] = 0;
    r->gpr[RCX] = IN_GPA;
    shim.ram[IN_GPA + 16] = 2;
    assert_int_equal(hypercall_dispatch(caller()), HYPERCALL_DONE);
    assert_int_equal(r->gpr[RAX], HV_STATUS_SUCCESS);
    assert_int_equal(r->gpr[RDX], 3);
    assert_int_equal(shim.flush_mask, 2);
}

static void put_flush(uint64_t flags, uint64_t mask)
{
    struct hv_tlb_flush in = {.address_space = 0x123000, .flags = flags, .processor_mask = mask};

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
}

static void flush_reaches_the_named_vps(void **state)
{
    guest_start(PRIVILEGES_STOCK_CHILD, false);
    put_flush(0, 0x5);
    assert_int_equal(call64(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, IN_GPA, 0), 0);
    assert_int_equal(shim.flush_mask, 0x5);
    put_flush(HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES, UINT64_MAX);
    assert_int_equal(call64(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, IN_GPA, 0), 0);
    assert_int_equal(shim.flush_mask, 0xF); /* VPs that do not exist are left out */
    put_flush(HV_FLUSH_ALL_PROCESSORS, 0);
    assert_int_equal(call64(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, IN_GPA, 0), 0);
    assert_int_equal(shim.flush_mask, 0xF);
    assert_int_equal(shim.flushes, 3);
    put_flush(0, BIT64(40));
    assert_int_equal(call64(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, IN_GPA, 0), 0);
    assert_int_equal(shim.flushes, 3);
    put_flush(HV_FLUSH_USE_EXTENDED_RANGE_FORMAT, 1);
    assert_int_equal(status_of(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, IN_GPA, 0),
                     HV_STATUS_INVALID_PARAMETER);
    put_flush(BIT64(63), 1);
    assert_int_equal(status_of(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | reps(1, 0), IN_GPA, 0),
                     HV_STATUS_INVALID_PARAMETER);
}

static void flush_list_is_done_at_once(void **state)
{
    guest_start(PRIVILEGES_STOCK_CHILD, false);
    put_flush(0, 0x2);
    assert_int_equal(call64(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | reps(500, 0), IN_GPA, 0),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 500));
    assert_int_equal(shim.flushes, 1);
    assert_int_equal(call64(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | reps(500, 499), IN_GPA, 0),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 500));
    /* An error counts what was done before: here, what the caller says was done. */
    put_flush(BIT64(63), 0x2);
    assert_int_equal(call64(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | reps(500, 499), IN_GPA, 0),
                     hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 499));
    assert_int_equal(shim.flushes, 2);
    /* 24 + 509 * 8 bytes fill a page; one more crosses. */
    put_flush(0, 0x2);
    assert_int_equal(status_of(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | reps(509, 0), IN_GPA, 0), 0);
    assert_int_equal(status_of(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | reps(510, 0), IN_GPA, 0),
                     HV_STATUS_INVALID_ALIGNMENT);
}

static void put_flush_ex(uint64_t flags, uint64_t format, uint64_t banks, uint64_t bank0)
{
    struct hv_tlb_flush_ex in = {.flags = flags,
                                 .hv_vp_set = {.format = format, .valid_bank_mask = banks}};

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    memcpy(shim.ram + IN_GPA + sizeof(in), &bank0, sizeof(bank0));
}

static void flush_ex_reads_vp_sets(void **state)
{
    uint64_t call = HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX;

    guest_start(PRIVILEGES_STOCK_CHILD, false);
    put_flush_ex(0, HV_GENERIC_SET_SPARSE_4K, 1, 0xC);
    assert_int_equal(call64(call | var(1), IN_GPA, 0), 0);
    assert_int_equal(shim.flush_mask, 0xC);
    put_flush_ex(0, HV_GENERIC_SET_ALL, 0, 0);
    assert_int_equal(call64(call, IN_GPA, 0), 0);
    assert_int_equal(shim.flush_mask, 0xF);
    put_flush_ex(HV_FLUSH_ALL_PROCESSORS, HV_GENERIC_SET_SPARSE_4K, 0, 0);
    assert_int_equal(call64(call, IN_GPA, 0), 0);
    assert_int_equal(shim.flushes, 3);
    /* Bank 5 names no VP that exists; an empty set is no work. */
    put_flush_ex(0, HV_GENERIC_SET_SPARSE_4K, BIT64(5), UINT64_MAX);
    assert_int_equal(call64(call | var(1), IN_GPA, 0), 0);
    assert_int_equal(shim.flushes, 3);
    /* Bank words and header words disagree. */
    put_flush_ex(0, HV_GENERIC_SET_SPARSE_4K, 1, 1);
    assert_int_equal(status_of(call, IN_GPA, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_int_equal(status_of(call | var(2), IN_GPA, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
    put_flush_ex(0, 2, 1, 1);
    assert_int_equal(status_of(call | var(1), IN_GPA, 0), HV_STATUS_INVALID_PARAMETER);
    put_flush_ex(0x10, HV_GENERIC_SET_ALL, 0, 1);
    assert_int_equal(status_of(call, IN_GPA, 0), HV_STATUS_INVALID_PARAMETER);
    /* All 64 banks are the longest header. */
    put_flush_ex(0, HV_GENERIC_SET_SPARSE_4K, UINT64_MAX, 0x1);
    assert_int_equal(call64(call | var(64), IN_GPA, 0), 0);
    assert_int_equal(shim.flush_mask, 0x1);
    assert_int_equal(
        call64(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX | var(64) | reps(444, 1), IN_GPA, 0),
        hv_hypercall_result(HV_STATUS_SUCCESS, 444));
}

static void ipi_checks_and_sends(void **state)
{
    uint64_t fast = HVCALL_SEND_IPI | HV_HYPERCALL_FAST_BIT;

    guest_start(PRIVILEGES_STOCK_CHILD, false);
    assert_int_equal(call64(fast, 0xF3, UINT64_MAX), 0);
    assert_int_equal(shim.ipi_vps, 0xF);
    assert_int_equal(shim.ipi_vector, 0xF3);
    assert_int_equal(shim.ipis, 4);
    assert_int_equal(call64(fast, 0x10, 0x2), 0);
    assert_int_equal(call64(fast, 0xFF, BIT64(63)), 0);
    assert_int_equal(call64(fast, 0x1000000FFULL, 0), HV_STATUS_INVALID_PARAMETER); /* VTL 1 */
    assert_int_equal(call64(fast, 0x10000000FFULL, 1), 0); /* target VTL 0, said expressly */
    assert_int_equal(shim.ipis, 6);
    assert_int_equal(status_of(fast, 0x0F, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(status_of(fast, 0x100, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(status_of(fast, 0x2000000030ULL, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(status_of(fast, 0x10000000000030ULL, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(shim.ipis, 6);
}

static void ipi_ex_checks_and_sends(void **state)
{
    struct hv_send_ipi_ex in = {.vector = 0x31, .vp_set = {.valid_bank_mask = 1}};
    uint64_t bank = 0xA;

    guest_start(PRIVILEGES_STOCK_CHILD, false);
    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    memcpy(shim.ram + IN_GPA + sizeof(in), &bank, sizeof(bank));
    assert_int_equal(call64(HVCALL_SEND_IPI_EX | var(1), IN_GPA, 0), 0);
    assert_int_equal(shim.ipi_vps, 0xA);
    assert_int_equal(status_of(HVCALL_SEND_IPI_EX, IN_GPA, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
    in.vp_set.format = HV_GENERIC_SET_ALL;
    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    assert_int_equal(call64(HVCALL_SEND_IPI_EX, IN_GPA, 0), 0);
    assert_int_equal(shim.ipi_vps, 0xF);
    in.vector = 5;
    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    assert_int_equal(status_of(HVCALL_SEND_IPI_EX, IN_GPA, 0), HV_STATUS_INVALID_PARAMETER);
}

static void partition_id_and_spin_wait(void **state)
{
    uint64_t id;

    guest_start(PRIVILEGES_STOCK_ROOT, true);
    assert_int_equal(call64(HVCALL_GET_PARTITION_ID, 0xBAD, IN_GPA + PAGE_SIZE - 8), 0);
    memcpy(&id, shim.ram + IN_GPA + PAGE_SIZE - 8, sizeof(id));
    assert_int_equal(id, PARTITION_ROOT_ID);
    assert_int_equal(call64(HVCALL_NOTIFY_LONG_SPIN_WAIT | HV_HYPERCALL_FAST_BIT, 1, 0), 0);
    assert_int_equal(call64(HVCALL_NOTIFY_LONG_SPIN_WAIT, IN_GPA, 0), 0);
    assert_int_equal(shim.yields, 2);
}

/* Who has no parent to ask gets a status. */
static void closed_page_of_the_root(void **state)
{
    guest_start(PRIVILEGES_STOCK_ROOT, true);
    shim.closed_page = OUT_GPA / PAGE_SIZE;
    assert_int_equal(status_of(HVCALL_GET_PARTITION_ID, 0, OUT_GPA), HV_STATUS_INVALID_ALIGNMENT);
    assert_int_equal(shim.denied.times, 0);
}

static uint16_t post(uint32_t connection, uint32_t reserved, uint32_t type, uint32_t size)
{
    struct hv_input_post_message in = {connection, reserved, type, size, {0}};

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    return status_of(HVCALL_POST_MESSAGE, IN_GPA, 0);
}

static void post_message_checks(void **state)
{
    guest_start(PRIVILEGES_STOCK_CHILD, false);
    assert_int_equal(post(1, 0, 1, 240), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(post(4, 0, 0x7FFFFFFF, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(post(0x1000001, 0, 1, 8), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(post(1, 1, 1, 8), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(post(1, 0, 0, 8), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(post(1, 0, 0x80000001, 8), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(post(1, 0, 1, 241), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(post(1, 0, 1, UINT32_MAX), HV_STATUS_INVALID_PARAMETER);
}

static void signal_event_checks(void **state)
{
    uint64_t fast = HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST_BIT;

    guest_start(PRIVILEGES_STOCK_CHILD, false);
    assert_int_equal(status_of(fast, 2, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(status_of(fast, 0x7FF00000002, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(status_of(fast, 0x80000000002, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(status_of(fast, 0x1000000000002, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(status_of(fast, 0xFF000002, 0), HV_STATUS_INVALID_CONNECTION_ID);
}

/* Its parent wants to see calls on connections that do not exist: they are its to finish. */
static void unknown_connections_go_to_the_parent(void **state)
{
    struct vp_regs *r = &caller()->regs;

    guest_start(PRIVILEGES_STOCK_CHILD, false);
    shim.partition.is_child = true;
    shim.partition.intercepts.unknown_connection = HV_INTERCEPT_ACCESS_MASK_EXECUTE;
    r->gpr[RCX] = HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST_BIT;
    r->gpr[RDX] = 2;
    r->gpr[RAX] = 99;
    r->rip = 0;
    assert_int_equal(hypercall_dispatch(caller()), HYPERCALL_STAY);
    assert_int_equal(r->rip, 1);
    assert_int_equal(r->gpr[RAX], 99);
    /* What the hypervisor can judge is not forwarded. */
    assert_int_equal(status_of(r->gpr[RCX], 0x80000000002, 0), HV_STATUS_INVALID_PARAMETER);
    shim.partition.intercepts.unknown_connection = HV_INTERCEPT_ACCESS_MASK_READ;
    assert_int_equal(status_of(r->gpr[RCX], 2, 0), HV_STATUS_INVALID_CONNECTION_ID);
    shim.partition.intercepts.hypercall = HV_INTERCEPT_ACCESS_MASK_EXECUTE;
    assert_int_equal(hypercall_dispatch(caller()), HYPERCALL_STAY);
}

static uint16_t post_direct(const struct hv_input_post_message_direct *in)
{
    memcpy(shim.ram + IN_GPA, in, sizeof(*in));
    return status_of(HVCALL_POST_MESSAGE_DIRECT, IN_GPA, 0);
}

static uint16_t signal_direct(uint64_t partition, uint32_t vp, uint8_t vtl)
{
    struct hv_input_signal_event_direct in = {partition, vp, vtl, 2, 77};

    memcpy(shim.ram + IN_GPA, &in, sizeof(in));
    return status_of(HVCALL_SIGNAL_EVENT_DIRECT, IN_GPA, OUT_GPA);
}

static void direct_calls_reach_the_synic(void **state)
{
    struct hv_input_post_message_direct in = {.partition_id = HV_PARTITION_ID_SELF, .vp_index = 1};
    struct hv_message m = {.header = {.message_type = 5, .payload_size = 8}, .payload = {99}};

    guest_start(PRIVILEGES_STOCK_ROOT, true);
    in.sint_index = 3;
    memcpy(in.message, &m, sizeof(m));
    assert_int_equal(post_direct(&in), HV_STATUS_SUCCESS);
    assert_ptr_equal(shim.sent.vp, &shim.vps[1]);
    assert_int_equal(shim.sent.sint, 3);
    assert_memory_equal(&shim.sent.message, &m, sizeof(m));

    memset(shim.ram + OUT_GPA, 0xFF, 16);
    assert_int_equal(signal_direct(PARTITION_ROOT_ID, HV_VP_INDEX_SELF, 0), HV_STATUS_SUCCESS);
    assert_ptr_equal(shim.sent.vp, &shim.vps[0]);
    assert_int_equal(shim.sent.sint, 2);
    assert_int_equal(shim.sent.flag, 77);
    assert_int_equal(shim.ram[OUT_GPA], 1); /* newly signaled */
    assert_int_equal(shim.ram[OUT_GPA + 7], 0);
    assert_int_equal(shim.ram[OUT_GPA + 8], 0xFF);
}

static void direct_calls_are_checked(void **state)
{
    struct hv_input_post_message_direct in = {.partition_id = 77};

    guest_start(PRIVILEGES_STOCK_ROOT, true);
    assert_int_equal(post_direct(&in), HV_STATUS_INVALID_PARTITION_ID);
    in.partition_id = PARTITION_ROOT_ID;
    in.vp_index = SHIM_VPS;
    assert_int_equal(post_direct(&in), HV_STATUS_INVALID_VP_INDEX);
    in.vp_index = 0;
    in.reserved2 = 1;
    assert_int_equal(post_direct(&in), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(signal_direct(HV_PARTITION_ID_SELF, 0, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(shim.synic_ops, 0);
    shim.send_rc = -ENODEV;
    assert_int_equal(signal_direct(HV_PARTITION_ID_SELF, 0, 0), HV_STATUS_INVALID_SYNIC_STATE);
    shim.send_rc = -EAGAIN;
    in.reserved2 = 0;
    assert_int_equal(post_direct(&in), HV_STATUS_INSUFFICIENT_BUFFERS);
    shim.send_rc = -EINVAL;
    assert_int_equal(post_direct(&in), HV_STATUS_INVALID_PARAMETER);
    guest_start(PRIVILEGES_STOCK_CHILD, false);
    assert_int_equal(post_direct(&in), HV_STATUS_ACCESS_DENIED);
}

/* The stock sets give the statuses that the documentation promises. */
static void stock_partitions(void **state)
{
    guest_start(PRIVILEGES_STOCK_CHILD, false);
    assert_int_equal(status_of(HVCALL_CREATE_PARTITION, IN_GPA, OUT_GPA), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(status_of(HVCALL_GET_PARTITION_ID, 0, OUT_GPA), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(status_of(HVCALL_RETARGET_INTERRUPT, IN_GPA, 0),
                     HV_STATUS_INVALID_HYPERCALL_CODE);
    guest_start(PRIVILEGES_STOCK_ROOT, true);
    assert_int_equal(status_of(HVCALL_CREATE_PARTITION, IN_GPA, OUT_GPA), HV_STATUS_SUCCESS);
    assert_int_equal(status_of(HVCALL_MMIO_READ, IN_GPA, OUT_GPA),
                     HV_STATUS_INVALID_HYPERCALL_CODE);
    assert_int_equal(status_of(HV_EXT_CALL_QUERY_CAPABILITIES, 0, OUT_GPA),
                     HV_STATUS_ACCESS_DENIED);
}

/* docs/hypercalls.md has a line for each row, with the word for its status. */
static void documentation_lists_every_row(void **state)
{
    char path[512], line[512];
    const char *slash = strrchr(__FILE__, '/');
    uint32_t listed = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%.*s/../../docs/hypercalls.md",
             slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".");
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        const struct hypercall_entry *e;
        char want[128], *rest;
        unsigned long code;

        if (strncmp(line, "| 0x", 4) != 0)
            continue;
        code = strtoul(line + 2, &rest, 16);
        assert_true(listed < hypercall_table_len);
        e = &hypercall_table[listed++];
        assert_int_equal(code, e->code);
        snprintf(want, sizeof(want), " | %s | ", e->name);
        assert_int_equal(strncmp(rest, want, strlen(want)), 0);
        snprintf(want, sizeof(want), "| %s |\n", e->handler ? "works" : "absent");
        assert_non_null(strstr(rest, want));
    }
    fclose(f);
    assert_int_equal(listed, hypercall_table_len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_consistent),
        cmocka_unit_test(unknown_codes_are_refused),
        cmocka_unit_test(every_row_takes_its_form),
        cmocka_unit_test(every_row_refuses_wrong_reps),
        cmocka_unit_test(every_row_refuses_wrong_flags),
        cmocka_unit_test(every_row_asks_for_its_privilege),
        cmocka_unit_test(every_row_checks_its_input_address),
        cmocka_unit_test(every_row_checks_its_output_address),
        cmocka_unit_test(who_may_not_call_gets_ud),
        cmocka_unit_test(convention_of_32_bit_code),
        cmocka_unit_test(flush_reaches_the_named_vps),
        cmocka_unit_test(flush_list_is_done_at_once),
        cmocka_unit_test(flush_ex_reads_vp_sets),
        cmocka_unit_test(ipi_checks_and_sends),
        cmocka_unit_test(ipi_ex_checks_and_sends),
        cmocka_unit_test(partition_id_and_spin_wait),
        cmocka_unit_test(closed_page_of_the_root),
        cmocka_unit_test(post_message_checks),
        cmocka_unit_test(signal_event_checks),
        cmocka_unit_test(unknown_connections_go_to_the_parent),
        cmocka_unit_test(direct_calls_reach_the_synic),
        cmocka_unit_test(direct_calls_are_checked),
        cmocka_unit_test(stock_partitions),
        cmocka_unit_test(documentation_lists_every_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
