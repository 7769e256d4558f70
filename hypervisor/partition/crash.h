/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CRASH_H
#define PARTITION_CRASH_H

#include <stdbool.h>

struct vp;

/**
 * A guest reports its crash (TLFS "Guest Crash Enlightenment"): log the parameters
 * P0..P4 of its partition and, if `with_message`, the printable start of the text at
 * guest physical address P3 with P4 bytes. The rate is limited over all guests.
 */
void crash_report(struct vp *vp, bool with_message);

#endif
