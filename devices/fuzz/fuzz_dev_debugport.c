/* SPDX-License-Identifier: MIT */
#include "devices/fuzz/stream.h"
#include "devices/debugport.h"

static struct debugport dev;

STREAM_SAVES(debugport, dev)

static void hear(void *ctx, const char *text)
{
    need(strlen(text) <= DEBUGPORT_LINE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_device d = {
        NULL, stream_dev_save, stream_dev_load, {0xE9, 0xE9}, false};
    const struct debugport_host host = {hear, NULL};

    bus = (struct bus){.port_count = 0};
    now_ns = 1000000;
    debugport_init(&dev, &host);
    need(debugport_attach(&dev, &bus) == 0);
    return stream_input(&d, data, size);
}
