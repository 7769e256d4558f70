/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_disk.h"
#include <endian.h>
#include <stdio.h>
#include "disk/vhd_layout.h"

#define MIB (1ULL << 20)

static struct shim_disk disk;
static struct shim_image o;
static struct problem why;
static uint8_t buf[4 * MIB], other[4 * MIB];

static int reset(void **state)
{
    shim_disk_init(&disk);
    memset(&o, 0, sizeof(o));
    why.text[0] = 0;
    return 0;
}

static int finish(void **state)
{
    shim_disk_free(&disk);
    return 0;
}

static void create(const struct format_create *how)
{
    if (format_vhd.create(&disk.file, how, &why) < 0)
        fail_msg("%s", why.text);
    assert_int_equal(file_flush(&disk.file), 0);
}

static void open_it(bool read_only)
{
    if (shim_open(&o, &format_vhd, &disk.file, read_only) < 0)
        fail_msg("%s", o.why.text);
}

static void reopen(void)
{
    assert_int_equal(shim_close(&o), 0);
    open_it(false);
}

static void pattern(uint8_t *to, size_t length, unsigned seed)
{
    for (size_t k = 0; k < length; k++)
        to[k] = (uint8_t)(k * 7 + k / 512 * 13 + seed);
}

static void put(uint64_t offset, size_t length, unsigned seed)
{
    pattern(buf, length, seed);
    assert_int_equal(shim_write(&o, offset, buf, length), 0);
}

static void expect(uint64_t offset, size_t length, unsigned seed)
{
    pattern(buf, length, seed);
    memset(other, 0xEE, length);
    assert_int_equal(shim_read(&o, offset, other, length), 0);
    assert_memory_equal(buf, other, length);
}

static void expect_zero(uint64_t offset, size_t length)
{
    memset(buf, 0, length);
    assert_int_equal(shim_read(&o, offset, other, length), 0);
    assert_memory_equal(buf, other, length);
}

static unsigned errors(bool repair)
{
    struct check_report report = {.say = shim_say};

    if (format_vhd.check(&disk.file, repair, &report, &why) < 0)
        fail_msg("check: %s", why.text);
    return report.errors - report.fixed;
}

static struct vhd_footer *footer_at(uint64_t at)
{
    return (struct vhd_footer *)(void *)(disk.now.data + at);
}

static struct vhd_header *header(void)
{
    return (struct vhd_header *)(void *)(disk.now.data + be64toh(footer_at(0)->data_offset));
}

static uint32_t sum_of(const void *data, size_t length, size_t field)
{
    uint32_t sum = 0;

    for (size_t k = 0; k < length; k++)
        sum += k >= field && k < field + 4 ? 0U : ((const uint8_t *)data)[k];
    return htobe32(~sum);
}

static void seal_footer(struct vhd_footer *f)
{
    f->checksum = sum_of(f, sizeof(*f), offsetof(struct vhd_footer, checksum));
}

static void seal_header(struct vhd_header *h)
{
    h->checksum = sum_of(h, sizeof(*h), offsetof(struct vhd_header, checksum));
}

static void seal_both(void)
{
    seal_footer(footer_at(0));
    memcpy(disk.now.data + disk.now.size - VHD_SECTOR, disk.now.data, VHD_SECTOR);
}

static void refused(const char *part)
{
    o.why.text[0] = 0;
    assert_true(shim_open(&o, &format_vhd, &disk.file, true) < 0);
    if (!strstr(o.why.text, part))
        fail_msg("'%s' does not say '%s'", o.why.text, part);
    o.why.text[0] = 0;
    assert_true(shim_open(&o, &format_vhd, &disk.file, false) < 0);
}

static void test_fixed(void **state)
{
    create(&(struct format_create){.size = MIB, .fixed = true});
    assert_int_equal(disk.now.size, MIB + 512);
    assert_int_equal(format_vhd.probe(&disk.file), 1);
    open_it(false);
    assert_int_equal(o.geometry.size, MIB);
    assert_false(o.geometry.parent.wanted);
    put(512, 8192, 1);
    assert_int_equal(shim_flush(&o), 0);
    reopen();
    expect(512, 8192, 1);
    expect_zero(0, 512);
    assert_int_equal(errors(false), 0);
    assert_int_equal(format_vhd.resize(o.image, 2 * MIB, &why), 0);
    reopen();
    assert_int_equal(o.geometry.size, 2 * MIB);
    expect_zero(MIB, MIB);
    expect(512, 8192, 1);
    assert_int_equal(format_vhd.resize(o.image, 512 * 1024, &why), 0);
    assert_int_equal(disk.now.size, 512 * 1024 + 512);
    reopen();
    expect(512, 8192, 1);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(errors(false), 0);
}

