/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_CORE_CORE_H
#define VMBUS_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/vmbus/message.h"
#include "lib/save.h"

/*
 * The host's side of the VMBus protocol as a state machine: no system calls, no threads, no time.
 * Messages of the guest, offers of the host and answers of the VSPs go in; messages for the guest
 * (vmbus_core_post_*) and effects (vmbus_core_next) come out. The caller holds one lock around all
 * calls.
 *
 * What waits to go out is a flag of a channel, not an entry of a queue, so nothing the guest does
 * makes it grow. The guest may be slow to take messages: as long as answers wait, new messages of
 * it are refused with -EAGAIN, but for those that begin anew.
 */

struct vmbus_core;

#define VMBUS_CHANNELS_MAX           (VMBUS_EVENT_FLAGS - 1) /* ids 1 to 2047 */
#define VMBUS_GPADLS_MAX             4096U
#define VMBUS_GPADL_PAGES_MAX        (1U << 20) /* of all GPADLs together: they describe 4 GiB */
#define VMBUS_RING_CHANNEL_PAGES_MAX 4097U      /* of one ring: control and 16 MiB */
#define VMBUS_REFUSALS_MAX           64U        /* that wait to go out; more are dropped */

struct vmbus_core_config {
    uint32_t version_max; /* VMBUS_VERSION_*; 0: the newest */
    uint32_t vp_count;
    /* Whether `length` bytes at `gpa` are memory of the guest. No system calls either. */
    bool (*is_memory)(void *ctx, uint64_t gpa, uint64_t length);
    void *ctx;
};

struct vmbus_core_offer {
    uint8_t type[16];
    uint8_t instance[16];
    uint16_t flags; /* VMBUS_OFFER_* */
    uint16_t mmio_mb;
    uint8_t user_defined[VMBUS_USER_DEFINED];
};

enum vmbus_effect_kind {
    VMBUS_EFFECT_OPEN = 1, /* map the rings, ask the VSP, then vmbus_core_open_done() */
    VMBUS_EFFECT_CLOSE,    /* tell the VSP, unmap, then vmbus_core_close_done() */
    VMBUS_EFFECT_RETARGET, /* interrupts go to another VP, then vmbus_core_retarget_done() */
    VMBUS_EFFECT_RELEASED, /* the channel has gone; its id may be used again from now on */
};

struct vmbus_effect {
    enum vmbus_effect_kind kind;
    uint32_t relid;
};

/** How a channel is, or is to be, opened. Valid from its OPEN effect to its close. */
struct vmbus_core_open {
    uint32_t gpadl;             /* of the rings: one range of whole pages, checked */
    uint32_t downstream_offset; /* checked */
    uint32_t target_vp;
    uint32_t connection_id;
    uint16_t event_flag;
    uint8_t user_data[VMBUS_USER_DEFINED];
};

struct vmbus_core_channel_info {
    struct vmbus_core_offer offer;
    uint32_t primary; /* id of it; 0: this is one */
    uint16_t sub_index;
    bool open; /* the VSP has it open */
    bool revoked;
    struct vmbus_core_open params;
};

/** A message for the guest. */
struct vmbus_core_post {
    uint32_t vp;
    uint8_t sint;
    uint8_t length;
    uint8_t data[VMBUS_MESSAGE_MAX];
};

/** Ranges of a GPADL as the guest has given them, checked: a word with length (low half) and
 * offset, then its page numbers, and so on. Valid until the next call into the core. */
struct vmbus_core_gpadl {
    const uint64_t *words;
    uint32_t word_count;
    uint32_t range_count;
};

/** What has happened, for people. */
struct vmbus_core_stats {
    uint64_t messages;  /* taken */
    uint64_t refused;   /* -EAGAIN */
    uint64_t malformed; /* too short, of no known type, or not of this version */
    uint64_t illegal;   /* not in this state */
    uint64_t posted;
    uint64_t contacts;
    uint32_t gpadls;
    uint32_t gpadl_pages;
    uint32_t channels;
    uint32_t open;
};

/** What was agreed; version 0: no guest is connected. */
struct vmbus_core_contact {
    uint32_t version;
    uint32_t features;
    uint32_t vp;
    uint8_t sint;
    uint8_t client_id[16];
};

