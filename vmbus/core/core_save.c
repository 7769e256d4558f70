/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include "lib/errno.h"
#include "lib/string.h"
#include "vmbus/core/core_priv.h"

#define CORE_TAG     0x43424D56U /* "VMBC" */
#define CORE_VERSION 1U
#define DUE_ALL      (DUE_OFFER | DUE_OPEN_RESULT | DUE_MODIFY | DUE_TORNDOWN | DUE_RESCIND)

static void contact_save(const struct vmbus_core *core, struct save_writer *w)
{
    const struct contact *c = &core->contact;

    save_u8(w, c->state == CONTACT_CONNECTED);
    save_u32(w, c->version);
    save_u32(w, c->features);
    save_u32(w, c->vp);
    save_u32(w, c->connection);
    save_u8(w, c->sint);
    save_bytes(w, c->client_id, sizeof(c->client_id));
    save_u8(w, c->offers);
    save_u8(w, c->delivered);
    save_u8(w, c->paused);
    save_u8(w, c->deliverable);
}

static void channel_save(const struct channel *ch, struct save_writer *w)
{
    const struct vmbus_core_open *o = &ch->open;

    save_u16(w, ch->relid);
    save_u8(w, ch->state == CHANNEL_OPEN);
    save_bytes(w, ch->offer.type, 16);
    save_bytes(w, ch->offer.instance, 16);
    save_u16(w, ch->offer.flags);
    save_u16(w, ch->offer.mmio_mb);
    save_bytes(w, ch->offer.user_defined, sizeof(ch->offer.user_defined));
    save_u16(w, ch->primary);
    save_u16(w, ch->sub_index);
    save_u16(w, ch->sub_last);
    save_u8(w, ch->known);
    save_u8(w, ch->revoked);
    save_u8(w, ch->teardown);
    save_u8(w, (uint8_t)ch->due);
    save_u32(w, ch->open_id);
    save_u32(w, ch->open_status);
    save_u32(w, ch->modify_status);
    save_u32(w, ch->torndown);
    save_u32(w, o->gpadl);
    save_u32(w, o->downstream_offset);
    save_u32(w, o->target_vp);
    save_u32(w, o->connection_id);
    save_u16(w, o->event_flag);
    save_bytes(w, o->user_data, sizeof(o->user_data));
}

static void gpadl_save(const struct gpadl *g, struct save_writer *w)
{
    save_u32(w, g->id);
    save_u16(w, g->relid);
    save_u16(w, g->range_count);
    save_u32(w, g->word_count);
    save_u32(w, g->filled);
    for (uint32_t i = 0; i < g->filled; i++)
        save_u64(w, g->words[i]);
}

int vmbus_core_save(const struct vmbus_core *core, struct save_writer *w)
{
    size_t begin;

    if (!vmbus_core_quiet(core))
        return -EBUSY;
    begin = save_begin(w, CORE_TAG, CORE_VERSION);
    contact_save(core, w);
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        const struct channel *ch = core_channel(core, i);
        if (ch)
            channel_save(ch, w);
    }
    save_u16(w, 0);
    save_u32(w, core->stats.gpadls);
    for (unsigned i = 0; i < GPADL_BUCKETS; i++)
        for (const struct gpadl *g = core->gpadls[i]; g; g = g->next)
            gpadl_save(g, w);
    save_u8(w, (uint8_t)core->outbox_count);
    for (uint32_t i = 0; i < core->outbox_count; i++) {
        const struct vmbus_core_post *p = &core->outbox[(core->outbox_first + i) % OUTBOX_SIZE];
        save_u32(w, p->vp);
        save_u8(w, p->sint);
        save_u8(w, p->length);
        save_bytes(w, p->data, p->length);
    }
    save_end(w, begin);
    return w->err;
}

static bool load_flag(struct save_reader *r)
{
    return load_max(r, 1, 1) != 0;
}

static void contact_load(struct vmbus_core *core, struct save_reader *r)
{
    struct contact *c = &core->contact;

    c->state = load_flag(r) ? CONTACT_CONNECTED : CONTACT_NONE;
    c->version = (uint32_t)load_max(r, 4, core->config.version_max);
    c->features = load_u32(r) & FEATURES_SUPPORTED;
    c->vp = (uint32_t)load_max(r, 4, core->config.vp_count - 1);
    c->connection = load_u32(r);
    c->sint = (uint8_t)load_max(r, 1, 15);
    load_bytes(r, c->client_id, sizeof(c->client_id));
    c->offers = load_flag(r);
    c->delivered = load_flag(r);
    c->paused = load_flag(r);
    c->deliverable = (uint8_t)load_max(r, 1, OUTBOX_SIZE);
}

