/* SPDX-License-Identifier: MIT */
#include "devices/fuzz/stream.h"
#include "devices/pciconf.h"

static struct pciconf dev;

STREAM_SAVES(pciconf, dev)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_device d = {
        NULL, stream_dev_save, stream_dev_load, {0xCF8, 0xCFC}, false};

    bus = (struct bus){.port_count = 0};
    now_ns = 1000000;
    pciconf_init(&dev);
    need(pciconf_attach(&dev, &bus) == 0);
    return stream_input(&d, data, size);
}
