/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/*
 * Attacks on the hypervisor. They may get any defined answer; afterwards the machine must
 * still run. n= gives the number of hypercalls and of MSR accesses, seed= repeats a run,
 * hvmem=0xSTART-0xEND names the hypervisor's memory if the memory map does not show it.
 */

#define VECTOR         0x65
#define LONG_US        1000000
#define SCRATCH_PAGES  8
#define DEFAULT_COUNT  20000
#define DEFAULT_SEED   20240229
#define HV_RANGES      8
#define PARALLEL_SLICE 4096

static uint8_t scratch[MAX_CPUS][SCRATCH_PAGES * 4096] PAGE_ALIGNED;

static struct hv_range {
    uint64_t start, end;
} hv_ranges[HV_RANGES];
static unsigned hv_range_count;

/* ---- After an attack --------------------------------------------------------------------- */

/* Take whatever is pending, on vectors 16 to 255, and leave the APIC quiet. */
static void drain(void *arg)
{
    irq_disable();
    apic_init(this_cpu()->x2apic);
    apic_write(APIC_TIMER_INITIAL, 0);
    irq_enable();
    delay_us(20000);
    irq_disable();
    for (unsigned v = 0; v < 256; v++)
        if (apic_bit(APIC_ISR, (uint8_t)v))
            apic_eoi();
}

/* APs come back to their idle loop with interrupts on: vectors 16 to 31 must be interrupts until
 * then. */
static void drain_all(void)
{
    drain(NULL);
    for (uint32_t i = 1; i < cpu_count; i++)
        smp_run_on(i, drain, NULL, 5 * LONG_US);
}

/* After an attack: hypercalls, timers, IPIs and the processors still work. */
static void still_alive(void)
{
    uint32_t before;

    drain_all();
    trap_plain_vectors(false);
    REQUIRE(hv_hypercall_enable(), "no hypercall page any more");
    EXPECT(HC_STATUS(hv_call(HVCALL_NOTIFY_LONG_SPIN_WAIT | HC_FAST, 1, 0)) == HV_STATUS_SUCCESS,
           "hypercalls are broken");
    irq_enable();
    before = this_cpu()->irq_count[VECTOR];
    hv_stimer_start(0, HV_STIMER_DIRECT_MODE | STIMER_VECTOR(VECTOR), hv_ref_time() + 20000);
    EXPECT(WAIT_FOR(this_cpu()->irq_count[VECTOR] == before + 1, LONG_US), "timers are broken");
    for (uint32_t i = 0; i < cpu_count; i++) {
        before = cpus[i].irq_count[VECTOR];
        apic_icr(cpus[i].apic_id, ICR_FIXED | ICR_ASSERT | VECTOR);
        EXPECT(WAIT_FOR(cpus[i].irq_count[VECTOR] == before + 1, LONG_US),
               "IPIs to processor %u are broken", i);
    }
    irq_disable();
}

/* ---- Where the hypervisor lives ---------------------------------------------------------------
 */

static bool ram_edge(uint64_t addr, bool ends)
{
    for (unsigned i = 0; i < env.e820_count; i++) {
        const struct e820_entry *e = &env.e820[i];

        if (e->type == 1 && (ends ? e->addr + e->size : e->addr) == addr)
            return true;
    }
    return false;
}

static void range_add(uint64_t start, uint64_t end)
{
    if (hv_range_count == HV_RANGES || end <= start)
        return;
    hv_ranges[hv_range_count++] = (struct hv_range){start, end};
    note("hypervisor memory %lx to %lx", start, end);
}

