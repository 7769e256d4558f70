/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/* The local APIC in both modes: registers, priorities, every way to send an interrupt. */

#define VECTOR  0x63
#define LONG_US 1000000

/* ---- x2APIC registers (SDM 11.12; APM 16.9): which exist, which bits they take -------------- */

enum access { RO, WO, RW, NONE };

struct x2_register {
    uint8_t first, last;
    enum access access;
    uint64_t bad; /* a value that must be refused; 0 for none */
};

static const struct x2_register x2_registers[] = {
    {0x00, 0x01, NONE, 0},       {0x02, 0x03, RO, 0},         {0x04, 0x07, NONE, 0},
    {0x08, 0x08, RW, 0x100},     {0x09, 0x09, NONE, 0},       {0x0A, 0x0A, RO, 0},
    {0x0B, 0x0B, WO, 1},         {0x0C, 0x0C, NONE, 0},       {0x0D, 0x0D, RO, 0},
    {0x0E, 0x0E, NONE, 0},       {0x0F, 0x0F, RW, BIT64(32)}, {0x10, 0x27, RO, 0},
    {0x28, 0x28, RW, 1},         {0x29, 0x2E, NONE, 0},       {0x31, 0x31, NONE, 0},
    {0x32, 0x32, RW, BIT64(32)}, {0x35, 0x37, RW, BIT64(32)}, {0x38, 0x38, RW, BIT64(32)},
    {0x39, 0x39, RO, 0},         {0x3A, 0x3D, NONE, 0},       {0x3E, 0x3E, RW, BIT64(32)},
    {0x40, 0x42, NONE, 0},       {0x80, 0xFF, NONE, 0},
};

static void x2_register_check(const struct x2_register *r, uint32_t msr)
{
    uint64_t v = 0;
    int rd = safe_rdmsr(msr, &v);

    EXPECT(rd == (r->access == RO || r->access == RW ? 0 : GP), "reading %x raises %d", msr, rd);
    if (r->access == NONE || r->access == RO)
        EXPECT(safe_wrmsr(msr, 0) == GP, "%x can be written", msr);
    else
        EXPECT(safe_wrmsr(msr, r->access == WO || r->bad == 1 ? 0 : v) == 0, "%x refuses 0x%lx",
               msr, v);
    if (r->bad)
        EXPECT(safe_wrmsr(msr, r->bad) == GP, "%x takes 0x%lx", msr, r->bad);
}

static void x2_registers_on(void *arg)
{
    bool old = this_cpu()->x2apic;
    uint32_t id;

    apic_init(true);
    for (size_t i = 0; i < ARRAY_SIZE(x2_registers); i++)
        for (uint32_t n = x2_registers[i].first; n <= x2_registers[i].last; n++)
            x2_register_check(&x2_registers[i], X2APIC_MSR(n));
    id = apic_read(APIC_ID);
    EXPECT(id == this_cpu()->apic_id, "id %u, not %u", id, this_cpu()->apic_id);
    EXPECT(apic_read(APIC_LDR) == ((id >> 4) << 16 | BIT(id & 15)), "LDR 0x%x",
           apic_read(APIC_LDR));
    EXPECT((apic_read(APIC_VERSION) & 0xff) >= 0x10, "version 0x%x", apic_read(APIC_VERSION));
    EXPECT((apic_read(APIC_VERSION) >> 16 & 0xff) >= 4, "version 0x%x", apic_read(APIC_VERSION));
    apic_init(old);
}

static void x2apic_registers(void)
{
    SKIP_IF(!cpu_has_x2apic(), "no x2APIC");
    smp_run_on(cpu_count - 1, x2_registers_on, NULL, LONG_US);
}

