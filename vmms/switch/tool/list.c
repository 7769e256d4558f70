/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/tool/tool.h"

static unsigned ports_on(const struct switch_store *st, const char *name)
{
    unsigned n = 0;

    for (unsigned k = 0; k < st->ports; k++)
        n += strcmp(st->port[k].on, name) == 0;
    return n;
}

static void list_json(const struct switch_store *st)
{
    json_t *all = json_array();

    for (unsigned k = 0; k < st->switches; k++) {
        json_t *j = report_switch(&st->sw[k]), *ports = json_array();

        for (unsigned i = 0; i < st->ports; i++)
            if (strcmp(st->port[i].on, st->sw[k].name) == 0)
                (void)json_array_append_new(ports, json_string(st->port[i].name));
        (void)json_object_set_new(j, "ports", ports);
        (void)json_array_append_new(all, j);
    }
    report_print(all);
}

static void list_text(const struct switch_store *st)
{
    if (st->switches)
        (void)printf("%-16s %-9s %-7s %-18s %s\n", "name", "kind", "bridge", "subnet or card",
                     "ports");
    for (unsigned k = 0; k < st->switches; k++) {
        const struct switch_config *s = &st->sw[k];
        char bridge[IFNAMSIZ], subnet[20] = "-";

        switch_bridge_name(bridge, s);
        if (s->subnet.prefix)
            subnet_text(subnet, &s->subnet);
        (void)printf("%-16s %-9s %-7s %-18s %u\n", s->name, kind_text(s->kind), bridge,
                     s->nic[0] ? s->nic : subnet, ports_on(st, s->name));
    }
}

static int run(int argc, char **argv)
{
    struct switch_store *st;
    struct problem why;
    bool json = false;

    while (verb_next(&verb_list, argc, argv) != 0)
        json = true;
    if (argc != optind)
        return tool_usage(&verb_list, "no argument is wanted");
    if (switch_load(&st, tool_folder, &why) < 0)
        return tool_fail(&why);
    if (json)
        list_json(st);
    else
        list_text(st);
    free(st);
    return EXIT_DONE;
}

const struct verb verb_list = {
    .name = "list",
    .arguments = "[--json]",
    .purpose = "print all switches",
    .run = run,
    .option = {{"json", NULL, 'j', "print it as JSON"}},
};
