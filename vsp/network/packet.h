/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_PACKET_H
#define VSP_NETWORK_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/vsp/network/rndis.h"

/*
 * Data messages of RNDIS: a frame, and what goes with it.
 */

/* Bytes of per-packet information that are looked at; Linux sends at most 64. */
#define PACKET_INFO_MAX 256U
/* In the receive buffer a frame begins this far from its message: room for all that is said of it,
 * and the IP header of most frames lies on a multiple of 4 behind 2 bytes more. */
#define PACKET_HEADROOM 128U

/** A frame that the guest sends. */
struct packet_out {
    uint32_t length; /* of the message */
    uint32_t data;   /* where the frame begins in it */
    uint32_t data_length;
    uint32_t info; /* where the information begins */
    uint32_t info_length;
    /* By packet_out_info(). */
    bool has_checksum, has_large, has_vlan;
    uint32_t checksum, large, vlan;
};

/** The head of a message of which `left` bytes are there. False: it is no data message, or not
 * whole. */
bool packet_out_parse(struct packet_out *p, const uint8_t *head, uint32_t head_length,
                      uint32_t left);
/** Its information, p->info_length bytes. False: it makes no sense. */
bool packet_out_info(struct packet_out *p, const uint8_t *info);

/** A frame that the guest is to receive, or a piece of it. */
struct packet_in {
    uint32_t data; /* where the frame begins, from the message on */
    uint32_t data_length;
    uint32_t checksum; /* RNDIS_CHECKSUM_*_GOOD; 0: none */
    bool has_vlan, has_hash;
    uint16_t tag; /* as in the frame */
    uint32_t hash;
    uint8_t piece; /* RNDIS_ID_*; 0: the frame is whole */
};

/** Fill the first p->data bytes of a message; the length of all of it. */
uint32_t packet_in_fill(const struct packet_in *p, uint8_t *head);

/** A tag of 802.1Q as RNDIS has it, and back. */
uint32_t packet_vlan(uint16_t tag);
uint16_t packet_tag(uint32_t vlan);

#endif
