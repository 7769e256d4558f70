/* SPDX-License-Identifier: MIT */
#ifndef DISK_DISK_PRIV_H
#define DISK_DISK_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include "disk/disk.h"
#include "disk/format.h"
#include "disk/host.h"

/* What the files behind disk.h share. */

#define CHAIN_MAX     32U /* images from a child to its last ancestor */
#define PART_VECTORS  32U
#define VECTORS_MAX   1024U /* of one transfer: Linux' UIO_MAXIOV */
#define BOUNCE_BYTES  (1U << 20)
#define PARTS_MIN     64U
#define PARTS_MAX     4096U
#define PART_RETRIES  16U
#define IDLE_FLUSH_MS 2000 /* tables that nobody asked to flush are durable after so long */

/* An image of a chain. */
struct layer {
    char *path;
    struct host_file *host;
    const struct disk_format *format;
    struct image *image;
    struct image_geometry geometry;
    struct layer *parent;
};

/* A place in vectors. */
struct cursor {
    unsigned index;
    size_t skip; /* bytes of iov[index] */
};

/* A list of requests, first come, first served. */
struct request_list {
    struct disk_request *first, *last;
};

/* What lies in disk_request.priv. The owner of the queue uses it, and the disk's thread while the
 * request is with it. */
struct request_state {
    struct disk *disk;
    struct disk_queue *queue;
    struct disk_request *next; /* in the one list that it is in */
    uint64_t at;               /* bytes that are done or given to parts */
    struct cursor cursor;      /* the same place in the vectors */
    unsigned parts;            /* in flight */
    int error;                 /* the first */
    bool inside;               /* counted by the gate of the disk */
    bool again;                /* came back from the thread to be begun anew */
    bool starved;              /* in the queue's list of those that want a part */
};
_Static_assert(sizeof(struct request_state) <= sizeof(((struct disk_request *)0)->priv),
               "the state of a request lies in it");

static inline struct request_state *state_of(struct disk_request *r)
{
    return (struct request_state *)(void *)r->priv;
}

struct grow {
    uint64_t size;
    struct problem *why;
    int err;
    bool done;
};

struct disk {
    struct layer *top;
    bool read_only;
    uint32_t offset_align, memory_align; /* the largest of all layers */
    _Atomic uint64_t size;
    atomic_bool writing; /* format->writer() has been called, or there is none */

    /*
     * The gate counts transfers that use what map() said. While GATE_CLOSED is set, which only the
     * disk's thread does, none begins; it goes to `waiting`. Set and cleared under `lock`.
     */
    _Atomic uint64_t gate;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t work;  /* for the thread */
    pthread_cond_t quiet; /* the gate's count is 0, or nothing comes back to begin anew */
    pthread_cond_t grown;
    struct request_list slow;    /* the thread's */
    struct request_list waiting; /* for the gate to open */
    struct grow *grow;
    bool stop;
    /* Of who opens, starts and closes. */
    bool thread_runs;
    pthread_t thread;

    void *bounce; /* the thread's: BOUNCE_BYTES, aligned, for writes in many vectors */

    atomic_uint returning; /* requests handed back to begin anew that have not yet */
};

#define GATE_CLOSED (1ULL << 63)

/* A piece of a request on its way, in one extent. */
enum part_op { PART_READ, PART_WRITE, PART_SYNC };

struct part {
    struct disk_request *request;
    struct part *next; /* in the list of free ones, or an engine's */
    enum part_op op;
    bool durable; /* RWF_DSYNC */
    unsigned retries;
    int fd;
    uint64_t file_offset;
    uint64_t left;
    struct cursor cursor;
    const struct iovec *iov; /* of the next transfer: the request's own, or `own` */
    unsigned iov_count;
    int result; /* for an engine of threads */
    struct iovec own[PART_VECTORS];
};

struct disk_queue;

/* What moves parts: io_uring, or threads where that is forbidden. */
struct engine {
    /** The queue's event_fd is there, and is written to when a part ends. */
    int (*create)(struct disk_queue *queue, unsigned parts);
    void (*destroy)(struct disk_queue *queue);
    /** There is room for all parts of the queue. */
    void (*add)(struct disk_queue *queue, struct part *part);
    void (*flush)(struct disk_queue *queue);
    /** part_done() of all that have ended. */
    void (*reap)(struct disk_queue *queue);
};

extern const struct engine engine_uring;
extern const struct engine engine_threads;

/** Rings that engine_uring is to use; 0 or -errno. */
int uring_reserve(unsigned count, unsigned entries);

struct disk_queue {
    const struct engine *engine;
    void *engine_state;
    int event_fd;
    unsigned depth, busy;
    unsigned ended; /* done() calls of this reap */
    bool unsent;    /* parts were added since the last flush */
    struct part *parts, *free_parts;
    struct request_list starved;
    struct request_list ready; /* ended without a transfer */

    pthread_mutex_t lock;         /* of `returned`, which the threads of disks fill */
    struct request_list returned; /* by a disk's thread */
};

int disk_queue_create_with(struct disk_queue **out, unsigned depth, const struct engine *engine);
/** A part has moved so many bytes or failed with -errno. In the owner's thread. */
void part_done(struct disk_queue *queue, struct part *part, int result);

/* request.c */

void list_add(struct request_list *list, struct disk_request *request);
struct disk_request *list_take(struct request_list *list);
/** Vectors from a place on, at most `length` bytes and `max` of them: how many. */
unsigned cursor_slice(const struct iovec *iov, struct cursor at, uint64_t length, struct iovec *out,
                      unsigned max, uint64_t *bytes);
void cursor_zero(const struct iovec *iov, struct cursor at, uint64_t length);
void cursor_advance(const struct iovec *iov, struct cursor *at, uint64_t length);
/** -EINVAL, -EROFS or 0. */
int request_check(const struct disk *disk, const struct disk_request *request);
bool request_aligned(const struct disk *disk, const struct disk_request *request);

/** Whether it needs nothing of the disk's thread. */
bool request_quick(const struct disk *disk, const struct disk_request *request);

/* disk.c */

bool gate_enter(struct disk *disk, struct disk_request *request);
void gate_leave(struct disk *disk);
/** The disk of an image that is open; the image is its from here on if this succeeds. */
int disk_open_layer(struct disk **out, struct layer *top, struct problem *why);
/** Where a range lies, through the chain. Never EXTENT_PARENT. *from: the image of EXTENT_DATA. */
void chain_map(const struct disk *disk, uint64_t offset, uint64_t length, bool write,
               struct extent *extent, const struct layer **from);

/* slow.c */

int slow_start(struct disk *disk);
void slow_stop(struct disk *disk);
void slow_submit(struct disk *disk, struct disk_request *request);
/** A request that was made to begin anew has begun. */
void slow_began(struct disk *disk);

/* chain.c */

int chain_open(struct layer **out, const char *path, const struct disk_options *options,
               struct problem *why);
/** One image without its parents: what is in them reads as zeros. */
int chain_open_alone(struct layer **out, const char *path, const struct disk_options *options,
                     struct problem *why);
int chain_close(struct layer *top);

/* formats.c */

const struct disk_format *format_named(const char *name);
/** What the end of a file's name stands for, or NULL. */
const struct disk_format *format_of_name(const char *path);
/** By what the file holds, and if that could be several formats, by its name: never NULL with 0. */
int format_probe(struct disk_file *file, const char *path, const struct disk_format **out);

#endif
