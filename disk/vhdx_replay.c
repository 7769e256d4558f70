/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_crc.h"
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

/* Finds the active sequence of a log (2.3.3) and plays it. Positions and lengths are in sectors. */

#define WORK_FACTOR 64U /* bytes that are looked at, by the length of the log */
#define STEP_BYTES  64U /* what a step of the search counts for */

enum seen { UNSEEN, INVALID, VALID };

/* What is known of the entry that begins at a sector. */
struct log_entry {
    uint64_t sequence;
    uint32_t length, tail;
    uint8_t seen;
};

struct log {
    struct image *image;
    uint8_t *data;
    struct log_entry *entry; /* one for each sector */
    uint32_t sectors;
    uint64_t work; /* that is left: a hostile log must not hold us up */
    /* The candidate for the active sequence: the newest so far. */
    bool found;
    uint32_t tail, count, head;
    uint64_t sequence;
    uint64_t end; /* what the updates reach */
};

static const void *sector_at(const struct log *l, uint32_t at, uint32_t k)
{
    return l->data + (size_t)((at + k) % l->sectors) * VHDX_LOG_SECTOR;
}

static const struct vhdx_log_desc *desc_at(const struct log *l, uint32_t at, uint32_t k)
{
    const struct vhdx_log_desc *d;

    if (k < VHDX_DESC_FIRST) {
        d = sector_at(l, at, 0);
        return d + k + 2; /* behind the header, which is as large as two */
    }
    k -= VHDX_DESC_FIRST;
    d = sector_at(l, at, 1 + k / VHDX_DESC_SECTOR);
    return d + k % VHDX_DESC_SECTOR;
}

static uint32_t desc_sectors(uint32_t count)
{
    return count <= VHDX_DESC_FIRST
               ? 1
               : 1 + (count - VHDX_DESC_FIRST + VHDX_DESC_SECTOR - 1) / VHDX_DESC_SECTOR;
}

static bool work(struct log *l, uint64_t bytes)
{
    if (l->work < bytes) {
        l->work = 0;
        return false;
    }
    l->work -= bytes;
    return true;
}

static bool header_valid(const struct log *l, const struct vhdx_log_header *h)
{
    uint32_t length = le32toh(h->length), count = le32toh(h->count);

    return le32toh(h->signature) == VHDX_ENTRY_SIGNATURE &&
           vhdx_guid_is(h->guid, l->image->header.log_guid) && h->sequence != 0 && length > 0 &&
           length % VHDX_LOG_SECTOR == 0 && length / VHDX_LOG_SECTOR <= l->sectors &&
           le32toh(h->tail) % VHDX_LOG_SECTOR == 0 &&
           le32toh(h->tail) / VHDX_LOG_SECTOR < l->sectors &&
           count <= length / sizeof(struct vhdx_log_desc) &&
           desc_sectors(count) <= length / VHDX_LOG_SECTOR;
}

/* Descriptors, and the data sectors that belong to them, have the number of the entry. */
static bool descs_valid(const struct log *l, uint32_t at, const struct vhdx_log_header *h)
{
    uint32_t count = le32toh(h->count), data = desc_sectors(count);
    uint64_t sequence = le64toh(h->sequence);

    for (uint32_t k = 0; k < count; k++) {
        const struct vhdx_log_desc *d = desc_at(l, at, k);
        uint32_t signature = le32toh(d->signature);
        const struct vhdx_log_data *s;

        if (le64toh(d->sequence) != sequence || le64toh(d->file_offset) % VHDX_LOG_SECTOR)
            return false;
        if (signature == VHDX_ZERO_SIGNATURE && le64toh(d->zero_length) % VHDX_LOG_SECTOR == 0)
            continue;
        if (signature != VHDX_DESC_SIGNATURE || data >= le32toh(h->length) / VHDX_LOG_SECTOR)
            return false;
        s = sector_at(l, at, data++);
        if (le32toh(s->signature) != VHDX_DATA_SIGNATURE ||
            le32toh(s->sequence_high) != (uint32_t)(sequence >> 32) ||
            le32toh(s->sequence_low) != (uint32_t)sequence)
            return false;
    }
    return true;
}

