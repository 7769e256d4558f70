/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_storage.h"

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rand_r(&seed);
}

static void test_offer(void **state)
{
    static const uint8_t type[16] = {0xD9, 0x63, 0x61, 0xBA, 0xA1, 0x04, 0x29, 0x4D,
                                     0xB6, 0x05, 0x72, 0xE2, 0xFF, 0xB1, 0xDC, 0x7F};
    struct vmbus_offer offer;

    storage_offer(storage, &offer);
    assert_memory_equal(offer.type.bytes, type, 16);
    assert_int_equal(offer.instance.bytes[0], 1);
    assert_int_equal(offer.sub_channel_max, 3);
    assert_false(offer.pipe);
}

static void test_read_write(void **state)
{
    struct ask a = ask_rw(true, 100, 16, 10);
    struct vstor_request r;

    fill(guest_memory + 10 * 4096, 16 * 512, 1);
    r = guest_do(&a);
    check_success(&r, 16 * 512);
    assert_memory_equal(image->bytes + 100 * 512, guest_memory + 10 * 4096, 16 * 512);
    a = ask_rw(false, 100, 16, 50);
    a.offset = 512;
    r = guest_do(&a);
    check_success(&r, 16 * 512);
    assert_memory_equal(guest_memory + 50 * 4096 + 512, guest_memory + 10 * 4096, 16 * 512);
    a.data_in = VSTOR_DATA_ANY;
    r = guest_do(&a);
    check_success(&r, 16 * 512);
    a = ask_rw(false, 100, 2, 60); /* a buffer that is longer */
    a.length = 4096;
    r = guest_do(&a);
    check_success(&r, 1024);
    assert_memory_equal(guest_memory + 60 * 4096, guest_memory + 10 * 4096, 1024);
    assert_int_equal(guest_memory[60 * 4096 + 1024], 0);
    a = ask_rw(false, 100, 2, 60); /* and one that is shorter */
    a.length = 1023;
    r = guest_do(&a);
    check_sense_of(&r, SRB_STATUS_INVALID_REQUEST | 0x80, 5, ASC_INVALID_FIELD_IN_CDB);
}

/* The largest request there is. */
static void test_largest(void **state)
{
    struct ask a = ask_rw(true, 0, 16384, 0);
    struct vstor_request r;

    a.length = 8U << 20;
    a.offset = 512;
    fill(guest_memory, 9U << 20, 7);
    r = guest_do(&a);
    check_success(&r, 8U << 20);
    assert_memory_equal(image->bytes, guest_memory + 512, 8U << 20);
    a.length += 512;
    r = guest_do(&a);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_REQUEST);
}

/* Thousands of requests that end in any order, checked against a model. */
static void test_many(void **state)
{
    enum { DEPTH = 200, ROUNDS = 40, SLOT = 8 };
    unsigned seed = 3;

    for (unsigned round = 0; round < ROUNDS; round++) {
        bool seen[DEPTH] = {false};
        bool write = round % 2 == 0;
        for (uint32_t i = 0; i < DEPTH; i++) {
            struct ask a = ask_rw(write, i * SLOT, SLOT, i);
            if (write)
                fill(guest_memory + i * 4096, 4096, round * 1000 + i);
            else
                memset(guest_memory + i * 4096, 0, 4096);
            guest_put(channel, &a, 100 + i);
            if (rand_r(&seed) % 8 == 0)
                shim_kick(channel);
        }
        shim_kick(channel);
        for (unsigned i = 0; i < DEPTH; i++) {
            uint64_t transaction;
            struct vstor_packet v = wait_packet(channel, &transaction);
            struct vstor_request r = answer_of(&v);
            check_success(&r, 4096);
            assert_false(seen[transaction - 100]);
            seen[transaction - 100] = true;
        }
        assert_memory_equal(image->bytes, guest_memory, DEPTH * 4096);
    }
}

