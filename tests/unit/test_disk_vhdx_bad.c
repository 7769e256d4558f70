/* SPDX-License-Identifier: MIT */
#include "tests/unit/shim_vhdx.h"

/* Images that are damaged, hostile, or made by others: what is wrong is named, or they are read. */

static struct copy good;

/* Two blocks of data, the first and the fifth. */
static void make(void)
{
    create(&(struct format_create){.size = 8 * MIB, .block_size = MIB});
    open_it(false);
    put(0, 4096, 1);
    put(4 * MIB, 4096, 2);
    close_it();
    good = keep();
}

static void reads_well(void)
{
    for (unsigned writes = 0; writes < 2; writes++) {
        open_it(!writes);
        expect(0, 4096, 1);
        expect(4 * MIB, 4096, 2);
        expect_zero(MIB, 3 * MIB);
        if (writes)
            put(2 * MIB, 512, 3);
        close_it();
    }
    open_it(true);
    expect(2 * MIB, 512, 3);
    close_it();
    assert_int_equal(errors(false), 0);
    back_to(&good);
}

static void is_bad(const char *part)
{
    settle();
    refused(part);
    back_to(&good);
}

/* ---- headers (2.2.2) ---- */

static void test_header_choice(void **state)
{
    make();
    for (unsigned slot = 0; slot < 2; slot++) {
        header_at(slot)->checksum ^= htole32(1);
        settle();
        reads_well();
        header_at(slot)->signature = 0;
        settle();
        reads_well();
        header_at(slot)->reserved[4000] ^= 1; /* the checksum is of all of it */
        settle();
        reads_well();
    }
    /* Which is newer is said by the number alone. */
    header_at(!current())->sequence = htole64(1ULL << 40);
    seal_all();
    settle();
    reads_well();
    header_at(0)->signature = header_at(1)->signature = 0;
    is_bad("both headers are damaged");
    header_at(0)->sequence = header_at(1)->sequence;
    header_at(0)->data_write_guid[0] ^= 1;
    seal_all();
    is_bad("two headers have the sequence number");
    memcpy(header_at(0), header_at(1), VHDX_HEADER_BYTES);
    settle();
    reads_well();
    free(good.data);
}

static void test_header_fields(void **state)
{
    struct vhdx_header *h;

    make();
#define HEADER(change, says)                                                                       \
    for (unsigned k = 0; k < 2; k++) {                                                             \
        h = header_at(k);                                                                          \
        change;                                                                                    \
    }                                                                                              \
    seal_all();                                                                                    \
    is_bad(says)
    HEADER(h->version = htole16(2), "version 2 of VHDX");
    HEADER(h->version = 0, "version 0 of VHDX");
    HEADER(h->log_length = 0, "puts the log at");
    HEADER(h->log_length = htole32(12345), "puts the log at");
    HEADER(h->log_length = htole32(64U << 20), "cut: the log");
    HEADER(h->log_offset = 0, "puts the log at");
    HEADER(h->log_offset = htole64(MIB + 4096), "puts the log at");
    HEADER(h->log_offset = htole64(UINT64_MAX << 20), "cut: the log");
    HEADER(h->log_offset = htole64(2 * MIB), "overlaps another or the log");
    HEADER(h->log_guid[3] = 1, "no valid sequence");
    HEADER((h->log_guid[3] = 1, h->log_version = htole16(1)), "version 1 of the log");
#undef HEADER
    for (unsigned k = 0; k < 2; k++)
        header_at(k)->log_version = htole16(7); /* of a log that is not there */
    seal_all();
    settle();
    reads_well();
    memcpy(at(0), "vhdxfilX", 8);
    assert_int_equal(format_vhdx.probe(&disk.file), 0);
    is_bad("does not begin with");
    /* Numbers that cannot grow: nothing can be written. */
    header_at(current())->sequence = htole64(UINT64_MAX);
    seal_all();
    settle();
    open_it(true);
    expect(0, 4096, 1);
    close_it();
    assert_true(shim_open(&o, &format_vhdx, &disk.file, false) < 0);
    assert_non_null(strstr(o.why.text, "cannot grow"));
    free(good.data);
}

/* ---- regions (2.2.3) ---- */

static struct vhdx_region_table *both;

static void regions_again(void)
{
    both = regions(0);
}

static void seal_regions(void)
{
    memcpy(regions(1), regions(0), VHDX_TABLE_BYTES);
    seal_all();
    settle();
}

