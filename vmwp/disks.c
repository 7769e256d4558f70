/* SPDX-License-Identifier: MIT */
#include "vmwp/disks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "vmwp/log.h"

/* A controller, its place among the others in the last byte (random otherwise). */
static const struct vmbus_guid instance = {{0x2b, 0x7d, 0x41, 0x6c, 0x0e, 0x93, 0x5f, 0x4e, 0x8a,
                                            0x12, 0xd6, 0x3c, 0x77, 0xe1, 0x09, 0x00}};

#define WRONG_KIND "a DVD drive takes ISO images, a disk other ones"

struct slot {
    bool used;
    bool dvd;
    struct disk *disk; /* NULL: an empty drive */
};

struct controller {
    struct disks *disks;
    unsigned number;
    struct storage *storage;
    struct slot slot[CONFIG_LUNS];
    _Atomic uint64_t ejected; /* bit n: the guest has ejected the medium of LUN n */
};

struct disks {
    int wake;
    unsigned controllers;
    struct controller controller[CONFIG_CONTROLLERS];
};

static int sub_channels(void *ctx, struct vmbus_channel *channel, unsigned count)
{
    return vmbus_channel_offer_subs(channel, count);
}

static void ejected(void *ctx, unsigned lun)
{
    struct controller *c = ctx;
    const uint64_t one = 1;

    atomic_fetch_or_explicit(&c->ejected, 1ULL << lun, memory_order_release);
    (void)!write(c->disks->wake, &one, sizeof(one));
}

static int attach(struct controller *c, const struct config_disk *what, struct disk *disk,
                  struct problem *why)
{
    const struct storage_unit unit = {
        .kind = what->dvd ? STORAGE_DVD : STORAGE_DISK,
        .disk = disk,
        .read_only = what->read_only,
        .limits = {what->iops, what->bandwidth},
    };
    int err = storage_attach(c->storage, what->lun, &unit);

    if (err == -EEXIST)
        return problem_set(why, err, "lun %u of controller %u is taken", what->lun, c->number);
    if (err)
        return problem_set(why, err, "lun %u of controller %u: %s", what->lun, c->number,
                           err == -EINVAL ? WRONG_KIND : strerror(-err));
    c->slot[what->lun] = (struct slot){true, what->dvd, disk};
    return 0;
}

/* What a file holds does not decide what it is taken for: guests write to it. */
static struct disk_options options_of(const struct config_disk *what,
                                      const struct disk_given *files, unsigned count)
{
    return (struct disk_options){
        .read_only = what->read_only || what->dvd,
        .cached = what->cached,
        .format = what->dvd ? "iso" : what->format,
        .by_name = true,
        .given = files,
        .given_count = count,
    };
}

static int open_one(struct disks *d, const struct config_disk *what, struct problem *why)
{
    struct disk_options options = options_of(what, NULL, 0);
    struct disk *disk = NULL;
    struct problem inner = {{0}};
    int err = 0;

    options.later = true;
    if (what->path[0])
        err = disk_open(&disk, what->path, &options, &inner);
    if (!err)
        err = attach(&d->controller[what->controller], what, disk, &inner);
    if (!err)
        return 0;
    (void)disk_close(disk);
    return problem_set(why, err, "disk of line %u: %.400s", what->line, inner.text);
}

/* Nothing is written: what is left to do is done when the disk is opened in earnest. */
static int check_one(const struct config_disk *what, struct problem *why)
{
    struct disk_options options = options_of(what, NULL, 0);
    struct disk_info info;
    struct disk *disk;
    int err;

    if (!what->path[0])
        return 0;
    if (!options.read_only && access(what->path, W_OK) < 0)
        return problem_set(why, -errno, "%.400s: %s", what->path, strerror(errno));
    options.read_only = true;
    options.shared = true;
    options.later = true;
    err = disk_open(&disk, what->path, &options, why);
    if (err)
        return err;
    disk_info(disk, &info);
    (void)disk_close(disk);
    return info.optical == what->dvd
               ? 0
               : problem_set(why, -EINVAL, "%.400s: %s", what->path, WRONG_KIND);
}

int disks_check(const struct config *config, struct problem *why)
{
    struct problem inner;
    int err = 0;

    for (unsigned i = 0; i < config->disks && !err; i++) {
        err = check_one(&config->disk[i], &inner);
        if (err)
            (void)problem_set(why, err, "disk of line %u: %.400s", config->disk[i].line,
                              inner.text);
    }
    return err;
}

/* There is always one, for what may be added. */
static unsigned controllers_wanted(const struct config *config)
{
    unsigned n = 1;

    for (unsigned i = 0; i < config->disks; i++)
        if (config->disk[i].controller >= n)
            n = config->disk[i].controller + 1;
    return n;
}

/* FNV-1a, twice with different starts: other users of a shared disk must not have the same. */
static void identity(const char *name, uint8_t out[16])
{
    for (unsigned half = 0; half < 2; half++) {
        uint64_t hash = 0xcbf29ce484222325ULL + half;

        for (const char *s = name; *s; s++)
            hash = (hash ^ (uint8_t)*s) * 0x100000001b3ULL;
        memcpy(out + 8 * (size_t)half, &hash, sizeof(hash));
    }
}

