/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>
#include "disk/tool/tool.h"

/* A GUID as people write it: Windows' have their first three fields little-endian in files. */
static void identity_text(char out[37], const struct layer *l)
{
    static const uint8_t order[2][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15},
    };
    const uint8_t *by = order[strcmp(l->format->name, "vhdx") == 0];
    char *s = out;

    for (unsigned k = 0; k < 16; k++) {
        if (k == 4 || k == 6 || k == 8 || k == 10)
            *s++ = '-';
        (void)snprintf(s, 3, "%02x", l->geometry.identity[by[k]]);
        s += 2;
    }
}

static bool has_identity(const struct layer *l)
{
    static const uint8_t none[16];

    return memcmp(l->geometry.identity, none, sizeof(none)) != 0;
}

static uint64_t allocated(const struct layer *l)
{
    struct stat st;

    return fstat(l->host->file.fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

static void print_text(const struct layer *l, bool in_use)
{
    const struct disk_format *promised = format_of_name(l->path);
    const struct image_geometry *g = &l->geometry;
    char size[32], used[32], guid[37];

    size_text(size, g->size);
    size_text(used, allocated(l));
    (void)printf("%s\n  format       %s%s%s\n", l->path, l->format->name, g->kind ? ", " : "",
                 g->kind ? g->kind : "");
    if (promised && promised != l->format)
        (void)printf("               but its name promises %s\n", promised->name);
    (void)printf("  size         %s (%llu bytes)\n", size, (unsigned long long)g->size);
    (void)printf("  on the host  %s\n", used);
    (void)printf("  sectors      %u bytes, physical %u\n", g->sector_size, g->physical_size);
    if (g->block_size)
        (void)printf("  blocks       %u bytes\n", g->block_size);
    identity_text(guid, l);
    if (has_identity(l))
        (void)printf("  identity     %s\n", guid);
    if (l->geometry.parent.wanted && l->parent)
        (void)printf("  parent       %s\n", l->parent->path);
    for (unsigned k = 0; g->parent.wanted && !l->parent && k < g->parent.path_count; k++)
        (void)printf("  %s %s\n", k == 0 ? "parent      " : "      or    ", g->parent.path[k]);
    if (in_use)
        (void)printf("  in use       another program has it open\n");
}

static void print_json(const struct layer *l, bool in_use)
{
    const struct image_geometry *g = &l->geometry;
    char guid[37];

    (void)printf("{\"path\": ");
    json_string(stdout, l->path);
    (void)printf(", \"format\": \"%s\", \"kind\": ", l->format->name);
    if (g->kind)
        json_string(stdout, g->kind);
    else
        (void)printf("null");
    (void)printf(", \"size\": %llu, \"allocated\": %llu, \"sector_size\": %u, "
                 "\"physical_size\": %u, \"block_size\": %u, \"in_use\": %s, \"identity\": ",
                 (unsigned long long)g->size, (unsigned long long)allocated(l), g->sector_size,
                 g->physical_size, g->block_size, in_use ? "true" : "false");
    identity_text(guid, l);
    if (has_identity(l))
        (void)printf("\"%s\"", guid);
    else
        (void)printf("null");
    (void)printf(", \"parent\": ");
    if (g->parent.wanted && (l->parent || g->parent.path_count))
        json_string(stdout, l->parent ? l->parent->path : g->parent.path[0]);
    else
        (void)printf("null");
    (void)printf("}");
}

/* An image that a machine has open is looked at all the same; what it says may change meanwhile. */
static int open_for_info(struct layer **top, const char *path, bool chain, bool *in_use,
                         struct problem *why)
{
    struct disk_options options = {.read_only = true, .cached = true};
    int err =
        chain ? chain_open(top, path, &options, why) : chain_open_alone(top, path, &options, why);

    *in_use = err == -EBUSY;
    options.shared = true;
    if (err == -EBUSY)
        err = chain ? chain_open(top, path, &options, why)
                    : chain_open_alone(top, path, &options, why);
    return err;
}

static int run(int argc, char **argv)
{
    bool json = false, chain = false, in_use;
    struct problem why;
    struct layer *top;

    for (char k; (k = verb_next(&verb_info, argc, argv)) != 0;) {
        json |= k == 'j';
        chain |= k == 'c';
    }
    if (argc - optind != 1)
        return tool_usage(&verb_info, "one PATH is wanted");
    if (open_for_info(&top, argv[optind], chain, &in_use, &why) < 0)
        return tool_fail(&why);
    if (json && chain)
        (void)printf("[");
    for (const struct layer *l = top; l; l = l->parent) {
        if (json)
            print_json(l, in_use && l == top);
        else
            print_text(l, in_use && l == top);
        if (json && l->parent)
            (void)printf(",\n ");
    }
    if (json)
        (void)printf(chain ? "]\n" : "\n");
    (void)chain_close(top);
    return EXIT_DONE;
}

const struct verb verb_info = {
    .name = "info",
    .arguments = "[--json] [--chain] PATH",
    .purpose = "say what an image is",
    .run = run,
    .option = {{"json", NULL, 'j', "print it as JSON"},
               {"chain", NULL, 'c', "of all its parents too"}},
};
