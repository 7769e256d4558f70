/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "vsp/storage/scsi_priv.h"

/*
 * MODE SENSE and MODE SELECT. A page is built by one function, and so are its masks: what a guest
 * may change. MODE SELECT takes a page if it differs from the current one in such bits only.
 */

#define PAGE_MAX 0x20U /* bytes, with the two of its header */

#define DEVICE_WRITE_PROTECT 0x80U
#define DEVICE_DPOFUA        0x10U

#define CACHING_WCE 0x04U

enum control { CURRENT, CHANGEABLE, DEFAULT, SAVED };

/* Each fills a page that is zero after its header and returns how long it is without that. */

static uint32_t page_recovery(const struct scsi_device *d, enum control control, uint8_t *p)
{
    if (control != CHANGEABLE && d->kind == SCSI_DISK)
        p[2] = 0xC0; /* AWRE, ARRE */
    return d->kind == SCSI_DISK ? 0x0A : 0x06;
}

static uint32_t page_caching(const struct scsi_device *d, enum control control, uint8_t *p)
{
    if (control != CURRENT || d->write_cache)
        p[2] = CACHING_WCE;
    return 0x12;
}

static uint32_t page_control(const struct scsi_device *d, enum control control, uint8_t *p)
{
    if (control != CHANGEABLE)
        p[3] = 0x10; /* the order of commands is free */
    return 0x0A;
}

static uint32_t page_exceptions(const struct scsi_device *d, enum control control, uint8_t *p)
{
    return 0x0A;
}

/* MMC: what the drive can do. It reads, locks, ejects, and has a tray. */
static uint32_t page_capabilities(const struct scsi_device *d, enum control control, uint8_t *p)
{
    if (control == CHANGEABLE)
        return 0x12;
    p[2] = 0x3B; /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R */
    p[4] = 0x70; /* mode 2 forms 1 and 2, multi-session */
    p[6] = (uint8_t)(0x29 | (d->prevented ? 2 : 0)); /* tray, ejects, locks */
    be_put(&p[8], 706 * 16, 2);                      /* kB/s */
    be_put(&p[14], 706 * 16, 2);
    return 0x12;
}

/* In the order of their codes, which is that of an answer with all. */
static const struct {
    uint8_t code;
    unsigned kinds;
    uint32_t (*fill)(const struct scsi_device *d, enum control control, uint8_t *p);
} pages[] = {
    {MODE_RECOVERY, SCSI_DISK | SCSI_OPTICAL, page_recovery},
    {MODE_CACHING, SCSI_DISK, page_caching},
    {MODE_CONTROL, SCSI_DISK, page_control},
    {MODE_EXCEPTIONS, SCSI_DISK, page_exceptions},
    {MODE_CAPABILITIES, SCSI_OPTICAL, page_capabilities},
};

static uint32_t page_build(const struct scsi_device *d, unsigned i, enum control control,
                           uint8_t *p)
{
    uint32_t length;

    memset(p, 0, PAGE_MAX);
    length = pages[i].fill(d, control, p);
    p[0] = pages[i].code;
    p[1] = (uint8_t)length;
    return length + 2;
}

/* All pages with the code; how long they are. 0: there is none. */
static uint32_t pages_fill(const struct scsi_device *d, uint8_t code, enum control control,
                           uint8_t *p)
{
    uint32_t length = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
        if (pages[i].kinds & d->kind && (code == MODE_ALL || code == pages[i].code))
            length += page_build(d, i, control, p + length);
    return length;
}

static uint8_t device_specific(const struct scsi_device *d)
{
    if (d->kind != SCSI_DISK)
        return 0;
    return (uint8_t)(DEVICE_DPOFUA | (d->medium.read_only ? DEVICE_WRITE_PROTECT : 0));
}

/* The block descriptor of 8 bytes. */
static uint32_t descriptor_fill(const struct scsi_device *d, uint8_t *p)
{
    be_put(&p[0], min_u64(d->medium.blocks, UINT32_MAX), 4);
    be_put(&p[5], d->medium.block_size, 3);
    return 8;
}

