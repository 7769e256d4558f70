/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/shim_ic.h"
#include "vsp/ic/text.h"

/* What all integration services have in common: versions, answers, time, the thread, saved state. */

static void test_text(void **state)
{
    uint8_t wide[32];
    char narrow[16];

    assert_int_equal(text_to_guest("aß€", wide, sizeof(wide)), 8);
    assert_memory_equal(wide, "a\0\xDF\0\xAC\x20\0\0", 8);
    assert_int_equal(text_to_guest("\xF0\x9F\x90\x98", wide, sizeof(wide)), 6);
    text_from_guest(wide, sizeof(wide), narrow, sizeof(narrow));
    assert_string_equal(narrow, "\xF0\x9F\x90\x98");
    assert_int_equal(text_to_guest("", wide, sizeof(wide)), 2);
    assert_int_equal(text_to_guest("123456789012345", wide, sizeof(wide)), 32);
    assert_int_equal(text_to_guest("1234567890123456", wide, sizeof(wide)), -E2BIG);
    assert_int_equal(text_to_guest("\xC0\xAF", wide, sizeof(wide)), -EINVAL);
    assert_int_equal(text_to_guest("\xED\xA0\x80", wide, sizeof(wide)), -EINVAL);
    assert_int_equal(text_to_guest("\xE2\x82", wide, sizeof(wide)), -EINVAL);
}

static void test_text_from_guest(void **state)
{
    const uint8_t lone[] = {0x00, 0xD8, 'x', 0};
    char out[8];

    text_from_guest(lone, sizeof(lone), out, sizeof(out));
    assert_string_equal(out, "\xEF\xBF\xBDx");
    text_from_guest(lone, sizeof(lone), out, 4); /* cut at a character's end */
    assert_string_equal(out, "\xEF\xBF\xBD");
    text_from_guest(lone, 1, out, sizeof(out));
    assert_string_equal(out, "");
}

/* The guest sees all versions, and every service has its own type. */
static void test_offer(void **state)
{
    static const uint16_t types[IC_KINDS] = {ICMSG_HEARTBEAT, ICMSG_SHUTDOWN, ICMSG_TIME,
                                             ICMSG_KVP,       ICMSG_VSS,      ICMSG_COPY};

    for (int kind = 0; kind < IC_KINDS; kind++) {
        struct icmsg_negotiate n;
        struct vmbus_offer offer;
        struct shim_ic s;

        assert_int_equal(shim_ic_create(&s, (enum ic_kind)kind), 0);
        ic_offer(s.ic, &offer);
        assert_true(offer.pipe);
        assert_int_equal(offer.user_defined[0], 4);
        shim_ic_open(&s);
        assert_int_equal(shim_ic_work(&s), IC_NEVER);
        assert_true(shim_ic_take(&s, 0));
        assert_int_equal(s.header.type, ICMSG_NEGOTIATE);
        assert_int_equal(s.header.flags, ICMSG_TRANSACTION | ICMSG_REQUEST);
        assert_int_equal(s.header.size, s.body_length);
        memcpy(&n, s.body, sizeof(n));
        assert_int_equal(n.framework_count, 2);
        assert_int_equal(s.body_length, sizeof(n) + (2U + n.message_count) * 4U);
        shim_ic_agree(&s);
        (void)shim_ic_work(&s);
        assert_int_equal(s.ic->protocol.state, PROTOCOL_READY);
        assert_int_equal(s.ic->service->protocol.type, types[kind]);
        shim_ic_destroy(&s);
    }
}

static enum ic_state state_of(struct shim_ic *s)
{
    struct ic_info info;

    ic_info(s->ic, &info);
    return info.state;
}

/* A guest that knows none of our versions says so by a count of 0; later it may open anew. */
static void test_refused(void **state)
{
    const struct shim_ic_choice none = {{0, 0, 0}, {0, 0}, {0, 0}};
    struct ic_request r = {.verb = IC_ASK_POWER_OFF, .timeout_ms = 1000};
    struct shim_ic s;

    assert_int_equal(shim_ic_create(&s, IC_SHUTDOWN), 0);
    assert_int_equal(state_of(&s), IC_CLOSED);
    assert_int_equal(ic_ask(s.ic, &r), -ENOTCONN);
    shim_ic_open(&s);
    (void)shim_ic_work(&s);
    assert_int_equal(state_of(&s), IC_NEGOTIATING);
    assert_true(shim_ic_take(&s, 0));
    shim_ic_reply(&s, IC_S_OK, &none, sizeof(none.n));
    (void)shim_ic_work(&s);
    assert_int_equal(state_of(&s), IC_REFUSED);
    assert_int_equal(ic_ask(s.ic, &r), -ENOTCONN);
    shim_ic_destroy(&s);
}

