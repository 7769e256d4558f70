/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include "vmms/switch/tool/tool.h"

static int run(int argc, char **argv)
{
    struct problem why;

    while (verb_next(&verb_disconnect, argc, argv) != 0)
        ;
    if (argc - optind != 1)
        return tool_usage(&verb_disconnect, "one PORT is wanted");
    return switch_disconnect(tool_folder, argv[optind], &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_disconnect = {
    .name = "disconnect",
    .arguments = "PORT",
    .purpose = "remove a port and its tap",
    .run = run,
};
