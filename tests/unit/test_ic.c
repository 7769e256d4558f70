/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_ic.h"

/* What all services have in common, and those without a state of their own. */

static uint8_t body[IC_MESSAGE_MAX];
static struct icmsg_header h;

static struct ic_request ask_of(enum ic_verb verb)
{
    return (struct ic_request){.verb = verb, .timeout_ms = 5000, .done = shim_done};
}

static void test_negotiation(void **state)
{
    static const uint8_t wanted[] = {2, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0,
                                     0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0};
    struct ic_info info;

    begin(IC_TIME);
    ic_info(ic, &info);
    assert_int_equal(info.state, IC_NEGOTIATING);
    (void)run();
    assert_int_equal(heard(&h, body, sizeof(body)), sizeof(wanted));
    assert_memory_equal(body, wanted, sizeof(wanted));
    end();
    begin(IC_TIME);
    choose(3, 4, 0);
    ic_info(ic, &info);
    assert_int_equal(info.state, IC_READY);
    assert_int_equal(info.version[0], 4);
    assert_int_equal(info.framework[0], 3);
    end();
    begin(IC_SHUTDOWN);
    choose(0, 0, 0);
    ic_info(ic, &info);
    assert_int_equal(info.state, IC_REFUSED);
    end();
    begin(IC_SHUTDOWN); /* what was not offered */
    choose(3, 9, 9);
    ic_info(ic, &info);
    assert_int_equal(info.state, IC_BROKEN);
    end();
}

static void test_heartbeat(void **state)
{
    struct ic_heartbeat beat;
    struct ic_info info;
    uint64_t due;

    begin(IC_HEARTBEAT);
    choose(3, 3, 0);
    assert_int_equal(heard(&h, &beat, sizeof(beat)), 40);
    assert_int_equal(h.type, ICMSG_HEARTBEAT);
    assert_int_equal(h.message.major, 3);
    beat.sequence++;
    reply(h, IC_S_OK, &beat, sizeof(beat));
    assert_true(silent());
    due = run();
    assert_true(due == clock_ns + 2 * NS_PER_S);
    pass(2000);
    (void)run();
    (void)heard(&h, &beat, sizeof(beat));
    assert_int_equal(beat.sequence, 2);
    pass(7000); /* the guest hangs; it is not asked again */
    assert_true(run() == IC_NEVER);
    assert_true(silent());
    ic_info(ic, &info);
    assert_false(info.alive);
    assert_true(info.quiet_ns >= 7 * NS_PER_S);
    reply(h, IC_S_OK, &beat, sizeof(beat));
    ic_info(ic, &info);
    assert_true(info.alive);
    end();
}

static void test_shutdown(void **state)
{
    struct ic_request r = ask_of(IC_ASK_POWER_OFF), again = ask_of(IC_ASK_RESTART);
    struct ic_shutdown m;

    begin(IC_SHUTDOWN);
    assert_int_equal(ic_ask(ic, &r), 0); /* before the guest is there: it waits */
    choose(3, 3, 2);
    assert_int_equal(heard(&h, &m, sizeof(m)), sizeof(m));
    assert_int_equal(m.flags, 0);
    assert_int_equal(ic_ask(ic, &again), 0);
    (void)run();
    assert_true(silent());
    reply(h, IC_S_OK, &m, sizeof(m));
    assert_int_equal(done_count, 1);
    assert_int_equal(last_error, 0);
    (void)heard(&h, &m, sizeof(m));
    assert_int_equal(m.flags, IC_SHUTDOWN_RESTART);
    reply(h, IC_E_FAIL, &m, sizeof(m));
    assert_int_equal(last_error, -EREMOTEIO);
    assert_true(again.status == IC_E_FAIL);
    end();
}

