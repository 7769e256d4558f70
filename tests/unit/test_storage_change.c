/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_storage.h"

/*
 * What changes while a guest is running: units come and go, grow, lose their medium; limits;
 * resets; pause, save and load.
 */

static struct disk *other;

static int setup(void **state)
{
    other = shim_disk_new(4U << 20, 512);
    return shim_storage_setup(state);
}

static int teardown(void **state)
{
    int err = shim_storage_teardown(state);

    shim_disk_free(other);
    other = NULL;
    return err;
}

static void check_enumerate(void)
{
    uint64_t transaction;
    struct vstor_packet v = wait_packet(channel, &transaction);

    assert_int_equal(v.header.operation, VSTOR_ENUMERATE_BUS);
    assert_int_equal(transaction, 0);
}

static void put_reads(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct ask a = ask_rw(false, i * 8, 8, i);
        guest_put(channel, &a, 100 + i);
    }
    shim_kick(channel);
}

/* Its answer has the transaction 1. */
static void put_reset(void)
{
    assert_true(shim_put(channel, &(struct shim_packet){.type = VMBUS_PACKET_INBAND,
                                                        .transaction = 1,
                                                        .wanted = true,
                                                        .length = 64,
                                                        .data = {VSTOR_RESET_BUS}}));
    shim_kick(channel);
}

/* In another thread: what blocks until the disk lets go. */
struct job {
    pthread_t thread;
    struct disk *put, *got;
    int result;
    atomic_bool ended;
};

static void *detach_run(void *arg)
{
    struct job *j = arg;

    j->result = storage_detach(storage, 0, &j->got);
    atomic_store(&j->ended, true);
    return NULL;
}

static void *medium_run(void *arg)
{
    struct job *j = arg;

    j->result = storage_medium(storage, 1, j->put, true, &j->got);
    atomic_store(&j->ended, true);
    return NULL;
}

static void *pause_run(void *arg)
{
    struct job *j = arg;

    storage_pause(storage);
    atomic_store(&j->ended, true);
    return NULL;
}

static void job_start(struct job *j, void *(*run)(void *))
{
    *j = (struct job){.put = j->put};
    assert_int_equal(pthread_create(&j->thread, NULL, run, j), 0);
}

static void job_end(struct job *j)
{
    (void)pthread_join(j->thread, NULL);
    assert_true(atomic_load(&j->ended));
}

static void test_attach(void **state)
{
    struct storage_unit u = {.kind = STORAGE_DISK, .disk = other, .read_only = true};
    struct ask a = {.lun = 3, .cdb_length = 6};
    struct vstor_request r = guest_do(&a);
    struct disk *got;

    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_LUN);
    assert_int_equal(storage_attach(storage, 64, &u), -ERANGE);
    assert_int_equal(storage_attach(storage, 0, &u), -EEXIST);
    assert_int_equal(storage_attach(storage, 3, &u), 0);
    check_enumerate();
    r = guest_do(&a);
    check_success(&r, 0);
    a = ask_rw(true, 0, 8, 0);
    a.lun = 3;
    r = guest_do(&a);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
    assert_int_equal(storage_detach(storage, 3, &got), 0);
    assert_ptr_equal(got, other);
    assert_int_equal(storage_detach(storage, 3, &got), -ENOENT);
    assert_int_equal(storage_detach(storage, 64, &got), -ENOENT);
    check_enumerate();
    a = (struct ask){.lun = 3, .cdb_length = 6};
    r = guest_do(&a);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_LUN);
    u.disk = NULL; /* a disk is no drive */
    assert_int_equal(storage_attach(storage, 3, &u), -EINVAL);
    u = (struct storage_unit){.kind = STORAGE_DVD, .disk = other}; /* 512 bytes */
    assert_int_equal(storage_attach(storage, 3, &u), -EINVAL);
    u = (struct storage_unit){.kind = STORAGE_DISK, .disk = other, .limits = {0, 100}};
    assert_int_equal(storage_attach(storage, 3, &u), -EINVAL);
}

/* Removal waits for what is in flight, and what comes meanwhile finds nothing there. */
/* The serial number (VPD page 80h) of LUN 0 or 1 of a controller that differs from its neighbour in
 * the last byte only, of a disk that has no identity. */