void scsi_mode_sense(struct scsi_device *d, struct scsi_task *t)
{
    bool longer = t->cdb[0] == SCSI_MODE_SENSE_10;
    bool descriptor = !(t->cdb[1] & 8) && d->kind == SCSI_DISK; /* DBD */
    uint8_t code = t->cdb[2] & 0x3F, subpage = t->cdb[3];
    enum control control = t->cdb[2] >> 6;
    uint32_t header = longer ? 8 : 4, length = header, pages_length;

    if (control == SAVED) {
        scsi_illegal(t, 0x3900); /* saving is not supported */
        return;
    }
    if (descriptor)
        length += descriptor_fill(d, &t->data[length]);
    pages_length = pages_fill(d, code, control, &t->data[length]);
    if (pages_length == 0 || (subpage != 0 && subpage != 0xFF)) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    length += pages_length;
    if (longer) {
        be_put(&t->data[0], length - 2, 2);
        t->data[3] = device_specific(d);
        be_put(&t->data[6], descriptor ? 8 : 0, 2);
    } else {
        t->data[0] = (uint8_t)(length - 1);
        t->data[2] = device_specific(d);
        t->data[3] = descriptor ? 8 : 0;
    }
    scsi_respond(t, length, longer ? be16(&t->cdb[7]) : t->cdb[4]);
}

uint32_t scsi_mode_select_list(const struct scsi_device *d, const struct scsi_task *t)
{
    return t->cdb[0] == SCSI_MODE_SELECT_10 ? be16(&t->cdb[7]) : t->cdb[4];
}

/* One page of a list at p, `left` bytes. Its length, 0: it may not be set so. */
static uint32_t page_check(const struct scsi_device *d, const uint8_t *p, uint32_t left,
                           bool *write_cache)
{
    uint8_t now[PAGE_MAX], mask[PAGE_MAX];

    for (unsigned i = 0; i < ARRAY_SIZE(pages) && left >= 2; i++) {
        uint32_t length;
        if (pages[i].code != (p[0] & 0x7F) || !(pages[i].kinds & d->kind)) /* bit 7: PS */
            continue;
        length = page_build(d, i, CURRENT, now);
        (void)page_build(d, i, CHANGEABLE, mask);
        if (p[1] != now[1] || length > left)
            return 0;
        for (uint32_t b = 2; b < length; b++)
            if ((p[b] ^ now[b]) & ~mask[b])
                return 0;
        if (pages[i].code == MODE_CACHING)
            *write_cache = p[2] & CACHING_WCE;
        return length;
    }
    return 0;
}

/* What stands before the pages; UINT32_MAX: it makes no sense. */
static uint32_t header_check(const struct scsi_device *d, const struct scsi_task *t,
                             uint32_t length)
{
    bool longer = t->cdb[0] == SCSI_MODE_SELECT_10;
    uint32_t header = longer ? 8 : 4, descriptor;
    uint8_t now[8] = {0};

    if (length < header)
        return UINT32_MAX;
    descriptor = longer ? be16(&t->data[6]) : t->data[3];
    if (descriptor == 0)
        return header;
    (void)descriptor_fill(d, now);
    if (descriptor != 8 || length < header + 8 || memcmp(&t->data[header + 5], &now[5], 3) != 0)
        return UINT32_MAX;
    return header + 8;
}

/* Nothing changes unless all pages are good. */
void scsi_mode_select(struct scsi_device *d, struct scsi_task *t)
{
    uint32_t length = scsi_mode_select_list(d, t), at;
    bool write_cache = d->write_cache;

    if (t->cdb[1] & 1) { /* SP: nothing is kept */
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    if (length == 0)
        return;
    at = t->data_length < length ? UINT32_MAX : header_check(d, t, length);
    if (at == UINT32_MAX) {
        scsi_illegal(t, t->data_length < length ? ASC_PARAMETER_LIST_LENGTH
                                                : ASC_INVALID_FIELD_IN_LIST);
        return;
    }
    while (at < length) {
        uint32_t n = page_check(d, &t->data[at], length - at, &write_cache);
        if (n == 0) {
            scsi_illegal(t, ASC_INVALID_FIELD_IN_LIST);
            return;
        }
        at += n;
    }
    d->write_cache = write_cache;
}
