/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include "tests/unit/shim_ic.h"

/* Services with a state of their own: keys and values, freeze, file copy. */

static uint8_t body[IC_MESSAGE_MAX];
static struct icmsg_header h;
static char pairs[1024];
static int pair_error;

static int note_pair(struct ic_request *r, const char *key, const char *value)
{
    size_t used = strlen(pairs);

    (void)snprintf(pairs + used, sizeof(pairs) - used, "%s=%s;", key, value);
    return pair_error;
}

static struct ic_request kvp_of(enum ic_verb verb, uint8_t pool, const char *key, const char *value)
{
    struct ic_request r = {.verb = verb, .timeout_ms = 5000, .done = shim_done};

    r.kvp.pool = pool;
    r.kvp.pair = note_pair;
    (void)snprintf(r.kvp.key, sizeof(r.kvp.key), "%s", key);
    (void)snprintf(r.kvp.value, sizeof(r.kvp.value), "%s", value);
    return r;
}

static void test_kvp_list(void **state)
{
    struct ic_request r = kvp_of(IC_ASK_KVP_LIST, KVP_POOL_AUTO, "", "");
    struct kvp_enumerate m;

    begin(IC_KVP);
    choose(3, 4, 0);
    pairs[0] = 0;
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(heard(&h, &m, sizeof(m)), 2580);
        assert_int_equal(m.header.operation, KVP_ENUMERATE);
        assert_int_equal(m.header.pool, KVP_POOL_AUTO);
        assert_int_equal(m.index, i);
        m.pair.key_size = UINT32_MAX; /* nobody looks at it */
        (void)ic_text_to_guest("key", m.pair.key, sizeof(m.pair.key));
        m.pair.key[4] = (uint8_t)('0' + i);
        memset(m.pair.value, 0, sizeof(m.pair.value));
        reply(h, i < 2 ? IC_S_OK : IC_E_NO_MORE, &m, sizeof(m));
    }
    assert_int_equal(done_count, 1);
    assert_int_equal(last_error, 0);
    assert_string_equal(pairs, "ke0=;ke1=;");
    assert_int_equal(ic_ask(ic, &r), 0); /* short answers, and who has heard enough */
    (void)run();
    (void)heard(&h, &m, sizeof(m));
    reply(h, IC_S_OK, &m, sizeof(m) - 1);
    assert_int_equal(last_error, -EPROTO);
    pair_error = -ENOMEM;
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    (void)heard(&h, &m, sizeof(m));
    assert_int_equal(m.index, 0);
    memset(m.pair.key, 0x55, sizeof(m.pair.key)); /* without an end */
    memset(m.pair.value, 0x55, sizeof(m.pair.value));
    reply(h, IC_S_OK, &m, sizeof(m));
    assert_int_equal(last_error, -ENOMEM);
    pair_error = 0;
    end();
}

/* A pool that never ends is looked at for a while. */
static void test_kvp_endless(void **state)
{
    struct ic_request r = kvp_of(IC_ASK_KVP_LIST, KVP_POOL_GUEST, "", "");
    struct kvp_enumerate m = {0};

    begin(IC_KVP);
    choose(3, 4, 0);
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    for (unsigned i = 0; i < IC_PAIRS_MAX; i++) {
        assert_int_equal(done_count, 0);
        (void)heard(&h, &m, sizeof(m));
        reply(h, IC_S_OK, &m, sizeof(m));
    }
    assert_int_equal(done_count, 1);
    assert_true(silent());
    end();
}

static void test_kvp_set(void **state)
{
    struct ic_request r = kvp_of(IC_ASK_KVP_SET, KVP_POOL_EXTERNAL, "name", "value");
    struct kvp_delete d;
    struct kvp_set m;
    char text[64];

    begin(IC_KVP);
    choose(3, 4, 0);
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    assert_int_equal(heard(&h, &m, sizeof(m)), 2576);
    assert_int_equal(m.pair.type, KVP_STRING);
    assert_int_equal(m.pair.key_size, 10);
    assert_int_equal(m.pair.value_size, 12);
    ic_text_from_guest(m.pair.value, m.pair.value_size, text, sizeof(text));
    assert_string_equal(text, "value");
    reply(h, IC_S_OK, &m, sizeof(m));
    assert_int_equal(last_error, 0);
    r.verb = IC_ASK_KVP_DELETE;
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    assert_int_equal(heard(&h, &d, sizeof(d)), 520);
    assert_int_equal(d.key_size, 10);
    reply(h, IC_E_NO_MORE, &d, sizeof(d));
    assert_int_equal(last_error, -EREMOTEIO);
    r.kvp.key[0] = 0;
    assert_int_equal(ic_ask(ic, &r), -EINVAL);
    r.kvp.pool = KVP_POOLS;
    r.verb = IC_ASK_KVP_LIST;
    assert_int_equal(ic_ask(ic, &r), -EINVAL);
    r.verb = IC_ASK_FREEZE;
    assert_int_equal(ic_ask(ic, &r), -EINVAL);
    end();
}

