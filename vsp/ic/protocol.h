/* SPDX-License-Identifier: MIT */
#ifndef VSP_IC_PROTOCOL_H
#define VSP_IC_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi/vsp/ic/icmsg.h"

/*
 * The frame around every message of an integration service: versions are agreed on, then messages
 * go out one at a time and come back with a status. No system calls, no time.
 */

#define IC_MESSAGE_MAX  8192U
#define IC_BODY_MAX     (IC_MESSAGE_MAX - sizeof(struct icmsg_header))
#define IC_VERSIONS_MAX 8U

enum protocol_state {
    PROTOCOL_NEW,         /* Versions are to be offered. */
    PROTOCOL_NEGOTIATING, /* They are; the guest has not chosen. A program in it may come late. */
    PROTOCOL_READY,       /* Messages may go out. */
    PROTOCOL_REFUSED,     /* The guest knows none of our versions. */
    PROTOCOL_BROKEN,      /* It has chosen what was not offered. */
    PROTOCOL_STATES,
};

struct protocol {
    enum protocol_state state;
    struct ic_version framework, message; /* agreed on */
    bool in_flight;                       /* a message has gone out and has not come back */
    uint8_t transaction;                  /* of it */
};

/** What a service speaks, older versions first. */
struct protocol_service {
    uint16_t type; /* ICMSG_* */
    unsigned version_count;
    struct ic_version version[IC_VERSIONS_MAX];
};

enum protocol_event {
    PROTOCOL_STRAY,  /* It answers nothing that was asked. */
    PROTOCOL_AGREED, /* The state has changed. */
    PROTOCOL_ANSWER, /* To the message in flight, which is none any more. */
};

struct protocol_answer {
    uint32_t status; /* IC_S_OK, IC_E_* */
    const uint8_t *body;
    size_t length;
};

/** The offer of versions into `buf` of IC_MESSAGE_MAX bytes; its length. PROTOCOL_NEW only. */
size_t ic_protocol_offer(struct protocol *p, const struct protocol_service *s, uint8_t *buf);
/** The frame around a body of at most IC_BODY_MAX bytes that stands in `buf` behind the room for
 * it; the whole length. PROTOCOL_READY and nothing in flight. */
size_t ic_protocol_frame(struct protocol *p, const struct protocol_service *s, uint8_t *buf,
                         size_t body);
/** A packet of the guest, which is the caller's copy. */
enum protocol_event ic_protocol_packet(struct protocol *p, const struct protocol_service *s,
                                       const void *data, size_t length,
                                       struct protocol_answer *answer);

#endif
