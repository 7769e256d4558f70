/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/xstate.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/xsave_format.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/partition/partition.h"
#include "lib/errno.h"
#include "lib/string.h"

#define CPUID_XSAVE 0x0000000dU

#define FCW_RESET   0x037f
#define MXCSR_RESET 0x1f80
#define MXCSR_VALID 0xffbfU /* where the processor gives no mask */

struct xstate {
    uint64_t xcr0;
    uint64_t tsc_aux;
    uint64_t dr[4];
    _Alignas(64) uint8_t area[]; /* without XSAVE an FXSAVE area */
};

static uint64_t components; /* all that XCR0 may hold; 0 without XSAVE; init only */
static bool has_tsc_aux;    /* init only */
static unsigned pages;      /* of a struct xstate; init only */
static struct xsave_layout layout;

void xstate_init(void)
{
    uint32_t r[4], size = XSTATE_LEGACY_SIZE + XSAVE_HEADER_SIZE;

    cpu_cpuid(0x80000001, 0, r);
    has_tsc_aux = r[3] & BIT(27);
    cpu_cpuid(1, 0, r);
    if (r[2] & BIT(26)) {
        cpu_cpuid(CPUID_XSAVE, 0, r);
        components = (uint64_t)r[3] << 32 | r[0];
        size = r[2];
    }
    layout.components = components ? components : XCR0_X87 | XCR0_SSE;
    for (unsigned i = XSAVE_FIRST_EXTENDED; i < XSAVE_COMPONENTS; i++) {
        if (!(components & BIT64(i)))
            continue;
        cpu_cpuid(CPUID_XSAVE, i, r);
        layout.part[i] = (struct xsave_part){r[1], r[0], r[2] & XSAVE_PART_ALIGNED};
    }
    pages = (unsigned)(align_up(sizeof(struct xstate) + size, PAGE_SIZE) / PAGE_SIZE);
}

void xstate_lp_enable(void)
{
    cpu_write_cr4(cpu_read_cr4() | CR4_OSFXSR | (components ? CR4_OSXSAVE : 0));
}

int xstate_create(struct partition *p, struct xstate **out)
{
    const uint16_t fcw = FCW_RESET;
    const uint32_t mxcsr = MXCSR_RESET;
    struct xstate *x;
    hpa_t at;
    int rc = partition_alloc(p, pages, &at);

    if (rc)
        return rc;
    x = hpa_to_virt(at);
    x->xcr0 = XCR0_X87;
    memcpy(x->area + XSTATE_FCW, &fcw, sizeof(fcw));
    memcpy(x->area + XSTATE_MXCSR, &mxcsr, sizeof(mxcsr));
    *out = x;
    return 0;
}

void xstate_destroy(struct partition *p, struct xstate *x)
{
    if (x)
        partition_free(p, virt_to_hpa(x), pages);
}

static uint64_t xcr0_read(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static void xcr0_write(uint64_t v)
{
    __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

/*
 * Most VPs use all components, the same debug registers and the same TSC_AUX. Writing these
 * registers costs much more than reading them, so what is there already is not written.
 */
static void xcr0_change(uint64_t from, uint64_t to)
{
    if (from != to)
        xcr0_write(to);
}

static void tsc_aux_load(uint64_t v)
{
    if (has_tsc_aux && cpu_rdmsr(MSR_TSC_AUX) != v)
        cpu_wrmsr(MSR_TSC_AUX, v);
}

#define DR_READ(n, v)  __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v))
#define DR_WRITE(n, v) __asm__ volatile("mov %0, %%dr" #n : : "r"(v))

static void dr_save(uint64_t dr[4])
{
    DR_READ(0, dr[0]);
    DR_READ(1, dr[1]);
    DR_READ(2, dr[2]);
    DR_READ(3, dr[3]);
}

static void dr_load(const uint64_t dr[4])
{
    uint64_t there[4];

    dr_save(there);
    if (there[0] != dr[0])
        DR_WRITE(0, dr[0]);
    if (there[1] != dr[1])
        DR_WRITE(1, dr[1]);
    if (there[2] != dr[2])
        DR_WRITE(2, dr[2]);
    if (there[3] != dr[3])
        DR_WRITE(3, dr[3]);
}

void xstate_save(struct xstate *x)
{
    if (components) {
        x->xcr0 = xcr0_read();
        xcr0_change(x->xcr0, components); /* else a component that is off would be lost */
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(x->area), "a"(UINT32_MAX), "d"(UINT32_MAX)
                         : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(x->area) : "memory");
    }
    if (has_tsc_aux)
        x->tsc_aux = cpu_rdmsr(MSR_TSC_AUX);
    dr_save(x->dr);
}

void xstate_load(const struct xstate *x)
{
    if (components) {
        xcr0_change(xcr0_read(), components);
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(x->area), "a"(UINT32_MAX), "d"(UINT32_MAX)
                         : "memory");
        xcr0_change(components, x->xcr0);
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(x->area) : "memory");
    }
    tsc_aux_load(x->tsc_aux);
    dr_load(x->dr);
}