static void test_ip(void **state)
{
    struct ic_request r = {.verb = IC_ASK_IP_SET, .timeout_ms = 5000, .done = shim_done};
    struct kvp_ip m;
    char text[64];

    begin(IC_KVP);
    choose(3, 4, 0);
    r.ip = (struct ic_ip){.adapter = "{guid}",
                          .ipv4 = true,
                          .address = "10.0.0.2",
                          .mask = "255.0.0.0",
                          .gateway = "10.0.0.1",
                          .dns = "10.0.0.3"};
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    assert_int_equal(heard(&h, &m, sizeof(m)), 7428);
    assert_int_equal(m.operation, KVP_SET_IP);
    assert_int_equal(m.family, KVP_FAMILY_IPV4);
    ic_text_from_guest(m.gateway, sizeof(m.gateway), text, sizeof(text));
    assert_string_equal(text, "10.0.0.1");
    reply(h, IC_S_OK, &m, sizeof(m));
    assert_int_equal(last_error, 0);
    r.verb = IC_ASK_IP_GET;
    r.ip = (struct ic_ip){.adapter = "00:15:5D:00:00:01"};
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    (void)heard(&h, &m, sizeof(m));
    m.dhcp = 1;
    m.family = KVP_FAMILY_IPV6;
    memset(m.dns, 0x41, sizeof(m.dns)); /* longer than what holds it */
    (void)ic_text_to_guest("fe80::1", m.address, sizeof(m.address));
    reply(h, IC_S_OK, &m, sizeof(m));
    assert_int_equal(last_error, 0);
    assert_true(r.ip.dhcp && r.ip.ipv6 && !r.ip.ipv4);
    assert_string_equal(r.ip.address, "fe80::1");
    assert_int_equal(strlen(r.ip.dns), 1023);
    end();
}

static struct ic_request freeze_of(enum ic_verb verb)
{
    return (struct ic_request){
        .verb = verb, .timeout_ms = 5000, .done = shim_done, .hold_ms = 10000};
}

/* The guest hears this operation and says that. */
static void vss_step(uint8_t operation, uint32_t status)
{
    struct vss_message m;

    assert_int_equal(heard(&h, &m, sizeof(m)), sizeof(m));
    assert_int_equal(m.operation, operation);
    reply(h, status, &m, sizeof(m));
}

static void vss_begin(struct ic_request *r)
{
    begin(IC_VSS);
    choose(3, 5, 0);
    assert_int_equal(ic_ask(ic, r), 0);
    (void)run();
    vss_step(VSS_HOT_BACKUP, IC_S_OK);
}

static void test_freeze(void **state)
{
    struct ic_request f = freeze_of(IC_ASK_FREEZE), t = freeze_of(IC_ASK_THAW);
    struct ic_info info;

    vss_begin(&f);
    vss_step(VSS_FREEZE, IC_S_OK);
    assert_int_equal(done_count, 1);
    assert_int_equal(last_error, 0);
    ic_info(ic, &info);
    assert_true(info.frozen);
    assert_int_equal(ic_ask(ic, &f), -EALREADY);
    assert_int_equal(ic_ask(ic, &t), 0);
    (void)run();
    vss_step(VSS_THAW, IC_S_OK);
    assert_int_equal(last_error, 0);
    assert_int_equal(ic_ask(ic, &t), -ENODATA);
    end();
}

/* Nobody thaws: it ends by itself, and who comes then is told. */
static void test_freeze_expires(void **state)
{
    struct ic_request f = freeze_of(IC_ASK_FREEZE), t = freeze_of(IC_ASK_THAW);

    vss_begin(&f);
    vss_step(VSS_FREEZE, IC_S_OK);
    assert_true(run() == clock_ns + 10 * NS_PER_S);
    pass(10000);
    (void)run();
    vss_step(VSS_THAW, IC_E_FAIL);
    assert_true(silent());
    assert_true(run() == clock_ns + NS_PER_S); /* and again */
    pass(1000);
    (void)run();
    vss_step(VSS_THAW, IC_S_OK);
    assert_int_equal(ic_ask(ic, &t), 0);
    (void)run();
    assert_int_equal(last_error, -ETIME);
    assert_int_equal(ic_ask(ic, &t), -ENODATA);
    end();
}