/* A fixed image whose guest has written a footer to its first sector is what its own says. */
static void test_fixed_with_footer_inside(void **state)
{
    struct vhd_footer f;

    create(&(struct format_create){.size = MIB, .fixed = true});
    f = *footer_at(MIB);
    f.type = htobe32(VHD_DYNAMIC);
    f.data_offset = htobe64(512);
    seal_footer(&f);
    open_it(false);
    assert_int_equal(shim_write(&o, 0, &f, sizeof(f)), 0);
    reopen();
    assert_int_equal(o.geometry.size, MIB);
    assert_int_equal(shim_close(&o), 0);
}

static void test_dynamic(void **state)
{
    create(&(struct format_create){.size = 64 * MIB});
    assert_int_equal(disk.now.size, 512 + 1024 + 512 + 512);
    open_it(false);
    expect_zero(0, 4 * MIB);
    put(3 * MIB, 2 * MIB, 3); /* two blocks */
    put(4096, 512, 4);
    expect(3 * MIB, 2 * MIB, 3);
    assert_true(format_vhd.dirty(o.image));
    assert_int_equal(shim_flush(&o), 0);
    assert_false(format_vhd.dirty(o.image));
    reopen();
    expect(3 * MIB, 2 * MIB, 3);
    expect(4096, 512, 4);
    expect_zero(4096 + 512, 100 * 512);
    expect_zero(8 * MIB, 4 * MIB);
    /* Data of blocks is aligned for the host. */
    uint64_t table = be64toh(header()->table_offset);
    for (unsigned b = 0; b < 3; b++) {
        uint32_t place;
        memcpy(&place, disk.now.data + table + 4 * b, 4);
        assert_int_equal((be32toh(place) + 1) % 8, 0);
    }
    put(3 * MIB + 512, 512, 5); /* now the quick way */
    struct extent e;
    format_vhd.map(o.image, 3 * MIB, MIB, true, &e);
    assert_int_equal(e.kind, EXTENT_DATA);
    assert_int_equal(e.length, MIB);
    format_vhd.map(o.image, 10 * MIB, 54 * MIB, false, &e);
    assert_int_equal(e.kind, EXTENT_ZERO);
    assert_int_equal(e.length, 54 * MIB);
    format_vhd.map(o.image, 63 * MIB, MIB, true, &e);
    assert_int_equal(e.kind, EXTENT_SLOW);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(errors(false), 0);
    assert_memory_equal(disk.now.data, disk.now.data + disk.now.size - 512, 512);
}

static void test_discard(void **state)
{
    create(&(struct format_create){.size = 64 * MIB});
    open_it(false);
    put(0, 2 * MIB, 1);
    assert_int_equal(shim_discard(&o, 4096, 8192, true), 0);
    expect_zero(4096, 8192);
    assert_int_equal(shim_discard(&o, MIB, 8 * MIB, false), 0);
    expect_zero(MIB, 2 * MIB);
    disk.no_punch = true;
    put(0, 4096, 2);
    assert_int_equal(shim_discard(&o, 0, 4096, false), 0);
    expect(0, 4096, 2);
    assert_int_equal(shim_discard(&o, 0, 4096, true), 0);
    expect_zero(0, 4096);
    reopen();
    expect_zero(0, 4096);
    assert_int_equal(shim_close(&o), 0);
}

/* ---- differencing ---- */

static struct shim_disk base_disk;
static struct shim_image base;

/* A parent of 8 MiB with a pattern, and a child of `size`. */
static void create_child(uint64_t size, const char *path)
{
    const struct format_create how = {.size = 8 * MIB};
    struct format_create child = {.size = size, .parent_path = path, .parent = &base.geometry};

    shim_disk_init(&base_disk);
    assert_int_equal(format_vhd.create(&base_disk.file, &how, &why), 0);
    assert_int_equal(shim_open(&base, &format_vhd, &base_disk.file, false), 0);
    pattern(buf, 4 * MIB, 100);
    assert_int_equal(shim_write(&base, 0, buf, 4 * MIB), 0);
    base.geometry.modified = 1700000000;
    create(&child);
    open_it(false);
    o.parent = &base;
}

static void drop_child(void)
{
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(shim_close(&base), 0);
    shim_disk_free(&base_disk);
}

