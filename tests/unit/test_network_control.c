/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/network/nvsp.h"
#include "vsp/network/rndis.h"

/*
 * NVSP and the control messages of RNDIS, as pure functions.
 */

static struct nvsp nvsp;
static struct nvsp_result result;

static enum nvsp_action say(uint32_t type, const void *payload, size_t size, uint32_t length)
{
    uint8_t m[64] = {0};

    memcpy(m, &type, sizeof(type));
    memcpy(m + 4, payload, size);
    nvsp_packet(&nvsp, true, m, length, &result);
    return result.action;
}

static uint32_t init(uint32_t min, uint32_t max)
{
    const struct nvsp_init i = {min, max};
    struct nvsp_init_complete done;

    assert_int_equal(say(NVSP_INIT, &i, sizeof(i), 40), NVSP_DO_REPLY);
    assert_int_equal(result.reply.type, NVSP_INIT_COMPLETE);
    assert_int_equal(result.reply_length, 40);
    memcpy(&done, result.reply.payload, sizeof(done));
    assert_int_equal(done.status, done.version ? NVSP_STATUS_SUCCESS : NVSP_STATUS_UNSUPPORTED);
    return done.version;
}

static int setup_nvsp(void **state)
{
    nvsp = (struct nvsp){.state = NVSP_STATE_NEW};
    return 0;
}

static void test_versions(void **state)
{
    assert_int_equal(init(0x70000, 0x70000), 0);
    assert_int_equal(init(NVSP_VERSION_6_1, NVSP_VERSION_6_1), NVSP_VERSION_6_1);
    assert_int_equal(init(NVSP_VERSION_1, NVSP_VERSION_5), NVSP_VERSION_5);
    assert_int_equal(init(NVSP_VERSION_2, NVSP_VERSION_2), NVSP_VERSION_2);
    assert_int_equal(nvsp.version, NVSP_VERSION_2);
}

static void test_order(void **state)
{
    const struct nvsp_send_buffer b = {7, 0xcafe};
    const struct nvsp_subchannel_request s = {1, 3};

    assert_int_equal(say(NVSP_SEND_RECEIVE_BUFFER, &b, sizeof(b), 40), NVSP_DO_BREAK);
    assert_int_equal(say(NVSP_INIT, &s, sizeof(s), 40), NVSP_DO_BREAK);
    nvsp.state = NVSP_STATE_NEW;
    (void)init(NVSP_VERSION_4, NVSP_VERSION_4);
    assert_int_equal(say(NVSP_SEND_RECEIVE_BUFFER, &b, sizeof(b), 40), NVSP_DO_RECEIVE_BUFFER);
    assert_int_equal(result.gpadl, 7);
    assert_int_equal(result.id, 0xcafe);
    assert_int_equal(say(NVSP_SUBCHANNEL, &s, sizeof(s), 40), NVSP_DO_BREAK);
    nvsp.state = NVSP_STATE_NEW;
    (void)init(NVSP_VERSION_5, NVSP_VERSION_5);
    assert_int_equal(say(NVSP_SUBCHANNEL, &s, sizeof(s), 40), NVSP_DO_SUBCHANNELS);
    assert_int_equal(result.count, 3);
}

static void test_short(void **state)
{
    const struct nvsp_init i = {2, 2};

    assert_int_equal(say(NVSP_INIT, &i, sizeof(i), 11), NVSP_DO_BREAK);
    nvsp.state = NVSP_STATE_NEW;
    assert_int_equal(say(NVSP_INIT, &i, sizeof(i), 12), NVSP_DO_REPLY);
    assert_int_equal(result.reply_length, NVSP_MESSAGE_SIZE_OLD);
    assert_int_equal(say(NVSP_INIT, &i, 0, 0), NVSP_DO_BREAK);
}

