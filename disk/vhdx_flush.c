/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include "disk/vhdx_priv.h"

bool vhdx_dirty(const struct image *i)
{
    return atomic_load_explicit(&i->dirty, memory_order_acquire);
}

static uint64_t page_place(const struct image *i, struct vhdx_page p)
{
    uint64_t base = p.chunk == VHDX_PAGE_BAT
                        ? i->bat_offset
                        : vhdx_place(vhdx_entry(i, vhdx_bitmap_entry(i, p.chunk)));

    return base + (uint64_t)p.index * VHDX_PAGE;
}

/* All changed pages are one entry of the log. */
int vhdx_flush(struct image *i)
{
    struct vhdx_update update[VHDX_PAGES_MAX];
    void *pages = NULL;
    int err;

    if (i->read_only)
        return 0;
    if (i->failed || i->page_count == 0)
        return vhdx_sync(i);
    if (posix_memalign(&pages, VHDX_PAGE, (size_t)i->page_count * VHDX_PAGE) != 0)
        return -ENOMEM;
    for (unsigned k = 0; k < i->page_count; k++) {
        uint8_t *page = (uint8_t *)pages + (size_t)k * VHDX_PAGE;

        vhdx_page_fill(i, i->pages[k], page);
        update[k] = (struct vhdx_update){page_place(i, i->pages[k]), page};
    }
    err = vhdx_commit(i, update, i->page_count);
    free(pages);
    if (err)
        return err;
    i->page_count = 0;
    atomic_store_explicit(&i->dirty, false, memory_order_release);
    return 0;
}