void xstate_live_xmm(uint64_t out[XSTATE_LIVE_XMM][2])
{
    __asm__ volatile("movups %%xmm0, (%0)\n\t"
                     "movups %%xmm1, 16(%0)\n\t"
                     "movups %%xmm2, 32(%0)\n\t"
                     "movups %%xmm3, 48(%0)\n\t"
                     "movups %%xmm4, 64(%0)\n\t"
                     "movups %%xmm5, 80(%0)"
                     :
                     : "r"(out)
                     : "memory");
}

uint64_t xstate_live_xcr0(const struct xstate *x)
{
    return components ? xcr0_read() : x->xcr0;
}

void xstate_read(const struct xstate *x, unsigned at, void *to, size_t len)
{
    memcpy(to, x->area + at, len);
}

/* Else XRSTOR would take the initial state instead of what was written. */
static void mark_in_use(struct xstate *x, uint64_t component)
{
    uint64_t in_use;

    if (!components)
        return;
    memcpy(&in_use, x->area + XSAVE_XSTATE_BV, sizeof(in_use));
    in_use |= component;
    memcpy(x->area + XSAVE_XSTATE_BV, &in_use, sizeof(in_use));
}

void xstate_write(struct xstate *x, uint64_t component, unsigned at, const void *from, size_t len)
{
    memcpy(x->area + at, from, len);
    mark_in_use(x, component);
}

/* Bits of MXCSR that can be set: what FXSAVE says, unless it has never been executed. */
static uint32_t mxcsr_valid(const struct xstate *x)
{
    uint32_t mask;

    memcpy(&mask, x->area + XSTATE_MXCSR_MASK, sizeof(mask));
    return mask ? mask : MXCSR_VALID;
}

int xstate_set_mxcsr(struct xstate *x, uint32_t v)
{
    if (v & ~mxcsr_valid(x))
        return -EINVAL;
    xstate_write(x, XCR0_SSE, XSTATE_MXCSR, &v, sizeof(v));
    return 0;
}

int xstate_set_xcr0(struct xstate *x, uint64_t v)
{
    if (!components) {
        if (v != XCR0_X87)
            return -EINVAL;
    } else if ((v & ~components) || !xsave_xcr0_valid(v)) {
        return -EINVAL;
    }
    x->xcr0 = v;
    return 0;
}

uint64_t xstate_xcr0(const struct xstate *x)
{
    return x->xcr0;
}

int xstate_set_tsc_aux(struct xstate *x, uint64_t v)
{
    if (v > (has_tsc_aux ? UINT32_MAX : 0))
        return -EINVAL;
    x->tsc_aux = v;
    return 0;
}

uint64_t xstate_tsc_aux(const struct xstate *x)
{
    return x->tsc_aux;
}

uint64_t *xstate_dr(struct xstate *x, unsigned n)
{
    return &x->dr[n];
}

size_t xstate_export(const struct xstate *x, uint64_t states, uint8_t *to, size_t len)
{
    return xsave_compact(&layout, x->area, components != 0, states, to, len);
}

int xstate_import(struct xstate *x, const uint8_t *from, size_t len)
{
    return xsave_expand(&layout, from, len, mxcsr_valid(x), x->area, components != 0);
}
