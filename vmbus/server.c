/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "vmbus/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "lib/bits.h"
#include "lib/hosted/thread.h"
#include "vmbus/server_priv.h"

/* The channel of an offer: it stands where the recorder does not reach. */
static uint32_t post_channel(const struct vmbus_core_post *p)
{
    struct vmbus_msg_offerchannel m;

    memcpy(&m.header, p->data, sizeof(m.header));
    if (m.header.type != VMBUS_MSG_OFFERCHANNEL)
        return 0;
    memcpy(&m, p->data, sizeof(m));
    return m.relid;
}

/* Post what there is, in order, until a slot is not free: vmbus_server_retry() goes on then. Under
 * the lock. */
void server_posts(struct vmbus_server *server)
{
    const struct vmbus_host *host = &server->config.host;
    const struct vmbus_core_post *p;

    server->stuck = false;
    while (!server->paused && (p = vmbus_core_post_peek(server->core)) != NULL) {
        int err = host->post_message(host->ctx, p->vp, p->sint, p->data, p->length);
        if (err == -EAGAIN) {
            server->stuck = true;
            return;
        }
        server->post_lost += err != 0;
        vmbus_record(server->recorder, VMBUS_RECORD_POST, post_channel(p), err, NULL, 0, p->data,
                     p->length);
        vmbus_core_post_done(server->core);
    }
}

/* The thread may have effects to see to. Under the lock. */
void server_wake(struct vmbus_server *server)
{
    if (vmbus_core_pending(server->core))
        (void)pthread_cond_signal(&server->work);
}

struct vmbus_device *server_device(struct vmbus_server *server, uint32_t relid)
{
    list_for_each(it, &server->devices)
    {
        struct vmbus_device *d = list_entry(it, struct vmbus_device, node);
        if (d->relid == relid)
            return d;
    }
    return NULL;
}

/* What the VSP sees of a channel of the core. NULL: out of memory or descriptors. */
struct vmbus_channel *server_channel_new(struct vmbus_server *server, uint32_t relid)
{
    struct vmbus_channel *ch = calloc(1, sizeof(*ch));
    struct vmbus_core_channel_info info;

    if (!ch || vmbus_core_channel(server->core, relid, &info) < 0) {
        free(ch);
        return NULL;
    }
    ch->server = server;
    ch->relid = relid;
    ch->sub = info.sub_index;
    ch->device = server_device(server, info.primary ? info.primary : relid);
    ch->pipe = ch->device && ch->device->offer.pipe;
    ch->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ch->fd < 0) {
        free(ch);
        return NULL;
    }
    (void)pthread_mutex_init(&ch->target, NULL);
    server->channels[relid] = ch;
    return ch;
}

void server_channel_free(struct vmbus_server *server, struct vmbus_channel *ch)
{
    if (!ch)
        return;
    server->channels[ch->relid] = NULL;
    (void)close(ch->fd);
    (void)pthread_mutex_destroy(&ch->target);
    free(ch);
}

static void effect_open(struct vmbus_server *server, struct vmbus_channel *ch, uint32_t relid)
{
    int err = ch && ch->device ? server_channel_open(ch, NULL) : -ENODEV;

    vmbus_core_open_done(server->core, relid, err);
}

static void effect_close(struct vmbus_server *server, struct vmbus_channel *ch, uint32_t relid)
{
    if (ch && ch->open)
        server_channel_close(ch);
    vmbus_core_close_done(server->core, relid);
}

/* The guest takes the old VP away when it hears the answer, so that no interrupt may come there
 * after it. */
