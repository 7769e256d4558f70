/* SPDX-License-Identifier: MIT */
#include "tests/guest/rt/hv.h"

/* What CPUID shows, and every synthetic MSR with values that it takes and values that it refuses.
 */

#define AMD_FEATURES   0x80000001U
#define AMD_POWER      0x80000007U
#define AMD_SVM        0x8000000AU
#define AMD_SVM_BIT    BIT(2)
#define AMD_SKINIT_BIT BIT(12)
#define INVARIANT_TSC  BIT(8)

/* What a stock kernel wants to find in a parent partition. */
#define WANT_MSRS                                                                                  \
    (HV_MSR_VP_RUNTIME_AVAILABLE | HV_MSR_TIME_REF_COUNT_AVAILABLE | HV_MSR_SYNIC_AVAILABLE |      \
     HV_MSR_SYNTIMER_AVAILABLE | HV_MSR_APIC_ACCESS_AVAILABLE | HV_MSR_HYPERCALL_AVAILABLE |       \
     HV_MSR_VP_INDEX_AVAILABLE | HV_MSR_REFERENCE_TSC_AVAILABLE | HV_ACCESS_FREQUENCY_MSRS |       \
     HV_ACCESS_TSC_INVARIANT)
#define WANT_CALLS (HV_POST_MESSAGES | HV_SIGNAL_EVENTS)
#define WANT_EDX   (HV_FEATURE_FREQUENCY_MSRS_AVAILABLE | HV_STIMER_DIRECT_MODE_AVAILABLE)
#define WANT_HINTS                                                                                 \
    (HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED | HV_X64_RELAXED_TIMING_RECOMMENDED |                     \
     HV_DEPRECATING_AEOI_RECOMMENDED | HV_X64_CLUSTER_IPI_RECOMMENDED |                            \
     HV_X64_EX_PROCESSOR_MASKS_RECOMMENDED)

static uint8_t page[4096] PAGE_ALIGNED;

static void cpuid_interface(void)
{
    struct cpuid c = cpuid(HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS, 0);

    EXPECT(c.eax >= HYPERV_CPUID_HARDWARE_FEATURES && c.eax <= 0x400000FF, "last leaf 0x%x", c.eax);
    c = cpuid(HYPERV_CPUID_INTERFACE, 0);
    EXPECT(c.eax == HYPERV_INTERFACE_HV1, "interface 0x%x", c.eax);
    EXPECT(!c.ebx && !c.ecx && !c.edx, "reserved words of the interface leaf");
    c = cpuid(HYPERV_CPUID_VERSION, 0);
    note("version eax %x ebx %x ecx %x edx %x", c.eax, c.ebx, c.ecx, c.edx);
}

static void cpuid_features(void)
{
    struct cpuid c = cpuid(HYPERV_CPUID_FEATURES, 0);
    uint64_t p = hv_privileges();

    note("privileges %016lx ecx %x edx %x", p, c.ecx, c.edx);
    EXPECT((p & WANT_MSRS) == WANT_MSRS, "privileges %lx lack %lx", p, (uint64_t)(WANT_MSRS & ~p));
    EXPECT((p & WANT_CALLS) == WANT_CALLS, "hypercall privileges %lx", p >> 32);
    EXPECT((c.edx & WANT_EDX) == WANT_EDX, "EDX %x lacks %x", c.edx, WANT_EDX & ~c.edx);
    EXPECT(!(p & HV_ISOLATION), "an isolated partition?");
    if (option_number("mshv", 0) == 0)
        EXPECT(!(p & (HV_CREATE_PARTITIONS | HV_CPU_MANAGEMENT)),
               "a stock kernel would believe it is the root: %lx", p >> 32);
}

