/* SPDX-License-Identifier: MIT */
#ifndef LIB_HOSTED_VERBS_H
#define LIB_HOSTED_VERBS_H

#include "lib/hosted/problem.h"

/* Programs whose first word is a verb: usage, --help and --version of the program and of each verb.
 */

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_OWN /* from here on the program's */ };

#define VERB_OPTIONS 20

/** An option of a verb: what parses it and what --help says of it. */
struct verb_option {
    const char *name;  /* NULL ends the list */
    const char *value; /* what it is followed by; NULL: nothing */
    char letter;       /* what verb_next() returns */
    const char *help;
};

/** A verb has a file of its own and a row in struct tool. run() gets its arguments, the verb first.
 */
struct verb {
    const char *name;
    const char *arguments;
    const char *purpose;
    int (*run)(int argc, char **argv);
    struct verb_option option[VERB_OPTIONS];
};

/** What --help and messages say of the program. */
struct tool {
    const char *name, *version;
    const char *options;               /* before VERB: "" or with a blank behind */
    const char *purpose;               /* a sentence without its end */
    const char *more;                  /* lines behind the verbs: "" or with a line end */
    int arguments_width, option_width; /* columns of the lists */
    const struct verb *const *verbs;   /* NULL ends the list */
};

/** The program's. */
extern const struct tool tool;

/** Run the verb that argv[1] names; its exit status. */
int tool_main(int argc, char **argv);

/** The next option's letter; 0: there is none. Ends the program at --help and at an option that is
 * unknown. */
char verb_next(const struct verb *v, int argc, char **argv);

/** Print a sentence on standard error: EXIT_FAILED. */
int tool_fail(const struct problem *why);
/** The same of words that make no sense: EXIT_USAGE. `v` NULL: there is no verb yet. */
__attribute__((format(printf, 2, 3))) int tool_usage(const struct verb *v, const char *fmt, ...);

#endif
