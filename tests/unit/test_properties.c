/* SPDX-License-Identifier: MIT */
/* Partition properties: what can be asked and set, in which state, and what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "abi/tlfs/msr.h"
#include "abi/tlfs/vp.h"
#include "hypervisor/partition/child.h"
#include "hypervisor/partition/child_vp.h"
#include "hypervisor/partition/features.h"
#include "hypervisor/partition/properties.h"
#include "hypervisor/partition/synthetic_msr.h"
#include "shim_tlfs.h"

static struct sched_lp home;
static uint32_t reserve_limit; /* of any VP */
static unsigned sets, pauses, requests, timer_changes;
static int paused;

void child_track(struct partition *p, bool on)
{
    p->properties.page_access_tracking = on;
}

int child_vp_set_params(struct vp *vp)
{
    sets++;
    return vp->partition->properties.reserve > reserve_limit && vp->index.v == 2 ? -ERANGE : 0;
}

void vp_pause(struct vp *vp)
{
    pauses++;
    paused++;
}

void vp_resume(struct vp *vp)
{
    paused--;
}

void vp_request(struct vp *vp, uint32_t bits)
{
    requests++;
}

void vp_tsc_follow(struct vp *vp)
{
    assert_true(paused > 0);
    if (vp == &shim.vps[0])
        shim.tsc_offset -= vp->partition->properties.stood_tsc - vp->tsc_stood;
    vp->tsc_stood = vp->partition->properties.stood_tsc;
}

void stimers_time_changed(struct vp *vp)
{
    timer_changes++;
}

static struct partition *child_start(enum partition_state state)
{
    shim_start(0, false);
    sets = pauses = requests = timer_changes = 0;
    paused = 0;
    reserve_limit = SCHED_FRACTION_ONE;
    shim.partition.is_child = true;
    shim.partition.ref_base = 0;
    properties_init(&shim.partition);
    atomic_store(&shim.partition.state, state);
    for (uint32_t i = 0; i < SHIM_VPS; i++)
        atomic_store(&shim.vps[i].sched.lp, &home);
    return &shim.partition;
}

static uint64_t get(uint32_t code)
{
    uint64_t v = 0xDEAD;

    assert_int_equal(property_get(&shim.partition, code, &v), 0);
    return v;
}

static const uint32_t all_codes[] = {
    0x10000, 0x10001, 0x20000, 0x20001, 0x20002, 0x20003, 0x20004,
    0x20005, 0x30003, 0x30005, 0x50003, 0x50005, 0x50017, 0x60000,
    0x60002, 0x60006, 0x60007, 0x60008, 0x60009, 0x6000A, 0x6000B,
};

static void every_property_can_be_read(void **state)
{
    uint64_t v;

    child_start(PARTITION_ACTIVE);
    for (size_t i = 0; i < ARRAY_SIZE(all_codes); i++)
        get(all_codes[i]);
    assert_int_equal(get(HV_PARTITION_PROPERTY_CPU_WEIGHT), 100);
    assert_int_equal(get(HV_PARTITION_PROPERTY_PROCESSOR_CLOCK_FREQUENCY), 2000000000);
    assert_int_equal(property_get(&shim.partition, 0x60001, &v), -ENOENT);
    assert_int_equal(property_get(&shim.partition, 0, &v), -ENOENT);
    /* The parent itself: what a child could have. */
    shim_start(PRIVILEGES_STOCK_ROOT, true);
    for (size_t i = 0; i < ARRAY_SIZE(all_codes); i++)
        get(all_codes[i]);
    assert_int_equal(get(HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES), SYNTHETIC_FEATURES);
}

static void longer_properties(void **state)
{
    uint64_t buf[PROPERTY_EX_MAX / 8] = {0};
    uint32_t len;

    child_start(PARTITION_ACTIVE);
    assert_int_equal(property_get_ex(&shim.partition, 0x90009, 0, buf, &len), 0);
    assert_int_equal(len, 16);
    assert_int_equal(buf[0], 1);
    assert_int_equal(buf[1], SYNTHETIC_FEATURES);
    assert_int_equal(property_get_ex(&shim.partition, 0x90007, 0, buf, &len), 0);
    assert_int_equal(buf[1], 0);
    assert_int_equal(property_get_ex(&shim.partition, 0x90008, 0, buf, &len), -ENOENT);
}

