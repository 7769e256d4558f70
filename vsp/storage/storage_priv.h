/* SPDX-License-Identifier: MIT */
#ifndef VSP_STORAGE_STORAGE_PRIV_H
#define VSP_STORAGE_STORAGE_PRIV_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "vsp/storage/limit.h"
#include "vsp/storage/protocol.h"
#include "vsp/storage/scsi.h"
#include "vsp/storage/storage.h"

/*
 * Between the files of the VSP: a controller, its units, its channels and their requests.
 *
 * Locks: storage.lock before unit.lock. A thread of a channel holds neither while it calls VMBus, a
 * disk or a hook.
 */

#define STORAGE_CHANNELS (1 + STORAGE_SUB_CHANNELS_MAX)
#define STORAGE_BATCH    64U /* packets that are taken before the disk is told */
#define STORAGE_VECTORS  (STORAGE_TRANSFER_MAX / 4096 + 1)
#define STORAGE_PACKET   32768U /* bytes: a packet with the pages of the largest request */
/* Bytes of a step of what does not go to the guest's memory. */
#define STORAGE_BOUNCE (256U << 10)
/* Requests of a controller that have such a buffer; others are told to come again. */
#define STORAGE_BOUNCES 256U

struct unit {
    pthread_mutex_t lock; /* of all that follows, but what says otherwise */
    pthread_cond_t idle;  /* busy has become 0 */
    bool attached;
    bool changing;  /* somebody waits for `idle`, and will change `disk` */
    bool read_only; /* whatever the medium */
    struct scsi_device scsi;
    struct disk *disk;
    unsigned busy; /* requests that use `disk`, or wait to */
    struct limit limit;
    struct storage_counters counters;
    /* Counts that a request remembers; when they have changed, it need not wait any more. Written
     * with the lock. */
    atomic_uint limit_epoch; /* limits were set anew */
    atomic_uint reset_epoch; /* the unit was reset */
};

struct channel;

/** A packet of the guest from its arrival until its answer is in the ring. Belongs to the thread of
 * its channel. */
struct request {
    struct disk_request disk;
    struct request *next; /* in one of the channel's lists */
    struct channel *channel;
    struct unit *unit;
    uint64_t transaction;
    struct vstor_request srb; /* as the guest has sent it */
    struct vstor_packet reply;
    uint32_t reply_length;
    uint8_t srb_status;
    uint32_t moved; /* bytes of the guest's buffer */
    /* While it waits for its time. */
    uint64_t start_ns; /* 0: it does not */
    unsigned limit_epoch, reset_epoch;
    /* The guest's buffer. */
    struct iovec *iov; /* STORAGE_VECTORS */
    unsigned iov_count;
    /* What the disk does for it, a step at a time. */
    struct scsi_task task;
    struct disk *image;
    uint32_t block_size; /* a power of two */
    uint64_t progress;   /* bytes that are done, or the extents */
    uint8_t *bounce;     /* STORAGE_BOUNCE bytes, or NULL */
    struct iovec step;
};

struct request_list {
    struct request *head, **tail;
};

struct channel {
    struct storage *storage;
    struct vmbus_channel *vmbus;
    unsigned sub;
    pthread_t thread;
    sem_t started; /* its thread has got what it needs, or has not */
    int start_error;
    /* Other threads: */
    atomic_bool stop;
    bool parked; /* storage.lock: it has seen `pausing` */
    int wake_fd; /* an eventfd: look at the flags */
    atomic_uint_fast64_t packets, batches, waits, ring_full;
    atomic_uint version; /* of the protocol */
    atomic_bool broken;
    /* Its own thread only (and save, while it is parked): */
    struct protocol protocol;
    struct disk_queue *queue;
    int poll_fd;  /* an epoll of the channel, the queue, wake_fd and timer_fd */
    int timer_fd; /* bounds how long a request may wait that was not signalled */
    bool timer_runs;
    bool polled; /* since the timer has fired */
    bool signal; /* the guest may have to be told of something */
    unsigned scan_seen;
    struct request *requests, *free;
    struct request_list waiting, unsent;
    struct iovec *vectors;
    uint8_t *packet; /* STORAGE_PACKET */
    uint8_t data[SCSI_DATA_MAX];
};

/** An answer that did not fit into the ring when the state was saved. */
struct saved_answer {
    uint64_t transaction;
    uint32_t length;
    struct vstor_packet packet;
};

/** A channel of a saved state that has not been opened again. */
struct saved_channel {
    enum protocol_state state;
    uint16_t version;
    unsigned count;
    struct saved_answer answer[STORAGE_DEPTH];
};

struct storage {
    struct storage_config config; /* as all that is not said otherwise, init only */
    struct storage_hooks hooks;
    uint16_t sub_channel_max;
    pthread_mutex_t lock;
    pthread_cond_t parked;                         /* lock: of that, stop, pausing and closing */
    struct channel *channels[STORAGE_CHANNELS];    /* lock */
    unsigned closing;                              /* lock: channels that are none of these now */
    struct saved_channel *saved[STORAGE_CHANNELS]; /* lock */
    uint16_t version;                              /* lock: of the first channel */
    atomic_bool pausing;                           /* written with the lock */
    atomic_bool enumerate;                         /* the guest is to look for units */
    atomic_uint bounces;                           /* STORAGE_BOUNCE buffers that there are */
    atomic_uint scan;                              /* requests that wait are to be looked at */
    atomic_uint_fast64_t luns;                     /* bits of the attached units */
    struct unit units[STORAGE_LUNS];
};

static inline void list_init(struct request_list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static inline void list_append(struct request_list *l, struct request *r)
{
    r->next = NULL;
    *l->tail = r;
    l->tail = &r->next;
}

/* channel.c */

/** Start to serve a channel. 0 or -errno. */
int channel_create(struct channel **out, struct storage *s, struct vmbus_channel *vmbus,
                   unsigned sub, struct saved_channel *saved);
/** Stop its thread; what is in flight is waited for and not answered. */
void channel_destroy(struct channel *c);
/** Make its thread look around. Any thread. */
void channel_kick(struct channel *c);
/** Send the answer of r, or keep it until there is room. */
void channel_answer(struct channel *c, struct request *r);

/* request.c */

/** Run what the guest has sent; its answer may come later. */
void request_packet(struct request *r, const struct vmbus_packet *packet);
/** Start those that have waited long enough. Whether there were any. */
bool request_start_waiting(struct channel *c, bool all);
/** When the first of those that wait may start; UINT64_MAX: none waits. */
uint64_t request_next_start(const struct channel *c);
/** It is not answered, and not in flight. */
void request_drop(struct request *r);
/** Between two steps: whether the next may begin. False: it has been ended, because its unit, its
 * medium or its channel goes away, after a reset, or for a pause. */
bool request_go_on(struct request *r);
/** All that the disk had to do is done, or has failed. */
void request_done(struct request *r, int error);

/* io.c */

/** Get ready for r->task.io while r->task.data is there. 0 or -ENOMEM. */
int io_prepare(struct request *r);
/** Begin with it; request_done() is called when it is over. */
void io_start(struct request *r);
/** Free what io_prepare() and later steps have taken. */
void io_release(struct request *r);

/* storage.c */

/** CLOCK_MONOTONIC. */
uint64_t storage_now_ns(void);
/** Make all channels look around. */
void storage_kick(struct storage *s);
/** A guest has initialized the first channel with this version. */
void storage_version_set(struct storage *s, uint16_t version);

/* unit.c */

void unit_reset(struct unit *u);
/** A guest has opened the first channel. */
void unit_begin(struct unit *u);

#endif