static void test_regions(void **state)
{
    static const uint8_t strange[16] = {1, 2, 3};
    struct vhdx_region *more;

    make();
    for (unsigned k = 0; k < 2; k++) {
        regions(k)->region[1].offset ^= htole64(MIB); /* the checksum does not fit */
        settle();
        assert_int_equal(errors(false), 1);
        assert_int_equal(errors(true), 0);
        assert_int_equal(errors(false), 0);
        reads_well();
    }
    regions(0)->header.signature = regions(1)->header.signature = 0;
    is_bad("both region tables are damaged");
#define REGIONS(change, says)                                                                      \
    regions_again();                                                                               \
    change;                                                                                        \
    seal_regions();                                                                                \
    is_bad(says)
    REGIONS(both->header.count = htole32(2048), "both region tables are damaged");
    REGIONS(both->header.count = 0, "names no BAT");
    REGIONS(both->header.count = htole32(1), "names no metadata");
    REGIONS(both->region[0].offset = htole64(3 * MIB + 4096), "is not in the file");
    REGIONS(both->region[0].offset = htole64(1ULL << 50), "is not in the file");
    REGIONS(both->region[0].offset = 0, "is not in the file");
    REGIONS(both->region[0].length = 0, "is not in the file");
    REGIONS(both->region[0].length = htole32(4096), "is not in the file");
    REGIONS(both->region[0].length = htole32(UINT32_MAX & ~(MIB - 1)), "is not in the file");
    REGIONS(both->region[0].offset = both->region[1].offset, "overlaps another or the log");
    REGIONS(both->region[0].offset = htole64(MIB), "overlaps another or the log");
    REGIONS(memcpy(both->region[0].guid, both->region[1].guid, 16), "a region twice");
    REGIONS(memcpy(both->region[0].guid, strange, 16), "not known (00030201");
#undef REGIONS
    /* One that is not known and not required is left alone. */
    disk.no_punch = true;
    shim_bytes_size(&disk.now, 10 * MIB);
    memset(at(9 * MIB), 0x77, MIB);
    both = regions(0);
    more = &both->region[2];
    memcpy(more->guid, strange, 16);
    more->offset = htole64(9 * MIB);
    more->length = htole32(MIB);
    both->header.count = htole32(3);
    seal_regions();
    open_it(false);
    expect(4 * MIB, 4096, 2);
    for (unsigned b = 0; b < 8; b++)
        put(b * MIB, MIB, b);
    assert_int_equal(format_vhdx.compact(o.image, NULL, NULL, &why), 0);
    close_it();
    for (unsigned k = 0; k < MIB; k++)
        assert_int_equal(*(uint8_t *)at(9 * MIB + k), 0x77);
    assert_int_equal(errors(false), 0);
    free(good.data);
}

/* ---- metadata (2.6) ---- */

