/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "disk/vhd_priv.h"
#include "lib/bits.h"

/* What a check has in hand. */
struct checking {
    struct image *image;
    bool repair;
    struct check_report *report;
    bool table_bad;
};

static void finding(struct check_report *r, bool fixed, const char *sentence)
{
    r->errors++;
    r->fixed += fixed;
    if (r->say)
        r->say(r->ctx, fixed, sentence);
}

/* What an interruption leaves and opening for writing mends is no error. */
static void note(const struct checking *c, const char *sentence)
{
    if (c->report->say)
        c->report->say(c->report->ctx, c->repair, sentence);
}

/* The block has no place of its own: without it, its bytes read as zeros or as the parent's. */
static void bad_block(void *ctx, uint32_t block, const char *sentence)
{
    struct checking *c = ctx;

    c->table_bad = true;
    vhd_table_dirty(c->image, block);
    finding(c->report, c->repair, sentence);
}

/* Both footers as they are, before any of them is chosen. */
static int look_at_footers(struct checking *c, uint64_t file_bytes, bool *mend, struct problem *why)
{
    struct vhd_footer tail, head;
    int err = vhd_footer_read(c->image->file, file_bytes, &tail);

    if (err >= 0)
        err = file_read(c->image->file, &head, sizeof(head), 0);
    if (err < 0)
        return problem_set(why, err, "the footer cannot be read: %s", strerror(-err));
    bool tail_good = vhd_footer_valid(&tail), head_good = vhd_footer_valid(&head);
    if (tail_good && be32toh(tail.type) == VHD_FIXED) {
        c->image->footer = tail;
        return 0;
    }
    if (!tail_good && (!head_good || be32toh(head.type) == VHD_FIXED))
        return problem_set(why, -EINVAL, "no valid footer at the end or at the start");
    c->image->footer = tail_good ? tail : head;
    *mend = !tail_good || !head_good || memcmp(&tail, &head, sizeof(tail)) != 0;
    if (!tail_good)
        note(c, "note: no footer at the end; its copy at the start stands for it");
    else if (!head_good)
        finding(c->report, c->repair, "the copy of the footer at the start is damaged");
    else if (*mend)
        note(c, "note: the footers differ; the one at the end counts");
    return 0;
}

static int check_fixed(struct image *i, uint64_t file_bytes, struct problem *why)
{
    if (i->size > file_bytes - VHD_SECTOR)
        return problem_set(why, -EINVAL, "cut: %llu bytes of data are missing",
                           (unsigned long long)(i->size - (file_bytes - VHD_SECTOR)));
    return 0;
}

static int check_blocks(struct checking *c, bool mend, struct problem *why)
{
    struct image *i = c->image;
    uint64_t file_bytes;
    int err;

    /* The table is in memory when its blocks are looked at, so it can be marked. */
    err = vhd_load(i, bad_block, c, why);
    if (err)
        return err;
    err = file_size(i->file, &file_bytes);
    if (!err && !i->trimmed && !mend && file_bytes > i->end + VHD_SECTOR && !c->repair)
        note(c, "note: there is unused space before the footer");
    if (err || !c->repair || (!mend && !c->table_bad))
        return err;
    err = vhd_flush(i);
    if (!err)
        err = vhd_footers_write(i);
    return err ? problem_set(why, err, "cannot be repaired: %s", strerror(-err)) : 0;
}

int vhd_check(struct disk_file *file, bool repair, struct check_report *report, struct problem *why)
{
    struct image *i = calloc(1, sizeof(*i));
    struct checking c = {.image = i, .repair = repair, .report = report};
    uint64_t file_bytes;
    bool mend = false;
    int err;

    if (!i)
        return problem_set(why, -ENOMEM, "no memory");
    i->file = file;
    i->read_only = !repair;
    err = file_size(file, &file_bytes);
    if (!err && file_bytes < VHD_SECTOR)
        err = problem_set(why, -EINVAL, "too short for a footer");
    if (!err)
        err = look_at_footers(&c, file_bytes, &mend, why);
    if (!err) {
        i->type = be32toh(i->footer.type);
        i->size = vhd_footer_size(&i->footer);
        if (i->size > VHD_SIZE_MAX)
            err = problem_set(why, -EINVAL, "the footer says more than 2040 GiB");
        else
            err = i->type == VHD_FIXED ? check_fixed(i, file_bytes, why)
                                       : check_blocks(&c, mend, why);
    }
    vhd_free(i);
    return err;
}
