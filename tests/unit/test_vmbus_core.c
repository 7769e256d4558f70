/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_vmbus.h"

static int setup(void **state)
{
    shim_core(0);
    return 0;
}

static int teardown(void **state)
{
    vmbus_core_destroy(core);
    return 0;
}

/* The bytes of an answer, and who it goes to. */
static void answer_is(uint32_t vp, uint8_t sint, const uint8_t *bytes, size_t len)
{
    const struct vmbus_core_post *p = vmbus_core_post_peek(core);

    assert_non_null(p);
    assert_int_equal(p->vp, vp);
    assert_int_equal(p->sint, sint);
    assert_int_equal(p->length, len);
    assert_memory_equal(p->data, bytes, len);
    vmbus_core_post_done(core);
    guest_silent();
}

static uint32_t agreed(void)
{
    struct vmbus_core_contact c;

    vmbus_core_contact(core, &c);
    return c.version;
}

static void test_version_before_5_0(void **state)
{
    static const uint32_t versions[] = {VMBUS_VERSION_3_0, VMBUS_VERSION_4_0, VMBUS_VERSION_4_1};

    for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
        uint8_t bytes[16] = {15, [8] = 1};
        memcpy(bytes + 12, &versions[i], 4); /* the field was the version then */
        guest_contact(versions[i], 0xFF);
        answer_is(1, 2, bytes, sizeof(bytes));
        assert_int_equal(agreed(), versions[i]);
    }
}

static void test_version_5(void **state)
{
    static const uint32_t versions[] = {VMBUS_VERSION_5_0, VMBUS_VERSION_5_1, VMBUS_VERSION_5_2,
                                        VMBUS_VERSION_5_3};
    static const uint8_t bytes[16] = {15, [8] = 1, [12] = 4};

    for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
        guest_contact(versions[i], 0xFF);
        answer_is(1, 2, bytes, sizeof(bytes));
        assert_int_equal(agreed(), versions[i]);
    }
}

static void test_version_6(void **state)
{
    /* Of all features those that are implemented. */
    static const uint8_t bytes[20] = {15, [8] = 1, [12] = 4, [16] = 0x2D};
    struct vmbus_core_contact c;

    guest_contact(VMBUS_VERSION_6_0, 0xFFFFFFFF);
    answer_is(1, 2, bytes, sizeof(bytes));
    vmbus_core_contact(core, &c);
    assert_int_equal(c.version, VMBUS_VERSION_6_0);
    assert_int_equal(c.features, 0x2D);
    assert_memory_equal(c.client_id, client, 16);
}

static void test_version_unknown(void **state)
{
    static const uint32_t versions[] = {0,
                                        VMBUS_VERSION(0, 13),
                                        VMBUS_VERSION(2, 4),
                                        VMBUS_VERSION(5, 4),
                                        VMBUS_VERSION(6, 1),
                                        0xFFFFFFFF};
    static const uint8_t refused[16] = {15};

    for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
        uint32_t vp = versions[i] >= VMBUS_VERSION_3_0 ? 1 : 0;
        guest_contact(versions[i], 0);
        answer_is(vp, 2, refused, sizeof(refused));
        assert_int_equal(agreed(), 0);
    }
    guest_header(VMBUS_MSG_REQUESTOFFERS);
    guest_silent();
}

/* The firmware of generation 2 asks for 6.0 and then 3.0, over connection 1, and names no SINT. */
static void test_version_of_firmware(void **state)
{
    struct vmbus_msg_initiate_contact2 m = {.contact = {.header.type = VMBUS_MSG_INITIATE_CONTACT,
                                                        .version = VMBUS_VERSION_6_0,
                                                        .features = VMBUS_FEATURE_CLIENT_ID}};
    static const uint8_t newest[20] = {15, [8] = 1, [12] = 1, [16] = 0x08};
    static const uint8_t oldest[16] = {15, [8] = 1, [14] = 3};

    assert_int_equal(vmbus_core_message(core, 1, &m, sizeof(m)), 0);
    answer_is(0, 2, newest, sizeof(newest));
    m.contact.version = VMBUS_VERSION_3_0;
    assert_int_equal(vmbus_core_message(core, 1, &m, sizeof(m.contact)), 0);
    answer_is(0, 2, oldest, sizeof(oldest));
}

static void test_version_bounded(void **state)
{
    static const uint8_t refused[16] = {15};

    vmbus_core_destroy(core);
    shim_core(VMBUS_VERSION_5_1);
    guest_contact(VMBUS_VERSION_5_2, 0);
    answer_is(1, 2, refused, sizeof(refused));
    guest_connect(VMBUS_VERSION_5_1, 0);
}

