/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_vmbus.h"

/* Channels and GPADLs of the core, and that it can be saved. Channel `a` is offered in each. */
static uint32_t a;

static int setup(void **state)
{
    shim_core(0);
    a = host_offer(1);
    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_offers(1);
    return 0;
}

static int teardown(void **state)
{
    vmbus_core_destroy(core);
    return 0;
}

static void test_gpadl(void **state)
{
    struct vmbus_core_gpadl g;

    guest_gpadl(a, 5, 26); /* all in the header */
    assert_int_equal(vmbus_core_gpadl(core, a, 5, &g), 0);
    assert_int_equal(g.range_count, 1);
    assert_int_equal(g.word_count, 27);
    assert_int_equal(g.words[0], 26 * 4096);
    assert_int_equal(g.words[26], 0x100 + 25);
    guest_gpadl(a, 6, 8190); /* as large as one can be: 293 messages */
    assert_int_equal(vmbus_core_gpadl(core, a, 6, &g), 0);
    assert_int_equal(g.words[8190], 0x100 + 8189);
    assert_int_equal(stats().gpadls, 2);
    assert_int_equal(stats().gpadl_pages, 27 + 8191);
    assert_int_equal(vmbus_core_gpadl(core, a + 1, 6, &g), -ENOENT);
    guest_teardown(a, 6);
    guest_torndown(6);
    assert_int_equal(vmbus_core_gpadl(core, a, 6, &g), -ENOENT);
    guest_teardown(a, 6); /* there is none */
    guest_silent();
    assert_int_equal(stats().illegal, 1);
    assert_int_equal(stats().gpadl_pages, 27);
}

/* Post a GPADL of these words in one message; `bytes` and `ranges` are what it says of them. */
static void gpadl_words(uint32_t id, uint16_t bytes, uint16_t ranges, const uint64_t *words,
                        size_t count)
{
    struct vmbus_msg_gpadl_header h = {.header.type = VMBUS_MSG_GPADL_HEADER,
                                       .relid = a,
                                       .gpadl = id,
                                       .range_bytes = bytes,
                                       .range_count = ranges};
    uint8_t message[VMBUS_MESSAGE_MAX];

    memcpy(message, &h, sizeof(h));
    memcpy(message + sizeof(h), words, count * 8);
    assert_int_equal(guest_post(message, sizeof(h) + count * 8), 0);
}

#define RANGE(length, offset) ((uint64_t)(offset) << 32 | (length))

static void test_gpadl_ranges(void **state)
{
    static const uint64_t two[] = {RANGE(100, 4090), 7, 8, RANGE(4096, 0), 9};
    struct vmbus_core_gpadl g;

    gpadl_words(1, sizeof(two), 2, two, ARRAY_SIZE(two));
    guest_created(a, 1, 0);
    assert_int_equal(vmbus_core_gpadl(core, a, 1, &g), 0);
    assert_int_equal(g.range_count, 2);
    assert_memory_equal(g.words, two, sizeof(two));
    /* A guest that fills up its messages: only what was announced counts. */
    gpadl_words(2, 16, 1, (const uint64_t[]){RANGE(10, 0), 3, 0xDEAD, 0xDEAD}, 4);
    guest_created(a, 2, 0);
    gpadl_words(1, sizeof(two), 2, two, ARRAY_SIZE(two)); /* the id is taken */
    guest_created(a, 1, VMBUS_STATUS_INVALID_PARAMETER);
    assert_int_equal(vmbus_core_gpadl(core, a, 1, &g), 0);
}

static void test_gpadl_bad(void **state)
{
    static const struct {
        uint16_t bytes;
        uint16_t ranges;
        uint64_t words[4];
    } bad[] = {
        {0, 1, {0}},
        {8, 1, {RANGE(10, 0)}},
        {17, 1, {RANGE(10, 0), 1}},
        {16, 0, {RANGE(10, 0), 1}},
        {16, 1, {RANGE(0, 0), 1}},
        {16, 1, {RANGE(10, 4096), 1}},
        {16, 1, {RANGE(10, 4090), 1}}, /* two pages, one given */
        {24, 1, {RANGE(10, 0), 1, 2}}, /* one page, two given */
        {16, 2, {RANGE(10, 0), 1}},    /* the second range is missing */
        {32, 2, {RANGE(10, 0), 1, RANGE(0, 0), 2}},
        {16, 1, {RANGE(0xFFFFFFFF, 4095), 1}},
        {16, 1, {RANGE(10, 0), MEMORY_PAGES}},
        {16, 1, {RANGE(10, 0), 1ULL << 52}}, /* times the size of a page it is 0 */
        {16, 1, {RANGE(10, 0), UINT64_MAX}},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        gpadl_words(9, bad[i].bytes, bad[i].ranges, bad[i].words, 4);
        guest_created(a, 9, VMBUS_STATUS_INVALID_PARAMETER);
        guest_silent();
    }
    assert_int_equal(stats().gpadls, 0);
    assert_int_equal(stats().gpadl_pages, 0);
}