static void expect_base(uint64_t offset, size_t length)
{
    pattern(buf, 4 * MIB, 100);
    assert_int_equal(shim_read(&o, offset, other, length), 0);
    assert_memory_equal(buf + offset, other, length);
}

static void test_differencing(void **state)
{
    create_child(16 * MIB, "base.vhd");
    assert_true(o.geometry.parent.wanted);
    assert_memory_equal(o.geometry.parent.identity, base.geometry.link, 16);
    assert_string_equal(o.geometry.parent.path[0], "./base.vhd");
    assert_string_equal(o.geometry.parent.path[1], "base.vhd");
    expect_base(0, 4 * MIB);
    expect_zero(12 * MIB, MIB);
    put(MIB, 512, 1);
    put(MIB + 64 * 512, 130 * 512, 2);
    expect(MIB, 512, 1);
    expect_base(MIB + 512, 63 * 512);
    expect(MIB + 64 * 512, 130 * 512, 2);
    expect_base(MIB + 194 * 512, 1000 * 512);
    assert_int_equal(shim_close(&o), 0);
    open_it(false);
    o.parent = &base;
    expect(MIB + 64 * 512, 130 * 512, 2);
    expect_base(MIB + 512, 63 * 512);
    assert_int_equal(shim_discard(&o, 0, 4096, true), 0);
    expect_zero(0, 4096);
    expect_base(4096, 512);
    put(2 * MIB, 2 * MIB, 9); /* a full block */
    assert_int_equal(shim_close(&o), 0);
    open_it(true);
    o.parent = &base;
    expect_zero(0, 4096);
    expect(2 * MIB, 2 * MIB, 9);
    drop_child();
    assert_int_equal(errors(false), 0);
}

static void test_parent_paths(void **state)
{
    static const struct {
        const char *stored, *first;
    } rows[] = {
        {"/srv/images/base.vhd", "/srv/images/base.vhd"},
        {"../b\xC3\xA4se \xF0\x9F\x90\xA7.vhd", "../b\xC3\xA4se \xF0\x9F\x90\xA7.vhd"},
        {"deep/er/x.vhd", "./deep/er/x.vhd"},
    };

    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        create_child(8 * MIB, rows[k].stored);
        assert_string_equal(o.geometry.parent.path[0], rows[k].first);
        put(5 * MIB, 4096, 7);
        assert_int_equal(
            format_vhd.set_parent(o.image, "new/place.vhd", NULL, &base.geometry, &why), 0);
        put(3 * MIB, 4096, 8);
        assert_int_equal(shim_close(&o), 0);
        open_it(false);
        o.parent = &base;
        assert_string_equal(o.geometry.parent.path[0], "./new/place.vhd");
        expect(5 * MIB, 4096, 7);
        expect(3 * MIB, 4096, 8);
        expect_base(0, MIB);
        drop_child();
        assert_int_equal(errors(false), 0);
        shim_disk_free(&disk);
        shim_disk_init(&disk);
    }
}

static void test_bad_parent_paths(void **state)
{
    struct image_geometry g = {.link = {1}};
    struct format_create how = {.size = MIB, .parent = &g};
    static const char *const bad[] = {"a\\b", "\xC0\x80", "\xED\xA0\x80", "x\xFF", "\xE2\x82"};

    for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        how.parent_path = bad[k];
        assert_int_equal(format_vhd.create(&disk.file, &how, &why), -EINVAL);
    }
    memset(g.link, 0, 16);
    how.parent_path = "x";
    assert_int_equal(format_vhd.create(&disk.file, &how, &why), -EINVAL);
}

/* ---- other people's images ---- */

static void test_sizes_by_creator(void **state)
{
    static const struct {
        char creator[5];
        bool by_geometry;
    } rows[] = {{"win ", false}, {"qem2", false}, {"qemu", true},
                {"vpc ", true},  {"d2v ", false}, {"abcd", false}};

    create(&(struct format_create){.size = 64 * MIB + 512});
    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        struct vhd_footer *f = footer_at(0);
        uint64_t chs = 512ULL * be16toh(f->cylinders) * f->heads * f->track_sectors;

        assert_true(chs < 64 * MIB + 512);
        memcpy(f->creator, rows[k].creator, 4);
        seal_both();
        open_it(true);
        assert_int_equal(o.geometry.size, rows[k].by_geometry ? chs : 64 * MIB + 512);
        assert_int_equal(shim_close(&o), 0);
    }
}

