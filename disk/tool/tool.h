/* SPDX-License-Identifier: MIT */
#ifndef DISK_TOOL_TOOL_H
#define DISK_TOOL_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "disk/disk_priv.h"
#include "lib/hosted/output.h"
#include "lib/hosted/verbs.h"

/* What the verbs of bhdisk share. */

enum { EXIT_ERRORS = EXIT_OWN, EXIT_REPAIRED };

extern const struct verb verb_create, verb_info, verb_check, verb_resize, verb_convert,
    verb_compact, verb_merge, verb_set_parent;

/* text.c */

#define NOT_A_SIZE "not a size: '%.40s': it is bytes, or has K, M, G or T behind it, as 1.5G"

/** "4096", "10G", "1.5T": K, M, G, T of 1024. False: it is none. */
bool size_parse(const char *text, uint64_t *out);
/** "1.5 GiB" */
void size_text(char out[32], uint64_t bytes);
/** A string in quotes as JSON wants it. */
void json_string(FILE *f, const char *text);
/** The path that leads from the folder of `from` to `to`; -errno if one is not there. */
int path_relative(char *out, size_t size, const char *from, const char *to);

/* progress.c */

struct progress {
    const char *what;
    bool shown;
    int64_t last_ms;
};

/** A bar on a terminal, nothing elsewhere. */
void progress_start(struct progress *p, const char *what);
/** As disk_format's compact() calls it; always true. */
bool progress_show(void *p, uint64_t done, uint64_t all);
void progress_end(struct progress *p);

/* create.c */

/** What a disk is made with; the umask applies. */
#define DISK_MODE 0666

/** What a new file is to be: `name`, or NULL: by the end of its path, raw if that says nothing. An
 * option of `how` that such a format has not is refused. */
int output_choose(const struct disk_format **out, const char *path, const char *name,
                  const struct format_create *how, struct problem *why);
/** Make the file an image. */
int output_format(struct output *o, const struct disk_format *format,
                  const struct format_create *how, struct problem *why);

/* copy.c */

struct copy {
    struct disk *from, *to;
    const char *to_path; /* what messages call `to`: a new image has another name yet */
    bool top_only;       /* what is in the parents of `from` is left alone */
    bool fresh;          /* `to` is all zeros */
    struct progress *progress;
};

int copy_run(const struct copy *c, struct problem *why);

/* convert.c */

struct convert {
    const char *from, *from_format;
    const char *to, *to_format; /* NULL: by its name */
    bool force;
    struct format_create how; /* size 0: the source's */
};

int convert(const struct convert *c, struct problem *why);

#endif