/* What was not offered breaks the service, and nothing is said any more. */
static void test_bad_choice(void **state)
{
    static const struct shim_ic_choice bad[] = {
        {{1, 1, 0}, {2, 0}, {3, 2}},
        {{1, 1, 0}, {3, 0}, {9, 9}},
        {{1, 1, 0}, {0, 0}, {3, 2}},
    };

    for (unsigned i = 0; i < 4; i++) {
        struct shim_ic s;

        assert_int_equal(shim_ic_create(&s, IC_SHUTDOWN), 0);
        shim_ic_open(&s);
        (void)shim_ic_work(&s);
        assert_true(shim_ic_take(&s, 0));
        shim_ic_reply(&s, IC_S_OK, &bad[i % 3], i < 3 ? sizeof(bad[i]) : 12);
        (void)shim_ic_work(&s);
        assert_int_equal(state_of(&s), IC_BROKEN);
        assert_false(shim_ic_take(&s, 0));
        shim_ic_destroy(&s);
    }
}

/* Answers to nothing, of another type or with a wrong number are counted and forgotten. */
static void test_strays(void **state)
{
    struct ic_info info;
    struct shim_ic s;

    assert_int_equal(shim_ic_ready(&s, IC_HEARTBEAT), 0);
    assert_true(shim_ic_take(&s, 0));
    s.header.transaction++;
    shim_ic_echo(&s, IC_S_OK);
    s.header.transaction--;
    s.header.type = ICMSG_VSS;
    shim_ic_echo(&s, IC_S_OK);
    s.header.type = ICMSG_NEGOTIATE;
    shim_ic_echo(&s, IC_S_OK);
    (void)shim_ic_work(&s);
    ic_info(s.ic, &info);
    assert_int_equal(info.strays, 3);
    assert_int_equal(info.answered, 0);
    s.header.type = ICMSG_HEARTBEAT;
    shim_ic_echo(&s, IC_S_OK);
    shim_ic_echo(&s, IC_S_OK); /* twice */
    (void)shim_ic_work(&s);
    ic_info(s.ic, &info);
    assert_int_equal(info.strays, 4);
    assert_int_equal(info.answered, 1);
    shim_ic_destroy(&s);
}

static void test_broken_ring(void **state)
{
    struct shim_ic_end end = {0};
    struct ic_request r = {
        .verb = IC_ASK_POWER_OFF, .timeout_ms = 1000, .done = shim_ic_done, .ctx = &end};
    struct shim_ic s;

    assert_int_equal(shim_ic_ready(&s, IC_SHUTDOWN), 0);
    assert_int_equal(ic_ask(s.ic, &r), 0);
    s.channel->broken = true;
    assert_int_equal(shim_ic_work(&s), IC_NEVER);
    assert_true(end.done);
    assert_int_equal(end.err, -EPROTO);
    assert_int_equal(state_of(&s), IC_BROKEN);
    shim_ic_destroy(&s);
}

/* A full ring only delays; a message is not sent twice. */
static void test_full_ring(void **state)
{
    struct shim_ic s;

    assert_int_equal(shim_ic_create(&s, IC_HEARTBEAT), 0);
    shim_ic_open(&s);
    s.channel->out_room = 0;
    (void)shim_ic_work(&s);
    (void)shim_ic_work(&s);
    assert_false(shim_ic_take(&s, 0));
    s.channel->out_room = SHIM_QUEUE;
    (void)shim_ic_work(&s);
    assert_true(shim_ic_take(&s, 0));
    assert_int_equal(s.header.transaction, 1);
    assert_false(shim_ic_take(&s, 0));
    shim_ic_destroy(&s);
}

/* Requests wait for each other up to a bound, and end in time though the guest is silent. */
static void test_requests(void **state)
{
    struct shim_ic_end end[IC_REQUESTS_MAX + 2] = {0};
    struct ic_request r[IC_REQUESTS_MAX + 2];
    struct shim_ic s;

    assert_int_equal(shim_ic_ready(&s, IC_SHUTDOWN), 0);
    for (unsigned i = 0; i < IC_REQUESTS_MAX + 2; i++) {
        r[i] = (struct ic_request){
            .verb = IC_ASK_RESTART, .timeout_ms = 1000, .done = shim_ic_done, .ctx = &end[i]};
        assert_int_equal(ic_ask(s.ic, &r[i]), i <= IC_REQUESTS_MAX ? 0 : -EBUSY);
        (void)shim_ic_work(&s);
    }
    assert_true(shim_ic_take(&s, 0));
    s.now_ns += 1000 * NS_PER_MS;
    (void)shim_ic_work(&s);
    for (unsigned i = 0; i <= IC_REQUESTS_MAX; i++) {
        assert_true(end[i].done);
        assert_int_equal(end[i].err, -ETIMEDOUT);
    }
    /* The late answer counts for nobody. */
    end[0].done = end[1].done = false;
    assert_int_equal(ic_ask(s.ic, &r[1]), 0);
    shim_ic_echo(&s, IC_E_FAIL);
    (void)shim_ic_work(&s);
    assert_false(end[0].done || end[1].done);
    assert_true(shim_ic_take(&s, 0));
    shim_ic_echo(&s, IC_S_OK);
    (void)shim_ic_work(&s);
    assert_true(end[1].done);
    assert_int_equal(end[1].err, 0);
    shim_ic_destroy(&s);
}

