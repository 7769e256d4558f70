/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_STORAGE_H
#define TESTS_UNIT_SHIM_STORAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "abi/vsp/storage/scsi.h"
#include "abi/vsp/storage/srb.h"
#include "abi/vsp/storage/vstor.h"
#include "lib/bits.h"
#include "tests/unit/shim_channel.h"
#include "tests/unit/shim_storage_disk.h"
#include "vsp/storage/storage.h"

/*
 * A whole controller with fakes on both sides; the test is a guest that speaks like Linux.
 */

#define GUEST_WAIT_MS 20000U

static struct storage *storage;
static struct vmbus_channel *channel;
static struct disk *image;
static atomic_uint asked_channels, ejects;
static int channels_error;

static inline int hook_channels(void *ctx, struct vmbus_channel *to, unsigned count)
{
    atomic_store(&asked_channels, count);
    return channels_error;
}

static inline void hook_ejected(void *ctx, unsigned lun)
{
    atomic_fetch_add(&ejects, 1);
}

/* A SCSI request of the guest: `length` bytes of its memory at `page`. */
struct ask {
    uint8_t lun, target, data_in;
    uint8_t cdb[16];
    uint8_t cdb_length;
    uint32_t page, offset, length;
};

static inline struct shim_packet ask_packet(const struct ask *a, uint64_t transaction)
{
    struct shim_packet p = {.type = VMBUS_PACKET_INBAND,
                            .transaction = transaction,
                            .wanted = true,
                            .length = VSTOR_PACKET_SIZE};
    struct vstor_packet v = {.header = {VSTOR_EXECUTE_SRB, VSTOR_FLAG_COMPLETION, 0}};
    struct vstor_request r = {
        .length = sizeof(r), .target = a->target, .lun = a->lun, .sense_length = VSTOR_SENSE_MAX};

    r.cdb_length = a->cdb_length;
    r.data_in = a->length ? a->data_in : VSTOR_DATA_ANY;
    r.data_length = a->length;
    memcpy(r.cdb, a->cdb, 16);
    memcpy(v.payload, &r, sizeof(r));
    memcpy(p.data, &v, sizeof(v));
    if (a->length) {
        p.type = VMBUS_PACKET_DIRECT;
        p.range_count = 1;
        p.range_length = a->length;
        p.range_offset = a->offset;
        p.pfn_count = (a->offset + a->length + 4095) / 4096;
        p.pfns = calloc(p.pfn_count, sizeof(uint64_t));
        for (uint32_t i = 0; i < p.pfn_count; i++)
            p.pfns[i] = a->page + i;
    }
    return p;
}

static inline struct vstor_packet wait_packet(struct vmbus_channel *c, uint64_t *transaction)
{
    struct shim_packet p;
    struct vstor_packet v;

    assert_true(shim_get(c, &p, GUEST_WAIT_MS));
    assert_in_range(p.length, VSTOR_PACKET_SIZE_OLD, VSTOR_PACKET_SIZE);
    memset(&v, 0, sizeof(v));
    memcpy(&v, p.data, p.length);
    if (transaction)
        *transaction = p.transaction;
    return v;
}

static inline struct vstor_request answer_of(const struct vstor_packet *v)
{
    struct vstor_request r;

    assert_int_equal(v->header.operation, VSTOR_COMPLETE_IO);
    memcpy(&r, v->payload, sizeof(r));
    return r;
}

static inline void guest_put(struct vmbus_channel *c, const struct ask *a, uint64_t transaction)
{
    struct shim_packet p = ask_packet(a, transaction);

    assert_true(shim_put(c, &p));
}

/* One request, and its answer. */
static inline struct vstor_request guest_do(const struct ask *a)
{
    uint64_t transaction;
    struct vstor_packet v;

    guest_put(channel, a, 4711);
    shim_kick(channel);
    do
        v = wait_packet(channel, &transaction);
    while (v.header.operation == VSTOR_ENUMERATE_BUS);
    assert_int_equal(transaction, 4711);
    return answer_of(&v);
}