static void serial_of(uint8_t controller, uint8_t lun, uint8_t serial[32])
{
    const struct storage_config config = {.instance = {{[15] = controller}}, .vp_count = 1};
    const struct storage_unit u = {.kind = STORAGE_DISK, .disk = other};
    const struct ask a = {.lun = lun,
                          .data_in = 1,
                          .cdb = {SCSI_INQUIRY, 1, VPD_SERIAL, 0, 36},
                          .cdb_length = 6,
                          .length = 36};
    struct vstor_request r;

    guest_close();
    storage_destroy(storage);
    memset(other->info.identity, 0, sizeof(other->info.identity));
    assert_int_equal(storage_create(&storage, &config, &(struct storage_hooks){0}), 0);
    assert_int_equal(storage_attach(storage, lun, &u), 0);
    guest_open();
    guest_initialize(channel);
    r = guest_do(&a);
    check_success(&r, 36);
    memcpy(serial, guest_memory + 4, 32);
}

/* Guests take disks with one serial number for paths to the same disk. */
static void test_identities(void **state)
{
    enum { CONTROLLERS = 4, LUNS = 4 };
    uint8_t serial[CONTROLLERS * LUNS][32];

    for (uint8_t i = 0; i < CONTROLLERS * LUNS; i++) {
        serial_of(i / LUNS, i % LUNS, serial[i]);
        for (unsigned j = 0; j < i; j++)
            assert_memory_not_equal(serial[i], serial[j], 32);
    }
}

static void test_remove_in_flight(void **state)
{
    struct job job = {.put = NULL};
    bool gone = false;
    struct vstor_request r;

    atomic_store(&image->held, true);
    put_reads(100);
    while (atomic_load(&image->in_flight) < 100)
        usleep(1000);
    job_start(&job, detach_run);
    while (!gone) {
        r = guest_do(&ask_ready);
        gone = r.srb_status == SRB_STATUS_INVALID_LUN;
    }
    usleep(20000);
    assert_false(atomic_load(&job.ended));
    shim_disk_release(image);
    for (unsigned i = 0; i < 100; i++) {
        struct vstor_packet v;
        do
            v = wait_packet(channel, NULL);
        while (v.header.operation == VSTOR_ENUMERATE_BUS);
        r = answer_of(&v);
        check_success(&r, 4096);
    }
    job_end(&job);
    assert_int_equal(job.result, 0);
    assert_ptr_equal(job.got, image);
    assert_int_equal(atomic_load(&image->in_flight), 0);
}

/* 8 MiB and more in steps of 256 KiB, of which the disk has begun the first. */
static void same_begin(uint32_t blocks)
{
    const struct ask a = {.cdb = {SCSI_WRITE_SAME_16, [11] = (uint8_t)(blocks >> 16),
                                  [12] = (uint8_t)(blocks >> 8), [13] = (uint8_t)blocks},
                          .cdb_length = 16,
                          .length = 512};

    guest_memory[0] = 1;
    atomic_store(&image->held, true);
    guest_put(channel, &a, 1);
    shim_kick(channel);
    while (atomic_load(&image->in_flight) == 0)
        usleep(1000);
}

/* It did not go on with the second. */
static void same_check_end(uint8_t srb_status)
{
    uint64_t transaction = 0;
    struct vstor_packet v = {.header = {0}};

    shim_disk_release(image);
    while (transaction != 1)
        v = wait_packet(channel, &transaction);
    assert_int_equal(answer_of(&v).srb_status, srb_status);
    assert_int_equal(atomic_load(&image->ops[DISK_WRITE]), 1);
}

static void test_remove_in_steps(void **state)
{
    struct job job = {.put = NULL};

    same_begin(16384);
    job_start(&job, detach_run);
    while (guest_do(&ask_ready).srb_status != SRB_STATUS_INVALID_LUN)
        ;
    same_check_end(SRB_STATUS_INVALID_LUN);
    job_end(&job);
    assert_int_equal(job.result, 0);
}

static void test_reset_in_steps(void **state)
{
    same_begin(16384);
    assert_int_equal(guest_say(channel, VSTOR_RESET_BUS, 0, 64), 0);
    same_check_end(SRB_STATUS_BUS_RESET);
}

static void *close_run(void *arg)
{
    struct job *j = arg;

    storage_device_ops.close(storage, channel, 0);
    atomic_store(&j->ended, true);
    return NULL;
}

