/* SPDX-License-Identifier: MIT */
#ifndef VMWP_MACHINE_H
#define VMWP_MACHINE_H

#include "vmwp/config.h"
#include "vmwp/console.h"
#include "vmwp/control.h"

/* One machine: its parts, from which it is built anew at each reset. */

struct machine;

/** The files of a machine, open. */
struct machine_files {
    int kernel;
    int initrd;   /* -1: none */
    int listener; /* of [hvsocket]; -1: none */
};

/** Why a machine stopped. */
enum machine_outcome {
    MACHINE_RUNS,
    MACHINE_OFF,     /* the guest has switched it off */
    MACHINE_RESET,   /* the guest wants it built anew */
    MACHINE_CRASHED, /* a triple fault, and on_crash says that this is the end */
    MACHINE_QUIT,    /* the user or a signal has ended it */
    MACHINE_FAILED,
};

/** Open the files that the configuration names. 0, or -errno with *why. */
int machine_files_open(struct machine_files *files, const struct config *config,
                       struct problem *why);
void machine_files_close(struct machine_files *files);

/** Connect to the hypervisor and open the disks; no thread is made yet. Configuration, files,
 * console and control (or NULL) are borrowed. 0, or -errno. */
int machine_create(struct machine **out, const struct config *config,
                   const struct machine_files *files, struct console *console,
                   struct control *control, struct problem *why);
/** NULL is allowed. 0, or -errno with *why: the last writes to a disk have failed. */
int machine_destroy(struct machine *m, struct problem *why);

/** Make partition, memory, devices and processors, all as after power-on. It opens nothing, so that
 * it can be done without the rights to. 0, or -errno. */
int machine_build(struct machine *m, struct problem *why);

/** Run what machine_build() made, and take it apart. With MACHINE_FAILED *why is set. */
enum machine_outcome machine_run(struct machine *m, struct problem *why);

#endif
