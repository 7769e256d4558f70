/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_setname_np() */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "vsp/network/network_priv.h"
#include "lib/hosted/thread.h"

/*
 * A channel and its thread: packets of the guest and frames for it, in batches in turn; the guest
 * is told once for all of them.
 */

void network_tally(atomic_uint_fast64_t *counter, uint64_t v)
{
    /* Only this thread writes it. */
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, now + v, memory_order_relaxed);
}

void network_channel_break(struct channel *c)
{
    c->nvsp.state = NVSP_STATE_BROKEN;
    atomic_store_explicit(&c->broken, true, memory_order_relaxed);
}

static bool broken(const struct channel *c)
{
    return c->nvsp.state == NVSP_STATE_BROKEN;
}

/* One packet. False: there is none, or the channel is broken. */
static bool receive(struct channel *c)
{
    struct vmbus_packet packet;
    int got = vmbus_channel_receive(c->vmbus, &packet, c->packet, NETWORK_PACKET);

    if (got == 0)
        return false;
    c->signal = true;
    if (got < 0 || packet.type == VMBUS_PACKET_TRANSFER) {
        network_channel_break(c);
        return false;
    }
    if (packet.type == VMBUS_PACKET_COMPLETION) {
        receive_completed(c, packet.transaction);
        return true;
    }
    control_packet(c, &packet);
    (void)control_flush(c);
    return !broken(c);
}

/* Nothing is taken while an answer waits for room: there would be no place for the next. */
static bool receive_batch(struct channel *c)
{
    unsigned n = 0;

    while (n < NETWORK_BATCH && !c->has_reply && !broken(c) && receive(c))
        n++;
    network_tally(&c->packets, n);
    return n > 0;
}

/* One round. Whether there was anything to do. */
static bool work(struct channel *c)
{
    bool worked;

    (void)pthread_mutex_lock(&c->busy);
    worked = control_flush(c);
    worked |= receive_batch(c);
    if (!broken(c)) {
        worked |= control_chores(c);
        worked |= control_flush(c);
        worked |= receive_frames(c);
    } else {
        receive_drop(c);
    }
    if (c->signal)
        vmbus_channel_signal(c->vmbus);
    c->signal = false;
    (void)pthread_mutex_unlock(&c->busy);
    return worked;
}

/* The descriptors are edge-triggered: what comes after the last look wakes, and nobody has to read
 * those that only wake. */
static void channel_wait(struct channel *c)
{
    struct epoll_event events[3];
    int n;

    network_tally(&c->waits, 1);
    n = epoll_wait(c->poll_fd, events, 3, -1);
    for (int i = 0; i < n; i++)
        if (events[i].data.fd == c->queue_fd)
            c->queue_ready = c->attached;
}

static void poll_set(struct channel *c, bool on)
{
    if (c->polling == on)
        return;
    vmbus_channel_poll(c->vmbus, on);
    c->polling = on;
}

/* Stand still until the adapter goes on, or the channel is closed. */
static void park(struct channel *c)
{
    struct network *n = c->network;

    (void)pthread_mutex_lock(&n->lock);
    c->parked = true;
    (void)pthread_cond_broadcast(&n->parked);
    while (atomic_load(&n->pausing) && !atomic_load(&c->stop))
        (void)pthread_cond_wait(&n->parked, &n->lock);
    c->parked = false;
    (void)pthread_mutex_unlock(&n->lock);
}

/* While there is work the guest need not signal; the look after the last is without that. */
static void serve(struct channel *c)
{
    while (!atomic_load_explicit(&c->stop, memory_order_relaxed)) {
        if (atomic_load_explicit(&c->network->pausing, memory_order_relaxed)) {
            poll_set(c, false);
            park(c);
        } else if (work(c)) {
            poll_set(c, !broken(c));
        } else if (c->polling) {
            poll_set(c, false);
        } else {
            channel_wait(c);
        }
    }
}