static void test_absent(void **state)
{
    struct ask a = {.lun = 5, .cdb_length = 6};
    struct vstor_request r = guest_do(&a);

    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_LUN);
    assert_int_equal(r.scsi_status, SCSI_GOOD);
    a.lun = 200;
    r = guest_do(&a);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_LUN);
    a = (struct ask){.target = 1, .cdb_length = 6};
    r = guest_do(&a);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_LUN);
    a = (struct ask){.lun = 5,
                     .cdb = {SCSI_INQUIRY, 0, 0, 0, 36},
                     .cdb_length = 6,
                     .data_in = 1,
                     .page = 3,
                     .length = 36};
    r = guest_do(&a);
    check_success(&r, 36);
    assert_int_equal(guest_memory[3 * 4096], 0x7F);
    a = (struct ask){.target = 2,
                     .cdb = {SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 16},
                     .cdb_length = 12,
                     .data_in = 1,
                     .page = 3,
                     .length = 4096};
    r = guest_do(&a); /* mu_msvm fails if one of its three targets does not answer */
    check_success(&r, 16);
}

/* What a hostile guest puts into an SRB. */
static void test_hostile(void **state)
{
    struct ask a = ask_rw(false, 0, 8, 0);
    struct vstor_request r;
    struct vstor_packet v;
    struct shim_packet p;

    a.cdb_length = 17;
    r = guest_do(&a);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_REQUEST);
    a.cdb_length = 0;
    r = guest_do(&a);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_REQUEST);
    a = ask_rw(false, 0, 8, SHIM_PAGES); /* not its memory */
    r = guest_do(&a);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_REQUEST);
    a = ask_rw(true, 0, 8, 0);
    a.data_in = 77;
    r = guest_do(&a);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_REQUEST);
    a = ask_rw(true, 0, 8, 0);
    a.data_in = 1; /* the wrong way */
    r = guest_do(&a);
    check_sense_of(&r, SRB_STATUS_INVALID_REQUEST | 0x80, 5, ASC_INVALID_FIELD_IN_CDB);
    /* Ranges that do not fit the length, or none, or two. */
    for (unsigned i = 0; i < 4; i++) {
        a = ask_rw(false, 0, 8, 0);
        p = ask_packet(&a, 1);
        p.range_length = i == 0 ? 4095 : 4096;
        p.range_count = i == 1 ? 0 : i == 2 ? 2 : 1;
        p.type = i == 3 ? VMBUS_PACKET_INBAND : VMBUS_PACKET_DIRECT;
        assert_true(shim_put(channel, &p));
        shim_kick(channel);
        v = wait_packet(channel, NULL);
        r = answer_of(&v);
        assert_int_equal(r.srb_status, SRB_STATUS_INVALID_REQUEST);
        assert_int_equal(v.header.status, VSTOR_STATUS_UNSUCCESSFUL);
    }
    a = ask_ready;
    r = guest_do(&a);
    check_success(&r, 0);
}

static void test_no_room_for_sense(void **state)
{
    struct ask a = {.cdb = {0xFF}, .cdb_length = 6};
    struct shim_packet p = ask_packet(&a, 9);
    struct vstor_packet v;
    struct vstor_request r;

    p.data[12 + 9] = 0;
    assert_true(shim_put(channel, &p));
    shim_kick(channel);
    v = wait_packet(channel, NULL);
    r = answer_of(&v);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_REQUEST);
    assert_int_equal(r.scsi_status, SCSI_CHECK_CONDITION);
    assert_int_equal(r.sense_length, 0);
    assert_int_equal(r.cdb[0], 0xFF);
}

/* The guest breaks the protocol: only its channel suffers, and opening it anew mends it. */
static void test_broken(void **state)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND, .wanted = true, .length = 11};
    struct storage_channel_counters counters;
    struct vstor_request r;

    assert_true(shim_put(channel, &p));
    guest_put(channel, &ask_ready, 5);
    shim_kick(channel);
    assert_false(shim_get(channel, &p, 100));
    assert_int_equal(storage_channel_counters(storage, 0, &counters), 0);
    assert_true(counters.broken);
    assert_int_equal(counters.version, 0x0602);
    guest_close();
    guest_open();
    guest_initialize(channel);
    r = guest_do(&ask_ready);
    check_success(&r, 0);
    (void)pthread_mutex_lock(&channel->lock);
    channel->broken = true; /* the ring */
    (void)pthread_mutex_unlock(&channel->lock);
    shim_kick(channel);
    do
        assert_int_equal(storage_channel_counters(storage, 0, &counters), 0);
    while (!counters.broken);
    guest_close();
    guest_open();
    guest_initialize(channel);
}

