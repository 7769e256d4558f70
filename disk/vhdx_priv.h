/* SPDX-License-Identifier: MIT */
#ifndef DISK_VHDX_PRIV_H
#define DISK_VHDX_PRIV_H

#include <endian.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "disk/format.h"
#include "disk/vhdx_layout.h"

/*
 * An open VHDX. The table of blocks and the sector bitmaps are in memory and are what map() reads,
 * in any thread: entries and words are atomic, and each is set after what it tells of is in the
 * file. Everything else belongs to whoever does the slow calls, one at a time. docs/disk.md says in
 * which order things reach the file.
 */

#define VHDX_MIB       (1ULL << 20)
#define VHDX_PAGE      4096U
#define VHDX_FILE_MAX  (1ULL << 48) /* of a file; the map of its space has a bit for each MiB */
#define VHDX_LOG_MAX   (64U << 20)  /* of a log that is replayed */
#define VHDX_PAGES_MAX 240U         /* changed pages that one entry of the log takes */
#define VHDX_PAGES_OP  24U          /* that a piece of a write or a discard may change */

#define VHDX_ENTRIES_PAGE (VHDX_PAGE / 8)

/* A page of the table of blocks, or of a sector bitmap, that the file does not have like this. */
struct vhdx_page {
    uint32_t chunk; /* of the bitmap; VHDX_PAGE_BAT: of the table */
    uint32_t index;
};

#define VHDX_PAGE_BAT UINT32_MAX

/* A range of the file, in MiB. */
struct vhdx_run {
    uint64_t first, count;
};

/* Which MiB of the file are in use. */
struct vhdx_space {
    uint64_t *used;         /* bits */
    uint64_t units;         /* MiB of the file */
    uint64_t room;          /* that `used` has bits for */
    uint64_t no_block;      /* no room for a block begins before it */
    struct vhdx_run *freed; /* in use until the table in the file does not name it any more */
    unsigned freed_count, freed_room;
};

/* What a log that cannot be written back holds, instead of what the file has. */
struct vhdx_overlay {
    struct vhdx_piece *piece; /* sorted, apart from each other */
    unsigned count, room;
    uint64_t size; /* of the file with it */
};

/* The log that is written. Positions and lengths are in sectors. */
struct vhdx_writer {
    bool active;   /* the header in the file has its guid */
    bool begun;    /* there is a guid; entries may have been written */
    bool unplaced; /* the last entry may not have reached its place */
    uint8_t guid[16];
    uint64_t sequence; /* of the next entry */
    uint32_t sectors;  /* of the ring */
    uint32_t head;     /* where the next entry goes */
    uint32_t entry;    /* where the last durable one begins */
    uint32_t kept;     /* from the tail of that one to the head: not to be overwritten */
    uint8_t *buf;
    uint32_t buf_sectors;
};

struct image {
    struct disk_file *file;
    bool read_only;
    int failed;             /* a flush has failed: what is durable is not known any more */
    uint64_t file_bytes;    /* its size */
    uint64_t data_end;      /* what lies behind it in the file reads as zeros */
    uint64_t durable_bytes; /* a size that it has after a loss of power */
    struct vhdx_overlay overlay;

    struct vhdx_header header;         /* the current one */
    unsigned header_slot;              /* where it is */
    bool header_damaged;               /* the other one is not valid */
    bool file_guid_new, data_guid_new; /* in this session */
    bool log_left;                     /* opening found a log that was in use */
    bool log_lost;                     /* and no valid entry in it; only a check goes on then */
    bool checking;

    struct vhdx_region_table *regions; /* the one that counts */
    bool regions_damaged[2];
    uint64_t log_offset, bat_offset, metadata_offset;
    uint32_t log_length, bat_length, metadata_length;

    struct vhdx_metadata_table *metadata;
    uint64_t size;
    uint32_t block_size, block_shift, sector_size, sector_shift, physical_size;
    bool has_parent, leave_allocated;
    uint8_t disk_id[16];
    uint32_t size_item, parent_item; /* places in the metadata table */

    uint32_t ratio_shift; /* blocks of a chunk */
    uint32_t blocks, chunks, entries;
    _Atomic uint64_t *bat;
    /* Of each chunk, or NULL. A block that was never partially present since has no bits. */
    _Atomic(_Atomic uint64_t *) *bitmap;

