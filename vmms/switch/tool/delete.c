/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include "vmms/switch/tool/tool.h"

static int run(int argc, char **argv)
{
    struct problem why;
    bool force = false;

    while (verb_next(&verb_delete, argc, argv) != 0)
        force = true;
    if (argc - optind != 1)
        return tool_usage(&verb_delete, "one NAME is wanted");
    return switch_delete(tool_folder, argv[optind], force, &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_delete = {
    .name = "delete",
    .arguments = "[--force] NAME",
    .purpose = "remove a switch and all that was made for it",
    .run = run,
    .option = {{"force", NULL, 'f', "with its ports"}},
};
