/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_SHIM_VHDX_H
#define TESTS_UNIT_SHIM_VHDX_H

#include "tests/unit/shim_disk.h"
#include <endian.h>
#include <stdio.h>
#include "disk/vhdx_crc.h"
#include "disk/vhdx_layout.h"

/* What the tests of VHDX share: one image on a medium, its structures by name, and their checksums.
 * Pointers into the medium are good until it grows. */

#define MIB (1ULL << 20)

static struct shim_disk disk;
static struct shim_image o;
static struct problem why;
static uint8_t buf[8 * MIB], other[8 * MIB];

static inline int reset(void **state)
{
    shim_disk_init(&disk);
    memset(&o, 0, sizeof(o));
    why.text[0] = 0;
    return 0;
}

static inline int finish(void **state)
{
    shim_disk_free(&disk);
    return 0;
}

static inline void create(const struct format_create *how)
{
    if (format_vhdx.create(&disk.file, how, &why) < 0)
        fail_msg("%s", why.text);
    assert_int_equal(file_flush(&disk.file), 0);
}

static inline void open_it(bool read_only)
{
    if (shim_open(&o, &format_vhdx, &disk.file, read_only) < 0)
        fail_msg("%s", o.why.text);
}

static inline void close_it(void)
{
    assert_int_equal(shim_close(&o), 0);
    assert_int_equal(file_flush(&disk.file), 0);
}

static inline void reopen(void)
{
    struct shim_image *parent = o.parent;

    close_it();
    open_it(false);
    o.parent = parent;
}

static inline void pattern(uint8_t *to, size_t length, unsigned seed)
{
    for (size_t k = 0; k < length; k++)
        to[k] = (uint8_t)(k * 7 + k / 512 * 13 + seed);
}

static inline void put(uint64_t offset, size_t length, unsigned seed)
{
    pattern(buf, length, seed);
    assert_int_equal(shim_write(&o, offset, buf, length), 0);
}

static inline void expect(uint64_t offset, size_t length, unsigned seed)
{
    pattern(buf, length, seed);
    memset(other, 0xEE, length);
    assert_int_equal(shim_read(&o, offset, other, length), 0);
    assert_memory_equal(buf, other, length);
}

static inline void expect_zero(uint64_t offset, size_t length)
{
    memset(buf, 0, length);
    assert_int_equal(shim_read(&o, offset, other, length), 0);
    assert_memory_equal(buf, other, length);
}

static inline unsigned errors(bool repair)
{
    struct check_report report = {.say = shim_say};

    if (format_vhdx.check(&disk.file, repair, &report, &why) < 0)
        fail_msg("check: %s", why.text);
    return report.errors - report.fixed;
}

/** It opens in neither way, and the reason says this. */
static inline void refused(const char *part)
{
    o.why.text[0] = 0;
    assert_true(shim_open(&o, &format_vhdx, &disk.file, true) < 0);
    if (!strstr(o.why.text, part))
        fail_msg("'%s' does not say '%s'", o.why.text, part);
    o.why.text[0] = 0;
    assert_true(shim_open(&o, &format_vhdx, &disk.file, false) < 0);
    if (!strstr(o.why.text, part))
        fail_msg("'%s' does not say '%s'", o.why.text, part);
}

static inline void *at(uint64_t offset)
{
    assert_true(offset < disk.now.size);
    return disk.now.data + offset;
}

static inline struct vhdx_header *header_at(unsigned slot)
{
    return at(slot ? VHDX_HEADER2 : VHDX_HEADER1);
}

/** The one that counts. */
static inline unsigned current(void)
{
    return le64toh(header_at(1)->sequence) > le64toh(header_at(0)->sequence);
}

static inline struct vhdx_region_table *regions(unsigned copy)
{
    return at(copy ? VHDX_REGIONS2 : VHDX_REGIONS1);
}

/* Images that are made here have the BAT first. */
static inline uint64_t *bat(void)
{
    return at(le64toh(regions(0)->region[0].offset));
}

static inline struct vhdx_metadata_table *metadata(void)
{
    return at(le64toh(regions(0)->region[1].offset));
}

/** The value of an item, by its number in the table. */
static inline void *item(unsigned k)
{
    return (uint8_t *)metadata() + le32toh(metadata()->entry[k].offset);
}

enum { ITEM_PARAMETERS, ITEM_SIZE, ITEM_ID, ITEM_LOGICAL, ITEM_PHYSICAL, ITEM_PARENT };

static inline void seal(void *structure, size_t length)
{
    uint32_t sum = htole32(vhdx_crc_struct(structure, length));

    memcpy((uint8_t *)structure + 4, &sum, sizeof(sum));
}

static inline void seal_all(void)
{
    for (unsigned k = 0; k < 2; k++) {
        seal(header_at(k), sizeof(struct vhdx_header));
        seal(regions(k), sizeof(struct vhdx_region_table));
    }
}

/** What the medium has is durable. */
static inline void settle(void)
{
    assert_int_equal(file_flush(&disk.file), 0);
    disk.durable.size = 0;
    shim_bytes_put(&disk.durable, 0, disk.now.data, disk.now.size);
}

/* ---- a copy of the medium, to go back to ---- */

struct copy {
    uint8_t *data;
    uint64_t size;
};

static inline struct copy keep(void)
{
    struct copy c = {malloc(disk.now.size), disk.now.size};

    assert_non_null(c.data);
    memcpy(c.data, disk.now.data, c.size);
    return c;
}

static inline void back_to(const struct copy *c)
{
    shim_forget_changes(&disk);
    disk.now.size = disk.durable.size = 0;
    shim_bytes_put(&disk.now, 0, c->data, c->size);
    shim_bytes_put(&disk.durable, 0, c->data, c->size);
    disk.power_left = disk.changes = 0;
    disk.dead = false;
}

/* ---- a parent ---- */

static struct shim_disk base_disk;
static struct shim_image base;

/** A parent of 8 MiB, the first half of it a pattern, and a child that is open. */
static inline void create_child(uint64_t size, uint32_t sector, const char *path)
{
    const struct format_create how = {.size = 8 * MIB, .block_size = MIB, .sector_size = sector};
    const struct format_create child = {.size = size,
                                        .block_size = MIB,
                                        .sector_size = sector,
                                        .parent_path = path,
                                        .parent = &base.geometry};

    shim_disk_init(&base_disk);
    assert_int_equal(format_vhdx.create(&base_disk.file, &how, &why), 0);
    assert_int_equal(shim_open(&base, &format_vhdx, &base_disk.file, false), 0);
    pattern(buf, 4 * MIB, 100);
    assert_int_equal(shim_write(&base, 0, buf, 4 * MIB), 0);
    assert_int_equal(shim_close(&base), 0);
    assert_int_equal(shim_open(&base, &format_vhdx, &base_disk.file, true), 0);
    create(&child);
    open_it(false);
    o.parent = &base;
}

static inline void drop_base(void)
{
    assert_int_equal(shim_close(&base), 0);
    shim_disk_free(&base_disk);
}

static inline void expect_base(uint64_t offset, size_t length)
{
    pattern(buf, 4 * MIB, 100);
    assert_int_equal(shim_read(&o, offset, other, length), 0);
    assert_memory_equal(buf + offset, other, length);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, reset, finish)

#endif