static void effect_retarget(struct vmbus_server *server, struct vmbus_channel *ch, uint32_t relid)
{
    struct vmbus_core_channel_info info;

    if (ch && vmbus_core_channel(server->core, relid, &info) == 0) {
        (void)pthread_mutex_lock(&ch->target);
        atomic_store_explicit(&ch->vp, info.params.target_vp, memory_order_relaxed);
        (void)pthread_mutex_unlock(&ch->target);
        vmbus_record(server->recorder, VMBUS_RECORD_RETARGET, relid, 0, &info.params.target_vp,
                     sizeof(info.params.target_vp), NULL, 0);
    }
    vmbus_core_retarget_done(server->core, relid, 0);
}

/* One effect; the lock is given away while a VSP works. False: there was none. */
static bool effect_run(struct vmbus_server *server)
{
    struct vmbus_effect e;
    struct vmbus_channel *ch;

    if (server->paused || !vmbus_core_next(server->core, &e))
        return false;
    ch = server->channels[e.relid];
    if (!ch && e.kind == VMBUS_EFFECT_OPEN)
        ch = server_channel_new(server, e.relid);
    switch (e.kind) {
    case VMBUS_EFFECT_OPEN:
        effect_open(server, ch, e.relid);
        break;
    case VMBUS_EFFECT_CLOSE:
        effect_close(server, ch, e.relid);
        break;
    case VMBUS_EFFECT_RETARGET:
        effect_retarget(server, ch, e.relid);
        break;
    case VMBUS_EFFECT_RELEASED:
        server_channel_free(server, ch);
        break;
    }
    server_posts(server);
    (void)pthread_cond_broadcast(&server->progress);
    return true;
}

static void *server_thread(void *arg)
{
    struct vmbus_server *server = arg;

    (void)pthread_mutex_lock(&server->lock);
    while (!server->stop)
        if (!effect_run(server))
            (void)pthread_cond_wait(&server->work, &server->lock);
    (void)pthread_mutex_unlock(&server->lock);
    return NULL;
}

static bool is_memory(void *ctx, uint64_t gpa, uint64_t length)
{
    const struct vmbus_server *server = ctx;

    return server->config.host.memory_host(server->config.host.ctx, gpa, length) != NULL;
}

static void server_free(struct vmbus_server *server)
{
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++)
        server_channel_free(server, server->channels[i]);
    vmbus_core_destroy(server->core);
    vmbus_recorder_destroy(server->recorder);
    (void)pthread_cond_destroy(&server->progress);
    (void)pthread_cond_destroy(&server->work);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

int vmbus_server_create(struct vmbus_server **out, const struct vmbus_server_config *config)
{
    struct vmbus_server *server = calloc(1, sizeof(*server));
    struct vmbus_core_config core = {.version_max = config->version_max,
                                     .vp_count = config->vp_count,
                                     .is_memory = is_memory,
                                     .ctx = server};
    int err;

    if (!server)
        return -ENOMEM;
    server->config = *config;
    list_init(&server->devices);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->work, NULL);
    (void)pthread_cond_init(&server->progress, NULL);
    server->recorder = vmbus_recorder_create();
    err = server->recorder ? vmbus_core_create(&server->core, &core) : -ENOMEM;
    if (!err)
        err = thread_start(&server->thread, server_thread, server);
    if (err)
        server_free(server);
    else
        *out = server;
    return err;
}

void vmbus_server_destroy(struct vmbus_server *server)
{
    if (!server)
        return;
    (void)pthread_mutex_lock(&server->lock);
    server->stop = true;
    (void)pthread_cond_signal(&server->work);
    (void)pthread_mutex_unlock(&server->lock);
    (void)pthread_join(server->thread, NULL);
    server_free(server);
}

void server_offer(const struct vmbus_offer *offer, struct vmbus_core_offer *out)
{
    *out = (struct vmbus_core_offer){.flags = offer->flags, .mmio_mb = offer->mmio_mb};
    memcpy(out->type, offer->type.bytes, sizeof(out->type));
    memcpy(out->instance, offer->instance.bytes, sizeof(out->instance));
    memcpy(out->user_defined, offer->user_defined, sizeof(out->user_defined));
    if (offer->pipe)
        out->flags |= VMBUS_OFFER_NAMED_PIPE_MODE;
}

