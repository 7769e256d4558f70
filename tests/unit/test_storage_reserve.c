/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_scsi.h"

/* Three VMs share a disk. */
static const uint8_t vm_b[RESERVE_ID_SIZE] = "vm b", vm_c[RESERVE_ID_SIZE] = "vm c";

static int reset(void **state)
{
    shim_unit(SCSI_DISK);
    return 0;
}

static uint8_t pr_out(const uint8_t *who, uint8_t action, uint8_t type, uint64_t key,
                      uint64_t service)
{
    const uint8_t cdb[10] = {SCSI_PERSISTENT_RESERVE_OUT, action, type, 0, 0, 0, 0, 0, 24};

    memset(out, 0, 24);
    be_put(&out[0], key, 8);
    be_put(&out[8], service, 8);
    run_as(who, SCSI_DATA_OUT, 24, cdb, 10);
    return task.status;
}

static void pr_in(uint8_t action)
{
    const uint8_t cdb[10] = {SCSI_PERSISTENT_RESERVE_IN, action, 0, 0, 0, 0, 0, 0x10, 0};

    run_as(vm_a, SCSI_DATA_IN, 4096, cdb, 10);
    assert_int_equal(task.status, SCSI_GOOD);
}

static bool may(const uint8_t *who, bool write)
{
    const uint8_t cdb[10] = {write ? SCSI_WRITE_10 : SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1};

    run_as(who, write ? SCSI_DATA_OUT : SCSI_DATA_IN, BLOCK, cdb, 10);
    if (task.status == SCSI_GOOD)
        return true;
    assert_int_equal(task.status, SCSI_RESERVATION_CONFLICT);
    return false;
}

static void test_types(void **state)
{
    static const struct {
        uint8_t type;
        bool registrant_read, registrant_write, other_read;
    } types[] = {
        {PR_WRITE_EXCLUSIVE, true, false, true},    {PR_EXCLUSIVE_ACCESS, false, false, false},
        {PR_WRITE_EXCLUSIVE_RO, true, true, true},  {PR_EXCLUSIVE_ACCESS_RO, true, true, false},
        {PR_WRITE_EXCLUSIVE_ALL, true, true, true}, {PR_EXCLUSIVE_ACCESS_ALL, true, true, false},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        shim_unit(SCSI_DISK);
        assert_int_equal(pr_out(vm_a, PR_REGISTER, 0, 0, 1), SCSI_GOOD);
        assert_int_equal(pr_out(vm_b, PR_REGISTER, 0, 0, 2), SCSI_GOOD);
        assert_int_equal(pr_out(vm_a, PR_RESERVE, types[i].type, 1, 0), SCSI_GOOD);
        assert_true(may(vm_a, false) && may(vm_a, true));
        assert_int_equal(may(vm_b, false), types[i].registrant_read);
        assert_int_equal(may(vm_b, true), types[i].registrant_write);
        assert_int_equal(may(vm_c, false), types[i].other_read);
        assert_false(may(vm_c, true));
        /* Always: who is there, what is it, who holds it. */
        run_as(vm_c, SCSI_NO_DATA, 0, (const uint8_t[6]){0}, 6);
        assert_int_equal(task.status, SCSI_GOOD);
        pr_in(PR_READ_RESERVATION);
        check_good(24);
        assert_int_equal(data[21], types[i].type);
        assert_int_equal(be64(&data[8]), types[i].type >= PR_WRITE_EXCLUSIVE_ALL ? 0 : 1);
    }
}

static void test_keys(void **state)
{
    assert_int_equal(pr_out(vm_a, PR_REGISTER, 0, 5, 6), SCSI_RESERVATION_CONFLICT);
    assert_int_equal(pr_out(vm_a, PR_REGISTER, 0, 0, 5), SCSI_GOOD);
    assert_int_equal(pr_out(vm_a, PR_REGISTER, 0, 5, 6), SCSI_GOOD);
    assert_int_equal(pr_out(vm_b, PR_REGISTER_AND_IGNORE, 0, 99, 7), SCSI_GOOD);
    pr_in(PR_READ_KEYS);
    check_good(24);
    assert_int_equal(be32(data), 3); /* generation */
    assert_int_equal(be64(&data[8]), 6);
    assert_int_equal(be64(&data[16]), 7);
    assert_int_equal(pr_out(vm_a, PR_RESERVE, PR_WRITE_EXCLUSIVE, 5, 0), SCSI_RESERVATION_CONFLICT);
    assert_int_equal(pr_out(vm_c, PR_RESERVE, PR_WRITE_EXCLUSIVE, 0, 0), SCSI_RESERVATION_CONFLICT);
    assert_int_equal(pr_out(vm_a, PR_RESERVE, PR_WRITE_EXCLUSIVE, 6, 0), SCSI_GOOD);
    assert_int_equal(pr_out(vm_a, PR_RESERVE, PR_WRITE_EXCLUSIVE, 6, 0), SCSI_GOOD);
    assert_int_equal(pr_out(vm_a, PR_RESERVE, PR_EXCLUSIVE_ACCESS, 6, 0),
                     SCSI_RESERVATION_CONFLICT);
    assert_int_equal(pr_out(vm_b, PR_RESERVE, PR_WRITE_EXCLUSIVE, 7, 0), SCSI_RESERVATION_CONFLICT);
    assert_int_equal(pr_out(vm_a, PR_REGISTER, 0, 6, 0), SCSI_GOOD); /* gone, and what it held */
    pr_in(PR_READ_RESERVATION);
    check_good(8);
    pr_in(PR_READ_KEYS);
    check_good(16);
}