static void modes_on(void *arg)
{
    uint64_t start = rdmsr(MSR_APIC_BASE);
    uint64_t off = start & ~(APIC_BASE_EN | APIC_BASE_EXTD), x1 = off | APIC_BASE_EN,
             x2 = x1 | APIC_BASE_EXTD;
    bool old = this_cpu()->x2apic;
    uint64_t v;

    apic_init(false);
    EXPECT(safe_rdmsr(X2APIC_MSR(APIC_ID), &v) == GP, "x2APIC register readable in xAPIC mode");
    EXPECT(safe_wrmsr(MSR_APIC_BASE, off | APIC_BASE_EXTD) == GP, "EXTD without EN is taken");
    EXPECT(safe_wrmsr(MSR_APIC_BASE, x2) == 0, "xAPIC to x2APIC is refused");
    EXPECT(safe_rdmsr(X2APIC_MSR(APIC_ID), &v) == 0, "x2APIC register not readable in that mode");
    EXPECT(safe_wrmsr(MSR_APIC_BASE, x1) == GP, "x2APIC to xAPIC is taken");
    EXPECT(safe_wrmsr(MSR_APIC_BASE, off) == 0, "x2APIC to disabled is refused");
    EXPECT(safe_rdmsr(X2APIC_MSR(APIC_ID), &v) == GP, "a disabled APIC answers");
    EXPECT(safe_wrmsr(MSR_APIC_BASE, x2) == GP, "disabled to x2APIC is taken");
    EXPECT(safe_wrmsr(MSR_APIC_BASE, x1) == 0, "disabled to xAPIC is refused");
    EXPECT(mmio_read32(XAPIC_REG(APIC_ID)) >> 24 == this_cpu()->apic_id, "xAPIC id 0x%x",
           mmio_read32(XAPIC_REG(APIC_ID)));
    this_cpu()->x2apic = false;
    apic_init(old);
    EXPECT(rdmsr(MSR_APIC_BASE) == start, "APIC_BASE 0x%lx, was 0x%lx", rdmsr(MSR_APIC_BASE),
           start);
}

static void mode_transitions(void)
{
    SKIP_IF(!cpu_has_x2apic(), "no x2APIC");
    smp_run_on(cpu_count - 1, modes_on, NULL, LONG_US);
}

static void bsp_bit_on(void *arg)
{
    bool bsp = rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP;

    EXPECT(bsp == (this_cpu()->index == 0), "processor %u: BSP bit %d", this_cpu()->index, bsp);
    EXPECT((rdmsr(MSR_APIC_BASE) & 0xFFFFFF000ULL) == XAPIC_BASE, "base 0x%lx",
           rdmsr(MSR_APIC_BASE));
}

static void bsp_bit(void)
{
    smp_run_all(bsp_bit_on, NULL, LONG_US);
}

/* ---- xAPIC registers through memory ---------------------------------------------------------- */

static uint32_t x1_read(unsigned reg)
{
    return mmio_read32(XAPIC_REG(reg));
}

static void x1_write(unsigned reg, uint32_t v)
{
    mmio_write32(XAPIC_REG(reg), v);
}

static void x1_lvts(void)
{
    static const uint8_t lvts[] = {APIC_LVT_TIMER, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR};

    for (size_t i = 0; i < ARRAY_SIZE(lvts); i++) {
        x1_write(lvts[i], LVT_MASKED | 0x55);
        EXPECT(x1_read(lvts[i]) == (LVT_MASKED | 0x55), "LVT %x holds 0x%x", lvts[i],
               x1_read(lvts[i]));
    }
    /* Software disable masks them and keeps them masked (SDM 11.4.7.2). */
    x1_write(APIC_LVT_ERROR, 0x56);
    x1_write(APIC_SVR, 0xff);
    /* The APIC of the bare emulator does neither. */
    EXPECT(!hv_present() || (x1_read(APIC_LVT_ERROR) & LVT_MASKED),
           "software disable leaves an LVT open");
    x1_write(APIC_LVT_ERROR, 0x56);
    EXPECT(!hv_present() || (x1_read(APIC_LVT_ERROR) & LVT_MASKED),
           "an LVT can be opened while disabled");
    x1_write(APIC_SVR, 0x1ff);
}

