/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "vmbus/ring/ring.h"

/*
 * A guest that writes anything into its rings, also between two reads of the host: a byte says
 * what happens next.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGES     4U /* of each ring */
#define STEPS_MAX 4096U

struct input {
    const uint8_t *at;
    size_t left;
};

static _Alignas(4096) uint8_t memory[2][PAGES * 4096];
static struct vmbus_ring_in in;
static struct vmbus_ring_out out;
static volatile uint64_t sink;

static void need(bool ok)
{
    if (!ok)
        abort();
}

static uint8_t byte(struct input *i)
{
    if (i->left == 0)
        return 0;
    i->left--;
    return *i->at++;
}

static uint32_t word(struct input *i)
{
    uint32_t v = 0;

    for (unsigned n = 0; n < 4; n++)
        v = v << 8 | byte(i);
    return v;
}

/* Look at all that the ranges name. */
static void ranges_read(const struct vmbus_ring_packet *p, const void *body)
{
    struct vmbus_ring_ranges ranges;
    struct vmbus_ring_range r;

    if (vmbus_ring_ranges(&ranges, p, body) < 0)
        return;
    while (vmbus_ring_range_next(&ranges, &r))
        for (uint32_t i = 0; i < r.pfn_count; i++)
            sink += r.pfns[i];
}

static void packet_read(struct input *i)
{
    struct vmbus_ring_packet p;
    size_t size = byte(i) * 16U;
    uint64_t *body = malloc(size + 8); /* so that a byte too much is seen */
    int err = vmbus_ring_read(&in, &p, body, size);

    need(err == 0 || err == 1 || err == -EPIPE || err == -EMSGSIZE);
    if (err == 1) {
        need(p.body_length <= size && p.data_offset <= p.body_length);
        ranges_read(&p, body);
    }
    free(body);
}

static void packet_write(struct input *i)
{
    static const uint8_t zeros[4096 * 16];
    struct vmbus_ring_send s = {.type = byte(i), .data = zeros, .head = zeros, .prefix = zeros};
    bool signal = false;

    s.head_length = (byte(i) & 15) * 8U;
    s.prefix_length = byte(i) & 15;
    s.length = byte(i) * 65U;
    (void)vmbus_ring_write(&out, &s, &signal);
}

/* The guest writes: a packet where the host reads next, control words, or anything. */
static void guest(struct input *i)
{
    uint8_t what = byte(i);
    uint8_t *ring = memory[what & 1];
    struct vmbus_ring_control *c = (struct vmbus_ring_control *)(void *)ring;
    struct vmpacket_descriptor d = {byte(i), byte(i), byte(i), byte(i), 7};
    uint32_t at = 4096 + in.read, v;

    switch (what >> 1 & 7) {
    case 0:
        c->write_index = word(i);
        break;
    case 1:
        c->read_index = word(i);
        break;
    case 2:
        c->pending_send_size = word(i);
        c->interrupt_mask = byte(i);
        break;
    case 3:
        c->write_index = byte(i) * 8U;
        c->read_index = byte(i) * 8U;
        break;
    case 4:
        v = word(i) % (PAGES * 4096 - 4);
        memcpy(ring + v, &d, 4);
        break;
    default:
        if (at + 64 > PAGES * 4096)
            return;
        memcpy(memory[0] + at, &d, sizeof(d));
        for (unsigned n = 16; n < 64; n += 4)
            memory[0][at + n] = byte(i);
        c = (struct vmbus_ring_control *)(void *)memory[0];
        c->write_index = (in.read + d.length8 * 8U + 8) % ((PAGES - 1) * 4096);
        break;
    }
}

static void step(struct input *i)
{
    switch (byte(i) & 7) {
    case 0:
    case 1:
    case 2:
        guest(i);
        break;
    case 3:
    case 4:
        packet_read(i);
        break;
    case 5:
        packet_write(i);
        break;
    case 6:
        (void)vmbus_ring_read_publish(&in);
        break;
    case 7:
        (void)vmbus_ring_write_publish(&out);
        break;
    }
    need(in.read < in.ring.size && in.read % 8 == 0);
    need(out.write < out.ring.size && out.write % 8 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input i = {data, size};
    uint8_t *pages[2][PAGES];
    struct vmbus_ring r[2];
    bool shuffle = byte(&i) & 1;

    memset(memory, 0, sizeof(memory));
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned p = 0; p < PAGES; p++)
            pages[n][p] = memory[n] + (shuffle && p ? PAGES - p : p) * 4096;
        need(vmbus_ring_attach(&r[n], pages[n], PAGES) == 0);
    }
    need(vmbus_ring_in_open(&in, &r[0]) == 0);
    need(vmbus_ring_out_open(&out, &r[1]) == 0);
    for (unsigned n = 0; n < STEPS_MAX && i.left > 0; n++)
        step(&i);
    return 0;
}
