/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/tool/tool.h"

/* Options stand before or behind the port; they are read again when it is known. */
static int run(int argc, char **argv)
{
    const struct port_config *old;
    struct port_config p = {0};
    struct switch_store *st;
    struct problem why;
    const char *wrong;

    for (char k; (k = verb_next(&verb_set, argc, argv)) != 0;)
        if (!port_option(&p, k, optarg))
            return tool_usage(&verb_set, "'%.40s' makes no sense", optarg);
    if (argc - optind != 1)
        return tool_usage(&verb_set, "one PORT is wanted");
    if (switch_load(&st, tool_folder, &why) < 0)
        return tool_fail(&why);
    old = switch_port_named(st, argv[optind]);
    if (!old) {
        (void)problem_set(&why, -1, "'%.40s': there is no such port", argv[optind]);
        free(st);
        return tool_fail(&why);
    }
    p = *old;
    free(st);
    optind = 1;
    for (char k; (k = verb_next(&verb_set, argc, argv)) != 0;)
        (void)port_option(&p, k, optarg);
    wrong = port_options_problem(&p);
    if (wrong)
        return tool_usage(&verb_set, "%s", wrong);
    return switch_port_set(tool_folder, &p, &why) < 0 ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_set = {
    .name = "set",
    .arguments = "[OPTION...] PORT",
    .purpose = "change a port while it is used",
    .run = run,
    .option = {PORT_OPTIONS},
};
