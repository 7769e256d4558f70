/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include "vmms/switch/tool/tool.h"

static int run(int argc, char **argv)
{
    struct clean_report r = {0};
    struct problem why;
    bool json = false;

    while (verb_next(&verb_clean, argc, argv) != 0)
        json = true;
    if (argc != optind)
        return tool_usage(&verb_clean, "no argument is wanted");
    if (switch_clean(tool_folder, &r, &why) < 0)
        return tool_fail(&why);
    if (json)
        report_print(json_pack("{s:i, s:i, s:i}", "ports_forgotten", (int)r.ports_forgotten,
                               "links_removed", (int)r.links_removed, "switches_made",
                               (int)r.switches_made));
    else
        (void)printf("%u ports forgotten, %u links removed, %u switches made again\n",
                     r.ports_forgotten, r.links_removed, r.switches_made);
    return EXIT_DONE;
}

const struct verb verb_clean = {
    .name = "clean",
    .arguments = "[--json]",
    .purpose = "make the kernel hold what is kept, and nothing else",
    .run = run,
    .option = {{"json", NULL, 'j', "print it as JSON"}},
};
