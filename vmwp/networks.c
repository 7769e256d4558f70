/* SPDX-License-Identifier: MIT */
#include "vmwp/networks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/bits.h"
#include "vmwp/tap.h"

/* An adapter, its place in the last byte (random otherwise). */
static const struct vmbus_guid instance = {{0x91, 0x0c, 0xe4, 0x5a, 0x3d, 0x77, 0x1b, 0x48, 0xa6,
                                            0x2f, 0xc8, 0x09, 0x54, 0xbd, 0x33, 0x00}};

#define SPEED_MBIT 10000U

struct adapter {
    struct network *network; /* NULL: the place is free */
    struct config_network config;
    bool many; /* queues of the TAP can be attached and detached */
    unsigned queues;
    int queue[CONFIG_QUEUES_MAX];
};

struct networks {
    const struct config *config;
    struct adapter adapter[CONFIG_NETWORKS_MAX];
};

static int attach(void *ctx, unsigned queue, bool on)
{
    struct adapter *a = ctx;

    return tap_attach(a->queue[queue], a->many, on);
}

static int coalesce(void *ctx, bool ip4, bool ip6)
{
    struct adapter *a = ctx;

    return tap_coalesce(a->queue[0], ip4, ip6);
}

static int sub_channels(void *ctx, struct vmbus_channel *channel, unsigned count)
{
    return vmbus_channel_offer_subs(channel, count);
}

/* FNV-1a over the machine's name and the place: the same each time, and hardly anybody else's. */
static void address_make(const char *name, unsigned place, uint8_t mac[6])
{
    static const uint8_t vendor[3] = {0x00, 0x15, 0x5D};
    uint64_t hash = 0xcbf29ce484222325ULL + place;

    for (const char *s = name; *s; s++)
        hash = (hash ^ (uint8_t)*s) * 0x100000001b3ULL;
    hash ^= hash >> 32;
    memcpy(mac, vendor, sizeof(vendor));
    for (unsigned i = 3; i < 6; i++)
        mac[i] = (uint8_t)(hash >> (8 * (i - 3)));
}

static unsigned queues_wanted(const struct networks *n, const struct config_network *c)
{
    unsigned most = (unsigned)min_u64(n->config->processors, CONFIG_QUEUES_MAX);

    return c->queues ? (unsigned)min_u64(c->queues, most) : (unsigned)min_u64(most, 8);
}

static int adapter_create(struct networks *n, unsigned place, struct problem *why)
{
    struct adapter *a = &n->adapter[place];
    struct network_config config = {
        .instance = instance,
        .mac_change = a->config.mac_change,
        .spoofing = a->config.spoofing,
        .mtu = (uint16_t)a->config.mtu,
        .channels = (unsigned)min_u64(n->config->processors, CONFIG_QUEUES_MAX),
        .speed = SPEED_MBIT,
    };
    const struct network_backend backend = {a, a->queues, a->queue, attach, coalesce};
    const struct network_hooks hooks = {NULL, sub_channels};
    int err = 0;

    config.instance.bytes[15] = (uint8_t)place;
    if (!a->config.mac_given)
        address_make(n->config->name, place, a->config.mac);
    memcpy(config.mac, a->config.mac, sizeof(config.mac));
    for (unsigned i = 0; i < a->queues && !err; i++)
        err = tap_check(a->queue[i], &a->many, why);
    if (err)
        return err;
    if (tap_coalesce(a->queue[0], false, false) < 0)
        return problem_set(why, -errno, "tap %s: offloads: %m", a->config.tap);
    err = network_create(&a->network, &config, &backend, &hooks);
    return err ? problem_set(why, err, "network %u: %s", place, strerror(-err)) : 0;
}

static void queues_close(struct adapter *a)
{
    while (a->queues > 0)
        (void)close(a->queue[--a->queues]);
}

static int open_one(struct networks *n, unsigned place, struct problem *why)
{
    struct adapter *a = &n->adapter[place];
    struct problem inner = {{0}};
    unsigned queues;
    int err;

    a->config = n->config->network[place];
    queues = queues_wanted(n, &a->config);
    err = tap_open(a->config.tap, queues, a->config.mtu, a->queue, &inner);
    if (!err) {
        a->queues = queues;
        err = adapter_create(n, place, &inner);
    }
    return err ? problem_set(why, err, "network of line %u: %.400s", a->config.line, inner.text)
               : 0;
}

