/* SPDX-License-Identifier: MIT */
#include "vsp/storage/scsi_priv.h"

/*
 * Small commands on the unit itself.
 */

/* What makes a unit not ready is checked before. */
void scsi_test_ready(struct scsi_device *d, struct scsi_task *t)
{
}

void scsi_request_sense(struct scsi_device *d, struct scsi_task *t)
{
    uint16_t asc = scsi_attention_take(d, t->initiator);

    if (t->cdb[1] & 1) /* DESC: sense data is in fixed format only */
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
    else if (asc)
        scsi_sense_fill(t->data, SENSE_UNIT_ATTENTION, asc);
    else if (!scsi_medium_present(d))
        scsi_sense_fill(t->data, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    else
        scsi_sense_fill(t->data, SENSE_NO_SENSE, ASC_NONE);
    if (t->status == SCSI_GOOD)
        scsi_respond(t, SENSE_FIXED_LENGTH, t->cdb[4]);
}

/* Disks always turn. A drive loads what lies in it, which is nothing once it was ejected. */
void scsi_start_stop(struct scsi_device *d, struct scsi_task *t)
{
    static const struct scsi_medium none;
    bool load_eject = t->cdb[4] & 2, start = t->cdb[4] & 1;

    if (!load_eject)
        return;
    if (d->kind != SCSI_OPTICAL)
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
    else if (start && !scsi_medium_present(d))
        scsi_sense(t, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    else if (!start && d->prevented)
        scsi_illegal(t, ASC_MEDIUM_REMOVAL_PREVENTED);
    else if (!start && scsi_medium_present(d)) {
        scsi_medium_set(d, &none);
        t->ejected = true;
    }
}

void scsi_prevent_allow(struct scsi_device *d, struct scsi_task *t)
{
    d->prevented = t->cdb[4] & 1;
}

/* The self-test passes. */
void scsi_diagnostic(struct scsi_device *d, struct scsi_task *t)
{
    if (be16(&t->cdb[3]) != 0)
        scsi_illegal(t, ASC_INVALID_FIELD_IN_CDB);
}