/** -ENOMEM. */
int vmbus_core_create(struct vmbus_core **out, const struct vmbus_core_config *config);
/** A new one with the same configuration. */
int vmbus_core_create_like(struct vmbus_core **out, const struct vmbus_core *core);
void vmbus_core_destroy(struct vmbus_core *core);

/** Offer a channel: *relid is its id. -ENOSPC, -EEXIST (the same type and instance). */
int vmbus_core_offer(struct vmbus_core *core, const struct vmbus_core_offer *offer,
                     uint32_t *relid);

/** Offer the next sub-channel of an open channel. -EINVAL: it is not open, -ENOSPC. */
int vmbus_core_offer_sub(struct vmbus_core *core, uint32_t primary, uint32_t *relid);

/** Withdraw a channel and its sub-channels; they are closed first. Unknown ids are allowed. */
void vmbus_core_revoke(struct vmbus_core *core, uint32_t relid);

/**
 * A message that the guest has posted to a connection; `data` is the caller's copy. 0: taken (or
 * dropped, and counted); -EAGAIN: the guest must take messages first, let it post again.
 */
int vmbus_core_message(struct vmbus_core *core, uint32_t connection, const void *data, size_t len);

/** A socket of the guest connects to a service of the host. True: it is taken; it gets a channel of
 * the service's type with the endpoint as instance, or vmbus_core_refuse(). It does not call back
 * into the core. */
typedef bool vmbus_core_connect(void *ctx, const uint8_t endpoint[16], const uint8_t service[16]);
/** Who hears of that; nobody at first, and then all are refused. */
void vmbus_core_listen(struct vmbus_core *core, vmbus_core_connect *connect, void *ctx);
/** What was taken is refused after all. A guest that does not hear of it has a time-out. */
void vmbus_core_refuse(struct vmbus_core *core, const uint8_t endpoint[16],
                       const uint8_t service[16]);

/** The guest has been reset by the host: all is as if it had never come. */
void vmbus_core_reset(struct vmbus_core *core);

/** The next thing to be done outside; false: there is none. */
bool vmbus_core_next(struct vmbus_core *core, struct vmbus_effect *effect);
/** The answers, in any order. `status` 0 or -errno. */
void vmbus_core_open_done(struct vmbus_core *core, uint32_t relid, int status);
void vmbus_core_close_done(struct vmbus_core *core, uint32_t relid);
void vmbus_core_retarget_done(struct vmbus_core *core, uint32_t relid, int status);

/** Whether vmbus_core_next() has something to say. */
bool vmbus_core_pending(const struct vmbus_core *core);
/** Whether all is done that vmbus_core_next() has said, and it has no more to say. */
bool vmbus_core_quiet(const struct vmbus_core *core);

/** The message to post next, NULL: none; it stays until vmbus_core_post_done(). */
const struct vmbus_core_post *vmbus_core_post_peek(struct vmbus_core *core);
void vmbus_core_post_done(struct vmbus_core *core);

/** -ENOENT: no such channel. */
int vmbus_core_channel(const struct vmbus_core *core, uint32_t relid,
                       struct vmbus_core_channel_info *info);
/** The channel with this type and instance, not a sub-channel, not withdrawn; 0: there is none. */
uint32_t vmbus_core_find(const struct vmbus_core *core, const uint8_t type[16],
                         const uint8_t instance[16]);
/** A whole GPADL of the channel. -ENOENT. */
int vmbus_core_gpadl(const struct vmbus_core *core, uint32_t relid, uint32_t gpadl,
                     struct vmbus_core_gpadl *out);
void vmbus_core_stats(const struct vmbus_core *core, struct vmbus_core_stats *out);
void vmbus_core_contact(const struct vmbus_core *core, struct vmbus_core_contact *out);

/** Save. -EBUSY: not quiet. */
int vmbus_core_save(const struct vmbus_core *core, struct save_writer *w);
/** Load in place of what there is, which must be new or reset, with no channels. Offers come back
 * with it. -EINVAL, -EBUSY, -ENOMEM: nothing has changed. */
int vmbus_core_load(struct vmbus_core *core, struct save_reader *r);

#endif