/* A sub-channel carries RNDIS only. */
static void test_sub(void **state)
{
    const uint32_t m[4] = {NVSP_SEND_RNDIS_PACKET, 0, NVSP_SECTION_NONE, 0};
    const uint32_t no[4] = {NVSP_INIT, 2, 2, 0};

    nvsp = (struct nvsp){.state = NVSP_STATE_VERSIONED, .version = NVSP_VERSION_6_1};
    nvsp_packet(&nvsp, false, m, sizeof(m), &result);
    assert_int_equal(result.action, NVSP_DO_RNDIS);
    assert_int_equal(result.rndis.section, NVSP_SECTION_NONE);
    nvsp_packet(&nvsp, false, no, sizeof(no), &result);
    assert_int_equal(result.action, NVSP_DO_BREAK);
}

static void test_table(void **state)
{
    uint8_t m[NVSP_TABLE_MESSAGE_SIZE];
    struct nvsp_indirection_table t;

    nvsp_table_message(3, m);
    memcpy(&t, m + 4, sizeof(t));
    assert_int_equal(t.offset, 12);
    assert_int_equal(t.count, 16);
    assert_int_equal(t.entry[5], 2);
}

static const struct rndis_config config = {
    .mac = {0, 0x15, 0x5d, 1, 2, 3}, .mtu = 1500, .channels = 4, .speed = 10000};
static struct rndis_config changeable;
static struct rndis rndis;
static uint8_t answer[RNDIS_ANSWER_MAX];

static int ask(const struct rndis_config *with, uint32_t type, const void *body, size_t size,
               const void *info, size_t info_size)
{
    static const struct rndis_statistics statistics = {11, 12, 13, 14, 15};
    const struct rndis_header h = {type, (uint32_t)(sizeof(h) + size + info_size)};
    uint8_t m[1024] = {0};

    memcpy(m, &h, sizeof(h));
    memcpy(m + sizeof(h), body, size);
    if (info_size)
        memcpy(m + sizeof(h) + size, info, info_size);
    return rndis_control(&rndis, with, true, &statistics, m, h.length, answer);
}

static void begin(void)
{
    const struct rndis_initialize i = {1, 1, 0, 0x4000};
    struct rndis_initialize_complete done;

    assert_int_equal(ask(&config, RNDIS_INITIALIZE, &i, sizeof(i), NULL, 0), 52);
    memcpy(&done, answer + 8, sizeof(done));
    assert_int_equal(done.request, 1);
    assert_int_equal(done.status, 0);
    assert_int_equal(done.packets_max, 8);
}

static uint32_t query(uint32_t oid, const void *info, size_t info_size, void *out, size_t size)
{
    const struct rndis_request q = {2, oid, (uint32_t)info_size, sizeof(q), 0};
    struct rndis_query_complete done;
    int n = ask(&config, RNDIS_QUERY, &q, sizeof(q), info, info_size);

    assert_true(n >= 24);
    memcpy(&done, answer + 8, sizeof(done));
    assert_int_equal(n, 24 + done.info_length);
    if (done.status == 0) {
        assert_int_equal(done.info_length, size);
        memcpy(out, answer + 8 + done.info_offset, size);
    }
    return done.status;
}

static uint32_t set(const struct rndis_config *with, uint32_t oid, const void *info, size_t size)
{
    const struct rndis_request q = {3, oid, (uint32_t)size, sizeof(q), 0};
    struct rndis_status done;

    assert_int_equal(ask(with, RNDIS_SET, &q, sizeof(q), info, size), 16);
    memcpy(&done, answer + 8, sizeof(done));
    assert_int_equal(done.request, 3);
    return done.status;
}

static int setup_rndis(void **state)
{
    changeable = config;
    changeable.mac_change = true;
    rndis_init(&rndis, &config);
    begin();
    return 0;
}

static void test_not_ready(void **state)
{
    uint32_t v;

    rndis_init(&rndis, &config);
    assert_int_equal(query(OID_GEN_MAXIMUM_FRAME_SIZE, NULL, 0, &v, 4),
                     RNDIS_STATUS_ADAPTER_NOT_READY);
    assert_int_equal(set(&config, OID_GEN_CURRENT_PACKET_FILTER, &v, 4),
                     RNDIS_STATUS_ADAPTER_NOT_READY);
}