static void test_close_in_steps(void **state)
{
    struct job job = {.put = NULL};

    same_begin(16384);
    job_start(&job, close_run);
    usleep(50000);
    assert_false(atomic_load(&job.ended));
    shim_disk_release(image);
    job_end(&job);
    assert_int_equal(atomic_load(&image->ops[DISK_WRITE]), 1);
    shim_channel_free(channel);
    channel = NULL;
}

/* The guest tries again what would keep a pause waiting for long. */
static void test_pause_in_steps(void **state)
{
    struct job job = {.put = NULL};

    image->bytes = realloc(image->bytes, 16U << 20);
    image->info.size = 16U << 20;
    assert_int_equal(storage_grown(storage, 0), 0);
    check_enumerate();
    (void)guest_do(&ask_ready);
    same_begin(32768);
    job_start(&job, pause_run);
    usleep(50000);
    assert_false(atomic_load(&job.ended));
    same_check_end(SRB_STATUS_BUSY);
    job_end(&job);
    storage_resume(storage);
}

/* Those that wait for their time are not waited for. */
static void test_remove_throttled(void **state)
{
    const struct storage_limits slow = {.iops = 1};
    struct disk *got;
    unsigned served = 0, gone = 0;

    assert_int_equal(storage_limit(storage, 0, &slow), 0);
    put_reads(50);
    usleep(20000);
    assert_int_equal(storage_detach(storage, 0, &got), 0);
    for (unsigned i = 0; i < 50; i++) {
        struct vstor_packet v;
        struct vstor_request r;
        do
            v = wait_packet(channel, NULL);
        while (v.header.operation == VSTOR_ENUMERATE_BUS);
        r = answer_of(&v);
        served += r.srb_status == SRB_STATUS_SUCCESS;
        gone += r.srb_status == SRB_STATUS_INVALID_LUN;
    }
    assert_int_equal(served + gone, 50);
    assert_in_range(served, 1, 3);
}

static void test_limits(void **state)
{
    const struct storage_limits slow = {.iops = 100}, none = {0};
    struct storage_counters counters;
    struct timespec begin, end;
    uint64_t ms;

    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(storage_limit(storage, 0, &slow), 0);
    put_reads(30);
    for (unsigned i = 0; i < 30; i++)
        (void)wait_packet(channel, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    ms = (uint64_t)((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000);
    assert_in_range(ms, 230, 5000); /* 30 less the burst of 6, at 10 ms */
    assert_int_equal(storage_counters(storage, 0, &counters), 0);
    assert_in_range(counters.delayed, 20, 24);
    assert_int_equal(counters.reads, 30);
    assert_int_equal(counters.read_bytes, 30 * 4096);
    /* Lifting them lets go. */
    assert_int_equal(storage_limit(storage, 0, &(struct storage_limits){.iops = 1}), 0);
    put_reads(100);
    usleep(10000);
    assert_int_equal(storage_limit(storage, 0, &none), 0);
    for (unsigned i = 0; i < 100; i++)
        (void)wait_packet(channel, NULL);
    assert_int_equal(storage_limit(storage, 0, &(struct storage_limits){.bytes_s = 1}), -EINVAL);
    assert_int_equal(storage_limit(storage, 9, &none), -ENOENT);
}

static void test_grown(void **state)
{
    struct ask a = ask_rw(false, 16384, 8, 0);
    struct vstor_request r = guest_do(&a);

    check_sense_of(&r, SRB_STATUS_INVALID_REQUEST | 0x80, SENSE_ILLEGAL_REQUEST,
                   ASC_LBA_OUT_OF_RANGE);
    image->bytes = realloc(image->bytes, 16U << 20);
    memset(image->bytes + (8U << 20), 0x5A, 8U << 20);
    image->info.size = 16U << 20;
    assert_int_equal(storage_grown(storage, 0), 0);
    check_enumerate();
    r = guest_do(&a); /* Linux scans the device for this, and tries again */
    check_sense_of(&r, SRB_STATUS_ABORTED | 0x80, SENSE_UNIT_ATTENTION, ASC_CAPACITY_CHANGED);
    r = guest_do(&a);
    check_success(&r, 4096);
    assert_int_equal(guest_memory[0], 0x5A);
    assert_int_equal(storage_grown(storage, 9), -ENOENT);
}

static void test_reset(void **state)
{
    const struct storage_limits slow = {.iops = 1};
    unsigned aborted = 0;
    struct vstor_request r;

    assert_int_equal(storage_limit(storage, 0, &slow), 0);
    put_reads(10);
    usleep(20000);
    put_reset();
    for (unsigned i = 0; i < 11; i++) { /* and the answer of the reset */
        uint64_t transaction;
        struct vstor_packet v = wait_packet(channel, &transaction);
        r = answer_of(&v);
        if (transaction == 1)
            assert_int_equal(v.header.status, 0);
        else
            aborted += r.srb_status == SRB_STATUS_BUS_RESET;
    }
    assert_in_range(aborted, 7, 9);
    assert_int_equal(storage_limit(storage, 0, &(struct storage_limits){0}), 0);
    r = guest_do(&ask_ready);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_UNIT_ATTENTION, ASC_POWER_ON_OR_RESET);
    r = guest_do(&ask_ready);
    check_success(&r, 0);
    assert_int_equal(guest_say(channel, VSTOR_RESET_LUN, 0, 64), 0);
    r = guest_do(&ask_ready);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_UNIT_ATTENTION, ASC_POWER_ON_OR_RESET);
}

