/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_scsi.h"

static const struct scsi_medium no_medium;

static int reset(void **state)
{
    shim_unit(SCSI_OPTICAL);
    return 0;
}

static void events(uint8_t event, uint8_t status)
{
    IN(8, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 8, 0);
    check_good(8);
    assert_memory_equal(data, "\0\6\4\x10", 4);
    assert_int_equal(data[4], event);
    assert_int_equal(data[5], status);
}

static void test_inquiry(void **state)
{
    IN(36, SCSI_INQUIRY, 0, 0, 0, 36, 0);
    check_good(36);
    assert_memory_equal(data, "\5\x80\5\2\37\0\0\2Msft    Virtual DVD-ROM 1.0 ", 36);
    IN(255, SCSI_INQUIRY, 1, 0, 0, 255, 0);
    check_good(7);
    assert_int_equal(data[0], 5);
    IN(255, SCSI_INQUIRY, 1, 0xB0, 0, 255, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

static void test_reads(void **state)
{
    IN(2048, SCSI_READ_10, 0, 0, 0, 0, 16, 0, 0, 1, 0);
    check_io(SCSI_IO_READ, 16 * 2048, 2048);
    IN(2048, SCSI_READ_12, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0);
    check_io(SCSI_IO_READ, 16 * 2048, 2048);
    OUT(2048, SCSI_WRITE_10, 0, 0, 0, 0, 16, 0, 0, 1, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    IN(8, SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    check_good(8);
    assert_memory_equal(data, "\0\0\xFF\xFF\0\0\x08\0", 8);
    IN(4096, SCSI_READ_CD, 0, 0, 0, 0, 1, 0, 0, 2, 0x10, 0, 0);
    check_io(SCSI_IO_READ, 2048, 4096);
    IN(4096, SCSI_READ_CD, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0);
    check_good(0);
    IN(4095, SCSI_READ_CD, 0, 0, 0, 0, 1, 0, 0, 2, 0x10, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(4096, SCSI_READ_CD, 0, 0, 0, 0, 1, 0, 0, 2, 0xF8, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_MODE_FOR_TRACK);
    IN(4096, SCSI_READ_CD, 4, 0, 0, 0, 1, 0, 0, 2, 0x10, 0, 0); /* audio */
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_MODE_FOR_TRACK);
    IN(4096, SCSI_READ_CD, 0, 0xFF, 0, 0, 1, 0, 0, 2, 0x10, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
}

static void test_toc(void **state)
{
    IN(64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64, 0);
    check_good(20);
    assert_memory_equal(data, "\0\x12\1\1\0\x14\1\0\0\0\0\0\0\x14\xAA\0\0\1\0\0", 20);
    IN(64, SCSI_READ_TOC, 2, 0, 0, 0, 0, 0xAA, 0, 64, 0);
    check_good(12);
    assert_memory_equal(&data[8], "\0\x0E\x23\x3D", 4); /* 65536 + 150 frames */
    IN(64, SCSI_READ_TOC, 0, 1, 0, 0, 0, 0, 0, 64, 0);
    check_good(12);
    IN(64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64, 0x40); /* as before MMC */
    check_good(12);
    IN(64, SCSI_READ_TOC, 0, 2, 0, 0, 0, 0, 0, 64, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 2, 0, 64, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(4, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64, 0);
    check_good(4);
}

static void test_configuration(void **state)
{
    IN(256, SCSI_GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 1, 0, 0);
    check_good(8 + 12 + 8 + 8 + 8 + 12 + 8 + 8);
    assert_int_equal(be32(data), 68);
    assert_int_equal(be16(&data[6]), 0x0008);
    IN(256, SCSI_GET_CONFIGURATION, 1, 0, 0, 0, 0, 0, 1, 0, 0); /* no DVD in it */
    check_good(8 + 12 + 8 + 8 + 8 + 12 + 8);
    IN(256, SCSI_GET_CONFIGURATION, 2, 0, 0x10, 0, 0, 0, 1, 0, 0);
    check_good(20);
    IN(256, SCSI_GET_CONFIGURATION, 2, 0x10, 0, 0, 0, 0, 1, 0, 0);
    check_good(8);
    dev.medium.blocks = 2000000;
    IN(8, SCSI_GET_CONFIGURATION, 2, 0, 0, 0, 0, 0, 0, 8, 0);
    check_good(8);
    assert_int_equal(be16(&data[6]), 0x0010);
    scsi_medium_set(&dev, &no_medium);
    IN(8, SCSI_GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 0, 8, 0);
    check_good(8);
    assert_int_equal(be16(&data[6]), 0);
    IN(8, SCSI_GET_CONFIGURATION, 3, 0, 0, 0, 0, 0, 0, 8, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
}

static void test_information(void **state)
{
    IN(64, SCSI_READ_DISC_INFORMATION, 0, 0, 0, 0, 0, 0, 0, 64, 0);
    check_good(34);
    assert_memory_equal(data, "\0\x20\x0E\1\1\1\1", 7);
    IN(64, SCSI_READ_DISC_INFORMATION, 1, 0, 0, 0, 0, 0, 0, 64, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(64, SCSI_READ_TRACK_INFORMATION, 1, 0, 0, 0, 1, 0, 0, 64, 0);
    check_good(36);
    assert_int_equal(be32(&data[24]), DISK_BLOCKS);
    IN(64, SCSI_READ_TRACK_INFORMATION, 1, 0, 0, 0, 2, 0, 0, 64, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(64, SCSI_MECHANISM_STATUS, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0);
    check_good(8);
    IN(4096, SCSI_READ_DVD_STRUCTURE, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0); /* this is a CD */
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    dev.medium.blocks = 2000000;
    IN(4096, SCSI_READ_DVD_STRUCTURE, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0);
    check_good(2052);
    assert_int_equal(be32(&data[12]), 0x30000 + 2000000 - 1);
    IN(255, SCSI_MODE_SENSE_6, 0, 0x2A, 0, 255, 0);
    check_good(4 + 20);
    assert_int_equal(data[4], 0x2A);
    assert_int_equal(data[10], 0x29);
}

static void test_eject(void **state)
{
    NO(SCSI_PREVENT_ALLOW, 0, 0, 0, 1, 0);
    NO(SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_MEDIUM_REMOVAL_PREVENTED);
    assert_false(task.ejected);
    scsi_eject_ask(&dev);
    events(MEDIA_EJECT_ASKED, 2);
    events(MEDIA_NO_CHANGE, 2);
    NO(SCSI_PREVENT_ALLOW, 0, 0, 0, 0, 0);
    NO(SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0);
    check_good(0);
    assert_true(task.ejected);
    NO(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0);
    check_sense(SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    IN(2048, SCSI_READ_10, 0, 0, 0, 0, 16, 0, 0, 1, 0);
    check_sense(SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    IN(18, SCSI_REQUEST_SENSE, 0, 0, 0, 18, 0);
    assert_int_equal(data[2], SENSE_NOT_READY);
    events(MEDIA_REMOVED, 0);
    NO(SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0); /* once more is no error */
    check_good(0);
    assert_false(task.ejected);
    NO(SCSI_START_STOP_UNIT, 0, 0, 0, 3, 0);
    check_sense(SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
}

static void test_changed(void **state)
{
    const struct scsi_medium other = {.blocks = 1000, .block_size = 2048, .read_only = true};

    scsi_medium_set(&dev, &no_medium);
    scsi_medium_set(&dev, &other);
    events(MEDIA_NEW, 2); /* asking for it does not take the attention away */
    IN(8, SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    check_sense(SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
    IN(8, SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    check_good(8);
    assert_int_equal(be32(data), 999);
    scsi_medium_set(&dev, &other);
    scsi_medium_set(&dev, &no_medium); /* gone before anybody looked */
    NO(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0);
    check_sense(SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
}

static void test_event_classes(void **state)
{
    IN(8, SCSI_GET_EVENT_STATUS, 0, 0, 0, 0x10, 0, 0, 0, 8, 0); /* to be told later */
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    IN(8, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x02, 0, 0, 0, 8, 0);
    check_good(4);
    assert_memory_equal(data, "\0\2\x80\x10", 4);
    dev.event = MEDIA_NEW;
    IN(4, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 4, 0); /* too short to tell */
    check_good(4);
    events(MEDIA_NEW, 2);
}

static void test_every_opcode(void **state)
{
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        for (unsigned n = 0; n < 48; n++) {
            const uint8_t cdb[16] = {(uint8_t)opcode, (uint8_t)n, 0, 0, (uint8_t)n};
            shim_unit(SCSI_OPTICAL);
            if (n & 1)
                scsi_medium_set(&dev, &no_medium);
            for (unsigned length = 1; length <= 16; length++) {
                run_as(vm_a, (enum scsi_direction)(length % 3), length % 3 ? 4096 : 0, cdb, length);
                if (!scsi_command_find(&dev, cdb))
                    check_sense(SENSE_ILLEGAL_REQUEST, task.asc);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_inquiry, reset),
        cmocka_unit_test_setup(test_reads, reset),
        cmocka_unit_test_setup(test_toc, reset),
        cmocka_unit_test_setup(test_configuration, reset),
        cmocka_unit_test_setup(test_information, reset),
        cmocka_unit_test_setup(test_eject, reset),
        cmocka_unit_test_setup(test_changed, reset),
        cmocka_unit_test_setup(test_event_classes, reset),
        cmocka_unit_test_setup(test_every_opcode, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
