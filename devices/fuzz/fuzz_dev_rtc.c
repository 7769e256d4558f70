/* SPDX-License-Identifier: MIT */
#include "devices/fuzz/stream.h"
#include "devices/rtc.h"

static struct rtc dev;

STREAM_SAVES(rtc, dev)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_device d = {
        NULL, stream_dev_save, stream_dev_load, {0x70, 0x71}, false};

    bus = (struct bus){.port_count = 0};
    now_ns = 1000000;
    rtc_init(&dev, 1709251198, &stream_irq, &stream_clock);
    need(rtc_attach(&dev, &bus) == 0);
    return stream_input(&d, data, size);
}
