/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "abi/tlfs/cpuid.h"
#include "abi/tlfs/management.h"
#include "abi/tlfs/msr.h"
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/cpuid_result.h"
#include "hypervisor/partition/features.h"
#include "shim_memory.h"
#include "shim_tlfs.h"

static uint32_t regs[4];

static void ask(uint32_t leaf)
{
    memset(regs, 0xA5, sizeof(regs));
    hv_cpuid(&shim.partition, leaf, regs);
}

/* What VP 2 sees when the processor answers `native` in all four registers. */
static void filter(uint32_t leaf, uint32_t subleaf, uint32_t native)
{
    for (unsigned i = 0; i < 4; i++)
        regs[i] = native;
    cpuid_filter(&shim.vps[2], leaf, subleaf, regs);
}

static void assert_regs(uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    assert_int_equal(regs[CPUID_EAX], eax);
    assert_int_equal(regs[CPUID_EBX], ebx);
    assert_int_equal(regs[CPUID_ECX], ecx);
    assert_int_equal(regs[CPUID_EDX], edx);
}

static void identity_leaves(void **state)
{
    char name[13] = "";

    shim_start(PRIVILEGES_STOCK_ROOT, true);
    ask(HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS);
    assert_int_equal(regs[CPUID_EAX], 0x40000006);
    memcpy(name, &regs[CPUID_EBX], 12);
    assert_string_equal(name, "Microsoft Hv");
    ask(HYPERV_CPUID_INTERFACE);
    assert_memory_equal(&regs[CPUID_EAX], "Hv#1", 4);
    ask(HYPERV_CPUID_VERSION);
    assert_regs(20348, 10 << 16, 0, 0);
}

static void features_of_a_stock_root(void **state)
{
    shim_start(PRIVILEGES_STOCK_ROOT, true);
    ask(HYPERV_CPUID_FEATURES);
    /* What Linux needs to see: hypercall, VP index, nothing that makes it a root. */
    assert_int_equal(regs[CPUID_EAX], 0x8EFF);
    assert_int_equal(regs[CPUID_EBX], 1U << 4 | 1U << 5);
    assert_int_equal(regs[CPUID_ECX], 0);
    assert_int_equal(regs[CPUID_EDX], 1U << 5 | 1U << 8 | 1U << 10 | 1U << 19);
    ask(HYPERV_CPUID_ENLIGHTMENT_INFO);
    assert_regs(1U << 2 | 1U << 3 | 1U << 5 | 1U << 9 | 1U << 10 | 1U << 11, UINT32_MAX, 0, 0);
    ask(HYPERV_CPUID_IMPLEMENT_LIMITS);
    assert_regs(PARTITION_MAX_VPS, PARTITION_MAX_VPS, 0, 0);
    ask(HYPERV_CPUID_HARDWARE_FEATURES);
    assert_regs(1U << 1 | 1U << 3, 0, 0, 0);
}

static void features_of_a_stock_child(void **state)
{
    shim_start(PRIVILEGES_STOCK_CHILD, false);
    ask(HYPERV_CPUID_FEATURES);
    assert_int_equal(regs[CPUID_EAX], 0x8E7F); /* no reset register */
    assert_int_equal(regs[CPUID_EBX], 1U << 4 | 1U << 5);
}

/* No privilege, no hint and no feature that rests on it. */
static void features_follow_privileges(void **state)
{
    shim_start(0, false);
    ask(HYPERV_CPUID_FEATURES);
    assert_regs(0, 0, 0, HV_FEATURE_GUEST_CRASH_MSR_AVAILABLE);
    ask(HYPERV_CPUID_ENLIGHTMENT_INFO);
    assert_regs(HV_X64_RELAXED_TIMING_RECOMMENDED, UINT32_MAX, 0, 0);
    shim_start(UINT64_MAX, true);
    ask(HYPERV_CPUID_FEATURES);
    assert_int_equal(regs[CPUID_EBX] & (HV_CREATE_PARTITIONS | HV_CPU_MANAGEMENT) >> 32, 0);
}