/* A dynamic image whose block has sectors that its bitmap does not know. */
static void test_foreign_bitmap(void **state)
{
    uint32_t place;

    create(&(struct format_create){.size = 64 * MIB});
    open_it(false);
    put(0, 4096, 1);
    assert_int_equal(shim_close(&o), 0);
    memcpy(&place, disk.now.data + be64toh(header()->table_offset), 4);
    memset(disk.now.data + be32toh(place) * 512ULL, 0, 512);
    disk.now.data[be32toh(place) * 512ULL] = 0xFF;
    open_it(false);
    expect(0, 4096, 1);
    put(8192, 512, 2);
    expect(8192, 512, 2);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(disk.now.data[be32toh(place) * 512ULL + 2], 0xFF);
}

static void test_footers_lost(void **state)
{
    create(&(struct format_create){.size = 64 * MIB});
    open_it(false);
    put(0, 4096, 1);
    assert_int_equal(shim_close(&o), 0);
    memset(disk.now.data + disk.now.size - 512, 0x55, 512);
    assert_int_equal(format_vhd.probe(&disk.file), 1);
    assert_int_equal(errors(false), 0);
    open_it(true);
    expect(0, 4096, 1);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(errors(true), 0);
    assert_memory_equal(disk.now.data, disk.now.data + disk.now.size - 512, 512);
    memset(disk.now.data, 0x55, 512);
    assert_int_equal(errors(false), 1);
    open_it(false); /* mends it */
    expect(0, 4096, 1);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(errors(false), 0);
    memset(disk.now.data, 0x55, 512);
    disk.now.data[disk.now.size - 200] ^= 1;
    refused("checksum of the footer");
}

static void test_broken_tables(void **state)
{
    struct vhd_header saved;
    uint32_t *bat;

    create(&(struct format_create){.size = 64 * MIB});
    open_it(false);
    put(0, 4096, 1);
    put(4 * MIB, 4096, 2);
    assert_int_equal(shim_close(&o), 0);
    saved = *header();
    bat = (uint32_t *)(void *)(disk.now.data + be64toh(saved.table_offset));
    header()->version = 0;
    refused("checksum of the header");
    header()->block_size = htobe32(12345);
    *header() = saved;
    header()->block_size = htobe32(3 << 20);
    seal_header(header());
    refused("block size");
    *header() = saved;
    header()->entries = htobe32(UINT32_MAX);
    seal_header(header());
    refused("entries");
    header()->entries = htobe32(31);
    seal_header(header());
    refused("do not hold");
    *header() = saved;
    header()->table_offset = htobe64(UINT64_MAX - 511);
    seal_header(header());
    refused("not in the file");
    *header() = saved;
    header()->table_offset = htobe64(1024);
    seal_header(header());
    refused("over the header");
    *header() = saved;
    header()->cookie[0] = 'x';
    refused("no header at byte 512");
    *header() = saved;
    uint32_t was = bat[2];
    bat[2] = htobe32(UINT32_MAX - 1);
    refused("block 2, at sector 4294967294, lies beyond the end");
    bat[2] = htobe32(1);
    refused("over the header or the table");
    bat[2] = htobe32(be32toh(bat[0]) + 100);
    refused("over another block");
    assert_int_equal(errors(false), 1);
    assert_int_equal(errors(true), 0);
    assert_int_equal(errors(false), 0);
    open_it(true);
    expect(0, 4096, 1);
    expect_zero(4 * MIB, 4096);
    assert_int_equal(shim_close(&o), 0);
    bat[2] = was;
}

static void test_cut(void **state)
{
    create(&(struct format_create){.size = MIB, .fixed = true});
    memmove(disk.now.data + MIB / 2, disk.now.data + MIB, 512);
    disk.now.size = MIB / 2 + 512;
    refused("cut");
    disk.now.size = 511;
    assert_int_equal(format_vhd.probe(&disk.file), 0);
    disk.now.size = 0;
    refused("too short");
    assert_int_equal(format_vhd.probe(&disk.file), 0);
}