/* A request ends in time, its late answer is nobody's, and the next one still gets its own. */
static void test_timeout(void **state)
{
    struct ic_request r = ask_of(IC_ASK_POWER_OFF), next = ask_of(IC_ASK_RESTART);
    struct ic_shutdown m;
    struct ic_info info;

    begin(IC_SHUTDOWN);
    choose(1, 1, 0);
    assert_int_equal(ic_ask(ic, &r), 0);
    assert_true(run() == clock_ns + 5 * NS_PER_S);
    (void)heard(&h, &m, sizeof(m));
    pass(5000);
    assert_int_equal(ic_ask(ic, &next), 0);
    (void)run();
    assert_int_equal(last_error, -ETIMEDOUT);
    assert_true(silent());
    reply(h, IC_S_OK, &m, sizeof(m));
    assert_int_equal(done_count, 1);
    (void)heard(&h, &m, sizeof(m));
    reply(h, IC_S_OK, &m, sizeof(m));
    assert_int_equal(done_count, 2);
    assert_int_equal(last_error, 0);
    ic_info(ic, &info);
    assert_int_equal(info.timeouts, 1);
    end();
}

/* What answers nothing is counted, and nothing else happens; a ring without sense ends it all. */
static void test_strays(void **state)
{
    struct ic_request r = ask_of(IC_ASK_POWER_OFF);
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND, .length = 7};
    struct ic_shutdown m;
    struct icmsg_header bad;
    struct ic_info info;

    begin(IC_SHUTDOWN);
    choose(3, 3, 2);
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    (void)heard(&h, &m, sizeof(m));
    assert_true(shim_put(channel, &p));
    bad = h;
    bad.transaction++;
    reply(bad, IC_S_OK, &m, sizeof(m));
    bad = h;
    bad.type = ICMSG_NEGOTIATE;
    reply(bad, IC_S_OK, &m, sizeof(m));
    ic_info(ic, &info);
    assert_int_equal(info.strays, 3);
    assert_int_equal(done_count, 0);
    reply(h, IC_S_OK, &m, 0);
    assert_int_equal(done_count, 1);
    assert_int_equal(ic_ask(ic, &r), 0);
    channel->broken = true;
    (void)run();
    assert_int_equal(last_error, -EPROTO);
    assert_int_equal(ic_ask(ic, &r), -ENOTCONN);
    end();
}

static void test_too_many(void **state)
{
    struct ic_request r[IC_REQUESTS_MAX + 1];

    begin(IC_SHUTDOWN);
    for (unsigned i = 0; i <= IC_REQUESTS_MAX; i++) {
        r[i] = ask_of(IC_ASK_RESTART);
        assert_int_equal(ic_ask(ic, &r[i]), i < IC_REQUESTS_MAX ? 0 : -EBUSY);
    }
    end();
    assert_int_equal(done_count, IC_REQUESTS_MAX);
    assert_int_equal(last_error, -ENOTCONN);
}

static void test_time(void **state)
{
    struct ic_time_reference m;
    struct ic_time old;

    begin(IC_TIME);
    reference_100_ns = 12345;
    choose(3, 4, 0);
    assert_int_equal(heard(&h, &m, sizeof(m)), 22);
    assert_int_equal(m.flags, IC_TIME_SYNC);
    assert_true(m.host == shim_utc(NULL));
    assert_true(m.reference == 12345);
    reply(h, IC_S_OK, &m, sizeof(m));
    assert_true(silent());
    pass(5000);
    (void)run();
    (void)heard(&h, &m, sizeof(m));
    assert_int_equal(m.flags, IC_TIME_SAMPLE);
    ic_sync(ic); /* while the guest has not answered */
    (void)run();
    assert_true(silent());
    pass(100);
    reply(h, IC_S_OK, &m, sizeof(m));
    (void)heard(&h, &m, sizeof(m));
    assert_int_equal(m.flags, IC_TIME_SYNC);
    assert_true(m.host == shim_utc(NULL));
    reply(h, IC_S_OK, &m, sizeof(m));
    reference_error = -EIO; /* nothing is better than a wrong time */
    ic_sync(ic);
    (void)run();
    assert_true(silent());
    end();
    begin(IC_TIME);
    choose(1, 3, 0);
    assert_int_equal(heard(&h, &old, sizeof(old)), 25);
    assert_int_equal(old.flags, IC_TIME_SYNC);
    end();
}

