/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_crc.h"
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/*
 * Writes the log (2.3). A commit is one entry, so all of its updates are played or none. The entry
 * before it stays whole until this one is durable, and this one's flush is what makes the updates
 * of the one before durable in their places: the tail of each entry is the entry before it.
 */

static uint32_t desc_sectors(unsigned count)
{
    return count <= VHDX_DESC_FIRST
               ? 1
               : 1 + (count - VHDX_DESC_FIRST + VHDX_DESC_SECTOR - 1) / VHDX_DESC_SECTOR;
}

static int buffer(struct vhdx_writer *w)
{
    void *p = NULL;

    if (w->buf)
        return 0;
    w->buf_sectors = VHDX_PAGES_MAX + desc_sectors(VHDX_PAGES_MAX);
    if (posix_memalign(&p, VHDX_PAGE, (size_t)w->buf_sectors * VHDX_LOG_SECTOR) != 0)
        return -ENOMEM;
    w->buf = p;
    return 0;
}

/* A log of its own for each session: a guid that no old entry has. */
static int begin(struct image *i)
{
    struct vhdx_writer *w = &i->log;
    int err = buffer(w);

    if (!err)
        err = vhdx_guid_new(w->guid);
    if (err)
        return err;
    w->sequence = 1;
    w->head = w->entry = w->kept = 0;
    w->begun = true;
    return 0;
}

static void add_update(uint8_t *buf, unsigned k, uint32_t data_sector, uint64_t sequence,
                       const struct vhdx_update *u)
{
    struct vhdx_log_desc *d = (struct vhdx_log_desc *)(void *)buf + k + 2;
    struct vhdx_log_data *s =
        (struct vhdx_log_data *)(void *)(buf + (size_t)data_sector * VHDX_LOG_SECTOR);
    const uint8_t *page = u->data;

    d->signature = htole32(VHDX_DESC_SIGNATURE);
    memcpy(&d->trailing, page + VHDX_PAGE - 4, 4);
    memcpy(d->leading, page, 8);
    d->file_offset = htole64(u->offset);
    d->sequence = htole64(sequence);
    memcpy(s, page, VHDX_PAGE);
    s->signature = htole32(VHDX_DATA_SIGNATURE);
    s->sequence_high = htole32((uint32_t)(sequence >> 32));
    s->sequence_low = htole32((uint32_t)sequence);
}

/* 2.3.1.1. FlushedFileOffset is of what is known to be durable; files of other writers may not end
 * with a MiB, and a smaller number is the safe one. */
static uint32_t build(struct image *i, const struct vhdx_update *update, unsigned count)
{
    struct vhdx_writer *w = &i->log;
    uint32_t data = desc_sectors(count), sectors = data + count;
    struct vhdx_log_header h = {
        .signature = htole32(VHDX_ENTRY_SIGNATURE),
        .length = htole32(sectors * VHDX_LOG_SECTOR),
        .tail = htole32((w->sequence == 1 ? w->head : w->entry) * VHDX_LOG_SECTOR),
        .sequence = htole64(w->sequence),
        .count = htole32(count),
        .flushed_file_offset = htole64(align_down(i->durable_bytes, VHDX_MIB)),
        .last_file_offset = htole64(align_up(i->file_bytes, VHDX_MIB)),
    };

    memcpy(h.guid, w->guid, sizeof(h.guid));
    memset(w->buf, 0, (size_t)data * VHDX_LOG_SECTOR);
    for (unsigned k = 0; k < count; k++)
        add_update(w->buf, k, data + k, w->sequence, &update[k]);
    memcpy(w->buf, &h, sizeof(h));
    h.checksum = htole32(vhdx_crc_struct(w->buf, (size_t)sectors * VHDX_LOG_SECTOR));
    memcpy(w->buf, &h, sizeof(h));
    return sectors;
}

static int write_entry(struct image *i, uint32_t sectors)
{
    struct vhdx_writer *w = &i->log;
    uint32_t first = (uint32_t)min_u64(sectors, w->sectors - w->head);
    size_t bytes = (size_t)first * VHDX_LOG_SECTOR;
    int err =
        file_write(i->file, w->buf, bytes, i->log_offset + (uint64_t)w->head * VHDX_LOG_SECTOR);

    if (!err && first < sectors)
        err = file_write(i->file, w->buf + bytes, (size_t)(sectors - first) * VHDX_LOG_SECTOR,
                         i->log_offset);
    return err;
}

/*
 * The header tells of the log when its first entry is durable, not before: a log without a valid
 * entry is a corrupt one (2.3.3). Until then nothing was written to its place, and the log may be
 * forgotten.
 */
static int activate(struct image *i)
{
    struct vhdx_header h = i->header;
    int err;

    if (i->log.active)
        return 0;
    memcpy(h.log_guid, i->log.guid, sizeof(h.log_guid));
    h.log_version = 0;
    err = vhdx_header_write(i, &h);
    i->log.active = !err;
    return err;
}

/* The entry is durable, and so are in their places the updates of the one before. */
static void advance(struct vhdx_writer *w, uint32_t sectors)
{
    uint32_t before = w->sequence == 1 ? w->head : w->entry;

    w->kept = (w->head + w->sectors - before) % w->sectors + sectors;
    w->entry = w->head;
    w->head = (w->head + sectors) % w->sectors;
    w->sequence++;
}

static int prepare(struct image *i, unsigned count)
{
    struct vhdx_writer *w = &i->log;
    uint32_t sectors = desc_sectors(count) + count;
    int err = vhdx_session(i, false);

    if (!err && w->begun && w->kept + sectors >= w->sectors)
        err = vhdx_log_close(i); /* a shorter ring than any should be: begin anew */
    if (!err && !w->begun)
        err = begin(i);
    if (!err && sectors >= w->sectors)
        err = -ENOSPC;
    /* What pages will name must not be less durable than they are. Where a loss of power could
     * only turn zeros into zeros, one flush after all of it will do. */
    if (!err && i->flush_first)
        err = vhdx_sync(i);
    return err;
}

int vhdx_commit(struct image *i, const struct vhdx_update *update, unsigned count)
{
    int err = prepare(i, count);
    uint32_t sectors;

    if (err)
        return err;
    sectors = build(i, update, count);
    err = write_entry(i, sectors);
    if (!err)
        err = vhdx_sync(i);
    if (err)
        return err;
    advance(&i->log, sectors);
    i->log.unplaced = true;
    err = activate(i);
    for (unsigned k = 0; k < count && !err; k++)
        err = file_write(i->file, update[k].data, VHDX_PAGE, update[k].offset);
    if (err)
        return err;
    i->log.unplaced = false;
    vhdx_space_settle(i);
    return 0;
}

int vhdx_commit_once(struct image *i, const struct vhdx_update *update, unsigned count)
{
    int err = vhdx_commit(i, update, count);

    if (err && i->log.unplaced)
        i->failed = err;
    return err;
}

int vhdx_log_close(struct image *i)
{
    struct vhdx_header h;
    int err = i->failed;

    if (!err && i->log.unplaced)
        err = -EIO;
    if (!err && !vhdx_guid_none(i->header.log_guid)) {
        err = vhdx_sync(i);
        h = i->header;
        memset(h.log_guid, 0, sizeof(h.log_guid));
        if (!err)
            err = vhdx_header_write(i, &h);
    }
    if (!err)
        i->log.active = i->log.begun = false;
    return err;
}
