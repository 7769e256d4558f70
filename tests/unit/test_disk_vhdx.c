/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_vhdx.h"

/* What an image of each kind does and what is then in its file. Damage: test_disk_vhdx_bad.c; logs:
 * test_disk_vhdx_log.c; losses of power: test_disk_vhdx_crash.c. */

static void test_crc(void **state)
{
    static const uint8_t text[] = "123456789";

    assert_int_equal(vhdx_crc(0, text, 9), 0xE3069283U);
    assert_int_equal(vhdx_crc(vhdx_crc(0, text, 4), text + 4, 5), 0xE3069283U);
}

static void test_fixed(void **state)
{
    create(&(struct format_create){.size = 3 * MIB + 512, .block_size = MIB, .fixed = true});
    assert_int_equal(disk.now.size, 8 * MIB);
    assert_int_equal(format_vhdx.probe(&disk.file), 1);
    open_it(false);
    assert_int_equal(o.geometry.size, 3 * MIB + 512);
    assert_string_equal(o.geometry.kind, "fixed");
    put(MIB - 512, 8192, 1);
    assert_false(format_vhdx.dirty(o.image)); /* all of it has a place */
    reopen();
    expect(MIB - 512, 8192, 1);
    expect_zero(0, MIB - 512);
    assert_int_equal(shim_discard(&o, 0, MIB, true), 0); /* 2.6.2.1: its blocks stay */
    expect_zero(0, MIB);
    close_it();
    assert_int_equal(disk.now.size, 8 * MIB);
    for (unsigned b = 0; b < 4; b++)
        assert_int_equal(le64toh(bat()[b]) & VHDX_STATE_MASK, VHDX_PRESENT);
    assert_int_equal(errors(false), 0);
}

static void test_dynamic(void **state)
{
    struct extent e;

    create(&(struct format_create){.size = 64 * MIB, .block_size = 2 * MIB});
    assert_int_equal(disk.now.size, 4 * MIB);
    open_it(false);
    assert_string_equal(o.geometry.kind, "dynamic");
    assert_int_equal(o.geometry.physical_size, 4096);
    expect_zero(0, 4 * MIB);
    put(3 * MIB, 2 * MIB, 3); /* two blocks */
    put(60 * MIB, 512, 4);
    assert_true(format_vhdx.dirty(o.image));
    assert_int_equal(shim_flush(&o), 0);
    assert_false(format_vhdx.dirty(o.image));
    reopen();
    expect(3 * MIB, 2 * MIB, 3);
    expect(60 * MIB, 512, 4);
    expect_zero(60 * MIB + 512, 2 * MIB);
    put(3 * MIB + 512, 512, 5);
    format_vhdx.map(o.image, 3 * MIB, MIB, true, &e);
    assert_int_equal(e.kind, EXTENT_DATA);
    format_vhdx.map(o.image, 10 * MIB, 50 * MIB, false, &e);
    assert_int_equal(e.kind, EXTENT_ZERO);
    assert_int_equal(e.length, 50 * MIB);
    format_vhdx.map(o.image, 63 * MIB, MIB, true, &e);
    assert_int_equal(e.kind, EXTENT_SLOW);
    close_it();
    assert_int_equal(disk.now.size, 10 * MIB);
    assert_int_equal(errors(false), 0);
}

/* 2.4, 2.5: the sizes that there are, and where the entries of each chunk stand. */
static void test_block_sizes(void **state)
{
    static const struct {
        uint32_t block, sector;
        uint64_t size;
        unsigned entry; /* of the last block */
    } rows[] = {
        {1, 512, 64 * MIB, 63},
        {1, 4096, 64 * MIB, 63},
        {128, 512, 4096 * MIB, 31},        /* a chunk has 32 blocks */
        {128, 512, 4096 * MIB + 512, 33},  /* and one entry behind them */
        {128, 512, 3ULL * 4096 * MIB, 97}, /* the last chunk has none */
        {128, 4096, 32768 * MIB, 255},     /* 256 */
        {128, 4096, 32768 * MIB + 4096, 257},
        {256, 512, 4096 * MIB, 0}, /* more than the medium has room for */
        {256, 4096, 64ULL << 40, 0},
    };

    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        uint64_t last = rows[k].size - rows[k].sector;

        create(&(struct format_create){.size = rows[k].size,
                                       .block_size = rows[k].block << 20,
                                       .sector_size = rows[k].sector});
        open_it(false);
        assert_int_equal(o.geometry.size, rows[k].size);
        assert_int_equal(o.geometry.block_size, rows[k].block << 20);
        assert_int_equal(o.geometry.sector_size, rows[k].sector);
        if (rows[k].entry) {
            put(last, rows[k].sector, k);
            reopen();
            expect(last, rows[k].sector, k);
            assert_int_equal(le64toh(bat()[rows[k].entry]) & VHDX_STATE_MASK, VHDX_PRESENT);
        }
        close_it();
        assert_int_equal(errors(false), 0);
        shim_disk_free(&disk);
        shim_disk_init(&disk);
    }
}

