/* SPDX-License-Identifier: MIT */
#include "vmbus/core/core.h"

#include <stdlib.h>
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vmbus/core/core_priv.h"

int vmbus_core_create(struct vmbus_core **out, const struct vmbus_core_config *config)
{
    struct vmbus_core *core = calloc(1, sizeof(*core));

    if (!core)
        return -ENOMEM;
    core->config = *config;
    if (core->config.version_max == 0)
        core->config.version_max = VMBUS_VERSION_6_0;
    core->contact.sint = VMBUS_MESSAGE_SINT;
    list_init(&core->work);
    list_init(&core->due);
    *out = core;
    return 0;
}

int vmbus_core_create_like(struct vmbus_core **out, const struct vmbus_core *core)
{
    int err = vmbus_core_create(out, &core->config);

    if (!err)
        vmbus_core_listen(*out, core->connect, core->connect_ctx);
    return err;
}

void vmbus_core_destroy(struct vmbus_core *core)
{
    if (!core)
        return;
    core_gpadls_free(core, 0);
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++)
        free(core->channels[i]);
    free(core);
}

static void on_request_offers(struct vmbus_core *core, const union message *m, size_t len)
{
    if (core->contact.offers) {
        core->stats.illegal++;
        return;
    }
    core->contact.offers = true;
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        struct channel *ch = core_channel(core, i);
        if (!ch || ch->revoked)
            continue;
        ch->known = true;
        core_channel_due(core, ch, DUE_OFFER);
    }
}

void vmbus_core_listen(struct vmbus_core *core, vmbus_core_connect *connect, void *ctx)
{
    core->connect = connect;
    core->connect_ctx = ctx;
}

void vmbus_core_refuse(struct vmbus_core *core, const uint8_t endpoint[16],
                       const uint8_t service[16])
{
    struct refusal *r = &core->refusals[core->refusal_count];

    if (!core_version_at_least(core, VMBUS_VERSION_4_1)) /* there was no answer then */
        return;
    if (core->refusal_count == VMBUS_REFUSALS_MAX)
        return;
    memcpy(r->endpoint, endpoint, sizeof(r->endpoint));
    memcpy(r->service, service, sizeof(r->service));
    core->refusal_count++;
}

/* Without offers the guest would not hear of the channel. */
static void on_tl_connect(struct vmbus_core *core, const union message *m, size_t len)
{
    const struct vmbus_msg_tl_connect_request *t = &m->tl_connect;

    if (!core->contact.offers || !core->connect ||
        !core->connect(core->connect_ctx, t->endpoint, t->service))
        vmbus_core_refuse(core, t->endpoint, t->service);
}

/* Monitor pages may change: nobody looks at them. */
static void on_modify_connection(struct vmbus_core *core, const union message *m, size_t len)
{
    const struct vmbus_msg_modify_connection *mc = &m->modify_connection;
    struct vmbus_msg_modify_connection_response r = {.header.type =
                                                         VMBUS_MSG_MODIFY_CONNECTION_RESPONSE};

    if ((mc->parent_to_child_page == 0) != (mc->child_to_parent_page == 0))
        r.connection_state = VMBUS_CONNECTION_FAILED_UNKNOWN;
    core_post(core, &r, VMBUS_MODIFY_CONNECTION_RESPONSE_SIZE);
}

static void on_pause(struct vmbus_core *core, const union message *m, size_t len)
{
    const struct vmbus_msg_header r = {.type = VMBUS_MSG_PAUSE_RESPONSE};

    core_post(core, &r, sizeof(r));
    core->contact.paused = true;
    core->contact.deliverable = (uint8_t)core->outbox_count;
}

static void on_resume(struct vmbus_core *core, const union message *m, size_t len)
{
    core->contact.paused = false;
}

/* Messages between contact and unload. */
struct message_row {
    uint32_t size; /* at least */
    uint32_t version;
    uint32_t feature; /* 0: none is needed */
    void (*handle)(struct vmbus_core *core, const union message *m, size_t len);
};