static void cpuid_hints(void)
{
    struct cpuid c = cpuid(HYPERV_CPUID_ENLIGHTMENT_INFO, 0);

    note("hints %x spin %x", c.eax, c.ebx);
    EXPECT((c.eax & WANT_HINTS) == WANT_HINTS, "hints %x lack %x", c.eax, WANT_HINTS & ~c.eax);
    EXPECT(!(c.eax & HV_X64_HYPERV_NESTED), "not nested");
    EXPECT(c.ebx, "a spin count of 0 asks for a hypercall at every spin");
    c = cpuid(HYPERV_CPUID_IMPLEMENT_LIMITS, 0);
    EXPECT(c.eax >= cpu_count && c.ebx >= cpu_count, "limits %u VPs, %u LPs", c.eax, c.ebx);
}

static void cpuid_unused(void)
{
    static const uint32_t leaves[] = {HYPERV_CPUID_VIRT_STACK_PROPERTIES, 0x400000FF, 0x4000FFFF};

    for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
        struct cpuid c = cpuid(leaves[i], 0);

        EXPECT(!c.eax && !c.ebx && !c.ecx && !c.edx, "leaf 0x%x is not zero", leaves[i]);
    }
}

static void cpuid_subleaf(void)
{
    for (uint32_t leaf = HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS;
         leaf <= HYPERV_CPUID_HARDWARE_FEATURES; leaf++) {
        struct cpuid a = cpuid(leaf, 0), b = cpuid(leaf, 0xFFFFFFFF);

        EXPECT(!memcmp(&a, &b, sizeof(a)), "leaf 0x%x depends on ECX", leaf);
    }
}

static void cpuid_svm_hidden(void)
{
    struct cpuid c = cpuid(AMD_FEATURES, 0);
    uint64_t v;

    EXPECT(!(c.ecx & (AMD_SVM_BIT | AMD_SKINIT_BIT)), "SVM is shown: ecx %x", c.ecx);
    c = cpuid(AMD_SVM, 0);
    EXPECT(!c.eax && !c.ebx && !c.ecx && !c.edx, "the SVM leaf is not zero");
    v = rdmsr(MSR_EFER);
    EXPECT(!(v & EFER_SVME), "EFER.SVME is shown: %lx", v);
    EXPECT(safe_wrmsr(MSR_EFER, v | EFER_SVME) == GP, "EFER.SVME can be set");
    EXPECT(rdmsr(MSR_EFER) == v, "EFER is now %lx", rdmsr(MSR_EFER));
}

/* With SVME clear in the guest's EFER each of them is an invalid opcode (APM 15.4). */
static void svm_instructions(void)
{
#define TRY(name, bytes)                                                                           \
    do {                                                                                           \
        uint32_t vec;                                                                              \
        SAFE_ASM(bytes, vec, : [vec_] "=r"(vec) : "a"(page), "c"(0) : "r11", "memory");            \
        EXPECT(trapped_vector(vec) == UD, name " raised %d", trapped_vector(vec));                 \
    } while (0)
    TRY("VMRUN", ".byte 0x0f, 0x01, 0xd8");
    TRY("VMLOAD", ".byte 0x0f, 0x01, 0xda");
    TRY("VMSAVE", ".byte 0x0f, 0x01, 0xdb");
    TRY("STGI", ".byte 0x0f, 0x01, 0xdc");
    TRY("CLGI", ".byte 0x0f, 0x01, 0xdd");
    TRY("SKINIT", ".byte 0x0f, 0x01, 0xde");
    TRY("INVLPGA", ".byte 0x0f, 0x01, 0xdf");
#undef TRY
}

static void ids_on_cpu(void *arg)
{
    struct cpu *cpu = this_cpu();
    struct cpuid c = cpuid(1, 0);
    uint32_t want = cpu->apic_id;

    EXPECT(c.ebx >> 24 == (want & 0xff), "leaf 1 shows APIC id %u on %u", c.ebx >> 24, want);
    EXPECT(!hv_present() || (c.ecx & BIT(21)), "x2APIC is not offered on processor %u", want);
    if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx)
        EXPECT(cpuid(0xb, 0).edx == want, "leaf 0xB shows APIC id %u on %u", cpuid(0xb, 0).edx,
               want);
}

static void cpuid_apic_id(void)
{
    smp_run_all(ids_on_cpu, NULL, 1000000);
}

