/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/* IPI and flush hypercalls, processor start, NMI and halt between processors. */

#define VECTOR  0x62
#define LONG_US 1000000

static uint64_t all_mask(void)
{
    return BIT64(cpu_count) - 1;
}

static uint32_t count_on(uint32_t cpu)
{
    return cpus[cpu].irq_count[VECTOR];
}

static void counts_clear(void)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        cpus[i].irq_count[VECTOR] = 0;
}

/* After a send to `mask` exactly those have it once; then clear for the next. */
static void counts_check(const char *what, uint64_t mask)
{
    bool was_off = !(read_rflags() & RFLAGS_IF);

    irq_enable();
    for (uint32_t i = 0; i < cpu_count; i++)
        if (mask & BIT64(i))
            EXPECT(WAIT_FOR(count_on(i), LONG_US), "%s: processor %u has nothing", what, i);
    delay_us(2000);
    for (uint32_t i = 0; i < cpu_count; i++)
        EXPECT(count_on(i) == (mask >> i & 1), "%s to 0x%lx: processor %u has %u", what, mask, i,
               count_on(i));
    if (was_off)
        irq_disable();
    counts_clear();
}

/* VP indices follow processor indices in these kernels; msr_vp_index and this check it. */
static bool indices_match(void)
{
    return hv_hypercall_enable() && rdmsr(HV_X64_MSR_VP_INDEX) == this_cpu()->index;
}

static void ipi_fast(void)
{
    if (!indices_match())
        return;
    counts_clear();
    for (uint64_t mask = 1; mask <= all_mask() && !case_failed(); mask++) {
        uint64_t r = hv_call(HVCALL_SEND_IPI | HC_FAST, VECTOR, mask);

        EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "status 0x%x", HC_STATUS(r));
        counts_check("fast", mask);
    }
}

static void ipi_memory(void)
{
    struct hv_send_ipi *in = hv_input_page();
    uint64_t r;

    if (!hv_hypercall_enable())
        return;
    counts_clear();
    memset(in, 0, sizeof(*in));
    in->vector = VECTOR;
    in->cpu_mask = all_mask() & ~1ULL;
    r = hv_call(HVCALL_SEND_IPI, PA(in), 0);
    EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "status 0x%x", HC_STATUS(r));
    counts_check("memory", in->cpu_mask);
}

static uint64_t ipi_ex(uint32_t vector, uint64_t format, uint64_t banks, uint64_t bank0)
{
    struct hv_send_ipi_ex *in = hv_input_page();
    uint64_t *bank = (uint64_t *)(in + 1);
    unsigned n = 0;

    memset(in, 0, 4096);
    in->vector = vector;
    in->vp_set.format = format;
    in->vp_set.valid_bank_mask = banks;
    if (banks & 1)
        bank[n++] = bank0;
    /* Other banks name VPs that do not exist with no bit set. */
    n = (unsigned)__builtin_popcountll(banks);
    return hv_call(HVCALL_SEND_IPI_EX | HC_VARHEAD(n), PA(in), 0);
}

static void ipi_ex_sets(void)
{
    uint64_t r;

    if (!indices_match())
        return;
    counts_clear();
    r = ipi_ex(VECTOR, HV_GENERIC_SET_SPARSE_4K, 1, all_mask());
    EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "sparse: status 0x%x", HC_STATUS(r));
    counts_check("sparse", all_mask());
    r = ipi_ex(VECTOR, HV_GENERIC_SET_SPARSE_4K, 0x11, 2);
    EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "two banks: status 0x%x", HC_STATUS(r));
    counts_check("two banks", 2);
    r = ipi_ex(VECTOR, HV_GENERIC_SET_ALL, 0, 0);
    EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "all: status 0x%x", HC_STATUS(r));
    counts_check("all", all_mask());
    r = ipi_ex(VECTOR, HV_GENERIC_SET_SPARSE_4K, 0, 0);
    EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "empty: status 0x%x", HC_STATUS(r));
    counts_check("empty", 0);
}

