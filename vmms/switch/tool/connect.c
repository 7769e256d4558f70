/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/tool/tool.h"

static bool number(const char *text, unsigned long max, unsigned long *out)
{
    char *end;

    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *out <= max;
}

static bool option(struct port_config *p, char letter, const char *text)
{
    unsigned long v;

    if (letter == 'q') {
        p->one_queue = true;
        return true;
    }
    if (letter == 'u' && number(text, UINT32_MAX - 1, &v)) {
        p->user = (uint32_t)v;
        return true;
    }
    if (letter == 'o' && number(text, INT32_MAX, &v)) {
        p->owner = (pid_t)v;
        return true;
    }
    return port_option(p, letter, text);
}

static int done(const struct port_config *p, bool json)
{
    struct switch_store *st;
    struct problem why;
    char tap[IFNAMSIZ];

    switch_tap_name(tap, p);
    if (!json) {
        (void)puts(tap);
        return EXIT_DONE;
    }
    if (switch_load(&st, tool_folder, &why) < 0)
        return tool_fail(&why);
    report_print(report_port(st, p));
    free(st);
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    struct port_config p = {0}, made;
    struct problem why;
    const char *wrong;
    bool json = false;

    for (char k; (k = verb_next(&verb_connect, argc, argv)) != 0;) {
        if (k == 'j')
            json = true;
        else if (!option(&p, k, optarg))
            return tool_usage(&verb_connect, "'%.40s' makes no sense", optarg);
    }
    wrong = port_options_problem(&p);
    if (wrong)
        return tool_usage(&verb_connect, "%s", wrong);
    if (argc - optind != 2 || !name_take(p.on, argv[optind]) ||
        !name_take(p.name, argv[optind + 1]))
        return tool_usage(&verb_connect, "SWITCH and PORT are wanted");
    if (switch_connect(tool_folder, &p, &made, &why) < 0)
        return tool_fail(&why);
    return done(&made, json);
}

const struct verb verb_connect = {
    .name = "connect",
    .arguments = "[OPTION...] SWITCH PORT",
    .purpose = "make a port and its tap, and print the tap's name",
    .run = run,
    .option = {PORT_OPTIONS,
               {"one-queue", NULL, 'q', "a tap with one queue"},
               {"user", "UID", 'u', "who may open the tap, besides root"},
               {"owner", "PID", 'o', "the port goes when this process is gone"},
               {"json", NULL, 'j', "print all there is to know"}},
};