static void test_gpadl_collecting(void **state)
{
    const uint64_t words[] = {RANGE(3 * 4096, 0), 1};
    struct {
        struct vmbus_msg_gpadl_body h;
        uint64_t pfn[2];
    } body = {{.header.type = VMBUS_MSG_GPADL_BODY, .gpadl = 4}, {2, 3}};
    struct vmbus_core_gpadl g;

    gpadl_words(4, 32, 1, words, 2);
    guest_silent();
    assert_int_equal(vmbus_core_gpadl(core, a, 4, &g), -ENOENT);
    assert_int_equal(guest_post(&body, sizeof(body.h)), 0); /* adds nothing */
    assert_int_equal(guest_post(&body, sizeof(body)), 0);
    guest_created(a, 4, 0);
    assert_int_equal(guest_post(&body, sizeof(body)), 0); /* it was whole */
    guest_silent();
    body.h.gpadl = 5;
    assert_int_equal(guest_post(&body, sizeof(body)), 0);
    assert_int_equal(stats().illegal, 2);
    gpadl_words(6, 32, 1, words, 2);
    guest_teardown(a, 6); /* given up in the middle */
    guest_torndown(6);
}

static void test_gpadl_bounds(void **state)
{
    uint32_t id = 1;

    /* Pages: 8190 a GPADL. */
    while (stats().gpadl_pages + 8191 <= VMBUS_GPADL_PAGES_MAX)
        guest_gpadl(a, id++, 8190);
    guest_gpadl_post(a, id, 8190, 0x100);
    guest_created(a, id, VMBUS_STATUS_INSUFFICIENT_RESOURCES);
    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_offers(1);
    assert_int_equal(stats().gpadl_pages, 0);
    for (id = 1; id <= VMBUS_GPADLS_MAX; id++)
        guest_gpadl(a, id, 1);
    guest_gpadl_post(a, id, 1, 0x100);
    guest_created(a, id, VMBUS_STATUS_INSUFFICIENT_RESOURCES);
}

static void test_open_close(void **state)
{
    struct vmbus_core_channel_info i;

    guest_gpadl(a, 7, 16);
    guest_open_post(a, 7, 10, 3);
    guest_silent();
    effect(VMBUS_EFFECT_OPEN, a);
    assert_int_equal(vmbus_core_channel(core, a, &i), 0);
    assert_false(i.open);
    assert_int_equal(i.params.gpadl, 7);
    assert_int_equal(i.params.downstream_offset, 10);
    assert_int_equal(i.params.target_vp, 3);
    assert_int_equal(i.params.connection_id, 0x2000 + a);
    assert_int_equal(i.params.event_flag, a);
    assert_int_equal(i.params.user_data[0], 0xAB);
    guest_open_post(a, 7, 10, 3); /* twice */
    guest_open_result(a, VMBUS_STATUS_UNSUCCESSFUL);
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a); /* too early */
    effect_none();
    vmbus_core_open_done(core, a, 0);
    guest_open_result(a, 0);
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a);
    guest_teardown(a, 7);
    guest_silent(); /* the VSP still has the rings */
    effect(VMBUS_EFFECT_CLOSE, a);
    guest_silent();
    vmbus_core_close_done(core, a);
    guest_torndown(7);
    guest_silent();
    guest_open(a, 7);
    guest_relid(VMBUS_MSG_RELID_RELEASED, a); /* it is open */
    guest_relid(VMBUS_MSG_CLOSECHANNEL, 99);
    assert_int_equal(stats().illegal, 4);
}

