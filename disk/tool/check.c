/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include "disk/tool/tool.h"

#define SAID_MAX 1000U /* findings that are printed */

struct sayer {
    bool json;
    unsigned said;
};

static void say(void *ctx, bool fixed, const char *sentence)
{
    struct sayer *s = ctx;

    if (s->said == SAID_MAX)
        return; /* the closing line counts all */
    if (!s->json) {
        s->said++;
        (void)printf("%s%s\n", sentence, fixed ? " (repaired)" : "");
        return;
    }
    (void)printf("%s{\"finding\": ", s->said++ ? ",\n  " : "");
    json_string(stdout, sentence);
    (void)printf(", \"repaired\": %s}", fixed ? "true" : "false");
}

static int check_file(struct host_file *h, const char *path, bool repair,
                      struct check_report *report, struct problem *why)
{
    struct problem inner = {{0}};
    const struct disk_format *format, *promised = format_of_name(path);
    int err = host_file_lock(h, repair, path, why);

    if (err)
        return err;
    err = format_probe(&h->file, path, &format);
    if (err)
        return problem_set(why, err, "%s: %s", path, strerror(-err));
    /* Anything is a sound raw image, also what is left of a VHD. */
    if (promised && format == &format_raw)
        return problem_set(why, -EINVAL, "%s: it holds no %s, which its name promises", path,
                           promised->name);
    if (!format->check)
        return problem_set(why, -ENOTSUP, "%s: %s cannot be checked", path, format->name);
    err = format->check(&h->file, repair, report, &inner);
    return err ? problem_set(why, err, "%.250s: %.250s", path, inner.text) : 0;
}

static int run(int argc, char **argv)
{
    struct sayer sayer = {0};
    struct check_report report = {.say = say, .ctx = &sayer};
    bool repair = false;
    struct host_file *h;
    struct problem why;
    int err;

    for (char k; (k = verb_next(&verb_check, argc, argv)) != 0;) {
        sayer.json |= k == 'j';
        repair |= k == 'r';
    }
    if (argc - optind != 1)
        return tool_usage(&verb_check, "one PATH is wanted");
    if (host_file_open(&h, argv[optind], repair ? HOST_WRITE : 0, &why) < 0)
        return tool_fail(&why);
    if (sayer.json)
        (void)printf("{\"findings\": [");
    err = check_file(h, argv[optind], repair, &report, &why);
    host_file_close(h);
    if (sayer.json)
        (void)printf("], \"errors\": %u, \"repaired\": %u, \"checked\": %s}\n", report.errors,
                     report.fixed, err ? "false" : "true");
    if (err)
        return tool_fail(&why);
    if (!sayer.json)
        (void)printf("%u %s, %u repaired\n", report.errors, report.errors == 1 ? "error" : "errors",
                     report.fixed);
    if (report.errors == 0)
        return EXIT_DONE;
    return report.fixed == report.errors ? EXIT_REPAIRED : EXIT_ERRORS;
}

const struct verb verb_check = {
    .name = "check",
    .arguments = "[--json] [--repair] PATH",
    .purpose = "look for damage",
    .run = run,
    .option = {{"json", NULL, 'j', "print the findings as JSON"},
               {"repair", NULL, 'r', "mend what can be mended"}},
};
