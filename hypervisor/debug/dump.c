/* SPDX-License-Identifier: MIT */
#include "hypervisor/debug/dump.h"

#include "hypervisor/arch/x86/lp.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/console.h"
#include "hypervisor/mm/frame.h"
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/parent.h"
#include "hypervisor/sched/clock.h"
#include "lib/fmt.h"

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    char line[400];
    va_list ap;

    va_start(ap, fmt);
    fmt_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    console_write(line);
}

void dump_trace(const struct lp *lp, unsigned entries)
{
    static const char *const names[TRACE_TYPES] = {
        [TRACE_NONE] = "-",    [TRACE_EXIT] = "exit",     [TRACE_INJECT] = "inject",
        [TRACE_IRQ] = "irq",   [TRACE_MSR] = "msr",       [TRACE_HYPERCALL] = "hypercall",
        [TRACE_WAKE] = "wake", [TRACE_SWITCH] = "switch", [TRACE_IPI] = "ipi",
    };
    const struct trace_ring *ring = &lp->trace;
    uint64_t count = ring->count, n = min_u64(min_u64(count, TRACE_ENTRIES), entries);
    uint64_t now = clock_tsc();

    say("LP %u: the last %lu of %lu trace entries (time in us before the dump)\n", lp->index, n,
        count);
    for (uint64_t i = count - n; i < count; i++) {
        const struct trace_entry *e = &ring->entries[i % TRACE_ENTRIES];

        say("  %8lu %-9s %16lx %16lx\n",
            clock_tsc_hz() ? (now - e->tsc) / (clock_tsc_hz() / 1000000) : 0,
            e->type < TRACE_TYPES ? names[e->type] : "?", e->a, e->b);
    }
}

static void dump_all_traces(void)
{
    for (uint32_t i = 0; i < lp_count; i++)
        dump_trace(lps[i], 32);
}

static void dump_lps(void)
{
    uint64_t ms = clock_tsc_hz() / 1000;

    for (uint32_t i = 0; i < lp_count; i++) {
        const struct lp *lp = lps[i];
        const struct vp *vp = lp->current;

        say("LP %u: apic %u, runs %s%lu VP %u, %lu interrupts, idle %lu ms, timer in %ld us\n",
            lp->index, lp->apic_id.v, vp ? "partition " : "nothing, last ",
            vp ? vp->partition->id : 0, vp ? vp->index.v : 0, lp->irqs, lp->idle_tsc / ms,
            lp->timer_deadline == UINT64_MAX
                ? -1L
                : (long)(lp->timer_deadline - clock_tsc()) / (long)(ms / 1000));
    }
}

static void dump_child(struct partition *p)
{
    static const char *const states[] = {"created", "active", "finalized"};
    uint64_t available, in_use;

    pool_balance(&p->pool, &available, &in_use);
    say("partition %lu: child of %lu, %s, %u VPs, guest OS id %lx, pool %lu KiB in use, %lu KiB "
        "free\n",
        p->id, p->parent->id, states[atomic_load(&p->state)], atomic_load(&p->vp_count),
        p->guest_os_id, in_use * 4, available * 4);
}

static void dump_partitions(void)
{
    const struct partition *p = parent_partition();
    struct frame_stats f = frame_stats();

    say("partition %lu: parent, %u VPs, guest OS id %lx, hypercall page %lx, %lu MiB mapped\n",
        p->id, atomic_load(&p->vp_count), p->guest_os_id, p->hypercall_msr,
        gpa_map_bytes(p->map) >> 20);
    child_for_each(dump_child);
    say("hypervisor: %lu KiB in use, %lu KiB free, peak %lu KiB, TSC %lu Hz, APIC timer %lu Hz\n",
        (f.total - f.free) * 4, f.free * 4, f.peak * 4, clock_tsc_hz(), clock_apic_hz());
}

static void dump_vp(const struct vp *vp)
{
    static const char *const activity[] = {"running",       "halted",     "idle",
                                           "wait-for-SIPI", "handed off", "dead"};
    uint32_t irr[VAPIC_VECTOR_WORDS], isr[VAPIC_VECTOR_WORDS];
    char line[300];

    say("VP %lu.%u: apic %u, %s%s, suspend %x pauses %u, rip %lx rflags %lx rsp %lx, requests %x\n",
        vp->partition->id, vp->index.v, vp->apic_id.v, activity[atomic_load(&vp->activity)],
        atomic_load(&vp->in_guest) ? " in guest" : "", atomic_load(&vp->suspend),
        atomic_load(&vp->pauses), vp->regs.rip, vp->regs.rflags, vp->regs.gpr[RSP],
        atomic_load(&vp->requests));
    vendor_vp_describe(vp, line, sizeof(line));
    say("    %s\n", line);
    vapic_dump(vp, irr, isr);
    say("    IRR");
    for (unsigned i = VAPIC_VECTOR_WORDS; i-- > 0;)
        say(" %08x", irr[i]);
    say("\n    ISR");
    for (unsigned i = VAPIC_VECTOR_WORDS; i-- > 0;)
        say(" %08x", isr[i]);
    say("\n");
}

