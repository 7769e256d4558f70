/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_disk.h"

/*
 * Losses of power. Short plays of random operations, each cut at many of its points, some at all of
 * them; and the whole lives of shim_disk.h. Blocks are as small as they can be, because a file has
 * at least 4 MiB.
 *
 *   DISK_PLAYS=20 unit-disk_vhdx_crash    20 times as many
 */

#define MIB         (1ULL << 20)
#define SIZE        (4 * MIB)
#define GROWN       (7 * MIB)
#define SHRUNK      (3 * MIB - 32768)
#define OPS_MAX     24U
#define WHOLE_EVERY 40U /* of so many plays one is cut everywhere */
#define OP_SECTORS  SHIM_OP_SECTORS

enum what { WRITE, DISCARD, ZERO, FLUSH, REOPEN, GROW, SHRINK, COMPACT, PARENT };

struct op {
    enum what what;
    uint64_t first, count; /* sectors */
};

struct play {
    const struct format_create *how;
    struct op op[OPS_MAX];
    unsigned ops;
};

static struct shim_disk disk, base_disk;
static struct shim_image o, base;
static struct problem why;
static uint8_t buf[OP_SECTORS * SHIM_SECTOR];
static uint8_t *template;
static uint64_t template_size;
static uint64_t sure, maybe; /* sizes of the disk: durable, and what it was to become */

static uint64_t place(uint64_t *seed, const struct format_create *how)
{
    uint64_t unit = how->sector_size == 4096 ? 8 : 1;

    /* Near the ends of blocks or anywhere. */
    if (shim_below(seed, 2))
        return shim_below(seed, SIZE / SHIM_SECTOR / unit) * unit;
    return shim_below(seed, SIZE / MIB) * (MIB / SHIM_SECTOR) + shim_below(seed, 4) * unit;
}

/* A play of operations that need each other: writes that meet, discards of what was written. */
static void invent(struct play *p, uint64_t *seed)
{
    static const enum what kinds[] = {WRITE,   WRITE,  WRITE, WRITE,  WRITE,   FLUSH,
                                      FLUSH,   FLUSH,  FLUSH, ZERO,   ZERO,    DISCARD,
                                      DISCARD, REOPEN, GROW,  SHRINK, COMPACT, PARENT};
    uint64_t unit = p->how->sector_size == 4096 ? 8 : 1, all = SIZE / SHIM_SECTOR;

    p->ops = 6 + (unsigned)shim_below(seed, OPS_MAX - 6);
    for (unsigned k = 0; k < p->ops; k++) {
        struct op *op = &p->op[k];

        op->what = kinds[shim_below(seed, sizeof(kinds) / sizeof(kinds[0]))];
        op->first = place(seed, p->how);
        op->count = (1 + shim_below(seed, 4)) * unit;
        if (op->what == DISCARD || op->what == ZERO) {
            /* Whole blocks more often than not. */
            if (shim_below(seed, 4)) {
                op->first -= op->first % (MIB / SHIM_SECTOR);
                op->count = MIB / SHIM_SECTOR * (1 + shim_below(seed, 2));
            }
        }
        if (op->count > all - op->first)
            op->count = all - op->first;
    }
}

/* What a smaller disk does not have any more is zeros when it grows again. */
static int resize(struct shim_model *m, uint64_t size)
{
    uint64_t first = size / SHIM_SECTOR, count = m->sectors - first;
    int err = shim_first_write(&o);

    if (err)
        return err;
    maybe = size;
    if (size < o.geometry.size)
        shim_model_discard(m, first, count, true);
    err = format_vhdx.resize(o.image, size, &why);
    if (err)
        return err;
    for (uint64_t k = first; size < o.geometry.size && k < m->sectors; k++)
        m->sector[k].floor = m->sector[k].last;
    sure = o.geometry.size = size;
    return 0;
}