/* What Linux asks for while it starts. */
static void test_queries(void **state)
{
    struct ndis_offload o = {.header = {NDIS_OBJECT_OFFLOAD, 3, sizeof(o)}};
    struct ndis_rss_capabilities rss = {.queues = 0};
    uint8_t mac[6];
    uint32_t v;

    assert_int_equal(query(OID_GEN_MAXIMUM_FRAME_SIZE, NULL, 0, &v, 4), 0);
    assert_int_equal(v, 1500);
    assert_int_equal(query(OID_802_3_PERMANENT_ADDRESS, NULL, 0, mac, 6), 0);
    assert_memory_equal(mac, config.mac, 6);
    assert_int_equal(query(OID_TCP_OFFLOAD_CAPABILITIES, &o, sizeof(o), &o, sizeof(o)), 0);
    assert_int_equal(o.header.size, sizeof(o));
    assert_int_equal(o.lso_v2.ip6_size_max, RNDIS_LSO_MAX);
    assert_true(o.coalesce_ip4 && o.coalesce_ip6);
    o.header.size = NDIS_OFFLOAD_SIZE_6_0;
    assert_int_equal(
        query(OID_TCP_OFFLOAD_CAPABILITIES, &o, NDIS_OFFLOAD_SIZE_6_0, &o, NDIS_OFFLOAD_SIZE_6_0),
        0);
    assert_int_equal(o.header.revision, 1);
    assert_int_equal(query(OID_GEN_MEDIA_CONNECT_STATUS, NULL, 0, &v, 4), 0);
    assert_int_equal(v, 0);
    assert_int_equal(query(OID_GEN_LINK_SPEED, NULL, 0, &v, 4), 0);
    assert_int_equal(v, 100000000);
    assert_int_equal(query(OID_GEN_RECEIVE_SCALE_CAPABILITY, NULL, 0, &rss, sizeof(rss)), 0);
    assert_int_equal(rss.queues, 4);
    assert_int_equal(rss.table_entries, 128);
    assert_int_equal(query(OID_GEN_RCV_OK, NULL, 0, &v, 4), 0);
    assert_int_equal(v, 12);
    assert_int_equal(query(OID_GEN_FRIENDLY_NAME, NULL, 0, &v, 4), RNDIS_STATUS_NOT_SUPPORTED);
}

static void test_filter(void **state)
{
    static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 9}, all[6] = {255, 255, 255, 255, 255, 255};
    static const uint8_t other[6] = {2, 9, 9, 9, 9, 9};
    uint32_t filter = NDIS_FILTER_DIRECTED | NDIS_FILTER_MULTICAST;

    assert_false(rndis_wanted(&rndis, config.mac));
    assert_int_equal(set(&config, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4), 0);
    assert_true(rndis_wanted(&rndis, config.mac));
    assert_false(rndis_wanted(&rndis, all));
    assert_false(rndis_wanted(&rndis, other));
    assert_false(rndis_wanted(&rndis, group));
    assert_int_equal(set(&config, OID_802_3_MULTICAST_LIST, group, 6), 0);
    assert_true(rndis_wanted(&rndis, group));
    filter = NDIS_FILTER_PROMISCUOUS;
    assert_int_equal(set(&config, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4), 0);
    assert_true(rndis_wanted(&rndis, other));
    assert_int_equal(set(&config, OID_GEN_CURRENT_PACKET_FILTER, &filter, 3),
                     RNDIS_STATUS_INVALID_LENGTH);
    assert_int_equal(set(&config, OID_802_3_MULTICAST_LIST, group, 5), RNDIS_STATUS_INVALID_LENGTH);
}

static void test_offload(void **state)
{
    struct ndis_offload_parameters p = {.header = {NDIS_OBJECT_DEFAULT, 3, sizeof(p)},
                                        .coalesce_ip4 = NDIS_OFFLOAD_ENABLE,
                                        .coalesce_ip6 = NDIS_OFFLOAD_ENABLE};

    assert_int_equal(set(&config, OID_TCP_OFFLOAD_PARAMETERS, &p, sizeof(p)), 0);
    assert_true(rndis.coalesce_ip4 && rndis.coalesce_ip6);
    p.coalesce_ip4 = 0;
    p.coalesce_ip6 = NDIS_OFFLOAD_DISABLE;
    assert_int_equal(set(&config, OID_TCP_OFFLOAD_PARAMETERS, &p, sizeof(p)), 0);
    assert_true(rndis.coalesce_ip4 && !rndis.coalesce_ip6);
    assert_int_equal(set(&config, OID_TCP_OFFLOAD_PARAMETERS, &p, 22), 0);
    assert_true(rndis.coalesce_ip4);
    assert_int_equal(set(&config, OID_TCP_OFFLOAD_PARAMETERS, &p, 12), RNDIS_STATUS_INVALID_LENGTH);
}

