/* SPDX-License-Identifier: MIT */
#define MEMORY_MAX (16U << 20)
#include "disk/fuzz/memory_file.h"
#include <endian.h>
#include "disk/vhdx_crc.h"
#include "disk/vhdx_priv.h"

/*
 * A VHDX has 4 MiB at least, nearly all of it zeros, so inputs are changes of images that are made
 * here. Two bytes say what is done and with which image; then come changes: a byte for the
 * structure, two for the place in it, one for the length, and so many bytes. Checksums are made
 * right if the first byte says so, or nothing would come behind them.
 */

enum {
    SEAL = 1,     /* headers and region tables */
    SEAL_LOG = 2, /* entries of the log */
    WRITES = 4,
    REPAIR = 8,
    COMPACT = 16,
    RESIZE = 32,
    PARENT = 64,
    COPY = 128, /* the second header and region table are as the first ones */
};

enum { KIND = 7, LONGER = 8 };

static const uint64_t areas[] = {
    0,
    VHDX_HEADER1,
    VHDX_HEADER2,
    VHDX_REGIONS1,
    VHDX_REGIONS2,
    1 * VHDX_MIB,                    /* the log */
    2 * VHDX_MIB - VHDX_TABLE_BYTES, /* its end */
    2 * VHDX_MIB,                    /* the metadata table */
    2 * VHDX_MIB + VHDX_TABLE_BYTES,
    3 * VHDX_MIB, /* the table of blocks */
    4 * VHDX_MIB,
    5 * VHDX_MIB,
};

/* Images to begin with, by `KIND`. */
static struct template
{
    struct format_create how;
    bool used;
    uint8_t *data;
    uint64_t size;
}
templates[KIND + 1] = {
    {.how = {.size = 6 << 20}},
    {.how = {.size = 6 << 20}, .used = true},
    {.how = {.size = (6 << 20) + 512, .fixed = true}, .used = true},
    {.how = {.size = 6 << 20, .parent_path = "p"}},
    {.how = {.size = 6 << 20, .parent_path = "p"}, .used = true},
    {.how = {.size = 6 << 20, .sector_size = 4096, .parent_path = "/p"}, .used = true},
    {.how = {.size = 6 << 20, .sector_size = 4096}, .used = true},
    {.how = {.size = 4ULL << 40, .block_size = 256 << 20, .sector_size = 4096}},
};

static struct image_geometry g;

static void put(struct image *image, uint64_t at, uint8_t byte, size_t length)
{
    static uint8_t data[2 << 20];
    struct iovec iov = {data, length};

    memset(data, byte, length);
    (void)format_vhdx.write(image, at, length, &iov, 1);
}

static void make(struct template *t)
{
    struct image_geometry parent = {.link = {1}};
    struct image *image;
    struct problem why;

    t->how.parent = &parent;
    if (!t->how.block_size)
        t->how.block_size = VHDX_BLOCK_MIN;
    memory_load((const uint8_t *)"", 0);
    must(format_vhdx.create(&memory_file, &t->how, &why) == 0);
    if (t->used) {
        must(format_vhdx.open(&image, &memory_file, false, &g, &why) == 0);
        put(image, 0, 1, 8192);
        put(image, 2 * VHDX_MIB + 4096, 2, 2 << 20);
        must(format_vhdx.close(image) == 0);
    }
    t->data = malloc(memory_size);
    must(t->data != NULL);
    memcpy(t->data, memory, memory_size);
    t->size = memory_size;
}

static void seal(uint64_t at, size_t length)
{
    uint32_t sum;

    if (at > memory_size || length > memory_size - at)
        return;
    sum = htole32(vhdx_crc_struct(memory + at, length));
    memcpy(memory + at + 4, &sum, sizeof(sum));
}

/* Entries begin with a sector and do not go around the end. */
static void seal_log(void)
{
    for (uint64_t at = VHDX_MIB; at < 2 * VHDX_MIB && at < memory_size; at += VHDX_LOG_SECTOR) {
        struct vhdx_log_header h;

        memcpy(&h, memory + at, sizeof(h));
        if (h.signature == htole32(VHDX_ENTRY_SIGNATURE) && le32toh(h.length) >= sizeof(h) &&
            le32toh(h.length) <= 2 * VHDX_MIB - at)
            seal(at, le32toh(h.length));
    }
}

