/* SPDX-License-Identifier: MIT */
#ifndef VSP_STORAGE_SCSI_PRIV_H
#define VSP_STORAGE_SCSI_PRIV_H

#include "lib/string.h"
#include "vsp/storage/scsi.h"

/*
 * Between the files of the SCSI layer: the table of commands and helpers.
 */

/* Flags of a command, besides SCSI_DISK and SCSI_OPTICAL for the kinds that know it. */
#define COMMAND_UNATTENDED 0x0100U /* runs while a unit attention is pending */
#define COMMAND_MEDIUM     0x0200U /* needs a medium */
#define COMMAND_CHANGES    0x0400U /* needs one that may be written */
#define COMMAND_LIST       0x0800U /* has a parameter list; `list` says how long it is */

#define COMMAND_SILENT 0x1000U /* never answers with data: the quick ones */

#define COMMAND_NO_SERVICE 0xFFU /* there is only one command with this opcode */

struct scsi_command {
    uint8_t opcode;
    uint8_t service; /* action in the low 5 bits of byte 1, or COMMAND_NO_SERVICE */
    uint16_t flags;
    enum reserve_access access;
    void (*run)(struct scsi_device *d, struct scsi_task *t);
    /** Length of the parameter list that the CDB names. */
    uint32_t (*list)(const struct scsi_device *d, const struct scsi_task *t);
    uint8_t
        usage[16]; /* bits of the CDB that mean something, for REPORT SUPPORTED OPERATION CODES */
};

extern const struct scsi_command scsi_commands[];
extern const unsigned scsi_command_count;

/** The command of a CDB for this kind of device; NULL: there is none. */
const struct scsi_command *scsi_command_find(const struct scsi_device *d, const uint8_t *cdb);

/** Length of a CDB by the group of its opcode; 0: no group that is used. */
unsigned scsi_cdb_length(uint8_t opcode);

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t be64(const uint8_t *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

/** The `size` low bytes of v. */
static inline void be_put(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
}

/** End with CHECK CONDITION. */
static inline void scsi_sense(struct scsi_task *t, uint8_t key, uint16_t asc)
{
    t->status = SCSI_CHECK_CONDITION;
    t->key = key;
    t->asc = asc;
    t->data_length = 0;
    t->io.kind = SCSI_IO_NONE;
}

static inline void scsi_illegal(struct scsi_task *t, uint16_t asc)
{
    scsi_sense(t, SENSE_ILLEGAL_REQUEST, asc);
}

/** Answer with `length` bytes of t->data, cut to what the CDB allows and the buffer holds. */
void scsi_respond(struct scsi_task *t, uint32_t length, uint32_t allocation);

/** Write text that is padded with spaces. */
void scsi_text(uint8_t *to, const char *text, unsigned size);

/** Whether the guest's buffer, if there is one, may be used so. */
static inline bool scsi_direction_is(const struct scsi_task *t, enum scsi_direction direction)
{
    return t->direction == direction || t->direction == SCSI_DATA_ANY;
}

/* scsi_unit.c */
void scsi_test_ready(struct scsi_device *d, struct scsi_task *t);
void scsi_request_sense(struct scsi_device *d, struct scsi_task *t);
void scsi_start_stop(struct scsi_device *d, struct scsi_task *t);
void scsi_prevent_allow(struct scsi_device *d, struct scsi_task *t);
void scsi_diagnostic(struct scsi_device *d, struct scsi_task *t);

/** The next thing that this initiator must be told, 0: nothing. Once told it is forgotten. */
uint16_t scsi_attention_take(struct scsi_device *d, const uint8_t *initiator);

/* scsi_block.c */
void scsi_read(struct scsi_device *d, struct scsi_task *t);
void scsi_write(struct scsi_device *d, struct scsi_task *t);
void scsi_verify(struct scsi_device *d, struct scsi_task *t);
void scsi_write_verify(struct scsi_device *d, struct scsi_task *t);
void scsi_seek(struct scsi_device *d, struct scsi_task *t);
void scsi_synchronize(struct scsi_device *d, struct scsi_task *t);
void scsi_capacity_10(struct scsi_device *d, struct scsi_task *t);
void scsi_capacity_16(struct scsi_device *d, struct scsi_task *t);

/* scsi_space.c */
void scsi_write_same(struct scsi_device *d, struct scsi_task *t);
uint32_t scsi_write_same_list(const struct scsi_device *d, const struct scsi_task *t);
void scsi_unmap(struct scsi_device *d, struct scsi_task *t);
uint32_t scsi_unmap_list(const struct scsi_device *d, const struct scsi_task *t);
void scsi_lba_status(struct scsi_device *d, struct scsi_task *t);

/* scsi_inquiry.c */
void scsi_inquiry(struct scsi_device *d, struct scsi_task *t);
void scsi_report_luns(struct scsi_device *d, struct scsi_task *t);
void scsi_supported_codes(struct scsi_device *d, struct scsi_task *t);

/* scsi_mode.c */
void scsi_mode_sense(struct scsi_device *d, struct scsi_task *t);
void scsi_mode_select(struct scsi_device *d, struct scsi_task *t);
uint32_t scsi_mode_select_list(const struct scsi_device *d, const struct scsi_task *t);

/* scsi_reserve.c */
void scsi_reserve(struct scsi_device *d, struct scsi_task *t);
void scsi_release(struct scsi_device *d, struct scsi_task *t);
void scsi_pr_in(struct scsi_device *d, struct scsi_task *t);
void scsi_pr_out(struct scsi_device *d, struct scsi_task *t);
uint32_t scsi_pr_out_list(const struct scsi_device *d, const struct scsi_task *t);

/* scsi_optical.c */
void scsi_read_toc(struct scsi_device *d, struct scsi_task *t);
void scsi_configuration(struct scsi_device *d, struct scsi_task *t);
void scsi_event_status(struct scsi_device *d, struct scsi_task *t);
void scsi_disc_information(struct scsi_device *d, struct scsi_task *t);
void scsi_track_information(struct scsi_device *d, struct scsi_task *t);
void scsi_dvd_structure(struct scsi_device *d, struct scsi_task *t);
void scsi_mechanism_status(struct scsi_device *d, struct scsi_task *t);
void scsi_read_cd(struct scsi_device *d, struct scsi_task *t);

/** scsi_block.c: whether the blocks are in the medium and not too many; else t is ended. */
bool scsi_span_check(const struct scsi_device *d, struct scsi_task *t, uint64_t lba,
                     uint64_t blocks, uint64_t max_bytes);

#endif