/* What was never done is not charged: after a reset the guest does not wait for it. */
static void test_reset_throttled(void **state)
{
    struct ask a = ask_rw(false, 0, 8, 0);
    struct timespec begin, end;

    assert_int_equal(storage_limit(storage, 0, &(struct storage_limits){.iops = 2}), 0);
    put_reads(40); /* 20 s */
    usleep(20000);
    put_reset();
    for (unsigned i = 0; i < 41; i++)
        (void)wait_packet(channel, NULL);
    (void)guest_do(&ask_ready); /* is told of the reset */
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    (void)guest_do(&a);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    assert_in_range(end.tv_sec - begin.tv_sec, 0, 4);
}

static void test_dvd(void **state)
{
    struct disk *iso = shim_disk_new(2U << 20, 2048), *iso2 = shim_disk_new(1U << 20, 2048), *old;
    struct storage_unit u = {.kind = STORAGE_DVD};
    struct ask ready = {.lun = 1, .cdb_length = 6};
    struct ask read = {.lun = 1,
                       .data_in = 1,
                       .cdb = {SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1},
                       .cdb_length = 10,
                       .page = 2,
                       .length = 2048};
    struct ask lock = {.lun = 1, .cdb = {SCSI_PREVENT_ALLOW, 0, 0, 0, 1}, .cdb_length = 6};
    struct ask eject = {.lun = 1, .cdb = {SCSI_START_STOP_UNIT, 0, 0, 0, 2}, .cdb_length = 6};
    struct job job = {.put = iso2};
    struct vstor_request r;

    assert_int_equal(storage_attach(storage, 1, &u), 0);
    check_enumerate();
    r = guest_do(&ready);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    assert_int_equal(storage_medium(storage, 1, other, false, &old), -EINVAL);
    assert_int_equal(storage_medium(storage, 0, iso, false, &old), -EINVAL);
    assert_int_equal(storage_medium(storage, 2, iso, false, &old), -ENOENT);
    assert_int_equal(storage_medium(storage, 1, iso, false, &old), 0);
    assert_null(old);
    r = guest_do(&ready);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
    memset(iso->bytes, 0x11, 2048);
    r = guest_do(&read);
    check_success(&r, 2048);
    assert_int_equal(guest_memory[2 * 4096], 0x11);
    r = guest_do(&lock);
    assert_int_equal(storage_medium(storage, 1, iso2, false, &old), -EBUSY);
    /* By force, while it is read. */
    atomic_store(&iso->held, true);
    guest_put(channel, &read, 5);
    shim_kick(channel);
    while (atomic_load(&iso->in_flight) == 0)
        usleep(1000);
    job_start(&job, medium_run);
    do
        r = guest_do(&ready);
    while (r.srb_status == SRB_STATUS_SUCCESS);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    assert_int_equal(storage_medium(storage, 1, NULL, true, &old), -EBUSY);
    shim_disk_release(iso);
    (void)wait_packet(channel, NULL);
    job_end(&job);
    assert_int_equal(job.result, 0);
    assert_ptr_equal(job.got, iso);
    r = guest_do(&ready);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
    r = guest_do(&eject);
    check_success(&r, 0);
    assert_int_equal(atomic_load(&ejects), 1);
    r = guest_do(&read);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    assert_int_equal(storage_medium(storage, 1, NULL, false, &old), 0);
    assert_ptr_equal(old, iso2);
    assert_int_equal(storage_detach(storage, 1, &old), 0);
    shim_disk_free(iso);
    shim_disk_free(iso2);
}