static void test_bad_creations(void **state)
{
    static const struct {
        struct format_create how;
        const char *says;
    } rows[] = {
        {{.size = 0}, "64 TiB"},
        {{.size = 513}, "multiple of its sectors"},
        {{.size = MIB + 512, .sector_size = 4096}, "multiple of its sectors"},
        {{.size = (64ULL << 40) + 512}, "64 TiB"},
        {{.size = MIB, .block_size = 3 << 20}, "power of two"},
        {{.size = MIB, .block_size = 1 << 19}, "power of two"},
        {{.size = MIB, .block_size = 1U << 29}, "power of two"},
        {{.size = MIB, .sector_size = 2048}, "512 or 4096"},
        {{.size = MIB, .sector_size = 4096, .physical_size = 512}, "512 or 4096"},
    };

    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        assert_int_equal(format_vhdx.create(&disk.file, &rows[k].how, &why), -EINVAL);
        if (!strstr(why.text, rows[k].says))
            fail_msg("row %u: %s", k, why.text);
    }
}

static void test_discard(void **state)
{
    create(&(struct format_create){.size = 64 * MIB, .block_size = MIB});
    open_it(false);
    put(0, 2 * MIB, 1);
    assert_int_equal(shim_discard(&o, 4096, 8192, true), 0); /* a part: zeros in its place */
    expect_zero(4096, 8192);
    assert_int_equal(shim_discard(&o, MIB, 8 * MIB, false), 0);
    expect_zero(MIB, 2 * MIB);
    assert_int_equal(shim_flush(&o), 0);
    assert_int_equal(le64toh(bat()[1]), VHDX_UNMAPPED);
    assert_int_equal(le64toh(bat()[2]), VHDX_NOT_PRESENT);
    assert_int_equal(shim_discard(&o, MIB, MIB, true), 0); /* others need not read it as zeros */
    assert_int_equal(shim_discard(&o, 2 * MIB, MIB, true), 0);
    assert_int_equal(shim_flush(&o), 0);
    assert_int_equal(le64toh(bat()[1]), VHDX_ZERO);
    assert_int_equal(le64toh(bat()[2]), VHDX_NOT_PRESENT);
    put(5 * MIB, MIB, 2); /* where block 1 was, which is zeros */
    assert_int_equal(le64toh(bat()[5]), 0);
    assert_int_equal(shim_flush(&o), 0);
    assert_int_equal(le64toh(bat()[5]) & VHDX_PLACE_MASK, 5 * MIB);
    put(MIB + 512, 512, 3);
    expect_zero(MIB, 512);
    expect(MIB + 512, 512, 3);
    disk.no_punch = true;
    put(0, 4096, 2);
    assert_int_equal(shim_discard(&o, 0, 4096, false), 0);
    expect(0, 4096, 2);
    assert_int_equal(shim_discard(&o, 0, 4096, true), 0);
    reopen();
    expect_zero(0, 4096);
    close_it();
    assert_int_equal(errors(false), 0);
}

/* ---- differencing ---- */

static void differencing(uint32_t sector)
{
    uint64_t s = sector;

    create_child(16 * MIB, sector, "base.vhdx");
    assert_string_equal(o.geometry.kind, "differencing");
    assert_memory_equal(o.geometry.parent.identity, base.geometry.link, 16);
    expect_base(0, 4 * MIB);
    expect_zero(12 * MIB, MIB);
    put(MIB, s, 1);
    put(MIB + 64 * s, 130 * s, 2);
    expect(MIB, s, 1);
    expect_base(MIB + s, 63 * s);
    expect(MIB + 64 * s, 130 * s, 2);
    expect_base(MIB + 194 * s, MIB - 194 * s);
    reopen();
    assert_int_equal(le64toh(bat()[1]) & VHDX_STATE_MASK, VHDX_PARTIAL);
    expect(MIB + 64 * s, 130 * s, 2);
    expect_base(MIB + s, 63 * s);
    assert_int_equal(shim_discard(&o, 0, 4096, true), 0);
    expect_zero(0, 4096);
    expect_base(4096, 4096);
    put(2 * MIB, 2 * MIB, 9); /* full blocks */
    put(MIB + s, 63 * s, 5);
    put(MIB + 194 * s, MIB - 194 * s, 6); /* the last sectors that were the parent's */
    close_it();
    open_it(true);
    o.parent = &base;
    for (unsigned b = 1; b < 4; b++)
        assert_int_equal(le64toh(bat()[b]) & VHDX_STATE_MASK, VHDX_PRESENT);
    expect_zero(0, 4096);
    expect(MIB + s, 63 * s, 5);
    expect(2 * MIB, 2 * MIB, 9);
    close_it();
    drop_base();
    assert_int_equal(errors(false), 0);
}

