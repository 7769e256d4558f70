/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* realpath */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "disk/tool/tool.h"

struct create {
    const char *path, *format, *parent;
    bool force;
    struct format_create how;
    char parent_path[PARENT_PATH_MAX]; /* as the new image names it */
    char *parent_absolute;
};

enum { OPT_PHYSICAL = 256 };

static const struct option longs[] = {
    {"format", required_argument, NULL, 'f'},
    {"size", required_argument, NULL, 's'},
    {"parent", required_argument, NULL, 'p'},
    {"fixed", no_argument, NULL, 'x'},
    {"block-size", required_argument, NULL, 'b'},
    {"sector-size", required_argument, NULL, 'S'},
    {"physical-size", required_argument, NULL, OPT_PHYSICAL},
    {"force", no_argument, NULL, 'F'},
    {NULL, 0, NULL, 0},
};

static bool small_size(const char *text, uint32_t *out)
{
    uint64_t v;

    if (!size_parse(text, &v) || v == 0 || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static int parse(int argc, char **argv, struct create *c)
{
    bool good = true;
    int k;

    while (good && (k = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (k == 'f')
            c->format = optarg;
        else if (k == 's')
            good = size_parse(optarg, &c->how.size);
        else if (k == 'p')
            c->parent = optarg;
        else if (k == 'x')
            c->how.fixed = true;
        else if (k == 'b')
            good = small_size(optarg, &c->how.block_size);
        else if (k == 'S')
            good = small_size(optarg, &c->how.sector_size);
        else if (k == OPT_PHYSICAL)
            good = small_size(optarg, &c->how.physical_size);
        else if (k == 'F')
            c->force = true;
        else
            return EXIT_USAGE;
        if (!good)
            return tool_usage("create: not a size: %.40s", optarg);
    }
    if (argc - optind != 1)
        return tool_usage("create: one PATH is wanted");
    c->path = argv[optind];
    if (!c->parent && c->how.size == 0)
        return tool_usage("create: --size or --parent is wanted");
    return EXIT_DONE;
}

static int with_parent(struct create *c, struct layer **parent, struct problem *why)
{
    const struct disk_options options = {.read_only = true, .cached = true};
    int err = chain_open(parent, c->parent, &options, why);

    if (err)
        return err;
    err = path_relative(c->parent_path, sizeof(c->parent_path), c->path, c->parent);
    if (err)
        return problem_set(why, err, "%s: %s", c->parent, strerror(-err));
    c->how.parent = &(*parent)->geometry;
    c->how.parent_path = c->parent_path;
    c->how.parent_absolute = c->parent_absolute = realpath(c->parent, NULL);
    if (c->how.size == 0)
        c->how.size = c->how.parent->size;
    if (c->how.sector_size == 0)
        c->how.sector_size = c->how.parent->sector_size;
    if (c->how.physical_size == 0)
        c->how.physical_size = c->how.parent->physical_size;
    return 0;
}

int output_format(struct output *o, const struct disk_format *format,
                  const struct format_create *how, struct problem *why)
{
    struct problem inner = {{0}};
    struct host_file *h;
    int fd = dup(o->fd), err;

    if (!format->create)
        err = problem_set(&inner, -ENOTSUP, "images of this format are not made here");
    else
        err = fd < 0 ? -errno : host_file_adopt(&h, fd, true);
    if (!err) {
        err = format->create(&h->file, how, &inner);
        host_file_close(h);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return err ? problem_set(why, err, "%.250s: %.250s", o->path,
                             inner.text[0] ? inner.text : strerror(-err))
               : 0;
}

static int create(struct create *c, struct problem *why)
{
    const struct disk_format *format;
    struct layer *parent = NULL;
    struct output out;
    int err = 0;

    format = format_named(c->format ? c->format : format_by_name(c->path));
    if (!format)
        return problem_set(why, -EINVAL, "%s: no such format: %.40s", c->path, c->format);
    if (c->parent)
        err = with_parent(c, &parent, why);
    if (!err)
        err = output_begin(&out, c->path, DISK_MODE, c->force, why);
    if (!err) {
        err = output_format(&out, format, &c->how, why);
        if (err)
            output_drop(&out);
        else
            err = output_commit(&out, why);
    }
    if (parent)
        (void)chain_close(parent);
    free(c->parent_absolute);
    return err;
}

int verb_create(int argc, char **argv)
{
    static struct create c;
    struct problem why;
    int status = parse(argc, argv, &c);

    if (status)
        return status;
    return create(&c, &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}
