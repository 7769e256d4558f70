/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "vsp/storage/scsi_priv.h"

/*
 * What a device is: INQUIRY and its VPD pages, REPORT LUNS, REPORT SUPPORTED OPERATION CODES.
 */

#define STANDARD_LENGTH 36U
#define IDENTITY_TEXT   32U /* an identity in hexadecimal */

/* Linux' storvsc lets itself be told of WRITE SAME and of SPC-3 by devices of this vendor only. */
#define VENDOR "Msft"

static uint8_t device_type(const struct scsi_device *d)
{
    return d->kind == SCSI_OPTICAL ? SCSI_TYPE_OPTICAL : SCSI_TYPE_DISK;
}

static uint32_t inquiry_standard(const struct scsi_device *d, uint8_t *p)
{
    p[1] = d->kind == SCSI_OPTICAL ? 0x80 : 0; /* a removable medium */
    p[2] = 5;                                  /* SPC-3 */
    p[3] = 2;                                  /* the format of this */
    p[4] = STANDARD_LENGTH - 5;
    p[7] = 2; /* CMDQUE */
    scsi_text(&p[8], VENDOR, 8);
    scsi_text(&p[16], d->kind == SCSI_OPTICAL ? "Virtual DVD-ROM" : "Virtual Disk", 16);
    scsi_text(&p[32], "1.0", 4);
    return STANDARD_LENGTH;
}

static void identity_text(const struct scsi_device *d, uint8_t *p)
{
    static const char digits[] = "0123456789ABCDEF";

    for (unsigned i = 0; i < sizeof(d->identity); i++) {
        p[2 * i] = (uint8_t)digits[d->identity[i] >> 4];
        p[2 * i + 1] = (uint8_t)digits[d->identity[i] & 15];
    }
}

static uint32_t page_serial(const struct scsi_device *d, uint8_t *p)
{
    identity_text(d, p);
    return IDENTITY_TEXT;
}

/* A name with the vendor in front, and one as a number (NAA 3h: assigned here, 60 bits). */
static uint32_t page_identification(const struct scsi_device *d, uint8_t *p)
{
    p[0] = 2; /* ASCII */
    p[1] = 1; /* T10 vendor identification, of the logical unit */
    p[3] = 8 + IDENTITY_TEXT;
    scsi_text(&p[4], VENDOR, 8);
    identity_text(d, &p[12]);
    p += 4 + 8 + IDENTITY_TEXT;
    p[0] = 1; /* binary */
    p[1] = 3; /* NAA */
    p[3] = 8;
    for (unsigned i = 0; i < 8; i++)
        p[4 + i] = d->identity[i] ^ d->identity[8 + i];
    p[4] = (uint8_t)(0x30 | (p[4] & 0x0F));
    return 4 + 8 + IDENTITY_TEXT + 4 + 8;
}

/* SBC-3 6.6.4; offsets here are without the four bytes of the page's header. */
static uint32_t page_limits(const struct scsi_device *d, uint8_t *p)
{
    uint32_t size = d->medium.block_size ? d->medium.block_size : 512;
    bool unmap = d->medium.discard_blocks != 0;

    p[0] = 1; /* WSNZ */
    be_put(&p[4], d->transfer_max / size, 4);
    be_put(&p[16], unmap ? SCSI_ZERO_MAX / size : 0, 4);
    be_put(&p[20], unmap ? SCSI_EXTENT_MAX : 0, 4);
    be_put(&p[24], d->medium.discard_blocks, 4);
    be_put(&p[32], SCSI_ZERO_MAX / size, 8);
    return 0x3C;
}

static uint32_t page_characteristics(const struct scsi_device *d, uint8_t *p)
{
    be_put(&p[0], 1, 2); /* does not rotate */
    return 0x3C;
}

/* UNMAP, WRITE SAME (16) and (10) unmap, and what is unmapped reads as zeros. */
static uint32_t page_provisioning(const struct scsi_device *d, uint8_t *p)
{
    p[1] = d->medium.discard_blocks ? 0x80 | 0x40 | 0x20 | 0x04 : 0;
    p[2] = d->medium.discard_blocks ? 2 : 0; /* thin, or nothing is said */
    return 4;
}

static uint32_t page_supported(const struct scsi_device *d, uint8_t *p);