static void tsc_invariant(void)
{
    uint64_t v;

    SKIP_IF(!(hv_privileges() & HV_ACCESS_TSC_INVARIANT), "not offered");
    REQUIRE(safe_wrmsr(HV_X64_MSR_TSC_INVARIANT_CONTROL, HV_EXPOSE_INVARIANT_TSC) == 0,
            "the bit cannot be set");
    REQUIRE(safe_rdmsr(HV_X64_MSR_TSC_INVARIANT_CONTROL, &v) == 0 && v == 1, "reads %lx", v);
    EXPECT(cpuid(AMD_POWER, 0).edx & INVARIANT_TSC, "CPUID does not follow the MSR");
    EXPECT(safe_wrmsr(HV_X64_MSR_TSC_INVARIANT_CONTROL, 3) == GP, "a reserved bit is taken");
}

/* ---- Synthetic MSRs ----------------------------------------------------------------------- */

enum access { RO, WO, RW };

struct msr_row {
    uint32_t msr;
    uint64_t privilege; /* without it every access is #GP */
    enum access access;
    uint64_t good[2]; /* written and read back, then the old value restored */
    uint64_t bad;     /* written: #GP; 0 for none */
};

#define ANY_PAGE 0x1000000ULL /* replaced by the address of `page` */

static const struct msr_row rows[] = {
    {HV_X64_MSR_GUEST_OS_ID, HV_MSR_HYPERCALL_AVAILABLE, RW, {0x8100ULL << 48 | 1, 0}, 0},
    {HV_X64_MSR_VP_INDEX, HV_MSR_VP_INDEX_AVAILABLE, RO, {0, 0}, 0},
    {HV_X64_MSR_RESET, HV_MSR_RESET_AVAILABLE, RW, {0, 0}, 0},
    {HV_X64_MSR_VP_RUNTIME, HV_MSR_VP_RUNTIME_AVAILABLE, RO, {0, 0}, 0},
    {HV_X64_MSR_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT_AVAILABLE, RO, {0, 0}, 0},
    {HV_X64_MSR_REFERENCE_TSC, HV_MSR_REFERENCE_TSC_AVAILABLE, RW, {ANY_PAGE, ANY_PAGE | 1}, 0},
    {HV_X64_MSR_TSC_FREQUENCY, HV_ACCESS_FREQUENCY_MSRS, RO, {0, 0}, 0},
    {HV_X64_MSR_APIC_FREQUENCY, HV_ACCESS_FREQUENCY_MSRS, RO, {0, 0}, 0},
    {HV_X64_MSR_EOI, HV_MSR_APIC_ACCESS_AVAILABLE, WO, {0, 0}, 0},
    {HV_X64_MSR_TPR, HV_MSR_APIC_ACCESS_AVAILABLE, RW, {0x20, 0}, 0},
    {HV_X64_MSR_VP_ASSIST_PAGE, HV_MSR_APIC_ACCESS_AVAILABLE, RW, {ANY_PAGE | 1, 0}, 0},
    {HV_X64_MSR_SCONTROL, HV_MSR_SYNIC_AVAILABLE, RW, {1, 0}, 0},
    {HV_X64_MSR_SVERSION, HV_MSR_SYNIC_AVAILABLE, RO, {0, 0}, 0},
    {HV_X64_MSR_SIEFP, HV_MSR_SYNIC_AVAILABLE, RW, {ANY_PAGE | 1, ANY_PAGE}, 0},
    {HV_X64_MSR_SIMP, HV_MSR_SYNIC_AVAILABLE, RW, {ANY_PAGE | 1, ANY_PAGE}, 0},
    {HV_X64_MSR_SINT0, HV_MSR_SYNIC_AVAILABLE, RW, {0x10031, 0x10000}, 0x5},
    {HV_X64_MSR_SINT1, HV_MSR_SYNIC_AVAILABLE, RW, {0x30031, 0x10000}, 0xF},
    {HV_X64_MSR_SINT2, HV_MSR_SYNIC_AVAILABLE, RW, {0x31, 0x10000}, 0x20005},
    {HV_X64_MSR_SINT7, HV_MSR_SYNIC_AVAILABLE, RW, {0x20031, 0x10000}, 0x1},
    {HV_X64_MSR_SINT15, HV_MSR_SYNIC_AVAILABLE, RW, {0x500ff, 0x10000}, 0x3},
    {HV_X64_MSR_STIMER0_CONFIG, HV_MSR_SYNTIMER_AVAILABLE, RW, {0x30008, 0}, 0},
    {HV_X64_MSR_STIMER0_COUNT, HV_MSR_SYNTIMER_AVAILABLE, RW, {0x123456789ULL, 0}, 0},
    {HV_X64_MSR_STIMER1_CONFIG, HV_MSR_SYNTIMER_AVAILABLE, RW, {0x1406, 0}, 0},
    {HV_X64_MSR_STIMER1_COUNT, HV_MSR_SYNTIMER_AVAILABLE, RW, {0x123456789ULL, 0}, 0},
    {HV_X64_MSR_STIMER2_CONFIG, HV_MSR_SYNTIMER_AVAILABLE, RW, {0xF0006, 0}, 0},
    {HV_X64_MSR_STIMER2_COUNT, HV_MSR_SYNTIMER_AVAILABLE, RW, {0x123456789ULL, 0}, 0},
    {HV_X64_MSR_STIMER3_CONFIG, HV_MSR_SYNTIMER_AVAILABLE, RW, {0x1FF0, 0}, 0},
    {HV_X64_MSR_STIMER3_COUNT, HV_MSR_SYNTIMER_AVAILABLE, RW, {0x123456789ULL, 0}, 0},
    {HV_X64_MSR_REENLIGHTENMENT_CONTROL, HV_ACCESS_REENLIGHTENMENT, RW, {0, 0}, 0},
    {HV_X64_MSR_TSC_EMULATION_CONTROL, HV_ACCESS_REENLIGHTENMENT, RW, {0, 0}, 0},
    {HV_X64_MSR_TSC_INVARIANT_CONTROL, HV_ACCESS_TSC_INVARIANT, RW, {1, 1}, 2},
};