static void ipi_refused(void)
{
    static const uint32_t vectors[] = {0, 1, 15, 256, 0xFFFFFFFF};
    uint64_t r;

    if (!hv_hypercall_enable())
        return;
    counts_clear();
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        r = hv_call(HVCALL_SEND_IPI | HC_FAST, vectors[i], 1);
        EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_PARAMETER, "vector 0x%x: status 0x%x", vectors[i],
               HC_STATUS(r));
        r = ipi_ex(vectors[i], HV_GENERIC_SET_SPARSE_4K, 1, 1);
        EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_PARAMETER, "Ex, vector 0x%x: status 0x%x",
               vectors[i], HC_STATUS(r));
    }
    r = ipi_ex(VECTOR, 2, 1, 1);
    EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_PARAMETER, "set format 2: status 0x%x", HC_STATUS(r));
    /* The header must be as long as the bank mask says. */
    ipi_ex(VECTOR, HV_GENERIC_SET_SPARSE_4K, 0, 0);
    ((struct hv_send_ipi_ex *)hv_input_page())->vp_set.valid_bank_mask = 7;
    r = hv_call(HVCALL_SEND_IPI_EX | HC_VARHEAD(1), PA(hv_input_page()), 0);
    EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_HYPERCALL_INPUT ||
               HC_STATUS(r) == HV_STATUS_INVALID_PARAMETER,
           "3 banks in a header of 1: status 0x%x", HC_STATUS(r));
    counts_check("refused", 0);
}

/* ---- Flush: after the call nobody sees the old page ---------------------------------------- */

#define WINDOW 8

static uint8_t old_page[4096] PAGE_ALIGNED, new_page[4096] PAGE_ALIGNED;
static _Atomic uint32_t phase, arrived, stale;

static uint8_t window_read(unsigned slot)
{
    return *(volatile uint8_t *)(BIT64(39) + slot * 4096ULL);
}

static void window_map(const uint8_t *to, uint64_t flags)
{
    for (unsigned s = 0; s < WINDOW; s++)
        mem_map_test(s, PA(to), PTE_P | PTE_W | flags);
}

/* Reads the window in phase 1 to fill its TLB, spins without an exit, reads again in phase 2. */
static void flush_reader(void *arg)
{
    for (unsigned s = 0; s < WINDOW; s++)
        window_read(s);
    atomic_fetch_add(&arrived, 1);
    if (!WAIT_FOR(atomic_load(&phase) == 2, 5 * LONG_US))
        return;
    for (unsigned s = 0; s < WINDOW; s++)
        if (window_read(s) != 0xBB)
            atomic_fetch_or(&stale, BIT(this_cpu()->index));
}

static void flush_round(const char *what, uint64_t (*flush)(uint64_t arg), uint64_t arg)
{
    uint64_t r;

    window_map(old_page, 0);
    for (unsigned s = 0; s < WINDOW; s++) {
        invlpg(BIT64(39) + s * 4096ULL);
        window_read(s);
    }
    phase = 1;
    arrived = 0;
    stale = 0;
    for (uint32_t i = 1; i < cpu_count; i++)
        smp_post(i, flush_reader, NULL);
    REQUIRE(WAIT_FOR(atomic_load(&arrived) == cpu_count - 1, LONG_US), "a processor is away");
    window_map(new_page, 0);
    r = flush(arg);
    for (unsigned s = 0; s < WINDOW; s++)
        if (window_read(s) != 0xBB)
            atomic_fetch_or(&stale, 1);
    atomic_store(&phase, 2);
    for (uint32_t i = 1; i < cpu_count; i++)
        EXPECT(smp_wait(i, LONG_US), "processor %u is stuck", i);
    EXPECT(HC_STATUS(r) == HV_STATUS_SUCCESS, "%s: status 0x%x", what, HC_STATUS(r));
    EXPECT(stale == 0, "%s: processors 0x%x still see the old page", what, stale);
}

static void flush_begin(void)
{
    memset(old_page, 0xAA, sizeof(old_page));
    memset(new_page, 0xBB, sizeof(new_page));
}

static struct hv_tlb_flush *flush_input(uint64_t flags)
{
    struct hv_tlb_flush *in = hv_input_page();

    memset(in, 0, 4096);
    in->address_space = read_cr3();
    in->flags = flags;
    in->processor_mask = all_mask();
    return in;
}

static uint64_t flush_space_call(uint64_t flags)
{
    return hv_call(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, PA(flush_input(flags)), 0);
}

static uint64_t flush_list_call(uint64_t flags)
{
    struct hv_tlb_flush *in = flush_input(flags);
    uint64_t *list = (uint64_t *)(in + 1);

    list[0] = BIT64(39) | 3; /* 4 pages */
    for (unsigned s = 4; s < WINDOW; s++)
        list[s - 3] = BIT64(39) + s * 4096ULL;
    return hv_call(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST | HC_REPS(5), PA(in), 0);
}

static struct hv_tlb_flush_ex *flush_ex_input(uint64_t flags, uint64_t format)
{
    struct hv_tlb_flush_ex *in = hv_input_page();