static void test_before_end(void **state)
{
    struct vstor_packet v;

    guest_close();
    guest_open();
    guest_put(channel, &ask_ready, 5);
    shim_kick(channel);
    v = wait_packet(channel, NULL);
    assert_int_equal(v.header.status, VSTOR_STATUS_INVALID_DEVICE_STATE);
    guest_initialize(channel);
    assert_int_equal(guest_say(channel, 99, 0, 64), VSTOR_STATUS_INVALID_DEVICE_REQUEST);
    assert_int_equal(guest_say(channel, VSTOR_FCHBA_DATA, 0, 64),
                     VSTOR_STATUS_INVALID_DEVICE_REQUEST);
}

static void test_sub_channels(void **state)
{
    struct vmbus_channel *sub = shim_channel_new();
    struct vstor_packet v;
    struct ask a = ask_rw(true, 8, 8, 2);
    struct vstor_request r;

    channels_error = -ENOMEM;
    assert_int_equal(guest_say(channel, VSTOR_CREATE_SUB_CHANNELS, 3, 64),
                     VSTOR_STATUS_INSUFFICIENT_RESOURCES);
    channels_error = 0;
    assert_int_equal(guest_say(channel, VSTOR_CREATE_SUB_CHANNELS, 3, 64), 0);
    assert_int_equal(atomic_load(&asked_channels), 3);
    assert_int_equal(storage_device_ops.open(storage, sub, 2), 0);
    assert_int_equal(storage_device_ops.open(storage, sub, 2), -EINVAL);
    assert_int_equal(storage_device_ops.open(storage, sub, 99), -EINVAL);
    fill(guest_memory + 2 * 4096, 4096, 9);
    guest_put(sub, &a, 1);
    shim_kick(sub);
    v = wait_packet(sub, NULL);
    r = answer_of(&v);
    check_success(&r, 4096);
    assert_memory_equal(image->bytes + 4096, guest_memory + 2 * 4096, 4096);
    storage_device_ops.close(storage, sub, 2);
    shim_channel_free(sub);
}

/* The guest does not take its answers: they wait, all of them, and so do more requests. */
static void test_out_ring_full(void **state)
{
    enum { N = 900 };
    bool seen[N] = {false};
    struct storage_channel_counters counters;
    unsigned in_count;

    channel->out_room = 3;
    for (unsigned i = 0; i < N; i++) {
        struct ask a = i % 3 ? ask_rw(i % 2, i * 8, 8, i) : ask_ready;
        guest_put(channel, &a, i);
    }
    shim_kick(channel);
    usleep(100000);
    (void)pthread_mutex_lock(&channel->lock);
    in_count = channel->in_count;
    (void)pthread_mutex_unlock(&channel->lock);
    assert_int_equal(in_count, N - 512 - 3);
    for (unsigned i = 0; i < N; i++) {
        uint64_t transaction;
        struct vstor_packet v = wait_packet(channel, &transaction);
        struct vstor_request r = answer_of(&v);
        assert_int_equal(r.srb_status, SRB_STATUS_SUCCESS);
        assert_false(seen[transaction]);
        seen[transaction] = true;
    }
    assert_int_equal(storage_channel_counters(storage, 0, &counters), 0);
    assert_true(counters.ring_full > 0);
}

/* All requests wait for room, which comes at once and for all: the ones in the ring are seen,
 * though the guest has no reason to signal any more. */
static void test_out_ring_drained(void **state)
{
    enum { N = 600 };
    unsigned in_count;

    channel->out_room = 0;
    for (unsigned i = 0; i < N; i++)
        guest_put(channel, &ask_ready, i);
    shim_kick(channel);
    do {
        usleep(1000);
        (void)pthread_mutex_lock(&channel->lock);
        in_count = channel->in_count;
        (void)pthread_mutex_unlock(&channel->lock);
    } while (in_count > N - 512);
    (void)pthread_mutex_lock(&channel->lock);
    channel->out_room = SHIM_QUEUE;
    channel->starved = false;
    (void)pthread_mutex_unlock(&channel->lock);
    shim_kick(channel);
    for (unsigned i = 0; i < N; i++)
        (void)wait_packet(channel, NULL);
}

