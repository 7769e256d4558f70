/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_OVERLAY_H
#define PARTITION_OVERLAY_H

#include "hypervisor/mm/gpamap.h"
#include "lib/types.h"

struct partition;

/**
 * A page of the hypervisor that lies over a page of the guest's memory (TLFS "Overlay Pages"). What
 * the guest's own page is, or becomes while it is covered, does not matter: it may be away. When
 * the overlay is taken away the guest's own page is as it was. All zero is "not shown".
 *
 * A partition has one for hypercalls and one for reference time; each VP has its assist page and
 * those of its SynIC. The partition's lock protects all of them.
 */
struct overlay {
    bool shown;
    gpa_t at;                 /* where it is shown */
    struct gpa_backing below; /* of the guest's page there */
    hpa_t frame; /* ours; kept while hidden, so that hiding and showing again cannot fail */
};

/**
 * Free pages of its pool that a partition keeps for overlays, and each of its VPs besides: frames,
 * and a table for each that lies in a large page.
 */
#define OVERLAY_PAGES    4U
#define OVERLAY_VP_PAGES 6U

/** A VP comes, and pages are kept for it, or goes. 0 or -ENOMEM. For the root none are kept: 0. */
int overlay_vp_reserve(struct partition *p);
void overlay_vp_release(struct partition *p);

/**
 * Show `len` bytes, then zeros, at the page `at`, for the guest to use with `access`; an earlier
 * place is given back. If it is shown there already it stays as it is. The partition's lock is
 * held. Returns 0; -EFAULT if there is no memory that the guest may write, or another overlay;
 * -ENOMEM. On errors nothing has changed.
 */
int overlay_show(struct partition *p, struct overlay *o, gpa_t at, const void *bytes, size_t len,
                 unsigned access);

/** Free the frame of an overlay that is hidden and will not be shown again. */
void overlay_free(struct partition *p, struct overlay *o);

/** Its bytes, or NULL while it is hidden; with the partition's lock, or what else keeps it so. */
void *overlay_bytes(const struct overlay *o);

/**
 * The first overlay that the partition sees in [at, at + len), or NULL. Without the partition's
 * lock the answer may have changed already.
 */
struct overlay *overlay_in(struct partition *p, gpa_t at, uint64_t len);

/** Does the partition see an overlay in the page of this address, just now? */
bool overlay_at(struct partition *p, gpa_t at);

/** Give the guest its page back; harmless when hidden. The partition's lock is held. */
void overlay_hide(struct partition *p, struct overlay *o);

#endif
