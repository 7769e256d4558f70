/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_CORE_CORE_PRIV_H
#define VMBUS_CORE_CORE_PRIV_H

#include "lib/list.h"
#include "vmbus/core/core.h"

/* Of a GPADL's ranges: its header counts them in 16 bits. */
#define GPADL_BYTES_MAX 0xFFFFU
#define GPADL_BUCKETS   256U
#define OUTBOX_SIZE     16U
/* Answers that one message of the guest can make. */
#define OUTBOX_RESERVE 2U

#define FEATURES_SUPPORTED                                                                         \
    (VMBUS_FEATURE_GUEST_SIGNALS | VMBUS_FEATURE_MODIFY_CONNECTION | VMBUS_FEATURE_CLIENT_ID |     \
     VMBUS_FEATURE_PAUSE_RESUME)

enum channel_state {
    CHANNEL_FREE,    /* The id is nobody's. */
    CHANNEL_CLOSED,  /* Offered; the VSP has nothing to do. */
    CHANNEL_OPENING, /* The guest wants it; the VSP has not answered. */
    CHANNEL_OPEN,    /* The VSP serves its rings. */
    CHANNEL_CLOSING, /* The VSP has not let go of the rings yet. */
    CHANNEL_GONE,    /* Withdrawn and forgotten by the guest; the caller does not know yet. */
};

/* What the guest has to be told of a channel, in the order of telling. */
enum due {
    DUE_OFFER = 1U << 0,
    DUE_OPEN_RESULT = 1U << 1,
    DUE_MODIFY = 1U << 2,
    DUE_TORNDOWN = 1U << 3,
    DUE_RESCIND = 1U << 4,
};

struct channel {
    enum channel_state state;
    uint16_t relid;
    struct vmbus_core_offer offer;
    uint16_t primary; /* id; 0: it is one */
    uint16_t sub_index;
    uint16_t sub_last; /* of a primary: index given last since it was opened */
    bool known;        /* the guest has been told of it (or soon is), and has not let it go */
    bool revoked;      /* withdrawn by the host */
    bool abort;        /* OPENING: close it as soon as the VSP has opened it */
    bool reopen;       /* CLOSING: the guest has asked for it again */
    uint8_t taken;     /* bits of effects that the caller has and has not answered */
    bool teardown;     /* the guest wants the GPADL of the rings back when they are free */
    enum vmbus_effect_kind effect; /* in vmbus_core.work; 0: none */
    unsigned due;                  /* DUE_*; in vmbus_core.due if not 0 */
    uint32_t open_id;
    uint32_t open_status;
    uint32_t modify_status;
    uint32_t torndown; /* GPADL */
    struct vmbus_core_open open;
    struct vmbus_msg_openchannel2 again; /* while reopen */
    uint8_t again_length;
    struct list work_node;
    struct list due_node;
};

enum gpadl_state {
    GPADL_COLLECTING, /* Bodies are to come. */
    GPADL_READY,      /* Whole and checked. */
};

struct gpadl {
    struct gpadl *next; /* in its bucket */
    uint32_t id;
    uint16_t relid;
    uint16_t range_count;
    enum gpadl_state state;
    bool in_use; /* holds the rings of a channel that is not closed */
    uint32_t word_count;
    uint32_t filled;
    uint64_t words[];
};

enum contact_state {
    CONTACT_NONE,      /* No guest driver: only INITIATE_CONTACT and UNLOAD are heard. */
    CONTACT_CONNECTED, /* A version is agreed. */
    CONTACT_RESETTING, /* VSPs are closing their channels; `next` is answered then. */
};

enum contact_next { NEXT_NONE, NEXT_VERSION, NEXT_UNLOAD };

struct contact {
    enum contact_state state;
    enum contact_next next;
    uint32_t version; /* agreed, or asked for while NEXT_VERSION */
    uint32_t features;
    uint32_t vp;
    uint32_t connection; /* that the guest posts to */
    uint8_t sint;
    uint8_t client_id[16];
    bool bad_pages;      /* of NEXT_VERSION: one monitor page without the other */
    bool offers;         /* REQUESTOFFERS has come */
    bool delivered;      /* ALLOFFERS_DELIVERED has gone */
    bool paused;         /* PAUSE has come: only what was put before its answer goes out */
    uint8_t deliverable; /* while paused: entries at the head of the outbox that may go */
};

/* A connection of a socket that is refused. */
struct refusal {
    uint8_t endpoint[16];
    uint8_t service[16];
};

