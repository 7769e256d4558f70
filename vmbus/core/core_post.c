/* SPDX-License-Identifier: MIT */
#include "lib/string.h"
#include "vmbus/core/core_priv.h"

void core_post(struct vmbus_core *core, const void *message, size_t len)
{
    uint32_t at = (core->outbox_first + core->outbox_count) % OUTBOX_SIZE;
    struct vmbus_core_post *p = &core->outbox[at];

    p->vp = core->contact.vp;
    p->sint = core->contact.sint;
    p->length = (uint8_t)len;
    memcpy(p->data, message, len);
    core->outbox_count++;
}

void core_post_clear(struct vmbus_core *core)
{
    core->outbox_first = core->outbox_count = 0;
    core->refusal_count = 0;
    core->contact.deliverable = 0;
}

static void post_offer(struct vmbus_core *core, const struct channel *ch)
{
    const struct vmbus_core_offer *o = &ch->offer;
    struct vmbus_msg_offerchannel m = {
        .header.type = VMBUS_MSG_OFFERCHANNEL,
        .flags = o->flags,
        .mmio_mb = o->mmio_mb,
        .sub_channel_index = ch->sub_index,
        .relid = ch->relid,
        /* No monitor: every channel is signalled by its own connection. */
        .monitor_id = 0xFF,
        .monitor_allocated = 0,
        .dedicated = 1,
        .connection_id = VMBUS_CONNECTION_SIGNALS + ch->relid,
    };

    memcpy(m.type, o->type, sizeof(m.type));
    memcpy(m.instance, o->instance, sizeof(m.instance));
    memcpy(m.user_defined, o->user_defined, sizeof(m.user_defined));
    core_post(core, &m, sizeof(m));
}

static void post_open_result(struct vmbus_core *core, const struct channel *ch)
{
    const struct vmbus_msg_openchannel_result m = {.header.type = VMBUS_MSG_OPENCHANNEL_RESULT,
                                                   .relid = ch->relid,
                                                   .open_id = ch->open_id,
                                                   .status = ch->open_status};
    core_post(core, &m, sizeof(m));
}

static void post_modify(struct vmbus_core *core, const struct channel *ch)
{
    const struct vmbus_msg_modifychannel_response m = {.header.type =
                                                           VMBUS_MSG_MODIFYCHANNEL_RESPONSE,
                                                       .relid = ch->relid,
                                                       .status = ch->modify_status};
    core_post(core, &m, sizeof(m));
}

static void post_torndown(struct vmbus_core *core, const struct channel *ch)
{
    const struct vmbus_msg_gpadl_torndown m = {.header.type = VMBUS_MSG_GPADL_TORNDOWN,
                                               .gpadl = ch->torndown};
    core_post(core, &m, sizeof(m));
}

static void post_rescind(struct vmbus_core *core, const struct channel *ch)
{
    const struct vmbus_msg_relid m = {.header.type = VMBUS_MSG_RESCIND, .relid = ch->relid};

    core_post(core, &m, sizeof(m));
}

/* The last one goes first: they do not depend on each other. */
static void post_refusal(struct vmbus_core *core)
{
    const struct refusal *r = &core->refusals[--core->refusal_count];
    struct vmbus_msg_tl_connect_result m = {.header.type = VMBUS_MSG_TL_CONNECT_RESULT,
                                            .status = VMBUS_STATUS_CONNECTION_REFUSED};

    memcpy(m.endpoint, r->endpoint, sizeof(m.endpoint));
    memcpy(m.service, r->service, sizeof(m.service));
    core_post(core, &m, sizeof(m));
}

/* By DUE_*: in the order of the bits. */
static void (*const post_due[])(struct vmbus_core *core, const struct channel *ch) = {
    post_offer, post_open_result, post_modify, post_torndown, post_rescind,
};

/* Move what is due into the outbox, as long as answers to the guest still have room there. */
static void post_fill(struct vmbus_core *core)
{
    const struct vmbus_msg_header all = {.type = VMBUS_MSG_ALLOFFERS_DELIVERED};
    struct contact *c = &core->contact;
    const uint32_t full = OUTBOX_SIZE - OUTBOX_RESERVE;

    if (c->state != CONTACT_CONNECTED || c->paused)
        return;
    while (!list_empty(&core->due) && core->outbox_count < full) {
        struct channel *ch = list_entry(core->due.next, struct channel, due_node);
        unsigned bit = (unsigned)__builtin_ctz(ch->due);
        post_due[bit](core, ch);
        core_channel_due_clear(core, ch, 1U << bit);
    }
    while (core->refusal_count > 0 && core->outbox_count < full)
        post_refusal(core);
    if (c->offers && !c->delivered && core->offers_due == 0 && core->outbox_count < full) {
        core_post(core, &all, sizeof(all));
        c->delivered = true;
    }
}

const struct vmbus_core_post *vmbus_core_post_peek(struct vmbus_core *core)
{
    post_fill(core);
    if (core->outbox_count == 0 || (core->contact.paused && core->contact.deliverable == 0))
        return NULL;
    return &core->outbox[core->outbox_first];
}

void vmbus_core_post_done(struct vmbus_core *core)
{
    if (core->outbox_count == 0)
        return;
    core->outbox_first = (core->outbox_first + 1) % OUTBOX_SIZE;
    core->outbox_count--;
    if (core->contact.deliverable > 0)
        core->contact.deliverable--;
    core->stats.posted++;
}
