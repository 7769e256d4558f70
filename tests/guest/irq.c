/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/* Interrupt shadows, halt, lazy EOI, and the interrupt lines that the parent owns. */

#define VECTOR  0x64
#define LONG_US 1000000

static void no_eoi(struct trap_frame *f)
{
}

static void self(uint8_t vector)
{
    apic_icr(this_cpu()->apic_id, ICR_FIXED | ICR_ASSERT | vector);
}

/* An interrupt that is pending now, with interrupts off. */
static void make_pending(void)
{
    irq_disable();
    self(VECTOR);
    WAIT_FOR(apic_bit(APIC_IRR, VECTOR), 10000);
}

/* ---- Interrupt shadows: STI and MOV SS protect the next instruction, however it exits
 * ------------ */

#define SHADOW_ROUNDS 200

/* Run `setup; shadowed` with an interrupt pending: where does it hit? 0 is right behind `shadowed`.
 */
#define SHADOW_CASE(setup, shadowed, ...)                                                          \
    do {                                                                                           \
        for (unsigned n_ = 0; n_ < SHADOW_ROUNDS && !case_failed(); n_++) {                        \
            uint64_t after_, hit_;                                                                 \
            make_pending();                                                                        \
            this_cpu()->irq_rip = 0;                                                               \
            __asm__ volatile(setup "\n" shadowed "\n1: nop\n nop\n nop\n nop\n cli\n"              \
                                   "lea 1b(%%rip), %0"                                             \
                             : "=&r"(after_)                                                       \
                             :                                                                     \
                             : __VA_ARGS__, "memory", "cc");                                       \
            hit_ = this_cpu()->irq_rip;                                                            \
            EXPECT(hit_, "round %u: no interrupt", n_);                                            \
            EXPECT(hit_ >= after_ && hit_ <= after_ + 4, "round %u: hit %ld from the place", n_,   \
                   (int64_t)(hit_ - after_));                                                      \
        }                                                                                          \
    } while (0)

static void sti_nop(void)
{
    SHADOW_CASE("sti", "nop", "rax");
}

static void sti_cpuid(void)
{
    SHADOW_CASE("xor %%eax, %%eax; sti", "cpuid", "rax", "rbx", "rcx", "rdx");
}

static void sti_rdmsr(void)
{
    SHADOW_CASE("mov $0x1b, %%ecx; sti", "rdmsr", "rax", "rcx", "rdx");
}

static void sti_hlt_pending(void)
{
    SHADOW_CASE("sti", "hlt", "rax");
}

static void sti_in(void)
{
    SHADOW_CASE("sti", "inb $0x61, %%al", "rax");
}

static void mov_ss_cpuid(void)
{
    for (unsigned n = 0; n < SHADOW_ROUNDS && !case_failed(); n++) {
        uint64_t after, before;

        make_pending();
        this_cpu()->irq_rip = 0;
        __asm__ volatile("mov %%ss, %%r8d; xor %%eax, %%eax; sti\n"
                         "mov %%r8d, %%ss\n2: cpuid\n1: nop; nop; cli\n"
                         "lea 1b(%%rip), %0; lea 2b(%%rip), %1"
                         : "=&r"(after), "=&r"(before)
                         :
                         : "rax", "rbx", "rcx", "rdx", "r8", "memory", "cc");
        /* Of two shadows in a row only the first is promised (SDM 7.8.3). */
        EXPECT(this_cpu()->irq_rip == before ||
                   (this_cpu()->irq_rip >= after && this_cpu()->irq_rip <= after + 2),
               "hit %ld from the place", (int64_t)(this_cpu()->irq_rip - after));
    }
}

/* STI directly before CLI opens nothing. */
static void sti_cli(void)
{
    make_pending();
    this_cpu()->irq_count[VECTOR] = 0;
    for (unsigned n = 0; n < SHADOW_ROUNDS; n++)
        __asm__ volatile("sti; cli" : : : "memory");
    EXPECT(this_cpu()->irq_count[VECTOR] == 0, "%u interrupts between STI and CLI",
           this_cpu()->irq_count[VECTOR]);
    irq_enable();
    EXPECT(WAIT_FOR(this_cpu()->irq_count[VECTOR] == 1, LONG_US), "lost");
}