static void other_hypervisor_leaves_are_zero(void **state)
{
    shim_start(PRIVILEGES_STOCK_ROOT, true);
    for (uint32_t leaf = 0x40000007; leaf < 0x40000200; leaf++) {
        ask(leaf);
        assert_regs(0, 0, 0, 0);
    }
    ask(HYPERV_CPUID_VIRT_STACK_PROPERTIES);
    assert_regs(0, 0, 0, 0);
}

static void leaf_1(void **state)
{
    uint32_t hidden = 1U << 3 | 1U << 5 | 1U << 24;

    shim_start(PRIVILEGES_STOCK_ROOT, true);
    filter(1, 0, 0);
    assert_regs(0, 0x02000000, 1U << 31 | 1U << 21, 1U << 9);
    shim.cr4 = 1U << 18;
    filter(1, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, 0x02FFFFFF, ~hidden, UINT32_MAX);
    shim.cr4 = 0;
    shim.vps[2].apic.state.base = 0xFEE00000;
    filter(1, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, 0x02FFFFFF, ~(hidden | 1U << 27), ~(1U << 9));
}

static void leaves_with_the_apic_id(void **state)
{
    shim_start(PRIVILEGES_STOCK_ROOT, true);
    for (uint32_t subleaf = 0; subleaf < 3; subleaf++) {
        filter(0xB, subleaf, 0x77);
        assert_regs(0x77, 0x77, 0x77, 0x102);
        filter(0x1F, subleaf, 0x77);
        assert_regs(0x77, 0x77, 0x77, 0x102);
    }
    filter(0x8000001E, 0, 0x77);
    assert_regs(0x102, 0x77, 0x77, 0x77);
}