/* Every byte of the tables, changed in some ways: an error or an image that can be read. */
static void test_every_byte(void **state)
{
    uint64_t end;

    create(&(struct format_create){.size = 8 * MIB, .block_size = 4096});
    open_it(false);
    put(0, 4096, 1);
    put(MIB, 8192, 2);
    assert_int_equal(shim_close(&o), 0);
    end = be64toh(header()->table_offset) + 2048 * 4;
    for (uint64_t at = 0; at < end; at += at < 1536 ? 1 : 37) {
        uint8_t was = disk.now.data[at];

        for (unsigned k = 0; k < 3; k++) {
            disk.now.data[at] = (uint8_t)(k == 0 ? was ^ 0x80 : k == 1 ? was ^ 1 : ~was);
            if (at >= 512 && at < 1536)
                seal_header((struct vhd_header *)(void *)(disk.now.data + 512));
            if (shim_open(&o, &format_vhd, &disk.file, true) == 0) {
                (void)shim_read(&o, 0, other, 2 * MIB);
                (void)shim_close(&o);
            }
        }
        disk.now.data[at] = was;
        if (at >= 512 && at < 1536)
            seal_header((struct vhd_header *)(void *)(disk.now.data + 512));
    }
}

/* ---- resize and compact ---- */

static void test_resize(void **state)
{
    create(&(struct format_create){.size = 8 * MIB, .block_size = 65536});
    open_it(false);
    put(MIB, 65536, 1);
    put(8 * MIB - 512, 512, 2);
    assert_int_equal(format_vhd.resize(o.image, 64 * MIB, &why), 0); /* a new table */
    o.geometry.size = 64 * MIB;
    expect_zero(8 * MIB, MIB);
    put(63 * MIB, 65536, 3);
    reopen();
    assert_int_equal(o.geometry.size, 64 * MIB);
    expect(MIB, 65536, 1);
    expect(8 * MIB - 512, 512, 2);
    expect(63 * MIB, 65536, 3);
    assert_int_equal(format_vhd.resize(o.image, MIB + 512, &why), 0);
    reopen();
    pattern(buf, 65536, 1);
    assert_int_equal(shim_read(&o, MIB, other, 512), 0);
    assert_memory_equal(buf, other, 512);
    assert_int_equal(format_vhd.resize(o.image, 2 * MIB, &why), 0); /* in the table there is */
    reopen();
    expect_zero(MIB + 512, MIB - 512);
    assert_int_equal(format_vhd.resize(o.image, 2041ULL << 30, &why), -EINVAL);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(errors(false), 0);
}

static void test_compact(void **state)
{
    uint64_t before;

    create(&(struct format_create){.size = 64 * MIB, .block_size = 65536});
    open_it(false);
    for (unsigned b = 0; b < 200; b++)
        put(b * 65536ULL, 4096, b);
    for (unsigned b = 0; b < 200; b += b % 3 ? 1 : 2)
        assert_int_equal(shim_discard(&o, b * 65536ULL, 65536, true), 0);
    before = disk.now.size;
    assert_int_equal(format_vhd.compact(o.image, NULL, NULL, &why), 0);
    assert_true(disk.now.size < before / 2);
    for (unsigned again = 0; again < 2; again++) {
        for (unsigned b = 0, next = 0; b < 200; b++) {
            if (b == next) {
                expect_zero(b * 65536ULL, 65536);
                next += b % 3 ? 1 : 2;
            } else {
                expect(b * 65536ULL, 4096, b);
            }
        }
        reopen();
    }
    put(60 * MIB, 4096, 9);
    reopen();
    expect(60 * MIB, 4096, 9);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(errors(false), 0);
}

/* ---- losses of power ---- */

static void crash(struct format_create how, struct shim_image *parent, unsigned seeds,
                  uint64_t window)
{
    seeds *= shim_plays();
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        const struct shim_crash c = {.format = &format_vhd,
                                     .how = &how,
                                     .parent = parent,
                                     .seed = seed,
                                     .lives = 4,
                                     .ops = 60,
                                     .window = window};
        shim_crash_run(&c);
    }
}

static void test_crash_dynamic(void **state)
{
    crash((struct format_create){.size = 2 * MIB, .block_size = 16384}, NULL, 250, 0);
    crash((struct format_create){.size = 8 * MIB, .block_size = 4 * MIB}, NULL, 60, MIB);
}

static void test_crash_fixed(void **state)
{
    crash((struct format_create){.size = MIB, .fixed = true}, NULL, 60, 0);
}

static void test_crash_differencing(void **state)
{
    const struct format_create how = {.size = 2 * MIB};

    shim_disk_init(&base_disk);
    assert_int_equal(format_vhd.create(&base_disk.file, &how, &why), 0);
    assert_int_equal(shim_open(&base, &format_vhd, &base_disk.file, false), 0);
    struct format_create child = {
        .size = 2 * MIB, .block_size = 16384, .parent_path = "base.vhd", .parent = &base.geometry};
    crash(child, &base, 250, 0);
    child.block_size = 4 * MIB; /* bitmaps of two sectors */
    crash(child, &base, 60, MIB);
    assert_int_equal(shim_close(&base), 0);
    shim_disk_free(&base_disk);
}