static uint64_t parse_hex(const char *p)
{
    uint64_t v = 0;

    for (p += 2; *p; p++)
        v = v * 16 + (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
    return v;
}

/* From the command line; else what is reserved in the midst of RAM, where firmware has nothing. */
static bool hypervisor_memory_find(void)
{
    char text[64];
    const char *dash;

    if (hv_range_count)
        return true;
    if (option_text("hvmem", text, sizeof(text)) && (dash = strchr(text, '-')))
        range_add(option_number("hvmem", 0), parse_hex(dash + 1));
    for (unsigned i = 0; i < env.e820_count && !option_number("hvmem", 0); i++) {
        const struct e820_entry *e = &env.e820[i];

        if (e->type == 2 && e->addr + e->size <= BIT64(32) && ram_edge(e->addr, true) &&
            ram_edge(e->addr + e->size, false))
            range_add(e->addr, e->addr + e->size);
    }
    return hv_range_count;
}

/* A read faults with #GP or gives all ones or zeroes, a write faults or is lost. */
static bool page_is_closed(uint64_t a, uint64_t *faults)
{
    uint8_t before, after;
    int rd = safe_read8(a, &before), wr;

    EXPECT(rd == 0 || rd == GP, "reading %lx raises %d", a, rd);
    EXPECT(rd == GP || before == 0xff || before == 0, "%lx reads 0x%x", a, before);
    wr = safe_write8(a, 0x5A);
    EXPECT(wr == 0 || wr == GP, "writing %lx raises %d", a, wr);
    rd = safe_read8(a, &after);
    EXPECT(rd == GP || after != 0x5A, "%lx can be written", a);
    *faults += rd == GP;
    return !case_failed();
}

static void hypervisor_memory(void)
{
    uint64_t pages = 0, faults = 0;

    SKIP_IF(!hypervisor_memory_find(), "hypervisor memory unknown: give hvmem=");
    for (unsigned i = 0; i < hv_range_count; i++) {
        for (uint64_t a = hv_ranges[i].start; a < hv_ranges[i].end; a += 4096, pages++)
            if (!page_is_closed(a + 0x10, &faults))
                return;
    }
    note("%lu pages, %lu fault", pages, faults);
}

/*
 * The same memory as a page table, which the processor reads itself. Some exception comes, or a
 * wrong translation that leads nowhere; the machine goes on.
 */
static void hypervisor_memory_as_page_table(void)
{
    extern uint64_t test_pd[512];
    uint8_t byte;

    SKIP_IF(!hypervisor_memory_find(), "hypervisor memory unknown: give hvmem=");
    for (unsigned i = 0; i < hv_range_count; i++) {
        uint64_t va = BIT64(39) + BIT64(21);
        int vec;

        test_pd[1] = hv_ranges[i].start | PTE_P | PTE_W;
        invlpg(va);
        vec = safe_read8(va, &byte);
        EXPECT(vec == GP || vec == PF || byte == 0xff || byte == 0, "reads 0x%x, vector %d", byte,
               vec);
        vec = safe_write8(va, 1);
        EXPECT(vec == 0 || vec == GP || vec == PF, "writing raises %d", vec);
        test_pd[1] = 0;
        invlpg(va);
    }
    still_alive();
}

/* ---- Hypercalls
 * ---------------------------------------------------------------------------------- */

/* What would end or change the run for good if it were granted: not an attack. */
static bool code_is_destructive(uint16_t code)
{
    switch (code) {
    case HVCALL_ENTER_SLEEP_STATE:
    case HVCALL_DISABLE_HYP_EX:
    case HVCALL_NOTIFY_PARTITION_EVENT:
    case HVCALL_SET_SYSTEM_PROPERTY:
    case HVCALL_DEPOSIT_MEMORY: /* gives away whatever page a random number names */
    case HVCALL_SET_VP_REGISTERS:
    case HVCALL_START_VP:
    case HVCALL_SET_PARTITION_PROPERTY:
    case HVCALL_MAP_DEVICE_INTERRUPT:
    case HVCALL_UNMAP_DEVICE_INTERRUPT:
    case HVCALL_ASSERT_VIRTUAL_INTERRUPT:
    case HVCALL_WRITE_GPA:
    case HVCALL_FINALIZE_PARTITION:
        return true;
    default:
        return false;
    }
}

static bool status_is_defined(uint32_t s)
{
    return s <= HV_STATUS_VTL_ALREADY_ENABLED;
}

static uint64_t random_hypervisor_address(struct prng *r)
{
    const struct hv_range *h;

    if (!hv_range_count)
        return prng_next(r) << 40;
    h = &hv_ranges[prng_below(r, hv_range_count)];
    return h->start + (prng_next(r) % (h->end - h->start) & ~7ULL);
}

/* An address for input or output: never one where a granted write would hurt the test itself. */
static uint64_t random_address(struct prng *r)
{
    uint64_t mine = PA(scratch[this_cpu()->index]);

    switch (prng_below(r, 12)) {
    case 0:
    case 1:
    case 2:
    case 8:
    case 9:
    case 10:
    case 11:
        return mine; /* where random_input() has put something */
    case 3:
        return mine + (prng_below(r, (SCRATCH_PAGES - 1) * 4096) & ~7U);
    case 4:
        return mine + prng_below(r, (SCRATCH_PAGES - 1) * 4096);
    case 5:
        return prng_next(r) | BIT64(52);
    case 6: /* device space and holes below 4 GiB */
        return 0xFEC00000ULL + (prng_below(r, 0x1300000) & (prng_next(r) & 1 ? ~7U : ~0U));
    default:
        return random_hypervisor_address(r);
    }
}

/* Calls in their proper form, to get past the first checks. */
static const struct call_shape {
    uint16_t code;
    bool rep, var, fast;
} shapes[] = {
    {HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE, false, false, false},
    {HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST, true, false, false},
    {HVCALL_NOTIFY_LONG_SPIN_WAIT, false, false, true},
    {HVCALL_SEND_IPI, false, false, true},
    {HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX, false, true, false},
    {HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX, true, true, false},
    {HVCALL_SEND_IPI_EX, false, true, false},
    {HVCALL_GET_PARTITION_ID, false, false, false},
    {HVCALL_POST_MESSAGE, false, false, false},
    {HVCALL_SIGNAL_EVENT, false, false, true},
    {HVCALL_POST_MESSAGE_DIRECT, false, false, false},
    {HVCALL_SIGNAL_EVENT_DIRECT, false, false, false},
};

static uint64_t shaped_control(struct prng *r)
{
    const struct call_shape *s = &shapes[prng_below(r, ARRAY_SIZE(shapes))];
    uint64_t c = s->code;

    if (s->rep)
        c |= HC_REPS(1 + prng_below(r, prng_below(r, 4) ? 8 : 480));
    if (s->var)
        c |= HC_VARHEAD(prng_below(r, 3));
    if (s->fast && prng_below(r, 2))
        c |= HC_FAST;
    return c;
}

static uint64_t noise_control(struct prng *r)
{
    uint32_t reps = prng_below(r, 4) ? prng_below(r, 8) : prng_below(r, 4096);
    uint64_t c;

    do {
        c = prng_below(r, 2) ? prng_next(r) & 0xFFFF : prng_below(r, 0x140);
    } while (code_is_destructive((uint16_t)c));
    if (prng_below(r, 3) == 0)
        c |= HC_FAST;
    if (prng_below(r, 2))
        c |= HC_REPS(reps);
    if (prng_below(r, 4) == 0)
        c |= HC_START(prng_below(r, reps + 2) & 0xfff);
    if (prng_below(r, 3) == 0)
        c |= HC_VARHEAD(prng_below(r, 4) ? prng_below(r, 4) : prng_below(r, 1024));
    return c;
}

static uint64_t random_control(struct prng *r)
{
    uint64_t c = prng_below(r, 4) ? shaped_control(r) : noise_control(r);

    /* Bits 16 and up, so that the code stays harmless. */
    if (prng_below(r, 8) == 0)
        c ^= BIT64(16 + prng_below(r, 48));
    if (prng_below(r, 32) == 0)
        c |= prng_next(r) & ~0xFFFFULL;
    return c;
}

/* Input that is now and then nearly right: small numbers and whole masks, not only noise. */
static void random_input(struct prng *r)
{
    uint64_t *words = (uint64_t *)(void *)scratch[this_cpu()->index];

    for (unsigned n = 0; n < 6; n++) {
        static const uint64_t masks[] = {0xff, 0xf, 0x7, 0x1, 0, ~0ULL, ~0ULL};
        uint64_t v = prng_next(r) & masks[prng_below(r, ARRAY_SIZE(masks))];

        words[prng_below(r, (SCRATCH_PAGES - 1) * 512)] = v;
        words[n] = v;
    }
}

static _Atomic uint64_t calls_left, calls_done, status_seen[3];

static void hypercall_burst(struct prng *r, unsigned count)
{
    for (unsigned n = 0; n < count && !case_failed(); n++) {
        uint64_t control = random_control(r), in = random_address(r), out = random_address(r);
        uint64_t result;
        uint32_t s;

        random_input(r);
        if (control & HC_FAST) {
            in = prng_below(r, 2) ? prng_next(r) : prng_next(r) & 0xff;
            out = prng_below(r, 2) ? prng_next(r) : prng_next(r) & 0xf;
        }
        result = hv_vmmcall(control, in, out);
        s = HC_STATUS(result);
        EXPECT(status_is_defined(s) && !(result & 0xFFFFF000FFFF0000ULL),
               "control 0x%lx in 0x%lx out 0x%lx: result 0x%lx", control, in, out, result);
        atomic_fetch_add(&status_seen[s == 0 ? 0 : s <= 5 ? 1 : 2], 1);
    }
    atomic_fetch_add(&calls_done, count);
}

/* Takes slices of the work until it is done. Interrupts stay off: what was sent is drained later.
 */
static void hypercalls_on(void *arg)
{
    struct prng r = {option_number("seed", DEFAULT_SEED) + this_cpu()->index * 77777ULL};

    irq_disable();
    while (!case_failed()) {
        uint64_t left = atomic_load(&calls_left);
        uint64_t take = min_u64(left, PARALLEL_SLICE);

        if (!left)
            break;
        if (atomic_compare_exchange_strong(&calls_left, &left, left - take))
            hypercall_burst(&r, (unsigned)take);
    }
}

static uint64_t attack_count(void)
{
    return option_number("n", DEFAULT_COUNT);
}

static void random_hypercalls(void)
{
    uint64_t n = attack_count(), start = rdtsc();

    if (!hv_hypercall_enable())
        return;
    hypervisor_memory_find();
    trap_plain_vectors(true);
    calls_left = n;
    calls_done = 0;
    for (unsigned i = 0; i < 3; i++)
        status_seen[i] = 0;
    smp_run_all(hypercalls_on, NULL, 600ULL * LONG_US);
    note("%lu calls: %lu succeed, %lu bad form, %lu refused; %lu ns each", calls_done,
         status_seen[0], status_seen[1], status_seen[2],
         tsc_to_us(rdtsc() - start) * 1000 / (n ? n : 1));
    still_alive();
}

/* ---- MSRs
 * ----------------------------------------------------------------------------------------- */

static uint32_t random_msr(struct prng *r)
{
    switch (prng_below(r, 8)) {
    case 0:
        return HV_X64_MSR_FIRST + prng_below(r, 0x10000);
    case 1:
        return HV_X64_MSR_FIRST + prng_below(r, 0x1000);
    case 2:
        return HV_X64_MSR_SCONTROL + prng_below(r, 0x40);
    default:
        return HV_X64_MSR_FIRST + prng_below(r, 0x120);
    }
}

/* Registers that stop the VP or the machine by design. */
static bool msr_is_destructive(uint32_t msr, bool write)
{
    if (msr == HV_X64_MSR_GUEST_IDLE)
        return !write;
    if (msr >= HV_X64_MSR_POWER_STATE_TRIGGER_C1 && msr <= HV_X64_MSR_POWER_STATE_TRIGGER_C3)
        return true;
    return write && (msr == HV_X64_MSR_RESET || msr == HV_X64_MSR_CRASH_CTL);
}

/* Pages enabled by a random value must lie in scratch memory or outside all memory. */
static uint64_t random_msr_value(struct prng *r, uint32_t msr)
{
    bool page =
        msr == HV_X64_MSR_HYPERCALL || msr == HV_X64_MSR_REFERENCE_TSC ||
        msr == HV_X64_MSR_VP_ASSIST_PAGE || msr == HV_X64_MSR_SIEFP || msr == HV_X64_MSR_SIMP ||
        msr == HV_X64_MSR_SIRBP ||
        (msr >= HV_X64_MSR_STATS_PARTITION_RETAIL_PAGE && msr <= HV_X64_MSR_STATS_VP_INTERNAL_PAGE);
    uint64_t v = prng_next(r);

    if (page)
        return (random_address(r) & ~0xFFFULL) |
               (v & 0xFFF & ~(msr == HV_X64_MSR_HYPERCALL ? HV_X64_MSR_HYPERCALL_LOCKED : 0));
    if (msr == HV_X64_MSR_ICR) /* fixed or lowest priority: no INIT, SIPI, SMI */
        return v & ~0x600ULL;
    if (prng_below(r, 2))
        return v & 0xFFFFF;
    return v;
}

static _Atomic uint64_t msr_faults, msr_taken;

static void msr_burst(struct prng *r, unsigned count)
{
    for (unsigned n = 0; n < count && !case_failed(); n++) {
        uint32_t msr = random_msr(r);
        bool write = prng_next(r) & 1;
        uint64_t v = random_msr_value(r, msr);
        int vec;

        if (msr_is_destructive(msr, write))
            continue;
        vec = write ? safe_wrmsr(msr, v) : safe_rdmsr(msr, &v);
        EXPECT(vec == 0 || vec == GP, "%s of %x with 0x%lx raises %d", write ? "write" : "read",
               msr, v, vec);
        atomic_fetch_add(vec ? &msr_faults : &msr_taken, 1);
    }
}

static void msrs_on(void *arg)
{
    struct prng r = {option_number("seed", DEFAULT_SEED) + 5 + this_cpu()->index * 99991ULL};

    irq_disable();
    while (!case_failed()) {
        uint64_t left = atomic_load(&calls_left);
        uint64_t take = min_u64(left, PARALLEL_SLICE);

        if (!left)
            break;
        if (atomic_compare_exchange_strong(&calls_left, &left, left - take))
            msr_burst(&r, (unsigned)take);
    }
    safe_wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, 0);
    safe_wrmsr(HV_X64_MSR_TPR, 0);
    hv_synic_disable();
}