static void test_differencing(void **state)
{
    differencing(512);
}

static void test_differencing_4096(void **state)
{
    differencing(4096);
}

/* 2.5.1.1: what each state without a place reads as. Bits of blocks that are not partially present
 * mean nothing: those of an earlier life must not come back. */
static void test_states(void **state)
{
    create_child(8 * MIB, 512, "base.vhdx");
    for (unsigned b = 0; b < 4; b++)
        put(b * MIB + 1024, 512, b);
    close_it();
    bat()[0] = htole64(VHDX_NOT_PRESENT);
    bat()[1] = htole64(VHDX_UNDEFINED | 7 * MIB); /* what stands there is reserved */
    bat()[2] = htole64(VHDX_ZERO);
    bat()[3] = htole64(VHDX_UNMAPPED | 9 * MIB);
    settle();
    open_it(false);
    o.parent = &base;
    expect_base(0, MIB);
    expect_zero(MIB, 3 * MIB);
    put(8192, 512, 7);
    put(MIB + 8192, 512, 8);
    put(2 * MIB + 8192, 512, 9);
    reopen();
    expect_base(0, 8192);
    expect(8192, 512, 7);
    expect_base(8704, MIB - 8704);
    expect_zero(MIB, 8192);
    expect(MIB + 8192, 512, 8);
    expect_zero(2 * MIB + 1024, 512);
    expect(2 * MIB + 8192, 512, 9);
    assert_int_equal(shim_discard(&o, 3 * MIB, MIB, true), 0);
    assert_int_equal(shim_discard(&o, 4 * MIB, MIB, false), 0);
    close_it();
    assert_int_equal(le64toh(bat()[3]), VHDX_ZERO);
    assert_int_equal(le64toh(bat()[4]), VHDX_NOT_PRESENT);
    drop_base();
    assert_int_equal(errors(false), 0);
}

static void test_parent_paths(void **state)
{
    static const struct {
        const char *stored, *first;
    } rows[] = {
        {"/srv/images/base.vhdx", "/srv/images/base.vhdx"},
        {"../b\xC3\xA4se \xF0\x9F\x90\xA7.vhdx", "../b\xC3\xA4se \xF0\x9F\x90\xA7.vhdx"},
        {"deep/er/x.vhdx", "./deep/er/x.vhdx"},
    };

    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        create_child(8 * MIB, 512, rows[k].stored);
        assert_string_equal(o.geometry.parent.path[0], rows[k].first);
        put(5 * MIB, 4096, 7);
        for (unsigned n = 0; n < 3; n++) /* each where the one before does not stand */
            assert_int_equal(
                format_vhdx.set_parent(o.image, "new/place.vhdx", NULL, &base.geometry, &why), 0);
        put(3 * MIB, 4096, 8);
        reopen();
        assert_string_equal(o.geometry.parent.path[0], "./new/place.vhdx");
        assert_memory_equal(o.geometry.parent.identity, base.geometry.link, 16);
        expect(5 * MIB, 4096, 7);
        expect(3 * MIB, 4096, 8);
        expect_base(0, MIB);
        close_it();
        drop_base();
        assert_int_equal(errors(false), 0);
        shim_disk_free(&disk);
        shim_disk_init(&disk);
    }
}

