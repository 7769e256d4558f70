/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include "vmbus/server_priv.h"

#define SERVER_TAG     0x53424D56U /* "VMBS" */
#define SERVER_VERSION 1U

/* The guest sees all that the VSP has done, so that only our indices are left to save. */
static void channel_save(struct vmbus_channel *ch, struct save_writer *w)
{
    if (!ch->broken &&
        (vmbus_ring_read_publish(&ch->in) < 0 || vmbus_ring_write_publish(&ch->out) < 0))
        ch->broken = true;
    save_u16(w, (uint16_t)ch->relid);
    save_u32(w, ch->in.read);
    save_u32(w, ch->out.write);
    save_u8(w, ch->broken);
}

int vmbus_server_save(struct vmbus_server *server, struct save_writer *w)
{
    size_t begin;
    int err;

    (void)pthread_mutex_lock(&server->lock);
    err = server->paused ? vmbus_core_save(server->core, w) : -EBUSY;
    if (!err) {
        begin = save_begin(w, SERVER_TAG, SERVER_VERSION);
        for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
            struct vmbus_channel *ch = server->channels[i];
            if (ch && ch->open)
                channel_save(ch, w);
        }
        save_u16(w, 0);
        save_end(w, begin);
        err = w->err;
    }
    (void)pthread_mutex_unlock(&server->lock);
    return err;
}

static bool anything_open(const struct vmbus_server *server)
{
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++)
        if (server->channels[i] && server->channels[i]->open)
            return true;
    return false;
}

/* A core with what was saved, in place of the one that knows only the devices. */
static int core_replace(struct vmbus_server *server, struct save_reader *r)
{
    struct vmbus_core *core;
    int err = vmbus_core_create_like(&core, server->core);

    if (err)
        return err;
    err = vmbus_core_load(core, r);
    if (err) {
        vmbus_core_destroy(core);
        return err;
    }
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++)
        server_channel_free(server, server->channels[i]);
    vmbus_core_destroy(server->core);
    server->core = core;
    return 0;
}

/* Devices find their channels by type and instance; new ones are offered. */
static int devices_match(struct vmbus_server *server)
{
    int err = 0;

    list_for_each(it, &server->devices)
    {
        struct vmbus_device *d = list_entry(it, struct vmbus_device, node);
        struct vmbus_core_offer o;
        server_offer(&d->offer, &o);
        d->relid = vmbus_core_find(server->core, o.type, o.instance);
        if (d->relid == 0 && !err)
            err = vmbus_core_offer(server->core, &o, &d->relid);
    }
    return err;
}

/* Channels of no device any more go from the guest. */
static void orphans_revoke(struct vmbus_server *server)
{
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        struct vmbus_core_channel_info info;
        if (vmbus_core_channel(server->core, i, &info) == 0 && !info.primary &&
            !server_device(server, i))
            vmbus_core_revoke(server->core, i);
    }
}

static int channel_load(struct vmbus_server *server, uint32_t relid, struct save_reader *r)
{
    struct vmbus_core_channel_info info;
    struct channel_resume resume;
    struct vmbus_channel *ch;

    resume.read = load_u32(r);
    resume.write = load_u32(r);
    resume.broken = load_max(r, 1, 1) != 0;
    if (r->err || server->channels[relid] || vmbus_core_channel(server->core, relid, &info) < 0)
        return -EINVAL;
    if (!info.open)
        return 0; /* an orphan */
    ch = server_channel_new(server, relid);
    if (!ch)
        return -ENOMEM;
    return ch->device ? server_channel_open(ch, &resume) : 0;
}

static int channels_load(struct vmbus_server *server, struct save_reader *r)
{
    uint32_t relid;
    int err = 0;

    (void)load_begin(r, SERVER_TAG, SERVER_VERSION);
    while (!err && (relid = (uint32_t)load_max(r, 2, VMBUS_CHANNELS_MAX)) != 0)
        err = channel_load(server, relid, r);
    if (!err)
        err = load_end(r);
    /* Each channel that the guest has open is served. */
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX && !err; i++) {
        struct vmbus_core_channel_info info;
        if (vmbus_core_channel(server->core, i, &info) == 0 && info.open &&
            (!server->channels[i] || !server->channels[i]->open))
            err = -EINVAL;
    }
    return err;
}

int vmbus_server_load(struct vmbus_server *server, struct save_reader *r)
{
    int err;

    (void)pthread_mutex_lock(&server->lock);
    err = server->paused && !anything_open(server) ? core_replace(server, r) : -EBUSY;
    if (!err) {
        err = devices_match(server);
        orphans_revoke(server);
        if (!err)
            err = channels_load(server, r);
        if (err)
            server_reset(server); /* closes those that have been opened */
    }
    (void)pthread_mutex_unlock(&server->lock);
    return err;
}
