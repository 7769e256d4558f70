/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include "abi/vsp/storage/srb.h"
#include "lib/bits.h"
#include "vsp/storage/storage_priv.h"

/*
 * A request of the guest: from the packet to the SCSI layer, to the disk, and to the answer.
 */

/* Which SRB status goes with sense data: Hyper-V's, which Linux' storvsc_handle_error() expects. A
 * changed capacity makes old versions of it scan the device only if the command was "aborted". */
static uint8_t srb_status_of(const struct scsi_task *t)
{
    if (t->status == SCSI_GOOD)
        return SRB_STATUS_SUCCESS;
    if (t->status == SCSI_BUSY)
        return SRB_STATUS_BUSY;
    if (t->status != SCSI_CHECK_CONDITION)
        return SRB_STATUS_ERROR;
    if (t->key == SENSE_ILLEGAL_REQUEST)
        return SRB_STATUS_INVALID_REQUEST;
    if (t->key == SENSE_UNIT_ATTENTION && t->asc == ASC_CAPACITY_CHANGED)
        return SRB_STATUS_ABORTED;
    return SRB_STATUS_ERROR;
}

/* Put the sense data over the CDB, if the guest has room for it. */
static void sense_put(struct request *r, struct vstor_request *srb)
{
    uint8_t sense[VSTOR_SENSE_MAX] = {0};
    unsigned room = protocol_sense_max(&r->channel->protocol);
    unsigned length = (unsigned)min_u64(SENSE_FIXED_LENGTH, min_u64(room, r->srb.sense_length));

    srb->sense_length = 0;
    if (r->task.status != SCSI_CHECK_CONDITION || length == 0)
        return;
    scsi_sense_fill(sense, r->task.key, r->task.asc);
    memset(srb->cdb, 0, sizeof(srb->cdb));
    memcpy(srb->cdb, sense, length);
    srb->sense_length = (uint8_t)length;
    srb->srb_status |= SRB_STATUS_AUTOSENSE_VALID;
}

static void answer(struct request *r)
{
    struct vstor_request srb = r->srb;

    srb.srb_status = r->srb_status;
    srb.scsi_status = r->task.status;
    srb.data_length = r->moved;
    sense_put(r, &srb);
    memcpy(r->reply.payload, &srb, sizeof(srb));
    r->reply.header.status =
        r->srb_status == SRB_STATUS_SUCCESS ? VSTOR_STATUS_SUCCESS : VSTOR_STATUS_UNSUCCESSFUL;
    channel_answer(r->channel, r);
}

/* End it without the SCSI layer: the transport says no. */
static void answer_transport(struct request *r, uint8_t srb_status)
{
    r->task.status = SCSI_GOOD;
    r->srb_status = srb_status;
    r->moved = 0;
    answer(r);
}

/* End it with what the SCSI layer has said. */
static void answer_scsi(struct request *r, uint32_t moved)
{
    r->srb_status = srb_status_of(&r->task);
    r->moved = r->task.status == SCSI_GOOD ? moved : 0;
    answer(r);
}

/* Copy between `buf` and the beginning of the guest's buffer. */
static void guest_copy(const struct request *r, uint8_t *buf, uint32_t length, bool to_guest)
{
    for (unsigned i = 0; i < r->iov_count && length > 0; i++) {
        uint32_t n = (uint32_t)min_u64(r->iov[i].iov_len, length);
        if (to_guest)
            memcpy(r->iov[i].iov_base, buf, n);
        else
            memcpy(buf, r->iov[i].iov_base, n);
        buf += n;
        length -= n;
    }
}

/* Bytes that a request without I/O has moved. */
static uint32_t moved_small(const struct scsi_task *t)
{
    return t->direction == SCSI_DATA_OUT ? t->buffer_length : t->data_length;
}