/* Both paths are kept, the relative one counts first; one that cannot be stored is left away. */
static void test_absolute_parent_path(void **state)
{
    static const struct {
        const char *absolute;
        unsigned paths;
    } rows[] = {
        {"/srv/b\xC3\xA4se.vhdx", 4}, {"/bad\\name/base.vhdx", 2}, {"/bad\xFF", 2}, {NULL, 2}};

    create_child(8 * MIB, 512, "base.vhdx");
    put(5 * MIB, 4096, 7);
    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        const struct parent *p = &o.geometry.parent;

        assert_int_equal(format_vhdx.set_parent(o.image, "new/place.vhdx", rows[k].absolute,
                                                &base.geometry, &why),
                         0);
        reopen();
        assert_int_equal(p->path_count, rows[k].paths);
        assert_string_equal(p->path[0], "./new/place.vhdx");
        if (rows[k].paths == 4)
            assert_string_equal(p->path[1], rows[k].absolute);
        expect(5 * MIB, 4096, 7);
        expect_base(0, MIB);
    }
    close_it();
    drop_base();
    assert_int_equal(errors(false), 0);
}

static void test_bad_parent_paths(void **state)
{
    struct image_geometry g = {.link = {1}};
    struct format_create how = {.size = MIB, .parent = &g};
    static const char *const bad[] = {"a\\b", "\xC0\x80", "\xED\xA0\x80", "x\xFF", "\xE2\x82"};
    static char long_path[PARENT_PATH_MAX + 10];

    for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        how.parent_path = bad[k];
        assert_int_equal(format_vhdx.create(&disk.file, &how, &why), -EINVAL);
    }
    memset(long_path, 'x', sizeof(long_path) - 1);
    how.parent_path = long_path;
    assert_int_equal(format_vhdx.create(&disk.file, &how, &why), -ENAMETOOLONG);
    how.parent_path = "x";
    how.fixed = true;
    assert_int_equal(format_vhdx.create(&disk.file, &how, &why), -EINVAL);
    how.fixed = false;
    memset(g.link, 0, 16);
    assert_int_equal(format_vhdx.create(&disk.file, &how, &why), -EINVAL);
    create(&(struct format_create){.size = MIB});
    open_it(false);
    assert_int_equal(format_vhdx.set_parent(o.image, "x", NULL, &g, &why), -EINVAL);
    close_it();
}

/* ---- guids and sequence numbers ---- */

struct guids {
    uint8_t file[16], data[16];
    uint64_t sequence;
};

static struct guids guids(void)
{
    struct guids g = {.sequence = le64toh(header_at(current())->sequence)};

    memcpy(g.file, header_at(current())->file_write_guid, 16);
    memcpy(g.data, header_at(current())->data_write_guid, 16);
    return g;
}

static void changed(struct guids *before, bool file, bool data)
{
    struct guids now = guids();

    assert_int_equal(memcmp(now.file, before->file, 16) != 0, file);
    assert_int_equal(memcmp(now.data, before->data, 16) != 0, data);
    assert_true(file ? now.sequence > before->sequence : now.sequence == before->sequence);
    /* 2.2.2.1: both headers are up to date but for their numbers. */
    assert_int_equal(le64toh(header_at(!current())->sequence) + 1, now.sequence);
    assert_memory_equal(header_at(0)->file_write_guid, header_at(1)->file_write_guid, 48);
    *before = now;
}

/* 2.2.2: FileWriteGuid is new with the first change of a session, DataWriteGuid with the first
 * change of what a guest sees; neither if nothing is changed. */
static void test_guids(void **state)
{
    struct guids g;

    create_child(8 * MIB, 512, "base.vhdx");
    g = guids();
    expect_base(0, 4096);
    close_it();
    changed(&g, false, false);
    open_it(false);
    put(0, 512, 1);
    changed(&g, true, true);
    put(MIB, 512, 1);
    assert_int_equal(shim_flush(&o), 0);
    close_it();
    assert_memory_equal(header_at(current())->data_write_guid, g.data, 16);
    g = guids();
    open_it(false);
    assert_int_equal(format_vhdx.compact(o.image, NULL, NULL, &why), 0);
    close_it();
    changed(&g, true, false);
    open_it(false);
    assert_int_equal(format_vhdx.set_parent(o.image, "b.vhdx", NULL, &base.geometry, &why), 0);
    close_it();
    changed(&g, true, false);
    open_it(false);
    assert_int_equal(shim_discard(&o, MIB, MIB, true), 0);
    close_it();
    changed(&g, true, true);
    open_it(false);
    assert_int_equal(format_vhdx.resize(o.image, 9 * MIB, &why), 0);
    close_it();
    changed(&g, true, true);
    open_it(true);
    assert_int_equal(format_vhdx.writer(o.image), -EROFS);
    close_it();
    assert_int_equal(errors(false), 0);
    changed(&g, false, false);
    drop_base();
}

/* ---- resize and compact ---- */