static void random_msrs(void)
{
    trap_plain_vectors(true);
    hypervisor_memory_find();
    calls_left = attack_count();
    msr_faults = msr_taken = 0;
    smp_run_all(msrs_on, NULL, 600ULL * LONG_US);
    safe_wrmsr(HV_X64_MSR_REFERENCE_TSC, 0);
    hv_hypercall_disable();
    note("%lu accesses taken, %lu refused", msr_taken, msr_faults);
    still_alive();
}

/* ---- Local APIC
 * ------------------------------------------------------------------------------------ */

/* No INIT, SIPI, SMI or reserved delivery mode, because they do what they say. */
static uint32_t tame_delivery(uint32_t low)
{
    uint32_t mode = low & 0x700;

    if (mode != ICR_FIXED && mode != ICR_LOWEST && mode != ICR_NMI)
        low &= ~0x700U;
    return low;
}

static void apic_burst(struct prng *r, unsigned count)
{
    bool x2 = this_cpu()->x2apic;

    for (unsigned n = 0; n < count && !case_failed(); n++) {
        uint32_t reg = prng_below(r, prng_below(r, 4) ? 0x40 : 0x100);
        uint64_t v = prng_next(r);
        int vec = 0;

        if (reg == APIC_ICR || (reg >= APIC_LVT_TIMER && reg <= APIC_LVT_ERROR))
            v = (v & ~0xFFFFFFFFULL) | tame_delivery((uint32_t)v);
        if (prng_below(r, 2))
            v &= 0xFFFFF;
        if (reg == APIC_SVR && prng_below(r, 2))
            v |= 0x100;
        if (x2 && v & BIT64(63))
            vec = safe_rdmsr(X2APIC_MSR(reg), &v);
        else if (x2)
            vec = safe_wrmsr(X2APIC_MSR(reg), v);
        else if (v & BIT64(63))
            mmio_read32(XAPIC_REG(reg));
        else
            mmio_write32(XAPIC_REG(reg), (uint32_t)v);
        EXPECT(vec == 0 || vec == GP, "APIC register %x with 0x%lx raises %d", reg, v, vec);
    }
}

