/* SPDX-License-Identifier: MIT */
#ifndef UNIT_SHIM_TLFS_H
#define UNIT_SHIM_TLFS_H

/*
 * A guest with 16 pages of memory and four VPs for tests of what guests reach
 * through CPUID, synthetic MSRs and hypercalls. Everything that those files call
 * is here and records what was asked. Included by one source file of a test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "hypervisor/arch/x86/reset.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/debug/log.h"
#include "hypervisor/debug/trace.h"
#include "hypervisor/intercept/intercept.h"
#include "hypervisor/mm/guest.h"
#include "hypervisor/partition/partition.h"
#include "hypervisor/partition/privileges.h"
#include "hypervisor/sched/clock.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "tests/unit/shim_overlay.h"

#define SHIM_VPS   4U
#define SHIM_PAGES 16U

#define SHIM_PAGE_HOLE 3U /* not RAM */
#define SHIM_PAGE_RO   4U /* RAM that the guest may not write */

static struct {
    struct partition partition;
    struct vp vps[SHIM_VPS];
    _Alignas(4096) uint8_t ram[SHIM_PAGES * PAGE_SIZE];

    /* What the processor is doing. */
    bool protected_mode, long_mode;
    unsigned cpl;
    uint64_t cr4;
    uint64_t tsc_offset;
    uint64_t tsc, tsc_step; /* clock_tsc() adds the step after each reading */

    /* What was asked. */
    int exception; /* vector, or -1 */
    unsigned flushes, yields, idles, eois, ipis, log_lines, synic_ops, stimer_ops;
    uint64_t flush_mask;
    uint64_t ipi_vps;
    uint8_t ipi_vector;
    uint64_t icr;
    uint8_t tpr;
    uint32_t forwarded_msr;
    uint64_t forwarded_val;
    struct {
        const struct vp *vp;
        uint32_t sint, flag;
        struct hv_message message;
    } sent;               /* by synic_post_message() or synic_signal_event() */
    int send_rc;          /* what they answer */
    char log[256];        /* the last line */
    uint64_t closed_page; /* known but not accessible; 0 is none */
    struct {
        gpa_t at;
        enum access access;
        unsigned times;
    } denied; /* what a parent was told */
    bool reset_armed;
    jmp_buf reset;
} shim;

static inline void shim_start(uint64_t privileges, bool root)
{
    memset(&shim, 0, sizeof(shim));
    shim.partition.id = root ? PARTITION_ROOT_ID : 7;
    shim.partition.is_root = root;
    shim.partition.privileges = privileges;
    shim.partition.ref_base = 12345;
    for (uint32_t i = 0; i < SHIM_VPS; i++) {
        shim.vps[i].partition = &shim.partition;
        shim.vps[i].index.v = i;
        shim.vps[i].apic_id.v = 0x100 + i;
        shim.vps[i].apic.state.base = 0xFEE00C00;
        shim.partition.vps[i] = &shim.vps[i];
    }
    shim.partition.vp_count = SHIM_VPS;
    shim.protected_mode = true;
    shim.long_mode = true;
    shim.tsc = 1000000;
    shim.tsc_step = 1;
    shim.exception = -1;
}

/* Guest memory. */

static inline bool shim_access(gpa_t addr, size_t len, bool write)
{
    if (addr.v >= sizeof(shim.ram) || len > sizeof(shim.ram) - addr.v)
        return false;
    for (uint64_t page = addr.v / PAGE_SIZE; page * PAGE_SIZE < addr.v + len; page++)
        if (page == SHIM_PAGE_HOLE || (shim.closed_page && page == shim.closed_page) ||
            (write && page == SHIM_PAGE_RO))
            return false;
    return true;
}

int guest_read(struct partition *p, gpa_t addr, void *buf, size_t len)
{
    if (!shim_access(addr, len, false))
        return -EFAULT;
    memcpy(buf, shim.ram + addr.v, len);
    return 0;
}

int guest_write(struct partition *p, gpa_t addr, const void *buf, size_t len)
{
    if (!shim_access(addr, len, true))
        return -EFAULT;
    memcpy(shim.ram + addr.v, buf, len);
    return 0;
}

void *guest_page(struct partition *p, gpa_t addr, enum access access)
{
    return shim_access(addr, 1, access & ACCESS_WRITE) ? shim.ram + addr.v : NULL;
}

bool guest_denied(struct partition *p, gpa_t addr, unsigned access)
{
    uint64_t page = addr.v / PAGE_SIZE;

    return (shim.closed_page && page == shim.closed_page) ||
           (page == SHIM_PAGE_RO && access & ACCESS_WRITE);
}

bool child_denied(struct vp *vp, gpa_t at, enum access wanted)
{
    if (!vp->partition->is_child || !guest_denied(vp->partition, at, wanted))
        return false;
    shim.denied.at = at;
    shim.denied.access = wanted;
    shim.denied.times++;
    return true;
}

/* Time: 2 GHz, reference time starts at 77. */