static void test_open_refused_by_vsp(void **state)
{
    guest_gpadl(a, 7, 8);
    guest_open_post(a, 7, 4, 0);
    effect(VMBUS_EFFECT_OPEN, a);
    vmbus_core_open_done(core, a, -ENOMEM);
    guest_open_result(a, VMBUS_STATUS_UNSUCCESSFUL);
    guest_teardown(a, 7);
    guest_torndown(7);
    guest_open(a, 7);
}

static void test_open_bad(void **state)
{
    static const struct {
        uint32_t gpadl, downstream, vp;
    } bad[] = {{8, 4, 0}, {7, 0, 0}, {7, 1, 0}, {7, 7, 0},          {7, 8, 0},
               {7, 9, 0}, {7, 4, 4}, {5, 2, 0}, {7, 0xFFFFFFFF, 0}, {6, 2, 0}};
    static const uint64_t odd[] = {RANGE(3 * 4096, 1), 1, 2, 3, 4};
    static const uint64_t two[] = {RANGE(2 * 4096, 0), 1, 2, RANGE(2 * 4096, 0), 3, 4};

    guest_gpadl(a, 7, 8);
    gpadl_words(5, sizeof(odd), 1, odd, ARRAY_SIZE(odd));
    guest_created(a, 5, 0);
    gpadl_words(6, sizeof(two), 2, two, ARRAY_SIZE(two));
    guest_created(a, 6, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        guest_open_post(a, bad[i].gpadl, bad[i].downstream, bad[i].vp);
        guest_open_result(a, VMBUS_STATUS_INVALID_PARAMETER);
    }
    effect_none();
    guest_open_post(99, 7, 4, 0);
    guest_open_result(99, VMBUS_STATUS_UNSUCCESSFUL);
    guest_open_post(a, 7, 4, VMBUS_VP_NO_INTERRUPT);
    effect(VMBUS_EFFECT_OPEN, a);
}

/* A GPADL belongs to one channel, and to one pair of rings. */
static void test_open_foreign(void **state)
{
    uint32_t b = host_offer(2);

    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    guest_open(a, 7);
    guest_open_post(b, 7, 4, 0);
    guest_open_result(b, VMBUS_STATUS_INVALID_PARAMETER);
    guest_teardown(b, 7);
    guest_silent();
}

/* There is no answer to a close, so a guest may be quicker than the VSP. */
static void test_reopen(void **state)
{
    guest_open(a, 7);
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a);
    effect(VMBUS_EFFECT_CLOSE, a);
    guest_gpadl(a, 8, 8);
    guest_open_post(a, 8, 4, 0);
    guest_silent();
    guest_open_post(a, 8, 4, 0);
    guest_open_result(a, VMBUS_STATUS_UNSUCCESSFUL);
    vmbus_core_close_done(core, a);
    effect(VMBUS_EFFECT_OPEN, a);
    vmbus_core_open_done(core, a, 0);
    guest_open_result(a, 0);
}

static void test_retarget(void **state)
{
    struct vmbus_msg_modifychannel m = {
        .header.type = VMBUS_MSG_MODIFYCHANNEL, .relid = a, .target_vp = 3};
    struct vmbus_core_channel_info i;

    guest_open(a, 7);
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    guest_silent();
    effect(VMBUS_EFFECT_RETARGET, a);
    assert_int_equal(vmbus_core_channel(core, a, &i), 0);
    assert_int_equal(i.params.target_vp, 3);
    vmbus_core_retarget_done(core, a, 0);
    {
        GUEST_TAKE(r, vmbus_msg_modifychannel_response, VMBUS_MSG_MODIFYCHANNEL_RESPONSE);
        assert_int_equal(r.relid, a);
        assert_int_equal(r.status, 0);
    }
    m.target_vp = VPS;
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    {
        GUEST_TAKE(r, vmbus_msg_modifychannel_response, VMBUS_MSG_MODIFYCHANNEL_RESPONSE);
        assert_int_equal(r.status, VMBUS_STATUS_INVALID_PARAMETER);
    }
    /* Overtaken by a close. */
    m.target_vp = 1;
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    effect(VMBUS_EFFECT_RETARGET, a);
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a);
    effect(VMBUS_EFFECT_CLOSE, a);
    vmbus_core_close_done(core, a);
    assert_false(vmbus_core_quiet(core));
    vmbus_core_retarget_done(core, a, 0);
    assert_true(vmbus_core_quiet(core));
    guest_silent();
}