static const struct message_row rows[VMBUS_MSG_COUNT] = {
    [VMBUS_MSG_REQUESTOFFERS] = {8, 0, 0, on_request_offers},
    [VMBUS_MSG_OPENCHANNEL] = {sizeof(struct vmbus_msg_openchannel), 0, 0, core_on_open},
    [VMBUS_MSG_CLOSECHANNEL] = {sizeof(struct vmbus_msg_relid), 0, 0, core_on_close},
    [VMBUS_MSG_GPADL_HEADER] = {sizeof(struct vmbus_msg_gpadl_header), 0, 0, core_on_gpadl_header},
    [VMBUS_MSG_GPADL_BODY] = {sizeof(struct vmbus_msg_gpadl_body), 0, 0, core_on_gpadl_body},
    [VMBUS_MSG_GPADL_TEARDOWN] = {sizeof(struct vmbus_msg_gpadl_teardown), 0, 0,
                                  core_on_gpadl_teardown},
    [VMBUS_MSG_RELID_RELEASED] = {sizeof(struct vmbus_msg_relid), 0, 0, core_on_released},
    [VMBUS_MSG_TL_CONNECT_REQUEST] = {sizeof(struct vmbus_msg_tl_connect_request),
                                      VMBUS_VERSION_4_0, 0, on_tl_connect},
    [VMBUS_MSG_MODIFYCHANNEL] = {sizeof(struct vmbus_msg_modifychannel), VMBUS_VERSION_4_1, 0,
                                 core_on_modify},
    [VMBUS_MSG_MODIFY_CONNECTION] = {sizeof(struct vmbus_msg_modify_connection), VMBUS_VERSION_6_0,
                                     VMBUS_FEATURE_MODIFY_CONNECTION, on_modify_connection},
    [VMBUS_MSG_PAUSE] = {8, VMBUS_VERSION_6_0, VMBUS_FEATURE_PAUSE_RESUME, on_pause},
    [VMBUS_MSG_RESUME] = {8, VMBUS_VERSION_6_0, VMBUS_FEATURE_PAUSE_RESUME, on_resume},
};

static void message_handle(struct vmbus_core *core, const union message *m, size_t len)
{
    const uint32_t type = m->header.type;
    const struct message_row *row = type < VMBUS_MSG_COUNT ? &rows[type] : NULL;

    if (!row || !row->handle || len < row->size)
        core->stats.malformed++;
    else if (core->contact.state != CONTACT_CONNECTED ||
             (core->contact.paused && type != VMBUS_MSG_RESUME))
        core->stats.illegal++;
    else if (core->contact.version < row->version ||
             (row->feature && !core_feature(core, row->feature)))
        core->stats.malformed++;
    else
        row->handle(core, m, len);
}

int vmbus_core_message(struct vmbus_core *core, uint32_t connection, const void *data, size_t len)
{
    union message m = {.bytes = {0}};
    bool anew;

    if (len < sizeof(m.header) || len > sizeof(m)) {
        core->stats.messages++;
        core->stats.malformed++;
        return 0;
    }
    memcpy(&m, data, len);
    anew = m.header.type == VMBUS_MSG_INITIATE_CONTACT || m.header.type == VMBUS_MSG_UNLOAD;
    if (!anew && core->outbox_count + OUTBOX_RESERVE > OUTBOX_SIZE) {
        core->stats.refused++;
        return -EAGAIN;
    }
    core->stats.messages++;
    if (m.header.type == VMBUS_MSG_INITIATE_CONTACT)
        core_on_contact(core, connection, &m, len);
    else if (m.header.type == VMBUS_MSG_UNLOAD)
        core_on_unload(core);
    else
        message_handle(core, &m, len);
    return 0;
}

int vmbus_core_channel(const struct vmbus_core *core, uint32_t relid,
                       struct vmbus_core_channel_info *info)
{
    const struct channel *ch = core_channel(core, relid);

    if (!ch)
        return -ENOENT;
    *info = (struct vmbus_core_channel_info){.offer = ch->offer,
                                             .primary = ch->primary,
                                             .sub_index = ch->sub_index,
                                             .open = ch->state == CHANNEL_OPEN,
                                             .revoked = ch->revoked,
                                             .params = ch->open};
    return 0;
}

uint32_t vmbus_core_find(const struct vmbus_core *core, const uint8_t type[16],
                         const uint8_t instance[16])
{
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        const struct channel *ch = core_channel(core, i);
        if (ch && !ch->revoked && !ch->primary && memcmp(ch->offer.type, type, 16) == 0 &&
            memcmp(ch->offer.instance, instance, 16) == 0)
            return i;
    }
    return 0;
}

void vmbus_core_stats(const struct vmbus_core *core, struct vmbus_core_stats *out)
{
    struct vmbus_core_stats s = core->stats;

    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        const struct channel *ch = core_channel(core, i);
        s.channels += ch != NULL;
        s.open += ch && ch->state == CHANNEL_OPEN;
    }
    *out = s;
}

void vmbus_core_contact(const struct vmbus_core *core, struct vmbus_core_contact *out)
{
    const struct contact *c = &core->contact;
    const bool connected = c->state == CONTACT_CONNECTED;

    *out = (struct vmbus_core_contact){.version = connected ? c->version : 0,
                                       .features = connected ? c->features : 0,
                                       .vp = c->vp,
                                       .sint = c->sint};
    memcpy(out->client_id, c->client_id, sizeof(out->client_id));
}
