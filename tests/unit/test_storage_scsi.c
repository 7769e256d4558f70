/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_scsi.h"
#include <errno.h>

static int reset(void **state)
{
    shim_unit(SCSI_DISK);
    return 0;
}

/* A CDB that moves blocks, of any size: opcode, byte 1, LBA, length. */
static void move(uint8_t opcode, uint8_t flags, uint64_t lba, uint64_t blocks,
                 enum scsi_direction direction, uint32_t buffer)
{
    uint8_t cdb[16] = {opcode, flags};
    unsigned length = scsi_cdb_length(opcode);

    if (length == 6) {
        be_put(&cdb[1], lba, 3);
        cdb[4] = (uint8_t)blocks;
    } else if (length == 10) {
        be_put(&cdb[2], lba, 4);
        be_put(&cdb[7], blocks, 2);
    } else if (length == 12) {
        be_put(&cdb[2], lba, 4);
        be_put(&cdb[6], blocks, 4);
    } else {
        be_put(&cdb[2], lba, 8);
        be_put(&cdb[10], blocks, 4);
    }
    run_as(vm_a, direction, buffer, cdb, length);
}

struct mover {
    uint8_t opcode;
    enum scsi_direction direction;
    enum scsi_io_kind kind;
};

static const struct mover movers[] = {
    {SCSI_READ_6, SCSI_DATA_IN, SCSI_IO_READ},
    {SCSI_READ_10, SCSI_DATA_IN, SCSI_IO_READ},
    {SCSI_READ_12, SCSI_DATA_IN, SCSI_IO_READ},
    {SCSI_READ_16, SCSI_DATA_IN, SCSI_IO_READ},
    {SCSI_WRITE_6, SCSI_DATA_OUT, SCSI_IO_WRITE},
    {SCSI_WRITE_10, SCSI_DATA_OUT, SCSI_IO_WRITE},
    {SCSI_WRITE_12, SCSI_DATA_OUT, SCSI_IO_WRITE},
    {SCSI_WRITE_16, SCSI_DATA_OUT, SCSI_IO_WRITE},
    {SCSI_WRITE_VERIFY_10, SCSI_DATA_OUT, SCSI_IO_WRITE},
    {SCSI_WRITE_VERIFY_12, SCSI_DATA_OUT, SCSI_IO_WRITE},
    {SCSI_WRITE_VERIFY_16, SCSI_DATA_OUT, SCSI_IO_WRITE},
    {SCSI_VERIFY_10, SCSI_NO_DATA, SCSI_IO_VERIFY},
    {SCSI_VERIFY_12, SCSI_NO_DATA, SCSI_IO_VERIFY},
    {SCSI_VERIFY_16, SCSI_NO_DATA, SCSI_IO_VERIFY},
};

static void test_move_good(void **state)
{
    for (unsigned i = 0; i < ARRAY_SIZE(movers); i++) {
        const struct mover *m = &movers[i];
        bool moves = m->direction != SCSI_NO_DATA;
        move(m->opcode, 0, 0x1234, 8, m->direction, moves ? 8 * BLOCK : 0);
        check_io(m->kind, 0x1234ULL * BLOCK, 8 * BLOCK);
        /* The last block, and a buffer with room to spare. */
        move(m->opcode, 0, DISK_BLOCKS - 1, 1, m->direction, moves ? 4096 : 0);
        check_io(m->kind, (DISK_BLOCKS - 1) * BLOCK, BLOCK);
    }
}

static void test_move_bad(void **state)
{
    for (unsigned i = 0; i < ARRAY_SIZE(movers); i++) {
        const struct mover *m = &movers[i];
        bool moves = m->direction != SCSI_NO_DATA, six = scsi_cdb_length(m->opcode) == 6;
        move(m->opcode, 0, DISK_BLOCKS - 1, 2, m->direction, 1 << 20);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
        move(m->opcode, 0, six ? 0x1FFFFF : 0xFFFFFFFF, 1, m->direction, 1 << 20);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
        if (moves) { /* too small a buffer, the other direction, none */
            move(m->opcode, 0, 0, 8, m->direction, 8 * BLOCK - 1);
            check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
            move(m->opcode, 0, 0, 8, m->direction == SCSI_DATA_IN ? SCSI_DATA_OUT : SCSI_DATA_IN,
                 8 * BLOCK);
            check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
            move(m->opcode, 0, 0, 8, SCSI_NO_DATA, 0);
            check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        }
        if (!six) {
            move(m->opcode, 0x20, 0, 8, m->direction, 8 * BLOCK); /* protection */
            check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
            move(m->opcode, 0, DISK_BLOCKS, 0, m->direction, 0);
            check_good(0);
        }
    }
}

