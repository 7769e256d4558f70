/* SPDX-License-Identifier: MIT */
#ifndef LIB_HOSTED_OUTPUT_H
#define LIB_HOSTED_OUTPUT_H

#include <stdbool.h>
#include <sys/types.h>
#include "lib/hosted/problem.h"

/*
 * A new file that appears under its name only when it is complete: until then it is .NAME.XXXXXX in
 * the same folder. For programs that make one file at a time: SIGINT, SIGTERM, SIGHUP and SIGPIPE
 * remove it and end the program.
 */
struct output {
    const char *path; /* borrowed */
    bool force;
    char temporary[4096];
    int fd; /* to write to; -1: none */
};

/** With `force` a file of that name is replaced; the umask applies to `mode`. 0, or -errno. */
int output_begin(struct output *o, const char *path, mode_t mode, bool force, struct problem *why);
/** Durable under its name. The temporary one is gone in any case. 0, or -errno. */
int output_commit(struct output *o, struct problem *why);
void output_drop(struct output *o);

/** Make the names in the folder of a file durable. 0, or -errno. */
int folder_flush(const char *path);

#endif
