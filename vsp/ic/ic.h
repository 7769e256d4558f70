/* SPDX-License-Identifier: MIT */
#ifndef VSP_IC_IC_H
#define VSP_IC_IC_H

#include "lib/save.h"
#include "vmbus/channel.h"

/*
 * Integration services: what makes a VM pleasant to run. Each service is a device of its own, with
 * one channel and one thread; the host asks, the guest answers, one message at a time. All
 * functions may be called from any thread but those; see docs/ic.md.
 */

enum ic_kind {
    IC_HEARTBEAT, /* the guest says that it lives */
    IC_SHUTDOWN,  /* the guest switches itself off, or starts anew */
    IC_TIME,      /* the guest learns the time */
    IC_KVP,       /* keys and values, and addresses */
    IC_VSS,       /* file systems stand still for a backup */
    IC_COPY,      /* a file for the guest */
    IC_KINDS,
};

#define IC_REQUESTS_MAX 8U    /* that wait, of a service */
#define IC_KEY_MAX      512U  /* bytes of UTF-8 with the zero, as Linux keeps them */
#define IC_VALUE_MAX    2048U /* the same */
#define IC_PATH_MAX     259U  /* the same, of a file's name and of its folder */
#define IC_PAIRS_MAX    1024U /* of a pool that are looked at */

struct ic;

/** What a service wants of its host. From the service's thread, under its lock: none calls back. */
struct ic_host {
    void *ctx;
    uint64_t (*now_ns)(void *ctx);                      /* a clock that never jumps */
    uint64_t (*utc)(void *ctx);                         /* 100 ns since 1601 */
    int (*reference)(void *ctx, uint64_t *time_100_ns); /* the guest's; 0 or -errno */
};

enum ic_verb {
    IC_ASK_POWER_OFF,
    IC_ASK_RESTART,
    IC_ASK_KVP_LIST,
    IC_ASK_KVP_SET,
    IC_ASK_KVP_DELETE,
    IC_ASK_IP_GET,
    IC_ASK_IP_SET,
    IC_ASK_FREEZE,
    IC_ASK_THAW,
    IC_ASK_COPY,
    IC_VERBS,
};

/** Which service carries it out. */
enum ic_kind ic_verb_kind(enum ic_verb verb);

/** An adapter's addresses; lists have ';' between their parts. */
struct ic_ip {
    char adapter[128]; /* to ask: the MAC address as AA:BB:..; to set: {GUID} of its VMBus device */
    bool dhcp;
    bool ipv4, ipv6;
    char address[1024];
    char mask[1024]; /* or lengths of prefixes, for IPv6 */
    char gateway[512];
    char dns[1024];
};

/** A wish. It is the caller's, and untouched by him until done() has been called. */
struct ic_request {
    enum ic_verb verb;
    uint32_t timeout_ms; /* of the whole; COPY: between two answers of the guest */
    /* The end: 0; -ETIMEDOUT; -ENOTCONN: the guest has closed the channel; -EPROTO: it has broken
     * the protocol; -EREMOTEIO: it refuses, and `status` says why; or another -errno. From any
     * thread; it may free the request, and must not call ic_*(). */
    void (*done)(struct ic_request *r, int err);
    void *ctx;
    uint32_t status; /* IC_E_* of abi/vsp/ic */
    union {
        struct {
            uint8_t pool;
            char key[IC_KEY_MAX];     /* SET, DELETE */
            char value[IC_VALUE_MAX]; /* SET */
            /* A pair that has been found (LIST), in UTF-8; it only makes a note. 0 or -errno. */
            int (*pair)(struct ic_request *r, const char *key, const char *value);
        } kvp;
        struct ic_ip ip;
        uint32_t hold_ms; /* FREEZE: how long it lasts at most */
        struct {
            int file; /* an open file, read from its beginning */
            uint64_t size;
            bool overwrite, create_path;
            char name[IC_PATH_MAX], folder[IC_PATH_MAX];
        } copy;
    };
    /* The service's. */
    struct ic_request *next;
    uint64_t deadline_ns;
};

/** 0 or -ENOMEM. */
int ic_create(struct ic **out, enum ic_kind kind, const struct ic_host *host);
/** Its channel is closed. NULL is allowed. */
void ic_destroy(struct ic *ic);
const char *ic_name(enum ic_kind kind);

void ic_offer(const struct ic *ic, struct vmbus_offer *offer);
/** The device is the struct ic. */
extern const struct vmbus_device_ops ic_device_ops;

/** Begin; 0: done() will be called. -ENOTCONN: the guest has no such service; -EBUSY: too many
 * wait, or the service is paused; -EINVAL: a text is too long, or no UTF-8; -EALREADY: FREEZE while
 * frozen; -ENODATA: THAW when it is not. */
int ic_ask(struct ic *ic, struct ic_request *r);

enum ic_state {
    IC_CLOSED,      /* The guest has no driver for it. */
    IC_NEGOTIATING, /* The guest has not said which version it speaks. */
    IC_READY,
    IC_REFUSED, /* It speaks no version that we do. */
    IC_BROKEN,  /* It has broken the protocol; it must close the channel. */
    IC_STATES,
};

struct ic_info {
    enum ic_state state;
    uint16_t version[2], framework[2]; /* major, minor */
    bool alive;                        /* the guest does not owe an answer for longer than it may */
    uint64_t quiet_ns;                 /* since its last answer, or since the channel was opened */
    bool frozen;                       /* VSS */
    uint64_t sent, answered, strays, timeouts;
};
void ic_info(struct ic *ic, struct ic_info *info);

/** TIME: the guest's clock has been left behind, set it as soon as it listens. */
void ic_sync(struct ic *ic);

/** When this returns the thread does not touch the channel until ic_resume(). */
void ic_pause(struct ic *ic);
void ic_resume(struct ic *ic);

/** What the guest can see, of a service that is paused and has no request. */
void ic_save(struct ic *ic, struct save_writer *w);
/** Before its channel is opened. 0, or -EINVAL with nothing changed. A guest that was frozen is
 * thawed, and the clock of one that comes back is set. */
int ic_load(struct ic *ic, struct save_reader *r);

#endif
