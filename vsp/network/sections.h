/* SPDX-License-Identifier: MIT */
#ifndef VSP_NETWORK_SECTIONS_H
#define VSP_NETWORK_SECTIONS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Who has which piece of the receive buffer. A piece is free, or in a channel's hands, or the
 * guest's until it completes the packet that brought it. Channels keep some in hand, so that they
 * seldom meet at the lock.
 */

#define SECTIONS_MAX   8192U
#define SECTION_NONE   0xFFFFFFFFU
#define SECTION_CACHE  128U
#define SECTION_REFILL 32U

struct sections {
    pthread_mutex_t lock;  /* of free and free_count */
    uint32_t count;        /* 0: there is no buffer */
    _Atomic uint32_t lent; /* packets that the guest has */
    uint32_t free_count;
    uint16_t free[SECTIONS_MAX];
    /* Of a piece's holder. */
    uint16_t next[SECTIONS_MAX];
    uint32_t length[SECTIONS_MAX]; /* of the message in it */
    /* Of a piece that begins a packet in the guest's hands: the channel, from 1 on; else 0. */
    _Atomic uint8_t owner[SECTIONS_MAX];
};

/** Pieces one behind the other. */
struct chain {
    uint32_t head, tail;
    unsigned count;
};

/** A channel's pieces in hand; the last is the one that was used last, and is still warm. */
struct section_cache {
    unsigned count;
    uint16_t section[SECTION_CACHE];
};

/** All of them are free. */
void sections_start(struct sections *s, uint32_t count);
/** One of them; SECTION_NONE. */
uint32_t section_take(struct sections *s, struct section_cache *cache);
void section_give(struct sections *s, struct section_cache *cache, uint32_t section);
/** Give back all that a channel has in hand. */
void section_cache_drain(struct sections *s, struct section_cache *cache);

void chain_init(struct chain *c);
void chain_append(struct sections *s, struct chain *c, uint32_t section);
/** Put all of `more` behind `c`; `more` is empty then. */
void chain_join(struct sections *s, struct chain *c, struct chain *more);
/** Give back all of it. */
void chain_give(struct sections *s, struct section_cache *cache, struct chain *c);

/** The guest gets the chain that begins with this piece. */
void section_lend(struct sections *s, const struct chain *c, unsigned channel);
/** It has completed the packet. False: it did not have it. */
bool section_return(struct sections *s, struct section_cache *cache, uint64_t section,
                    unsigned channel);
/** A channel is closed: the guest will complete nothing any more. */
void section_reclaim(struct sections *s, struct section_cache *cache, unsigned channel);

#endif