static bool checksum_valid(struct log *l, uint32_t at, const struct vhdx_log_header *h)
{
    uint32_t sectors = le32toh(h->length) / VHDX_LOG_SECTOR;
    static const uint8_t none[4];
    uint32_t crc;

    if (!work(l, (uint64_t)sectors * VHDX_LOG_SECTOR))
        return false;
    crc = vhdx_crc(vhdx_crc(0, h, 4), none, 4);
    crc = vhdx_crc(crc, (const uint8_t *)h + 8, VHDX_LOG_SECTOR - 8);
    for (uint32_t k = 1; k < sectors; k++)
        crc = vhdx_crc(crc, sector_at(l, at, k), VHDX_LOG_SECTOR);
    return crc == le32toh(h->checksum);
}

static const struct log_entry *look(struct log *l, uint32_t at)
{
    struct log_entry *e = &l->entry[at];
    const struct vhdx_log_header *h = sector_at(l, at, 0);

    if (e->seen != UNSEEN)
        return e;
    e->seen = INVALID;
    if (!header_valid(l, h) || !descs_valid(l, at, h) || !checksum_valid(l, at, h))
        return e;
    *e = (struct log_entry){le64toh(h->sequence), le32toh(h->length) / VHDX_LOG_SECTOR,
                            le32toh(h->tail) / VHDX_LOG_SECTOR, VALID};
    return e;
}

/* How many entries of a run of `count` that begins at a sector lie before the one that begins at
 * `tail`; UINT32_MAX: none begins there. */
static uint32_t entries_before(const struct log *l, uint32_t at, uint32_t count, uint32_t tail)
{
    for (uint32_t k = 0; k < count; k++) {
        if (at == tail)
            return k;
        at = (at + l->entry[at].length) % l->sectors;
    }
    return UINT32_MAX;
}

/* The run of entries that begins at a sector. *next: behind it if it is a valid sequence, else the
 * next sector. */
static void evaluate(struct log *l, uint32_t start, uint32_t *next)
{
    uint32_t at = start, count = 0, head = start, sectors = 0, before;
    const struct log_entry *e = look(l, at);
    uint64_t sequence = e->sequence;

    while (work(l, STEP_BYTES) && e->seen == VALID && e->sequence == sequence + (count > 0) &&
           sectors + e->length <= l->sectors) {
        sequence = e->sequence;
        sectors += e->length;
        head = at;
        at = (at + e->length) % l->sectors;
        count++;
        e = look(l, at);
    }
    before = count ? entries_before(l, start, count, l->entry[head].tail) : UINT32_MAX;
    if (before == UINT32_MAX) {
        *next = (start + 1) % l->sectors;
        return;
    }
    *next = at;
    if (l->found && sequence <= l->sequence)
        return;
    l->found = true;
    l->sequence = sequence;
    l->tail = l->entry[head].tail;
    l->count = count - before;
    l->head = head;
}

static int search(struct log *l, struct problem *why)
{
    uint32_t old = 0, at = 0;

    do {
        old = at;
        evaluate(l, at, &at);
        if (l->work == 0)
            return problem_set(why, -EINVAL, "the log is full of entries that overlap");
    } while (at > old);
    l->image->log_lost = !l->found;
    return l->found || l->image->checking
               ? 0
               : problem_set(why, -EINVAL, "the log has no valid sequence of entries");
}

/* Whether an update may be made: only metadata are, never what leads to the log, or the log. */
static bool target_valid(const struct image *i, uint64_t offset, uint64_t length)
{
    return offset >= VHDX_REGIONS1 && offset <= VHDX_FILE_MAX && length <= VHDX_FILE_MAX - offset &&
           (offset + length <= i->log_offset || offset >= i->log_offset + i->log_length);
}

typedef int update_fn(struct log *l, uint64_t offset, uint64_t length, const void *data);

static int each_of_entry(struct log *l, uint32_t at, update_fn *update)
{
    const struct vhdx_log_header *h = sector_at(l, at, 0);
    uint32_t count = le32toh(h->count), data = desc_sectors(count);
    uint8_t page[VHDX_PAGE];
    int err = 0;

    for (uint32_t k = 0; k < count && !err; k++) {
        const struct vhdx_log_desc *d = desc_at(l, at, k);
        const struct vhdx_log_data *s;

        if (le32toh(d->signature) == VHDX_ZERO_SIGNATURE) {
            err = update(l, le64toh(d->file_offset), le64toh(d->zero_length), NULL);
            continue;
        }
        s = sector_at(l, at, data++);
        memcpy(page, s, sizeof(page));
        memcpy(page, d->leading, sizeof(d->leading));
        memcpy(page + VHDX_PAGE - 4, &d->trailing, 4);
        err = update(l, le64toh(d->file_offset), VHDX_PAGE, page);
    }
    return err;
}

