/* SPDX-License-Identifier: MIT */
#include "hypervisor/arch/x86/xstate.h"

#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/mm/direct.h"
#include "hypervisor/partition/partition.h"
#include "lib/string.h"

#define CPUID_XSAVE 0x0000000dU
#define XCR0_X87    BIT64(0)

/* The legacy region and the header of an XSAVE area, APM volume 2 section 11.5. */
#define LEGACY_SIZE 512
#define HEADER_SIZE 64
#define FCW_RESET   0x037f
#define MXCSR_RESET 0x1f80
#define FCW_AT      0
#define MXCSR_AT    24

struct xstate {
    uint64_t xcr0;
    uint64_t tsc_aux;
    uint64_t dr[4];
    _Alignas(64) uint8_t area[]; /* without XSAVE an FXSAVE area */
};

static uint64_t components; /* all that XCR0 may hold; 0 without XSAVE; init only */
static bool has_tsc_aux;    /* init only */
static unsigned pages;      /* of a struct xstate; init only */

void xstate_init(void)
{
    uint32_t r[4], size = LEGACY_SIZE + HEADER_SIZE;

    cpu_cpuid(0x80000001, 0, r);
    has_tsc_aux = r[3] & BIT(27);
    cpu_cpuid(1, 0, r);
    if (r[2] & BIT(26)) {
        cpu_cpuid(CPUID_XSAVE, 0, r);
        components = (uint64_t)r[3] << 32 | r[0];
        size = r[2];
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
    memcpy(x->area + FCW_AT, &fcw, sizeof(fcw));
    memcpy(x->area + MXCSR_AT, &mxcsr, sizeof(mxcsr));
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

void xstate_save(struct xstate *x)
{
    if (components) {
        x->xcr0 = xcr0_read();
        xcr0_write(components); /* else a component that is switched off would be lost */
        __asm__ volatile("xsave64 (%0)"
                         :
                         : "r"(x->area), "a"(UINT32_MAX), "d"(UINT32_MAX)
                         : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(x->area) : "memory");
    }
    if (has_tsc_aux)
        x->tsc_aux = cpu_rdmsr(MSR_TSC_AUX);
    __asm__ volatile("mov %%dr0, %0" : "=r"(x->dr[0]));
    __asm__ volatile("mov %%dr1, %0" : "=r"(x->dr[1]));
    __asm__ volatile("mov %%dr2, %0" : "=r"(x->dr[2]));
    __asm__ volatile("mov %%dr3, %0" : "=r"(x->dr[3]));
}

void xstate_load(const struct xstate *x)
{
    if (components) {
        xcr0_write(components);
        __asm__ volatile("xrstor64 (%0)"
                         :
                         : "r"(x->area), "a"(UINT32_MAX), "d"(UINT32_MAX)
                         : "memory");
        xcr0_write(x->xcr0);
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(x->area) : "memory");
    }
    if (has_tsc_aux)
        cpu_wrmsr(MSR_TSC_AUX, x->tsc_aux);
    __asm__ volatile("mov %0, %%dr0" : : "r"(x->dr[0]));
    __asm__ volatile("mov %0, %%dr1" : : "r"(x->dr[1]));
    __asm__ volatile("mov %0, %%dr2" : : "r"(x->dr[2]));
    __asm__ volatile("mov %0, %%dr3" : : "r"(x->dr[3]));
}
