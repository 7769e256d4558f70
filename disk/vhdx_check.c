/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhdx_priv.h"

/* What a check has in hand. */
struct checking {
    struct image *image;
    bool repair;
    struct check_report *report;
    bool *bad_pages; /* of the table of blocks */
    bool no_memory;
};

static void finding(const struct checking *c, const char *sentence)
{
    struct check_report *r = c->report;

    r->errors++;
    r->fixed += c->repair;
    if (r->say)
        r->say(r->ctx, c->repair, sentence);
}

/* What an interruption leaves and opening for writing mends is no error. */
static void note(const struct checking *c, bool mended, const char *sentence)
{
    if (c->report->say)
        c->report->say(c->report->ctx, mended, sentence);
}

/* The block is lost: without it, its bytes read as zeros or as the parent's. */
static void bad_entry(void *ctx, uint32_t index, const char *sentence)
{
    struct checking *c = ctx;

    finding(c, sentence);
    if (!c->bad_pages)
        c->bad_pages = calloc(c->image->entries / VHDX_ENTRIES_PAGE + 1, sizeof(bool));
    if (c->bad_pages)
        c->bad_pages[index / VHDX_ENTRIES_PAGE] = true;
    c->no_memory |= !c->bad_pages;
}

static int repair_table(struct checking *c)
{
    struct image *i = c->image;
    int err = c->no_memory ? -ENOMEM : 0;

    if (!c->bad_pages || err)
        return err;
    err = vhdx_session(i, true);
    for (uint32_t p = 0; p < i->entries / VHDX_ENTRIES_PAGE + 1 && !err; p++) {
        if (!c->bad_pages[p])
            continue;
        err = vhdx_room(i);
        if (!err)
            vhdx_page_dirty(i, VHDX_PAGE_BAT, p);
    }
    return err ? err : vhdx_flush(i);
}

static int repair_regions(struct image *i)
{
    int err = 0;

    for (unsigned k = 0; k < 2 && !err; k++)
        if (i->regions_damaged[k])
            err = file_write(i->file, i->regions, sizeof(*i->regions),
                             k ? VHDX_REGIONS2 : VHDX_REGIONS1);
    return err ? err : vhdx_sync(i);
}

static int repair(struct checking *c)
{
    struct image *i = c->image;
    bool regions = i->regions_damaged[0] || i->regions_damaged[1];
    int err = repair_table(c);

    if (!err && (regions || i->header_damaged || i->log_lost))
        err = vhdx_session(i, false);
    if (!err && regions)
        err = repair_regions(i);
    if (!err && i->file_guid_new)
        err = vhdx_trim(i);
    return err ? err : i->file_guid_new ? vhdx_sync(i) : 0;
}

static int check(struct checking *c, struct problem *why)
{
    struct image *i = c->image;
    struct parent *parent = calloc(1, sizeof(*parent));
    bool other_header;
    int err = parent ? vhdx_load(i, bad_entry, c, why) : problem_set(why, -ENOMEM, "no memory");

    other_header = i->header_damaged;
    if (!err && i->has_parent)
        err = vhdx_parent_load(i, parent, why);
    free(parent);
    if (err)
        return err;
    if (i->log_lost)
        finding(c, "the log is in use and has no valid entry: if it had any, they are lost");
    else if (i->log_left)
        note(c, c->repair, "note: the log has updates that are not in their place");
    if (other_header)
        note(c, c->repair, "note: one header is damaged; the other one counts");
    if (i->regions_damaged[0] || i->regions_damaged[1])
        finding(c, "a region table is damaged; its copy counts");
    if (!c->repair && !i->leave_allocated && vhdx_space_end(&i->space) < i->file_bytes)
        note(c, false, "note: there is unused space at the end");
    err = c->repair ? repair(c) : 0;
    return err ? problem_set(why, err, "cannot be repaired: %s", strerror(-err)) : 0;
}

int vhdx_check(struct disk_file *file, bool repair_it, struct check_report *report,
               struct problem *why)
{
    struct image *i = calloc(1, sizeof(*i));
    struct checking c = {.image = i, .repair = repair_it, .report = report};
    int err;

    if (!i)
        return problem_set(why, -ENOMEM, "no memory");
    i->file = file;
    i->read_only = !repair_it;
    i->checking = true;
    err = check(&c, why);
    free(c.bad_pages);
    vhdx_free(i);
    return err;
}
