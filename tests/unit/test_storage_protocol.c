/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include "lib/bits.h"
#include "vsp/storage/protocol.h"

static struct protocol p;
static struct protocol_result r;

static int reset(void **state)
{
    protocol_open(&p, true, 0, 3, 8U << 20);
    return 0;
}

/* A packet of `size` bytes with one number of 16 bits in its payload; the status of the answer. */
static uint32_t say_sized(uint32_t operation, uint16_t value, uint32_t size)
{
    uint8_t bytes[0x80] = {0};
    const struct vstor_header header = {operation, VSTOR_FLAG_COMPLETION, 0};

    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), &value, sizeof(value));
    protocol_packet(&p, bytes, size, &r);
    if (r.action != PROTOCOL_ERROR) {
        assert_int_equal(r.reply.header.operation, VSTOR_COMPLETE_IO);
        assert_int_equal(r.reply_length, size < VSTOR_PACKET_SIZE ? size : VSTOR_PACKET_SIZE);
    }
    return r.reply.header.status;
}

static uint32_t say(uint32_t operation, uint16_t value)
{
    return say_sized(operation, value, VSTOR_PACKET_SIZE);
}

static void initialize(uint16_t version)
{
    assert_int_equal(say(VSTOR_BEGIN_INITIALIZATION, 0), 0);
    assert_int_equal(say(VSTOR_QUERY_PROTOCOL_VERSION, version), 0);
    assert_int_equal(say(VSTOR_QUERY_PROPERTIES, 0), 0);
    assert_int_equal(say(VSTOR_END_INITIALIZATION, 0), 0);
    assert_int_equal(p.state, PROTOCOL_READY);
}

/* Linux: all packets are long. */
static void test_linux(void **state)
{
    struct vstor_properties properties;

    assert_int_equal(say(VSTOR_BEGIN_INITIALIZATION, 0), VSTOR_STATUS_SUCCESS);
    assert_int_equal(say(VSTOR_QUERY_PROTOCOL_VERSION, 0x0602), VSTOR_STATUS_SUCCESS);
    assert_int_equal(r.reply.payload[0], 0x02);
    assert_int_equal(r.reply.payload[1], 0x06);
    assert_int_equal(say(VSTOR_QUERY_PROPERTIES, 0), VSTOR_STATUS_SUCCESS);
    memcpy(&properties, r.reply.payload, sizeof(properties));
    assert_int_equal(properties.sub_channel_max, 3);
    assert_int_equal(properties.flags, VSTOR_PROPERTY_MULTI_CHANNEL);
    assert_int_equal(properties.transfer_max, 8U << 20);
    assert_int_equal(say(VSTOR_END_INITIALIZATION, 0), VSTOR_STATUS_SUCCESS);
    assert_int_equal(say(VSTOR_CREATE_SUB_CHANNELS, 3), VSTOR_STATUS_SUCCESS);
    assert_int_equal(r.action, PROTOCOL_SUBCHANNELS);
    assert_int_equal(r.count, 3);
    assert_int_equal(say(VSTOR_EXECUTE_SRB, 0), VSTOR_STATUS_SUCCESS);
    assert_int_equal(r.action, PROTOCOL_EXECUTE);
}

/* mu_msvm: short packets until there is a version, and only one version. */
static void test_uefi(void **state)
{
    assert_int_equal(say_sized(VSTOR_BEGIN_INITIALIZATION, 0, 0x30), 0);
    assert_int_equal(r.reply_length, 0x30);
    assert_int_equal(say_sized(VSTOR_QUERY_PROTOCOL_VERSION, 0x0600, 0x30), 0);
    assert_int_equal(say_sized(VSTOR_QUERY_PROPERTIES, 0, 0x40), 0);
    assert_int_equal(say_sized(VSTOR_END_INITIALIZATION, 0, 0x40), 0);
    assert_int_equal(say_sized(VSTOR_EXECUTE_SRB, 0, 0x40), 0);
    assert_int_equal(r.action, PROTOCOL_EXECUTE);
}