static void test_metadata(void **state)
{
    static const uint8_t strange[16] = {1, 2, 3};

    make();
#define METADATA(change, says)                                                                     \
    change;                                                                                        \
    is_bad(says)
    METADATA(metadata()->header.signature ^= 1, "metadata table is damaged");
    METADATA(metadata()->header.count = htole16(2048), "metadata table is damaged");
    METADATA(metadata()->header.count = htole16(4), "no physical sector size");
    METADATA(metadata()->header.count = 0, "no file parameters");
    METADATA(metadata()->entry[0].offset = htole32(65535), "a metadata item at 0xffff");
    METADATA(metadata()->entry[0].offset = htole32(MIB - 4), "a metadata item at 0xffffc");
    METADATA(metadata()->entry[0].offset = htole32(UINT32_MAX), "a metadata item at 0xffffffff");
    METADATA(metadata()->entry[0].length = htole32(9), "file parameters has 9 bytes");
    METADATA(metadata()->entry[0].length = 0, "a metadata item at");
    METADATA(metadata()->entry[0].length = htole32(UINT32_MAX), "a metadata item at");
    METADATA(metadata()->entry[1].length = htole32(4), "size of the disk has 4 bytes");
    METADATA(metadata()->entry[1].offset = metadata()->entry[2].offset, "items overlap");
    METADATA(metadata()->entry[1] = metadata()->entry[0], "is there twice");
    METADATA(memcpy(metadata()->entry[2].item, strange, 16), "not known (00030201");
    METADATA(metadata()->entry[2].flags |= htole32(VHDX_ITEM_USER), "it needs a metadata item");
    METADATA(*(uint32_t *)item(ITEM_PARAMETERS) = htole32(3 << 20), "blocks of 3145728 bytes");
    METADATA(*(uint32_t *)item(ITEM_PARAMETERS) = 0, "blocks of 0 bytes");
    METADATA(*(uint32_t *)item(ITEM_PARAMETERS) = htole32(1 << 19), "blocks of 524288");
    METADATA(*(uint32_t *)item(ITEM_PARAMETERS) = htole32(1 << 29), "blocks of 536870912");
    METADATA(((uint32_t *)item(ITEM_PARAMETERS))[1] = htole32(VHDX_HAS_PARENT),
             "no parent locator");
    METADATA(*(uint64_t *)item(ITEM_SIZE) = 0, "a disk of 0 bytes");
    METADATA(*(uint64_t *)item(ITEM_SIZE) = htole64((64ULL << 40) + 512), "64 TiB is the most");
    METADATA(*(uint64_t *)item(ITEM_SIZE) = htole64(8 * MIB + 1), "multiple of its sectors");
    METADATA(*(uint64_t *)item(ITEM_SIZE) = htole64(1ULL << 40), "too short for");
    METADATA(*(uint32_t *)item(ITEM_LOGICAL) = htole32(1024), "sectors of 1024 bytes");
    METADATA(*(uint32_t *)item(ITEM_PHYSICAL) = htole32(8192), "sectors of 8192 bytes");
#undef METADATA
    /* What is not known and not required does not matter; nor do users' items of any name. */
    memcpy(metadata()->entry[5].item, strange, 16);
    metadata()->entry[6] = metadata()->entry[1];
    metadata()->entry[6].flags = htole32(VHDX_ITEM_USER);
    metadata()->entry[6].offset = metadata()->entry[6].length = 0;
    metadata()->header.count = htole16(7);
    settle();
    reads_well();
    free(good.data);
}

/* ---- the table of blocks (2.5.1) ---- */

static void test_table(void **state)
{
    make();
#define TABLE(value, says)                                                                         \
    bat()[4] = htole64(value);                                                                     \
    is_bad(says)
    TABLE(4, "BAT entry 4 (0x4): no such state");
    TABLE(5, "BAT entry 4 (0x5): no such state");
    TABLE(5 * MIB | VHDX_PRESENT | 8, "no such state");
    TABLE(5 * MIB | VHDX_PARTIAL, "partially present without a parent");
    TABLE(0 | VHDX_PRESENT, "in the header section");
    TABLE(MIB | VHDX_PRESENT, "used by something else");
    TABLE(2 * MIB | VHDX_PRESENT, "used by something else");
    TABLE(3 * MIB | VHDX_PRESENT, "used by something else");
    TABLE(4 * MIB | VHDX_PRESENT, "used by something else");
    TABLE(6 * MIB | VHDX_PRESENT, "behind the end");
    TABLE(UINT64_MAX << 20 | VHDX_PRESENT, "behind the end");
#undef TABLE
    bat()[4] = bat()[0];
    settle();
    assert_int_equal(errors(false), 1);
    assert_int_equal(errors(true), 0);
    assert_int_equal(errors(false), 0);
    open_it(false);
    expect(0, 4096, 1);
    expect_zero(4 * MIB, MIB);
    close_it();
    free(good.data);
}

/* Entries of sector bitmaps; blocks without theirs are lost, and no others. */
static void test_bitmap_entries(void **state)
{
    static const uint64_t bad[] = {0, 1,     2, 3,       4,           5,
                                   7, 6 | 8, 6, 6 | MIB, 6 | 3 * MIB, 6 | 99 * MIB};
    uint64_t index = VHDX_BLOCK_MIN * 8ULL * 512 / MIB; /* behind the blocks of a chunk */

    create_child(8 * MIB, 512, "base.vhdx");
    put(MIB + 4096, 4096, 1);
    put(2 * MIB, MIB, 2);
    close_it();
    good = keep();
    assert_int_equal(le64toh(bat()[1]) & VHDX_STATE_MASK, VHDX_PARTIAL);
    assert_int_equal(le64toh(bat()[index]) & VHDX_STATE_MASK, VHDX_PRESENT);
    for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        bat()[index] = htole64(bad[k]);
        settle();
        refused("BAT entry");
        assert_true(errors(false) > 0);
        assert_int_equal(errors(true), 0);
        assert_int_equal(errors(false), 0);
        open_it(false);
        o.parent = &base;
        expect_base(MIB, MIB);
        expect(2 * MIB, MIB, 2);
        put(MIB + 512, 512, 3);
        reopen();
        expect(MIB + 512, 512, 3);
        expect_base(MIB + 1024, MIB - 1024);
        close_it();
        back_to(&good);
    }
    drop_base();
    free(good.data);
}

