/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* posix_fallocate */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "disk/vhd_priv.h"
#include "lib/bits.h"

/* Appendix "CHS calculation" of the specification. */
static void set_geometry(struct vhd_footer *f, uint64_t size)
{
    uint64_t most = (uint64_t)VHD_CYLINDERS * VHD_HEADS * VHD_TRACK;
    uint32_t sectors = (uint32_t)min_u64(size / VHD_SECTOR, most), track, heads, rows;

    if (sectors >= VHD_CYLINDERS * VHD_HEADS * 63U) {
        track = VHD_TRACK;
        heads = VHD_HEADS;
        rows = sectors / track;
    } else {
        track = 17;
        rows = sectors / track;
        heads = (rows + 1023) / 1024;
        if (heads < 4)
            heads = 4;
        if (rows >= heads * 1024 || heads > VHD_HEADS) {
            track = 31;
            heads = VHD_HEADS;
            rows = sectors / track;
        }
        if (rows >= heads * 1024) {
            track = 63;
            heads = VHD_HEADS;
            rows = sectors / track;
        }
    }
    f->cylinders = htobe16((uint16_t)(rows / heads));
    f->heads = (uint8_t)heads;
    f->track_sectors = (uint8_t)track;
}

void vhd_footer_seal(struct vhd_footer *f, uint64_t size)
{
    f->current_size = htobe64(size);
    set_geometry(f, size);
    f->checksum = htobe32(vhd_checksum(f, sizeof(*f), offsetof(struct vhd_footer, checksum)));
}

void vhd_header_seal(struct vhd_header *h)
{
    h->checksum = htobe32(vhd_checksum(h, sizeof(*h), offsetof(struct vhd_header, checksum)));
}

/* The creator is one of those that others take current_size from. */
static int footer_new(struct vhd_footer *f, uint64_t size, enum vhd_type type)
{
    *f = (struct vhd_footer){
        .cookie = {'c', 'o', 'n', 'e', 'c', 't', 'i', 'x'},
        .features = htobe32(VHD_FEATURES),
        .version = htobe32(VHD_VERSION),
        .data_offset = type == VHD_FIXED ? VHD_NOWHERE : htobe64(VHD_SECTOR),
        .timestamp = htobe32((uint32_t)(time(NULL) - VHD_EPOCH)),
        .creator = {'w', 'i', 'n', ' '},
        .creator_version = htobe32(0x000A0000),
        .creator_os = {'W', 'i', '2', 'k'},
        .original_size = htobe64(size),
        .type = htobe32(type),
    };
    if (getrandom(f->id, sizeof(f->id), 0) != (ssize_t)sizeof(f->id))
        return -EIO;
    f->id[6] = (uint8_t)((f->id[6] & 0x0F) | 0x40); /* a random one: RFC 4122, 4.4 */
    f->id[8] = (uint8_t)((f->id[8] & 0x3F) | 0x80);
    vhd_footer_seal(f, size);
    return 0;
}

static int create_fixed(struct disk_file *file, const struct vhd_footer *f, uint64_t size)
{
    int err = file_set_size(file, size + VHD_SECTOR);

    if (!err && file->fd >= 0)
        err = -posix_fallocate(file->fd, 0, (off_t)(size + VHD_SECTOR));
    return err ? err : file_write(file, f, sizeof(*f), size);
}

static int table_new(struct disk_file *file, uint64_t at, uint64_t bytes)
{
    uint8_t unused[4096];
    int err = 0;

    memset(unused, 0xFF, sizeof(unused));
    for (uint64_t n; bytes > 0 && !err; at += n, bytes -= n) {
        n = min_u64(bytes, sizeof(unused));
        err = file_write(file, unused, n, at);
    }
    return err;
}

/* Footer, header, table, paths of the parent, footer. */
static int create_blocks(struct disk_file *file, const struct vhd_footer *f,
                         const struct format_create *how, struct problem *why)
{
    uint32_t block = how->block_size ? how->block_size : VHD_BLOCK_SIZE;
    uint64_t entries = (how->size + block - 1) / block, at = VHD_SECTOR + sizeof(struct vhd_header);
    struct vhd_header h = {
        .cookie = {'c', 'x', 's', 'p', 'a', 'r', 's', 'e'},
        .data_offset = VHD_NOWHERE,
        .table_offset = htobe64(at),
        .version = htobe32(VHD_VERSION),
        .entries = htobe32((uint32_t)entries),
        .block_size = htobe32(block),
    };
    uint64_t end = at + align_up(entries * 4, VHD_SECTOR);
    int err = table_new(file, at, end - at);

    if (!err && how->parent_path) {
        err = vhd_parent_set(file, &h, how->parent_path, how->parent, end, &end, why);
        if (err)
            return err;
    }
    vhd_header_seal(&h);
    if (!err)
        err = file_write(file, &h, sizeof(h), VHD_SECTOR);
    if (!err)
        err = file_write(file, f, sizeof(*f), 0);
    if (!err)
        err = file_write(file, f, sizeof(*f), end);
    return err ? problem_set(why, err, "cannot be written: %s", strerror(-err)) : 0;
}

static int check_create(const struct format_create *how, struct problem *why)
{
    uint32_t block = how->block_size ? how->block_size : VHD_BLOCK_SIZE;

    if (how->size == 0 || how->size % VHD_SECTOR || how->size > VHD_SIZE_MAX)
        return problem_set(why, -EINVAL,
                           "the size of a VHD is a multiple of 512 bytes, at most 2040 GiB");
    if (how->sector_size && how->sector_size != VHD_SECTOR)
        return problem_set(why, -EINVAL, "a VHD has sectors of 512 bytes");
    if (how->fixed && how->parent_path)
        return problem_set(why, -EINVAL, "an image of fixed size has no parent");
    if (block < VHD_BLOCK_MIN || block > VHD_BLOCK_MAX || block & (block - 1))
        return problem_set(why, -EINVAL,
                           "the block size of a VHD is a power of two, 4 KiB to 256 MiB");
    if ((how->size + block - 1) / block > VHD_ENTRIES_MAX)
        return problem_set(why, -EINVAL, "blocks of %u bytes are too small for this size", block);
    return 0;
}

int vhd_create(struct disk_file *file, const struct format_create *how, struct problem *why)
{
    enum vhd_type type = how->fixed ? VHD_FIXED : how->parent_path ? VHD_DIFFERENCING : VHD_DYNAMIC;
    struct vhd_footer f;
    int err = check_create(how, why);

    if (err)
        return err;
    err = footer_new(&f, how->size, type);
    if (err)
        return problem_set(why, err, "no random numbers for its identity");
    if (type != VHD_FIXED)
        return create_blocks(file, &f, how, why);
    err = create_fixed(file, &f, how->size);
    return err ? problem_set(why, err, "cannot be written: %s", strerror(-err)) : 0;
}
