/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/cpuid.h"
#include "abi/tlfs/cpuid.h"
#include "abi/tlfs/msr.h"
#include "abi/tlfs/management.h"
#include "hypervisor/arch/x86/apicreg.h"
#include "hypervisor/arch/x86/cpu.h"
#include "hypervisor/arch/x86/vendor.h"
#include "hypervisor/partition/cpuid_child.h"
#include "hypervisor/partition/cpuid_result.h"
#include "hypervisor/partition/partition.h"
#include "hypervisor/partition/privileges.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/string.h"

/* "Microsoft Hv", four letters a register. */
#define VENDOR_EBX 0x7263694DU
#define VENDOR_ECX 0x666F736FU
#define VENDOR_EDX 0x76482074U

/* What leaf 0x40000002 claims: version 10.0, build 20348. */
#define VERSION_BUILD 20348U
#define VERSION_MAJOR 10U
#define VERSION_MINOR 0U

/* Bits of native leaves, APM volume 3 appendix E, SDM volume 2 "CPUID". */
#define L1_ECX_MONITOR      BIT(3)
#define L1_ECX_VMX          BIT(5)
#define L1_ECX_X2APIC       BIT(21)
#define L1_ECX_TSC_DEADLINE BIT(24)
#define L1_ECX_OSXSAVE      BIT(27)
#define L1_ECX_HYPERVISOR   BIT(31)
#define L1_EDX_APIC         BIT(9)
#define L7_ECX_OSPKE        BIT(4)
#define L7_ECX_CET_SS       BIT(7)
#define L7_ECX_LA57         BIT(16)
#define L7_EDX_CET_IBT      BIT(20)
#define L7_1_EDX_CET_SSS    BIT(18)
#define LD_1_ECX_CET        (BIT(11) | BIT(12)) /* XSS bits CET_U and CET_S */
#define X1_ECX_SVM          BIT(2)
#define X1_ECX_EXT_APIC     BIT(3)
#define X1_ECX_IBS          BIT(10)
#define X1_ECX_SKINIT       BIT(12)
#define X1_ECX_PERF         (BIT(23) | BIT(24) | BIT(28)) /* core, northbridge, L2 counters */
#define X7_EDX_INVARIANT    BIT(8)

#define CR4_PKE BIT64(22)

/* Does the partition have this synthetic feature? The parent chooses them for children only. */
static bool has(const struct partition *p, uint64_t feature)
{
    return !p->is_child || (p->properties.synthetic_features & feature) == feature;
}

static uint32_t cpuid_features_edx(const struct partition *p, uint64_t privileges)
{
    uint32_t edx = HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE;

    if (privileges & HV_ACCESS_FREQUENCY_MSRS)
        edx |= HV_FEATURE_FREQUENCY_MSRS_AVAILABLE;
    if ((privileges & HV_MSR_SYNTIMER_AVAILABLE) && has(p, HV_SYNTH_DIRECT_SYNTHETIC_TIMERS))
        edx |= HV_STIMER_DIRECT_MODE_AVAILABLE;
    if (privileges & HV_MSR_GUEST_IDLE_AVAILABLE)
        edx |= HV_X64_GUEST_IDLE_STATE_AVAILABLE;
    return edx;
}

static uint32_t cpuid_hints_eax(const struct partition *p, uint64_t privileges)
{
    uint32_t eax = HV_X64_RELAXED_TIMING_RECOMMENDED;

    if (privileges & HV_MSR_HYPERCALL_AVAILABLE) {
        if (has(p, HV_SYNTH_TB_FLUSH_HYPERCALLS))
            eax |= HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED;
        if (has(p, HV_SYNTH_SYNTHETIC_CLUSTER_IPI))
            eax |= HV_X64_CLUSTER_IPI_RECOMMENDED;
        if (has(p, HV_SYNTH_EXTENDED_PROCESSOR_MASKS))
            eax |= HV_X64_EX_PROCESSOR_MASKS_RECOMMENDED;
    }
    if (privileges & HV_MSR_APIC_ACCESS_AVAILABLE)
        eax |= HV_X64_APIC_ACCESS_RECOMMENDED;
    if (privileges & HV_MSR_SYNIC_AVAILABLE)
        eax |= HV_DEPRECATING_AEOI_RECOMMENDED;
    return eax;
}