static void x1_registers_on(void *arg)
{
    bool old = this_cpu()->x2apic;

    apic_init(false);
    EXPECT(x1_read(APIC_ID) >> 24 == this_cpu()->apic_id, "id 0x%x", x1_read(APIC_ID));
    EXPECT((x1_read(APIC_VERSION) & 0xff) >= 0x10, "version 0x%x", x1_read(APIC_VERSION));
    x1_write(APIC_TPR, 0x35);
    EXPECT(x1_read(APIC_TPR) == 0x35 && read_cr8() == 3, "TPR 0x%x CR8 %lu", x1_read(APIC_TPR),
           read_cr8());
    EXPECT((x1_read(APIC_PPR) & 0xf0) == 0x30, "PPR 0x%x", x1_read(APIC_PPR));
    x1_write(APIC_TPR, 0);
    x1_write(APIC_LDR, 0xA5123456);
    EXPECT(x1_read(APIC_LDR) == 0xA5000000, "LDR 0x%x", x1_read(APIC_LDR));
    x1_write(APIC_DFR, 0x00000000);
    EXPECT(x1_read(APIC_DFR) == 0x0FFFFFFF, "DFR 0x%x", x1_read(APIC_DFR));
    x1_write(APIC_DFR, 0xF0000000);
    EXPECT(x1_read(APIC_DFR) == 0xFFFFFFFF, "DFR 0x%x", x1_read(APIC_DFR));
    x1_write(APIC_LDR, 0);
    for (unsigned r = APIC_ISR; r < APIC_ESR; r++) {
        uint32_t before = x1_read(r);

        x1_write(r, ~before);
        EXPECT(x1_read(r) == before, "register %x can be written", r);
    }
    x1_write(APIC_ICR_HIGH, 0x7F000000);
    EXPECT(x1_read(APIC_ICR_HIGH) == 0x7F000000, "ICR high 0x%x", x1_read(APIC_ICR_HIGH));
    x1_write(APIC_TIMER_DIVIDE, 0xB);
    EXPECT(x1_read(APIC_TIMER_DIVIDE) == 0xB, "divide 0x%x", x1_read(APIC_TIMER_DIVIDE));
    x1_lvts();
    apic_init(old);
}

static void xapic_registers(void)
{
    smp_run_on(cpu_count - 1, x1_registers_on, NULL, LONG_US);
}

/* The same register through the instructions that compilers make of an access. */
static void x1_forms_on(void *arg)
{
    bool old = this_cpu()->x2apic;
    uint64_t icr2 = XAPIC_REG(APIC_ICR_HIGH), base = XAPIC_BASE, index = 0x310 / 8;
    uint32_t v = 0;

    apic_init(false);
    __asm__ volatile("movl $0x11000000, (%0)" : : "r"(icr2) : "memory");
    EXPECT(x1_read(APIC_ICR_HIGH) == 0x11000000, "mov imm32: 0x%x", x1_read(APIC_ICR_HIGH));
    __asm__ volatile("mov %0, %%r13; mov $0x12000000, %%r15d; mov %%r15d, (%%r13)"
                     :
                     : "r"(icr2)
                     : "r13", "r15", "memory");
    EXPECT(x1_read(APIC_ICR_HIGH) == 0x12000000, "mov r15d, (r13): 0x%x", x1_read(APIC_ICR_HIGH));
    __asm__ volatile("movl $0x13000000, 0x310(%0)" : : "r"(base) : "memory");
    EXPECT(x1_read(APIC_ICR_HIGH) == 0x13000000, "disp32: 0x%x", x1_read(APIC_ICR_HIGH));
    __asm__ volatile("movl %2, (%0,%1,8)" : : "r"(base), "r"(index), "r"(0x14000000) : "memory");
    __asm__ volatile("movl 0x10(%1,%2,8), %0" : "=r"(v) : "r"(base - 0x10), "r"(index) : "memory");
    EXPECT(v == 0x14000000, "SIB: 0x%x", v);
    __asm__ volatile("mov $0x15000000, %%eax; movabs %%eax, 0xfee00310; xor %%eax, %%eax\n"
                     "movabs 0xfee00310, %%eax; mov %%eax, %0"
                     : "=r"(v)
                     :
                     : "rax", "memory");
    EXPECT(v == 0x15000000, "moffs: 0x%x", v);
    __asm__ volatile("mov %1, %%r8; mov (%%r8), %%r9d; mov %%r9d, %0"
                     : "=r"(v)
                     : "r"(icr2)
                     : "r8", "r9", "memory");
    EXPECT(v == 0x15000000, "mov (r8), r9d: 0x%x", v);
    apic_init(old);
}

