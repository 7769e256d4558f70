/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "vsp/storage/scsi_priv.h"

/*
 * Optical drives: MMC-6. The medium has one session with one track of data.
 */

#define CD_BLOCKS_MAX 400000U /* of 2048 bytes; what has more is a DVD */

#define PROFILE_NONE 0x0000U
#define PROFILE_CD   0x0008U
#define PROFILE_DVD  0x0010U

#define TRACK_DATA     0x14U /* ADR 1: position, and a data track */
#define TRACK_LEAD_OUT 0xAAU

static uint16_t profile(const struct scsi_device *d)
{
    if (!scsi_medium_present(d))
        return PROFILE_NONE;
    return d->medium.blocks <= CD_BLOCKS_MAX ? PROFILE_CD : PROFILE_DVD;
}

/* A block's address, as a number or as minutes, seconds and frames after the lead-in. */
static void address_put(uint8_t *p, uint64_t lba, bool msf)
{
    uint64_t frames = lba + 150;

    if (!msf) {
        be_put(p, lba, 4);
        return;
    }
    p[0] = 0;
    p[1] = (uint8_t)min_u64(frames / 75 / 60, 0xFF);
    p[2] = (uint8_t)(frames / 75 % 60);
    p[3] = (uint8_t)(frames % 75);
}

static uint32_t toc_track(uint8_t *p, uint8_t track, uint64_t lba, bool msf)
{
    p[1] = TRACK_DATA;
    p[2] = track;
    address_put(&p[4], lba, msf);
    return 8;
}

void scsi_read_toc(struct scsi_device *d, struct scsi_task *t)
{
    bool msf = t->cdb[1] & 2;
    uint8_t format = t->cdb[2] & 0x0F, first = t->cdb[6];
    uint32_t length = 4;

    if (format == 0 && t->cdb[9] >> 6) /* where it was before MMC */
        format = t->cdb[9] >> 6;
    if (format > 1 || (format == 0 && first > 1 && first != TRACK_LEAD_OUT)) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    if (first <= 1 || format == 1)
        length += toc_track(&t->data[length], 1, 0, msf);
    if (format == 0)
        length += toc_track(&t->data[length], TRACK_LEAD_OUT, d->medium.blocks, msf);
    be_put(&t->data[0], length - 2, 2);
    t->data[2] = t->data[3] = 1; /* the first and last track, or session */
    scsi_respond(t, length, be16(&t->cdb[7]));
}

/* The features of the drive; `current` is one of the flags of byte 2. */
struct feature {
    uint16_t code;
    uint8_t flags; /* version, persistent, current */
    uint8_t length;
    uint8_t data[8];
};

static const struct feature features[] = {
    {0x0000, 0x03, 8, {0x00, 0x10, 0, 0, 0x00, 0x08, 0, 0}}, /* profiles; which is current: below */
    {0x0001, 0x07, 4, {0, 0, 0, 1}},                         /* core: SCSI */
    {0x0002, 0x07, 4, {2, 0, 0, 0}},                         /* morphing: GESN */
    {0x0003, 0x03, 4, {0x29, 0, 0, 0}},                      /* removable: tray, eject, lock */
    {0x0010, 0x00, 8, {0, 0, 8, 0, 0, 1, 0, 0}},             /* random reads of 2048 bytes */
    {0x001E, 0x08, 4, {0, 0, 0, 0}},                         /* reads CDs */
    {0x001F, 0x00, 4, {0, 0, 0, 0}},                         /* reads DVDs */
};

static bool feature_current(const struct feature *f, uint16_t now)
{
    if (f->code == 0x0010)
        return now != PROFILE_NONE;
    if (f->code == 0x001E)
        return now == PROFILE_CD;
    if (f->code == 0x001F)
        return now == PROFILE_DVD;
    return true;
}

static uint32_t feature_fill(const struct feature *f, uint16_t now, uint8_t *p)
{
    be_put(&p[0], f->code, 2);
    p[2] = (uint8_t)(f->flags | feature_current(f, now));
    p[3] = f->length;
    memcpy(&p[4], f->data, f->length);
    if (f->code == 0x0000) {
        p[4 + 2] = now == PROFILE_DVD;
        p[8 + 2] = now == PROFILE_CD;
    }
    return 4U + f->length;
}

