/* SPDX-License-Identifier: MIT */
/* The hypercalls about properties and CPUID: whom they find, what they answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "hypervisor/partition/cpuid.h"
#include "hypervisor/partition/cpuid_result.h"
#include "hypervisor/partition/properties.h"
#include "shim_port.h"

struct lp *lps[LP_MAX];
uint32_t lp_count;

static struct partition *asked;
static uint64_t set_value;
static int rc;
static unsigned paused;
static struct hv_input_register_intercept_result registered;
static const struct hypercall_entry cpuid_row = {.in_size = 24, .in_rep = 24, .out_rep = 16};

int property_get(struct partition *p, uint32_t code, uint64_t *value)
{
    asked = p;
    *value = code;
    return rc;
}

int property_get_ex(const struct partition *p, uint32_t code, uint64_t argument, void *buf,
                    uint32_t *len)
{
    for (uint32_t i = 0; i < PROPERTY_EX_MAX; i++)
        assert_int_equal(((uint8_t *)buf)[i], 0);
    memcpy(buf, &argument, sizeof(argument));
    *len = 24;
    return rc;
}

int property_set(struct partition *p, uint32_t code, uint64_t value)
{
    asked = p;
    set_value = value;
    return rc;
}

int cpuid_result_register(struct partition *p, const struct hv_input_register_intercept_result *in)
{
    asked = p;
    registered = *in;
    return rc;
}

int child_get_active(struct partition *parent, uint64_t id, struct partition **out)
{
    struct partition *p = partition_get(parent, id);

    if (!p)
        return -ENOENT;
    *out = p;
    return 0;
}

void vp_pause(struct vp *vp)
{
    paused++;
}

void vp_resume(struct vp *vp)
{
    paused--;
}

void vp_cpuid(const struct vp *vp, uint32_t leaf, uint32_t subleaf, bool registered_too,
              uint32_t regs[4])
{
    assert_int_equal(paused, 1);
    regs[0] = leaf;
    regs[1] = subleaf;
    regs[2] = registered_too;
    regs[3] = 0;
}

uint32_t hypercall_rep_offset(const struct hypercall *h, uint32_t rep)
{
    return h->entry->in_size + rep * h->entry->in_rep;
}

static int setup(void **state)
{
    shim_ports_start(1);
    rc = 0;
    lp_count = 1;
    lps[0] = &ports.lp;
    return 0;
}

static int teardown(void **state)
{
    return ports.holds || paused ? -1 : 0;
}

static uint16_t get(uint64_t id)
{
    struct hv_input_get_partition_property in = {id, 0x60009, 0};

    memcpy(call.in, &in, sizeof(in));
    return hypercall_get_partition_property(&call);
}

static void properties_of_whom(void **state)
{
    struct hv_input_set_partition_property set = {11, 0x20003, 0, 77};
    uint64_t value;

    assert_int_equal(get(HV_PARTITION_ID_SELF), HV_STATUS_SUCCESS);
    assert_ptr_equal(asked, &shim.partition);
    memcpy(&value, ports.out, sizeof(value));
    assert_int_equal(value, 0x60009);
    assert_int_equal(ports.out_end, 8);
    assert_int_equal(get(10), HV_STATUS_SUCCESS);
    assert_ptr_equal(asked, &ports.child[0]);
    assert_int_equal(get(12), HV_STATUS_INVALID_PARTITION_ID);
    memcpy(call.in, &set, sizeof(set));
    assert_int_equal(hypercall_set_partition_property(&call), HV_STATUS_SUCCESS);
    assert_ptr_equal(asked, &ports.child[1]);
    assert_int_equal(set_value, 77);
}

static void errors_become_statuses(void **state)
{
    static const struct {
        int rc;
        uint16_t status;
    } cases[] = {{-ENOENT, HV_STATUS_UNKNOWN_PROPERTY},
                 {-EACCES, HV_STATUS_OPERATION_DENIED},
                 {-EBADF, HV_STATUS_INVALID_PARTITION_STATE},
                 {-ERANGE, HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE},
                 {-EINVAL, HV_STATUS_INVALID_PARAMETER}};
    struct hv_input_set_partition_property set = {10, 1, 0, 1};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        rc = cases[i].rc;
        assert_int_equal(get(10), cases[i].status);
        memcpy(call.in, &set, sizeof(set));
        assert_int_equal(hypercall_set_partition_property(&call), cases[i].status);
    }
    assert_int_equal(ports.out_end, 0);
}

static void longer_property(void **state)
{
    struct hv_input_get_partition_property_ex in = {10, 0x90009, 0, 0x1234};
    uint64_t value;

    memset(call.in, 0xFF, sizeof(call.in));
    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_get_partition_property_ex(&call), HV_STATUS_SUCCESS);
    assert_int_equal(ports.out_end, 24);
    memcpy(&value, ports.out, sizeof(value));
    assert_int_equal(value, 0x1234);
}

static uint16_t system_property(uint32_t id)
{
    memset(call.in, 0, sizeof(call.in));
    memcpy(call.in, &id, sizeof(id));
    return hypercall_get_system_property(&call);
}

static void system_properties(void **state)
{
    uint32_t id = HV_SYSTEM_PROPERTY_SLEEP_STATE;

    assert_int_equal(system_property(HV_SYSTEM_PROPERTY_SCHEDULER_TYPE), HV_STATUS_SUCCESS);
    assert_int_equal(ports.out[0], HV_SCHEDULER_TYPE_LP);
    assert_int_equal(system_property(HV_SYSTEM_PROPERTY_CRASHDUMPAREA), HV_STATUS_SUCCESS);
    assert_int_equal(ports.out[0], 0);
    assert_int_equal(system_property(9999), HV_STATUS_INVALID_PARAMETER);
    memcpy(call.in, &id, sizeof(id));
    assert_int_equal(hypercall_set_system_property(&call), HV_STATUS_SUCCESS);
    id = 4;
    memcpy(call.in, &id, sizeof(id));
    assert_int_equal(hypercall_set_system_property(&call), HV_STATUS_INVALID_PARAMETER);
}

static void run_time_of_a_processor(void **state)
{
    uint64_t times[4];
    uint32_t index = 0;

    shim.tsc = 2000000000;
    ports.lp.idle_tsc = 1000000000;
    memcpy(call.in, &index, sizeof(index));
    assert_int_equal(hypercall_get_lp_run_time(&call), HV_STATUS_SUCCESS);
    memcpy(times, ports.out, sizeof(times));
    assert_in_range(times[0], 10000077, 10000079);
    assert_in_range(times[1], 5000077, 5000079);
    assert_int_equal(times[2], 0);
    index = 1;
    memcpy(call.in, &index, sizeof(index));
    assert_int_equal(hypercall_get_lp_run_time(&call), HV_STATUS_INVALID_LP_INDEX);
}

static void cpuid_results(void **state)
{
    struct hv_input_register_intercept_result in = {
        .partition_id = 10,
        .vp_index = HV_ANY_VP,
        .intercept_type = HV_INTERCEPT_TYPE_X64_CPUID,
        .eax = 7,
    };

    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_register_intercept_result(&call), HV_STATUS_SUCCESS);
    assert_memory_equal(&registered, &in, sizeof(in));
    rc = -ENOMEM;
    assert_int_equal(hypercall_register_intercept_result(&call), HV_STATUS_INSUFFICIENT_MEMORY);
    rc = -ENOSPC;
    assert_int_equal(hypercall_register_intercept_result(&call), HV_STATUS_NO_RESOURCES);
    in.vp_index = PARTITION_MAX_VPS;
    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_register_intercept_result(&call), HV_STATUS_INVALID_VP_INDEX);
    in.partition_id = 99;
    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_register_intercept_result(&call), HV_STATUS_INVALID_PARTITION_ID);
    in.intercept_type = HV_INTERCEPT_TYPE_X64_MSR;
    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_register_intercept_result(&call), HV_STATUS_INVALID_PARAMETER);
}

static void cpuid_values(void **state)
{
    struct hv_input_get_vp_cpuid_values in = {.partition_id = 10, .flags = 2};
    struct hv_cpuid_leaf_info leaf = {.eax = 0xB, .ecx = 1};
    uint32_t regs[4];

    call.entry = &cpuid_row;
    call.rep_count = 3;
    call.rep = 2;
    memcpy(call.in, &in, sizeof(in));
    memcpy(call.in + 24 + 2 * 24, &leaf, sizeof(leaf));
    assert_int_equal(hypercall_get_vp_cpuid_values(&call), HV_STATUS_SUCCESS);
    assert_int_equal(call.rep, 3);
    assert_int_equal(ports.out_end, 48);
    memcpy(regs, ports.out + 32, sizeof(regs));
    assert_int_equal(regs[0], 0xB);
    assert_int_equal(regs[1], 1);
    assert_int_equal(regs[2], 1);
    in.vp_index = 1;
    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_get_vp_cpuid_values(&call), HV_STATUS_INVALID_VP_INDEX);
    in.flags = 4;
    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_get_vp_cpuid_values(&call), HV_STATUS_INVALID_PARAMETER);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(properties_of_whom), TEST(errors_become_statuses),  TEST(longer_property),
        TEST(system_properties),  TEST(run_time_of_a_processor), TEST(cpuid_results),
        TEST(cpuid_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