    struct vhdx_page pages[VHDX_PAGES_MAX];
    unsigned page_count, page_limit;
    atomic_bool dirty; /* page_count > 0 */
    bool flush_first;  /* something in the file must be durable before a page names it */
    struct vhdx_space space;
    struct vhdx_writer log;
};

/* An update of metadata: VHDX_PAGE bytes at a multiple of that. */
struct vhdx_update {
    uint64_t offset;
    const void *data;
};

/* What is wrong with an entry of the table of blocks; those of the others are right. */
typedef void vhdx_bad_entry(void *ctx, uint32_t index, const char *sentence);

static inline uint32_t vhdx_block_entry(const struct image *i, uint32_t block)
{
    return block + (block >> i->ratio_shift);
}

static inline uint32_t vhdx_bitmap_entry(const struct image *i, uint32_t chunk)
{
    return (chunk << i->ratio_shift) + (1U << i->ratio_shift) + chunk;
}

static inline uint64_t vhdx_entry(const struct image *i, uint32_t index)
{
    return atomic_load_explicit(&i->bat[index], memory_order_acquire);
}

static inline enum vhdx_state vhdx_state(uint64_t entry)
{
    return (enum vhdx_state)(entry & VHDX_STATE_MASK);
}

static inline uint64_t vhdx_place(uint64_t entry)
{
    return entry & VHDX_PLACE_MASK;
}

/** Bytes of the disk that a block has: the last one may be cut. */
static inline uint64_t vhdx_block_bytes(const struct image *i, uint32_t block)
{
    uint64_t at = (uint64_t)block << i->block_shift;

    return i->size - at < i->block_size ? i->size - at : i->block_size;
}

/* vhdx_file.c */

/** Read with what an overlay says. */
int vhdx_read(struct image *i, void *buf, size_t length, uint64_t offset);
/** Flush the file; if that fails the image takes no more changes. */
int vhdx_sync(struct image *i);
int vhdx_set_size(struct image *i, uint64_t size);
/** Make zeros, by giving space back where the host can. */
int vhdx_zero(struct disk_file *file, uint64_t offset, uint64_t length);
int vhdx_guid_new(uint8_t guid[16]);
bool vhdx_guid_is(const uint8_t guid[16], const uint8_t other[16]);
bool vhdx_guid_none(const uint8_t guid[16]);

/* vhdx_overlay.c */

int vhdx_overlay_put(struct vhdx_overlay *o, uint64_t offset, uint64_t length, const void *data);
/** Put what it has of a range into buf. */
void vhdx_overlay_get(const struct vhdx_overlay *o, uint64_t offset, uint64_t length, void *buf);
bool vhdx_overlay_touches(const struct vhdx_overlay *o, uint64_t offset, uint64_t length);
void vhdx_overlay_free(struct vhdx_overlay *o);

/* vhdx_header.c */

int vhdx_probe(struct disk_file *file);
int vhdx_header_load(struct image *i, struct problem *why);
/** Write it twice, so that both places have it; its sequence number and checksum are set here. */
int vhdx_header_write(struct image *i, const struct vhdx_header *wanted);
/** Before the first change of a session: a new FileWriteGuid; of data, a new DataWriteGuid too. */
int vhdx_session(struct image *i, bool data);

/* vhdx_region.c, vhdx_metadata.c */

int vhdx_regions_load(struct image *i, struct problem *why);
int vhdx_metadata_load(struct image *i, struct problem *why);
/** Blocks, chunks and entries of the table for a size. */
void vhdx_count(const struct image *i, uint64_t size, uint32_t *blocks, uint32_t *chunks,
                uint32_t *entries);

/* vhdx_replay.c */

/** Play a log that is in use: into the file, or into the overlay. */
int vhdx_replay(struct image *i, struct problem *why);

/* vhdx_log.c */

/** Write `count` updates, at most VHDX_PAGES_MAX, through the log: all or none of them. They are
 * durable when this returns 0; what the image has freed may be used again. */
int vhdx_commit(struct image *i, const struct vhdx_update *update, unsigned count);
/** The same for what nobody will commit again: if it cannot be put into its place, the image takes
 * no more changes, and the log is played when it is opened again. */
int vhdx_commit_once(struct image *i, const struct vhdx_update *update, unsigned count);
/** All that the log has is durable in its place, and the header says that there is no log. */
int vhdx_log_close(struct image *i);