static void count(struct storage_counters *c, const struct scsi_io *io)
{
    switch (io->kind) {
    case SCSI_IO_READ:
        c->reads++;
        c->read_bytes += io->length;
        break;
    case SCSI_IO_WRITE:
        c->writes++;
        c->write_bytes += io->length;
        break;
    case SCSI_IO_ZERO:
        c->discards++;
        c->discard_bytes += io->length;
        break;
    case SCSI_IO_DISCARD:
        c->discards++;
        for (unsigned i = 0; i < io->extent_count; i++)
            c->discard_bytes += io->extent[i].length;
        break;
    case SCSI_IO_FLUSH:
        c->flushes++;
        break;
    default:
        c->commands++;
        break;
    }
}

/* What the limits charge it for. */
static uint64_t limited_bytes(const struct scsi_io *io)
{
    bool moves =
        io->kind != SCSI_IO_ZERO && io->kind != SCSI_IO_DISCARD && io->kind != SCSI_IO_FLUSH;

    return moves ? io->length : 0;
}

/* The disk is needed: it stays where it is until the request is done. */
static void unit_enter(struct unit *u, struct request *r)
{
    uint64_t now = 0;

    r->unit = u;
    r->image = u->disk;
    r->block_size = u->scsi.medium.block_size;
    r->limit_epoch = atomic_load_explicit(&u->limit_epoch, memory_order_relaxed);
    r->reset_epoch = atomic_load_explicit(&u->reset_epoch, memory_order_relaxed);
    r->start_ns = 0;
    u->busy++;
    if (u->limit.iops || u->limit.bytes_s) {
        now = storage_now_ns();
        r->start_ns = limit_schedule(&u->limit, now, limited_bytes(&r->task.io));
    }
    if (r->start_ns > now)
        u->counters.delayed++;
    else
        r->start_ns = 0;
}

static bool limits_as_charged(const struct request *r)
{
    return r->limit_epoch == atomic_load_explicit(&r->unit->limit_epoch, memory_order_relaxed);
}

static void unit_leave(struct request *r)
{
    struct unit *u = r->unit;

    (void)pthread_mutex_lock(&u->lock);
    if (r->start_ns && limits_as_charged(r)) /* it has not started */
        limit_refund(&u->limit, limited_bytes(&r->task.io));
    u->counters.errors += r->task.status != SCSI_GOOD;
    if (--u->busy == 0)
        (void)pthread_cond_broadcast(&u->idle);
    (void)pthread_mutex_unlock(&u->lock);
    r->unit = NULL;
    io_release(r);
}

/* Run the CDB. False: there is no unit. */
static bool unit_execute(struct unit *u, struct request *r)
{
    struct scsi_task *t = &r->task;
    bool attached;

    (void)pthread_mutex_lock(&u->lock);
    attached = u->attached;
    if (attached) {
        t->data_length = scsi_parameters(&u->scsi, t);
        guest_copy(r, t->data, t->data_length, false);
        scsi_execute(&u->scsi, t);
        count(&u->counters, &t->io);
        if (t->io.kind != SCSI_IO_NONE)
            unit_enter(u, r);
        else
            u->counters.errors += t->status != SCSI_GOOD;
    }
    (void)pthread_mutex_unlock(&u->lock);
    return attached;
}

static void start(struct request *r)
{
    if (r->start_ns)
        list_append(&r->channel->waiting, r);
    else
        io_start(r);
}

static void execute(struct request *r)
{
    struct storage *s = r->channel->storage;
    struct scsi_task *t = &r->task;
    bool here = r->srb.path == 0 && r->srb.target == 0 && r->srb.lun < STORAGE_LUNS;
    int err;

    if (here && unit_execute(&s->units[r->srb.lun], r)) {
        if (t->ejected && s->hooks.ejected)
            s->hooks.ejected(s->hooks.ctx, r->srb.lun);
    } else if (!scsi_execute_absent(t)) {
        answer_transport(r, SRB_STATUS_INVALID_LUN);
        return;
    }
    if (t->io.kind == SCSI_IO_NONE) {
        guest_copy(r, t->data, t->data_length, true);
        answer_scsi(r, moved_small(t));
        return;
    }
    err = io_prepare(r);
    if (err < 0)
        request_done(r, err);
    else
        start(r);
}

