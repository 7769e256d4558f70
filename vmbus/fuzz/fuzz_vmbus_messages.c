/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "vmbus/core/core.h"

/*
 * A hostile guest and a host that does as it likes: a byte says what happens, and bytes after it
 * what with. Now and then the core is saved and loaded; nothing may change by that.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 4096U

static struct vmbus_core *core;

struct input {
    const uint8_t *at;
    size_t left;
};

static void need(bool ok)
{
    if (!ok)
        abort();
}

static uint8_t byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static bool is_memory(void *ctx, uint64_t gpa, uint64_t length)
{
    return gpa < 1U << 20;
}

/* Some services are refused, some are not yet answered. */
static bool connect_take(void *ctx, const uint8_t endpoint[16], const uint8_t service[16])
{
    return service[0] & 1;
}

/* A message of a type, with words that are small more often than not: ids, counts, offsets. */
static void message(struct input *in)
{
    uint8_t bytes[256] = {byte(in)};
    uint8_t len = byte(in), connection = byte(in);

    for (unsigned i = 8; i < len; i += 4) {
        uint8_t v = byte(in);
        if (v < 0xF0)
            bytes[i] = v;
        else
            for (unsigned j = 0; j < 4 && i + j < len; j++)
                bytes[i + j] = byte(in);
    }
    (void)vmbus_core_message(core, connection & 1 ? 1 : 4, bytes, len);
}

/* Well-formed beginnings, so that states deep inside are found. */
static void contact(struct input *in)
{
    static const uint32_t versions[] = {VMBUS_VERSION_3_0, VMBUS_VERSION_4_1, VMBUS_VERSION_5_3,
                                        VMBUS_VERSION_6_0};
    struct vmbus_msg_initiate_contact2 m = {.contact.header.type = VMBUS_MSG_INITIATE_CONTACT};
    const struct vmbus_msg_header offers = {.type = VMBUS_MSG_REQUESTOFFERS};

    m.contact.version = versions[byte(in) % 4];
    m.contact.target_sint = 2;
    m.contact.features = byte(in);
    (void)vmbus_core_message(core, 4, &m, sizeof(m));
    (void)vmbus_core_message(core, 4, &offers, sizeof(offers));
}

static void open_channel(struct input *in)
{
    struct {
        struct vmbus_msg_gpadl_header h;
        uint32_t words[18];
    } g = {{.header.type = VMBUS_MSG_GPADL_HEADER, .range_bytes = 72, .range_count = 1},
           {8 * 4096, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0}};
    struct vmbus_msg_openchannel m = {.header.type = VMBUS_MSG_OPENCHANNEL, .downstream_offset = 4};

    g.h.relid = m.relid = byte(in);
    g.h.gpadl = m.ring_gpadl = byte(in);
    (void)vmbus_core_message(core, 4, &g, sizeof(g));
    (void)vmbus_core_message(core, 4, &m, sizeof(m));
}

static void effect(struct input *in)
{
    struct vmbus_core_channel_info info;
    struct vmbus_core_gpadl g;
    struct vmbus_effect e;
    int status = byte(in) & 3 ? 0 : -1;

    if (!vmbus_core_next(core, &e))
        return;
    if (e.kind == VMBUS_EFFECT_OPEN) {
        need(vmbus_core_channel(core, e.relid, &info) == 0);
        need(vmbus_core_gpadl(core, e.relid, info.params.gpadl, &g) == 0);
        need(g.range_count == 1 && info.params.downstream_offset + 2 < g.word_count);
        vmbus_core_open_done(core, e.relid, status);
    } else if (e.kind == VMBUS_EFFECT_CLOSE) {
        need(vmbus_core_channel(core, e.relid, &info) == 0);
        need(vmbus_core_gpadl(core, e.relid, info.params.gpadl, &g) == 0);
        vmbus_core_close_done(core, e.relid);
    } else if (e.kind == VMBUS_EFFECT_RETARGET) {
        vmbus_core_retarget_done(core, e.relid, status);
    }
}

static void take(unsigned count)
{
    const struct vmbus_core_post *p;

    while (count-- && (p = vmbus_core_post_peek(core)) != NULL) {
        need(p->length >= 8 && p->length <= VMBUS_MESSAGE_MAX && p->sint > 0 && p->sint < 16);
        vmbus_core_post_done(core);
    }
}

static void offer(struct input *in)
{
    struct vmbus_core_offer o = {.type = {1}};
    uint32_t relid;

    o.instance[0] = byte(in) & 15;
    (void)vmbus_core_offer(core, &o, &relid);
}

static void refuse(struct input *in)
{
    const uint8_t endpoint[16] = {byte(in)}, service[16] = {1};

    vmbus_core_refuse(core, endpoint, service);
}

static void save_and_load(void)
{
    static uint8_t one[1 << 22], two[1 << 22];
    struct save_writer w = {.buf = one, .size = sizeof(one)},
                       w2 = {.buf = two, .size = sizeof(two)};
    struct save_reader r = {.buf = one};
    struct vmbus_core *fresh;

    if (vmbus_core_save(core, &w) != 0)
        return; /* busy, or very large */
    r.size = w.len;
    need(vmbus_core_create_like(&fresh, core) == 0);
    need(vmbus_core_load(fresh, &r) == 0);
    need(vmbus_core_save(fresh, &w2) == 0);
    need(w.len == w2.len && memcmp(one, two, w.len) == 0);
    vmbus_core_destroy(core);
    core = fresh;
}

static void step(struct input *in)
{
    uint32_t relid;

    switch (byte(in) & 15) {
    default:
        message(in);
        break;
    case 0:
        contact(in);
        break;
    case 1:
        open_channel(in);
        break;
    case 2:
    case 3:
        effect(in);
        break;
    case 4:
        take(byte(in));
        break;
    case 5:
        offer(in);
        break;
    case 6:
        (void)vmbus_core_offer_sub(core, byte(in), &relid);
        break;
    case 7:
        vmbus_core_revoke(core, byte(in));
        break;
    case 8:
        save_and_load();
        break;
    case 9:
        if (byte(in) == 0)
            vmbus_core_reset(core);
        break;
    case 10:
        refuse(in);
        break;
    }
}

/* Whatever has been: if the host does its work, a guest can come and go. */
static void end(void)
{
    static const uint8_t answers[] = {1};
    struct vmbus_core_stats s;
    struct input in;

    vmbus_core_reset(core);
    for (unsigned i = 0; i < 3 * VMBUS_CHANNELS_MAX; i++) {
        in = (struct input){answers, sizeof(answers)};
        effect(&in);
    }
    need(vmbus_core_quiet(core));
    vmbus_core_stats(core, &s);
    need(s.gpadls == 0 && s.gpadl_pages == 0 && s.open == 0);
    need(!vmbus_core_post_peek(core));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vmbus_core_config c = {0, 4, is_memory, NULL};
    struct input in = {data, size};

    need(vmbus_core_create(&core, &c) == 0);
    vmbus_core_listen(core, connect_take, NULL);
    for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++)
        step(&in);
    end();
    vmbus_core_destroy(core);
    return 0;
}
