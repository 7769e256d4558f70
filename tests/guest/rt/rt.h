/* SPDX-License-Identifier: MIT */
#ifndef GUEST_RT_RT_H
#define GUEST_RT_RT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/bits.h"
#include "lib/string.h"
#include "tests/guest/rt/cpu.h"

/* Runtime of the test kernels: one image, cases grouped by file, run in table order. */

#define MAX_CPUS     16
#define MAX_E820     64
#define PAGE_BYTES   4096U
#define PAGE_ALIGNED __attribute__((aligned(4096)))

/* ---- Output: the protocol lines, and "# " lines for people -------------------------- */

/** Formatted output: %s %c %d %u %x with l, zero padding and width. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** A line of explanation; the runner shows it and draws no conclusion. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Choose the serial port: "3f8", "2f8", or "e9" for a debug console. */
void console_init(const char *name);

/* ---- Cases ---------------------------------------------------------------------------- */

enum case_flags {
    NEED_HV = 1 << 0,   /* SKIP without a hypervisor */
    NEED_SMP2 = 1 << 1, /* SKIP with fewer processors */
    NEED_SMP4 = 1 << 2,
};

struct test_case {
    const char *name;
    void (*run)(void);
    unsigned flags;
};

struct test_group {
    const char *name;
    const struct test_case *cases;
    size_t count;
};

extern const struct test_group group_smoke, group_cpuid_msr, group_hypercall, group_synic,
    group_stimer, group_smp, group_apic, group_irq, group_hostile, group_child, group_wishes,
    group_spin, group_storm;

#define TEST_GROUP(id, table)                                                                      \
    const struct test_group group_##id = {#id, table, sizeof(table) / sizeof((table)[0])}

/** Record a failure of the running case; the first reason is its verdict, later ones are notes. */
void case_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Make the verdict SKIP unless the case fails. */
void case_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool case_failed(void);

/** Fail and go on, or fail and leave the (void) function. */
#define EXPECT(cond, ...)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            case_fail(__VA_ARGS__);                                                                \
    } while (0)