struct vmbus_core {
    struct vmbus_core_config config;
    vmbus_core_connect *connect; /* NULL: no service listens */
    void *connect_ctx;
    struct contact contact;
    struct vmbus_core_stats stats;
    uint32_t busy;       /* channels that are OPENING or CLOSING */
    uint32_t taken;      /* effects that are not answered */
    uint32_t offers_due; /* channels with DUE_OFFER */
    struct list work;    /* channels with an effect */
    struct list due;     /* channels with something due */
    struct gpadl *gpadls[GPADL_BUCKETS];
    struct vmbus_core_post outbox[OUTBOX_SIZE];
    uint32_t outbox_first;
    uint32_t outbox_count;
    struct refusal refusals[VMBUS_REFUSALS_MAX];
    uint32_t refusal_count;
    struct channel *channels[VMBUS_CHANNELS_MAX + 1]; /* by id; 0 is unused */
};

/* A guest's message, its unused bytes zero. */
union message {
    struct vmbus_msg_header header;
    struct vmbus_msg_relid relid;
    struct vmbus_msg_openchannel2 open;
    struct vmbus_msg_gpadl_header gpadl_header;
    struct vmbus_msg_gpadl_body gpadl_body;
    struct vmbus_msg_gpadl_teardown gpadl_teardown;
    struct vmbus_msg_initiate_contact2 contact;
    struct vmbus_msg_tl_connect_request tl_connect;
    struct vmbus_msg_modifychannel modify;
    struct vmbus_msg_modify_connection modify_connection;
    uint8_t bytes[VMBUS_MESSAGE_MAX];
};

/* core_channel.c: offers and their ends, effects and their answers. */
struct channel *core_channel(const struct vmbus_core *core, uint32_t relid);
/* The channel if the guest may name it in a message. */
struct channel *core_channel_known(const struct vmbus_core *core, uint32_t relid);
struct channel *core_channel_new(struct vmbus_core *core, uint32_t relid);
void core_channel_due(struct vmbus_core *core, struct channel *ch, unsigned due);
void core_channel_due_clear(struct vmbus_core *core, struct channel *ch, unsigned due);
void core_channel_effect(struct vmbus_core *core, struct channel *ch, enum vmbus_effect_kind kind);
/* The guest has let go of it. */
void core_channel_release(struct vmbus_core *core, struct channel *ch);
void core_channel_close(struct vmbus_core *core, struct channel *ch);
void core_channels_reset(struct vmbus_core *core);

/* core_open.c: messages that name a channel. */
bool core_rings_valid(const struct gpadl *g, uint32_t relid, uint32_t downstream);
void core_on_open(struct vmbus_core *core, const union message *m, size_t len);
void core_on_close(struct vmbus_core *core, const union message *m, size_t len);
void core_on_released(struct vmbus_core *core, const union message *m, size_t len);
void core_on_modify(struct vmbus_core *core, const union message *m, size_t len);

/* core_gpadl.c */
struct gpadl *core_gpadl_find(const struct vmbus_core *core, uint32_t id);
/* NULL: out of memory or over a bound. */
struct gpadl *core_gpadl_new(struct vmbus_core *core, uint32_t relid, uint32_t id, uint32_t words);
void core_gpadl_free(struct vmbus_core *core, struct gpadl *g);
/* All of a channel; 0: of all channels. */
void core_gpadls_free(struct vmbus_core *core, uint32_t relid);
bool core_gpadl_valid(const struct vmbus_core *core, const struct gpadl *g);
void core_on_gpadl_header(struct vmbus_core *core, const union message *m, size_t len);
void core_on_gpadl_body(struct vmbus_core *core, const union message *m, size_t len);
void core_on_gpadl_teardown(struct vmbus_core *core, const union message *m, size_t len);

/* core_contact.c */
void core_on_contact(struct vmbus_core *core, uint32_t connection, const union message *m,
                     size_t len);
void core_on_unload(struct vmbus_core *core);
/* Go on if nothing is busy any more. */
void core_contact_advance(struct vmbus_core *core);

/* core_post.c: messages are put with room known to be there (OUTBOX_RESERVE). */
void core_post(struct vmbus_core *core, const void *message, size_t len);
void core_post_clear(struct vmbus_core *core);

static inline bool core_version_at_least(const struct vmbus_core *core, uint32_t version)
{
    return core->contact.state == CONTACT_CONNECTED && core->contact.version >= version;
}

static inline bool core_feature(const struct vmbus_core *core, uint32_t feature)
{
    return core->contact.state == CONTACT_CONNECTED && (core->contact.features & feature);
}

#endif