static void popf_has_no_shadow(void)
{
    uint64_t after;

    make_pending();
    this_cpu()->irq_rip = 0;
    __asm__ volatile("pushfq; orq $0x200, (%%rsp); popfq\n1: nop; nop; nop; cli; lea 1b(%%rip), %0"
                     : "=r"(after)
                     :
                     : "memory", "cc");
    EXPECT(this_cpu()->irq_rip >= after && this_cpu()->irq_rip <= after + 3,
           "hit %ld from the place", (int64_t)(this_cpu()->irq_rip - after));
}

/* ---- Halt
 * ---------------------------------------------------------------------------------------- */

static void hlt_wakes_by_apic_timer(void)
{
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
    apic_write(APIC_LVT_TIMER, VECTOR);
    for (unsigned n = 1; n <= 200; n++) {
        irq_disable();
        this_cpu()->irq_count[VECTOR] = 0;
        /* From far away down to around the length of an exit: the race is at the near end. */
        apic_write(APIC_TIMER_INITIAL, 4000000 / n);
        while (!this_cpu()->irq_count[VECTOR]) {
            sti_hlt();
            irq_disable();
        }
    }
    apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
}

static void send_after_delay(void *arg)
{
    for (unsigned n = 0; n < 200; n++) {
        uint32_t seen = cpus[0].irq_count[VECTOR];

        delay_us(n);
        apic_icr(cpus[0].apic_id, ICR_FIXED | ICR_ASSERT | VECTOR);
        if (!WAIT_FOR(cpus[0].irq_count[VECTOR] != seen, LONG_US)) {
            case_fail("interrupt %u does not wake the halted processor", n);
            /* Keep knocking so that the sleeper can report. */
            for (; n < 200; n++) {
                apic_icr(cpus[0].apic_id, ICR_FIXED | ICR_ASSERT | VECTOR);
                delay_us(2000);
            }
        }
    }
}

static void hlt_wakes_by_ipi(void)
{
    this_cpu()->irq_count[VECTOR] = 0;
    smp_post(1, send_after_delay, NULL);
    while (this_cpu()->irq_count[VECTOR] < 200) {
        irq_disable();
        if (this_cpu()->irq_count[VECTOR] < 200)
            sti_hlt();
        irq_enable();
        if (case_failed())
            break;
    }
    irq_disable();
    smp_wait(1, 5 * LONG_US);
}

/* Reading this MSR sleeps until an interrupt is pending, even with interrupts off. */
static void guest_idle(void)
{
    uint64_t v;

    SKIP_IF(!(hv_privileges() & HV_MSR_GUEST_IDLE_AVAILABLE), "not offered");
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
    apic_write(APIC_LVT_TIMER, VECTOR);
    for (unsigned n = 0; n < 20; n++) {
        irq_disable();
        this_cpu()->irq_count[VECTOR] = 0;
        apic_write(APIC_TIMER_INITIAL, 2000000);
        REQUIRE(safe_rdmsr(HV_X64_MSR_GUEST_IDLE, &v) == 0, "faults");
        EXPECT(this_cpu()->irq_count[VECTOR] == 0, "an interrupt with interrupts off");
        EXPECT(apic_bit(APIC_IRR, VECTOR), "woke without a pending interrupt");
        irq_enable();
        EXPECT(WAIT_FOR(this_cpu()->irq_count[VECTOR] == 1, LONG_US), "lost");
    }
    apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
}

/* An APIC that is off takes no interrupt that could wake the sleeper, so nobody may sleep. */
static void guest_idle_apic_off(void)
{
    uint64_t v;

    SKIP_IF(!(hv_privileges() & HV_MSR_GUEST_IDLE_AVAILABLE), "not offered");
    irq_disable();
    apic_write(APIC_SVR, 0xff);
    EXPECT(safe_rdmsr(HV_X64_MSR_GUEST_IDLE, &v) == 0, "faults");
    apic_write(APIC_SVR, 0x1ff);
}

