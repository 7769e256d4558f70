/* SPDX-License-Identifier: MIT */
#include "lib/hosted/verbs.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tool_fail(const struct problem *why)
{
    (void)fprintf(stderr, "%s: %s\n", tool.name, why->text);
    return EXIT_FAILED;
}

/* "bhdisk" or "bhdisk create": what messages about usage begin with. */
static char *own_name(const struct verb *v)
{
    static char text[32];

    (void)snprintf(text, sizeof(text), "%s%s%s", tool.name, v ? " " : "", v ? v->name : "");
    return text;
}

int tool_usage(const struct verb *v, const char *fmt, ...)
{
    va_list args;

    (void)fprintf(stderr, "%s: ", own_name(v));
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "; try %s --help\n", own_name(v));
    return EXIT_USAGE;
}

static void verb_help(const struct verb *v)
{
    (void)printf("usage: %s %s\nTo %s; see %s(8).\n\n", own_name(v), v->arguments, v->purpose,
                 tool.name);
    for (const struct verb_option *o = v->option; o->name; o++) {
        char left[40];

        (void)snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
                       o->value ? o->value : "");
        (void)printf("  %-*s %s\n", tool.option_width, left, o->help);
    }
    (void)printf("  %-*s %s\n", tool.option_width, "--help", "print this");
}

char verb_next(const struct verb *v, int argc, char **argv)
{
    struct option longs[VERB_OPTIONS + 1] = {{"help", no_argument, NULL, 'h'}};
    int k;

    for (unsigned i = 0; v->option[i].name; i++)
        longs[i + 1] =
            (struct option){v->option[i].name, v->option[i].value ? required_argument : no_argument,
                            NULL, v->option[i].letter};
    /* What getopt says begins with this. */
    argv[0] = own_name(v);
    k = getopt_long(argc, argv, "h", longs, NULL);
    if (k == 'h') {
        verb_help(v);
        exit(EXIT_DONE);
    }
    if (k == '?')
        exit(EXIT_USAGE);
    return k < 0 ? 0 : (char)k;
}

static void help(void)
{
    (void)printf("usage: %s %sVERB [OPTION...] ARGUMENT...\n%s; see %s(8).\n\n", tool.name,
                 tool.options, tool.purpose, tool.name);
    for (const struct verb *const *v = tool.verbs; *v; v++)
        (void)printf("  %-10s %-*s %s\n", (*v)->name, tool.arguments_width, (*v)->arguments,
                     (*v)->purpose);
    (void)printf("\n%s%s VERB --help tells a verb's options.\n", tool.more, tool.name);
}

int tool_main(int argc, char **argv)
{
    if (argc < 2)
        return tool_usage(NULL, "a verb is wanted");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help();
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        (void)printf("%s (Bulkhead) %s\n", tool.name, tool.version);
        return EXIT_DONE;
    }
    for (const struct verb *const *v = tool.verbs; *v; v++)
        if (strcmp(argv[1], (*v)->name) == 0)
            return (*v)->run(argc - 1, argv + 1);
    return tool_usage(NULL, "no such verb: %.40s", argv[1]);
}