static int each_update(struct log *l, update_fn *update)
{
    uint32_t at = l->tail;
    int err = 0;

    for (uint32_t k = 0; k < l->count && !err; k++) {
        err = each_of_entry(l, at, update);
        at = (at + l->entry[at].length) % l->sectors;
    }
    return err;
}

static int check_update(struct log *l, uint64_t offset, uint64_t length, const void *data)
{
    if (!target_valid(l->image, offset, length))
        return -EINVAL;
    l->end = max_u64(l->end, offset + length);
    return 0;
}

/* Zeros behind the end of the file need not be written: it is made longer afterwards. */
static int write_update(struct log *l, uint64_t offset, uint64_t length, const void *data)
{
    uint64_t size = l->image->file_bytes;

    if (data)
        return file_write(l->image->file, data, VHDX_PAGE, offset);
    return offset < size ? vhdx_zero(l->image->file, offset, min_u64(length, size - offset)) : 0;
}

static int overlay_update(struct log *l, uint64_t offset, uint64_t length, const void *data)
{
    return vhdx_overlay_put(&l->image->overlay, offset, length, data);
}

/* 2.2.2: FileWriteGuid changes before the first modification, which this is. Whatever ends it,
 * the log is there until its updates are durable, and can be played again. */
static int play_into_file(struct log *l, uint64_t size)
{
    struct image *i = l->image;
    struct vhdx_header h = i->header;
    int err = vhdx_guid_new(h.file_write_guid);

    if (!err)
        err = vhdx_header_write(i, &h);
    if (!err)
        err = each_update(l, write_update);
    if (!err)
        err = file_size(i->file, &i->file_bytes);
    i->overlay.size = i->file_bytes;
    if (!err && i->file_bytes < size)
        err = vhdx_set_size(i, size);
    if (!err)
        err = vhdx_sync(i);
    h = i->header;
    memset(h.log_guid, 0, sizeof(h.log_guid));
    if (!err)
        err = vhdx_header_write(i, &h);
    i->file_guid_new = !err;
    return err;
}

static int play(struct log *l, struct problem *why)
{
    struct image *i = l->image;
    const struct vhdx_log_header *h = sector_at(l, l->head, 0);
    uint64_t last = le64toh(h->last_file_offset), flushed = le64toh(h->flushed_file_offset), size;
    int err;

    if (i->file_bytes < flushed)
        return problem_set(why, -EINVAL, "cut: the log knows of %llu bytes, the file has %llu",
                           (unsigned long long)flushed, (unsigned long long)i->file_bytes);
    if (last > VHDX_FILE_MAX || each_update(l, check_update) < 0)
        return problem_set(why, -EINVAL, "the log has updates of what it must not update");
    size = max_u64(max_u64(last, l->end), i->file_bytes);
    if (i->read_only) {
        err = each_update(l, overlay_update);
        i->overlay.size = size;
    } else {
        err = play_into_file(l, size);
    }
    return err ? problem_set(why, err, "the log cannot be played: %s", strerror(-err)) : 0;
}

static int log_new(struct log *l, struct problem *why)
{
    struct image *i = l->image;
    int err = -ENOMEM;

    if (i->log_length > VHDX_LOG_MAX)
        return problem_set(why, -EFBIG, "a log of %u bytes is too long to be played",
                           i->log_length);
    l->sectors = i->log_length / VHDX_LOG_SECTOR;
    l->work = (uint64_t)i->log_length * WORK_FACTOR;
    l->data = malloc(i->log_length);
    l->entry = calloc(l->sectors, sizeof(*l->entry));
    if (l->data && l->entry)
        err = file_read(i->file, l->data, i->log_length, i->log_offset);
    return err ? problem_set(why, err, "the log cannot be read: %s", strerror(-err)) : 0;
}

int vhdx_replay(struct image *i, struct problem *why)
{
    struct log l = {.image = i};
    int err;

    if (vhdx_guid_none(i->header.log_guid))
        return 0;
    i->log_left = true;
    err = log_new(&l, why);
    if (!err)
        err = search(&l, why);
    if (!err && l.found)
        err = play(&l, why);
    free(l.data);
    free(l.entry);
    return err;
}
