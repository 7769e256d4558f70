/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PORT_H
#define PARTITION_PORT_H

#include "abi/tlfs/management.h"
#include "abi/tlfs/synic.h"
#include "hypervisor/partition/partition.h"

/*
 * Ports and connections (TLFS "Inter-Partition Communication"). A port is where messages, events or
 * doorbells arrive: a SINT of a VP of its owner. A connection is what its owner sends to; a
 * doorbell is a connection that is used by writing to an address that is not mapped. The parent
 * sets both up.
 *
 * Whoever sends takes no lock: what is removed becomes unreachable first, and is freed when every
 * LP has passed lp_barrier(). The functions that change something are called with no lock held.
 */

/** Of each partition; a bound on what a parent can make the hypervisor search. */
#define PORTS_MAX       4096U
#define CONNECTIONS_MAX 4096U

/**
 * A port of `owner`, which partition `connector` may connect to. The memory comes from the owner's
 * deposits. 0, -EEXIST, -EINVAL: impossible port, -ENOSPC: too many, -ENOMEM.
 */
int port_create(struct partition *owner, uint32_t id, uint64_t connector,
                const struct hv_port_info *info);

/** Connections to it lead nowhere from now on. 0 or -ENOENT. */
int port_delete(struct partition *owner, uint32_t id);

/**
 * Connect `owner` to a port. Doorbells have ids of their own. 0, -ENOENT: no such port, -EPERM: not
 * for this partition, -EEXIST, -EINVAL: not such a port, -ENOSPC, -ENOMEM.
 */
int connection_create(struct partition *owner, uint32_t id, struct partition *port_owner,
                      uint32_t port_id, const struct hv_connection_info *info);

/** 0 or -ENOENT. */
int connection_delete(struct partition *owner, uint32_t id, bool doorbell);

/**
 * Use a connection of a partition. -ENOENT: there is none, or its port is gone; else results of
 * synic_post_message() and synic_signal_event(). The sender of the message becomes the port.
 */
int connection_post(struct partition *owner, uint32_t id, struct hv_message *message);
int connection_signal(struct partition *owner, uint32_t id, uint32_t flag);

/** A partition is finalized: its ports and connections go, and connections of others to them. */
void ports_destroy(struct partition *p);

/** Is there any doorbell of this partition? Cheap. */
bool port_has_doorbells(struct partition *p);

/**
 * A write of `size` bytes by a child to an address that it has not mapped. True if a doorbell
 * waits there for this size and value: its port has been told, and the write is done.
 */
bool port_doorbell(struct partition *p, gpa_t at, unsigned size, uint64_t value);

/** The VP has emptied the event ring of a SINT that was full: put in what found no room. */
void port_ring_empty(struct vp *vp, uint32_t sint);

#endif