static void test_versions(void **state)
{
    static const uint16_t known[] = {0x0200, 0x0402, 0x0501, 0x0600, 0x0602};

    for (unsigned v = 0; v < 0x10000; v++) {
        bool is_known = false;
        for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
            is_known |= known[i] == v;
        assert_int_equal(say(VSTOR_BEGIN_INITIALIZATION, 0), 0);
        assert_int_equal(say(VSTOR_QUERY_PROTOCOL_VERSION, (uint16_t)v),
                         is_known ? 0 : VSTOR_STATUS_REVISION_MISMATCH);
        assert_int_equal(p.state, is_known ? PROTOCOL_VERSIONED : PROTOCOL_BEGUN);
    }
}

static void test_old_versions(void **state)
{
    struct vstor_properties properties;

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(say_sized(VSTOR_BEGIN_INITIALIZATION, 0, 0x30), 0);
        assert_int_equal(say_sized(VSTOR_QUERY_PROTOCOL_VERSION, i ? 0x0402 : 0x0200, 0x30), 0);
        assert_int_equal(say_sized(VSTOR_QUERY_PROPERTIES, 0, 0x30), 0);
        memcpy(&properties, r.reply.payload, sizeof(properties));
        assert_int_equal(properties.sub_channel_max, 0);
        assert_int_equal(properties.flags, 0);
        assert_int_equal(say_sized(VSTOR_END_INITIALIZATION, 0, 0x30), 0);
        assert_int_equal(say_sized(VSTOR_CREATE_SUB_CHANNELS, 1, 0x30),
                         VSTOR_STATUS_INVALID_DEVICE_REQUEST);
        assert_int_equal(say_sized(VSTOR_EXECUTE_SRB, 0, 0x30), 0);
        assert_int_equal(r.action, PROTOCOL_EXECUTE);
        assert_int_equal(protocol_sense_max(&p), VSTOR_SENSE_MAX_OLD);
    }
}

/* Every operation in every state: what is not named here is refused and changes nothing. */
static void test_states(void **state)
{
    static const struct {
        uint32_t operation;
        unsigned states;
    } allowed[] = {
        {VSTOR_EXECUTE_SRB, BIT(PROTOCOL_READY)},
        {VSTOR_RESET_LUN, BIT(PROTOCOL_READY)},
        {VSTOR_RESET_ADAPTER, BIT(PROTOCOL_READY)},
        {VSTOR_RESET_BUS, BIT(PROTOCOL_READY)},
        {VSTOR_BEGIN_INITIALIZATION, 0xF},
        {VSTOR_QUERY_PROPERTIES, BIT(PROTOCOL_VERSIONED) | BIT(PROTOCOL_READY)},
        {VSTOR_END_INITIALIZATION, BIT(PROTOCOL_VERSIONED)},
    };
    for (unsigned s = PROTOCOL_NEW; s <= PROTOCOL_READY; s++) {
        for (uint32_t o = 0; o < 40; o++) {
            bool ok = false;
            if (o == VSTOR_QUERY_PROTOCOL_VERSION || o == VSTOR_CREATE_SUB_CHANNELS)
                continue;
            for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
                ok |= allowed[i].operation == o && allowed[i].states & BIT(s);
            p.state = (enum protocol_state)s;
            p.version = s >= PROTOCOL_VERSIONED ? 0x0602 : 0;
            assert_int_equal(say(o, 0) == 0, ok);
            if (!ok) {
                assert_int_equal(r.action, PROTOCOL_REPLY);
                assert_int_equal(p.state, s);
            }
        }
    }
}

