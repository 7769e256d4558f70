/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include "disk/tool/tool.h"

static int compact(struct layer *top, struct problem *why)
{
    struct problem inner = {{0}};
    struct progress progress;
    int err;

    if (!top->format->compact)
        return problem_set(why, -ENOTSUP, "%s: %s cannot be compacted", top->path,
                           top->format->name);
    progress_start(&progress, "compacting");
    err = top->format->compact(top->image, progress_show, &progress, &inner);
    progress_end(&progress);
    return err ? problem_set(why, err, "%.250s: %.250s", top->path, inner.text) : 0;
}

static int run(int argc, char **argv)
{
    const struct disk_options options = {.cached = true};
    struct problem why;
    struct layer *top;
    int err, closed;

    (void)verb_next(&verb_compact, argc, argv); /* --help only */
    if (argc - optind != 1)
        return tool_usage(&verb_compact, "one PATH is wanted");
    if (chain_open_alone(&top, argv[optind], &options, &why) < 0)
        return tool_fail(&why);
    err = compact(top, &why);
    closed = chain_close(top);
    if (!err && closed)
        err = problem_set(&why, closed, "%s: %s", argv[optind], strerror(-closed));
    return err ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_compact = {
    .name = "compact",
    .arguments = "PATH",
    .purpose = "give back space that holds nothing",
    .run = run,
};
