/* SPDX-License-Identifier: MIT */
#ifndef SHIM_OVERLAY_H
#define SHIM_OVERLAY_H

#include "hypervisor/partition/overlay.h"
#include "lib/errno.h"
#include "lib/string.h"

/*
 * Nested tables are not modelled: the bytes of an overlay are those of the guest's own page. Who
 * includes this says with shim_overlay_page() which pages a guest may cover, NULL for none.
 */
void *shim_overlay_page(gpa_t at);

int overlay_show(struct partition *p, struct overlay *o, gpa_t at, const void *bytes, size_t len,
                 unsigned access)
{
    uint8_t *page = shim_overlay_page(at);

    if (o->shown && o->at.v == at.v)
        return 0;
    if (!page)
        return -EFAULT;
    o->shown = true;
    o->at = at;
    memset(page, 0, PAGE_SIZE);
    if (len)
        memcpy(page, bytes, len);
    return 0;
}

void *overlay_bytes(const struct overlay *o)
{
    return o->shown ? shim_overlay_page(o->at) : NULL;
}

void overlay_hide(struct partition *p, struct overlay *o)
{
    o->shown = false;
}

void overlay_free(struct partition *p, struct overlay *o)
{
}

#endif
