/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "tests/unit/shim_network.h"
#include "vsp/network/network_priv.h"

/*
 * Packets of a guest, and frames for it, against the whole VSP but its threads: what channel.c does
 * is done here, in turn. Input is records: a kind, two bytes of length, and that many bytes, which
 * are a packet's data, or lie in the guest's memory for the packets to name.
 */

#define FUZZ_PAGES 64U
#define RECORD_MAX 4096U

static struct network *n;
static struct channel *c;
static struct vmbus_channel *ring;
static int pair[2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool true_always)
{
    if (!true_always)
        abort();
}

int network_channel_create(struct channel **out, struct network *network,
                           struct vmbus_channel *vmbus, unsigned sub)
{
    return -EINVAL;
}

void network_channel_stop(struct channel *channel)
{
}

void network_channel_free(struct channel *channel)
{
}

void network_channel_kick(struct channel *channel)
{
}

void network_channel_break(struct channel *channel)
{
    channel->nvsp.state = NVSP_STATE_BROKEN;
}

void network_tally(atomic_uint_fast64_t *counter, uint64_t v)
{
    *counter += v;
}

static int grant(void *ctx, struct vmbus_channel *channel, unsigned count)
{
    return 0;
}

static void start(void)
{
    const struct network_config config = {.mac = {2, 0, 0, 0, 0, 1},
                                          .mtu = 1500,
                                          .channels = 2,
                                          .spoofing = true,
                                          .mac_change = true};
    const struct network_backend backend = {.queues = 1, .queue = &pair[0]};
    const struct network_hooks hooks = {NULL, grant};

    need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
    need(network_create(&n, &config, &backend, &hooks) == 0);
    ring = shim_channel_new();
    c = calloc(1, sizeof(*c));
    c->network = n;
    c->vmbus = ring;
    c->queue_fd = pair[0];
    c->reads = true;
    chain_init(&c->batch);
    chain_init(&c->inbox);
    (void)pthread_mutex_init(&c->busy, NULL);
    n->channels[0] = n->route[0] = c;
}

static void stop(void)
{
    struct shim_packet p;

    receive_drop(c);
    section_reclaim(&n->sections, &c->cache, 0);
    section_cache_drain(&n->sections, &c->cache);
    /* Each piece has come back once. */
    need(n->sections.free_count == n->sections.count);
    control_end(c);
    n->channels[0] = NULL;
    while (shim_get(ring, &p, 0))
        free(p.pfns);
    shim_channel_free(ring);
    free(c);
    network_destroy(n);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* What the guest got: all of it lies in the buffer. It completes some. */
static void guest_take(bool complete)
{
    const uint32_t end = n->shared.receive.pieces * n->shared.receive.piece_size;
    struct shim_packet p;

    while (ring->out_count && shim_get(ring, &p, 0)) {
        for (uint32_t i = 0; i < p.range_count; i++)
            need(!n->shared.receive.ready || (p.pfns[i] >> 32) + (uint32_t)p.pfns[i] <= end);
        if (p.type == VMBUS_PACKET_TRANSFER && complete)
            receive_completed(c, p.transaction);
        free(p.pfns);
    }
}

/* The second byte says where in the guest's memory its range is. */
static void packet(uint8_t kind, const uint8_t *data, uint32_t length)
{
    static uint64_t words[RECORD_MAX / 8];
    uint64_t pfns[16];
    struct vmbus_packet p = {.type = kind & 0x40 ? VMBUS_PACKET_DIRECT : VMBUS_PACKET_INBAND,
                             .completion_wanted = true,
                             .data = words,
                             .length = length};

    memcpy(words, data, length);
    for (unsigned i = 0; i < ARRAY_SIZE(pfns); i++)
        pfns[i] = 32 + i;
    p.range_count = 1;
    p.range = (struct vmbus_range){(kind & 0x3CU) << 6, 0, pfns, ARRAY_SIZE(pfns)};
    if (c->nvsp.state != NVSP_STATE_BROKEN)
        control_packet(c, &p);
}

static void record(uint8_t kind, const uint8_t *data, uint32_t length)
{
    switch (kind & 3) {
    case 0:
        packet(kind, data, length);
        break;
    case 1:
        memcpy(guest_memory + 32 * 4096, data, length);
        break;
    case 2:
        (void)!write(pair[1], data, length);
        break;
    default:
        guest_take(kind & 4);
        network_link(n, kind & 8);
        if (length >= 8) {
            uint64_t transaction;
            memcpy(&transaction, data, 8);
            receive_completed(c, transaction);
        }
        break;
    }
    if (c->nvsp.state != NVSP_STATE_BROKEN) {
        uint8_t sink[256];
        (void)control_flush(c);
        (void)control_chores(c);
        (void)receive_frames(c);
        while (read(pair[1], sink, sizeof(sink)) > 0)
            ;
    }
    c->has_reply = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!guest_memory)
        guest_memory = calloc(SHIM_PAGES, 4096);
    start();
    for (size_t at = 0; at + 3 <= size;) {
        uint32_t length = (uint32_t)(data[at + 1] | data[at + 2] << 8) % RECORD_MAX;
        uint8_t kind = data[at];
        at += 3;
        if (length > size - at)
            length = (uint32_t)(size - at);
        record(kind, data + at, length);
        at += length;
    }
    stop();
    return 0;
}
