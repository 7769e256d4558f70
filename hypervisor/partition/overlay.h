/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_OVERLAY_H
#define PARTITION_OVERLAY_H

#include "hypervisor/mm/gpamap.h"
#include "lib/types.h"

struct partition;

/**
 * A page of the hypervisor that lies over a page of the guest's RAM (TLFS "Overlay
 * Pages"): the guest can read and execute it, a write raises #GP, and when it is
 * taken away the guest's own page is as it was. All zero is "not shown".
 */
struct overlay {
    bool shown;
    gpa_t at;                 /* where it is shown */
    struct gpa_backing below; /* of the guest's page there */
    hpa_t frame; /* ours; kept while hidden, so that hiding and showing again cannot fail */
};

/** Free pages of its pool that a partition keeps for overlays: the frame, and tables around it. */
#define OVERLAY_PAGES 4U

/**
 * Show `len` bytes, then zeros, at the page `at`; an earlier place is given back.
 * The partition's lock is held. Returns 0; -EFAULT if the guest cannot write there,
 * -ENOMEM; then the overlay is hidden.
 */
int overlay_show(struct partition *p, struct overlay *o, gpa_t at, const void *bytes, size_t len);

/** Free the frame of an overlay that is hidden and will not be shown again. */
void overlay_free(struct partition *p, struct overlay *o);

/** Does the partition see an overlay in the page of this address, just now? */
bool overlay_at(const struct partition *p, gpa_t at);

/** Give the guest its page back; harmless when hidden. The partition's lock is held. */
void overlay_hide(struct partition *p, struct overlay *o);

#endif