static enum scsi_direction direction_of(const struct vstor_request *srb)
{
    if (srb->data_length == 0)
        return SCSI_NO_DATA;
    if (srb->data_in == VSTOR_DATA_ANY)
        return SCSI_DATA_ANY;
    return srb->data_in == VSTOR_DATA_IN ? SCSI_DATA_IN : SCSI_DATA_OUT;
}

/* Look at the SRB and find the guest's buffer: the SRB status, SRB_STATUS_SUCCESS if it is good. */
static uint8_t decode(struct request *r, const struct vmbus_packet *packet)
{
    struct scsi_task *t = &r->task;
    uint32_t length = r->srb.data_length;
    bool direct = packet->type == VMBUS_PACKET_DIRECT && packet->range_count > 0;
    int n;

    t->cdb_length = r->srb.cdb_length;
    t->buffer_length = length;
    t->direction = direction_of(&r->srb);
    r->iov_count = 0;
    if (t->cdb_length == 0 || t->cdb_length > VSTOR_CDB_MAX || length > STORAGE_TRANSFER_MAX ||
        (length > 0 && r->srb.data_in > VSTOR_DATA_ANY))
        return SRB_STATUS_INVALID_REQUEST;
    memset(t->cdb, 0, sizeof(t->cdb));
    memcpy(t->cdb, r->srb.cdb, t->cdb_length);
    if (length == 0)
        return SRB_STATUS_SUCCESS;
    if (!direct || packet->range_count != 1 || packet->range.length != length)
        return SRB_STATUS_INVALID_REQUEST;
    n = vmbus_channel_map(r->channel->vmbus, &packet->range, 0, r->iov, STORAGE_VECTORS);
    if (n <= 0)
        return SRB_STATUS_INVALID_REQUEST;
    r->iov_count = (unsigned)n;
    return SRB_STATUS_SUCCESS;
}

static void packet_execute(struct request *r, const struct vmbus_packet *packet)
{
    struct storage *s = r->channel->storage;
    uint8_t status = decode(r, packet);

    if (status != SRB_STATUS_SUCCESS) {
        answer_transport(r, status);
        return;
    }
    r->task.initiator = s->config.initiator;
    r->task.luns = atomic_load_explicit(&s->luns, memory_order_relaxed);
    r->task.data = r->channel->data;
    execute(r);
}

static void reset(struct storage *s, bool all, const struct vstor_request *srb)
{
    for (unsigned i = 0; i < STORAGE_LUNS; i++)
        if (all || (srb->path == 0 && srb->target == 0 && srb->lun == i))
            unit_reset(&s->units[i]);
    atomic_fetch_add(&s->scan, 1);
    storage_kick(s);
}

static void subchannels(struct channel *c, struct protocol_result *result)
{
    const struct storage *s = c->storage;
    int err = s->hooks.sub_channels ? s->hooks.sub_channels(s->hooks.ctx, c->vmbus, result->count)
                                    : -ENOTSUP;

    if (err < 0)
        protocol_fail(result, VSTOR_STATUS_INSUFFICIENT_RESOURCES);
}

static void state_publish(struct channel *c, enum protocol_state before)
{
    atomic_store_explicit(&c->version, c->protocol.version, memory_order_relaxed);
    if (c->protocol.state == before || c->protocol.state != PROTOCOL_READY)
        return;
    storage_version_set(c->storage, c->protocol.version);
    /* It looks for units now, and finds all that came before. */
    atomic_store(&c->storage->enumerate, false);
}

