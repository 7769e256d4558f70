/* SPDX-License-Identifier: MIT */
#include "vsp/storage/scsi_priv.h"

/*
 * Blocks of a medium: SBC-3, and what MMC-6 shares with it.
 */

#define PROTECT_MASK 0xE0U /* RDPROTECT and the like: there is no protection information */
#define FUA          0x08U

struct span {
    uint64_t lba;
    uint32_t blocks;
};

/* LBA and length lie at the same place in all CDBs of a size. */
static struct span span_of(const uint8_t *cdb)
{
    switch (scsi_cdb_length(cdb[0])) {
    case 6: /* a length of 0 means 256 */
        return (struct span){be32(cdb) & 0x1FFFFF, cdb[4] ? cdb[4] : 256};
    case 10:
        return (struct span){be32(&cdb[2]), be16(&cdb[7])};
    case 12:
        return (struct span){be32(&cdb[2]), be32(&cdb[6])};
    default:
        return (struct span){be64(&cdb[2]), be32(&cdb[10])};
    }
}

bool scsi_span_check(const struct scsi_device *d, struct scsi_task *t, uint64_t lba,
                     uint64_t blocks, uint64_t max_bytes)
{
    if (lba > d->medium.blocks || blocks > d->medium.blocks - lba) {
        scsi_illegal(t, ASC_LBA_OUT_OF_RANGE);
        return false;
    }
    if (blocks > max_bytes / d->medium.block_size) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return false;
    }
    return true;
}

/* Blocks that move between the disk and the guest's buffer, which must hold them. */
static bool transfer_check(const struct scsi_device *d, struct scsi_task *t, struct span s,
                           uint64_t buffer_blocks, enum scsi_direction direction)
{
    if (scsi_cdb_length(t->cdb[0]) > 6 && t->cdb[1] & PROTECT_MASK) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return false;
    }
    if (!scsi_span_check(d, t, s.lba, s.blocks, d->transfer_max))
        return false;
    if (buffer_blocks > 0 && (buffer_blocks * d->medium.block_size > t->buffer_length ||
                              !scsi_direction_is(t, direction))) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return false;
    }
    return true;
}

static void plan(const struct scsi_device *d, struct scsi_task *t, enum scsi_io_kind kind,
                 struct span s)
{
    t->io.kind = s.blocks ? kind : SCSI_IO_NONE;
    t->io.offset = s.lba * d->medium.block_size;
    t->io.length = (uint64_t)s.blocks * d->medium.block_size;
    t->io.fua = t->io.repeat = t->io.verify = false;
}

void scsi_read(struct scsi_device *d, struct scsi_task *t)
{
    struct span s = span_of(t->cdb);

    if (transfer_check(d, t, s, s.blocks, SCSI_DATA_IN))
        plan(d, t, SCSI_IO_READ, s);
}

void scsi_write(struct scsi_device *d, struct scsi_task *t)
{
    struct span s = span_of(t->cdb);

    if (!transfer_check(d, t, s, s.blocks, SCSI_DATA_OUT))
        return;
    plan(d, t, SCSI_IO_WRITE, s);
    t->io.fua = !d->write_cache || (scsi_cdb_length(t->cdb[0]) > 6 && t->cdb[1] & FUA);
}

/* BYTCHK: 0 compares nothing, 1 all blocks, 3 one block with each of them. */
void scsi_verify(struct scsi_device *d, struct scsi_task *t)
{
    struct span s = span_of(t->cdb);
    unsigned check = t->cdb[1] >> 1 & 3;
    uint64_t blocks = check == 3 ? s.blocks != 0 : check ? s.blocks : 0;

    if (check == 2) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    if (!transfer_check(d, t, s, blocks, SCSI_DATA_OUT))
        return;
    plan(d, t, check ? SCSI_IO_COMPARE : SCSI_IO_VERIFY, s);
    t->io.repeat = check == 3;
}

void scsi_write_verify(struct scsi_device *d, struct scsi_task *t)
{
    struct span s = span_of(t->cdb);

    if (!transfer_check(d, t, s, s.blocks, SCSI_DATA_OUT))
        return;
    plan(d, t, SCSI_IO_WRITE, s);
    t->io.fua = true; /* it is the medium that is verified, not a cache */
    t->io.verify = true;
}

void scsi_seek(struct scsi_device *d, struct scsi_task *t)
{
    (void)scsi_span_check(d, t, be32(&t->cdb[2]), 1, d->medium.block_size);
}

/* The whole disk is flushed, whatever the range is; nothing comes before it is done. */
void scsi_synchronize(struct scsi_device *d, struct scsi_task *t)
{
    struct span s = span_of(t->cdb);

    if (scsi_span_check(d, t, s.lba, s.blocks, UINT64_MAX))
        plan(d, t, SCSI_IO_FLUSH, (struct span){0, 1});
}

void scsi_capacity_10(struct scsi_device *d, struct scsi_task *t)
{
    uint64_t last = d->medium.blocks ? d->medium.blocks - 1 : 0;

    be_put(&t->data[0], last > UINT32_MAX ? UINT32_MAX : last, 4);
    be_put(&t->data[4], d->medium.block_size, 4);
    scsi_respond(t, 8, 8);
}

void scsi_capacity_16(struct scsi_device *d, struct scsi_task *t)
{
    be_put(&t->data[0], d->medium.blocks ? d->medium.blocks - 1 : 0, 8);
    be_put(&t->data[8], d->medium.block_size, 4);
    t->data[13] = d->medium.physical_exponent;
    /* LBPME, and LBPRZ: a block that is unmapped reads as zeros; one whose space was not given back
     * has its contents. */
    t->data[14] = d->medium.discard_blocks ? 0xC0 : 0;
    scsi_respond(t, 32, be32(&t->cdb[10]));
}
