/* SPDX-License-Identifier: MIT */
#ifndef VSP_STORAGE_RESERVE_H
#define VSP_STORAGE_RESERVE_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/save.h"

/*
 * Who may use a logical unit: reservations of SPC-2 (RESERVE, RELEASE) and persistent ones (SPC-4
 * 5.13). An initiator is a VM. Pure state: commands are decoded in scsi_reserve.c.
 */

#define RESERVE_ID_SIZE 16U
#define RESERVE_MAX     32U /* registrants */

enum reserve_access {
    RESERVE_ALWAYS, /* never in conflict */
    RESERVE_READ,
    RESERVE_WRITE, /* or another change */
};

struct registrant {
    uint8_t id[RESERVE_ID_SIZE];
    uint64_t key;       /* 0: not a registrant any more, but one that has to be told so */
    uint16_t attention; /* additional sense code that it has not seen; 0: none */
};

struct reserve {
    uint32_t generation;
    uint8_t type; /* PR_*; 0: no persistent reservation */
    bool plain;   /* RESERVE(6) or (10) */
    uint8_t plain_holder[RESERVE_ID_SIZE];
    uint8_t holder[RESERVE_ID_SIZE]; /* while type is set; of no interest if all hold it */
    unsigned count;
    struct registrant registrant[RESERVE_MAX];
};

enum reserve_result {
    RESERVE_DONE,
    RESERVE_CONFLICT,
    RESERVE_FULL,            /* no room for another registrant */
    RESERVE_INVALID_RELEASE, /* scope or type are others */
    RESERVE_INVALID,         /* a field of the parameter list */
};

/** Whether `id` may not do this now. */
bool reserve_conflict(const struct reserve *r, const uint8_t *id, enum reserve_access access);

/** The additional sense code that `id` has to see, 0: none; once. */
uint16_t reserve_attention(struct reserve *r, const uint8_t *id);

enum reserve_result reserve_plain(struct reserve *r, const uint8_t *id);
/** No error if somebody else holds it: nothing happens. */
void reserve_plain_release(struct reserve *r, const uint8_t *id);

/** REGISTER, REGISTER AND IGNORE EXISTING KEY (`ignore`). */
enum reserve_result reserve_register(struct reserve *r, const uint8_t *id, uint64_t key,
                                     uint64_t new_key, bool ignore);
enum reserve_result reserve_acquire(struct reserve *r, const uint8_t *id, uint64_t key,
                                    uint8_t type);
enum reserve_result reserve_release(struct reserve *r, const uint8_t *id, uint64_t key,
                                    uint8_t type);
enum reserve_result reserve_clear(struct reserve *r, const uint8_t *id, uint64_t key);
enum reserve_result reserve_preempt(struct reserve *r, const uint8_t *id, uint64_t key,
                                    uint64_t victim, uint8_t type);

/** How many there are, without those that have to be told of something yet. */
unsigned reserve_registrants(const struct reserve *r);
/** Whether a registrant holds the reservation, alone or with others. */
bool reserve_holds(const struct reserve *r, const struct registrant *who);
/** One of PR_*. */
bool reserve_type_valid(uint8_t type);
bool reserve_type_all(uint8_t type);

void reserve_save(const struct reserve *r, struct save_writer *w);
void reserve_load(struct reserve *r, struct save_reader *reader);

#endif
