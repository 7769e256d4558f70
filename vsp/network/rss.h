/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_RSS_H
#define VSP_NETWORK_RSS_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/vsp/network/ndis.h"
#include "vsp/network/frame.h"

/*
 * Receive side scaling: which channel the guest wants a frame on. Toeplitz as documented ("RSS
 * Hashing Types"), with a key and a table of the guest.
 */

#define RSS_INPUT_MAX 36U /* two IPv6 addresses, two ports */

struct rss {
    /* Saved. */
    bool enabled;
    uint32_t hash; /* NDIS_HASH_* */
    uint16_t entries;
    uint8_t key[NDIS_RSS_KEY_SIZE];
    uint8_t table[NDIS_RSS_TABLE_MAX];
    /* Not saved: what a byte in each place of the input adds to the hash. */
    uint32_t part[RSS_INPUT_MAX][256];
};

/** Off, with no key. */
void rss_init(struct rss *rss);
/** The key has changed. */
void rss_prepare(struct rss *rss);
/** Take the guest's OID_GEN_RECEIVE_SCALE_PARAMETERS; channels are numbered below `channels`.
 * False: they make no sense, and nothing has changed. */
bool rss_set(struct rss *rss, const uint8_t *info, uint32_t length, unsigned channels);
/** Hash a frame, or with `back` the one that would answer it: the same with its ends changed.
 * False: it has nothing that the guest wants hashed. */
bool rss_hash(const struct rss *rss, const struct frame *f, const uint8_t *head, bool back,
              uint32_t *hash);
/** The channel for that hash. */
unsigned rss_channel(const struct rss *rss, uint32_t hash);

#endif