static void test_resize(void **state)
{
    create(&(struct format_create){.size = 8 * MIB + 512, .block_size = MIB});
    open_it(false);
    put(MIB, 65536, 1);
    put(8 * MIB, 512, 2);
    assert_int_equal(format_vhdx.resize(o.image, 64 * MIB, &why), 0);
    o.geometry.size = 64 * MIB;
    expect_zero(8 * MIB + 512, 2 * MIB);
    put(63 * MIB, 65536, 3);
    reopen();
    assert_int_equal(o.geometry.size, 64 * MIB);
    expect(MIB, 65536, 1);
    expect(8 * MIB, 512, 2);
    expect(63 * MIB, 65536, 3);
    assert_int_equal(format_vhdx.resize(o.image, MIB + 512, &why), 0);
    reopen();
    assert_int_equal(o.geometry.size, MIB + 512);
    expect(MIB, 512, 1);
    assert_int_equal(disk.now.size, 5 * MIB);
    assert_int_equal(format_vhdx.resize(o.image, 2 * MIB, &why), 0);
    reopen();
    expect_zero(MIB + 512, MIB - 512);
    assert_int_equal(format_vhdx.resize(o.image, 65ULL << 40, &why), -EINVAL);
    assert_int_equal(format_vhdx.resize(o.image, 1000, &why), -EINVAL);
    close_it();
    assert_int_equal(errors(false), 0);
}

/* A table that outgrows its region moves; what is in it moves along, and both copies of the region
 * table tell of it. */
static void test_resize_moves_table(void **state)
{
    uint64_t before;

    create(&(struct format_create){.size = 8 * MIB, .block_size = MIB});
    before = le64toh(regions(0)->region[0].offset);
    open_it(false);
    put(MIB, 65536, 1);
    assert_int_equal(format_vhdx.resize(o.image, 200ULL << 30, &why), 0);
    o.geometry.size = 200ULL << 30;
    put((200ULL << 30) - MIB, MIB, 2);
    reopen();
    assert_int_not_equal(le64toh(regions(0)->region[0].offset), before);
    assert_memory_equal(regions(0), regions(1), VHDX_TABLE_BYTES);
    expect(MIB, 65536, 1);
    expect((200ULL << 30) - MIB, MIB, 2);
    put(4 * MIB, MIB, 3); /* where the table was, which must not shine through */
    reopen();
    expect(4 * MIB, MIB, 3);
    expect_zero(5 * MIB, MIB);
    close_it();
    assert_int_equal(errors(false), 0);
}

static void test_resize_fixed(void **state)
{
    create(&(struct format_create){.size = 2 * MIB + 512, .block_size = MIB, .fixed = true});
    open_it(false);
    put(0, 2 * MIB + 512, 1);
    assert_int_equal(format_vhdx.resize(o.image, 5 * MIB, &why), 0);
    reopen();
    expect(0, 2 * MIB + 512, 1);
    expect_zero(2 * MIB + 512, 3 * MIB - 512);
    assert_false(format_vhdx.dirty(o.image));
    put(4 * MIB, MIB, 2);
    assert_false(format_vhdx.dirty(o.image));
    assert_int_equal(format_vhdx.resize(o.image, MIB, &why), 0);
    reopen();
    assert_int_equal(format_vhdx.resize(o.image, 5 * MIB, &why), 0);
    reopen();
    expect(0, MIB, 1);
    expect_zero(MIB, 4 * MIB);
    close_it();
    assert_int_equal(errors(false), 0);
}

/* The last block's sectors behind the old end are the parent's or zeros, never what was there. */
static void test_resize_differencing(void **state)
{
    create_child(3 * MIB + 4096, 512, "base.vhdx");
    put(3 * MIB, 512, 1);
    assert_int_equal(format_vhdx.resize(o.image, 6 * MIB, &why), 0);
    o.geometry.size = 6 * MIB;
    expect(3 * MIB, 512, 1);
    expect_base(3 * MIB + 512, MIB - 512);
    expect_zero(4 * MIB, 2 * MIB);
    put(5 * MIB + 512, 512, 2);
    reopen();
    assert_int_equal(o.geometry.size, 6 * MIB);
    expect(3 * MIB, 512, 1);
    expect_base(3 * MIB + 512, MIB - 512);
    expect(5 * MIB + 512, 512, 2);
    assert_int_equal(format_vhdx.resize(o.image, MIB, &why), -EINVAL);
    close_it();
    drop_base();
    assert_int_equal(errors(false), 0);
}