uint64_t clock_tsc(void)
{
    shim.tsc += shim.tsc_step;
    return shim.tsc;
}

uint64_t clock_tsc_hz(void)
{
    return 2000000000;
}

uint64_t clock_apic_hz(void)
{
    return 1000000000;
}

uint64_t clock_ref_scale(void)
{
    return UINT64_MAX / 200 + 1;
}

uint64_t clock_ref_from_tsc(uint64_t tsc)
{
    return (uint64_t)(((unsigned __int128)tsc * clock_ref_scale()) >> 64) + 77;
}

uint64_t partition_ref_time(const struct partition *p)
{
    if (p->properties.time_frozen)
        return p->properties.frozen_at;
    return clock_ref_from_tsc(clock_tsc()) - p->ref_base;
}

/* Partition and VPs. */

struct vp *partition_vp(struct partition *p, uint32_t vp_index)
{
    return vp_index < p->vp_count ? p->vps[vp_index] : NULL;
}

unsigned vp_cpl(const struct vp *vp)
{
    return shim.cpl;
}

bool vp_protected_mode(const struct vp *vp)
{
    return shim.protected_mode;
}

bool vp_long_mode(const struct vp *vp)
{
    return shim.long_mode;
}

bool vp_cr4_osxsave(const struct vp *vp)
{
    return shim.cr4 & BIT64(18);
}

uint64_t vendor_vp_get(const struct vp *vp, enum vreg r)
{
    return r == VREG_CR4 ? shim.cr4 : 0;
}

uint64_t vendor_vp_tsc_offset(const struct vp *vp)
{
    return shim.tsc_offset;
}

void *shim_overlay_page(gpa_t at)
{
    return shim_access(at, 1, true) ? shim.ram + at.v : NULL;
}

const uint8_t *hypercall_page_code(size_t *len)
{
    static const uint8_t code[] = {0x0F, 0x01, 0xD9, 0xC3};

    *len = sizeof(code);
    return code;
}

void vp_inject_exception(struct vp *vp, uint8_t vector, uint32_t error_code)
{
    shim.exception = vector;
}

uint64_t vp_run_time(const struct vp *vp)
{
    return 4711;
}

void vp_idle(struct vp *vp)
{
    shim.idles++;
}

void vp_yield(struct vp *vp)
{
    shim.yields++;
}

void vp_flush_tlb_sync(struct partition *p, const uint64_t mask[PARTITION_MAX_VPS / 64])
{
    shim.flushes++;
    shim.flush_mask = mask[0];
}

_Noreturn void machine_reset(void)
{
    if (!shim.reset_armed)
        abort();
    longjmp(shim.reset, 1);
}

/* APIC, SynIC, timers. */

void vapic_ipi_fixed(struct vp *target, uint8_t vector)
{
    shim.ipis++;
    shim.ipi_vps |= BIT64(target->index.v);
    shim.ipi_vector = vector;
}

void vapic_eoi(struct vp *vp)
{
    shim.eois++;
}

void vapic_icr_write(struct vp *vp, uint64_t icr)
{
    shim.icr = icr;
}

uint64_t vapic_icr_read(struct vp *vp)
{
    return shim.icr;
}

uint8_t vapic_tpr_get(struct vp *vp)
{
    return shim.tpr;
}

void vapic_tpr_set(struct vp *vp, uint8_t tpr)
{
    shim.tpr = tpr;
}

int synic_msr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    shim.synic_ops++;
    shim.forwarded_msr = msr;
    *val = 0x5151;
    return 0;
}

int synic_msr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    shim.synic_ops++;
    shim.forwarded_msr = msr;
    shim.forwarded_val = val;
    return 0;
}

int synic_post_message(struct vp *vp, uint32_t sint, const struct hv_message *msg)
{
    shim.synic_ops++;
    shim.sent.vp = vp;
    shim.sent.sint = sint;
    shim.sent.message = *msg;
    return shim.send_rc;
}

int synic_signal_event(struct vp *vp, uint32_t sint, uint32_t flag, bool *newly)
{
    shim.synic_ops++;
    shim.sent.vp = vp;
    shim.sent.sint = sint;
    shim.sent.flag = flag;
    if (!shim.send_rc && newly)
        *newly = true;
    return shim.send_rc;
}

int stimer_msr_read(struct vp *vp, uint32_t msr, uint64_t *val)
{
    shim.stimer_ops++;
    shim.forwarded_msr = msr;
    *val = 0x7171;
    return 0;
}

int stimer_msr_write(struct vp *vp, uint32_t msr, uint64_t val)
{
    shim.stimer_ops++;
    shim.forwarded_msr = msr;
    shim.forwarded_val = val;
    return 0;
}

/* Debugging. */

void trace(enum trace_type type, uint64_t a, uint64_t b)
{
}

void log_print(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    shim.log_lines++;
    va_start(ap, fmt);
    vsnprintf(shim.log, sizeof(shim.log), fmt, ap);
    va_end(ap);
}

_Noreturn void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

#endif
