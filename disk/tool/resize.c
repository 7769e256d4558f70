/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include "disk/tool/tool.h"
#include "lib/bits.h"

static int resize(struct layer *top, uint64_t size, bool shrink, struct problem *why)
{
    struct problem inner = {{0}};
    int err = 0;

    if (!top->format->resize)
        return problem_set(why, -ENOTSUP, "%s: %s has a fixed size", top->path, top->format->name);
    if (size < top->geometry.size && !shrink)
        return problem_set(why, -EINVAL,
                           "%s: smaller than its %llu bytes; --shrink does it, and what lies "
                           "behind the new end is lost",
                           top->path, (unsigned long long)top->geometry.size);
    if (size % top->geometry.sector_size)
        return problem_set(why, -EINVAL, "%s: the size is not a multiple of its sectors of %u",
                           top->path, top->geometry.sector_size);
    if (top->format->writer)
        err = top->format->writer(top->image);
    if (err)
        return problem_set(why, err, "%s: %s", top->path, strerror(-err));
    err = top->format->resize(top->image, size, &inner);
    return err ? problem_set(why, err, "%.250s: %.250s", top->path, inner.text) : 0;
}

static int run(int argc, char **argv)
{
    const struct disk_options options = {.cached = true};
    bool shrink = false, more;
    struct problem why;
    struct layer *top;
    uint64_t size;
    int err, closed;

    while (verb_next(&verb_resize, argc, argv) == 's')
        shrink = true;
    if (argc - optind != 2)
        return tool_usage(&verb_resize, "PATH and SIZE are wanted");
    more = argv[optind + 1][0] == '+';
    if (!size_parse(argv[optind + 1] + more, &size))
        return tool_usage(&verb_resize, NOT_A_SIZE, argv[optind + 1]);
    if (chain_open_alone(&top, argv[optind], &options, &why) < 0)
        return tool_fail(&why);
    err = resize(top, more ? top->geometry.size + size : size, shrink, &why);
    closed = chain_close(top);
    if (!err && closed)
        err = problem_set(&why, closed, "%s: %s", argv[optind], strerror(-closed));
    return err ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_resize = {
    .name = "resize",
    .arguments = "[--shrink] PATH SIZE",
    .purpose = "change the size of a disk, to SIZE or by +SIZE",
    .run = run,
    .option = {{"shrink", NULL, 's', "make it smaller; what lies behind the new end is lost"}},
};