static void build(const uint8_t *data, size_t size)
{
    struct template *t = &templates[data[1] & KIND];
    size_t n;

    if (!t->data)
        make(t);
    memory_load(t->data, t->size);
    for (size_t at = 2; at + 4 <= size; at += 4 + n) {
        uint64_t place = areas[data[at] % (sizeof(areas) / sizeof(areas[0]))];

        n = data[at + 3] < size - at - 4 ? data[at + 3] : size - at - 4;
        place += (uint64_t)data[at + 1] | (uint64_t)data[at + 2] << 8;
        if (place + n <= memory_size)
            memcpy(memory + place, data + at + 4, n);
    }
    if (data[0] & COPY) {
        memcpy(memory + VHDX_HEADER2, memory + VHDX_HEADER1, VHDX_HEADER_BYTES);
        memcpy(memory + VHDX_REGIONS2, memory + VHDX_REGIONS1, VHDX_TABLE_BYTES);
    }
    if (data[0] & SEAL_LOG)
        seal_log();
    if (data[0] & SEAL) {
        seal(VHDX_HEADER1, VHDX_HEADER_BYTES);
        seal(VHDX_HEADER2, VHDX_HEADER_BYTES);
        seal(VHDX_REGIONS1, VHDX_TABLE_BYTES);
        seal(VHDX_REGIONS2, VHDX_TABLE_BYTES);
    }
    if (data[1] & LONGER)
        (void)memory_set_size(&memory_file, memory_size + VHDX_MIB);
}

static void write_some(struct image *image)
{
    for (uint64_t at = 0, n = 0; at + 3 * 4096 <= g.size && n < 6; at = at * 3 + 8192, n++) {
        static uint8_t data[3 * 4096];
        struct iovec iov = {data, sizeof(data)};

        memset(data, (int)n + 1, sizeof(data));
        if (format_vhdx.write(image, at, sizeof(data), &iov, 1) == 0) {
            struct extent e;

            format_vhdx.map(image, at, g.sector_size, false, &e);
            must(e.kind == EXTENT_DATA && memory[e.file_offset] == n + 1);
        }
        (void)format_vhdx.discard(image, at / 2 & ~4095ULL, 4096, n & 1);
    }
    if (g.size >= 4 * VHDX_MIB)
        (void)format_vhdx.discard(image, VHDX_MIB, 3 * VHDX_MIB, true);
}

static void change(struct image *image, uint8_t what)
{
    struct problem why;

    write_some(image);
    (void)format_vhdx.flush(image);
    if (what & RESIZE && g.size < VHDX_SIZE_MAX / 2 &&
        format_vhdx.resize(image, (g.size + VHDX_MIB) & ~4095ULL, &why) == 0)
        g.size = (g.size + VHDX_MIB) & ~4095ULL;
    if (what & COMPACT)
        (void)format_vhdx.compact(image, NULL, NULL, &why);
    if (what & PARENT)
        (void)format_vhdx.set_parent(image, "../p.vhdx", "/a/p.vhdx", &g, &why);
    walk(&format_vhdx, image, &g, false);
    walk(&format_vhdx, image, &g, true);
}

/* Whatever was done to it, an image that was closed well opens again. */
static void end(struct image *image)
{
    struct problem why;

    if (format_vhdx.close(image) < 0)
        return;
    must(format_vhdx.open(&image, &memory_file, true, &g, &why) == 0);
    walk(&format_vhdx, image, &g, false);
    (void)format_vhdx.close(image);
}

static void repair(void)
{
    struct check_report report = {.say = NULL};
    struct problem why;

    if (format_vhdx.check(&memory_file, true, &report, &why) < 0)
        return;
    must(report.errors == report.fixed);
    report = (struct check_report){.say = NULL};
    must(format_vhdx.check(&memory_file, false, &report, &why) == 0 && report.errors == 0);
}

/* Who only reads changes nothing, and what it can open is sound or the check says why not. */
static void look(void)
{
    struct check_report report = {.say = NULL};
    unsigned long before = memory_changes;
    struct image *image = NULL;
    struct problem why;
    int checked = format_vhdx.check(&memory_file, false, &report, &why);

    (void)format_vhdx.probe(&memory_file);
    if (format_vhdx.open(&image, &memory_file, true, &g, &why) == 0) {
        must(checked == 0);
        walk(&format_vhdx, image, &g, false);
        must(format_vhdx.close(image) == 0);
    }
    must(memory_changes == before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image *image = NULL;
    struct problem why;

    if (size < 2)
        return 0;
    build(data, size);
    if (data[0] & REPAIR)
        repair();
    look();
    if (!(data[0] & WRITES) || format_vhdx.open(&image, &memory_file, false, &g, &why) < 0)
        return 0;
    walk(&format_vhdx, image, &g, false);
    change(image, data[0]);
    end(image);
    return 0;
}