/* A service from its beginning to its end with its own thread. */
static void test_thread(void **state)
{
    struct ic_request r = ask_of(IC_ASK_RESTART);
    struct shim_packet p;
    struct vmbus_offer offer;

    clock_ns = NS_PER_S;
    assert_int_equal(ic_create(&ic, IC_SHUTDOWN, &shim_host), 0);
    ic_offer(ic, &offer);
    assert_true(offer.pipe);
    assert_int_equal(ic_ask(ic, &r), -ENOTCONN);
    channel = shim_channel_new();
    assert_int_equal(ic_device_ops.open(ic, channel, 0), 0);
    assert_int_equal(ic_device_ops.open(ic, channel, 1), -EINVAL);
    assert_true(shim_get(channel, &p, 10000));
    ic_pause(ic);
    assert_int_equal(ic_ask(ic, &r), -EBUSY);
    ic_resume(ic);
    assert_int_equal(ic_ask(ic, &r), 0);
    ic_device_ops.close(ic, channel, 0);
    assert_int_equal(last_error, -ENOTCONN);
    shim_channel_free(channel);
    ic_destroy(ic);
    ic_destroy(NULL);
}

/* A saved state goes on where it was; every damage of it is refused or harmless. */
static void test_save(void **state)
{
    uint8_t buf[256];
    struct save_writer w = {buf, sizeof(buf), 0, 0};
    struct save_reader r;
    struct ic_time_reference m;

    begin(IC_TIME);
    choose(3, 4, 0);
    (void)heard(&h, &m, sizeof(m));
    ic_save(ic, &w);
    assert_int_equal(w.err, 0);
    end();
    begin(IC_TIME);
    r = (struct save_reader){.buf = buf, .size = w.len};
    assert_int_equal(ic_load(ic, &r), 0);
    (void)run();
    assert_true(silent()); /* the guest owes an answer */
    reply(h, IC_S_OK, &m, sizeof(m));
    (void)heard(&h, &m, sizeof(m));
    assert_int_equal(m.flags, IC_TIME_SYNC);
    for (size_t bit = 0; bit < w.len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
        r = (struct save_reader){.buf = buf, .size = w.len};
        (void)ic_load(ic, &r);
        (void)run();
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t size = 0; size < w.len; size++) {
        r = (struct save_reader){.buf = buf, .size = size};
        assert_int_equal(ic_load(ic, &r), -EINVAL);
    }
    end();
    begin(IC_KVP); /* of another service */
    r = (struct save_reader){.buf = buf, .size = w.len};
    assert_int_equal(ic_load(ic, &r), -EINVAL);
    end();
}

static void test_text(void **state)
{
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    static const uint8_t wanted[] = {'a', 0, 0xE9, 0, 0xAC, 0x20, 0x3D, 0xD8, 0, 0xDE, 0, 0};
    static const char *const bad[] = {"\x80",         "\xC0\x80",         "\xE2\x82",
                                      "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF"};
    static const uint8_t lone[] = {0, 0xDC, 'x', 0, 0, 0xD8};
    uint8_t out[16];
    char back[16];

    assert_int_equal(ic_text_to_guest(text, out, sizeof(out)), sizeof(wanted));
    assert_memory_equal(out, wanted, sizeof(wanted));
    ic_text_from_guest(out, sizeof(wanted), back, sizeof(back));
    assert_string_equal(back, text);
    ic_text_from_guest(out, sizeof(wanted), back, 4); /* cut between characters */
    assert_string_equal(back, "a\xC3\xA9");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ic_text_to_guest(bad[i], out, sizeof(out)), -EINVAL);
    assert_int_equal(ic_text_to_guest("12345678", out, sizeof(out)), -E2BIG);
    ic_text_from_guest(lone, sizeof(lone), back, sizeof(back));
    assert_string_equal(back, "\xEF\xBF\xBDx\xEF\xBF\xBD");
}

/* The guest takes nothing out of its ring: what was to be said is said when it does. */
static void test_ring_full(void **state)
{
    struct ic_heartbeat beat;

    begin(IC_HEARTBEAT);
    choose(3, 3, 0);
    (void)heard(&h, &beat, sizeof(beat));
    channel->out_room = 0;
    pass(2000);
    reply(h, IC_S_OK, &beat, sizeof(beat));
    assert_true(silent());
    channel->out_room = 1;
    (void)run();
    assert_int_equal(heard(&h, &beat, sizeof(beat)), 40);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_negotiation), cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_shutdown),    cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_strays),      cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_time),        cmocka_unit_test(test_thread),
        cmocka_unit_test(test_save),        cmocka_unit_test(test_text),
        cmocka_unit_test(test_ring_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