/* The disk of an ejected medium is given back once, and not the one that was put in since. */
static void test_ejected(void **state)
{
    struct disk *iso = shim_disk_new(2U << 20, 2048), *iso2 = shim_disk_new(2U << 20, 2048), *old;
    const struct storage_unit u = {.kind = STORAGE_DVD, .disk = iso};
    const struct ask eject = {.lun = 1, .cdb = {SCSI_START_STOP_UNIT, 0, 0, 0, 2}, .cdb_length = 6};

    assert_int_equal(storage_ejected(storage, 1, &old), -ENOENT);
    assert_int_equal(storage_attach(storage, 1, &u), 0);
    check_enumerate();
    assert_int_equal(storage_ejected(storage, 1, &old), -ENOENT);
    (void)guest_do(&eject);
    assert_int_equal(storage_medium(storage, 1, iso2, false, &old), 0);
    assert_ptr_equal(old, iso);
    assert_int_equal(storage_ejected(storage, 1, &old), -ENOENT);
    (void)guest_do(&eject); /* is told of the medium */
    (void)guest_do(&eject);
    assert_int_equal(storage_ejected(storage, 1, &old), 0);
    assert_ptr_equal(old, iso2);
    assert_int_equal(storage_ejected(storage, 1, &old), -ENOENT);
    shim_disk_free(iso);
    shim_disk_free(iso2);
}

/* What the guest before has set does not bind the next one, which has never heard of it. */
static void test_another_guest(void **state)
{
    static const uint8_t list[24] = {[4] = MODE_CACHING, 0x12};
    struct disk *iso = shim_disk_new(2U << 20, 2048), *old;
    const struct storage_unit u = {.kind = STORAGE_DVD, .disk = iso};
    const struct ask lock = {.lun = 1, .cdb = {SCSI_PREVENT_ALLOW, 0, 0, 0, 1}, .cdb_length = 6};
    const struct ask select = {
        .cdb = {SCSI_MODE_SELECT_6, 0x10, 0, 0, 24}, .cdb_length = 6, .length = 24};
    struct ask write = ask_rw(true, 0, 8, 1);
    struct vstor_request r;

    assert_int_equal(storage_attach(storage, 1, &u), 0);
    check_enumerate();
    r = guest_do(&lock);
    check_success(&r, 0);
    memcpy(guest_memory, list, sizeof(list));
    r = guest_do(&select); /* writes through from now on */
    check_success(&r, 24);
    r = guest_do(&write);
    check_success(&r, 4096);
    assert_int_equal(atomic_load(&image->fua), 1);
    guest_close();
    guest_open();
    guest_initialize(channel);
    r = guest_do(&write);
    check_success(&r, 4096);
    assert_int_equal(atomic_load(&image->fua), 1);
    assert_int_equal(storage_medium(storage, 1, NULL, false, &old), 0);
    assert_ptr_equal(old, iso);
    shim_disk_free(iso);
}

static void test_pause(void **state)
{
    struct job job = {.put = NULL};
    struct shim_packet p;
    struct vstor_request r;

    atomic_store(&image->held, true);
    put_reads(20);
    while (atomic_load(&image->in_flight) < 20)
        usleep(1000);
    job_start(&job, pause_run);
    usleep(20000);
    assert_false(atomic_load(&job.ended));
    shim_disk_release(image);
    job_end(&job);
    for (unsigned i = 0; i < 20; i++)
        (void)wait_packet(channel, NULL);
    put_reads(1);
    assert_false(shim_get(channel, &p, 50));
    storage_resume(storage);
    (void)wait_packet(channel, NULL);
    r = guest_do(&ask_ready);
    check_success(&r, 0);
    storage_pause(storage); /* a channel may be closed, and another opened, meanwhile */
    guest_close();
    guest_open();
    storage_resume(storage);
    guest_initialize(channel);
}

/* A channel that is being closed may still touch the guest's memory. */
static void test_pause_while_closing(void **state)
{
    struct job close = {.put = NULL}, pause = {.put = NULL};

    atomic_store(&image->held, true);
    put_reads(1);
    while (atomic_load(&image->in_flight) < 1)
        usleep(1000);
    job_start(&close, close_run);
    usleep(50000);
    job_start(&pause, pause_run);
    usleep(50000);
    assert_false(atomic_load(&close.ended));
    assert_false(atomic_load(&pause.ended));
    shim_disk_release(image);
    job_end(&close);
    job_end(&pause);
    storage_resume(storage);
    shim_channel_free(channel);
    channel = NULL;
}

