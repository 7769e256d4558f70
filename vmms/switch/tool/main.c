/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "lib/bits.h"
#include "vmms/switch/tool/tool.h"

static const struct verb *const verbs[] = {&verb_create,     &verb_delete, &verb_connect,
                                           &verb_disconnect, &verb_set,    &verb_list,
                                           &verb_show,       &verb_clean};

const char *tool_folder = SWITCH_FOLDER;

int tool_fail(const struct problem *why)
{
    (void)fprintf(stderr, "bhswitch: %s\n", why->text);
    return EXIT_FAILED;
}

/* "bhswitch" or "bhswitch create": what messages about usage begin with. */
static char *own_name(const struct verb *v)
{
    static char text[32];

    (void)snprintf(text, sizeof(text), "bhswitch%s%s", v ? " " : "", v ? v->name : "");
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

bool name_take(char out[SWITCH_NAME_MAX + 1], const char *text)
{
    size_t n = strlen(text);

    if (n > SWITCH_NAME_MAX)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

static void verb_help(const struct verb *v)
{
    (void)printf("usage: %s %s\nTo %s; see bhswitch(8).\n\n", own_name(v), v->arguments,
                 v->purpose);
    for (const struct verb_option *o = v->option; o->name; o++) {
        char left[40];

        (void)snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
                       o->value ? o->value : "");
        (void)printf("  %-20s %s\n", left, o->help);
    }
    (void)puts("  --help               print this");
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
    (void)puts("usage: bhswitch [--state DIR] VERB [OPTION...] ARGUMENT...\n"
               "Makes virtual switches and ports of virtual machines; see bhswitch(8).\n");
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
        (void)printf("  %-10s %-26s %s\n", verbs[i]->name, verbs[i]->arguments, verbs[i]->purpose);
    (void)puts("\n  --state DIR  where it is kept, in place of " SWITCH_FOLDER "\n\n"
               "bhswitch VERB --help tells a verb's options.");
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--state") == 0) {
        tool_folder = argv[2];
        if (tool_folder[0] != '/' || strlen(tool_folder) > 3000)
            return tool_usage(NULL, "--state wants an absolute path");
        argc -= 2;
        argv += 2;
    }
    if (argc < 2)
        return tool_usage(NULL, "a verb is wanted");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help();
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        (void)puts("bhswitch (Bulkhead) " BHSWITCH_VERSION);
        return EXIT_DONE;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(argv[1], verbs[i]->name) == 0)
            return verbs[i]->run(argc - 1, argv + 1);
    return tool_usage(NULL, "no such verb: %.40s", argv[1]);
}
