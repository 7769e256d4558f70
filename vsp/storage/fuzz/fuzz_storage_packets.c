/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "abi/vsp/storage/srb.h"
#include "tests/unit/shim_channel.h"
#include "tests/unit/shim_storage_disk.h"
#include "vsp/storage/storage_priv.h"

/*
 * Packets of a guest against the whole VSP but its threads: what channel.c does is done here, in
 * turn. Each packet that wants an answer gets one, and what the answer says is possible.
 */

#define DEPTH  16U
#define RECORD 32U

static struct storage *s;
static struct channel c;
static struct request requests[DEPTH];
static struct iovec vectors[DEPTH][STORAGE_VECTORS];
static struct disk *disk, *iso;
static unsigned taken, answered;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool true_always)
{
    if (!true_always)
        abort();
}

int channel_create(struct channel **out, struct storage *storage, struct vmbus_channel *vmbus,
                   unsigned sub, struct saved_channel *saved)
{
    return -EINVAL;
}

void channel_destroy(struct channel *channel)
{
}

void channel_kick(struct channel *channel)
{
}

void channel_answer(struct channel *channel, struct request *r)
{
    struct vstor_request srb;

    need(r->unit == NULL && r->bounce == NULL);
    need(r->reply.header.operation == VSTOR_COMPLETE_IO);
    need(r->reply_length >= VSTOR_PACKET_SIZE_OLD && r->reply_length <= VSTOR_PACKET_SIZE);
    memcpy(&srb, r->reply.payload, sizeof(srb));
    if (r->srb_status) { /* of a SCSI request */
        need(srb.data_length <= r->srb.data_length);
        need(srb.sense_length <= VSTOR_SENSE_MAX || !(srb.srb_status & SRB_STATUS_AUTOSENSE_VALID));
    }
    answered++;
    request_drop(r);
}

static void drain(void)
{
    c.storage = s;
    while (c.waiting.head)
        (void)request_start_waiting(&c, true);
    while (disk_queue_busy(c.queue) > 0) {
        disk_queue_flush(c.queue);
        (void)disk_queue_reap(c.queue);
    }
}

static void start(bool ready)
{
    const struct storage_config config = {.vp_count = 4, .sub_channel_max = 8};
    struct storage_unit unit = {.kind = STORAGE_DISK, .disk = disk};

    need(storage_create(&s, &config, &(struct storage_hooks){NULL, NULL, NULL}) == 0);
    need(storage_attach(s, 0, &unit) == 0);
    unit = (struct storage_unit){.kind = STORAGE_DVD, .disk = iso};
    need(storage_attach(s, 1, &unit) == 0);
    c.storage = s;
    c.free = NULL;
    for (unsigned i = 0; i < DEPTH; i++) {
        memset(&requests[i], 0, sizeof(requests[i]));
        requests[i].channel = &c;
        requests[i].iov = vectors[i];
        requests[i].next = c.free;
        c.free = &requests[i];
    }
    list_init(&c.waiting);
    protocol_open(&c.protocol, !ready, VSTOR_VERSION_6_2, 3, STORAGE_TRANSFER_MAX);
    taken = answered = 0;
}

/* p: operation, LUN, lengths, direction, CDB, and where its buffer lies. */
static void packet(const uint8_t *p)
{
    static uint64_t pfns[SHIM_PFNS];
    struct vstor_request srb = {
        .lun = p[2] & 3, .cdb_length = p[3] % 20, .sense_length = p[4], .data_in = p[5] % 4};
    struct vstor_packet v = {.header = {.operation = p[1] % 24}};
    uint32_t length = (uint32_t)(p[6] | p[7] << 8) << (p[8] & 7), offset = p[9] * 16U;
    struct vmbus_packet packet = {.type = p[8] & 0x80 ? VMBUS_PACKET_INBAND : VMBUS_PACKET_DIRECT,
                                  .data = &v,
                                  .length = p[10] ? VSTOR_PACKET_SIZE : p[11] % 80U,
                                  .range_count = p[8] & 0x40 ? p[12] : 1};
    struct request *r = c.free;

    if (!r)
        return;
    srb.data_length = length;
    srb.target = p[2] >> 6;
    memcpy(srb.cdb, p + 16, 16);
    memcpy(v.payload, &srb, sizeof(srb));
    for (unsigned i = 0; i < SHIM_PFNS; i++)
        pfns[i] = (p[13] * 17U + i) % (p[14] & 1 ? 64 : SHIM_PAGES + 1);
    packet.range = (struct vmbus_range){p[8] & 0x20 ? length + 1 : length, offset, pfns,
                                        p[14] & 2 ? p[15] : SHIM_PFNS};
    c.free = r->next;
    r->next = NULL;
    r->srb_status = 0;
    taken++;
    request_packet(r, &packet);
    if (c.protocol.state == PROTOCOL_BROKEN)
        taken--;
}

static void host(const uint8_t *p)
{
    const struct storage_limits limits = {.iops = p[2],
                                          .bytes_s = p[3] ? 65536U << (p[3] & 15) : 0};
    struct disk *old;

    switch (p[1] % 6) {
    case 0:
        (void)storage_limit(s, p[4] & 3, &limits);
        break;
    case 1:
        drain();
        (void)storage_medium(s, 1, p[2] & 1 ? iso : NULL, p[3] & 1, &old);
        break;
    case 2:
        drain();
        if (storage_detach(s, p[2] & 1, &old) == 0 && old)
            (void)storage_attach(
                s, p[2] & 1,
                &(struct storage_unit){.kind = old == iso ? STORAGE_DVD : STORAGE_DISK,
                                       .disk = old,
                                       .read_only = p[3] & 1});
        break;
    case 3:
        atomic_store(&disk->fail[p[2] % 5], p[3] & 1 ? -EIO : -ENOTSUP);
        break;
    case 4:
        (void)request_start_waiting(&c, p[2] & 1);
        break;
    default:
        disk_queue_flush(c.queue);
        (void)disk_queue_reap(c.queue);
        break;
    }
}

static void make_once(void)
{
    if (guest_memory)
        return;
    guest_memory = calloc(SHIM_PAGES, 4096);
    disk = shim_disk_new(4U << 20, 512);
    iso = shim_disk_new(1U << 20, 2048);
    need(disk_queue_create(&c.queue, DEPTH) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_once();
    start(size && data[0] & 1);
    for (size_t at = 1; at + RECORD <= size; at += RECORD) {
        if (data[at] & 0x80)
            host(data + at);
        else
            packet(data + at);
    }
    drain();
    need(taken == answered);
    storage_destroy(s);
    for (unsigned i = 0; i < 5; i++)
        atomic_store(&disk->fail[i], 0);
    return 0;
}
