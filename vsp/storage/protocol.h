/* SPDX-License-Identifier: MIT */
#ifndef VSP_STORAGE_PROTOCOL_H
#define VSP_STORAGE_PROTOCOL_H

#include <stdbool.h>
#include "abi/vsp/storage/vstor.h"

/*
 * What a guest and the storage VSP say to each other on one channel: bytes of a packet in, the
 * answer and what to do out. No memory but struct protocol, no calls.
 */

/** A channel's state; what a sentence allows, the table in protocol.c says. */
enum protocol_state {
    PROTOCOL_NEW,       /* the channel is open and nothing has been said */
    PROTOCOL_BEGUN,     /* the guest has begun and must agree on a version */
    PROTOCOL_VERSIONED, /* there is a version; the guest may ask for properties or finish */
    PROTOCOL_READY,     /* initialized: requests are served */
    PROTOCOL_BROKEN,    /* the guest broke the rules: nothing is heard or said any more */
    PROTOCOL_STATES,
};

struct protocol {
    /* Saved. */
    enum protocol_state state;
    uint16_t version; /* 0: none yet */
    /* Not saved. */
    bool primary;
    uint16_t sub_channel_max; /* that the guest may ask for */
    uint32_t transfer_max;    /* bytes of a request */
};

enum protocol_action {
    PROTOCOL_REPLY,       /* nothing but the answer */
    PROTOCOL_EXECUTE,     /* a SCSI request; the answer is to be filled in */
    PROTOCOL_RESET_LUN,   /* then send the answer; path, target and LUN are the request's */
    PROTOCOL_RESET_BUS,   /* all LUNs, then send the answer */
    PROTOCOL_SUBCHANNELS, /* offer `count` more channels; protocol_fail() if that is not possible */
    PROTOCOL_ERROR,       /* no answer; the state is PROTOCOL_BROKEN from now on */
};

struct protocol_result {
    enum protocol_action action;
    uint16_t count;               /* PROTOCOL_SUBCHANNELS */
    struct vstor_request request; /* PROTOCOL_EXECUTE, PROTOCOL_RESET_LUN */
    struct vstor_packet reply;
    uint32_t reply_length;
};

/** A channel has been opened. Sub-channels are ready at once, with the version of the first. */
void protocol_open(struct protocol *p, bool primary, uint16_t version, uint16_t sub_channel_max,
                   uint32_t transfer_max);

/** The guest has sent `length` bytes. */
void protocol_packet(struct protocol *p, const void *data, uint32_t length,
                     struct protocol_result *result);

/** Make the answer tell of a failure. */
void protocol_fail(struct protocol_result *result, uint32_t status);

/** The packet that asks the guest to look for LUNs again; how long it is. */
uint32_t protocol_enumerate(const struct protocol *p, struct vstor_packet *packet);

/** How much sense data fits into an answer. */
unsigned protocol_sense_max(const struct protocol *p);

#endif
