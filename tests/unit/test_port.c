/* SPDX-License-Identifier: MIT */
/* Ports, connections, doorbells, and the hypercalls about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "shim_port.h"

#define ROOT  PARTITION_ROOT_ID
#define CHILD 10U
#define OTHER 11U
#define SINT  2U

static int setup(void **state)
{
    shim_ports_start(SHIM_MEMORY_PAGES);
    return 0;
}

static int teardown(void **state)
{
    return shim_ports_clean() ? 0 : -1;
}

static uint16_t create_as(uint64_t owner, uint32_t id, uint64_t connector,
                          const struct hv_port_info *info)
{
    struct hv_input_create_port in = {
        .port_partition_id = owner,
        .port_id = id,
        .connection_partition_id = connector,
        .port_info = *info,
    };

    memcpy(call.in, &in, sizeof(in));
    return hypercall_create_port(&call);
}

/* A port of the root for the first child. */
static uint16_t create(uint32_t id, uint32_t type, uint32_t vp)
{
    struct hv_port_info info = {.port_type = type};

    info.u.event.target_sint = SINT;
    info.u.event.target_vp = vp;
    if (type == HV_PORT_TYPE_EVENT) {
        info.u.event.base_flag_number = 100;
        info.u.event.flag_count = 4;
    }
    return create_as(ROOT, id, CHILD, &info);
}

static uint16_t delete (uint64_t owner, uint32_t id)
{
    struct hv_input_delete_port in = {owner, id, 0};

    memcpy(call.in, &in, sizeof(in));
    return hypercall_delete_port(&call);
}

static uint16_t connect_as(uint64_t owner, uint32_t id, uint64_t port_owner, uint32_t port,
                           const struct hv_connection_info *info)
{
    struct hv_input_connect_port in = {
        .connection_partition_id = owner,
        .connection_id = id,
        .port_partition_id = port_owner,
        .port_id = port,
        .connection_info = *info,
    };

    memcpy(call.in, &in, sizeof(in));
    return hypercall_connect_port(&call);
}

static uint16_t connect(uint32_t id, uint32_t port, uint32_t type)
{
    struct hv_connection_info info = {.port_type = type};

    return connect_as(CHILD, id, ROOT, port, &info);
}

static uint16_t connect_bell(uint32_t id, uint64_t at, uint64_t value, uint64_t flags)
{
    struct hv_connection_info info = {.port_type = HV_PORT_TYPE_DOORBELL};

    info.u.doorbell.gpa = at;
    info.u.doorbell.trigger_value = value;
    info.u.doorbell.flags = flags;
    return connect_as(CHILD, id, ROOT, id, &info);
}

static uint16_t disconnect(uint64_t owner, uint32_t id, uint32_t flags)
{
    struct hv_input_disconnect_port in = {owner, id, flags};

    memcpy(call.in, &in, sizeof(in));
    return hypercall_disconnect_port(&call);
}

/* As the first child. */
static uint16_t post(uint32_t connection)
{
    struct hv_input_post_message in = {connection, 0, 5, 9, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};
    uint16_t status;

    call.vp = &ports.vp[0];
    call.intercepted = false;
    memcpy(call.in, &in, sizeof(in));
    status = hypercall_post_message(&call);
    call.vp = &shim.vps[0];
    return status;
}

static uint16_t signal_event(uint32_t connection, uint16_t flag)
{
    struct hv_input_signal_event in = {connection, flag, 0};
    uint16_t status;

    call.vp = &ports.vp[0];
    call.intercepted = false;
    memcpy(call.in, &in, sizeof(in));
    status = hypercall_signal_event(&call);
    call.vp = &shim.vps[0];
    return status;
}

static bool bell(uint64_t at, unsigned size, uint64_t value)
{
    return port_doorbell(&ports.child[0], gpa(at), size, value);
}

