/* SPDX-License-Identifier: MIT */
#include "vsp/network/nvsp.h"
#include "lib/bits.h"
#include "lib/string.h"

/* Scattered pieces of a message that the guest may use; only said, and kept to by nobody. */
#define MDL_CHAIN_MAX 34U

struct operation {
    uint32_t type;
    uint32_t version; /* that brought it; 0: before there is one */
    uint32_t size;    /* of what follows the type */
    bool primary_only;
    void (*run)(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r);
};

static const uint32_t versions[] = {NVSP_VERSION_6_1, NVSP_VERSION_6, NVSP_VERSION_5,
                                    NVSP_VERSION_4,   NVSP_VERSION_2, NVSP_VERSION_1};

static void reply(struct nvsp_result *r, uint32_t type, const void *payload, size_t size)
{
    memset(&r->reply, 0, sizeof(r->reply));
    r->reply.type = type;
    memcpy(r->reply.payload, payload, size);
}

static void reply_status(struct nvsp_result *r, uint32_t type, uint32_t status)
{
    const struct nvsp_status_only s = {status};

    reply(r, type, &s, sizeof(s));
}

/* Linux asks for one version after the other, others for a range. A guest may begin anew: a crash
 * kernel does, after it has opened the channel again. */
static void init(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    struct nvsp_init_complete done = {0, MDL_CHAIN_MAX, NVSP_STATUS_UNSUPPORTED};
    struct nvsp_init wish;

    memcpy(&wish, payload, sizeof(wish));
    for (unsigned i = 0; i < ARRAY_SIZE(versions) && !done.version; i++)
        if (wish.version_min <= versions[i] && versions[i] <= wish.version_max)
            done.version = versions[i];
    if (done.version) {
        done.status = NVSP_STATUS_SUCCESS;
        p->state = NVSP_STATE_VERSIONED;
        p->version = done.version;
        p->mtu = 0;
        p->capabilities = 0;
    }
    reply(r, NVSP_INIT_COMPLETE, &done, sizeof(done));
}

static void ndis_version(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    reply_status(r, NVSP_INIT_COMPLETE, NVSP_STATUS_SUCCESS);
}

static void ndis_config(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    struct nvsp_ndis_config config;

    memcpy(&config, payload, sizeof(config));
    p->mtu = config.mtu;
    p->capabilities = config.capabilities;
    reply_status(r, NVSP_INIT_COMPLETE, NVSP_STATUS_SUCCESS);
}

static void buffer_take(const uint8_t *payload, struct nvsp_result *r)
{
    struct nvsp_send_buffer b;

    memcpy(&b, payload, sizeof(b));
    r->gpadl = b.gpadl;
    r->id = b.id;
}

static void receive_buffer(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    buffer_take(payload, r);
    r->action = NVSP_DO_RECEIVE_BUFFER;
    reply_status(r, NVSP_SEND_RECEIVE_BUFFER_COMPLETE, NVSP_STATUS_FAIL);
}

static void send_buffer(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    buffer_take(payload, r);
    r->action = NVSP_DO_SEND_BUFFER;
    reply_status(r, NVSP_SEND_SEND_BUFFER_COMPLETE, NVSP_STATUS_FAIL);
}

/* These want no answer; older guests ask for one all the same, of no type in particular. */
static void receive_revoke(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    memcpy(&r->id, payload, sizeof(r->id));
    r->action = NVSP_DO_RECEIVE_REVOKE;
    reply_status(r, NVSP_SEND_RECEIVE_BUFFER_COMPLETE, NVSP_STATUS_SUCCESS);
}

static void send_revoke(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    memcpy(&r->id, payload, sizeof(r->id));
    r->action = NVSP_DO_SEND_REVOKE;
    reply_status(r, NVSP_SEND_SEND_BUFFER_COMPLETE, NVSP_STATUS_SUCCESS);
}

static void rndis(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    memcpy(&r->rndis, payload, sizeof(r->rndis));
    r->action = NVSP_DO_RNDIS;
    reply_status(r, NVSP_SEND_RNDIS_PACKET_COMPLETE, NVSP_STATUS_FAIL);
}

/* There is no other path than this. */
static void data_path(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    reply_status(r, NVSP_SWITCH_DATA_PATH, NVSP_STATUS_SUCCESS);
}

static void subchannels(struct nvsp *p, const uint8_t *payload, struct nvsp_result *r)
{
    struct nvsp_subchannel_request wish;

    memcpy(&wish, payload, sizeof(wish));
    reply_status(r, NVSP_SUBCHANNEL, NVSP_STATUS_FAIL);
    if (wish.operation != NVSP_SUBCHANNEL_ALLOCATE || wish.count == 0)
        return;
    r->action = NVSP_DO_SUBCHANNELS;
    r->count = wish.count;
}

