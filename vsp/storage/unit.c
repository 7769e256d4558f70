/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "lib/bits.h"
#include "vsp/storage/storage_priv.h"

/*
 * Logical units come, go and change while the guest uses them.
 */

static int power_of_two_log(uint32_t v)
{
    return v && !(v & (v - 1)) ? __builtin_ctz(v) : -1;
}

/* What the guest sees of a disk. 0, or -EINVAL: it cannot be that. */
static int medium_of(const struct disk *disk, enum scsi_kind kind, bool read_only,
                     struct scsi_medium *medium)
{
    struct disk_info info;
    int block, physical;

    disk_info(disk, &info);
    block = power_of_two_log(info.sector_size);
    physical = power_of_two_log(info.physical_size);
    if (block < 9 || block > 12 || (kind == SCSI_OPTICAL && info.sector_size != 2048))
        return -EINVAL;
    *medium = (struct scsi_medium){
        .blocks = info.size / info.sector_size,
        .block_size = info.sector_size,
        .physical_exponent = (uint8_t)(physical > block ? physical - block : 0),
        .discard_blocks = (uint32_t)min_u64(info.discard_unit / info.sector_size, UINT32_MAX),
        .read_only = read_only || info.read_only || kind == SCSI_OPTICAL,
    };
    if (info.discard_unit && !medium->discard_blocks)
        medium->discard_blocks = 1;
    return 0;
}

/* Who has no identity of its own is named by its place. Controllers may be numbered in the last
 * byte of their names, so that the LUN goes into another one. */
static void identity_of(const struct storage *s, unsigned lun, const struct disk *disk,
                        uint8_t *identity)
{
    static const uint8_t none[16];
    struct disk_info info = {.size = 0};

    if (disk)
        disk_info(disk, &info);
    memcpy(identity, info.identity, sizeof(info.identity));
    if (memcmp(identity, none, sizeof(none)) != 0)
        return;
    memcpy(identity, s->config.instance.bytes, sizeof(none));
    identity[14] = (uint8_t)(identity[14] ^ lun);
}

static void luns_changed(struct storage *s, unsigned lun, bool there)
{
    if (there)
        (void)atomic_fetch_or(&s->luns, BIT64(lun));
    else
        (void)atomic_fetch_and(&s->luns, ~BIT64(lun));
    for (unsigned i = 0; s->config.luns_attention && i < STORAGE_LUNS; i++) {
        struct unit *u = &s->units[i];
        (void)pthread_mutex_lock(&u->lock);
        if (u->attached && i != lun)
            u->scsi.attention |= BIT(ATTENTION_LUNS_CHANGED);
        (void)pthread_mutex_unlock(&u->lock);
    }
}

/* The guest looks at its units again, and those that wait are judged anew. */
static void announce(struct storage *s)
{
    atomic_store(&s->enumerate, true);
    (void)atomic_fetch_add(&s->scan, 1);
    storage_kick(s);
}

int storage_attach(struct storage *s, unsigned lun, const struct storage_unit *unit)
{
    struct scsi_device d = {
        .kind = unit->kind == STORAGE_DVD ? SCSI_OPTICAL : SCSI_DISK,
        .transfer_max = STORAGE_TRANSFER_MAX,
    };
    struct limit limit;
    struct unit *u;
    int err;

    if (lun >= STORAGE_LUNS)
        return -ERANGE;
    if (!unit->disk && unit->kind != STORAGE_DVD)
        return -EINVAL;
    err = limit_set(&limit, unit->limits.iops, unit->limits.bytes_s);
    if (!err && unit->disk)
        err = medium_of(unit->disk, d.kind, unit->read_only, &d.medium);
    if (err)
        return err;
    identity_of(s, lun, unit->disk, d.identity);
    scsi_begin(&d);
    u = &s->units[lun];
    (void)pthread_mutex_lock(&u->lock);
    err = u->attached || u->changing ? -EEXIST : 0;
    if (!err) {
        u->attached = true;
        u->read_only = unit->read_only;
        u->scsi = d;
        u->disk = unit->disk;
        u->limit = limit;
        u->counters = (struct storage_counters){.reads = 0};
    }
    (void)pthread_mutex_unlock(&u->lock);
    if (err)
        return err;
    luns_changed(s, lun, true);
    announce(s);
    return 0;
}

/* Until no request uses the disk; the lock is held. Nothing that came later gets it: whoever calls
 * this has seen to that. */
static void idle_wait(struct storage *s, struct unit *u)
{
    if (u->busy == 0)
        return;
    u->changing = true;
    (void)pthread_mutex_unlock(&u->lock); /* the order of locks */
    (void)atomic_fetch_add(&s->scan, 1);
    storage_kick(s);
    (void)pthread_mutex_lock(&u->lock);
    while (u->busy > 0)
        (void)pthread_cond_wait(&u->idle, &u->lock);
    u->changing = false;
}

/* Whether `u` is there, and nobody else is about to change it. */
static int unit_check(const struct unit *u, unsigned lun)
{
    if (lun >= STORAGE_LUNS || !u->attached)
        return -ENOENT;
    return u->changing ? -EBUSY : 0;
}