static void apic_on(void *arg)
{
    struct prng r = {option_number("seed", DEFAULT_SEED) + 9 + this_cpu()->index * 31337ULL};

    irq_disable();
    apic_burst(&r, (unsigned)min_u64(attack_count(), 200000) / cpu_count);
    apic_init(this_cpu()->x2apic);
}

static void apic_mmio_on(void *arg)
{
    bool old = this_cpu()->x2apic;

    irq_disable();
    apic_init(false);
    apic_on(NULL);
    apic_init(old);
}

static void random_apic(void)
{
    trap_plain_vectors(true);
    smp_run_all(apic_on, NULL, 300ULL * LONG_US);
    still_alive();
}

static void random_apic_mmio(void)
{
    trap_plain_vectors(true);
    smp_run_on(cpu_count - 1, apic_mmio_on, NULL, 300ULL * LONG_US);
    still_alive();
}

/* ---- Instructions that a hypervisor must answer itself
 * ---------------------------------------------- */

static void odd_instructions(void)
{
    static uint8_t operand[16];

#define TRY(name, bytes)                                                                           \
    do {                                                                                           \
        uint32_t vec_raw;                                                                          \
        SAFE_ASM(bytes, vec_raw,                                                                   \
                 : [vec_] "=r"(vec_raw)                                                            \
                 : "a"(operand), "c"(0xBAD), "d"(0)                                                \
                 : "r11", "memory", "cc");                                                         \
        EXPECT(trapped_vector(vec_raw) == 0 || trapped_vector(vec_raw) == UD ||                    \
                   trapped_vector(vec_raw) == GP || trapped_vector(vec_raw) == NM,                 \
               name " raises %d", trapped_vector(vec_raw));                                        \
    } while (0)
    TRY("XSETBV", "xsetbv");
    TRY("INVD", "invd");
    TRY("WBINVD", "wbinvd");
    TRY("RSM", "rsm");
    TRY("MONITOR", ".byte 0x0f, 0x01, 0xc8");
    TRY("RDPMC", "rdpmc");
    TRY("VMCALL of the other vendor", ".byte 0x0f, 0x01, 0xc1");
    TRY("VMXON", ".byte 0xf3, 0x0f, 0xc7, 0x30");
    TRY("SKINIT", ".byte 0x0f, 0x01, 0xde");
    TRY("RDTSCP", ".byte 0x0f, 0x01, 0xf9");
    still_alive();
}