static void privileges_follow_features(void **state)
{
    struct partition *p = child_start(PARTITION_CREATED);

    assert_int_equal(p->privileges, PRIVILEGES_STOCK_CHILD);
    assert_int_equal(properties_privileges(SYNTHETIC_FEATURES), PRIVILEGES_STOCK_CHILD);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES,
                                  HV_SYNTH_ACCESS_SYNIC | HV_SYNTH_ACCESS_HYPERCALL | BIT64(40)),
                     0);
    assert_int_equal(p->privileges, HV_MSR_SYNIC_AVAILABLE | HV_POST_MESSAGES | HV_SIGNAL_EVENTS |
                                        HV_MSR_HYPERCALL_AVAILABLE);
    assert_int_equal(get(HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES),
                     HV_SYNTH_ACCESS_SYNIC | HV_SYNTH_ACCESS_HYPERCALL);
    /* Nothing makes a child a parent. */
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES, UINT64_MAX), 0);
    assert_int_equal(p->privileges & PRIVILEGES_PARENT, 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS, HV_CREATE_PARTITIONS),
                     -ERANGE);
    assert_int_equal(
        property_set(p, HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS, HV_MSR_VP_INDEX_AVAILABLE), 0);
    assert_int_equal(p->privileges, HV_MSR_VP_INDEX_AVAILABLE);
    atomic_store(&p->state, PARTITION_ACTIVE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS, 0), -EBADF);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES, 0), -EBADF);
    assert_int_equal(p->privileges, HV_MSR_VP_INDEX_AVAILABLE);
}

static void states_and_codes(void **state)
{
    struct partition *p = child_start(PARTITION_FINALIZED);

    for (size_t i = 0; i < ARRAY_SIZE(all_codes); i++)
        assert_int_equal(property_set(p, all_codes[i], 0), -EBADF);
    p = child_start(PARTITION_ACTIVE);
    assert_int_equal(property_set(p, 0x77, 0), -ENOENT);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_PROCESSOR_FEATURES0, 0), -EACCES);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_GROUP_ID, 1), -ERANGE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_GROUP_ID, 0), 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION, 1), 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION, 2), -ERANGE);
    assert_int_equal(get(HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION), 1);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_PROCESSORS_PER_SOCKET, 4), 0);
    assert_int_equal(get(HV_PARTITION_PROPERTY_PROCESSORS_PER_SOCKET), 4);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_GPA_PAGE_ACCESS_TRACKING, 1), 0);
    assert_true(p->properties.page_access_tracking);
    shim_start(PRIVILEGES_STOCK_ROOT, true);
    assert_int_equal(property_set(&shim.partition, HV_PARTITION_PROPERTY_CPU_WEIGHT, 5), -EACCES);
}

static void scheduling(void **state)
{
    struct partition *p = child_start(PARTITION_ACTIVE);

    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_WEIGHT, 0), -ERANGE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_WEIGHT, 10001), -ERANGE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_WEIGHT, BIT64(32) + 1), -ERANGE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_RESERVE, 0x10001), -ERANGE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_CAP, 0x10001), -ERANGE);
    assert_int_equal(sets, 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_WEIGHT, 10000), 0);
    assert_int_equal(sets, SHIM_VPS);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_RESERVE, 0x4000), 0);
    /* A cap below the reserve promises what it forbids. */
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_CAP, 0x3FFF), -ERANGE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_CAP, 0x4000), 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_RESERVE, 0x4001), -ERANGE);
    assert_int_equal(get(HV_PARTITION_PROPERTY_CPU_RESERVE), 0x4000);
    assert_int_equal(get(HV_PARTITION_PROPERTY_CPU_CAP), 0x4000);
    assert_int_equal(get(HV_PARTITION_PROPERTY_CPU_WEIGHT), 10000);

    /* No room for the third VP: the first two get back what they had. */
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_CAP, 0), 0);
    sets = 0;
    reserve_limit = 0x5000;
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_RESERVE, 0x6000), -ERANGE);
    assert_int_equal(sets, 3 + 2);
    assert_int_equal(get(HV_PARTITION_PROPERTY_CPU_RESERVE), 0x4000);
    /* A VP without a home is left alone. */
    sets = 0;
    atomic_store(&shim.vps[1].sched.lp, NULL);
    atomic_store(&shim.partition.vps[3], NULL);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_CPU_WEIGHT, 7), 0);
    assert_int_equal(sets, 2);
}

