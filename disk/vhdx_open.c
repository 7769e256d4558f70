/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_priv.h"
#include "lib/bits.h"

static int vhdx_writer(struct image *i)
{
    return vhdx_session(i, true);
}

const struct disk_format format_vhdx = {
    .name = "vhdx",
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = vhdx_close,
    .map = vhdx_map,
    .write = vhdx_write,
    .discard = vhdx_discard,
    .flush = vhdx_flush,
    .dirty = vhdx_dirty,
    .writer = vhdx_writer,
    .resize = vhdx_resize,
    .create = vhdx_create,
    .check = vhdx_check,
    .compact = vhdx_compact,
    .set_parent = vhdx_set_parent,
};

int vhdx_load(struct image *i, vhdx_bad_entry *bad, void *ctx, struct problem *why)
{
    int err = file_size(i->file, &i->file_bytes);

    if (err)
        return problem_set(why, err, "its size cannot be read: %s", strerror(-err));
    i->overlay.size = i->file_bytes;
    err = vhdx_header_load(i, why);
    if (!err)
        err = vhdx_replay(i, why);
    if (err)
        return err;
    i->space.units = i->file_bytes / VHDX_MIB + (i->file_bytes % VHDX_MIB != 0);
    i->data_end = i->read_only ? i->file_bytes : UINT64_MAX;
    err = vhdx_space_room(&i->space, i->space.units);
    if (err)
        return problem_set(why, err, "a file of %llu bytes: %s", (unsigned long long)i->file_bytes,
                           strerror(-err));
    err = vhdx_regions_load(i, why);
    if (!err)
        err = vhdx_metadata_load(i, why);
    if (!err)
        err = vhdx_bat_load(i, bad, ctx, why);
    return err;
}

void vhdx_free(struct image *i)
{
    for (uint32_t c = 0; i->bitmap && c < i->chunks; c++)
        free(atomic_load_explicit(&i->bitmap[c], memory_order_relaxed));
    free(i->bitmap);
    free(i->bat);
    free(i->regions);
    free(i->metadata);
    free(i->space.used);
    free(i->space.freed);
    free(i->log.buf);
    vhdx_overlay_free(&i->overlay);
    free(i);
}

static void fill_geometry(const struct image *i, struct image_geometry *g)
{
    g->kind = i->has_parent ? "differencing" : i->leave_allocated ? "fixed" : "dynamic";
    g->block_size = i->block_size;
    g->size = i->size;
    g->sector_size = i->sector_size;
    g->physical_size = i->physical_size;
    g->discard_unit = VHDX_PAGE;
    memcpy(g->identity, i->disk_id, sizeof(g->identity));
    memcpy(g->link, i->header.data_write_guid, sizeof(g->link));
}

int vhdx_open(struct image **out, struct disk_file *file, bool read_only,
              struct image_geometry *geometry, struct problem *why)
{
    struct image_geometry *g = calloc(1, sizeof(*g)); /* too large for a stack */
    struct image *i = calloc(1, sizeof(*i));
    int err = -ENOMEM;

    if (!g || !i) {
        free(g);
        free(i);
        return problem_set(why, err, "no memory");
    }
    i->file = file;
    i->read_only = read_only;
    err = vhdx_load(i, NULL, NULL, why);
    if (!err && i->has_parent)
        err = vhdx_parent_load(i, &g->parent, why);
    if (err) {
        vhdx_free(i);
    } else {
        fill_geometry(i, g);
        *geometry = *g;
        *out = i;
    }
    free(g);
    return err;
}

int vhdx_trim(struct image *i)
{
    uint64_t end = vhdx_space_end(&i->space);
    int err = vhdx_log_close(i);

    /* 2.6.2.1: a file that keeps room for all of its blocks does not get smaller. */
    if (!err && end < i->file_bytes && !i->leave_allocated)
        err = vhdx_set_size(i, end);
    return err;
}

int vhdx_close(struct image *i)
{
    int err = vhdx_flush(i);

    if (!err && i->file_guid_new)
        err = vhdx_trim(i);
    vhdx_free(i);
    return err;
}
