/* SPDX-License-Identifier: MIT */
#include "devices/fuzz/stream.h"
#include "devices/ioapic.h"

static struct ioapic dev;

STREAM_SAVES(ioapic, dev)

static void deliver(void *ctx, const struct ioapic_message *m)
{
    need(m->mode <= 7 && m->mode != 3 && m->mode != 6);
}

static void host_event(uint8_t a, uint8_t b)
{
    if (a & 0x80)
        ioapic_eoi(&dev, b);
    else
        ioapic_set(&dev, a, b & 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_device d = {
        host_event, stream_dev_save, stream_dev_load, {0xFEC00000, 0xFEC00000}, true};
    const struct ioapic_host host = {deliver, NULL};

    bus = (struct bus){.port_count = 0};
    now_ns = 1000000;
    ioapic_init(&dev, 0, &host);
    need(ioapic_attach(&dev, &bus, 0xFEC00000) == 0);
    return stream_input(&d, data, size);
}