static int controller_create(struct disks *d, const struct config *config, struct problem *why)
{
    struct controller *c = &d->controller[d->controllers];
    struct storage_config wanted = {
        .instance = instance,
        .vp_count = config->processors,
        .sub_channel_max = config->processors - 1,
    };
    const struct storage_hooks hooks = {c, sub_channels, ejected};
    int err;

    wanted.instance.bytes[15] = (uint8_t)d->controllers;
    identity(config->name, wanted.initiator);
    c->disks = d;
    c->number = d->controllers;
    err = storage_create(&c->storage, &wanted, &hooks);
    if (err)
        return problem_set(why, err, "controller %u: %s", c->number, strerror(-err));
    d->controllers++;
    return 0;
}

int disks_open(struct disks **out, const struct config *config, struct problem *why)
{
    struct disks *d = calloc(1, sizeof(*d));
    struct problem unused;
    int err = 0;

    if (!d)
        return problem_set(why, -ENOMEM, "out of memory");
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->wake < 0)
        err = problem_set(why, -errno, "eventfd: %m");
    if (!err) {
        err = disk_queues_reserve(controllers_wanted(config) * config->processors, STORAGE_DEPTH);
        if (err)
            (void)problem_set(why, err, "io_uring: %s", strerror(-err));
    }
    while (!err && d->controllers < controllers_wanted(config))
        err = controller_create(d, config, why);
    for (unsigned i = 0; i < config->disks && !err; i++)
        err = open_one(d, &config->disk[i], why);
    if (err)
        (void)disks_close(d, &unused);
    else
        *out = d;
    return err;
}

int disks_start(struct disks *d, struct problem *why)
{
    int err = 0;

    for (unsigned i = 0; i < d->controllers; i++)
        for (unsigned lun = 0; lun < CONFIG_LUNS && !err; lun++)
            if (d->controller[i].slot[lun].disk)
                err = disk_start(d->controller[i].slot[lun].disk);
    return err ? problem_set(why, err, "disks: no thread: %s", strerror(-err)) : 0;
}

static int slot_close(struct controller *c, unsigned lun, struct problem *why)
{
    int err = disk_close(c->slot[lun].disk);

    c->slot[lun] = (struct slot){0};
    return err ? problem_set(why, err, "lun %u of controller %u: its last writes have failed: %s",
                             lun, c->number, strerror(-err))
               : 0;
}

int disks_close(struct disks *d, struct problem *why)
{
    int err = 0;

    if (!d)
        return 0;
    for (unsigned i = 0; i < d->controllers; i++) {
        struct controller *c = &d->controller[i];

        storage_destroy(c->storage);
        for (unsigned lun = 0; lun < CONFIG_LUNS; lun++) {
            struct problem inner;
            int one = slot_close(c, lun, &inner);

            if (one && !err) {
                err = one;
                *why = inner;
            }
        }
    }
    if (d->wake >= 0)
        (void)close(d->wake);
    free(d);
    return err;
}

struct storage *disks_controller(struct disks *d, unsigned controller)
{
    return controller < d->controllers ? d->controller[controller].storage : NULL;
}

int disks_fd(const struct disks *d)
{
    return d->wake;
}

/* The disk that has left its unit is closed. */
static int give_back(struct controller *c, unsigned lun, struct disk *old, struct problem *why)
{
    struct slot *s = &c->slot[lun];
    struct disk *now = s->disk;
    bool used = s->used, dvd = s->dvd;
    int err;

    s->disk = old;
    err = slot_close(c, lun, why);
    *s = (struct slot){used, dvd, now};
    return err;
}

/* By now there may be another medium, or another unit. */
static void ejected_take(struct controller *c, unsigned lun)
{
    struct problem why;
    struct disk *old;

    if (storage_ejected(c->storage, lun, &old) < 0)
        return;
    c->slot[lun].disk = NULL;
    if (give_back(c, lun, old, &why) < 0)
        log_error("%s", why.text);
}

void disks_serve(struct disks *d)
{
    uint64_t count;

    (void)!read(d->wake, &count, sizeof(count));
    for (unsigned i = 0; i < d->controllers; i++) {
        struct controller *c = &d->controller[i];
        uint64_t luns = atomic_exchange_explicit(&c->ejected, 0, memory_order_acquire);

        for (unsigned lun = 0; lun < CONFIG_LUNS; lun++)
            if (luns >> lun & 1)
                ejected_take(c, lun);
    }
}

void disks_pause(struct disks *d)
{
    for (unsigned i = 0; i < d->controllers; i++)
        storage_pause(d->controller[i].storage);
}

void disks_resume(struct disks *d)
{
    for (unsigned i = 0; i < d->controllers; i++)
        storage_resume(d->controller[i].storage);
}

static int find(struct disks *d, unsigned controller, unsigned lun, struct controller **out,
                struct problem *why)
{
    if (controller >= d->controllers)
        return problem_set(why, -ENOENT, "there is no controller %u", controller);
    if (lun >= CONFIG_LUNS)
        return problem_set(why, -ERANGE, "a lun is a number from 0 to %u", CONFIG_LUNS - 1);
    *out = &d->controller[controller];
    return 0;
}

