/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include "lib/bits.h"
#include "lib/errno.h"
#include "vmbus/core/core_priv.h"

struct channel *core_channel(const struct vmbus_core *core, uint32_t relid)
{
    struct channel *ch = relid > 0 && relid <= VMBUS_CHANNELS_MAX ? core->channels[relid] : NULL;

    return ch && ch->state != CHANNEL_FREE && ch->state != CHANNEL_GONE ? ch : NULL;
}

struct channel *core_channel_known(const struct vmbus_core *core, uint32_t relid)
{
    struct channel *ch = core_channel(core, relid);

    return ch && ch->known ? ch : NULL;
}

struct channel *core_channel_new(struct vmbus_core *core, uint32_t relid)
{
    struct channel *ch = core->channels[relid];

    if (!ch)
        ch = core->channels[relid] = calloc(1, sizeof(*ch));
    if (!ch)
        return NULL;
    *ch = (struct channel){.state = CHANNEL_CLOSED, .relid = (uint16_t)relid};
    list_init(&ch->work_node);
    list_init(&ch->due_node);
    return ch;
}

void core_channel_due(struct vmbus_core *core, struct channel *ch, unsigned due)
{
    core->offers_due += (due & ~ch->due & DUE_OFFER) != 0;
    if (ch->due == 0)
        list_append(&core->due, &ch->due_node);
    ch->due |= due;
}

void core_channel_due_clear(struct vmbus_core *core, struct channel *ch, unsigned due)
{
    core->offers_due -= (due & ch->due & DUE_OFFER) != 0;
    ch->due &= ~due;
    if (ch->due == 0)
        list_remove(&ch->due_node);
}

void core_channel_effect(struct vmbus_core *core, struct channel *ch, enum vmbus_effect_kind kind)
{
    if (!ch->effect)
        list_append(&core->work, &ch->work_node);
    ch->effect = kind;
}

static void effect_cancel(struct channel *ch)
{
    ch->effect = (enum vmbus_effect_kind)0;
    list_remove(&ch->work_node);
}

/* The next free id, the lowest: guests look at all flags up to the highest. */
static uint32_t id_find(const struct vmbus_core *core)
{
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++)
        if (!core->channels[i] ||
            (core->channels[i]->state == CHANNEL_FREE && !core->channels[i]->taken))
            return i;
    return 0;
}

static int offer_add(struct vmbus_core *core, const struct vmbus_core_offer *offer,
                     struct channel **out)
{
    uint32_t id = id_find(core);
    struct channel *ch;

    if (id == 0)
        return -ENOSPC;
    ch = core_channel_new(core, id);
    if (!ch)
        return -ENOMEM;
    ch->offer = *offer;
    *out = ch;
    return 0;
}

/* A guest that has asked for offers hears of new ones at once. */
static void offer_tell(struct vmbus_core *core, struct channel *ch)
{
    if (core->contact.state != CONTACT_CONNECTED || !core->contact.offers)
        return;
    ch->known = true;
    core_channel_due(core, ch, DUE_OFFER);
}

int vmbus_core_offer(struct vmbus_core *core, const struct vmbus_core_offer *offer, uint32_t *relid)
{
    struct channel *ch;
    int err;

    if (vmbus_core_find(core, offer->type, offer->instance))
        return -EEXIST;
    err = offer_add(core, offer, &ch);
    if (err)
        return err;
    offer_tell(core, ch);
    *relid = ch->relid;
    return 0;
}

int vmbus_core_offer_sub(struct vmbus_core *core, uint32_t primary, uint32_t *relid)
{
    struct channel *main = core_channel(core, primary), *ch;
    int err;

    if (!main || main->primary || main->state != CHANNEL_OPEN || main->revoked)
        return -EINVAL;
    if (main->sub_last == UINT16_MAX)
        return -ENOSPC;
    err = offer_add(core, &main->offer, &ch);
    if (err)
        return err;
    ch->primary = main->relid;
    ch->sub_index = ++main->sub_last;
    offer_tell(core, ch);
    *relid = ch->relid;
    return 0;
}

/* Let go of the GPADL that held the rings; the guest may have asked for it meanwhile. */
static void rings_free(struct vmbus_core *core, struct channel *ch)
{
    struct gpadl *g = core_gpadl_find(core, ch->open.gpadl);

    if (g && g->in_use && g->relid == ch->relid) {
        g->in_use = false;
        if (ch->teardown) {
            ch->torndown = g->id;
            core_gpadl_free(core, g);
            core_channel_due(core, ch, DUE_TORNDOWN);
        }
    }
    ch->teardown = false;
}

void core_channel_release(struct vmbus_core *core, struct channel *ch)
{
    ch->known = false;
    ch->reopen = false;
    core_channel_due_clear(core, ch, ~0U);
    core_gpadls_free(core, ch->relid);
    if (!ch->revoked && !ch->primary)
        return; /* offered again when the guest comes again */
    ch->state = CHANNEL_GONE;
    core_channel_effect(core, ch, VMBUS_EFFECT_RELEASED);
}

/* A closed channel that the host has withdrawn. */
static void revoked_tell(struct vmbus_core *core, struct channel *ch)
{
    if (!ch->known || ch->due & DUE_OFFER)
        core_channel_release(core, ch); /* the guest has never seen it */
    else
        core_channel_due(core, ch, DUE_RESCIND);
}

static void subs_revoke(struct vmbus_core *core, uint32_t primary)
{
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        struct channel *ch = core_channel(core, i);
        if (ch && ch->primary == primary)
            vmbus_core_revoke(core, i);
    }
}