#define REQUIRE(cond, ...)                                                                         \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            case_fail(__VA_ARGS__);                                                                \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define SKIP_IF(cond, ...)                                                                         \
    do {                                                                                           \
        if (cond) {                                                                                \
            case_skip(__VA_ARGS__);                                                                \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* ---- Environment ------------------------------------------------------------------------ */

struct e820_entry {
    uint64_t addr;
    uint64_t size;
    uint32_t type; /* 1 RAM, 2 reserved, 3 ACPI, 4 NVS */
};

struct env {
    char cmdline[1024];
    struct e820_entry e820[MAX_E820];
    unsigned e820_count;
    uint64_t rsdp;
    bool multiboot;
};

extern struct env env;

/** Value of `name=` on the command line: text copied into buf (false if absent), or a number. */
bool option_text(const char *name, char *buf, size_t size);
uint64_t option_number(const char *name, uint64_t fallback);

/* ---- Processors and traps ------------------------------------------------------------- */

struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

_Static_assert(sizeof(struct trap_frame) == 22 * 8, "start.S pushes 15 registers");
_Static_assert(offsetof(struct trap_frame, vector) == 15 * 8, "start.S pushes 15 registers");

struct cpu {
    struct cpu *self; /* at GS:0 */
    uint32_t index;   /* 0 is the BSP */
    uint32_t apic_id;
    bool x2apic;
    uint64_t user_rsp; /* nonzero while user_enter() runs */
    void (*volatile job)(void *);
    void *job_arg;
    _Atomic uint32_t job_posted, job_done;
    _Atomic uint32_t starts;
    volatile uint32_t nmi_count;
    volatile uint64_t irq_rip; /* where the last interrupt hit */
    volatile uint32_t irq_count[256];
    uint64_t tss[14];
    uint64_t gdt[9];
    uint8_t *stack;
};

extern struct cpu cpus[MAX_CPUS];
extern uint32_t cpu_count;

static inline struct cpu *this_cpu(void)
{
    struct cpu *c;

    __asm__ volatile("mov %%gs:0, %0" : "=r"(c));
    return c;
}

/** Per-CPU GDT, TSS, GS base; the shared IDT. */
void trap_init(struct cpu *cpu);
/** Take vectors 16 to 31 as interrupts (true) or as exceptions. */
void trap_plain_vectors(bool on);
/** Handler of an interrupt vector, called with interrupts off; it does the EOI. NULL: EOI only. */
void irq_handler_set(uint8_t vector, void (*fn)(struct trap_frame *));
/** Called on each NMI; NULL for none. */
void nmi_handler_set(void (*fn)(struct trap_frame *));
/** Called for an exception that no safe_ form expects; true if it has dealt with it. NULL: none. */
void exception_hook_set(bool (*fn)(struct trap_frame *));
/** Run `fn` at CPL 3 until it traps; returns the vector. It ends itself by int $0x80. */
int user_run(void (*fn)(void));
/** Leave the running case with a FAIL verdict; on an AP: park it. Does not return. */
void case_abort(const char *why, const struct trap_frame *f) __attribute__((noreturn));

/** Map page `slot` (0..511) of the test window to pa with page-table flags, no flush; its address.
 */
volatile uint8_t *mem_map_test(unsigned slot, uint64_t pa, uint64_t flags);
#define PTE_P  0x1ULL
#define PTE_W  0x2ULL
#define PTE_U  0x4ULL
#define PTE_UC 0x18ULL
/** Is [start, start+size) wholly RAM in the memory map? */
bool mem_is_ram(uint64_t start, uint64_t size);

/* ---- Local APIC ----------------------------------------------------------------------- */

enum apic_reg {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_PPR = 0x0A,
    APIC_EOI = 0x0B,
    APIC_LDR = 0x0D,
    APIC_DFR = 0x0E,
    APIC_SVR = 0x0F,
    APIC_ISR = 0x10,
    APIC_TMR = 0x18,
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_ICR = 0x30,
    APIC_ICR_HIGH = 0x31,
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_THERMAL = 0x33,
    APIC_LVT_PERF = 0x34,
    APIC_LVT_LINT0 = 0x35,
    APIC_LVT_LINT1 = 0x36,
    APIC_LVT_ERROR = 0x37,
    APIC_TIMER_INITIAL = 0x38,
    APIC_TIMER_CURRENT = 0x39,
    APIC_TIMER_DIVIDE = 0x3E,
    APIC_SELF_IPI = 0x3F,
};

#define X2APIC_MSR(reg) (0x800U + (uint32_t)(reg))
#define XAPIC_BASE      0xFEE00000ULL
#define XAPIC_REG(reg)  (XAPIC_BASE + ((uint64_t)(reg) << 4))

#define ICR_FIXED      0x000U
#define ICR_LOWEST     0x100U
#define ICR_NMI        0x400U
#define ICR_INIT       0x500U
#define ICR_SIPI       0x600U
#define ICR_LOGICAL    0x800U
#define ICR_ASSERT     0x4000U
#define ICR_SELF       0x40000U
#define ICR_ALL        0x80000U
#define ICR_OTHERS     0xC0000U
#define LVT_MASKED     0x10000U
#define LVT_PERIODIC   0x20000U
#define TIMER_DIVIDE_1 0xBU

uint32_t apic_read(enum apic_reg reg);
void apic_write(enum apic_reg reg, uint32_t v);
/** Send an IPI to an APIC id (or by shorthand) in the current mode. */
void apic_icr(uint32_t dest, uint32_t low);
void apic_eoi(void);
/** Is bit `vector` set in the bank of 8 registers that starts at `bank`? */
bool apic_bit(enum apic_reg bank, uint8_t vector);
/** Software-enable with spurious vector 0xFF, TPR 0, LVTs masked; x2APIC mode if `x2`. */
void apic_init(bool x2);
bool cpu_has_x2apic(void);
/** Wait until an xAPIC accepts the next IPI. */
void apic_icr_wait(void);

/* ---- Several processors ------------------------------------------------------------------ */

/** Find the processors (MADT, or cpus=N) and start them all. */
void smp_init(void);
/** INIT, SIPI, SIPI to one processor, and wait until it idles in ap_main. */
bool smp_start(uint32_t index);
/** Give an idle AP a job; wait for it. The job runs with interrupts enabled. */
void smp_post(uint32_t index, void (*fn)(void *), void *arg);
bool smp_wait(uint32_t index, uint64_t timeout_us);
/** Run on all CPUs, the caller's included, and wait. */
bool smp_run_all(void (*fn)(void *), void *arg, uint64_t timeout_us);
bool smp_run_on(uint32_t index, void (*fn)(void *), void *arg, uint64_t timeout_us);
/** A free page below 1 MiB that holds the trampoline. */
uint32_t smp_trampoline_page(void);
/** Reinstall the trampoline there. */
void smp_trampoline_install(void);

/* ---- Time -------------------------------------------------------------------------------- */

extern uint64_t tsc_hz;
void clock_init(void);
/** TSC frequency measured against the PIT over `ms` milliseconds. */
uint64_t clock_measure_tsc(unsigned ms);
void delay_us(uint64_t us);
uint64_t us_to_tsc(uint64_t us);
uint64_t tsc_to_us(uint64_t ticks);

/** Wait until `cond` holds, at most `us` microseconds; value: did it? Interrupts as they are. */
#define WAIT_FOR(cond, us)                                                                         \
    ({                                                                                             \
        uint64_t end_ = rdtsc() + us_to_tsc(us);                                                   \
        bool ok_;                                                                                  \
        while (!(ok_ = (cond)) && (int64_t)(end_ - rdtsc()) > 0)                                   \
            pause();                                                                               \
        ok_ || (cond);                                                                             \
    })

/* ---- Random numbers: xorshift64*, seeded by seed= ------------------------------------------- */

struct prng {
    uint64_t state;
};

static inline uint64_t prng_next(struct prng *p)
{
    p->state ^= p->state >> 12;
    p->state ^= p->state << 25;
    p->state ^= p->state >> 27;
    return p->state * 0x2545F4914F6CDD1DULL;
}

static inline uint32_t prng_below(struct prng *p, uint32_t bound)
{
    return (uint32_t)((prng_next(p) >> 32) * bound >> 32);
}

#endif