    memset(in, 0, 4096);
    in->address_space = read_cr3();
    in->flags = flags;
    in->hv_vp_set.format = format;
    if (format == HV_GENERIC_SET_SPARSE_4K) {
        in->hv_vp_set.valid_bank_mask = 1;
        *(uint64_t *)(in + 1) = all_mask();
    }
    return in;
}

static uint64_t flush_space_ex_call(uint64_t format)
{
    uint64_t banks = format == HV_GENERIC_SET_SPARSE_4K;

    return hv_call(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX | HC_VARHEAD(banks),
                   PA(flush_ex_input(HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES, format)), 0);
}

static uint64_t flush_list_ex_call(uint64_t format)
{
    uint64_t banks = format == HV_GENERIC_SET_SPARSE_4K;
    struct hv_tlb_flush_ex *in = flush_ex_input(0, format);
    uint64_t *list = (uint64_t *)(in + 1) + banks;

    list[0] = BIT64(39) | (WINDOW - 1);
    return hv_call(HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX | HC_VARHEAD(banks) | HC_REPS(1), PA(in),
                   0);
}

static void flush_space(void)
{
    static const uint64_t flags[] = {
        HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES,
        HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES,
        HV_FLUSH_ALL_PROCESSORS,
        0,
        HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY,
    };

    if (!indices_match())
        return;
    flush_begin();
    for (unsigned round = 0; round < 20 && !case_failed(); round++)
        flush_round("space", flush_space_call, flags[round % ARRAY_SIZE(flags)]);
}

static void flush_list(void)
{
    if (!indices_match())
        return;
    flush_begin();
    for (unsigned round = 0; round < 20 && !case_failed(); round++)
        flush_round("list", flush_list_call, round & 1 ? HV_FLUSH_ALL_PROCESSORS : 0);
}

static void flush_ex(void)
{
    if (!indices_match())
        return;
    flush_begin();
    for (unsigned round = 0; round < 10 && !case_failed(); round++) {
        flush_round("space Ex", flush_space_ex_call, round & 1);
        flush_round("list Ex", flush_list_ex_call, round & 1);
    }
}

static void flush_refused(void)
{
    uint64_t r;

    if (!hv_hypercall_enable())
        return;
    r = hv_call(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, PA(flush_input(BIT64(17) | 3)), 0);
    EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_PARAMETER, "reserved flag: status 0x%x", HC_STATUS(r));
    r = hv_call(HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX, PA(flush_ex_input(2, 7)), 0);
    EXPECT(HC_STATUS(r) == HV_STATUS_INVALID_PARAMETER, "set format 7: status 0x%x", HC_STATUS(r));
}

/* ---- INIT and SIPI -------------------------------------------------------------------------- */

static volatile uint64_t spins;

static void spin_forever(void *arg)
{
    for (;;)
        spins++;
}

static bool spinning(void)
{
    uint64_t before = spins;

    return WAIT_FOR(spins != before, 500000);
}

static void init_stops_and_sipi_starts(void)
{
    struct cpu *victim = &cpus[cpu_count - 1];
    uint32_t nmis = victim->nmi_count, page = smp_trampoline_page();

    smp_post(victim->index, spin_forever, NULL);
    REQUIRE(WAIT_FOR(spinning(), LONG_US), "the job does not run");
    /* A SIPI to a running processor is ignored. */
    apic_icr(victim->apic_id, ICR_SIPI | ICR_ASSERT | page >> 12);
    delay_us(20000);
    EXPECT(spinning(), "a SIPI stops a running processor");
    apic_icr(victim->apic_id, ICR_INIT | ICR_ASSERT);
    delay_us(20000);
    EXPECT(!spinning(), "INIT does not stop the processor");
    /* Waiting for SIPI, it takes no NMI and no interrupt. The bare emulator would take the NMI. */
    if (hv_present())
        apic_icr(victim->apic_id, ICR_NMI | ICR_ASSERT);
    apic_icr(victim->apic_id, ICR_FIXED | ICR_ASSERT | VECTOR);
    delay_us(20000);
    EXPECT(!spinning(), "NMI wakes a processor that waits for SIPI");
    EXPECT(smp_start(victim->index), "does not start again");
    EXPECT(victim->nmi_count <= nmis + 1, "%u NMIs", victim->nmi_count - nmis);
    for (unsigned i = 0; i < 10; i++)
        REQUIRE(smp_start(victim->index), "start %u fails", i);
}

/* Findings of realmode.S, at offset 0x400 of its page. */
struct real_report {
    uint16_t cs, flags, ds, ss;
    uint32_t cr0, cr4, edx, efer;
    uint16_t soft, ud, far_cs, nmi, irq, stage, x2apic, wakes;
} __attribute__((packed));

