/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* realpath */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "disk/tool/tool.h"

static int check_pair(const struct layer *child, const struct layer *parent, bool force,
                      struct problem *why)
{
    static const uint8_t none[16];
    const struct image_geometry *c = &child->geometry, *p = &parent->geometry;

    if (!c->parent.wanted || !child->format->set_parent)
        return problem_set(why, -EINVAL, "%s: it is not a differencing image", child->path);
    if (memcmp(p->link, none, sizeof(none)) == 0)
        return problem_set(why, -EINVAL, "%s: it has no identity, so it cannot be a parent",
                           parent->path);
    if (c->sector_size != p->sector_size)
        return problem_set(why, -EINVAL, "%.200s: its sectors have %u bytes, those of %.200s %u",
                           child->path, c->sector_size, parent->path, p->sector_size);
    if (!force && !parent_is(&c->parent, p->link))
        return problem_set(why, -ESTALE,
                           "%.200s was not made from %.200s; --force takes it if their contents "
                           "fit all the same",
                           child->path, parent->path);
    return 0;
}

/* Said before the child is locked: its own lock would look like another program's. */
static int check_loop(const char *child, const struct layer *parent, struct problem *why)
{
    struct stat st;

    if (stat(child, &st) < 0)
        return problem_set(why, -errno, "%s: %s", child, strerror(errno));
    for (const struct layer *l = parent; l; l = l->parent)
        if (l->host->dev == st.st_dev && l->host->ino == st.st_ino)
            return problem_set(why, -ELOOP, "%.200s: it would be its own ancestor by %.200s", child,
                               parent->path);
    return 0;
}

static int set_parent(struct layer *child, const struct layer *parent, bool force,
                      struct problem *why)
{
    char relative[PARENT_PATH_MAX], *absolute = NULL;
    const char *path = parent->path;
    struct problem inner = {{0}};
    int err = check_pair(child, parent, force, why);

    if (!err) {
        err = path_relative(relative, sizeof(relative), child->path, path);
        if (err)
            (void)problem_set(why, err, "%s: %s", path, strerror(-err));
    }
    if (!err) {
        absolute = realpath(path, NULL);
        err =
            child->format->set_parent(child->image, relative, absolute, &parent->geometry, &inner);
        if (err)
            (void)problem_set(why, err, "%.250s: %.250s", child->path, inner.text);
    }
    free(absolute);
    return err;
}

static int open_both(const char *child_path, const char *parent_path, bool force,
                     struct problem *why)
{
    const struct disk_options child_options = {.cached = true};
    const struct disk_options parent_options = {.read_only = true, .cached = true};
    struct layer *child, *parent;
    int err = chain_open(&parent, parent_path, &parent_options, why), closed;

    if (err)
        return err;
    err = check_loop(child_path, parent, why);
    if (!err)
        err = chain_open_alone(&child, child_path, &child_options, why);
    if (!err) {
        err = set_parent(child, parent, force, why);
        closed = chain_close(child);
        if (!err && closed)
            err = problem_set(why, closed, "%s: %s", child_path, strerror(-closed));
    }
    (void)chain_close(parent);
    return err;
}

static int run(int argc, char **argv)
{
    struct problem why;
    bool force = false;

    while (verb_next(&verb_set_parent, argc, argv) == 'F')
        force = true;
    if (argc - optind != 2)
        return tool_usage(&verb_set_parent, "CHILD and PARENT are wanted");
    return open_both(argv[optind], argv[optind + 1], force, &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_set_parent = {
    .name = "set-parent",
    .arguments = "[--force] CHILD PARENT",
    .purpose = "tell a differencing image where its parent is",
    .run = run,
    .option = {{"force", NULL, 'F', "take another one than it was made from"}},
};
