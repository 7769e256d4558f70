/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VID_POOL_H
#define VID_POOL_H

/*
 * Memory that the parent gives to the hypervisor for its bookkeeping of one partition (TLFS
 * "Memory Management"). A deposited page leaves the parent's address space: until it is withdrawn
 * an access to it raises #GP, so it is allocated and never touched. Memory is given only when
 * the hypervisor asks for it: so a call that fails for another reason costs none.
 */

#include <linux/atomic.h>
#include <linux/types.h>

struct vid_pool {
    u64 partition_id;
    atomic64_t pages; /* deposited and not withdrawn */
};

void vid_pool_init(struct vid_pool *pool, u64 partition_id);

/** Deposits what a status asks for: into POOL or the parent's own pool, single or contiguous. */
int vid_pool_deposit_for(struct vid_pool *pool, u16 status);

/** Withdraws and frees at most COUNT pages, fewer when the hypervisor has no more to give. */
void vid_pool_withdraw(struct vid_pool *pool, u64 count);

/** For tests: the deposit that fails with -ENOMEM, counted from now; 0: none. */
extern u32 vid_pool_fail_deposit;

/* Over all pools since the module was loaded. */
extern atomic64_t vid_pool_deposited, vid_pool_withdrawn;

#endif
