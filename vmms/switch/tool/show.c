/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "vmms/switch/tool/tool.h"

static json_t *switch_with_ports(const struct switch_store *st, const struct switch_config *s)
{
    json_t *j = report_switch(s), *ports = json_array();

    for (unsigned k = 0; k < st->ports; k++)
        if (strcmp(st->port[k].on, s->name) == 0)
            (void)json_array_append_new(ports, report_port(st, &st->port[k]));
    (void)json_object_set_new(j, "ports", ports);
    return j;
}

static void print_value(const char *key, const json_t *value, unsigned depth);

/* "addresses" of a port are lines of their own, other lists are on one line. */
static void print_object(const json_t *j, unsigned depth)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)j, key, value) print_value(key, value, depth);
}

static void print_value(const char *key, const json_t *value, unsigned depth)
{
    size_t n = json_array_size(value);

    if (json_is_object(value) || (n && json_is_object(json_array_get(value, 0)))) {
        (void)printf("%*s%s:\n", (int)(2 * depth), "", key);
        if (json_is_object(value))
            print_object(value, depth + 1);
        for (size_t k = 0; k < n; k++) {
            print_object(json_array_get(value, k), depth + 1);
            if (k + 1 < n && depth == 0)
                (void)putchar('\n');
        }
    } else if (json_is_array(value)) {
        (void)printf("%*s%s:", (int)(2 * depth), "", key);
        for (size_t k = 0; k < n; k++)
            (void)printf(" %s", json_string_value(json_array_get(value, k)));
        (void)putchar('\n');
    } else if (json_is_string(value)) {
        (void)printf("%*s%s: %s\n", (int)(2 * depth), "", key, json_string_value(value));
    } else if (json_is_integer(value)) {
        (void)printf("%*s%s: %lld\n", (int)(2 * depth), "", key,
                     (long long)json_integer_value(value));
    } else if (!json_is_null(value)) {
        (void)printf("%*s%s: %s\n", (int)(2 * depth), "", key, json_is_true(value) ? "yes" : "no");
    }
}

static int run(int argc, char **argv)
{
    const struct switch_config *s;
    const struct port_config *p;
    struct switch_store *st;
    struct problem why;
    bool json = false;
    json_t *j;

    while (verb_next(&verb_show, argc, argv) != 0)
        json = true;
    if (argc - optind != 1)
        return tool_usage(&verb_show, "one NAME is wanted");
    if (switch_load(&st, tool_folder, &why) < 0)
        return tool_fail(&why);
    s = switch_named(st, argv[optind]);
    p = switch_port_named(st, argv[optind]);
    j = s ? switch_with_ports(st, s) : p ? report_port(st, p) : NULL;
    free(st);
    if (!j) {
        (void)problem_set(&why, -1, "'%.40s': there is no such switch or port", argv[optind]);
        return tool_fail(&why);
    }
    if (json) {
        report_print(j);
    } else {
        print_object(j, 0);
        json_decref(j);
    }
    return EXIT_DONE;
}

const struct verb verb_show = {
    .name = "show",
    .arguments = "[--json] NAME",
    .purpose = "print a switch with its ports, or a port",
    .run = run,
    .option = {{"json", NULL, 'j', "print it as JSON"}},
};
