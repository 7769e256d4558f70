/* SPDX-License-Identifier: MIT */
#include "disk/fuzz/memory_file.h"
#include <endian.h>
#include "disk/vhd_priv.h"

/*
 * The first byte says what is done, the others are the file. Checksums are made right if that byte
 * says so, or nothing would come behind them.
 */

enum { SEAL = 1, LONGER = 2, WRITES = 4, REPAIR = 8, COMPACT = 16, RESIZE = 32, PARENT = 64 };

static void seal(uint64_t at)
{
    struct vhd_footer f;
    struct vhd_header h;

    if (at > memory_size || sizeof(f) > memory_size - at)
        return;
    memcpy(&f, memory + at, sizeof(f));
    f.checksum = htobe32(vhd_checksum(&f, sizeof(f), offsetof(struct vhd_footer, checksum)));
    memcpy(memory + at, &f, sizeof(f));
    at = be64toh(f.data_offset);
    if (at > memory_size || sizeof(h) > memory_size - at)
        return;
    memcpy(&h, memory + at, sizeof(h));
    h.checksum = htobe32(vhd_checksum(&h, sizeof(h), offsetof(struct vhd_header, checksum)));
    memcpy(memory + at, &h, sizeof(h));
}

static void change(struct image *image, struct image_geometry *g, uint8_t what)
{
    static uint8_t data[3 * 4096];
    struct iovec iov = {data, sizeof(data)};
    struct problem why;

    for (uint64_t at = 0, n = 0; at + sizeof(data) <= g->size && n < 8; at = at * 3 + 8192, n++) {
        memset(data, (int)n + 1, sizeof(data));
        if (format_vhd.write(image, at, sizeof(data), &iov, 1) == 0) {
            struct extent e;

            format_vhd.map(image, at, 512, false, &e);
            must(e.kind == EXTENT_DATA && memory[e.file_offset] == n + 1);
        }
        (void)format_vhd.discard(image, at / 2 & ~511ULL, 4096, n & 1);
    }
    (void)format_vhd.flush(image);
    if (what & RESIZE && g->size < VHD_SIZE_MAX / 2 &&
        format_vhd.resize(image, (g->size + (1U << 20)) & ~511ULL, &why) == 0)
        g->size = (g->size + (1U << 20)) & ~511ULL;
    if (what & COMPACT)
        (void)format_vhd.compact(image, NULL, NULL, &why);
    if (what & PARENT)
        (void)format_vhd.set_parent(image, "../p.vhd", NULL, g, &why);
    walk(&format_vhd, image, g, false);
    walk(&format_vhd, image, g, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct image_geometry g;
    struct check_report report = {.say = NULL};
    struct image *image = NULL;
    struct problem why;
    uint8_t what;

    if (size < 1)
        return 0;
    what = data[0];
    memory_load(data + 1, size - 1);
    if (what & SEAL) {
        seal(0);
        seal(memory_size >= 512 ? memory_size - 512 : 0);
    }
    if (what & LONGER)
        (void)memory_set_size(&memory_file, memory_size + (1U << 20));
    (void)format_vhd.probe(&memory_file);
    if (what & REPAIR && format_vhd.check(&memory_file, true, &report, &why) == 0) {
        must(report.errors == report.fixed);
        report = (struct check_report){.say = NULL};
        must(format_vhd.check(&memory_file, false, &report, &why) == 0 && report.errors == 0);
    }
    if (format_vhd.open(&image, &memory_file, !(what & WRITES), &g, &why) < 0)
        return 0;
    walk(&format_vhd, image, &g, false);
    if (what & WRITES)
        change(image, &g, what);
    (void)format_vhd.close(image);
    return 0;
}
