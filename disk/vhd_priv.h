/* SPDX-License-Identifier: MIT */
#ifndef DISK_VHD_PRIV_H
#define DISK_VHD_PRIV_H

#include <endian.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "disk/format.h"
#include "disk/vhd_layout.h"

/*
 * An open VHD. Tables are kept in memory and are what map() reads, in any thread: entries and words
 * of bitmaps are atomic, and each is set after what it tells of is in the file. Everything else
 * belongs to whoever does the slow calls, one at a time.
 */

#define VHD_BLOCK_MIN   4096U
#define VHD_BLOCK_MAX   (256U << 20)
#define VHD_ENTRIES_MAX (1U << 22) /* 2040 GiB in blocks of 512 KiB */
#define VHD_DATA_ALIGN  4096U      /* of the data of new blocks in the file, for the host's sake */

enum vhd_block_state {
    VHD_BLOCK_UNKNOWN, /* of a dynamic image: its bitmap was not looked at yet */
    VHD_BLOCK_FULL,    /* all sectors are in the block */
    VHD_BLOCK_PARTIAL, /* those that its bitmap in memory says */
};

/* Which sectors of a block are in it. Bits are only ever set. */
struct vhd_bitmap {
    struct vhd_bitmap *next_dirty;
    uint32_t block;
    uint32_t missing; /* bits that are not set */
    bool dirty;       /* not in the file like this */
    _Atomic uint64_t word[];
};

struct image {
    struct disk_file *file;
    bool read_only;
    struct vhd_footer footer; /* as in the file */
    uint32_t type;
    uint64_t size;

    /* Of images with a header. */
    struct vhd_header header; /* as in the file */
    uint64_t header_offset, table_offset;
    uint32_t block_size, block_shift, bitmap_bytes, entries;
    _Atomic uint32_t *bat; /* sectors of the file */
    atomic_uchar *state;   /* enum vhd_block_state of blocks that are there */
    _Atomic(struct vhd_bitmap *) *bitmap;
    uint64_t end;    /* of all that is in use; the footer stands there or behind */
    bool trimmed;    /* nothing but a footer lies behind `end` */
    bool *bat_dirty; /* for each sector of the table */
    struct vhd_bitmap *dirty_bitmaps;
    atomic_bool dirty; /* tables in memory differ from the file */
};

#define VHD_BAT_PER_SECTOR (VHD_SECTOR / 4)

/* vhd_open.c */

uint32_t vhd_checksum(const void *data, size_t length, size_t field);
bool vhd_footer_valid(const struct vhd_footer *f);
/** The footer at the end of the file: 1, 0 or -errno. */
int vhd_footer_read(struct disk_file *file, uint64_t size, struct vhd_footer *f);
uint64_t vhd_footer_size(const struct vhd_footer *f);
int vhd_probe(struct disk_file *file);
int vhd_open(struct image **out, struct disk_file *file, bool read_only,
             struct image_geometry *geometry, struct problem *why);
void vhd_free(struct image *i);

/* vhd_load.c */

/** What is wrong with the table of blocks, one call each; all of the others are right. */
typedef void vhd_bad_block(void *ctx, uint32_t block, const char *sentence);
/** Header and table; `bad` NULL: any bad block is an error. */
int vhd_load(struct image *i, vhd_bad_block *bad, void *ctx, struct problem *why);
int vhd_load_bitmaps(struct image *i, struct problem *why);
uint64_t vhd_block_bytes(const struct image *i, uint32_t block);

/* vhd_parent.c */

/** Where the parent may be, by the header. */
int vhd_parent_paths(struct image *i, struct parent *parent);
/** Put a parent into a header and its path at an offset of the file; *end: behind it. */
int vhd_parent_set(struct disk_file *file, struct vhd_header *h, const char *path,
                   const struct image_geometry *parent, uint64_t at, uint64_t *end,
                   struct problem *why);
int vhd_set_parent(struct image *i, const char *path, const char *absolute,
                   const struct image_geometry *parent, struct problem *why);

/* vhd_write.c */

int vhd_write(struct image *i, uint64_t offset, uint64_t length, const struct iovec *iov,
              unsigned iov_count);
int vhd_discard(struct image *i, uint64_t offset, uint64_t length, bool zero);
int vhd_flush(struct image *i);
/** Both footers as in memory, durable; the file ends with one. */
int vhd_footers_write(struct image *i);
int vhd_close(struct image *i);
struct vhd_bitmap *vhd_bitmap_new(const struct image *i, uint32_t block);
void vhd_table_dirty(struct image *i, uint32_t block);
/** Where a block of this image may begin at or behind a byte of the file. */
uint64_t vhd_place(const struct image *i, uint64_t at);

/* vhd_create.c */

int vhd_create(struct disk_file *file, const struct format_create *how, struct problem *why);
/** The geometry that goes with a size, and the checksum. */
void vhd_footer_seal(struct vhd_footer *f, uint64_t size);
void vhd_header_seal(struct vhd_header *h);

/* vhd_resize.c */

int vhd_resize(struct image *i, uint64_t size, struct problem *why);
/** Make another header the one that counts, in one step; `end`: of all that is in use with it. */
int vhd_header_switch(struct image *i, struct vhd_header *h, uint64_t size, uint64_t end);

/* vhd_check.c, vhd_compact.c */

int vhd_check(struct disk_file *file, bool repair, struct check_report *report,
              struct problem *why);
int vhd_compact(struct image *i, bool (*progress)(void *ctx, uint64_t done, uint64_t all),
                void *ctx, struct problem *why);

#endif