static void msr_refused(const struct msr_row *r)
{
    uint64_t v;

    EXPECT(safe_rdmsr(r->msr, &v) == GP, "%x can be read without its privilege", r->msr);
    EXPECT(safe_wrmsr(r->msr, 0) == GP, "%x can be written without its privilege", r->msr);
}

static void msr_good_values(const struct msr_row *r, uint64_t old)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t v = r->good[i], back;

        if ((v & ~1ULL) == ANY_PAGE)
            v = PA(page) | (v & 1);
        REQUIRE(safe_wrmsr(r->msr, v) == 0, "%x refuses 0x%lx", r->msr, v);
        REQUIRE(safe_rdmsr(r->msr, &back) == 0, "%x cannot be read back", r->msr);
        EXPECT(back == v, "%x holds 0x%lx, not 0x%lx", r->msr, back, v);
    }
    EXPECT(safe_wrmsr(r->msr, old) == 0, "%x refuses its own value 0x%lx", r->msr, old);
}

static void msr_bad_value(const struct msr_row *r)
{
    uint64_t old = 0, now = 0;

    safe_rdmsr(r->msr, &old);
    EXPECT(safe_wrmsr(r->msr, r->bad) == GP, "%x takes 0x%lx", r->msr, r->bad);
    safe_rdmsr(r->msr, &now);
    EXPECT(old == now, "%x changed to 0x%lx by a refused write", r->msr, now);
}

static void msr_row_check(const struct msr_row *r)
{
    uint64_t v = 0;
    int vec;

    if (!(hv_privileges() & r->privilege)) {
        msr_refused(r);
        return;
    }
    vec = safe_rdmsr(r->msr, &v);
    if (r->access == RO) {
        EXPECT(vec == 0, "%x cannot be read", r->msr);
        EXPECT(safe_wrmsr(r->msr, v) == GP, "%x can be written", r->msr);
    } else if (r->access == WO) {
        EXPECT(safe_wrmsr(r->msr, 0) == 0, "%x cannot be written", r->msr);
    } else {
        EXPECT(vec == 0, "%x cannot be read", r->msr);
        if (!vec)
            msr_good_values(r, v);
    }
    if (r->bad)
        msr_bad_value(r);
}

