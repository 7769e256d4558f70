/* SPDX-License-Identifier: MIT */
#ifndef UNIT_SHIM_APIC_H
#define UNIT_SHIM_APIC_H

/*
 * A partition of eight VPs for tests of the virtual APIC, SynIC and timers: a
 * clock that stands still until the test moves it, timers that fire as it
 * moves, a few pages of guest memory, and a record of requests. Everything that
 * those files call is here. Included by one source file of a test.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "hypervisor/debug/log.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/notify.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "tests/unit/shim_overlay.h"

#define SHIM_VPS        8U
#define SHIM_PAGES      4U
#define SHIM_VP_PAGES   8U
#define SHIM_TIMERS_MAX 64U
#define SHIM_START_TSC  0x123456789ULL

static struct {
    struct partition partition;
    struct vp vps[SHIM_VPS];
    _Alignas(4096) uint8_t ram[SHIM_PAGES * PAGE_SIZE];

    _Alignas(4096) uint8_t memory[SHIM_VPS * SHIM_VP_PAGES * PAGE_SIZE]; /* of the partition */
    unsigned memory_used;

    uint64_t tsc, tsc_hz, apic_hz;
    struct timer *armed[SHIM_TIMERS_MAX];

    unsigned eoi_hooks, lint_calls, log_lines;
    uint8_t eoi_vector;
    uint32_t lvt0, lvt1;
    bool lint_enabled;
    unsigned fires; /* timer callbacks run */
} shim;

static inline struct vp *shim_vp(unsigned i)
{
    return &shim.vps[i];
}

uintptr_t direct_map_base;

int partition_alloc(struct partition *p, unsigned pages, hpa_t *out)
{
    if (shim.memory_used + pages > SHIM_VPS * SHIM_VP_PAGES)
        return -ENOMEM;
    *out = virt_to_hpa(shim.memory + shim.memory_used * PAGE_SIZE);
    shim.memory_used += pages;
    return 0;
}

void partition_free(struct partition *p, hpa_t page, unsigned pages)
{
}

void notify_retry(struct vp *parent_vp)
{
}

/** Requests of a VP since the last call. */
static inline uint32_t shim_requests(struct vp *vp)
{
    return atomic_exchange_explicit(&vp->requests, 0, memory_order_acq_rel);
}

static void shim_eoi_hook(struct vp *vp, uint8_t vector)
{
    shim.eoi_hooks++;
    shim.eoi_vector = vector;
}

/** Everything anew: `vps` VPs with APIC ids 0, 1, ..., in x2APIC or xAPIC mode. */
static inline void shim_init(unsigned vps, bool x2apic)
{
    memset(&shim, 0, sizeof(shim));
    shim.tsc = SHIM_START_TSC;
    shim.tsc_hz = 2399987654;
    shim.apic_hz = 1000000000;
    shim.partition.id = 2;
    shim.partition.ref_base = 12345;
    shim.partition.eoi_hook = shim_eoi_hook;
    for (unsigned i = 0; i < vps; i++) {
        struct vp *vp = shim_vp(i);

        vp->partition = &shim.partition;
        vp->index.v = i;
        vp->apic_id.v = i;
        vapic_init(vp, x2apic);
        if (synic_init(vp))
            abort();
        stimers_init(vp);
        shim.partition.vps[i] = vp;
    }
    atomic_store(&shim.partition.vp_count, vps);
}

/** Move the clock to `tsc`, firing what is due on the way, each at its own time. */
static inline void shim_run_until(uint64_t tsc)
{
    for (;;) {
        unsigned first = SHIM_TIMERS_MAX;
        struct timer *t;

        for (unsigned i = 0; i < SHIM_TIMERS_MAX; i++) {
            if (shim.armed[i] && (first == SHIM_TIMERS_MAX ||
                                  shim.armed[i]->deadline_tsc < shim.armed[first]->deadline_tsc))
                first = i;
        }
        if (first == SHIM_TIMERS_MAX || shim.armed[first]->deadline_tsc > tsc)
            break;
        t = shim.armed[first];
        shim.armed[first] = NULL;
        if (t->deadline_tsc > shim.tsc)
            shim.tsc = t->deadline_tsc;
        shim.fires++;
        t->fn(t);
    }
    if (tsc > shim.tsc)
        shim.tsc = tsc;
}

static inline unsigned shim_armed_count(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SHIM_TIMERS_MAX; i++)
        n += shim.armed[i] != NULL;
    return n;
}

uint64_t clock_tsc(void)
{
    return shim.tsc;
}

uint64_t clock_tsc_hz(void)
{
    return shim.tsc_hz;
}

uint64_t clock_apic_hz(void)
{
    return shim.apic_hz;
}

uint64_t clock_ref_scale(void)
{
    return (uint64_t)(((unsigned __int128)10000000 << 64) / shim.tsc_hz);
}

uint64_t clock_ref_from_tsc(uint64_t tsc)
{
    return (uint64_t)((unsigned __int128)tsc * clock_ref_scale() >> 64);
}

/* Rounds down, so that the reference time at the result may be one less: the harder case. */
uint64_t clock_tsc_from_ref(uint64_t ref)
{
    return (uint64_t)((unsigned __int128)ref * shim.tsc_hz / 10000000);
}

uint64_t partition_ref_time(const struct partition *p)
{
    if (p->properties.time_frozen)
        return p->properties.frozen_at;
    return clock_ref_from_tsc(shim.tsc) - p->ref_base;
}

struct vp *partition_vp(struct partition *p, uint32_t vp_index)
{
    return vp_index < p->vp_count ? p->vps[vp_index] : NULL;
}

struct vp *partition_vp_by_apic_id(struct partition *p, uint32_t apic_id)
{
    for (uint32_t i = 0; i < p->vp_count; i++) {
        if (p->vps[i]->apic_id.v == apic_id)
            return p->vps[i];
    }
    return NULL;
}

void timer_init(struct timer *t, void (*fn)(struct timer *))
{
    memset(t, 0, sizeof(*t));
    t->fn = fn;
}

void timer_cancel(struct timer *t)
{
    for (unsigned i = 0; i < SHIM_TIMERS_MAX; i++) {
        if (shim.armed[i] == t)
            shim.armed[i] = NULL;
    }
}

void timer_arm(struct timer *t, uint64_t deadline_tsc)
{
    timer_cancel(t);
    t->deadline_tsc = deadline_tsc;
    for (unsigned i = 0; i < SHIM_TIMERS_MAX; i++) {
        if (!shim.armed[i]) {
            shim.armed[i] = t;
            return;
        }
    }
    abort();
}

void vp_request(struct vp *vp, uint32_t requests)
{
    atomic_fetch_or_explicit(&vp->requests, requests, memory_order_acq_rel);
}

void *shim_overlay_page(gpa_t at)
{
    return at.v < sizeof(shim.ram) ? &shim.ram[at.v] : NULL;
}

void vapic_lint_changed(struct vp *vp, uint32_t lvt0, uint32_t lvt1, bool enabled)
{
    shim.lint_calls++;
    shim.lvt0 = lvt0;
    shim.lvt1 = lvt1;
    shim.lint_enabled = enabled;
}

void trace(enum trace_type type, uint64_t a, uint64_t b)
{
}

void log_print(enum log_level level, const char *fmt, ...)
{
    shim.log_lines++;
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

#endif