static void take_reads(unsigned n, bool *seen)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t transaction;
        struct vstor_packet v = wait_packet(channel, &transaction);
        struct vstor_request r = answer_of(&v);
        check_success(&r, 4096);
        assert_false(seen[transaction - 100]);
        seen[transaction - 100] = true;
    }
}

/* Nothing that was promised is lost: answers that had no room, attentions, the version. */
static void test_save(void **state)
{
    static uint8_t buf[1 << 20];
    struct save_writer w = {.buf = buf, .size = sizeof(buf)};
    struct save_reader whole = {.buf = buf}, cut;
    struct storage_unit u = {.kind = STORAGE_DISK, .disk = image};
    struct storage_counters counters;
    struct vstor_request r;
    bool seen[10] = {false};

    channel->out_room = 2;
    put_reads(10);
    do
        assert_int_equal(storage_counters(storage, 0, &counters), 0);
    while (counters.reads < 10);
    image->info.size -= 4096; /* an attention that is not told of */
    assert_int_equal(storage_grown(storage, 0), 0);
    storage_pause(storage);
    storage_save(storage, &w);
    assert_int_equal(w.err, 0);
    whole.size = w.len;
    take_reads(2, seen);
    guest_close();
    storage_destroy(storage);
    controller_make();
    cut = whole;
    assert_int_equal(storage_load(storage, &cut), -EINVAL); /* the unit is missing */
    assert_int_equal(storage_attach(storage, 0, &u), 0);
    for (size_t n = 0; n < w.len; n += 7) {
        cut = (struct save_reader){.buf = buf, .size = n};
        assert_int_equal(storage_load(storage, &cut), -EINVAL);
    }
    assert_int_equal(storage_load(storage, &whole), 0);
    channel = shim_channel_new();
    channel->restored = true;
    assert_int_equal(storage_device_ops.open(storage, channel, 0), 0);
    take_reads(8, seen);
    r = guest_do(&ask_ready);
    check_sense_of(&r, SRB_STATUS_ABORTED | 0x80, SENSE_UNIT_ATTENTION, ASC_CAPACITY_CHANGED);
    r = guest_do(&ask_ready);
    check_success(&r, 0);
}

/* A guest that is not the one of the saved state, whose load has failed elsewhere. */
static void test_save_forgotten(void **state)
{
    static uint8_t buf[1 << 20];
    struct save_writer w = {.buf = buf, .size = sizeof(buf)};
    struct save_reader r = {.buf = buf};
    struct shim_packet p;

    channel->out_room = 0;
    put_reads(10);
    while (atomic_load(&image->ops[DISK_READ]) < 10)
        usleep(1000);
    storage_pause(storage);
    storage_save(storage, &w);
    guest_close();
    r.size = w.len;
    assert_int_equal(storage_load(storage, &r), 0);
    storage_resume(storage);
    guest_open();
    assert_false(shim_get(channel, &p, 50));
    assert_int_equal(guest_say(channel, VSTOR_END_INITIALIZATION, 0, 64),
                     VSTOR_STATUS_INVALID_DEVICE_STATE);
    guest_initialize(channel);
}

/* Units come and go under load, again and again. */
static void test_storm(void **state)
{
    struct storage_unit u = {.kind = STORAGE_DISK, .disk = image};
    unsigned sent = 0, got = 0, served = 0;
    struct disk *old;

    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < 100; i++, sent++) {
            struct ask a = ask_rw(i & 1, (i % 64) * 8, 8, i);
            guest_put(channel, &a, 100 + sent);
        }
        shim_kick(channel);
        assert_int_equal(storage_detach(storage, 0, &old), 0);
        assert_int_equal(atomic_load(&image->in_flight), 0);
        assert_int_equal(storage_attach(storage, 0, &u), 0);
        while (got < sent) {
            uint64_t transaction;
            struct vstor_packet v = wait_packet(channel, &transaction);
            if (transaction == 0)
                continue;
            served += answer_of(&v).srb_status == SRB_STATUS_SUCCESS;
            got++;
        }
    }
    assert_true(served > 0);
}

