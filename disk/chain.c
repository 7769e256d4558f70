/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "disk/disk_priv.h"
#include "lib/bits.h"
#include "lib/hosted/fd.h"

/* Opens an image and its parents: who they are, that nobody else writes to them, that they fit. */

static void layer_free(struct layer *l)
{
    if (!l)
        return;
    if (l->image)
        (void)l->format->close(l->image);
    host_file_close(l->host);
    free(l->path);
    free(l);
}

/* A format's own sentence gets the name of the file. */
static int named(struct problem *why, int err, const char *path, const struct problem *inner)
{
    return problem_set(why, err, "%.250s: %.255s", path, inner->text);
}

static int choose_format(struct layer *l, const struct disk_options *options, struct problem *why)
{
    const char *name = options->format;
    int err;

    if (name) {
        l->format = format_named(name);
        return l->format ? 0
                         : problem_set(why, -EINVAL, "%s: no such format: %.40s", l->path, name);
    }
    if (options->by_name) {
        l->format = format_of_name(l->path);
        if (l->format)
            return 0;
    }
    err = format_probe(&l->host->file, l->path, &l->format);
    if (err)
        return problem_set(why, err, "%s: cannot be read: %s", l->path, strerror(-err));
    if (options->by_name && l->format != &format_raw)
        return problem_set(why, -EINVAL,
                           "%.300s: looks like %s, which the guest of a raw disk may have written; "
                           "its format has to be given: raw or %s",
                           l->path, l->format->name, l->format->name);
    return 0;
}

static int open_file(struct layer *l, const struct disk_options *options, unsigned flags,
                     struct problem *why)
{
    if (!options->given)
        return host_file_open(&l->host, l->path, flags, why);
    for (unsigned i = 0; i < options->given_count; i++)
        if (strcmp(options->given[i].path, l->path) == 0)
            return host_file_copy(&l->host, l->path, options->given[i].fd, flags, why);
    return problem_set(why, -ENOENT, "%s: no descriptor of it has come along", l->path);
}

/* The file as it is to be used. What it holds is looked at first, because a disc is only read,
 * whatever the rights on its file are. */
static int open_host(struct layer *l, const struct disk_options *options, bool write,
                     struct problem *why)
{
    unsigned direct = options->cached ? 0 : HOST_DIRECT;
    int err = open_file(l, options, direct, why);

    if (!err)
        err = choose_format(l, options, why);
    if (err || !write || l->format == &format_iso)
        return err;
    host_file_close(l->host);
    l->host = NULL;
    return open_file(l, options, direct | HOST_WRITE, why);
}

static int check_loop(const struct layer *l, const struct layer *children, struct problem *why)
{
    unsigned depth = 1;

    for (const struct layer *c = children; c; c = c->parent, depth++)
        if (c->host->dev == l->host->dev && c->host->ino == l->host->ino)
            return problem_set(why, -ELOOP, "%s: it is its own ancestor", l->path);
    if (depth > CHAIN_MAX)
        return problem_set(why, -ELOOP, "%s: more than %u images in a chain", l->path, CHAIN_MAX);
    return 0;
}

static int layer_start(struct layer *l, struct problem *why)
{
    struct problem inner = {{0}};
    struct image *image = NULL;
    struct stat st;
    int err = l->format->open(&image, &l->host->file, !l->host->writable, &l->geometry, &inner);

    if (err < 0)
        return named(why, err, l->path, &inner);
    l->image = image;
    if (fd_stat(l->host->file.fd, &st) == 0)
        l->geometry.modified = st.st_mtim.tv_sec;
    /* See host.h: no unit of O_DIRECT may hold two sectors. */
    if (l->host->offset_align > l->geometry.sector_size)
        host_file_cached(l->host);
    return 0;
}

/* `children`: those above it in the chain, from the top on. */
static int layer_open(struct layer **out, const char *path, const struct disk_options *options,
                      bool write, const struct layer *children, struct problem *why)
{
    struct layer *l = calloc(1, sizeof(*l));
    int err = 0;

    if (!l)
        return problem_set(why, -ENOMEM, "%s: no memory", path);
    l->path = strdup(path);
    if (!l->path)
        err = problem_set(why, -ENOMEM, "%s: no memory", path);
    if (!err)
        err = open_host(l, options, write, why);
    if (!err)
        err = check_loop(l, children, why);
    if (!err && !options->shared)
        err = host_file_lock(l->host, l->host->writable, path, why);
    if (!err)
        err = layer_start(l, why);
    if (err)
        layer_free(l);
    else
        *out = l;
    return err;
}

