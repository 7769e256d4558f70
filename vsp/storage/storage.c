/* SPDX-License-Identifier: MIT */
#include "vsp/storage/storage.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/bits.h"
#include "vsp/storage/storage_priv.h"

/*
 * The controller: its life, and what the VMBus server and the worker ask of it.
 */

uint64_t storage_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

int storage_create(struct storage **out, const struct storage_config *config,
                   const struct storage_hooks *hooks)
{
    struct storage *s;

    if (config->vp_count == 0)
        return -EINVAL;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->config = *config;
    s->hooks = *hooks;
    /* The first channel serves a VP as well. */
    s->sub_channel_max = (uint16_t)min_u64(
        config->vp_count - 1, min_u64(config->sub_channel_max, STORAGE_SUB_CHANNELS_MAX));
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->parked, NULL);
    for (unsigned i = 0; i < STORAGE_LUNS; i++) {
        (void)pthread_mutex_init(&s->units[i].lock, NULL);
        (void)pthread_cond_init(&s->units[i].idle, NULL);
    }
    *out = s;
    return 0;
}

void storage_destroy(struct storage *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < STORAGE_LUNS; i++) {
        (void)pthread_cond_destroy(&s->units[i].idle);
        (void)pthread_mutex_destroy(&s->units[i].lock);
    }
    for (unsigned i = 0; i < STORAGE_CHANNELS; i++)
        free(s->saved[i]);
    (void)pthread_cond_destroy(&s->parked);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

void storage_offer(const struct storage *s, struct vmbus_offer *offer)
{
    *offer = (struct vmbus_offer){
        .type = {VSTOR_CLASS_GUID_BYTES},
        .instance = s->config.instance,
        .sub_channel_max = s->sub_channel_max,
    };
}

/* A guest opens the first channel, after a boot, a crash or a reload of its driver. */
static void guest_begin(struct storage *s)
{
    s->version = 0;
    for (unsigned i = 0; i < STORAGE_LUNS; i++)
        unit_begin(&s->units[i]);
}

/* What is left of a saved state is for a channel that was open in it, and not for another guest. */
static struct saved_channel *saved_of(struct storage *s, const struct vmbus_channel *vmbus,
                                      unsigned sub)
{
    if (!vmbus_channel_restored(vmbus)) {
        free(s->saved[sub]);
        s->saved[sub] = NULL;
    }
    return s->saved[sub];
}

static int device_open(void *device, struct vmbus_channel *vmbus, unsigned sub)
{
    struct storage *s = device;
    int err = -EINVAL;

    (void)pthread_mutex_lock(&s->lock);
    if (sub < STORAGE_CHANNELS && !s->channels[sub]) {
        struct saved_channel *saved = saved_of(s, vmbus, sub);
        if (sub == 0 && !saved)
            guest_begin(s);
        err = channel_create(&s->channels[sub], s, vmbus, sub, saved);
        if (!err) {
            s->saved[sub] = NULL;
            free(saved);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return err;
}

static void device_close(void *device, struct vmbus_channel *vmbus, unsigned sub)
{
    struct storage *s = device;
    struct channel *c = NULL;

    (void)pthread_mutex_lock(&s->lock);
    if (sub < STORAGE_CHANNELS && s->channels[sub] && s->channels[sub]->vmbus == vmbus) {
        c = s->channels[sub];
        s->channels[sub] = NULL;
        s->closing++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!c)
        return;
    channel_destroy(c); /* its thread may want the lock on its way out */
    (void)pthread_mutex_lock(&s->lock);
    s->closing--;
    (void)pthread_cond_broadcast(&s->parked);
    (void)pthread_mutex_unlock(&s->lock);
}

const struct vmbus_device_ops storage_device_ops = {device_open, device_close};

static void kick_locked(struct storage *s)
{
    for (unsigned i = 0; i < STORAGE_CHANNELS; i++)
        if (s->channels[i])
            channel_kick(s->channels[i]);
}

void storage_kick(struct storage *s)
{
    (void)pthread_mutex_lock(&s->lock);
    kick_locked(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void storage_version_set(struct storage *s, uint16_t version)
{
    (void)pthread_mutex_lock(&s->lock);
    s->version = version;
    (void)pthread_mutex_unlock(&s->lock);
}

static bool all_parked(const struct storage *s)
{
    for (unsigned i = 0; i < STORAGE_CHANNELS; i++)
        if (s->channels[i] && !s->channels[i]->parked)
            return false;
    return s->closing == 0;
}

void storage_pause(struct storage *s)
{
    (void)pthread_mutex_lock(&s->lock);
    atomic_store(&s->pausing, true);
    kick_locked(s);
    while (!all_parked(s))
        (void)pthread_cond_wait(&s->parked, &s->lock);
    (void)pthread_mutex_unlock(&s->lock);
}

void storage_resume(struct storage *s)
{
    (void)pthread_mutex_lock(&s->lock);
    atomic_store(&s->pausing, false);
    (void)pthread_cond_broadcast(&s->parked);
    (void)pthread_mutex_unlock(&s->lock);
}

int storage_channel_counters(struct storage *s, unsigned sub,
                             struct storage_channel_counters *counters)
{
    struct channel *c;
    int err = -ENOENT;

    (void)pthread_mutex_lock(&s->lock);
    c = sub < STORAGE_CHANNELS ? s->channels[sub] : NULL;
    if (c) {
        *counters = (struct storage_channel_counters){
            .packets = atomic_load_explicit(&c->packets, memory_order_relaxed),
            .batches = atomic_load_explicit(&c->batches, memory_order_relaxed),
            .waits = atomic_load_explicit(&c->waits, memory_order_relaxed),
            .ring_full = atomic_load_explicit(&c->ring_full, memory_order_relaxed),
            .broken = atomic_load_explicit(&c->broken, memory_order_relaxed),
            .version = (uint16_t)atomic_load_explicit(&c->version, memory_order_relaxed),
        };
        err = 0;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return err;
}
