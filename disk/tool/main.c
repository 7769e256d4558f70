/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <string.h>
#include "disk/tool/tool.h"
#include "lib/bits.h"

static const struct verb verbs[] = {
    {"create", "[OPTION...] PATH", "make a new image", verb_create},
    {"info", "[--json] [--chain] PATH", "say what an image is", verb_info},
    {"check", "[--json] [--repair] PATH", "look for damage", verb_check},
    {"resize", "[--shrink] PATH SIZE", "change the size of a disk", verb_resize},
    {"convert", "[OPTION...] FROM TO", "copy a disk into a new image", verb_convert},
    {"compact", "PATH", "give back space that holds nothing", verb_compact},
    {"merge", "[--delete | --output NEW] CHILD", "put a differencing image into its parent",
     verb_merge},
    {"set-parent", "[--force] CHILD PARENT", "tell a differencing image where its parent is",
     verb_set_parent},
};

int tool_fail(const struct problem *why)
{
    (void)fprintf(stderr, "bhdisk: %s\n", why->text);
    return EXIT_FAILED;
}

int tool_usage(const char *fmt, ...)
{
    va_list args;

    (void)fputs("bhdisk: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputs("; try bhdisk --help\n", stderr);
    return EXIT_USAGE;
}

static void help(void)
{
    (void)puts("usage: bhdisk VERB [OPTION...] ARGUMENT...\n"
               "Makes and changes disk images (raw, vhd, vhdx); see bhdisk(8).\n");
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
        (void)printf("  %-10s %-32s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].purpose);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return tool_usage("a verb is wanted");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help();
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        (void)puts("bhdisk (Bulkhead) " BHDISK_VERSION);
        return EXIT_DONE;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    return tool_usage("no such verb: %.40s", argv[1]);
}
