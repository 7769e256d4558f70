/* SPDX-License-Identifier: MIT */
#ifndef SYNIC_SYNIC_H
#define SYNIC_SYNIC_H

#include <stdatomic.h>
#include "abi/tlfs/synic.h"
#include "hypervisor/partition/overlay.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct vp;

/*
 * Synthetic interrupt controller of one VP (TLFS "Virtual Interrupt Controller",
 * "Synthetic Interrupt Controller"). Messages and event flags may be sent from
 * any LP; a lock, ranked between partition and gpa map, covers all of it. The
 * SIM, SIEF and event ring pages are overlays that start out zero.
 */

#define SYNIC_QUEUE_CREDIT 8 /* messages that may wait for each SINT; a power of two */

/** Messages that wait for the slot of one SINT; tail - head of them, modulo 2^32. */
struct synic_queue {
    uint32_t head;
    uint32_t tail;
    struct hv_message *msg; /* SYNIC_QUEUE_CREDIT of them; init only */
};

struct synic {
    struct spinlock lock; /* protects all */
    uint64_t scontrol;
    uint64_t siefp;
    uint64_t simp;
    uint64_t sirbp;
    struct overlay sim; /* the partition's lock as well, and for these three */
    struct overlay sief;
    struct overlay sir;
    uint8_t ring_tail[HV_SYNIC_SINT_COUNT]; /* next entry of each event ring */
    uint64_t sint[HV_SYNIC_SINT_COUNT];
    uint32_t offer_waiting; /* bit n: synic_offer_message() found the slot of SINT n busy */
    struct synic_queue queue[HV_SYNIC_SINT_COUNT];
};

/**
 * Power-up state: disabled, every SINT masked, nothing queued. The queues come from the partition's
 * memory: errors of partition_alloc().
 */
int synic_init(struct vp *vp);

/** Free what synic_init() took. */
void synic_destroy(struct vp *vp);

/**
 * Addresses that SIMP and SIEFP show while disabled, for a root partition whose pages the
 * hypervisor provides. Call between synic_init() and the first run.
 */
void synic_provide_pages(struct vp *vp, gpa_t simp, gpa_t siefp);

/**
 * SCONTROL, SVERSION, SIEFP, SIMP, SIRBP, EOM and SINT0..15. -EPERM means #GP: not such a register,
 * write of SVERSION, unmasked SINT with a vector below 16. A write of EOM retries what is queued.
 */
int synic_msr_read(struct vp *vp, uint32_t msr, uint64_t *val);
int synic_msr_write(struct vp *vp, uint32_t msr, uint64_t val);

/**
 * Send a message to a SINT, from any LP. It goes into the slot if that is free, else it waits for
 * EOM. Returns 0, -EINVAL for a bad SINT, type 0 or an oversized payload, -ENODEV if the SynIC or
 * its message page is disabled or unusable, -EAGAIN if the SINT's credit is used up.
 */
int synic_post_message(struct vp *vp, uint32_t sint, const struct hv_message *msg);

/**
 * Like synic_post_message() for a sender that can wait: never queues, but answers -EAGAIN if the
 * slot is busy. Then synic_retry() will call stimers_retry().
 */
int synic_offer_message(struct vp *vp, uint32_t sint, const struct hv_message *msg);

/**
 * Set an event flag (0..2047) of a SINT, from any LP; interrupts only if it was clear. `newly` may
 * be NULL. Returns 0, -EINVAL, or -ENODEV if the SynIC or its flags page is disabled or unusable.
 */
int synic_signal_event(struct vp *vp, uint32_t sint, uint32_t flag, bool *newly);

/**
 * Put the id of a port into the event ring of a SINT, from any LP, and tell the VP unless it is
 * still busy with the ring. Returns 0, -EINVAL, -ENODEV: no ring, -EAGAIN: it is full; then the VP
 * will report when it has emptied it (HvCallNotifyPortRingEmpty).
 */
int synic_ring_push(struct vp *vp, uint32_t sint, uint32_t id);

/**
 * Which of these SINTs (bit n: SINT n) could take a message into their slots now. For the others
 * the VP leaves guest mode when its guest frees the slot, or changes what else is in the way.
 */
uint16_t synic_deliverable(struct vp *vp, uint16_t sints);

/** Try again to deliver what waits for message slots; on EOM and on VP_REQ_SYNIC. */
void synic_retry(struct vp *vp);

#endif