/* Relative paths begin at the folder of the image that has them. */
static int resolve(char *out, size_t size, const char *image, const char *path)
{
    const char *slash = strrchr(image, '/');
    int folder = path[0] == '/' || !slash ? 0 : (int)(slash - image) + 1;
    int n = snprintf(out, size, "%.*s%s", folder, image, path);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int check_parent(const struct layer *child, const struct layer *parent, struct problem *why)
{
    /* A raw file has no identity, so an image cannot name any file of the host as its parent. */
    if (!parent_is(&child->geometry.parent, parent->geometry.link))
        return problem_set(why, -ESTALE,
                           "%.200s: its parent %.200s is not the one it was made from, or has been "
                           "changed since",
                           child->path, parent->path);
    if (child->geometry.sector_size != parent->geometry.sector_size)
        return problem_set(
            why, -EINVAL, "%.180s: its sectors have %u bytes, those of its parent %.180s %u",
            child->path, child->geometry.sector_size, parent->path, parent->geometry.sector_size);
    return 0;
}

static int try_parent(struct layer *child, const char *path, const struct disk_options *options,
                      const struct layer *top, struct problem *why)
{
    char full[2 * PARENT_PATH_MAX];
    struct disk_options as_named = *options;
    const struct disk_format *format;
    struct layer *parent;
    int err = resolve(full, sizeof(full), child->path, path);

    if (err)
        return problem_set(why, err, "%s: the path of its parent is too long", child->path);
    format = format_of_name(full);
    /* Its guest wrote to it as well, before it had children: what it holds does not tell. */
    as_named.format = format ? format->name : child->format->name;
    err = layer_open(&parent, full, &as_named, false, top, why);
    if (err)
        return err;
    err = check_parent(child, parent, why);
    if (err)
        layer_free(parent);
    else
        child->parent = parent;
    return err;
}

/* The first of the paths at which there is the right one. If there is none, what is said is of the
 * first that is there at all. */
static int find_parent(struct layer *child, const struct disk_options *options,
                       const struct layer *top, struct problem *why)
{
    const struct parent *p = &child->geometry.parent;
    struct problem first = {{0}};
    int result = -ENOENT, err;

    for (unsigned i = 0; i < p->path_count && i < PARENT_PATHS; i++) {
        struct problem inner = {{0}};

        if (!p->path[i][0])
            continue;
        err = try_parent(child, p->path[i], options, top, &inner);
        if (!err)
            return 0;
        if (result == -ENOENT && err != -ENOENT) {
            result = err;
            first = inner;
        }
    }
    if (result != -ENOENT) {
        *why = first;
        return result;
    }
    return problem_set(why, -ENOENT, "%.200s: its parent is not at %.200s", child->path,
                       p->path_count ? p->path[0] : "any path, because it names none");
}

int chain_open_alone(struct layer **out, const char *path, const struct disk_options *options,
                     struct problem *why)
{
    return layer_open(out, path, options, !options->read_only, NULL, why);
}

int chain_open(struct layer **out, const char *path, const struct disk_options *options,
               struct problem *why)
{
    struct layer *top;
    int err = layer_open(&top, path, options, !options->read_only, NULL, why);

    if (err)
        return err;
    for (struct layer *l = top; l->geometry.parent.wanted && !err; l = l->parent ? l->parent : l)
        err = find_parent(l, options, top, why);
    if (err)
        (void)chain_close(top);
    else
        *out = top;
    return err;
}

int chain_close(struct layer *top)
{
    int result = 0;

    for (struct layer *l = top, *parent; l; l = parent) {
        int err = l->format->close(l->image);

        l->image = NULL;
        if (!err && l->host->writable)
            err = file_flush(&l->host->file);
        result = result ? result : err;
        parent = l->parent;
        layer_free(l);
    }
    return result;
}