/* The VSP has nothing to do with it any more. */
static void channel_closed(struct vmbus_core *core, struct channel *ch)
{
    union message again = {.open = ch->again};
    bool reopen = ch->reopen;

    ch->state = CHANNEL_CLOSED;
    ch->abort = ch->reopen = false;
    core->busy--;
    rings_free(core, ch);
    if (!ch->primary) {
        ch->sub_last = 0;
        subs_revoke(core, ch->relid);
    }
    if (core->contact.state == CONTACT_RESETTING) {
        core_channel_release(core, ch);
        core_contact_advance(core);
    } else if (ch->revoked) {
        revoked_tell(core, ch);
    } else if (reopen) {
        core_on_open(core, &again, ch->again_length);
    }
}

void core_channel_close(struct vmbus_core *core, struct channel *ch)
{
    ch->state = CHANNEL_CLOSING;
    core->busy++;
    core_channel_effect(core, ch, VMBUS_EFFECT_CLOSE);
}

static void open_fail(struct vmbus_core *core, struct channel *ch)
{
    if (core->contact.state != CONTACT_CONNECTED)
        return;
    ch->open_status = VMBUS_STATUS_UNSUCCESSFUL;
    core_channel_due(core, ch, DUE_OPEN_RESULT);
}

/* Stop what a channel does; what the VSP knows of it comes to its end first. */
static void channel_stop(struct vmbus_core *core, struct channel *ch)
{
    if (ch->reopen) {
        ch->open_id = ch->again.open.open_id;
        open_fail(core, ch);
    }
    ch->reopen = false;
    if (ch->state == CHANNEL_OPEN) {
        core_channel_close(core, ch);
    } else if (ch->state == CHANNEL_OPENING && ch->effect == VMBUS_EFFECT_OPEN) {
        effect_cancel(ch);
        open_fail(core, ch);
        channel_closed(core, ch);
    } else if (ch->state == CHANNEL_OPENING) {
        ch->abort = true;
    }
}

void vmbus_core_revoke(struct vmbus_core *core, uint32_t relid)
{
    struct channel *ch = core_channel(core, relid);

    if (!ch || ch->revoked)
        return;
    ch->revoked = true;
    if (!ch->primary)
        subs_revoke(core, relid);
    if (ch->state == CHANNEL_CLOSED)
        revoked_tell(core, ch);
    else
        channel_stop(core, ch);
}

void core_channels_reset(struct vmbus_core *core)
{
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        struct channel *ch = core_channel(core, i);
        if (!ch)
            continue;
        core_channel_due_clear(core, ch, ~0U);
        ch->teardown = false;
        if (ch->state == CHANNEL_CLOSED)
            core_channel_release(core, ch);
        else
            channel_stop(core, ch);
    }
}

bool vmbus_core_next(struct vmbus_core *core, struct vmbus_effect *effect)
{
    struct channel *ch;

    if (list_empty(&core->work))
        return false;
    ch = list_entry(core->work.next, struct channel, work_node);
    *effect = (struct vmbus_effect){.kind = ch->effect, .relid = ch->relid};
    effect_cancel(ch);
    if (effect->kind == VMBUS_EFFECT_RELEASED) {
        ch->state = CHANNEL_FREE;
        return true;
    }
    core->taken += !(ch->taken & BIT(effect->kind));
    ch->taken |= (uint8_t)BIT(effect->kind);
    return true;
}

/* The channel whose effect is answered, if it was given out at all. */
static struct channel *answered(struct vmbus_core *core, uint32_t relid,
                                enum vmbus_effect_kind kind)
{
    struct channel *ch = relid <= VMBUS_CHANNELS_MAX ? core->channels[relid] : NULL;

    if (!ch || !(ch->taken & BIT(kind)))
        return NULL;
    ch->taken &= (uint8_t)~BIT(kind);
    core->taken--;
    return ch;
}

void vmbus_core_open_done(struct vmbus_core *core, uint32_t relid, int status)
{
    struct channel *ch = answered(core, relid, VMBUS_EFFECT_OPEN);

    if (!ch || ch->state != CHANNEL_OPENING)
        return;
    if (core->contact.state == CONTACT_CONNECTED) {
        bool ok = status == 0 && !ch->abort;
        ch->open_status = ok ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_UNSUCCESSFUL;
        core_channel_due(core, ch, DUE_OPEN_RESULT);
    }
    if (status != 0) {
        channel_closed(core, ch);
    } else {
        core->busy--;
        ch->state = CHANNEL_OPEN;
        if (ch->abort)
            core_channel_close(core, ch);
        ch->abort = false;
    }
}

void vmbus_core_close_done(struct vmbus_core *core, uint32_t relid)
{
    struct channel *ch = answered(core, relid, VMBUS_EFFECT_CLOSE);

    if (ch && ch->state == CHANNEL_CLOSING)
        channel_closed(core, ch);
}

void vmbus_core_retarget_done(struct vmbus_core *core, uint32_t relid, int status)
{
    struct channel *ch = answered(core, relid, VMBUS_EFFECT_RETARGET);

    if (!ch || ch->state != CHANNEL_OPEN || !core_version_at_least(core, VMBUS_VERSION_5_3))
        return;
    ch->modify_status = status ? VMBUS_STATUS_UNSUCCESSFUL : VMBUS_STATUS_SUCCESS;
    core_channel_due(core, ch, DUE_MODIFY);
}

bool vmbus_core_pending(const struct vmbus_core *core)
{
    return !list_empty(&core->work);
}

bool vmbus_core_quiet(const struct vmbus_core *core)
{
    return core->busy == 0 && core->taken == 0 && list_empty(&core->work);
}
