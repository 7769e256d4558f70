/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* realpath */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "disk/tool/tool.h"

/*
 * Puts what a differencing image holds into its parent. The child is only read, so whatever
 * interrupts this, running it again does all of it once more and ends the same. The first write
 * makes some parents another image than the one that the child names; a note beside the child,
 * which is durable before that write, remembers who the parent is until the parent is durable and
 * the child, if it is to go, is gone for good.
 */

struct merge {
    const char *child;
    char note[PARENT_PATH_MAX];
    char parent[2 * PARENT_PATH_MAX];
    bool remove;
};

static int note_name(struct merge *m, struct problem *why)
{
    const char *slash = strrchr(m->child, '/');
    int folder = slash ? (int)(slash - m->child) + 1 : 0;
    int n =
        snprintf(m->note, sizeof(m->note), "%.*s.%s.merge", folder, m->child, m->child + folder);

    if (n < 0 || (size_t)n >= sizeof(m->note))
        return problem_set(why, -ENAMETOOLONG, "%.400s: the name is too long", m->child);
    return 0;
}

/* The parent's path out of the note of a run that was interrupted: 1, 0: there is none. */
static int note_read(struct merge *m)
{
    int fd = open(m->note, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    n = read(fd, m->parent, sizeof(m->parent) - 1);
    (void)close(fd);
    if (n < 2 || m->parent[n - 1] != '\n')
        return 0;
    m->parent[n - 1] = 0;
    return 1;
}

/* A part of a path, or zeros that a loss of power leaves of it, would lead elsewhere: like any new
 * file it appears when it is complete. */
static int note_write(const struct merge *m, struct problem *why)
{
    size_t length = strlen(m->parent);
    struct output out;
    int err = output_begin(&out, m->note, DISK_MODE, true, why);

    if (err)
        return err;
    if (write(out.fd, m->parent, length) == (ssize_t)length && write(out.fd, "\n", 1) == 1)
        return output_commit(&out, why);
    output_drop(&out);
    return problem_set(why, -EIO, "%s: cannot be written", m->note);
}

/* Who the parent is: by the note, or by the child, whose chain must be whole then. */
static int find_parent(struct merge *m, struct problem *why)
{
    const struct disk_options options = {.read_only = true, .cached = true};
    struct layer *top;
    int err = note_read(m);

    if (err < 0)
        return problem_set(why, err, "%s: %s", m->note, strerror(-err));
    if (err > 0)
        return 0;
    err = chain_open(&top, m->child, &options, why);
    if (err)
        return err;
    if (!top->parent)
        err = problem_set(why, -EINVAL, "%s: it has no parent", m->child);
    else if (!realpath(top->parent->path, m->parent))
        err = problem_set(why, -errno, "%s: %s", top->parent->path, strerror(errno));
    (void)chain_close(top);
    return err ? err : note_write(m, why);
}

static int merge_disks(struct disk *child, struct disk *parent, struct problem *why)
{
    struct progress progress;
    struct disk_info from, to;
    int err = 0;

    disk_info(child, &from);
    disk_info(parent, &to);
    if (from.size > to.size)
        err = disk_grow(parent, from.size, why);
    if (err)
        return err;
    progress_start(&progress, "merging");
    const struct copy copy = {.from = child,
                              .to = parent,
                              .to_path = parent->top->path,
                              .top_only = true,
                              .progress = &progress};
    err = copy_run(&copy, why);
    progress_end(&progress);
    return err;
}

static int open_child(const struct merge *m, struct disk **child, struct problem *why)
{
    const struct disk_options options = {.read_only = true, .cached = true};
    struct layer *top;
    int err = chain_open_alone(&top, m->child, &options, why);

    if (err)
        return err;
    err = disk_open_layer(child, top, why);
    if (err)
        (void)chain_close(top);
    return err;
}

/* A run that was interrupted behind the removal of the child has left nothing but the note. */
static bool only_note_left(const struct merge *m)
{
    return m->remove && access(m->child, F_OK) < 0 && errno == ENOENT && access(m->note, F_OK) == 0;
}

static int remove_child(const struct merge *m, struct problem *why)
{
    int err = unlink(m->child) < 0 && errno != ENOENT ? -errno : folder_flush(m->child);

    return err ? problem_set(why, err, "%s: %s", m->child, strerror(-err)) : 0;
}

static int merge_files(struct merge *m, struct problem *why)
{
    const struct disk_options options = {.cached = true};
    struct disk *child, *parent;
    int err = find_parent(m, why), closed;

    if (!err)
        err = open_child(m, &child, why);
    if (err)
        return err;
    err = disk_open(&parent, m->parent, &options, why);
    if (!err) {
        err = merge_disks(child, parent, why);
        /* Makes all of it durable. */
        closed = disk_close(parent);
        if (!err && closed)
            err = problem_set(why, closed, "%.400s: %s", m->parent, strerror(-closed));
    }
    (void)disk_close(child);
    return err;
}

static int merge(struct merge *m, struct problem *why)
{
    int err = note_name(m, why);

    if (!err && !only_note_left(m))
        err = merge_files(m, why);
    if (err)
        return err;
    if (m->remove)
        err = remove_child(m, why);
    /* Gone for good as well: later the parent may be written to, and must not be merged into. */
    (void)unlink(m->note);
    if (!err && folder_flush(m->note) < 0)
        err = problem_set(why, -EIO, "%s: its folder cannot be flushed", m->note);
    return err;
}

static int run(int argc, char **argv)
{
    static struct merge m;
    struct convert c = {0};
    struct problem why;

    for (char k; (k = verb_next(&verb_merge, argc, argv)) != 0;) {
        if (k == 'd')
            m.remove = true;
        else if (k == 'o')
            c.to = optarg;
        else if (k == 'f')
            c.to_format = optarg;
        else if (k == 'F')
            c.force = true;
    }
    if (argc - optind != 1)
        return tool_usage(&verb_merge, "one CHILD is wanted");
    if (c.to && m.remove)
        return tool_usage(&verb_merge, "--delete does not go with --output");
    if (!c.to && (c.to_format || c.force))
        return tool_usage(&verb_merge, "--format and --force are of --output");
    m.child = c.from = argv[optind];
    return (c.to ? convert(&c, &why) : merge(&m, &why)) < 0 ? tool_fail(&why) : EXIT_DONE;
}

const struct verb verb_merge = {
    .name = "merge",
    .arguments = "[--delete | --output NEW] CHILD",
    .purpose = "put a differencing image into its parent",
    .run = run,
    .option = {{"delete", NULL, 'd', "remove the child when the parent is durable"},
               {"output", "NEW", 'o', "leave both; make an image of the whole chain"},
               {"format", "F", 'f', "of NEW: raw, vhd, vhdx; else its name says it"},
               {"force", NULL, 'F', "replace a file of NEW's name"}},
};