#define REAL_VECTOR_IRQ 0x45
#define REAL_STAGE_LAST 5

extern const uint8_t realmode_program[], realmode_program_end[];

static void real_report_check(volatile struct real_report *r, uint32_t page, uint32_t signature)
{
    EXPECT(r->cs == page >> 4, "CS is 0x%x", r->cs);
    EXPECT(r->flags == 2, "FLAGS are 0x%x", r->flags);
    EXPECT(r->ds == 0 && r->ss == 0, "DS 0x%x SS 0x%x", r->ds, r->ss);
    EXPECT((r->cr0 & 0x9FFFFFFF) == 0x10, "CR0 is 0x%x", r->cr0);
    EXPECT(r->cr4 == 0, "CR4 is 0x%x", r->cr4);
    EXPECT(r->efer == 0, "EFER is 0x%x", r->efer);
    EXPECT(r->edx == signature, "EDX is 0x%x, the signature 0x%x", r->edx, signature);
    EXPECT(r->soft == 2, "%u software interrupts of 2", r->soft);
    EXPECT(r->ud == 1, "VMMCALL in real mode raised %u #UD", r->ud);
    EXPECT(r->far_cs == (page >> 4) - 0x10, "far return to CS 0x%x", r->far_cs);
}

static void real_mode_start(void)
{
    struct cpu *victim = &cpus[cpu_count - 1];
    uint32_t page = smp_trampoline_page();
    volatile struct real_report *r = (struct real_report *)(uint64_t)(page + 0x400);
    static uint8_t vectors[1024];
    /* The compiler must not know that this pointer is null. */
    void *volatile table = NULL;

    memcpy(vectors, table, sizeof(vectors));
    memset((void *)(uint64_t)page, 0, 4096);
    memcpy((void *)(uint64_t)page, realmode_program,
           (size_t)(realmode_program_end - realmode_program));
    r->x2apic = this_cpu()->x2apic;
    apic_icr(victim->apic_id, ICR_INIT | ICR_ASSERT);
    delay_us(1000);
    apic_icr(victim->apic_id, ICR_SIPI | ICR_ASSERT | page >> 12);
    EXPECT(WAIT_FOR(r->stage == REAL_STAGE_LAST, LONG_US), "stops at stage %u", r->stage);
    if (r->stage == REAL_STAGE_LAST) {
        real_report_check(r, page, cpuid(1, 0).eax);
        delay_us(5000);
        apic_icr(victim->apic_id, ICR_NMI | ICR_ASSERT);
        EXPECT(WAIT_FOR(r->nmi == 1, LONG_US), "no NMI in real mode");
        EXPECT(WAIT_FOR(r->wakes == 1, LONG_US), "the NMI does not wake it");
        for (uint16_t n = 1; n <= 5 && r->x2apic; n++) {
            apic_icr(victim->apic_id, ICR_FIXED | ICR_ASSERT | REAL_VECTOR_IRQ);
            EXPECT(WAIT_FOR(r->irq == n && r->wakes == n + 1, LONG_US), "interrupt %u: %u", n,
                   r->irq);
        }
    }
    memcpy(table, vectors, sizeof(vectors));
    EXPECT(smp_start(victim->index), "does not start again");
}

/* ---- NMI ------------------------------------------------------------------------------------ */

static volatile uint32_t nmi_depth, nmi_deepest;

