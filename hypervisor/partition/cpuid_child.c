/* SPDX-License-Identifier: MIT */
#include "hypervisor/partition/cpuid_child.h"

#include "abi/tlfs/management.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/features.h"
#include "hypervisor/vp/vp.h"
#include "lib/bits.h"
#include "lib/string.h"

/*
 * The topology of a child is flat: one thread in each core, the cores of a socket share their last
 * cache, and the APIC id of VP i is i (or what its parent has made it). The parent may say
 * otherwise by registered results, which replace or supplement these.
 */

/* Bits of native leaves, APM volume 3 appendix E, SDM volume 2 "CPUID". */
#define L1_ECX_DTES64     BIT(2)
#define L1_ECX_DS_CPL     BIT(4)
#define L1_ECX_SMX        BIT(6)
#define L1_ECX_EST        BIT(7)
#define L1_ECX_TM2        BIT(8)
#define L1_ECX_PDCM       BIT(15)
#define L1_ECX_DCA        BIT(18)
#define L1_ECX_X2APIC     BIT(21)
#define L1_ECX_HYPERVISOR BIT(31)
#define L1_EDX_DS         BIT(21)
#define L1_EDX_ACPI       BIT(22)
#define L1_EDX_HTT        BIT(28)
#define L1_EDX_TM         BIT(29)
#define L1_EDX_PBE        BIT(31)
#define L6_EAX_ARAT       BIT(2)
#define L7_EBX_SGX        BIT(2)
#define L7_EBX_RDT        (BIT(12) | BIT(15))
#define L7_EBX_PT         BIT(25)
#define L7_ECX_SGX_LC     BIT(30)
#define X1_ECX_CMP_LEGACY BIT(1)
#define X1_ECX_OSVW       BIT(9)
#define X1_ECX_WDT        BIT(13)
#define X1_ECX_LWP        BIT(15)
#define X1_ECX_NODEID     BIT(19)
#define X1_ECX_PERFTSC    BIT(27)
#define X7_EDX_INVARIANT  BIT(8)
#define X8_EBX_IRPERF     BIT(1)

#define LEVEL_SMT  1U
#define LEVEL_CORE 2U

/* VPs in each socket. */
static uint32_t socket_size(const struct partition *p)
{
    uint64_t wanted = p->properties.processors_per_socket;
    uint32_t count = atomic_load_explicit(&p->vp_count, memory_order_acquire);

    return wanted ? (uint32_t)min_u64(wanted, PARTITION_MAX_VPS) : count ? count : 1;
}

/* Bits of an APIC id that number the VPs of one socket. */
static uint32_t socket_shift(const struct partition *p)
{
    uint32_t size = socket_size(p), shift = 0;

    while (BIT(shift) < size)
        shift++;
    return shift;
}

static void filter_1(const struct vp *vp, uint32_t regs[4])
{
    const struct partition *p = vp->partition;
    uint32_t size = socket_size(p);

    regs[CPUID_EBX] = (regs[CPUID_EBX] & 0xFF00FFFFU) | (uint32_t)min_u64(size, 255) << 16;
    regs[CPUID_ECX] &= ~(L1_ECX_DTES64 | L1_ECX_DS_CPL | L1_ECX_SMX | L1_ECX_EST | L1_ECX_TM2 |
                         L1_ECX_PDCM | L1_ECX_DCA);
    if (!(p->creation_flags & HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE))
        regs[CPUID_ECX] &= ~L1_ECX_X2APIC;
    if (!(p->properties.synthetic_features & HV_SYNTH_HYPERVISOR_PRESENT))
        regs[CPUID_ECX] &= ~L1_ECX_HYPERVISOR;
    regs[CPUID_EDX] &= ~(L1_EDX_DS | L1_EDX_ACPI | L1_EDX_HTT | L1_EDX_TM | L1_EDX_PBE);
    if (size > 1)
        regs[CPUID_EDX] |= L1_EDX_HTT;
}

/* A cache description: who shares it. Type 0 in bits 4:0 ends the list. */
static void filter_cache(const struct vp *vp, bool intel, uint32_t regs[4])
{
    uint32_t type = regs[CPUID_EAX] & 0x1F, level = regs[CPUID_EAX] >> 5 & 7;
    uint32_t size = socket_size(vp->partition);

    if (!type)
        return;
    regs[CPUID_EAX] &= 0x3FFF;
    if (level >= 3)
        regs[CPUID_EAX] |= (size - 1) << 14;
    if (intel)
        regs[CPUID_EAX] |= (BIT(socket_shift(vp->partition)) - 1) << 26;
}