void request_packet(struct request *r, const struct vmbus_packet *packet)
{
    struct channel *c = r->channel;
    enum protocol_state before = c->protocol.state;
    struct protocol_result result;

    protocol_packet(&c->protocol, packet->data, packet->length, &result);
    state_publish(c, before);
    r->transaction = packet->transaction;
    r->reply = result.reply;
    r->reply_length = result.reply_length;
    r->srb = result.request;
    switch (result.action) {
    case PROTOCOL_ERROR:
        atomic_store_explicit(&c->broken, true, memory_order_relaxed);
        request_drop(r);
        return;
    case PROTOCOL_EXECUTE:
        packet_execute(r, packet);
        return;
    case PROTOCOL_RESET_LUN:
    case PROTOCOL_RESET_BUS:
        reset(c->storage, result.action == PROTOCOL_RESET_BUS, &result.request);
        break;
    case PROTOCOL_SUBCHANNELS:
        subchannels(c, &result);
        r->reply = result.reply;
        break;
    case PROTOCOL_REPLY:
        break;
    }
    channel_answer(c, r);
}

void request_done(struct request *r, int error)
{
    const struct scsi_io *io = &r->task.io;
    uint32_t moved = r->task.buffer_length;

    if (io->kind == SCSI_IO_READ || (io->kind == SCSI_IO_WRITE && error == 0))
        moved = (uint32_t)io->length;
    scsi_finish(&r->task, error);
    unit_leave(r);
    answer_scsi(r, moved);
}

/* Why one that waits need not wait any more, or why one in steps does not go on. */
enum verdict { WAIT, GO, ABORT, GONE, EMPTY };

static enum verdict judge(const struct request *r, uint64_t now_ns, bool all)
{
    struct unit *u = r->unit;
    bool attached, present;

    (void)pthread_mutex_lock(&u->lock);
    attached = u->attached;
    present = scsi_medium_present(&u->scsi);
    (void)pthread_mutex_unlock(&u->lock);
    if (!attached || !present)
        return attached ? EMPTY : GONE;
    if (r->reset_epoch != atomic_load_explicit(&u->reset_epoch, memory_order_relaxed))
        return ABORT;
    if (all || r->start_ns <= now_ns || !limits_as_charged(r))
        return GO;
    return WAIT;
}

/* End it for such a reason, not GO. */
static void end_early(struct request *r, enum verdict verdict)
{
    if (verdict == EMPTY) {
        request_done(r, -ENOMEDIUM);
        return;
    }
    unit_leave(r);
    answer_transport(r, verdict == ABORT ? SRB_STATUS_BUS_RESET : SRB_STATUS_INVALID_LUN);
}

/* What can take minutes is not finished before a pause: the guest tries it again. */
static bool too_long_for_pause(const struct request *r)
{
    const struct scsi_io *io = &r->task.io;

    return atomic_load_explicit(&r->channel->storage->pausing, memory_order_relaxed) &&
           io->kind == SCSI_IO_SAME && io->length > STORAGE_TRANSFER_MAX;
}

bool request_go_on(struct request *r)
{
    enum verdict verdict = judge(r, 0, true);

    if (verdict != GO)
        end_early(r, verdict);
    else if (atomic_load_explicit(&r->channel->stop, memory_order_relaxed) || too_long_for_pause(r))
        request_done(r, -EAGAIN);
    else
        return true;
    return false;
}

bool request_start_waiting(struct channel *c, bool all)
{
    struct request *r = c->waiting.head, *next;
    uint64_t now = storage_now_ns();
    bool any = false;

    list_init(&c->waiting);
    for (; r; r = next) {
        enum verdict verdict = judge(r, now, all);
        next = r->next;
        if (verdict == WAIT) {
            list_append(&c->waiting, r);
            continue;
        }
        if (verdict != GO) {
            end_early(r, verdict);
        } else {
            r->start_ns = 0;
            io_start(r);
        }
        any = true;
    }
    return any;
}

uint64_t request_next_start(const struct channel *c)
{
    uint64_t first = UINT64_MAX;

    for (const struct request *r = c->waiting.head; r; r = r->next)
        first = min_u64(first, r->start_ns);
    return first;
}

void request_drop(struct request *r)
{
    struct channel *c = r->channel;

    if (r->unit)
        unit_leave(r);
    r->next = c->free;
    c->free = r;
}