static void test_release(void **state)
{
    (void)pr_out(vm_a, PR_REGISTER, 0, 0, 1);
    (void)pr_out(vm_b, PR_REGISTER, 0, 0, 2);
    (void)pr_out(vm_a, PR_RESERVE, PR_EXCLUSIVE_ACCESS_RO, 1, 0);
    (void)pr_out(vm_a, PR_RELEASE, PR_WRITE_EXCLUSIVE, 1, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_RELEASE);
    assert_int_equal(pr_out(vm_b, PR_RELEASE, PR_EXCLUSIVE_ACCESS_RO, 2, 0), SCSI_GOOD);
    assert_false(may(vm_c, false));
    assert_int_equal(pr_out(vm_a, PR_RELEASE, PR_EXCLUSIVE_ACCESS_RO, 1, 0), SCSI_GOOD);
    assert_true(may(vm_c, true));
    run_as(vm_b, SCSI_NO_DATA, 0, (const uint8_t[6]){0}, 6);
    check_sense(SENSE_UNIT_ATTENTION, ASC_RESERVATIONS_RELEASED);
    assert_true(may(vm_b, true));
}

static void test_preempt(void **state)
{
    (void)pr_out(vm_a, PR_REGISTER, 0, 0, 1);
    (void)pr_out(vm_b, PR_REGISTER, 0, 0, 2);
    (void)pr_out(vm_a, PR_RESERVE, PR_WRITE_EXCLUSIVE, 1, 0);
    assert_int_equal(pr_out(vm_b, PR_PREEMPT, PR_EXCLUSIVE_ACCESS, 2, 77),
                     SCSI_RESERVATION_CONFLICT);
    assert_int_equal(pr_out(vm_b, PR_PREEMPT_AND_ABORT, PR_EXCLUSIVE_ACCESS, 2, 1), SCSI_GOOD);
    run_as(vm_a, SCSI_NO_DATA, 0, (const uint8_t[6]){0}, 6);
    check_sense(SENSE_UNIT_ATTENTION, ASC_REGISTRATIONS_PREEMPTED);
    assert_false(may(vm_a, false));
    assert_true(may(vm_b, true));
    (void)pr_out(vm_b, PR_PREEMPT, PR_WRITE_EXCLUSIVE, 2, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    /* Registrations only: the victim holds nothing. */
    (void)pr_out(vm_c, PR_REGISTER, 0, 0, 3);
    assert_int_equal(pr_out(vm_b, PR_PREEMPT, PR_WRITE_EXCLUSIVE, 2, 3), SCSI_GOOD);
    pr_in(PR_READ_RESERVATION);
    assert_int_equal(data[21], PR_EXCLUSIVE_ACCESS);
    pr_in(PR_READ_KEYS);
    check_good(16);
}

static void test_preempt_all(void **state)
{
    (void)pr_out(vm_a, PR_REGISTER, 0, 0, 1);
    (void)pr_out(vm_b, PR_REGISTER, 0, 0, 2);
    (void)pr_out(vm_a, PR_RESERVE, PR_EXCLUSIVE_ACCESS_ALL, 1, 0);
    (void)pr_out(vm_a, PR_REGISTER, 0, 1, 0); /* the other one holds it yet */
    assert_false(may(vm_c, false));
    assert_int_equal(pr_out(vm_b, PR_PREEMPT, PR_WRITE_EXCLUSIVE, 2, 0), SCSI_GOOD);
    pr_in(PR_READ_FULL_STATUS);
    check_good(8 + 48);
    assert_int_equal(be64(&data[8]), 2);
    assert_int_equal(data[20], 1);
    assert_int_equal(data[21], PR_WRITE_EXCLUSIVE);
    assert_memory_equal(&data[36], "vm b\0\0\0\0", 8);
}

static void test_clear(void **state)
{
    (void)pr_out(vm_a, PR_REGISTER, 0, 0, 1);
    (void)pr_out(vm_b, PR_REGISTER, 0, 0, 2);
    (void)pr_out(vm_a, PR_RESERVE, PR_EXCLUSIVE_ACCESS, 1, 0);
    assert_int_equal(pr_out(vm_b, PR_CLEAR, 0, 2, 0), SCSI_GOOD);
    run_as(vm_a, SCSI_NO_DATA, 0, (const uint8_t[6]){0}, 6);
    check_sense(SENSE_UNIT_ATTENTION, ASC_RESERVATIONS_PREEMPTED);
    pr_in(PR_READ_KEYS);
    check_good(8);
    assert_true(may(vm_c, true));
    run_as(vm_c, SCSI_NO_DATA, 0, (const uint8_t[6]){SCSI_RESERVE_6}, 6); /* nobody is left */
    check_good(0);
}

/* As many registrants as there is room for; those that were thrown out make room. */
static void test_full(void **state)
{
    uint8_t who[RESERVE_ID_SIZE] = "one of many";

    for (uint8_t i = 0; i < RESERVE_MAX; i++) {
        who[15] = i;
        assert_int_equal(pr_out(who, PR_REGISTER, 0, 0, 1), SCSI_GOOD);
    }
    (void)pr_out(vm_a, PR_REGISTER, 0, 0, 1);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INSUFFICIENT_REGISTRATIONS);
    who[15] = 0;
    assert_int_equal(pr_out(who, PR_CLEAR, 0, 1, 0), SCSI_GOOD);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pr_out(i ? i == 1 ? vm_a : vm_b : vm_c, PR_REGISTER, 0, 0, 1), SCSI_GOOD);
    pr_in(PR_READ_KEYS);
    check_good(8 + 24);
}