static volatile bool idled;

static void idle_in_service(struct trap_frame *f)
{
    uint64_t v;

    apic_write(APIC_TIMER_INITIAL, 2000000);
    safe_rdmsr(HV_X64_MSR_GUEST_IDLE, &v);
    idled = true;
    apic_eoi();
}

/* The same in a handler: a vector of the class that is in service wakes as well. Linux relies on
   it, who waits for a spinlock in this way and is kicked by an IPI. */
static void guest_idle_in_handler(void)
{
    SKIP_IF(!(hv_privileges() & HV_MSR_GUEST_IDLE_AVAILABLE), "not offered");
    idled = false;
    this_cpu()->irq_count[VECTOR] = 0;
    irq_handler_set(VECTOR + 1, idle_in_service);
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
    apic_write(APIC_LVT_TIMER, VECTOR);
    irq_enable();
    apic_icr(this_cpu()->apic_id, ICR_FIXED | ICR_ASSERT | (VECTOR + 1));
    EXPECT(WAIT_FOR(idled, LONG_US), "the handler has not gone on");
    EXPECT(WAIT_FOR(this_cpu()->irq_count[VECTOR] > 0, LONG_US), "lost");
    irq_disable();
    apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
}

/* ---- Lazy EOI: bit 0 of the VP assist page
 * --------------------------------------------------------- */

static struct hv_vp_assist_page assist PAGE_ALIGNED;
static volatile uint32_t lazy_eois, real_eois, lazy_with_pending;

static void on_lazy(struct trap_frame *f)
{
    uint8_t lazy;

    __asm__ volatile("btrl $0, %0; setc %1" : "+m"(assist.apic_assist), "=q"(lazy) : : "cc");
    if (lazy) {
        lazy_eois++;
    } else {
        real_eois++;
        apic_eoi();
    }
}

/* A lower interrupt waits below this one: then the EOI may not be left out. */
static void on_with_pending_below(struct trap_frame *f)
{
    self(0x46);
    delay_us(100);
    if (*(volatile uint32_t *)&assist.apic_assist & HV_APIC_ASSIST_NO_EOI_REQUIRED)
        lazy_with_pending++;
    on_lazy(f);
}

static void assist_on(void)
{
    memset(&assist, 0, sizeof(assist));
    lazy_eois = real_eois = lazy_with_pending = 0;
    wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, PA(&assist) | 1);
    assist.apic_assist = 0;
}

static void lazy_eoi(void)
{
    SKIP_IF(!(hv_privileges() & HV_MSR_APIC_ACCESS_AVAILABLE), "not offered");
    assist_on();
    irq_handler_set(VECTOR, on_lazy);
    irq_enable();
    for (uint32_t n = 1; n <= 500; n++) {
        self(VECTOR);
        REQUIRE(WAIT_FOR(lazy_eois + real_eois == n, LONG_US), "interrupt %u is lost", n);
        REQUIRE(!apic_bit(APIC_ISR, VECTOR), "interrupt %u stays in service", n);
    }
    note("%u EOIs left out, %u done", lazy_eois, real_eois);
    EXPECT(lazy_eois || option_number("lazy", 1) == 0, "never offered");
    irq_disable();
    wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, 0);
}

static void lazy_eoi_with_pending(void)
{
    uint32_t low = this_cpu()->irq_count[0x46];

    SKIP_IF(!(hv_privileges() & HV_MSR_APIC_ACCESS_AVAILABLE), "not offered");
    assist_on();
    irq_handler_set(VECTOR, on_with_pending_below);
    irq_handler_set(0x46, on_lazy);
    irq_enable();
    for (uint32_t n = 1; n <= 200; n++) {
        self(VECTOR);
        REQUIRE(WAIT_FOR(lazy_eois + real_eois == 2 * n, LONG_US), "round %u: %u of 2", n,
                lazy_eois + real_eois - 2 * (n - 1));
    }
    EXPECT(this_cpu()->irq_count[0x46] == low + 200, "%u lower interrupts",
           this_cpu()->irq_count[0x46] - low);
    EXPECT(lazy_with_pending == 0, "%u times no EOI was asked for with one pending below",
           lazy_with_pending);
    irq_disable();
    wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, 0);
}