static void xapic_mov_forms(void)
{
    smp_run_on(cpu_count - 1, x1_forms_on, NULL, LONG_US);
}

static void x1_rmw_on(void *arg)
{
    bool old = this_cpu()->x2apic;
    uint64_t icr2 = XAPIC_REG(APIC_ICR_HIGH);
    uint32_t v = 0x33000000;
    uint8_t equal;

    apic_init(false);
    x1_write(APIC_ICR_HIGH, 0x30000000);
    __asm__ volatile("orl $0x01000000, (%0)" : : "r"(icr2) : "memory", "cc");
    EXPECT(x1_read(APIC_ICR_HIGH) == 0x31000000, "or: 0x%x", x1_read(APIC_ICR_HIGH));
    __asm__ volatile("andl $0x10000000, (%0)" : : "r"(icr2) : "memory", "cc");
    EXPECT(x1_read(APIC_ICR_HIGH) == 0x10000000, "and: 0x%x", x1_read(APIC_ICR_HIGH));
    __asm__ volatile("xchgl %0, (%1)" : "+r"(v) : "r"(icr2) : "memory");
    EXPECT(v == 0x10000000 && x1_read(APIC_ICR_HIGH) == 0x33000000, "xchg: 0x%x 0x%x", v,
           x1_read(APIC_ICR_HIGH));
    __asm__ volatile("testl $0x01000000, (%1); setne %0"
                     : "=q"(equal)
                     : "r"(icr2)
                     : "memory", "cc");
    EXPECT(equal, "test sets the wrong flags");
    apic_init(old);
}

static void xapic_read_modify_write(void)
{
    smp_run_on(cpu_count - 1, x1_rmw_on, NULL, LONG_US);
}

/* ---- Ways to send ------------------------------------------------------------------------------
 */

static void counts_clear(void)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        cpus[i].irq_count[VECTOR] = 0;
}

static void counts_check(const char *what, uint32_t mask)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        if (mask & BIT(i))
            EXPECT(WAIT_FOR(cpus[i].irq_count[VECTOR], LONG_US), "%s: processor %u has nothing",
                   what, i);
    delay_us(2000);
    for (uint32_t i = 0; i < cpu_count; i++)
        EXPECT(cpus[i].irq_count[VECTOR] == (mask >> i & 1), "%s to 0x%x: processor %u has %u",
               what, mask, i, cpus[i].irq_count[VECTOR]);
    counts_clear();
}

static void send_and_check(const char *what, uint32_t dest, uint32_t low, uint32_t mask)
{
    apic_icr(dest, low | ICR_ASSERT | VECTOR);
    counts_check(what, mask);
}

static void send_physical(void *arg)
{
    uint32_t all = BIT(cpu_count) - 1, self = BIT(this_cpu()->index);

    counts_clear();
    for (uint32_t i = 0; i < cpu_count; i++)
        send_and_check("physical", cpus[i].apic_id, ICR_FIXED, BIT(i));
    send_and_check("self", 0, ICR_SELF, self);
    send_and_check("all", 0, ICR_ALL, all);
    send_and_check("others", 0, ICR_OTHERS, all & ~self);
    send_and_check("broadcast id", this_cpu()->x2apic ? 0xFFFFFFFF : 0xFF, ICR_FIXED, all);
    send_and_check("nobody", 0xE0, ICR_FIXED, 0);
}

static void ipi_physical(void)
{
    irq_enable();
    send_physical(NULL);
    smp_run_on(cpu_count - 1, send_physical, NULL, 5 * LONG_US);
}