static void test_bad(void **state)
{
    const uint8_t cdb[10] = {SCSI_PERSISTENT_RESERVE_OUT, 0, 0, 0, 0, 0, 0, 0, 23};
    const uint8_t whole[10] = {SCSI_PERSISTENT_RESERVE_OUT, 0, 0, 0, 0, 0, 0, 0, 24};

    run_as(vm_a, SCSI_DATA_OUT, 24, cdb, 10);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    run_as(vm_a, SCSI_DATA_OUT, 23, whole, 10);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    (void)pr_out(vm_a, 7, 0, 0, 0);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    /* Nothing outlives the unit, and who wants that is told so. */
    out[20] = 0x01;
    run_as(vm_a, SCSI_DATA_OUT, 24, whole, 10);
    check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    for (unsigned type = 0; type < 256; type++) {
        bool valid = type == 1 || type == 3 || (type >= 5 && type <= 8);
        (void)pr_out(vm_a, PR_RESERVE, (uint8_t)type, 0, 0);
        if (valid)
            assert_int_equal(task.status, SCSI_RESERVATION_CONFLICT); /* not registered */
        else
            check_sense(SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    }
    pr_in(PR_REPORT_CAPABILITIES);
    check_good(8);
    assert_memory_equal(data, "\0\x08\0\x80\xEA\1\0\0", 8);
}

static void test_plain(void **state)
{
    const uint8_t reserve[10] = {SCSI_RESERVE_10}, release[6] = {SCSI_RELEASE_6};

    run_as(vm_a, SCSI_NO_DATA, 0, reserve, 10);
    check_good(0);
    assert_false(may(vm_b, false));
    run_as(vm_b, SCSI_NO_DATA, 0, reserve, 10);
    assert_int_equal(task.status, SCSI_RESERVATION_CONFLICT);
    run_as(vm_b, SCSI_NO_DATA, 0, release, 6);
    check_good(0);
    assert_false(may(vm_b, false));
    assert_int_equal(pr_out(vm_a, PR_REGISTER, 0, 0, 1), SCSI_RESERVATION_CONFLICT);
    run_as(vm_a, SCSI_NO_DATA, 0, release, 6);
    assert_true(may(vm_b, true));
    run_as(vm_a, SCSI_NO_DATA, 0, reserve, 10);
    scsi_reset(&dev);
    run_as(vm_b, SCSI_NO_DATA, 0, (const uint8_t[6]){0}, 6);
    check_sense(SENSE_UNIT_ATTENTION, ASC_POWER_ON_OR_RESET);
    assert_true(may(vm_b, true));
    (void)pr_out(vm_a, PR_REGISTER, 0, 0, 1);
    run_as(vm_a, SCSI_NO_DATA, 0, reserve, 10);
    assert_int_equal(task.status, SCSI_RESERVATION_CONFLICT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_types, reset),
        cmocka_unit_test_setup(test_keys, reset),
        cmocka_unit_test_setup(test_release, reset),
        cmocka_unit_test_setup(test_preempt, reset),
        cmocka_unit_test_setup(test_preempt_all, reset),
        cmocka_unit_test_setup(test_clear, reset),
        cmocka_unit_test_setup(test_full, reset),
        cmocka_unit_test_setup(test_bad, reset),
        cmocka_unit_test_setup(test_plain, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