static void test_contact_fields(void **state)
{
    struct vmbus_msg_initiate_contact m = {.header.type = VMBUS_MSG_INITIATE_CONTACT,
                                           .version = VMBUS_VERSION_5_3,
                                           .target_vp = 3,
                                           .target_sint = 5};
    static const uint8_t fine[16] = {15, [8] = 1, [12] = 4};
    static const uint8_t refused[16] = {15};
    static const uint8_t failed[16] = {15, [8] = 1, [9] = 2, [12] = 4};

    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    answer_is(3, 5, fine, sizeof(fine));
    m.target_sint = 16;
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    answer_is(3, 2, refused, sizeof(refused));
    m.target_sint = 0; /* the hypervisor's own */
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    answer_is(3, 2, refused, sizeof(refused));
    m.target_sint = 2;
    m.target_vtl = 1;
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    answer_is(3, 2, refused, sizeof(refused));
    m.target_vtl = 0;
    m.monitor_page1 = 0x1000; /* both or none */
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    answer_is(3, 2, failed, sizeof(failed));
    assert_int_equal(agreed(), 0);
    m.target_vp = VPS;
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    guest_silent();
    assert_int_equal(stats().illegal, 1);
    m.version = VMBUS_VERSION_6_0;
    m.features = VMBUS_FEATURE_CLIENT_ID; /* but no id */
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    guest_silent();
    assert_int_equal(stats().malformed, 1);
}

static void test_offers(void **state)
{
    uint32_t a = host_offer(1), b = host_offer(2);
    struct vmbus_core_offer again = {.type = {1, 2, 3, 4}, .instance = {2}};
    uint32_t c;

    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    assert_int_equal(vmbus_core_offer(core, &again, &c), -EEXIST);
    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_silent();
    guest_header(VMBUS_MSG_REQUESTOFFERS);
    {
        GUEST_TAKE(m, vmbus_msg_offerchannel, VMBUS_MSG_OFFERCHANNEL);
        assert_memory_equal(m.type, "\1\2\3\4", 4);
        assert_int_equal(m.instance[0], 1);
        assert_int_equal(m.flags, 1);
        assert_int_equal(m.mmio_mb, 8);
        assert_int_equal(m.user_defined[0], 0x77);
        assert_int_equal(m.sub_channel_index, 0);
        assert_int_equal(m.relid, 1);
        assert_int_equal(m.monitor_allocated, 0);
        assert_int_equal(m.dedicated, 1);
        assert_int_equal(m.connection_id, 0x2001);
    }
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    (void)guest_take(VMBUS_MSG_ALLOFFERS_DELIVERED, 8);
    guest_header(VMBUS_MSG_REQUESTOFFERS); /* once only */
    guest_silent();
    assert_int_equal(stats().illegal, 1);
    (void)host_offer(3); /* hot */
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    guest_silent();
}

/* More offers than the outbox has room for come in order, and all of them. */
static void test_many_offers(void **state)
{
    struct vmbus_core_offer o = {.type = {9}};
    uint32_t relid;

    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        memcpy(o.instance, &i, sizeof(i));
        assert_int_equal(vmbus_core_offer(core, &o, &relid), 0);
        assert_int_equal(relid, i);
    }
    o.instance[8] = 1;
    assert_int_equal(vmbus_core_offer(core, &o, &relid), -ENOSPC);
    guest_connect(VMBUS_VERSION_4_0, 0);
    guest_header(VMBUS_MSG_REQUESTOFFERS);
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        GUEST_TAKE(m, vmbus_msg_offerchannel, VMBUS_MSG_OFFERCHANNEL);
        assert_int_equal(m.relid, i);
    }
    (void)guest_take(VMBUS_MSG_ALLOFFERS_DELIVERED, 8);
    guest_silent();
}

/* A guest that takes nothing cannot make the host keep more and more. */
static void test_backpressure(void **state)
{
    const struct vmbus_msg_gpadl_header h = {
        .header.type = VMBUS_MSG_GPADL_HEADER, .relid = 1, .gpadl = 1};
    unsigned taken = 0;

    guest_connect(VMBUS_VERSION_5_3, 0);
    while (guest_post(&h, sizeof(h)) == 0)
        assert_in_range(++taken, 1, 100);
    assert_int_equal(stats().refused, 1);
    guest_created(1, 1, VMBUS_STATUS_INVALID_PARAMETER);
    guest_created(1, 1, VMBUS_STATUS_INVALID_PARAMETER);
    assert_int_equal(guest_post(&h, sizeof(h)), 0);
    guest_connect(VMBUS_VERSION_5_3, 0); /* to begin anew is always possible */
    guest_silent();
}