/* ---- parent locators (2.6.2.6) ---- */

/* A locator of these keys and values, in place of the image's; "" ends them. */
static void locate(const char *const *text)
{
    uint8_t *raw = item(ITEM_PARENT);
    struct vhdx_locator_header *h = (void *)raw;
    uint32_t end = 20 + 12 * 8;
    uint16_t n = 0;

    memset(raw + 20, 0, 4096 - 20);
    for (; text[2 * n][0]; n++) {
        struct vhdx_locator_entry e = {.key_offset = htole32(end)};

        e.key_length = htole16((uint16_t)(2 * strlen(text[2 * n])));
        for (const char *c = text[2 * n]; *c; c++, end += 2)
            raw[end] = (uint8_t)*c;
        e.value_offset = htole32(end);
        e.value_length = htole16((uint16_t)(2 * strlen(text[2 * n + 1])));
        for (const char *c = text[2 * n + 1]; *c; c++, end += 2)
            raw[end] = (uint8_t)*c;
        memcpy(raw + 20 + 12 * n, &e, sizeof(e));
    }
    h->count = htole16(n);
    metadata()->entry[ITEM_PARENT].length = htole32(end);
    settle();
}

#define LINK  "{00112233-4455-6677-8899-AABBCCDDEEFF}"
#define LINK2 "{ffffffff-4455-6677-8899-aabbccddeeff}"

static void test_locator(void **state)
{
    static const uint8_t link[16] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                     0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};
    static const struct {
        const char *text[14], *paths[PARENT_PATHS];
    } rows[] = {
        {{"parent_linkage", LINK, "relative_path", "..\\a.vhdx", ""}, {"../a.vhdx", "a.vhdx"}},
        {{"relative_path", ".\\a.vhdx", "parent_linkage", LINK, ""}, {"./a.vhdx", "a.vhdx"}},
        {{"parent_linkage", LINK, "absolute_win32_path", "C:\\vm\\a.vhdx", "relative_path",
          "..\\x\\a.vhdx", "volume_path", "\\\\?\\Volume{26A21BDA}\\b.vhdx", "unknown", "x", ""},
         {"../x/a.vhdx", "a.vhdx", "b.vhdx"}},
        {{"parent_linkage", LINK, "absolute_win32_path", "\\\\?\\srv\\a.vhdx", ""},
         {"/srv/a.vhdx", "a.vhdx"}},
        {{"parent_linkage", LINK, "absolute_win32_path", "\\\\server\\share\\a.vhdx", ""},
         {"a.vhdx"}},
        {{"parent_linkage", LINK, ""}, {NULL}},
    };

    create_child(8 * MIB, 512, "base.vhdx");
    close_it();
    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        const struct parent *p = &o.geometry.parent;
        unsigned n = 0;

        locate(rows[k].text);
        open_it(true);
        assert_memory_equal(p->identity, link, 16);
        for (; rows[k].paths[n]; n++)
            assert_string_equal(p->path[n], rows[k].paths[n]);
        assert_int_equal(p->path_count, n);
        close_it();
    }
    drop_base();
}

/* parent_linkage2 names a second identity that the parent may have. */
static void test_locator_linkage2(void **state)
{
    create_child(8 * MIB, 512, "base.vhdx");
    close_it();
    locate((const char *const[]){"parent_linkage", LINK, "parent_linkage2", LINK2, ""});
    open_it(true);
    assert_int_equal(o.geometry.parent.identity[0], 0x33);
    assert_int_equal(o.geometry.parent.identity2[0], 0xFF);
    assert_int_equal(o.geometry.parent.identity2[15], 0xFF);
    close_it();
    locate((const char *const[]){"parent_linkage", LINK, "parent_linkage2", "{}", ""});
    refused("parent_linkage2");
    drop_base();
}