static const struct operation operations[] = {
    {NVSP_INIT, 0, sizeof(struct nvsp_init), true, init},
    {NVSP_SEND_NDIS_VERSION, NVSP_VERSION_1, sizeof(struct nvsp_ndis_version), true, ndis_version},
    {NVSP_SEND_RECEIVE_BUFFER, NVSP_VERSION_1, sizeof(struct nvsp_send_buffer), true,
     receive_buffer},
    {NVSP_REVOKE_RECEIVE_BUFFER, NVSP_VERSION_1, sizeof(uint16_t), true, receive_revoke},
    {NVSP_SEND_SEND_BUFFER, NVSP_VERSION_1, sizeof(struct nvsp_send_buffer), true, send_buffer},
    {NVSP_REVOKE_SEND_BUFFER, NVSP_VERSION_1, sizeof(uint16_t), true, send_revoke},
    {NVSP_SEND_RNDIS_PACKET, NVSP_VERSION_1, sizeof(struct nvsp_rndis_packet), false, rndis},
    {NVSP_SEND_NDIS_CONFIG, NVSP_VERSION_2, sizeof(struct nvsp_ndis_config), true, ndis_config},
    {NVSP_SWITCH_DATA_PATH, NVSP_VERSION_4, sizeof(struct nvsp_data_path), true, data_path},
    {NVSP_SUBCHANNEL, NVSP_VERSION_5, sizeof(struct nvsp_subchannel_request), true, subchannels},
};

static const struct operation *find(const struct nvsp *p, bool primary, uint32_t type,
                                    uint32_t size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
        const struct operation *o = &operations[i];
        if (o->type != type)
            continue;
        if (size < o->size || (o->primary_only && !primary) || p->version < o->version)
            return NULL;
        return o;
    }
    return NULL;
}

void nvsp_packet(struct nvsp *p, bool primary, const void *data, uint32_t length,
                 struct nvsp_result *result)
{
    const struct operation *o = NULL;
    uint32_t type = 0;

    *result = (struct nvsp_result){.action = NVSP_DO_REPLY};
    if (p->state != NVSP_STATE_BROKEN && length >= sizeof(type)) {
        memcpy(&type, data, sizeof(type));
        o = find(p, primary, type, length - (uint32_t)sizeof(type));
    }
    if (!o) {
        p->state = NVSP_STATE_BROKEN;
        result->action = NVSP_DO_BREAK;
        return;
    }
    /* Guests want an answer as long as what they have sent. */
    result->reply_length =
        (uint32_t)max_u64(NVSP_MESSAGE_SIZE_OLD, min_u64(length, sizeof(result->reply)));
    o->run(p, (const uint8_t *)data + sizeof(type), result);
}

void nvsp_receive_done(struct nvsp_result *result, uint32_t piece_size, uint32_t count)
{
    const struct nvsp_receive_buffer_complete done = {NVSP_STATUS_SUCCESS, 1, 0, piece_size, count,
                                                      piece_size * count};

    reply(result, NVSP_SEND_RECEIVE_BUFFER_COMPLETE, &done, sizeof(done));
}

void nvsp_send_done(struct nvsp_result *result, uint32_t section_size)
{
    const struct nvsp_send_buffer_complete done = {NVSP_STATUS_SUCCESS, section_size};

    reply(result, NVSP_SEND_SEND_BUFFER_COMPLETE, &done, sizeof(done));
}

void nvsp_subchannels_done(struct nvsp_result *result, uint32_t count)
{
    const struct nvsp_subchannel_complete done = {NVSP_STATUS_SUCCESS, count};

    reply(result, NVSP_SUBCHANNEL, &done, sizeof(done));
}

void nvsp_rndis_done(struct nvsp_result *result, enum nvsp_status status)
{
    reply_status(result, NVSP_SEND_RNDIS_PACKET_COMPLETE, status);
}

uint32_t nvsp_rndis_message(const struct nvsp *p, uint32_t channel_type,
                            struct nvsp_message *message)
{
    const struct nvsp_rndis_packet rndis_packet = {channel_type, NVSP_SECTION_NONE, 0};

    *message = (struct nvsp_message){.type = NVSP_SEND_RNDIS_PACKET};
    memcpy(message->payload, &rndis_packet, sizeof(rndis_packet));
    return p->version >= NVSP_VERSION_6_1 ? (uint32_t)sizeof(*message) : NVSP_MESSAGE_SIZE_OLD;
}

void nvsp_table_message(uint32_t channels, uint8_t *message)
{
    const uint32_t type = NVSP_SEND_INDIRECTION_TABLE;
    struct nvsp_indirection_table table = {.count = NVSP_TABLE_ENTRIES};

    table.offset = (uint32_t)(sizeof(type) + offsetof(struct nvsp_indirection_table, entry));
    for (uint32_t i = 0; i < NVSP_TABLE_ENTRIES; i++)
        table.entry[i] = i % channels;
    memcpy(message, &type, sizeof(type));
    memcpy(message + sizeof(type), &table, sizeof(table));
}
