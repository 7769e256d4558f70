/* SPDX-License-Identifier: MIT */
#ifndef VSP_IC_IC_PRIV_H
#define VSP_IC_IC_PRIV_H

#include <pthread.h>
#include <stdalign.h>
#include "vsp/ic/ic.h"
#include "vsp/ic/protocol.h"

/*
 * A service is a row of a table: what it says next, and what it does with an answer. All of its
 * functions run under the lock and without system calls but for reading a file that is copied.
 */

#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL
#define IC_NEVER  UINT64_MAX

#define IC_PACKET_MAX 16384U /* bytes of a guest's packet with its descriptor */
#define IC_BATCH      16U    /* packets that are taken before others get their turn */

struct ic_service {
    const char *name;
    struct vmbus_guid type, instance;
    struct protocol_service protocol;
    /** The channel is open and versions are agreed on, or it is closed: forget what has been. */
    void (*reset)(struct ic *ic);
    /** Whether a request is right, and can begin; NULL: it is. 0 or -errno. */
    int (*check)(struct ic *ic, const struct ic_request *r);
    /** The body of the next message, about ic->current if there is one; 0: nothing to say now. It
     * may end the request (ic_end()). */
    size_t (*next)(struct ic *ic, uint64_t now, uint8_t *body);
    /** The answer to the last message; `mine`: it was about ic->current, which still waits. */
    void (*answer)(struct ic *ic, const struct protocol_answer *a, bool mine);
    /** ic->current has ended before its message came back. NULL: nothing to do. */
    void (*drop)(struct ic *ic);
    /** When next() will have something to say though nothing happens; NULL: never. */
    uint64_t (*due)(const struct ic *ic);
};

/* vss.c: every stage has its sentence. */
enum vss_stage {
    VSS_RUNNING,  /* File systems are written to. */
    VSS_ASKED,    /* The guest was asked whether it can. */
    VSS_FREEZING, /* It was told to; it may already stand still. */
    VSS_FROZEN,   /* It has said so. */
    VSS_THAWING,  /* It was told to go on. */
    VSS_STAGES,
};

struct ic_vss {
    enum vss_stage stage;
    bool owed;        /* the guest must be thawed, whoever asks */
    bool expired;     /* the last freeze has ended by itself */
    uint64_t hold_ns; /* FROZEN: until then */
};

struct ic_copy {
    bool started; /* the guest has the file open */
    bool owed;    /* it must be told that no more comes */
    bool completing;
    bool cancelling; /* the message in flight says so */
    uint64_t offset;
    uint32_t last; /* bytes of the message in flight */
};

/* Under the lock, but what says otherwise. */
struct ic {
    const struct ic_service *service; /* constant */
    enum ic_kind kind;                /* constant */
    struct ic_host host;              /* constant */
    pthread_mutex_t lock;
    pthread_cond_t parked_cond;
    int wake_fd;                   /* constant */
    struct vmbus_channel *channel; /* NULL: closed; used by the thread */
    pthread_t thread;              /* by open and close */
    bool stop, pausing, parked, lost;
    bool loaded; /* what follows is of a saved state, for a channel that is restored */
    struct protocol protocol;
    size_t unsent;                      /* bytes of `out` that found no room in the ring */
    uint64_t sent_ns, heard_ns;         /* the message in flight; the last answer */
    struct ic_request *current;         /* being carried out */
    bool about_current;                 /* the message in flight is about it */
    struct ic_request *waiting, *ended; /* lists; `ended`: done() is to be called */
    unsigned waiting_count;
    uint64_t sent, answered, strays, timeouts;
    /* Of the services. */
    uint64_t sequence; /* HEARTBEAT */
    uint64_t next_ns;  /* HEARTBEAT, TIME: of the next message */
    bool sync;         /* TIME: the next sample sets the clock */
    uint32_t index;    /* KVP: of LIST */
    struct ic_vss vss;
    struct ic_copy copy;
    alignas(8) uint8_t out[IC_MESSAGE_MAX];
    alignas(8) uint8_t in[IC_PACKET_MAX]; /* of the thread */
};

extern const struct ic_service ic_service_heartbeat, ic_service_shutdown, ic_service_time,
    ic_service_kvp, ic_service_vss, ic_service_copy;

/** The current request has come to its end. */
void ic_end(struct ic *ic, int err);
/** The same with what the guest has said. */
void ic_end_status(struct ic *ic, uint32_t status);

/* work.c: what the thread does, and tests and fuzz targets without one. */

/** The channel is open, or closed: begin anew. With the lock. */
void ic_begin(struct ic *ic);
void ic_forget(struct ic *ic, int err);
/** Take what has come and say what is to be said. When to be called again though nothing happens.
 */
uint64_t ic_work(struct ic *ic);
/** Call done() of what has ended. Without the lock. */
void ic_deliver(struct ic *ic);

#endif