static void filter_topology(const struct vp *vp, uint32_t subleaf, uint32_t regs[4])
{
    regs[CPUID_EAX] = 0;
    regs[CPUID_EBX] = 0;
    regs[CPUID_ECX] = subleaf & 0xFF;
    regs[CPUID_EDX] = vp->apic_id.v;
    if (subleaf == 0) {
        regs[CPUID_EBX] = 1;
        regs[CPUID_ECX] |= LEVEL_SMT << 8;
    } else if (subleaf == 1) {
        regs[CPUID_EAX] = socket_shift(vp->partition);
        regs[CPUID_EBX] = socket_size(vp->partition);
        regs[CPUID_ECX] |= LEVEL_CORE << 8;
    }
}

static void filter_80000001(const struct vp *vp, uint32_t regs[4])
{
    regs[CPUID_ECX] &= ~(X1_ECX_CMP_LEGACY | X1_ECX_OSVW | X1_ECX_WDT | X1_ECX_LWP | X1_ECX_NODEID |
                         X1_ECX_PERFTSC);
    /* Together with HTT: these are cores, not threads. */
    if (socket_size(vp->partition) > 1)
        regs[CPUID_ECX] |= X1_ECX_CMP_LEGACY;
}

/* Only AMD has a core count here; elsewhere the register is reserved and zero. */
static void filter_80000008(const struct vp *vp, uint32_t regs[4])
{
    regs[CPUID_EBX] &= ~X8_EBX_IRPERF;
    if (regs[CPUID_ECX])
        regs[CPUID_ECX] =
            socket_shift(vp->partition) << 12 | ((socket_size(vp->partition) - 1) & 0xFF);
}

/* Extended APIC id, core within the socket, node: one for each socket. */
static void filter_8000001e(const struct vp *vp, uint32_t regs[4])
{
    uint32_t shift = socket_shift(vp->partition);

    regs[CPUID_EAX] = vp->apic_id.v;
    regs[CPUID_EBX] = vp->apic_id.v & (BIT(shift) - 1) & 0xFF;
    regs[CPUID_ECX] = vp->apic_id.v >> shift & 0xFF;
    regs[CPUID_EDX] = 0;
}

static void zero(uint32_t regs[4])
{
    memset(regs, 0, 4 * sizeof(regs[0]));
}

static void filter_leaf(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    switch (leaf) {
    case 0x00000001:
        filter_1(vp, regs);
        break;
    case 0x00000004:
        filter_cache(vp, true, regs);
        break;
    case 0x8000001D:
        filter_cache(vp, false, regs);
        break;
    case 0x00000006: /* power management: only that the APIC timer never stops */
        regs[CPUID_EAX] &= L6_EAX_ARAT;
        regs[CPUID_EBX] = regs[CPUID_ECX] = regs[CPUID_EDX] = 0;
        break;
    case 0x00000007:
        if (subleaf == 0) {
            regs[CPUID_EBX] &= ~(L7_EBX_SGX | L7_EBX_RDT | L7_EBX_PT);
            regs[CPUID_ECX] &= ~L7_ECX_SGX_LC;
        }
        break;
    case 0x0000000B:
    case 0x0000001F:
        filter_topology(vp, subleaf, regs);
        break;
    case 0x80000001:
        filter_80000001(vp, regs);
        break;
    case 0x80000007: /* likewise, and machine checks */
        regs[CPUID_EAX] = regs[CPUID_EBX] = regs[CPUID_ECX] = 0;
        regs[CPUID_EDX] &= X7_EDX_INVARIANT;
        break;
    case 0x80000008:
        filter_80000008(vp, regs);
        break;
    case 0x8000001E:
        filter_8000001e(vp, regs);
        break;
    case 0x0000000F: /* resource monitoring and allocation */
    case 0x00000010:
    case 0x00000012: /* SGX */
    case 0x00000014: /* processor trace */
    case 0x00000019: /* key locker */
    case 0x0000001C: /* branch records */
    case 0x80000020: /* resource allocation */
    case 0x80000026: /* topology: leaf 0xB says it */
        zero(regs);
        break;
    default:
        break;
    }
}

void cpuid_filter_child(const struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    filter_leaf(vp, leaf, subleaf, regs);
    features_hide(vp->partition->properties.disabled_features, leaf, subleaf, regs);
}