static void test_batches(void **state)
{
    struct storage_channel_counters before, after;
    unsigned signals, flushes;

    atomic_store(&image->held, true);
    storage_pause(storage); /* so that all of them are there when it looks */
    assert_int_equal(storage_channel_counters(storage, 0, &before), 0);
    flushes = atomic_load(&shim_flushes);
    for (unsigned i = 0; i < 128; i++) {
        struct ask a = ask_rw(false, i * 8, 8, i);
        guest_put(channel, &a, i);
    }
    storage_resume(storage);
    while (atomic_load(&image->in_flight) < 128 || atomic_load(&shim_flushes) < flushes + 2)
        usleep(1000);
    signals = atomic_load(&channel->signals);
    assert_int_equal(storage_channel_counters(storage, 0, &after), 0);
    assert_int_equal(after.packets - before.packets, 128);
    assert_int_equal(after.batches - before.batches, 2);
    assert_int_equal(atomic_load(&shim_flushes) - flushes, 2);
    shim_disk_release(image);
    for (unsigned i = 0; i < 128; i++)
        (void)wait_packet(channel, NULL);
    usleep(10000);
    assert_in_range(atomic_load(&channel->signals) - signals, 1, 40);
}

/* With much in flight the guest need not signal, and is served all the same, also if no answer
 * comes meanwhile. */
static void test_polls(void **state)
{
    struct ask a = ask_rw(false, 0, 8, 0);

    assert_false(atomic_load(&channel->polled));
    atomic_store(&image->held, true);
    for (unsigned i = 0; i < 16; i++)
        guest_put(channel, &a, i);
    shim_kick(channel);
    while (!atomic_load(&channel->polled))
        usleep(1000);
    guest_put(channel, &a, 16);
    while (atomic_load(&image->in_flight) < 17)
        usleep(1000);
    shim_disk_release(image);
    for (unsigned i = 0; i < 17; i++)
        (void)wait_packet(channel, NULL);
    while (atomic_load(&channel->polled))
        usleep(1000);
}

static void test_errors(void **state)
{
    struct ask a = ask_rw(false, 0, 8, 0);
    struct vstor_request r;

    atomic_store(&image->fail[DISK_READ], -EIO);
    r = guest_do(&a);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_MEDIUM_ERROR, ASC_READ_ERROR);
    a = ask_rw(true, 0, 8, 0);
    atomic_store(&image->fail[DISK_WRITE], -ENOSPC);
    r = guest_do(&a);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED);
    a = ask_rw(true, 16384, 8, 0);
    r = guest_do(&a);
    check_sense_of(&r, SRB_STATUS_INVALID_REQUEST | 0x80, SENSE_ILLEGAL_REQUEST,
                   ASC_LBA_OUT_OF_RANGE);
}

/* What takes several steps of the disk. */
static void test_steps(void **state)
{
    struct ask same = {.cdb = {SCSI_WRITE_SAME_16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x20, 0},
                       .cdb_length = 16,
                       .page = 1,
                       .length = 512};
    struct ask verify = ask_rw(true, 1, 8, 2);
    struct vstor_request r;

    fill(guest_memory + 4096, 512, 5);
    r = guest_do(&same); /* 4 MiB */
    check_success(&r, 512);
    assert_int_equal(atomic_load(&image->ops[DISK_WRITE]), 16);
    for (unsigned i = 0; i < 8192; i++)
        assert_memory_equal(image->bytes + 512 + i * 512, guest_memory + 4096, 512);
    assert_int_equal(image->bytes[512 + (4U << 20)], 0);
    verify.cdb[0] = SCSI_VERIFY_10;
    verify.cdb[1] = 2;
    memcpy(guest_memory + 8192, image->bytes + 512, 4096);
    r = guest_do(&verify);
    check_success(&r, 4096);
    guest_memory[8192 + 4095] ^= 1;
    r = guest_do(&verify);
    check_sense_of(&r, SRB_STATUS_ERROR | 0x80, SENSE_MISCOMPARE, ASC_MISCOMPARE);
    verify.cdb[1] = 6; /* one block with all */
    verify.length = 512;
    r = guest_do(&verify);
    check_success(&r, 512);
    verify.cdb[1] = 0;
    verify.length = 0;
    r = guest_do(&verify);
    check_success(&r, 0);
    verify = ask_rw(true, 1, 8, 2);
    verify.cdb[0] = SCSI_WRITE_VERIFY_10;
    r = guest_do(&verify);
    check_success(&r, 4096);
    assert_int_equal(atomic_load(&image->fua), 1);
}

