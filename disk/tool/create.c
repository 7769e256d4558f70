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

    for (char k; good && (k = verb_next(&verb_create, argc, argv)) != 0;) {
        if (k == 'f')
            c->format = optarg;
        else if (k == 's')
            good = size_parse(optarg, &c->how.size) && c->how.size > 0;
        else if (k == 'p')
            c->parent = optarg;
        else if (k == 'x')
            c->how.fixed = true;
        else if (k == 'b')
            good = small_size(optarg, &c->how.block_size);
        else if (k == 'S')
            good = small_size(optarg, &c->how.sector_size);
        else if (k == 'P')
            good = small_size(optarg, &c->how.physical_size);
        else if (k == 'F')
            c->force = true;
        if (!good)
            return tool_usage(&verb_create, NOT_A_SIZE, optarg);
    }
    if (argc - optind != 1)
        return tool_usage(&verb_create, "one PATH is wanted");
    c->path = argv[optind];
    if (!c->parent && c->how.size == 0) /* not given */
        return tool_usage(&verb_create, "--size or --parent is wanted");
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

/* An option that was given and that such an image has no use for, or NULL. */
static const char *of_no_use(const struct disk_format *format, const struct format_create *how)
{
    if (how->physical_size && format != &format_vhdx)
        return "--physical-size";
    if (format != &format_raw)
        return NULL;
    if (how->sector_size)
        return "--sector-size";
    return how->block_size ? "--block-size" : NULL;
}

int output_choose(const struct disk_format **out, const char *path, const char *name,
                  const struct format_create *how, struct problem *why)
{
    const struct disk_format *format = name ? format_named(name) : format_of_name(path);
    const char *wrong;

    if (!format && name)
        return problem_set(why, -EINVAL, "%s: no such format: %.40s", path, name);
    if (!format)
        format = &format_raw;
    if (!format->create)
        return problem_set(why, -ENOTSUP,
                           "%s: files of format %s are not made here; --format raw makes a raw one",
                           path, format->name);
    wrong = of_no_use(format, how);
    if (wrong)
        return problem_set(why, -EINVAL, "%s: %s is not for format %s", path, wrong, format->name);
    *out = format;
    return 0;
}

int output_format(struct output *o, const struct disk_format *format,
                  const struct format_create *how, struct problem *why)
{
    struct problem inner = {{0}};
    struct host_file *h;
    int fd = dup(o->fd), err;

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
    int err = output_choose(&format, c->path, c->format, &c->how, why);

    if (err)
        return err;
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

static int run(int argc, char **argv)
{
    static struct create c;
    struct problem why;
    int status = parse(argc, argv, &c);

    if (status)
        return status;
    return create(&c, &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_create = {
    .name = "create",
    .arguments = "[OPTION...] PATH",
    .purpose = "make a new image",
    .run = run,
    .option = {{"format", "F", 'f', "raw, vhd, vhdx; else the name says it"},
               {"size", "S", 's', "bytes, or a number with K, M, G or T"},
               {"parent", "PATH", 'p', "make a differencing image above this one"},
               {"fixed", NULL, 'x', "take all space at once"},
               {"block-size", "S", 'b', "in which the image grows"},
               {"sector-size", "S", 'S', "512 or 4096 (vhdx)"},
               {"physical-size", "S", 'P', "of sectors, as guests are told: 512 or 4096 (vhdx)"},
               {"force", NULL, 'F', "replace a file of that name"}},
};