static int do_op(struct shim_model *m, const struct op *op)
{
    uint64_t at = op->first * SHIM_SECTOR, bytes = op->count * SHIM_SECTOR;
    int err = 0;

    if (op->what <= ZERO && at + bytes > o.geometry.size)
        return 0;
    switch (op->what) {
    case WRITE:
        shim_model_write(m, op->first, op->count, buf);
        return shim_write(&o, at, buf, bytes);
    case DISCARD:
    case ZERO:
        shim_model_discard(m, op->first, op->count, op->what == ZERO);
        return shim_discard(&o, at, bytes, op->what == ZERO);
    case GROW:
        return resize(m, GROWN);
    case SHRINK:
        return base.image ? 0 : resize(m, SHRUNK);
    case COMPACT:
        return format_vhdx.compact(o.image, NULL, NULL, &why);
    case PARENT:
        return base.image ? format_vhdx.set_parent(o.image, "c.vhdx", NULL, &base.geometry, &why)
                          : 0;
    case REOPEN:
        err = shim_close(&o);
        if (!err)
            err = file_flush(&disk.file);
        if (!err)
            err = shim_open(&o, &format_vhdx, &disk.file, false);
        break;
    case FLUSH:
        err = shim_flush(&o);
        break;
    }
    if (!err)
        shim_model_flushed(m);
    return err;
}

static void verify(const struct shim_model *m, bool crashed)
{
    uint64_t sectors = o.geometry.size / SHIM_SECTOR;

    assert_true(o.geometry.size == sure || o.geometry.size == maybe);
    for (uint64_t at = 0; at < sectors; at += OP_SECTORS) {
        assert_int_equal(shim_read(&o, at * SHIM_SECTOR, buf, sizeof(buf)), 0);
        shim_model_check(m, at, OP_SECTORS, buf, crashed);
    }
}

static void start(void)
{
    shim_forget_changes(&disk);
    disk.now.size = disk.durable.size = 0;
    shim_bytes_put(&disk.now, 0, template, template_size);
    shim_bytes_put(&disk.durable, 0, template, template_size);
    disk.power_left = disk.changes = 0;
    disk.dead = false;
    sure = maybe = SIZE;
    if (shim_open(&o, &format_vhdx, &disk.file, false) < 0)
        fail_msg("%s", o.why.text);
    o.parent = base.image ? &base : NULL;
}

static struct shim_model *model_new(void)
{
    struct shim_model *m = shim_model_new(GROWN);

    if (!base.image)
        return m;
    /* What the parent holds was written first; see differencing(). */
    m->newest = (uint32_t)(SIZE / SHIM_SECTOR / OP_SECTORS);
    for (uint64_t k = 1; k <= m->newest; k++) {
        m->write[k].first = (k - 1) * OP_SECTORS;
        m->write[k].count = OP_SECTORS;
        for (uint64_t s = 0; s < OP_SECTORS; s++)
            m->sector[m->write[k].first + s] = (struct shim_sector){(uint32_t)k, (uint32_t)k, 0};
    }
    return m;
}

static void recover(const struct shim_model *m, const struct play *p, uint64_t seed)
{
    struct check_report report = {.say = NULL};
    int err = 0;

    /* By a log in memory now and then, and again cut while it is played. */
    if (seed % 3 == 0) {
        if (shim_open(&o, &format_vhdx, &disk.file, true) < 0)
            fail_msg("%s", o.why.text);
        o.parent = base.image ? &base : NULL;
        verify(m, true);
        assert_int_equal(shim_close(&o), 0);
    }
    if (seed % 4 == 0) {
        disk.power_left = 1 + seed / 4 % 12;
        err = shim_open(&o, &format_vhdx, &disk.file, false);
        disk.dead = true;
        if (!err)
            (void)shim_close(&o);
        shim_disk_crash(&disk, &seed);
    }
    if (shim_open(&o, &format_vhdx, &disk.file, false) < 0)
        fail_msg("%s", o.why.text);
    o.parent = base.image ? &base : NULL;
    verify(m, true);
    assert_int_equal(shim_close(&o), 0);
    report.say = shim_say;
    if (format_vhdx.check(&disk.file, false, &report, &why) < 0)
        fail_msg("check: %s", why.text);
    assert_int_equal(report.errors, 0);
}

/* The play, with the power cut after so many changes of the medium; 0: at its end. How many there
 * were. */
static uint64_t perform(const struct play *p, uint64_t cut, uint64_t seed)
{
    struct shim_model *m = model_new();
    uint64_t changes;
    int err = 0;

    start();
    disk.power_left = cut;
    for (unsigned k = 0; k < p->ops && !err; k++) {
        err = do_op(m, &p->op[k]);
        if (o.image)
            o.parent = base.image ? &base : NULL;
    }
    if (err && !disk.dead)
        fail_msg("error %d with the power on", err);
    if (!err && !disk.dead) /* not every loss is an error of what was done */
        verify(m, false);
    changes = disk.changes;
    disk.dead = true;
    if (o.image)
        (void)shim_close(&o);
    shim_disk_crash(&disk, &seed);
    recover(m, p, seed);
    shim_model_free(m);
    return changes;
}