void hv_cpuid(const struct partition *p, uint32_t leaf, uint32_t out[4])
{
    uint64_t shown = p->privileges & ~PRIVILEGES_HIDDEN_STOCK;

    memset(out, 0, 4 * sizeof(out[0]));
    if (!has(p, HV_SYNTH_HYPERVISOR_PRESENT | HV_SYNTH_HV1))
        return;
    switch (leaf) {
    case HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS:
        out[CPUID_EAX] = HYPERV_CPUID_HARDWARE_FEATURES;
        out[CPUID_EBX] = VENDOR_EBX;
        out[CPUID_ECX] = VENDOR_ECX;
        out[CPUID_EDX] = VENDOR_EDX;
        break;
    case HYPERV_CPUID_INTERFACE:
        out[CPUID_EAX] = HYPERV_INTERFACE_HV1;
        break;
    case HYPERV_CPUID_VERSION:
        out[CPUID_EAX] = VERSION_BUILD;
        out[CPUID_EBX] = VERSION_MAJOR << 16 | VERSION_MINOR;
        break;
    case HYPERV_CPUID_FEATURES:
        out[CPUID_EAX] = (uint32_t)shown;
        out[CPUID_EBX] = (uint32_t)(shown >> 32);
        out[CPUID_EDX] = cpuid_features_edx(p, shown);
        break;
    case HYPERV_CPUID_ENLIGHTMENT_INFO:
        out[CPUID_EAX] = cpuid_hints_eax(p, shown);
        out[CPUID_EBX] = HV_SPIN_NOTIFY_NEVER;
        break;
    case HYPERV_CPUID_IMPLEMENT_LIMITS:
        out[CPUID_EAX] = PARTITION_MAX_VPS;
        out[CPUID_EBX] = PARTITION_MAX_VPS; /* logical processors: the same bound */
        break;
    case HYPERV_CPUID_HARDWARE_FEATURES:
        /* Both are needed to run at all; the rest is not used. */
        out[CPUID_EAX] = HV_HW_MSR_BITMAPS | HV_HW_SLAT;
        break;
    default:
        break;
    }
}

static uint32_t bit_put(uint32_t word, uint32_t bit, bool on)
{
    return on ? word | bit : word & ~bit;
}

static bool cpuid_apic_enabled(const struct vp *vp)
{
    return atomic_load_explicit(&vp->apic.state.base, memory_order_relaxed) & APIC_BASE_ENABLE;
}

static void cpuid_filter_1(const struct vp *vp, uint32_t regs[4])
{
    regs[CPUID_EBX] = (regs[CPUID_EBX] & 0x00FFFFFFU) | (vp->apic_id.v & 0xFFU) << 24;
    regs[CPUID_ECX] &= ~(L1_ECX_MONITOR | L1_ECX_VMX | L1_ECX_TSC_DEADLINE);
    regs[CPUID_ECX] |= L1_ECX_HYPERVISOR | L1_ECX_X2APIC;
    regs[CPUID_ECX] = bit_put(regs[CPUID_ECX], L1_ECX_OSXSAVE, vp_cr4_osxsave(vp));
    regs[CPUID_EDX] = bit_put(regs[CPUID_EDX], L1_EDX_APIC, cpuid_apic_enabled(vp));
}

/*
 * Structured features: CET is not virtualised, OSPKE mirrors the guest's CR4. A fifth
 * level of page tables makes every nested walk a quarter longer and serves nobody
 * below 64 TiB (docs/decisions/0004).
 */
static void cpuid_filter_7(const struct vp *vp, uint32_t subleaf, uint32_t regs[4])
{
    if (subleaf == 0) {
        bool ospke = vendor_vp_get(vp, VREG_CR4) & CR4_PKE;

        regs[CPUID_ECX] &= ~(L7_ECX_CET_SS | L7_ECX_LA57);
        regs[CPUID_ECX] = bit_put(regs[CPUID_ECX], L7_ECX_OSPKE, ospke);
        regs[CPUID_EDX] &= ~L7_EDX_CET_IBT;
    } else if (subleaf == 1) {
        regs[CPUID_EDX] &= ~L7_1_EDX_CET_SSS;
    }
}

/* Extended state: without CET its two components do not exist either. */
static void cpuid_filter_d(uint32_t subleaf, uint32_t regs[4])
{
    if (subleaf == 1)
        regs[CPUID_ECX] &= ~LD_1_ECX_CET;
    else if (subleaf == 11 || subleaf == 12)
        memset(regs, 0, 4 * sizeof(regs[0]));
}

