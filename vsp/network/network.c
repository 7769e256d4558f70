/* SPDX-License-Identifier: MIT */
#include "vsp/network/network.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/bits.h"
#include "vsp/network/network_priv.h"

/* A guest has stopped when it has said nothing for so long, looked at in such steps. */
#define RETIRE_QUIET_MS 200U
#define RETIRE_STEP_MS  20U

/*
 * The adapter: its life, and what the VMBus server and the worker ask of it.
 */

static bool config_good(const struct network_config *config, const struct network_backend *backend)
{
    return config->mtu >= NETWORK_MTU_MIN && config->mtu <= NETWORK_MTU_MAX &&
           !(config->mac[0] & 1) && config->channels > 0 && backend->queues > 0 &&
           backend->queues <= NETWORK_QUEUES_MAX;
}

static void detach_all(const struct network_backend *b)
{
    for (unsigned i = 0; i < b->queues && b->attach; i++)
        (void)b->attach(b->ctx, i, false);
}

int network_create(struct network **out, const struct network_config *config,
                   const struct network_backend *backend, const struct network_hooks *hooks)
{
    struct network *n;

    if (!config_good(config, backend))
        return -EINVAL;
    n = calloc(1, sizeof(*n));
    if (!n)
        return -ENOMEM;
    n->config = *config;
    n->config.channels = (unsigned)min_u64(config->channels, NETWORK_QUEUES_MAX);
    n->backend = *backend;
    n->hooks = *hooks;
    memcpy(n->rndis_config.mac, config->mac, sizeof(n->rndis_config.mac));
    n->rndis_config.mac_change = config->mac_change;
    n->rndis_config.mtu = config->mtu;
    n->rndis_config.channels = n->config.channels;
    n->rndis_config.speed = config->speed;
    (void)pthread_mutex_init(&n->lock, NULL);
    (void)pthread_cond_init(&n->parked, NULL);
    (void)pthread_mutex_init(&n->route_lock, NULL);
    (void)pthread_mutex_init(&n->sections.lock, NULL);
    atomic_store(&n->link_wanted, true);
    n->shared.link_up = true;
    rndis_init(&n->shared.rndis, &n->rndis_config);
    detach_all(backend);
    *out = n;
    return 0;
}

void network_destroy(struct network *n)
{
    if (!n)
        return;
    saved_free(n->saved);
    (void)pthread_mutex_destroy(&n->sections.lock);
    (void)pthread_mutex_destroy(&n->route_lock);
    (void)pthread_cond_destroy(&n->parked);
    (void)pthread_mutex_destroy(&n->lock);
    free(n);
}

void network_offer(const struct network *n, struct vmbus_offer *offer)
{
    *offer = (struct vmbus_offer){
        .type = {NVSP_CLASS_GUID_BYTES},
        .instance = n->config.instance,
        .sub_channel_max = (uint16_t)(n->config.channels - 1),
    };
}

/* The last of the channels that were offered is open: the first one tells the guest to use them. */
static void table_check(struct network *n)
{
    for (unsigned i = 0; i <= n->granted; i++)
        if (!n->channels[i])
            return;
    if (n->granted && n->version >= NVSP_VERSION_5) {
        atomic_store(&n->table_due, true);
        network_channel_kick(n->channels[0]);
    }
}

/* What is left of a saved state is for channels that were open in it, and not for another guest. */
static void saved_judge(struct network *n, const struct vmbus_channel *vmbus)
{
    if (vmbus_channel_restored(vmbus))
        return;
    saved_free(n->saved);
    n->saved = NULL;
}

static int device_open(void *device, struct vmbus_channel *vmbus, unsigned sub)
{
    struct network *n = device;
    int err = -EINVAL;

    (void)pthread_mutex_lock(&n->lock);
    if (sub < n->config.channels && !n->channels[sub] && (sub == 0 || n->channels[0])) {
        saved_judge(n, vmbus);
        err = network_channel_create(&n->channels[sub], n, vmbus, sub);
        if (!err && sub)
            table_check(n);
    }
    (void)pthread_mutex_unlock(&n->lock);
    return err;
}

static void past_add(struct network *n, const struct channel *c)
{
    n->past.sent += atomic_load(&c->sent);
    n->past.received += atomic_load(&c->received);
    n->past.send_errors += atomic_load(&c->send_errors) + atomic_load(&c->spoofed);
    n->past.receive_errors += atomic_load(&c->receive_errors);
    n->past.no_buffer += atomic_load(&c->no_buffer);
}

/* It stays in the table until its thread has ended, which may want the lock on its way out. */
static void device_close(void *device, struct vmbus_channel *vmbus, unsigned sub)
{
    struct network *n = device;
    struct channel *c = NULL;

    (void)pthread_mutex_lock(&n->lock);
    if (sub < NETWORK_QUEUES_MAX && n->channels[sub] && n->channels[sub]->vmbus == vmbus) {
        c = n->channels[sub];
        atomic_store(&c->stop, true);
        (void)pthread_cond_broadcast(&n->parked);
    }
    (void)pthread_mutex_unlock(&n->lock);
    if (!c)
        return;
    network_channel_stop(c);
    (void)pthread_mutex_lock(&n->lock);
    n->channels[sub] = NULL;
    past_add(n, c);
    (void)pthread_cond_broadcast(&n->parked);
    (void)pthread_mutex_unlock(&n->lock);
    network_channel_free(c);
}

const struct vmbus_device_ops network_device_ops = {device_open, device_close};

static void kick_locked(struct network *n)
{
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX; i++)
        if (n->channels[i])
            network_channel_kick(n->channels[i]);
}

