/* SPDX-License-Identifier: MIT */
#include "hypervisor/debug/panic.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/lapic.h"
#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/debug/console.h"
#include "hypervisor/debug/dump.h"
#include "hypervisor/debug/ksyms.h"
#include "lib/fmt.h"

#define BACKTRACE_MAX 24
#define STOP_SPINS    10000000
#define TRACE_SHOWN   12

static _Atomic bool active;

bool panic_active(void)
{
    return atomic_load_explicit(&active, memory_order_acquire);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    fmt_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    console_write(line);
}

static void say_address(uint64_t addr)
{
    uint64_t offset = 0;
    const char *name = ksyms_lookup(addr, &offset);

    if (name)
        say("  %016lx %s+0x%lx\n", addr, name, offset);
    else
        say("  %016lx\n", addr);
}

/* Follow the frame pointers as long as they stay on one stack. */
static void say_backtrace(uint64_t rip, uint64_t rbp)
{
    say("backtrace:\n");
    if (rip)
        say_address(rip);
    for (unsigned i = 0; i < BACKTRACE_MAX && rbp >= 0xffff800000000000ULL && !(rbp & 7); i++) {
        const uint64_t *frame = (const uint64_t *)(uintptr_t)rbp;

        if (!frame[1])
            break;
        say_address(frame[1]);
        if (frame[0] <= rbp || frame[0] - rbp > 0x8000)
            break;
        rbp = frame[0];
    }
}

/* One LP prints; the others stop by NMI, or already are where they do no harm. */
static void begin(void)
{
    static apic_id_t owner;

    if (atomic_exchange_explicit(&active, true, memory_order_acq_rel)) {
        if (owner.v == lapic_id().v)
            say("bulkhead: and a fault while reporting that\n");
        cpu_halt();
    }
    owner = lapic_id();
    console_panic();
    if (!lp_count)
        return;
    lapic_nmi_others();
    for (uint32_t i = 0; i < lp_count; i++)
        for (unsigned n = 0; lps[i] != this_lp() && n < STOP_SPINS &&
                             !atomic_load_explicit(&lps[i]->stopped, memory_order_acquire);
             n++)
            cpu_relax();
}

static _Noreturn void finish(void)
{
    for (uint32_t i = 0; i < lp_count; i++)
        dump_trace(lps[i], TRACE_SHOWN);
    say("bulkhead: the machine is halted.\n");
    cpu_halt();
}

void panic(const char *fmt, ...)
{
    char line[200];
    va_list ap;

    begin();
    va_start(ap, fmt);
    fmt_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    say("\nbulkhead: PANIC on LP %u: %s\n", lp_count ? this_lp()->index : 0, line);
    say_backtrace(0, (uint64_t)(uintptr_t)__builtin_frame_address(0));
    finish();
}

void panic_trap(const struct trap_frame *f)
{
    begin();
    say("\nbulkhead: PANIC on LP %u: exception %lu error %lx cr2 %lx\n",
        lp_count ? this_lp()->index : 0, f->vector, f->error, cpu_read_cr2());
    say("rip %016lx rsp %016lx rflags %08lx cs %lx cr3 %lx\n", f->rip, f->rsp, f->rflags, f->cs,
        cpu_read_cr3());
    say("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    say("rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
    say("r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
    say("r13 %016lx r14 %016lx r15 %016lx\n", f->r13, f->r14, f->r15);
    say_backtrace(f->rip, f->rbp);
    finish();
}

void panic_stop_self(void)
{
    atomic_store_explicit(&this_lp()->stopped, true, memory_order_release);
    cpu_halt();
}

void fatal(const char *fmt, ...)
{
    char line[400];
    va_list ap;

    console_panic();
    va_start(ap, fmt);
    fmt_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    say("bulkhead: cannot start: %s. The machine is halted.\n", line);
    cpu_halt();
}