/* A guest does not make the worker as large as it likes. */
static void test_steps_bound(void **state)
{
    enum { N = 300, BOUND = 256 };
    const struct ask verify = {.cdb = {SCSI_VERIFY_10, 0, 0, 0, 0, 0, 0, 0, 8}, .cdb_length = 10};
    unsigned busy = 0, good = 0;
    struct vstor_request r;

    atomic_store(&image->held, true);
    for (unsigned i = 0; i < N; i++)
        guest_put(channel, &verify, i);
    shim_kick(channel);
    for (unsigned i = 0; i < N; i++) {
        struct vstor_packet v;
        if (i == N - BOUND)
            shim_disk_release(image);
        v = wait_packet(channel, NULL);
        r = answer_of(&v);
        busy += r.srb_status == SRB_STATUS_BUSY && r.scsi_status == SCSI_BUSY;
        good += r.srb_status == SRB_STATUS_SUCCESS;
    }
    assert_int_equal(good, BOUND);
    assert_int_equal(busy, N - BOUND);
    r = guest_do(&verify); /* and again, as all have ended */
    check_success(&r, 0);
}

static void test_space(void **state)
{
    struct ask zero = {.cdb = {SCSI_WRITE_SAME_16, 9, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8},
                       .cdb_length = 16};
    struct ask unmap = {
        .cdb = {SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40}, .cdb_length = 10, .page = 1, .length = 40};
    struct ask flush = {.cdb = {SCSI_SYNCHRONIZE_CACHE_10}, .cdb_length = 10};
    uint8_t *list = guest_memory + 4096;
    struct storage_counters counters;
    struct vstor_request r;

    memset(image->bytes, 0xAA, 65536);
    r = guest_do(&zero);
    check_success(&r, 0);
    assert_int_equal(image->bytes[4095], 0xAA);
    assert_int_equal(image->bytes[4096], 0);
    assert_int_equal(image->bytes[8191], 0);
    assert_int_equal(image->bytes[8192], 0xAA);
    memset(image->bytes, 0xAA, 65536);
    atomic_store(&image->fail[DISK_ZERO], -ENOTSUP); /* then it is written */
    r = guest_do(&zero);
    check_success(&r, 0);
    assert_int_equal(image->bytes[4096], 0);
    assert_int_equal(image->bytes[8192], 0xAA);
    list[1] = 38;
    list[3] = 32;
    list[15] = 16, list[19] = 8;
    list[31] = 32, list[35] = 8;
    r = guest_do(&unmap);
    check_success(&r, 40);
    assert_int_equal(image->bytes[16 * 512], 0);
    assert_int_equal(image->bytes[24 * 512], 0xAA);
    assert_int_equal(image->bytes[32 * 512], 0);
    assert_int_equal(atomic_load(&image->ops[DISK_DISCARD]), 2);
    atomic_store(&image->fail[DISK_DISCARD], -EOPNOTSUPP); /* only a hint */
    r = guest_do(&unmap);
    check_success(&r, 40);
    r = guest_do(&flush);
    check_success(&r, 0);
    assert_int_equal(atomic_load(&image->ops[DISK_FLUSH]), 1);
    assert_int_equal(storage_counters(storage, 0, &counters), 0);
    assert_int_equal(counters.discards, 4);
    assert_int_equal(counters.discard_bytes, 2 * 4096 + 4 * 4096);
    assert_int_equal(counters.flushes, 1);
    assert_int_equal(counters.in_flight, 0);
}

/* A guest without a write-back cache: all that was written is there. */
static void test_write_through(void **state)
{
    struct ask select = {
        .cdb = {SCSI_MODE_SELECT_6, 0x10, 0, 0, 24}, .cdb_length = 6, .page = 1, .length = 24};
    struct ask zero = {.cdb = {SCSI_WRITE_SAME_16, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8},
                       .cdb_length = 16};
    struct ask write = ask_rw(true, 0, 8, 0);
    struct vstor_request r;

    memcpy(guest_memory + 4096 + 4, "\x08\x12", 2);
    r = guest_do(&select);
    check_success(&r, 24);
    r = guest_do(&write);
    check_success(&r, 4096);
    assert_int_equal(atomic_load(&image->fua), 1);
    r = guest_do(&zero);
    check_success(&r, 0);
    assert_int_equal(atomic_load(&image->ops[DISK_FLUSH]), 1);
}