static void channel_load(struct vmbus_core *core, struct channel *ch, struct save_reader *r)
{
    struct vmbus_core_open *o = &ch->open;
    unsigned due;

    ch->state = load_flag(r) ? CHANNEL_OPEN : CHANNEL_CLOSED;
    load_bytes(r, ch->offer.type, 16);
    load_bytes(r, ch->offer.instance, 16);
    ch->offer.flags = load_u16(r);
    ch->offer.mmio_mb = load_u16(r);
    load_bytes(r, ch->offer.user_defined, sizeof(ch->offer.user_defined));
    ch->primary = (uint16_t)load_max(r, 2, VMBUS_CHANNELS_MAX);
    ch->sub_index = load_u16(r);
    ch->sub_last = load_u16(r);
    ch->known = load_flag(r);
    ch->revoked = load_flag(r);
    ch->teardown = load_flag(r);
    due = (unsigned)load_max(r, 1, DUE_ALL);
    ch->open_id = load_u32(r);
    ch->open_status = load_u32(r);
    ch->modify_status = load_u32(r);
    ch->torndown = load_u32(r);
    o->gpadl = load_u32(r);
    o->downstream_offset = load_u32(r);
    o->target_vp = load_u32(r);
    o->connection_id = (uint32_t)load_max(r, 4, VMBUS_CONNECTION_MAX);
    o->event_flag = (uint16_t)load_max(r, 2, VMBUS_EVENT_FLAGS - 1);
    load_bytes(r, o->user_data, sizeof(o->user_data));
    if (!r->err && due)
        core_channel_due(core, ch, due);
}

static void channels_load(struct vmbus_core *core, struct save_reader *r)
{
    uint32_t id, last = 0;

    while ((id = (uint32_t)load_max(r, 2, VMBUS_CHANNELS_MAX)) != 0) {
        struct channel *ch = id > last ? core_channel_new(core, id) : NULL;
        if (!ch) {
            r->err = id > last ? -ENOMEM : -EINVAL;
            return;
        }
        channel_load(core, ch, r);
        last = id;
    }
}

static void gpadl_load(struct vmbus_core *core, struct save_reader *r)
{
    uint32_t id = load_u32(r), relid = load_u16(r), ranges = load_u16(r);
    uint32_t words = (uint32_t)load_max(r, 4, GPADL_BYTES_MAX / sizeof(uint64_t));
    uint32_t filled = (uint32_t)load_max(r, 4, words);
    struct gpadl *g;

    if (r->err || !core_channel(core, relid) || core_gpadl_find(core, id)) {
        r->err = -EINVAL;
        return;
    }
    g = core_gpadl_new(core, relid, id, words);
    if (!g) {
        r->err = -ENOMEM;
        return;
    }
    g->range_count = (uint16_t)ranges;
    g->filled = filled;
    for (uint32_t i = 0; i < filled; i++)
        g->words[i] = load_u64(r);
    g->state = filled == words ? GPADL_READY : GPADL_COLLECTING;
    if (g->state == GPADL_READY && !core_gpadl_valid(core, g))
        r->err = -EINVAL;
}

static void outbox_load(struct vmbus_core *core, struct save_reader *r)
{
    uint32_t count = (uint32_t)load_max(r, 1, OUTBOX_SIZE);

    for (uint32_t i = 0; i < count && !r->err; i++) {
        struct vmbus_core_post *p = &core->outbox[i];
        p->vp = (uint32_t)load_max(r, 4, core->config.vp_count - 1);
        p->sint = (uint8_t)load_max(r, 1, 15);
        p->length = (uint8_t)load_max(r, 1, VMBUS_MESSAGE_MAX);
        load_bytes(r, p->data, p->length);
    }
    core->outbox_first = 0;
    core->outbox_count = count;
    if (core->contact.deliverable > count)
        r->err = -EINVAL;
}

/* What the parts say of each other. */
static bool channel_consistent(struct vmbus_core *core, struct channel *ch)
{
    const struct channel *main = core_channel(core, ch->primary);
    struct gpadl *g = core_gpadl_find(core, ch->open.gpadl);

    if (ch->primary && (!main || main->primary || ch->sub_index == 0))
        return false;
    if (core->contact.state != CONTACT_CONNECTED)
        return !ch->known && !ch->due && ch->state == CHANNEL_CLOSED;
    if (ch->state != CHANNEL_OPEN)
        return true;
    if (!ch->known || !core_rings_valid(g, ch->relid, ch->open.downstream_offset) ||
        (ch->open.target_vp >= core->config.vp_count &&
         ch->open.target_vp != VMBUS_VP_NO_INTERRUPT))
        return false;
    g->in_use = true;
    return true;
}

/* As it was made. */
static void core_clear(struct vmbus_core *core)
{
    core_gpadls_free(core, 0);
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        free(core->channels[i]);
        core->channels[i] = NULL;
    }
    list_init(&core->work);
    list_init(&core->due);
    core->offers_due = 0;
    core->contact = (struct contact){.sint = VMBUS_MESSAGE_SINT};
    core_post_clear(core);
}

int vmbus_core_load(struct vmbus_core *core, struct save_reader *r)
{
    uint32_t gpadls;

    if (!vmbus_core_quiet(core))
        return -EBUSY;
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++)
        if (core_channel(core, i))
            return -EBUSY;
    core_clear(core);
    (void)load_begin(r, CORE_TAG, CORE_VERSION);
    contact_load(core, r);
    channels_load(core, r);
    gpadls = (uint32_t)load_max(r, 4, VMBUS_GPADLS_MAX);
    for (uint32_t i = 0; i < gpadls && !r->err; i++)
        gpadl_load(core, r);
    outbox_load(core, r);
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX && !r->err; i++)
        if (core_channel(core, i) && !channel_consistent(core, core_channel(core, i)))
            r->err = -EINVAL;
    if (load_end(r) < 0)
        core_clear(core);
    return r->err;
}
