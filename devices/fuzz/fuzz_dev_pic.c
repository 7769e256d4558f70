/* SPDX-License-Identifier: MIT */
#include "devices/fuzz/stream.h"
#include "devices/pic.h"

static struct pic dev;

STREAM_SAVES(pic, dev)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_device d = {
        NULL, stream_dev_save, stream_dev_load, {0x20, 0x4B0}, false};

    bus = (struct bus){.port_count = 0};
    now_ns = 1000000;
    pic_init(&dev);
    need(pic_attach(&dev, &bus) == 0);
    return stream_input(&d, data, size);
}