static int find_used(struct disks *d, unsigned controller, unsigned lun, struct controller **out,
                     struct problem *why)
{
    int err = find(d, controller, lun, out, why);

    if (!err && !(*out)->slot[lun].used)
        return problem_set(why, -ENOENT, "there is no lun %u on controller %u", lun, controller);
    return err;
}

int disks_add(struct disks *d, const struct config_disk *what, const struct disk_given *files,
              unsigned count, struct problem *why)
{
    const struct disk_options options = options_of(what, files, count);
    struct controller *c = NULL;
    struct disk *disk = NULL;
    int err = find(d, what->controller, what->lun, &c, why);

    if (err)
        return err;
    if (c->slot[what->lun].used)
        return problem_set(why, -EEXIST, "lun %u of controller %u is taken", what->lun, c->number);
    if (!count && !what->dvd)
        return problem_set(why, -EINVAL, "a disk needs a file");
    err = count ? disk_open(&disk, files[0].path, &options, why) : 0;
    if (!err)
        err = attach(c, what, disk, why);
    if (err)
        (void)disk_close(disk);
    return err;
}

int disks_remove(struct disks *d, unsigned controller, unsigned lun, struct problem *why)
{
    struct controller *c = NULL;
    struct disk *disk;
    int err = find_used(d, controller, lun, &c, why);

    if (!err && storage_detach(c->storage, lun, &disk) < 0)
        err = problem_set(why, -ENOENT, "there is no lun %u on controller %u", lun, controller);
    return err ? err : slot_close(c, lun, why);
}

int disks_resize(struct disks *d, unsigned controller, unsigned lun, uint64_t size,
                 struct problem *why)
{
    struct controller *c = NULL;
    int err = find_used(d, controller, lun, &c, why);

    if (err)
        return err;
    if (!c->slot[lun].disk)
        return problem_set(why, -ENOMEDIUM, "the drive is empty");
    err = disk_grow(c->slot[lun].disk, size, why);
    if (!err)
        (void)storage_grown(c->storage, lun);
    return err;
}

int disks_medium(struct disks *d, unsigned controller, unsigned lun, bool force,
                 const struct disk_given *files, unsigned count, struct problem *why)
{
    const struct config_disk drive = {.dvd = true};
    const struct disk_options options = options_of(&drive, files, count);
    struct disk *disk = NULL, *old = NULL;
    struct controller *c = NULL;
    int err = find_used(d, controller, lun, &c, why);

    if (err)
        return err;
    if (!c->slot[lun].dvd)
        return problem_set(why, -EINVAL, "lun %u of controller %u is no drive", lun, controller);
    err = count ? disk_open(&disk, files[0].path, &options, why) : 0;
    if (err)
        return err;
    err = storage_medium(c->storage, lun, disk, force, &old);
    if (err) {
        (void)disk_close(disk);
        return problem_set(why, err, "lun %u of controller %u: %s", lun, controller,
                           err == -EBUSY ? "the guest has locked the drive; it was asked to eject"
                           : err == -EINVAL ? "a DVD drive takes ISO images"
                                            : strerror(-err));
    }
    c->slot[lun].disk = disk;
    return give_back(c, lun, old, why);
}

int disks_limit(struct disks *d, unsigned controller, unsigned lun, uint64_t iops,
                uint64_t bandwidth, struct problem *why)
{
    const struct storage_limits limits = {iops, bandwidth};
    struct controller *c = NULL;
    int err = find_used(d, controller, lun, &c, why);

    if (!err && storage_limit(c->storage, lun, &limits) < 0)
        err = problem_set(why, -EINVAL, "bandwidth is 0 or at least 64K");
    return err;
}

static json_t *counters_of(struct controller *c, unsigned lun)
{
    struct storage_counters n = {0};
    struct disk_info info = {0};

    (void)storage_counters(c->storage, lun, &n);
    if (c->slot[lun].disk)
        disk_info(c->slot[lun].disk, &info);
    return json_pack(
        "{s:i, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}",
        "controller", c->number, "lun", lun, "type", c->slot[lun].dvd ? "dvd" : "disk", "format",
        info.format ? info.format : "none", "size", (json_int_t)info.size, "reads",
        (json_int_t)n.reads, "read_bytes", (json_int_t)n.read_bytes, "writes", (json_int_t)n.writes,
        "write_bytes", (json_int_t)n.write_bytes, "flushes", (json_int_t)n.flushes, "discards",
        (json_int_t)n.discards, "discard_bytes", (json_int_t)n.discard_bytes, "commands",
        (json_int_t)n.commands, "errors", (json_int_t)n.errors, "delayed", (json_int_t)n.delayed,
        "in_flight", (int)n.in_flight);
}

json_t *disks_counters(struct disks *d)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < d->controllers; i++)
        for (unsigned lun = 0; lun < CONFIG_LUNS; lun++)
            if (d->controller[i].slot[lun].used)
                (void)json_array_append_new(list, counters_of(&d->controller[i], lun));
    return list;
}