/* Each channel has a guest of its own that writes and reads back its part of the disk. */
struct part {
    struct vmbus_channel *channel;
    unsigned sub, errors;
    pthread_t thread;
};

static void *part_run(void *arg)
{
    struct part *p = arg;

    for (unsigned round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < 64; i++) {
            struct ask a = ask_rw(round % 2 == 0, (p->sub * 64 + i) * 8, 8, p->sub * 64 + i);
            struct shim_packet packet = ask_packet(&a, i);
            if (round % 2 == 0)
                memset(guest_memory + (p->sub * 64 + i) * 4096, (int)(round + i), 4096);
            p->errors += !shim_put(p->channel, &packet);
        }
        shim_kick(p->channel);
        for (unsigned i = 0; i < 64;) {
            struct shim_packet packet;
            if (!shim_get(p->channel, &packet, GUEST_WAIT_MS)) {
                p->errors++;
                return NULL;
            }
            if (packet.data[0] != VSTOR_COMPLETE_IO)
                continue; /* look for units */
            /* A changed capacity is told once; the request it took the place of is not repeated. */
            p->errors += packet.data[12 + 2] != SRB_STATUS_SUCCESS && packet.data[12 + 2] != 0x82;
            i++;
        }
    }
    return NULL;
}

static void test_channels(void **state)
{
    struct part parts[4] = {{.channel = channel}};
    struct storage_counters counters;

    for (unsigned i = 1; i < 4; i++) {
        parts[i] = (struct part){.channel = shim_channel_new(), .sub = i};
        assert_int_equal(storage_device_ops.open(storage, parts[i].channel, i), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&parts[i].thread, NULL, part_run, &parts[i]), 0);
    for (unsigned i = 0; i < 20; i++) {
        const struct storage_limits limits = {.iops = i % 2 ? 0 : 100000};
        assert_int_equal(storage_limit(storage, 0, &limits), 0);
        assert_int_equal(storage_grown(storage, 0), 0);
        storage_pause(storage);
        assert_int_equal(atomic_load(&image->in_flight), 0);
        storage_resume(storage);
        usleep(2000);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)pthread_join(parts[i].thread, NULL);
        assert_int_equal(parts[i].errors, 0);
    }
    assert_int_equal(storage_counters(storage, 0, &counters), 0);
    assert_int_equal(counters.reads + counters.writes, 4 * 50 * 64);
    assert_memory_equal(image->bytes, guest_memory, 4 * 64 * 4096);
    for (unsigned i = 1; i < 4; i++) {
        storage_device_ops.close(storage, parts[i].channel, i);
        shim_channel_free(parts[i].channel);
    }
}

static void test_luns_attention(void **state)
{
    const struct storage_config config = {.vp_count = 1, .luns_attention = true};
    struct storage_unit u = {.kind = STORAGE_DISK, .disk = image};
    struct vstor_request r;
    struct disk *old;

    guest_close();
    storage_destroy(storage);
    assert_int_equal(storage_create(&storage, &config, &(struct storage_hooks){0}), 0);
    assert_int_equal(storage_attach(storage, 0, &u), 0);
    guest_open();
    guest_initialize(channel);
    u.disk = other;
    assert_int_equal(storage_attach(storage, 1, &u), 0);
    check_enumerate();
    r = guest_do(&ask_ready);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_UNIT_ATTENTION, ASC_REPORTED_LUNS_CHANGED);
    assert_int_equal(storage_detach(storage, 1, &old), 0);
    check_enumerate();
    /* One VP, and so no more channels. */
    assert_int_equal(guest_say(channel, VSTOR_CREATE_SUB_CHANNELS, 1, 64),
                     VSTOR_STATUS_INVALID_PARAMETER);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_attach),
        ROW(test_identities),
        ROW(test_remove_in_flight),
        ROW(test_remove_in_steps),
        ROW(test_reset_in_steps),
        ROW(test_close_in_steps),
        ROW(test_pause_in_steps),
        ROW(test_remove_throttled),
        ROW(test_limits),
        ROW(test_grown),
        ROW(test_reset),
        ROW(test_reset_throttled),
        ROW(test_dvd),
        ROW(test_another_guest),
        ROW(test_ejected),
        ROW(test_pause),
        ROW(test_pause_while_closing),
        ROW(test_save),
        ROW(test_save_forgotten),
        ROW(test_storm),
        ROW(test_channels),
        ROW(test_luns_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
