/* SPDX-License-Identifier: MIT */
/* Hypercalls that come to the worker: how they are decoded, checked and answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/tlfs/hypercall.h"
#include "abi/tlfs/intercept.h"
#include "abi/tlfs/status.h"
#include "vmwp/hv_mshv_priv.h"
#include "vmwp/hypercall.h"
#include "vmwp/memory.h"

#define INPUT 0x5000U
#define FAST  (1ULL << 16)
#define MIB   (1U << 20)

static struct memory memory;
static struct {
    uint32_t connection;
    uint8_t payload[256];
    size_t size;
    unsigned posts, signals;
} seen;

static uint16_t on_post(void *ctx, uint32_t connection, const void *payload, size_t size)
{
    seen.posts++;
    seen.connection = connection;
    seen.size = size;
    memcpy(seen.payload, payload, size);
    return connection == 4 ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_CONNECTION_ID;
}

static uint16_t on_signal(void *ctx, uint32_t connection)
{
    seen.signals++;
    seen.connection = connection;
    return HV_STATUS_SUCCESS;
}

static uint64_t call(uint64_t control, uint64_t input)
{
    const struct hypercall_ops ops = {on_post, on_signal, NULL};
    const struct hv_exit_call c = {.control = control, .input = input};

    return hypercall_handle(&c, &memory, &ops);
}

static int setup(void **state)
{
    struct problem why;

    memset(&seen, 0, sizeof(seen));
    return memory_create(&memory, 16 * MIB, false, &why);
}

static int teardown(void **state)
{
    memory_destroy(&memory);
    return 0;
}

static void put(const struct hv_input_post_message *in)
{
    assert_int_equal(memory_write(&memory, gpa(INPUT), in, sizeof(*in)), 0);
}

static void posts(void **state)
{
    struct hv_input_post_message in = {.connection_id = 4, .message_type = 1, .payload_size = 3};

    memcpy(in.payload, "abc", 3);
    put(&in);
    assert_int_equal(call(HVCALL_POST_MESSAGE, INPUT), HV_STATUS_SUCCESS);
    assert_int_equal(seen.connection, 4);
    assert_int_equal(seen.size, 3);
    assert_memory_equal(seen.payload, "abc", 3);
    in.connection_id = 5;
    in.payload_size = sizeof(in.payload);
    put(&in);
    assert_int_equal(call(HVCALL_POST_MESSAGE, INPUT), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(seen.size, sizeof(in.payload));
    assert_int_equal(seen.posts, 2);
    in.payload_size++;
    put(&in);
    assert_int_equal(call(HVCALL_POST_MESSAGE, INPUT), HV_STATUS_INVALID_PARAMETER);
    in.payload_size = 0;
    in.reserved = 1;
    put(&in);
    assert_int_equal(call(HVCALL_POST_MESSAGE, INPUT), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(call(HVCALL_POST_MESSAGE | FAST, INPUT), HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_int_equal(call(HVCALL_POST_MESSAGE, 16 * MIB - 8), HV_STATUS_INVALID_ALIGNMENT);
    assert_int_equal(call(HVCALL_POST_MESSAGE, UINT64_MAX), HV_STATUS_INVALID_ALIGNMENT);
    assert_int_equal(seen.posts, 2);
}

static void signals(void **state)
{
    const struct hv_input_signal_event in = {.connection_id = 0x10007};

    assert_int_equal(call(HVCALL_SIGNAL_EVENT | FAST, 0x10005), HV_STATUS_SUCCESS);
    assert_int_equal(seen.connection, 0x10005);
    assert_int_equal(memory_write(&memory, gpa(INPUT), &in, sizeof(in)), 0);
    assert_int_equal(call(HVCALL_SIGNAL_EVENT, INPUT), HV_STATUS_SUCCESS);
    assert_int_equal(seen.connection, 0x10007);
    assert_int_equal(call(HVCALL_SIGNAL_EVENT | FAST, 1ULL << 32), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(call(HVCALL_SIGNAL_EVENT | FAST, 1ULL << 48), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(call(HVCALL_SIGNAL_EVENT, 16 * MIB), HV_STATUS_INVALID_ALIGNMENT);
    assert_int_equal(call(0x1234, 0), HV_STATUS_INVALID_HYPERCALL_CODE);
    assert_int_equal(seen.signals, 2);
}

/* In long mode RCX and RDX, else EDX:EAX and EBX:ECX. */
static void decoded_by_mode(void **state)
{
    struct hv_x64_hypercall_intercept_message in = {
        .header = {.length_cr8 = 3, .rip = 0x1000},
        .rax = 0xFFFFFFFF0001005D,
        .rbx = 0xFFFFFFFF00000002,
        .rcx = 0xFFFFFFFF00010003,
        .rdx = 0xFFFFFFFF00000004,
    };
    struct hv_message m = {.header = {.message_type = HVMSG_HYPERCALL_INTERCEPT}};
    struct hv_exit exit;

    memcpy(m.payload, &in, sizeof(in));
    hv_exit_decode(&m, &exit);
    assert_int_equal(exit.kind, HV_EXIT_CALL);
    assert_false(exit.call.long_mode);
    assert_true(exit.call.control == 0x40001005D && exit.call.input == 0x200010003);
    assert_true(exit.call.next_rip == 0x1003);
    in.header.execution_state = HV_EXECUTION_STATE_EFER_LMA;
    in.header.cs_segment.attributes = 0x209B;
    memcpy(m.payload, &in, sizeof(in));
    hv_exit_decode(&m, &exit);
    assert_true(exit.call.long_mode && exit.call.control == in.rcx && exit.call.input == in.rdx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(posts, setup, teardown),
        cmocka_unit_test_setup_teardown(signals, setup, teardown),
        cmocka_unit_test(decoded_by_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