/* Guests before Windows 8: short packets, less sense data, no sub-channels. */
static void test_old_guest(void **state)
{
    struct ask a = {.cdb = {0xFF}, .cdb_length = 6};
    struct shim_packet p;
    struct vstor_request r;

    guest_close();
    guest_open();
    assert_int_equal(guest_say(channel, VSTOR_BEGIN_INITIALIZATION, 0, 48), 0);
    assert_int_equal(guest_say(channel, VSTOR_QUERY_PROTOCOL_VERSION, 0x0602, 48), 0);
    assert_int_equal(guest_say(channel, VSTOR_BEGIN_INITIALIZATION, 0, 64), 0);
    assert_int_equal(guest_say(channel, VSTOR_QUERY_PROTOCOL_VERSION, 0x0300, 48),
                     VSTOR_STATUS_REVISION_MISMATCH);
    assert_int_equal(guest_say(channel, VSTOR_QUERY_PROTOCOL_VERSION, 0x0402, 48), 0);
    assert_int_equal(guest_say(channel, VSTOR_QUERY_PROPERTIES, 0, 48), 0);
    assert_int_equal(guest_say(channel, VSTOR_END_INITIALIZATION, 0, 48), 0);
    p = ask_packet(&a, 1);
    p.length = 48;
    assert_true(shim_put(channel, &p));
    shim_kick(channel);
    assert_true(shim_get(channel, &p, GUEST_WAIT_MS));
    assert_int_equal(p.length, 48);
    memcpy(&r, p.data + 12, VSTOR_REQUEST_SIZE_OLD);
    assert_int_equal(r.srb_status, SRB_STATUS_INVALID_REQUEST | 0x80);
    assert_int_equal(r.sense_length, 18);
    assert_int_equal(r.cdb[2], SENSE_ILLEGAL_REQUEST);
}

/* There is no queue for a channel: the guest sees its open fail, and may try again. */
static void test_open_fails(void **state)
{
    struct vmbus_channel *sub = shim_channel_new();
    struct storage_channel_counters counters;

    atomic_store(&shim_queue_error, -ENOMEM);
    assert_int_equal(storage_device_ops.open(storage, sub, 1), -ENOMEM);
    assert_int_equal(storage_channel_counters(storage, 1, &counters), -ENOENT);
    assert_int_equal(storage_device_ops.open(storage, sub, 1), 0);
    assert_int_equal(storage_channel_counters(storage, 1, &counters), 0);
    assert_int_equal(counters.version, 0x0602);
    storage_device_ops.close(storage, sub, 1);
    shim_channel_free(sub);
}

static void *release(void *arg)
{
    shim_disk_release(arg);
    return NULL;
}

/* Closing with requests in flight waits for the disk, as the guest's memory goes away. */
static void test_close_in_flight(void **state)
{
    pthread_t thread;

    atomic_store(&image->held, true);
    for (unsigned i = 0; i < 100; i++) {
        struct ask a = ask_rw(true, i * 8, 8, i);
        guest_put(channel, &a, i);
    }
    shim_kick(channel);
    while (atomic_load(&image->in_flight) < 100)
        usleep(1000);
    assert_int_equal(pthread_create(&thread, NULL, release, image), 0);
    guest_close();
    assert_int_equal(atomic_load(&image->in_flight), 0);
    (void)pthread_join(thread, NULL);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, shim_storage_setup, shim_storage_teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_offer),           ROW(test_read_write),
        ROW(test_largest),         ROW(test_many),
        ROW(test_absent),          ROW(test_hostile),
        ROW(test_broken),          ROW(test_no_room_for_sense),
        ROW(test_before_end),      ROW(test_out_ring_full),
        ROW(test_sub_channels),    ROW(test_batches),
        ROW(test_polls),           ROW(test_errors),
        ROW(test_steps),           ROW(test_steps_bound),
        ROW(test_space),           ROW(test_old_guest),
        ROW(test_open_fails),      ROW(test_write_through),
        ROW(test_close_in_flight), ROW(test_out_ring_drained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
