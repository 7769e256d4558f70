/* SPDX-License-Identifier: MIT */
/* Statistics pages: mapping, memory, contents, refresh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hypervisor/mm/gpamap.h"
#include "hypervisor/partition/stats.h"
#include "hypervisor/sched/timer.h"
#include "shim_port.h"

struct lp *lps[LP_MAX];
uint32_t lp_count;

static struct timer *armed;
static uint64_t mapped; /* page that the parent sees last, 0: hidden again */
static int map_rc;

void timer_init(struct timer *t, void (*fn)(struct timer *))
{
    t->fn = fn;
}

void timer_arm(struct timer *t, uint64_t deadline_tsc)
{
    armed = t;
}

int gpa_map_set(struct gpa_map *map, gpa_t at, hpa_t to, uint64_t len, unsigned access)
{
    mapped = map_rc ? mapped : at.v;
    return map_rc;
}

int gpa_map_clear(struct gpa_map *map, gpa_t at, uint64_t len)
{
    mapped = 0;
    return 0;
}

uint64_t gpa_map_generation(const struct gpa_map *map)
{
    return 1;
}

void gpa_map_reclaim(struct gpa_map *map, uint64_t flushed)
{
}

void pool_balance(struct pool *p, uint64_t *available, uint64_t *in_use)
{
    *available = 5;
    *in_use = 7;
}

uint64_t child_next(const struct partition *parent, uint64_t previous)
{
    return previous < 10 ? 10 : previous == 10 ? 11 : 0;
}

static int setup(void **state)
{
    shim_ports_start(SHIM_MEMORY_PAGES);
    lp_count = 1;
    lps[0] = &ports.lp;
    map_rc = 0;
    armed = NULL;
    return 0;
}

static uint64_t *map(uint32_t type, uint64_t id, uint32_t index)
{
    struct stats_object o = {type, index, id};
    hpa_t page;

    if (stats_map(&shim.partition, &o, &page))
        return NULL;
    assert_int_equal(page.v, mapped);
    return hpa_to_virt(page);
}

static int unmap(uint32_t type, uint64_t id, uint32_t index)
{
    struct stats_object o = {type, index, id};

    return stats_unmap(&shim.partition, &o);
}

static void pages_show_counters(void **state)
{
    uint64_t *hv = map(HV_STATS_OBJECT_HYPERVISOR, 0, 0), *lp, *pt, *vp;

    assert_non_null(hv);
    assert_int_equal(hv[1], 1);
    assert_int_equal(hv[2], 3);
    assert_int_equal(hv[4], SHIM_VPS + 2);
    lp = map(HV_STATS_OBJECT_LOGICAL_PROCESSOR, 0, 0);
    pt = map(HV_STATS_OBJECT_PARTITION, 10, 0);
    ports.vp[0].counters[VPC_CPUID] = 17;
    vp = map(HV_STATS_OBJECT_VP, 10, 0);
    assert_true(lp[1] > 0);
    assert_int_equal(pt[1], 1);
    assert_int_equal(pt[5], 12);
    assert_int_equal(pt[26], 10);
    assert_int_equal(vp[19], 17);
    /* Later they are filled again, whatever the parent has written there. */
    ports.vp[0].counters[VPC_CPUID] = 18;
    ports.lp.irqs = 99;
    vp[19] = 0;
    assert_non_null(armed);
    armed->fn(armed);
    assert_int_equal(vp[19], 18);
    assert_int_equal(lp[4], 99);
    /* A VP that is gone keeps what was last known. */
    atomic_store(&ports.child[0].vps[0], NULL);
    armed->fn(armed);
    assert_int_equal(vp[19], 18);
    assert_int_equal(unmap(HV_STATS_OBJECT_VP, 10, 0), 0);
    assert_int_equal(mapped, 0);
    assert_int_equal(unmap(HV_STATS_OBJECT_VP, 10, 0), -ENOENT);
    assert_int_equal(unmap(HV_STATS_OBJECT_PARTITION, 10, 0), 0);
    assert_int_equal(unmap(HV_STATS_OBJECT_LOGICAL_PROCESSOR, 0, 0), 0);
    assert_int_equal(unmap(HV_STATS_OBJECT_HYPERVISOR, 0, 0), 0);
    assert_int_equal(shim_pages_used(), 0);
    assert_int_equal(ports.holds, 0);
    armed->fn(armed); /* nothing to fill: it is not armed again */
}

static void memory_and_repetition(void **state)
{
    uint64_t *first;

    shim_pages_left = 1; /* a slot, but no page */
    assert_null(map(HV_STATS_OBJECT_HYPERVISOR, 0, 0));
    assert_int_equal(shim_pages_used(), 0);
    shim_pages_left = 2;
    map_rc = -ENOMEM;
    assert_null(map(HV_STATS_OBJECT_HYPERVISOR, 0, 0));
    assert_int_equal(shim_pages_used(), 0);
    map_rc = 0;
    first = map(HV_STATS_OBJECT_HYPERVISOR, 0, 0);
    assert_non_null(first);
    assert_ptr_equal(map(HV_STATS_OBJECT_HYPERVISOR, 0, 0), first);
    assert_int_equal(shim_pages_used(), 2);
    assert_int_equal(unmap(HV_STATS_OBJECT_HYPERVISOR, 0, 0), 0);
}

static uint16_t map_call(uint32_t type, uint64_t id, uint32_t index, uint8_t area)
{
    struct hv_input_map_stats_page in = {.type = type};

    memcpy(in.identity, &id, sizeof(id));
    memcpy(in.identity + 8, &index, sizeof(index));
    in.identity[15] = area;
    memcpy(call.in, &in, sizeof(in));
    return hypercall_map_stats_page(&call);
}

static void calls_are_checked(void **state)
{
    assert_int_equal(map_call(HV_STATS_OBJECT_VP, 10, 0, HV_STATS_AREA_PARENT),
                     HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(map_call(3, 0, 0, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(map_call(HV_STATS_OBJECT_VP, 99, 0, 0), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(map_call(HV_STATS_OBJECT_VP, 10, 1, 0), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(map_call(HV_STATS_OBJECT_LOGICAL_PROCESSOR, 1, 0, 0),
                     HV_STATUS_INVALID_LP_INDEX);
    shim_pages_left = 0;
    assert_int_equal(map_call(HV_STATS_OBJECT_VP, 10, 0, 0), HV_STATUS_INSUFFICIENT_MEMORY);
    shim_pages_left = 4;
    /* One's own id and SELF are the same object. */
    assert_int_equal(map_call(HV_STATS_OBJECT_VP, HV_PARTITION_ID_SELF, 2, 0), HV_STATUS_SUCCESS);
    assert_int_equal(map_call(HV_STATS_OBJECT_VP, PARTITION_ROOT_ID, 2, 0), HV_STATUS_SUCCESS);
    assert_int_equal(shim_pages_used(), 2);
    assert_int_equal(hypercall_unmap_stats_page(&call), HV_STATUS_SUCCESS);
    assert_int_equal(hypercall_unmap_stats_page(&call), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(shim_pages_used(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pages_show_counters, setup),
        cmocka_unit_test_setup(memory_and_repetition, setup),
        cmocka_unit_test_setup(calls_are_checked, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
