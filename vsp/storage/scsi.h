/* SPDX-License-Identifier: MIT */
#ifndef VSP_STORAGE_SCSI_H
#define VSP_STORAGE_SCSI_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/vsp/storage/scsi.h"
#include "lib/save.h"
#include "vsp/storage/reserve.h"

/*
 * A logical unit as SCSI sees it. scsi_execute() decodes a CDB and either answers it at once or
 * says what the disk must do; it makes no calls and touches no guest memory. Its caller moves
 * data, and holds the lock of the LUN.
 */

#define SCSI_DATA_MAX   4096U        /* bytes of a response or a parameter list */
#define SCSI_EXTENT_MAX 128U         /* descriptors of an UNMAP */
#define SCSI_ZERO_MAX   (1ULL << 30) /* bytes of an UNMAP or a WRITE SAME */

enum scsi_kind {
    SCSI_DISK = 1U << 0,
    SCSI_OPTICAL = 1U << 1,
};

/** Things the guest has not been told of, in the order in which it is told; bits of `attention`. */
enum scsi_attention {
    ATTENTION_RESET,
    ATTENTION_MEDIUM_CHANGED,
    ATTENTION_LUNS_CHANGED,
    ATTENTION_CAPACITY_CHANGED,
    ATTENTION_COUNT,
};

/** What has happened to the medium, as MMC-6 numbers it. */
enum scsi_media_event {
    MEDIA_NO_CHANGE,
    MEDIA_EJECT_ASKED,
    MEDIA_NEW,
    MEDIA_REMOVED,
};

struct scsi_medium {
    uint64_t blocks;
    uint32_t block_size;       /* bytes, 512 to 4096 */
    uint8_t physical_exponent; /* a physical sector is 2^n blocks */
    uint32_t discard_blocks;   /* that give space back; 0: none do */
    bool read_only;
};

struct scsi_device {
    /* Set when it is attached. */
    enum scsi_kind kind;
    uint8_t identity[16];
    uint32_t transfer_max;     /* bytes of a READ or WRITE */
    struct scsi_medium medium; /* all zero: there is none */
    /* Saved. */
    uint32_t attention;
    bool write_cache;            /* mode page 08h, WCE */
    bool prevented;              /* the medium may not be ejected */
    enum scsi_media_event event; /* GET EVENT STATUS has not told of it yet */
    struct reserve reserve;
};

enum scsi_direction {
    SCSI_NO_DATA,
    SCSI_DATA_IN,  /* to the guest */
    SCSI_DATA_OUT, /* from it */
    SCSI_DATA_ANY, /* there is a buffer, and the guest leaves it to the command */
};

enum scsi_io_kind {
    SCSI_IO_NONE,    /* answered: a response of data_length bytes, if any */
    SCSI_IO_READ,    /* into the guest's buffer */
    SCSI_IO_WRITE,   /* from it */
    SCSI_IO_VERIFY,  /* read, and nothing else */
    SCSI_IO_COMPARE, /* read, and compare with the guest's buffer */
    SCSI_IO_SAME,    /* write the block in `data` again and again */
    SCSI_IO_ZERO,
    SCSI_IO_DISCARD, /* the extents */
    SCSI_IO_FLUSH,
};

struct scsi_extent {
    uint64_t offset, length; /* bytes */
};

struct scsi_io {
    enum scsi_io_kind kind;
    uint64_t offset, length; /* bytes of the disk, in it; whole blocks */
    bool fua;
    bool repeat; /* COMPARE: with one block, again and again */
    bool verify; /* WRITE: then read it */
    unsigned extent_count;
    struct scsi_extent extent[SCSI_EXTENT_MAX];
};

struct scsi_task {
    /* What the guest has sent. */
    uint8_t cdb[16];
    uint8_t cdb_length;
    enum scsi_direction direction;
    uint32_t buffer_length;   /* of the guest's buffer */
    const uint8_t *initiator; /* RESERVE_ID_SIZE bytes: who it is */
    uint64_t luns;            /* bits of those that are there */
    /** SCSI_DATA_MAX bytes: the parameter list, of which scsi_parameters() has said how much is
     * wanted; the response afterwards. */
    uint8_t *data;
    uint32_t data_length;
    /* What comes of it. */
    uint8_t status;
    uint8_t key;  /* and asc: with SCSI_CHECK_CONDITION */
    uint16_t asc; /* with the qualifier in the low byte */
    bool ejected; /* the guest has thrown the medium out */
    struct scsi_io io;
};

/** How many bytes of the guest's buffer the CDB wants in `data` before scsi_execute(). */
uint32_t scsi_parameters(const struct scsi_device *d, const struct scsi_task *t);

/** Run a CDB: t->io says what is to be done for it yet. */
void scsi_execute(struct scsi_device *d, struct scsi_task *t);

/** Run a CDB for a LUN where there is nothing. False: not one that can be answered. */
bool scsi_execute_absent(struct scsi_task *t);

/** The disk has done a part of t->io. A negative errno becomes status and sense data. */
void scsi_finish(struct scsi_task *t, int error);
/** A comparison has failed. */
void scsi_miscompare(struct scsi_task *t);

/** Fixed format (SPC-4 4.5.3): SENSE_FIXED_LENGTH bytes. */
void scsi_sense_fill(uint8_t *buf, uint8_t key, uint16_t asc);

/** The host wants the medium out, but the guest has locked it: ask the guest to eject. */
void scsi_eject_ask(struct scsi_device *d);
/** A guest begins that knows nothing of what was set before. Nothing is told: it has just come. */
void scsi_begin(struct scsi_device *d);
/** A logical unit, or bus, has been reset. */
void scsi_reset(struct scsi_device *d);
/** Another medium, or none. */
void scsi_medium_set(struct scsi_device *d, const struct scsi_medium *medium);
/** The medium has grown. */
void scsi_medium_grown(struct scsi_device *d, uint64_t blocks);

static inline bool scsi_medium_present(const struct scsi_device *d)
{
    return d->medium.block_size != 0;
}

void scsi_device_save(const struct scsi_device *d, struct save_writer *w);
/** Inside of a section of the reader; what is no state is kept. */
void scsi_device_load(struct scsi_device *d, struct save_reader *r);

#endif