static void test_unload(void **state)
{
    uint32_t a = host_offer(1);

    guest_header(VMBUS_MSG_UNLOAD); /* it hears an answer even if it never came */
    (void)guest_take(VMBUS_MSG_UNLOAD_RESPONSE, 8);
    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_offers(1);
    guest_open(a, 7);
    guest_header(VMBUS_MSG_UNLOAD);
    guest_silent();
    guest_header(VMBUS_MSG_REQUESTOFFERS); /* nothing is heard meanwhile */
    effect(VMBUS_EFFECT_CLOSE, a);
    guest_silent();
    assert_false(vmbus_core_quiet(core));
    vmbus_core_close_done(core, a);
    (void)guest_take(VMBUS_MSG_UNLOAD_RESPONSE, 8);
    guest_silent();
    effect_none();
    assert_int_equal(stats().gpadls, 0);
    assert_int_equal(agreed(), 0);
    assert_true(vmbus_core_quiet(core));
}

/* A crash kernel or kexec: contact comes out of the blue. */
static void test_contact_again(void **state)
{
    uint32_t a = host_offer(1), b = host_offer(2);

    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_offers(2);
    guest_open(a, 7);
    guest_gpadl(b, 8, 8);
    guest_open_post(b, 8, 4, 0);
    guest_contact(VMBUS_VERSION_4_1, 0); /* before the VSP has heard of b */
    effect(VMBUS_EFFECT_CLOSE, a);
    effect_none();
    guest_contact(VMBUS_VERSION_6_0, 0); /* the last one counts */
    guest_silent();
    vmbus_core_close_done(core, a);
    (void)guest_take(VMBUS_MSG_VERSION_RESPONSE, 20);
    guest_offers(2); /* the same ids again */
    guest_open(a, 7);
    guest_open(b, 8);
}

/* The VSP is at it when the guest begins anew: it is told to close what it opens. */
static void test_contact_while_opening(void **state)
{
    uint32_t a = host_offer(1);

    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_offers(1);
    guest_gpadl(a, 7, 8);
    guest_open_post(a, 7, 4, 0);
    effect(VMBUS_EFFECT_OPEN, a);
    guest_contact(VMBUS_VERSION_5_3, 0);
    guest_silent();
    vmbus_core_open_done(core, a, 0);
    guest_silent();
    effect(VMBUS_EFFECT_CLOSE, a);
    vmbus_core_close_done(core, a);
    (void)guest_take(VMBUS_MSG_VERSION_RESPONSE, 16);
    guest_silent();
}

static void test_reset(void **state)
{
    uint32_t a = host_offer(1);

    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_offers(1);
    guest_open(a, 7);
    vmbus_core_reset(core);
    effect(VMBUS_EFFECT_CLOSE, a);
    vmbus_core_close_done(core, a);
    guest_silent();
    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_offers(1);
}

static void test_versions_of_messages(void **state)
{
    struct vmbus_msg_modifychannel m = {.header.type = VMBUS_MSG_MODIFYCHANNEL, .relid = 77};
    struct vmbus_msg_tl_connect_request t = {
        .header.type = VMBUS_MSG_TL_CONNECT_REQUEST, .endpoint = {1}, .service = {2}};

    guest_connect(VMBUS_VERSION_3_0, 0);
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    assert_int_equal(guest_post(&t, sizeof(t)), 0);
    assert_int_equal(stats().malformed, 2);
    guest_silent();
    guest_connect(VMBUS_VERSION_4_0, 0);
    assert_int_equal(guest_post(&t, sizeof(t)), 0);
    guest_silent();
    guest_connect(VMBUS_VERSION_4_1, 0);
    assert_int_equal(guest_post(&t, sizeof(t)), 0);
    {
        GUEST_TAKE(r, vmbus_msg_tl_connect_result, VMBUS_MSG_TL_CONNECT_RESULT);
        assert_memory_equal(r.endpoint, t.endpoint, 16);
        assert_memory_equal(r.service, t.service, 16);
        assert_int_equal(r.status, VMBUS_STATUS_CONNECTION_REFUSED);
    }
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    guest_silent(); /* no such channel, and no answer before 5.3 */
    guest_connect(VMBUS_VERSION_5_3, 0);
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    {
        GUEST_TAKE(r, vmbus_msg_modifychannel_response, VMBUS_MSG_MODIFYCHANNEL_RESPONSE);
        assert_int_equal(r.relid, 77);
        assert_int_equal(r.status, VMBUS_STATUS_INVALID_PARAMETER);
    }
}

static struct {
    unsigned calls;
    bool take;
    uint8_t endpoint[16], service[16];
} heard;

static bool hear(void *ctx, const uint8_t endpoint[16], const uint8_t service[16])
{
    assert_ptr_equal(ctx, &heard);
    heard.calls++;
    memcpy(heard.endpoint, endpoint, 16);
    memcpy(heard.service, service, 16);
    return heard.take;
}

