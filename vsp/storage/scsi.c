/* SPDX-License-Identifier: MIT */
#include "vsp/storage/scsi.h"
#include "vsp/storage/scsi_priv.h"
#include "lib/bits.h"
#include "lib/errno.h"

static const uint16_t attention_codes[ATTENTION_COUNT] = {
    [ATTENTION_RESET] = ASC_POWER_ON_OR_RESET,
    [ATTENTION_MEDIUM_CHANGED] = ASC_MEDIUM_CHANGED,
    [ATTENTION_LUNS_CHANGED] = ASC_REPORTED_LUNS_CHANGED,
    [ATTENTION_CAPACITY_CHANGED] = ASC_CAPACITY_CHANGED,
};

uint16_t scsi_attention_take(struct scsi_device *d, const uint8_t *initiator)
{
    for (unsigned i = 0; i < ATTENTION_COUNT; i++) {
        if (!(d->attention & BIT(i)))
            continue;
        d->attention &= ~BIT(i);
        return attention_codes[i];
    }
    return reserve_attention(&d->reserve, initiator);
}

void scsi_sense_fill(uint8_t *buf, uint8_t key, uint16_t asc)
{
    memset(buf, 0, SENSE_FIXED_LENGTH);
    buf[0] = 0x70; /* current, fixed format */
    buf[2] = key;
    buf[7] = SENSE_FIXED_LENGTH - 8;
    be_put(&buf[12], asc, 2);
}

void scsi_respond(struct scsi_task *t, uint32_t length, uint32_t allocation)
{
    uint64_t n = min_u64(length, min_u64(allocation, t->buffer_length));

    if (t->direction == SCSI_DATA_OUT)
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
    else
        t->data_length = (uint32_t)n;
}

void scsi_text(uint8_t *to, const char *text, unsigned size)
{
    unsigned length = (unsigned)strnlen(text, size);

    memset(to, ' ', size);
    memcpy(to, text, length);
}

unsigned scsi_cdb_length(uint8_t opcode)
{
    static const uint8_t by_group[8] = {6, 10, 10, 0, 16, 12, 0, 0};

    return by_group[opcode >> 5];
}