/* RT: 0 all features, 1 the current ones, 2 this one. */
void scsi_configuration(struct scsi_device *d, struct scsi_task *t)
{
    unsigned wanted = t->cdb[1] & 3;
    uint16_t start = be16(&t->cdb[2]), now = profile(d);
    uint32_t length = 8;

    if (wanted == 3) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        if (f->code < start || (wanted == 1 && !feature_current(f, now)) ||
            (wanted == 2 && f->code != start))
            continue;
        length += feature_fill(f, now, &t->data[length]);
    }
    be_put(&t->data[0], length - 4, 4);
    be_put(&t->data[6], now, 2);
    scsi_respond(t, length, be16(&t->cdb[7]));
}

/* Only the class of the medium has events. An event is told once. */
void scsi_event_status(struct scsi_device *d, struct scsi_task *t)
{
    bool media = t->cdb[4] & 0x10;

    if (!(t->cdb[1] & 1)) { /* only polling */
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    t->data[3] = 0x10;
    if (!media) {
        t->data[1] = 2;
        t->data[2] = 0x80; /* no event available */
        scsi_respond(t, 4, be16(&t->cdb[7]));
        return;
    }
    t->data[1] = 6;
    t->data[2] = 4;
    t->data[4] = (uint8_t)d->event;
    t->data[5] = scsi_medium_present(d) ? 2 : 0;
    scsi_respond(t, 8, be16(&t->cdb[7]));
    if (t->data_length > 4)
        d->event = MEDIA_NO_CHANGE;
}

void scsi_disc_information(struct scsi_device *d, struct scsi_task *t)
{
    if (t->cdb[1] & 7) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    be_put(&t->data[0], 32, 2);
    t->data[2] = 0x0E; /* complete, and so is its last session */
    memset(&t->data[3], 1, 4);
    t->data[7] = 0x20;             /* may be used without restriction */
    memset(&t->data[16], 0xFF, 8); /* no lead-in to write, no lead-out */
    scsi_respond(t, 34, be16(&t->cdb[7]));
}

void scsi_track_information(struct scsi_device *d, struct scsi_task *t)
{
    unsigned kind = t->cdb[1] & 3;
    uint32_t what = be32(&t->cdb[2]);

    /* An LBA, a track, or a session. */
    if (kind == 3 || (kind == 0 && what >= d->medium.blocks) || (kind != 0 && what != 1)) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    be_put(&t->data[0], 34, 2);
    t->data[2] = t->data[3] = 1;
    t->data[5] = 4; /* a data track */
    t->data[6] = 1; /* in mode 1 */
    be_put(&t->data[24], d->medium.blocks, 4);
    scsi_respond(t, 36, be16(&t->cdb[7]));
}

/* Format 0, physical: one layer of a DVD-ROM, 2048 bytes. */
void scsi_dvd_structure(struct scsi_device *d, struct scsi_task *t)
{
    if (t->cdb[7] != 0 || t->cdb[6] != 0 || profile(d) != PROFILE_DVD) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    be_put(&t->data[0], 2048 + 2, 2);
    t->data[4] = 0x01; /* book type DVD-ROM, version */
    t->data[5] = 0x02; /* 120 mm, 10 Mbit/s */
    t->data[6] = 0x01; /* one embossed layer */
    be_put(&t->data[9], 0x30000, 3);
    be_put(&t->data[13], min_u64(0x30000 + d->medium.blocks - 1, 0xFFFFFF), 3);
    scsi_respond(t, 4 + 2048, be16(&t->cdb[8]));
}

/* No changer, no slots. */
void scsi_mechanism_status(struct scsi_device *d, struct scsi_task *t)
{
    scsi_respond(t, 8, be16(&t->cdb[8]));
}

/* Of a sector nothing but its 2048 bytes of user data. */
void scsi_read_cd(struct scsi_device *d, struct scsi_task *t)
{
    unsigned type = t->cdb[1] >> 2 & 7, fields = t->cdb[9] & 0xFE;
    uint64_t lba = be32(&t->cdb[2]);
    uint32_t blocks = be32(&t->cdb[5]) & 0xFFFFFF;

    if (!scsi_span_check(d, t, lba, blocks, d->transfer_max) || fields == 0 || blocks == 0)
        return;
    if ((type != 0 && type != 2) || fields != 0x10 || t->cdb[10] & 7) {
        scsi_illegal(t, ASC_ILLEGAL_MODE_FOR_TRACK);
        return;
    }
    if ((uint64_t)blocks * d->medium.block_size > t->buffer_length ||
        !scsi_direction_is(t, SCSI_DATA_IN)) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    t->io.kind = SCSI_IO_READ;
    t->io.offset = lba * d->medium.block_size;
    t->io.length = (uint64_t)blocks * d->medium.block_size;
    t->io.fua = t->io.repeat = t->io.verify = false;
}
