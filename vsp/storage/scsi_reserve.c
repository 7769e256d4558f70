/* SPDX-License-Identifier: MIT */
#include "lib/bits.h"
#include "vsp/storage/scsi_priv.h"

/*
 * Commands on reservations: SPC-2 RESERVE and RELEASE, SPC-4 PERSISTENT RESERVE IN and OUT.
 */

#define OUT_LIST 24U /* bytes of the parameter list of PERSISTENT RESERVE OUT */

/* Byte 20 of it. */
#define OUT_SPEC_I_PT 0x08U
#define OUT_APTPL     0x01U

static void result_set(struct scsi_task *t, enum reserve_result result)
{
    switch (result) {
    case RESERVE_DONE:
        break;
    case RESERVE_CONFLICT:
        t->status = SCSI_RESERVATION_CONFLICT;
        break;
    case RESERVE_FULL:
        scsi_illegal(t, ASC_INSUFFICIENT_REGISTRATIONS);
        break;
    case RESERVE_INVALID_RELEASE:
        scsi_illegal(t, ASC_INVALID_RELEASE);
        break;
    case RESERVE_INVALID:
        scsi_illegal(t, ASC_INVALID_FIELD_IN_LIST);
        break;
    }
}

/* Extents and third parties (bits 4 and 0) have long been obsolete. Who is registered uses the
 * persistent kind only. */
void scsi_reserve(struct scsi_device *d, struct scsi_task *t)
{
    if (t->cdb[1] & 0x11)
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
    else if (reserve_registrants(&d->reserve) > 0)
        t->status = SCSI_RESERVATION_CONFLICT;
    else
        result_set(t, reserve_plain(&d->reserve, t->initiator));
}

void scsi_release(struct scsi_device *d, struct scsi_task *t)
{
    if (t->cdb[1] & 0x11)
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
    else
        reserve_plain_release(&d->reserve, t->initiator);
}

static uint32_t in_keys(const struct reserve *r, uint8_t *p)
{
    uint32_t length = 8;

    for (unsigned i = 0; i < r->count; i++) {
        if (!r->registrant[i].key)
            continue;
        be_put(&p[length], r->registrant[i].key, 8);
        length += 8;
    }
    be_put(&p[4], length - 8, 4);
    return length;
}

static uint64_t holder_key(const struct reserve *r)
{
    for (unsigned i = 0; i < r->count; i++)
        if (!reserve_type_all(r->type) && reserve_holds(r, &r->registrant[i]))
            return r->registrant[i].key;
    return 0;
}

static uint32_t in_reservation(const struct reserve *r, uint8_t *p)
{
    if (!r->type)
        return 8;
    be_put(&p[4], 16, 4);
    be_put(&p[8], holder_key(r), 8);
    p[21] = r->type;
    return 24;
}

/* PTPL_C is 0: reservations end with the unit. */
static uint32_t in_capabilities(const struct reserve *r, uint8_t *p)
{
    be_put(&p[0], 8, 2);
    p[3] = 0x80; /* TMV */
    p[4] = 0xEA; /* the types, each by its bit */
    p[5] = 0x01;
    return 8;
}

/* An initiator is named like a SAS port: by the first bytes of its VM's identity. */
static uint32_t in_full_status(const struct reserve *r, uint8_t *p)
{
    uint32_t length = 8;

    for (unsigned i = 0; i < r->count; i++) {
        const struct registrant *who = &r->registrant[i];
        uint8_t *q = &p[length];
        if (!who->key)
            continue;
        be_put(&q[0], who->key, 8);
        q[12] = reserve_holds(r, who) ? 1 : 0;
        q[13] = reserve_holds(r, who) ? r->type : 0;
        be_put(&q[18], 1, 2); /* relative target port */
        be_put(&q[20], 24, 4);
        q[24] = 6; /* SAS */
        memcpy(&q[28], who->id, 8);
        length += 48;
    }
    be_put(&p[4], length - 8, 4);
    return length;
}

void scsi_pr_in(struct scsi_device *d, struct scsi_task *t)
{
    static uint32_t (*const actions[])(const struct reserve *, uint8_t *) = {
        [PR_READ_KEYS] = in_keys,
        [PR_READ_RESERVATION] = in_reservation,
        [PR_REPORT_CAPABILITIES] = in_capabilities,
        [PR_READ_FULL_STATUS] = in_full_status,
    };
    unsigned action = t->cdb[1] & 0x1F;

    if (action >= ARRAY_SIZE(actions)) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    if (action != PR_REPORT_CAPABILITIES)
        be_put(&t->data[0], d->reserve.generation, 4);
    scsi_respond(t, actions[action](&d->reserve, t->data), be16(&t->cdb[7]));
}

uint32_t scsi_pr_out_list(const struct scsi_device *d, const struct scsi_task *t)
{
    return be32(&t->cdb[5]);
}

/* Scope and type matter to these. */
static bool action_typed(unsigned action)
{
    return action == PR_RESERVE || action == PR_RELEASE || action == PR_PREEMPT ||
           action == PR_PREEMPT_AND_ABORT;
}

static bool action_registers(unsigned action)
{
    return action == PR_REGISTER || action == PR_REGISTER_AND_IGNORE;
}

static enum reserve_result out_run(struct reserve *r, const struct scsi_task *t, unsigned action)
{
    uint64_t key = be64(&t->data[0]), service = be64(&t->data[8]);
    uint8_t type = t->cdb[2] & 0x0F;

    switch (action) {
    case PR_REGISTER:
    case PR_REGISTER_AND_IGNORE:
        return reserve_register(r, t->initiator, key, service, action == PR_REGISTER_AND_IGNORE);
    case PR_RESERVE:
        return reserve_acquire(r, t->initiator, key, type);
    case PR_RELEASE:
        return reserve_release(r, t->initiator, key, type);
    case PR_CLEAR:
        return reserve_clear(r, t->initiator, key);
    default: /* there is nothing to abort: another VM's commands are in another process */
        return reserve_preempt(r, t->initiator, key, service, type);
    }
}

void scsi_pr_out(struct scsi_device *d, struct scsi_task *t)
{
    unsigned action = t->cdb[1] & 0x1F;

    if (action > PR_REGISTER_AND_IGNORE ||
        (action_typed(action) && (t->cdb[2] & 0xF0 || !reserve_type_valid(t->cdb[2] & 0x0F)))) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    if (be32(&t->cdb[5]) != OUT_LIST || t->data_length < OUT_LIST) {
        scsi_illegal(t, ASC_PARAMETER_LIST_LENGTH);
        return;
    }
    if (t->data[20] & OUT_SPEC_I_PT || (action_registers(action) && t->data[20] & OUT_APTPL)) {
        scsi_illegal(t, ASC_INVALID_FIELD_IN_LIST);
        return;
    }
    if (d->reserve.plain) {
        t->status = SCSI_RESERVATION_CONFLICT;
        return;
    }
    result_set(t, out_run(&d->reserve, t, action));
}