/* Resize, compact and set_parent in the middle: what was flushed is there, by either state. */
static void crash_in(unsigned what, uint64_t seed)
{
    struct format_create how = {.size = 4 * MIB, .block_size = 16384};
    uint64_t random = seed;

    if (what == 2) {
        how.parent_path = "a.vhd";
        how.parent = &base.geometry;
    }
    create(&how);
    open_it(false);
    o.parent = what == 2 ? &base : NULL;
    for (unsigned b = 0; b < 40; b++)
        put(b * 65536ULL, 4096, b);
    for (unsigned b = 0; b < 40; b += 2)
        assert_int_equal(shim_discard(&o, b * 65536ULL, 65536, true), 0);
    assert_int_equal(shim_flush(&o), 0);
    disk.power_left = 1 + shim_below(&random, what == 1 ? 100 : 14);
    if (what == 0)
        (void)format_vhd.resize(o.image, 32 * MIB, &why);
    else if (what == 1)
        (void)format_vhd.compact(o.image, NULL, NULL, &why);
    else
        (void)format_vhd.set_parent(o.image, "b.vhd", NULL, &base.geometry, &why);
    disk.dead = true;
    (void)shim_close(&o);
    shim_disk_crash(&disk, &random);
    open_it(false);
    o.parent = what == 2 ? &base : NULL;
    for (unsigned b = 0; b < 40; b++) {
        if (b % 2)
            expect(b * 65536ULL, 4096, b);
        else
            expect_zero(b * 65536ULL, 65536);
    }
    put(3 * MIB + MIB / 2, 4096, 77);
    reopen();
    expect(3 * MIB + MIB / 2, 4096, 77);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(errors(false), 0);
    shim_disk_free(&disk);
    shim_disk_init(&disk);
}

/* The same for a fixed image that grows, and for a dynamic one that shrinks. */
static void crash_in_resize(bool fixed, uint64_t seed)
{
    const struct format_create how = {.size = 2 * MIB, .block_size = 16384, .fixed = fixed};
    uint64_t random = seed, size = fixed ? 3 * MIB : MIB + 512;

    create(&how);
    open_it(false);
    put(0, MIB, 1);
    if (!fixed)
        put(2 * MIB - 4096, 4096, 2);
    assert_int_equal(shim_flush(&o), 0);
    disk.power_left = 1 + shim_below(&random, 14);
    (void)format_vhd.resize(o.image, size, &why);
    disk.dead = true;
    (void)shim_close(&o);
    shim_disk_crash(&disk, &random);
    open_it(false);
    assert_true(o.geometry.size == size || o.geometry.size == 2 * MIB);
    expect(0, MIB, 1);
    if (!fixed && o.geometry.size == 2 * MIB)
        expect(2 * MIB - 4096, 4096, 2);
    assert_int_equal(format_vhd.resize(o.image, size, &why), 0);
    reopen();
    assert_int_equal(o.geometry.size, size);
    expect(0, MIB, 1);
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(errors(false), 0);
    shim_disk_free(&disk);
    shim_disk_init(&disk);
}

static void test_crash_in_resize(void **state)
{
    for (uint64_t seed = 1; seed <= 200 * shim_plays(); seed++)
        crash_in_resize(seed & 1, seed);
}

static void test_crash_in_the_middle(void **state)
{
    base = (struct shim_image){.geometry = {.link = {1, 2, 3}, .size = 0}};
    for (uint64_t seed = 1; seed <= 600 * shim_plays(); seed++)
        crash_in((unsigned)(seed % 3), seed);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, reset, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_fixed),
        ROW(test_fixed_with_footer_inside),
        ROW(test_dynamic),
        ROW(test_discard),
        ROW(test_differencing),
        ROW(test_parent_paths),
        ROW(test_bad_parent_paths),
        ROW(test_sizes_by_creator),
        ROW(test_foreign_bitmap),
        ROW(test_footers_lost),
        ROW(test_broken_tables),
        ROW(test_cut),
        ROW(test_every_byte),
        ROW(test_resize),
        ROW(test_compact),
        ROW(test_crash_dynamic),
        ROW(test_crash_fixed),
        ROW(test_crash_differencing),
        ROW(test_crash_in_the_middle),
        ROW(test_crash_in_resize),
    };
    return cmocka_run_group_tests(tests, NULL, shim_tell_losses);
}