static void test_guest_signals(void **state)
{
    struct vmbus_msg_openchannel2 m = {.open = {.header.type = VMBUS_MSG_OPENCHANNEL,
                                                .relid = a,
                                                .open_id = a + 1000,
                                                .ring_gpadl = 7,
                                                .downstream_offset = 4},
                                       .connection_id = 0x9999,
                                       .event_flag = 700};
    static const uint32_t bad[] = {0, 1, 4, 0x1000000, 0x2002};
    struct vmbus_core_channel_info i;
    uint32_t b = host_offer(2);

    guest_connect(VMBUS_VERSION_6_0, VMBUS_FEATURE_GUEST_SIGNALS);
    guest_offers(2);
    guest_open(b, 8); /* the short message, with what was offered */
    guest_gpadl(a, 7, 8);
    for (unsigned n = 0; n < ARRAY_SIZE(bad); n++) {
        m.connection_id = bad[n];
        assert_int_equal(guest_post(&m, sizeof(m)), 0);
        guest_open_result(a, VMBUS_STATUS_INVALID_PARAMETER);
    }
    m.connection_id = 0x9999;
    m.event_flag = 2048;
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    guest_open_result(a, VMBUS_STATUS_INVALID_PARAMETER);
    m.event_flag = 700;
    assert_int_equal(guest_post(&m, sizeof(m)), 0);
    effect(VMBUS_EFFECT_OPEN, a);
    assert_int_equal(vmbus_core_channel(core, a, &i), 0);
    assert_int_equal(i.params.connection_id, 0x9999);
    assert_int_equal(i.params.event_flag, 700);
}

static void test_subs(void **state)
{
    uint32_t s1, s2, s3;

    assert_int_equal(vmbus_core_offer_sub(core, a, &s1), -EINVAL);
    guest_open(a, 7);
    assert_int_equal(vmbus_core_offer_sub(core, a, &s1), 0);
    assert_int_equal(vmbus_core_offer_sub(core, a, &s2), 0);
    {
        GUEST_TAKE(m, vmbus_msg_offerchannel, VMBUS_MSG_OFFERCHANNEL);
        assert_int_equal(m.sub_channel_index, 1);
        assert_int_equal(m.relid, s1);
        assert_memory_equal(m.type, "\1\2\3\4", 4);
        assert_int_equal(m.instance[0], 1);
    }
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    assert_int_equal(vmbus_core_offer_sub(core, s1, &s3), -EINVAL);
    guest_open(s1, 8);
    /* Linux closes sub-channels first, then the primary; they are withdrawn then. */
    guest_relid(VMBUS_MSG_CLOSECHANNEL, s1);
    effect(VMBUS_EFFECT_CLOSE, s1);
    vmbus_core_close_done(core, s1);
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a);
    effect(VMBUS_EFFECT_CLOSE, a);
    vmbus_core_close_done(core, a);
    for (int i = 0; i < 2; i++) {
        GUEST_TAKE(m, vmbus_msg_relid, VMBUS_MSG_RESCIND);
        assert_int_equal(m.relid, i ? s2 : s1);
    }
    guest_relid(VMBUS_MSG_RELID_RELEASED, s1);
    effect(VMBUS_EFFECT_RELEASED, s1);
    guest_relid(VMBUS_MSG_RELID_RELEASED, s2);
    effect(VMBUS_EFFECT_RELEASED, s2);
    guest_silent();
    guest_teardown(a, 7);
    guest_torndown(7);
    guest_open(a, 7);
    assert_int_equal(vmbus_core_offer_sub(core, a, &s1), 0);
    {
        GUEST_TAKE(m, vmbus_msg_offerchannel, VMBUS_MSG_OFFERCHANNEL);
        assert_int_equal(m.sub_channel_index, 1);
    }
}

/* A guest that closes the primary while a sub-channel is open. */
static void test_subs_forced(void **state)
{
    uint32_t s;

    guest_open(a, 7);
    assert_int_equal(vmbus_core_offer_sub(core, a, &s), 0);
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    guest_open(s, 8);
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a);
    effect(VMBUS_EFFECT_CLOSE, a);
    vmbus_core_close_done(core, a);
    guest_silent();
    effect(VMBUS_EFFECT_CLOSE, s);
    vmbus_core_close_done(core, s);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    guest_contact(VMBUS_VERSION_5_3, 0); /* instead of letting it go */
    effect(VMBUS_EFFECT_RELEASED, s);
    (void)guest_take(VMBUS_MSG_VERSION_RESPONSE, 16);
    guest_offers(1);
}