/* Prefixes make an intercepted instruction longer, and the length is the hypervisor's to know. */
static void prefixed_instructions(void)
{
    static uint8_t operand[16];

    TRY("CPUID with prefixes", ".byte 0x66, 0x66, 0x2e, 0x0f, 0xa2");
    TRY("RDMSR with prefixes", ".byte 0x66, 0x2e, 0x0f, 0x32");
    TRY("VMMCALL with prefixes", ".byte 0x66, 0x66, 0x66, 0x0f, 0x01, 0xd9");
#undef TRY
    still_alive();
}

/* A value may also be found out at the next entry: then #GP comes there, and RIP can stay. */
static bool on_late_fault(struct trap_frame *f)
{
    return f->vector == GP && f->error == 0;
}

/* Values that a processor refuses and an emulator may not: #GP or taken, and then put back. */
static void odd_control_registers(void)
{
    uint64_t cr0 = read_cr0(), cr4 = read_cr4();
    uint32_t vec;

    exception_hook_set(on_late_fault);
    for (unsigned bit = 23; bit < 64; bit++) {
        SAFE_ASM("mov %[v], %%cr4", vec, : [vec_] "=r"(vec) : [v] "r"(cr4 | BIT64(bit)) : "r11");
        EXPECT(trapped_vector(vec) == 0 || trapped_vector(vec) == GP, "CR4 bit %u raises %d", bit,
               trapped_vector(vec));
        cpuid(0, 0);
        write_cr4(cr4);
    }
    SAFE_ASM("mov %[v], %%cr0", vec,
             : [vec_] "=r"(vec)
             : [v] "r"((cr0 | BIT64(29)) & ~BIT64(30)) /* NW without CD */
             : "r11");
    EXPECT(trapped_vector(vec) == 0 || trapped_vector(vec) == GP, "CR0 raises %d",
           trapped_vector(vec));
    write_cr0(cr0);
    SAFE_ASM("mov %[v], %%cr0", vec, : [vec_] "=r"(vec) : [v] "r"(cr0 | BIT64(40)) : "r11");
    EXPECT(trapped_vector(vec) == 0 || trapped_vector(vec) == GP, "CR0 bit 40 raises %d",
           trapped_vector(vec));
    write_cr0(cr0);
    SAFE_ASM("mov %[v], %%cr3", vec, : [vec_] "=r"(vec) : [v] "r"(read_cr3() | BIT64(60)) : "r11");
    EXPECT(trapped_vector(vec) == 0 || trapped_vector(vec) == GP, "CR3 raises %d",
           trapped_vector(vec));
    cpuid(0, 0);
    exception_hook_set(NULL);
    EXPECT(read_cr4() == cr4, "CR4 is now 0x%lx", read_cr4());
    still_alive();
}

