/* SPDX-License-Identifier: MIT */
#include "devices/fuzz/stream.h"
#include "devices/pit.h"

static struct pit dev;

STREAM_SAVES(pit, dev)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_device d = {
        NULL, stream_dev_save, stream_dev_load, {0x40, 0x43}, false};

    bus = (struct bus){.port_count = 0};
    now_ns = 1000000;
    pit_init(&dev, &stream_irq, &stream_clock);
    need(pit_attach(&dev, &bus) == 0);
    return stream_input(&d, data, size);
}