/* In the order of their codes. */
static const struct {
    uint8_t code;
    unsigned kinds;
    uint32_t (*fill)(const struct scsi_device *d, uint8_t *p);
} pages[] = {
    {VPD_SUPPORTED, SCSI_DISK | SCSI_OPTICAL, page_supported},
    {VPD_SERIAL, SCSI_DISK | SCSI_OPTICAL, page_serial},
    {VPD_IDENTIFICATION, SCSI_DISK | SCSI_OPTICAL, page_identification},
    {VPD_BLOCK_LIMITS, SCSI_DISK, page_limits},
    {VPD_CHARACTERISTICS, SCSI_DISK, page_characteristics},
    {VPD_PROVISIONING, SCSI_DISK, page_provisioning},
};

static uint32_t page_supported(const struct scsi_device *d, uint8_t *p)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
        if (pages[i].kinds & d->kind)
            p[n++] = pages[i].code;
    return n;
}

/* The whole page, 0: there is none with this code. */
static uint32_t inquiry_page(const struct scsi_device *d, uint8_t code, uint8_t *p)
{
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        if (pages[i].code != code || !(pages[i].kinds & d->kind))
            continue;
        uint32_t length = pages[i].fill(d, p + 4);
        p[1] = code;
        be_put(&p[2], length, 2);
        return length + 4;
    }
    return 0;
}

void scsi_inquiry(struct scsi_device *d, struct scsi_task *t)
{
    bool vital = t->cdb[1] & 1;
    uint32_t length;

    if (!vital && t->cdb[2] != 0) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    length = vital ? inquiry_page(d, t->cdb[2], t->data) : inquiry_standard(d, t->data);
    if (length == 0) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    t->data[0] = device_type(d);
    scsi_respond(t, length, be16(&t->cdb[3]));
}

void scsi_report_luns(struct scsi_device *d, struct scsi_task *t)
{
    uint8_t select = t->cdb[2];
    uint32_t length = 8;

    if (select > 2) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    for (unsigned lun = 0; select != 1 && lun < 64; lun++) {
        if (!(t->luns & BIT64(lun)))
            continue;
        t->data[length + 1] = (uint8_t)lun; /* peripheral device addressing */
        length += 8;
    }
    be_put(t->data, length - 8, 4);
    scsi_respond(t, length, be32(&t->cdb[6]));
}

/* SPC-4 6.35, of all commands: without descriptors of timeouts. */
static uint32_t codes_all(const struct scsi_device *d, uint8_t *p)
{
    uint32_t length = 4;

    for (unsigned i = 0; i < scsi_command_count; i++) {
        const struct scsi_command *c = &scsi_commands[i];
        if (!(c->flags & d->kind))
            continue;
        p[length] = c->opcode;
        if (c->service != COMMAND_NO_SERVICE) {
            p[length + 3] = c->service;
            p[length + 5] = 1; /* SERVACTV */
        }
        p[length + 7] = (uint8_t)scsi_cdb_length(c->opcode);
        length += 8;
    }
    be_put(p, length - 4, 4);
    return length;
}

/* Of one command; 0: what was asked makes no sense. */
static uint32_t codes_one(const struct scsi_device *d, const uint8_t *cdb, uint8_t *p)
{
    uint8_t wanted[2] = {cdb[3], cdb[5] & 0x1F};
    const struct scsi_command *c = scsi_command_find(d, wanted);
    unsigned option = cdb[2] & 7, length;

    /* 1 asks for an opcode without service actions, 2 for one with them, 3 for either. */
    if (c && ((option == 1 && c->service != COMMAND_NO_SERVICE) ||
              (option == 2 && c->service == COMMAND_NO_SERVICE)))
        return 0;
    if (!c) {
        p[1] = 1; /* not supported */
        return 4;
    }
    length = scsi_cdb_length(c->opcode);
    p[1] = 3;
    be_put(&p[2], length, 2);
    memcpy(&p[4], c->usage, length);
    p[4] = c->opcode;
    if (c->service != COMMAND_NO_SERVICE)
        p[5] = (uint8_t)((p[5] & 0xE0) | c->service);
    return 4 + length;
}

void scsi_supported_codes(struct scsi_device *d, struct scsi_task *t)
{
    unsigned option = t->cdb[2] & 7;
    uint32_t length = 0;

    /* RCTD (timeouts) is a wish. */
    if (option == 0)
        length = codes_all(d, t->data);
    else if (option <= 3)
        length = codes_one(d, t->cdb, t->data);
    if (length == 0)
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
    else
        scsi_respond(t, length, be32(&t->cdb[6]));
}
