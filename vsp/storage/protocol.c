/* SPDX-License-Identifier: MIT */
#include "vsp/storage/protocol.h"
#include "lib/bits.h"
#include "lib/string.h"

/* The states in which an operation is allowed. */
#define IN_NEW       BIT(PROTOCOL_NEW)
#define IN_BEGUN     BIT(PROTOCOL_BEGUN)
#define IN_VERSIONED BIT(PROTOCOL_VERSIONED)
#define IN_READY     BIT(PROTOCOL_READY)
#define IN_ANY       (IN_NEW | IN_BEGUN | IN_VERSIONED | IN_READY)

struct operation {
    enum vstor_operation number;
    unsigned states;
    bool primary_only;
    /** The state and the operation fit. Returns the status of the answer. */
    uint32_t (*run)(struct protocol *p, const uint8_t *payload, struct protocol_result *r);
};

static const uint16_t versions[] = {VSTOR_VERSION_6_2, VSTOR_VERSION_6_0, VSTOR_VERSION_5_1,
                                    VSTOR_VERSION_4_2, VSTOR_VERSION_2_0};

/* Requests are longer from 5.1 on. Before there is a version all guests but Linux send the short
 * packet. */
static uint32_t packet_size(const struct protocol *p)
{
    return p->version >= VSTOR_VERSION_5_1 ? VSTOR_PACKET_SIZE : VSTOR_PACKET_SIZE_OLD;
}

/* A guest may begin anew at any time: a crash kernel does. */
static uint32_t begin(struct protocol *p, const uint8_t *payload, struct protocol_result *r)
{
    p->state = PROTOCOL_BEGUN;
    p->version = 0;
    return VSTOR_STATUS_SUCCESS;
}

static uint32_t query_version(struct protocol *p, const uint8_t *payload, struct protocol_result *r)
{
    struct vstor_version version;

    memcpy(&version, payload, sizeof(version));
    for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
        if (versions[i] != version.major_minor)
            continue;
        p->version = version.major_minor;
        p->state = PROTOCOL_VERSIONED;
        version.build = 0;
        memcpy(r->reply.payload, &version, sizeof(version));
        return VSTOR_STATUS_SUCCESS;
    }
    return VSTOR_STATUS_REVISION_MISMATCH; /* and the guest tries the next one it knows */
}

static uint32_t query_properties(struct protocol *p, const uint8_t *payload,
                                 struct protocol_result *r)
{
    struct vstor_properties properties = {.transfer_max = p->transfer_max};

    if (p->version >= VSTOR_VERSION_5_1 && p->sub_channel_max > 0) {
        properties.sub_channel_max = p->sub_channel_max;
        properties.flags = VSTOR_PROPERTY_MULTI_CHANNEL;
    }
    memcpy(r->reply.payload, &properties, sizeof(properties));
    return VSTOR_STATUS_SUCCESS;
}

static uint32_t end(struct protocol *p, const uint8_t *payload, struct protocol_result *r)
{
    p->state = PROTOCOL_READY;
    return VSTOR_STATUS_SUCCESS;
}

static uint32_t create_subchannels(struct protocol *p, const uint8_t *payload,
                                   struct protocol_result *r)
{
    uint16_t count = (uint16_t)(payload[0] | payload[1] << 8);

    if (p->version < VSTOR_VERSION_5_1)
        return VSTOR_STATUS_INVALID_DEVICE_REQUEST;
    if (count == 0 || count > p->sub_channel_max)
        return VSTOR_STATUS_INVALID_PARAMETER;
    r->action = PROTOCOL_SUBCHANNELS;
    r->count = count;
    return VSTOR_STATUS_SUCCESS;
}

static uint32_t execute(struct protocol *p, const uint8_t *payload, struct protocol_result *r)
{
    r->action = PROTOCOL_EXECUTE;
    return VSTOR_STATUS_SUCCESS;
}

static uint32_t reset_lun(struct protocol *p, const uint8_t *payload, struct protocol_result *r)
{
    r->action = PROTOCOL_RESET_LUN;
    return VSTOR_STATUS_SUCCESS;
}

static uint32_t reset_bus(struct protocol *p, const uint8_t *payload, struct protocol_result *r)
{
    r->action = PROTOCOL_RESET_BUS;
    return VSTOR_STATUS_SUCCESS;
}

/* FCHBA_DATA is not for this class of controllers; the others come from a VSP only. */
static const struct operation operations[] = {
    {VSTOR_EXECUTE_SRB, IN_READY, false, execute},
    {VSTOR_RESET_LUN, IN_READY, false, reset_lun},
    {VSTOR_RESET_ADAPTER, IN_READY, false, reset_bus},
    {VSTOR_RESET_BUS, IN_READY, false, reset_bus},
    {VSTOR_BEGIN_INITIALIZATION, IN_ANY, true, begin},
    {VSTOR_QUERY_PROTOCOL_VERSION, IN_BEGUN, true, query_version},
    {VSTOR_QUERY_PROPERTIES, IN_VERSIONED | IN_READY, true, query_properties},
    {VSTOR_END_INITIALIZATION, IN_VERSIONED, true, end},
    {VSTOR_CREATE_SUB_CHANNELS, IN_READY, true, create_subchannels},
};

static uint32_t operation_run(struct protocol *p, uint32_t number, const uint8_t *payload,
                              struct protocol_result *r)
{
    for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
        const struct operation *o = &operations[i];
        if (o->number != number)
            continue;
        if (!(o->states & BIT(p->state)) || (o->primary_only && !p->primary))
            return VSTOR_STATUS_INVALID_DEVICE_STATE;
        return o->run(p, payload, r);
    }
    return VSTOR_STATUS_INVALID_DEVICE_REQUEST;
}

void protocol_open(struct protocol *p, bool primary, uint16_t version, uint16_t sub_channel_max,
                   uint32_t transfer_max)
{
    *p = (struct protocol){
        .state = primary ? PROTOCOL_NEW : PROTOCOL_READY,
        .version = primary ? 0 : version,
        .primary = primary,
        .sub_channel_max = sub_channel_max,
        .transfer_max = transfer_max,
    };
}

void protocol_packet(struct protocol *p, const void *data, uint32_t length,
                     struct protocol_result *result)
{
    struct vstor_packet packet = {.header = {0}};
    uint32_t size = packet_size(p), status;

    *result = (struct protocol_result){.action = PROTOCOL_REPLY};
    if (p->state == PROTOCOL_BROKEN || length < size) {
        p->state = PROTOCOL_BROKEN;
        result->action = PROTOCOL_ERROR;
        return;
    }
    memcpy(&packet, data, min_u64(length, sizeof(packet)));
    memcpy(&result->request, packet.payload, sizeof(result->request));
    /* Guests want an answer as long as what they have sent, whatever the version. */
    result->reply_length = (uint32_t)min_u64(length, sizeof(packet));
    result->reply.header.operation = VSTOR_COMPLETE_IO;
    status = operation_run(p, packet.header.operation, packet.payload, result);
    result->reply.header.status = status;
}

void protocol_fail(struct protocol_result *result, uint32_t status)
{
    memset(result->reply.payload, 0, sizeof(result->reply.payload));
    result->reply.header.status = status;
}

uint32_t protocol_enumerate(const struct protocol *p, struct vstor_packet *packet)
{
    *packet = (struct vstor_packet){.header = {.operation = VSTOR_ENUMERATE_BUS}};
    return packet_size(p);
}

unsigned protocol_sense_max(const struct protocol *p)
{
    return p->version >= VSTOR_VERSION_5_1 ? VSTOR_SENSE_MAX : VSTOR_SENSE_MAX_OLD;
}
