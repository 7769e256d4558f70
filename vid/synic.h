/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_SYNIC_H
#define VID_SYNIC_H

/*
 * The parent's own synthetic interrupt controllers, one for each processor: pages for messages,
 * event flags and the rings of doorbells, and the upcall that empties them.
 */

/** Sets up all processors, also those that come later; 0 or -errno. */
int vid_synic_init(void);

/** Masks and disables them on all processors. Messages that are there already are taken first. */
void vid_synic_exit(void);

#endif
