/* SPDX-License-Identifier: MIT */
#ifndef DISK_FORMAT_H
#define DISK_FORMAT_H

#include <string.h>
#include "disk/disk.h"
#include "disk/file.h"

/*
 * What an image format does for the common code (disk.c). A format knows one file. Chains, queues,
 * locks on files and the order of calls are disk.c's.
 *
 * The quick way: map() says where bytes lie, and disk.c moves them by io_uring. The slow way, for
 * whatever needs a change of tables: one of the calls that may block, in the disk's own thread, one
 * at a time. map() runs in any thread and at the same time as those, so what it reads has a lock or
 * is atomic, and it does no I/O. Before a call that takes blocks away (discard, close) disk.c waits
 * until no transfer is in flight and lets none begin, so what map() has named stays in place until
 * its transfer has ended.
 */

struct image;  /* a format's open file */
struct parent; /* how a differencing image names its parent */

enum extent_kind {
    EXTENT_DATA,   /* in the file, at file_offset */
    EXTENT_ZERO,   /* zeros (for a read only) */
    EXTENT_PARENT, /* in the parent (for a read only) */
    EXTENT_SLOW,   /* this write needs the slow way */
};

struct extent {
    enum extent_kind kind;
    uint64_t length; /* bytes, at least a sector, at most what was asked for */
    uint64_t file_offset;
};

#define PARENT_PATHS    4
#define PARENT_PATH_MAX 4096

/** Where the parent may be, in the order in which to look, and what it must be. */
struct parent {
    bool wanted;           /* this is a differencing image */
    uint8_t identity[16];  /* of the parent: VHD's unique id, VHDX's DataWriteGuid */
    uint8_t identity2[16]; /* another that it may have; zero: none */
    unsigned path_count;
    char path[PARENT_PATHS]
             [PARENT_PATH_MAX]; /* UTF-8, slashes; relative ones to this image's folder */
};

/** Whether an image with this `link` is the parent that is meant. */
static inline bool parent_is(const struct parent *p, const uint8_t link[16])
{
    static const uint8_t none[16];

    return memcmp(link, none, 16) != 0 &&
           (memcmp(p->identity, link, 16) == 0 || memcmp(p->identity2, link, 16) == 0);
}

struct image_geometry {
    uint64_t size;
    uint32_t sector_size;
    uint32_t physical_size;
    uint64_t discard_unit;
    uint8_t identity[16]; /* of the disk as the guest sees it; disk_info's */
    uint8_t link[16];     /* what a child must find in its `parent.identity`; changes with each new
                             writer (VHDX) */
    struct parent parent;
    const char *kind;    /* "fixed", "dynamic", "differencing"; NULL: there is only one */
    uint32_t block_size; /* 0: none */
    int64_t modified;    /* when the file was changed, seconds since 1970; set by who opened it */
};

/** What is wrong with an image, from check(). */
struct check_report {
    /** Called for each finding; `fixed` if it was repaired. */
    void (*say)(void *ctx, bool fixed, const char *sentence);
    void *ctx;
    unsigned errors;
    unsigned fixed;
};

struct format_create {
    uint64_t size;
    uint32_t sector_size;   /* 0: the format's default */
    uint32_t physical_size; /* 0: the default */
    uint32_t block_size;    /* 0: the default */
    bool fixed;
    const char *parent_path; /* as it is to be stored, slashes, relative to the new image's folder
                                or absolute; NULL: no differencing image */
    const char *parent_absolute; /* where it is on this host, for formats that keep both; or NULL */
    const struct image_geometry *parent;
};

struct disk_format {
    const char *name;
    bool stable_map; /* what map() says never changes, so nothing has to be quiet for a discard */
    /** Whether the file looks like it: 1, 0 or -errno. */
    int (*probe)(struct disk_file *file);
    /** Open; a log is replayed, or if read_only, played into memory only. `file` stays the
     * caller's. */
    int (*open)(struct image **out, struct disk_file *file, bool read_only,
                struct image_geometry *geometry, struct problem *why);
    /** Makes tables durable; frees in any case. */
    int (*close)(struct image *image);

    /** The extent at `offset`, at most `length` bytes; the range lies in the disk. */
    void (*map)(struct image *image, uint64_t offset, uint64_t length, bool write,
                struct extent *extent);

    /* The slow way. 0 or -errno. */

    /** Write in any state: allocates, moves the data, makes the tables tell of it. What lies around
     * it in a block that was in the parent stays there. */
    int (*write)(struct image *image, uint64_t offset, uint64_t length, const struct iovec *iov,
                 unsigned iov_count);
    /** DISK_DISCARD, or DISK_ZERO if `zero`. */
    int (*discard)(struct image *image, uint64_t offset, uint64_t length, bool zero);
    /** All data and tables are durable when it returns. */
    int (*flush)(struct image *image);
    /** Whether flush() has more to do than to flush the file; then plain flushes go the quick way.
     * Any thread. */
    bool (*dirty)(const struct image *image);
    /** The first write of a session is about to be done (VHDX: new guids). NULL: nothing to do. */
    int (*writer)(struct image *image);
    int (*resize)(struct image *image, uint64_t size, struct problem *why);

    /* For the tool; the image is open and nobody else uses it. NULL: not for this format. */

    int (*create)(struct disk_file *file, const struct format_create *how, struct problem *why);
    int (*check)(struct disk_file *file, bool repair, struct check_report *report,
                 struct problem *why);
    int (*compact)(struct image *image, bool (*progress)(void *ctx, uint64_t done, uint64_t all),
                   void *ctx, struct problem *why);
    /** Paths as in struct format_create. */
    int (*set_parent)(struct image *image, const char *path, const char *absolute,
                      const struct image_geometry *parent, struct problem *why);
};

extern const struct disk_format format_raw; /* also block devices */
extern const struct disk_format format_iso;
extern const struct disk_format format_vhd;
extern const struct disk_format format_vhdx;

#endif