/* A guest that enables the page and yet always writes EOI is right as well. */
static void lazy_eoi_ignored(void)
{
    SKIP_IF(!(hv_privileges() & HV_MSR_APIC_ACCESS_AVAILABLE), "not offered");
    assist_on();
    this_cpu()->irq_count[VECTOR] = 0;
    irq_enable();
    for (uint32_t n = 1; n <= 200; n++) {
        self(VECTOR);
        REQUIRE(WAIT_FOR(this_cpu()->irq_count[VECTOR] == n, LONG_US), "interrupt %u is lost", n);
    }
    irq_disable();
    wrmsr(HV_X64_MSR_VP_ASSIST_PAGE, 0);
}

/* ---- 8259 and IOAPIC
 * ------------------------------------------------------------------------------- */

#define PIC_BASE    0x70
#define IOAPIC_BASE 0xFEC00000ULL
#define RTE_LEVEL   BIT(15)
#define RTE_MASKED  BIT(16)
#define PIT_CH0     0x40
#define PIT_CMD     0x43

static void on_pic(struct trap_frame *f)
{
    outb(0x20, 0x20);
}

static void pit_channel0(uint16_t count)
{
    outb(PIT_CMD, 0x34);
    outb(PIT_CH0, (uint8_t)count);
    outb(PIT_CH0, (uint8_t)(count >> 8));
}

static void pic_init(uint8_t mask)
{
    static const uint8_t words[4][2] = {{0x11, 0x11}, {PIC_BASE, PIC_BASE + 8}, {4, 2}, {1, 1}};

    outb(0x20, words[0][0]);
    outb(0xa0, words[0][1]);
    for (unsigned i = 1; i < 4; i++) {
        outb(0x21, words[i][0]);
        outb(0xa1, words[i][1]);
    }
    outb(0x21, mask);
    outb(0xa1, 0xff);
}

/* PIT interrupts through the 8259 and LINT0, as before any IOAPIC is set up. */
static void pic_timer(void)
{
    irq_handler_set(PIC_BASE, on_pic);
    this_cpu()->irq_count[PIC_BASE] = 0;
    apic_write(APIC_LVT_LINT0, 0x700);
    pic_init(0xfe);
    pit_channel0(11932);
    irq_enable();
    EXPECT(WAIT_FOR(this_cpu()->irq_count[PIC_BASE] >= 10, LONG_US), "%u ticks of 10",
           this_cpu()->irq_count[PIC_BASE]);
    irq_disable();
    outb(0x21, 0xff);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    EXPECT(!apic_bit(APIC_ISR, PIC_BASE), "an ExtINT is in service in the local APIC");
}

/* Its vectors are those of exceptions meanwhile, and it has no mask: nobody may be interrupted. */
static void pic_reinit(void)
{
    irq_disable();
    apic_write(APIC_LVT_LINT0, 0x700);
    pit_channel0(60); /* 20 kHz */
    for (unsigned n = 0; n < 50; n++) {
        outb(0x20, 0x11);
        delay_us(500);
        pic_init(0xff);
    }
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    pit_channel0(0);
}

static uint32_t ioapic_read(uint32_t reg)
{
    mmio_write32(IOAPIC_BASE, reg);
    return mmio_read32(IOAPIC_BASE + 0x10);
}

static void ioapic_write(uint32_t reg, uint32_t v)
{
    mmio_write32(IOAPIC_BASE, reg);
    mmio_write32(IOAPIC_BASE + 0x10, v);
}

static void ioapic_route(unsigned pin, uint32_t dest, uint32_t low)
{
    ioapic_write(0x10 + 2 * pin, RTE_MASKED);
    ioapic_write(0x11 + 2 * pin, dest << 24);
    ioapic_write(0x10 + 2 * pin, low);
}