static void plays(struct format_create how, unsigned seeds, unsigned cuts)
{
    struct shim_disk made;

    seeds *= shim_plays();
    how.size = SIZE;
    how.block_size = MIB;
    shim_disk_init(&made);
    assert_int_equal(format_vhdx.create(&made.file, &how, &why), 0);
    template = made.now.data;
    template_size = made.now.size;
    shim_disk_init(&disk);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct play p = {.how = &how};
        uint64_t random = seed * 0x9E3779B97F4A7C15U, changes;

        invent(&p, &random);
        changes = perform(&p, 0, seed);
        for (unsigned k = 0; k < cuts && changes; k++)
            (void)perform(&p, 1 + shim_below(&random, changes), random >> 3);
        /* After any single change. */
        for (uint64_t k = 1; seed % WHOLE_EVERY == 1 && k <= changes; k++)
            (void)perform(&p, k, shim_random(&random));
    }
    shim_disk_free(&disk);
    shim_disk_free(&made);
}

static void test_dynamic(void **state)
{
    plays((struct format_create){0}, 150, 6);
    plays((struct format_create){.sector_size = 4096}, 20, 6);
}

static void test_fixed(void **state)
{
    plays((struct format_create){.fixed = true}, 20, 4);
    plays((struct format_create){.fixed = true, .sector_size = 4096}, 5, 4);
}

static void differencing(uint32_t sector, unsigned seeds)
{
    const struct format_create how = {.size = SIZE, .block_size = MIB, .sector_size = sector};

    shim_disk_init(&base_disk);
    assert_int_equal(format_vhdx.create(&base_disk.file, &how, &why), 0);
    assert_int_equal(shim_open(&base, &format_vhdx, &base_disk.file, false), 0);
    for (uint64_t at = 0; at < SIZE / SHIM_SECTOR; at += OP_SECTORS) {
        for (uint64_t s = 0; s < OP_SECTORS; s++)
            shim_fill(buf + s * SHIM_SECTOR, at + s, at / OP_SECTORS + 1);
        assert_int_equal(shim_write(&base, at * SHIM_SECTOR, buf, sizeof(buf)), 0);
    }
    assert_int_equal(shim_flush(&base), 0);
    plays((struct format_create){.parent_path = "base.vhdx",
                                 .parent = &base.geometry,
                                 .sector_size = sector},
          seeds, 6);
    assert_int_equal(shim_close(&base), 0);
    shim_disk_free(&base_disk);
}

static void test_differencing(void **state)
{
    differencing(512, 200);
    differencing(4096, 40);
}

static void lives(struct format_create how, struct shim_image *parent, unsigned seeds,
                  uint64_t window, uint64_t power)
{
    how.block_size = MIB;
    seeds *= shim_plays();
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        const struct shim_crash c = {.format = &format_vhdx,
                                     .how = &how,
                                     .parent = parent,
                                     .seed = seed,
                                     .lives = 5,
                                     .ops = 40,
                                     .power = power,
                                     .window = window};
        shim_crash_run(&c);
    }
}

static void test_lives(void **state)
{
    const struct format_create how = {.size = 4 * MIB, .block_size = MIB};
    struct format_create child = {
        .size = 5 * MIB, .parent_path = "base.vhdx", .parent = &base.geometry};

    lives((struct format_create){.size = 5 * MIB + 1024}, NULL, 25, 0, 0);
    lives((struct format_create){.size = 2 * MIB, .fixed = true}, NULL, 5, 0, 0);
    shim_disk_init(&base_disk);
    assert_int_equal(format_vhdx.create(&base_disk.file, &how, &why), 0);
    assert_int_equal(shim_open(&base, &format_vhdx, &base_disk.file, false), 0);
    lives(child, &base, 25, MIB, 30);
    assert_int_equal(shim_close(&base), 0);
    shim_disk_free(&base_disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_differencing),
        cmocka_unit_test(test_lives),
    };
    return cmocka_run_group_tests(tests, NULL, shim_tell_losses);
}