int networks_open(struct networks **out, const struct config *config, struct problem *why)
{
    struct networks *n = calloc(1, sizeof(*n));
    int err = 0;

    if (!n)
        return problem_set(why, -ENOMEM, "out of memory");
    n->config = config;
    for (unsigned i = 0; i < config->networks && !err; i++)
        err = open_one(n, i, why);
    if (err)
        networks_close(n);
    else
        *out = n;
    return err;
}

void networks_remove(struct networks *n, unsigned place)
{
    struct adapter *a = &n->adapter[place];

    network_destroy(a->network);
    queues_close(a);
    *a = (struct adapter){.network = NULL};
}

void networks_close(struct networks *n)
{
    if (!n)
        return;
    for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
        networks_remove(n, i);
    free(n);
}

struct network *networks_adapter(struct networks *n, unsigned place)
{
    return place < CONFIG_NETWORKS_MAX ? n->adapter[place].network : NULL;
}

int networks_add(struct networks *n, const struct config_network *what, const int *queue,
                 unsigned queues, struct problem *why)
{
    unsigned place = 0;
    struct adapter *a;
    int err;

    while (place < CONFIG_NETWORKS_MAX && n->adapter[place].network)
        place++;
    if (place == CONFIG_NETWORKS_MAX)
        return problem_set(why, -ENOSPC, "there are %u adapters already", CONFIG_NETWORKS_MAX);
    if (queues == 0 || queues > CONFIG_QUEUES_MAX)
        return problem_set(why, -EINVAL, "1 to %u queues of a TAP have to come along",
                           CONFIG_QUEUES_MAX);
    a = &n->adapter[place];
    *a = (struct adapter){.config = *what, .queues = queues};
    memcpy(a->queue, queue, queues * sizeof(queue[0]));
    err = adapter_create(n, place, why);
    if (err)
        *a = (struct adapter){.network = NULL};
    return err ? err : (int)place;
}

static json_t *channel_counters(struct network *network, unsigned sub)
{
    struct network_counters c;

    if (network_counters(network, sub, &c) < 0)
        return NULL;
    return json_pack(
        "{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:b}",
        "channel", (int)sub, "sent", (json_int_t)c.sent, "sent_bytes", (json_int_t)c.sent_bytes,
        "received", (json_int_t)c.received, "received_bytes", (json_int_t)c.received_bytes,
        "send_errors", (json_int_t)c.send_errors, "spoofed", (json_int_t)c.spoofed, "filtered",
        (json_int_t)c.filtered, "receive_errors", (json_int_t)c.receive_errors, "steered",
        (json_int_t)c.steered, "packets", (json_int_t)c.packets, "batches", (json_int_t)c.batches,
        "waits", (json_int_t)c.waits, "ring_full", (json_int_t)c.ring_full, "no_buffer",
        (json_int_t)c.no_buffer, "broken", (int)c.broken);
}

static void mac_print(const uint8_t mac[6], char text[18])
{
    (void)snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                   mac[4], mac[5]);
}

static json_t *adapter_counters(struct adapter *a, unsigned place)
{
    json_t *channels = json_array();
    struct network_state s;
    char mac[18];

    network_state(a->network, &s);
    mac_print(s.mac, mac);
    for (unsigned i = 0; i < CONFIG_QUEUES_MAX; i++) {
        json_t *c = channel_counters(a->network, i);
        if (c)
            (void)json_array_append_new(channels, c);
    }
    return json_pack("{s:i, s:s, s:s, s:i, s:b, s:i, s:i, s:b, s:b, s:o}", "network", (int)place,
                     "tap", a->config.tap, "mac", mac, "mtu", (int)a->config.mtu, "link",
                     (int)s.link_up, "version", (int)s.version, "filter", (int)s.filter, "rss",
                     (int)s.rss, "coalescing", (int)(s.coalesce_ip4 || s.coalesce_ip6), "channels",
                     channels);
}

json_t *networks_counters(struct networks *n)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < CONFIG_NETWORKS_MAX; i++)
        if (n->adapter[i].network)
            (void)json_array_append_new(list, adapter_counters(&n->adapter[i], i));
    return list;
}