int vmbus_server_add(struct vmbus_server *server, const struct vmbus_offer *offer,
                     const struct vmbus_device_ops *ops, void *ctx, struct vmbus_device **out)
{
    struct vmbus_device *d = calloc(1, sizeof(*d));
    struct vmbus_core_offer o;
    int err;

    if (!d)
        return -ENOMEM;
    *d = (struct vmbus_device){.ops = ops, .ctx = ctx, .offer = *offer};
    server_offer(offer, &o);
    (void)pthread_mutex_lock(&server->lock);
    err = vmbus_core_offer(server->core, &o, &d->relid);
    if (!err) {
        list_append(&server->devices, &d->node);
        server_posts(server);
        server_wake(server);
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (err)
        free(d);
    else
        *out = d;
    return err;
}

/* Whether the VSP has a channel of the device. */
static bool device_open(const struct vmbus_server *server, const struct vmbus_device *device)
{
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++) {
        const struct vmbus_channel *ch = server->channels[i];
        if (ch && ch->device == device && ch->open)
            return true;
    }
    return false;
}

void vmbus_server_remove(struct vmbus_server *server, struct vmbus_device *device)
{
    if (!device)
        return;
    (void)pthread_mutex_lock(&server->lock);
    list_remove(&device->node); /* no channel is opened for it from here on */
    vmbus_core_revoke(server->core, device->relid);
    server_posts(server);
    (void)pthread_cond_signal(&server->work);
    while (device_open(server, device))
        (void)pthread_cond_wait(&server->progress, &server->lock);
    for (uint32_t i = 1; i <= VMBUS_CHANNELS_MAX; i++)
        if (server->channels[i] && server->channels[i]->device == device)
            server->channels[i]->device = NULL;
    (void)pthread_mutex_unlock(&server->lock);
    free(device);
}

int vmbus_server_message(struct vmbus_server *server, uint32_t connection_id, const void *payload,
                         size_t len)
{
    int err = -EAGAIN;

    (void)pthread_mutex_lock(&server->lock);
    if (!server->pausing)
        err = vmbus_core_message(server->core, connection_id, payload, len);
    vmbus_record(server->recorder, VMBUS_RECORD_MESSAGE, 0, err, &connection_id,
                 sizeof(connection_id), payload, len);
    server_posts(server);
    server_wake(server);
    (void)pthread_mutex_unlock(&server->lock);
    return err;
}

void vmbus_server_retry(struct vmbus_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    if (server->stuck)
        server_posts(server);
    (void)pthread_mutex_unlock(&server->lock);
}

/* Until all that has begun is finished. Under the lock. */
static void quiet_wait(struct vmbus_server *server)
{
    (void)pthread_cond_signal(&server->work);
    while (!vmbus_core_quiet(server->core))
        (void)pthread_cond_wait(&server->progress, &server->lock);
}

/* Also while paused: VSPs must close, and there are no messages left to post. Under the lock. */
void server_reset(struct vmbus_server *server)
{
    bool paused = server->paused;

    vmbus_record(server->recorder, VMBUS_RECORD_RESET, 0, 0, NULL, 0, NULL, 0);
    vmbus_core_reset(server->core);
    server->paused = false;
    quiet_wait(server);
    server->paused = paused;
}

void vmbus_server_reset(struct vmbus_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server_reset(server);
    (void)pthread_mutex_unlock(&server->lock);
}

void vmbus_server_pause(struct vmbus_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    if (!server->pausing) {
        server->pausing = true;
        quiet_wait(server);
        server->paused = true;
    }
    (void)pthread_mutex_unlock(&server->lock);
}

void vmbus_server_resume(struct vmbus_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server->pausing = server->paused = false;
    server_posts(server);
    (void)pthread_cond_signal(&server->work);
    (void)pthread_mutex_unlock(&server->lock);
}