/* The guest takes too long, and freezes all the same. */
static void test_freeze_late(void **state)
{
    struct ic_request f = freeze_of(IC_ASK_FREEZE);
    struct vss_message m;

    vss_begin(&f);
    assert_int_equal(heard(&h, &m, sizeof(m)), sizeof(m));
    pass(5000);
    (void)run();
    assert_int_equal(last_error, -ETIMEDOUT);
    assert_int_equal(ic_ask(ic, &f), -EALREADY);
    reply(h, IC_S_OK, &m, sizeof(m));
    vss_step(VSS_THAW, IC_S_OK);
    assert_int_equal(ic_ask(ic, &f), 0);
    (void)run();
    vss_step(VSS_HOT_BACKUP, IC_E_FAIL); /* the daemon has gone */
    assert_int_equal(last_error, -EREMOTEIO);
    assert_int_equal(ic_ask(ic, &f), 0);
    end();
}

static int file_of(const char *text, size_t times)
{
    char path[] = "/tmp/ic-copy-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    (void)unlink(path);
    for (size_t i = 0; i < times; i++)
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static struct ic_request copy_of(int fd, uint64_t size)
{
    struct ic_request r = {.verb = IC_ASK_COPY, .timeout_ms = 5000, .done = shim_done};

    r.copy.file = fd;
    r.copy.size = size;
    (void)snprintf(r.copy.name, sizeof(r.copy.name), "name");
    (void)snprintf(r.copy.folder, sizeof(r.copy.folder), "/tmp");
    return r;
}

static uint32_t copy_heard(void)
{
    struct copy_header m;

    assert_true(heard(&h, body, sizeof(body)) >= sizeof(m));
    memcpy(&m, body, sizeof(m));
    return m.operation;
}

static void test_copy(void **state)
{
    int fd = file_of("0123456789", 1000);
    struct ic_request r = copy_of(fd, 10000);
    struct copy_start s;
    struct copy_write w;

    begin(IC_COPY);
    choose(3, 1, 1);
    r.copy.overwrite = true;
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    assert_int_equal(copy_heard(), COPY_START);
    memcpy(&s, body, sizeof(s));
    assert_true(s.flags == COPY_OVERWRITE && s.size == 10000);
    assert_memory_equal(s.folder, "/\0t\0m\0p\0/\0\0\0", 12);
    reply(h, IC_S_OK, body, 0);
    for (uint64_t at = 0; at < 10000; at += COPY_DATA_BYTES) {
        pass(4000); /* each has its own time */
        assert_int_equal(copy_heard(), COPY_WRITE);
        assert_int_equal(h.size, sizeof(w));
        memcpy(&w, body, sizeof(w));
        assert_true(w.offset == at);
        assert_int_equal(w.size, at ? 10000 - COPY_DATA_BYTES : COPY_DATA_BYTES);
        assert_int_equal(w.data[1], '0' + (at + 1) % 10);
        reply(h, IC_S_OK, body, 0);
    }
    assert_int_equal(copy_heard(), COPY_COMPLETE);
    assert_int_equal(done_count, 0);
    reply(h, IC_S_OK, body, 0);
    assert_int_equal(done_count, 1);
    assert_int_equal(last_error, 0);
    assert_true(silent());
    r.copy.name[1] = '/';
    assert_int_equal(ic_ask(ic, &r), -EINVAL);
    (void)close(fd);
    end();
}

/* Whatever goes wrong, the guest is told to forget what it has, and only then. */
static void test_copy_fails(void **state)
{
    int fd = file_of("x", 100);
    struct ic_request r = copy_of(fd, 1000); /* more than there is */

    begin(IC_COPY);
    choose(3, 1, 1);
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    (void)copy_heard();
    reply(h, IC_E_ALREADY_EXISTS, body, 0);
    assert_int_equal(last_error, -EREMOTEIO);
    assert_true(silent());
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    (void)copy_heard();
    reply(h, IC_S_OK, body, 0);
    assert_int_equal(last_error, -EIO);
    assert_int_equal(copy_heard(), COPY_CANCEL);
    reply(h, IC_S_OK, body, 0);
    assert_true(silent());
    assert_int_equal(ic_ask(ic, &r), 0);
    (void)run();
    (void)copy_heard();
    pass(5000);
    (void)run();
    assert_int_equal(last_error, -ETIMEDOUT);
    assert_true(silent());
    reply(h, IC_S_OK, body, 0); /* it did begin */
    assert_int_equal(copy_heard(), COPY_CANCEL);
    reply(h, IC_E_FAIL, body, 0);
    assert_true(silent());
    (void)close(fd);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kvp_list),    cmocka_unit_test(test_kvp_endless),
        cmocka_unit_test(test_kvp_set),     cmocka_unit_test(test_ip),
        cmocka_unit_test(test_freeze),      cmocka_unit_test(test_freeze_expires),
        cmocka_unit_test(test_freeze_late), cmocka_unit_test(test_copy),
        cmocka_unit_test(test_copy_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