/* A processor that kills itself by a triple fault must not take the machine along. */
static volatile uint32_t dying;

static void triple_fault_on(void *arg)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};

    dying = 1;
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void triple_fault(void)
{
    SKIP_IF(option_number("triple", 0) == 0, "a parent's triple fault resets the machine");
    smp_post(cpu_count - 1, triple_fault_on, NULL);
    REQUIRE(WAIT_FOR(dying, LONG_US), "the job does not run");
    delay_us(50000);
    EXPECT(smp_start(cpu_count - 1), "does not start again");
    still_alive();
}

static const struct test_case cases[] = {
    {"hypervisor_memory", hypervisor_memory, NEED_HV},
    {"hypervisor_memory_as_page_table", hypervisor_memory_as_page_table, NEED_HV},
    {"odd_instructions", odd_instructions, NEED_HV},
    {"prefixed_instructions", prefixed_instructions, NEED_HV},
    {"odd_control_registers", odd_control_registers, NEED_HV},
    {"random_hypercalls", random_hypercalls, NEED_HV},
    {"random_msrs", random_msrs, NEED_HV},
    {"random_apic", random_apic, NEED_HV},
    {"random_apic_mmio", random_apic_mmio, NEED_HV | NEED_SMP2},
    {"triple_fault", triple_fault, NEED_HV | NEED_SMP2},
};

TEST_GROUP(hostile, cases);
