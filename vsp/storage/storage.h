/* SPDX-License-Identifier: MIT */
#ifndef VSP_STORAGE_STORAGE_H
#define VSP_STORAGE_STORAGE_H

#include "disk/disk.h"
#include "lib/save.h"
#include "vmbus/channel.h"

/*
 * The storage VSP: a synthetic SCSI controller with up to 64 logical units, disks and DVD drives.
 * It serves each channel that the guest has opened with a thread of its own. All functions may be
 * called from any thread but those; see docs/storage.md for the locks.
 */

#define STORAGE_LUNS             64U
#define STORAGE_DEPTH            512U /* requests of a channel at a time; Linux 6.1 has 303 */
#define STORAGE_SUB_CHANNELS_MAX 64U
#define STORAGE_TRANSFER_MAX     (8U << 20) /* bytes of a request */

struct storage;

struct storage_config {
    struct vmbus_guid instance; /* the controller */
    uint8_t initiator[16];      /* the VM, to other users of a shared disk */
    unsigned vp_count;          /* no more channels than that are of use */
    unsigned sub_channel_max;   /* that the guest may ask for */
    bool luns_attention;        /* tell of changed LUNs by unit attention too; Linux warns of it */
};

/** Calls out of the VSP, from the thread of a channel. They only make a note: none may wait for
 * the thread that calls the VSP, or for storage_*() calls. */
struct storage_hooks {
    void *ctx;
    /** The guest wants `count` sub-channels of a channel: offer them. 0 or -errno, which the guest
     * sees. */
    int (*sub_channels)(void *ctx, struct vmbus_channel *channel, unsigned count);
    /** The guest has ejected the medium: storage_ejected() gives the disk back. */
    void (*ejected)(void *ctx, unsigned lun);
};

/** Nothing is attached. 0, -EINVAL or -ENOMEM. */
int storage_create(struct storage **out, const struct storage_config *config,
                   const struct storage_hooks *hooks);
/** All channels are closed. Disks stay the caller's, who closes them after this. NULL is allowed.
 */
void storage_destroy(struct storage *s);

/** How it is offered to the guest. */
void storage_offer(const struct storage *s, struct vmbus_offer *offer);
/** The device is the struct storage. */
extern const struct vmbus_device_ops storage_device_ops;

enum storage_kind {
    STORAGE_DISK,
    STORAGE_DVD,
};

struct storage_limits {
    uint64_t iops;    /* 0: none */
    uint64_t bytes_s; /* 0: none, else at least 65536 */
};

struct storage_unit {
    enum storage_kind kind;
    struct disk *disk; /* NULL: an empty drive */
    bool read_only;    /* even if the image is not */
    struct storage_limits limits;
};

/**
 * Put a unit at a LUN, at any time. The disk stays open, and is used, until storage_detach() or
 * storage_medium() has returned it; then its owner closes it. 0, -EINVAL (such a disk cannot be
 * that), -ERANGE (no such LUN), -EEXIST.
 */
int storage_attach(struct storage *s, unsigned lun, const struct storage_unit *unit);
/** Take a unit away: waits for what is in flight. Its disk, or NULL, is in *disk. 0, -ENOENT;
 * -EBUSY: another thread does the same, or changes its medium. */
int storage_detach(struct storage *s, unsigned lun, struct disk **disk);
/** Put another medium into a drive, or none: waits for what is in flight on the old one, which is
 * in *old (or NULL). 0, -ENOENT, -EINVAL; -EBUSY: the guest has locked it, and `force` is not set;
 * the guest has been asked to eject it. -EBUSY as above. */
int storage_medium(struct storage *s, unsigned lun, struct disk *disk, bool force,
                   struct disk **old);
/** Take the disk of a medium that the guest has ejected, as storage_medium() would. 0; -ENOENT:
 * there is none, or another medium by now. */
int storage_ejected(struct storage *s, unsigned lun, struct disk **disk);
/** The disk has grown (disk_grow()): tell the guest. 0 or -ENOENT. */
int storage_grown(struct storage *s, unsigned lun);
/** 0, -ENOENT or -EINVAL. What waits for the old limits goes ahead. */
int storage_limit(struct storage *s, unsigned lun, const struct storage_limits *limits);

/** Of a unit since it was attached. */
struct storage_counters {
    uint64_t reads, read_bytes;
    uint64_t writes, write_bytes;
    uint64_t flushes;
    uint64_t discards, discard_bytes; /* and zeroing */
    uint64_t commands;                /* all others */
    uint64_t errors;                  /* answers that were no success */
    uint64_t delayed;                 /* by limits */
    unsigned in_flight;
};
int storage_counters(struct storage *s, unsigned lun, struct storage_counters *counters);

/** Of a channel since it was opened. */
struct storage_channel_counters {
    uint64_t packets;
    uint64_t batches;   /* of them */
    uint64_t waits;     /* times that there was nothing to do */
    uint64_t ring_full; /* answers that had to wait for room */
    bool broken;        /* the guest broke the protocol or the ring */
    uint16_t version;   /* of the protocol; 0: not agreed on */
};
/** `sub` 0 is the first. 0, or -ENOENT: not open. */
int storage_channel_counters(struct storage *s, unsigned sub,
                             struct storage_channel_counters *counters);

/** Stop: when it returns no request is in flight and no thread touches the guest's memory. */
void storage_pause(struct storage *s);
void storage_resume(struct storage *s);

/** All state that the guest can see, of a controller that is paused. */
void storage_save(struct storage *s, struct save_writer *w);
/** Into a controller with the same units attached, before its channels are opened: they go on
 * where they were. 0, or -EINVAL with nothing changed. */
int storage_load(struct storage *s, struct save_reader *r);

#endif
