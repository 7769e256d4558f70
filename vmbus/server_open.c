/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmbus/server_priv.h"

static void kick(int fd)
{
    const uint64_t one = 1;

    (void)!write(fd, &one, sizeof(one));
}

static void signal_drain(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
}

/* The host's addresses of the pages of the rings, which the core has found to be memory. */
static int pages_find(struct vmbus_channel *ch, const struct vmbus_core_gpadl *g, uint8_t **pages)
{
    const struct vmbus_host *host = &ch->server->config.host;

    for (uint32_t i = 1; i < g->word_count; i++) {
        pages[i - 1] = host->memory_host(host->ctx, g->words[i] * VMBUS_PAGE_SIZE, VMBUS_PAGE_SIZE);
        if (!pages[i - 1])
            return -EFAULT;
    }
    return 0;
}

/* A guest that has spoilt its rings before it was saved does not find them better now. */
static int rings_start(struct vmbus_channel *ch, uint32_t count, uint32_t downstream,
                       const struct channel_resume *resume)
{
    struct vmbus_ring up, down;
    int err = vmbus_ring_attach(&up, ch->pages, downstream);

    if (!err)
        err = vmbus_ring_attach(&down, ch->pages + downstream, count - downstream);
    if (err)
        return err;
    if (resume) {
        ch->broken = resume->broken || vmbus_ring_in_resume(&ch->in, &up, resume->read) < 0 ||
                     vmbus_ring_out_resume(&ch->out, &down, resume->write) < 0;
        ch->signal = true; /* nobody knows what was on its way */
        return 0;
    }
    err = vmbus_ring_in_open(&ch->in, &up);
    return err ? err : vmbus_ring_out_open(&ch->out, &down);
}

static void rings_unmap(struct vmbus_channel *ch)
{
    free(ch->pages);
    ch->pages = NULL;
}

static int rings_map(struct vmbus_channel *ch, const struct vmbus_core_open *o,
                     const struct channel_resume *resume)
{
    struct vmbus_core_gpadl g;
    int err = vmbus_core_gpadl(ch->server->core, ch->relid, o->gpadl, &g);

    if (err)
        return err;
    ch->pages = calloc(g.word_count, sizeof(*ch->pages));
    if (!ch->pages)
        return -ENOMEM;
    err = pages_find(ch, &g, ch->pages);
    if (!err)
        err = rings_start(ch, g.word_count - 1, o->downstream_offset, resume);
    if (err)
        rings_unmap(ch);
    return err;
}

static void parameters_take(struct vmbus_channel *ch, const struct vmbus_core_open *o)
{
    struct vmbus_core_contact contact;

    vmbus_core_contact(ch->server->core, &contact);
    ch->sint = contact.sint;
    ch->event_flag = o->event_flag;
    ch->connection_id = o->connection_id;
    memcpy(ch->open_data, o->user_data, sizeof(ch->open_data));
    atomic_store_explicit(&ch->vp, o->target_vp, memory_order_relaxed);
    ch->broken = ch->signal = false;
}

static int vsp_open(struct vmbus_channel *ch)
{
    struct vmbus_server *server = ch->server;
    const struct vmbus_device *d = ch->device;
    int err;

    ch->open = true; /* the device waits for its close from here on */
    (void)pthread_mutex_unlock(&server->lock);
    err = d->ops->open(d->ctx, ch, ch->sub);
    (void)pthread_mutex_lock(&server->lock);
    ch->open = err == 0;
    return err;
}

int server_channel_open(struct vmbus_channel *ch, const struct channel_resume *resume)
{
    const struct vmbus_host *host = &ch->server->config.host;
    struct vmbus_core_channel_info info;
    int err = vmbus_core_channel(ch->server->core, ch->relid, &info);

    if (err)
        return err;
    parameters_take(ch, &info.params);
    ch->restored = resume != NULL;
    err = rings_map(ch, &info.params, resume);
    if (err)
        return err;
    signal_drain(ch->fd);
    err = host->connect_event(host->ctx, ch->connection_id, ch->fd);
    if (!err) {
        err = vsp_open(ch);
        if (err)
            host->disconnect_event(host->ctx, ch->connection_id, ch->fd);
    }
    vmbus_record(ch->server->recorder, VMBUS_RECORD_OPEN, ch->relid, err, NULL, 0, NULL, 0);
    if (err)
        rings_unmap(ch);
    else
        kick(ch->fd); /* to look once, whatever has been before */
    return err;
}

void server_channel_close(struct vmbus_channel *ch)
{
    struct vmbus_server *server = ch->server;
    const struct vmbus_host *host = &server->config.host;
    const struct vmbus_device *d = ch->device;

    (void)pthread_mutex_unlock(&server->lock);
    d->ops->close(d->ctx, ch, ch->sub);
    (void)pthread_mutex_lock(&server->lock);
    host->disconnect_event(host->ctx, ch->connection_id, ch->fd);
    rings_unmap(ch);
    ch->open = false;
    vmbus_record(server->recorder, VMBUS_RECORD_CLOSE, ch->relid, 0, NULL, 0, NULL, 0);
}