static void ioapic_registers(void)
{
    uint32_t version = ioapic_read(1);

    EXPECT((version >> 16 & 0xff) >= 23, "version 0x%x", version);
    ioapic_route(5, 1, RTE_MASKED | RTE_LEVEL | 0x77);
    EXPECT((ioapic_read(0x1a) & 0x1AFFF) == (RTE_MASKED | RTE_LEVEL | 0x77), "entry 0x%x",
           ioapic_read(0x1a));
    EXPECT(ioapic_read(0x1b) >> 24 == 1, "destination 0x%x", ioapic_read(0x1b));
    ioapic_write(0x10 + 10, RTE_MASKED);
}

/* PIT on pin 2, edge triggered, to each processor in turn. */
static void ioapic_edge(void)
{
    pit_channel0(11932);
    irq_enable();
    for (uint32_t i = 0; i < cpu_count; i++) {
        cpus[i].irq_count[VECTOR] = 0;
        ioapic_route(2, cpus[i].apic_id, VECTOR);
        EXPECT(WAIT_FOR(cpus[i].irq_count[VECTOR] >= 5, LONG_US), "processor %u: %u ticks of 5", i,
               cpus[i].irq_count[VECTOR]);
        ioapic_write(0x14, RTE_MASKED);
    }
    irq_disable();
}

/* HPET comparator 2 holds its line until its status is cleared: a level source without a driver. */
#define HPET_BASE   0xFED00000ULL
#define HPET_CONFIG 0x10
#define HPET_STATUS 0x20
#define HPET_COUNT  0xF0
#define HPET_T2     0x140
#define HPET_T2_CMP 0x148
#define HPET_LEVEL  BIT(1)
#define HPET_ENABLE BIT(2)

static volatile uint32_t level_hits, level_clear_at;

static void on_level(struct trap_frame *f)
{
    if (++level_hits == level_clear_at)
        mmio_write32(HPET_BASE + HPET_STATUS, BIT(2));
    apic_eoi();
}

static void ioapic_level(void)
{
    uint32_t routes, pin;

    SKIP_IF(mmio_read32(HPET_BASE) == 0xFFFFFFFF || !mmio_read32(HPET_BASE), "no HPET");
    routes = mmio_read32(HPET_BASE + HPET_T2 + 4);
    for (pin = 23; pin > 15 && !(routes & BIT(pin)); pin--)
        ;
    SKIP_IF(pin == 15, "the HPET reaches no free pin: 0x%x", routes);
    irq_handler_set(VECTOR, on_level);
    ioapic_route(pin, this_cpu()->apic_id, RTE_LEVEL | VECTOR);
    for (unsigned round = 0; round < 5; round++) {
        level_hits = 0;
        level_clear_at = 3;
        irq_enable();
        mmio_write32(HPET_BASE + HPET_CONFIG, 0);
        mmio_write32(HPET_BASE + HPET_STATUS, BIT(2));
        mmio_write32(HPET_BASE + HPET_T2, HPET_LEVEL | HPET_ENABLE | pin << 9);
        mmio_write32(HPET_BASE + HPET_COUNT, 0);
        mmio_write32(HPET_BASE + HPET_COUNT + 4, 0);
        mmio_write32(HPET_BASE + HPET_T2_CMP, 100000);
        mmio_write32(HPET_BASE + HPET_CONFIG, 1);
        EXPECT(WAIT_FOR(level_hits >= 3, LONG_US), "round %u: %u interrupts of a line held for 3",
               round, level_hits);
        delay_us(10000);
        EXPECT(level_hits == 3, "round %u: %u interrupts of a line held for 3", round, level_hits);
        mmio_write32(HPET_BASE + HPET_T2, 0);
        irq_disable();
    }
    mmio_write32(HPET_BASE + HPET_CONFIG, 0);
    mmio_write32(HPET_BASE + HPET_STATUS, BIT(2));
    ioapic_write(0x10 + 2 * pin, RTE_MASKED);
}

/* ---- State that exits must not touch
 * --------------------------------------------------------------- */

