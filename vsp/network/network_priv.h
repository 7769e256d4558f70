/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_NETWORK_PRIV_H
#define VSP_NETWORK_NETWORK_PRIV_H

#include <linux/virtio_net.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "vsp/network/buffer.h"
#include "vsp/network/network.h"
#include "vsp/network/nvsp.h"
#include "vsp/network/packet.h"
#include "vsp/network/rndis.h"
#include "vsp/network/sections.h"

/*
 * Between the files of the VSP.
 *
 * Locks, in this order: a channel's `busy`, which its thread holds while it works; network.lock;
 * the `busy` of other channels, which only the first channel's thread takes ("frozen"), to change
 * what all read; network.route_lock, sections.lock. Other threads never take a `busy`.
 */

#define NETWORK_PACKET    16384U /* bytes of a packet, with the pages of the largest frame */
#define NETWORK_BATCH     64U    /* packets, frames or pieces in a row */
#define NETWORK_INBOX_MAX 256U   /* pieces that wait for another channel */
#define NETWORK_VECTORS   128U   /* pieces of memory of one frame */
#define NETWORK_ANSWERS   16U    /* of RNDIS that wait for room */
/* Pieces that hold the largest frame, of the smallest pieces. */
#define NETWORK_WINDOW                                                                             \
    ((FRAME_MAX + BUFFER_PAGE - PACKET_HEADROOM - 1) / (BUFFER_PAGE - PACKET_HEADROOM))
#define NETWORK_SEND_SECTION 6144U
/* Bytes of a frame that are looked at: as far as its TCP header may lie. */
#define NETWORK_HEAD 1088U

/** What the guest has sent, as one row of bytes. */
struct stream {
    uint32_t length;
    unsigned count;
    struct iovec iov[NETWORK_VECTORS];
};

struct answer {
    uint32_t length;
    uint8_t bytes[RNDIS_ANSWER_MAX];
};

struct channel {
    struct network *network;
    struct vmbus_channel *vmbus;
    unsigned sub;
    pthread_t thread;
    sem_t started; /* its thread has got what it needs, or has not */
    int start_error;
    pthread_mutex_t busy;
    /* Other threads: */
    atomic_bool stop;
    bool parked; /* network.lock: it has seen `pausing` */
    int wake_fd; /* an eventfd: look at the flags and the inbox */
    atomic_uint_fast64_t sent, sent_bytes, received, received_bytes, send_errors, spoofed, filtered,
        receive_errors, steered, packets, batches, waits, ring_full, no_buffer;
    atomic_bool broken;
    struct chain inbox; /* network.route_lock: frames that others have read for this one */
    /* Its own thread only (and save, while it is parked): */
    int poll_fd;      /* an epoll of the channel, the queue and wake_fd */
    int queue_fd;     /* to send; also to receive, if `reads` */
    bool reads;       /* it has a queue of its own */
    bool attached;    /* frames come to it */
    bool queue_ready; /* there may be frames */
    bool polling;     /* the guest need not signal */
    bool signal;      /* the guest may have to be told of something */
    struct nvsp nvsp; /* of sub-channels: a copy of the version */
    bool has_reply;   /* that waits for room; nothing is heard until it is gone */
    uint64_t reply_transaction;
    struct nvsp_message reply;
    uint32_t reply_length;
    bool link_told; /* what the guest knows of the link */
    unsigned answer_first, answer_count;
    struct answer answers[NETWORK_ANSWERS]; /* of the first channel */
    struct section_cache cache;
    unsigned window_count;
    uint16_t window[NETWORK_WINDOW]; /* what the next frame is read into */
    struct chain batch;              /* to be sent to the guest */
    struct stream stream;
    uint8_t *packet; /* NETWORK_PACKET */
};

/** What all channels read: changed by the first one's thread while the others are frozen. */
struct shared {
    struct rndis rndis;
    struct buffer receive, send;
    bool link_up;
    bool vlan; /* the guest takes tags beside the frame */
};

/** State that was loaded, until its channels are opened again. */
struct saved;

struct network {
    struct network_config config; /* as all that is not said otherwise, init only */
    struct network_backend backend;
    struct network_hooks hooks;
    struct rndis_config rndis_config;
    pthread_mutex_t lock;
    pthread_cond_t parked;                        /* lock: of that, stop and pausing */
    struct channel *channels[NETWORK_QUEUES_MAX]; /* lock */
    struct rndis_statistics past;                 /* lock: of channels that are closed */
    uint32_t version;                             /* lock: of the first channel */
    unsigned granted;                             /* lock: sub-channels that were offered */
    struct saved *saved;                          /* lock */
    atomic_bool pausing;                          /* written with the lock */
    atomic_bool link_wanted;
    atomic_bool table_due; /* the guest has opened channels: tell it to use them */
    pthread_mutex_t route_lock;
    struct channel *route[NETWORK_QUEUES_MAX]; /* route_lock: those that take frames */
    struct shared shared;
    struct sections sections;
};

/* channel.c */

int network_channel_create(struct channel **out, struct network *n, struct vmbus_channel *vmbus,
                           unsigned sub);
void network_channel_stop(struct channel *c);
void network_channel_free(struct channel *c);
void network_channel_kick(struct channel *c);
/** Nothing more is heard or said until the guest closes the channel. */
void network_channel_break(struct channel *c);
/** Add to a counter, of which this thread is the only writer. */
void network_tally(atomic_uint_fast64_t *counter, uint64_t v);

/* control.c: in the thread of the first channel, but for RNDIS data. */

/** One packet of the guest. */
void control_packet(struct channel *c, const struct vmbus_packet *packet);
/** Things that others have asked for. Whether there were any. */
bool control_chores(struct channel *c);
/** Send what waits for room. Whether anything has gone. */
bool control_flush(struct channel *c);
/** The guest has closed the first channel. */
void control_end(struct channel *c);
/* send.c */

/** Frames of the guest in c->stream. */
enum nvsp_status send_frames(struct channel *c);
void stream_copy(const struct stream *s, uint32_t at, void *to, uint32_t length);

/* receive.c */

/** The receive buffer is gone, and what was in hand of it. Frozen. */
void receive_forget(struct channel *c);

/** Frames for the guest. Whether there were any. */
bool receive_frames(struct channel *c);
/** Frames may come from here on, or may not any more; before the guest is told. */
void receive_settle(struct channel *c);
/** Let go of all frames that the guest has not got. */
void receive_drop(struct channel *c);
/** Send `length` bytes of a control message. 0; -EAGAIN: there is no room now; -errno. */
int receive_control(struct channel *c, const void *message, uint32_t length);
/** A packet of this channel's has been completed. */
void receive_completed(struct channel *c, uint64_t transaction);

/* network.c */

/** From now on nobody else uses what is shared. The first channel's thread, which is `busy`. */
void network_freeze(struct network *n, const struct channel *self);
void network_thaw(struct network *n, const struct channel *self);
/** All channels together; frozen. */
void network_statistics(const struct network *n, struct rndis_statistics *s);
/** Whether frames may go to the guest. */
bool network_receives(const struct network *n);

/* state.c */

void saved_free(struct saved *s);
/** Go on where a saved channel was, from the server's thread with network.lock. 0 or -errno. */
int saved_adopt(struct saved *s, struct channel *c);

#endif