void network_link(struct network *n, bool up)
{
    (void)pthread_mutex_lock(&n->lock);
    atomic_store(&n->link_wanted, up);
    if (!n->channels[0])
        n->shared.link_up = up; /* and nobody else is there to read it */
    kick_locked(n);
    (void)pthread_mutex_unlock(&n->lock);
}

static uint64_t packets_of(struct network *n)
{
    uint64_t packets = 0;

    (void)pthread_mutex_lock(&n->lock);
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX; i++)
        if (n->channels[i])
            packets += atomic_load_explicit(&n->channels[i]->packets, memory_order_relaxed);
    (void)pthread_mutex_unlock(&n->lock);
    return packets;
}

static bool is_open(struct network *n)
{
    bool open;

    (void)pthread_mutex_lock(&n->lock);
    open = n->channels[0] != NULL;
    (void)pthread_mutex_unlock(&n->lock);
    return open;
}

void network_retire(struct network *n, unsigned timeout_ms)
{
    const struct timespec step = {0, RETIRE_STEP_MS * 1000000L};
    uint64_t before = packets_of(n);
    unsigned quiet_ms = 0;

    network_link(n, false);
    for (unsigned ms = 0; ms < timeout_ms && quiet_ms < RETIRE_QUIET_MS && is_open(n);
         ms += RETIRE_STEP_MS) {
        uint64_t now;
        (void)nanosleep(&step, NULL);
        now = packets_of(n);
        quiet_ms =
            now == before && atomic_load(&n->sections.lent) == 0 ? quiet_ms + RETIRE_STEP_MS : 0;
        before = now;
    }
}

void network_freeze(struct network *n, const struct channel *self)
{
    (void)pthread_mutex_lock(&n->lock);
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX; i++)
        if (n->channels[i] && n->channels[i] != self)
            (void)pthread_mutex_lock(&n->channels[i]->busy);
}

void network_thaw(struct network *n, const struct channel *self)
{
    for (unsigned i = NETWORK_QUEUES_MAX; i-- > 0;)
        if (n->channels[i] && n->channels[i] != self)
            (void)pthread_mutex_unlock(&n->channels[i]->busy);
    (void)pthread_mutex_unlock(&n->lock);
}

void network_statistics(const struct network *n, struct rndis_statistics *s)
{
    *s = n->past;
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX; i++) {
        const struct channel *c = n->channels[i];
        if (!c)
            continue;
        s->sent += atomic_load_explicit(&c->sent, memory_order_relaxed);
        s->received += atomic_load_explicit(&c->received, memory_order_relaxed);
        s->send_errors += atomic_load_explicit(&c->send_errors, memory_order_relaxed) +
                          atomic_load_explicit(&c->spoofed, memory_order_relaxed);
        s->receive_errors += atomic_load_explicit(&c->receive_errors, memory_order_relaxed);
        s->no_buffer += atomic_load_explicit(&c->no_buffer, memory_order_relaxed);
    }
}

bool network_receives(const struct network *n)
{
    const struct shared *s = &n->shared;

    return s->rndis.initialized && s->rndis.filter && s->receive.ready && s->link_up;
}

/* Changes happen with the lock, so that this sees whole ones. */
void network_state(struct network *n, struct network_state *state)
{
    const struct rndis *r = &n->shared.rndis;

    (void)pthread_mutex_lock(&n->lock);
    *state = (struct network_state){
        .version = n->version,
        .filter = r->filter,
        .link_up = atomic_load(&n->link_wanted),
        .coalesce_ip4 = r->coalesce_ip4,
        .coalesce_ip6 = r->coalesce_ip6,
        .rss = r->rss.enabled,
    };
    memcpy(state->mac, r->mac, sizeof(state->mac));
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX; i++)
        state->channels += n->channels[i] != NULL;
    (void)pthread_mutex_unlock(&n->lock);
}

#define READ(counter) atomic_load_explicit(&c->counter, memory_order_relaxed)

static void counters_read(const struct channel *c, struct network_counters *out)
{
    *out = (struct network_counters){
        .sent = READ(sent),
        .sent_bytes = READ(sent_bytes),
        .received = READ(received),
        .received_bytes = READ(received_bytes),
        .send_errors = READ(send_errors),
        .spoofed = READ(spoofed),
        .filtered = READ(filtered),
        .receive_errors = READ(receive_errors),
        .steered = READ(steered),
        .packets = READ(packets),
        .batches = READ(batches),
        .waits = READ(waits),
        .ring_full = READ(ring_full),
        .no_buffer = READ(no_buffer),
        .broken = READ(broken),
    };
}

int network_counters(struct network *n, unsigned sub, struct network_counters *counters)
{
    int err = -ENOENT;

    (void)pthread_mutex_lock(&n->lock);
    if (sub < NETWORK_QUEUES_MAX && n->channels[sub]) {
        counters_read(n->channels[sub], counters);
        err = 0;
    }
    (void)pthread_mutex_unlock(&n->lock);
    return err;
}

static bool all_parked(const struct network *n)
{
    for (unsigned i = 0; i < NETWORK_QUEUES_MAX; i++)
        if (n->channels[i] && !n->channels[i]->parked)
            return false;
    return true;
}

void network_pause(struct network *n)
{
    (void)pthread_mutex_lock(&n->lock);
    atomic_store(&n->pausing, true);
    kick_locked(n);
    while (!all_parked(n))
        (void)pthread_cond_wait(&n->parked, &n->lock);
    (void)pthread_mutex_unlock(&n->lock);
}

void network_resume(struct network *n)
{
    (void)pthread_mutex_lock(&n->lock);
    atomic_store(&n->pausing, false);
    (void)pthread_cond_broadcast(&n->parked);
    (void)pthread_mutex_unlock(&n->lock);
}