static void suspending(void **state)
{
    struct partition *p = child_start(PARTITION_ACTIVE);

    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_SUSPEND, 2), -ERANGE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_SUSPEND, 1), 0);
    assert_true(p->properties.suspended);
    assert_int_equal(pauses, SHIM_VPS);
    assert_int_equal(paused, 0);
    assert_int_equal(requests, 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_SUSPEND, 0), 0);
    assert_int_equal(requests, SHIM_VPS);
    assert_int_equal(get(HV_PARTITION_PROPERTY_SUSPEND), 0);
}

/* What the guest reads from its TSC page now, or 0 if it must not use it. */
static uint64_t page_time(gpa_t page)
{
    struct hv_reference_tsc_page body;
    uint64_t scaled;

    memcpy(&body, shim.ram + page.v, sizeof(body));
    if (!body.tsc_sequence)
        return 0;
    scaled = (uint64_t)(((unsigned __int128)(shim.tsc + shim.tsc_offset) * body.tsc_scale) >> 64);
    return scaled + (uint64_t)body.tsc_offset;
}

static void frozen_time(void **state)
{
    struct partition *p = child_start(PARTITION_ACTIVE);
    uint64_t before, sequence, tsc;

    shim.tsc_step = 0;
    assert_int_equal(synthetic_msr_write(&shim.vps[0], HV_X64_MSR_REFERENCE_TSC, 0x5001), 0);
    before = partition_ref_time(p);
    assert_int_equal(page_time(gpa(0x5000)), before);
    sequence = shim.ram[0x5000];
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_TIME_FREEZE, 2), -ERANGE);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_TIME_FREEZE, 1), 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_TIME_FREEZE, 1), 0);
    tsc = shim.tsc + shim.tsc_offset;
    shim.tsc += 10000000000;
    assert_int_equal(get(HV_PARTITION_PROPERTY_REFERENCE_TIME), before);
    assert_int_equal(page_time(gpa(0x5000)), 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_TIME_FREEZE, 0), 0);
    /* TSCs stand still with it. */
    assert_int_equal(shim.tsc + shim.tsc_offset, tsc);
    for (unsigned i = 0; i < SHIM_VPS; i++)
        assert_int_equal(shim.vps[i].tsc_stood, 10000000000);
    assert_int_equal(partition_ref_time(p), before);
    assert_int_equal(page_time(gpa(0x5000)), before);
    assert_int_not_equal(shim.ram[0x5000], sequence);
    shim.tsc += 2000000000;
    assert_in_range(partition_ref_time(p) - before, 9999999, 10000001);
    assert_int_equal(timer_changes, 3 * SHIM_VPS);
    assert_int_equal(paused, 0);

    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_REFERENCE_TIME, 1234567), 0);
    assert_int_equal(get(HV_PARTITION_PROPERTY_REFERENCE_TIME), 1234567);
    assert_int_equal(page_time(gpa(0x5000)), 1234567);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_TIME_FREEZE, 1), 0);
    assert_int_equal(property_set(p, HV_PARTITION_PROPERTY_REFERENCE_TIME, 5), 0);
    shim.tsc += 2000000000;
    assert_int_equal(get(HV_PARTITION_PROPERTY_REFERENCE_TIME), 5);
}

static void features_can_be_disabled(void **state)
{
    struct hv_input_create_partition in = {
        .disabled_processor_features = {BIT64(0) | BIT64(2), BIT64(18)},
        .disabled_processor_xsave_features = UINT64_MAX,
    };
    uint64_t host = features_host(FEATURES_BANK0);

    child_start(PARTITION_CREATED);
    assert_true(host & BIT64(0)); /* SSE3: no machine that builds this lacks it */
    assert_int_equal(get(HV_PARTITION_PROPERTY_PROCESSOR_FEATURES0), host);
    properties_disable_features(&shim.partition, &in);
    assert_int_equal(get(HV_PARTITION_PROPERTY_PROCESSOR_FEATURES0), host & ~5ULL);
    assert_int_equal(get(HV_PARTITION_PROPERTY_PROCESSOR_XSAVE_FEATURES), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_property_can_be_read),
        cmocka_unit_test(longer_properties),
        cmocka_unit_test(privileges_follow_features),
        cmocka_unit_test(states_and_codes),
        cmocka_unit_test(scheduling),
        cmocka_unit_test(suspending),
        cmocka_unit_test(frozen_time),
        cmocka_unit_test(features_can_be_disabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
