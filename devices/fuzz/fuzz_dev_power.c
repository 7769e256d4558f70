/* SPDX-License-Identifier: MIT */
#include "devices/fuzz/stream.h"
#include "devices/power.h"

static struct power dev;

STREAM_SAVES(power, dev)

static void nothing(void *ctx)
{
}

static void host_event(uint8_t a, uint8_t b)
{
    power_button(&dev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_device d = {
        host_event, stream_dev_save, stream_dev_load, {0x600, 0xCF9}, false};
    const struct power_host host = {nothing, nothing, NULL};

    bus = (struct bus){.port_count = 0};
    now_ns = 1000000;
    power_init(&dev, &stream_irq, &host, &stream_clock);
    need(power_attach(&dev, &bus) == 0);
    return stream_input(&d, data, size);
}