/* Its pieces are others' from here on. */
static void leave(struct channel *c)
{
    struct network *n = c->network;

    (void)pthread_mutex_lock(&n->route_lock);
    n->route[c->sub] = NULL;
    (void)pthread_mutex_unlock(&n->route_lock);
    (void)pthread_mutex_lock(&c->busy);
    receive_drop(c);
    section_reclaim(&n->sections, &c->cache, c->sub);
    section_cache_drain(&n->sections, &c->cache);
    if (c->sub == 0)
        control_end(c);
    (void)pthread_mutex_unlock(&c->busy);
}

static int poll_add(int poll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};

    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int descriptors_open(struct channel *c)
{
    int err;

    c->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (c->poll_fd < 0)
        return -errno;
    err = poll_add(c->poll_fd, c->wake_fd);
    if (!err)
        err = poll_add(c->poll_fd, vmbus_channel_fd(c->vmbus));
    return err || !c->reads ? err : poll_add(c->poll_fd, c->queue_fd);
}

static void enter(struct channel *c)
{
    struct network *n = c->network;

    (void)pthread_mutex_lock(&n->route_lock);
    n->route[c->sub] = c;
    (void)pthread_mutex_unlock(&n->route_lock);
}

static void *channel_thread(void *arg)
{
    struct channel *c = arg;

    (void)pthread_setname_np(pthread_self(), "network");
    c->start_error = descriptors_open(c);
    if (c->start_error) {
        (void)sem_post(&c->started);
        return NULL;
    }
    enter(c);
    (void)sem_post(&c->started);
    serve(c);
    leave(c);
    return NULL;
}

void network_channel_free(struct channel *c)
{
    if (c->wake_fd >= 0)
        (void)close(c->wake_fd);
    if (c->poll_fd >= 0)
        (void)close(c->poll_fd);
    (void)pthread_mutex_destroy(&c->busy);
    (void)sem_destroy(&c->started);
    free(c->packet);
    free(c);
}

/* Returns when the thread has all it needs, or has ended for want of it. */
static int channel_start(struct channel *c)
{
    int err = thread_start(&c->thread, channel_thread, c);

    if (err)
        return err;
    while (sem_wait(&c->started) < 0)
        ;
    if (c->start_error)
        (void)pthread_join(c->thread, NULL);
    return c->start_error;
}

static int channel_prepare(struct channel *c)
{
    struct network *n = c->network;

    (void)sem_init(&c->started, 0, 0);
    (void)pthread_mutex_init(&c->busy, NULL);
    chain_init(&c->batch);
    chain_init(&c->inbox);
    c->link_told = true;
    c->reads = c->sub < n->backend.queues;
    c->queue_fd = n->backend.queue[c->sub % n->backend.queues];
    if (c->sub) {
        c->nvsp.state = NVSP_STATE_VERSIONED;
        c->nvsp.version = n->version;
    }
    c->packet = malloc(NETWORK_PACKET);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!c->packet)
        return -ENOMEM;
    return c->wake_fd < 0 ? -errno : 0;
}

int network_channel_create(struct channel **out, struct network *n, struct vmbus_channel *vmbus,
                           unsigned sub)
{
    struct channel *c = calloc(1, sizeof(*c));
    int err;

    if (!c)
        return -ENOMEM;
    *c = (struct channel){.network = n, .vmbus = vmbus, .sub = sub, .wake_fd = -1, .poll_fd = -1};
    err = channel_prepare(c);
    if (!err && n->saved && vmbus_channel_restored(vmbus))
        err = saved_adopt(n->saved, c);
    if (!err)
        err = channel_start(c);
    if (err)
        network_channel_free(c);
    else
        *out = c;
    return err;
}

void network_channel_kick(struct channel *c)
{
    (void)eventfd_write(c->wake_fd, 1);
}

void network_channel_stop(struct channel *c)
{
    network_channel_kick(c);
    (void)pthread_join(c->thread, NULL);
}