/* vhdx_space.c */

/** Room for the bits of so many MiB. 0, -EFBIG or -ENOMEM. */
int vhdx_space_room(struct vhdx_space *s, uint64_t units);
/** Take a range that is in use; false: some of it was taken before, or out of bounds. */
bool vhdx_space_take(struct vhdx_space *s, uint64_t offset, uint64_t length);
/** Find `count` MiB that read as zeros. */
int vhdx_space_get(struct image *i, uint64_t count, uint64_t *offset);
/** The same, only below a place; -ENOSPC: there is none. Contents may be anything. */
int vhdx_space_get_below(struct image *i, uint64_t count, uint64_t below, uint64_t *offset);
/** Nothing has ever named it. */
void vhdx_space_drop(struct image *i, uint64_t offset, uint64_t count);
/** No longer named by what is in memory, but by the file until the next commit. */
void vhdx_space_free(struct image *i, uint64_t offset, uint64_t count);
void vhdx_space_settle(struct image *i);
/** Bytes up to the last MiB in use. */
uint64_t vhdx_space_end(const struct vhdx_space *s);

/* vhdx_bat.c */

int vhdx_bat_load(struct image *i, vhdx_bad_entry *bad, void *ctx, struct problem *why);
void vhdx_bat_set(struct image *i, uint32_t index, uint64_t entry);
/** The sector bitmap of a chunk in memory, made if there is none: NULL: no memory. */
_Atomic uint64_t *vhdx_bitmap_words(struct image *i, uint32_t chunk);
/** The first bit of a block in the bitmap of its chunk. */
uint32_t vhdx_first_bit(const struct image *i, uint32_t block);
/** How many bits from `bit` on, at most `max`, are like the first; *set: what that is. */
uint32_t vhdx_bits_alike(const _Atomic uint64_t *words, uint32_t bit, uint32_t max, bool *set);
void vhdx_bits_clear(struct image *i, uint32_t block);
void vhdx_page_dirty(struct image *i, uint32_t chunk, uint32_t index);
/** A page of the table or of a bitmap as it is to be in the file. */
void vhdx_page_fill(const struct image *i, struct vhdx_page page, void *buf);

/* vhdx_map.c, vhdx_write.c, vhdx_discard.c */

void vhdx_map(struct image *i, uint64_t offset, uint64_t length, bool write, struct extent *extent);
int vhdx_write(struct image *i, uint64_t offset, uint64_t length, const struct iovec *iov,
               unsigned iov_count);
int vhdx_discard(struct image *i, uint64_t offset, uint64_t length, bool zero);
/** Room for what a piece of work changes, by a flush if need be. */
int vhdx_room(struct image *i);
int vhdx_flush(struct image *i);
bool vhdx_dirty(const struct image *i);

/* vhdx_open.c */

/** All but the checks that only opening makes; `bad` NULL: a bad entry is an error. */
int vhdx_load(struct image *i, vhdx_bad_entry *bad, void *ctx, struct problem *why);
void vhdx_free(struct image *i);
int vhdx_open(struct image **out, struct disk_file *file, bool read_only,
              struct image_geometry *geometry, struct problem *why);
int vhdx_close(struct image *i);
/** What lies behind the last MiB in use goes; the log is closed. */
int vhdx_trim(struct image *i);

/* vhdx_parent.c */

int vhdx_parent_load(struct image *i, struct parent *parent, struct problem *why);
/** A parent locator in memory that is the caller's to free. */
int vhdx_parent_make(const char *path, const char *absolute, const struct image_geometry *parent,
                     void **locator, uint32_t *length, struct problem *why);
int vhdx_set_parent(struct image *i, const char *path, const char *absolute,
                    const struct image_geometry *parent, struct problem *why);

/* vhdx_create.c, vhdx_resize.c, vhdx_check.c, vhdx_compact.c */

int vhdx_create(struct disk_file *file, const struct format_create *how, struct problem *why);
int vhdx_resize(struct image *i, uint64_t size, struct problem *why);
int vhdx_check(struct disk_file *file, bool repair, struct check_report *report,
               struct problem *why);
int vhdx_compact(struct image *i, bool (*progress)(void *ctx, uint64_t done, uint64_t all),
                 void *ctx, struct problem *why);

#endif