static void msr_table(void *arg)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        msr_row_check(&rows[i]);
}

static void msr_values(void)
{
    msr_table(NULL);
}

/* Per VP registers exist on every VP. */
static void msr_values_ap(void)
{
    smp_run_on(cpu_count - 1, msr_table, NULL, 5000000);
}

static void reset_values(void *arg)
{
    uint64_t v;

    for (uint32_t s = 0; s < HV_SYNIC_SINT_COUNT; s++)
        EXPECT(!safe_rdmsr(HV_X64_MSR_SINT0 + s, &v) && v == HV_SYNIC_SINT_MASKED,
               "SINT%u starts as 0x%lx", s, v);
    for (uint32_t m = HV_X64_MSR_STIMER0_CONFIG; m <= HV_X64_MSR_STIMER3_COUNT; m++)
        EXPECT(!safe_rdmsr(m, &v) && v == 0, "%x starts as 0x%lx", m, v);
    EXPECT(!safe_rdmsr(HV_X64_MSR_SCONTROL, &v) && !(v & 1), "the SynIC starts enabled");
    EXPECT(!safe_rdmsr(HV_X64_MSR_SVERSION, &v) && v == HV_SYNIC_VERSION, "SVERSION 0x%lx", v);
}

static void msr_reset_values(void)
{
    smp_run_all(reset_values, NULL, 1000000);
}

static void msr_vp_index_on_cpu(void *arg)
{
    uint64_t v = ~0ULL;

    safe_rdmsr(HV_X64_MSR_VP_INDEX, &v);
    ((volatile uint64_t *)arg)[this_cpu()->index] = v;
}

static void msr_vp_index(void)
{
    static uint64_t index[MAX_CPUS];

    smp_run_all(msr_vp_index_on_cpu, index, 1000000);
    EXPECT(index[0] == 0, "the first processor has VP index %lu", index[0]);
    for (uint32_t i = 0; i < cpu_count; i++) {
        EXPECT(index[i] < cpuid(HYPERV_CPUID_IMPLEMENT_LIMITS, 0).eax, "VP index %lu", index[i]);
        for (uint32_t k = 0; k < i; k++)
            EXPECT(index[i] != index[k], "VP index %lu twice", index[i]);
    }
}

static void msr_unassigned(void)
{
    static const uint32_t holes[] = {0x40000004, 0x4000000F, 0x40000030, 0x4000005F, 0x40000086,
                                     0x400000A0, 0x400000AF, 0x400000B8, 0x400000BF, 0x40000117,
                                     0x40000FFF, 0x4000FFFE, 0x4000FFFF};
    uint64_t v;

    for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
        EXPECT(safe_rdmsr(holes[i], &v) == GP, "%x can be read", holes[i]);
        EXPECT(safe_wrmsr(holes[i], 0) == GP, "%x can be written", holes[i]);
    }
}

static void msr_crash(void)
{
    uint64_t v = 0;

    if (!(hv_features_edx() & HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE)) {
        EXPECT(safe_rdmsr(HV_X64_MSR_CRASH_CTL, &v) == GP, "not offered, yet readable");
        return;
    }
    for (uint32_t i = 0; i < HV_X64_MSR_CRASH_PARAMS; i++) {
        uint64_t pattern = 0x1122334455667788ULL * (i + 1);

        EXPECT(!safe_wrmsr(HV_X64_MSR_CRASH_P0 + i, pattern), "P%u cannot be written", i);
        EXPECT(!safe_rdmsr(HV_X64_MSR_CRASH_P0 + i, &v) && v == pattern, "P%u holds %lx", i, v);
    }
    EXPECT(!safe_rdmsr(HV_X64_MSR_CRASH_CTL, &v) && (v & HV_CRASH_CTL_CRASH_NOTIFY),
           "CRASH_CTL offers 0x%lx", v);
}