static void test_bad_locator(void **state)
{
    struct vhdx_locator_entry *e;

    create_child(8 * MIB, 512, "base.vhdx");
    close_it();
    good = keep();
#define LOCATOR(change, says)                                                                      \
    e = (void *)((uint8_t *)item(ITEM_PARENT) + 20);                                               \
    change;                                                                                        \
    is_bad(says)
    LOCATOR(*(uint8_t *)item(ITEM_PARENT) ^= 1, "not a file of a kind that is known");
    LOCATOR(metadata()->entry[ITEM_PARENT].length = htole32(19), "a parent locator of 19 bytes");
    LOCATOR(metadata()->entry[ITEM_PARENT].length = htole32(30), "no parent_linkage");
    LOCATOR(((struct vhdx_locator_header *)item(ITEM_PARENT))->count = 0, "no parent_linkage");
    LOCATOR(e->key_offset = htole32(UINT32_MAX), "no parent_linkage");
    LOCATOR(e->value_offset = htole32(UINT32_MAX - 60), "no parent_linkage");
    LOCATOR(e->key_length = htole16(UINT16_MAX), "no parent_linkage");
    LOCATOR(e->value_length = htole16(75), "no parent_linkage");
    LOCATOR(e->value_length = 0, "no parent_linkage");
    LOCATOR(((uint8_t *)item(ITEM_PARENT))[le32toh(e->value_offset) + 4] = 'g',
            "no parent_linkage");
    LOCATOR(((uint8_t *)item(ITEM_PARENT))[le32toh(e->value_offset) + 5] = 0xD8,
            "no parent_linkage");
#undef LOCATOR
    ((struct vhdx_locator_header *)item(ITEM_PARENT))->count = htole16(UINT16_MAX);
    settle();
    open_it(true); /* what is there counts */
    close_it();
    drop_base();
    free(good.data);
}

/* ---- any damage ---- */

static void test_cut(void **state)
{
    static const uint64_t sizes[] = {0,       7,           8,           4095,       65536,
                                     69632,   MIB - 1,     MIB,         MIB + 4096, 2 * MIB - 1,
                                     2 * MIB, 2 * MIB + 1, 3 * MIB - 1, 3 * MIB,    4 * MIB - 1,
                                     4 * MIB, 4 * MIB + 1, 5 * MIB,     6 * MIB - 1};

    make();
    for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        disk.now.size = sizes[k];
        settle();
        assert_int_equal(format_vhdx.probe(&disk.file), sizes[k] >= 8);
        is_bad(sizes[k] < MIB ? "too short" : "");
    }
    free(good.data);
}

/* Bytes of all structures, changed in some ways: an error, or an image that can be read. Checksums
 * are made right, or no damage would come behind them. */
static void test_every_byte(void **state)
{
    static const struct {
        uint64_t from, length, step;
    } rows[] = {{0, 8, 1},
                {VHDX_HEADER1, 80, 1},
                {VHDX_REGIONS1, 96, 1},
                {2 * MIB, 32 + 6 * 32, 1},
                {2 * MIB + 65536, 400, 1},
                {3 * MIB, 64, 1},
                {3 * MIB + 4096 * 8 - 16, 16, 1}};

    create_child(8 * MIB, 512, "base.vhdx");
    put(0, 8192, 1);
    put(MIB, MIB, 2);
    close_it();
    good = keep();
    for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
        for (uint64_t n = 0; n < rows[r].length * 3; n++) {
            uint64_t where = rows[r].from + n / 3;
            uint8_t *byte = at(where), was = *byte;

            *byte = (uint8_t)(n % 3 == 0 ? was ^ 0x80 : n % 3 == 1 ? was ^ 1 : ~was);
            if (where < MIB) {
                memcpy(header_at(1), header_at(0), VHDX_HEADER_BYTES);
                memcpy(regions(1), regions(0), VHDX_TABLE_BYTES);
                seal_all();
            }
            if (shim_open(&o, &format_vhdx, &disk.file, true) == 0) {
                o.parent = &base;
                (void)shim_read(&o, 0, other, 2 * MIB);
                (void)shim_close(&o);
            }
            *(uint8_t *)at(where) = was;
        }
    back_to(&good);
    open_it(true);
    o.parent = &base;
    expect(0, 8192, 1);
    close_it();
    drop_base();
    free(good.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_header_choice), ROW(test_header_fields),
        ROW(test_regions),       ROW(test_metadata),
        ROW(test_table),         ROW(test_bitmap_entries),
        ROW(test_locator),       ROW(test_locator_linkage2),
        ROW(test_bad_locator),   ROW(test_cut),
        ROW(test_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