static void (*each_vp)(const struct vp *vp);

static void for_each_vp_of(struct partition *p)
{
    uint32_t count = atomic_load_explicit(&p->vp_count, memory_order_acquire);

    for (uint32_t i = 0; i < count; i++)
        if (p->vps[i])
            each_vp(p->vps[i]);
}

/* Dumps are asked for on one LP, one at a time. */
static void for_each_vp(void (*fn)(const struct vp *vp))
{
    each_vp = fn;
    for_each_vp_of(parent_partition());
    child_for_each(for_each_vp_of);
}

static void dump_vps(void)
{
    for_each_vp(dump_vp);
}

static void dump_counters_of(const struct vp *vp)
{
    static const char *const names[VPC_COUNT] = {
        [VPC_EXITS] = "exits", [VPC_INTR] = "interrupt",
        [VPC_NMI] = "nmi",     [VPC_CPUID] = "cpuid",
        [VPC_MSR] = "msr",     [VPC_HYPERCALL] = "hypercall",
        [VPC_HLT] = "hlt",     [VPC_IO] = "io",
        [VPC_MMIO] = "mmio",   [VPC_GPA_FAULT] = "fault",
        [VPC_OTHER] = "other", [VPC_INJECTED] = "injected",
        [VPC_EOI] = "eoi",     [VPC_LAZY_EOI] = "lazyeoi",
        [VPC_KICKS] = "kicks", [VPC_INTERCEPTS] = "intercepts",
    };

    say("VP %lu.%u:", vp->partition->id, vp->index.v);
    for (unsigned i = 0; i < VPC_COUNT; i++)
        say(" %s=%lu", names[i], vp->counters[i]);
    say("\n");
}

static void dump_counters(void)
{
    say("time_us=%lu\n", clock_ref_from_tsc(clock_tsc()) / 10);
    for_each_vp(dump_counters_of);
}

static void dump_vectors_of(const struct vp *vp)
{
    say("VP %lu.%u:", vp->partition->id, vp->index.v);
    for (unsigned i = 0; i < ARRAY_SIZE(vp->vectors); i++)
        if (vp->vectors[i])
            say(" %02x=%u", i, vp->vectors[i]);
    say("\n");
}

static void dump_vectors(void)
{
    for_each_vp(dump_vectors_of);
}

static void dump_queue_of(const struct vp *vp)
{
    static const char *const states[] = {"blocked", "queued", "running"};
    uint64_t ms = clock_tsc_hz() / 1000;

    say("VP %lu.%u: %s, weight %u, reserve %u/65536, cap %u/65536, ran %lu ms, waited %lu ms\n",
        vp->partition->id, vp->index.v, states[vp->sched.state], vp->sched.params.weight,
        vp->sched.params.reserve, vp->sched.params.cap, sched_entity_run_time(&vp->sched) / ms,
        sched_entity_wait_time(&vp->sched) / ms);
}

static void dump_queues(void)
{
    for_each_vp(dump_queue_of);
}

static void dump_help(void);

static const struct {
    char key;
    void (*dump)(void);
    const char *what;
} keys[] = {
    {'h', dump_help, "this list"},
    {'l', dump_lps, "logical processors"},
    {'p', dump_partitions, "partitions and hypervisor memory"},
    {'v', dump_vps, "virtual processors: registers and APIC"},
    {'c', dump_counters, "exit counters"},
    {'i', dump_vectors, "interrupts taken, by vector"},
    {'r', dump_queues, "run queues"},
    {'t', dump_all_traces, "trace rings"},
};

static void dump_help(void)
{
    say("bulkhead: keys of the hypervisor's console\n");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        say("  %c  %s\n", keys[i].key, keys[i].what);
}

void dump_key(int key)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (keys[i].key == key) {
            keys[i].dump();
            say("bulkhead: end of dump '%c'\n", key);
            return;
        }
    }
    dump_help();
}