/* A page outside the address space may be refused, or accepted and never shown; nothing worse. */
static void msr_page_out_of_range(void)
{
    static const uint32_t regs[] = {HV_X64_MSR_SIMP, HV_X64_MSR_SIEFP, HV_X64_MSR_REFERENCE_TSC,
                                    HV_X64_MSR_VP_ASSIST_PAGE};
    static const uint64_t pages[] = {0xFFFFFFFFFFFFF001ULL, 0x000FFFFFFFFFF001ULL,
                                     0x0000800000000001ULL, 0xFEE00001ULL};

    for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(pages); k++) {
            int vec = safe_wrmsr(regs[i], pages[k]);

            EXPECT(vec == 0 || vec == GP, "%x with 0x%lx raised %d", regs[i], pages[k], vec);
        }
        EXPECT(safe_wrmsr(regs[i], 0) == 0, "%x cannot be cleared", regs[i]);
    }
}

static void msr_tpr_is_cr8(void)
{
    uint64_t v;

    wrmsr(HV_X64_MSR_TPR, 0x50);
    EXPECT(read_cr8() == 5, "CR8 is %lu after TPR = 0x50", read_cr8());
    EXPECT(apic_read(APIC_TPR) == 0x50, "the APIC shows TPR 0x%x", apic_read(APIC_TPR));
    write_cr8(3);
    EXPECT(!safe_rdmsr(HV_X64_MSR_TPR, &v) && v == 0x30, "TPR is 0x%lx after CR8 = 3", v);
    write_cr8(0);
}

static void msr_native(void)
{
    uint64_t pat = rdmsr(MSR_PAT), base = rdmsr(MSR_APIC_BASE), efer = rdmsr(MSR_EFER);

    EXPECT(safe_wrmsr(MSR_PAT, 2) == GP, "PAT takes the reserved type 2");
    EXPECT(safe_wrmsr(MSR_PAT, pat) == 0 && rdmsr(MSR_PAT) == pat, "PAT cannot be restored");
    EXPECT(safe_wrmsr(MSR_APIC_BASE, base | BIT64(62)) == GP, "APIC_BASE takes a reserved bit");
    EXPECT(safe_wrmsr(MSR_APIC_BASE, base | 1) == GP, "APIC_BASE takes bit 0");
    EXPECT(rdmsr(MSR_APIC_BASE) == base, "APIC_BASE changed");
    EXPECT(safe_wrmsr(MSR_EFER, efer | BIT64(40)) == GP, "EFER takes a reserved bit");
    EXPECT(safe_wrmsr(MSR_EFER, efer & ~BIT64(8)) == GP, "EFER.LME can be cleared with paging on");
    EXPECT(rdmsr(MSR_EFER) == efer, "EFER changed");
}

static const struct test_case cases[] = {
    /* First, because the others leave values behind. */
    {"msr_reset_values", msr_reset_values, NEED_HV},
    {"cpuid_interface", cpuid_interface, NEED_HV},
    {"cpuid_features", cpuid_features, NEED_HV},
    {"cpuid_hints", cpuid_hints, NEED_HV},
    {"cpuid_unused", cpuid_unused, NEED_HV},
    {"cpuid_subleaf", cpuid_subleaf, NEED_HV},
    {"cpuid_svm_hidden", cpuid_svm_hidden, NEED_HV},
    {"cpuid_apic_id", cpuid_apic_id, 0},
    {"svm_instructions", svm_instructions, 0},
    {"tsc_invariant", tsc_invariant, NEED_HV},
    {"msr_values", msr_values, NEED_HV},
    {"msr_values_ap", msr_values_ap, NEED_HV | NEED_SMP2},
    {"msr_vp_index", msr_vp_index, NEED_HV},
    {"msr_unassigned", msr_unassigned, NEED_HV},
    {"msr_crash", msr_crash, NEED_HV},
    {"msr_page_out_of_range", msr_page_out_of_range, NEED_HV},
    {"msr_tpr_is_cr8", msr_tpr_is_cr8, NEED_HV},
    {"msr_native", msr_native, NEED_HV},
};

TEST_GROUP(cpuid_msr, cases);