static void test_compact(void **state)
{
    uint64_t before;

    create(&(struct format_create){.size = 64 * MIB, .block_size = MIB});
    open_it(false);
    for (unsigned b = 0; b < 60; b++)
        put(b * MIB, 4096, b);
    for (unsigned b = 0; b < 60; b += b % 3 ? 1 : 2)
        assert_int_equal(shim_discard(&o, b * MIB + 512, MIB - 512, true), 0);
    for (unsigned b = 0; b < 60; b += b % 3 ? 1 : 2)
        assert_int_equal(shim_discard(&o, b * MIB, 512, true), 0); /* parts: the blocks stay */
    before = disk.now.size;
    assert_int_equal(format_vhdx.compact(o.image, NULL, NULL, &why), 0);
    assert_true(disk.now.size < before / 2);
    for (unsigned again = 0; again < 2; again++) {
        for (unsigned b = 0, next = 0; b < 60; b++) {
            if (b == next) {
                expect_zero(b * MIB, MIB);
                next += b % 3 ? 1 : 2;
            } else {
                expect(b * MIB, 4096, b);
            }
        }
        reopen();
    }
    put(62 * MIB, 4096, 9);
    reopen();
    expect(62 * MIB, 4096, 9);
    close_it();
    assert_int_equal(errors(false), 0);
}

/* Sector bitmaps move and go too. */
static void test_compact_differencing(void **state)
{
    create_child(8 * MIB, 512, "base.vhdx");
    for (unsigned b = 0; b < 6; b++)
        put(b * MIB + 512 * b, 512, b);
    assert_int_equal(shim_flush(&o), 0);
    for (unsigned b = 0; b < 4; b++)
        assert_int_equal(shim_discard(&o, b * MIB, MIB, true), 0);
    assert_int_equal(format_vhdx.compact(o.image, NULL, NULL, &why), 0);
    assert_int_equal(disk.now.size, 7 * MIB); /* a bitmap and two blocks */
    reopen();
    expect_zero(0, 4 * MIB);
    expect(4 * MIB + 512 * 4, 512, 4);
    expect(5 * MIB + 512 * 5, 512, 5);
    assert_int_equal(shim_discard(&o, 4 * MIB, 2 * MIB, true), 0);
    assert_int_equal(format_vhdx.compact(o.image, NULL, NULL, &why), 0);
    assert_int_equal(disk.now.size, 4 * MIB);
    put(6 * MIB, 512, 6);
    reopen();
    expect(6 * MIB, 512, 6);
    expect_zero(5 * MIB, MIB);
    close_it();
    drop_base();
    assert_int_equal(errors(false), 0);
}

/* Nothing that a flush could not do is forgotten: it fails from then on. */
static void test_failed_flush(void **state)
{
    create(&(struct format_create){.size = 8 * MIB, .block_size = MIB});
    open_it(false);
    put(0, 4096, 1);
    assert_int_equal(shim_flush(&o), 0);
    put(MIB, 4096, 2);
    disk.dead = true;
    assert_int_equal(shim_flush(&o), -EIO);
    disk.dead = false;
    pattern(buf, 512, 1);
    assert_int_equal(shim_flush(&o), 0); /* nothing had been promised: the entry was not written */
    put(2 * MIB, 4096, 3);
    disk.power_left = 2; /* the entry is written, its flush fails */
    assert_int_equal(shim_flush(&o), -EIO);
    disk.dead = false;
    disk.power_left = 0;
    assert_int_equal(shim_flush(&o), -EIO);
    assert_true(format_vhdx.dirty(o.image));
    assert_int_equal(shim_write(&o, 3 * MIB, buf, 512), -EIO);
    assert_true(shim_close(&o) < 0);
    open_it(false);
    expect(0, 4096, 1);
    expect(MIB, 4096, 2);
    close_it();
    assert_int_equal(errors(false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_crc),
        ROW(test_fixed),
        ROW(test_dynamic),
        ROW(test_block_sizes),
        ROW(test_bad_creations),
        ROW(test_discard),
        ROW(test_differencing),
        ROW(test_differencing_4096),
        ROW(test_states),
        ROW(test_parent_paths),
        ROW(test_absolute_parent_path),
        ROW(test_bad_parent_paths),
        ROW(test_guids),
        ROW(test_resize),
        ROW(test_resize_moves_table),
        ROW(test_resize_fixed),
        ROW(test_resize_differencing),
        ROW(test_compact),
        ROW(test_compact_differencing),
        ROW(test_failed_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
