/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "disk/tool/tool.h"
#include "lib/bits.h"

/* The target is nobody's yet: it is not locked under its temporary name. */
static int copy_into(struct disk *from, struct output *out, const struct disk_format *format,
                     struct problem *why)
{
    const struct disk_options options = {.cached = true, .shared = true, .format = format->name};
    struct progress progress;
    struct disk *to;
    int err = disk_open(&to, out->temporary, &options, why), closed;

    if (err)
        return err;
    progress_start(&progress, "copying");
    const struct copy copy = {.from = from, .to = to, .fresh = true, .progress = &progress};
    err = copy_run(&copy, why);
    closed = disk_close(to);
    progress_end(&progress);
    if (!err && closed)
        err = problem_set(why, closed, "%s: %s", out->path, strerror(-closed));
    return err;
}

static int convert_open(const struct convert *c, struct disk *from, struct problem *why)
{
    const char *name = c->to_format ? c->to_format : format_by_name(c->to);
    const struct disk_format *format = format_named(name);
    struct format_create how = c->how;
    struct disk_info info;
    struct output out;
    int err;

    if (!format)
        return problem_set(why, -EINVAL, "%s: no such format: %.40s", c->to, name);
    disk_info(from, &info);
    if (how.sector_size == 0 && !info.optical && format != &format_raw)
        how.sector_size = info.sector_size;
    how.size = align_up(info.size, how.sector_size ? how.sector_size : DISK_SECTOR);
    err = output_begin(&out, c->to, DISK_MODE, c->force, why);
    if (err)
        return err;
    err = output_format(&out, format, &how, why);
    if (!err)
        err = copy_into(from, &out, format, why);
    if (!err)
        return output_commit(&out, why);
    output_drop(&out);
    return err;
}

int convert(const struct convert *c, struct problem *why)
{
    const struct disk_options options = {
        .read_only = true, .cached = true, .format = c->from_format};
    struct disk *from;
    int err = disk_open(&from, c->from, &options, why);

    if (err)
        return err;
    err = convert_open(c, from, why);
    (void)disk_close(from);
    return err;
}

int verb_convert(int argc, char **argv)
{
    static const struct option longs[] = {
        {"format", required_argument, NULL, 'f'},
        {"from-format", required_argument, NULL, 'r'},
        {"fixed", no_argument, NULL, 'x'},
        {"block-size", required_argument, NULL, 'b'},
        {"sector-size", required_argument, NULL, 's'},
        {"force", no_argument, NULL, 'F'},
        {NULL, 0, NULL, 0},
    };
    struct convert c = {0};
    struct problem why;
    uint64_t v = 0;
    int k;

    while ((k = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if ((k == 'b' || k == 's') && (!size_parse(optarg, &v) || v == 0 || v > UINT32_MAX))
            return tool_usage("convert: not a size: %.40s", optarg);
        if (k == 'f')
            c.to_format = optarg;
        else if (k == 'r')
            c.from_format = optarg;
        else if (k == 'x')
            c.how.fixed = true;
        else if (k == 'b')
            c.how.block_size = (uint32_t)v;
        else if (k == 's')
            c.how.sector_size = (uint32_t)v;
        else if (k == 'F')
            c.force = true;
        else
            return EXIT_USAGE;
    }
    if (argc - optind != 2)
        return tool_usage("convert: FROM and TO are wanted");
    c.from = argv[optind];
    c.to = argv[optind + 1];
    return convert(&c, &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}