static void test_wrong_order(void **state)
{
    assert_int_equal(say(VSTOR_EXECUTE_SRB, 0), VSTOR_STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(say(VSTOR_QUERY_PROTOCOL_VERSION, 0x602), VSTOR_STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(say(VSTOR_FCHBA_DATA, 0), VSTOR_STATUS_INVALID_DEVICE_REQUEST);
    initialize(0x0602);
    assert_int_equal(say(VSTOR_CREATE_SUB_CHANNELS, 4), VSTOR_STATUS_INVALID_PARAMETER);
    assert_int_equal(say(VSTOR_CREATE_SUB_CHANNELS, 0), VSTOR_STATUS_INVALID_PARAMETER);
    assert_int_equal(say(VSTOR_FCHBA_DATA, 0), VSTOR_STATUS_INVALID_DEVICE_REQUEST);
    assert_int_equal(say(VSTOR_END_INITIALIZATION, 0), VSTOR_STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(say(VSTOR_BEGIN_INITIALIZATION, 0), VSTOR_STATUS_SUCCESS);
    assert_int_equal(say(VSTOR_EXECUTE_SRB, 0), VSTOR_STATUS_INVALID_DEVICE_STATE);
    initialize(0x0600);
}

static void test_short_packets(void **state)
{
    for (uint32_t size = 0; size < 0x30; size++) {
        (void)reset(state);
        (void)say_sized(VSTOR_BEGIN_INITIALIZATION, 0, size);
        assert_int_equal(r.action, PROTOCOL_ERROR);
        assert_int_equal(p.state, PROTOCOL_BROKEN);
        (void)say(VSTOR_BEGIN_INITIALIZATION, 0); /* nothing mends it */
        assert_int_equal(r.action, PROTOCOL_ERROR);
    }
    (void)reset(state);
    initialize(0x0602);
    (void)say_sized(VSTOR_EXECUTE_SRB, 0, 0x3F);
    assert_int_equal(r.action, PROTOCOL_ERROR);
    (void)reset(state);
    assert_int_equal(say_sized(VSTOR_BEGIN_INITIALIZATION, 0, 0x80), 0); /* longer is no harm */
    assert_int_equal(r.reply_length, 0x40);
}

static void test_sub_channel(void **state)
{
    protocol_open(&p, false, 0x0602, 3, 8U << 20);
    assert_int_equal(say(VSTOR_EXECUTE_SRB, 0), 0);
    assert_int_equal(r.action, PROTOCOL_EXECUTE);
    assert_int_equal(say(VSTOR_BEGIN_INITIALIZATION, 0), VSTOR_STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(say(VSTOR_CREATE_SUB_CHANNELS, 1), VSTOR_STATUS_INVALID_DEVICE_STATE);
}

static void test_no_sub_channels(void **state)
{
    struct vstor_properties properties;

    protocol_open(&p, true, 0, 0, 8U << 20);
    initialize(0x0602);
    assert_int_equal(say(VSTOR_QUERY_PROPERTIES, 0), 0);
    memcpy(&properties, r.reply.payload, sizeof(properties));
    assert_int_equal(properties.flags, 0);
    assert_int_equal(say(VSTOR_CREATE_SUB_CHANNELS, 1), VSTOR_STATUS_INVALID_PARAMETER);
}

static void test_enumerate(void **state)
{
    struct vstor_packet packet;

    initialize(0x0602);
    assert_int_equal(protocol_enumerate(&p, &packet), 0x40);
    assert_int_equal(packet.header.operation, 11);
    assert_int_equal(packet.header.flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_linux, reset),
        cmocka_unit_test_setup(test_uefi, reset),
        cmocka_unit_test_setup(test_versions, reset),
        cmocka_unit_test_setup(test_old_versions, reset),
        cmocka_unit_test_setup(test_states, reset),
        cmocka_unit_test_setup(test_wrong_order, reset),
        cmocka_unit_test_setup(test_short_packets, reset),
        cmocka_unit_test_setup(test_sub_channel, reset),
        cmocka_unit_test_setup(test_no_sub_channels, reset),
        cmocka_unit_test_setup(test_enumerate, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