/* With its thread: open, talk, stand still, close under a request. */
static void test_thread(void **state)
{
    struct shim_ic_end end = {0};
    struct ic_request r = {
        .verb = IC_ASK_POWER_OFF, .timeout_ms = 60000, .done = shim_ic_done, .ctx = &end};
    struct shim_ic s;

    assert_int_equal(shim_ic_create(&s, IC_SHUTDOWN), 0);
    assert_int_equal(ic_device_ops.open(s.ic, s.channel, 1), -EINVAL);
    assert_int_equal(ic_device_ops.open(s.ic, s.channel, 0), 0);
    assert_int_equal(ic_device_ops.open(s.ic, s.channel, 0), -EINVAL);
    assert_true(shim_ic_take(&s, 5000));
    shim_ic_agree(&s);
    while (state_of(&s) != IC_READY)
        (void)usleep(1000);
    ic_pause(s.ic);
    assert_int_equal(ic_ask(s.ic, &r), -EBUSY);
    ic_resume(s.ic);
    assert_int_equal(ic_ask(s.ic, &r), 0);
    assert_true(shim_ic_take(&s, 5000));
    ic_device_ops.close(s.ic, s.channel, 0);
    assert_true(end.done);
    assert_int_equal(end.err, -ENOTCONN);
    assert_int_equal(state_of(&s), IC_CLOSED);
    assert_int_equal(ic_device_ops.open(s.ic, s.channel, 0), 0); /* the driver comes back */
    assert_true(shim_ic_take(&s, 5000));
    assert_int_equal(s.header.type, ICMSG_NEGOTIATE);
    ic_device_ops.close(s.ic, s.channel, 0);
    shim_ic_destroy(&s);
}

static void save(struct shim_ic *s, struct save_writer *w, uint8_t *buf, size_t size)
{
    *w = (struct save_writer){.buf = buf, .size = size};
    ic_save(s->ic, w);
    assert_int_equal(w->error, 0);
}

/* The same guest with another worker: no new versions, the answer under way counts. */
static void test_saved(void **state)
{
    uint8_t buf[256];
    struct save_writer w;
    struct save_reader r;
    struct ic_info info;
    struct shim_ic s, t;

    assert_int_equal(shim_ic_ready(&s, IC_HEARTBEAT), 0);
    assert_true(shim_ic_take(&s, 0));
    save(&s, &w, buf, sizeof(buf));
    assert_int_equal(shim_ic_create(&t, IC_HEARTBEAT), 0);
    r = (struct save_reader){.buf = buf, .size = w.used};
    assert_int_equal(ic_load(t.ic, &r), 0);
    t.channel->restored = true;
    assert_int_equal(ic_device_ops.open(t.ic, t.channel, 0), 0);
    t.header = s.header;
    memcpy(t.body, s.body, s.body_length);
    t.body_length = s.body_length;
    shim_ic_echo(&t, IC_S_OK);
    do {
        (void)usleep(1000);
        ic_info(t.ic, &info);
    } while (info.answered == 0);
    assert_int_equal(info.state, IC_READY);
    ic_device_ops.close(t.ic, t.channel, 0);
    shim_ic_destroy(&t);
    shim_ic_destroy(&s);
}

/* State that is cut, of another service, or impossible changes nothing. */
static void test_bad_state(void **state)
{
    uint8_t buf[256];
    struct save_writer w;
    struct save_reader r;
    struct shim_ic s, t;

    assert_int_equal(shim_ic_ready(&s, IC_VSS), 0);
    save(&s, &w, buf, sizeof(buf));
    assert_int_equal(shim_ic_create(&t, IC_KVP), 0);
    r = (struct save_reader){.buf = buf, .size = w.used};
    assert_int_equal(ic_load(t.ic, &r), -EINVAL);
    for (size_t cut = 0; cut < w.used; cut++) {
        r = (struct save_reader){.buf = buf, .size = cut};
        assert_int_equal(ic_load(s.ic, &r), -EINVAL);
    }
    assert_int_equal(s.ic->protocol.state, PROTOCOL_READY);
    assert_false(s.ic->loaded);
    s.ic->protocol.state = PROTOCOL_NEGOTIATING; /* and nothing under way */
    save(&s, &w, buf, sizeof(buf));
    r = (struct save_reader){.buf = buf, .size = w.used};
    assert_int_equal(ic_load(s.ic, &r), -EINVAL);
    shim_ic_destroy(&t);
    shim_ic_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),       cmocka_unit_test(test_text_from_guest),
        cmocka_unit_test(test_offer),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bad_choice), cmocka_unit_test(test_strays),
        cmocka_unit_test(test_broken_ring), cmocka_unit_test(test_full_ring),
        cmocka_unit_test(test_requests),   cmocka_unit_test(test_thread),
        cmocka_unit_test(test_saved),      cmocka_unit_test(test_bad_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
