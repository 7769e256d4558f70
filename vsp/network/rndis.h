/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_RNDIS_H
#define VSP_NETWORK_RNDIS_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/vsp/network/rndis.h"
#include "vsp/network/rss.h"

/*
 * Control messages of RNDIS, without system calls: what the guest asks and sets.
 */

#define RNDIS_CONTROL_MAX   4096U /* bytes of a message from the guest */
#define RNDIS_ANSWER_MAX    1024U
#define RNDIS_MULTICAST_MAX 64U
#define RNDIS_PACKETS_MAX   8U /* data messages that guests may join */
#define RNDIS_ALIGN_SHIFT   3U
#define RNDIS_LSO_MAX       65000U /* bytes of a frame that is to be cut */
/* What a frame needs around it in one piece of the receive buffer or of the send buffer. */
#define RNDIS_TRANSFER_MAX (FRAME_MAX + 512U)

/** What does not change while the guest uses it. */
struct rndis_config {
    uint8_t mac[FRAME_ADDRESS]; /* the permanent address */
    bool mac_change;            /* the guest may take another one */
    uint16_t mtu;
    unsigned channels; /* that it may have */
    uint32_t speed;    /* of the link, in Mbit/s */
};

/** Of all channels together. */
struct rndis_statistics {
    uint64_t sent, received, send_errors, receive_errors, no_buffer;
};

struct rndis {
    bool initialized;
    uint32_t filter; /* NDIS_FILTER_*; 0: nothing may be received */
    uint8_t mac[FRAME_ADDRESS];
    uint32_t lookahead;
    bool coalesce_ip4, coalesce_ip6; /* the guest takes frames larger than its MTU */
    unsigned multicast_count;
    uint8_t multicast[RNDIS_MULTICAST_MAX][FRAME_ADDRESS];
    struct rss rss;
};

void rndis_init(struct rndis *r, const struct rndis_config *config);

/**
 * A control message of the guest. The length of the answer, which is put into `answer`
 * (RNDIS_ANSWER_MAX bytes); 0: there is none; -EINVAL: it is no message, and nothing has changed.
 */
int rndis_control(struct rndis *r, const struct rndis_config *config, bool link_up,
                  const struct rndis_statistics *statistics, const uint8_t *message,
                  uint32_t length, uint8_t *answer);

/** A message that tells of the link; its length. */
uint32_t rndis_link_message(bool up, uint8_t *message);

/** Whether the filter lets a frame to this address pass. */
bool rndis_wanted(const struct rndis *r, const uint8_t *destination);

/* oid.c */

/** The value of an object for a query: its length, at most `size`; -1: there is none such. */
int oid_query(const struct rndis *r, const struct rndis_config *config, bool link_up,
              const struct rndis_statistics *statistics, uint32_t oid, const uint8_t *in,
              uint32_t in_length, uint8_t *out, uint32_t size);
/** Set an object: a RNDIS_STATUS_*. */
uint32_t oid_set(struct rndis *r, const struct rndis_config *config, uint32_t oid,
                 const uint8_t *info, uint32_t length);

#endif
