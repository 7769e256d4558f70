/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/disk_priv.h"
#include "lib/bits.h"

bool gate_enter(struct disk *disk, struct disk_request *request)
{
    uint64_t before = atomic_fetch_add_explicit(&disk->gate, 1, memory_order_acq_rel);
    bool entered = true;

    if (before & GATE_CLOSED) {
        (void)pthread_mutex_lock(&disk->lock);
        /* Opened since: being counted is all that it takes. */
        if (atomic_load_explicit(&disk->gate, memory_order_acquire) & GATE_CLOSED) {
            list_add(&disk->waiting, request);
            entered = false;
        }
        (void)pthread_mutex_unlock(&disk->lock);
        if (!entered)
            gate_leave(disk);
    }
    return entered;
}

void gate_leave(struct disk *disk)
{
    uint64_t before = atomic_fetch_sub_explicit(&disk->gate, 1, memory_order_acq_rel);

    if (before == (GATE_CLOSED | 1)) {
        (void)pthread_mutex_lock(&disk->lock);
        (void)pthread_cond_broadcast(&disk->quiet);
        (void)pthread_mutex_unlock(&disk->lock);
    }
}

void chain_map(const struct disk *disk, uint64_t offset, uint64_t length, bool write,
               struct extent *extent, const struct layer **from)
{
    const struct layer *l = disk->top;

    l->format->map(l->image, offset, length, write, extent);
    while (extent->kind == EXTENT_PARENT) {
        length = extent->length;
        l = l->parent;
        /* What a larger child has beyond its parent's end is zeros. */
        if (!l || offset >= l->geometry.size) {
            *extent = (struct extent){EXTENT_ZERO, length, 0};
            break;
        }
        l->format->map(l->image, offset, min_u64(length, l->geometry.size - offset), false, extent);
    }
    *from = l;
}

static void set_aligns(struct disk *disk)
{
    disk->offset_align = disk->memory_align = 1;
    for (const struct layer *l = disk->top; l; l = l->parent) {
        if (l->host->offset_align > disk->offset_align)
            disk->offset_align = l->host->offset_align;
        if (l->host->memory_align > disk->memory_align)
            disk->memory_align = l->host->memory_align;
    }
}

static struct disk *disk_new(struct layer *top)
{
    pthread_condattr_t clock;
    struct disk *disk = calloc(1, sizeof(*disk));

    if (!disk)
        return NULL;
    disk->top = top;
    disk->read_only = !top->host->writable;
    set_aligns(disk);
    atomic_init(&disk->size, top->geometry.size);
    atomic_init(&disk->writing, !top->format->writer);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&disk->lock, NULL);
    (void)pthread_cond_init(&disk->work, &clock);
    (void)pthread_cond_init(&disk->quiet, &clock);
    (void)pthread_cond_init(&disk->grown, &clock);
    (void)pthread_condattr_destroy(&clock);
    return disk;
}

static void disk_free(struct disk *disk)
{
    (void)pthread_mutex_destroy(&disk->lock);
    (void)pthread_cond_destroy(&disk->work);
    (void)pthread_cond_destroy(&disk->quiet);
    (void)pthread_cond_destroy(&disk->grown);
    free(disk->bounce);
    free(disk);
}

static int disk_make(struct disk **out, struct layer *top, bool start, struct problem *why)
{
    struct disk *disk = disk_new(top);
    int err = !disk ? -ENOMEM : start ? slow_start(disk) : 0;

    if (err) {
        if (disk)
            disk_free(disk);
        return problem_set(why, err, "%s: %s", top->path, strerror(-err));
    }
    *out = disk;
    return 0;
}

int disk_open_layer(struct disk **out, struct layer *top, struct problem *why)
{
    return disk_make(out, top, true, why);
}

int disk_open(struct disk **out, const char *path, const struct disk_options *options,
              struct problem *why)
{
    struct layer *top;
    int err = chain_open(&top, path, options, why);

    if (err)
        return err;
    err = disk_make(out, top, !options->later, why);
    if (err)
        (void)chain_close(top);
    return err;
}

int disk_start(struct disk *disk)
{
    return slow_start(disk);
}

int disk_close(struct disk *disk)
{
    int err;

    if (!disk)
        return 0;
    slow_stop(disk);
    err = chain_close(disk->top);
    disk_free(disk);
    return err;
}

unsigned disk_paths(const struct disk *disk, const char **paths, unsigned max)
{
    unsigned n = 0;

    for (const struct layer *l = disk->top; l; l = l->parent, n++)
        if (n < max)
            paths[n] = l->path;
    return n;
}

void disk_info(const struct disk *disk, struct disk_info *info)
{
    const struct layer *top = disk->top;
    const struct image_geometry *g = &top->geometry;

    *info = (struct disk_info){
        .size = atomic_load_explicit(&disk->size, memory_order_acquire),
        .sector_size = g->sector_size,
        .physical_size = g->physical_size,
        .discard_unit = disk->read_only ? 0 : g->discard_unit,
        .read_only = disk->read_only,
        .optical = top->format == &format_iso,
        .format = top->format->name,
    };
    memcpy(info->identity, g->identity, sizeof(info->identity));
}

int disk_grow(struct disk *disk, uint64_t size, struct problem *why)
{
    struct problem inner = {{0}};
    struct grow g = {.size = size, .why = &inner};

    if (disk->read_only)
        return problem_set(why, -EROFS, "%s: open for reading only", disk->top->path);
    if (!disk->top->format->resize)
        return problem_set(why, -ENOTSUP, "%s: %s has a fixed size", disk->top->path,
                           disk->top->format->name);
    if (size % disk->top->geometry.sector_size)
        return problem_set(why, -EINVAL, "%s: the size is not a multiple of %u", disk->top->path,
                           disk->top->geometry.sector_size);
    (void)pthread_mutex_lock(&disk->lock);
    while (disk->grow)
        (void)pthread_cond_wait(&disk->grown, &disk->lock);
    disk->grow = &g;
    (void)pthread_cond_signal(&disk->work);
    while (!g.done)
        (void)pthread_cond_wait(&disk->grown, &disk->lock);
    (void)pthread_mutex_unlock(&disk->lock);
    return g.err ? problem_set(why, g.err, "%.250s: %.255s", disk->top->path, inner.text) : 0;
}