static void set_flat_ldr(void *arg)
{
    if (this_cpu()->x2apic)
        return;
    apic_write(APIC_DFR, 0xFFFFFFFF);
    apic_write(APIC_LDR, BIT(24 + this_cpu()->index));
}

/* x2APIC: cluster << 16 | one bit for each of 16; xAPIC: the flat model with our own bits. */
static uint32_t logical_dest(uint32_t mask)
{
    uint32_t dest = 0;

    if (!this_cpu()->x2apic)
        return mask;
    for (uint32_t i = 0; i < cpu_count; i++)
        if (mask & BIT(i))
            dest |= (cpus[i].apic_id >> 4) << 16 | BIT(cpus[i].apic_id & 15);
    return dest;
}

static void ipi_logical(void)
{
    irq_enable();
    SKIP_IF(cpu_count > 8, "more than 8 processors");
    smp_run_all(set_flat_ldr, NULL, LONG_US);
    counts_clear();
    for (uint32_t mask = 1; mask < BIT(cpu_count) && !case_failed(); mask++)
        send_and_check("logical", logical_dest(mask), ICR_LOGICAL, mask);
}

static void set_cluster_ldr(void *arg)
{
    uint32_t i = this_cpu()->index;

    apic_write(APIC_DFR, 0x0FFFFFFF);
    /* Two processors in each cluster. */
    apic_write(APIC_LDR, (i / 2) << 28 | BIT(24 + (i & 1)));
}

static void ipi_logical_cluster(void)
{
    irq_enable();
    SKIP_IF(this_cpu()->x2apic, "an xAPIC model");
    smp_run_all(set_cluster_ldr, NULL, LONG_US);
    counts_clear();
    for (uint32_t i = 0; i < cpu_count; i++)
        send_and_check("cluster", (i / 2) << 4 | BIT(i & 1), ICR_LOGICAL, BIT(i));
    send_and_check("whole cluster", 0x03, ICR_LOGICAL, 0x3);
    smp_run_all(set_flat_ldr, NULL, LONG_US);
}

static uint32_t counts_total(void)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < cpu_count; i++)
        total += cpus[i].irq_count[VECTOR];
    return total;
}

static void ipi_lowest_priority(void)
{
    irq_enable();
    smp_run_all(set_flat_ldr, NULL, LONG_US);
    counts_clear();
    for (uint32_t n = 1; n <= 8; n++) {
        apic_icr(logical_dest(BIT(cpu_count) - 1), ICR_LOWEST | ICR_LOGICAL | ICR_ASSERT | VECTOR);
        EXPECT(WAIT_FOR(counts_total() == n, LONG_US), "%u sent, %u arrive", n, counts_total());
    }
    delay_us(5000);
    EXPECT(counts_total() == 8, "8 sent, %u arrive", counts_total());
}

static void ipi_self_register(void)
{
    SKIP_IF(!this_cpu()->x2apic, "an x2APIC register");
    irq_enable();
    counts_clear();
    wrmsr(X2APIC_MSR(APIC_SELF_IPI), VECTOR);
    counts_check("self IPI register", 1);
}

/* A whole xAPIC world: all processors change over, send, and change back. */
static void to_xapic(void *arg)
{
    apic_init(false);
}

static void to_x2apic(void *arg)
{
    apic_init(true);
}

static void xapic_world(void)
{
    SKIP_IF(!this_cpu()->x2apic, "the kernels already run in xAPIC mode");
    irq_enable();
    /* This processor last: it wakes the others by IPI. */
    for (uint32_t i = 1; i < cpu_count; i++)
        smp_run_on(i, to_xapic, NULL, LONG_US);
    to_xapic(NULL);
    ipi_physical();
    ipi_logical();
    ipi_logical_cluster();
    ipi_lowest_priority();
    for (uint32_t i = 1; i < cpu_count; i++)
        smp_run_on(i, to_x2apic, NULL, LONG_US);
    to_x2apic(NULL);
}

static void on_synthetic(struct trap_frame *f)
{
    wrmsr(HV_X64_MSR_EOI, 0);
}