static void test_revoke(void **state)
{
    struct vmbus_core_channel_info i;
    uint32_t b = host_offer(2);

    vmbus_core_revoke(core, b); /* before the guest has seen it */
    guest_silent();
    effect(VMBUS_EFFECT_RELEASED, b);
    guest_open(a, 7);
    vmbus_core_revoke(core, a);
    vmbus_core_revoke(core, a);
    guest_silent(); /* the VSP closes first */
    effect(VMBUS_EFFECT_CLOSE, a);
    vmbus_core_close_done(core, a);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a); /* as Linux does */
    guest_teardown(a, 7);
    guest_torndown(7);
    guest_gpadl_post(a, 8, 8, 0x100);
    guest_created(a, 8, VMBUS_STATUS_INVALID_PARAMETER);
    guest_open_post(a, 7, 4, 0);
    guest_open_result(a, VMBUS_STATUS_UNSUCCESSFUL);
    effect_none();
    assert_int_equal(host_offer(1), b); /* the old one still has its id */
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    guest_relid(VMBUS_MSG_RELID_RELEASED, a);
    effect(VMBUS_EFFECT_RELEASED, a);
    assert_int_equal(vmbus_core_channel(core, a, &i), -ENOENT);
    guest_relid(VMBUS_MSG_RELID_RELEASED, a);
    guest_silent();
}

static void test_revoke_while_opening(void **state)
{
    guest_gpadl(a, 7, 8);
    guest_open_post(a, 7, 4, 0);
    effect(VMBUS_EFFECT_OPEN, a);
    vmbus_core_revoke(core, a);
    guest_silent();
    vmbus_core_open_done(core, a, 0);
    guest_open_result(a, VMBUS_STATUS_UNSUCCESSFUL);
    effect(VMBUS_EFFECT_CLOSE, a);
    vmbus_core_close_done(core, a);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
}

static void test_revoke_before_opening(void **state)
{
    guest_gpadl(a, 7, 8);
    guest_open_post(a, 7, 4, 0);
    vmbus_core_revoke(core, a);
    effect_none();
    guest_open_result(a, VMBUS_STATUS_UNSUCCESSFUL);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    assert_true(vmbus_core_quiet(core));
}

/* It wants the channel once more, and the VSP has not closed it yet: every open is answered. */
static void test_revoke_before_reopening(void **state)
{
    guest_open(a, 7);
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a);
    effect(VMBUS_EFFECT_CLOSE, a);
    guest_gpadl(a, 8, 8);
    guest_open_post(a, 8, 4, 0);
    vmbus_core_revoke(core, a);
    guest_open_result(a, VMBUS_STATUS_UNSUCCESSFUL);
    guest_silent();
    vmbus_core_close_done(core, a);
    (void)guest_take(VMBUS_MSG_RESCIND, 12);
    effect_none();
}

/* A guest that lets go of a channel which is still offered hears of it when it comes again. */
static void test_released(void **state)
{
    guest_gpadl(a, 7, 8);
    guest_relid(VMBUS_MSG_RELID_RELEASED, a);
    effect_none();
    assert_int_equal(stats().gpadls, 0);
    guest_open_post(a, 7, 4, 0);
    guest_open_result(a, VMBUS_STATUS_UNSUCCESSFUL);
    guest_connect(VMBUS_VERSION_5_3, 0);
    guest_offers(1);
}

/* Answers to what was never asked change nothing. */
static void test_answers_unasked(void **state)
{
    vmbus_core_open_done(core, a, 0);
    vmbus_core_close_done(core, a);
    vmbus_core_retarget_done(core, a, 0);
    vmbus_core_open_done(core, 0, 0);
    vmbus_core_close_done(core, 0xFFFFFFFF);
    vmbus_core_revoke(core, 12345);
    guest_silent();
    guest_open(a, 7);
    vmbus_core_open_done(core, a, -EIO);
    vmbus_core_close_done(core, a);
    guest_silent();
    assert_int_equal(stats().open, 1);
}

