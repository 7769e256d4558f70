/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "lib/string.h"
#include "vmbus/core/core_priv.h"

#define RING_PAGES_MIN 2U /* control and one of data */

static bool vp_valid(const struct vmbus_core *core, uint32_t vp)
{
    return vp < core->config.vp_count || vp == VMBUS_VP_NO_INTERRUPT;
}

/* Whether the guest's signals by this connection can be told from all others. */
static bool connection_valid(const struct vmbus_core *core, uint32_t id, uint32_t relid)
{
    if (id == 0 || id > VMBUS_CONNECTION_MAX || id == VMBUS_CONNECTION_MESSAGES ||
        id == VMBUS_CONNECTION_MESSAGES_4)
        return false;
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        const struct channel *ch = core_channel(core, i);
        if (ch && i != relid && ch->state != CHANNEL_CLOSED && ch->open.connection_id == id)
            return false;
    }
    return true;
}

/* The GPADL of a channel's rings: whole pages, and enough of them for each. */
bool core_rings_valid(const struct gpadl *g, uint32_t relid, uint32_t downstream)
{
    struct {
        uint32_t length;
        uint32_t offset;
    } range;
    uint32_t pages;

    if (!g || g->relid != relid || g->state != GPADL_READY || g->in_use || g->range_count != 1)
        return false;
    memcpy(&range, g->words, sizeof(range));
    pages = range.length / 4096;
    return range.offset == 0 && range.length % 4096 == 0 && downstream >= RING_PAGES_MIN &&
           downstream <= VMBUS_RING_CHANNEL_PAGES_MAX && pages > downstream &&
           pages - downstream >= RING_PAGES_MIN &&
           pages - downstream <= VMBUS_RING_CHANNEL_PAGES_MAX;
}

static void open_parameters(const struct vmbus_core *core, const union message *m, size_t len,
                            struct vmbus_core_open *open)
{
    const struct vmbus_msg_openchannel *o = &m->open.open;

    *open = (struct vmbus_core_open){
        .gpadl = o->ring_gpadl,
        .downstream_offset = o->downstream_offset,
        .target_vp = o->target_vp,
        .connection_id = VMBUS_CONNECTION_SIGNALS + o->relid,
        .event_flag = (uint16_t)o->relid,
    };
    memcpy(open->user_data, o->user_data, sizeof(open->user_data));
    if (core_feature(core, VMBUS_FEATURE_GUEST_SIGNALS) && len >= sizeof(m->open)) {
        open->connection_id = m->open.connection_id;
        open->event_flag = m->open.event_flag;
    }
}

/* Answer at once: the channel may be none, or open with another answer to come. */
static void open_refuse(struct vmbus_core *core, const struct vmbus_msg_openchannel *o)
{
    const struct vmbus_msg_openchannel_result r = {.header.type = VMBUS_MSG_OPENCHANNEL_RESULT,
                                                   .relid = o->relid,
                                                   .open_id = o->open_id,
                                                   .status = VMBUS_STATUS_UNSUCCESSFUL};

    core_post(core, &r, sizeof(r));
}

static void open_begin(struct vmbus_core *core, struct channel *ch, const union message *m,
                       size_t len)
{
    const struct vmbus_msg_openchannel *o = &m->open.open;
    struct gpadl *g = core_gpadl_find(core, o->ring_gpadl);
    struct vmbus_core_open open;

    ch->open_id = o->open_id;
    open_parameters(core, m, len, &open);
    if (!core_rings_valid(g, ch->relid, open.downstream_offset) ||
        !vp_valid(core, open.target_vp) || open.event_flag >= VMBUS_EVENT_FLAGS ||
        !connection_valid(core, open.connection_id, ch->relid)) {
        ch->open_status = VMBUS_STATUS_INVALID_PARAMETER;
        core_channel_due(core, ch, DUE_OPEN_RESULT);
        return;
    }
    g->in_use = true;
    ch->open = open;
    ch->state = CHANNEL_OPENING;
    core->busy++;
    core_channel_effect(core, ch, VMBUS_EFFECT_OPEN);
}

void core_on_open(struct vmbus_core *core, const union message *m, size_t len)
{
    struct channel *ch = core_channel_known(core, m->open.open.relid);

    if (ch && !ch->revoked && ch->state == CHANNEL_CLOSED) {
        open_begin(core, ch, m, len);
    } else if (ch && !ch->revoked && ch->state == CHANNEL_CLOSING && !ch->reopen) {
        /* There is no answer to a close, so a guest may be quicker than the VSP. */
        ch->reopen = true;
        ch->again = m->open;
        ch->again_length = (uint8_t)len;
    } else {
        core->stats.illegal++;
        open_refuse(core, &m->open.open);
    }
}

void core_on_close(struct vmbus_core *core, const union message *m, size_t len)
{
    struct channel *ch = core_channel_known(core, m->relid.relid);

    if (ch && ch->state == CHANNEL_OPEN)
        core_channel_close(core, ch);
    else if (!ch || !ch->revoked) /* a guest closes what is withdrawn, and that is closed */
        core->stats.illegal++;
}

void core_on_released(struct vmbus_core *core, const union message *m, size_t len)
{
    struct channel *ch = core_channel_known(core, m->relid.relid);

    if (ch && ch->state == CHANNEL_CLOSED)
        core_channel_release(core, ch);
    else
        core->stats.illegal++;
}

void core_on_modify(struct vmbus_core *core, const union message *m, size_t len)
{
    const struct vmbus_msg_modifychannel *mc = &m->modify;
    struct channel *ch = core_channel_known(core, mc->relid);
    struct vmbus_msg_modifychannel_response r = {
        .header.type = VMBUS_MSG_MODIFYCHANNEL_RESPONSE,
        .relid = mc->relid,
        .status = VMBUS_STATUS_INVALID_PARAMETER,
    };

    if (ch && ch->state == CHANNEL_OPEN && mc->target_vp < core->config.vp_count &&
        ch->open.target_vp != VMBUS_VP_NO_INTERRUPT) {
        ch->open.target_vp = mc->target_vp;
        core_channel_effect(core, ch, VMBUS_EFFECT_RETARGET);
        return;
    }
    core->stats.illegal++;
    if (core_version_at_least(core, VMBUS_VERSION_5_3))
        core_post(core, &r, sizeof(r));
}
