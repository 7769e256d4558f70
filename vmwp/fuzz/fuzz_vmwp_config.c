/* SPDX-License-Identifier: MIT */
/* A configuration file. What is accepted keeps its promises. */
#include <stdlib.h>
#include <string.h>
#include "vmwp/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config c;
    struct problem why = {{0}};

    if (config_parse(&c, (const char *)data, size, &why) < 0) {
        need(strncmp(why.text, "line ", 5) == 0);
        return 0;
    }
    need(c.memory >= CONFIG_MEMORY_MIN && c.memory <= CONFIG_MEMORY_MAX);
    need(c.memory % CONFIG_MEMORY_UNIT == 0);
    need(c.processors >= 1 && c.processors <= CONFIG_PROCESSORS_MAX);
    need(c.weight <= 10000 && c.reserve <= 100 && c.cap <= 100);
    need(c.kernel[0] == '/' && memchr(c.kernel, 0, sizeof(c.kernel)));
    need(memchr(c.cmdline, 0, sizeof(c.cmdline)) && memchr(c.name, 0, sizeof(c.name)));
    need(c.disks <= CONFIG_DISKS_MAX);
    for (unsigned i = 0; i < c.disks; i++) {
        const struct config_disk *d = &c.disk[i];

        need(d->controller < CONFIG_CONTROLLERS && d->lun < CONFIG_LUNS);
        need(d->path[0] == '/' || (d->dvd && !d->path[0]));
        need(config_disk_fits(d) && (!d->format || config_format(d->format) == d->format));
    }
    need(c.serial != CONFIG_SERIAL_UNIX || strlen(c.serial_path) < CONFIG_SOCKET_MAX);
    return 0;
}