static void synthetic_icr_and_eoi(void)
{
    struct cpu *cpu = this_cpu();

    SKIP_IF(!(hv_privileges() & HV_MSR_APIC_ACCESS_AVAILABLE), "not offered");
    irq_enable();
    counts_clear();
    for (uint32_t i = 0; i < cpu_count; i++) {
        wrmsr(HV_X64_MSR_ICR,
              (uint64_t)cpus[i].apic_id << (this_cpu()->x2apic ? 32 : 56) | ICR_ASSERT | VECTOR);
        counts_check("synthetic ICR", BIT(i));
    }
    irq_handler_set(VECTOR, on_synthetic);
    for (uint32_t n = 1; n <= 20; n++) {
        apic_icr(cpu->apic_id, ICR_FIXED | ICR_ASSERT | VECTOR);
        REQUIRE(WAIT_FOR(cpu->irq_count[VECTOR] == n, LONG_US), "interrupt %u is lost", n);
        EXPECT(!apic_bit(APIC_ISR, VECTOR), "the synthetic EOI ends nothing");
    }
}

/* ---- Priorities
 * ---------------------------------------------------------------------------------- */

static uint8_t order[8];
static unsigned order_count;
static uint8_t ppr_seen;

static void on_ordered(struct trap_frame *f)
{
    if (order_count < sizeof(order))
        order[order_count++] = (uint8_t)f->vector;
    ppr_seen = (uint8_t)apic_read(APIC_PPR);
    apic_eoi();
}

static void self(uint8_t vector)
{
    apic_icr(this_cpu()->apic_id, ICR_FIXED | ICR_ASSERT | vector);
}

static void highest_first(void)
{
    order_count = 0;
    irq_handler_set(0x44, on_ordered);
    irq_handler_set(0x54, on_ordered);
    irq_handler_set(0x94, on_ordered);
    irq_disable();
    self(0x44);
    self(0x94);
    self(0x54);
    delay_us(2000);
    EXPECT(apic_bit(APIC_IRR, 0x44) && apic_bit(APIC_IRR, 0x54) && apic_bit(APIC_IRR, 0x94),
           "IRR does not hold the three");
    EXPECT(!apic_bit(APIC_ISR, 0x94), "in service with interrupts off");
    irq_enable();
    EXPECT(WAIT_FOR(order_count == 3, LONG_US), "%u arrive", order_count);
    EXPECT(order[0] == 0x94 && order[1] == 0x54 && order[2] == 0x44, "order %x %x %x", order[0],
           order[1], order[2]);
    EXPECT(!apic_bit(APIC_IRR, 0x44), "IRR keeps a delivered vector");
}

/* While 0x54 is in service: 0x94 comes through, 0x58 of the same class and 0x44 wait. */
static void on_outer(struct trap_frame *f)
{
    order[order_count++] = 0x54;
    ppr_seen = (uint8_t)apic_read(APIC_PPR);
    EXPECT(apic_bit(APIC_ISR, 0x54), "not in service in its own handler");
    self(0x58);
    self(0x44);
    self(0x94);
    irq_enable();
    delay_us(5000);
    irq_disable();
    order[order_count++] = 0xff;
    apic_eoi();
}

static void nesting(void)
{
    static const uint8_t want[] = {0x54, 0x94, 0xff, 0x58, 0x44};

    order_count = 0;
    irq_handler_set(0x54, on_outer);
    irq_handler_set(0x44, on_ordered);
    irq_handler_set(0x58, on_ordered);
    irq_handler_set(0x94, on_ordered);
    irq_enable();
    self(0x54);
    EXPECT(WAIT_FOR(order_count == 5, LONG_US), "%u steps", order_count);
    EXPECT(!memcmp(order, want, sizeof(want)), "order %x %x %x %x %x", order[0], order[1], order[2],
           order[3], order[4]);
}

static void ppr_in_service(void)
{
    order_count = 0;
    irq_handler_set(0x94, on_ordered);
    irq_enable();
    self(0x94);
    EXPECT(WAIT_FOR(order_count == 1, LONG_US), "no interrupt");
    EXPECT((ppr_seen & 0xf0) == 0x90, "PPR 0x%x while 0x94 is in service", ppr_seen);
    EXPECT((apic_read(APIC_PPR) & 0xf0) == 0, "PPR 0x%x afterwards", apic_read(APIC_PPR));
}