static inline uint32_t guest_say(struct vmbus_channel *c, uint32_t operation, uint16_t value,
                                 uint32_t size)
{
    const struct vstor_header header = {operation, VSTOR_FLAG_COMPLETION, 0};
    struct shim_packet p = {
        .type = VMBUS_PACKET_INBAND, .transaction = 1, .wanted = true, .length = size};
    struct vstor_packet v;

    memcpy(p.data, &header, sizeof(header));
    memcpy(p.data + sizeof(header), &value, sizeof(value));
    assert_true(shim_put(c, &p));
    shim_kick(c);
    v = wait_packet(c, NULL);
    assert_int_equal(v.header.operation, VSTOR_COMPLETE_IO);
    return v.header.status;
}

static inline void guest_initialize(struct vmbus_channel *c)
{
    assert_int_equal(guest_say(c, VSTOR_BEGIN_INITIALIZATION, 0, 64), 0);
    assert_int_equal(guest_say(c, VSTOR_QUERY_PROTOCOL_VERSION, 0x0602, 64), 0);
    assert_int_equal(guest_say(c, VSTOR_QUERY_PROPERTIES, 0, 64), 0);
    assert_int_equal(guest_say(c, VSTOR_END_INITIALIZATION, 0, 64), 0);
}

static inline struct ask ask_rw(bool write, uint32_t lba, uint16_t blocks, uint32_t page)
{
    return (struct ask){.data_in = !write,
                        .cdb = {write ? SCSI_WRITE_10 : SCSI_READ_10, 0, (uint8_t)(lba >> 24),
                                (uint8_t)(lba >> 16), (uint8_t)(lba >> 8), (uint8_t)lba, 0,
                                (uint8_t)(blocks >> 8), (uint8_t)blocks},
                        .cdb_length = 10,
                        .page = page,
                        .length = blocks * 512U};
}

static const struct ask ask_ready = {.cdb_length = 6};

static inline void check_sense_of(const struct vstor_request *r, uint8_t srb, uint8_t key,
                                  uint16_t asc)
{
    assert_int_equal(r->srb_status, srb);
    assert_int_equal(r->scsi_status, SCSI_CHECK_CONDITION);
    assert_int_equal(r->sense_length, 18);
    assert_int_equal(r->cdb[2], key);
    assert_int_equal(r->cdb[12] << 8 | r->cdb[13], asc);
    assert_int_equal(r->data_length, 0);
}

static inline void check_success(const struct vstor_request *r, uint32_t moved)
{
    assert_int_equal(r->srb_status, SRB_STATUS_SUCCESS);
    assert_int_equal(r->scsi_status, SCSI_GOOD);
    assert_int_equal(r->data_length, moved);
}

static inline void controller_make(void)
{
    const struct storage_config config = {
        .instance = {{1, 2, 3, 4}}, .initiator = "a vm", .vp_count = 4, .sub_channel_max = 64};
    const struct storage_hooks hooks = {NULL, hook_channels, hook_ejected};

    assert_int_equal(storage_create(&storage, &config, &hooks), 0);
}

static inline void guest_open(void)
{
    channel = shim_channel_new();
    assert_int_equal(storage_device_ops.open(storage, channel, 0), 0);
}

static inline void guest_close(void)
{
    storage_device_ops.close(storage, channel, 0);
    shim_channel_free(channel);
    channel = NULL;
}

/* A disk of 8 MiB at LUN 0, and a guest that is ready. */
static inline int shim_storage_setup(void **state)
{
    const struct storage_unit unit = {.kind = STORAGE_DISK, .disk = NULL};
    struct storage_unit u = unit;

    guest_memory = calloc(SHIM_PAGES, 4096);
    image = shim_disk_new(8U << 20, 512);
    atomic_store(&asked_channels, 0);
    atomic_store(&ejects, 0);
    channels_error = 0;
    controller_make();
    u.disk = image;
    assert_int_equal(storage_attach(storage, 0, &u), 0);
    guest_open();
    guest_initialize(channel);
    return 0;
}

static inline int shim_storage_teardown(void **state)
{
    if (image)
        shim_disk_release(image);
    if (channel)
        guest_close();
    storage_destroy(storage);
    shim_disk_free(image);
    free(guest_memory);
    return 0;
}

#endif