static uint8_t one[1 << 20], two[1 << 20];

static size_t save(uint8_t *buf)
{
    struct save_writer w = {.buf = buf, .size = sizeof(one)};

    assert_int_equal(vmbus_core_save(core, &w), 0);
    return w.len;
}

static int load(const uint8_t *buf, size_t len)
{
    struct save_reader r = {.buf = buf, .size = len};
    struct vmbus_core *fresh;
    int err;

    assert_int_equal(vmbus_core_create_like(&fresh, core), 0);
    err = vmbus_core_load(fresh, &r);
    if (err) {
        vmbus_core_destroy(fresh);
        return err;
    }
    vmbus_core_destroy(core);
    core = fresh;
    return 0;
}

static void test_save(void **state)
{
    const uint64_t words[] = {RANGE(3 * 4096, 0), 1};
    struct vmbus_core_channel_info before, after;
    struct vmbus_core_gpadl g;
    uint32_t s;
    size_t len;

    guest_open(a, 7);
    assert_int_equal(vmbus_core_offer_sub(core, a, &s), 0);
    (void)host_offer(3);
    guest_gpadl_post(a, 8, 300, 0x100);
    gpadl_words(4, 32, 1, words, 2); /* goes on after the load */
    assert_int_equal(vmbus_core_channel(core, a, &before), 0);
    len = save(one);
    assert_int_equal(load(one, len), 0);
    assert_int_equal(save(two), len);
    assert_memory_equal(one, two, len);
    assert_int_equal(vmbus_core_channel(core, a, &after), 0);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(vmbus_core_gpadl(core, a, 8, &g), 0);
    assert_int_equal(stats().gpadl_pages, 9 + 301 + 4);
    guest_created(a, 8, 0);
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    (void)guest_take(VMBUS_MSG_OFFERCHANNEL, 196);
    guest_silent();
    guest_teardown(a, 7); /* it is in use */
    guest_silent();
    guest_relid(VMBUS_MSG_CLOSECHANNEL, a);
    effect(VMBUS_EFFECT_CLOSE, a);
    vmbus_core_close_done(core, a);
    guest_torndown(7);
}

static void test_save_busy(void **state)
{
    struct save_writer w = {.buf = one, .size = sizeof(one)};
    struct save_reader r = {.buf = one, .size = 0};

    assert_int_equal(vmbus_core_load(core, &r), -EBUSY); /* there are channels */
    guest_gpadl(a, 7, 8);
    guest_open_post(a, 7, 4, 0);
    assert_int_equal(vmbus_core_save(core, &w), -EBUSY);
    effect(VMBUS_EFFECT_OPEN, a);
    assert_int_equal(vmbus_core_save(core, &w), -EBUSY);
    vmbus_core_open_done(core, a, 0);
    w.size = 100;
    assert_int_equal(vmbus_core_save(core, &w), -ENOSPC);
}

/* Each byte of a saved state changed, and each shorter one: refused, or a state that works. */
static void test_save_damaged(void **state)
{
    size_t len;

    guest_open(a, 7);
    (void)host_offer(2);
    len = save(one);
    for (size_t i = 0; i < len; i++)
        assert_int_not_equal(load(one, i), 0);
    for (size_t i = 0; i < len; i++) {
        memcpy(two, one, len);
        two[i] ^= (uint8_t)(1U << i % 8);
        if (load(two, len) == 0) {
            (void)save(two);
            while (vmbus_core_post_peek(core))
                vmbus_core_post_done(core);
        }
        assert_int_equal(load(one, len), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_gpadl),
        TEST(test_gpadl_ranges),
        TEST(test_gpadl_bad),
        TEST(test_gpadl_collecting),
        TEST(test_gpadl_bounds),
        TEST(test_open_close),
        TEST(test_open_refused_by_vsp),
        TEST(test_open_bad),
        TEST(test_open_foreign),
        TEST(test_reopen),
        TEST(test_retarget),
        TEST(test_guest_signals),
        TEST(test_subs),
        TEST(test_subs_forced),
        TEST(test_revoke),
        TEST(test_revoke_while_opening),
        TEST(test_revoke_before_opening),
        TEST(test_revoke_before_reopening),
        TEST(test_released),
        TEST(test_answers_unasked),
        TEST(test_save),
        TEST(test_save_busy),
        TEST(test_save_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
