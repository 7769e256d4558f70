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
    const struct copy copy = {
        .from = from, .to = to, .to_path = out->path, .fresh = true, .progress = &progress};
    err = copy_run(&copy, why);
    closed = disk_close(to);
    progress_end(&progress);
    if (!err && closed)
        err = problem_set(why, closed, "%s: %s", out->path, strerror(-closed));
    return err;
}

static int convert_open(const struct convert *c, struct disk *from, struct problem *why)
{
    const struct disk_format *format;
    struct format_create how = c->how;
    struct disk_info info;
    struct output out;
    int err = output_choose(&format, c->to, c->to_format, &c->how, why);

    if (err)
        return err;
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

static int run(int argc, char **argv)
{
    struct convert c = {0};
    struct problem why;
    uint64_t v = 0;

    for (char k; (k = verb_next(&verb_convert, argc, argv)) != 0;) {
        if ((k == 'b' || k == 's') && (!size_parse(optarg, &v) || v == 0 || v > UINT32_MAX))
            return tool_usage(&verb_convert, NOT_A_SIZE, optarg);
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
    }
    if (argc - optind != 2)
        return tool_usage(&verb_convert, "FROM and TO are wanted");
    c.from = argv[optind];
    c.to = argv[optind + 1];
    return convert(&c, &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_convert = {
    .name = "convert",
    .arguments = "[OPTION...] FROM TO",
    .purpose = "copy a disk into a new image",
    .run = run,
    .option = {{"format", "F", 'f', "of TO: raw, vhd, vhdx; else its name says it"},
               {"from-format", "F", 'r', "of FROM: also iso; else what it holds says it"},
               {"fixed", NULL, 'x', "take all space at once"},
               {"block-size", "S", 'b', "in which the image grows"},
               {"sector-size", "S", 's', "512 or 4096 (vhdx); else that of FROM"},
               {"force", NULL, 'F', "replace a file of that name"}},
};