/* Sends itself two more: they must wait for IRET, and are one. */
static void nmi_nested(struct trap_frame *f)
{
    uint32_t depth = ++nmi_depth;

    if (depth > nmi_deepest)
        nmi_deepest = depth;
    if (this_cpu()->nmi_count == 1) {
        apic_icr(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
        apic_icr(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
        delay_us(2000);
    }
    nmi_depth--;
}

static void nmi_blocked_until_iret(void)
{
    this_cpu()->nmi_count = 0;
    nmi_depth = nmi_deepest = 0;
    nmi_handler_set(nmi_nested);
    apic_icr(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
    EXPECT(WAIT_FOR(this_cpu()->nmi_count >= 2, LONG_US), "%u NMIs", this_cpu()->nmi_count);
    delay_us(5000);
    EXPECT(nmi_deepest == 1, "an NMI inside an NMI handler");
    EXPECT(this_cpu()->nmi_count == 2, "%u NMIs", this_cpu()->nmi_count);
}

static volatile uint32_t halted_done;

static void halt_with_interrupts_off(void *arg)
{
    halted_done = 1;
    __asm__ volatile("cli; hlt" : : : "memory");
    halted_done = 2;
}

static void nmi_wakes_halt(void)
{
    for (uint32_t i = 1; i < cpu_count; i++) {
        uint32_t before = cpus[i].nmi_count;

        halted_done = 0;
        smp_post(i, halt_with_interrupts_off, NULL);
        REQUIRE(WAIT_FOR(halted_done, LONG_US), "the job does not run");
        delay_us(5000);
        EXPECT(halted_done == 1, "processor %u does not halt", i);
        apic_icr(cpus[i].apic_id, ICR_FIXED | ICR_ASSERT | VECTOR);
        delay_us(5000);
        EXPECT(halted_done == 1, "an interrupt wakes a halt with IF = 0");
        apic_icr(cpus[i].apic_id, ICR_NMI | ICR_ASSERT);
        REQUIRE(WAIT_FOR(halted_done == 2, LONG_US), "NMI does not wake processor %u", i);
        EXPECT(cpus[i].nmi_count == before + 1, "%u NMIs", cpus[i].nmi_count - before);
    }
}

/* ---- Halt and wake: nothing is lost between two processors ---------------------------------- */

#define ROUNDS 1000

static _Atomic uint32_t ball;

static void ping_pong(void *arg)
{
    uint32_t me = this_cpu()->index - 1;

    for (unsigned n = 0; n < ROUNDS; n++) {
        irq_disable();
        while ((atomic_load(&ball) & 1) != me) {
            sti_hlt();
            irq_disable();
        }
        atomic_fetch_add(&ball, 1);
        apic_icr(cpus[2 - me].apic_id, ICR_FIXED | ICR_ASSERT | VECTOR);
    }
    irq_enable();
}

/* Processors 1 and 2 play; this one watches the clock, because a lost wake-up sleeps forever. */
static void halt_wake_ping_pong(void)
{
    uint64_t start = rdtsc();

    ball = 0;
    smp_post(1, ping_pong, NULL);
    smp_post(2, ping_pong, NULL);
    EXPECT(smp_wait(1, 20 * LONG_US) && smp_wait(2, 20 * LONG_US), "asleep after %u of %u",
           atomic_load(&ball), 2 * ROUNDS);
    note("%u wake-ups, %lu us each", 2 * ROUNDS, tsc_to_us(rdtsc() - start) / (2 * ROUNDS));
}

/* Everybody sends to everybody: each interrupt line arrives at least once per burst. */
static _Atomic uint32_t storm_ready;

static void storm(void *arg)
{
    for (unsigned n = 0; n < 200; n++)
        for (uint32_t i = 0; i < cpu_count; i++)
            apic_icr(cpus[i].apic_id, ICR_FIXED | ICR_ASSERT | (0x80 + this_cpu()->index));
    atomic_fetch_add(&storm_ready, 1);
}

static void ipi_storm(void)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        for (uint32_t k = 0; k < cpu_count; k++)
            cpus[i].irq_count[0x80 + k] = 0;
    storm_ready = 0;
    irq_enable();
    smp_run_all(storm, NULL, 20 * LONG_US);
    delay_us(20000);
    irq_disable();
    for (uint32_t i = 0; i < cpu_count; i++)
        for (uint32_t k = 0; k < cpu_count; k++)
            EXPECT(cpus[i].irq_count[0x80 + k] >= 1 && cpus[i].irq_count[0x80 + k] <= 200,
                   "processor %u had %u interrupts from %u", i, cpus[i].irq_count[0x80 + k], k);
}

static const struct test_case cases[] = {
    {"ipi_fast", ipi_fast, NEED_HV},
    {"ipi_memory", ipi_memory, NEED_HV | NEED_SMP2},
    {"ipi_ex_sets", ipi_ex_sets, NEED_HV | NEED_SMP2},
    {"ipi_refused", ipi_refused, NEED_HV},
    {"flush_space", flush_space, NEED_HV | NEED_SMP2},
    {"flush_list", flush_list, NEED_HV | NEED_SMP2},
    {"flush_ex", flush_ex, NEED_HV | NEED_SMP2},
    {"flush_refused", flush_refused, NEED_HV},
    {"init_stops_and_sipi_starts", init_stops_and_sipi_starts, NEED_SMP2},
    {"real_mode_start", real_mode_start, NEED_SMP2},
    {"nmi_blocked_until_iret", nmi_blocked_until_iret, 0},
    {"nmi_wakes_halt", nmi_wakes_halt, NEED_SMP2},
    {"halt_wake_ping_pong", halt_wake_ping_pong, NEED_SMP4},
    {"ipi_storm", ipi_storm, NEED_SMP2},
};

TEST_GROUP(smp, cases);