static void cet_and_protection_keys(void **state)
{
    shim_start(PRIVILEGES_STOCK_ROOT, true);
    filter(7, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, ~(1U << 16 | 1U << 7 | 1U << 4), ~(1U << 20));
    shim.cr4 = 1U << 22;
    filter(7, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, ~(1U << 16 | 1U << 7), ~(1U << 20));
    filter(0x80000008, 0, 0x3934);
    assert_regs(0x3034, 0x3934, 0x3934, 0x3934);
    filter(7, 1, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, UINT32_MAX, ~(1U << 18));
    filter(7, 2, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    filter(0xD, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    filter(0xD, 1, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, ~(3U << 11), UINT32_MAX);
    filter(0xD, 11, UINT32_MAX);
    assert_regs(0, 0, 0, 0);
    filter(0xD, 12, UINT32_MAX);
    assert_regs(0, 0, 0, 0);
}

static void extended_features(void **state)
{
    uint32_t hidden = 1U << 2 | 1U << 3 | 1U << 10 | 1U << 12 | 1U << 23 | 1U << 24 | 1U << 28;

    shim_start(PRIVILEGES_STOCK_ROOT, true);
    filter(0x80000001, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, ~hidden, UINT32_MAX);
    filter(0x80000001, 0, 0); /* Intel: no APIC bit appears here */
    assert_regs(0, 0, 0, 0);
    shim.vps[2].apic.state.base = 0;
    filter(0x80000001, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, ~hidden, ~(1U << 9));
}

static void invariant_tsc_on_request(void **state)
{
    shim_start(PRIVILEGES_STOCK_ROOT, true);
    filter(0x80000007, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, UINT32_MAX, ~(1U << 8));
    shim.partition.tsc_invariant_control = HV_EXPOSE_INVARIANT_TSC;
    filter(0x80000007, 0, 0);
    assert_regs(0, 0, 0, 1U << 8);
    /* Not offered: the processor's own answer. */
    shim_start(PRIVILEGES_STOCK_ROOT & ~HV_ACCESS_TSC_INVARIANT, true);
    filter(0x80000007, 0, UINT32_MAX);
    assert_regs(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    filter(0x80000007, 0, 0);
    assert_regs(0, 0, 0, 0);
}

static void hidden_leaves_and_the_rest(void **state)
{
    static const uint32_t zero[] = {5, 0xA, 0x8000000A, 0x8000001B, 0x8000001F, 0x80000022};
    static const uint32_t native[] = {0, 2, 4, 6, 0x16, 0x80000000, 0x80000002, 0x80000008};

    shim_start(PRIVILEGES_STOCK_ROOT, true);
    for (size_t i = 0; i < ARRAY_SIZE(zero); i++) {
        filter(zero[i], 0, UINT32_MAX);
        assert_regs(0, 0, 0, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(native); i++) {
        filter(native[i], 0, 0x12342878);
        assert_regs(0x12342878, 0x12342878, 0x12342878, 0x12342878);
    }
}

static void child_start(uint64_t features, uint64_t flags)
{
    shim_start(PRIVILEGES_STOCK_CHILD, false);
    shim_memory_start(SHIM_MEMORY_PAGES);
    shim.partition.is_child = true;
    shim.partition.creation_flags = flags;
    shim.partition.properties.synthetic_features = features;
    for (uint32_t i = 0; i < SHIM_VPS; i++)
        shim.vps[i].apic_id.v = i;
}

static void synthetic_features_of_a_child(void **state)
{
    child_start(UINT64_MAX, 0);
    ask(HYPERV_CPUID_FEATURES);
    assert_int_equal(regs[CPUID_EDX], 1U << 5 | 1U << 8 | 1U << 10 | 1U << 19);
    ask(HYPERV_CPUID_ENLIGHTMENT_INFO);
    assert_int_equal(regs[CPUID_EAX], 1U << 2 | 1U << 3 | 1U << 5 | 1U << 9 | 1U << 10 | 1U << 11);
    child_start(HV_SYNTH_HYPERVISOR_PRESENT | HV_SYNTH_HV1, 0);
    ask(HYPERV_CPUID_FEATURES);
    assert_int_equal(regs[CPUID_EDX] & HV_STIMER_DIRECT_MODE_AVAILABLE, 0);
    ask(HYPERV_CPUID_ENLIGHTMENT_INFO);
    assert_int_equal(regs[CPUID_EAX] & (1U << 2 | 1U << 10 | 1U << 11), 0);
    filter(1, 0, 0);
    assert_int_equal(regs[CPUID_ECX], BIT(31));
    child_start(HV_SYNTH_HYPERVISOR_PRESENT, 0);
    ask(HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS);
    assert_regs(0, 0, 0, 0);
    child_start(0, HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE);
    filter(1, 0, 0);
    assert_int_equal(regs[CPUID_ECX], BIT(21));
}

static void topology_of_a_child(void **state)
{
    child_start(UINT64_MAX, 0);
    filter(1, 0, UINT32_MAX);
    assert_int_equal(regs[CPUID_EBX], 0x0204FFFF); /* APIC id 2, four of them */
    assert_true(regs[CPUID_EDX] & BIT(28));        /* more than one */
    assert_true(regs[CPUID_EDX] & BIT(12));        /* MTRRs */
    filter(4, 2, 0xFFFFC043);                      /* second level, unified */
    assert_int_equal(regs[CPUID_EAX], 3U << 26 | 0x43);
    filter(4, 3, 0x163);
    assert_int_equal(regs[CPUID_EAX], 3U << 26 | 3U << 14 | 0x163);
    filter(4, 4, 0);
    assert_int_equal(regs[CPUID_EAX], 0);
    filter(0x8000001D, 3, 0xFFFFC163);
    assert_int_equal(regs[CPUID_EAX], 3U << 14 | 0x163);
    for (uint32_t leaf = 0xB; leaf <= 0x1F; leaf += 0x14) {
        filter(leaf, 0, 0x77);
        assert_regs(0, 1, 1U << 8, 2);
        filter(leaf, 1, 0x77);
        assert_regs(2, 4, 1U | 2U << 8, 2);
        filter(leaf, 2, 0x77);
        assert_regs(0, 0, 2, 2);
    }
    filter(0x80000008, 0, 0x2830);
    assert_int_equal(regs[CPUID_ECX], 2U << 12 | 3);
    filter(0x80000008, 0, 0);
    assert_int_equal(regs[CPUID_ECX], 0);
    filter(0x8000001E, 0, UINT32_MAX);
    assert_regs(2, 2, 0, 0);
    filter(0x80000026, 0, UINT32_MAX);
    assert_regs(0, 0, 0, 0);
}

static void sockets_of_a_child(void **state)
{
    child_start(UINT64_MAX, 0);
    shim.partition.properties.processors_per_socket = 1;
    filter(1, 0, UINT32_MAX);
    assert_int_equal(regs[CPUID_EBX] >> 16 & 0xFF, 1);
    assert_false(regs[CPUID_EDX] & BIT(28));
    filter(0xB, 1, 0);
    assert_regs(0, 1, 1U | 2U << 8, 2);
    filter(0x8000001E, 0, 0);
    assert_regs(2, 0, 2, 0); /* its own socket */
    shim.partition.properties.processors_per_socket = 3;
    filter(0xB, 1, 0);
    assert_regs(2, 3, 1U | 2U << 8, 2);
    shim.partition.properties.processors_per_socket = UINT16_MAX;
    filter(0xB, 1, 0);
    assert_regs(6, PARTITION_MAX_VPS, 1U | 2U << 8, 2);
}

static void what_a_child_does_not_have(void **state)
{
    static const uint32_t zero[] = {0xF, 0x10, 0x12, 0x14, 0x19, 0x1C, 0x80000020, 0x8000000A};

    child_start(UINT64_MAX, 0);
    for (size_t i = 0; i < ARRAY_SIZE(zero); i++) {
        filter(zero[i], 0, UINT32_MAX);
        assert_regs(0, 0, 0, 0);
    }
    filter(6, 0, UINT32_MAX);
    assert_regs(4, 0, 0, 0);
    shim.partition.tsc_invariant_control = HV_EXPOSE_INVARIANT_TSC;
    filter(0x80000007, 0, UINT32_MAX);
    assert_regs(0, 0, 0, 1U << 8);
}

static void disabled_features(void **state)
{
    uint64_t *disabled = shim.partition.properties.disabled_features;

    child_start(UINT64_MAX, 0);
    disabled[FEATURES_BANK0] = BIT64(0) | BIT64(22) | BIT64(38);
    disabled[FEATURES_BANK1] = BIT64(19);
    disabled[FEATURES_XSAVE] = BIT64(2);
    filter(1, 0, UINT32_MAX);
    assert_false(regs[CPUID_ECX] & (BIT(0) | BIT(28)));
    assert_true(regs[CPUID_ECX] & BIT(9));
    filter(7, 0, UINT32_MAX);
    assert_int_equal(regs[CPUID_EBX] & 0x3, 2);
    filter(7, 1, UINT32_MAX);
    assert_int_equal(regs[CPUID_EAX], ~BIT(10));
    assert_int_equal(regs[CPUID_EBX], UINT32_MAX); /* the other subleaf's bits are not meant */
    filter(0x80000001, 7, UINT32_MAX);             /* has no subleaves */
    assert_false(regs[CPUID_EDX] & BIT(27));
    filter(0xD, 0, 0x340);
    assert_int_equal(regs[CPUID_ECX], 0x340);
    disabled[FEATURES_XSAVE] = BIT64(0);
    filter(0xD, 0, 0x340);
    assert_regs(0, 0, 0, 0);
}

static int put_result(uint32_t vp, uint32_t leaf, int subleaf, uint32_t value, uint32_t mask)
{
    struct hv_input_register_intercept_result in = {
        .vp_index = vp,
        .eax = leaf,
        .ecx = subleaf < 0 ? 99 : (uint32_t)subleaf,
        .subleaf_specific = subleaf >= 0,
        .result = {value, mask, value, 0, value, mask, value, UINT32_MAX},
    };

    return cpuid_result_register(&shim.partition, &in);
}

static void apply(uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < 4; i++)
        regs[i] = 0x0F0F0F0F;
    cpuid_results_apply(&shim.vps[2], leaf, subleaf, regs);
}

static void registered_results(void **state)
{
    child_start(UINT64_MAX, 0);
    apply(1, 0);
    assert_regs(0x0F0F0F0F, 0x0F0F0F0F, 0x0F0F0F0F, 0x0F0F0F0F);
    assert_int_equal(put_result(UINT32_MAX, 0x55, -1, 0x11110000, 0xFFFF0000), 0);
    apply(0x55, 3);
    assert_regs(0x11110F0F, 0x0F0F0F0F, 0x11110F0F, 0x11110000);
    /* The closer one wins, in whatever order they came. */
    assert_int_equal(put_result(2, 0x55, 3, 0x44, 0xFF), 0);
    assert_int_equal(put_result(2, 0x55, -1, 0x33, 0xFF), 0);
    assert_int_equal(put_result(UINT32_MAX, 0x55, 3, 0x22, 0xFF), 0);
    assert_int_equal(put_result(1, 0x55, 3, 0x77, UINT32_MAX), 0);
    apply(0x55, 3);
    assert_regs(0x11110F44, 0x0F0F0F0F, 0x11110F44, 0x44);
    apply(0x55, 4);
    assert_regs(0x11110F33, 0x0F0F0F0F, 0x11110F33, 0x33);
    /* The same key again replaces. */
    assert_int_equal(put_result(2, 0x55, 3, 0x99, 0xFF), 0);
    apply(0x55, 3);
    assert_int_equal(regs[CPUID_EDX], 0x99);
    assert_int_equal(shim_pages_used(), 1);
    cpuid_results_destroy(&shim.partition);
    assert_int_equal(shim_pages_used(), 0);
    apply(0x55, 3);
    assert_int_equal(regs[CPUID_EDX], 0x0F0F0F0F);
}

static void results_are_bounded(void **state)
{
    uint32_t n = 0;
    int rc;

    child_start(UINT64_MAX, 0);
    while (!(rc = put_result(2, n, -1, n, UINT32_MAX)))
        n++;
    assert_int_equal(rc, -ENOSPC);
    assert_true(n > 1000 && n < 5000);
    apply(n - 1, 0);
    assert_int_equal(regs[CPUID_EDX], n - 1);
    cpuid_results_destroy(&shim.partition);
    assert_int_equal(shim_pages_used(), 0);
    shim_pages_left = 0;
    assert_int_equal(put_result(2, 1, -1, 1, 1), -ENOMEM);
}

/* What is registered does not stop the bits that follow the guest's registers. */
static void results_and_mirrored_bits(void **state)
{
    child_start(UINT64_MAX, 0);
    assert_int_equal(put_result(UINT32_MAX, 1, -1, UINT32_MAX, UINT32_MAX), 0);
    vp_cpuid(&shim.vps[2], 1, 0, true, regs);
    assert_int_equal(regs[CPUID_ECX], ~BIT(27));
    shim.cr4 = BIT64(18);
    vp_cpuid(&shim.vps[2], 1, 0, true, regs);
    assert_int_equal(regs[CPUID_ECX], UINT32_MAX);
    vp_cpuid(&shim.vps[2], 1, 0, false, regs);
    assert_int_equal(regs[CPUID_EBX] >> 24, 2);
    assert_int_equal(put_result(UINT32_MAX, 0x40000000, -1, 0x4000000A, UINT32_MAX), 0);
    vp_cpuid(&shim.vps[2], 0x40000000, 0, true, regs);
    assert_int_equal(regs[CPUID_EAX], 0x4000000A);
    cpuid_results_destroy(&shim.partition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_leaves),
        cmocka_unit_test(features_of_a_stock_root),
        cmocka_unit_test(features_of_a_stock_child),
        cmocka_unit_test(features_follow_privileges),
        cmocka_unit_test(other_hypervisor_leaves_are_zero),
        cmocka_unit_test(leaf_1),
        cmocka_unit_test(leaves_with_the_apic_id),
        cmocka_unit_test(cet_and_protection_keys),
        cmocka_unit_test(extended_features),
        cmocka_unit_test(invariant_tsc_on_request),
        cmocka_unit_test(hidden_leaves_and_the_rest),
        cmocka_unit_test(synthetic_features_of_a_child),
        cmocka_unit_test(topology_of_a_child),
        cmocka_unit_test(sockets_of_a_child),
        cmocka_unit_test(what_a_child_does_not_have),
        cmocka_unit_test(disabled_features),
        cmocka_unit_test(registered_results),
        cmocka_unit_test(results_are_bounded),
        cmocka_unit_test(results_and_mirrored_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
