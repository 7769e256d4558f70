/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "vsp/storage/scsi_priv.h"

/*
 * Space: UNMAP, WRITE SAME, GET LBA STATUS (SBC-3 4.7).
 */

/* Byte 1 of WRITE SAME. */
#define SAME_PROTECT 0xE0U
#define SAME_ANCHOR  0x10U
#define SAME_UNMAP   0x08U
#define SAME_OLD     0x06U /* PBDATA, LBDATA */
#define SAME_NDOB    0x01U /* of the CDB of 16 bytes */

#define UNMAP_HEADER     8U
#define UNMAP_DESCRIPTOR 16U

static bool all_zero(const uint8_t *p, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        if (p[i])
            return false;
    return true;
}

static bool no_data_buffer(const uint8_t *cdb)
{
    return cdb[0] == SCSI_WRITE_SAME_16 && cdb[1] & SAME_NDOB;
}

uint32_t scsi_write_same_list(const struct scsi_device *d, const struct scsi_task *t)
{
    return no_data_buffer(t->cdb) ? 0 : d->medium.block_size;
}

void scsi_write_same(struct scsi_device *d, struct scsi_task *t)
{
    bool longer = t->cdb[0] == SCSI_WRITE_SAME_16, ndob = no_data_buffer(t->cdb);
    uint64_t lba = longer ? be64(&t->cdb[2]) : be32(&t->cdb[2]);
    uint64_t blocks = longer ? be32(&t->cdb[10]) : be16(&t->cdb[7]);
    bool unmap = t->cdb[1] & SAME_UNMAP;

    /* No blocks would mean all to the end, which VPD page B0h (WSNZ) rules out. */
    if (t->cdb[1] & (SAME_PROTECT | SAME_ANCHOR | SAME_OLD) || blocks == 0 ||
        (unmap && !d->medium.discard_blocks) ||
        (!ndob &&
         (t->data_length < d->medium.block_size || !scsi_direction_is(t, SCSI_DATA_OUT)))) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    if (!scsi_span_check(d, t, lba, blocks, SCSI_ZERO_MAX))
        return;
    t->io.kind = ndob || all_zero(t->data, d->medium.block_size) ? SCSI_IO_ZERO : SCSI_IO_SAME;
    t->io.offset = lba * d->medium.block_size;
    t->io.length = blocks * d->medium.block_size;
    t->io.fua = !d->write_cache;
}

uint32_t scsi_unmap_list(const struct scsi_device *d, const struct scsi_task *t)
{
    return be16(&t->cdb[7]);
}

/* One block descriptor. False: t is ended. */
static bool unmap_descriptor(const struct scsi_device *d, struct scsi_task *t, const uint8_t *p,
                             uint64_t *total)
{
    uint64_t lba = be64(p), blocks = be32(p + 8);

    if (!scsi_span_check(d, t, lba, blocks, UINT64_MAX))
        return false;
    *total += blocks;
    if (*total > SCSI_ZERO_MAX / d->medium.block_size) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_LIST);
        return false;
    }
    if (blocks > 0)
        t->io.extent[t->io.extent_count++] =
            (struct scsi_extent){lba * d->medium.block_size, blocks * d->medium.block_size};
    return true;
}

/* Nothing is done unless the whole list is good. */
void scsi_unmap(struct scsi_device *d, struct scsi_task *t)
{
    uint32_t length = be16(&t->cdb[7]), count;
    uint64_t total = 0;

    t->io.extent_count = 0;
    if (!d->medium.discard_blocks) {
        scsi_illegal(t, ASC_INVALID_OPCODE);
        return;
    }
    if (t->cdb[1] & 1) { /* ANCHOR */
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    if (length == 0)
        return;
    if (length < UNMAP_HEADER || t->data_length < length) {
        scsi_illegal(t, ASC_PARAMETER_LIST_LENGTH);
        return;
    }
    count = (uint32_t)min_u64(be16(&t->data[2]), length - UNMAP_HEADER) / UNMAP_DESCRIPTOR;
    if (count > SCSI_EXTENT_MAX) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_LIST);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!unmap_descriptor(d, t, &t->data[UNMAP_HEADER + i * UNMAP_DESCRIPTOR], &total))
            return;
    t->io.kind = t->io.extent_count ? SCSI_IO_DISCARD : SCSI_IO_NONE;
}

/* The images do not say what they hold; "mapped" is always allowed. */
void scsi_lba_status(struct scsi_device *d, struct scsi_task *t)
{
    uint64_t lba = be64(&t->cdb[2]);

    if (lba >= d->medium.blocks) {
        scsi_illegal(t, ASC_LBA_OUT_OF_RANGE);
        return;
    }
    be_put(&t->data[0], 20, 4);
    be_put(&t->data[8], lba, 8);
    be_put(&t->data[16], min_u64(d->medium.blocks - lba, UINT32_MAX), 4);
    scsi_respond(t, 24, be32(&t->cdb[10]));
}
