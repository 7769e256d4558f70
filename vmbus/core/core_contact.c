/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "lib/string.h"
#include "vmbus/core/core_priv.h"

#define SINT_COUNT 16U

static bool version_known(const struct vmbus_core *core, uint32_t version)
{
    static const uint32_t known[] = {VMBUS_VERSION_3_0, VMBUS_VERSION_4_0, VMBUS_VERSION_4_1,
                                     VMBUS_VERSION_5_0, VMBUS_VERSION_5_1, VMBUS_VERSION_5_2,
                                     VMBUS_VERSION_5_3, VMBUS_VERSION_6_0};

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i] == version)
            return version <= core->config.version_max;
    return false;
}

/* Version 0 stands for one that is refused. */
static void version_answer(struct vmbus_core *core)
{
    struct contact *c = &core->contact;
    struct vmbus_msg_version_response2 r = {.response.header.type = VMBUS_MSG_VERSION_RESPONSE};
    size_t len = sizeof(r.response);

    if (c->version != 0) {
        r.response.version_supported = 1;
        r.response.connection_state =
            c->bad_pages ? VMBUS_CONNECTION_FAILED_UNKNOWN : VMBUS_CONNECTION_SUCCESSFUL;
        r.response.connection_id = c->version >= VMBUS_VERSION_5_0 ? c->connection : c->version;
    }
    if (c->version >= VMBUS_VERSION_6_0) {
        r.features = c->features;
        len = sizeof(r);
    }
    if (c->version != 0 && !c->bad_pages)
        c->state = CONTACT_CONNECTED;
    core_post(core, &r, len);
}

static void unload_answer(struct vmbus_core *core)
{
    const struct vmbus_msg_header r = {.type = VMBUS_MSG_UNLOAD_RESPONSE};

    core_post(core, &r, sizeof(r));
}

void core_contact_advance(struct vmbus_core *core)
{
    struct contact *c = &core->contact;
    enum contact_next next = c->next;

    if (c->state != CONTACT_RESETTING || core->busy > 0)
        return;
    core_gpadls_free(core, 0);
    c->state = CONTACT_NONE;
    c->next = NEXT_NONE;
    if (next == NEXT_VERSION)
        version_answer(core);
    else if (next == NEXT_UNLOAD)
        unload_answer(core);
}

/* Everything that the guest has set up goes; VSPs close first. */
static void disconnect(struct vmbus_core *core, enum contact_next next)
{
    struct contact *c = &core->contact;

    core_post_clear(core);
    c->offers = c->delivered = c->paused = false;
    c->next = next;
    c->state = CONTACT_RESETTING;
    core->busy++; /* not before all channels have been told */
    core_channels_reset(core);
    core->busy--;
    core_contact_advance(core);
}

void vmbus_core_reset(struct vmbus_core *core)
{
    core->contact.vp = 0;
    core->contact.sint = VMBUS_MESSAGE_SINT;
    disconnect(core, NEXT_NONE);
}

void core_on_unload(struct vmbus_core *core)
{
    disconnect(core, NEXT_UNLOAD);
}

/* Where messages go to, and whether that can be: fields that the version does not have count as
 * what they were before. */
static bool target_take(struct contact *c, const struct vmbus_msg_initiate_contact *m)
{
    bool own = c->connection == VMBUS_CONNECTION_MESSAGES_4;
    uint8_t sint = own && m->version >= VMBUS_VERSION_5_0 ? m->target_sint : VMBUS_MESSAGE_SINT;
    uint8_t vtl = own && m->version >= VMBUS_VERSION_5_1 ? m->target_vtl : 0;
    bool ok = vtl == 0 && sint > 0 && sint < SINT_COUNT;

    c->vp = m->version >= VMBUS_VERSION_3_0 ? m->target_vp : 0;
    c->sint = ok ? sint : VMBUS_MESSAGE_SINT;
    return ok;
}

void core_on_contact(struct vmbus_core *core, uint32_t connection, const union message *m,
                     size_t len)
{
    const struct vmbus_msg_initiate_contact *ic = &m->contact.contact;
    const bool features = ic->version >= VMBUS_VERSION_6_0;
    const bool client_id = features && ic->features & VMBUS_FEATURE_CLIENT_ID;
    struct contact *c = &core->contact;
    bool ok;

    if (len < sizeof(*ic) || (client_id && len < sizeof(m->contact))) {
        core->stats.malformed++;
        return;
    }
    if (ic->target_vp >= core->config.vp_count) {
        core->stats.illegal++; /* there is nobody to answer to */
        return;
    }
    core->stats.contacts++;
    c->connection = connection;
    ok = target_take(c, ic);
    c->version = ok && version_known(core, ic->version) ? ic->version : 0;
    c->features = features ? ic->features & FEATURES_SUPPORTED : 0;
    c->bad_pages = (ic->monitor_page1 == 0) != (ic->monitor_page2 == 0);
    memset(c->client_id, 0, sizeof(c->client_id));
    if (client_id)
        memcpy(c->client_id, m->contact.client_id, sizeof(c->client_id));
    disconnect(core, NEXT_VERSION);
}