/* The performance counters and IBS deliver through APIC entries that the vAPIC does not have. */
static void cpuid_filter_80000001(const struct vp *vp, uint32_t regs[4])
{
    regs[CPUID_ECX] &= ~(X1_ECX_SVM | X1_ECX_SKINIT | X1_ECX_EXT_APIC | X1_ECX_IBS | X1_ECX_PERF);
    if (!cpuid_apic_enabled(vp))
        regs[CPUID_EDX] &= ~L1_EDX_APIC; /* AMD repeats the bit here, Intel has none */
}

/* Address sizes: what four levels of page tables reach. */
static void cpuid_filter_80000008(uint32_t regs[4])
{
    if ((regs[CPUID_EAX] >> 8 & 0xff) > 48)
        regs[CPUID_EAX] = (regs[CPUID_EAX] & ~0xff00U) | 48 << 8;
}

static void cpuid_filter_80000007(const struct vp *vp, uint32_t regs[4])
{
    const struct partition *p = vp->partition;
    uint64_t control = __atomic_load_n(&p->tsc_invariant_control, __ATOMIC_RELAXED);

    /* TLFS "TSC Invariant Control": the guest asks for the bit that it would see natively. */
    if (p->privileges & HV_ACCESS_TSC_INVARIANT)
        regs[CPUID_EDX] =
            bit_put(regs[CPUID_EDX], X7_EDX_INVARIANT, control & HV_EXPOSE_INVARIANT_TSC);
}

void cpuid_filter(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    switch (leaf) {
    case 0x00000001:
        cpuid_filter_1(vp, regs);
        break;
    case 0x00000007:
        cpuid_filter_7(vp, subleaf, regs);
        break;
    case 0x0000000B: /* topology: EDX is the x2APIC id in every subleaf */
    case 0x0000001F:
        regs[CPUID_EDX] = vp->apic_id.v;
        break;
    case 0x0000000D:
        cpuid_filter_d(subleaf, regs);
        break;
    case 0x80000001:
        cpuid_filter_80000001(vp, regs);
        break;
    case 0x80000007:
        cpuid_filter_80000007(vp, regs);
        break;
    case 0x80000008:
        cpuid_filter_80000008(regs);
        break;
    case 0x8000001E: /* AMD topology: EAX is the extended APIC id */
        regs[CPUID_EAX] = vp->apic_id.v;
        break;
    case 0x00000005: /* MONITOR and MWAIT */
    case 0x0000000A: /* architectural performance counters */
    case 0x8000000A: /* SVM */
    case 0x8000001B: /* instruction based sampling */
    case 0x8000001F: /* memory encryption */
    case 0x80000022: /* extended performance counters */
        memset(regs, 0, 4 * sizeof(regs[0]));
        break;
    default:
        break;
    }
    if (vp->partition->is_child)
        cpuid_filter_child(vp, leaf, subleaf, regs);
}

/* What a parent registers is constant; these bits follow the VP's registers all the same. */
static void cpuid_mirror(uint32_t leaf, uint32_t subleaf, const uint32_t before[4],
                         uint32_t regs[4])
{
    if (leaf == 1)
        regs[CPUID_ECX] =
            bit_put(regs[CPUID_ECX], L1_ECX_OSXSAVE, before[CPUID_ECX] & L1_ECX_OSXSAVE);
    else if (leaf == 7 && subleaf == 0)
        regs[CPUID_ECX] = bit_put(regs[CPUID_ECX], L7_ECX_OSPKE, before[CPUID_ECX] & L7_ECX_OSPKE);
    else if (leaf == 0xD && subleaf <= 1)
        regs[CPUID_EBX] = before[CPUID_EBX]; /* size of what XCR0 and XSS enable */
}

void vp_cpuid(const struct vp *vp, uint32_t leaf, uint32_t subleaf, bool registered,
              uint32_t regs[4])
{
    uint32_t before[4];

    if (leaf >= 0x40000000U && leaf <= 0x4fffffffU) {
        hv_cpuid(vp->partition, leaf, regs);
    } else {
        cpu_cpuid(leaf, subleaf, regs);
        cpuid_filter(vp, leaf, subleaf, regs);
    }
    if (!registered || !__atomic_load_n(&vp->partition->cpuid_results, __ATOMIC_ACQUIRE))
        return;
    memcpy(before, regs, sizeof(before));
    cpuid_results_apply(vp, leaf, subleaf, regs);
    cpuid_mirror(leaf, subleaf, before, regs);
}