static void messages_arrive(void **state)
{
    assert_int_equal(create(7, HV_PORT_TYPE_MESSAGE, 3), HV_STATUS_SUCCESS);
    assert_int_equal(connect(1, 7, HV_PORT_TYPE_MESSAGE), HV_STATUS_SUCCESS);
    assert_int_equal(post(1), HV_STATUS_SUCCESS);
    assert_ptr_equal(shim.sent.vp, &shim.vps[3]);
    assert_int_equal(shim.sent.sint, SINT);
    assert_int_equal(shim.sent.message.header.message_type, 5);
    assert_int_equal(shim.sent.message.header.payload_size, 9);
    assert_int_equal(shim.sent.message.header.sender, 7);
    assert_int_equal(shim.sent.message.payload[0], 0x0807060504030201ULL);
    assert_int_equal(shim.sent.message.payload[1], 9); /* no more than was sent */
    shim.send_rc = -EAGAIN;
    assert_int_equal(post(1), HV_STATUS_INSUFFICIENT_BUFFERS);
    shim.send_rc = 0;
    /* Not an event port, not another's connection. */
    assert_int_equal(signal_event(1, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(connection_signal(&ports.child[1], 1, 0), -ENOENT);
}

static void events_arrive(void **state)
{
    assert_int_equal(create(7, HV_PORT_TYPE_EVENT, HV_ANY_VP), HV_STATUS_SUCCESS);
    assert_int_equal(connect(0x1234, 7, HV_PORT_TYPE_EVENT), HV_STATUS_SUCCESS);
    ports.lp.index = 2;
    assert_int_equal(signal_event(0x1234, 3), HV_STATUS_SUCCESS);
    assert_ptr_equal(shim.sent.vp, &shim.vps[2]); /* the parent's VP that belongs to this LP */
    assert_int_equal(shim.sent.flag, 103);
    assert_int_equal(signal_event(0x1234, 4), HV_STATUS_INVALID_PARAMETER);
    ports.lp.index = 9;
    assert_int_equal(signal_event(0x1234, 0), HV_STATUS_SUCCESS);
    assert_ptr_equal(shim.sent.vp, &shim.vps[0]);
    assert_int_equal(post(0x1234), HV_STATUS_INVALID_PARAMETER);
    /* Ids that fall into one bucket are kept apart. */
    assert_int_equal(signal_event(0x1234 + 128, 0), HV_STATUS_INVALID_CONNECTION_ID);
}

/* The parent connects to a port of a child, too. */
static void both_ways(void **state)
{
    struct hv_port_info info = {.port_type = HV_PORT_TYPE_MESSAGE};
    struct hv_connection_info to = {.port_type = HV_PORT_TYPE_MESSAGE};
    struct hv_message m = {.header = {.message_type = 1}};

    info.u.message.target_sint = 4;
    info.u.message.target_vp = HV_ANY_VP;
    assert_int_equal(create_as(CHILD, 9, HV_PARTITION_ID_SELF, &info), HV_STATUS_SUCCESS);
    assert_int_equal(connect_as(HV_PARTITION_ID_SELF, 5, CHILD, 9, &to), HV_STATUS_SUCCESS);
    assert_int_equal(connection_post(&shim.partition, 5, &m), 0);
    assert_ptr_equal(shim.sent.vp, &ports.vp[0]);
    /* A target that does not exist. */
    info.u.message.target_vp = 1;
    assert_int_equal(create_as(CHILD, 10, ROOT, &info), HV_STATUS_SUCCESS);
    assert_int_equal(connect_as(ROOT, 6, CHILD, 10, &to), HV_STATUS_SUCCESS);
    assert_int_equal(connection_post(&shim.partition, 6, &m), -ENODEV);
    /* The child goes: the connection leads nowhere. */
    ports_destroy(&ports.child[0]);
    assert_int_equal(connection_post(&shim.partition, 5, &m), -ENOENT);
    assert_int_equal(disconnect(ROOT, 5, 0), HV_STATUS_SUCCESS);
}

static void unknown_connections(void **state)
{
    assert_int_equal(post(1), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(ports.intercepts, 0);
    ports.child[0].intercepts.unknown_connection = HV_INTERCEPT_ACCESS_MASK_EXECUTE;
    post(1);
    assert_true(call.intercepted);
    assert_int_equal(ports.intercepts, 1);
    assert_int_equal(create(7, HV_PORT_TYPE_MESSAGE, 0), HV_STATUS_SUCCESS);
    assert_int_equal(connect(1, 7, HV_PORT_TYPE_MESSAGE), HV_STATUS_SUCCESS);
    assert_int_equal(post(1), HV_STATUS_SUCCESS);
    assert_false(call.intercepted);
    assert_int_equal(delete (ROOT, 7), HV_STATUS_SUCCESS);
    post(1);
    assert_true(call.intercepted);
}

static void bad_ports(void **state)
{
    struct hv_port_info info = {.port_type = HV_PORT_TYPE_MESSAGE};

    assert_int_equal(create(0, HV_PORT_TYPE_MESSAGE, 0), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(create(0x1000000, HV_PORT_TYPE_MESSAGE, 0), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(create(1, HV_PORT_TYPE_MONITOR, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(create(1, 0, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(create(1, HV_PORT_TYPE_MESSAGE, 64), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(create_as(99, 1, CHILD, &info), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(create_as(ROOT, 1, 99, &info), HV_STATUS_INVALID_PARTITION_ID);
    atomic_store(&ports.child[0].state, PARTITION_CREATED);
    assert_int_equal(create_as(ROOT, 1, CHILD, &info), HV_STATUS_INVALID_PARTITION_STATE);
    atomic_store(&ports.child[0].state, PARTITION_ACTIVE);
    info.u.message.target_sint = 16;
    assert_int_equal(create_as(ROOT, 1, CHILD, &info), HV_STATUS_INVALID_PARAMETER);
    info = (struct hv_port_info){.port_type = HV_PORT_TYPE_EVENT};
    assert_int_equal(create_as(ROOT, 1, CHILD, &info), HV_STATUS_INVALID_PARAMETER);
    info.u.event.base_flag_number = 2000;
    info.u.event.flag_count = 48;
    assert_int_equal(create_as(ROOT, 1, CHILD, &info), HV_STATUS_SUCCESS);
    info.u.event.flag_count = 49;
    assert_int_equal(create_as(ROOT, 2, CHILD, &info), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(create(1, HV_PORT_TYPE_MESSAGE, 0), HV_STATUS_INVALID_PORT_ID); /* taken */
    assert_int_equal(delete (ROOT, 2), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(delete (CHILD, 1), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(delete (ROOT, 1), HV_STATUS_SUCCESS);
    assert_int_equal(ports.barriers, 2); /* the port, and the space with the last of it */
}

static void bad_connections(void **state)
{
    struct hv_connection_info info = {.port_type = HV_PORT_TYPE_MESSAGE};

    assert_int_equal(connect(1, 7, HV_PORT_TYPE_MESSAGE), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(create(7, HV_PORT_TYPE_MESSAGE, 0), HV_STATUS_SUCCESS);
    assert_int_equal(connect(0x1000000, 7, HV_PORT_TYPE_MESSAGE), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connect(1, 7, HV_PORT_TYPE_EVENT), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(connect_as(OTHER, 1, ROOT, 7, &info), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(connect_as(99, 1, ROOT, 7, &info), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(connect(1, 7, HV_PORT_TYPE_MESSAGE), HV_STATUS_SUCCESS);
    assert_int_equal(connect(1, 7, HV_PORT_TYPE_MESSAGE), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(disconnect(CHILD, 1, 1), HV_STATUS_INVALID_CONNECTION_ID); /* no doorbell */
    assert_int_equal(disconnect(CHILD, 1, 2), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(disconnect(OTHER, 1, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(disconnect(CHILD, 1, 0), HV_STATUS_SUCCESS);
    assert_int_equal(disconnect(CHILD, 1, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(post(1), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connect_bell(9, 0, 0, 5), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(connect_bell(9, 0, 0, 8), HV_STATUS_INVALID_PARAMETER);
}

static void doorbells_ring(void **state)
{
    assert_false(port_has_doorbells(&ports.child[0]));
    for (uint32_t id = 1; id <= 4; id++)
        assert_int_equal(create(id, HV_PORT_TYPE_DOORBELL, HV_ANY_VP), HV_STATUS_SUCCESS);
    assert_int_equal(connect_bell(1, 0xFEB00000, 5, 2), HV_STATUS_SUCCESS); /* words of 5 */
    assert_int_equal(connect_bell(2, 0xFEB00000, 6, 2), HV_STATUS_SUCCESS);
    assert_int_equal(connect_bell(3, 0xFEB00004, 0, HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE),
                     HV_STATUS_SUCCESS);
    assert_int_equal(connect_bell(4, 0xFEB00008, 7, 4), HV_STATUS_SUCCESS); /* quadwords */
    assert_true(port_has_doorbells(&ports.child[0]));
    assert_false(port_has_doorbells(&ports.child[1]));
    assert_true(bell(0xFEB00000, 2, 6));
    assert_int_equal(ports.ring[0], 2);
    assert_int_equal(ports.ring_sint, SINT);
    assert_true(bell(0xFEB00000, 2, 5));
    assert_int_equal(ports.ring[1], 1);
    assert_false(bell(0xFEB00000, 4, 5));
    assert_false(bell(0xFEB00000, 2, 7));
    assert_false(bell(0xFEB00001, 2, 5));
    assert_true(bell(0xFEB00004, 1, 0x99));
    assert_true(bell(0xFEB00004, 8, UINT64_MAX));
    assert_true(bell(0xFEB00008, 8, 7));
    assert_int_equal(ports.in_ring, 5);
    /* A doorbell is no connection for calls, whatever its id. */
    assert_int_equal(signal_event(1, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(disconnect(CHILD, 1, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(disconnect(CHILD, 1, 1), HV_STATUS_SUCCESS);
    assert_false(bell(0xFEB00000, 2, 5));
    assert_true(bell(0xFEB00000, 2, 6));
    assert_int_equal(delete (ROOT, 2), HV_STATUS_SUCCESS);
    assert_false(bell(0xFEB00000, 2, 6));
    /* No ring: the parent has to see the write itself. */
    ports.ring_rc = -ENODEV;
    assert_false(bell(0xFEB00008, 8, 7));
}

static void full_ring(void **state)
{
    struct hv_input_notify_port_ring_empty empty = {SINT, 0};

    ports.ring_size = 1;
    for (uint32_t id = 1; id <= 3; id++) {
        assert_int_equal(create(id, HV_PORT_TYPE_DOORBELL, 1), HV_STATUS_SUCCESS);
        assert_int_equal(connect_bell(id, 0x1000 * id, 0, HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE),
                         HV_STATUS_SUCCESS);
        assert_true(bell(0x1000 * id, 4, 0));
    }
    assert_true(bell(0x3000, 4, 0)); /* twice, but it will be told once */
    assert_int_equal(ports.in_ring, 1);
    assert_int_equal(ports.ring[0], 1);
    memcpy(call.in, &empty, sizeof(empty));
    for (unsigned i = 0; i < 2; i++) {
        ports.in_ring = 0;
        assert_int_equal(hypercall_notify_port_ring_empty(&call), HV_STATUS_SUCCESS);
        assert_int_equal(ports.in_ring, 1);
        assert_in_range(ports.ring[0], 2, 3);
    }
    ports.in_ring = 0;
    assert_int_equal(hypercall_notify_port_ring_empty(&call), HV_STATUS_SUCCESS);
    assert_int_equal(ports.in_ring, 0);
    empty.sint_index = 16;
    memcpy(call.in, &empty, sizeof(empty));
    assert_int_equal(hypercall_notify_port_ring_empty(&call), HV_STATUS_INVALID_PARAMETER);
}

/* A page at a time, and every one of them comes back. */
static void memory_is_the_owners(void **state)
{
    shim_pages_left = 0;
    assert_int_equal(create(1, HV_PORT_TYPE_EVENT, 0), HV_STATUS_INSUFFICIENT_MEMORY);
    shim_pages_left = 1;
    assert_int_equal(create(1, HV_PORT_TYPE_EVENT, 0), HV_STATUS_INSUFFICIENT_MEMORY);
    shim_pages_left = 1;
    for (uint32_t id = 1; id <= 63; id++)
        assert_int_equal(create(id, HV_PORT_TYPE_EVENT, 0), HV_STATUS_SUCCESS);
    assert_int_equal(create(64, HV_PORT_TYPE_EVENT, 0), HV_STATUS_INSUFFICIENT_MEMORY);
    shim_pages_left = 100;
    for (uint32_t id = 64; id <= 200; id++)
        assert_int_equal(create(id, HV_PORT_TYPE_EVENT, 0), HV_STATUS_SUCCESS);
    for (uint32_t id = 1; id <= 200; id++)
        assert_int_equal(connect(id, id, HV_PORT_TYPE_EVENT), HV_STATUS_SUCCESS);
    for (uint32_t id = 1; id <= 200; id += 2)
        assert_int_equal(delete (ROOT, id), HV_STATUS_SUCCESS);
    for (uint32_t id = 1; id <= 200; id++)
        assert_int_equal(signal_event(id, 0),
                         id % 2 ? HV_STATUS_INVALID_CONNECTION_ID : HV_STATUS_SUCCESS);
    for (uint32_t id = 1; id <= 200; id++)
        assert_int_equal(disconnect(CHILD, id, 0), HV_STATUS_SUCCESS);
    for (uint32_t id = 2; id <= 200; id += 2)
        assert_int_equal(delete (ROOT, id), HV_STATUS_SUCCESS);
    assert_int_equal(shim_pages_used(), 0);
}

static void bounds(void **state)
{
    uint32_t n = 1;
    uint16_t status;

    while ((status = create(n, HV_PORT_TYPE_EVENT, 0)) == HV_STATUS_SUCCESS)
        n++;
    assert_int_equal(status, HV_STATUS_NO_RESOURCES);
    assert_int_equal(n - 1, PORTS_MAX);
}

static void direct_calls_on_children(void **state)
{
    struct hv_input_signal_event_direct in = {CHILD, 0, 0, 3, 9};

    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_signal_event_direct(&call), HV_STATUS_SUCCESS);
    assert_ptr_equal(shim.sent.vp, &ports.vp[0]);
    in.target_vp = HV_VP_INDEX_SELF; /* only in one's own partition */
    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_signal_event_direct(&call), HV_STATUS_INVALID_VP_INDEX);
    in.target_partition = 99;
    memcpy(call.in, &in, sizeof(in));
    assert_int_equal(hypercall_signal_event_direct(&call), HV_STATUS_INVALID_PARTITION_ID);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_arrive),
        TEST(events_arrive),
        TEST(both_ways),
        TEST(unknown_connections),
        TEST(bad_ports),
        TEST(bad_connections),
        TEST(doorbells_ring),
        TEST(full_ring),
        TEST(memory_is_the_owners),
        TEST(bounds),
        TEST(direct_calls_on_children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