static void tpr_holds_back(bool by_cr8)
{
    order_count = 0;
    irq_handler_set(0x54, on_ordered);
    irq_handler_set(0x64, on_ordered);
    irq_enable();
    if (by_cr8)
        write_cr8(5);
    else
        apic_write(APIC_TPR, 0x50);
    self(0x54);
    delay_us(3000);
    EXPECT(order_count == 0, "class 5 comes through TPR 5");
    self(0x64);
    EXPECT(WAIT_FOR(order_count == 1 && order[0] == 0x64, LONG_US), "class 6 is held by TPR 5");
    if (by_cr8)
        write_cr8(4);
    else
        apic_write(APIC_TPR, 0x4F);
    EXPECT(WAIT_FOR(order_count == 2 && order[1] == 0x54, LONG_US), "class 5 is held by TPR 4");
    if (by_cr8)
        write_cr8(0);
    else
        apic_write(APIC_TPR, 0);
}

static void tpr_by_register(void)
{
    tpr_holds_back(false);
}

static void tpr_by_cr8(void)
{
    tpr_holds_back(true);
}

static void software_disable(void)
{
    irq_enable();
    counts_clear();
    apic_write(APIC_SVR, 0xff);
    self(VECTOR);
    delay_us(3000);
    EXPECT(this_cpu()->irq_count[VECTOR] == 0, "a disabled APIC takes an interrupt");
    apic_write(APIC_SVR, 0x1ff);
    delay_us(3000);
    EXPECT(this_cpu()->irq_count[VECTOR] == 0, "an interrupt sent while disabled comes later");
    self(VECTOR);
    counts_check("enabled again", BIT(this_cpu()->index));
    apic_init(this_cpu()->x2apic);
}

/* Vectors 0 to 15 are no interrupts: an error, and never a fault in the receiver. */
static void illegal_vector(void)
{
    irq_enable();
    apic_write(APIC_ESR, 0);
    for (uint8_t v = 0; v < 16; v++)
        self(v);
    delay_us(3000);
    apic_write(APIC_ESR, 0);
    EXPECT(apic_read(APIC_ESR) & 0x60, "ESR 0x%x after illegal vectors", apic_read(APIC_ESR));
    apic_write(APIC_ESR, 0);
    for (unsigned v = 0; v < 16; v++)
        EXPECT(!apic_bit(APIC_IRR, (uint8_t)v), "vector %u is pending", v);
}

static const struct test_case cases[] = {
    {"bsp_bit", bsp_bit, 0},
    {"x2apic_registers", x2apic_registers, NEED_SMP2},
    {"mode_transitions", mode_transitions, NEED_SMP2},
    {"xapic_registers", xapic_registers, NEED_SMP2},
    {"xapic_mov_forms", xapic_mov_forms, NEED_SMP2},
    {"xapic_read_modify_write", xapic_read_modify_write, NEED_SMP2},
    {"ipi_physical", ipi_physical, NEED_SMP2},
    {"ipi_logical", ipi_logical, NEED_SMP2},
    {"ipi_logical_cluster", ipi_logical_cluster, NEED_SMP2},
    {"ipi_lowest_priority", ipi_lowest_priority, NEED_SMP2},
    {"ipi_self_register", ipi_self_register, 0},
    {"synthetic_icr_and_eoi", synthetic_icr_and_eoi, NEED_HV},
    {"highest_first", highest_first, 0},
    {"nesting", nesting, 0},
    {"ppr_in_service", ppr_in_service, 0},
    {"tpr_by_register", tpr_by_register, 0},
    {"tpr_by_cr8", tpr_by_cr8, 0},
    {"software_disable", software_disable, NEED_HV},
    {"illegal_vector", illegal_vector, NEED_HV},
    {"xapic_world", xapic_world, NEED_HV | NEED_SMP2},
};

TEST_GROUP(apic, cases);