static size_t utf16(uint8_t *to, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++) {
        to[2 * i] = (uint8_t)text[i];
        to[2 * i + 1] = 0;
    }
    return 2 * n;
}

static void test_address(void **state)
{
    static const uint8_t wanted[6] = {2, 0xab, 3, 4, 5, 6};
    struct rndis_parameter p = {sizeof(p), 28, RNDIS_PARAMETER_STRING, sizeof(p) + 28, 24};
    uint8_t info[sizeof(p) + 28 + 24];

    memcpy(info, &p, sizeof(p));
    (void)utf16(info + sizeof(p), "NetworkAddress");
    (void)utf16(info + sizeof(p) + 28, "02aB03040506");
    assert_int_equal(set(&config, OID_GEN_RNDIS_CONFIG_PARAMETER, info, sizeof(info)),
                     RNDIS_STATUS_FAILURE);
    assert_int_equal(set(&changeable, OID_GEN_RNDIS_CONFIG_PARAMETER, info, sizeof(info)), 0);
    assert_memory_equal(rndis.mac, wanted, 6);
    (void)utf16(info + sizeof(p) + 28, "01ab03040506");
    assert_int_equal(set(&changeable, OID_GEN_RNDIS_CONFIG_PARAMETER, info, sizeof(info)),
                     RNDIS_STATUS_INVALID_DATA);
    p.value_offset = UINT32_MAX - 4;
    memcpy(info, &p, sizeof(p));
    assert_int_equal(set(&changeable, OID_GEN_RNDIS_CONFIG_PARAMETER, info, sizeof(info)),
                     RNDIS_STATUS_INVALID_DATA);
    assert_memory_equal(rndis.mac, wanted, 6);
}

static void test_bad_messages(void **state)
{
    const struct rndis_header h = {RNDIS_QUERY, 28};
    const struct rndis_request q = {1, OID_GEN_RCV_OK, 100, 20, 0};
    const uint32_t halt = 5;
    struct rndis_query_complete done;
    uint8_t m[28];

    memcpy(m, &h, sizeof(h));
    memcpy(m + 8, &q, sizeof(q));
    assert_int_equal(rndis_control(&rndis, &config, true, NULL, m, 27, answer), -EINVAL);
    assert_int_equal(rndis_control(&rndis, &config, true, NULL, m, 7, answer), -EINVAL);
    assert_true(rndis_control(&rndis, &config, true, NULL, m, 28, answer) > 0);
    memcpy(&done, answer + 8, sizeof(done));
    assert_int_equal(done.status, RNDIS_STATUS_INVALID_DATA);
    assert_int_equal(ask(&config, 77, &halt, 4, NULL, 0), -EINVAL);
    assert_int_equal(ask(&config, RNDIS_KEEPALIVE, &halt, 4, NULL, 0), 16);
    assert_int_equal(ask(&config, RNDIS_HALT, &halt, 4, NULL, 0), 0);
    assert_false(rndis.initialized);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_versions, setup_nvsp),
        cmocka_unit_test_setup(test_order, setup_nvsp),
        cmocka_unit_test_setup(test_short, setup_nvsp),
        cmocka_unit_test_setup(test_sub, setup_nvsp),
        cmocka_unit_test(test_table),
        cmocka_unit_test_setup(test_not_ready, setup_rndis),
        cmocka_unit_test_setup(test_queries, setup_rndis),
        cmocka_unit_test_setup(test_filter, setup_rndis),
        cmocka_unit_test_setup(test_offload, setup_rndis),
        cmocka_unit_test_setup(test_address, setup_rndis),
        cmocka_unit_test_setup(test_bad_messages, setup_rndis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