/* The first row with the opcode, or where it would be. */
static unsigned first_row(uint8_t opcode)
{
    unsigned low = 0, high = scsi_command_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (scsi_commands[middle].opcode < opcode)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* With any service action if `any`. */
static const struct scsi_command *command_find(const struct scsi_device *d, const uint8_t *cdb,
                                               bool any)
{
    for (unsigned i = first_row(cdb[0]); i < scsi_command_count; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        if (c->opcode != cdb[0])
            break;
        if (c->flags & d->kind &&
            (any || c->service == COMMAND_NO_SERVICE || c->service == (cdb[1] & 0x1F)))
            return c;
    }
    return NULL;
}

const struct scsi_command *scsi_command_find(const struct scsi_device *d, const uint8_t *cdb)
{
    return command_find(d, cdb, false);
}

/* All that is checked before a command sees its CDB. False: t is ended. */
static bool admit(struct scsi_device *d, struct scsi_task *t, const struct scsi_command *c)
{
    uint16_t attention;

    if (!c || t->cdb_length < scsi_cdb_length(t->cdb[0])) {
        scsi_illegal(t, !c && !command_find(d, t->cdb, true) ? ASC_INVALID_OPCODE
                                                             : ASC_INVALID_FIELD_IN_CDB);
        return false;
    }
    attention = c->flags & COMMAND_UNATTENDED ? 0 : scsi_attention_take(d, t->initiator);
    if (attention) {
        scsi_sense(t, SENSE_UNIT_ATTENTION, attention);
        return false;
    }
    if (reserve_conflict(&d->reserve, t->initiator, c->access)) {
        t->status = SCSI_RESERVATION_CONFLICT;
        return false;
    }
    if (c->flags & COMMAND_MEDIUM && !scsi_medium_present(d)) {
        scsi_sense(t, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
        return false;
    }
    if (c->flags & COMMAND_CHANGES && d->medium.read_only) {
        scsi_sense(t, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
        return false;
    }
    return true;
}

uint32_t scsi_parameters(const struct scsi_device *d, const struct scsi_task *t)
{
    const struct scsi_command *c = scsi_command_find(d, t->cdb);
    uint32_t length = c && c->list && scsi_direction_is(t, SCSI_DATA_OUT) ? c->list(d, t) : 0;

    return (uint32_t)min_u64(length, min_u64(t->buffer_length, SCSI_DATA_MAX));
}

void scsi_execute(struct scsi_device *d, struct scsi_task *t)
{
    const struct scsi_command *c = scsi_command_find(d, t->cdb);

    t->status = SCSI_GOOD;
    t->key = SENSE_NO_SENSE;
    t->asc = ASC_NONE;
    t->ejected = false;
    t->io.kind = SCSI_IO_NONE;
    if (!admit(d, t, c)) {
        t->data_length = 0;
        return;
    }
    if (!(c->flags & COMMAND_LIST))
        t->data_length = 0;
    if (!(c->flags & (COMMAND_LIST | COMMAND_SILENT)))
        memset(t->data, 0, SCSI_DATA_MAX); /* responses are built in it */
    c->run(d, t);
    if (t->io.kind == SCSI_IO_NONE && c->flags & COMMAND_LIST)
        t->data_length = 0;
}

bool scsi_execute_absent(struct scsi_task *t)
{
    t->status = SCSI_GOOD;
    t->io.kind = SCSI_IO_NONE;
    t->data_length = 0;
    memset(t->data, 0, SCSI_DATA_MAX);
    if (t->cdb_length < scsi_cdb_length(t->cdb[0]))
        return false;
    /* SPC-4 6.4.2: the qualifier says that no device can be here. It is an answer, not an error:
     * guests scan on with REPORT LUNS, which any LUN takes. */
    if (t->cdb[0] == SCSI_INQUIRY) {
        t->data[0] = SCSI_TYPE_NONE;
        t->data[2] = 5;
        t->data[3] = 2;
        t->data[4] = 36 - 5;
        if (t->cdb[1] & 1) { /* an empty page */
            t->data[1] = t->cdb[2];
            t->data[2] = t->data[3] = 0;
        }
        scsi_respond(t, t->cdb[1] & 1 ? 4 : 36, be16(&t->cdb[3]));
        return true;
    }
    if (t->cdb[0] != SCSI_REPORT_LUNS)
        return false;
    scsi_report_luns(NULL, t);
    return true;
}

/* What the errors of a disk are for a guest. */
static const struct {
    int error;
    uint8_t key;
    uint16_t asc;
} errors[] = {
    {-EROFS, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED},
    {-ENOSPC, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED},
    {-ENOMEDIUM, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT},
    {-EINVAL, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE},
};

void scsi_finish(struct scsi_task *t, int error)
{
    enum scsi_io_kind kind = t->io.kind;

    if (error >= 0)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        if (errors[i].error == error) {
            scsi_sense(t, errors[i].key, errors[i].asc);
            return;
        }
    }
    if (error == -ENOMEM || error == -EAGAIN) { /* it may go better next time */
        t->status = SCSI_BUSY;
        t->io.kind = SCSI_IO_NONE;
    } else if (error != -EIO)
        scsi_sense(t, SENSE_HARDWARE_ERROR, ASC_INTERNAL_TARGET_FAILURE);
    else if (kind == SCSI_IO_READ || kind == SCSI_IO_VERIFY || kind == SCSI_IO_COMPARE)
        scsi_sense(t, SENSE_MEDIUM_ERROR, ASC_READ_ERROR);
    else
        scsi_sense(t, SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR);
}

void scsi_miscompare(struct scsi_task *t)
{
    scsi_sense(t, SENSE_MISCOMPARE, ASC_MISCOMPARE);
}

void scsi_reset(struct scsi_device *d)
{
    d->attention |= BIT(ATTENTION_RESET);
    d->prevented = false;
    d->reserve.plain = false; /* the persistent one stays */
}

void scsi_begin(struct scsi_device *d)
{
    d->prevented = false;
    d->write_cache = true;
    d->reserve.plain = false;
}

void scsi_eject_ask(struct scsi_device *d)
{
    d->event = MEDIA_EJECT_ASKED;
}

void scsi_medium_set(struct scsi_device *d, const struct scsi_medium *medium)
{
    d->medium = *medium;
    d->prevented = false;
    d->event = scsi_medium_present(d) ? MEDIA_NEW : MEDIA_REMOVED;
    d->attention &= ~(BIT(ATTENTION_MEDIUM_CHANGED) | BIT(ATTENTION_CAPACITY_CHANGED));
    if (scsi_medium_present(d))
        d->attention |= BIT(ATTENTION_MEDIUM_CHANGED);
}

void scsi_medium_grown(struct scsi_device *d, uint64_t blocks)
{
    if (d->medium.blocks == blocks)
        return;
    d->medium.blocks = blocks;
    d->attention |= BIT(ATTENTION_CAPACITY_CHANGED);
}

void scsi_device_save(const struct scsi_device *d, struct save_writer *w)
{
    save_u32(w, d->attention);
    save_u8(w, d->write_cache);
    save_u8(w, d->prevented);
    save_u8(w, (uint8_t)d->event);
    reserve_save(&d->reserve, w);
}

void scsi_device_load(struct scsi_device *d, struct save_reader *r)
{
    d->attention = load_u32(r) & (BIT(ATTENTION_COUNT) - 1);
    d->write_cache = load_max(r, 1, 1);
    d->prevented = load_max(r, 1, 1);
    d->event = (enum scsi_media_event)load_max(r, 1, MEDIA_REMOVED);
    reserve_load(&d->reserve, r);
}