int storage_detach(struct storage *s, unsigned lun, struct disk **disk)
{
    struct unit *u = &s->units[lun < STORAGE_LUNS ? lun : 0];
    int err;

    (void)pthread_mutex_lock(&u->lock);
    err = unit_check(u, lun);
    if (!err) {
        u->attached = false;
        idle_wait(s, u);
        *disk = u->disk;
        u->disk = NULL;
    }
    (void)pthread_mutex_unlock(&u->lock);
    if (err)
        return err;
    luns_changed(s, lun, false);
    announce(s);
    return 0;
}

/* The lock is held. */
static int medium_swap(struct storage *s, struct unit *u, struct disk *disk, bool force,
                       struct disk **old)
{
    static const struct scsi_medium none;
    struct scsi_medium medium = none;
    int err = 0;

    if (u->scsi.kind != SCSI_OPTICAL)
        return -EINVAL;
    if (disk)
        err = medium_of(disk, u->scsi.kind, u->read_only, &medium);
    if (err)
        return err;
    if (u->scsi.prevented && scsi_medium_present(&u->scsi) && !force) {
        scsi_eject_ask(&u->scsi);
        return -EBUSY;
    }
    if (scsi_medium_present(&u->scsi))
        scsi_medium_set(&u->scsi, &none);
    idle_wait(s, u);
    *old = u->disk;
    u->disk = disk;
    if (disk)
        scsi_medium_set(&u->scsi, &medium);
    return 0;
}

int storage_medium(struct storage *s, unsigned lun, struct disk *disk, bool force,
                   struct disk **old)
{
    struct unit *u = &s->units[lun < STORAGE_LUNS ? lun : 0];
    int err;

    (void)pthread_mutex_lock(&u->lock);
    err = unit_check(u, lun);
    if (!err)
        err = medium_swap(s, u, disk, force, old);
    (void)pthread_mutex_unlock(&u->lock);
    return err;
}

int storage_ejected(struct storage *s, unsigned lun, struct disk **disk)
{
    struct unit *u = &s->units[lun < STORAGE_LUNS ? lun : 0];
    int err;

    (void)pthread_mutex_lock(&u->lock);
    err = unit_check(u, lun);
    if (!err && (!u->disk || scsi_medium_present(&u->scsi)))
        err = -ENOENT;
    if (!err) {
        idle_wait(s, u);
        *disk = u->disk;
        u->disk = NULL;
    }
    (void)pthread_mutex_unlock(&u->lock);
    return err;
}

int storage_grown(struct storage *s, unsigned lun)
{
    struct unit *u = &s->units[lun < STORAGE_LUNS ? lun : 0];
    struct scsi_medium medium;
    int err = -ENOENT;

    (void)pthread_mutex_lock(&u->lock);
    if (lun < STORAGE_LUNS && u->attached && scsi_medium_present(&u->scsi))
        err = medium_of(u->disk, u->scsi.kind, u->read_only, &medium);
    if (!err)
        scsi_medium_grown(&u->scsi, medium.blocks);
    (void)pthread_mutex_unlock(&u->lock);
    if (!err) /* a guest that does nothing with it now looks, and finds the attention */
        announce(s);
    return err;
}

int storage_limit(struct storage *s, unsigned lun, const struct storage_limits *limits)
{
    struct unit *u = &s->units[lun < STORAGE_LUNS ? lun : 0];
    struct limit limit;
    int err = limit_set(&limit, limits->iops, limits->bytes_s);

    if (err)
        return err;
    (void)pthread_mutex_lock(&u->lock);
    err = lun < STORAGE_LUNS && u->attached ? 0 : -ENOENT;
    if (!err) {
        u->limit = limit;
        (void)atomic_fetch_add(&u->limit_epoch, 1);
    }
    (void)pthread_mutex_unlock(&u->lock);
    if (err)
        return err;
    (void)atomic_fetch_add(&s->scan, 1);
    storage_kick(s);
    return 0;
}

int storage_counters(struct storage *s, unsigned lun, struct storage_counters *counters)
{
    struct unit *u = &s->units[lun < STORAGE_LUNS ? lun : 0];
    int err = -ENOENT;

    (void)pthread_mutex_lock(&u->lock);
    if (lun < STORAGE_LUNS && u->attached) {
        *counters = u->counters;
        counters->in_flight = u->busy;
        err = 0;
    }
    (void)pthread_mutex_unlock(&u->lock);
    return err;
}

void unit_begin(struct unit *u)
{
    (void)pthread_mutex_lock(&u->lock);
    if (u->attached)
        scsi_begin(&u->scsi);
    (void)pthread_mutex_unlock(&u->lock);
}

void unit_reset(struct unit *u)
{
    (void)pthread_mutex_lock(&u->lock);
    if (u->attached) {
        scsi_reset(&u->scsi);
        (void)atomic_fetch_add(&u->reset_epoch, 1);
    }
    (void)pthread_mutex_unlock(&u->lock);
}