static void test_move_wide(void **state)
{
    move(SCSI_READ_6, 0, 0, 0, SCSI_DATA_IN, 256 * BLOCK); /* 0 is 256 */
    check_io(SCSI_IO_READ, 0, 256 * BLOCK);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t opcode = i ? SCSI_WRITE_16 : SCSI_READ_16;
        enum scsi_direction direction = i ? SCSI_DATA_OUT : SCSI_DATA_IN;
        move(opcode, 0, UINT64_MAX, 1, direction, 1 << 20);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
        move(opcode, 0, UINT64_MAX - 7, 16, direction, 1 << 20);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
        move(opcode, 0, 1, UINT32_MAX, direction, 1 << 20);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
        move(opcode, 0, 0, dev.transfer_max / BLOCK, direction, 8U << 20);
        check_io(i ? SCSI_IO_WRITE : SCSI_IO_READ, 0, 8U << 20);
        move(opcode, 0, 0, dev.transfer_max / BLOCK + 1, direction, 9U << 20);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    }
    dev.medium.blocks = UINT64_MAX / BLOCK;
    move(SCSI_READ_16, 0, dev.medium.blocks - 1, 1, SCSI_DATA_IN, BLOCK);
    check_io(SCSI_IO_READ, (dev.medium.blocks - 1) * BLOCK, BLOCK);
}