static void cr2_and_debug_registers(void)
{
    uint64_t v, d0 = 0x123456789ABCULL;
    uint8_t byte;

    __asm__ volatile("mov %0, %%dr0" : : "r"(d0));
    for (unsigned n = 0; n < 50; n++) {
        uint64_t addr = BIT64(40) + n * 4096;

        EXPECT(safe_read8(addr, &byte) == PF, "no page fault");
        cpuid(0, 0);
        apic_read(APIC_TPR);
        EXPECT(read_cr2() == addr, "CR2 0x%lx, not 0x%lx", read_cr2(), addr);
    }
    __asm__ volatile("mov %%dr0, %0" : "=r"(v));
    EXPECT(v == d0, "DR0 0x%lx", v);
    __asm__ volatile("mov %0, %%dr0" : : "r"(0ULL));
}

static void vector_state_on(void *arg)
{
    uint64_t cr4 = read_cr4(), want = 0x1111ULL * (this_cpu()->index + 1), got = 0, other = 0;

    write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP);
    write_cr4(cr4 | CR4_OSFXSR);
    __asm__ volatile("movq %0, %%xmm3; movq %0, %%xmm12" : : "r"(want));
    for (unsigned n = 0; n < 100; n++) {
        cpuid(1, 0);
        delay_us(100);
        self(VECTOR);
    }
    __asm__ volatile("movq %%xmm3, %0; movq %%xmm12, %1" : "=r"(got), "=r"(other));
    write_cr4(cr4);
    EXPECT(got == want && other == want, "processor %u: xmm %lx %lx, not %lx", this_cpu()->index,
           got, other, want);
}

static void vector_state(void)
{
    irq_enable();
    smp_run_all(vector_state_on, NULL, LONG_US);
}

/* The count of an unhandled EOI: an EOI with nothing in service changes nothing. */
static void spare_eoi(void)
{
    irq_enable();
    for (unsigned n = 0; n < 10; n++)
        apic_eoi();
    irq_handler_set(VECTOR, no_eoi);
    self(VECTOR);
    WAIT_FOR(apic_bit(APIC_ISR, VECTOR), LONG_US);
    EXPECT(apic_bit(APIC_ISR, VECTOR), "not in service");
    apic_eoi();
    EXPECT(!apic_bit(APIC_ISR, VECTOR), "in service after EOI");
    apic_eoi();
}

static const struct test_case cases[] = {
    {"sti_nop", sti_nop, 0},
    {"sti_cpuid", sti_cpuid, 0},
    {"sti_rdmsr", sti_rdmsr, 0},
    {"sti_in", sti_in, 0},
    {"sti_hlt_pending", sti_hlt_pending, 0},
    {"mov_ss_cpuid", mov_ss_cpuid, 0},
    {"sti_cli", sti_cli, 0},
    {"popf_has_no_shadow", popf_has_no_shadow, 0},
    {"hlt_wakes_by_apic_timer", hlt_wakes_by_apic_timer, 0},
    {"hlt_wakes_by_ipi", hlt_wakes_by_ipi, NEED_SMP2},
    {"guest_idle", guest_idle, NEED_HV},
    {"guest_idle_apic_off", guest_idle_apic_off, NEED_HV},
    {"guest_idle_in_handler", guest_idle_in_handler, NEED_HV},
    {"lazy_eoi", lazy_eoi, NEED_HV},
    {"lazy_eoi_with_pending", lazy_eoi_with_pending, NEED_HV},
    {"lazy_eoi_ignored", lazy_eoi_ignored, NEED_HV},
    {"spare_eoi", spare_eoi, 0},
    {"pic_timer", pic_timer, 0},
    {"pic_reinit", pic_reinit, 0},
    {"ioapic_registers", ioapic_registers, 0},
    {"ioapic_edge", ioapic_edge, 0},
    {"ioapic_level", ioapic_level, 0},
    {"cr2_and_debug_registers", cr2_and_debug_registers, 0},
    {"vector_state", vector_state, 0},
};

TEST_GROUP(irq, cases);
