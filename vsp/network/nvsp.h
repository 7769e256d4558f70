/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_NVSP_H
#define VSP_NETWORK_NVSP_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/vsp/network/nvsp.h"

/*
 * The messages of NVSP, without system calls: what the guest has sent is judged by the state, and
 * what there is to do comes back.
 */

enum nvsp_state {
    NVSP_STATE_NEW,       /* opened: the guest has to begin with a version */
    NVSP_STATE_VERSIONED, /* all that the version has may come */
    NVSP_STATE_BROKEN,    /* the guest broke the rules: nothing is heard or said any more */
    NVSP_STATES,
};

struct nvsp {
    enum nvsp_state state;
    uint32_t version; /* 0: none yet */
    uint32_t mtu;     /* the guest's, with the Ethernet header; 0: not said */
    uint64_t capabilities;
};

enum nvsp_action {
    NVSP_DO_REPLY, /* nothing but the answer, if one is wanted */
    NVSP_DO_RECEIVE_BUFFER,
    NVSP_DO_RECEIVE_REVOKE,
    NVSP_DO_SEND_BUFFER,
    NVSP_DO_SEND_REVOKE,
    NVSP_DO_RNDIS, /* then nvsp_rndis_done() */
    NVSP_DO_SUBCHANNELS,
    NVSP_DO_BREAK, /* no answer; the state is NVSP_STATE_BROKEN from now on */
};

struct nvsp_result {
    enum nvsp_action action;
    uint32_t gpadl;                 /* of the buffer */
    uint16_t id;                    /* the guest's name for it */
    uint32_t count;                 /* NVSP_DO_SUBCHANNELS */
    struct nvsp_rndis_packet rndis; /* NVSP_DO_RNDIS */
    struct nvsp_message reply;      /* says that it failed, unless it is changed */
    uint32_t reply_length;
};

/** The guest has sent `length` bytes; sub-channels carry RNDIS and nothing else. */
void nvsp_packet(struct nvsp *p, bool primary, const void *data, uint32_t length,
                 struct nvsp_result *result);

/** Answers to what has been done. */
void nvsp_receive_done(struct nvsp_result *result, uint32_t piece_size, uint32_t count);
void nvsp_send_done(struct nvsp_result *result, uint32_t section_size);
void nvsp_subchannels_done(struct nvsp_result *result, uint32_t count);
void nvsp_rndis_done(struct nvsp_result *result, enum nvsp_status status);

/** A message to the guest that carries RNDIS through the receive buffer. */
uint32_t nvsp_rndis_message(const struct nvsp *p, uint32_t channel_type,
                            struct nvsp_message *message);

#define NVSP_TABLE_MESSAGE_SIZE (4U + sizeof(struct nvsp_indirection_table))
/** The message that spreads what the guest sends over `channels`; NVSP_TABLE_MESSAGE_SIZE bytes. */
void nvsp_table_message(uint32_t channels, uint8_t *message);

#endif
