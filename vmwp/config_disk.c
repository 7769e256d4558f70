/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vmwp/config_priv.h"

/* The [disk] sections of the configuration file. */

#define LUN_NEXT UINT32_MAX /* not given: the first that is free */

const char *config_format(const char *name)
{
    static const char *const known[] = {"raw", "vhd", "vhdx", "iso"};

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (strcmp(known[i], name) == 0)
            return known[i];
    return NULL;
}

bool config_disk_fits(const struct config_disk *disk)
{
    return !disk->format || (strcmp(disk->format, "iso") == 0) == disk->dvd;
}

static struct config_disk *last(struct config *c)
{
    return &c->disk[c->disks - 1];
}

int config_disk_begin(struct config *c, unsigned line, struct problem *why)
{
    if (c->disks == CONFIG_DISKS_MAX)
        return problem_set(why, -EINVAL, "line %u: more than %u [disk] sections", line,
                           CONFIG_DISKS_MAX);
    c->disk[c->disks++] = (struct config_disk){.lun = LUN_NEXT, .line = line};
    return 0;
}

/* The other disk in that place, or NULL. */
static const struct config_disk *at(const struct config *c, uint32_t controller, uint32_t lun)
{
    for (unsigned i = 0; i + 1 < c->disks; i++)
        if (c->disk[i].controller == controller && c->disk[i].lun == lun)
            return &c->disk[i];
    return NULL;
}

int config_disk_end(struct config *c, struct problem *why)
{
    const struct config_disk *other;
    struct config_disk *d;

    if (!c->disks)
        return 0;
    d = last(c);
    if (!d->path[0] && !d->dvd)
        return problem_set(why, -EINVAL, "line %u: 'path' in [disk] is missing", d->line);
    if (!config_disk_fits(d))
        return problem_set(why, -EINVAL, "line %u: format iso goes with type dvd, others do not",
                           d->line);
    if (d->lun == LUN_NEXT)
        for (d->lun = 0; at(c, d->controller, d->lun); d->lun++)
            ;
    if (d->lun >= CONFIG_LUNS)
        return problem_set(why, -EINVAL, "line %u: controller %u has no free lun", d->line,
                           d->controller);
    other = at(c, d->controller, d->lun);
    if (other)
        return problem_set(why, -EINVAL, "line %u: lun %u of controller %u is taken by line %u",
                           d->line, d->lun, d->controller, other->line);
    return 0;
}

int config_disk_path(const struct config_entry *e)
{
    return config_absolute(e, e->value, last(e->config)->path, CONFIG_PATH_MAX, "path");
}

int config_disk_type(const struct config_entry *e)
{
    if (strcmp(e->value, "disk") != 0 && strcmp(e->value, "dvd") != 0)
        return config_bad(e, "type is disk or dvd");
    last(e->config)->dvd = e->value[1] == 'v';
    return 0;
}

int config_disk_controller(const struct config_entry *e)
{
    return config_number_in(e, 0, CONFIG_CONTROLLERS - 1, "", &last(e->config)->controller,
                            "controller is a number from 0 to 3");
}

int config_disk_lun(const struct config_entry *e)
{
    return config_number_in(e, 0, CONFIG_LUNS - 1, "", &last(e->config)->lun,
                            "lun is a number from 0 to 63");
}

int config_disk_read_only(const struct config_entry *e)
{
    return config_yes_no(e, &last(e->config)->read_only, "read_only is yes or no");
}

int config_disk_format(const struct config_entry *e)
{
    last(e->config)->format = config_format(e->value);
    return last(e->config)->format ? 0 : config_bad(e, "format is raw, vhd, vhdx or iso");
}

int config_disk_cache(const struct config_entry *e)
{
    if (strcmp(e->value, "none") != 0 && strcmp(e->value, "host") != 0)
        return config_bad(e, "cache is none or host");
    last(e->config)->cached = e->value[0] == 'h';
    return 0;
}

int config_disk_iops(const struct config_entry *e)
{
    return config_number_in(e, 1, 10000000, "", &last(e->config)->iops,
                            "iops is a number from 1 to 10000000");
}

int config_disk_bandwidth(const struct config_entry *e)
{
    static const char what[] = "bandwidth is bytes in a second with K, M or G, at least 64K";
    const char *rest;
    unsigned shift;
    uint64_t v;

    if (!config_number(e->value, &v, &rest) || !v || v > 1U << 20 || !rest[0] || rest[1])
        return config_bad(e, what);
    switch (rest[0]) {
    case 'K':
        shift = 10;
        break;
    case 'M':
        shift = 20;
        break;
    case 'G':
        shift = 30;
        break;
    default:
        return config_bad(e, what);
    }
    if (v << shift < CONFIG_BANDWIDTH_MIN)
        return config_bad(e, what);
    last(e->config)->bandwidth = v << shift;
    return 0;
}