/* A service that listens is asked; what it takes is answered by a channel, or refused later. */
static void test_connect(void **state)
{
    const struct vmbus_msg_tl_connect_request t = {
        .header.type = VMBUS_MSG_TL_CONNECT_REQUEST, .endpoint = {1}, .service = {2}};

    vmbus_core_listen(core, hear, &heard);
    guest_connect(VMBUS_VERSION_5_3, 0);
    assert_int_equal(guest_post(&t, sizeof(t)), 0);
    (void)guest_take(VMBUS_MSG_TL_CONNECT_RESULT, 44);
    assert_int_equal(heard.calls, 0); /* it could not hear of a channel yet */
    guest_offers(0);
    assert_int_equal(guest_post(&t, sizeof(t)), 0);
    (void)guest_take(VMBUS_MSG_TL_CONNECT_RESULT, 44);
    assert_int_equal(heard.calls, 1);
    heard.take = true;
    assert_int_equal(guest_post(&t, sizeof(t)), 0);
    guest_silent();
    assert_memory_equal(heard.endpoint, t.endpoint, 16);
    assert_memory_equal(heard.service, t.service, 16);
    vmbus_core_refuse(core, heard.endpoint, heard.service);
    GUEST_TAKE(r, vmbus_msg_tl_connect_result, VMBUS_MSG_TL_CONNECT_RESULT);
    assert_memory_equal(r.endpoint, t.endpoint, 16);
    assert_int_equal(r.status, VMBUS_STATUS_CONNECTION_REFUSED);
    guest_silent();
}

/* Refusals wait for room, up to a bound, and are forgotten when the guest begins anew. */
static void test_refusals(void **state)
{
    const uint8_t endpoint[16] = {1}, service[16] = {2};
    unsigned taken = 0;

    vmbus_core_refuse(core, endpoint, service);
    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_silent();
    for (unsigned i = 0; i < VMBUS_REFUSALS_MAX + 10; i++)
        vmbus_core_refuse(core, endpoint, service);
    for (; vmbus_core_post_peek(core); taken++)
        (void)guest_take(VMBUS_MSG_TL_CONNECT_RESULT, 44);
    assert_int_equal(taken, VMBUS_REFUSALS_MAX);
    vmbus_core_refuse(core, endpoint, service);
    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_silent();
}

static void test_features(void **state)
{
    struct vmbus_msg_modify_connection m = {.header.type = VMBUS_MSG_MODIFY_CONNECTION};
    uint32_t a = host_offer(1);

    guest_connect(VMBUS_VERSION_6_0, 0);
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    guest_header(VMBUS_MSG_PAUSE);
    guest_silent();
    assert_int_equal(stats().malformed, 2);

    guest_connect(VMBUS_VERSION_6_0, VMBUS_FEATURE_MODIFY_CONNECTION | VMBUS_FEATURE_PAUSE_RESUME);
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    assert_int_equal(((const uint8_t *)guest_take(VMBUS_MSG_MODIFY_CONNECTION_RESPONSE, 9))[8], 0);
    m.child_to_parent_page = 0x1000;
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    assert_int_equal(((const uint8_t *)guest_take(VMBUS_MSG_MODIFY_CONNECTION_RESPONSE, 9))[8], 2);

    guest_header(VMBUS_MSG_REQUESTOFFERS);
    guest_header(VMBUS_MSG_PAUSE);
    (void)guest_take(VMBUS_MSG_PAUSE_RESPONSE, 8);
    guest_silent();
    guest_relid(VMBUS_MSG_RELID_RELEASED, a); /* not while it is paused */
    assert_int_equal(stats().illegal, 1);
    (void)host_offer(2);
    guest_silent();
    guest_header(VMBUS_MSG_RESUME);
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    (void)guest_take(VMBUS_MSG_ALLOFFERS_DELIVERED, 8);
}

static void test_malformed(void **state)
{
    static const uint8_t zeros[VMBUS_MESSAGE_MAX + 1];
    uint32_t words[2] = {0, 0};

    guest_connect(VMBUS_VERSION_6_0, 0xFF);
    assert_int_equal(guest_post(zeros, 0), 0);
    assert_int_equal(guest_post(zeros, 7), 0);
    assert_int_equal(guest_post(zeros, sizeof(zeros)), 0);
    assert_int_equal(stats().malformed, 3);
    /* Too short, or not for the host at all. */
    for (words[0] = 0; words[0] < 40; words[0]++)
        if (words[0] != VMBUS_MSG_REQUESTOFFERS && words[0] != VMBUS_MSG_UNLOAD &&
            words[0] != VMBUS_MSG_PAUSE && words[0] != VMBUS_MSG_RESUME)
            assert_int_equal(guest_post(words, sizeof(words)), 0);
    assert_int_equal(stats().malformed, 3 + 36);
    guest_silent();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_version_before_5_0, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_5, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_of_firmware, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contact_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_offers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_backpressure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contact_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contact_while_opening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions_of_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_features, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
