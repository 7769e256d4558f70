/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_ic.h"

/* Guests that choose what was not offered, break their rings, answer too late, or find another
 * worker; states that cannot be. */

static struct icmsg_header header;
static uint8_t body[IC_BODY_MAX];
static size_t length;

static void hear(void)
{
    (void)run();
    length = heard(&header, body, sizeof(body));
}

static void echo(uint32_t status)
{
    reply(header, status, body, length);
}

static enum ic_state state_now(void)
{
    struct ic_info info;

    ic_info(ic, &info);
    return info.state;
}

static void test_choice(void **state)
{
    static const uint16_t bad[][3] = {{2, 3, 2}, {3, 9, 9}, {3, 0, 0}};

    for (unsigned i = 0; i < 3; i++) {
        begin(IC_SHUTDOWN);
        choose(bad[i][0], bad[i][1], bad[i][2]);
        assert_int_equal(state_now(), IC_BROKEN);
        (void)run();
        assert_true(silent());
        end();
    }
}

static void test_broken_ring(void **state)
{
    struct ic_request r = {.verb = IC_ASK_POWER_OFF, .timeout_ms = 1000, .done = shim_done};

    begin(IC_SHUTDOWN);
    choose(3, 3, 2);
    assert_int_equal(ic_ask(ic, &r), 0);
    channel->broken = true;
    assert_int_equal(run(), IC_NEVER);
    assert_int_equal(done_count, 1);
    assert_int_equal(last_error, -EPROTO);
    assert_int_equal(state_now(), IC_BROKEN);
    assert_int_equal(ic_ask(ic, &r), -ENOTCONN);
    end();
}

/* It cannot answer while it stands still. */
static void test_heartbeat_pause(void **state)
{
    struct ic_info info;

    begin(IC_HEARTBEAT);
    choose(3, 3, 0);
    hear();
    ic->channel = NULL; /* no thread that would have to stop */
    ic_pause(ic);
    pass(300000);
    ic_resume(ic);
    ic->channel = channel;
    ic_info(ic, &info);
    assert_true(info.alive);
    end();
}

static size_t save(uint8_t *buf, size_t size)
{
    struct save_writer w = {.buf = buf, .size = size};

    ic_save(ic, &w);
    assert_int_equal(w.err, 0);
    return w.len;
}

static int load(const uint8_t *buf, size_t size)
{
    struct save_reader r = {.buf = buf, .size = size};

    return ic_load(ic, &r);
}

/* What is cut, of another service, or cannot be changes nothing. */
static void test_bad_state(void **state)
{
    uint8_t buf[256];
    size_t size;

    begin(IC_KVP);
    size = save(buf, sizeof(buf));
    end();
    begin(IC_VSS);
    choose(3, 5, 0);
    assert_int_equal(load(buf, size), -EINVAL);
    size = save(buf, sizeof(buf));
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(load(buf, cut), -EINVAL);
    assert_int_equal(state_now(), IC_READY);
    assert_false(ic->loaded);
    ic->protocol.state = PROTOCOL_NEGOTIATING; /* and nothing is under way */
    size = save(buf, sizeof(buf));
    assert_int_equal(load(buf, size), -EINVAL);
    end();
}

static void vss_told(uint8_t operation, uint32_t status)
{
    hear();
    assert_int_equal(length, sizeof(struct vss_message));
    assert_int_equal(body[0], operation);
    echo(status);
}

static bool is_frozen(void)
{
    struct ic_info info;

    ic_info(ic, &info);
    return info.frozen;
}

static void freeze(struct ic_request *r)
{
    *r = (struct ic_request){
        .verb = IC_ASK_FREEZE, .timeout_ms = 5000, .hold_ms = 10000, .done = shim_done};
    begin(IC_VSS);
    choose(3, 5, 0);
    assert_int_equal(ic_ask(ic, r), 0);
    vss_told(VSS_HOT_BACKUP, IC_S_OK);
    vss_told(VSS_FREEZE, IC_S_OK);
    assert_int_equal(last_error, 0);
    assert_true(is_frozen());
}

/* A thaw that fails is tried again, as long as it takes. */
static void test_thaw_again(void **state)
{
    struct ic_request r;

    freeze(&r);
    r = (struct ic_request){.verb = IC_ASK_THAW, .timeout_ms = 5000, .done = shim_done};
    assert_int_equal(ic_ask(ic, &r), 0);
    vss_told(VSS_THAW, IC_E_FAIL);
    assert_int_equal(last_error, -EREMOTEIO);
    for (unsigned i = 0; i < 3; i++) {
        (void)run();
        assert_true(silent());
        pass(1000);
        vss_told(VSS_THAW, i < 2 ? IC_E_FAIL : IC_S_OK);
    }
    (void)run();
    assert_true(silent());
    assert_false(is_frozen());
    end();
}

/* The worker has gone while the guest stood still: the next one lets it go on. */
static void test_freeze_restored(void **state)
{
    struct ic_request r;
    uint8_t buf[256];
    size_t size;

    freeze(&r);
    size = save(buf, sizeof(buf));
    assert_int_equal(load(buf, size), 0);
    vss_told(VSS_THAW, IC_S_OK);
    assert_false(is_frozen());
    end();
}

/* A file that the guest has opened after all is not left there half. */
static void test_copy_late(void **state)
{
    struct ic_request r = {.verb = IC_ASK_COPY, .timeout_ms = 5000, .done = shim_done};

    r.copy.file = -1;
    r.copy.size = 100;
    (void)strcpy(r.copy.name, "file");
    (void)strcpy(r.copy.folder, "/tmp");
    begin(IC_COPY);
    choose(3, 1, 1);
    assert_int_equal(ic_ask(ic, &r), 0);
    hear();
    assert_int_equal(body[0], COPY_START);
    pass(5000);
    (void)run();
    assert_int_equal(last_error, -ETIMEDOUT);
    echo(IC_S_OK);
    hear();
    assert_int_equal(length, sizeof(struct copy_header));
    assert_int_equal(body[0], COPY_CANCEL);
    echo(IC_S_OK);
    (void)run();
    assert_true(silent()); /* once */
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),          cmocka_unit_test(test_broken_ring),
        cmocka_unit_test(test_heartbeat_pause), cmocka_unit_test(test_bad_state),
        cmocka_unit_test(test_thaw_again),      cmocka_unit_test(test_freeze_restored),
        cmocka_unit_test(test_copy_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
