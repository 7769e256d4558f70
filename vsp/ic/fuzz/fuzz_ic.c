/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#define SHIM_QUEUE   64U
#define SHIM_PAYLOAD 8192U
#include "tests/unit/shim_channel.h"
#include "vsp/ic/ic_priv.h"

/*
 * A guest's packets against each service, without its thread. The first byte says which; then
 * records of RECORD bytes are packets, requests, or time that passes. Every request that was taken
 * ends once, and never two messages are under way.
 */

#define RECORD   32U
#define REQUESTS 64U

static struct ic *ic;
static struct vmbus_channel *channel;
static struct ic_request requests[REQUESTS];
static unsigned asked, ended;
static uint64_t clock_ns;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool true_always)
{
    if (!true_always)
        abort();
}

static uint64_t now(void *ctx)
{
    return clock_ns;
}

static int reference(void *ctx, uint64_t *time_100_ns)
{
    *time_100_ns = clock_ns / 100;
    return 0;
}

static void done(struct ic_request *r, int err)
{
    need(r->ctx == NULL);
    r->ctx = r;
    ended++;
}

static int pair(struct ic_request *r, const char *key, const char *value)
{
    need(strlen(key) < 1024 && strlen(value) < 4096);
    return 0;
}

static void run(void)
{
    (void)pthread_mutex_lock(&ic->lock);
    (void)ic_work(ic);
    (void)pthread_mutex_unlock(&ic->lock);
    ic_deliver(ic);
    need(channel->out_count <= 1);
}

/* p: kind, flags, then what the header is changed by, and bytes that the body begins with. */
static void packet(const uint8_t *p)
{
    struct shim_packet in = {.type = VMBUS_PACKET_INBAND}, asked_for = {0};
    struct icmsg_header h = {0};
    bool have = shim_get(channel, &asked_for, 0);

    if (have)
        in = asked_for;
    in.type = p[1] & 1 ? VMBUS_PACKET_DIRECT : VMBUS_PACKET_INBAND;
    memcpy(&h, in.data, sizeof(h));
    h.flags = p[1] & 2 ? p[2] : ICMSG_RESPONSE;
    h.type = (uint16_t)(h.type + (p[1] & 4 ? p[3] : 0));
    h.transaction = (uint8_t)(h.transaction + (p[1] & 8 ? p[4] : 0));
    memcpy(&h.status, p + 5, 4);
    if (!(p[1] & 16))
        h.status = IC_S_OK;
    memcpy(in.data, &h, sizeof(h));
    in.length = in.length + p[9] < SHIM_PAYLOAD && p[1] & 32 ? in.length + p[9] : in.length;
    if (p[1] & 64)
        in.length = p[9];
    memcpy(in.data + sizeof(h) + (p[10] & 0xF0) * 8U, p + 12, 20);
    need(shim_put(channel, &in));
    run();
}

static void ask(const uint8_t *p)
{
    static const char guid[] = "{0}";
    struct ic_request *r = &requests[asked];

    if (asked == REQUESTS)
        return;
    memset(r, 0, sizeof(*r));
    r->verb = p[1] % IC_VERBS;
    r->timeout_ms = p[2] * 16U;
    r->done = done;
    switch (ic_verb_kind(r->verb)) {
    case IC_KVP:
        if (r->verb == IC_ASK_IP_GET || r->verb == IC_ASK_IP_SET) {
            memcpy(r->ip.adapter, guid, sizeof(guid));
            memcpy(r->ip.address, p + 4, 20);
        } else {
            r->kvp.pool = p[3];
            r->kvp.pair = pair;
            memcpy(r->kvp.key, p + 4, 10);
            memcpy(r->kvp.value, p + 14, 10);
        }
        break;
    case IC_VSS:
        r->hold_ms = p[3] * 16U;
        break;
    case IC_COPY:
        r->copy.file = -1; /* nothing can be read from it */
        r->copy.size = p[3] & 1;
        memcpy(r->copy.name, p + 4, 10);
        memcpy(r->copy.folder, p + 14, 10);
        break;
    default:
        break;
    }
    asked += ic_ask(ic, r) == 0;
    run();
}

static void again(void)
{
    uint8_t buf[256];
    struct save_writer w = {buf, sizeof(buf), 0, 0};
    struct save_reader r;

    ic_forget(ic, -ECANCELED);
    ic_deliver(ic);
    ic_save(ic, &w);
    need(w.err == 0);
    r = (struct save_reader){.buf = buf, .size = w.len};
    need(ic_load(ic, &r) == 0);
    run();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ic_host host = {NULL, now, now, reference};

    if (size < 1)
        return 0;
    clock_ns = NS_PER_S;
    asked = ended = 0;
    need(ic_create(&ic, data[0] % IC_KINDS, &host) == 0);
    channel = shim_channel_new();
    ic->channel = channel;
    ic_begin(ic);
    run();
    for (size_t at = 1; at + RECORD <= size; at += RECORD) {
        clock_ns += data[at + 11] * 10 * NS_PER_MS;
        if (data[at] & 0x80)
            ask(data + at);
        else if ((data[at] & 0x70) == 0x70)
            again();
        else
            packet(data + at);
    }
    ic_forget(ic, -ENOTCONN);
    ic->channel = NULL;
    ic_deliver(ic);
    need(asked == ended);
    ic_destroy(ic);
    shim_channel_free(channel);
    return 0;
}
