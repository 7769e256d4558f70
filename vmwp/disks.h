/* SPDX-License-Identifier: MIT */
#ifndef VMWP_DISKS_H
#define VMWP_DISKS_H

#include <jansson.h>
#include "vmwp/config.h"
#include "vsp/storage/storage.h"

/*
 * The disks of a machine and the synthetic SCSI controllers that they are on. They are opened
 * before the worker gives up its rights, and outlive a reset of the machine. Only the main thread
 * calls.
 */

struct disks;

/** Open everything that the configuration names. 0, or -errno with *why. */
int disks_open(struct disks **out, const struct config *config, struct problem *why);

/** Whether disks_open() would find all disks as they should be; nothing is changed, and others may
 * have them open. 0 or -errno. */
int disks_check(const struct config *config, struct problem *why);
/** Their threads, which are to have no more rights than the worker will have. Again does nothing.
 */
int disks_start(struct disks *d, struct problem *why);
/** No channel is open any more. NULL is allowed. -errno: the last writes to some disk have failed,
 * *why names it. */
int disks_close(struct disks *d, struct problem *why);

/** The controllers: NULL from the first on that there is not. */
struct storage *disks_controller(struct disks *d, unsigned controller);

/** An eventfd that is readable when the guest has ejected a medium; then disks_serve(). */
int disks_fd(const struct disks *d);
void disks_serve(struct disks *d);

/** Stop and go on: see storage_pause(). */
void disks_pause(struct disks *d);
void disks_resume(struct disks *d);

/*
 * While the machine runs. 0, or -errno with *why. `files`: the image and its parents, in order;
 * they belong to the disk if this succeeds.
 */

int disks_add(struct disks *d, const struct config_disk *what, const struct disk_given *files,
              unsigned count, struct problem *why);
int disks_remove(struct disks *d, unsigned controller, unsigned lun, struct problem *why);
int disks_resize(struct disks *d, unsigned controller, unsigned lun, uint64_t size,
                 struct problem *why);
/** Another medium for a drive, or none (count 0). `force`: also if the guest has locked it. */
int disks_medium(struct disks *d, unsigned controller, unsigned lun, bool force,
                 const struct disk_given *files, unsigned count, struct problem *why);
int disks_limit(struct disks *d, unsigned controller, unsigned lun, uint64_t iops,
                uint64_t bandwidth, struct problem *why);
/** A list of all disks with what they have done; NULL: out of memory. */
json_t *disks_counters(struct disks *d);

#endif