static void test_fua(void **state)
{
    move(SCSI_WRITE_10, 0, 0, 1, SCSI_DATA_OUT, BLOCK);
    assert_false(task.io.fua);
    move(SCSI_WRITE_10, 0x08, 0, 1, SCSI_DATA_OUT, BLOCK);
    assert_true(task.io.fua);
    move(SCSI_WRITE_6, 0, 0x80000 & 0xFFFF, 1, SCSI_DATA_OUT, BLOCK);
    assert_false(task.io.fua);
    move(SCSI_WRITE_VERIFY_16, 0, 0, 1, SCSI_DATA_OUT, BLOCK);
    assert_true(task.io.fua && task.io.verify);
    dev.write_cache = false;
    move(SCSI_WRITE_16, 0, 0, 1, SCSI_DATA_OUT, BLOCK);
    assert_true(task.io.fua);
    move(SCSI_SYNCHRONIZE_CACHE_10, 2, 0, 0, SCSI_NO_DATA, 0);
    assert_int_equal(task.io.kind, SCSI_IO_FLUSH);
    move(SCSI_SYNCHRONIZE_CACHE_16, 0, 5, 10, SCSI_NO_DATA, 0);
    assert_int_equal(task.io.kind, SCSI_IO_FLUSH);
    move(SCSI_SYNCHRONIZE_CACHE_16, 0, DISK_BLOCKS, 1, SCSI_NO_DATA, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
}

static void test_verify_compares(void **state)
{
    move(SCSI_VERIFY_10, 0x02, 4, 2, SCSI_DATA_OUT, 2 * BLOCK);
    check_io(SCSI_IO_COMPARE, 4 * BLOCK, 2 * BLOCK);
    assert_false(task.io.repeat);
    move(SCSI_VERIFY_16, 0x06, 4, 2, SCSI_DATA_OUT, BLOCK);
    check_io(SCSI_IO_COMPARE, 4 * BLOCK, 2 * BLOCK);
    assert_true(task.io.repeat);
    move(SCSI_VERIFY_12, 0x02, 4, 2, SCSI_DATA_OUT, 2 * BLOCK - 1);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    move(SCSI_VERIFY_10, 0x04, 4, 2, SCSI_DATA_OUT, 2 * BLOCK);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    scsi_miscompare(&task);
    check_sense(SENSE_MISCOMPARE, ASC_MISCOMPARE);
}

static void test_write_same(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        uint8_t opcode = i ? SCSI_WRITE_SAME_16 : SCSI_WRITE_SAME_10;
        memset(out, 0, sizeof(out));
        move(opcode, 0, 16, 100, SCSI_DATA_OUT, BLOCK);
        check_io(SCSI_IO_ZERO, 16 * BLOCK, 100 * BLOCK);
        move(opcode, 0x08, 16, 100, SCSI_DATA_OUT, BLOCK);
        check_io(SCSI_IO_ZERO, 16 * BLOCK, 100 * BLOCK);
        out[BLOCK - 1] = 1;
        move(opcode, 0x08, 16, 100, SCSI_DATA_OUT, BLOCK);
        check_io(SCSI_IO_SAME, 16 * BLOCK, 100 * BLOCK);
        assert_memory_equal(data, out, BLOCK);
        move(opcode, 0, 16, 0, SCSI_DATA_OUT, BLOCK);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        move(opcode, 0x10, 16, 1, SCSI_DATA_OUT, BLOCK); /* ANCHOR */
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        move(opcode, 0x02, 16, 1, SCSI_DATA_OUT, BLOCK); /* LBDATA */
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        move(opcode, 0, 16, 1, SCSI_DATA_OUT, BLOCK - 1);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        move(opcode, 0, DISK_BLOCKS - 1, 2, SCSI_DATA_OUT, BLOCK);
        check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    }
    move(SCSI_WRITE_SAME_16, 0x01, 16, 100, SCSI_NO_DATA, 0);
    check_io(SCSI_IO_ZERO, 16 * BLOCK, 100 * BLOCK);
    dev.medium.blocks = 1ULL << 40;
    move(SCSI_WRITE_SAME_16, 0x01, 0, SCSI_ZERO_MAX / BLOCK, SCSI_NO_DATA, 0);
    check_io(SCSI_IO_ZERO, 0, SCSI_ZERO_MAX);
    move(SCSI_WRITE_SAME_16, 0x01, 0, SCSI_ZERO_MAX / BLOCK + 1, SCSI_NO_DATA, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    dev.medium.discard_blocks = 0;
    move(SCSI_WRITE_SAME_16, 0x09, 0, 1, SCSI_NO_DATA, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

static void unmap_list(unsigned count)
{
    memset(out, 0, sizeof(out));
    be_put(&out[0], 6 + 16 * count, 2);
    be_put(&out[2], 16 * count, 2);
    for (unsigned i = 0; i < count; i++) {
        be_put(&out[8 + 16 * i], 8 * i, 8);
        be_put(&out[16 + 16 * i], 8, 4);
    }
}

static void unmap(unsigned length, uint32_t buffer)
{
    OUT(buffer, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, (uint8_t)(length >> 8), (uint8_t)length, 0);
}

static void test_unmap(void **state)
{
    unmap_list(SCSI_EXTENT_MAX);
    unmap(8 + 16 * SCSI_EXTENT_MAX, 4096);
    assert_int_equal(task.io.kind, SCSI_IO_DISCARD);
    assert_int_equal(task.io.extent_count, SCSI_EXTENT_MAX);
    assert_int_equal(task.io.extent[2].offset, 16 * BLOCK);
    assert_int_equal(task.io.extent[2].length, 8 * BLOCK);
    unmap_list(SCSI_EXTENT_MAX + 1);
    unmap(8 + 16 * (SCSI_EXTENT_MAX + 1), 4096);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    unmap(0, 0);
    check_good(0);
    unmap(7, 4096);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    unmap_list(2);
    unmap(40, 39);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    unmap(0xFFFF, 4096);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    unmap(8, 8); /* says that there are more than there are */
    check_good(0);
    be_put(&out[24], DISK_BLOCKS - 7, 8); /* the second one */
    unmap(40, 40);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    be_put(&out[24], UINT64_MAX, 8);
    unmap(40, 40);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    dev.medium.blocks = 1ULL << 40;
    be_put(&out[24], 0, 8);
    be_put(&out[32], SCSI_ZERO_MAX / BLOCK, 4); /* and 8 of the first */
    unmap(40, 40);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    dev.medium.discard_blocks = 0;
    unmap(40, 40);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
}

static void test_read_only(void **state)
{
    dev.medium.read_only = true;
    for (unsigned i = 0; i < ARRAY_SIZE(movers); i++) {
        const struct mover *m = &movers[i];
        move(m->opcode, 0, 0, 1, m->direction, m->direction ? BLOCK : 0);
        if (m->kind == SCSI_IO_WRITE)
            check_sense(SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
        else
            check_io(m->kind, 0, BLOCK);
    }
    move(SCSI_WRITE_SAME_16, 1, 0, 1, SCSI_NO_DATA, 0);
    check_sense(SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
    unmap_list(1);
    unmap(24, 24);
    check_sense(SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
    IN(64, SCSI_MODE_SENSE_6, 8, 0x3F, 0, 64, 0);
    assert_int_equal(data[2], 0x90);
}

static void test_inquiry(void **state)
{
    IN(36, SCSI_INQUIRY, 0, 0, 0, 36, 0);
    check_good(36);
    assert_memory_equal(data, "\0\0\5\2\37\0\0\2Msft    Virtual Disk    1.0 ", 36);
    IN(255, SCSI_INQUIRY, 0, 0, 0, 255, 0);
    check_good(36);
    IN(255, SCSI_INQUIRY, 0, 0, 0, 5, 0);
    check_good(5);
    IN(3, SCSI_INQUIRY, 0, 0, 0, 36, 0);
    check_good(3);
    IN(36, SCSI_INQUIRY, 0, 1, 0, 36, 0); /* a page without EVPD */
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(36, SCSI_INQUIRY, 1, 0xB3, 0, 36, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

/* A buffer for the other direction is not used. */
static void test_direction(void **state)
{
    OUT(36, SCSI_INQUIRY, 0, 0, 0, 36, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(24, SCSI_PERSISTENT_RESERVE_OUT, 6, 0, 0, 0, 0, 0, 0, 24, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    IN(512, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    run_as(vm_a, SCSI_DATA_ANY, 36, (const uint8_t[]){SCSI_INQUIRY, 0, 0, 0, 36, 0}, 6);
    check_good(36);
    run_as(vm_a, SCSI_DATA_ANY, 512, (const uint8_t[]){SCSI_WRITE_6, 0, 0, 0, 1, 0}, 6);
    check_io(SCSI_IO_WRITE, 0, 512);
    run_as(vm_a, SCSI_DATA_ANY, 512, (const uint8_t[]){SCSI_READ_6, 0, 0, 0, 1, 0}, 6);
    check_io(SCSI_IO_READ, 0, 512);
}

static void test_vital_pages(void **state)
{
    IN(255, SCSI_INQUIRY, 1, 0x00, 0, 255, 0);
    check_good(10);
    assert_memory_equal(data, "\0\0\0\6\0\x80\x83\xB0\xB1\xB2", 10);
    IN(255, SCSI_INQUIRY, 1, 0x80, 0, 255, 0);
    check_good(36);
    assert_memory_equal(&data[4], "112233445566778899AABBCCDDEEFF01", 32);
    IN(255, SCSI_INQUIRY, 1, 0x83, 0, 255, 0);
    check_good(4 + 44 + 12);
    assert_memory_equal(&data[4], "\2\1\0\50Msft    112233445566778899AABBCCDDEEFF01", 44);
    assert_memory_equal(&data[48], "\1\3\0\10\x38\x88\x88\x88\x88\x88\x88\x89", 12);
    IN(255, SCSI_INQUIRY, 1, 0xB0, 0, 255, 0);
    check_good(64);
    assert_int_equal(data[4], 1);
    assert_int_equal(be32(&data[8]), (8U << 20) / BLOCK);
    assert_int_equal(be32(&data[20]), SCSI_ZERO_MAX / BLOCK);
    assert_int_equal(be32(&data[24]), SCSI_EXTENT_MAX);
    assert_int_equal(be32(&data[28]), 8);
    assert_int_equal(be64(&data[36]), SCSI_ZERO_MAX / BLOCK);
    IN(255, SCSI_INQUIRY, 1, 0xB1, 0, 255, 0);
    check_good(64);
    assert_int_equal(be16(&data[4]), 1);
    IN(255, SCSI_INQUIRY, 1, 0xB2, 0, 255, 0);
    check_good(8);
    assert_int_equal(data[5], 0xE4);
    assert_int_equal(data[6], 2);
    dev.medium.discard_blocks = 0;
    IN(255, SCSI_INQUIRY, 1, 0xB2, 0, 255, 0);
    assert_int_equal(data[5], 0);
    IN(255, SCSI_INQUIRY, 1, 0xB0, 0, 255, 0);
    assert_int_equal(be32(&data[20]), 0);
    assert_int_equal(be32(&data[24]), 0);
}

static void test_capacity(void **state)
{
    IN(8, SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    check_good(8);
    assert_memory_equal(data, "\0\0\xFF\xFF\0\0\2\0", 8);
    IN(32, SCSI_SERVICE_ACTION_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
    check_good(32);
    assert_int_equal(be64(data), 0xFFFF);
    assert_int_equal(be32(&data[8]), 512);
    assert_int_equal(data[13], 0);
    assert_int_equal(be16(&data[14]), 0xC000);
    dev.medium =
        (struct scsi_medium){.blocks = 1ULL << 33, .block_size = 512, .physical_exponent = 3};
    IN(8, SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(be32(data), UINT32_MAX);
    IN(32, SCSI_SERVICE_ACTION_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0);
    check_good(12);
    assert_int_equal(be64(data), (1ULL << 33) - 1);
    IN(32, SCSI_SERVICE_ACTION_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
    assert_int_equal(data[13], 3);
    assert_int_equal(be16(&data[14]), 0);
    IN(32, SCSI_SERVICE_ACTION_IN_16, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

static void test_lba_status(void **state)
{
    IN(64, SCSI_SERVICE_ACTION_IN_16, 0x12, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 64, 0, 0);
    check_good(24);
    assert_int_equal(be64(&data[8]), 16);
    assert_int_equal(be32(&data[16]), DISK_BLOCKS - 16);
    IN(64, SCSI_SERVICE_ACTION_IN_16, 0x12, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 64, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
}

static void test_mode_sense(void **state)
{
    IN(255, SCSI_MODE_SENSE_6, 0, 0x08, 0, 255, 0);
    check_good(4 + 8 + 20);
    assert_memory_equal(data, "\x1F\0\x10\x08\0\1\0\0\0\0\2\0\x08\x12\x04", 15);
    IN(255, SCSI_MODE_SENSE_6, 8, 0x3F, 0, 255, 0); /* no block descriptor */
    check_good(4 + 12 + 20 + 12 + 12);
    assert_int_equal(data[4], 0x01);
    assert_int_equal(data[16], 0x08);
    assert_int_equal(data[36], 0x0A);
    assert_int_equal(data[48], 0x1C);
    IN(255, SCSI_MODE_SENSE_10, 8, 0x3F, 0xFF, 0, 0, 0, 0, 255, 0);
    check_good(8 + 56);
    assert_int_equal(be16(data), 62);
    IN(4, SCSI_MODE_SENSE_6, 0, 0x3F, 0, 4, 0); /* as Linux looks for write protection */
    check_good(4);
    IN(255, SCSI_MODE_SENSE_6, 8, 0x48, 0, 255, 0); /* what may be changed */
    assert_memory_equal(&data[4], "\x08\x12\x04\0\0", 5);
    IN(255, SCSI_MODE_SENSE_6, 8, 0xC8, 0, 255, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, 0x3900);
    IN(255, SCSI_MODE_SENSE_6, 8, 0x2A, 0, 255, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(255, SCSI_MODE_SENSE_6, 8, 0x0A, 1, 255, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

static void test_mode_select(void **state)
{
    /* Give back what was sensed, with the cache off. */
    IN(255, SCSI_MODE_SENSE_6, 0, 0x08, 0, 255, 0);
    memcpy(out, data, 32);
    out[0] = out[2] = 0;
    out[14] = 0;
    OUT(32, SCSI_MODE_SELECT_6, 0x10, 0, 0, 32, 0);
    check_good(0);
    assert_false(dev.write_cache);
    out[14] = 4;
    OUT(32, SCSI_MODE_SELECT_6, 0x10, 0, 0, 32, 0);
    assert_true(dev.write_cache);
    out[14] = 0;
    out[15] = 1; /* may not be changed, and so nothing is */
    OUT(32, SCSI_MODE_SELECT_6, 0x10, 0, 0, 32, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    assert_true(dev.write_cache);
    out[15] = 0;
    for (uint8_t n = 1; n < 32; n++) { /* cut anywhere but between the parts */
        OUT(n, SCSI_MODE_SELECT_6, 0x10, 0, 0, n, 0);
        if (n == 12)
            check_good(0);
        else
            check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    }
    OUT(31, SCSI_MODE_SELECT_6, 0x10, 0, 0, 32, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    OUT(32, SCSI_MODE_SELECT_6, 0x11, 0, 0, 32, 0); /* SP */
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    OUT(0, SCSI_MODE_SELECT_6, 0x10, 0, 0, 0, 0);
    check_good(0);
    memset(out, 0, 32);
    memcpy(out + 8, "\x08\x12", 2);
    OUT(28, SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 28, 0);
    check_good(0);
    assert_false(dev.write_cache);
}

static void test_report_luns(void **state)
{
    uint8_t cdb[12] = {SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 4, 0};

    task = (struct scsi_task){.direction = SCSI_DATA_IN,
                              .buffer_length = 4096,
                              .cdb_length = 12,
                              .initiator = vm_a,
                              .data = data};
    task.luns = 1ULL << 0 | 1ULL << 5 | 1ULL << 63;
    memcpy(task.cdb, cdb, sizeof(cdb));
    scsi_execute(&dev, &task);
    check_good(32);
    assert_memory_equal(data, "\0\0\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\x3F", 26);
    task.luns = UINT64_MAX;
    scsi_execute(&dev, &task);
    check_good(8 + 64 * 8);
    task.cdb[2] = 1;
    scsi_execute(&dev, &task);
    check_good(8);
    task.cdb[2] = 3;
    scsi_execute(&dev, &task);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

static void test_absent(void **state)
{
    task = (struct scsi_task){.direction = SCSI_DATA_IN,
                              .buffer_length = 4096,
                              .cdb_length = 6,
                              .initiator = vm_a,
                              .data = data};
    task.luns = 2;
    task.cdb[0] = SCSI_INQUIRY;
    task.cdb[4] = 36;
    assert_true(scsi_execute_absent(&task));
    check_good(36);
    assert_int_equal(data[0], 0x7F);
    task.cdb[1] = 1;
    task.cdb[2] = 0x83;
    assert_true(scsi_execute_absent(&task));
    check_good(4);
    assert_memory_equal(data, "\x7F\x83\0\0", 4);
    task.cdb[1] = task.cdb[2] = 0;
    task.cdb_length = 12;
    task.cdb[0] = SCSI_REPORT_LUNS;
    task.cdb[8] = 16;
    assert_true(scsi_execute_absent(&task));
    check_good(16);
    task.cdb_length = 6;
    assert_false(scsi_execute_absent(&task));
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        task.cdb_length = 16;
        task.cdb[0] = (uint8_t)opcode;
        if (opcode != SCSI_INQUIRY && opcode != SCSI_REPORT_LUNS)
            assert_false(scsi_execute_absent(&task));
    }
}

static void test_attention(void **state)
{
    scsi_reset(&dev);
    scsi_medium_grown(&dev, DISK_BLOCKS * 2);
    IN(36, SCSI_INQUIRY, 0, 0, 0, 36, 0); /* does not see it */
    check_good(36);
    NO(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0);
    check_sense(SENSE_UNIT_ATTENTION, ASC_POWER_ON_OR_RESET);
    move(SCSI_READ_10, 0, 0, 1, SCSI_DATA_IN, BLOCK);
    check_sense(SENSE_UNIT_ATTENTION, ASC_CAPACITY_CHANGED);
    move(SCSI_READ_10, 0, DISK_BLOCKS, 1, SCSI_DATA_IN, BLOCK);
    check_io(SCSI_IO_READ, DISK_BLOCKS * BLOCK, BLOCK);
    scsi_medium_grown(&dev, DISK_BLOCKS * 2);
    NO(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0);
    check_good(0);
    dev.attention = 1U << ATTENTION_LUNS_CHANGED;
    IN(18, SCSI_REQUEST_SENSE, 0, 0, 0, 18, 0);
    check_good(18);
    assert_memory_equal(data, "\x70\0\6\0\0\0\0\x0A\0\0\0\0\x3F\x0E\0\0\0\0", 18);
    IN(18, SCSI_REQUEST_SENSE, 0, 0, 0, 18, 0);
    assert_int_equal(data[2], 0);
    IN(18, SCSI_REQUEST_SENSE, 1, 0, 0, 18, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

static void test_errors(void **state)
{
    static const struct {
        enum scsi_io_kind kind;
        int error;
        uint8_t key;
        uint16_t asc;
    } cases[] = {
        {SCSI_IO_READ, -EIO, SENSE_MEDIUM_ERROR, ASC_READ_ERROR},
        {SCSI_IO_VERIFY, -EIO, SENSE_MEDIUM_ERROR, ASC_READ_ERROR},
        {SCSI_IO_WRITE, -EIO, SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR},
        {SCSI_IO_FLUSH, -EIO, SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR},
        {SCSI_IO_WRITE, -ENOSPC, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED},
        {SCSI_IO_WRITE, -EROFS, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED},
        {SCSI_IO_READ, -EINVAL, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE},
        {SCSI_IO_READ, -ENODEV, SENSE_HARDWARE_ERROR, ASC_INTERNAL_TARGET_FAILURE},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        task.status = SCSI_GOOD;
        task.io.kind = cases[i].kind;
        scsi_finish(&task, cases[i].error);
        check_sense(cases[i].key, cases[i].asc);
    }
    task.status = SCSI_GOOD;
    task.io.kind = SCSI_IO_READ;
    scsi_finish(&task, -ENOMEM);
    assert_int_equal(task.status, SCSI_BUSY);
}

/* The table: in order, no row twice, and usage bits only where the CDB is. */
static void test_table(void **state)
{
    for (unsigned i = 0; i < scsi_command_count; i++) {
        const struct scsi_command *c = &scsi_commands[i], *next = c + 1;
        unsigned length = scsi_cdb_length(c->opcode);
        assert_true(length > 0);
        assert_true(c->flags & (SCSI_DISK | SCSI_OPTICAL));
        assert_non_null(c->run);
        assert_int_equal(!c->list, !(c->flags & COMMAND_LIST));
        assert_int_equal(c->usage[0], 0xFF);
        assert_int_equal(c->usage[length - 1] & 0x07, 0x07);
        for (unsigned b = length; b < 16; b++)
            assert_int_equal(c->usage[b], 0);
        if (i + 1 == scsi_command_count)
            break;
        assert_true(c->opcode < next->opcode ||
                    (c->opcode == next->opcode && c->service < next->service));
    }
}

/* Every opcode with a CDB of every length, with data one way, the other and none: what is not in
 * the table is refused, what is cut short too. */
static void test_every_opcode(void **state)
{
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        for (unsigned service = 0; service < 32; service++) {
            const uint8_t cdb[16] = {(uint8_t)opcode, (uint8_t)service};
            const struct scsi_command *c;
            shim_unit(SCSI_DISK);
            c = scsi_command_find(&dev, cdb);
            for (unsigned length = 1; length <= 16; length++) {
                run_as(vm_a, (enum scsi_direction)(length % 3), length % 3 ? 4096 : 0, cdb, length);
                if (!c || length < scsi_cdb_length((uint8_t)opcode)) {
                    assert_int_equal(task.status, SCSI_CHECK_CONDITION);
                    assert_int_equal(task.key, SENSE_ILLEGAL_REQUEST);
                }
            }
        }
    }
    NO(0xFF, 0, 0, 0, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    NO(SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 0, 0); /* not a disk's */
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
}

static void test_supported_codes(void **state)
{
    unsigned disks = 0;

    for (unsigned i = 0; i < scsi_command_count; i++)
        disks += !!(scsi_commands[i].flags & SCSI_DISK);
    IN(4096, SCSI_MAINTENANCE_IN, 0x0C, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0);
    check_good(4 + 8 * disks);
    assert_int_equal(be32(data), 8 * disks);
    IN(64, SCSI_MAINTENANCE_IN, 0x0C, 1, SCSI_READ_10, 0, 0, 0, 0, 0, 64, 0, 0);
    check_good(14);
    assert_memory_equal(data, "\0\3\0\x0A\x28\xFA\xFF\xFF\xFF\xFF\x1F\xFF\xFF\7", 14);
    IN(64, SCSI_MAINTENANCE_IN, 0x0C, 2, 0x9E, 0, 0x10, 0, 0, 0, 64, 0, 0);
    check_good(20);
    assert_int_equal(data[5], 0x10);
    IN(64, SCSI_MAINTENANCE_IN, 0x0C, 1, 0x9E, 0, 0x10, 0, 0, 0, 64, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(64, SCSI_MAINTENANCE_IN, 0x0C, 3, 0x9E, 0, 0x11, 0, 0, 0, 64, 0, 0);
    check_good(4);
    assert_int_equal(data[1], 1);
    IN(64, SCSI_MAINTENANCE_IN, 0x0C, 4, 0x9E, 0, 0x11, 0, 0, 0, 64, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

static void test_small(void **state)
{
    NO(SCSI_START_STOP_UNIT, 0, 0, 0, 1, 0);
    check_good(0);
    NO(SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0); /* a disk cannot be ejected */
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    NO(SCSI_PREVENT_ALLOW, 0, 0, 0, 1, 0);
    check_good(0);
    assert_true(dev.prevented);
    NO(SCSI_SEND_DIAGNOSTIC, 4, 0, 0, 0, 0);
    check_good(0);
    NO(SCSI_SEND_DIAGNOSTIC, 0, 0, 0, 4, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    NO(SCSI_SEEK_10, 0, 0, 0, 0, 9, 0, 0, 0, 0);
    check_good(0);
    NO(SCSI_SEEK_10, 0, 0, 1, 0, 0, 0, 0, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
}

static void test_save(void **state)
{
    uint8_t buf[4096];
    struct save_writer w = {.buf = buf, .size = sizeof(buf)};
    struct save_reader r = {.buf = buf};
    struct scsi_device other = dev;

    scsi_reset(&dev);
    dev.write_cache = false;
    memset(out, 0, sizeof(out));
    out[15] = 9; /* a registration */
    OUT(24, SCSI_PERSISTENT_RESERVE_OUT, 6, 0, 0, 0, 0, 0, 0, 24, 0);
    check_sense(SENSE_UNIT_ATTENTION, ASC_POWER_ON_OR_RESET);
    OUT(24, SCSI_PERSISTENT_RESERVE_OUT, 6, 0, 0, 0, 0, 0, 0, 24, 0);
    check_good(0);
    dev.attention = 1;

    size_t begin = save_begin(&w, 1, 1);
    scsi_device_save(&dev, &w);
    save_end(&w, begin);
    assert_int_equal(w.err, 0);
    r.size = w.len;
    (void)load_begin(&r, 1, 1);
    scsi_device_load(&other, &r);
    assert_int_equal(load_end(&r), 0);
    assert_memory_equal(&other, &dev, sizeof(dev));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_move_good, reset),
        cmocka_unit_test_setup(test_move_bad, reset),
        cmocka_unit_test_setup(test_move_wide, reset),
        cmocka_unit_test_setup(test_fua, reset),
        cmocka_unit_test_setup(test_verify_compares, reset),
        cmocka_unit_test_setup(test_write_same, reset),
        cmocka_unit_test_setup(test_unmap, reset),
        cmocka_unit_test_setup(test_read_only, reset),
        cmocka_unit_test_setup(test_inquiry, reset),
        cmocka_unit_test_setup(test_direction, reset),
        cmocka_unit_test_setup(test_vital_pages, reset),
        cmocka_unit_test_setup(test_capacity, reset),
        cmocka_unit_test_setup(test_lba_status, reset),
        cmocka_unit_test_setup(test_mode_sense, reset),
        cmocka_unit_test_setup(test_mode_select, reset),
        cmocka_unit_test_setup(test_report_luns, reset),
        cmocka_unit_test_setup(test_absent, reset),
        cmocka_unit_test_setup(test_attention, reset),
        cmocka_unit_test_setup(test_errors, reset),
        cmocka_unit_test_setup(test_table, reset),
        cmocka_unit_test_setup(test_every_opcode, reset),
        cmocka_unit_test_setup(test_supported_codes, reset),
        cmocka_unit_test_setup(test_small, reset),
        cmocka_unit_test_setup(test_save, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
