/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "vsp/storage/scsi_priv.h"

/*
 * CDBs in a row against one logical unit: whatever they are, answers fit the buffer, and what the
 * disk is asked for lies in it. A record is a byte that says what it is, and its bytes.
 */

#define RECORD 44U

static struct scsi_device dev;
static uint8_t buffer[SCSI_DATA_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool true_always)
{
    if (!true_always)
        abort();
}

static void check_extent(uint64_t offset, uint64_t length)
{
    uint64_t end = dev.medium.blocks * dev.medium.block_size;

    need(dev.medium.block_size != 0 && length > 0);
    need(offset % dev.medium.block_size == 0 && length % dev.medium.block_size == 0);
    need(offset <= end && length <= end - offset && length <= SCSI_ZERO_MAX);
}

static void check_io(const struct scsi_task *t)
{
    const struct scsi_io *io = &t->io;

    need(io->extent_count <= SCSI_EXTENT_MAX || io->kind != SCSI_IO_DISCARD);
    if (io->kind == SCSI_IO_DISCARD)
        for (unsigned i = 0; i < io->extent_count; i++)
            check_extent(io->extent[i].offset, io->extent[i].length);
    else if (io->kind != SCSI_IO_FLUSH)
        check_extent(io->offset, io->length);
    if (io->kind == SCSI_IO_READ || io->kind == SCSI_IO_WRITE)
        need(io->length <= t->buffer_length && io->length <= dev.transfer_max);
    if (io->kind == SCSI_IO_COMPARE)
        need((io->repeat ? dev.medium.block_size : io->length) <= t->buffer_length);
    if (io->kind != SCSI_IO_READ && io->kind != SCSI_IO_VERIFY && io->kind != SCSI_IO_COMPARE &&
        io->kind != SCSI_IO_FLUSH)
        need(!dev.medium.read_only);
}

static void check_save(void)
{
    static uint8_t bytes[8192];
    struct save_writer w = {.buf = bytes, .size = sizeof(bytes)};
    struct save_reader r = {.buf = bytes};
    struct scsi_device again = dev;
    size_t begin = save_begin(&w, 1, 1);

    scsi_device_save(&dev, &w);
    save_end(&w, begin);
    need(w.err == 0);
    r.size = w.len;
    (void)load_begin(&r, 1, 1);
    scsi_device_load(&again, &r);
    need(load_end(&r) == 0);
}

/* A CDB, who sends it, how long its buffer is, and what is in it. */
static void command(const uint8_t *p, const uint8_t *list, size_t list_size)
{
    static const uint8_t who[4][RESERVE_ID_SIZE] = {"a", "b", "c", "d"};
    struct scsi_task t = {.data = buffer, .initiator = who[p[17] & 3]};

    memcpy(t.cdb, p, 16);
    t.cdb_length = (uint8_t)(1 + p[16] % 16);
    t.direction = (enum scsi_direction)(p[17] >> 2 & 3);
    t.buffer_length = t.direction == SCSI_NO_DATA ? 0 : (uint32_t)be16(&p[18]) << (p[17] >> 4 & 7);
    t.luns = be64(&p[20]);
    memset(buffer, 0, sizeof(buffer));
    t.data_length = scsi_parameters(&dev, &t);
    need(t.data_length <= t.buffer_length && t.data_length <= SCSI_DATA_MAX);
    memcpy(buffer, list, t.data_length < list_size ? t.data_length : list_size);
    scsi_execute(&dev, &t);
    need(t.status == SCSI_GOOD || t.status == SCSI_CHECK_CONDITION ||
         t.status == SCSI_RESERVATION_CONFLICT);
    need(t.data_length <= SCSI_DATA_MAX && t.data_length <= t.buffer_length);
    if (t.status != SCSI_GOOD)
        need(t.io.kind == SCSI_IO_NONE);
    if (t.io.kind != SCSI_IO_NONE)
        check_io(&t);
    t.data_length = 0;
    (void)scsi_execute_absent(&t);
    need(t.data_length <= t.buffer_length);
}

static void host(const uint8_t *p)
{
    const struct scsi_medium medium = {.blocks = be64(&p[2]) >> 12,
                                       .block_size = dev.kind == SCSI_OPTICAL ? 2048 : 512,
                                       .discard_blocks = p[10],
                                       .read_only = dev.kind == SCSI_OPTICAL || p[11] & 1};

    if (p[1] % 4 == 0)
        scsi_reset(&dev);
    else if (p[1] % 4 == 1 && scsi_medium_present(&dev))
        scsi_medium_grown(&dev, medium.blocks);
    else if (p[1] % 4 == 2)
        scsi_medium_set(&dev, &medium);
    else
        check_save();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dev =
        (struct scsi_device){.kind = size && data[0] & 1 ? SCSI_OPTICAL : SCSI_DISK,
                             .transfer_max = 8U << 20,
                             .medium = {.blocks = 0x100000, .block_size = 512, .discard_blocks = 8},
                             .write_cache = true};
    if (dev.kind == SCSI_OPTICAL) {
        dev.medium.block_size = 2048;
        dev.medium.read_only = true;
    }
    for (size_t at = 1; at + RECORD <= size; at += RECORD) {
        const uint8_t *p = data + at;
        if (p[0] == 0xFE)
            host(p);
        else /* what follows it is its parameter list as well */
            command(p, p + 28, size - at - 28);
    }
    return 0;
}
